"""OpenInference: `llm.input_messages.0.message.content`, `openinference.span.kind`, `input.value`.

Source: the specification of OpenInference's semantic conventions.
"""

from __future__ import annotations

from typing import Any, Optional

from peekr.dialects.draft import Draft, entries, mapping, number, parsed, text
from peekr.dialects.flat import take_nested
from peekr.dialects.wire import conversation, is_conversation, message_of, tool_definition
from peekr.semconv import otel, own

__all__ = ["MARKERS", "PARAMETERS", "translate"]

_KIND = "openinference.span.kind"
MARKERS = frozenset((_KIND, "llm.model_name", "llm.invocation_parameters", "input.mime_type"))

_OPERATIONS = {
    "LLM": "chat",
    "EMBEDDING": "embeddings",
    "TOOL": "execute_tool",
    "AGENT": "invoke_agent",
    "RETRIEVER": "retrieval",
}
_COUNTS = {
    "llm.token_count.prompt": otel.GEN_AI_USAGE_INPUT_TOKENS,
    "llm.token_count.completion": otel.GEN_AI_USAGE_OUTPUT_TOKENS,
    "llm.token_count.prompt_details.cache_read": otel.GEN_AI_USAGE_CACHE_READ_INPUT_TOKENS,
    "llm.token_count.prompt_details.cache_write": otel.GEN_AI_USAGE_CACHE_CREATION_INPUT_TOKENS,
    "llm.token_count.completion_details.reasoning": otel.GEN_AI_USAGE_REASONING_OUTPUT_TOKENS,
}
_ANSWER = {
    "id": otel.GEN_AI_RESPONSE_ID,
    "service_tier": otel.OPENAI_RESPONSE_SERVICE_TIER,
    "system_fingerprint": otel.OPENAI_RESPONSE_SYSTEM_FINGERPRINT,
}
PARAMETERS = {
    "model": otel.GEN_AI_REQUEST_MODEL,
    "temperature": otel.GEN_AI_REQUEST_TEMPERATURE,
    "max_tokens": otel.GEN_AI_REQUEST_MAX_TOKENS,
    "max_completion_tokens": otel.GEN_AI_REQUEST_MAX_TOKENS,
    "top_p": otel.GEN_AI_REQUEST_TOP_P,
    "top_k": otel.GEN_AI_REQUEST_TOP_K,
    "seed": otel.GEN_AI_REQUEST_SEED,
    "frequency_penalty": otel.GEN_AI_REQUEST_FREQUENCY_PENALTY,
    "presence_penalty": otel.GEN_AI_REQUEST_PRESENCE_PENALTY,
    "stream": otel.GEN_AI_REQUEST_STREAM,
}


def translate(draft: Draft) -> None:
    """Give a span of OpenInference today's names."""
    kind = draft.take(_KIND)
    operation = _OPERATIONS.get(kind) if isinstance(kind, str) else None
    if kind is not None and operation is None:
        draft.attributes[_KIND] = kind  # a chain, a guardrail, a reranker
    if operation is None and draft.has_any(frozenset(("llm.model_name", "llm.provider"))):
        operation = "chat"
    draft.put(otel.GEN_AI_OPERATION_NAME, operation)
    if operation in ("chat", "embeddings"):
        _call(draft)
    if operation == "chat":
        _conversation(draft)
    elif operation == "embeddings":
        _embeddings(draft)
    elif operation == "execute_tool":
        draft.move(
            {
                "tool.name": otel.GEN_AI_TOOL_NAME,
                "tool_call.id": otel.GEN_AI_TOOL_CALL_ID,
                "tool_call.function.arguments": otel.GEN_AI_TOOL_CALL_ARGUMENTS,
            }
        )
    documents = take_nested(draft.attributes, "retrieval.documents.")
    if documents is not None:
        inner = [mapping(entry).get("document", entry) for entry in entries(documents)]
        draft.put("gen_ai.retrieval.documents", inner or documents)
    _input_and_output(draft, operation)


def _call(draft: Draft) -> None:
    draft.move({"llm.provider": otel.GEN_AI_PROVIDER_NAME})
    draft.move({"llm.system": otel.GEN_AI_PROVIDER_NAME})
    parameters = parsed(draft.get("llm.invocation_parameters"))
    if isinstance(parameters, dict):
        draft.take("llm.invocation_parameters")
        rest = dict(mapping(parameters))
        for name, key in PARAMETERS.items():
            if name in rest:
                draft.put(key, rest.pop(name))
        for unwanted in ("messages", "tools", "input"):
            rest.pop(unwanted, None)
        if rest:
            draft.put(own.PEEKR_REQUEST_PARAMETERS, rest)
    if otel.GEN_AI_REQUEST_MODEL in draft.attributes:
        draft.move({"llm.model_name": otel.GEN_AI_RESPONSE_MODEL})
    else:
        draft.move({"llm.model_name": otel.GEN_AI_REQUEST_MODEL})
    draft.move(_COUNTS, number)
    total = number(draft.get("llm.token_count.total"))
    used = (otel.GEN_AI_USAGE_INPUT_TOKENS, otel.GEN_AI_USAGE_OUTPUT_TOKENS)
    if total is not None and total == sum(number(draft.get(key)) or 0 for key in used):
        draft.take("llm.token_count.total")
    for old, new in (
        ("llm.token_count.prompt_details.audio", own.PEEKR_USAGE_AUDIO_INPUT_TOKENS),
        ("llm.token_count.completion_details.audio", own.PEEKR_USAGE_AUDIO_OUTPUT_TOKENS),
        ("llm.cost.total", own.PEEKR_COST_USD),
    ):
        # Zero is written where there was none, or where no price is known.
        given = number(draft.take(old))
        draft.put(new, given or None)


def _conversation(draft: Draft) -> None:
    attributes = draft.attributes
    for prefix, key, role in (
        ("llm.input_messages.", otel.GEN_AI_INPUT_MESSAGES, "user"),
        ("llm.output_messages.", otel.GEN_AI_OUTPUT_MESSAGES, "assistant"),
    ):
        found = entries(take_nested(attributes, prefix))
        if found:
            draft.put(key, [message_of(_unwrapped(entry), role) for entry in found])
    prompts = entries(take_nested(attributes, "llm.prompts."))
    if prompts:
        texts = [mapping(mapping(entry).get("prompt")).get("text", entry) for entry in prompts]
        draft.put(otel.GEN_AI_INPUT_MESSAGES, conversation(texts))
    choices = entries(take_nested(attributes, "llm.choices."))
    if choices:
        texts = [mapping(mapping(entry).get("completion")).get("text", entry) for entry in choices]
        draft.put(otel.GEN_AI_OUTPUT_MESSAGES, conversation(texts, "assistant"))
    tools = entries(take_nested(attributes, "llm.tools."))
    if tools:
        schemas = [mapping(mapping(entry).get("tool")).get("json_schema") for entry in tools]
        draft.put(otel.GEN_AI_TOOL_DEFINITIONS, [tool_definition(one) for one in schemas if one])
    draft.move({"llm.finish_reason": otel.GEN_AI_RESPONSE_FINISH_REASONS})


def _unwrapped(entry: Any) -> dict[str, Any]:
    return mapping(mapping(entry).get("message", entry))


def _embeddings(draft: Draft) -> None:
    draft.move({"embedding.model_name": otel.GEN_AI_REQUEST_MODEL})
    found = entries(take_nested(draft.attributes, "embedding.embeddings."))
    inner = [mapping(mapping(entry).get("embedding")) for entry in found]
    texts = [entry["text"] for entry in inner if isinstance(entry.get("text"), str)]
    if texts:
        draft.put(otel.GEN_AI_INPUT_MESSAGES, conversation(texts))
    # The vectors themselves are never kept.
    vectors = sum(1 for entry in inner if entry.get("vector") is not None)
    if vectors:
        draft.put(own.PEEKR_EMBEDDINGS_COUNT, vectors)
        draft.take("output.value")
        draft.take("output.mime_type")


def _input_and_output(draft: Draft, operation: Optional[str]) -> None:
    for side, messages, own_key, role in (
        ("input", otel.GEN_AI_INPUT_MESSAGES, own.PEEKR_INPUT, "user"),
        ("output", otel.GEN_AI_OUTPUT_MESSAGES, own.PEEKR_OUTPUT, "assistant"),
    ):
        if f"{side}.value" not in draft.attributes:
            continue
        kind = draft.take(f"{side}.mime_type")
        raw = draft.take(f"{side}.value")
        value = parsed(raw) if kind in ("application/json", None) else raw
        if messages in draft.attributes:
            # The request or the answer as it went over the wire: the messages once more.
            if side == "output":
                for name, key in _ANSWER.items():
                    draft.put(key, text(mapping(value).get(name)))
            continue
        inner = mapping(value).get("messages", value)
        if operation == "chat" and (is_conversation(inner) or isinstance(inner, str)):
            draft.put(messages, conversation(inner, role))
        else:
            if operation == "execute_tool" and side == "input":
                draft.take(otel.GEN_AI_TOOL_CALL_ARGUMENTS)
            draft.put_value(own_key, value if value is not None else text(raw))
