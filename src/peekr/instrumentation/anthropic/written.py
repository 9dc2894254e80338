"""How a request is written where that is not the usual way; see `peekr.request_form`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Optional, cast

from peekr.request_form import ABSENT, LIST, Form, literal, noted, without_media

__all__ = ["messages_form"]

# The fields of a block that its part tells, by kind.
_TOLD = {
    "text": frozenset(("type", "text", "cache_control")),
    "thinking": frozenset(("type", "thinking", "signature", "cache_control")),
    "tool_use": frozenset(("type", "id", "name", "input", "cache_control")),
    "tool_result": frozenset(("type", "tool_use_id", "content", "is_error", "cache_control")),
    "image": frozenset(("type", "source", "cache_control")),
    "document": frozenset(("type", "source", "cache_control")),
}
_BY_ADDRESS = ("url", "file")


@noted
def messages_form(body: Mapping[str, Any]) -> Optional[Form]:
    """The notes of a request's body.

    Runs on the caller's thread; plain messages cost some tens of nanoseconds each.
    """
    made: Form = {key: literal(None) for key, value in body.items() if value is None}
    if body.get("stream") is False:
        made["stream"] = literal(False)
    if body.get("stop_sequences") == []:
        made["stop_sequences"] = literal([])
    messages = body.get("messages")
    if isinstance(messages, list):
        for index, entry in enumerate(cast("list[dict[str, Any]]", messages)):
            if type(entry) is dict:
                content = entry.get("content")
                if type(content) is not str or not content:
                    _content(content, f"messages.{index}.content", made)
    system = body.get("system")
    if isinstance(system, (list, tuple)) or system == "":
        _content(system, "system", made)
    _tools(body.get("tools"), made)
    return made or None


def _content(content: Any, place: str, made: Form) -> None:
    if not isinstance(content, (list, tuple)):
        made[place] = literal(content)
        return
    blocks = cast("list[Any]", content)
    if len(blocks) == 1 and isinstance(blocks[0], dict):
        only = cast("dict[str, Any]", blocks[0])
        if only.get("type") == "text" and not (only.get("cache_control") or only.get("citations")):
            made[place] = LIST
    elif not blocks and place == "system":
        made[place] = literal([])
    _blocks(blocks, place, made)


def _blocks(blocks: list[Any], place: str, made: Form) -> None:
    for index, block in enumerate(blocks):
        if isinstance(block, dict):
            _block(cast("dict[str, Any]", block), f"{place}.{index}", made)
        else:
            made[f"{place}.{index}"] = literal(block)


def _block(block: dict[str, Any], place: str, made: Form) -> None:
    kind = block.get("type")
    told = _TOLD.get(str(kind))
    source = block.get("source")
    if kind in ("image", "document"):
        held = cast("dict[str, Any]", source) if isinstance(source, dict) else {}
        if held.get("type") == "base64":
            return  # media, which is not stored
        if held.get("type") not in _BY_ADDRESS:
            told = None
    if kind == "thinking" and not block.get("signature"):
        told = None
    if told is None:
        # What the provider made itself and nobody else reads, whole.
        is_text = isinstance(source, dict) and cast("dict[str, Any]", source).get("type") == "text"
        if kind == "redacted_thinking" or is_text or without_media(block):
            made[place] = literal(block)
        return
    further = {key: value for key, value in block.items() if key not in told}
    if block.get("is_error") is False:
        further["is_error"] = False
    if block.get("cache_control", 0) is None:
        further["cache_control"] = None
    if further:
        made[place] = further
    if kind == "tool_result":
        inner = block.get("content")
        if "content" not in block:
            made[f"{place}.content"] = ABSENT
        elif isinstance(inner, list):
            _blocks(cast("list[Any]", inner), f"{place}.content", made)
        elif not isinstance(inner, str):
            made[f"{place}.content"] = literal(inner)


def _tools(tools: Any, made: Form) -> None:
    for index, tool in enumerate(cast("list[Any]", tools) if isinstance(tools, list) else ()):
        if not isinstance(tool, dict):
            continue
        given = cast("dict[str, Any]", tool)
        further: dict[str, Any] = {key: None for key, value in given.items() if value is None}
        if given.get("type") == "custom":
            further["type"] = "custom"
        if further:
            made[f"tools.{index}"] = further
        if "input_schema" not in given and given.get("type") in (None, "custom"):
            made[f"tools.{index}.input_schema"] = ABSENT
