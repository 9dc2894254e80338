"""Gemini: `generateContent` of AI Studio and Vertex."""

from __future__ import annotations

from dataclasses import replace
from typing import Dict, List

from ..recordings import Interaction
from .form import CalledTool, Facts
from .wire import Json, document, first_of, json_object, json_objects, sse_events, total


def gemini_facts(interaction: Interaction, asked: Facts) -> Facts:
    events = sse_events(interaction) if interaction.streamed else [document(interaction)]
    texts: Dict[int, str] = {}
    thoughts: Dict[int, str] = {}
    reasons: Dict[int, str] = {}
    calls: List[CalledTool] = []
    usage: Json = {}
    for event in events:
        usage = {**usage, **(event.get("usageMetadata") or {})}
        for candidate in json_objects(event.get("candidates")):
            index = candidate.get("index", 0)
            if candidate.get("finishReason"):
                reasons[index] = candidate["finishReason"]
            for part in json_objects(json_object(candidate.get("content")).get("parts")):
                kept = thoughts if part.get("thought") else texts
                kept[index] = kept.get(index, "") + part.get("text", "")
                if "functionCall" in part:
                    call = part["functionCall"]
                    found = CalledTool(call["name"], call.get("args"), call.get("id"), index)
                    calls.append(found)
    return replace(
        asked,
        response_model=first_of(events, "modelVersion"),
        response_id=first_of(events, "responseId"),
        input_tokens=total(usage.get("promptTokenCount"), usage.get("toolUsePromptTokenCount")),
        # What Gemini calls the candidates' tokens leaves the thoughts out.
        output_tokens=total(usage.get("candidatesTokenCount"), usage.get("thoughtsTokenCount")),
        cached_tokens=usage.get("cachedContentTokenCount"),
        reasoning_tokens=usage.get("thoughtsTokenCount"),
        finish_reasons=tuple(reasons[index] for index in sorted(reasons)) or None,
        output_texts=tuple(texts[index] for index in sorted(texts) if texts[index]),
        reasoning_texts=tuple(thoughts[index] for index in sorted(thoughts) if thoughts[index]),
        tool_calls=tuple(calls),
    )
