"""The table `feedback`: what people thought of a trace."""

from __future__ import annotations

import os
import random
import sqlite3
import time
import uuid
from typing import NamedTuple, Union

from peekr.errors import PeekrError, UnreadableFileError
from peekr.plaintext import clean
from peekr.store.sqlite import gate
from peekr.store.sqlite.database import Database, is_locked
from peekr.store.sqlite.readonly import DAMAGE, connect, explain
from peekr.store.sqlite.schema import ForeignDatabaseError

__all__ = ["Feedback", "add", "read"]

Rating = Union[int, float, str]

_CREATE = """
CREATE TABLE IF NOT EXISTS feedback (
    id         INTEGER PRIMARY KEY AUTOINCREMENT,
    trace_id   TEXT NOT NULL,
    rating     NOT NULL,
    note       TEXT NOT NULL DEFAULT '',
    created_at REAL NOT NULL
)
"""
_INDEX = "CREATE INDEX IF NOT EXISTS idx_feedback_trace_id ON feedback(trace_id)"
_INSERT = "INSERT INTO feedback (trace_id, rating, note, created_at) VALUES (?, ?, ?, ?)"
_INSERT_WITH_ID = (
    "INSERT INTO feedback (id, trace_id, rating, note, created_at) VALUES (?, ?, ?, ?, ?)"
)

_PATIENCE_S = 30.0
"""How long another program's work on the database is waited for."""

_LONGEST_PAUSE_S = 0.05


class Feedback(NamedTuple):
    """One row."""

    id: Union[int, str]
    trace_id: str
    rating: Rating
    note: str
    created_at: float


def add(path: str, trace_id: str, rating: Rating, note: str, created_at: float) -> Feedback:
    """Add a row; file and table are made where they are missing.

    Several threads and processes may do this at once, beside those that write spans; it waits for
    its turn. Committed, and on the disk, when it returns.

    Args:
        path: The database.
        trace_id: The trace.
        rating: As it is to be kept; a text is not converted into a number.
        note: What was said.
        created_at: Unix seconds.

    Raises:
        PeekrError: it could not be kept; the message is one line.
    """
    database = Database(os.path.abspath(path))
    deadline = time.monotonic() + _PATIENCE_S
    while True:
        if not gate.enter(_PATIENCE_S):
            raise PeekrError(f"{clean(path)}: the feedback was not kept: SQLite is busy")
        try:
            row_id = _insert(database, (trace_id, rating, note, created_at))
            return Feedback(row_id, trace_id, rating, note, created_at)
        except (sqlite3.Error, OSError, ForeignDatabaseError) as error:
            if not is_locked(error) or time.monotonic() >= deadline:
                reason = (error.strerror if isinstance(error, OSError) else None) or str(error)
                raise PeekrError(
                    f"{clean(path)}: the feedback was not kept: {clean(reason)}"
                ) from error
        finally:
            database.close()
            gate.leave()
        time.sleep(random.uniform(0.001, _LONGEST_PAUSE_S))


def _insert(database: Database, row: tuple[str, Rating, str, float]) -> Union[int, str]:
    connection = database.open()
    # Rare and irreplaceable, unlike spans: it is to outlive a power cut.
    connection.execute("PRAGMA synchronous = FULL")
    columns = connection.execute("PRAGMA table_info(feedback)").fetchall()
    if not columns:
        connection.execute(_CREATE)
        connection.execute(_INDEX)
        columns = connection.execute("PRAGMA table_info(feedback)").fetchall()
    kind = next((str(column[2]) for column in columns if column[1] == "id"), "")
    if kind.upper() == "INTEGER":
        return connection.execute(_INSERT, row).lastrowid or 0
    made = uuid.uuid4().hex  # a table of another making
    connection.execute(_INSERT_WITH_ID, (made, *row))
    return made


def read(path: str) -> list[Feedback]:
    """All feedback in the order in which it was given; none where there is no such table.

    Writes nothing.

    Raises:
        UnreadableFileError: missing, not a database, damaged.
    """
    shown = clean(path)
    if not os.path.isfile(path):
        reason = "is a directory" if os.path.isdir(path) else "no such file"
        raise UnreadableFileError(f"{shown}: {reason}")
    try:
        connection, copy = connect(path)
    except (*DAMAGE, sqlite3.Error, OSError) as error:
        raise UnreadableFileError(f"{shown}: {explain(error)}") from None
    try:
        present = {row[1] for row in connection.execute("PRAGMA table_info(feedback)")}
        if not {"trace_id", "rating"} <= present:
            return []
        chosen = [
            name if name in present else f"{default} AS {name}"
            for name, default in (
                ("id", "rowid"),
                ("trace_id", ""),
                ("rating", ""),
                ("note", "''"),
                ("created_at", "0.0"),
            )
        ]
        rows = connection.execute(f"SELECT {', '.join(chosen)} FROM feedback ORDER BY rowid")
        return [_feedback(row) for row in rows if isinstance(row[1], str) and row[2] is not None]
    except (*DAMAGE, sqlite3.Error) as error:
        raise UnreadableFileError(f"{shown}: {explain(error)}") from None
    finally:
        connection.close()
        if copy is not None:
            copy.cleanup()


def _feedback(row: tuple[Union[int, str], str, Rating, object, object]) -> Feedback:
    row_id, trace_id, rating, note, created_at = row
    when = float(created_at) if isinstance(created_at, (int, float)) else 0.0
    return Feedback(row_id, trace_id, rating, note if isinstance(note, str) else "", when)
