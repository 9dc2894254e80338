"""The Vercel AI SDK, versions 4 to 6: `ai.operationId`, `ai.prompt.messages`, `ai.usage.*`."""

from __future__ import annotations

from typing import Any

from peekr import messages as make
from peekr.dialects.draft import Draft, entries, mapping, number, parsed, text
from peekr.dialects.wire import conversation, is_conversation, tool_definition
from peekr.messages import Message, Part
from peekr.semconv import otel, own

__all__ = ["MARKERS", "translate"]

_ID = "ai.operationId"
MARKERS = frozenset((_ID,))

_METADATA = "ai.telemetry.metadata."
_CALL = {
    "ai.model.id": otel.GEN_AI_REQUEST_MODEL,
    "ai.response.model": otel.GEN_AI_RESPONSE_MODEL,
    "ai.response.id": otel.GEN_AI_RESPONSE_ID,
    "ai.settings.maxOutputTokens": otel.GEN_AI_REQUEST_MAX_TOKENS,
    "ai.settings.maxTokens": otel.GEN_AI_REQUEST_MAX_TOKENS,
    "ai.settings.temperature": otel.GEN_AI_REQUEST_TEMPERATURE,
    "ai.settings.topP": otel.GEN_AI_REQUEST_TOP_P,
    "ai.settings.topK": otel.GEN_AI_REQUEST_TOP_K,
    "ai.settings.frequencyPenalty": otel.GEN_AI_REQUEST_FREQUENCY_PENALTY,
    "ai.settings.presencePenalty": otel.GEN_AI_REQUEST_PRESENCE_PENALTY,
    "ai.settings.seed": otel.GEN_AI_REQUEST_SEED,
    "ai.settings.stopSequences": otel.GEN_AI_REQUEST_STOP_SEQUENCES,
}
_COUNTS = {
    "ai.usage.inputTokens": otel.GEN_AI_USAGE_INPUT_TOKENS,
    "ai.usage.promptTokens": otel.GEN_AI_USAGE_INPUT_TOKENS,
    "ai.usage.tokens": otel.GEN_AI_USAGE_INPUT_TOKENS,
    "ai.usage.outputTokens": otel.GEN_AI_USAGE_OUTPUT_TOKENS,
    "ai.usage.completionTokens": otel.GEN_AI_USAGE_OUTPUT_TOKENS,
    "ai.usage.inputTokenDetails.cacheReadTokens": otel.GEN_AI_USAGE_CACHE_READ_INPUT_TOKENS,
    "ai.usage.cachedInputTokens": otel.GEN_AI_USAGE_CACHE_READ_INPUT_TOKENS,
    "ai.usage.inputTokenDetails.cacheWriteTokens": otel.GEN_AI_USAGE_CACHE_CREATION_INPUT_TOKENS,
    "ai.usage.outputTokenDetails.reasoningTokens": otel.GEN_AI_USAGE_REASONING_OUTPUT_TOKENS,
    "ai.usage.reasoningTokens": otel.GEN_AI_USAGE_REASONING_OUTPUT_TOKENS,
}
_EVERY = {
    _METADATA + "sessionId": otel.SESSION_ID,
    _METADATA + "session_id": otel.SESSION_ID,
    _METADATA + "userId": otel.USER_ID,
    _METADATA + "user_id": otel.USER_ID,
}
_TOOL = {
    "ai.toolCall.name": otel.GEN_AI_TOOL_NAME,
    "ai.toolCall.id": otel.GEN_AI_TOOL_CALL_ID,
    "ai.toolCall.args": otel.GEN_AI_TOOL_CALL_ARGUMENTS,
    "ai.toolCall.result": otel.GEN_AI_TOOL_CALL_RESULT,
}


def translate(draft: Draft) -> None:
    """Give a span of the AI SDK today's names."""
    operation = draft.get(_ID)
    if not isinstance(operation, str):
        return
    draft.move(_EVERY)
    if operation == "ai.toolCall":
        draft.put(otel.GEN_AI_OPERATION_NAME, "execute_tool")
        draft.move(_TOOL)
        return
    provider = draft.take("ai.model.provider")
    if "gen_ai.system" not in draft.attributes:
        draft.put("gen_ai.system", provider)
    inner = operation.rpartition(".")[2]
    if inner == "doEmbed":
        _embeddings(draft)
    elif inner.startswith("do"):
        draft.put(otel.GEN_AI_OPERATION_NAME, "chat")
        _call(draft)
    elif "embed" in operation:
        _embedding_input(draft, own.PEEKR_INPUT)
    else:
        _around(draft)


def _call(draft: Draft) -> None:
    draft.move(_CALL)
    _cached(draft)
    draft.move(_COUNTS, number)
    total = number(draft.get("ai.usage.totalTokens"))
    used = (otel.GEN_AI_USAGE_INPUT_TOKENS, otel.GEN_AI_USAGE_OUTPUT_TOKENS)
    if total is not None and total == sum(number(draft.get(key)) or 0 for key in used):
        draft.take("ai.usage.totalTokens")
    draft.move({"ai.prompt.messages": otel.GEN_AI_INPUT_MESSAGES}, conversation)
    tools = entries(draft.take_parsed("ai.prompt.tools"))
    if tools:
        draft.put(otel.GEN_AI_TOOL_DEFINITIONS, [tool_definition(tool) for tool in tools])
    wait_ms = number(draft.get("ai.response.msToFirstChunk"))
    if wait_ms is not None:
        draft.take("ai.response.msToFirstChunk")
        draft.put(otel.GEN_AI_RESPONSE_TIME_TO_FIRST_CHUNK, wait_ms / 1000.0)
    answer = _answer(draft)
    if answer:
        draft.put(otel.GEN_AI_OUTPUT_MESSAGES, [answer])
    given = draft.take("ai.response.finishReason")
    reasons = entries(parsed(draft.get(otel.GEN_AI_RESPONSE_FINISH_REASONS))) or [given]
    # Written with a dash here, with an underscore where they come from.
    said = [reason.replace("-", "_") for reason in reasons if isinstance(reason, str)]
    if said:
        draft.attributes[otel.GEN_AI_RESPONSE_FINISH_REASONS] = said


def _cached(draft: Draft) -> None:
    """Before version 6 the input of Anthropic's models is without what the cache had or took."""
    provider = draft.get("gen_ai.system")
    if not isinstance(provider, str) or not provider.startswith("anthropic"):
        return
    if "ai.usage.inputTokenDetails.noCacheTokens" in draft.attributes:
        return
    used = number(draft.get("ai.usage.inputTokens"))
    metadata = mapping(mapping(parsed(draft.get("ai.response.providerMetadata"))).get("anthropic"))
    written = number(metadata.get("cacheCreationInputTokens"))
    read = number(draft.get("ai.usage.cachedInputTokens"))
    if used is not None:
        draft.attributes[otel.GEN_AI_USAGE_INPUT_TOKENS] = used + (read or 0) + (written or 0)
        draft.put(otel.GEN_AI_USAGE_CACHE_CREATION_INPUT_TOKENS, written)


def _answer(draft: Draft) -> Message:
    parts: list[Part] = []
    reasoning = text(draft.take("ai.response.reasoning"))
    if reasoning:
        parts.append(make.reasoning(reasoning))
    for key in ("ai.response.text", "ai.result.text", "ai.response.object", "ai.result.object"):
        given = draft.take(key)
        if isinstance(given, str) and given:
            parts.append(make.text(given))
            break
    for key in ("ai.response.toolCalls", "ai.result.toolCalls"):
        for call in entries(draft.take_parsed(key)):
            found = mapping(call)
            arguments = found.get("input", found.get("args"))
            call_id, name = text(found.get("toolCallId")), text(found.get("toolName"))
            parts.append(make.tool_call(call_id, name, arguments))
    return make.message("assistant", parts) if parts else {}


def _around(draft: Draft) -> None:
    """`ai.generateText` and its like: an agent, whose calls are spans of their own."""
    draft.put(otel.GEN_AI_OPERATION_NAME, "invoke_agent")
    draft.put("gen_ai.agent.name", draft.get("ai.telemetry.functionId"))
    draft.move({"ai.model.id": otel.GEN_AI_REQUEST_MODEL})
    given = mapping(parsed(draft.get("ai.prompt")))
    if given:
        draft.take("ai.prompt")
        asked = given.get("messages", given.get("prompt"))
        messages = conversation(asked) or []
        system = text(given.get("system"))
        if system:
            messages.insert(0, make.message("system", [make.text(system)]))
        if messages and (is_conversation(asked) or isinstance(asked, str)):
            draft.put(otel.GEN_AI_INPUT_MESSAGES, messages)
        else:
            draft.put(own.PEEKR_INPUT, given)
    answer = _answer(draft)
    if answer:
        draft.put(otel.GEN_AI_OUTPUT_MESSAGES, [answer])
    draft.attributes.pop("ai.response.finishReason", None)


def _embeddings(draft: Draft) -> None:
    draft.put(otel.GEN_AI_OPERATION_NAME, "embeddings")
    draft.move(_CALL)
    draft.move(_COUNTS, number)
    texts = _embedding_input(draft, None)
    if texts:
        draft.put(otel.GEN_AI_INPUT_MESSAGES, conversation(texts))


def _embedding_input(draft: Draft, key: Any) -> list[str]:
    texts: list[str] = []
    for name in ("ai.value", "ai.values"):
        given = draft.take(name)
        for value in entries(given) or ([given] if isinstance(given, str) else []):
            # Each text is written as JSON.
            read = _unquoted(value)
            if isinstance(read, str):
                texts.append(read)
    if texts and key is not None:
        draft.put_value(key, texts if len(texts) > 1 else texts[0])
    # The vectors themselves are never kept.
    vectors = entries(draft.take("ai.embeddings")) or [draft.take("ai.embedding")]
    if vectors != [None]:
        draft.put(own.PEEKR_EMBEDDINGS_COUNT, len(vectors))
    return texts


def _unquoted(value: Any) -> Any:
    if isinstance(value, str) and value[:1] == '"' == value[-1:] and len(value) > 1:
        made = entries(parsed(f"[{value}]"))
        return made[0] if made else value
    return value
