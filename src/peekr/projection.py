"""The one projection: a finished OpenTelemetry span, whoever made it, as a record.

Needs no OpenTelemetry, so that spans that are read from a file go the same way.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Optional, Protocol, cast

from peekr import dialects
from peekr.dialects.providers import provider_name
from peekr.encoding import loads
from peekr.messages import to_record
from peekr.record import SpanRecord
from peekr.semconv import otel, own
from peekr.shapes import shape_of

__all__ = ["SYSTEM_COUNT", "FinishedSpan", "project"]

# Operations whose single input is a bare text rather than a conversation.
_BARE_TEXT = ("embeddings", "text_completion")

# At hand for the path that every span takes: a lookup in a module or an enumeration costs more
# than the rest of its line.
_OPERATION = otel.GEN_AI_OPERATION_NAME
_INPUT_MESSAGES = otel.GEN_AI_INPUT_MESSAGES
_OUTPUT_MESSAGES = otel.GEN_AI_OUTPUT_MESSAGES
_SYSTEM_INSTRUCTIONS = otel.GEN_AI_SYSTEM_INSTRUCTIONS
_PROVIDER = otel.GEN_AI_PROVIDER_NAME
_RESPONSE_MODEL = otel.GEN_AI_RESPONSE_MODEL
_INPUT_TOKENS = otel.GEN_AI_USAGE_INPUT_TOKENS
_FIRST_CHUNK = otel.GEN_AI_RESPONSE_TIME_TO_FIRST_CHUNK
_RECORD_NAME = own.PEEKR_RECORD_NAME
_TENANT_ID = own.PEEKR_TENANT_ID
_RETENTION_CLASS = own.PEEKR_RETENTION_CLASS
_JSON_ATTRIBUTES = own.PEEKR_JSON_ATTRIBUTES
_SCORE = "gen_ai.evaluation.result"
_TEXT_FIELDS = (
    (_INPUT_MESSAGES, frozenset(("role", "content"))),
    (_OUTPUT_MESSAGES, frozenset(("role", "content", "finish_reason"))),
)
_CALLS = frozenset(("chat", "text_completion", "generate_content", "embeddings"))

SYSTEM_COUNT = "system_instructions"
"""Attribute of the record: how many of the leading messages were given apart from the others."""


class FinishedSpan(Protocol):
    """What is read of a span: OpenTelemetry's `ReadableSpan` has it, and a span from a file."""

    @property
    def name(self) -> str:
        """The span's own name."""
        ...

    @property
    def attributes(self) -> Optional[Mapping[str, Any]]:
        """By name."""
        ...

    @property
    def events(self) -> Sequence[Any]:
        """Objects with `name`, `attributes` and `timestamp` in nanoseconds."""
        ...

    @property
    def status(self) -> Any:
        """An object with `is_unset`, `is_ok` and `description`."""
        ...

    @property
    def context(self) -> Any:
        """An object with `trace_id` and `span_id`."""
        ...

    @property
    def parent(self) -> Any:
        """An object with `span_id`, or None."""
        ...

    @property
    def start_time(self) -> Optional[int]:
        """In nanoseconds since 1970."""
        ...

    @property
    def end_time(self) -> Optional[int]:
        """In nanoseconds since 1970."""
        ...

    @property
    def instrumentation_scope(self) -> Any:
        """An object with `name`, or None."""
        ...


def project(
    span: FinishedSpan,
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
    source: dict[str, Any]
    try:
        # mappingproxy.copy() asks the SDK's own mapping for a plain dict, in one step.
        source = held.copy()
    except AttributeError:
        source = dict(held or {})  # a span that no tracer made
    if _JSON_ATTRIBUTES in source:
        _unpack(source, source.pop(_JSON_ATTRIBUTES))
    name, events = span.name, span.events
    shape = shape_of(source)
    read: Optional[dict[str, Any]] = None
    if not (shape.is_plain or shape.is_own):
        read = _of_today(source, events) if shape.is_today else None
        if read is None:
            events = _translated(source, span)
            shape = shape_of(source)
    attributes: dict[str, Any] = {plain: source[key] for key, plain in shape.copied}
    take = source.pop
    if shape.has_fields:
        name = take(_RECORD_NAME, None) or name
        tenant_id = take(_TENANT_ID, None) or tenant_id
        retention_class = take(_RETENTION_CLASS, None) or retention_class
    if _OPERATION in source:
        _model_call(source, attributes, read)
    for key, plain in shape.renamed:
        attributes[plain] = take(key)
    for key, plain in shape.parsed:
        if key in source:
            attributes[plain] = _value(take(key))
    attributes.update(source)
    status = "ok"
    if not span.status.is_unset and not span.status.is_ok:
        status = "error"
        attributes["error"] = _error(span, source)
    if events:
        _events(events, status, attributes)
    context, parent = span.context, span.parent
    start_ns = span.start_time or 0
    # Of spans of others the wall clock takes both times: it may have been set back in between.
    end_ns = max(start_ns, span.end_time or 0)
    return SpanRecord(
        f"{context.trace_id:032x}",
        f"{context.span_id:016x}",
        None if parent is None else f"{parent.span_id:016x}",
        name,
        start_ns / 1e9,
        end_ns / 1e9,
        (end_ns - start_ns) / 1e6,
        status,
        tenant_id,
        retention_class,
        attributes,
    )


def _translated(source: dict[str, Any], span: FinishedSpan) -> Sequence[Any]:
    """Read what another instrumentation wrote; the events that are left."""
    scope = span.instrumentation_scope
    draft = dialects.Draft(source, span.events, (scope.name or "") if scope else "", span.name)
    dialects.translate(draft)
    return draft.events


def _of_today(source: dict[str, Any], events: Any) -> Optional[dict[str, Any]]:
    """The messages of a span of somebody else's that says nothing that has to be translated.

    They are in the record's form, by the attribute that holds them. None, to be on the side of
    translating, where that is not certain; it takes as long as all the rest.
    """
    get = source.get
    operation = get(_OPERATION)
    if events or type(operation) is not str or operation not in _CALLS:
        return None
    provider = get(_PROVIDER)
    if provider is None or provider_name(provider) != provider:
        return None
    if type(get(_INPUT_TOKENS)) is str:
        return None
    read: dict[str, Any] = {}
    for key, fields in _TEXT_FIELDS:
        raw = get(key)
        if raw is None:
            continue
        made = _messages(raw)
        if made is None:
            return None
        read[key] = made
        for entry in made:
            # Nothing but texts: tool calls and media have had other forms.
            if type(entry["content"]) is not str or (len(entry) > 2 and not fields >= entry.keys()):
                return None
    return read


def _model_call(
    source: dict[str, Any], attributes: dict[str, Any], read: Optional[dict[str, Any]]
) -> None:
    """What only model calls have; content moves from the conventions' form into the record's.

    Args:
        source: The span's attributes; what moves is taken out.
        attributes: The record's.
        read: Messages that are in the record's form already, by attribute.
    """
    if "model" not in attributes and _RESPONSE_MODEL in source:
        attributes["model"] = source[_RESPONSE_MODEL]
    bare = source[_OPERATION] in _BARE_TEXT
    tokens_input = attributes.get("tokens_input")
    if tokens_input is not None:
        tokens_output = attributes.get("tokens_output")
        if tokens_output is not None or bare:
            try:
                attributes["tokens_total"] = 0 + tokens_input + (tokens_output or 0)
            except TypeError:
                pass  # another instrumentation's texts
    if _FIRST_CHUNK in source:
        try:
            attributes["time_to_first_token_ms"] = source[_FIRST_CHUNK] * 1000.0
        except TypeError:
            pass
    raw = source.pop(_INPUT_MESSAGES, None)
    system = source.pop(_SYSTEM_INSTRUCTIONS, None)
    if raw is not None or system is not None:
        made = _messages(raw) if read is None else read.get(_INPUT_MESSAGES, [])
        _input(raw, made, system, bare, attributes)
    raw = source.pop(_OUTPUT_MESSAGES, None)
    if raw is not None:
        _output(raw, _messages(raw) if read is None else read[_OUTPUT_MESSAGES], attributes)


def _input(
    raw: Any,
    made: Optional[list[dict[str, Any]]],
    system: Any,
    bare: bool,
    attributes: dict[str, Any],
) -> None:
    if made is None:
        attributes["input"] = _no_messages(raw)
        if system is not None:
            attributes[_SYSTEM_INSTRUCTIONS] = _value(system)
        return
    if system is not None:
        made[:0] = _messages([{"role": "system", "parts": _value(system)}]) or [
            {"role": "system", "content": system}
        ]
        attributes[SYSTEM_COUNT] = 1
    elif bare and len(made) == 1 and len(made[0]) == 2 and isinstance(made[0]["content"], str):
        attributes["input"] = made[0]["content"]
        return
    attributes["input"] = made


def _output(raw: Any, made: Optional[list[dict[str, Any]]], attributes: dict[str, Any]) -> None:
    if made is None:
        attributes["output"] = _no_messages(raw)
        return
    reasons = attributes.get("finish_reasons") or ()
    for index, entry in enumerate(made):
        # The reason stands in finish_reasons already, in the order of the messages.
        reason = entry.get("finish_reason")
        if reason is not None and reason == (reasons[index] if index < len(reasons) else ""):
            del entry["finish_reason"]
    if len(made) == 1 and len(made[0]) == 2 and isinstance(made[0]["content"], str):
        attributes["output"] = made[0]["content"]
        return
    attributes["output"] = made
    calls = [call for entry in made for call in _tool_calls(entry)]
    if calls:
        attributes["tool_calls"] = calls


def _tool_calls(entry: dict[str, Any]) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = entry.get("tool_calls") or []
    content = entry["content"]
    if isinstance(content, list) and "tool_call_id" not in entry:
        # Those that other parts follow stay in the content.
        parts = cast("list[dict[str, Any]]", content)
        found = [part for part in parts if _is_tool_call(part)] + found
    if not found:
        return found
    return [{key: call.get(key) for key in ("id", "name", "arguments")} for call in found]


def _is_tool_call(part: Any) -> bool:
    return isinstance(part, dict) and cast("dict[str, Any]", part).get("type") == "tool_call"


def _messages(raw: Any) -> Optional[list[dict[str, Any]]]:
    """Messages in the record's form; None where the attribute holds something else."""
    if raw is None:
        return []
    try:
        return to_record(loads(raw) if isinstance(raw, str) else raw)
    except (ValueError, TypeError, KeyError, AttributeError):
        return None


def _no_messages(raw: Any) -> Any:
    """What stands in the place of messages: a list or an object of something else, or a text.

    A text is also what is left where a limit that knows no JSON has cut it off.
    """
    value: object = _value(raw)
    return raw if isinstance(value, (str, int, float, type(None))) else value


def _unpack(source: dict[str, Any], names: Sequence[str]) -> None:
    """Read the JSON text of nested values; an empty one stands for a deleted attribute."""
    for name in names:
        text = source.pop(name, "")
        if text != "":
            source[name] = _value(text)


def _value(raw: Any) -> Any:
    if not isinstance(raw, str):
        return raw
    try:
        return loads(raw)
    except ValueError:
        return raw  # cut off by a limit that knows no JSON, or a plain text


def _error(span: FinishedSpan, source: dict[str, Any]) -> str:
    description = span.status.description
    if description and _OPERATION not in source:
        return description
    for event in reversed(span.events):
        if event.name == "exception" and event.attributes:
            message = event.attributes.get(otel.EXCEPTION_MESSAGE)
            if message and (not description or description.endswith(f": {message}")):
                # `NotFoundError: …` is how the SDK's tracer describes an exception.
                return str(message)
    if description:
        return description
    return str(source.get(otel.ERROR_TYPE) or "error")


def _events(events: Sequence[Any], status: str, attributes: dict[str, Any]) -> None:
    others: list[dict[str, Any]] = []
    # Of several exceptions the last one is it that ended the span.
    last = next((event for event in reversed(events) if event.name == "exception"), None)
    for event in events:
        if event.name == _SCORE and ("eval_scores" in attributes or "eval_errors" in attributes):
            continue
        detail = dict(event.attributes or {})
        if event is last:
            for key in (otel.EXCEPTION_TYPE, otel.EXCEPTION_STACKTRACE):
                if key in detail:
                    attributes[key] = detail[key]
            message = detail.get(otel.EXCEPTION_MESSAGE)
            if status == "error":
                if message and str(message) not in attributes["error"]:
                    attributes[otel.EXCEPTION_MESSAGE] = message
                continue
        others.append({"name": event.name, "time": event.timestamp / 1e9, "attributes": detail})
    if others:
        attributes["events"] = others
