"""Attributes of stored records changed in place; nothing else in the file is."""

from __future__ import annotations

import os
from collections.abc import Mapping
from contextlib import closing
from typing import Any, Callable

from peekr.store.query import open_reader

__all__ = ["Amendments", "SpanKey", "amend"]

SpanKey = tuple[str, str]
"""A trace's id and a span's."""

Amendments = Mapping[SpanKey, Callable[[Mapping[str, Any]], Mapping[str, Any]]]
"""For each record to be changed: what its attributes, as they are when the file is written, are to
have set; None takes one away."""


def amend(path: str, amendments: Amendments) -> int:
    """Change attributes of records; safe while other processes write to the file.

    Args:
        path: A JSONL or SQLite file, told apart by its content.
        amendments: What to change.

    Returns:
        How many records were changed; one that is gone meanwhile is not among them.

    Raises:
        UnreadableFileError: the file cannot be read.
        PeekrError: it cannot be changed; the message is one line.
    """
    if not amendments:
        return 0
    with closing(open_reader(path)) as reader:
        is_database = reader.problems.unit == "row"
    path = os.path.realpath(path)
    if is_database:
        from peekr.store.sqlite.amend import amend_sqlite

        return amend_sqlite(path, amendments)
    from peekr.store.jsonl.amend import amend_jsonl

    return amend_jsonl(path, amendments)
