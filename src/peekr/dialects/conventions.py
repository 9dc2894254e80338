"""OpenTelemetry's GenAI conventions of earlier generations, and what instrumentations add to them.

From 1.27 on: `gen_ai.system`, `gen_ai.usage.prompt_tokens`, content in `gen_ai.prompt` and
`gen_ai.completion` or in events, of the span or beside it as log records.
"""

from __future__ import annotations

from typing import Any, Optional

from peekr.dialects.draft import Draft, entries, mapping, number, parsed, text
from peekr.dialects.providers import provider_name
from peekr.dialects.wire import conversation, message_of, tool_definition
from peekr.messages import Message
from peekr.semconv import otel, own

__all__ = ["MARKERS", "read_events", "translate"]

_SYSTEM = "gen_ai.system"
_PROMPT = "gen_ai.prompt"
_COMPLETION = "gen_ai.completion"

MARKERS = frozenset(
    (
        _SYSTEM,
        otel.GEN_AI_PROVIDER_NAME,
        otel.GEN_AI_OPERATION_NAME,
        otel.GEN_AI_REQUEST_MODEL,
        otel.GEN_AI_RESPONSE_MODEL,
        otel.GEN_AI_INPUT_MESSAGES,
        otel.GEN_AI_USAGE_INPUT_TOKENS,
        "gen_ai.usage.prompt_tokens",
        "gen_ai.agent.name",
        otel.GEN_AI_TOOL_NAME,
        _PROMPT,
        _COMPLETION,
    )
)

_COUNTS = {
    "gen_ai.usage.prompt_tokens": otel.GEN_AI_USAGE_INPUT_TOKENS,
    "gen_ai.usage.completion_tokens": otel.GEN_AI_USAGE_OUTPUT_TOKENS,
    "gen_ai.usage.cache_read_input_tokens": otel.GEN_AI_USAGE_CACHE_READ_INPUT_TOKENS,
    "gen_ai.usage.input_tokens.cached": otel.GEN_AI_USAGE_CACHE_READ_INPUT_TOKENS,
    "gen_ai.usage.details.cache_read_tokens": otel.GEN_AI_USAGE_CACHE_READ_INPUT_TOKENS,
    "gen_ai.usage.details.cached_tokens": otel.GEN_AI_USAGE_CACHE_READ_INPUT_TOKENS,
    "gen_ai.usage.cache_creation_input_tokens": otel.GEN_AI_USAGE_CACHE_CREATION_INPUT_TOKENS,
    "gen_ai.usage.cache_write.input_tokens": otel.GEN_AI_USAGE_CACHE_CREATION_INPUT_TOKENS,
    "gen_ai.usage.details.cache_write_tokens": otel.GEN_AI_USAGE_CACHE_CREATION_INPUT_TOKENS,
    "gen_ai.usage.reasoning_tokens": otel.GEN_AI_USAGE_REASONING_OUTPUT_TOKENS,
    "gen_ai.usage.output_tokens.reasoning": otel.GEN_AI_USAGE_REASONING_OUTPUT_TOKENS,
    "gen_ai.usage.details.reasoning_tokens": otel.GEN_AI_USAGE_REASONING_OUTPUT_TOKENS,
}
_TOKENS = (
    otel.GEN_AI_USAGE_INPUT_TOKENS,
    otel.GEN_AI_USAGE_OUTPUT_TOKENS,
    otel.GEN_AI_USAGE_CACHE_READ_INPUT_TOKENS,
    otel.GEN_AI_USAGE_CACHE_CREATION_INPUT_TOKENS,
    otel.GEN_AI_USAGE_REASONING_OUTPUT_TOKENS,
)
_RENAMED = {
    "gen_ai.openai.request.seed": otel.GEN_AI_REQUEST_SEED,
    "gen_ai.openai.request.service_tier": otel.OPENAI_REQUEST_SERVICE_TIER,
    "gen_ai.openai.response.service_tier": otel.OPENAI_RESPONSE_SERVICE_TIER,
    "gen_ai.openai.response.system_fingerprint": otel.OPENAI_RESPONSE_SYSTEM_FINGERPRINT,
    "gen_ai.openai.system_fingerprint": otel.OPENAI_RESPONSE_SYSTEM_FINGERPRINT,
    "gen_ai.request.is_stream": otel.GEN_AI_REQUEST_STREAM,
    "gen_ai.is_streaming": otel.GEN_AI_REQUEST_STREAM,
    "enduser.id": otel.USER_ID,
}
_TOOL = {
    "gen_ai.tool.args": otel.GEN_AI_TOOL_CALL_ARGUMENTS,
    "gen_ai.tool.call.output": otel.GEN_AI_TOOL_CALL_RESULT,
}
# Around model calls, whose usage they repeat.
_AROUND = ("invoke_agent", "invoke_workflow", "create_agent", "execute_tool")
_MESSAGES = {
    "gen_ai.system.message": "system",
    "gen_ai.user.message": "user",
    "gen_ai.assistant.message": "assistant",
    "gen_ai.tool.message": "tool",
}
_DETAILS = "gen_ai.client.inference.operation.details"


def translate(draft: Draft) -> None:
    """Give what earlier generations wrote today's names."""
    draft.move({_SYSTEM: otel.GEN_AI_PROVIDER_NAME})
    provider = provider_name(draft.get(otel.GEN_AI_PROVIDER_NAME))
    if provider:
        draft.attributes[otel.GEN_AI_PROVIDER_NAME] = provider
    draft.move(_COUNTS, number)
    draft.move(_RENAMED)
    if draft.get(otel.GEN_AI_OPERATION_NAME) == "execute_tool":
        draft.move(_TOOL)
    _usage(draft)
    read_events(draft)
    _prompt(draft)
    _reasons(draft)
    _cost(draft)
    for key in (otel.GEN_AI_INPUT_MESSAGES, otel.GEN_AI_OUTPUT_MESSAGES):
        _messages(draft, key)
    _system(draft)
    definitions = entries(parsed(draft.get(otel.GEN_AI_TOOL_DEFINITIONS)))
    if definitions:
        draft.attributes[otel.GEN_AI_TOOL_DEFINITIONS] = [
            tool_definition(given) for given in definitions
        ]
    _operation(draft)
    draft.put(otel.SESSION_ID, text(draft.get(otel.GEN_AI_CONVERSATION_ID)))


def _usage(draft: Draft) -> None:
    for key in _TOKENS:
        given = draft.get(key)
        if isinstance(given, str):
            count = number(given)
            if count is not None:
                draft.attributes[key] = count
    used = [draft.get(key) for key in _TOKENS[:2]]
    total = number(draft.get("gen_ai.usage.total_tokens"))
    if total is not None and total == sum(number(count) or 0 for count in used):
        draft.take("gen_ai.usage.total_tokens")


def _operation(draft: Draft) -> None:
    operation = draft.get(otel.GEN_AI_OPERATION_NAME)
    if operation is None:
        content = (otel.GEN_AI_INPUT_MESSAGES, otel.GEN_AI_OUTPUT_MESSAGES)
        if any(key in draft.attributes for key in (otel.GEN_AI_REQUEST_MODEL, *content)):
            draft.attributes[otel.GEN_AI_OPERATION_NAME] = "chat"
    elif operation in _AROUND:
        for key in _TOKENS:
            if key in draft.attributes:
                # The calls inside have it too: it must not be counted twice.
                name = key.replace("gen_ai.usage.", "gen_ai.aggregated_usage.")
                draft.put(name, draft.take(key))


def read_events(draft: Draft) -> None:
    """Take the content out of events."""
    inputs: list[Message] = []
    outputs: list[tuple[float, Message]] = []
    kept: list[Any] = []
    for event in draft.events:
        name = event.name
        if not isinstance(name, str) or not name.startswith("gen_ai."):
            kept.append(event)
            continue
        given = dict(event.attributes or {})
        if name in _MESSAGES:
            inputs.append(_event_message(given, _MESSAGES[name]))
        elif name == "gen_ai.choice":
            place = number(given.get("index"))
            outputs.append((len(outputs) if place is None else place, _choice(given)))
        elif name == "gen_ai.content.prompt":
            inputs += conversation(given.get(_PROMPT), "user") or []
        elif name == "gen_ai.content.completion":
            found = conversation(given.get(_COMPLETION), "assistant") or []
            outputs += [(len(outputs) + place, entry) for place, entry in enumerate(found)]
        elif name == _DETAILS:
            for key, value in given.items():
                draft.put(key, value)
        else:
            kept.append(event)
    draft.events = kept
    if inputs:
        draft.put(otel.GEN_AI_INPUT_MESSAGES, inputs)
    if outputs:
        outputs.sort(key=lambda pair: pair[0])
        draft.put(otel.GEN_AI_OUTPUT_MESSAGES, [entry for _, entry in outputs])


def _event_message(given: dict[str, Any], role: str) -> Message:
    content = parsed(given.get("gen_ai.event.content"))
    given = {**given, **mapping(content)}
    read = {key: value if key == "content" else parsed(value) for key, value in given.items()}
    return message_of(read, role)


def _choice(given: dict[str, Any]) -> Message:
    given = {**given, **mapping(parsed(given.get("gen_ai.event.content")))}
    inner = parsed(given.get("message"))
    message = {"role": "assistant", **mapping(inner)}
    if isinstance(inner, str):
        message["content"] = inner
    for key in ("content", "tool_calls", "finish_reason"):
        if key in given and key not in message:
            message[key] = parsed(given[key]) if key == "tool_calls" else given[key]
    return message_of(message, "assistant")


def _prompt(draft: Draft) -> None:
    """Content in attributes, as JSON text or plain text."""
    for old, new, role in (
        (_PROMPT, otel.GEN_AI_INPUT_MESSAGES, "user"),
        (_COMPLETION, otel.GEN_AI_OUTPUT_MESSAGES, "assistant"),
    ):
        if old in draft.attributes:
            made = conversation(draft.get(old), role)
            if made is not None:
                draft.take(old)
                draft.put(new, made)


def _messages(draft: Draft, key: str) -> None:
    """Messages of any generation in today's form, with the arguments of tool calls parsed."""
    given = entries(parsed(draft.get(key)))
    if not given or not all(map(_is_message, given)):
        return
    made = [message_of(entry) for entry in given]
    if key == otel.GEN_AI_INPUT_MESSAGES:
        for entry in made:
            entry.pop("finish_reason", None)  # of an answer that was sent back
    else:
        reasons = entries(draft.get(otel.GEN_AI_RESPONSE_FINISH_REASONS))
        for entry, reason in zip(made, reasons):
            # `tool_call` here and `tool_calls` there is one reason.
            if str(entry.get("finish_reason")).rstrip("s") == str(reason).rstrip("s"):
                entry.pop("finish_reason", None)
    draft.attributes[key] = made


def _is_message(value: Any) -> bool:
    given = mapping(value)
    if not isinstance(given.get("role"), str):
        return False
    parts: Any = given.get("parts", [])
    return isinstance(parts, list) and all(isinstance(part, dict) for part in entries(parts))


def _system(draft: Draft) -> None:
    """Instructions that are also the first message are kept once."""
    given = parsed(draft.get(otel.GEN_AI_SYSTEM_INSTRUCTIONS))
    if given is None:
        return
    if isinstance(given, str):
        given = [{"type": "text", "content": given}]
    found = draft.get(otel.GEN_AI_INPUT_MESSAGES)
    made = message_of({"role": "system", "parts": given})["parts"]
    first = mapping(entries(found)[0]) if entries(found) else {}
    if first.get("role") == "system" and first.get("parts") == made:
        draft.take(otel.GEN_AI_SYSTEM_INSTRUCTIONS)
    else:
        draft.attributes[otel.GEN_AI_SYSTEM_INSTRUCTIONS] = made


def _reasons(draft: Draft) -> None:
    key = otel.GEN_AI_RESPONSE_FINISH_REASONS
    given = parsed(draft.get(key))
    if given is None:
        given = draft.take("gen_ai.response.finish_reason")
    if given is None:
        said = [
            mapping(entry).get("finish_reason")
            for entry in entries(parsed(draft.get(otel.GEN_AI_OUTPUT_MESSAGES)))
        ]
        given = [reason for reason in said if reason] or None
    if isinstance(given, str):
        given = [given]
    if isinstance(given, (list, tuple)):
        draft.attributes[key] = entries(given)


def _cost(draft: Draft) -> None:
    for key in ("operation.cost", "gen_ai.usage.cost", "gen_ai.cost"):
        cost: Optional[float] = number(draft.get(key))
        # Zero is what is written where no price is known.
        if cost is not None:
            draft.take(key)
            if cost > 0:
                draft.put(own.PEEKR_COST_USD, cost)
