"""Anthropic's HTTP interface, simulated: messages and the counting of their tokens."""

from __future__ import annotations

import json
import re
from typing import Any, Iterator, List, Optional, Set, Tuple

from .exchange import (
    Ids,
    Json,
    Rejected,
    Reply,
    Request,
    child,
    json_reply,
    objects,
    sse,
    stream_reply,
    strings,
)
from .failures import Failures, break_stream
from .model import Answer, Prompt, SimulatedModel, Tool, pieces

__all__ = ["AnthropicApi", "InvalidMessages", "message", "message_events", "message_prompt"]

_PATHS = ("/v1/messages", "/v1/messages/count_tokens")
_KNOWN_MODELS = re.compile(r"^(claude-|simulated-)")
_ERRORS = {
    400: ("invalid_request_error", "The request is invalid."),
    401: ("authentication_error", "invalid x-api-key"),
    403: ("permission_error", "Your API key does not have permission to use this resource."),
    404: ("not_found_error", "The resource could not be found."),
    413: ("request_too_large", "Request exceeds the maximum allowed number of bytes."),
    429: ("rate_limit_error", "This request would exceed your organization's rate limit."),
    529: ("overloaded_error", "Overloaded"),
}
_SERVER_ERROR = ("api_error", "Internal server error")


class InvalidMessages(Exception):
    """The body is no valid request; the text says why, in Anthropic's words."""


class AnthropicApi:
    """Answers the requests of the Anthropic SDK.

    Args:
        model: gives the answers.
        ids: gives the identifiers.
    """

    def __init__(self, model: SimulatedModel, ids: Ids) -> None:
        self._model = model
        self._ids = ids
        self._failures = Failures()

    def handle(self, request: Request) -> Optional[Reply]:
        """Answer a request; None where the path is not Anthropic's.

        Raises:
            Rejected: the request is refused.
        """
        if request.path not in _PATHS:
            return None
        headers = {"request-id": self._ids.next("req_")}
        body = request.body
        if body is None:
            raise _refused(400, headers, "The request body is not valid JSON")
        name = body.get("model")
        if not isinstance(name, str):
            raise _refused(400, headers, "model: Field required")
        status = self._failures.status(name)
        if status is not None:
            raise _refused(status, headers)
        if not _KNOWN_MODELS.match(name):
            raise _refused(404, headers, f"model: {name}")
        counting = request.path.endswith("/count_tokens")
        try:
            prompt = message_prompt(body, needs_limit=not counting)
        except InvalidMessages as invalid:
            raise _refused(400, headers, str(invalid)) from None
        if counting:
            return json_reply({"input_tokens": prompt.tokens}, headers=headers)
        answer = message(prompt, name, self._model, self._ids)
        if not body.get("stream"):
            return json_reply(answer, headers=headers)
        kind, text = _ERRORS[529]
        error = {"type": "error", "error": {"type": kind, "message": text}}
        events = message_events(answer, name, error)
        return stream_reply((sse(event, event["type"]) for event in events), headers=headers)


def message_prompt(body: Json, *, needs_limit: bool = True) -> Prompt:
    """Read the body of a request for a message.

    Raises:
        InvalidMessages: the body is not valid.
    """
    _check(body, needs_limit)
    question = ""
    results: List[str] = []
    segments: List[Tuple[str, bool]] = []

    def add(text: str, block: Json) -> None:
        segments.append((text, bool(block.get("cache_control"))))

    tools = [tool for tool in objects(body.get("tools")) if "input_schema" in tool]
    for tool in tools:
        add(f"{tool.get('name')}{json.dumps(tool['input_schema'])}", tool)
    tools_end = len(segments)
    for block in _blocks(body.get("system")):
        add(str(block.get("text") or ""), block)
    for said in objects(body["messages"]):
        blocks = _blocks(said.get("content"))
        texts = [str(block.get("text") or "") for block in blocks if block.get("type") == "text"]
        if said["role"] == "user" and "".join(texts):
            question, results = "".join(texts), []
        for block in blocks:
            text = _block_text(block)
            if block.get("type") == "tool_result":
                results.append(text)
            add(text, block)
    last_mark = max((n for n, (_, marked) in enumerate(segments) if marked), default=-1)
    form = child(child(body, "output_config"), "format") or child(body, "output_format")
    offered = [] if child(body, "tool_choice").get("type") == "none" else tools
    return Prompt(
        text="\n".join(text for text, _ in segments[tools_end:]),
        question=question,
        tools=[Tool(str(tool.get("name")), child(tool, "input_schema")) for tool in offered],
        tool_results=results,
        schema=child(form, "schema") if form.get("type") == "json_schema" else None,
        max_tokens=body.get("max_tokens"),
        stop=strings(body.get("stop_sequences")),
        thinks=child(body, "thinking").get("type") in ("enabled", "adaptive"),
        marked="\n".join(text for text, _ in segments[: last_mark + 1]),
    )


def message(
    prompt: Prompt, model_name: str, model: SimulatedModel, ids: Ids, id_prefix: str = "msg_"
) -> Json:
    """Answer a prompt with a message in Anthropic's form."""
    answer = model.answer(prompt)
    read, written = model.marked_tokens(prompt)
    content: List[Json] = []
    if answer.reasoning:
        signature = ids.next("signature_")
        thinking = {"type": "thinking", "thinking": answer.reasoning, "signature": signature}
        content.append(thinking)
    if answer.text:
        content.append({"type": "text", "text": answer.text})
    for call in answer.tool_calls:
        use = {"type": "tool_use", "id": ids.next("toolu_"), "name": call.name}
        content.append({**use, "input": call.arguments})
    return {
        "id": ids.next(id_prefix),
        "type": "message",
        "role": "assistant",
        "model": model_name,
        "content": content,
        "stop_reason": _stop_reason(answer),
        "stop_sequence": answer.stopped_by,
        "usage": {
            # Anthropic counts what concerns the cache apart from the input.
            "input_tokens": prompt.tokens - read - written,
            "cache_creation_input_tokens": written,
            "cache_read_input_tokens": read,
            "cache_creation": {
                "ephemeral_5m_input_tokens": written,
                "ephemeral_1h_input_tokens": 0,
            },
            "output_tokens": answer.tokens,
            "service_tier": "standard",
        },
    }


def message_events(
    answer: Json, model_name: str = "", error: Optional[Json] = None
) -> Iterator[Json]:
    """Stream a message as its events, in the order of the real service.

    Args:
        answer: the message.
        model_name: may ask for a failure in the middle.
        error: the event to send where a failure is to be an error.
    """
    usage: Json = answer["usage"]
    opened: Json = {**answer, "content": [], "stop_reason": None, "stop_sequence": None}
    yield {"type": "message_start", "message": {**opened, "usage": {**usage, "output_tokens": 1}}}
    for index, block in enumerate(objects(answer["content"])):
        at: Json = {"index": index}
        yield {"type": "content_block_start", **at, "content_block": _opened(block)}
        if index == 0:
            yield {"type": "ping"}
        deltas = ({"type": "content_block_delta", **at, "delta": part} for part in _deltas(block))
        if block["type"] == "text":
            yield from break_stream(model_name, deltas, [error] if error else [])
        else:
            yield from deltas
        yield {"type": "content_block_stop", **at}
    ended = {name: answer[name] for name in ("stop_reason", "stop_sequence")}
    counts = {name: usage[name] for name in usage if name.endswith("_tokens")}
    yield {"type": "message_delta", "delta": ended, "usage": counts}
    yield {"type": "message_stop"}


def _opened(block: Json) -> Json:
    if block["type"] == "tool_use":
        return {**block, "input": {}}
    if block["type"] == "thinking":
        return {"type": "thinking", "thinking": "", "signature": ""}
    return {"type": "text", "text": ""}


def _deltas(block: Json) -> Iterator[Json]:
    if block["type"] == "tool_use":
        yield {"type": "input_json_delta", "partial_json": ""}
        for piece in pieces(json.dumps(block["input"])):
            yield {"type": "input_json_delta", "partial_json": piece}
        return
    kind = block["type"]
    for piece in pieces(block[kind]):
        yield {"type": f"{kind}_delta", kind: piece}
    if kind == "thinking":
        yield {"type": "signature_delta", "signature": block["signature"]}


def _check(body: Json, needs_limit: bool) -> None:
    limit = body.get("max_tokens")
    if needs_limit and limit is None:
        raise InvalidMessages("max_tokens: Field required")
    if limit is not None and (not isinstance(limit, int) or limit < 1):
        raise InvalidMessages("max_tokens: Input should be greater than or equal to 1")
    temperature = body.get("temperature")
    if isinstance(temperature, (int, float)) and temperature > 1:
        raise InvalidMessages("temperature: range: 0..1")
    if "messages" not in body:
        raise InvalidMessages("messages: Field required")
    messages = objects(body["messages"])
    if not messages:
        raise InvalidMessages("messages: at least one message is required")
    used: Set[str] = set()
    for index, said in enumerate(messages):
        if said.get("role") not in ("user", "assistant"):
            raise InvalidMessages(
                f"messages.{index}.role: Input should be 'user' or 'assistant'. A conversation's"
                " system prompt is the top-level parameter `system`."
            )
        for number, block in enumerate(_blocks(said.get("content"))):
            if block.get("type") == "tool_use":
                used.add(str(block.get("id")))
            elif block.get("type") == "tool_result" and block.get("tool_use_id") not in used:
                raise InvalidMessages(
                    f"messages.{index}.content.{number}: unexpected `tool_use_id` found in"
                    f" `tool_result` blocks: {block.get('tool_use_id')}. Each `tool_result` block"
                    " must have a corresponding `tool_use` block in the previous message."
                )


def _blocks(content: Any) -> List[Json]:
    return [{"type": "text", "text": content}] if isinstance(content, str) else objects(content)


def _block_text(block: Json) -> str:
    kind = block.get("type")
    if kind == "tool_result":
        return "".join(str(part.get("text") or "") for part in _blocks(block.get("content")))
    if kind == "tool_use":
        return f"{block.get('name')}{json.dumps(block.get('input'))}"
    return str(block.get("text") or block.get("thinking") or "")


def _stop_reason(answer: Answer) -> str:
    if answer.tool_calls:
        return "tool_use"
    if answer.stopped_by is not None:
        return "stop_sequence"
    return "max_tokens" if answer.truncated else "end_turn"


def _refused(status: int, headers: Json, text: Optional[str] = None) -> Rejected:
    kind, usual = _ERRORS.get(status, _SERVER_ERROR)
    sent = {**headers, "retry-after": "0", "retry-after-ms": "1"} if status == 429 else headers
    payload = {
        "type": "error",
        "error": {"type": kind, "message": text or usual},
        "request_id": headers["request-id"],
    }
    return Rejected(json_reply(payload, status=status, headers=sent))
