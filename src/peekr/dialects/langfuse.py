"""Langfuse's SDK since it speaks OpenTelemetry (3.0): `langfuse.observation.*`."""

from __future__ import annotations

from typing import Any

from peekr.dialects.draft import Draft, entries, mapping, number, parsed, text
from peekr.dialects.logfire import put_usage
from peekr.dialects.openinference import PARAMETERS
from peekr.dialects.openllmetry import arguments
from peekr.dialects.wire import conversation, is_conversation, tool_definition
from peekr.semconv import otel, own

__all__ = ["MARKERS", "translate"]

_OBSERVATION = "langfuse.observation."
_TYPE = _OBSERVATION + "type"
MARKERS = frozenset(
    (
        _TYPE,
        _OBSERVATION + "input",
        _OBSERVATION + "output",
        _OBSERVATION + "model.name",
        "langfuse.trace.name",
        "langfuse.internal.is_app_root",
    )
)
_OPERATIONS = {
    "generation": "chat",
    "embedding": "embeddings",
    "tool": "execute_tool",
    "agent": "invoke_agent",
    "retriever": "retrieval",
}
_EVERY = {
    "langfuse.user.id": otel.USER_ID,
    "langfuse.trace.user_id": otel.USER_ID,
    "langfuse.session.id": otel.SESSION_ID,
    "langfuse.trace.session_id": otel.SESSION_ID,
}
_READ = ("cache_read_input_tokens", "input_cached_tokens", "input_cache_read", "cached_tokens")
_WRITTEN = ("cache_creation_input_tokens", "input_cache_creation", "input_cache_write")
_REASONED = ("output_reasoning_tokens", "output_reasoning", "reasoning_tokens")


def translate(draft: Draft) -> None:
    """Give a span of Langfuse today's names."""
    draft.move(_EVERY)
    kind = draft.get(_TYPE)
    operation = _OPERATIONS.get(kind) if isinstance(kind, str) else None
    if operation is not None:
        draft.take(_TYPE)
        draft.put(otel.GEN_AI_OPERATION_NAME, operation)
    if operation == "execute_tool":
        draft.put(otel.GEN_AI_TOOL_NAME, draft.name or None)
    if operation in ("chat", "embeddings"):
        _call(draft)
    for side, messages, own_key, role in (
        ("input", otel.GEN_AI_INPUT_MESSAGES, own.PEEKR_INPUT, "user"),
        ("output", otel.GEN_AI_OUTPUT_MESSAGES, own.PEEKR_OUTPUT, "assistant"),
    ):
        if _OBSERVATION + side not in draft.attributes:
            continue
        value = draft.take_parsed(_OBSERVATION + side)
        if operation not in ("chat", "embeddings"):
            draft.put_value(own_key, arguments(value))
            continue
        given = mapping(value)
        tools = entries(given.get("tools"))
        if tools:
            draft.put(otel.GEN_AI_TOOL_DEFINITIONS, [tool_definition(tool) for tool in tools])
        if isinstance(value, str) or _is_messages(value):
            draft.put(messages, conversation(value, role))
        else:
            draft.put_value(own_key, value)


def _is_messages(value: Any) -> bool:
    given = mapping(value)
    inner = given.get("messages", value)
    return is_conversation(inner) or "role" in given


def _call(draft: Draft) -> None:
    if draft.name.startswith("OpenAI-"):
        draft.put(otel.GEN_AI_PROVIDER_NAME, "openai")  # from its drop-in for that SDK
    draft.move({_OBSERVATION + "model.name": otel.GEN_AI_REQUEST_MODEL})
    given = parsed(draft.get(_OBSERVATION + "model.parameters"))
    if isinstance(given, dict):
        draft.take(_OBSERVATION + "model.parameters")
        rest = dict(mapping(given))
        for name, key in PARAMETERS.items():
            if name in rest:
                draft.put(key, rest.pop(name))
        if rest:
            draft.put(own.PEEKR_REQUEST_PARAMETERS, rest)
    usage = mapping(draft.take_parsed(_OBSERVATION + "usage_details"))
    if "prompt_tokens" in usage or "input_tokens" in usage:
        put_usage(draft, usage)
    elif usage:
        _usage(draft, usage)
    cost = mapping(draft.take_parsed(_OBSERVATION + "cost_details"))
    total = number(cost.get("total"))
    if total is None:
        parts = [number(value) for value in cost.values()]
        total = sum(part for part in parts if part is not None)
    if total:
        draft.put(own.PEEKR_COST_USD, total)
    prompt = text(draft.get(_OBSERVATION + "prompt.name"))
    draft.put("gen_ai.prompt.name", prompt)


def _usage(draft: Draft, usage: dict[str, Any]) -> None:
    """Langfuse's own counts, which add up: the input without what has a count of its own."""
    read, written, reasoned = (_sum(usage, keys) for keys in (_READ, _WRITTEN, _REASONED))
    used, made = number(usage.get("input")), number(usage.get("output"))
    if used is not None:
        used += (read or 0) + (written or 0)
    if made is not None:
        made += reasoned or 0
    draft.put(otel.GEN_AI_USAGE_INPUT_TOKENS, used)
    draft.put(otel.GEN_AI_USAGE_OUTPUT_TOKENS, made)
    draft.put(otel.GEN_AI_USAGE_CACHE_READ_INPUT_TOKENS, read)
    draft.put(otel.GEN_AI_USAGE_CACHE_CREATION_INPUT_TOKENS, written)
    draft.put(otel.GEN_AI_USAGE_REASONING_OUTPUT_TOKENS, reasoned)


def _sum(usage: dict[str, Any], keys: tuple[str, ...]) -> Any:
    found = [count for count in (number(usage.get(key)) for key in keys) if count is not None]
    return sum(found) if found else None
