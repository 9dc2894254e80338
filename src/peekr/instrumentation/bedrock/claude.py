"""What Anthropic's messages say in the bodies of `invoke_model`.

Source: "Anthropic Claude Messages API" in Amazon Bedrock's user guide, and Anthropic's API
reference of `POST /v1/messages`.
"""

from __future__ import annotations

from typing import Any, Optional, cast

from peekr.instrumentation.bedrock.form import (
    obj,
    objs,
    parameters,
    sampling,
    text_of,
    whole_input,
)
from peekr.instrumentation.contract import Accumulator, Fault, Request, Response, Usage
from peekr.instrumentation.sound import joined
from peekr.messages import (
    Message,
    Part,
    binary,
    file,
    media,
    message,
    reasoning,
    text,
    tool_call,
    tool_response,
    uri,
)

__all__ = ["ClaudeForm"]


class ClaudeForm:
    """Anthropic's messages."""

    def asks(self, body: dict[str, Any]) -> bool:
        """Whether a request is one of Anthropic's messages."""
        return "messages" in body and "anthropic_version" in body

    def request(self, body: dict[str, Any]) -> Request:
        """Read a request."""
        return Request(
            operation="chat",
            attributes=sampling(body),
            parameters=parameters(body),
            input=[_message(entry) for entry in objs(body.get("messages"))] or None,
            system=_parts(body.get("system") or None) or None,
            tools=[_tool(entry) for entry in objs(body.get("tools"))] or None,
        )

    def answers(self, body: dict[str, Any]) -> bool:
        """Whether an answer or an event is of Anthropic's messages."""
        kind = body.get("type")
        return isinstance(kind, str) and kind.startswith(("message", "content_block"))

    def response(self, body: dict[str, Any]) -> Response:
        """Read a message."""
        reason = body.get("stop_reason")
        parts = _parts(body.get("content"))
        role = text_of(body.get("role")) or "assistant"
        return Response(
            id=body.get("id"),
            model=body.get("model"),
            finish_reasons=[reason] if reason else None,
            usage=_usage(body.get("usage")),
            output=[message(role, parts, finish_reason=reason or "")] if parts else None,
        )

    def accumulator(self) -> Accumulator:
        """Begin a stream of events."""
        return _ClaudeStream(self)


def _usage(counts: Any) -> Optional[Usage]:
    given = obj(counts)
    if not given:
        return None
    read, written = given.get("cache_read_input_tokens"), given.get("cache_creation_input_tokens")
    sent = whole_input(given.get("input_tokens"), read, written)
    hour = obj(given.get("cache_creation")).get("ephemeral_1h_input_tokens") or None
    return Usage(sent, given.get("output_tokens"), read, written, cache_write_1h=hour)


def _tool(entry: dict[str, Any]) -> dict[str, Any]:
    made: dict[str, Any] = {
        "type": "function" if "input_schema" in entry else entry.get("type") or "function",
        "name": entry.get("name"),
    }
    if entry.get("description"):
        made["description"] = entry["description"]
    if "input_schema" in entry:
        made["parameters"] = entry["input_schema"]
    return made


def _message(entry: dict[str, Any]) -> Message:
    parts = _parts(entry.get("content"))
    role = text_of(entry.get("role")) or "user"
    if role == "user" and parts and all(part["type"] == "tool_call_response" for part in parts):
        role = "tool"
    return message(role, parts)


def _parts(content: Any) -> list[Part]:
    if isinstance(content, str):
        return [text(content)]
    return [_part(block) for block in objs(content)]


def _part(block: dict[str, Any]) -> Part:
    kind = text_of(block.get("type"))
    if kind == "text":
        part = text(text_of(block.get("text")))
        if block.get("citations"):
            part["citations"] = block["citations"]
        return part
    if kind in ("tool_use", "server_tool_use", "mcp_tool_use"):
        return tool_call(block.get("id"), block.get("name"), block.get("input"))
    if kind == "tool_result":
        return _tool_result(block)
    if kind.endswith("_tool_result"):
        return tool_response(block.get("tool_use_id"), block.get("content"))
    if kind == "thinking":
        return reasoning(text_of(block.get("thinking")))
    if kind == "redacted_thinking":
        return {**reasoning(""), "redacted": True}
    if kind in ("image", "document"):
        return _media(kind, block)
    return {"type": kind or "unknown"}


def _tool_result(block: dict[str, Any]) -> Part:
    content = block.get("content")
    response: Any = content
    if isinstance(content, list):
        parts = _parts(cast("Any", content))
        response = parts[0]["content"] if len(parts) == 1 and "text" in parts[0]["type"] else parts
    part = tool_response(block.get("tool_use_id"), response)
    if block.get("is_error"):
        part["status"] = "error"
    return part


def _media(kind: str, block: dict[str, Any]) -> Part:
    source, title = obj(block.get("source")), block.get("title")
    mime_type = source.get("media_type")
    modality = "image" if kind == "image" else media(mime_type)
    held = source.get("type")
    if held == "url":
        return uri(modality, text_of(source.get("url")), mime_type, filename=title)
    if held == "file":
        return file(modality, text_of(source.get("file_id")), mime_type, filename=title)
    if held in ("text", "content"):
        written = source.get("data")
        if written is None:
            content = source.get("content")
            written = content if isinstance(content, str) else _parts(content)
        return {"type": "document", "filename": title, "content": written}
    return binary(modality, source.get("data"), mime_type, filename=title)


class _ClaudeStream:
    """Puts the events of a stream together to the message that a plain call would give."""

    __slots__ = ("_blocks", "_complete", "_fault", "_form", "_message", "_pieces", "_usage")

    def __init__(self, form: ClaudeForm) -> None:
        self._form = form
        self._message: dict[str, Any] = {}
        self._blocks: dict[Any, dict[str, Any]] = {}
        self._pieces: dict[Any, dict[str, list[str]]] = {}
        self._usage: dict[str, Any] = {}
        self._complete = False
        self._fault: Optional[Fault] = None

    def add(self, chunk: Any) -> None:
        """Take an event's JSON."""
        event = cast("dict[str, Any]", chunk)
        kind = event.get("type")
        if kind == "content_block_delta":
            pieces = self._pieces.setdefault(_place(event), {})
            for name, value in obj(event.get("delta")).items():
                if name in _DELTAS and isinstance(value, str):
                    pieces.setdefault(name, []).append(value)
        elif kind == "content_block_start":
            self._blocks[_place(event)] = obj(event.get("content_block"))
        elif kind == "message_start":
            self._message = dict(obj(event.get("message")))
            self._usage = dict(obj(self._message.get("usage")))
        elif kind == "message_delta":
            # The counts here are the totals so far; what it leaves out stands as it was.
            self._message.update(_given(event.get("delta")))
            self._usage.update(_given(event.get("usage")))
        elif kind == "message_stop":
            self._complete = True
        elif kind == "error":
            detail = obj(event.get("error"))
            name = str(detail.get("type") or kind)
            self._fault = Fault(name, text_of(detail.get("message")) or name)

    def response(self) -> Response:
        """What has arrived."""
        content: list[dict[str, Any]] = []
        for index in sorted({*self._blocks, *self._pieces}):
            block = dict(self._blocks.get(index, {"type": "text"}))
            for name, pieces in self._pieces.get(index, {}).items():
                target = _DELTAS[name]
                before = block.get(target)
                block[target] = (before if isinstance(before, str) else "") + joined(pieces)
            if block.get("type") != "text" or block.get("text"):
                content.append(block)
        response = self._form.response({**self._message, "content": content, "usage": self._usage})
        response.complete = self._complete
        response.fault = self._fault
        return response


# The pieces of a block, and the field of the block that they make up.
_DELTAS = {"text": "text", "thinking": "thinking", "partial_json": "input"}


def _place(event: dict[str, Any]) -> int:
    index: Any = event.get("index")
    return index if index.__class__ is int else 0


def _given(values: Any) -> dict[str, Any]:
    return {key: value for key, value in obj(values).items() if value is not None}
