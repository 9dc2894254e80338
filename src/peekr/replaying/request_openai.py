"""Recorded requests in the form of OpenAI's methods."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, cast

from peekr.messages import Message, Part
from peekr.replaying.reply import json_text
from peekr.replaying.request_parts import LostError, Parts, lost, named, one_text
from peekr.replaying.strict_schema import strict_format
from peekr.request_form import ABSENT
from peekr.semconv import otel

__all__ = ["WORDS", "chat", "completion", "embeddings", "responses"]

_OPENAI = {
    otel.GEN_AI_REQUEST_TEMPERATURE: "temperature",
    otel.GEN_AI_REQUEST_TOP_P: "top_p",
    otel.GEN_AI_REQUEST_MAX_TOKENS: "max_tokens",
    otel.GEN_AI_REQUEST_FREQUENCY_PENALTY: "frequency_penalty",
    otel.GEN_AI_REQUEST_PRESENCE_PENALTY: "presence_penalty",
    otel.GEN_AI_REQUEST_SEED: "seed",
    otel.GEN_AI_REQUEST_STOP_SEQUENCES: "stop",
    otel.GEN_AI_REQUEST_CHOICE_COUNT: "n",
    otel.OPENAI_REQUEST_SERVICE_TIER: "service_tier",
}
_NEW_LIMIT = ("o1", "o3", "o4", "gpt-5")
_BESIDE_CONTENT = ("tool_call", "reasoning", "refusal")
# Kinds of parts that are not the provider's own.
_OF_CONVENTIONS = frozenset(
    (
        "blob",
        "file",
        "reasoning",
        "server_tool_call",
        "server_tool_call_response",
        "tokens",
        "tool_call",
        "tool_call_response",
        "uri",
    )
)


def chat(parts: Parts) -> dict[str, Any]:
    """The arguments of `chat.completions.create`."""
    made: dict[str, Any] = {"model": parts.model}
    made["messages"] = [
        one for entry in (*parts.system, *parts.messages) for one in _chat_message(entry)
    ]
    made.update(_openai_settings(parts))
    if parts.tools:
        made["tools"] = [_chat_tool(tool) for tool in parts.tools]
    return made


def _openai_settings(parts: Parts) -> dict[str, Any]:
    made = {**named(parts, _OPENAI), **parts.parameters}
    if "max_completion_tokens" in made or parts.model.startswith(_NEW_LIMIT):
        # The record has one name for both; models that think know the newer alone.
        limit = made.pop("max_tokens", None)
        if limit is not None:
            made["max_completion_tokens"] = limit
    if parts.stream:
        made["stream"] = True
    return made


def _chat_message(entry: Message) -> list[dict[str, Any]]:
    role, parts = str(entry.get("role") or "user"), cast("list[Part]", entry["parts"])
    if role == "tool":
        return [_chat_result(part, entry.get("name")) for part in parts]
    made: dict[str, Any] = {"role": role}
    if entry.get("name"):
        made["name"] = entry["name"]
    calls = [part for part in parts if part.get("type") == "tool_call"]
    thoughts = [part for part in parts if part.get("type") == "reasoning"]
    refusals = [part for part in parts if part.get("type") == "refusal"]
    said = [part for part in parts if part.get("type") not in _BESIDE_CONTENT]
    if role == "assistant":
        # An earlier spoken answer is named by its id, in a field of its own.
        said = [part for part in said if part.get("modality") != "audio"]
    whole = one_text(said)
    made["content"] = whole if whole is not None else [_chat_part(part) for part in said]
    if not said:
        made["content"] = None if calls else ""
    if thoughts:
        made["reasoning_content"] = "".join(str(part.get("content")) for part in thoughts)
    if refusals:
        made["refusal"] = "".join(str(part.get("content")) for part in refusals)
    if calls:
        made["tool_calls"] = [
            {
                "id": part.get("id") or "",
                "type": "function",
                "function": {
                    "name": part.get("name") or "",
                    "arguments": json_text(part.get("arguments")),
                },
            }
            for part in calls
        ]
    return [made]


def _chat_result(part: Part, name: Any) -> dict[str, Any]:
    if part.get("type") == "tool_call_response" and "id" not in part and name:
        return {"role": "function", "name": name, "content": part.get("response")}
    if part.get("type") != "tool_call_response" or "id" not in part:
        return lost(part)
    response = part.get("response")
    content: Any = response
    if isinstance(response, list):
        content = [_chat_part(one) for one in cast("list[Part]", response)]
    elif not isinstance(response, str):
        content = json_text(response)
    return {"role": "tool", "tool_call_id": part["id"], "content": content}


def _chat_part(part: Part) -> dict[str, Any]:
    kind, modality = part.get("type"), part.get("modality")
    if kind == "text":
        return {"type": "text", "text": part.get("content") or ""}
    if kind == "uri" and modality == "image":
        detail = {"detail": part["detail"]} if part.get("detail") else {}
        return {"type": "image_url", "image_url": {"url": part.get("uri"), **detail}}
    if kind == "uri" and modality == "video":
        return {"type": "video_url", "video_url": {"url": part.get("uri")}}
    if kind == "file":
        name = {"filename": part["filename"]} if part.get("filename") else {}
        return {"type": "file", "file": {"file_id": part.get("file_id"), **name}}
    return lost(part) if kind in _OF_CONVENTIONS else dict(part)


def _chat_tool(tool: dict[str, Any]) -> dict[str, Any]:
    kind = str(tool.get("type") or "function")
    rest = {key: value for key, value in tool.items() if key != "type"}
    return {"type": kind, kind: rest} if kind in ("function", "custom") else dict(tool)


def completion(parts: Parts) -> dict[str, Any]:
    """The arguments of `completions.create`."""
    made: dict[str, Any] = {"model": parts.model, "prompt": _texts(parts)}
    return {**made, **_openai_settings(parts)}


def embeddings(parts: Parts) -> dict[str, Any]:
    """The arguments of `embeddings.create`."""
    made: dict[str, Any] = {"model": parts.model, "input": _texts(parts)}
    encoding = parts.settings.get(otel.GEN_AI_REQUEST_ENCODING_FORMATS)
    if encoding:
        made["encoding_format"] = encoding[0]
    return {**made, **parts.parameters}


def _texts(parts: Parts) -> Any:
    texts = [one_text(cast("list[Part]", entry["parts"])) for entry in parts.messages]
    if None in texts or not texts:
        return LostError("a prompt of tokens is not recorded")
    return texts[0] if len(texts) == 1 else texts


def responses(parts: Parts) -> dict[str, Any]:
    """The arguments of `responses.create`."""
    made: dict[str, Any] = {"model": parts.model}
    only = parts.messages[0] if len(parts.messages) == 1 else None
    whole = one_text(only["parts"]) if only is not None and only.get("role") == "user" else None
    made["input"] = (
        whole
        if whole is not None
        else [item for entry in parts.messages for item in _response_items(entry, parts.is_own)]
    )
    if parts.system:
        instructions = one_text(parts.system[0]["parts"])
        if instructions is None:
            instructions = LostError("its instructions are not recorded whole")
        made["instructions"] = instructions
    settings = {**named(parts, {**_OPENAI, otel.GEN_AI_REQUEST_MAX_TOKENS: "max_output_tokens"})}
    made.update({**settings, **parts.parameters})
    if parts.stream:
        made["stream"] = True
    if parts.tools:
        made["tools"] = [dict(tool) for tool in parts.tools]
        for tool in made["tools"]:
            if tool.get("name") == tool.get("type"):
                del tool["name"]  # a tool of the provider's, which has none
    return made


_SAID = ("text", "uri", "file", "refusal")


def _response_items(entry: Message, is_own: bool) -> list[dict[str, Any]]:
    role, parts = str(entry.get("role") or "user"), cast("list[Part]", entry["parts"])
    made: list[dict[str, Any]] = []
    if is_own and len(parts) > 1 and not all(part.get("type") in _SAID for part in parts):
        return [lost(parts[0])]  # one item, of which the form tells
    said: list[Part] = []
    for part in parts:
        kind = part.get("type")
        if kind == "tool_call":
            made.append(
                {
                    "type": "function_call",
                    "call_id": part.get("id") or "",
                    "name": part.get("name") or "",
                    "arguments": json_text(part.get("arguments")),
                }
            )
        elif kind == "tool_call_response":
            output = part.get("response")
            if not isinstance(output, str):
                output = lost(part)
            made.append(
                {"type": "function_call_output", "call_id": part.get("id") or "", "output": output}
            )
        elif kind in _SAID:
            said.append(part)
        elif kind == "item_reference":
            made.append({"type": "item_reference", "id": part.get("id")})
        else:
            made.append(lost(part))
    if said:
        whole = one_text(said)
        content: Any = whole if whole is not None else [_response_part(p, role) for p in said]
        made.insert(0, {"role": role, "content": content})
    return made


def _response_part(part: Part, role: str) -> dict[str, Any]:
    kind = part.get("type")
    if kind == "text":
        name = "output_text" if role == "assistant" else "input_text"
        return {"type": name, "text": part.get("content") or ""}
    if kind == "refusal":
        return {"type": "refusal", "refusal": part.get("content") or ""}
    name = "input_image" if part.get("modality") == "image" else "input_file"
    held: dict[str, Any] = {"type": name}
    if kind == "file":
        held["file_id"] = part.get("file_id")
    else:
        held["image_url" if name == "input_image" else "file_url"] = part.get("uri")
    if part.get("detail"):
        held["detail"] = part["detail"]
    return held


# -- how it was written ----------------------------------------------------------------------------


def _chat_list(value: Any, request: dict[str, Any], place: str) -> Any:
    del request
    return [value] if place in ("prompt", "input") else [{"type": "text", "text": value}]


def _functions(value: Any, request: dict[str, Any], place: str) -> Any:
    """Tools as they were given before there was a word for them."""
    del place
    request["functions"] = [tool["function"] for tool in value]
    return ABSENT


def _response_list(value: Any, request: dict[str, Any], place: str) -> Any:
    if place == "input":
        return [{"role": "user", "content": value}] if isinstance(value, str) else value
    entry = request["input"][int(place.split(".")[1])]
    is_said = entry.get("role") == "assistant"
    return [{"type": "output_text" if is_said else "input_text", "text": value}]


def _chat_class(value: Any, request: dict[str, Any], place: str) -> Any:
    del place
    request.setdefault("stream", False)  # as `parse` sends it
    return strict_format(value)


def _response_class(value: Any, request: dict[str, Any], place: str) -> Any:
    """A class given as `text_format` goes into `text`."""
    written = strict_format(value)
    held = {"type": "json_schema", **written["json_schema"]}
    request["text"] = {**(request.get("text") or {}), "format": held}
    del place
    return ABSENT


Word = Callable[[Any, dict[str, Any], str], Any]

WORDS: dict[str, dict[str, Word]] = {
    "chat": {"list": _chat_list, "class": _chat_class, "functions": _functions},
    "completions": {"list": _chat_list},
    "embeddings": {"list": _chat_list},
    "responses": {"list": _response_list, "class": _response_class},
}
"""What the words of a request's form make of a value, by method."""
