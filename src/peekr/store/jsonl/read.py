"""Records read from a JSONL file, the newest first where only the newest are wanted.

A line is parsed only if its span is shown. Of the others only the trace id is looked at, which in
Peekr's own files stands at the beginning of the line.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any, Callable, Optional

import orjson

from peekr.errors import UnreadableFileError
from peekr.plaintext import clean
from peekr.record import SpanRecord
from peekr.store.columns import Columns, columns_of, whole_columns
from peekr.store.jsonl.blocks import Blocks
from peekr.store.jsonl.hints import likely, usual_keys
from peekr.store.jsonl.index import Index
from peekr.store.jsonl.line import NotARecordError, parse_line
from peekr.store.jsonl.tail import JsonlTail
from peekr.store.query import (
    Problems,
    Query,
    Selection,
    Trace,
    TraceAssembly,
    pick_from,
)

__all__ = ["JsonlReader"]

# The beginning of a line as Peekr writes it, and as Peekr 0.9 did (name first).
_ID_FIRST = re.compile(
    rb'\{"(?:name": ?"[^"\\]*", ?")?trace_id": ?"([\x20\x21\x23-\x5b\x5d-\x7e]+)"'
)
_BEFORE_ID = b'{"trace_id":"'


class JsonlReader:
    """A JSONL file open for reading; a line that is no record is counted and passed over.

    Only what the file held when it was opened is read, so that a file that grows has an end.
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
        self._blocks = Blocks(path, self._advance)
        self._records = 0
        self._index: Optional[Index] = None

    def _advance(self, bytes_read: float) -> None:
        if self.advanced is not None:
            self.advanced(bytes_read)

    def select(self, query: Query) -> Selection:
        """The chosen traces; with a limit the file is read from its end backwards.

        The order of traces is that of their last lines. Memory: the spans that are shown, one
        block of the file and the ids of all traces.
        """
        chosen = self._matching(query) if query.conditions() else None
        if query.limit is not None:
            return self._newest(query, chosen, query.limit)
        return Selection(self._all(query, chosen))

    def records(self) -> Iterator[SpanRecord]:
        """Every record, in the order of the file."""
        self._restart()
        for number, line in self._blocks.numbered():
            record = self._parse_or_count(line, number)
            if record is not None:
                self._records += 1
                yield record
        self._require_something()

    def columns(self) -> Iterator[Columns]:
        """Every record in the order of the file, in columns, some at a time; never an empty block.

        Unchecked: the fields have whatever types the file gives them. Takes a third of the time of
        `records`; a line that cannot be read is counted.
        """
        self._restart()
        parse = orjson.loads
        before = 0
        index = Index()
        for lines in self._blocks.forwards():
            try:
                made = whole_columns(map(parse, lines))
                if made:
                    index.add(made[0], self._blocks.end)  # fails for ids that are objects or lists
            except (ValueError, KeyError, TypeError):
                made = columns_of(self._documents_on(lines, before))
                if made:
                    index.add(made[0], self._blocks.end)
            before += len(lines)
            if made:
                self._records += len(made[0])
                yield made
        self._index = index
        self._require_something()

    def _documents_on(self, lines: list[bytes], before: int) -> list[dict[str, Any]]:
        """What is on lines of which not every one is a whole record."""
        try:
            found = [orjson.loads(line) for line in lines if not line.isspace()]
            if all(isinstance(d["trace_id"], str) and isinstance(d["span_id"], str) for d in found):
                return found
        except (ValueError, KeyError, TypeError):
            pass
        return [
            record.to_dict()
            for number, line in enumerate(lines, before + 1)
            if not line.isspace() and (record := self._parse_or_count(line, number)) is not None
        ]

    def pick(self, trace_ids: set[str]) -> Iterator[Trace]:
        """The traces with these ids; see `Reader.pick`. Other lines are not parsed.

        After `columns` has gone through the file, only the parts of it that hold them are read.
        """
        if self._index is None:
            blocks = self._blocks.forwards()
        else:
            blocks = self._blocks.between(self._index.parts(trace_ids))
        return pick_from(self._of(blocks, frozenset(map(_encoded, trace_ids))), trace_ids)

    def _of(self, blocks: Iterator[list[bytes]], keys: frozenset[bytes]) -> Iterator[SpanRecord]:
        for lines in blocks:
            for line in lines:
                # As Peekr writes them; most lines are passed over, so this is what takes time.
                if (
                    line[:13] == b'{"trace_id":"'
                    and line[45:46] == b'"'
                    and line[13:45] not in keys
                ):
                    continue
                found = _ID_FIRST.match(line)
                if (found is not None and found[1] not in keys) or line.isspace():
                    continue
                try:
                    yield parse_line(line)[0]
                except (NotARecordError, MemoryError):
                    continue

    def tail(self) -> JsonlTail:
        """What is appended from now on; the last line, if it has no end yet, belongs to it."""
        return JsonlTail(self.path, self._blocks.leave_unfinished_line())

    def close(self) -> None:
        """Close the file."""
        self._blocks.close()

    # -- the newest traces, backwards ---------------------------------------------------------

    def _newest(self, query: Query, chosen: Optional[set[bytes]], limit: int) -> Selection:
        """Collect the newest traces, then count the others by their ids alone."""
        self._restart()
        prefix = _encoded(query.trace or "")
        collected: dict[bytes, list[SpanRecord]] = {}
        others: set[bytes] = set()
        quick, bad_lines = _ID_FIRST.match, list[int]()
        from_end = 0
        for lines in self._blocks.backwards():
            keys = usual_keys(lines)
            if keys is not None:
                if prefix or chosen is not None:
                    keys = {
                        key
                        for key in keys
                        if key.startswith(prefix) and (chosen is None or key in chosen)
                    }
                if (len(collected) >= limit or not keys) and keys.isdisjoint(collected):
                    others |= keys
                    self._records += len(lines)
                    from_end += len(lines)
                    continue
            for line in reversed(lines):
                from_end += 1
                found = quick(line)
                record = None
                if found is not None:
                    key = found[1]
                    eligible = key.startswith(prefix) and (chosen is None or key in chosen)
                    if (
                        not eligible or (key not in collected and len(collected) >= limit)
                    ) and line.endswith((b"}", b"}\r")):
                        if eligible:
                            others.add(key)
                        self._records += 1
                        continue
                elif not line or line.isspace():
                    continue
                try:
                    record = self._parse(line)
                except NotARecordError as error:
                    self.problems.count += 1
                    self.problems.first = str(error)
                    bad_lines[:] = [from_end]
                    continue
                self._records += 1
                key = _encoded(record.trace_id)
                if not key.startswith(prefix) or not (chosen is None or key in chosen):
                    continue
                if key in collected:
                    collected[key].append(record)
                elif len(collected) < limit:
                    collected[key] = [record]
                else:
                    others.add(key)
        if bad_lines:
            # Only now is it known how many lines there are before it.
            self.problems.first = f"line {from_end - bad_lines[0] + 1}: {self.problems.first}"
        self._require_something()
        traces = [Trace(spans[0].trace_id, spans[::-1]) for spans in collected.values()]
        return Selection(iter(traces[::-1]), len(others))

    # -- everything, forwards -------------------------------------------------------------------

    def _all(self, query: Query, chosen: Optional[set[bytes]]) -> Iterator[Trace]:
        """Every chosen trace as its last line is reached: a first pass counts their lines."""
        prefix = _encoded(query.trace or "")
        expected: dict[bytes, int] = {}
        for lines in self._blocks.forwards():
            for line in lines:
                key = line[13:45]
                if line[:13] != _BEFORE_ID or line[45:46] != b'"' or not key.isalnum():
                    key = self._key(line)
                    if not key:
                        continue
                if key.startswith(prefix) and (chosen is None or key in chosen):
                    expected[key] = expected.get(key, 0) + 1
        assembly = TraceAssembly(expected)
        self._restart()
        before = 0
        for lines in self._blocks.forwards():
            for number, line in enumerate(lines, before + 1):
                key = line[13:45]
                if line[:13] != _BEFORE_ID or line[45:46] != b'"' or not key.isalnum():
                    quick = _ID_FIRST.match(line)
                    key = b"" if quick is None else quick[1]
                    if not key and line.isspace():
                        continue
                if key and not assembly.wants(key) and line.rstrip().endswith(b"}"):
                    self._records += 1
                    continue
                record = self._parse_or_count(line, number)
                if record is not None:
                    self._records += 1
                    key = _encoded(record.trace_id)
                if assembly.wants(key):
                    trace = assembly.add(key, record)
                    if trace is not None:
                        yield trace
            before += len(lines)
        yield from assembly.rest()
        self._require_something()

    def _matching(self, query: Query) -> set[bytes]:
        """The ids of the traces for which every condition holds; parses only likely lines."""
        prefix = _encoded(query.trace or "")
        conditions = query.conditions()
        all_met = (1 << len(conditions)) - 1
        met: dict[bytes, int] = {}
        for _, line in self._blocks.numbered():
            found = _ID_FIRST.match(line)
            if found is not None and not found[1].startswith(prefix):
                continue
            flags = met.get(found[1], 0) if found is not None else 0
            if flags == all_met or not likely(line, conditions, flags):
                continue
            try:
                record = self._parse(line)
            except NotARecordError:
                continue
            key = _encoded(record.trace_id)
            flags = met.get(key, 0)
            for number, condition in enumerate(conditions):
                if condition.holds(record):
                    flags |= 1 << number
            met[key] = flags
        return {key for key, flags in met.items() if flags == all_met}

    # -- lines ----------------------------------------------------------------------------------

    def _key(self, line: bytes) -> bytes:
        found = _ID_FIRST.match(line)
        if found is not None:
            return found[1]
        try:
            return _encoded(self._parse(line).trace_id)
        except NotARecordError:
            return b""

    def _parse_or_count(self, line: bytes, number: int) -> Optional[SpanRecord]:
        try:
            record, is_whole = parse_line(line)
        except NotARecordError as error:
            self.problems.add(f"line {number}", str(error))
            return None
        except MemoryError:
            self.problems.add(f"line {number}", "too large")
            return None
        if not is_whole:
            self.problems.partly += 1
        return record

    def _parse(self, line: bytes) -> SpanRecord:
        """The record on a line.

        Raises:
            NotARecordError: there is none.
        """
        try:
            record, is_whole = parse_line(line)
        except MemoryError:
            raise NotARecordError("too large") from None
        if not is_whole:
            self.problems.partly += 1
        return record

    def _restart(self) -> None:
        self.problems = Problems("line")
        self._records = 0

    def _require_something(self) -> None:
        if self._records:
            return
        shown = clean(self.path)
        if not self.problems.count:
            raise UnreadableFileError(f"{shown}: the file holds no records")
        raise UnreadableFileError(
            f"{shown}: not a trace file, no line is a record; {self.problems.describe()}"
        )


def _encoded(text: str) -> bytes:
    return text.encode("utf-8", "surrogatepass")
