"""Records in a SQLite database: one table, `spans`, that plain SQL can query."""

from __future__ import annotations

from peekr.store.sqlite.write import SqliteSink

__all__ = ["SqliteSink"]
