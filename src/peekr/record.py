"""The record: Peekr's form of one finished span, the same in JSONL, in SQLite and over HTTP.

Standard library only: readers of stored files need nothing else.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Optional, cast

__all__ = ["FIELDS", "FORMER_ID_CHARS", "SpanRecord"]

FORMER_ID_CHARS = 32
"""How long a span's id was before 1.0, by which records of then are known."""


FIELDS = (
    "trace_id",
    "span_id",
    "parent_id",
    "name",
    "start_time",
    "end_time",
    "duration_ms",
    "status",
    "tenant_id",
    "retention_class",
    "attributes",
)
"""The top-level fields in the order in which they are written."""


@dataclass(eq=True)
class SpanRecord:
    """One finished span.

    Attributes:
        trace_id: 32 lower-case hexadecimal digits; groups the spans of one run.
        span_id: 16 lower-case hexadecimal digits (32 in files of Peekr before 1.0).
        parent_id: The parent's `span_id`, or None for a root.
        name: `openai.chat`, `module.function`, `GET /users/{id}`, ….
        start_time: Unix time in seconds.
        end_time: Unix time in seconds; None in a damaged or foreign record.
        duration_ms: Wall-clock duration in milliseconds.
        status: `ok` or `error`.
        tenant_id: The customer organisation, if any.
        retention_class: `default`, `short`, `long` or `pii`, if any.
        attributes: Everything else, by name; values are JSON values.
    """

    trace_id: str
    span_id: str
    parent_id: Optional[str]
    name: str
    start_time: float
    end_time: Optional[float]
    duration_ms: Optional[float]
    status: str
    tenant_id: Optional[str] = None
    retention_class: Optional[str] = None
    attributes: dict[str, Any] = field(default_factory=lambda: cast("dict[str, Any]", {}))

    def to_dict(self) -> dict[str, Any]:
        """The record as a JSON object; `attributes` is the record's own mapping, not a copy."""
        return {
            "trace_id": self.trace_id,
            "span_id": self.span_id,
            "parent_id": self.parent_id,
            "name": self.name,
            "start_time": self.start_time,
            "end_time": self.end_time,
            "duration_ms": self.duration_ms,
            "status": self.status,
            "tenant_id": self.tenant_id,
            "retention_class": self.retention_class,
            "attributes": self.attributes,
        }

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> SpanRecord:
        """A record from a stored JSON object.

        Lenient about what other programs write: a missing optional field is None, a number that
        arrives as text is converted, a missing name is empty.

        Raises:
            ValueError: there is no `trace_id` or `span_id`, so the object is not a record.
        """
        trace_id, span_id = data.get("trace_id"), data.get("span_id")
        if not isinstance(trace_id, str) or not isinstance(span_id, str):
            raise ValueError("not a span record: trace_id and span_id are missing")
        attributes = data.get("attributes")
        start, end, duration = data.get("start_time"), data.get("end_time"), data.get("duration_ms")
        # What Peekr itself writes needs no conversion. (The difference is 0 for what is finite.)
        if type(start) is not float or start - start != 0.0:
            start = _number(start) or 0.0
        if type(end) is not float or end - end != 0.0:
            end = _number(end)
        if type(duration) is not float or duration - duration != 0.0:
            duration = _number(duration)
            if duration is None and end is not None and start:
                duration = _number((end - start) * 1000.0)
        return cls(
            trace_id,
            span_id,
            _text(data.get("parent_id")),
            _text(data.get("name")) or "",
            start,
            end,
            duration,
            "error" if data.get("status") == "error" else "ok",
            _text(data.get("tenant_id")),
            _text(data.get("retention_class")),
            cast("dict[str, Any]", attributes) if isinstance(attributes, dict) else {},
        )


def _text(value: object) -> Optional[str]:
    return value if isinstance(value, str) and value else None


def _number(value: object) -> Optional[float]:
    if isinstance(value, bool) or value is None:
        return None
    if not isinstance(value, (int, float, str)):
        return None
    try:
        number = float(value)
    except (ValueError, OverflowError):
        return None  # no number, or an integer that no float can hold
    return number if number == number and abs(number) != float("inf") else None
