"""The rows that are added to a SQLite database."""

from __future__ import annotations

import os
import sqlite3
import time
from contextlib import closing
from typing import Any, Optional

from peekr.record import SpanRecord
from peekr.store.sqlite.readonly import DAMAGE, connect, expressions, record_of
from peekr.store.sqlite.schema import table_columns

__all__ = ["SqliteTail"]


class SqliteTail:
    """The rows that are added to a database; follows it through its replacement.

    Connects anew for each look at a file that changed, so that no lock and no old view of the
    database is kept in between.
    """

    def __init__(self, path: str, last: int) -> None:
        """Begin after the row with the rowid `last`."""
        self._path = path
        self._last = last
        self._identity: Optional[tuple[int, int]] = None
        self._seen: object = None

    def poll(self) -> list[SpanRecord]:
        """The rows added since the last call, in their order."""
        try:
            return self._poll()
        except (*DAMAGE, sqlite3.Error, OSError):
            self._seen = None
            return []  # gone, locked or half written for the moment: the next poll tries again

    def close(self) -> None:
        """Nothing is kept open between two looks."""

    def _poll(self) -> list[SpanRecord]:
        state = os.stat(self._path)
        identity = (state.st_ino, state.st_dev)
        if self._identity not in (None, identity):
            self._last = 0
        self._identity = identity
        seen = (identity, _stamp(self._path), _stamp(self._path + "-wal"))
        # A change within the clock's resolution of the last look would not show in the stamps.
        if seen == self._seen and time.time_ns() - state.st_mtime_ns > 2_000_000_000:
            return []
        connection, copy = connect(self._path)
        try:
            with closing(connection):
                (newest,) = connection.execute("SELECT MAX(rowid) FROM spans").fetchone()
                newest = newest or 0
                if newest < self._last:
                    self._last = 0  # emptied: what is there now is new
                rows: list[tuple[Any, ...]] = []
                if newest > self._last:
                    columns = expressions(table_columns(connection))
                    statement = f"SELECT {columns} FROM spans WHERE rowid > ? ORDER BY rowid"
                    rows = connection.execute(statement, (self._last,)).fetchall()
                    newest = rows[-1][-1] if rows else newest
                self._last = newest
        finally:
            if copy is not None:
                copy.cleanup()
        self._seen = seen
        return [record for row in rows if (record := record_of(row)[0])]


def _stamp(path: str) -> tuple[int, int]:
    try:
        state = os.stat(path)
    except OSError:
        return (0, 0)
    return (state.st_size, state.st_mtime_ns)
