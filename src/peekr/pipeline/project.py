"""The one projection: a finished OpenTelemetry span, whoever made it, as a record."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Optional, cast

from opentelemetry.sdk.trace import Event, ReadableSpan
from opentelemetry.trace import SpanContext, StatusCode

from peekr.encoding import loads
from peekr.messages import to_record
from peekr.record import SpanRecord
from peekr.semconv import otel, own

__all__ = ["project"]

# Attributes whose value is also wanted under the record's own name.
_COPIED = (
    (otel.GEN_AI_REQUEST_MODEL, "model"),
    (otel.GEN_AI_PROVIDER_NAME, "provider"),
    (otel.GEN_AI_USAGE_INPUT_TOKENS, "tokens_input"),
    (otel.GEN_AI_USAGE_OUTPUT_TOKENS, "tokens_output"),
    (otel.GEN_AI_USAGE_CACHE_READ_INPUT_TOKENS, "tokens_cache_read"),
    (otel.GEN_AI_USAGE_CACHE_CREATION_INPUT_TOKENS, "tokens_cache_write"),
    (otel.GEN_AI_USAGE_REASONING_OUTPUT_TOKENS, "tokens_reasoning"),
    (otel.GEN_AI_RESPONSE_FINISH_REASONS, "finish_reasons"),
    (otel.SESSION_ID, "session_id"),
    (otel.USER_ID, "user_id"),
)
# Peekr's own attributes, which the record carries under a plain name alone.
_RENAMED = (
    (own.PEEKR_COST_USD, "cost_usd"),
    (own.PEEKR_EXPERIMENT_VARIANT, "experiment_variant"),
    (own.PEEKR_FEATURE, "feature"),
    (own.PEEKR_ENDPOINT, "endpoint"),
)
# JSON text on the span, a JSON value in the record.
_IN_AND_OUT = ((own.PEEKR_INPUT, "input"), (own.PEEKR_OUTPUT, "output"))
# JSON text on the span, a JSON value in the record.
_STRUCTURED = (otel.GEN_AI_TOOL_DEFINITIONS, own.PEEKR_REQUEST_PARAMETERS)
# Operations whose single input is a bare text rather than a conversation.
_BARE_TEXT = ("embeddings", "text_completion")

# Hoisted: looking up an enumeration's member is slow.
_ERROR = StatusCode.ERROR

SYSTEM_COUNT = "system_instructions"
"""Attribute of the record: how many of the leading messages were given apart from the others."""


def project(
    span: ReadableSpan,
    tenant_id: Optional[str] = None,
    retention_class: Optional[str] = None,
) -> SpanRecord:
    """The record of a finished span.

    Runs on the thread that ended the span, unless an earlier stage moved the work.

    Args:
        span: The finished span; it is not changed.
        tenant_id: The tenant where the span names none.
        retention_class: The retention class where the span names none.
    """
    held: Any = span.attributes
    # mappingproxy.copy() asks the SDK's own mapping for a plain dict, in one step.
    source: dict[str, Any] = held.copy()
    attributes: dict[str, Any] = {}
    get, take = source.get, source.pop
    for key, plain in _COPIED:
        value = get(key)
        if value is not None:
            attributes[plain] = value
    name = take(own.PEEKR_RECORD_NAME, None) or span.name
    tenant_id = take(own.PEEKR_TENANT_ID, None) or tenant_id
    retention_class = take(own.PEEKR_RETENTION_CLASS, None) or retention_class
    if otel.GEN_AI_OPERATION_NAME in source:
        _model_call(source, attributes)
    for key, plain in _RENAMED:
        if key in source:
            attributes[plain] = take(key)
    for key, plain in _IN_AND_OUT:
        if key in source:
            attributes[plain] = _value(take(key))
    status = "ok"
    if span.status.status_code is _ERROR:
        status = "error"
        attributes["error"] = _error(span, source)
    events = span.events
    if events:
        _events(events, status, attributes)
    attributes.update(source)
    context, parent = cast("SpanContext", span.context), span.parent
    start_ns, end_ns = span.start_time or 0, span.end_time or 0
    return SpanRecord(
        format(context.trace_id, "032x"),
        format(context.span_id, "016x"),
        None if parent is None else format(parent.span_id, "016x"),
        name,
        start_ns / 1e9,
        end_ns / 1e9,
        (end_ns - start_ns) / 1e6,
        status,
        tenant_id,
        retention_class,
        attributes,
    )


def _model_call(source: dict[str, Any], attributes: dict[str, Any]) -> None:
    """What only model calls have; content moves from the conventions' form into the record's."""
    if "model" not in attributes and otel.GEN_AI_RESPONSE_MODEL in source:
        attributes["model"] = source[otel.GEN_AI_RESPONSE_MODEL]
    bare = source[otel.GEN_AI_OPERATION_NAME] in _BARE_TEXT
    tokens_input = attributes.get("tokens_input")
    tokens_output = attributes.get("tokens_output")
    if tokens_input is not None and (tokens_output is not None or bare):
        attributes["tokens_total"] = tokens_input + (tokens_output or 0)
    first_chunk_s = source.get(otel.GEN_AI_RESPONSE_TIME_TO_FIRST_CHUNK)
    if first_chunk_s is not None:
        attributes["time_to_first_token_ms"] = first_chunk_s * 1000.0
    for key in _STRUCTURED:
        if key in source:
            source[key] = _value(source[key])
    _input(source, attributes, bare)
    raw = source.pop(otel.GEN_AI_OUTPUT_MESSAGES, None)
    if raw is not None:
        _output(raw, attributes)


def _input(source: dict[str, Any], attributes: dict[str, Any], bare: bool) -> None:
    system = source.pop(otel.GEN_AI_SYSTEM_INSTRUCTIONS, None)
    raw = source.pop(otel.GEN_AI_INPUT_MESSAGES, None)
    if system is None and raw is None:
        return
    messages: Any = _value(raw) if raw is not None else []
    if not _are_messages(messages):
        attributes["input"] = messages
        if system is not None:
            source[otel.GEN_AI_SYSTEM_INSTRUCTIONS] = system
        return
    made = to_record(messages)
    if system is not None:
        parts = _value(system)
        if isinstance(parts, list):
            made[:0] = to_record([{"role": "system", "parts": parts}])
        else:
            made.insert(0, {"role": "system", "content": parts})
        attributes[SYSTEM_COUNT] = 1
    elif bare and len(made) == 1 and isinstance(made[0]["content"], str) and len(made[0]) == 2:
        attributes["input"] = made[0]["content"]
        return
    attributes["input"] = made


def _output(raw: Any, attributes: dict[str, Any]) -> None:
    messages: Any = _value(raw)
    if not _are_messages(messages):
        attributes["output"] = messages
        return
    reasons = attributes.get("finish_reasons") or ()
    calls: list[dict[str, Any]] = []
    for index, entry in enumerate(messages):
        # The reason stands in finish_reasons already, in the order of the messages.
        reason = entry.get("finish_reason")
        if reason is not None and reason == (reasons[index] if index < len(reasons) else ""):
            del entry["finish_reason"]
        for part in entry.get("parts") or ():
            if part.get("type") == "tool_call":
                calls.append(
                    {
                        "id": part.get("id"),
                        "name": part.get("name"),
                        "arguments": part.get("arguments"),
                    }
                )
    made = to_record(messages)
    if calls:
        attributes["tool_calls"] = calls
    if len(made) == 1 and len(made[0]) == 2 and isinstance(made[0]["content"], str):
        attributes["output"] = made[0]["content"]
    else:
        attributes["output"] = made


def _are_messages(value: Any) -> bool:
    if not isinstance(value, list):
        return False
    for entry in cast("list[Any]", value):
        if not isinstance(entry, dict) or "role" not in entry:
            return False
    return True


def _value(raw: Any) -> Any:
    if not isinstance(raw, str):
        return raw
    try:
        return loads(raw)
    except ValueError:
        return raw  # cut off by a limit that knows no JSON, or a plain text


def _error(span: ReadableSpan, source: dict[str, Any]) -> str:
    description = span.status.description
    if description:
        return description
    for event in reversed(span.events):
        if event.name == "exception" and event.attributes:
            message = event.attributes.get(otel.EXCEPTION_MESSAGE)
            if message:
                return str(message)
    return str(source.get(otel.ERROR_TYPE) or "error")


def _events(events: Sequence[Event], status: str, attributes: dict[str, Any]) -> None:
    others: list[dict[str, Any]] = []
    for event in events:
        detail = dict(event.attributes or {})
        if event.name == "exception":
            # The last one wins: it is the one that ended the span.
            for key in (otel.EXCEPTION_TYPE, otel.EXCEPTION_STACKTRACE):
                if key in detail:
                    attributes[key] = detail[key]
            if status == "error":
                continue
        others.append({"name": event.name, "time": event.timestamp / 1e9, "attributes": detail})
    if others:
        attributes["events"] = others
