"""Records as OTLP: what the spans were before they were stored, in the JSON form of the protocol.

The JSON form is a plain dict: ids in hexadecimal, 64-bit integers as text. `otlp_wire` turns it
into protobuf. Source: opentelemetry-proto 1.x, `trace.proto`, and the JSON encoding of OTLP/HTTP.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Optional, cast

from peekr._version import __version__
from peekr.encoding import dumps
from peekr.messages import from_record, text
from peekr.record import SpanRecord
from peekr.semconv import otel, own

__all__ = ["request_of", "span_of"]

_INTERNAL, _SERVER, _CLIENT = 1, 2, 3
_OK, _ERROR = 0, 2
_MAX_NS = (1 << 63) - 1
_MAX_NS_FLOAT = float((1 << 63) - 1024)  # the largest below it
_SAMPLED = 1

# The names of the record, and those of the conventions that they are copies of.
_COPIES = (
    ("provider", otel.GEN_AI_PROVIDER_NAME),
    ("tokens_input", otel.GEN_AI_USAGE_INPUT_TOKENS),
    ("tokens_output", otel.GEN_AI_USAGE_OUTPUT_TOKENS),
    ("tokens_cache_read", otel.GEN_AI_USAGE_CACHE_READ_INPUT_TOKENS),
    ("tokens_cache_write", otel.GEN_AI_USAGE_CACHE_CREATION_INPUT_TOKENS),
    ("tokens_reasoning", otel.GEN_AI_USAGE_REASONING_OUTPUT_TOKENS),
    ("finish_reasons", otel.GEN_AI_RESPONSE_FINISH_REASONS),
    ("session_id", otel.SESSION_ID),
    ("user_id", otel.USER_ID),
)
_RENAMED = (
    ("cost_usd", own.PEEKR_COST_USD),
    ("cost_saved_usd", own.PEEKR_COST_SAVED_USD),
    ("experiment_variant", own.PEEKR_EXPERIMENT_VARIANT),
    ("feature", own.PEEKR_FEATURE),
    ("endpoint", own.PEEKR_ENDPOINT),
)
# A JSON value in the record, JSON text on the span.
_TEXTS = (
    ("evidence", own.PEEKR_EVIDENCE),
    ("eval_scores", own.PEEKR_EVAL_SCORES),
    ("eval_explanations", own.PEEKR_EVAL_EXPLANATIONS),
    ("eval_errors", own.PEEKR_EVAL_ERRORS),
    ("hallucination_details", own.PEEKR_EVAL_HALLUCINATION_DETAILS),
    ("guardrail_violations", own.PEEKR_GUARDRAIL_VIOLATIONS),
    ("guardrail_warnings", own.PEEKR_GUARDRAIL_WARNINGS),
    ("guardrail_errors", own.PEEKR_GUARDRAIL_ERRORS),
    ("guardrail_unchecked", own.PEEKR_GUARDRAIL_UNCHECKED),
    ("compliance_violations", own.PEEKR_COMPLIANCE_VIOLATIONS),
    (otel.GEN_AI_TOOL_DEFINITIONS, otel.GEN_AI_TOOL_DEFINITIONS),
    (own.PEEKR_REQUEST_PARAMETERS, own.PEEKR_REQUEST_PARAMETERS),
    (own.PEEKR_REQUEST_FORM, own.PEEKR_REQUEST_FORM),
    (otel.GEN_AI_SYSTEM_INSTRUCTIONS, otel.GEN_AI_SYSTEM_INSTRUCTIONS),
)
# What follows from the rest.
_DERIVED = ("tokens_total", "time_to_first_token_ms", "tool_calls", "system_instructions")
_MODEL_CALLS = ("chat", "text_completion", "generate_content", "embeddings")
# What earlier versions of Peekr and other programs say only by the record's name.
_OPERATIONS = (
    (re.compile(r"(openai|gemini)\.embed"), "embeddings"),
    (re.compile(r"openai\.completions$"), "text_completion"),
    (re.compile(r"gemini\.generate_content"), "generate_content"),
    (re.compile(r"(openai|anthropic|bedrock)\.\w+$"), "chat"),
)
_HEX = re.compile(r"[0-9a-f]+")
_MAX_INT = (1 << 63) - 1
_MAX_DEPTH = 32


def request_of(
    records: Iterable[SpanRecord], resource: Optional[Mapping[str, str]] = None
) -> dict[str, Any]:
    """The body of one export: an `ExportTraceServiceRequest`.

    Args:
        records: The spans.
        resource: Attributes of what made them, such as `service.name`.
    """
    return {
        "resourceSpans": [
            {
                "resource": {"attributes": _pairs(dict(resource or {}))},
                "scopeSpans": [
                    {
                        "scope": {"name": "peekr", "version": __version__},
                        "spans": [span_of(record) for record in records],
                    }
                ],
            }
        ]
    }


def span_of(record: SpanRecord) -> dict[str, Any]:
    """One record as a `Span`; the inverse of the projection that made the record.

    Of a record that was not made from a span (an earlier version's, another program's), the
    conventions' attributes are made from the record's names. Never raises.
    """
    attributes = dict(record.attributes)
    error = attributes.pop("error", None)
    events = _events(attributes)
    name, kind, made = _converted(record.name, attributes)
    if record.tenant_id is not None:
        made[own.PEEKR_TENANT_ID] = record.tenant_id
    if record.retention_class is not None:
        made[own.PEEKR_RETENTION_CLASS] = record.retention_class
    if name != record.name:
        made[own.PEEKR_RECORD_NAME] = record.name
    start_ns = _whole(record.start_time * 1e9)
    end_ns = start_ns
    if record.duration_ms is not None:
        end_ns = start_ns + _whole(record.duration_ms * 1e6)
    elif record.end_time is not None:
        end_ns = _whole(record.end_time * 1e9)
    span: dict[str, Any] = {
        "traceId": _id(record.trace_id, 32),
        "spanId": _id(record.span_id, 16),
        "flags": _SAMPLED,
        "name": name,
        "kind": kind,
        "startTimeUnixNano": str(max(0, start_ns)),
        "endTimeUnixNano": str(min(max(0, start_ns, end_ns), _MAX_NS)),
        "attributes": _pairs(made),
    }
    if record.parent_id is not None:
        span["parentSpanId"] = _id(record.parent_id, 16)
    if record.status == "error":
        span["status"] = {"code": _ERROR, "message": _text(error)}
        exception = _exception(made, error)
        if exception:
            when = span["endTimeUnixNano"]
            events.append({"timeUnixNano": when, "name": "exception", "attributes": exception})
            span["attributes"] = _pairs(made)
    if events:
        span["events"] = events
    return span


def _whole(ns: float) -> int:
    """Nanoseconds as a number that OTLP can hold: a damaged record may have any time."""
    return round(max(-_MAX_NS_FLOAT, min(ns, _MAX_NS_FLOAT)))


def _converted(record_name: str, attributes: dict[str, Any]) -> tuple[str, int, dict[str, Any]]:
    """The span's name, its kind, and its attributes; takes the record's own apart."""
    operation = attributes.get(otel.GEN_AI_OPERATION_NAME)
    if operation is None and "model" in attributes:
        operation = next((o for pattern, o in _OPERATIONS if pattern.match(record_name)), None)
        if operation is not None:
            attributes[otel.GEN_AI_OPERATION_NAME] = operation
            _provide(attributes, record_name)
    made: dict[str, Any] = {}
    _content(operation, attributes, made)
    model = attributes.pop("model", None)
    if operation is not None and model is not None and otel.GEN_AI_RESPONSE_MODEL not in attributes:
        attributes.setdefault(otel.GEN_AI_REQUEST_MODEL, model)
    elif operation is None and model is not None:
        made["model"] = model
    first_ms = attributes.get("time_to_first_token_ms")
    if isinstance(first_ms, (int, float)):
        attributes.setdefault(otel.GEN_AI_RESPONSE_TIME_TO_FIRST_CHUNK, first_ms / 1000.0)
    if operation is not None:
        for key in _DERIVED:
            if key != "tool_calls" or otel.GEN_AI_OUTPUT_MESSAGES in made:
                attributes.pop(key, None)
    for plain, key in _COPIES:
        if plain in attributes:
            value = attributes.pop(plain)
            attributes.setdefault(key, value)
    for plain, key in _RENAMED:
        if plain in attributes:
            made[key] = attributes.pop(plain)
    for plain, key in _TEXTS:
        if plain in attributes:
            made[key] = _json(attributes.pop(plain))
    made.update(attributes)
    if operation in _MODEL_CALLS:
        shown = made.get(otel.GEN_AI_REQUEST_MODEL) or model
        return f"{operation} {shown}" if shown else str(operation), _CLIENT, made
    if operation == "execute_tool" and otel.GEN_AI_TOOL_NAME in made:
        return f"execute_tool {made[otel.GEN_AI_TOOL_NAME]}", _INTERNAL, made
    is_request = otel.HTTP_REQUEST_METHOD in made and otel.URL_PATH in made
    return record_name, _SERVER if is_request else _INTERNAL, made


def _provide(attributes: dict[str, Any], record_name: str) -> None:
    names = {"bedrock": "aws.bedrock", "gemini": "gcp.gemini"}
    prefix = record_name.partition(".")[0]
    attributes.setdefault("provider", names.get(prefix, prefix))


# -- contents --------------------------------------------------------------------------------------


def _content(operation: Optional[str], attributes: dict[str, Any], made: dict[str, Any]) -> None:
    """Move `input` and `output` to where the conventions have them."""
    given = "input" in attributes, "output" in attributes
    entered, left = attributes.pop("input", None), attributes.pop("output", None)
    if operation == "execute_tool":
        keys = (otel.GEN_AI_TOOL_CALL_ARGUMENTS, otel.GEN_AI_TOOL_CALL_RESULT)
    elif operation in _MODEL_CALLS:
        if given[0]:
            _input(entered, attributes, made)
        if given[1]:
            reasons = attributes.get("finish_reasons")
            made[otel.GEN_AI_OUTPUT_MESSAGES] = _output(left, reasons)
        return
    else:
        keys = (own.PEEKR_INPUT, own.PEEKR_OUTPUT)
    for is_given, key, value in zip(given, keys, (entered, left)):
        if is_given:
            made[key] = _json(value)


def _input(entered: Any, attributes: Mapping[str, Any], made: dict[str, Any]) -> None:
    if isinstance(entered, str):
        if entered[:2] != "[{":  # else messages that were cut off in the middle of their JSON
            entered = [{"role": "user", "content": entered}]
        else:
            made[otel.GEN_AI_INPUT_MESSAGES] = entered
            return
    messages = _messages(entered)
    if messages is None:
        made[otel.GEN_AI_INPUT_MESSAGES] = _json(entered)
        return
    count = attributes.get("system_instructions")
    if isinstance(count, int) and 0 < count <= len(messages):
        made[otel.GEN_AI_SYSTEM_INSTRUCTIONS] = _json(
            [part for message in messages[:count] for part in message["parts"]]
        )
        messages = messages[count:]
        if not messages:
            return
    made[otel.GEN_AI_INPUT_MESSAGES] = _json(messages)


def _output(left: Any, reasons: Any) -> str:
    if isinstance(left, str):
        if left[:2] == "[{":
            return left
        left = [{"role": "assistant", "content": left}]
    messages = _messages(left)
    if messages is None:
        return _json(left)
    known = cast("Sequence[Any]", reasons) if isinstance(reasons, (list, tuple)) else ()
    for message, reason in zip(messages, known):
        message.setdefault("finish_reason", reason)
    return _json(messages)


def _messages(value: Any) -> Optional[list[dict[str, Any]]]:
    """Messages in the conventions' form; None where it is something else."""
    if not isinstance(value, list) or not all(
        isinstance(entry, dict) and "role" in entry for entry in cast("list[Any]", value)
    ):
        return None
    try:
        return [_with_known_parts(m) for m in from_record(cast("list[dict[str, Any]]", value))]
    except (TypeError, AttributeError, KeyError):
        return None


def _with_known_parts(message: dict[str, Any]) -> dict[str, Any]:
    """Plain strings among the parts, which other programs store, as texts."""
    parts = cast("list[Any]", message["parts"])
    if all(isinstance(part, dict) for part in parts):
        return message
    known: list[Any] = [
        part if isinstance(part, dict) else text(part if isinstance(part, str) else _json(part))
        for part in parts
    ]
    return {**message, "parts": known}


# -- events ----------------------------------------------------------------------------------------


def _events(attributes: dict[str, Any]) -> list[dict[str, Any]]:
    stored = attributes.pop("events", None)
    if not isinstance(stored, list) or not all(
        isinstance(entry, dict) and "name" in entry for entry in cast("list[Any]", stored)
    ):
        if stored is not None:
            attributes["events"] = stored
        return []
    made: list[dict[str, Any]] = []
    for entry in cast("list[dict[str, Any]]", stored):
        when, detail = entry.get("time"), entry.get("attributes")
        made.append(
            {
                "timeUnixNano": str(round(when * 1e9) if isinstance(when, (int, float)) else 0),
                "name": _text(entry["name"]),
                "attributes": _pairs(
                    cast("dict[str, Any]", detail) if isinstance(detail, dict) else {}
                ),
            }
        )
    return made


def _exception(made: dict[str, Any], error: Any) -> list[dict[str, Any]]:
    """The exception that ended the span, taken from its attributes into an event."""
    keys = (otel.EXCEPTION_TYPE, otel.EXCEPTION_MESSAGE, otel.EXCEPTION_STACKTRACE)
    found = {key: made.pop(key) for key in keys if key in made}
    if found and error is not None:
        found.setdefault(otel.EXCEPTION_MESSAGE, _text(error))
    return _pairs(found)


# -- values ----------------------------------------------------------------------------------------


def _pairs(attributes: Mapping[str, Any], depth: int = 0) -> list[dict[str, Any]]:
    return [{"key": key, "value": _any_value(value, depth)} for key, value in attributes.items()]


def _any_value(value: Any, depth: int = 0) -> dict[str, Any]:
    """A value as an `AnyValue`; beyond some depth as JSON text."""
    if value is None:
        return {}
    if isinstance(value, str):
        return {"stringValue": value}
    if isinstance(value, bool):
        return {"boolValue": value}
    if isinstance(value, int):
        return {"intValue": str(value)} if abs(value) <= _MAX_INT else {"stringValue": _json(value)}
    if isinstance(value, float):
        return {"doubleValue": value}
    if isinstance(value, (list, tuple)) and depth < _MAX_DEPTH:
        entries = cast("Sequence[Any]", value)
        return {"arrayValue": {"values": [_any_value(entry, depth + 1) for entry in entries]}}
    if isinstance(value, dict) and depth < _MAX_DEPTH:
        return {"kvlistValue": {"values": _pairs(cast("dict[str, Any]", value), depth + 1)}}
    return {"stringValue": _json(value)}


def _json(value: Any) -> str:
    return dumps(value).decode("utf-8")


def _text(value: Any) -> str:
    return value if isinstance(value, str) else "" if value is None else _json(value)


def _id(value: str, digits: int) -> str:
    """An id of the right length; the same text always gives the same id."""
    plain = value.lower()
    if len(plain) == digits and _HEX.fullmatch(plain) and plain.strip("0"):
        return plain
    return hashlib.sha256(value.encode("utf-8", "surrogatepass")).hexdigest()[:digits]
