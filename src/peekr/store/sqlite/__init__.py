"""Records in a SQLite database: one table, `spans`, that plain SQL can query."""

from __future__ import annotations

from typing import TYPE_CHECKING

from peekr.late import public_names

if TYPE_CHECKING:
    from peekr.store.sqlite.write import SqliteSink

__all__ = ["SqliteSink"]

# Whoever reads does not load what writes.
__getattr__, __dir__ = public_names(globals(), {"SqliteSink": "peekr.store.sqlite.write"})
