"""Recorded requests in the form of Bedrock's Converse."""

from __future__ import annotations

from typing import Any, cast

from peekr.messages import Part
from peekr.replaying.request_parts import LostError, Parts, apart, lost, named
from peekr.semconv import otel

__all__ = ["conversation", "converse"]

_CONVERSE = {
    otel.GEN_AI_REQUEST_TEMPERATURE: "temperature",
    otel.GEN_AI_REQUEST_TOP_P: "topP",
    otel.GEN_AI_REQUEST_MAX_TOKENS: "maxTokens",
    otel.GEN_AI_REQUEST_STOP_SEQUENCES: "stopSequences",
}
_CONVERSE_PARAMETERS = (
    "guardrailConfig",
    "additionalModelResponseFieldPaths",
    "performanceConfig",
    "outputConfig",
    "serviceTier",
    "requestMetadata",
)


def converse(parts: Parts) -> dict[str, Any]:
    """The arguments of `converse` and `converse_stream`."""
    made: dict[str, Any] = {"modelId": parts.model, **conversation(parts)}
    settings = named(parts, _CONVERSE)
    if settings:
        made["inferenceConfig"] = settings
    further: dict[str, Any] = dict(parts.parameters)
    top_k = parts.settings.get(otel.GEN_AI_REQUEST_TOP_K)
    if top_k is not None:
        further["top_k"] = top_k
    for name in _CONVERSE_PARAMETERS:
        if name in further:
            made[name] = further.pop(name)
    choice = further.pop("toolChoice", None)
    if further:
        made["additionalModelRequestFields"] = further
    if choice is not None and "toolConfig" in made:
        made["toolConfig"]["toolChoice"] = choice
    return made


def conversation(parts: Parts) -> dict[str, Any]:
    """The messages, the instructions and the tools, which Nova's own bodies have as well."""
    entries, system = apart(parts)
    messages: list[dict[str, Any]] = []
    for entry in entries:
        role = "assistant" if entry.get("role") == "assistant" else "user"
        content = [_converse_block(part) for part in entry["parts"]]
        messages.append({"role": role, "content": content})
    made: dict[str, Any] = {"messages": messages}
    if entries and [part["type"] for part in entries[0]["parts"]] == ["prompt_variables"]:
        del made["messages"]  # a managed prompt has them
    if system:
        made["system"] = [_converse_block(part) for part in system]
    if parts.tools:
        made["toolConfig"] = {"tools": [_converse_tool(tool) for tool in parts.tools]}
    return made


def _converse_block(part: Part) -> Any:
    kind = part.get("type")
    if kind == "text" and len(part) == 2:
        return {"text": part.get("content") or ""}
    if kind == "tool_call":
        call = {"toolUseId": part.get("id") or "", "name": part.get("name") or ""}
        return {"toolUse": {**call, "input": part.get("arguments") or {}}}
    if kind == "tool_call_response":
        response: Any = part.get("response")
        content: list[Any]
        if isinstance(response, list):
            content = [_converse_block(one) for one in cast("list[Part]", response)]
        else:
            content = [{"text" if isinstance(response, str) else "json": response}]
        made: dict[str, Any] = {"toolUseId": part.get("id"), "content": content}
        if part.get("status") == "error":
            made["status"] = "error"
        return {"toolResult": made}
    if kind == "cache_point":
        ttl = {"ttl": part["ttl"]} if "ttl" in part else {}
        return {"cachePoint": {"type": "default", **ttl}}
    if kind == "json":
        return {"json": part.get("content")}
    return lost(part)


def _converse_tool(tool: dict[str, Any]) -> Any:
    if tool.get("type") != "function":
        return LostError(f"a tool of the kind {tool.get('type')} is not recorded whole")
    spec: dict[str, Any] = {"name": tool.get("name")}
    if tool.get("description"):
        spec["description"] = tool["description"]
    spec["inputSchema"] = {"json": tool.get("parameters") or {"type": "object", "properties": {}}}
    return {"toolSpec": spec}
