"""The messages of a chat in the conventions' form: those that are sent, and the answer.

Source: the API reference of `POST /chat/completions`.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from typing import Any, Optional, cast

from peekr.instrumentation.contract import field, fields
from peekr.instrumentation.openai import client
from peekr.messages import (
    Message,
    Part,
    binary,
    file,
    message,
    reasoning,
    refusal,
    text,
    tool_call,
    tool_response,
    uri,
)

__all__ = [
    "answer",
    "audio_answer",
    "entries",
    "prompt_messages",
    "request_messages",
    "tool_definitions",
]


def prompt_messages(prompt: Any) -> Optional[list[Message]]:
    """A prompt or an embedding's input: text, texts, or token ids (only counted)."""
    if prompt is None:
        return None
    if isinstance(prompt, str):
        return [message("user", [text(prompt)])]
    if not isinstance(prompt, (list, tuple)):
        return None
    given = cast("list[Any]", prompt)
    if given and isinstance(given[0], int):
        return [message("user", [{"type": "tokens", "count": len(given)}])]
    made: list[Message] = []
    for entry in given:
        if isinstance(entry, str):
            made.append(message("user", [text(entry)]))
        elif isinstance(entry, (list, tuple)):
            made.append(
                message("user", [{"type": "tokens", "count": len(cast("list[Any]", entry))}])
            )
    return made


def tool_definitions(tools: Any, functions: Any = None) -> Optional[list[dict[str, Any]]]:
    """Tool definitions in the conventions' form: type, name, description, parameters."""
    made: list[dict[str, Any]] = []
    for tool in entries(tools):
        kind = str(field(tool, "type") or "function")
        inner = field(tool, kind)
        source = inner if inner is not None else tool
        made.append(_definition(kind, source))
    for function in entries(functions):
        made.append(_definition("function", function))
    return made or None


def _definition(kind: str, source: Any) -> dict[str, Any]:
    made: dict[str, Any] = {"type": kind, "name": field(source, "name") or kind}
    if isinstance(source, dict):
        for key, value in cast("dict[str, Any]", source).items():
            if key not in ("type", "name") and value is not None:
                made[key] = value
        return made
    for key in ("description", "parameters", "strict"):
        value = field(source, key)
        if value is not None:
            made[key] = value
    return made


def request_messages(messages: Any) -> Optional[list[Message]]:
    """The messages that are sent; None where there are none to read."""
    if type(messages) is not list and (
        isinstance(messages, (str, bytes)) or not isinstance(messages, Iterable)
    ):
        return None
    return [_request_message(entry) for entry in cast("Iterable[Any]", messages)]


def _request_message(entry: Any) -> Message:
    of_entry = fields(entry)
    role = of_entry.get("role") or "user"
    content = of_entry.get("content")
    name = of_entry.get("name")
    if role == "tool":
        response = content if isinstance(content, str) else _parts(content)
        return message("tool", [tool_response(of_entry.get("tool_call_id"), response)])
    if role == "function":
        return message("tool", [tool_response(None, content)], name=name)
    if len(of_entry) == 2 and isinstance(content, str):
        return message(role, [text(content)])
    return message(role, _answer_parts(of_entry), name=name)


def answer(entry: Any, reason: Optional[str]) -> Message:
    """The message of one choice."""
    of_entry = fields(entry)
    parts = _answer_parts(of_entry)
    return message(of_entry.get("role") or "assistant", parts, finish_reason=reason or "")


def _answer_parts(of_entry: Mapping[str, Any]) -> list[Part]:
    """The parts of a user's or an assistant's message, in the order: thinking, text, calls."""
    parts: list[Part] = []
    # Names of compatible services: DeepSeek's and vLLM's, OpenRouter's.
    thought = of_entry.get("reasoning_content") or of_entry.get("reasoning")
    if isinstance(thought, str) and thought:
        parts.append(reasoning(thought))
    parts += _parts(of_entry.get("content"))
    refused = of_entry.get("refusal")
    if refused:
        parts.append(refusal(refused))
    audio = of_entry.get("audio")
    if audio is not None:
        parts.append(audio_answer(audio))
    calls = of_entry.get("tool_calls")
    if calls:
        parts += [_tool_call(call) for call in entries(calls)]
    function = of_entry.get("function_call")
    if function is not None:
        parts.append(tool_call(None, field(function, "name"), field(function, "arguments")))
    if not parts and of_entry.get("content") == "":
        parts.append(text(""))  # beside calls it is but how services write that there is none
    return parts


def _tool_call(call: Any) -> Part:
    custom = field(call, "custom")
    if custom is not None:
        part = tool_call(field(call, "id"), field(custom, "name"), None)
        part["arguments"] = field(custom, "input")  # free text, which may look like JSON
        return part
    function = field(call, "function")
    return tool_call(field(call, "id"), field(function, "name"), field(function, "arguments"))


def _parts(content: Any) -> list[Part]:
    if content is None:
        return []
    if isinstance(content, str):
        return [text(content)] if content else []
    return [_part(entry) for entry in entries(content)]


def _part(entry: Any) -> Part:
    if isinstance(entry, str):
        return text(entry)
    kind = field(entry, "type")
    if kind == "text":
        return text(field(entry, "text") or "")
    if kind == "image_url":
        image = field(entry, "image_url")
        return uri("image", _url(image), detail=field(image, "detail"))
    if kind == "input_audio":
        audio = field(entry, "input_audio")
        suffix = field(audio, "format")
        return binary("audio", field(audio, "data"), f"audio/{suffix}" if suffix else None)
    if kind == "file":
        return _file(field(entry, "file"))
    if kind == "video_url":
        return uri("video", _url(field(entry, "video_url")))
    if kind == "refusal":
        return refusal(field(entry, "refusal"))
    return client.unknown(entry, kind)


def _url(holder: Any) -> str:
    return str(holder if isinstance(holder, str) else field(holder, "url") or "")


def _file(entry: Any) -> Part:
    name = field(entry, "filename")
    file_id = field(entry, "file_id")
    if file_id:
        return file("document", file_id, filename=name)
    data = field(entry, "file_data") or ""
    if isinstance(data, str) and data.startswith("data:"):
        return uri("document", data, filename=name)
    return binary("document", data, filename=name)


def audio_answer(audio: Any) -> Part:
    """A spoken answer: its transcript, and the digest of the sound."""
    transcript = field(audio, "transcript")
    data = field(audio, "data")
    if data:
        return binary("audio", data, id=field(audio, "id"), transcript=transcript)
    return file("audio", field(audio, "id") or "", transcript=transcript)


def entries(value: Any) -> list[Any]:
    """The entries of a collection; none of an iterator, which is the SDK's to consume."""
    if isinstance(value, (list, tuple)):
        return list(cast("list[Any]", value))
    if isinstance(value, Collection) and not isinstance(value, (str, bytes, Mapping)):
        return list(cast("Collection[Any]", value))
    return []
