"""Holds a span and its record against the facts of the exchange that they tell of."""

from __future__ import annotations

import json
from typing import Any, Dict, List, Tuple, cast

from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.trace import SpanKind, StatusCode

from ..conftest import attributes_of
from ..support.facts import CalledTool, Facts

_COUNTS = {
    "input_tokens": ("gen_ai.usage.input_tokens", "tokens_input"),
    "output_tokens": ("gen_ai.usage.output_tokens", "tokens_output"),
    "cached_tokens": ("gen_ai.usage.cache_read.input_tokens", "tokens_cache_read"),
    "cache_write_tokens": ("gen_ai.usage.cache_creation.input_tokens", "tokens_cache_write"),
    "reasoning_tokens": ("gen_ai.usage.reasoning.output_tokens", "tokens_reasoning"),
    "embedding_count": ("peekr.embeddings.count", "peekr.embeddings.count"),
    "embedding_dimensions": (
        "gen_ai.embeddings.dimension.count",
        "gen_ai.embeddings.dimension.count",
    ),
}


def check_span(span: ReadableSpan, facts: Facts) -> None:
    """Assert that every fact is on the span, and nothing that is none."""
    got = attributes_of(span)
    assert span.kind is SpanKind.CLIENT
    operation = got["gen_ai.operation.name"]
    assert span.name == f"{operation} {facts.request_model}".strip()
    assert got.get("gen_ai.request.model") == facts.request_model
    for fact, (name, _) in _COUNTS.items():
        assert got.get(name) == getattr(facts, fact), fact
    assert got.get("gen_ai.response.model") == facts.response_model
    assert got.get("gen_ai.response.id") == facts.response_id
    if facts.error_status is None:  # a refusal does not tell whether a stream was asked for
        assert got.get("gen_ai.request.stream", False) == facts.streamed
    assert ("gen_ai.response.time_to_first_chunk" in got) == facts.streamed
    if facts.finish_reasons is not None:
        assert got["gen_ai.response.finish_reasons"] == facts.finish_reasons
    _check_output(_decoded(got, "gen_ai.output.messages"), facts)
    messages = _decoded(got, "gen_ai.input.messages")
    if facts.last_user_text is not None:
        assert _user_texts(messages)[-1] == facts.last_user_text
    failed = facts.error_status is not None or facts.error_type is not None
    assert (span.status.status_code is StatusCode.ERROR) == failed
    assert ("error.type" in got) == failed
    if failed:
        assert got.get("http.response.status_code") == facts.error_status
        assert facts.error_type in (got["error.type"], got.get("peekr.error.code"))
        assert facts.error_message is None or facts.error_message in str(span.status.description)


def check_record(record: Dict[str, Any], span: ReadableSpan, facts: Facts) -> None:
    """Assert that every fact is in the record, and that it is the record of this span."""
    got: Dict[str, Any] = record["attributes"]
    context = span.get_span_context()
    assert context is not None
    assert record["trace_id"] == format(context.trace_id, "032x")
    assert record["span_id"] == format(context.span_id, "016x")
    assert got["model"] == (facts.request_model or facts.response_model)
    for fact, (_, name) in _COUNTS.items():
        assert got.get(name) == getattr(facts, fact), fact
    if facts.input_tokens is not None and facts.output_tokens is not None:
        assert got["tokens_total"] == facts.input_tokens + facts.output_tokens
    if facts.finish_reasons is not None:
        assert got["finish_reasons"] == list(facts.finish_reasons)
    assert got.get("gen_ai.response.model") == facts.response_model
    assert got.get("gen_ai.response.id") == facts.response_id
    assert ("time_to_first_token_ms" in got) == facts.streamed
    _check_recorded_output(got, facts)
    if facts.last_user_text is not None:
        assert _last_recorded_user_text(got["input"]) == facts.last_user_text
    failed = facts.error_status is not None or facts.error_type is not None
    assert record["status"] == ("error" if failed else "ok")
    assert ("error" in got) == failed
    if failed:
        assert facts.error_message is None or facts.error_message in got["error"]
        assert got.get("http.response.status_code") == facts.error_status
    for stored_elsewhere in (
        "gen_ai.input.messages",
        "gen_ai.output.messages",
        "gen_ai.system_instructions",
    ):
        assert stored_elsewhere not in got


def _decoded(attributes: Dict[str, Any], name: str) -> List[Dict[str, Any]]:
    raw = attributes.get(name)
    return [] if raw is None else json.loads(raw)


def texts_of(message: Dict[str, Any], kind: str = "text") -> str:
    """The text of a message's parts of one type."""
    return "".join(part["content"] for part in message["parts"] if part["type"] == kind)


def _check_output(messages: List[Dict[str, Any]], facts: Facts) -> None:
    assert tuple(filter(None, (texts_of(m) for m in messages))) == facts.output_texts
    thoughts = tuple(filter(None, (texts_of(m, "reasoning") for m in messages)))
    assert thoughts == facts.reasoning_texts
    calls: List[CalledTool] = []
    for choice, message in enumerate(messages):
        for part in message["parts"]:
            if part["type"] == "tool_call":
                calls.append(
                    CalledTool(part["name"], part["arguments"], part.get("id"), choice=choice)
                )
    assert tuple(calls) == facts.tool_calls


def _check_recorded_output(got: Dict[str, Any], facts: Facts) -> None:
    output = got.get("output")
    if isinstance(output, str):
        assert (output,) == facts.output_texts
        assert not facts.tool_calls
        return
    messages = cast("List[Dict[str, Any]]", output or [])
    texts = tuple(filter(None, (_recorded_text(m["content"]) for m in messages)))
    assert texts == facts.output_texts
    calls = [call for message in messages for call in message.get("tool_calls", ())]
    told = [(call["name"], call["arguments"], call.get("id")) for call in calls]
    assert told == [(call.name, call.arguments, call.id) for call in facts.tool_calls]
    flat = [(c["name"], c["arguments"], c["id"]) for c in got.get("tool_calls", ())]
    assert flat == told


def _recorded_text(content: Any) -> str:
    if isinstance(content, str):
        return content
    parts = cast("List[Dict[str, Any]]", content or [])
    return "".join(part["content"] for part in parts if part["type"] == "text")


def _user_texts(messages: List[Dict[str, Any]]) -> Tuple[str, ...]:
    users = [message for message in messages if message["role"] == "user"]
    return tuple(filter(None, (texts_of(message) for message in users)))


def _last_recorded_user_text(recorded: Any) -> str:
    if isinstance(recorded, str):
        return recorded
    messages = cast("List[Dict[str, Any]]", recorded)
    texts = [_recorded_text(m["content"]) for m in messages if m["role"] == "user"]
    return [text for text in texts if text][-1]
