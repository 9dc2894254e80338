"""Anthropic: messages."""

from __future__ import annotations

from dataclasses import replace
from typing import Dict, List

from ..recordings import Interaction
from .form import CalledTool, Facts
from .wire import Json, document, json_object, json_objects, parsed, some, sse_events, total


def anthropic_facts(interaction: Interaction, asked: Facts) -> Facts:
    events = sse_events(interaction) if interaction.streamed else []
    message = anthropic_message(events) if interaction.streamed else document(interaction)
    return with_anthropic_message(asked, message)


def anthropic_message(events: List[Json]) -> Json:
    """Put a stream's events together to the message that a plain call would give."""
    message: Json = {}
    blocks: Dict[int, Json] = {}
    for event in events:
        kind = event["type"]
        if kind == "message_start":
            message = dict(event["message"])
        elif kind == "content_block_start":
            blocks[event["index"]] = {**event["content_block"], "_input": ""}
        elif kind == "content_block_delta":
            block, delta = blocks[event["index"]], event["delta"]
            for part in ("text", "thinking"):
                if part in delta:
                    block[part] = block.get(part, "") + delta[part]
            block["_input"] += delta.get("partial_json", "")
        elif kind == "message_delta":
            message.update({k: v for k, v in event["delta"].items() if v is not None})
            later = {k: v for k, v in json_object(event.get("usage")).items() if v is not None}
            message["usage"] = {**message["usage"], **later}
    for block in blocks.values():
        if block["_input"]:
            block["input"] = parsed(block["_input"])
    message["content"] = [blocks[index] for index in sorted(blocks)]
    return message


def with_anthropic_message(asked: Facts, message: Json) -> Facts:
    content = json_objects(message.get("content"))
    text = "".join(block["text"] for block in content if block["type"] == "text")
    thinking = "".join(block["thinking"] for block in content if block["type"] == "thinking")
    usage: Json = message.get("usage") or {}
    read, written = (
        usage.get("cache_read_input_tokens"),
        usage.get("cache_creation_input_tokens"),
    )
    return replace(
        asked,
        response_model=message.get("model"),
        response_id=message.get("id"),
        # What Anthropic calls input leaves the cache out.
        input_tokens=total(usage.get("input_tokens"), read, written),
        output_tokens=usage.get("output_tokens"),
        cached_tokens=read,
        cache_write_tokens=written,
        finish_reasons=some(message.get("stop_reason")),
        output_texts=some(text) or (),
        reasoning_texts=some(thinking) or (),
        tool_calls=tuple(
            CalledTool(block["name"], block["input"], block["id"])
            for block in content
            if block["type"] == "tool_use"
        ),
    )
