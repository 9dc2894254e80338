"""What chat completions in OpenAI's form say: Mistral, AI21 Jamba, DeepSeek, Qwen, gpt-oss, …

Source: the pages of these models in Amazon Bedrock's user guide. Some name a field otherwise:
Mistral's `stop_reason`, DeepSeek's `text`.
"""

from __future__ import annotations

from typing import Any, Optional, cast

from peekr.instrumentation.bedrock.form import obj, objs, parameters, sampling, text_of
from peekr.instrumentation.contract import Accumulator, Request, Response, Usage
from peekr.messages import (
    Message,
    Part,
    binary,
    message,
    reasoning,
    text,
    tool_call,
    tool_response,
    uri,
)
from peekr.semconv import otel

__all__ = ["ChatForm"]


class ChatForm:
    """Messages in OpenAI's form, and answers in its choices."""

    def asks(self, body: dict[str, Any]) -> bool:
        """Whether a request has messages."""
        return "messages" in body

    def request(self, body: dict[str, Any]) -> Request:
        """Read a request."""
        attributes = sampling(body)
        kind = obj(body.get("response_format")).get("type")
        if kind in ("json_object", "json_schema"):
            attributes[otel.GEN_AI_OUTPUT_TYPE] = "json"
        return Request(
            operation="chat",
            attributes=attributes,
            parameters=parameters(body),
            input=[_message(entry) for entry in objs(body.get("messages"))] or None,
            tools=[_tool(entry) for entry in objs(body.get("tools"))] or None,
        )

    def answers(self, body: dict[str, Any]) -> bool:
        """Whether an answer or a chunk has choices."""
        return "choices" in body

    def response(self, body: dict[str, Any]) -> Response:
        """Read an answer."""
        reasons: list[str] = []
        output: list[Message] = []
        for choice in objs(body.get("choices")):
            reason = _reason(choice)
            parts = _answer_parts(_said(choice))
            if parts:
                role = text_of(_said(choice).get("role")) or "assistant"
                output.append(message(role, parts, finish_reason=reason or ""))
            if reason:
                reasons.append(reason)
        return Response(
            id=body.get("id"),
            model=body.get("model"),
            finish_reasons=reasons or None,
            usage=_usage(body.get("usage")),
            output=output or None,
        )

    def accumulator(self) -> Accumulator:
        """Begin a stream of chunks."""
        return _ChatStream(self)


def _usage(counts: Any) -> Optional[Usage]:
    given = obj(counts)
    if not given:
        return None
    sent, made = (
        obj(given.get("prompt_tokens_details")),
        obj(given.get("completion_tokens_details")),
    )
    return Usage(
        input=given.get("prompt_tokens"),
        output=given.get("completion_tokens"),
        cache_read=sent.get("cached_tokens"),
        reasoning=made.get("reasoning_tokens"),
    )


def _said(choice: dict[str, Any]) -> dict[str, Any]:
    """What a choice says: a message, a chunk's delta, or a bare text."""
    said = obj(choice.get("message")) or obj(choice.get("delta"))
    if not said and "text" in choice:
        return {"content": choice["text"]}
    return said


def _reason(choice: dict[str, Any]) -> Optional[str]:
    reason = choice.get("finish_reason") or choice.get("stop_reason")
    return reason if isinstance(reason, str) else None


def _tool(entry: dict[str, Any]) -> dict[str, Any]:
    kind = text_of(entry.get("type")) or "function"
    source = obj(entry.get(kind)) or entry
    made: dict[str, Any] = {"type": kind, "name": source.get("name")}
    made.update({k: v for k, v in source.items() if k not in made and v is not None})
    return made


def _message(entry: dict[str, Any]) -> Message:
    role = text_of(entry.get("role")) or "user"
    content = entry.get("content")
    if role == "tool":
        response = content if isinstance(content, str) else _parts(content)
        return message("tool", [tool_response(entry.get("tool_call_id"), response)])
    return message(role, _answer_parts(entry), name=entry.get("name"))


def _answer_parts(said: dict[str, Any]) -> list[Part]:
    parts: list[Part] = []
    thought = said.get("reasoning_content") or said.get("reasoning")
    if isinstance(thought, str) and thought:
        parts.append(reasoning(thought))
    parts += _parts(said.get("content"))
    for call in objs(said.get("tool_calls")):
        function = obj(call.get("function"))
        parts.append(tool_call(call.get("id"), function.get("name"), function.get("arguments")))
    if not parts and said.get("content") == "":
        parts.append(text(""))
    return parts


def _parts(content: Any) -> list[Part]:
    if isinstance(content, str):
        return [text(content)] if content else []
    return [_part(block) for block in objs(content)]


def _part(block: dict[str, Any]) -> Part:
    kind = text_of(block.get("type"))
    if kind == "text" or (not kind and "text" in block):
        return text(text_of(block.get("text")))
    if kind == "image_url":
        held = block.get("image_url")
        return uri("image", held if isinstance(held, str) else text_of(obj(held).get("url")))
    if kind == "input_audio":
        audio = obj(block.get("input_audio"))
        return binary("audio", audio.get("data"), f"audio/{audio.get('format')}")
    if kind == "thinking":
        return reasoning("".join(text_of(e.get("text")) for e in objs(block.get("thinking"))))
    return {"type": kind or "unknown"}


class _Choice:
    """One choice as far as it has come."""

    __slots__ = ("calls", "content", "reason", "role", "thought")

    def __init__(self) -> None:
        self.role = "assistant"
        self.content: list[str] = []
        self.thought: list[str] = []
        self.calls: dict[Any, dict[str, Any]] = {}
        self.reason: Optional[str] = None

    def whole(self) -> dict[str, Any]:
        calls = [
            {**call, "function": {**call["function"], "arguments": "".join(call["pieces"])}}
            for call in self.calls.values()
        ]
        said = {
            "role": self.role,
            "reasoning_content": "".join(self.thought),
            "content": "".join(self.content),
            "tool_calls": calls,
        }
        return {"message": said, "finish_reason": self.reason}


class _ChatStream:
    """Puts chunks together to the answer that a plain call would give."""

    __slots__ = ("_choices", "_form", "_head", "_usage")

    def __init__(self, form: ChatForm) -> None:
        self._form = form
        self._choices: dict[int, _Choice] = {}
        self._head: dict[str, Any] = {}
        self._usage: Any = None

    def add(self, chunk: Any) -> None:
        """Take a chunk's JSON."""
        event = cast("dict[str, Any]", chunk)
        for key in ("id", "model"):
            if event.get(key):
                self._head[key] = event[key]
        if event.get("usage"):
            self._usage = event["usage"]
        for entry in objs(event.get("choices")):
            index: Any = entry.get("index")
            if index.__class__ is not int:
                index = 0
            choice = self._choices.get(index)
            if choice is None:
                choice = self._choices[index] = _Choice()
            choice.reason = _reason(entry) or choice.reason
            said = _said(entry)
            choice.role = text_of(said.get("role")) or choice.role
            choice.content.append(text_of(said.get("content")))
            thought = said.get("reasoning_content") or said.get("reasoning")
            choice.thought.append(text_of(thought))
            for call in objs(said.get("tool_calls")):
                _add_call(choice, call)

    def response(self) -> Response:
        """What has arrived; complete when every choice has said why it finished."""
        choices = [choice for _, choice in sorted(self._choices.items())]
        response = self._form.response(
            {**self._head, "choices": [c.whole() for c in choices], "usage": self._usage}
        )
        response.complete = bool(choices) and all(choice.reason for choice in choices)
        return response


def _add_call(choice: _Choice, entry: dict[str, Any]) -> None:
    index = entry.get("index")
    if index.__class__ is not int:
        index = text_of(entry.get("id")) or len(choice.calls)
    call = choice.calls.get(index)
    if call is None:
        call = choice.calls[index] = {"id": None, "function": {}, "pieces": []}
    call["id"] = entry.get("id") or call["id"]
    function = obj(entry.get("function"))
    if function.get("name"):
        call["function"]["name"] = function["name"]
    arguments = function.get("arguments")
    if isinstance(arguments, str):
        call["pieces"].append(arguments)
