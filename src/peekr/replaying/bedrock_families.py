"""Recorded answers as each family of models on Bedrock words them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Optional, cast

from peekr.messages import Part
from peekr.replaying import anthropic_messages
from peekr.replaying.answers import Answer
from peekr.replaying.openai_chat import usage as chat_usage
from peekr.replaying.reply import json_text, pieces
from peekr.semconv import own

__all__ = ["body", "chunks", "converse", "converse_events"]


def body(answer: Answer, request: dict[str, Any]) -> dict[str, Any]:
    """The body that `invoke_model` gives, in the form in which the request was made."""
    family = _family(request)
    if family == "claude":
        return anthropic_messages.message_of(answer, request)
    if family == "nova":
        return converse(answer)
    if family == "chat":
        return _chat(answer)
    if family == "command":
        return _command(answer)
    return _prompt(answer, request, _texts(answer), answer.reasons)


def chunks(answer: Answer, request: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """The chunks of `invoke_model_with_response_stream`, the runtime's own counts in the last."""
    made = list(_chunks(answer, request))
    counts = answer.counts
    held = {
        "inputTokenCount": counts.uncached,
        "outputTokenCount": counts.output,
        "cacheReadInputTokenCount": counts.cache_read,
        "cacheWriteInputTokenCount": counts.cache_write,
        "invocationLatency": answer.attribute(own.PEEKR_RESPONSE_LATENCY_MS),
    }
    metrics = {name: count for name, count in held.items() if count is not None}
    if made and metrics and answer.reasons:
        made[-1]["amazon-bedrock-invocationMetrics"] = metrics
    yield from made


def _family(request: dict[str, Any]) -> str:
    """The form of a request's body; see `peekr.instrumentation.bedrock`, which reads the same."""
    if "messages" in request:
        if "anthropic_version" in request:
            return "claude"
        if not {"inferenceConfig", "toolConfig", "schemaVersion"}.isdisjoint(request):
            return "nova"
        entries: list[Any] = request["messages"] or [{}]
        content: Any = entries[0].get("content")
        first: Any = cast("list[Any]", content)[:1] if isinstance(content, list) else []
        return "nova" if first and "type" not in first[0] and "text" in first[0] else "chat"
    if isinstance(request.get("message"), str) or "chat_history" in request:
        return "command"
    return "prompt"


def _chunks(answer: Answer, request: dict[str, Any]) -> Iterator[dict[str, Any]]:
    family = _family(request)
    if family == "claude":
        yield from anthropic_messages.events_of(answer, request)
    elif family == "nova":
        yield from converse_events(answer)
    elif family == "chat":
        yield from _chat_chunks(answer)
    elif family == "command":
        whole = _command(answer)
        for piece in pieces(whole["text"]):
            yield {"event_type": "text-generation", "text": piece, "is_finished": False}
        if answer.reasons:
            end = {"event_type": "stream-end", "is_finished": True, "response": whole}
            yield {**end, "finish_reason": answer.reasons[0]}
    else:
        text = (_texts(answer) or [""])[0]
        for piece in pieces(text):
            yield _prompt(answer, request, [piece], [], is_chunk=True)
        if answer.reasons:
            yield _prompt(answer, request, [""], answer.reasons[:1])


# -- Converse and Nova ---------------------------------------------------------------------------


def converse(answer: Answer) -> dict[str, Any]:
    """The body of Converse, without its latency."""
    parts = answer.choices[0].parts if answer.choices else []
    made: dict[str, Any] = {
        "output": {"message": {"role": "assistant", "content": [_block(part) for part in parts]}},
        "stopReason": answer.reasons[0] if answer.reasons else None,
    }
    counts = _converse_usage(answer)
    if counts:
        made["usage"] = counts
    return made


def converse_events(answer: Answer) -> Iterator[dict[str, Any]]:
    """The events of ConverseStream, without its latency."""
    parts = answer.choices[0].parts if answer.choices else []
    yield {"messageStart": {"role": "assistant"}}
    for index, part in enumerate(parts):
        yield from _block_events(_block(part), index)
        yield {"contentBlockStop": {"contentBlockIndex": index}}
    if answer.reasons:
        yield {"messageStop": {"stopReason": answer.reasons[0]}}
        counts = _converse_usage(answer)
        yield {"metadata": {"usage": counts} if counts else {}}


def _block_events(block: dict[str, Any], index: int) -> Iterator[dict[str, Any]]:
    def delta(value: dict[str, Any]) -> dict[str, Any]:
        return {"contentBlockDelta": {"contentBlockIndex": index, "delta": value}}

    if "text" in block:
        for piece in pieces(block["text"]):
            yield delta({"text": piece})
    elif "toolUse" in block:
        held = dict(block["toolUse"])
        written = json_text(held.pop("input", {}))
        yield {"contentBlockStart": {"contentBlockIndex": index, "start": {"toolUse": held}}}
        for piece in pieces(written):
            yield delta({"toolUse": {"input": piece}})
    elif "reasoningContent" in block:
        shown = block["reasoningContent"].get("reasoningText")
        if shown is None:
            yield delta({"reasoningContent": {"redactedContent": ""}})
        else:
            for piece in pieces(shown["text"]):
                yield delta({"reasoningContent": {"text": piece}})
    elif "citationsContent" in block:
        for entry in block["citationsContent"]["content"]:
            for piece in pieces(entry["text"]):
                yield delta({"text": piece})
        for citation in block["citationsContent"]["citations"]:
            yield delta({"citation": citation})


def _block(part: Part) -> dict[str, Any]:
    kind = part.get("type")
    if kind == "text":
        words = part.get("content") or ""
        if part.get("citations"):
            cited = {"content": [{"text": words}], "citations": part["citations"]}
            return {"citationsContent": cited}
        return {"text": words}
    if kind == "tool_call":
        call = {"toolUseId": part.get("id") or "", "name": part.get("name") or ""}
        return {"toolUse": {**call, "input": part.get("arguments")}}
    if kind == "reasoning":
        if part.get("redacted"):
            return {"reasoningContent": {"redactedContent": ""}}
        return {"reasoningContent": {"reasoningText": {"text": part.get("content") or ""}}}
    return {"text": ""}


def _converse_usage(answer: Answer) -> dict[str, Any]:
    counts = answer.counts
    if not counts.is_any:
        return {}
    made: dict[str, Any] = {
        "inputTokens": counts.uncached or 0,
        "outputTokens": counts.output or 0,
        "totalTokens": counts.total,
    }
    if counts.cache_read is not None:
        made["cacheReadInputTokens"] = counts.cache_read
    if counts.cache_write is not None:
        made["cacheWriteInputTokens"] = counts.cache_write
    if counts.cache_write_1h is not None:
        made["cacheDetails"] = [{"ttl": "1h", "inputTokens": counts.cache_write_1h}]
    return made


# -- OpenAI's form -------------------------------------------------------------------------------


def _chat(answer: Answer) -> dict[str, Any]:
    choices = [
        {"index": at, "message": _said(choice.parts), "finish_reason": choice.reason}
        for at, choice in enumerate(answer.choices)
    ]
    return {**_chat_head(answer), "choices": choices}


def _chat_head(answer: Answer) -> dict[str, Any]:
    held = {"id": answer.id, "model": answer.model, "usage": chat_usage(answer)}
    return {key: value for key, value in held.items() if value is not None}


def _said(parts: list[Part]) -> dict[str, Any]:
    made: dict[str, Any] = {"role": "assistant", "content": _text(parts)}
    thought = _text(parts, "reasoning")
    if thought:
        made["reasoning_content"] = thought
    calls = [part for part in parts if part.get("type") == "tool_call"]
    if calls:
        made["tool_calls"] = [_call(part) for part in calls]
    return made


def _call(part: Part) -> dict[str, Any]:
    written = json_text(part.get("arguments"))
    function = {"name": part.get("name") or "", "arguments": written}
    return {"id": part.get("id") or "", "type": "function", "function": function}


def _chat_chunks(answer: Answer) -> Iterator[dict[str, Any]]:
    head = {key: value for key, value in _chat_head(answer).items() if key != "usage"}
    for at, choice in enumerate(answer.choices):
        said = _said(choice.parts)
        for name in ("reasoning_content", "content"):
            for piece in pieces(said.get(name) or ""):
                yield {**head, "choices": [{"index": at, "delta": {name: piece}}]}
        calls: list[Any] = [
            {"index": n, **call} for n, call in enumerate(said.get("tool_calls") or ())
        ]
        delta: dict[str, Any] = {"tool_calls": calls} if calls else {}
        last: dict[str, Any] = {"index": at, "delta": delta, "finish_reason": choice.reason}
        yield {**_chat_head(answer), "choices": [last]}


# -- Command R, and those that take a prompt -------------------------------------------------------


def _command(answer: Answer) -> dict[str, Any]:
    parts = answer.choices[0].parts if answer.choices else []
    made: dict[str, Any] = {
        "generation_id": answer.id or "",
        "text": _text(parts),
        "finish_reason": answer.reasons[0] if answer.reasons else None,
    }
    if answer.id is not None:
        made["response_id"] = answer.id
    calls = [
        {"name": part.get("name"), "parameters": part.get("arguments")}
        for part in parts
        if part.get("type") == "tool_call"
    ]
    if calls:
        made["tool_calls"] = calls
    return made


def _prompt(
    answer: Answer,
    request: dict[str, Any],
    texts: list[str],
    reasons: list[str],
    is_chunk: bool = False,
) -> dict[str, Any]:
    """An answer of a family that takes a prompt; told by what such requests hold."""
    counts = answer.counts
    reason: Optional[str] = reasons[0] if reasons else None
    first = texts[0] if texts else ""
    if "inputText" in request:  # Titan
        if is_chunk or not texts:
            return {"outputText": first, "index": 0, "completionReason": reason}
        if request.get("stream") is None and texts == [""]:
            last: dict[str, Any] = {"outputText": "", "index": 0, "completionReason": reason}
            last["totalOutputTextTokenCount"] = counts.output
            last["inputTextTokenCount"] = counts.input
            return last
        results = [
            {
                "outputText": text,
                "tokenCount": counts.output,
                "completionReason": reasons[at] if at < len(reasons) else None,
            }
            for at, text in enumerate(texts)
        ]
        return {"inputTextTokenCount": counts.input, "results": results}
    if "max_gen_len" in request:  # Llama
        told = {"generation": first, "stop_reason": reason}
        counted = {"prompt_token_count": counts.input, "generation_token_count": counts.output}
        return told if is_chunk else {**told, **counted}
    if "max_tokens_to_sample" in request:  # Claude's text completions
        return {"type": "completion", "completion": first, "stop_reason": reason, "stop": None}
    several = [(text, reasons[at] if at < len(reasons) else None) for at, text in enumerate(texts)]
    model = str(answer.attribute("model") or "")
    if "cohere" in model:
        generations: list[dict[str, Any]] = [{"text": t, "finish_reason": r} for t, r in several]
        made: dict[str, Any] = {"generations": generations}
        return made if answer.id is None else {"id": answer.id, **made}
    if "ai21" in model:
        completions = [{"data": {"text": t}, "finishReason": {"reason": r}} for t, r in several]
        made = {"completions": completions}
        return made if answer.id is None else {"id": answer.id, **made}
    if "llama" in model:
        return {"generation": first, "stop_reason": reason}
    return {"outputs": [{"text": t, "stop_reason": r} for t, r in several]}


def _texts(answer: Answer) -> list[str]:
    return [_text(choice.parts) for choice in answer.choices]


def _text(parts: list[Part], kind: str = "text") -> str:
    return "".join(str(part.get("content") or "") for part in parts if part.get("type") == kind)
