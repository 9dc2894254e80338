"""A report of costs as lines of a terminal."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from typing import Callable, Optional

from peekr.costs import CallCost, CostReport, Sums, Table
from peekr.plaintext import clean
from peekr.render.style import Palette
from peekr.render.table import aligned
from peekr.summary import format_cost, format_duration, shorten

__all__ = ["CostView"]

_NAME_CHARS = 48
_NARROW_NAME_CHARS = 28
_NARROW = 90


class CostView:
    """Renders a report to lines.

    Args:
        palette: Colours, or none.
        ellipsis: What stands for what is left out.
        width: Columns of the terminal; None where lines may be as long as they are.
        limit: How many rows of a table are shown at most; 0 for all.
    """

    def __init__(
        self, palette: Palette, ellipsis: str, width: Optional[int] = None, limit: int = 0
    ) -> None:
        self._palette = palette
        self._ellipsis = ellipsis
        self._limit = limit
        is_narrow = width is not None and width < _NARROW
        self._name_chars = _NARROW_NAME_CHARS if is_narrow else _NAME_CHARS

    def report(self, found: CostReport, source: Optional[str]) -> Iterator[str]:
        """The whole report.

        Args:
            found: The report.
            source: Which prices it is made with; None for those that are recorded.
        """
        colour, total = self._palette, found.total
        parts = [_counted(total.calls, "call")]
        if total.errors:
            parts.append(f"{colour.error}{_counted(total.errors, 'error')}{colour.off}")
        parts.append(f"{total.input + total.output:,} tokens")
        if total.unpriced:
            parts.append(f"{total.unpriced:,} without a price")
        yield (
            f"{colour.strong}{colour.cost}{format_cost(total.cost_usd)}{colour.off}"
            f"  {'  '.join(parts)}"
        )
        if source:
            yield self._dim(f"priced anew with {source}")
        for table in found.tables:
            yield ""
            yield from self._table(table, total)
        yield ""
        yield from self._tokens(total)
        yield from self._calls("most expensive", found.most_expensive)
        yield from self._calls("slowest", found.slowest)
        if found.unpriced:
            yield ""
            yield f"{colour.strong}without a price{colour.off}"
            shown = found.unpriced[: self._limit or None]
            rows = [
                [
                    self._name(one.model),
                    self._name(one.provider),
                    f"{one.calls:,}",
                    f"{one.tokens:,}" if one.tokens else "-",
                ]
                for one in shown
            ]
            yield from self._rows(["model", "provider", "calls", "tokens"], rows, texts=2)
            yield from self._more(len(found.unpriced) - len(shown))

    def _table(self, table: Table, total: Sums) -> Iterator[str]:
        shown = table.groups[: self._limit or None]
        if table.by == ("day",):
            shown = table.groups[-self._limit :]  # the latest
        is_cached = bool(total.cache_read or total.cache_write)
        head = [*table.by, "calls", "errors", "input", "output", "cost", "share"]
        if is_cached:
            head.insert(len(table.by) + 3, "cached")
        rows: list[list[str]] = []
        for group in shown:
            sums = group.sums
            share = f"{sums.cost_usd / total.cost_usd:.1%}" if total.cost_usd else "-"
            price = format_cost(sums.cost_usd)
            if sums.unpriced:
                # A sum that leaves something out must not pass for the whole.
                price = "-" if not sums.cost_usd else f"{price}+"
            row = [
                *(self._name(value) for value in group.values),
                f"{sums.calls:,}",
                f"{sums.errors:,}" if sums.errors else "-",
                f"{sums.input:,}",
                f"{sums.output:,}",
                price,
                share,
            ]
            if is_cached:
                row.insert(len(table.by) + 3, f"{sums.cache_read:,}" if sums.cache_read else "-")
            rows.append(row)
        yield from self._rows(head, rows, texts=len(table.by))
        yield from self._more(len(table.groups) - len(shown))
        if any(group.sums.unpriced and group.sums.cost_usd for group in shown):
            yield self._dim("  + and calls without a price")

    def _tokens(self, total: Sums) -> Iterator[str]:
        yield f"{self._palette.strong}tokens{self._palette.off}"
        rows = [["input", f"{total.input:,}", ""]]
        if total.cache_read:
            share = f"{total.cache_read / total.input:.1%} of the input" if total.input else ""
            rows.append(["  read from the cache", f"{total.cache_read:,}", share])
        if total.cache_write:
            rows.append(["  written to the cache", f"{total.cache_write:,}", ""])
        rows.append(["output", f"{total.output:,}", ""])
        if total.reasoning:
            share = f"{total.reasoning / total.output:.1%} of the output" if total.output else ""
            rows.append(["  reasoning", f"{total.reasoning:,}", share])
        widths = [max(len(row[column]) for row in rows) for column in range(2)]
        for name, count, note in rows:
            yield f"  {name.ljust(widths[0])}  {count.rjust(widths[1])}  {note}".rstrip()
        if total.saved_usd:
            word = "saved" if total.saved_usd > 0 else "cost more than it saved:"
            yield f"  caching {word} {format_cost(abs(total.saved_usd))}"
        if total.unknown_saving:
            yield self._dim(
                f"  what {total.unknown_saving:,} cached tokens saved is not recorded: "
                "--reprice works it out"
            )

    def _calls(self, title: str, calls: list[CallCost]) -> Iterator[str]:
        if not calls:
            return
        yield ""
        yield f"{self._palette.strong}{title}{self._palette.off}"
        rows = [
            [
                self._name(call.name),
                self._name(call.model),
                _shown(call.cost_usd, format_cost),
                _shown(call.duration_ms, format_duration),
                _shown(call.start_time, _clock),
                shorten(call.trace_id, 32),
            ]
            for call in calls
        ]
        yield from self._rows(["call", "model", "cost", "time", "began", "trace"], rows, texts=2)

    def _rows(self, head: list[str], rows: list[list[str]], texts: int) -> Iterator[str]:
        """Columns, the first ones of text to the left and the others to the right."""
        first, *lines = aligned([head, *rows], left=range(texts))
        yield self._dim(f"  {first}")
        for line in lines:
            yield f"  {line}"

    def _more(self, count: int) -> Iterator[str]:
        if count > 0:
            yield self._dim(
                f"  {self._ellipsis} {_counted(count, 'more row')}, --limit 0 shows all"
            )

    def _name(self, value: Optional[str]) -> str:
        return "(none)" if value is None else shorten(value, self._name_chars) or "(none)"

    def _dim(self, text: str) -> str:
        return f"{self._palette.dim}{text}{self._palette.off}"


def _counted(count: int, what: str) -> str:
    return f"{count:,} {what}" if count == 1 else f"{count:,} {what}s"


def _shown(value: Optional[float], how: Callable[[float], str]) -> str:
    return "-" if value is None else clean(how(value))


def _clock(seconds: float) -> str:
    """Local time, as `peekr view` shows it."""
    try:
        return datetime.fromtimestamp(seconds).strftime("%Y-%m-%d %H:%M:%S")
    except (ValueError, OverflowError, OSError):
        return "(no time)"
