"""Recorded requests in the form of Gemini's contents."""

from __future__ import annotations

from typing import Any

from peekr.messages import Part
from peekr.replaying.request_parts import LostError, Parts, apart, lost, named
from peekr.semconv import otel

__all__ = ["generate"]

_GEMINI = {
    otel.GEN_AI_REQUEST_TEMPERATURE: "temperature",
    otel.GEN_AI_REQUEST_TOP_P: "top_p",
    otel.GEN_AI_REQUEST_TOP_K: "top_k",
    otel.GEN_AI_REQUEST_MAX_TOKENS: "max_output_tokens",
    otel.GEN_AI_REQUEST_FREQUENCY_PENALTY: "frequency_penalty",
    otel.GEN_AI_REQUEST_PRESENCE_PENALTY: "presence_penalty",
    otel.GEN_AI_REQUEST_SEED: "seed",
    otel.GEN_AI_REQUEST_STOP_SEQUENCES: "stop_sequences",
    otel.GEN_AI_REQUEST_CHOICE_COUNT: "candidate_count",
}


def generate(parts: Parts) -> dict[str, Any]:
    """The arguments of `generate_content` and of its stream."""
    messages, system = apart(parts)
    names: dict[Any, str] = {
        part.get("id"): str(part.get("name") or "")
        for entry in messages
        for part in entry["parts"]
        if part.get("type") == "tool_call"
    }
    contents = [
        {
            "role": "model" if entry.get("role") == "assistant" else "user",
            "parts": [_gemini_part(part, names) for part in entry["parts"]],
        }
        for entry in messages
    ]
    config: dict[str, Any] = {**named(parts, _GEMINI), **parts.parameters}
    if system:
        held = [_gemini_part(part, names) for part in system]
        config["system_instruction"] = {"role": "user", "parts": held}
    if parts.tools:
        config["tools"] = _gemini_tools(parts.tools)
    # The functions are the application's, which is not here.
    config["automatic_function_calling"] = {"disable": True}
    return {"model": parts.model, "contents": contents, "config": config}


def _gemini_part(part: Part, names: dict[Any, str]) -> dict[str, Any]:
    kind = part.get("type")
    if kind == "text":
        return {"text": part.get("content") or ""}
    if kind == "reasoning":
        return {"text": part.get("content") or "", "thought": True}
    held = {"id": part["id"]} if part.get("id") else {}
    if kind == "tool_call":
        call: dict[str, Any] = {"name": part.get("name") or "", "args": part.get("arguments") or {}}
        return {"function_call": {**held, **call}}
    if kind == "tool_call_response":
        response: Any = part.get("response")
        name = str(part.get("name") or names.get(part.get("id")) or "")
        if not isinstance(response, dict):
            response = {"result": response}
        return {"function_response": {**held, "name": name, "response": response}}
    if kind == "uri":
        return {"file_data": {"file_uri": part.get("uri"), "mime_type": part.get("mime_type")}}
    raise lost(part)


def _gemini_tools(tools: list[dict[str, Any]]) -> list[dict[str, Any]]:
    functions: list[dict[str, Any]] = []
    made: list[dict[str, Any]] = []
    for tool in tools:
        kind = str(tool.get("type"))
        if kind == "function":
            one = {key: tool[key] for key in ("name", "description") if tool.get(key)}
            if tool.get("parameters") is not None:
                one["parameters_json_schema"] = tool["parameters"]
            functions.append(one)
        elif kind == "mcp":
            raise LostError("a tool of an MCP server is not recorded whole")
        else:
            made.append({kind: tool.get(kind) or {}})
    return [{"function_declarations": functions}, *made] if functions else made
