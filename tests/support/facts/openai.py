"""OpenAI: chat completions, completions, responses, embeddings."""

from __future__ import annotations

import base64
from dataclasses import replace
from typing import Any, Dict, List, Tuple

from ..recordings import Interaction
from .form import CalledTool, Facts
from .wire import (
    Json,
    content_text,
    document,
    first_of,
    json_object,
    json_objects,
    parsed,
    sse_events,
)


def chat_facts(interaction: Interaction, asked: Facts) -> Facts:
    """Chat completions and legacy completions."""
    events = sse_events(interaction) if interaction.streamed else [document(interaction)]
    texts: Dict[int, str] = {}
    reasons: Dict[int, str] = {}
    calls: Dict[Tuple[int, int], Json] = {}
    usage: Json = {}
    for event in events:
        usage = event.get("usage") or usage
        for choice in json_objects(event.get("choices")):
            index = choice.get("index", 0)
            message = json_object(choice.get("delta") or choice.get("message"))
            text = message.get("content") or choice.get("text") or ""
            texts[index] = texts.get(index, "") + text
            if choice.get("finish_reason"):
                reasons[index] = choice["finish_reason"]
            for number, part in enumerate(json_objects(message.get("tool_calls"))):
                call = calls.setdefault((index, part.get("index", number)), {"arguments": ""})
                function = json_object(part.get("function"))
                call["id"] = part.get("id") or call.get("id")
                call["name"] = function.get("name") or call.get("name")
                call["arguments"] += function.get("arguments") or ""
    return replace(
        asked,
        response_model=first_of(events, "model"),
        response_id=first_of(events, "id"),
        input_tokens=usage.get("prompt_tokens"),
        output_tokens=usage.get("completion_tokens"),
        cached_tokens=json_object(usage.get("prompt_tokens_details")).get("cached_tokens"),
        reasoning_tokens=json_object(usage.get("completion_tokens_details")).get(
            "reasoning_tokens"
        ),
        finish_reasons=tuple(reasons[index] for index in sorted(reasons)) or None,
        output_texts=tuple(texts[index] for index in sorted(texts) if texts[index]),
        tool_calls=tuple(
            CalledTool(call["name"], parsed(call["arguments"]), call["id"], choice)
            for (choice, _), call in sorted(calls.items())
        ),
    )


def responses_facts(interaction: Interaction, asked: Facts) -> Facts:
    """Responses: the last event that carries the whole response says it all."""
    response = document(interaction) if not interaction.streamed else {}
    for event in sse_events(interaction) if interaction.streamed else []:
        response = event.get("response") or response
    text, summary = "", ""
    calls: List[CalledTool] = []
    for item in json_objects(response.get("output")):
        if item["type"] == "message":
            text += content_text(item["content"])
        elif item["type"] == "reasoning":
            summary += content_text(item.get("summary"))
        elif item["type"] == "function_call":
            calls.append(CalledTool(item["name"], parsed(item["arguments"]), item["call_id"]))
    usage: Json = response.get("usage") or {}
    error: Json = response.get("error") or {}
    reason = json_object(response.get("incomplete_details")).get("reason")
    return replace(
        asked,
        response_model=response.get("model"),
        response_id=response.get("id"),
        input_tokens=usage.get("input_tokens"),
        output_tokens=usage.get("output_tokens"),
        cached_tokens=json_object(usage.get("input_tokens_details")).get("cached_tokens"),
        reasoning_tokens=json_object(usage.get("output_tokens_details")).get("reasoning_tokens"),
        finish_reasons=(reason,) if reason else None,
        output_texts=(text,) if text else (),
        reasoning_texts=(summary,) if summary else (),
        tool_calls=tuple(calls),
        error_type=error.get("code"),
        error_message=error.get("message"),
    )


def embeddings_facts(interaction: Interaction, asked: Facts) -> Facts:
    response = document(interaction)
    vectors = [item["embedding"] for item in response["data"]]
    first: Any = vectors[0]
    # In base64 a vector is its 32-bit floats.
    dimensions = len(base64.b64decode(first)) // 4 if isinstance(first, str) else len(first)
    return replace(
        asked,
        response_model=response.get("model"),
        input_tokens=json_object(response.get("usage")).get("prompt_tokens"),
        embedding_count=len(vectors),
        embedding_dimensions=dimensions,
    )
