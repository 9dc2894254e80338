"""Bedrock's Converse form, which Nova's own form shares."""

from __future__ import annotations

import json
from typing import Iterator, List, Tuple

from .exchange import Ids, Json, child, objects, strings
from .model import Answer, Prompt, SimulatedModel, Tool, pieces

__all__ = ["converse_answer", "converse_events", "converse_prompt"]


def converse_prompt(body: Json) -> Prompt:
    """Read the body of a request in Converse form.

    Raises:
        ValueError: the body is not valid; the text says why, in Bedrock's words.
    """
    messages = objects(body.get("messages"))
    if not messages or messages[0].get("role") != "user":
        raise ValueError("A conversation must start with a user message. Try again with one.")
    question = ""
    results: List[str] = []
    segments: List[str] = []
    mark = 0
    for said in [{"content": body.get("system")}, *messages]:
        blocks = objects(said.get("content"))
        text = "".join(str(block.get("text") or "") for block in blocks)
        if said.get("role") == "user" and text:
            question, results = text, []
        for block in blocks:
            segments.append(_block_text(block))
            if "toolResult" in block:
                results.append(segments[-1])
            mark = len(segments) if "cachePoint" in block else mark
    specs = [child(tool, "toolSpec") for tool in objects(child(body, "toolConfig").get("tools"))]
    config = child(body, "inferenceConfig")
    thinking = child(child(body, "additionalModelRequestFields"), "thinking")
    return Prompt(
        text="\n".join(segments),
        question=question,
        tools=[
            Tool(str(spec["name"]), child(child(spec, "inputSchema"), "json"))
            for spec in specs
            if "name" in spec
        ],
        tool_results=results,
        # Nova's own form names the limit as it did before Converse existed.
        max_tokens=config.get("maxTokens") or config.get("max_new_tokens"),
        stop=strings(config.get("stopSequences")),
        thinks=thinking.get("type") == "enabled",
        marked="\n".join(segments[:mark]),
    )


def converse_answer(prompt: Prompt, model: SimulatedModel, ids: Ids) -> Json:
    """Answer a prompt in Converse form."""
    answer = model.answer(prompt)
    read, written = model.marked_tokens(prompt)
    content: List[Json] = []
    if answer.reasoning:
        shown = {"text": answer.reasoning, "signature": ids.next("signature_")}
        content.append({"reasoningContent": {"reasoningText": shown}})
    if answer.text:
        content.append({"text": answer.text})
    for call in answer.tool_calls:
        use = {"toolUseId": ids.next("tooluse_"), "name": call.name, "input": call.arguments}
        content.append({"toolUse": use})
    return {
        "metrics": {"latencyMs": 1},
        "output": {"message": {"role": "assistant", "content": content}},
        "stopReason": _stop_reason(answer),
        "usage": {
            # Bedrock counts what concerns the cache apart from the input.
            "inputTokens": prompt.tokens - read - written,
            "outputTokens": answer.tokens,
            "totalTokens": prompt.tokens + answer.tokens,
            "cacheReadInputTokens": read,
            "cacheWriteInputTokens": written,
        },
    }


def converse_events(answer: Json) -> Iterator[Tuple[str, Json]]:
    """Stream an answer as its events: their kinds and what they hold."""
    yield "messageStart", {"role": "assistant"}
    for index, block in enumerate(objects(answer["output"]["message"]["content"])):
        at: Json = {"contentBlockIndex": index}
        deltas: List[Json] = []
        if "toolUse" in block:
            use = block["toolUse"]
            start = {"toolUseId": use["toolUseId"], "name": use["name"]}
            yield "contentBlockStart", {**at, "start": {"toolUse": start}}
            deltas += [{"toolUse": {"input": piece}} for piece in pieces(json.dumps(use["input"]))]
        elif "reasoningContent" in block:
            shown = block["reasoningContent"]["reasoningText"]
            deltas += [{"reasoningContent": {"text": piece}} for piece in pieces(shown["text"])]
            deltas.append({"reasoningContent": {"signature": shown["signature"]}})
        else:
            deltas += [{"text": piece} for piece in pieces(block["text"])]
        for delta in deltas:
            yield "contentBlockDelta", {**at, "delta": delta}
        yield "contentBlockStop", at
    yield "messageStop", {"stopReason": answer["stopReason"]}
    yield "metadata", {"usage": answer["usage"], "metrics": answer["metrics"]}


def _block_text(block: Json) -> str:
    if "toolUse" in block:
        return json.dumps(block["toolUse"])
    if "toolResult" in block:
        parts = objects(child(block, "toolResult").get("content"))
        return "".join(
            str(part["text"]) if "text" in part else json.dumps(part.get("json")) for part in parts
        )
    return str(block.get("text") or "")


def _stop_reason(answer: Answer) -> str:
    if answer.tool_calls:
        return "tool_use"
    if answer.stopped_by is not None:
        return "stop_sequence"
    return "max_tokens" if answer.truncated else "end_turn"
