"""Messages as providers' APIs and other SDKs write them, in the conventions' form.

One reader for all: the parts of OpenAI, Anthropic, Gemini, Bedrock and the Vercel AI SDK are told
apart by their keys. What is not known is kept as it is. Nothing here raises.
"""

from __future__ import annotations

from typing import Any, Optional, cast

from peekr import messages as make
from peekr.dialects.draft import entries, mapping, parsed, text
from peekr.messages import Message, Part

__all__ = ["conversation", "is_conversation", "message_of", "tool_definition"]

_ROLES = {"human": "user", "ai": "assistant", "model": "assistant", "developer": "developer"}
_KNOWN = frozenset(
    (
        *("role", "content", "contents", "parts", "reasoning_content", "refusal", "audio"),
        *("tool_calls", "tool_call_id", "toolCallId", "function_call", "annotations"),
        *("id", "name", "type", "message", "index", "finish_reason"),
    )
)


def is_conversation(value: Any) -> bool:
    """Whether a value is a list of messages."""
    found = entries(value)
    return bool(found) and all(isinstance(entry, dict) and "role" in entry for entry in found)


def conversation(value: Any, role: str = "user") -> Optional[list[Message]]:
    """Messages from a list of them, from one, from a text; None from anything else."""
    value = parsed(value)
    if isinstance(value, str):
        return [make.message(role, [make.text(value)])]
    if isinstance(value, dict):
        given = cast("dict[str, Any]", value)
        if isinstance(given.get("messages"), list):
            return conversation(given["messages"], role)
        if "role" in given or "content" in given or "parts" in given:
            return [message_of(given, role)]
        return None
    found = entries(value)
    if found and all(isinstance(entry, (dict, str)) for entry in found):
        return [
            message_of(mapping(entry), role)
            if isinstance(entry, dict)
            else make.message(role, [make.text(entry)])
            for entry in found
        ]
    return None


def message_of(given: dict[str, Any], role: str = "user") -> Message:
    """One message.

    Args:
        given: In whatever form.
        role: Where it names none.
    """
    role = _role(given.get("role")) or role
    parts: list[Part] = []
    reasoning = text(given.get("reasoning_content"))
    if reasoning:
        parts.append(make.reasoning(reasoning))
    parts += _parts(given.get("parts") if "parts" in given else given.get("content"))
    for inner in entries(given.get("contents")):
        # OpenInference: each part under `message_content`.
        parts += _parts([mapping(inner).get("message_content", inner)])
    refusal = text(given.get("refusal"))
    if refusal and not parts:
        parts.append({"type": "refusal", "content": refusal})
    call_id = given.get("tool_call_id") or given.get("toolCallId")
    if role == "tool" and call_id is None and "parts" not in given:
        call_id = given.get("id")
    if isinstance(call_id, str) and not any(
        part.get("type") == "tool_call_response" for part in parts
    ):
        parts = [make.tool_response(call_id, _response(parts, given.get("content")))]
    if role == "user" and parts and all(p.get("type") == "tool_call_response" for p in parts):
        role = "tool"  # where results come in the user's name
    for call in entries(given.get("tool_calls")):
        made = _call(mapping(call))
        if made is not None:
            parts.append(made)
    once = mapping(given.get("function_call"))
    if once.get("name"):
        parts.append(make.tool_call(None, text(once.get("name")), once.get("arguments")))
    made = make.message(role, parts)
    for key in ("name", "finish_reason"):
        if text(given.get(key)) and not (key == "name" and role == "tool"):
            made[key] = given[key]
    for key, value in given.items():
        # What has a dot describes the event that carried the message.
        if key not in _KNOWN and "." not in key and value is not None:
            made[key] = value
    return made


def tool_definition(given: Any) -> Any:
    """A tool's definition in the conventions' form, whose keys are not nested."""
    given = parsed(given)
    tool = mapping(given)
    if not tool:
        return given
    if "function" in tool and isinstance(tool["function"], dict):
        return {"type": tool.get("type") or "function", **mapping(tool["function"])}
    made = dict(tool)
    for key in ("inputSchema", "input_schema", "parameters_json_schema"):
        if key in made:
            made["parameters"] = made.pop(key)
    parameters = parsed(made.get("parameters"))
    if parameters is not None:
        made["parameters"] = parameters
    made.setdefault("type", "function")
    return made


def _role(given: Any) -> Optional[str]:
    return _ROLES.get(given, given) if isinstance(given, str) else None


def _response(parts: list[Part], content: Any) -> Any:
    """What a tool gave back: a text where it is one, else as it came."""
    if len(parts) == 1 and parts[0].get("type") == "text":
        return parts[0]["content"]
    return content if content is not None else ""


def _parts(content: Any) -> list[Part]:
    if content is None or content == "":
        return []
    if isinstance(content, str):
        inner = parsed(content)
        # Some write the parts of a content as JSON text.
        if isinstance(inner, list) and inner and all(map(_is_part, cast("list[Any]", inner))):
            return _parts(inner)
        return [make.text(content)]
    if isinstance(content, dict):
        return [_part(cast("dict[str, Any]", content))]
    if not isinstance(content, (list, tuple)):
        return [make.text(str(content))]
    return [
        _part(cast("dict[str, Any]", item))
        if isinstance(item, dict)
        else make.text(item if isinstance(item, str) else str(item))
        for item in entries(content)
    ]


def _is_part(value: Any) -> bool:
    return isinstance(value, dict) and isinstance(cast("dict[str, Any]", value).get("type"), str)


def _part(given: dict[str, Any]) -> Part:
    kind = given.get("type") or given.get("kind")
    maker = _MAKERS.get(kind) if isinstance(kind, str) else None
    made = maker(given) if maker is not None else None
    if made is None and kind is None:
        made = _untyped(given)
    return made if made is not None else given


def _text_part(given: dict[str, Any]) -> Optional[Part]:
    content = given.get("text", given.get("content"))
    return make.text(content) if isinstance(content, str) else None


def _reasoning(given: dict[str, Any]) -> Optional[Part]:
    for key in ("thinking", "text", "reasoning", "content"):
        if isinstance(given.get(key), str):
            return make.reasoning(given[key])
    return None


def _image_url(given: dict[str, Any]) -> Optional[Part]:
    address = given.get("image_url")
    if isinstance(address, dict):
        address = cast("dict[str, Any]", address).get("url")
    return make.uri("image", address) if isinstance(address, str) else None


def _image(given: dict[str, Any]) -> Optional[Part]:
    source: Any = given.get("source", given.get("image"))
    if isinstance(source, str):
        is_address = "://" in source[:12] or source.startswith("data:")
        kind = text(given.get("mediaType")) or text(given.get("mimeType"))
        if is_address:
            return make.uri("image", source, kind)
        return make.binary("image", source, kind)
    source = mapping(source)
    image = source.get("image")  # OpenInference: {"image": {"image": {"url": …}}}
    address = source.get("url") or (mapping(image).get("url") if image else None)
    if isinstance(address, str):
        return make.uri("image", address)
    data = source.get("data")
    if isinstance(data, str):
        return make.binary("image", data, text(source.get("media_type")))
    return None


def _blob(given: dict[str, Any]) -> Optional[Part]:
    data = given.get("content", given.get("data"))
    if not isinstance(data, str) or not data:
        return None
    kind = text(given.get("mime_type")) or text(given.get("media_type"))
    return make.binary(text(given.get("modality")) or make.media(kind), data, kind)


def _file(given: dict[str, Any]) -> Optional[Part]:
    if "modality" in given:
        return None
    inner = mapping(given.get("file")) or given
    kind = text(inner.get("mediaType")) or text(inner.get("mimeType"))
    file_id = text(inner.get("file_id"))
    if file_id:
        return make.file(make.media(kind), file_id, kind)
    data = inner.get("file_data", inner.get("data"))
    if isinstance(data, str):
        if "://" in data[:12] or data.startswith("data:"):
            return make.uri(make.media(kind), data, kind)
        return make.binary(make.media(kind), data, kind, filename=text(inner.get("filename")))
    return None


def _call(given: dict[str, Any]) -> Optional[Part]:
    """A tool call: OpenAI's, Anthropic's, Vercel's, OpenInference's, or a flat one."""
    given = mapping(given.get("tool_call")) or given
    function = mapping(given.get("function")) or given
    name = function.get("name", given.get("toolName"))
    for key in ("arguments", "input", "args"):
        if key in function:
            arguments = function[key]
            break
    else:
        arguments = given.get("input", given.get("args"))
    call_id = given.get("id") or given.get("toolCallId") or given.get("call_id")
    if name is None and call_id is None:
        return None
    if arguments is None:
        arguments = {}
    return make.tool_call(text(call_id), text(name), arguments)


def _result(given: dict[str, Any]) -> Optional[Part]:
    call_id = (
        given.get("tool_use_id")
        or given.get("toolCallId")
        or given.get("call_id")
        or given.get("id")
    )
    for key in ("response", "result", "output", "content"):
        if key in given:
            return make.tool_response(text(call_id), _unwrapped(given[key]))
    return make.tool_response(text(call_id), "")


def _unwrapped(value: Any) -> Any:
    """Vercel's `{"type": "json", "value": …}` and lists of one text as what they hold."""
    kind = mapping(value).get("type")
    if kind in ("json", "text", "error-text", "error-json") and "value" in mapping(value):
        return mapping(value)["value"]
    found = entries(value)
    if len(found) == 1 and isinstance(mapping(found[0]).get("text"), str):
        return mapping(found[0])["text"]
    return value


def _untyped(given: dict[str, Any]) -> Optional[Part]:
    """Parts that are named by their only key: Gemini's and Bedrock's."""
    if isinstance(given.get("text"), str) and len(given) == 1:
        return make.text(given["text"])
    call = mapping(given.get("functionCall") or given.get("function_call") or given.get("toolUse"))
    if call:
        call_id = call.get("id", call.get("toolUseId"))
        arguments = call.get("args", call.get("input"))
        return make.tool_call(text(call_id), text(call.get("name")), arguments)
    answer = mapping(given.get("functionResponse") or given.get("function_response"))
    if answer:
        return make.tool_response(text(answer.get("id")), answer.get("response"))
    answer = mapping(given.get("toolResult"))
    if answer:
        return make.tool_response(text(answer.get("toolUseId")), _unwrapped(answer.get("content")))
    return None


_MAKERS: dict[str, Any] = {
    "text": _text_part,
    "input_text": _text_part,
    "output_text": _text_part,
    "reasoning": _reasoning,
    "thinking": _reasoning,
    "image_url": _image_url,
    "input_image": _image_url,
    "image": _image,
    "blob": _blob,
    "file": _file,
    "input_file": _file,
    "tool_call": _call,
    "tool-call": _call,
    "tool_use": _call,
    "function_call": _call,
    "tool_result": _result,
    "tool-result": _result,
    "tool_call_response": _result,
    "function_call_output": _result,
}
