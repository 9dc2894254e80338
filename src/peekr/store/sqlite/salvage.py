"""The rows of a damaged database that can still be reached."""

from __future__ import annotations

import sqlite3
from collections.abc import Generator, Iterable, Iterator
from typing import Any, Callable, Optional

from peekr.record import SpanRecord
from peekr.store.query import Problems
from peekr.store.sqlite.readonly import DAMAGE

__all__ = ["Salvage"]

_MAX_LOOKUPS = 200_000
_MAX_MISSES = 5_000


class Salvage:
    """Reads what damage has left of a table of spans. Used on one thread."""

    def __init__(
        self,
        connection: sqlite3.Connection,
        select: str,
        problems: Problems,
        record: Callable[[tuple[Any, ...]], Optional[SpanRecord]],
    ) -> None:
        """Begin.

        Args:
            connection: The database.
            select: The statement that selects a record's columns and the row's id, without an end.
            problems: Is told that the database is damaged, and which rows cannot be read.
            record: The record in a row; None where there is none, which it has counted then.
        """
        self._connection = connection
        self._select = select
        self._problems = problems
        self._record = record

    def rows(self, after: int = 0) -> Iterator[SpanRecord]:
        """The rows that can be reached: from the front, then singly, then from the back.

        Does not use the indexes, which may be the damaged part.

        Args:
            after: The id of the row to begin behind.
        """
        self._problems.notes = ["the database is damaged"]
        front = yield from self._run("ASC", after)
        if front is None:
            return
        back: list[SpanRecord] = []
        run = self._run("DESC", (1 << 63) - 1, down_to=front)
        stopped: Optional[int] = None
        while True:
            try:
                back.append(next(run))
            except StopIteration as end:
                stopped = end.value
                break
        if stopped is not None:
            misses = 0
            for rowid in self._rowids_between(front, stopped):
                record = self._lookup(rowid)
                if record is not None:
                    yield record
                misses = misses + 1 if record is None else 0
                if misses > _MAX_MISSES:
                    break
        back.reverse()
        yield from back

    def _run(
        self, direction: str, bound: int, down_to: Optional[int] = None
    ) -> Generator[SpanRecord, None, Optional[int]]:
        """Rows from one end; returns the last rowid before the damage, None at the other end."""
        last = bound
        comparison = ">" if direction == "ASC" else "<"
        if down_to is not None:
            comparison = f"> {down_to:d} AND rowid <"
        statement = (
            f"{self._select} NOT INDEXED WHERE rowid {comparison} ? ORDER BY rowid {direction}"
        )
        try:
            for row in self._connection.execute(statement, (bound,)):
                last = row[-1]
                record = self._record(row)
                if record is not None:
                    yield record
        except DAMAGE:
            return last
        return None

    def _rowids_between(self, low: int, high: int) -> Iterable[int]:
        """The rows in the damaged part, from an index; where that fails, whatever may be there."""
        # The plus signs keep SQLite from walking the table itself.
        statement = "SELECT rowid FROM spans WHERE +rowid > ? AND +rowid < ?"
        try:
            return sorted(row[0] for row in self._connection.execute(statement, (low, high)))
        except DAMAGE:
            self._problems.notes.append("how many rows are lost is not known")
            return range(low + 1, min(high, low + _MAX_LOOKUPS))

    def _lookup(self, rowid: int) -> Optional[SpanRecord]:
        try:
            row = self._connection.execute(
                f"{self._select} NOT INDEXED WHERE rowid = ?", (rowid,)
            ).fetchone()
        except DAMAGE:
            if len(self._problems.notes) == 1:
                self._problems.add(f"row {rowid}", "damaged")
            return None
        return None if row is None else self._record(row)
