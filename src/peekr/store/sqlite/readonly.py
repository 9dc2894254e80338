"""SQLite databases opened without writing a byte to them or beside them."""

from __future__ import annotations

import os
import shutil
import sqlite3
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Optional
from urllib.parse import quote

from peekr.encoding import loads
from peekr.plaintext import clean
from peekr.record import FORMER_ID_CHARS, SpanRecord
from peekr.store.columns import FIELDS
from peekr.store.sqlite.schema import COLUMNS

__all__ = ["DAMAGE", "connect", "explain", "expressions", "fields", "lenient_text", "record_of"]

DAMAGE = (sqlite3.DatabaseError, UnicodeDecodeError)
"""What a statement raises on a damaged file; the second where SQLite's own message is damaged."""

_BUSY_S = 5.0
_WAL_VERSION = 2
_MAX_MISSING = 100  # times what is there


def connect(path: str) -> tuple[sqlite3.Connection, Optional[tempfile.TemporaryDirectory[str]]]:
    """A connection that writes nothing, and the directory of a copy if one had to be made.

    A database in WAL mode needs its `-wal` and `-shm` files even to be read, and SQLite makes them
    where they are missing, owned by whoever reads. So where no writer has left a `-wal` file, the
    database is complete in itself and opened as immutable; where one is there but cannot be used
    (a read-only directory), a copy is read.

    Raises:
        sqlite3.Error: not a database, locked, not readable.
        OSError: the file cannot be opened, or the copy cannot be made.
    """
    with open(path, "rb") as file:
        header = file.read(100)
    missing = _missing_bytes(path, header)
    if missing:
        # SQLite refuses such a file as a whole; with nothing in the missing pages it reads the
        # others.
        return _open_copy(path, missing)
    in_wal_mode = len(header) == 100 and header[18] == _WAL_VERSION
    try:
        wal_bytes = os.stat(f"{path}-wal").st_size if in_wal_mode else 0
        has_wal = in_wal_mode
    except FileNotFoundError:
        wal_bytes, has_wal = 0, False
    if in_wal_mode and not has_wal:
        return _open(path, "immutable=1"), None
    try:
        return _open(path, "mode=ro"), None
    except sqlite3.OperationalError as error:
        if "unable to open" not in str(error) and "readonly" not in str(error):
            raise
    if not wal_bytes and in_wal_mode:
        return _open(path, "immutable=1"), None
    # A journal that was left behind has to be rolled back, a -wal file read: in a copy.
    return _open_copy(path)


def _missing_bytes(path: str, header: bytes) -> int:
    """How much was cut off from the end of the file, by what its header says."""
    if len(header) < 100 or header[24:28] != header[92:96] or os.path.exists(f"{path}-wal"):
        return 0  # the count of pages in the header does not hold
    page_bytes = int.from_bytes(header[16:18], "big")
    pages = int.from_bytes(header[28:32], "big")
    size = os.path.getsize(path)
    missing = pages * (65536 if page_bytes == 1 else page_bytes) - size
    # A header of noise may claim any size.
    return missing if 0 < missing <= _MAX_MISSING * size else 0


def _open_copy(
    path: str, missing: int = 0
) -> tuple[sqlite3.Connection, tempfile.TemporaryDirectory[str]]:
    copy = tempfile.TemporaryDirectory(prefix="peekr-")
    try:
        target = os.path.join(copy.name, "copy.db")
        for suffix in ("", "-wal", "-journal"):
            if os.path.exists(path + suffix):
                shutil.copyfile(path + suffix, target + suffix)
        if missing:
            os.truncate(target, os.path.getsize(target) + missing)
        connection = sqlite3.connect(target, timeout=_BUSY_S, isolation_level=None)
        return _prepared(connection), copy
    except BaseException:
        copy.cleanup()
        raise


def _open(path: str, option: str) -> sqlite3.Connection:
    address = Path(os.path.abspath(path)).as_posix()
    uri = f"file:{quote(address if address.startswith('/') else '/' + address)}?{option}"
    return _prepared(sqlite3.connect(uri, uri=True, timeout=_BUSY_S, isolation_level=None))


def _prepared(connection: sqlite3.Connection) -> sqlite3.Connection:
    connection.text_factory = lenient_text
    try:
        # The first statement is what opens the file.
        connection.execute("SELECT COUNT(*) FROM sqlite_master").fetchone()
    except BaseException:
        connection.close()
        raise
    return connection


def lenient_text(data: bytes) -> str:
    """A stored text, whatever its bytes are."""
    return data.decode("utf-8", "replace")


def expressions(present: frozenset[str]) -> str:
    """The columns to select: those of `COLUMNS`, NULL where one is missing, and the rowid."""
    return _listed(COLUMNS, present)


def fields(present: frozenset[str]) -> str:
    """The columns to select for `store.columns`: those of its `FIELDS`, and the rowid."""
    return _listed(FIELDS, present)


def _listed(names: Sequence[str], present: frozenset[str]) -> str:
    parts = [name if name in present else f"NULL AS {name}" for name in names]
    if "attributes" in present:
        # As bytes: the JSON parser decodes it, and faster.
        parts[names.index("attributes")] = "CAST(attributes AS BLOB)"
    return ", ".join([*parts, "rowid"])


def record_of(row: tuple[Any, ...]) -> tuple[Optional[SpanRecord], str]:
    """The record of a row and what is wrong with it; without a record the reason why."""
    data: dict[str, Any] = dict(zip(COLUMNS, row))
    text = data["attributes"]
    reason = ""
    if text is not None:
        try:
            data["attributes"] = loads(text)
        except (ValueError, RecursionError, MemoryError):
            reason = "attributes are not JSON"
    try:
        record = SpanRecord.from_dict(data)
    except ValueError:
        return None, "no trace_id or span_id"
    except OverflowError:
        return None, "a number out of range"
    if len(record.span_id) == FORMER_ID_CHARS:
        from peekr.dialects.former import modernise

        modernise(record.attributes)
    return record, reason


def explain(error: Exception) -> str:
    """Why a database cannot be read, for people, on one line."""
    if isinstance(error, OSError):
        return (error.strerror or str(error)).lower()
    text = str(error)
    if "not a database" in text or "malformed" in text:
        return f"the database is damaged, nothing could be read ({clean(text)})"
    return clean(text)
