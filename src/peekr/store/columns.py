"""Records as columns, some at a time: what a pass over a whole file takes from a reader.

A column is cheaper to check and to go through than as many records are.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from operator import itemgetter
from typing import Any

from peekr import record

__all__ = ["FIELDS", "Columns", "columns_of", "whole_columns"]

FIELDS = tuple(name for name in record.FIELDS if name != "retention_class")
"""The columns, in this order."""

Columns = list[Sequence[Any]]
"""A sequence a field, all of equal length; unchecked: values are of whatever types a file has."""

_fields: itemgetter[tuple[Any, ...]] = itemgetter(FIELDS[0], FIELDS[1], *FIELDS[2:])


def whole_columns(documents: Iterable[Mapping[str, Any]]) -> Columns:
    """The columns of records that have every field; of none an empty list.

    Raises:
        KeyError: a field is missing.
        TypeError: a document is no mapping.
    """
    return list(zip(*map(_fields, documents)))


def columns_of(documents: Iterable[Mapping[str, Any]]) -> Columns:
    """The columns of any records; a field that is missing is None; of none an empty list."""
    return list(zip(*[[document.get(name) for name in FIELDS] for document in documents]))
