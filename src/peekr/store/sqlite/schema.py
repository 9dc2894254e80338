"""The table `spans`: its columns, its indexes and the ordered migrations that lead to them."""

from __future__ import annotations

import sqlite3
from typing import Callable

__all__ = [
    "COLUMNS",
    "SCHEMA_VERSION",
    "ForeignDatabaseError",
    "migrate",
    "table_columns",
    "tables",
]

COLUMNS = (
    "trace_id",
    "span_id",
    "parent_id",
    "name",
    "start_time",
    "end_time",
    "duration_ms",
    "status",
    "attributes",
    "tenant_id",
    "retention_class",
)
"""The columns of `spans` in the table's order; `attributes` is JSON text."""

_CREATE = """
CREATE TABLE IF NOT EXISTS spans (
    trace_id        TEXT NOT NULL,
    span_id         TEXT NOT NULL PRIMARY KEY,
    parent_id       TEXT,
    name            TEXT NOT NULL,
    start_time      REAL NOT NULL,
    end_time        REAL,
    duration_ms     REAL,
    status          TEXT NOT NULL DEFAULT 'ok',
    attributes      TEXT,
    tenant_id       TEXT,
    retention_class TEXT
)
"""

_ADDED = {
    "parent_id": "TEXT",
    "end_time": "REAL",
    "duration_ms": "REAL",
    "status": "TEXT NOT NULL DEFAULT 'ok'",
    "attributes": "TEXT",
    "tenant_id": "TEXT",
    "retention_class": "TEXT",
}
"""Columns that an older table may lack, with the type under which they are added."""

_REQUIRED = frozenset(COLUMNS) - frozenset(_ADDED)

# The names are those of Peekr 0.9, so that a file of that version has each index once.
_INDEXES = {
    "idx_trace_id": "trace_id",
    "idx_name": "name",
    "idx_start_time": "start_time",
    "idx_tenant_id": "tenant_id",
    "idx_retention": "retention_class",
}

_OWN_TABLES = frozenset({"spans", "feedback", "budgets"})


class ForeignDatabaseError(Exception):
    """The database belongs to another program; the message is one line and says why."""


def tables(connection: sqlite3.Connection) -> frozenset[str]:
    """The names of the tables in the database, SQLite's own left out."""
    rows = connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")
    return frozenset(name for (name,) in rows if not name.startswith("sqlite_"))


def table_columns(connection: sqlite3.Connection) -> frozenset[str]:
    """The columns that `spans` has in this file; empty where there is no such table.

    A reader that must not write (so cannot migrate) asks for these and selects no others. A view
    of that name is none: to read one is to run what a stranger wrote into the file.
    """
    named = "SELECT 1 FROM sqlite_master WHERE type = 'table' AND lower(name) = 'spans'"
    if connection.execute(named).fetchone() is None:
        return frozenset()
    return frozenset(row[1] for row in connection.execute("PRAGMA table_info(spans)"))


def migrate(connection: sqlite3.Connection) -> None:
    """Bring a database to the present schema; nothing stored is changed or removed.

    Idempotent, and quick where nothing is to be done: a file that is up to date is not written
    to. Several processes may do this at once. A file of a newer Peekr is left as it is: versions
    only ever add.

    Args:
        connection: A connection in autocommit mode (`isolation_level=None`) outside of a
            transaction.

    Raises:
        ForeignDatabaseError: the database is another program's.
        sqlite3.Error: locked, damaged, not a database, read-only, full.
    """
    if _is_current(connection):
        return
    connection.execute("BEGIN IMMEDIATE")
    try:
        _refuse_foreign(connection)
        version = _version(connection)
        # An older Peekr that opens the file sets the version back, so the steps are safe to repeat
        # and are chosen by what is there as well as by the number.
        start = version if _is_complete(connection) else 0
        for step in _MIGRATIONS[start:]:
            step(connection)
        if version < SCHEMA_VERSION:
            connection.execute(f"PRAGMA user_version = {SCHEMA_VERSION:d}")
        connection.execute("COMMIT")
    except BaseException:
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        raise


def _is_current(connection: sqlite3.Connection) -> bool:
    return _version(connection) >= SCHEMA_VERSION and _is_complete(connection)


def _is_complete(connection: sqlite3.Connection) -> bool:
    if not table_columns(connection).issuperset(COLUMNS):
        return False
    rows = connection.execute("PRAGMA index_list(spans)").fetchall()
    return {row[1] for row in rows}.issuperset(_INDEXES)


def _version(connection: sqlite3.Connection) -> int:
    return int(connection.execute("PRAGMA user_version").fetchone()[0])


def _refuse_foreign(connection: sqlite3.Connection) -> None:
    columns = table_columns(connection)
    if columns:
        missing = sorted(_REQUIRED - columns)
        if missing:
            raise ForeignDatabaseError(
                f"its table spans is not Peekr's (no column {', '.join(missing)})"
            )
        if not _span_id_is_unique(connection):
            raise ForeignDatabaseError("its table spans is not Peekr's (span_id is not unique)")
        return
    # `user_version` is one number for the whole file: where another program counts its own
    # migrations in it, Peekr must not.
    if _version(connection) != 0 and tables(connection) - _OWN_TABLES:
        raise ForeignDatabaseError("it is another program's database")


def _span_id_is_unique(connection: sqlite3.Connection) -> bool:
    rows = connection.execute("PRAGMA table_info(spans)").fetchall()
    if [row[1] for row in rows if row[5]] == ["span_id"]:
        return True
    for row in connection.execute("PRAGMA index_list(spans)").fetchall():
        if row[2]:
            info = connection.execute("SELECT name FROM pragma_index_info(?)", (row[1],))
            if [name for (name,) in info] == ["span_id"]:
                return True
    return False


def _create_or_complete(connection: sqlite3.Connection) -> None:
    """1: the table and the indexes of Peekr 0.9; before that, files had fewer columns."""
    connection.execute(_CREATE)
    present = table_columns(connection)
    for name, declaration in _ADDED.items():
        if name not in present:
            connection.execute(f"ALTER TABLE spans ADD COLUMN {name} {declaration}")
    for name, column in _INDEXES.items():
        connection.execute(f"CREATE INDEX IF NOT EXISTS {name} ON spans({column})")


_MIGRATIONS: tuple[Callable[[sqlite3.Connection], None], ...] = (_create_or_complete,)
"""Step n leads from `user_version` n to n + 1; append, never change: only ever add to the file."""

SCHEMA_VERSION = len(_MIGRATIONS)
"""The `user_version` of files that this version writes."""
