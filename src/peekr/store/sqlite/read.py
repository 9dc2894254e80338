"""Records read from a SQLite database.

Conditions are answered by SQL where SQLite can, with the same result as `Query.matches`, which
has the last word. Of a damaged database the rows that can be reached are read one by one.
"""

from __future__ import annotations

import sqlite3
import tempfile
from collections.abc import Iterator
from typing import Any, Callable, Optional

import orjson

from peekr.errors import UnreadableFileError
from peekr.plaintext import clean
from peekr.record import SpanRecord
from peekr.store.columns import FIELDS, Columns, columns_of
from peekr.store.query import Problems, Query, Selection, Trace, pick_from, select_from
from peekr.store.sqlite.readonly import (
    DAMAGE,
    connect,
    explain,
    expressions,
    fields,
    lenient_text,
    record_of,
)
from peekr.store.sqlite.salvage import Salvage
from peekr.store.sqlite.schema import COLUMNS, table_columns
from peekr.store.sqlite.tail import SqliteTail

__all__ = ["SqliteReader"]

_BLOCK_ROWS = 32
_REQUIRED = frozenset({"trace_id", "span_id"})


class SqliteReader:
    """A SQLite file of spans open for reading; a row that is no record is counted."""

    def __init__(self, path: str) -> None:
        """Open the file.

        Args:
            path: The file.

        Raises:
            UnreadableFileError: it cannot be opened, or is no database of Peekr's.
        """
        self.path = path
        self.problems = Problems("row")
        self.advanced: Optional[Callable[[float], None]] = None
        self._records = 0
        self._copy: Optional[tempfile.TemporaryDirectory[str]] = None
        try:
            self._connection, self._copy = connect(path)
        except (*DAMAGE, sqlite3.Error, OSError) as error:
            raise UnreadableFileError(f"{clean(path)}: {explain(error)}") from None
        try:
            present = table_columns(self._connection)
        except (*DAMAGE, sqlite3.Error) as error:
            self.close()
            raise UnreadableFileError(f"{clean(path)}: {explain(error)}") from None
        if not present >= _REQUIRED:
            self.close()
            what = "its table spans is not Peekr's" if present else "it has no table spans"
            raise UnreadableFileError(
                f"{clean(path)}: a SQLite database, but not one of Peekr: {what}"
            )
        self._columns = present
        self._select = f"SELECT {expressions(present)} FROM spans"
        self._start = "start_time" if "start_time" in present else "NULL"
        self._end = f"COALESCE(end_time, {self._start})" if "end_time" in present else self._start

    def select(self, query: Query) -> Selection:
        """The chosen traces; with a limit those are read that started a span last.

        Memory: the spans that are shown and, where a condition has to be looked up or no limit is
        given, the ids of the traces in question.
        """
        self._restart()
        try:
            return self._select_by_sql(query)
        except DAMAGE as error:
            self._require_damage(error)
        self._restart()
        return self._select_salvaged(query)

    def records(self) -> Iterator[SpanRecord]:
        """Every record, in the order in which the rows were added."""
        self._restart()
        yield from self._records_after(None)
        self._require_something()

    def _records_after(self, last: Optional[int]) -> Iterator[SpanRecord]:
        where = "" if last is None else f"WHERE rowid > {last:d}"
        try:
            for row in self._connection.execute(f"{self._select} {where} ORDER BY rowid"):
                record = self._record(row)
                last = row[-1]
                if record is not None:
                    yield record
        except DAMAGE as error:
            self._require_damage(error)
            yield from self._salvaged(after=last or 0)

    def columns(self) -> Iterator[Columns]:
        """Every record in the order in which they were added, in columns, some at a time.

        Never an empty block. Unchecked: the fields have whatever types the file gives them. Takes a
        third of the time of `records`; a row that cannot be read is counted.
        """
        self._restart()
        last: Optional[int] = None
        try:
            # Decoded in C; a text that is not UTF-8 is an error then, and read below.
            self._connection.text_factory = str
            wanted = f"SELECT {fields(self._columns)} FROM spans ORDER BY rowid"
            cursor = self._connection.execute(wanted)
            while rows := cursor.fetchmany(_BLOCK_ROWS):
                made: Columns = list(zip(*rows))
                rowids = made.pop()
                try:
                    made[-1] = list(map(orjson.loads, made[-1]))
                    self._records += len(rows)
                except (ValueError, TypeError):
                    made = self._mended(rows)
                if made:
                    yield made
                last = rowids[-1]
        except DAMAGE:
            self._connection.text_factory = lenient_text
            for record in self._records_after(last):
                yield columns_of([record.to_dict()])
        finally:
            self._connection.text_factory = lenient_text
        self._require_something()

    def _mended(self, rows: list[tuple[Any, ...]]) -> Columns:
        """The columns of rows of which not every one has attributes that are JSON."""
        order = [FIELDS.index(name) if name in FIELDS else None for name in COLUMNS]
        whole = (
            (*(None if place is None else row[place] for place in order), row[-1]) for row in rows
        )
        records = [record for row in whole if (record := self._record(row)) is not None]
        return columns_of(record.to_dict() for record in records)

    def pick(self, trace_ids: set[str]) -> Iterator[Trace]:
        """The traces with these ids; see `Reader.pick`."""
        try:
            for trace_id in sorted(trace_ids):
                trace = self._trace(trace_id)
                if trace.spans:
                    yield trace
        except DAMAGE as error:
            self._require_damage(error)
            yield from pick_from(self._salvaged(), trace_ids)

    def tail(self) -> SqliteTail:
        """The rows that are added from now on, as this connection sees the file.

        A row that is added before `select` comes from both.

        Raises:
            UnreadableFileError: the database cannot be asked.
        """
        try:
            (last,) = self._connection.execute("SELECT MAX(rowid) FROM spans").fetchone()
        except DAMAGE as error:
            raise UnreadableFileError(f"{clean(self.path)}: {explain(error)}") from None
        return SqliteTail(self.path, last or 0)

    def close(self) -> None:
        """Close the database."""
        self._connection.close()
        if self._copy is not None:
            self._copy.cleanup()
            self._copy = None

    # -- by SQL -----------------------------------------------------------------------------------

    def _select_by_sql(self, query: Query) -> Selection:
        where, values = self._where(query)
        if query.limit is not None and not where:
            return self._newest(query.limit)
        order = self._end if query.limit is None else self._start
        rows = self._connection.execute(
            f"SELECT trace_id, COUNT(*) FROM spans {where} GROUP BY trace_id ORDER BY MAX({order})",
            values,
        )
        trace_ids: list[str] = []
        for trace_id, count in rows:
            if isinstance(trace_id, str):
                trace_ids.append(trace_id)
            elif not where:
                self.problems.add("trace_id", "not a text")
                self.problems.count += count - 1
        if query.limit is None:
            return Selection(self._in_order(trace_ids, query))
        found: list[Trace] = []
        while trace_ids and len(found) < query.limit:
            trace = self._trace(trace_ids.pop())
            if query.matches(trace.spans):
                found.append(trace)
        if not query.conditions():
            self._require_something()
        return Selection(iter(_by_activity(found)), len(trace_ids))

    def _newest(self, limit: int) -> Selection:
        # Along the index of start times, as far as is needed: a sort would read every row.
        newest: dict[Any, None] = {}
        order = f"ORDER BY {self._start} DESC" if self._start != "NULL" else ""
        for (trace_id,) in self._connection.execute(f"SELECT trace_id FROM spans {order}"):
            if isinstance(trace_id, str):
                newest[trace_id] = None
            if len(newest) >= limit:
                break
        total, odd = self._connection.execute(
            "SELECT COUNT(DISTINCT trace_id), TOTAL(typeof(trace_id) <> 'text') FROM spans"
        ).fetchone()
        if odd:
            self.problems.add("trace_id", "not a text")
            self.problems.count = int(odd)
            query = "SELECT COUNT(DISTINCT trace_id) FROM spans WHERE typeof(trace_id) = 'text'"
            (total,) = self._connection.execute(query).fetchone()
        traces = [trace for key in newest if (trace := self._trace(key)).spans]
        if newest:
            self._require_something()
        return Selection(iter(_by_activity(traces)), max(0, total - len(newest)))

    def _in_order(self, trace_ids: list[str], query: Query) -> Iterator[Trace]:
        done = 0
        try:
            for trace_id in trace_ids:
                trace = self._trace(trace_id)
                if query.matches(trace.spans):
                    yield trace
                done += 1
        except DAMAGE as error:
            self._require_damage(error)
            shown = set(trace_ids[:done])
            for trace in self._select_salvaged(query).traces:
                if trace.trace_id not in shown:
                    yield trace
        if not query.conditions() and trace_ids:
            self._require_something()

    def _trace(self, trace_id: str) -> Trace:
        statement = f"{self._select} WHERE trace_id = ? ORDER BY {self._end}, rowid"
        # Decoded in C; a text that is not UTF-8 is an error then, and read again.
        self._connection.text_factory = str
        try:
            rows = self._connection.execute(statement, (trace_id,)).fetchall()
        except sqlite3.OperationalError as error:
            if "decode" not in str(error):
                raise
            self._connection.text_factory = lenient_text
            rows = self._connection.execute(statement, (trace_id,)).fetchall()
        finally:
            self._connection.text_factory = lenient_text
        return Trace(trace_id, [record for row in rows if (record := self._record(row))])

    def _where(self, query: Query) -> tuple[str, list[Any]]:
        """The traces that may match: exactly those, but for rows whose attributes are not JSON."""
        parts: list[str] = []
        values: list[Any] = []

        def add(condition: str, *given: Any) -> None:
            parts.append(f"trace_id IN (SELECT trace_id FROM spans WHERE {condition})")
            values.extend(given)

        if query.trace is not None:
            parts.append("trace_id >= ? AND substr(trace_id, 1, ?) = ?")
            values += [query.trace, len(query.trace), query.trace]
        if query.errors:
            add("status = 'error'" if "status" in self._columns else "0")
        if query.session is not None:
            add(self._attribute("CAST({} AS TEXT) = ?", "session_id"), query.session)
        if query.tenant is not None:
            add("tenant_id = ?" if "tenant_id" in self._columns else "0", query.tenant)
        if query.user is not None:
            add(self._attribute("CAST({} AS TEXT) = ?", "user_id"), query.user)
        if query.model is not None:
            globs = query.model_globs()
            any_of = " OR ".join(["lower({0}) GLOB ?"] * len(globs))
            add(self._attribute(f"({any_of})", "model"), *globs)
        if query.since is not None:
            add(f"{self._end} >= ?", query.since)
        return (f"WHERE {' AND '.join(parts)}" if parts else "", values)

    def _attribute(self, condition: str, key: str) -> str:
        if "attributes" not in self._columns:
            return "0"
        value = f"json_extract(attributes, '$.{key}')"
        # Earlier versions wrote NaN, which is no JSON for SQLite: such rows are looked at later.
        return (
            f"CASE WHEN json_valid(attributes) THEN {condition.format(value)}"
            " ELSE attributes IS NOT NULL END"
        )

    # -- rows -------------------------------------------------------------------------------------

    def _record(self, row: tuple[Any, ...]) -> Optional[SpanRecord]:
        record, reason = record_of(row)
        if record is None:
            self.problems.add(f"row {row[-1]}", reason)
            return None
        if reason:
            self.problems.partly += 1
        self._records += 1
        return record

    # -- damage -----------------------------------------------------------------------------------

    def _select_salvaged(self, query: Query) -> Selection:
        def read() -> Iterator[SpanRecord]:
            self._restart()
            yield from self._salvaged()
            self._require_something()

        selection = select_from(read, query)
        return Selection(selection.traces, selection.omitted)

    def _salvaged(self, after: int = 0) -> Iterator[SpanRecord]:
        return Salvage(self._connection, self._select, self.problems, self._record).rows(after)

    def _require_damage(self, error: Exception) -> None:
        """Raise the error in the form for people, unless salvaging rows may help."""
        kind = type(error)
        if kind in DAMAGE or "malformed" in str(error) or "corrupt" in str(error):
            return
        if "I/O" in str(error) or "no such function" in str(error):
            return
        raise UnreadableFileError(f"{clean(self.path)}: {explain(error)}") from None

    def _restart(self) -> None:
        self.problems.__init__("row")
        self._records = 0

    def _require_something(self) -> None:
        if not self._records and (self.problems.count or self.problems.notes):
            reason = self.problems.describe()
            raise UnreadableFileError(f"{clean(self.path)}: nothing could be read; {reason}")


def _by_activity(traces: list[Trace]) -> list[Trace]:
    def last_end(trace: Trace) -> float:
        spans = trace.spans
        return max((span.end_time or span.start_time for span in spans), default=0.0)

    return sorted(traces, key=last_end)
