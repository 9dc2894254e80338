"""Anthropic's content blocks as the parts of the conventions' messages.

Source: the API reference of `POST /v1/messages` and the models of anthropic 0.45 to 2.12.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Callable, cast

from peekr.encoding import loads
from peekr.instrumentation.contract import field
from peekr.instrumentation.sound import dumped
from peekr.messages import (
    Part,
    binary,
    file,
    reasoning,
    text,
    tool_call,
    tool_response,
    uri,
)

__all__ = ["entries", "input_role", "parts", "plain"]

# Opaque to everybody but the provider, or media: neither is worth its size in a record.
_LEFT_OUT = frozenset(("data", "signature", "cache_control"))


def parts(content: Any) -> list[Part]:
    """The parts of a message's content: a text, or content blocks of dictionaries or models."""
    if isinstance(content, str):
        return [text(content)]
    made: list[Part] = []
    for block in entries(content):
        part = text(block) if isinstance(block, str) else _part(block)
        cached = field(block, "cache_control")
        if cached is not None:
            part["cache_control"] = plain(cached)
        made.append(part)
    return made


def input_role(role: str, content: list[Part]) -> str:
    """A message's role; Anthropic sends tool results as the user, the conventions as the tool."""
    if role == "user" and content:
        kinds = {part["type"] for part in content}
        if kinds == {"tool_call_response"}:
            return "tool"
    return role


def entries(value: Any) -> list[Any]:
    """The entries of a list or of what can be iterated again; a one-shot iterator is left alone."""
    if isinstance(value, (list, tuple)):
        return list(cast("list[Any]", value))
    if value is None or isinstance(value, (str, bytes, Mapping)) or hasattr(value, "__next__"):
        return []
    return list(cast("Iterable[Any]", value)) if isinstance(value, Iterable) else []


def plain(value: Any) -> Any:
    """JSON values out of dictionaries and the SDK's models, without what is opaque or media."""
    if isinstance(value, (list, tuple)):
        return [plain(entry) for entry in cast("list[Any]", value)]
    if not isinstance(value, Mapping):
        if not callable(getattr(value, "model_dump", None)):
            return value
        value = dumped(value)
    source = cast("Mapping[str, Any]", value)
    if source.get("type") in ("image", "document"):
        return _part(source)
    return {
        key: plain(entry)
        for key, entry in source.items()
        if entry is not None and key not in _LEFT_OUT and not key.startswith("encrypted_")
    }


def _part(block: Any) -> Part:
    kind = str(field(block, "type") or "unknown")
    reader = _READERS.get(kind)
    if reader is not None:
        return reader(block)
    if kind.endswith("_tool_result"):
        return _server_result(block, kind)
    made = plain(block)
    return cast("Part", {**made, "type": kind}) if isinstance(made, dict) else {"type": kind}


def _text(block: Any) -> Part:
    part = text(field(block, "text") or "")
    citations = field(block, "citations")
    if citations and isinstance(citations, (list, tuple)):
        part["citations"] = plain(citations)
    return part


def _thinking(block: Any) -> Part:
    part = reasoning(field(block, "thinking") or "")
    signature = field(block, "signature")
    if signature:
        # Without it the provider does not take its own thinking back.
        part["signature"] = signature
    return part


def _redacted(block: Any) -> Part:
    del block  # encrypted: the provider alone can read it
    return {**reasoning(""), "redacted": True}


def _tool_use(block: Any) -> Part:
    part = tool_call(field(block, "id"), field(block, "name"), _input(block))
    toolset = field(block, "toolset_name")
    if toolset:
        part["toolset_name"] = toolset
    return part


def _server_call(block: Any) -> Part:
    """A tool that runs at the provider, or at an MCP server that the provider calls."""
    name = field(block, "name") or ""
    arguments = _input(block)
    if isinstance(arguments, str):
        try:
            arguments = loads(arguments)
        except ValueError:
            pass  # cut off in the middle of a stream: kept as it came
    detail: dict[str, Any] = {"type": name or "unknown", "arguments": arguments}
    server = field(block, "server_name")
    if server:
        detail["type"] = "mcp"
        detail["server_name"] = server
    return {
        "type": "server_tool_call",
        "id": field(block, "id"),
        "name": name,
        "server_tool_call": detail,
    }


def _server_result(block: Any, kind: str) -> Part:
    detail: dict[str, Any] = {"type": kind, "result": plain(field(block, "content"))}
    if field(block, "is_error") is not None:
        detail["is_error"] = field(block, "is_error")
    return {
        "type": "server_tool_call_response",
        "id": field(block, "tool_use_id"),
        "server_tool_call_response": detail,
    }


def _tool_result(block: Any) -> Part:
    content = field(block, "content")
    response = content if isinstance(content, str) else parts(content)
    part = tool_response(field(block, "tool_use_id"), response)
    if field(block, "is_error"):
        part["is_error"] = True
    return part


def _input(block: Any) -> Any:
    arguments = field(block, "input")
    if isinstance(arguments, (str, dict)):
        return cast("Any", arguments)
    return plain(arguments)


def _media(modality: str) -> Callable[[Any], Part]:
    def read(block: Any) -> Part:
        source = field(block, "source")
        kind = field(source, "type")
        about = {name: field(block, name) for name in ("title", "context")}
        if kind == "base64":
            return binary(modality, field(source, "data"), field(source, "media_type"), **about)
        if kind == "url":
            return uri(modality, str(field(source, "url") or ""), **about)
        if kind == "file":
            return file(modality, str(field(source, "file_id") or ""), **about)
        part: Part = {"type": modality}
        if kind == "text":
            part["mime_type"] = field(source, "media_type") or "text/plain"
            part["content"] = field(source, "data") or ""
        elif kind == "content":
            part["content"] = parts(field(source, "content"))
        part.update({name: value for name, value in about.items() if value is not None})
        return part

    return read


def _search_result(block: Any) -> Part:
    return {
        "type": "search_result",
        "source": field(block, "source"),
        "title": field(block, "title"),
        "content": parts(field(block, "content")),
    }


def _upload(block: Any) -> Part:
    return file("document", str(field(block, "file_id") or ""))


_READERS: dict[str, Callable[[Any], Part]] = {
    "text": _text,
    "thinking": _thinking,
    "redacted_thinking": _redacted,
    "tool_use": _tool_use,
    "tool_result": _tool_result,
    "server_tool_use": _server_call,
    "mcp_tool_use": _server_call,
    "image": _media("image"),
    "document": _media("document"),
    "search_result": _search_result,
    "container_upload": _upload,
}
