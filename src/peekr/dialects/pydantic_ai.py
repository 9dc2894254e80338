"""pydantic-ai: messages as a JSON list of events, and agents whose usage is that of their calls."""

from __future__ import annotations

from typing import Any, NamedTuple

from peekr.dialects.conventions import read_events
from peekr.dialects.draft import Draft, entries, mapping, parsed
from peekr.dialects.wire import conversation
from peekr.messages import Message
from peekr.semconv import otel, own

__all__ = ["MARKERS", "translate"]

_EVENTS = "all_messages_events"
_MESSAGES = "pydantic_ai.all_messages"
MARKERS = frozenset((_EVENTS, _MESSAGES, "agent_name", "model_request_parameters", "events"))


class _Event(NamedTuple):
    name: str
    attributes: dict[str, Any]


def translate(draft: Draft) -> None:
    """Give a span of pydantic-ai today's names."""
    if not draft.scope.startswith("pydantic-ai") and not draft.has_any(
        frozenset((_EVENTS, _MESSAGES))
    ):
        return
    given = _events(draft.get("events"))
    if given:
        draft.take("events")
        draft.events += given
    if draft.has_any(frozenset(("agent_name", _EVENTS, _MESSAGES))):
        _agent(draft)
    draft.move(
        {
            "tool_arguments": otel.GEN_AI_TOOL_CALL_ARGUMENTS,
            "tool_response": otel.GEN_AI_TOOL_CALL_RESULT,
        }
    )
    if draft.has_any(frozenset((otel.GEN_AI_TOOL_CALL_ARGUMENTS,))):
        draft.put(otel.GEN_AI_OPERATION_NAME, "execute_tool")


def _agent(draft: Draft) -> None:
    draft.put(otel.GEN_AI_OPERATION_NAME, "invoke_agent")
    draft.move({"agent_name": "gen_ai.agent.name", "model_name": otel.GEN_AI_REQUEST_MODEL})
    messages = conversation(draft.get(_MESSAGES))
    if messages is not None:
        draft.take(_MESSAGES)
    else:
        inner = Draft({}, _events(draft.get(_EVENTS)))
        read_events(inner)
        if inner.attributes:
            draft.take(_EVENTS)
        messages = [
            *entries(inner.get(otel.GEN_AI_INPUT_MESSAGES)),
            *entries(inner.get(otel.GEN_AI_OUTPUT_MESSAGES)),
        ]
    asked, answered = _split(messages)
    if asked:
        draft.put(otel.GEN_AI_INPUT_MESSAGES, asked)
    if answered:
        draft.put(otel.GEN_AI_OUTPUT_MESSAGES, answered)
    result = parsed(draft.get("final_result"))
    if answered and answered[-1]["parts"] == [{"type": "text", "content": result}]:
        draft.take("final_result")
    elif result is not None and not answered:
        draft.take("final_result")
        draft.put_value(own.PEEKR_OUTPUT, result)


def _split(messages: list[Message]) -> tuple[list[Message], list[Message]]:
    """The whole conversation as what went in and what came out."""
    end = len(messages)
    while end and messages[end - 1].get("role") == "assistant":
        end -= 1
    return messages[:end], messages[end:]


def _events(given: Any) -> list[_Event]:
    return [
        _Event(str(mapping(entry)["event.name"]), mapping(entry))
        for entry in entries(parsed(given))
        if "event.name" in mapping(entry)
    ]
