"""Bedrock: Converse, and each model family's own form through `invoke_model`."""

from __future__ import annotations

from dataclasses import replace
from typing import Dict, List, Optional, Tuple

from ..recordings import Interaction
from .anthropic import anthropic_message, with_anthropic_message
from .form import CalledTool, Facts
from .wire import (
    Json,
    aws_events,
    content_text,
    document,
    either,
    json_object,
    json_objects,
    parsed,
    some,
    total,
)


def converse_facts(interaction: Interaction, asked: Facts) -> Facts:
    if interaction.streamed:
        return _with_converse(asked, _converse_response(aws_events(interaction)))
    return _with_converse(asked, document(interaction))


def _converse_response(events: List[Json]) -> Json:
    """Put the events of a Converse stream together to the answer that a plain call would give."""
    response: Json = {}
    blocks: Dict[int, Json] = {}
    for event in events:
        if "contentBlockStart" in event:
            start = event["contentBlockStart"]
            blocks[start["contentBlockIndex"]] = {
                name: {**value, "input": ""} for name, value in start["start"].items()
            }
        elif "contentBlockDelta" in event:
            delta = event["contentBlockDelta"]
            block = blocks.setdefault(delta["contentBlockIndex"], {})
            for name, value in delta["delta"].items():
                if name == "toolUse":
                    block["toolUse"]["input"] += value["input"]
                elif name == "reasoningContent":
                    reasoning = block.setdefault("reasoningContent", {})
                    shown = reasoning.setdefault("reasoningText", {"text": ""})
                    shown["text"] += value.get("text", "")
                else:
                    block[name] = block.get(name, "") + value
        elif "messageStop" in event:
            response["stopReason"] = event["messageStop"]["stopReason"]
        elif "metadata" in event:
            response["usage"] = event["metadata"].get("usage")
    response["output"] = {"message": {"content": [blocks[index] for index in sorted(blocks)]}}
    return response


def _with_converse(asked: Facts, response: Json) -> Facts:
    """Converse, and Nova's own form, which is the same but for the names of two counts."""
    content = json_objects(response["output"]["message"]["content"])
    usage: Json = response.get("usage") or {}
    read = either(usage, "cacheReadInputTokens", "cacheReadInputTokenCount")
    written = either(usage, "cacheWriteInputTokens", "cacheWriteInputTokenCount")
    thinking = "".join(
        block["reasoningContent"].get("reasoningText", {}).get("text", "")
        for block in content
        if "reasoningContent" in block
    )
    calls: List[CalledTool] = []
    for block in content:
        if "toolUse" in block:
            use = block["toolUse"]
            given = parsed(use["input"]) if isinstance(use["input"], str) else use["input"]
            calls.append(CalledTool(use["name"], given, use["toolUseId"]))
    return replace(
        asked,
        # Bedrock counts the cache apart, as Anthropic does.
        input_tokens=total(usage.get("inputTokens"), read, written),
        output_tokens=usage.get("outputTokens"),
        cached_tokens=read,
        cache_write_tokens=written,
        finish_reasons=some(response.get("stopReason")),
        output_texts=some(content_text(content)) or (),
        reasoning_texts=some(thinking) or (),
        tool_calls=tuple(calls),
    )


def invoke_facts(interaction: Interaction, asked: Facts) -> Facts:
    """`invoke_model`, plain and streamed: each family of models has a form of its own."""
    events = aws_events(interaction) if interaction.streamed else [document(interaction)]
    first = events[0]
    if interaction.streamed and "messageStart" in first:
        found = _with_converse(asked, _converse_response(events))
    elif interaction.streamed and first.get("type") == "message_start":
        found = with_anthropic_message(asked, anthropic_message(events))
    elif "output" in first:
        found = _with_converse(asked, first)
    elif first.get("type") == "message":
        found = with_anthropic_message(asked, first)
    else:
        found = _with_plain_text(asked, events)
    counted = _bedrock_counts(interaction, events)
    given = (found.input_tokens, found.output_tokens)
    tokens = [own if own is not None else count for own, count in zip(given, counted)]
    return replace(found, input_tokens=tokens[0], output_tokens=tokens[1])


def _with_plain_text(asked: Facts, events: List[Json]) -> Facts:
    """Titan, Llama, Mistral, Cohere and AI21: texts and reasons, in a list or by themselves."""
    texts: List[str] = []
    reasons: List[Optional[str]] = []
    chat_calls: List[Json] = []
    for event in events:
        answers = (
            json_objects(event.get("results"))
            or json_objects(event.get("outputs"))
            or json_objects(event.get("generations"))
            or json_objects(event.get("choices"))
            or [event]
        )
        for answer in answers:
            message = json_object(answer.get("message") or answer.get("delta"))
            texts.append(
                either(answer, "outputText", "generation", "text") or message.get("content") or ""
            )
            reasons.append(either(answer, "completionReason", "stop_reason", "finish_reason"))
            chat_calls.extend(json_objects(message.get("tool_calls")))
    last = events[-1]
    return replace(
        asked,
        response_id=either(events[0], "response_id", "id"),
        input_tokens=either(last, "inputTextTokenCount", "prompt_token_count"),
        output_tokens=either(
            (json_objects(last.get("results")) or [last])[0],
            "totalOutputTextTokenCount",
            "tokenCount",
            "generation_token_count",
        ),
        finish_reasons=tuple(reason for reason in reasons if reason) or None,
        output_texts=some("".join(texts)) or (),
        tool_calls=tuple(
            CalledTool(c["function"]["name"], parsed(c["function"]["arguments"]), c.get("id"))
            for c in chat_calls
        ),
    )


def _bedrock_counts(
    interaction: Interaction, events: List[Json]
) -> Tuple[Optional[int], Optional[int]]:
    """What Bedrock counted by itself: in headers, or with a stream's last chunk."""
    metrics: Json = {}
    for event in events:
        metrics = event.get("amazon-bedrock-invocationMetrics") or metrics
    if metrics:
        return metrics.get("inputTokenCount"), metrics.get("outputTokenCount")
    headers = interaction.headers
    sent = headers.get("x-amzn-bedrock-input-token-count")
    made = headers.get("x-amzn-bedrock-output-token-count")
    return int(sent) if sent else None, int(made) if made else None
