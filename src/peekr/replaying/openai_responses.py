"""Recorded answers in the form of OpenAI's Responses."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Optional, cast

from peekr.messages import Part
from peekr.replaying.answers import Answer
from peekr.replaying.openai_chat import error_reply
from peekr.replaying.reply import Reply, broken, event, json_text, pieces, plain, stream
from peekr.semconv import otel

__all__ = ["responses"]

_FIELDS = {
    "web_search_call": "action",
    "file_search_call": "queries",
    "code_interpreter_call": "code",
    "image_generation_call": "prompt",
    "mcp_call": "arguments",
    "computer_call": "action",
    "local_shell_call": "action",
    "shell_call": "action",
    "apply_patch_call": "operation",
    "tool_search_call": "arguments",
}
_RESULTS = {
    "file_search_call": "results",
    "code_interpreter_call": "outputs",
    "mcp_call": "output",
}
_ENDS = {
    "completed": "response.completed",
    "incomplete": "response.incomplete",
    "failed": "response.failed",
}


def responses(answer: Answer, request: dict[str, Any]) -> Reply:
    """A response, or the events of one where the request asks for them."""
    refused = error_reply(answer)
    if refused is not None and not (refused.broken and _is_told(answer)):
        return refused
    body = _body(answer, request)
    if not request.get("stream"):
        return plain(body)
    sent = [event(data, data["type"]) for data in _numbered(_events(answer, body))]
    failure = answer.failure
    if failure is not None and body["status"] != "failed":
        if failure.type[:1].islower() or failure.code:
            data = {
                "type": "error",
                "code": failure.code or failure.type,
                "message": failure.message,
                "param": None,
                "sequence_number": len(sent),
            }
            return stream([*sent, event(data, "error")])
        return broken(answer, sent)
    return stream(sent)


def _is_told(answer: Answer) -> bool:
    """Whether a failure stood inside an answer."""
    failure = answer.failure
    return failure is not None and failure.type[:1].islower()


def _status(answer: Answer) -> tuple[Optional[str], Optional[str]]:
    """The response's status, and why it is incomplete."""
    reason = answer.reasons[0] if answer.reasons else None
    if reason == "error":
        return "failed", None
    if reason == "cancelled":
        return "cancelled", None
    if reason in ("stop", "tool_calls"):
        return "completed", None
    if reason is None:
        return ("failed" if _is_told(answer) and not answer.choices else "in_progress"), None
    return "incomplete", None if reason == "incomplete" else reason


def _body(answer: Answer, request: dict[str, Any]) -> dict[str, Any]:
    status, why = _status(answer)
    counts = answer.counts
    failure = answer.failure
    body: dict[str, Any] = {
        "id": answer.id or "",
        "object": "response",
        "created_at": answer.created_s,
        "status": status,
        "error": None,
        "incomplete_details": None,
        "instructions": request.get("instructions"),
        "metadata": request.get("metadata") or {},
        "model": answer.model or request.get("model") or "",
        "output": list(_items(answer)),
        "parallel_tool_calls": request.get("parallel_tool_calls", True),
        "previous_response_id": request.get("previous_response_id"),
        "temperature": request.get("temperature"),
        "text": request.get("text") or {"format": {"type": "text"}},
        "tool_choice": request.get("tool_choice") or "auto",
        "tools": request.get("tools") or [],
        "top_p": request.get("top_p"),
        "truncation": request.get("truncation") or "disabled",
        "usage": None,
    }
    if why is not None:
        body["incomplete_details"] = {"reason": why}
    if failure is not None and status == "failed":
        body["error"] = {"code": failure.type, "message": failure.message}
    tier = answer.attribute(otel.OPENAI_RESPONSE_SERVICE_TIER)
    if tier is not None:
        body["service_tier"] = tier
    if counts.is_any:
        sent = {"cached_tokens": counts.cache_read, "cache_write_tokens": counts.cache_write}
        body["usage"] = {
            "input_tokens": counts.input or 0,
            "input_tokens_details": {k: v for k, v in sent.items() if v is not None},
            "output_tokens": counts.output or 0,
            "output_tokens_details": {}
            if counts.reasoning is None
            else {"reasoning_tokens": counts.reasoning},
            "total_tokens": counts.total,
        }
    return body


def _items(answer: Answer) -> Iterator[dict[str, Any]]:
    parts = [part for choice in answer.choices for part in choice.parts]
    role = answer.choices[0].role if answer.choices else "assistant"
    results: dict[Any, dict[str, Any]] = {
        part.get("id"): part.get("server_tool_call_response") or {}
        for part in parts
        if part.get("type") == "server_tool_call_response"
    }
    open_message: Optional[dict[str, Any]] = None
    for index, part in enumerate(parts):
        kind = part.get("type")
        if kind in ("text", "refusal"):
            if open_message is None:
                open_message = {
                    "id": f"msg_{index}",
                    "type": "message",
                    "role": role,
                    "status": "completed",
                    "content": [],
                }
            open_message["content"].append(_content(part))
            continue
        if open_message is not None:
            yield open_message
            open_message = None
        if kind != "server_tool_call_response":
            yield _item(part, index, results)
    if open_message is not None:
        yield open_message


def _content(part: Part) -> dict[str, Any]:
    words = part.get("content") or ""
    if part.get("type") == "refusal":
        return {"type": "refusal", "refusal": words}
    return {"type": "output_text", "text": words, "annotations": [], "logprobs": []}


def _item(part: Part, index: int, results: dict[Any, dict[str, Any]]) -> dict[str, Any]:
    kind = part.get("type")
    if kind == "reasoning":
        summary = [{"type": "summary_text", "text": part.get("content") or ""}]
        return {"id": f"rs_{index}", "type": "reasoning", "summary": summary}
    if kind == "tool_call":
        call_id = part.get("id") or ""
        return {
            "id": f"fc_{index}",
            "type": "function_call",
            "call_id": call_id,
            "name": part.get("name") or "",
            "arguments": json_text(part.get("arguments")),
            "status": "completed",
        }
    if kind == "server_tool_call":
        detail: dict[str, Any] = part.get("server_tool_call") or {}
        of = str(detail.get("type"))
        made = {"id": part.get("id"), "type": of, "status": detail.get("status")}
        asked = detail.get("arguments")
        if of in _FIELDS and asked is not None:
            made[_FIELDS[of]] = asked
        if of == "code_interpreter_call":
            made.update({"container_id": "", "outputs": None})
        if of == "mcp_call":
            made.update({"server_label": "", "arguments": json_text(asked)})
        if part.get("name") != of:
            made["name"] = part.get("name")
        result = results.get(part.get("id"))
        if result is not None and of in _RESULTS:
            made[_RESULTS[of]] = result.get("result")
        return made
    return dict(part)


def _numbered(events: Iterator[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    for number, data in enumerate(events):
        yield {**data, "sequence_number": number}


def _events(answer: Answer, body: dict[str, Any]) -> Iterator[dict[str, Any]]:
    begun: dict[str, Any] = {**body, "status": "in_progress", "output": [], "usage": None}
    begun.update({"incomplete_details": None, "error": None})
    yield {"type": "response.created", "response": begun}
    yield {"type": "response.in_progress", "response": begun}
    for index, item in enumerate(cast("list[dict[str, Any]]", body["output"])):
        for data in _item_events(item):
            yield {**data, "output_index": index}
    end = _ENDS.get(str(body["status"]))
    if end is not None:
        yield {"type": end, "response": body}


def _item_events(item: dict[str, Any]) -> Iterator[dict[str, Any]]:
    kind, item_id = item.get("type"), item.get("id")
    added = dict(item)
    if kind == "message":
        added.update({"content": [], "status": "in_progress"})
    elif kind == "function_call":
        added.update({"arguments": "", "status": "in_progress"})
    elif kind == "reasoning":
        added["summary"] = []
    yield {"type": "response.output_item.added", "item": added}
    if kind == "message":
        for at, part in enumerate(item["content"]):
            yield from _content_events(part, {"item_id": item_id, "content_index": at})
    elif kind == "function_call":
        about = {"item_id": item_id}
        for piece in pieces(item["arguments"]):
            yield {"type": "response.function_call_arguments.delta", "delta": piece, **about}
        yield {
            "type": "response.function_call_arguments.done",
            "arguments": item["arguments"],
            "name": item["name"],
            **about,
        }
    elif kind == "reasoning":
        for at, part in enumerate(item["summary"]):
            about = {"item_id": item_id, "summary_index": at}
            empty = {"type": "summary_text", "text": ""}
            yield {"type": "response.reasoning_summary_part.added", "part": empty, **about}
            for piece in pieces(part["text"]):
                yield {"type": "response.reasoning_summary_text.delta", "delta": piece, **about}
            done = {"type": "response.reasoning_summary_text.done", "text": part["text"]}
            yield {**done, **about}
            yield {"type": "response.reasoning_summary_part.done", "part": part, **about}
    yield {"type": "response.output_item.done", "item": item}


def _content_events(part: dict[str, Any], about: dict[str, Any]) -> Iterator[dict[str, Any]]:
    is_text = part["type"] == "output_text"
    name = "response.output_text" if is_text else "response.refusal"
    words = part["text"] if is_text else part["refusal"]
    empty = {**part, "text" if is_text else "refusal": ""}
    more: dict[str, Any] = {"logprobs": []} if is_text else {}
    yield {"type": "response.content_part.added", "part": empty, **about}
    for piece in pieces(words):
        yield {"type": f"{name}.delta", "delta": piece, **more, **about}
    yield {"type": f"{name}.done", "text" if is_text else "refusal": words, **more, **about}
    yield {"type": "response.content_part.done", "part": part, **about}
