"""Attributes changed in the rows of a database that others may be writing to."""

from __future__ import annotations

import itertools
import sqlite3
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Callable, cast

from peekr.encoding import loads
from peekr.errors import PeekrError
from peekr.plaintext import clean
from peekr.store.splice import SpliceError, spliced
from peekr.store.sqlite.prune import patiently

__all__ = ["amend_sqlite"]

_BATCH_ROWS = 200
"""Few enough that a writer waits for milliseconds."""

_PAUSE_S = 0.002
"""What a writer gets for its turn after each batch."""

_Amendment = Callable[[Mapping[str, Any]], Mapping[str, Any]]


def amend_sqlite(path: str, amendments: Mapping[tuple[str, str], _Amendment]) -> int:
    """See `peekr.store.amend.amend`; the table and its other columns stay as they are.

    Raises:
        PeekrError: the database is damaged, read-only, or locked for 30 s.
    """
    try:
        uri = Path(path).absolute().as_uri()
        connection = sqlite3.connect(f"{uri}?mode=rw", uri=True, timeout=0.05, isolation_level=None)
        # As bytes, for text that is no UTF-8 is no reason to give up on the others.
        connection.text_factory = bytes
        try:
            count = 0
            left = iter(amendments.items())
            while batch := list(itertools.islice(left, _BATCH_ROWS)):
                count += patiently(lambda batch=batch: _amend_batch(connection, batch))
                time.sleep(_PAUSE_S)
            return count
        finally:
            connection.close()
    except (sqlite3.Error, OSError) as error:
        reason = (error.strerror if isinstance(error, OSError) else None) or str(error)
        raise PeekrError(f"{clean(path)}: cannot be changed: {clean(reason)}") from error


def _amend_batch(
    connection: sqlite3.Connection, batch: list[tuple[tuple[str, str], _Amendment]]
) -> int:
    connection.execute("BEGIN IMMEDIATE")
    try:
        count = sum(_amend_row(connection, *key, amendment) for key, amendment in batch)
        connection.execute("COMMIT")
        return count
    except BaseException:
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        raise


def _amend_row(
    connection: sqlite3.Connection, trace_id: str, span_id: str, amendment: _Amendment
) -> int:
    row = connection.execute(
        "SELECT rowid, attributes FROM spans WHERE span_id = ? AND trace_id = ?",
        (span_id, trace_id),
    ).fetchone()
    if row is None:
        return 0
    rowid, raw = row
    try:
        text = raw.decode() if isinstance(raw, bytes) else ""
        if text.strip() in ("", "null"):
            text = "{}"
        present: Any = loads(text)
        attributes = cast("dict[str, Any]", present) if isinstance(present, dict) else {}
        changed = spliced(text, amendment(attributes))
    except (ValueError, SpliceError):
        return 0  # damaged: left as it is
    if changed == text:
        return 0
    connection.execute("UPDATE spans SET attributes = ? WHERE rowid = ?", (changed, rowid))
    return 1
