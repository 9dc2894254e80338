"""A recorded model call as a line of training data for OpenAI's fine-tuning.

Source: `FineTuneChatRequestInput` in OpenAI's OpenAPI document: messages of the roles system, user,
assistant and tool, of text or images; tools; the last message is what is learned.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any, Optional, cast

from peekr.encoding import dumps, loads
from peekr.record import SpanRecord
from peekr.semconv import otel, own

__all__ = ["NotTrainableError", "example"]

_NOT_IN_A_NAME = re.compile(r"[^a-zA-Z0-9_-]")
_MAX_NAME_CHARS = 64
_CUT = re.compile(r"\[\d+ (?:characters|items|entries|keys) cut\]|\[(?:deeper levels )?cut\]")
_ROLES = {
    "system": "system",
    "developer": "system",
    "user": "user",
    "assistant": "assistant",
    "model": "assistant",
    "tool": "tool",
    "function": "tool",
}
_EMBEDDINGS = "embeddings"


class NotTrainableError(Exception):
    """A trace holds nothing to learn from; the message says why in a few words."""


def example(spans: Iterable[SpanRecord]) -> dict[str, Any]:
    """The training example of a trace: its last successful model call, with what led to it.

    In an agent's trace that call has been sent the conversation so far, tool calls and results
    included, and gave the answer that was rated. Calls that Peekr made itself do not count.

    Args:
        spans: The records of one trace.

    Returns:
        `{"messages": [...], "tools": [...]}`; `tools` where functions were recorded.

    Raises:
        NotTrainableError: no such call, or its content is missing, cut or not text or an image.
    """
    calls = [span for span in spans if _is_model_call(span)]
    if not calls:
        raise NotTrainableError("no model call")
    ended = [span for span in calls if span.status != "error"]
    if not ended:
        raise NotTrainableError("no successful model call")
    last = max(ended, key=lambda span: (span.end_time or span.start_time, span.start_time))
    messages = _Conversation()
    for message in _input(last):
        messages.add(message)
    for message in _output(last):
        messages.add({**message, "role": "assistant"})
    made: dict[str, Any] = {"messages": messages.finished()}
    tools = _tools(last.attributes.get(otel.GEN_AI_TOOL_DEFINITIONS))
    if tools:
        made["tools"] = tools
    # Where it was recorded, for the mark of a shortened list stands beside what a line takes.
    told = [last.attributes.get("input"), last.attributes.get("output"), made]
    if _CUT.search(dumps(told).decode("utf-8")):
        raise NotTrainableError("content was cut when it was recorded")
    return made


def _is_model_call(span: SpanRecord) -> bool:
    attributes = span.attributes
    if attributes.get(own.PEEKR_INTERNAL):
        return False
    operation = attributes.get(otel.GEN_AI_OPERATION_NAME)
    if operation in (_EMBEDDINGS, "execute_tool", "invoke_agent", "create_agent"):
        return False
    if span.name.endswith((".embeddings", ".embed_content")):
        return False
    return operation is not None or "model" in attributes


def _input(span: SpanRecord) -> list[dict[str, Any]]:
    value = _parsed(span.attributes.get("input"))
    if isinstance(value, str) and value:
        return [{"role": "user", "content": value}]
    return _messages(value, "input")


def _output(span: SpanRecord) -> list[dict[str, Any]]:
    value = _parsed(span.attributes.get("output"))
    if isinstance(value, str) and value:
        return [{"content": value}]
    messages = _messages(value, "output")
    # Several choices are several answers to one question.
    count = span.attributes.get(otel.GEN_AI_REQUEST_CHOICE_COUNT)
    return messages[:1] if isinstance(count, int) and count > 1 else messages


def _parsed(value: Any) -> Any:
    """Messages that an earlier version stored as JSON text."""
    if isinstance(value, str) and value.startswith('[{"'):
        try:
            found = loads(value)
        except ValueError:
            return value
        if isinstance(found, list) and all(
            isinstance(entry, dict) and "role" in entry for entry in cast("list[Any]", found)
        ):
            return cast("Any", found)
    return value


def _messages(value: Any, what: str) -> list[dict[str, Any]]:
    if not isinstance(value, list) or not value:
        raise NotTrainableError(f"no {what} was recorded")
    entries = cast("list[Any]", value)
    if not all(isinstance(entry, dict) for entry in entries):
        raise NotTrainableError(f"the {what} is no conversation")
    return cast("list[dict[str, Any]]", entries)


class _Conversation:
    """Messages in the form of the API, checked as they come."""

    def __init__(self) -> None:
        self._messages: list[dict[str, Any]] = []
        self._open: list[str] = []  # calls that no tool has answered yet
        self._calls = 0

    def add(self, message: dict[str, Any]) -> None:
        """Add a message in the record's form.

        Raises:
            NotTrainableError: the API would refuse it.
        """
        role = _ROLES.get(str(message.get("role")))
        if role is None:
            raise NotTrainableError(f"a message of the role {str(message.get('role'))[:40]}")
        if role == "tool":
            self._add_result(message)
            return
        if self._open:
            raise NotTrainableError("a tool call without its result")
        content = _content(message.get("content"), images=role == "user")
        calls = message.get("tool_calls")
        made: dict[str, Any] = {"role": role}
        if content:
            made["content"] = content
        if role == "assistant" and isinstance(calls, list):
            made_calls = [self._call(call) for call in cast("list[Any]", calls)]
            if made_calls:
                made["tool_calls"] = made_calls
        if len(made) > 1:  # the API refuses empty ones, and they say nothing
            self._messages.append(made)

    def finished(self) -> list[dict[str, Any]]:
        """The messages.

        Raises:
            NotTrainableError: the last is no answer, or there is nothing before it.
        """
        if not self._messages or self._messages[-1]["role"] != "assistant":
            raise NotTrainableError("no answer was recorded")
        if not any(message["role"] == "user" for message in self._messages):
            raise NotTrainableError("no question was recorded")
        return self._messages

    def _call(self, call: Any) -> dict[str, Any]:
        held = cast("dict[str, Any]", call) if isinstance(call, dict) else {}
        inner = held.get("function")
        if isinstance(inner, dict):  # as OpenAI has it
            held = {**held, **cast("dict[str, Any]", inner)}
        name = held.get("name")
        if not isinstance(name, str) or not name:
            raise NotTrainableError("a tool call without a name")
        self._calls += 1
        call_id = held.get("id")
        if not isinstance(call_id, str) or not call_id:
            call_id = f"call_{self._calls}"  # not every provider gives ids
        self._open.append(call_id)
        arguments = held.get("arguments")
        if arguments is None:
            arguments = {}
        text = arguments if isinstance(arguments, str) else dumps(arguments).decode("utf-8")
        return {
            "id": call_id,
            "type": "function",
            "function": {"name": _name(name), "arguments": text},
        }

    def _add_result(self, message: dict[str, Any]) -> None:
        call_id = message.get("tool_call_id")
        if not isinstance(call_id, str) or call_id not in self._open:
            if call_id or not self._open:
                raise NotTrainableError("a tool's result without its call")
            call_id = self._open[0]
        self._open.remove(call_id)
        content = message.get("content")
        if not isinstance(content, str):
            text = _text_of_parts(content)
            content = dumps(content).decode("utf-8") if text is None else text
        self._messages.append({"role": "tool", "tool_call_id": call_id, "content": content})


def _content(content: Any, *, images: bool) -> Any:
    """Content as the API takes it: text, or parts of text and images; empty where there is none."""
    if content is None or isinstance(content, str):
        return content or ""
    if not isinstance(content, list):
        raise NotTrainableError("content that is no text")
    parts: list[dict[str, Any]] = []
    for part in cast("list[Any]", content):
        made = _part(part, images=images)
        if made is not None:
            parts.append(made)
    if all(part["type"] == "text" for part in parts):
        return "".join(part["text"] for part in parts)
    return parts


def _part(part: Any, *, images: bool) -> Optional[dict[str, Any]]:
    held = cast("dict[str, Any]", part) if isinstance(part, dict) else {}
    kind = held.get("type")
    if kind == "text":
        text = held.get("content") or held.get("text") or ""
        return {"type": "text", "text": text} if isinstance(text, str) and text else None
    if kind == "reasoning":
        return None  # the API does not take it
    address = held.get("uri")
    if (
        images
        and kind == "uri"
        and held.get("modality") == "image"
        and isinstance(address, str)
        and address.startswith(("http://", "https://"))
    ):
        return {"type": "image_url", "image_url": {"url": address}}
    raise NotTrainableError(f"content of the kind {str(held.get('modality') or kind)[:40]}")


def _text_of_parts(content: Any) -> Optional[str]:
    if not isinstance(content, list):
        return None
    try:
        text = _content(content, images=False)
    except NotTrainableError:
        return None
    return text if isinstance(text, str) and text else None


def _tools(definitions: Any) -> list[dict[str, Any]]:
    if not isinstance(definitions, list):
        return []
    tools: list[dict[str, Any]] = []
    for definition in cast("list[Any]", definitions):
        held = cast("dict[str, Any]", definition) if isinstance(definition, dict) else {}
        name = held.get("name")
        if held.get("type") != "function" or not isinstance(name, str) or not name:
            continue  # built into a provider: no function that could be learned
        function: dict[str, Any] = {"name": _name(name)}
        for key in ("description", "parameters", "strict"):
            if held.get(key) is not None:
                function[key] = held[key]
        tools.append({"type": "function", "function": function})
    return tools


def _name(name: str) -> str:
    return _NOT_IN_A_NAME.sub("_", name)[:_MAX_NAME_CHARS]
