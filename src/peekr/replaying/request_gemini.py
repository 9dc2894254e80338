"""Recorded requests in the form of Gemini's contents."""

from __future__ import annotations

import base64
from typing import Any, cast

from peekr.messages import Part
from peekr.replaying.request_parts import LostError, Parts, apart, lost, named, one_text
from peekr.semconv import otel

__all__ = ["EMBED_WORDS", "WORDS", "embed", "finish", "generate"]

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
    made: dict[str, Any] = {"model": parts.model, "contents": contents}
    if config:
        made["config"] = config
    return made


def embed(parts: Parts) -> dict[str, Any]:
    """The arguments of `embed_content`."""
    texts = [one_text(cast("list[Part]", entry["parts"])) for entry in parts.messages]
    contents: Any = texts[0] if len(texts) == 1 else texts
    if None in texts:
        contents = [
            {"role": "user", "parts": [_gemini_part(part, {}) for part in entry["parts"]]}
            for entry in parts.messages
        ]
    made: dict[str, Any] = {"model": parts.model, "contents": contents}
    if parts.parameters:
        made["config"] = dict(parts.parameters)
    return made


def finish(arguments: dict[str, Any]) -> None:
    """Put what JSON has as text into the types that the SDK takes."""
    for entry in cast("list[Any]", arguments["contents"]):
        if not isinstance(entry, dict):
            continue  # a text to embed
        for part in cast("list[dict[str, Any]]", entry["parts"]):
            signature = part.get("thought_signature")
            if isinstance(signature, str):
                part["thought_signature"] = base64.b64decode(signature)


def _gemini_part(part: Part, names: dict[Any, str]) -> Any:
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
        answer: dict[str, Any] = {**held, "name": name, "response": response}
        return {"function_response": answer}
    if kind == "uri":
        return {"file_data": {"file_uri": part.get("uri"), "mime_type": part.get("mime_type")}}
    return lost(part)


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
            made.append({"": LostError("a tool of an MCP server is not recorded whole")})
        else:
            made.append({kind: tool.get(kind) or {}})
    return [{"function_declarations": functions}, *made] if functions else made


def _by_schema(value: Any, request: dict[str, Any], place: str) -> Any:
    """Functions declared by the provider's own schema rather than by JSON's."""
    del request, place
    for tool in value:
        for one in tool.get("function_declarations") or ():
            if "parameters_json_schema" in one:
                one["parameters"] = one.pop("parameters_json_schema")
    return value


def _listed(value: Any, request: dict[str, Any], place: str) -> Any:
    del request, place
    return cast("Any", value if isinstance(value, list) else [value])


WORDS: dict[str, Any] = {"schema": _by_schema}
"""What the words of a request's form make of a value."""
EMBED_WORDS: dict[str, Any] = {"list": _listed}
"""The same for embeddings."""
