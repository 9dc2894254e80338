"""Recorded answers in the form of Gemini's `generateContent`."""

from __future__ import annotations

from typing import Any, Optional

from peekr.messages import Part
from peekr.replaying.answers import Answer, Choice
from peekr.replaying.reply import Reply, broken, event, failed, pieces, plain, stream

__all__ = ["generate"]


def generate(answer: Answer, path: str) -> Reply:
    """An answer, or its chunks where the address asks for them."""
    failure = answer.failure
    if failure is not None and failure.status is not None:
        head = f"{failure.status} {failure.code}. "
        words = failure.message
        detail = {
            "code": failure.status,
            "message": words[len(head) :] if words.startswith(head) else words,
            "status": failure.code or "",
        }
        return failed(failure, {"error": detail})
    if failure is not None and not answer.choices:
        return broken(answer)
    if not path.endswith(":streamGenerateContent"):
        return plain(_whole(answer))
    sent = [event(chunk) for chunk in _chunks(answer)]
    return stream(sent) if failure is None else broken(answer, sent)


def _whole(answer: Answer) -> dict[str, Any]:
    made = _head(answer)
    blocked = _blocked(answer)
    if blocked is not None:
        made["promptFeedback"] = blocked
    else:
        made["candidates"] = [
            _candidate(index, choice, [_part(part) for part in choice.parts])
            for index, choice in enumerate(answer.choices)
        ]
    return {**made, **_usage(answer)}


def _chunks(answer: Answer) -> list[dict[str, Any]]:
    head = _head(answer)
    if _blocked(answer) is not None:
        return [_whole(answer)]
    made: list[dict[str, Any]] = []
    for index, choice in enumerate(answer.choices):
        sent: list[dict[str, Any]] = []
        for part in choice.parts:
            whole = _part(part)
            if part.get("type") in ("text", "reasoning"):
                sent += [{**whole, "text": piece} for piece in pieces(whole["text"])]
            else:
                sent.append(whole)
        empty = choice._replace(reason=None, extra={})
        made += [{**head, "candidates": [_candidate(index, empty, [one])]} for one in sent]
        if choice.reason is not None:
            last: dict[str, Any] = made[-1] if sent else {**head, "candidates": []}
            parts = sent[-1:] if sent else []
            last["candidates"] = [_candidate(index, choice, parts)]
            if not sent:
                made.append(last)
    made = made or [head]
    made[-1] = {**made[-1], **_usage(answer)}
    return made


def _head(answer: Answer) -> dict[str, Any]:
    held = {"responseId": answer.id, "modelVersion": answer.model}
    return {key: value for key, value in held.items() if value is not None}


def _blocked(answer: Answer) -> Optional[dict[str, Any]]:
    """Why the prompt was refused; None where it was not."""
    if not answer.reasons:
        return None
    refused = [
        part for choice in answer.choices for part in choice.parts if part.get("type") == "refusal"
    ]
    if answer.choices and not refused:
        return None
    made = {"blockReason": answer.reasons[-1]}
    if refused:
        made["blockReasonMessage"] = str(refused[0].get("content") or "")
    return made


def _candidate(index: int, choice: Choice, parts: list[dict[str, Any]]) -> dict[str, Any]:
    made: dict[str, Any] = {"index": index, "content": {"role": "model", "parts": parts}}
    if choice.reason:
        made["finishReason"] = choice.reason
    if choice.extra.get("finish_message"):
        made["finishMessage"] = choice.extra["finish_message"]
    return made


def _part(part: Part) -> dict[str, Any]:
    kind = part.get("type")
    if kind == "text":
        return {"text": part.get("content") or ""}
    if kind == "reasoning":
        return {"text": part.get("content") or "", "thought": True}
    if kind == "tool_call":
        call: dict[str, Any] = {"name": part.get("name") or "", "args": part.get("arguments") or {}}
        return {"functionCall": {"id": part["id"], **call} if part.get("id") else call}
    held = {"id": part["id"]} if part.get("id") else {}
    if kind == "server_tool_call":
        detail: dict[str, Any] = part.get("server_tool_call") or {}
        if detail.get("type") == "code_execution":
            code = {"language": detail.get("language"), "code": detail.get("code")}
            return {"executableCode": {**held, **code}}
        tool = {"toolType": str(detail.get("type")).upper(), "args": detail.get("arguments")}
        return {"toolCall": {**held, **tool}}
    if kind == "server_tool_call_response":
        detail = part.get("server_tool_call_response") or {}
        if detail.get("type") == "code_execution":
            told = {"outcome": detail.get("outcome"), "output": detail.get("output")}
            return {"codeExecutionResult": {**held, **told}}
        tool = {"toolType": str(detail.get("type")).upper(), "response": detail.get("response")}
        return {"toolResponse": {**held, **tool}}
    if kind == "uri":
        return {"fileData": {"fileUri": part.get("uri"), "mimeType": part.get("mime_type")}}
    return {"text": ""}


def _usage(answer: Answer) -> dict[str, Any]:
    counts = answer.counts
    if not counts.is_any:
        return {}
    made: dict[str, Any] = {"totalTokenCount": counts.total}
    if counts.input is not None:
        made["promptTokenCount"] = counts.input
    if counts.output is not None:
        made["candidatesTokenCount"] = counts.output - (counts.reasoning or 0)
    if counts.reasoning is not None:
        made["thoughtsTokenCount"] = counts.reasoning
    if counts.cache_read is not None:
        made["cachedContentTokenCount"] = counts.cache_read
    modalities = (("AUDIO", counts.audio_input), ("IMAGE", counts.image_input))
    details = [{"modality": m, "tokenCount": n} for m, n in modalities if n is not None]
    if details:
        made["promptTokensDetails"] = details
    if counts.audio_output is not None:
        spoken = {"modality": "AUDIO", "tokenCount": counts.audio_output}
        made["candidatesTokensDetails"] = [spoken]
    return {"usageMetadata": made}
