"""Attributes of stored records changed in place; nothing else in the file is."""

from __future__ import annotations

import os
from collections.abc import Mapping
from contextlib import closing
from typing import Any, Callable

from peekr.errors import PeekrError
from peekr.plaintext import clean
from peekr.store.jsonl.amend import amend_jsonl
from peekr.store.jsonl.read import JsonlReader
from peekr.store.opening import open_reader
from peekr.store.sqlite.amend import amend_sqlite
from peekr.store.sqlite.read import SqliteReader

__all__ = ["Amendments", "SpanKey", "amend", "require_amendable"]

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
    kind = require_amendable(path)
    path = os.path.realpath(path)
    if kind is SqliteReader:
        return amend_sqlite(path, amendments)
    return amend_jsonl(path, amendments)


def require_amendable(path: str) -> type[Any]:
    """See that records of a file can be changed; returns which reader the file has.

    Raises:
        UnreadableFileError: the file cannot be read.
        PeekrError: it is of a kind that is only read, OTLP say.
    """
    with closing(open_reader(path)) as reader:
        kind = type(reader)
    if kind not in (SqliteReader, JsonlReader):
        raise PeekrError(f"{clean(path)}: is no file of Peekr's own, its records are only read")
    return kind
