"""Records from OTLP in JSON: one export a line, or one document.

The file is read twice: to find the traces and how many of their spans are to come, and to put them
together, so that memory holds the ids of all traces and the spans of those that are incomplete.
"""

from __future__ import annotations

import io
import os
import re
from array import array
from collections.abc import Iterator
from typing import Any, BinaryIO, Callable, NamedTuple, Optional, Union, cast

from peekr.encoding import loads
from peekr.errors import UnreadableFileError
from peekr.plaintext import clean
from peekr.projection import project
from peekr.record import SpanRecord
from peekr.store.jsonl.line import BOM, NotARecordError, parse_line, second_try
from peekr.store.jsonl.tail import JsonlTail
from peekr.store.otlp.decode import RawSpan, StoredEvent, StoredLog, contents, is_export
from peekr.store.query import Problems, Query, Selection, Trace, pick_from

__all__ = ["OtlpReader", "is_otlp"]

_EXPORT = re.compile(rb'[\s\[]*\{\s*"resource_?(?:[Ss]pans|[Ll]ogs|[Mm]etrics|[Pp]rofiles)"\s*:')
_RECORD = re.compile(rb'\s*\{"(?:name": ?"[^"\\]*", ?")?trace_id"')
_WHOLE = re.compile(rb"\s*(?:\[\s*\{?\s*|\{\s*)(?:\r?\n|$)")
_MAX_DOCUMENT_BYTES = 1 << 30
_USUAL = b'{"resourceSpans":'
_TRACE_ID = re.compile(rb'"traceId": ?"((?!0{32})[0-9a-f]{32})"')

_Item = Union[SpanRecord, StoredLog, RawSpan]


def is_otlp(head: bytes) -> bool:
    """Whether a file is OTLP in JSON, from its first bytes: its first line that can be told is."""
    head = head.removeprefix(BOM)
    if _EXPORT.match(head):
        return True
    for line in head.split(b"\n"):
        if _EXPORT.match(line):
            return True
        if _RECORD.match(line):
            return False
    return False


class _Line(NamedTuple):
    number: int
    content: bytes


class OtlpReader:
    """OTLP in JSON that is open for reading; what is no export or no span is counted.

    Log records of the GenAI conventions, which hold the content of calls in some generations, are
    put into the spans that they name. Only what the file held when it was opened is read.
    """

    def __init__(self, path: str) -> None:
        """Open the file.

        Args:
            path: The file.

        Raises:
            UnreadableFileError: it cannot be opened.
        """
        self.path = path
        self.problems = Problems("line")
        self.advanced: Optional[Callable[[float], None]] = None
        try:
            self._file: BinaryIO = open(path, "rb")  # noqa: SIM115 - closed by close()
            self._size = os.fstat(self._file.fileno()).st_size
        except OSError as error:
            reason = (error.strerror or "cannot be opened").lower()
            raise UnreadableFileError(f"{clean(path)}: {reason}") from None
        self._offsets = array("Q")
        self._start()

    def select(self, query: Query) -> Selection:
        """The chosen traces, in the order of their last spans.

        Without conditions on spans, a line is parsed only where one of its spans is chosen.
        """
        conditions = query.conditions()
        all_met = (1 << len(conditions)) - 1
        met: dict[str, int] = {}
        counts: dict[str, int] = {}
        begins: dict[str, int] = {}
        self._start()
        for line in self._lines():
            skimmed = None if conditions else _skimmed(line.content)
            if skimmed is not None:
                self._found += len(skimmed)
                for trace_id in skimmed:
                    if query.wants(trace_id):
                        counts[trace_id] = counts.pop(trace_id, 0) + 1
                        begins.setdefault(trace_id, line.number)
                        met[trace_id] = 0
                continue
            for item in self._items(line):
                trace_id = item.trace_id
                if not query.wants(trace_id):
                    continue
                begins.setdefault(trace_id, line.number)
                if isinstance(item, StoredLog):
                    counts[trace_id] = counts.get(trace_id, 0) + 1
                    continue
                # Taken out and put in again: the dictionary's order is that of the last activity.
                counts[trace_id] = counts.pop(trace_id, 0) + 1
                flags = met.get(trace_id, 0)
                if flags != all_met:
                    record = _record(item, [])
                    for number, condition in enumerate(conditions):
                        if condition.holds(record):
                            flags |= 1 << number
                met[trace_id] = flags
        self._require_something()
        chosen = {key: count for key, count in counts.items() if met.get(key, -1) == all_met}
        omitted = 0
        if query.limit is not None and len(chosen) > query.limit:
            omitted = len(chosen) - query.limit
            chosen = dict(list(chosen.items())[omitted:])
        begin = min((begins[key] for key in chosen), default=1)
        return Selection(self._traces(chosen, begin), omitted)

    def records(self) -> Iterator[SpanRecord]:
        """Every record; in the order of the file, unless log records have to be waited for."""
        if not self._mentions_logs():
            self._start()
            for line in self._lines():
                for item in self._items(line):
                    if not isinstance(item, StoredLog):
                        yield _record(item, [])
            self._require_something()
            return
        for trace in self.select(Query()).traces:
            yield from trace.spans

    def pick(self, trace_ids: set[str]) -> Iterator[Trace]:
        """The traces with these ids; see `Reader.pick`."""
        return pick_from(self.records(), trace_ids)

    def tail(self) -> JsonlTail:
        """What is appended from now on; without log records, which come after their spans."""
        position = self._size
        while position:
            start = max(0, position - (1 << 20))
            found = self._read_at(start, position - start).rfind(b"\n")
            if found >= 0:
                position = start + found + 1
                break
            position = start
        self._size = position
        return JsonlTail(self.path, position, _records_on)

    def close(self) -> None:
        """Close the file."""
        self._file.close()

    # -- traces -----------------------------------------------------------------------------------

    def _traces(self, expected: dict[str, int], begin: int) -> Iterator[Trace]:
        """The traces with so many spans and log records each, from a line on."""
        waiting: dict[str, list[_Item]] = {}
        found = self._found
        self._found = 0
        for line in self._lines(begin) if expected else ():
            skimmed = _skimmed(line.content)
            if skimmed is not None and not any(trace_id in expected for trace_id in skimmed):
                self._found += len(skimmed)
                continue
            for item in self._items(line):
                trace_id = item.trace_id
                if trace_id not in expected:
                    continue
                items = waiting.setdefault(trace_id, [])
                items.append(item)
                expected[trace_id] -= 1
                if expected[trace_id] <= 0:
                    del expected[trace_id], waiting[trace_id]
                    yield _trace(trace_id, items)
        for trace_id, items in waiting.items():
            if not all(isinstance(item, StoredLog) for item in items):
                yield _trace(trace_id, items)  # a line was damaged, or the file was cut meanwhile
        if found and expected and begin == 1:
            self._require_something()

    # -- lines ------------------------------------------------------------------------------------

    def _start(self) -> None:
        self.problems = Problems("line")
        self._counted: set[int] = set()
        self._found = self._others = 0

    def _items(self, line: _Line) -> list[_Item]:
        """What a line holds; what cannot be read is counted, once."""
        is_new = line.number not in self._counted
        try:
            items, is_whole, is_other = _items_on(line.content)
        except NotARecordError as error:
            if is_new:
                self.problems.add(f"line {line.number}", str(error))
                self._counted.add(line.number)
            return []
        if is_new and not is_whole:
            self.problems.partly += 1
            self._counted.add(line.number)
        self._others += is_other
        self._found += len(items)
        return items

    def _lines(self, begin: int = 1) -> Iterator[_Line]:
        """Lines that are not blank, from one on that was reached before. A document is one line."""
        offsets = self._offsets
        number = begin - 1
        offset = offsets[number] if number < len(offsets) else 0
        self._seek(offset)
        while offset < self._size:
            line = self._file.readline(self._size - offset)
            if not line:
                return
            number += 1
            if number > len(offsets):
                offsets.append(offset)
            at, offset = offset, offset + len(line)
            if at == 0:
                line = line.removeprefix(BOM)
                if _WHOLE.match(line) and self._size <= _MAX_DOCUMENT_BYTES:
                    yield _Line(number, line + self._file.read(self._size - offset))
                    return
            if line and not line.isspace():
                yield _Line(number, line)

    def _seek(self, position: int) -> None:
        try:
            self._file.seek(position)
        except OSError as error:
            reason = (error.strerror or "cannot be read").lower()
            raise UnreadableFileError(f"{clean(self.path)}: {reason}") from None

    def _read_at(self, position: int, size: int) -> bytes:
        self._seek(position)
        return self._file.read(size)

    def _mentions_logs(self) -> bool:
        self._seek(0)
        before = b""
        while True:
            block = self._file.read(io.DEFAULT_BUFFER_SIZE << 7)
            if not block:
                return False
            window = before + block
            if b'"resourceLogs"' in window or b'"resource_logs"' in window:
                return True
            before = block[-32:]

    def _require_something(self) -> None:
        """Say that nothing in the file could be read.

        Raises:
            UnreadableFileError: so it is.
        """
        if self._found:
            return
        shown = clean(self.path)
        if self._others and not self.problems.count:
            raise UnreadableFileError(f"{shown}: holds OTLP, but no spans")
        if not self.problems.count and not self.problems.partly:
            raise UnreadableFileError(f"{shown}: the file holds no records")
        raise UnreadableFileError(
            f"{shown}: not a trace file, no line holds a span; {self.problems.describe()}"
        )


def _skimmed(line: bytes) -> Optional[list[str]]:
    """The trace ids of a line's spans without parsing it; None where only parsing tells them."""
    if (
        not line.startswith(_USUAL)
        or not line.endswith((b"}\n", b"}", b"}\r\n"))
        or b'"links"' in line
        or b'"resourceLogs"' in line
        or b'"trace_id"' in line
    ):
        return None
    return [found.decode() for found in _TRACE_ID.findall(line)] or None


def _items_on(line: bytes) -> tuple[list[_Item], bool, bool]:
    """What a line holds, whether all of it could be read, and whether it is an export at all.

    Raises:
        NotARecordError: nothing of it can be read.
    """
    try:
        document: Any = loads(line)
        is_whole = True
    except RecursionError:
        raise NotARecordError("nested too deeply") from None
    except MemoryError:
        raise NotARecordError("too large") from None
    except ValueError:
        document, is_whole = second_try(line), False
    documents: list[Any] = [document]
    if isinstance(document, list):
        documents = cast("list[Any]", document)
    if not any(map(is_export, documents)):
        record, is_whole = parse_line(line)  # Peekr's own line among them
        return [record], is_whole, False
    items: list[_Item] = []
    for one in documents:
        if not is_export(one):
            is_whole = False
            continue
        for item in contents(one):
            if item is None:
                is_whole = False
            else:
                items.append(item)
    if not items and not is_whole:
        raise NotARecordError("no span with ids")
    return items, is_whole, True


def _record(item: Union[SpanRecord, RawSpan], events: list[StoredEvent]) -> SpanRecord:
    if isinstance(item, SpanRecord):
        return item
    span = item.decoded()
    span.events += events
    record = project(span)
    if not span.end_time or not span.start_time:
        # Exported before it ended, or damaged: how long it took is not known.
        record.duration_ms = None
        if not span.end_time:
            record.end_time = None
    return record


def _trace(trace_id: str, items: list[_Item]) -> Trace:
    logs: dict[int, list[StoredEvent]] = {}
    for item in items:
        if isinstance(item, StoredLog):
            logs.setdefault(item.span_id, []).append(item.event)
    records = [
        _record(item, [] if isinstance(item, SpanRecord) else logs.get(item.ids.span_id, []))
        for item in items
        if not isinstance(item, StoredLog)
    ]
    return Trace(trace_id, records)


def _records_on(line: bytes) -> list[SpanRecord]:
    """The records on an appended line.

    Raises:
        NotARecordError: there is none.
    """
    items, _, _ = _items_on(line)
    return [_record(item, []) for item in items if not isinstance(item, StoredLog)]
