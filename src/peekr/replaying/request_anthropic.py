"""Recorded requests in the form of Anthropic's messages."""

from __future__ import annotations

from typing import Any, cast

from peekr.messages import Part
from peekr.replaying.reply import json_text
from peekr.replaying.request_parts import Parts, apart, lost, named, one_text
from peekr.semconv import otel

__all__ = ["WORDS", "messages"]

_ANTHROPIC = {
    otel.GEN_AI_REQUEST_TEMPERATURE: "temperature",
    otel.GEN_AI_REQUEST_TOP_P: "top_p",
    otel.GEN_AI_REQUEST_TOP_K: "top_k",
    otel.GEN_AI_REQUEST_MAX_TOKENS: "max_tokens",
    otel.GEN_AI_REQUEST_STOP_SEQUENCES: "stop_sequences",
}


_DEFAULT_MAX_TOKENS = 4096
_ROLES = ("assistant", "system")


def messages(parts: Parts) -> dict[str, Any]:
    """The arguments of `messages.create`."""
    messages, system = apart(parts)
    if parts.is_own:
        # Instructions among the messages stay where they were.
        messages, system = parts.messages, [one for e in parts.system for one in e["parts"]]
    made: dict[str, Any] = {"model": parts.model, "max_tokens": _DEFAULT_MAX_TOKENS}
    made["messages"] = [
        {
            "role": entry["role"] if entry.get("role") in _ROLES else "user",
            "content": _anthropic_content(entry["parts"]),
        }
        for entry in messages
    ]
    if system:
        made["system"] = _anthropic_content(system)
    made.update({**named(parts, _ANTHROPIC), **parts.parameters})
    betas = made.pop("betas", None)
    if betas:
        made["extra_headers"] = {"anthropic-beta": ",".join(betas)}
    if parts.stream:
        made["stream"] = True
    if parts.tools:
        made["tools"] = [_anthropic_tool(tool, parts.is_own) for tool in parts.tools]
    return made


def _anthropic_content(parts: list[Part]) -> Any:
    whole = one_text(parts)
    return whole if whole is not None else [_anthropic_block(part) for part in parts]


def _anthropic_block(part: Part) -> Any:
    block = _anthropic_part(part)
    if "cache_control" in part and isinstance(block, dict):
        return {**cast("dict[str, Any]", block), "cache_control": part["cache_control"]}
    return block


def _anthropic_part(part: Part) -> Any:
    kind = part.get("type")
    if kind == "text":
        return {"type": "text", "text": part.get("content") or ""}
    if kind == "tool_call":
        call = {"id": part.get("id") or "", "name": part.get("name") or ""}
        return {"type": "tool_use", **call, "input": part.get("arguments") or {}}
    if kind == "tool_call_response":
        response: Any = part.get("response")
        if isinstance(response, list):
            response = [_anthropic_block(one) for one in cast("list[Part]", response)]
        elif not isinstance(response, str):
            response = json_text(response)
        made: dict[str, Any] = {"type": "tool_result", "tool_use_id": part.get("id")}
        made["content"] = response
        if part.get("is_error"):
            made["is_error"] = True
        return made
    if kind == "reasoning" and part.get("signature"):
        thought = {"thinking": part.get("content") or "", "signature": part["signature"]}
        return {"type": "thinking", **thought}
    if kind == "uri" and part.get("modality") in ("image", "document"):
        return {"type": part["modality"], "source": {"type": "url", "url": part.get("uri")}}
    if kind == "file" and part.get("modality") in ("image", "document"):
        source = {"type": "file", "file_id": part.get("file_id")}
        return {"type": part["modality"], "source": source}
    return lost(part)


def _anthropic_tool(tool: dict[str, Any], is_own: bool) -> dict[str, Any]:
    held = dict(tool)
    kind = held.pop("type", "function")
    schema = held.pop("parameters", None)
    if kind == "function":
        if not is_own:
            held.pop("strict", None)
        return {**held, "input_schema": schema or {"type": "object", "properties": {}}}
    return {"type": kind, **held}


def _listed(value: Any, request: dict[str, Any], place: str) -> Any:
    del request, place
    return [{"type": "text", "text": value}]


WORDS: dict[str, Any] = {"list": _listed}
"""What the words of a request's form make of a value."""
