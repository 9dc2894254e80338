"""How a request is written where that is not the usual way; see `peekr.request_form`.

The bodies of `invoke_model` have a form for each family of models: what stands in one besides the
messages is noted as it is, with the family's name, which tells where the messages belong.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Optional, cast

from peekr.instrumentation.bedrock.form import obj
from peekr.request_form import LIST, Form, json_style, literal, noted, without_media

__all__ = ["converse_form", "invoke_form"]

_OF_CONVERSE = frozenset(
    (
        "modelId",
        "messages",
        "system",
        "inferenceConfig",
        "toolConfig",
        "guardrailConfig",
        "additionalModelResponseFieldPaths",
        "performanceConfig",
        "outputConfig",
        "serviceTier",
        "requestMetadata",
    )
)
_BlockForm = Callable[[dict[str, Any]], bool]


@noted
def converse_form(asked: Mapping[str, Any]) -> Optional[Form]:
    """The notes of a request to `converse`, from the operation's parameters."""
    made: Form = {
        key: literal(value)
        for key, value in asked.items()
        if key not in _OF_CONVERSE and without_media(value, key)
    }
    if asked.get("inferenceConfig") == {}:
        made["inferenceConfig"] = literal({})
    _converse_content(asked, made)
    return made or None


def _converse_content(body: Mapping[str, Any], made: Form) -> None:
    _each(body.get("system"), "system", made, _is_converse_block)
    for index, entry in enumerate(_list(body.get("messages"))):
        content = obj(entry).get("content")
        place = f"messages.{index}.content"
        if not isinstance(content, list):
            made[place] = literal(content)
        else:
            _each(cast("list[Any]", content), place, made, _is_converse_block)
    tools = obj(body.get("toolConfig")).get("tools")
    _each(tools, "toolConfig.tools", made, _is_converse_tool)


def _is_converse_block(block: dict[str, Any]) -> bool:
    """Whether a block is written the usual way."""
    if len(block) != 1:
        return False
    if "text" in block:
        return True
    use, result, point = (obj(block.get(k)) for k in ("toolUse", "toolResult", "cachePoint"))
    if use:
        return use.keys() == {"toolUseId", "name", "input"}
    if result:
        content = _list(result.get("content"))
        plain = len(content) == 1 and obj(content[0]).keys() in ({"text"}, {"json"})
        status = result.get("status", "error")
        is_text = plain and isinstance(obj(content[0]).get("json"), (str, list))
        return (
            plain and not is_text and status == "error" and len(result) == 2 + ("status" in result)
        )
    return point.get("type") == "default"


def _is_converse_tool(tool: dict[str, Any]) -> bool:
    spec = obj(tool.get("toolSpec"))
    known = {"name", "description", "inputSchema"}
    schema = obj(spec.get("inputSchema"))
    return spec.keys() <= known and schema.keys() == {"json"} and bool(schema["json"])


# -- invoke_model ----------------------------------------------------------------------------------


@noted
def invoke_form(body: Mapping[str, Any], is_embedding: bool, is_empty: bool) -> Optional[Form]:
    """The notes of a body of `invoke_model`, decoded.

    Args:
        body: The body; without fields there is none to read.
        is_embedding: The model's id says that it embeds.
        is_empty: The request had no body at all.
    """
    if not body:
        return {"family": "none"} if is_empty else None
    family, content = _family(body, is_embedding)
    made: Form = {"family": family}
    told = {key for key in content if key in body}
    rest = {key: value for key, value in body.items() if key not in told}
    if family == "nova":
        _converse_content(body, made)
        held = obj(rest.pop("toolConfig", None))
        if "toolChoice" in held and without_media(held["toolChoice"]):
            made["toolConfig.toolChoice"] = literal(held["toolChoice"])
    elif family == "claude":
        _each(body.get("tools"), "tools", made, _is_claude_tool)
        _text_or_blocks(body.get("system"), "system", made)
        for index, entry in enumerate(_list(body.get("messages"))):
            _text_or_blocks(obj(entry).get("content"), f"messages.{index}.content", made)
    elif family == "chat":
        _each(body.get("tools"), "tools", made, _is_chat_tool)
        for index, entry in enumerate(_list(body.get("messages"))):
            _chat_message(obj(entry), f"messages.{index}", made)
    if rest:
        # What holds media is left out: a request with it is refused for the media.
        made[""] = {key: value for key, value in rest.items() if without_media(value, key)}
    return made


def _family(body: Mapping[str, Any], is_embedding: bool) -> tuple[str, tuple[str, ...]]:
    """The family's name, and the fields that the messages and tools tell."""
    if "messages" in body and not is_embedding:
        if "anthropic_version" in body:
            return "claude", ("messages", "system", "tools")
        entries = _list(body.get("messages"))
        blocks = _list(obj(entries[0]).get("content")) if entries else []
        first = obj(blocks[0]) if blocks else {}
        if {"inferenceConfig", "toolConfig", "schemaVersion"} & body.keys() or (
            "type" not in first and "text" in first
        ):
            return "nova", ("messages", "system")
        return "chat", ("messages", "tools")
    if isinstance(body.get("message"), str) and not is_embedding:
        return "command", ("message", "preamble")
    for name in ("prompt", "inputText"):
        if isinstance(body.get(name), str) and not {"texts", "input_type"} & body.keys():
            return name, (name,)
    if all(isinstance(entry, str) for entry in _list(body.get("texts"))) and "texts" in body:
        return "texts", ("texts",)
    return "whole", ()


def _text_or_blocks(content: Any, place: str, made: Form) -> None:
    if content is None or (isinstance(content, str) and content):
        return
    blocks = _list(content)
    if not blocks:
        made[place] = literal(content)
        return
    if len(blocks) == 1 and obj(blocks[0]).get("type") == "text":
        made[place] = LIST
    _each(blocks, place, made, _is_claude_block)


def _is_claude_block(block: dict[str, Any]) -> bool:
    kind = block.get("type")
    if kind == "text":
        return len(block) == 2
    if kind == "tool_use":
        return block.keys() == {"type", "id", "name", "input"}
    return (
        kind == "tool_result"
        and block.keys() == {"type", "tool_use_id", "content"}
        and isinstance(block["content"], str)
    )


def _is_claude_tool(tool: dict[str, Any]) -> bool:
    return tool.keys() <= {"name", "description", "input_schema"} and bool(tool.get("input_schema"))


def _is_chat_tool(tool: dict[str, Any]) -> bool:
    function = obj(tool.get("function"))
    return tool.keys() == {"type", "function"} and None not in function.values() and bool(function)


def _chat_message(entry: dict[str, Any], place: str, made: Form) -> None:
    content = entry.get("content")
    is_text = isinstance(content, str) and bool(content)
    if is_text and entry.keys() <= {"role", "content", "name"}:
        return
    if is_text and entry.keys() == {"role", "content", "tool_call_id"}:
        return
    if entry.keys() == {"role", "content", "tool_calls"} and content is None:
        calls = [obj(call) for call in _list(entry["tool_calls"])]
        if calls and all(call.keys() == {"id", "type", "function"} for call in calls):
            for index, call in enumerate(calls):
                style = json_style(obj(call["function"]).get("arguments"))
                if style is not None:
                    made[f"{place}.tool_calls.{index}.function.arguments"] = style
            return
    if without_media(entry):
        made[place] = literal(entry)


def _each(entries: Any, place: str, made: Form, is_usual: _BlockForm) -> None:
    for index, entry in enumerate(_list(entries)):
        usual = isinstance(entry, dict) and is_usual(cast("dict[str, Any]", entry))
        if not usual and without_media(entry):
            made[f"{place}.{index}"] = literal(entry)


def _list(value: Any) -> list[Any]:
    return cast("list[Any]", value) if isinstance(value, list) else []
