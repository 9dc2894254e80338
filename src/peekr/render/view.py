"""A trace as lines of a terminal: one line a span, errors and contents below it."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import datetime
from typing import Callable, Optional

from peekr.plaintext import clean_lines
from peekr.record import SpanRecord
from peekr.render.content import content_blocks
from peekr.render.style import Palette, Pieces
from peekr.render.tree import Node, arrange, guides, totals
from peekr.summary import (
    error_text,
    format_cost,
    format_duration,
    format_tokens,
    shorten,
    summarize,
)

__all__ = ["TraceView", "wrapped"]

_MAX_LEVELS = 32
_MIN_TEXT_CHARS = 24
_ERROR_CHARS = 500
_ID_CHARS = 64


class TraceView:
    """Renders traces to lines.

    Args:
        palette: `PLAIN` or `COLOUR`.
        pieces: `LINES` or `ASCII`.
        show_io: Whether inputs, outputs and whole error messages are shown.
        width: Columns of the terminal, to wrap long text at; None leaves lines as long as they
            are.
    """

    def __init__(
        self, palette: Palette, pieces: Pieces, show_io: bool = False, width: Optional[int] = None
    ) -> None:
        self._palette = palette
        self._pieces = pieces
        self._show_io = show_io
        self._width = width

    def trace(self, trace_id: str, spans: list[SpanRecord]) -> Iterator[str]:
        """The whole trace: a line for it, then its tree."""
        nodes = arrange(spans)
        yield self._header(trace_id, nodes)
        for node in nodes:
            before, under, notes = self._place(node, live=False)
            yield f"  {before}{self._line(node.record)}{notes}"
            if self._show_io or "error" in node.record.attributes:
                yield from self._details(node.record, under)

    def fragment(self, trace_id: str, spans: list[SpanRecord], is_known: bool) -> Iterator[str]:
        """Spans that have just ended, of a trace that may still be running.

        A parent ends after its children, so that it is missing says nothing. `is_known`: other
        spans of the trace were shown before.
        """
        nodes = arrange(spans)
        if is_known:
            name = f"trace {shorten(trace_id, _ID_CHARS)}"
            yield f"{self._palette.strong}{name}{self._palette.off}  (continued)"
        else:
            yield self._header(trace_id, nodes)
        for node in nodes:
            yield from self._node(node)

    def _header(self, trace_id: str, nodes: list[Node]) -> str:
        colour = self._palette
        sums = totals(nodes)
        starts = [node.record.start_time for node in nodes if node.record.start_time]
        parts = [_clock(min(starts, default=0.0))]
        parts.append("1 span" if sums.spans == 1 else f"{sums.spans} spans")
        if sums.spans > 1:
            duration = _duration(nodes)
            if duration is not None:
                parts.append(format_duration(duration))
            if sums.tokens is not None:
                parts.append(format_tokens(sums.tokens))
            if sums.cost_usd is not None:
                parts.append(f"{colour.cost}{format_cost(sums.cost_usd)}{colour.off}")
        if sums.errors:
            count = "1 error" if sums.errors == 1 else f"{sums.errors} errors"
            parts.append(f"{colour.error}{count}{colour.off}")
        parts += _belongs_to([node.record for node in nodes])
        name = f"{colour.strong}trace {shorten(trace_id, _ID_CHARS)}{colour.off}"
        return "  ".join([name, *parts])

    def span(self, record: SpanRecord) -> Iterator[str]:
        """One span by itself, without the lines of the tree."""
        yield from self._node(Node(record, 0, None, False, None, False))

    def _node(self, node: Node) -> Iterator[str]:
        before, under, notes = self._place(node, live=True)
        yield f"  {before}{self._line(node.record)}{notes}"
        yield from self._details(node.record, under)

    def _place(self, node: Node, live: bool) -> tuple[str, str, str]:
        """What stands before a span, what before the lines below it, and what is said of it."""
        before, under = guides(node, _MAX_LEVELS, self._pieces)
        colour = self._palette
        notes = ""
        if node.orphan is not None and not live:
            parent = shorten(node.orphan, _ID_CHARS)
            notes = f"  {colour.dim}(parent {parent} not in file){colour.off}"
        if node.is_cycle:
            notes = f"  {colour.dim}(its parents form a cycle){colour.off}"
        return (self._dim(before) if before else ""), under, notes

    def _details(self, record: SpanRecord, under: str) -> Iterator[str]:
        prefix = f"  {self._dim(under)}"
        columns = 2 + len(under)
        yield from self._error(record, prefix, columns)
        if self._show_io:
            yield from self._content(record, prefix, columns)

    def _line(self, record: SpanRecord) -> str:
        colour = self._palette
        part = summarize(record)
        line = f"{colour.strong}{part.name}{colour.off}"
        if part.model:
            line = f"{line} {colour.model}[{part.model}]{colour.off}"
        if part.duration:
            line = f"{line}  {part.duration}"
        if part.tokens:
            line = f"{line}  {part.tokens}"
        if part.cost:
            line = f"{line}  {colour.cost}{part.cost}{colour.off}"
        if part.is_error:
            line = f"{line}  {colour.error}ERROR{colour.off}"
        return line

    def _error(self, record: SpanRecord, prefix: str, columns: int) -> Iterator[str]:
        message = error_text(record)
        if not message:
            return
        colour = self._palette.error if record.status == "error" else self._palette.dim
        if self._show_io:
            yield from self._text(clean_lines(message), prefix, prefix, columns, colour)
            return
        first, _, rest = message.partition("\n")
        text = shorten(first.rstrip("\r"), _ERROR_CHARS)
        more = rest.count("\n") + 1 if rest.strip() else 0
        note = ""
        if more:
            lines = "1 more line" if more == 1 else f"{more} more lines"
            note = f"  {self._palette.dim}({lines}: --io){self._palette.off}"
        yield f"{prefix}{colour}{text}{self._palette.off}{note}"

    def _content(self, record: SpanRecord, prefix: str, columns: int) -> Iterator[str]:
        for block in content_blocks(record):
            indent = "  " * block.indent
            label = f"{self._palette.label}{block.label}:{self._palette.off} "
            if not block.text:
                yield f"{prefix}{indent}{label}".rstrip()
                continue
            yield from self._text(
                block.text,
                f"{prefix}{indent}{label}",
                f"{prefix}{indent}  ",
                columns + len(indent) + 2,
                "",
                first_columns=columns + len(indent) + len(block.label) + 2,
            )

    def _text(
        self,
        text: str,
        first_prefix: str,
        prefix: str,
        columns: int,
        colour: str,
        first_columns: Optional[int] = None,
    ) -> Iterator[str]:
        """Lines of a text, wrapped where there is a width; `columns` are taken by the prefix."""
        off = self._palette.off if colour else ""
        here, taken = first_prefix, columns if first_columns is None else first_columns
        for line in text.split("\n"):
            line = line.expandtabs(4).rstrip()
            if self._width is None:
                yield f"{here}{colour}{line}{off}" if line else here.rstrip()
                here = prefix
                continue
            # The first piece has less room than the others: it stands beside the label.
            room = max(self._width - columns, _MIN_TEXT_CHARS)
            for piece in wrapped(line, room, max(room - (taken - columns), _MIN_TEXT_CHARS)):
                yield f"{here}{colour}{piece}{off}"
                here, taken = prefix, columns

    def _dim(self, text: str) -> str:
        return f"{self._palette.dim}{text}{self._palette.off}" if text.strip() else text


def wrapped(line: str, width: int, first_width: int) -> Iterator[str]:
    """Pieces of a line that fit into so many columns, broken between words where there are any.

    Wide characters (East Asian, emoji) count as the two columns that they take. Linear.
    """
    if line.isascii():
        if len(line) <= first_width:
            yield line
            return
        measure: Callable[[str], int] = len
    else:
        from rich.cells import cell_len

        measure = cell_len
        if measure(line) <= first_width:
            yield line
            return
    room = first_width
    piece: list[str] = []
    used = 0
    for word in re.findall(r"\s*\S+", line):
        size = measure(word)
        if used and used + size > room:
            yield "".join(piece)
            piece, used, room = [], 0, width
            word = word.lstrip()
            size = measure(word)
        start = 0
        while size > room:
            end = _fitting(word, start, room, measure)
            yield word[start:end]
            size -= measure(word[start:end])
            start, room = end, width
        word = word[start:]
        piece.append(word)
        used += size
    if piece:
        yield "".join(piece)


def _fitting(word: str, start: int, room: int, measure: Callable[[str], int]) -> int:
    """Where the longest piece from `start` that fits ends; at least one character further."""
    if measure is len:
        return start + room
    end, used = start, 0
    for char in word[start : start + room]:
        used += measure(char)
        if used > room:
            break
        end += 1
    return max(end, start + 1)


def _clock(seconds: float) -> str:
    """Local time; a record without a usable start says so."""
    if not seconds:
        return "(no time)"
    try:
        return datetime.fromtimestamp(seconds).strftime("%Y-%m-%d %H:%M:%S")
    except (ValueError, OverflowError, OSError):
        return "(no time)"


def _duration(nodes: list[Node]) -> Optional[float]:
    """Milliseconds from the first start to the last end."""
    starts = [node.record.start_time for node in nodes if node.record.start_time]
    ends = [node.record.end_time for node in nodes if node.record.end_time]
    return (max(ends) - min(starts)) * 1000.0 if starts and ends else None


def _belongs_to(records: list[SpanRecord]) -> Iterator[str]:
    for label, key in (("session", "session_id"), ("user", "user_id")):
        for record in records:
            value = record.attributes.get(key)
            if isinstance(value, (str, int, float)):
                yield f"{label} {shorten(str(value), _ID_CHARS)}"
                break
    for record in records:
        if record.tenant_id is not None:
            yield f"tenant {shorten(record.tenant_id, _ID_CHARS)}"
            break
