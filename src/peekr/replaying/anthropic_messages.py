"""Recorded answers in the form of Anthropic's messages."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from peekr.messages import Part
from peekr.replaying.answers import Answer, Failure
from peekr.replaying.reply import Reply, broken, event, failed, json_text, pieces, plain, stream

__all__ = ["events_of", "message_of", "messages"]


def messages(answer: Answer, request: dict[str, Any]) -> Reply:
    """A message, or the events of one where the request asks for them."""
    failure = answer.failure
    if failure is not None and failure.status is not None:
        return failed(failure, _error(failure) if failure.body is None else failure.body)
    if failure is not None and not answer.choices:
        return broken(answer)
    if not request.get("stream"):
        return plain(message_of(answer, request))
    sent = [event(data, data["type"]) for data in events_of(answer, request)]
    if failure is None:
        return stream(sent)
    if failure.type[:1].islower() or failure.code:
        data = {"type": "error", "error": _inner(failure)}
        return stream([*sent, event(data, "error")])
    return broken(answer, sent)


def message_of(answer: Answer, request: dict[str, Any]) -> dict[str, Any]:
    """The whole message."""
    choice = answer.choices[0] if answer.choices else None
    parts = choice.parts if choice is not None else []
    return {
        "id": answer.id or "",
        "type": "message",
        "role": choice.role if choice is not None else "assistant",
        "model": answer.model or request.get("model") or "",
        "content": [_block(part) for part in parts],
        "stop_reason": answer.reasons[0] if answer.reasons else None,
        "stop_sequence": None,
        "usage": _usage(answer),
    }


def events_of(answer: Answer, request: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """The events that bring the message."""
    whole = message_of(answer, request)
    counts = whole["usage"]
    begun = {key: value for key, value in counts.items() if key != "output_tokens_details"}
    begun["output_tokens"] = 0
    head: dict[str, Any] = {**whole, "content": [], "stop_reason": None, "usage": begun}
    yield {"type": "message_start", "message": head}
    for index, block in enumerate(whole["content"]):
        begin, deltas = _cut_up(block)
        yield {"type": "content_block_start", "index": index, "content_block": begin}
        for delta in deltas:
            yield {"type": "content_block_delta", "index": index, "delta": delta}
        yield {"type": "content_block_stop", "index": index}
    if whole["stop_reason"] is None:
        return  # the end had not been seen
    yield {
        "type": "message_delta",
        "delta": {"stop_reason": whole["stop_reason"], "stop_sequence": None},
        "usage": {
            key: value
            for key, value in counts.items()
            if key in ("output_tokens", "output_tokens_details")
        },
    }
    yield {"type": "message_stop"}


def _cut_up(block: dict[str, Any]) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """How a block begins, and the deltas that bring the rest."""
    kind = block["type"]
    if kind == "text":
        begin = {"type": "text", "text": ""}
        deltas: list[dict[str, Any]] = [
            {"type": "citations_delta", "citation": one} for one in block.get("citations") or ()
        ]
        deltas += [{"type": "text_delta", "text": piece} for piece in pieces(block["text"])]
        return begin, deltas
    if kind == "thinking":
        begin = {"type": "thinking", "thinking": "", "signature": ""}
        deltas = [
            {"type": "thinking_delta", "thinking": piece} for piece in pieces(block["thinking"])
        ]
        if block.get("signature"):
            deltas.append({"type": "signature_delta", "signature": block["signature"]})
        return begin, deltas
    if kind in ("tool_use", "server_tool_use", "mcp_tool_use"):
        written = json_text(block["input"])
        return {**block, "input": {}}, [
            {"type": "input_json_delta", "partial_json": piece}
            for piece in pieces("" if written == "{}" else written)
        ]
    return block, []


def _block(part: Part) -> dict[str, Any]:
    kind = part.get("type")
    if kind == "text":
        block = {"type": "text", "text": part.get("content") or ""}
        if part.get("citations"):
            block["citations"] = part["citations"]
        return block
    if kind == "reasoning":
        if part.get("redacted"):
            return {"type": "redacted_thinking", "data": ""}
        signature = part.get("signature") or ""
        return {"type": "thinking", "thinking": part.get("content") or "", "signature": signature}
    if kind == "tool_call":
        return {
            "type": "tool_use",
            "id": part.get("id") or "",
            "name": part.get("name") or "",
            "input": part.get("arguments"),
            **({"toolset_name": part["toolset_name"]} if "toolset_name" in part else {}),
        }
    if kind == "server_tool_call":
        detail: dict[str, Any] = part.get("server_tool_call") or {}
        is_mcp = detail.get("type") == "mcp"
        return {
            "type": "mcp_tool_use" if is_mcp else "server_tool_use",
            "id": part.get("id"),
            "name": part.get("name"),
            "input": detail.get("arguments") or {},
            **({"server_name": detail.get("server_name")} if is_mcp else {}),
        }
    if kind == "server_tool_call_response":
        detail = dict(part.get("server_tool_call_response") or {})
        told = {
            "type": detail.pop("type", "tool_result"),
            "tool_use_id": part.get("id"),
            "content": detail.pop("result", None),
        }
        return {**told, **detail}
    return dict(part)


def _usage(answer: Answer) -> dict[str, Any]:
    counts = answer.counts
    made: dict[str, Any] = {
        "input_tokens": counts.uncached or 0,
        "output_tokens": counts.output or 0,
    }
    if counts.cache_read is not None:
        made["cache_read_input_tokens"] = counts.cache_read
    if counts.cache_write is not None:
        made["cache_creation_input_tokens"] = counts.cache_write
    if counts.cache_write_1h is not None:
        made["cache_creation"] = {
            "ephemeral_1h_input_tokens": counts.cache_write_1h,
            "ephemeral_5m_input_tokens": (counts.cache_write or 0) - counts.cache_write_1h,
        }
    if counts.reasoning is not None:
        made["output_tokens_details"] = {"thinking_tokens": counts.reasoning}
    return made


def _inner(failure: Failure) -> dict[str, Any]:
    return {"type": failure.code or failure.type, "message": failure.words}


def _error(failure: Failure) -> Any:
    return {"type": "error", "error": _inner(failure)}
