"""OpenLLMetry and Traceloop's SDK: `gen_ai.prompt.0.content`, `llm.*`, `traceloop.*`.

Source: opentelemetry-semantic-conventions-ai, 0.0.x to 0.5.
"""

from __future__ import annotations

from typing import Any

from peekr.dialects.draft import Draft, entries, mapping, number
from peekr.dialects.flat import take_nested
from peekr.dialects.wire import message_of, tool_definition
from peekr.encoding import loads
from peekr.semconv import otel, own

__all__ = ["MARKERS", "arguments", "translate"]

_ENTITY = "traceloop.entity."
_ASSOCIATED = "traceloop.association.properties."
MARKERS = frozenset(
    (
        "llm.request.type",
        "llm.request.model",
        "llm.vendor",
        "gen_ai.prompt.0.role",
        "gen_ai.prompt.0.content",
        "gen_ai.completion.0.role",
        "gen_ai.completion.0.content",
        "traceloop.span.kind",
        "traceloop.workflow.name",
        "traceloop.entity.name",
        _ENTITY + "input",
    )
)
_OPERATIONS = {
    "chat": "chat",
    "completion": "text_completion",
    "embedding": "embeddings",
    "embeddings": "embeddings",
}
_KINDS = {"tool": "execute_tool", "agent": "invoke_agent", "workflow": "invoke_workflow"}
_RENAMED = {
    "llm.vendor": "gen_ai.system",
    "llm.request.model": otel.GEN_AI_REQUEST_MODEL,
    "llm.response.model": otel.GEN_AI_RESPONSE_MODEL,
    "llm.request.max_tokens": otel.GEN_AI_REQUEST_MAX_TOKENS,
    "llm.temperature": otel.GEN_AI_REQUEST_TEMPERATURE,
    "llm.request.temperature": otel.GEN_AI_REQUEST_TEMPERATURE,
    "llm.top_p": otel.GEN_AI_REQUEST_TOP_P,
    "llm.request.top_p": otel.GEN_AI_REQUEST_TOP_P,
    "llm.top_k": otel.GEN_AI_REQUEST_TOP_K,
    "llm.frequency_penalty": otel.GEN_AI_REQUEST_FREQUENCY_PENALTY,
    "llm.presence_penalty": otel.GEN_AI_REQUEST_PRESENCE_PENALTY,
    "llm.is_streaming": otel.GEN_AI_REQUEST_STREAM,
    "llm.response.finish_reason": otel.GEN_AI_RESPONSE_FINISH_REASONS,
    "llm.response.stop_reason": otel.GEN_AI_RESPONSE_FINISH_REASONS,
    _ASSOCIATED + "session_id": otel.SESSION_ID,
    _ASSOCIATED + "user_id": otel.USER_ID,
}
_COUNTS = {
    "llm.usage.prompt_tokens": otel.GEN_AI_USAGE_INPUT_TOKENS,
    "llm.usage.completion_tokens": otel.GEN_AI_USAGE_OUTPUT_TOKENS,
    "llm.usage.total_tokens": "gen_ai.usage.total_tokens",
    "llm.usage.cache_read_input_tokens": otel.GEN_AI_USAGE_CACHE_READ_INPUT_TOKENS,
    "llm.usage.cache_creation_input_tokens": otel.GEN_AI_USAGE_CACHE_CREATION_INPUT_TOKENS,
    "llm.usage.reasoning_tokens": otel.GEN_AI_USAGE_REASONING_OUTPUT_TOKENS,
}


def translate(draft: Draft) -> None:
    """Give a span of OpenLLMetry today's names."""
    draft.move(_RENAMED)
    draft.move(_COUNTS, number)
    kind = draft.get("llm.request.type")
    operation = _OPERATIONS.get(kind) if isinstance(kind, str) else None
    if operation is not None:
        draft.take("llm.request.type")
        draft.put(otel.GEN_AI_OPERATION_NAME, operation)
    for prefixes, key, role in (
        (("gen_ai.prompt.", "llm.prompts."), otel.GEN_AI_INPUT_MESSAGES, "user"),
        (("gen_ai.completion.", "llm.completions."), otel.GEN_AI_OUTPUT_MESSAGES, "assistant"),
    ):
        for prefix in prefixes:
            found = take_nested(draft.attributes, prefix)
            if found is None:
                continue
            given = [mapping(entry) for entry in entries(found) if mapping(entry)]
            if given:
                draft.put(key, [message_of(entry, role) for entry in given])
            else:
                # `gen_ai.completion.tool_calls` and the like: no messages after all.
                draft.attributes[prefix[:-1]] = found
    tools = entries(take_nested(draft.attributes, "llm.request.functions."))
    if tools:
        draft.put(otel.GEN_AI_TOOL_DEFINITIONS, [tool_definition(tool) for tool in tools])
    if draft.get("llm.headers") == "None":
        draft.take("llm.headers")
    _entity(draft)


def _entity(draft: Draft) -> None:
    kind = draft.get("traceloop.span.kind")
    operation = _KINDS.get(kind) if isinstance(kind, str) else None
    if operation is not None:
        draft.put(otel.GEN_AI_OPERATION_NAME, operation)
    if operation == "execute_tool":
        draft.put(otel.GEN_AI_TOOL_NAME, draft.get(_ENTITY + "name"))
    for old, new in ((_ENTITY + "input", own.PEEKR_INPUT), (_ENTITY + "output", own.PEEKR_OUTPUT)):
        if old in draft.attributes:
            value = draft.take(old)
            if isinstance(value, str):
                try:
                    # Also a text is written as JSON here.
                    value = arguments(loads(value))
                except ValueError:
                    pass  # cut off
            draft.put_value(new, value)


def arguments(value: Any) -> Any:
    """`{"args": [], "kwargs": {…}}` as the arguments by name, where all have one."""
    given = mapping(value)
    if set(given) == {"args", "kwargs"} and not given["args"] and isinstance(given["kwargs"], dict):
        return mapping(given["kwargs"])
    return value
