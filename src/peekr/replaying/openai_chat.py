"""Recorded answers in the form of OpenAI's chat completions, and of its text completions."""

from __future__ import annotations

from typing import Any, Optional, cast

from peekr.messages import Part
from peekr.replaying.answers import Answer, Choice
from peekr.replaying.reply import Reply, broken, event, failed, json_text, pieces, plain, stream
from peekr.semconv import otel

__all__ = ["chat", "completion", "error_reply", "usage"]


def chat(answer: Answer, request: dict[str, Any]) -> Reply:
    """A chat completion, or its chunks where the request asks for them."""
    refused = error_reply(answer)
    if refused is not None:
        return refused
    if request.get("stream"):
        return _streamed(answer, _chat_chunks(answer, request), request, "chat.completion.chunk")
    choices = [
        {
            "index": index,
            "message": _message(choice, request),
            "finish_reason": choice.reason,
            "logprobs": None,
        }
        for index, choice in enumerate(answer.choices)
    ]
    body = {**_head(answer, request, "chat.completion"), "choices": choices}
    return plain(_with_usage(body, answer))


def completion(answer: Answer, request: dict[str, Any]) -> Reply:
    """A text completion, or its chunks."""
    refused = error_reply(answer)
    if refused is not None:
        return refused
    if request.get("stream"):
        chunks = [
            {"index": index, "text": piece, "finish_reason": None, "logprobs": None}
            for index, choice in enumerate(answer.choices)
            for piece in pieces(_text(choice.parts) or "")
        ]
        chunks += [
            {"index": index, "text": "", "finish_reason": choice.reason, "logprobs": None}
            for index, choice in enumerate(answer.choices)
        ]
        return _streamed(answer, chunks, request, "text_completion")
    choices = [
        {
            "index": index,
            "text": _text(choice.parts) or "",
            "finish_reason": choice.reason,
            "logprobs": None,
        }
        for index, choice in enumerate(answer.choices)
    ]
    body = {**_head(answer, request, "text_completion"), "choices": choices}
    return plain(_with_usage(body, answer))


def error_reply(answer: Answer) -> Optional[Reply]:
    """The refusal that a call ended with; None where an answer began."""
    failure = answer.failure
    if failure is None:
        return None
    if failure.status is not None:
        body: Any = failure.body
        if not isinstance(body, dict):
            body = {"message": failure.words, "type": failure.code, "param": None}
            body["code"] = failure.code
        # The SDK quotes the whole, the inner object, or its message, as its version is.
        return failed(failure, body if "error" in body else {"error": body})
    return None if answer.choices else broken(answer)


def usage(answer: Answer) -> Optional[dict[str, Any]]:
    """Token counts in the form of chat completions."""
    counts = answer.counts
    if not counts.is_any:
        return None
    sent = {
        "cached_tokens": counts.cache_read,
        "cache_write_tokens": counts.cache_write,
        "audio_tokens": counts.audio_input,
        "image_tokens": counts.image_input,
    }
    made = {"reasoning_tokens": counts.reasoning, "audio_tokens": counts.audio_output}
    body: dict[str, Any] = {
        "prompt_tokens": counts.input or 0,
        "completion_tokens": counts.output or 0,
        "total_tokens": counts.total,
    }
    for name, held in (("prompt_tokens_details", sent), ("completion_tokens_details", made)):
        known = {key: value for key, value in held.items() if value is not None}
        if known:
            body[name] = known
    return body


def _head(answer: Answer, request: dict[str, Any], kind: str) -> dict[str, Any]:
    head: dict[str, Any] = {
        "id": answer.id or "",
        "object": kind,
        "created": answer.created_s,
        "model": answer.model or request.get("model") or "",
    }
    for name, attribute in (
        ("service_tier", otel.OPENAI_RESPONSE_SERVICE_TIER),
        ("system_fingerprint", otel.OPENAI_RESPONSE_SYSTEM_FINGERPRINT),
    ):
        value = answer.attribute(attribute)
        if value is not None:
            head[name] = value
    return head


def _with_usage(body: dict[str, Any], answer: Answer) -> dict[str, Any]:
    counts = usage(answer)
    return body if counts is None else {**body, "usage": counts}


def _text(parts: list[Part], kind: str = "text") -> Optional[str]:
    found = [str(part.get("content") or "") for part in parts if part.get("type") == kind]
    return "".join(found) if found else None


def _message(choice: Choice, request: dict[str, Any]) -> dict[str, Any]:
    parts = choice.parts
    made: dict[str, Any] = {
        "role": choice.role,
        "content": _text(parts),
        "refusal": _text(parts, "refusal"),
    }
    thought = _text(parts, "reasoning")
    if thought is not None:
        made["reasoning_content"] = thought
    for part in parts:
        if part.get("type") == "file" and part.get("modality") == "audio":
            made["audio"] = {
                "id": part.get("file_id") or "",
                "data": "",
                "expires_at": 0,
                "transcript": part.get("transcript") or "",
            }
    calls = [part for part in parts if part.get("type") == "tool_call"]
    if _is_function(calls, request):
        made["function_call"] = _function(calls[0])
    elif calls:
        made["tool_calls"] = [_call(part, request) for part in calls]
    return made


def _is_function(calls: list[Part], request: dict[str, Any]) -> bool:
    """Whether a call is one of the API's former functions."""
    return len(calls) == 1 and "id" not in calls[0] and bool(request.get("functions"))


def _function(part: Part) -> dict[str, Any]:
    return {"name": part.get("name") or "", "arguments": json_text(part.get("arguments"))}


def _call(part: Part, request: dict[str, Any]) -> dict[str, Any]:
    if _is_custom(part, request):
        custom = {"name": part.get("name") or "", "input": part.get("arguments") or ""}
        return {"id": part.get("id") or "", "type": "custom", "custom": custom}
    return {"id": part.get("id") or "", "type": "function", "function": _function(part)}


def _is_custom(part: Part, request: dict[str, Any]) -> bool:
    for tool in cast("list[dict[str, Any]]", request.get("tools") or []):
        if tool.get("type") == "custom":
            name = (tool.get("custom") or tool).get("name")
            if name == part.get("name"):
                return True
    return False


def _chat_chunks(answer: Answer, request: dict[str, Any]) -> list[dict[str, Any]]:
    made: list[dict[str, Any]] = []

    def add(index: int, delta: dict[str, Any], reason: Optional[str] = None) -> None:
        made.append({"index": index, "delta": delta, "finish_reason": reason, "logprobs": None})

    for index, choice in enumerate(answer.choices):
        add(index, {"role": choice.role, "content": ""})
        calls = [part for part in choice.parts if part.get("type") == "tool_call"]
        for part in choice.parts:
            kind, content = part.get("type"), str(part.get("content") or "")
            name = {"reasoning": "reasoning_content", "text": "content", "refusal": "refusal"}.get(
                str(kind)
            )
            if name is not None:
                for piece in pieces(content):
                    add(index, {name: piece})
        if _is_function(calls, request):
            whole = _function(calls[0])
            add(index, {"function_call": {"name": whole["name"], "arguments": ""}})
            for piece in pieces(whole["arguments"]):
                add(index, {"function_call": {"arguments": piece}})
        else:
            for at, part in enumerate(calls):
                whole = _call(part, request)
                kind = whole["type"]
                inner = whole[kind]
                key = "input" if kind == "custom" else "arguments"
                begun = {"name": inner["name"], key: ""}
                add(
                    index,
                    {
                        "tool_calls": [
                            {"index": at, "id": whole["id"], "type": kind, kind: begun},
                        ]
                    },
                )
                for piece in pieces(inner[key]):
                    add(index, {"tool_calls": [{"index": at, kind: {key: piece}}]})
        if choice.reason is not None:
            add(index, {}, choice.reason)
    return made


def _streamed(
    answer: Answer, choices: list[dict[str, Any]], request: dict[str, Any], kind: str
) -> Reply:
    head = _head(answer, request, kind)
    events = [{**head, "choices": [choice]} for choice in choices]
    counts = usage(answer)
    if counts is not None:
        options: Any = request.get("stream_options") or {}
        if options.get("include_usage") or not events:
            events = [{**made, "usage": None} for made in events]
            events.append({**head, "choices": [], "usage": counts})
        else:
            events[-1]["usage"] = counts  # some services send it unasked
    sent = [event(made) for made in events]
    failure = answer.failure
    if failure is not None:
        if failure.type[:1].islower():
            # The provider's word, sent inside the stream.
            body = {"message": failure.words, "code": failure.type, "type": failure.type}
            return stream([*sent, event({"error": body})])
        if failure.type == "APIError":
            body = {"message": failure.words, "code": failure.code, "type": failure.code}
            return stream([*sent, event({"error": body})])
        return broken(answer, sent)
    return stream([*sent, b"data: [DONE]\n\n"])
