"""One OTLP export in JSON as spans and as the log records that belong to spans.

Lenient about how programs write it: enumerations by number or by name, 64-bit numbers as text or
as numbers, ids in hexadecimal or (as protobuf's own JSON has them) base64, names in camelCase or in
snake_case, `instrumentationLibrarySpans` of old. Source: opentelemetry-proto, the JSON encoding.
"""

from __future__ import annotations

import base64
import re
from collections.abc import Iterator
from typing import Any, NamedTuple, Optional, Union, cast

__all__ = ["RawSpan", "StoredEvent", "StoredLog", "StoredSpan", "contents", "is_export"]

_MAX_DEPTH = 64
_HEX = re.compile(r"[0-9a-fA-F]+")
_KINDS = (
    ("resourceSpans", "resource_spans"),
    ("resourceLogs", "resource_logs"),
    ("resourceMetrics", "resource_metrics"),
    ("resourceProfiles", "resource_profiles"),
)
# An attribute of this name in a log record says what the record is, before `eventName` did.
_EVENT_NAME = "event.name"
_ERROR = (2, "2", "STATUS_CODE_ERROR")


class _Status(NamedTuple):
    is_ok: bool
    description: Optional[str]
    is_unset: bool = False


class _Ids(NamedTuple):
    trace_id: int
    span_id: int


class _Scope(NamedTuple):
    name: str


class StoredEvent(NamedTuple):
    """An event of a span, or a log record that says what would be one."""

    name: str
    attributes: dict[str, Any]
    timestamp: int


class StoredSpan:
    """A finished span from a file, with what the projection reads of one."""

    __slots__ = (
        "attributes",
        "context",
        "end_time",
        "events",
        "instrumentation_scope",
        "name",
        "parent",
        "start_time",
        "status",
    )

    def __init__(self, ids: _Ids, raw: dict[str, Any], scope: _Scope) -> None:
        """Decode a span.

        Args:
            ids: Its own.
            raw: The span's object.
            scope: What made it.
        """
        self.context = ids
        self.instrumentation_scope = scope
        name = raw.get("name")
        self.name = name if isinstance(name, str) else ""
        parent = _id(_either(raw, "parentSpanId", "parent_span_id"), 16)
        self.parent = _Ids(ids.trace_id, parent) if parent else None
        self.start_time = _nanoseconds(_either(raw, "startTimeUnixNano", "start_time_unix_nano"))
        self.end_time = _nanoseconds(_either(raw, "endTimeUnixNano", "end_time_unix_nano"))
        self.attributes = _attributes(raw.get("attributes"))
        self.events = [
            StoredEvent(
                str(event.get("name") or ""),
                _attributes(event.get("attributes")),
                _nanoseconds(_either(event, "timeUnixNano", "time_unix_nano")),
            )
            for event in _objects(raw.get("events"))
        ]
        status = _object(raw.get("status"))
        is_error = status.get("code") in _ERROR
        message = status.get("message")
        self.status = _Status(
            not is_error, message if isinstance(message, str) and message else None
        )


class StoredLog(NamedTuple):
    """A log record that belongs to a span.

    Attributes:
        trace_id: Of the span's trace, in hexadecimal.
        span_id: Of the span.
        event: What it says.
    """

    trace_id: str
    span_id: int
    event: StoredEvent


class RawSpan(NamedTuple):
    """A span of which only the ids have been read."""

    trace_id: str
    ids: _Ids
    raw: dict[str, Any]
    scope: _Scope

    def decoded(self) -> StoredSpan:
        """The whole span."""
        return StoredSpan(self.ids, self.raw, self.scope)


def is_export(document: Any) -> bool:
    """Whether a JSON value is an OTLP export of any kind."""
    given = _object(document)
    return any(name in given for names in _KINDS for name in names)


def contents(document: dict[str, Any]) -> Iterator[Union[RawSpan, StoredLog, None]]:
    """Spans and log records in the order of the document; None for a span without usable ids.

    Log records are left out unless they are events of the GenAI conventions and name their span.
    """
    for resource in _objects(_either(document, *_KINDS[0])):
        scopes = _either(resource, "scopeSpans", "scope_spans")
        if scopes is None:
            scopes = _either(
                resource, "instrumentationLibrarySpans", "instrumentation_library_spans"
            )
        for group in _objects(scopes):
            given = _object(group.get("scope") or group.get("instrumentationLibrary"))
            name = given.get("name")
            scope = _Scope(name if isinstance(name, str) else "")
            found: Any = group.get("spans")
            for raw in cast("list[Any]", found) if isinstance(found, list) else []:
                yield _undecoded(raw, scope)
    for resource in _objects(_either(document, *_KINDS[1])):
        for group in _objects(_either(resource, "scopeLogs", "scope_logs")):
            for raw in _objects(_either(group, "logRecords", "log_records")):
                log = _log(raw)
                if log is not None:
                    yield log


def _undecoded(raw: Any, scope: _Scope) -> Optional[RawSpan]:
    span = _object(raw)
    trace_id = _id(_either(span, "traceId", "trace_id"), 32)
    span_id = _id(_either(span, "spanId", "span_id"), 16)
    if not trace_id or not span_id:
        return None
    return RawSpan(format(trace_id, "032x"), _Ids(trace_id, span_id), span, scope)


def _log(raw: dict[str, Any]) -> Optional[StoredLog]:
    attributes = _attributes(raw.get("attributes"))
    name = _either(raw, "eventName", "event_name") or attributes.pop(_EVENT_NAME, None)
    if not isinstance(name, str) or not name.startswith("gen_ai."):
        return None
    trace_id = _id(_either(raw, "traceId", "trace_id"), 32)
    span_id = _id(_either(raw, "spanId", "span_id"), 16)
    if not trace_id or not span_id:
        return None
    body = _value(raw.get("body"), 0)
    if isinstance(body, dict):
        attributes.update(cast("dict[str, Any]", body))
    elif body is not None:
        attributes["content"] = body
    when = _nanoseconds(_either(raw, "timeUnixNano", "time_unix_nano"))
    return StoredLog(format(trace_id, "032x"), span_id, StoredEvent(name, attributes, when))


# -- values ----------------------------------------------------------------------------------------


def _attributes(pairs: Any) -> dict[str, Any]:
    made: dict[str, Any] = {}
    for pair in _objects(pairs):
        key: Any = pair.get("key")
        value: Any = pair.get("value")
        if isinstance(key, str):
            # By far the most are texts.
            is_text = isinstance(value, dict) and "stringValue" in value
            made[key] = value["stringValue"] if is_text else _value(value, 0)
    return made


def _value(given: Any, depth: int) -> Any:
    """An `AnyValue` as what it holds."""
    if not isinstance(given, dict) or not given:
        return None
    value = cast("dict[str, Any]", given)
    if "stringValue" in value:
        return value["stringValue"]
    if "intValue" in value:
        return _integer(value["intValue"])
    for key, held in value.items():
        plain = key.replace("_v", "V")
        if plain == "intValue":
            return _integer(held)
        if plain == "doubleValue":
            return _float(held)
        if plain in ("stringValue", "boolValue", "bytesValue"):
            return held
        if depth >= _MAX_DEPTH:
            return "[nested too deeply]"
        if plain == "arrayValue":
            values: Any = _object(held).get("values")
            if not isinstance(values, list):
                return []
            return [_value(item, depth + 1) for item in cast("list[Any]", values)]
        if plain == "kvlistValue":
            return {
                str(pair.get("key")): _value(pair.get("value"), depth + 1)
                for pair in _objects(_object(held).get("values"))
            }
    return None


def _integer(given: Any) -> Any:
    if isinstance(given, str):
        try:
            return int(given) if len(given) <= 20 else given
        except ValueError:
            return given
    return given


def _float(given: Any) -> Any:
    """A number; what JSON has no number for stays the text that stands for it."""
    if isinstance(given, str) and given not in ("NaN", "Infinity", "-Infinity"):
        try:
            return float(given)
        except ValueError:
            return given
    return given


def _nanoseconds(given: Any) -> int:
    if isinstance(given, bool) or not isinstance(given, (int, float, str)):
        return 0
    if isinstance(given, str) and len(given) > 40:
        return 0
    try:
        made = int(given)
    except (ValueError, OverflowError):
        return 0
    # What no clock shows: years beyond 64 bits of nanoseconds.
    return made if abs(made) < 1 << 64 else 0


def _id(given: Any, digits: int) -> int:
    """An id as a number, 0 where there is none."""
    if not isinstance(given, str):
        return 0
    if len(given) == digits and _HEX.fullmatch(given):
        return int(given, 16)
    if len(given) == -(-digits // 6) * 4:
        try:
            raw = base64.b64decode(given, validate=True)
        except ValueError:
            return 0
        return int.from_bytes(raw, "big") if len(raw) * 2 == digits else 0
    return 0


def _either(given: dict[str, Any], name: str, other: str) -> Any:
    value = given.get(name)
    return given.get(other) if value is None else value


def _object(given: Any) -> dict[str, Any]:
    return cast("dict[str, Any]", given) if isinstance(given, dict) else {}


def _objects(given: Any) -> list[dict[str, Any]]:
    if not isinstance(given, list):
        return []
    entries = cast("list[dict[str, Any]]", given)
    return [entry for entry in entries if isinstance(entry, dict)]  # pyright: ignore[reportUnnecessaryIsInstance]
