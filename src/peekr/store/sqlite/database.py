"""One connection to a database of records, opened when needed and whole batches at a time."""

from __future__ import annotations

import errno
import os
import sqlite3
from collections.abc import Sequence
from typing import Optional, Union

from peekr.store.sqlite.schema import COLUMNS, ForeignDatabaseError, migrate

__all__ = ["MAX_ROWS", "Database", "Row", "is_hopeless", "is_locked", "is_row_fault"]

Row = tuple[Union[str, float, None], ...]
"""The values of one record in the order of `COLUMNS`."""

# SQLite before 3.32 binds 999 values at most.
MAX_ROWS = 256 if sqlite3.sqlite_version_info >= (3, 32) else 64
"""The most rows that one statement takes."""

_BUSY_TIMEOUT_S = 0.005
"""Short: SQLite's own waiting grows to 100 ms a step, which is neither quick nor fair."""

_WAL_SIZE_LIMIT_BYTES = 32 * 1024 * 1024


class Database:
    """A connection that follows its path: it opens the file that is there now.

    Not thread-safe: the caller sees to it that one thread at a time is inside.
    """

    def __init__(self, path: str) -> None:
        """Note the file; nothing is opened yet.

        Args:
            path: The file, absolute.
        """
        self.path = path
        self._connection: Optional[sqlite3.Connection] = None
        self._identity = (-1, -1)

    def open(self) -> sqlite3.Connection:
        """The connection to the file at `path`; the file and its directories are made if missing.

        Raises:
            ForeignDatabaseError: the database is another program's.
            sqlite3.Error: locked, damaged, not a database, not writable.
            OSError: the directory cannot be made.
        """
        connection = self._connection
        if connection is not None:
            if _identity(self.path) == self._identity:
                return connection
            # Deleted or moved away. SQLite sees that too and leaves the new file's log alone.
            self.close()
        _prepare(self.path)
        connection = sqlite3.connect(
            self.path, timeout=_BUSY_TIMEOUT_S, isolation_level=None, check_same_thread=False
        )
        try:
            migrate(connection)
            # Second, so that a database of another program is left as it was found.
            connection.execute("PRAGMA journal_mode = WAL").fetchall()
            # A killed process loses nothing by this; a power cut may lose the last commits.
            connection.execute("PRAGMA synchronous = NORMAL")
            connection.execute(f"PRAGMA journal_size_limit = {_WAL_SIZE_LIMIT_BYTES:d}").fetchall()
            self._identity = _identity(self.path)
        except BaseException:
            connection.close()
            raise
        self._connection = connection
        return connection

    def insert(self, rows: Sequence[Row]) -> None:
        """Store rows, all or none; a row whose span id is known replaces that one.

        One statement outside of a transaction does it all in one step of SQLite: the interpreter
        lock is given up and asked for once a batch, and the commit does not wait for it.

        Args:
            rows: 1 to `MAX_ROWS` rows.

        Raises:
            sqlite3.Error, OSError, ForeignDatabaseError: as `open`, and for a full disk.
            Exception: whatever `sqlite3` raises for a value that it cannot store.
        """
        connection = self.open()
        size = 1 << (len(rows) - 1).bit_length()
        values = [value for row in rows for value in row]
        values += [None] * (len(COLUMNS) * (size - len(rows)))
        connection.execute(_statement(size), values)

    def close(self) -> None:
        """Close the connection, if one is open; the last one in any process empties the log."""
        connection, self._connection = self._connection, None
        if connection is not None:
            try:
                connection.close()
            except sqlite3.Error:
                pass  # a full disk, say; the log keeps what could not be moved


_statements: dict[int, str] = {}


def _statement(size: int) -> str:
    """An INSERT of `size` rows; rows of nulls, which fill a batch up to a known size, are left out.

    Sizes are powers of two, so that few statements are compiled, and each once.
    """
    text = _statements.get(size)
    if text is None:
        row = f"({', '.join('?' * len(COLUMNS))})"
        updates = ", ".join(f"{name} = excluded.{name}" for name in COLUMNS if name != "span_id")
        text = _statements[size] = (
            f"INSERT INTO spans ({', '.join(COLUMNS)})"
            f" SELECT * FROM (VALUES {', '.join([row] * size)}) WHERE column1 IS NOT NULL"
            f" ON CONFLICT (span_id) DO UPDATE SET {updates}"
        )
    return text


def is_locked(error: Exception) -> bool:
    """Whether another connection is at work, so that trying again helps."""
    # `sqlite_errorcode` came with Python 3.11; the texts have been the same for twenty years.
    return isinstance(error, sqlite3.OperationalError) and "lock" in str(error)


def is_hopeless(error: Exception) -> bool:
    """Whether the file itself is none of ours or is damaged, so that waiting does not help."""
    return isinstance(error, ForeignDatabaseError) or type(error) is sqlite3.DatabaseError


def is_row_fault(error: Exception) -> bool:
    """Whether a value is at fault, not the file: another row may be stored all the same."""
    if isinstance(error, (OSError, ForeignDatabaseError, sqlite3.OperationalError)):
        return False
    return type(error) is not sqlite3.DatabaseError


def _prepare(path: str) -> None:
    """Make missing directories, and name what SQLite only calls "unable to open"."""
    if os.path.isdir(path):
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR))
    if not os.path.lexists(path):
        try:
            os.makedirs(os.path.dirname(path), exist_ok=True)
        except FileExistsError:
            raise NotADirectoryError(errno.ENOTDIR, os.strerror(errno.ENOTDIR)) from None


def _identity(path: str) -> tuple[int, int]:
    try:
        found = os.stat(path)
    except OSError:
        return (-1, -1)
    return (found.st_ino, found.st_dev)
