"""A finished span with something changed: a copy, for what has ended is frozen."""

from __future__ import annotations

from typing import Any

from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import ReadableSpan

__all__ = ["amended"]

_FIELDS = ("attributes", "parent", "events", "status")
# How the SDK keeps them since its first version. Copying them in one step takes a third of the time
# of reading each and handing it to the constructor; if it ever keeps them otherwise, that is done.
_ARE_KNOWN = {f"_{name}" for name in _FIELDS} <= vars(
    ReadableSpan("", resource=Resource({}))  # without one it looks for the machine's
).keys()


class _Amended(ReadableSpan):
    """Says of its attributes and events as many dropped as the span that it was made from."""

    def __init__(self, span: ReadableSpan, changes: dict[str, Any]) -> None:
        # The base's constructor would read one field after the other.
        held = self.__dict__
        held.update(span.__dict__)
        for name, value in changes.items():
            held[f"_{name}"] = value
        held["_of"] = span

    @property
    def dropped_attributes(self) -> int:
        return self.__dict__["_of"].dropped_attributes

    @property
    def dropped_events(self) -> int:
        return self.__dict__["_of"].dropped_events


def amended(span: ReadableSpan, **changes: Any) -> ReadableSpan:
    """A copy of a finished span.

    Args:
        span: The span; it is not changed.
        changes: What is otherwise: `attributes`, `parent`, `events`, `status`.
    """
    if _ARE_KNOWN and type(span) in (ReadableSpan, _Amended):
        return _Amended(span, changes)
    fields: dict[str, Any] = {name: getattr(span, name) for name in _FIELDS}
    fields.update(changes)
    return ReadableSpan(
        name=span.name,
        context=span.context,
        resource=span.resource,
        links=span.links,
        kind=span.kind,
        start_time=span.start_time,
        end_time=span.end_time,
        instrumentation_scope=span.instrumentation_scope,
        **fields,
    )
