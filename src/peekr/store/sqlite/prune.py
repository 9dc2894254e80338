"""Rows deleted from a database that others may be writing to."""

from __future__ import annotations

import os
import random
import sqlite3
import time
from collections.abc import Mapping
from typing import Callable, TypeVar

from peekr.errors import PeekrError
from peekr.plaintext import clean
from peekr.store.sqlite.database import Database, is_locked
from peekr.store.sqlite.schema import ForeignDatabaseError

__all__ = ["patiently", "prune_sqlite"]

_BATCH_ROWS = 500
"""Few enough that a writer waits for milliseconds."""

_PAUSE_S = 0.002
"""What a writer gets for its turn after each batch."""

_PATIENCE_S = 30.0

_DUE = "COALESCE(NULLIF(retention_class, ''), 'default') = ? AND COALESCE(end_time, start_time)"
_DELETE = (
    "DELETE FROM spans WHERE rowid IN (SELECT rowid FROM spans"
    f" WHERE {_DUE} < ? AND COALESCE(end_time, start_time) > 0 LIMIT {_BATCH_ROWS:d})"
)

_Result = TypeVar("_Result")


def prune_sqlite(path: str, cutoffs: Mapping[str, float], *, vacuum: bool = False) -> int:
    """Delete the rows of each class that ended before its cutoff, a batch a transaction.

    Deleted content is overwritten in the file and taken out of the log, as far as no reader still
    needs the log.

    Args:
        path: The database; it has to exist.
        cutoffs: Unix seconds by class.
        vacuum: Give the space back to the disk; needs the database for itself meanwhile.

    Returns:
        How many rows were deleted.

    Raises:
        PeekrError: the database is not Peekr's, damaged, read-only, or locked for 30 s.
    """
    database = Database(os.path.abspath(path))
    try:
        connection = patiently(database.open)
        patiently(lambda: connection.execute("PRAGMA secure_delete = ON").fetchall())
        count = 0
        for name, cutoff in cutoffs.items():
            while True:
                deleted = patiently(
                    lambda name=name, cutoff=cutoff: (
                        connection.execute(_DELETE, (name, cutoff)).rowcount
                    )
                )
                count += deleted
                if deleted < _BATCH_ROWS:
                    break
                time.sleep(_PAUSE_S)
        if vacuum:
            patiently(lambda: connection.execute("VACUUM"))
        if count or vacuum:
            # Waits for nobody: while a reader is at work the log is emptied another time.
            connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
        return count
    except (sqlite3.Error, OSError, ForeignDatabaseError) as error:
        reason = (error.strerror if isinstance(error, OSError) else None) or str(error)
        raise PeekrError(f"{clean(path)}: cannot be pruned: {clean(reason)}") from error
    finally:
        database.close()


def patiently(step: Callable[[], _Result]) -> _Result:
    """Try a step until it is its turn, for 30 s at most.

    Raises:
        sqlite3.OperationalError: another program held the database all the time.
    """
    deadline = time.monotonic() + _PATIENCE_S
    while True:
        try:
            return step()
        except sqlite3.OperationalError as error:
            if not is_locked(error) or time.monotonic() >= deadline:
                raise
        time.sleep(random.uniform(0.0005, 0.02))
