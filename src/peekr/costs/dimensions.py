"""What calls can be summed by and chosen by, read from records as they are stored."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timezone
from fnmatch import translate
from re import compile as compiled
from typing import Any, Optional

from peekr.semconv import otel
from peekr.store.columns import FIELDS
from peekr.store.query import Query
from peekr.summary import number

__all__ = ["DIMENSIONS", "Attributes", "Row", "chooser", "text_of", "whole"]
Row = tuple[Any, ...]
"""A record: its fields in the order of `store.columns.FIELDS`, as they are stored."""

Attributes = dict[str, Any]

_TRACE_ID, _START, _END, _STATUS, _TENANT = map(
    FIELDS.index, ("trace_id", "start_time", "end_time", "status", "tenant_id")
)


def _day(row: Row, _: Attributes) -> Optional[str]:
    try:
        start = datetime.fromtimestamp(row[_START], timezone.utc)
    except (TypeError, ValueError, OverflowError, OSError):
        return None
    return start.strftime("%Y-%m-%d")


def _of(key: str) -> Callable[[Row, Attributes], Any]:
    return lambda row, attributes: attributes.get(key)


DIMENSIONS: dict[str, Callable[[Row, Attributes], Any]] = {
    "model": lambda row, attributes: (
        attributes.get("model") or attributes.get(otel.GEN_AI_RESPONSE_MODEL)
    ),
    "provider": _of("provider"),
    "operation": _of(otel.GEN_AI_OPERATION_NAME),
    "tenant": lambda row, attributes: row[_TENANT],
    "user": _of("user_id"),
    "session": _of("session_id"),
    "feature": _of("feature"),
    "endpoint": _of("endpoint"),
    "variant": _of("experiment_variant"),
    "day": _day,
}
"""What calls can be summed by: how each reads it from a record and its attributes.

Days are those of UTC.
"""


def chooser(query: Query) -> Optional[Callable[[Row, Attributes], bool]]:
    """Whether a call is asked for."""
    tests: list[Callable[[Row, Attributes], bool]] = []
    if query.trace is not None:
        trace = query.trace
        tests.append(lambda row, _: str(row[_TRACE_ID]).startswith(trace))
    for name, value in (("session_id", query.session), ("user_id", query.user)):
        if value is not None:
            tests.append(_with(name, value))
    if query.tenant is not None:
        tenant = query.tenant
        tests.append(lambda row, _: row[_TENANT] == tenant)
    if query.errors:
        tests.append(lambda row, _: row[_STATUS] == "error")
    if query.model is not None:
        fits = compiled("|".join(translate(glob) for glob in query.model_globs())).match

        def of_model(_: Row, attributes: Attributes) -> bool:
            model = attributes.get("model")
            return isinstance(model, str) and fits(model.lower()) is not None

        tests.append(of_model)
    if query.since is not None:
        since = query.since

        def active_since(row: Row, _: Attributes) -> bool:
            end = number(row[_END])
            if end is None:
                end = number(row[_START]) or 0.0
            return end >= since

        tests.append(active_since)
    if not tests:
        return None
    return lambda row, attributes: all(test(row, attributes) for test in tests)


def _with(name: str, value: str) -> Callable[[Row, Attributes], bool]:
    return lambda _, attributes: text_of(attributes.get(name)) == value


def whole(value: Any) -> int:
    """A count of tokens; 0 for what is none."""
    found = number(value)
    return int(found) if found is not None and found > 0 else 0


def text_of(value: Any) -> Optional[str]:
    """A value to group by: a text, a number as one; None for everything else."""
    if isinstance(value, str):
        return value or None
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        return str(value)
    return None
