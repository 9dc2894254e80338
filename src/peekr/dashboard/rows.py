"""Columns of a file as records of which every field is of the type that it should have."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import chain
from typing import Any, Optional

from peekr.record import FORMER_ID_CHARS, SpanRecord
from peekr.store.columns import FIELDS, Columns

__all__ = ["LATEST_S", "Row", "rows_of"]

LATEST_S = 1e11
"""No moment is later, in Unix seconds, that anything is reckoned with."""
_TEXT, _FLOAT, _OBJECT = {str}, {float}, {dict}
_TEXT_OR_NONE = {str, type(None)}

Row = tuple[str, str, Optional[str], str, float, float, str, Optional[str], dict[str, Any]]
"""Trace, span, parent, name, start in seconds, milliseconds (-1 where there are none), status,
tenant, attributes."""


def rows_of(columns: Columns) -> Iterable[Row]:
    """Records of which every field is of the type that it should have."""
    traces, spans, parents, names, starts, _, durations, states, tenants, attributes = columns
    if (
        set(map(type, chain(starts, durations))) == _FLOAT
        and set(map(type, attributes)) == _OBJECT
        and set(map(type, chain(names, traces, spans))) == _TEXT
        and _TEXT_OR_NONE.issuperset(map(type, parents))
        and "" not in parents
        and min(starts) >= 0.0
        and max(starts) < LATEST_S
        and min(durations) >= 0.0
        and max(durations) < LATEST_S
        and len(spans[0]) != FORMER_ID_CHARS != len(spans[-1])
    ):
        return zip(traces, spans, parents, names, starts, durations, states, tenants, attributes)
    return _mended(columns)


def _mended(columns: Columns) -> Iterator[Row]:
    """Records some of which have a field of another type; those that are no records left out."""
    for values in zip(*columns):
        try:
            record = SpanRecord.from_dict(dict(zip(FIELDS, values)))
        except ValueError:
            continue
        if len(record.span_id) == FORMER_ID_CHARS:
            from peekr.dialects.former import modernise

            modernise(record.attributes)
        ms = record.duration_ms
        yield (
            record.trace_id,
            record.span_id,
            record.parent_id,
            record.name,
            min(max(record.start_time, 0.0), LATEST_S),
            -1.0 if ms is None else min(max(ms, 0.0), 1000.0 * LATEST_S),
            record.status,
            record.tenant_id,
            record.attributes,
        )
