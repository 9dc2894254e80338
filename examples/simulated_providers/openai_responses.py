"""OpenAI's Responses, simulated, and what chat completions share with them."""

from __future__ import annotations

import re
from typing import Any, Iterator, List, Optional, cast

from .exchange import CREATED_AT_S, Ids, Json, Reply, child, json_reply, objects, sse, stream_reply
from .failures import break_stream
from .model import Answer, Prompt, SimulatedModel, Tool, pieces
from .openai_errors import check_number, missing, server_error

__all__ = ["VERSIONS", "offered_tools", "reasons", "responses_reply", "text_of", "version"]

_REASONING_MODELS = re.compile(r"^(o[1-9]|gpt-5|simulated-reasoning)")
VERSIONS = {
    "gpt-4o": "gpt-4o-2024-08-06",
    "gpt-4o-mini": "gpt-4o-mini-2024-07-18",
    "gpt-4": "gpt-4-0613",
    "gpt-4.1": "gpt-4.1-2025-04-14",
    "gpt-4.1-mini": "gpt-4.1-mini-2025-04-14",
    "gpt-5": "gpt-5-2025-08-07",
    "o3-mini": "o3-mini-2025-01-31",
}
"""The dated model that answers for a name."""


def version(model: str) -> str:
    """Return the name of the model that answers."""
    return VERSIONS.get(model, model)


def reasons(model: str) -> bool:
    """Tell whether a model reasons before it answers."""
    return bool(_REASONING_MODELS.match(model))


def offered_tools(body: Json, functions: List[Json]) -> List[Tool]:
    """Return the functions that the model may call: none where the request forbids it."""
    if body.get("tool_choice") == "none":
        return []
    return [Tool(str(f.get("name")), child(f, "parameters")) for f in functions]


def text_of(content: Any) -> str:
    """Return the text of a message's content: a string, or parts with text among others."""
    if isinstance(content, str):
        return content
    return "".join(str(part.get("text") or "") for part in objects(content))


def responses_reply(body: Json, model: SimulatedModel, ids: Ids) -> Reply:
    """Answer a request to `/responses`.

    Raises:
        Rejected: the request is invalid.
    """
    check_number(body, "temperature", 2)
    if not body.get("input"):
        raise missing("input")
    prompt = _prompt(body)
    answer = model.answer(prompt)
    text = child(body, "text")
    response: Json = {
        "id": ids.next("resp_"),
        "object": "response",
        "created_at": CREATED_AT_S,
        "status": "in_progress",
        "background": False,
        "error": None,
        "incomplete_details": None,
        "instructions": body.get("instructions"),
        "max_output_tokens": body.get("max_output_tokens"),
        "model": version(body["model"]),
        "output": [],
        "parallel_tool_calls": body.get("parallel_tool_calls", True),
        "previous_response_id": body.get("previous_response_id"),
        "reasoning": {"effort": None, "summary": None, **child(body, "reasoning")},
        "service_tier": "default",
        "store": body.get("store", True),
        "temperature": body.get("temperature", 1.0),
        "text": {"format": {"type": "text"}, "verbosity": "medium", **text},
        "tool_choice": body.get("tool_choice", "auto"),
        "tools": body.get("tools") or [],
        "top_p": body.get("top_p", 1.0),
        "truncation": "disabled",
        "usage": None,
        "user": body.get("user"),
        "metadata": body.get("metadata") or {},
    }
    items = _items(ids, body, answer)
    ended: Json = {
        **response,
        "status": "incomplete" if answer.truncated else "completed",
        "output": items,
        "usage": _usage(prompt, answer, model.cached_tokens(prompt)),
    }
    if answer.truncated:
        ended["incomplete_details"] = {"reason": "max_output_tokens"}
    if body.get("stream"):
        return stream_reply(_events(body["model"], response, ended))
    return json_reply(ended)


def _items(ids: Ids, body: Json, answer: Answer) -> List[Json]:
    items: List[Json] = []
    if answer.reasoning:
        wanted = child(body, "reasoning").get("summary")
        summary = [{"type": "summary_text", "text": answer.reasoning}] if wanted else []
        items.append({"id": ids.next("rs_"), "type": "reasoning", "summary": summary})
    items.extend(
        {
            "id": ids.next("fc_"),
            "type": "function_call",
            "status": "completed",
            "arguments": call.arguments_json,
            "call_id": ids.next("call_"),
            "name": call.name,
        }
        for call in answer.tool_calls
    )
    if answer.text:
        part: Json = {"type": "output_text", "text": answer.text}
        part.update(annotations=[], logprobs=[])
        items.append(
            {
                "id": ids.next("msg_"),
                "type": "message",
                "status": "incomplete" if answer.truncated else "completed",
                "content": [part],
                "role": "assistant",
            }
        )
    return items


def _events(model: str, started: Json, ended: Json) -> Iterator[bytes]:
    """Stream a response as its events, in the order of the real service."""
    number = -1

    def event(kind: str, **fields: Any) -> bytes:
        nonlocal number
        number += 1
        return sse({"type": kind, **fields, "sequence_number": number}, event=kind)

    yield event("response.created", response=started)
    yield event("response.in_progress", response=started)
    for index, item in enumerate(cast("List[Json]", ended["output"])):
        at: Json = {"output_index": index, "item_id": item["id"]}
        opened: Json = {**item, "status": "in_progress"}
        if item["type"] == "reasoning":
            opened = {**item, "summary": []}
        elif item["type"] == "function_call":
            opened["arguments"] = ""
        else:
            opened["content"] = []
        yield event("response.output_item.added", item=opened, output_index=index)
        if item["type"] == "function_call":
            for piece in pieces(item["arguments"]):
                yield event("response.function_call_arguments.delta", **at, delta=piece)
            done = {"name": item["name"], "arguments": item["arguments"]}
            yield event("response.function_call_arguments.done", **at, **done)
        for part_index, part in enumerate(objects(item.get("summary"))):
            at_part = {**at, "summary_index": part_index}
            empty = {**part, "text": ""}
            kind = "response.reasoning_summary"
            yield event(f"{kind}_part.added", **at_part, part=empty)
            for piece in pieces(part["text"]):
                yield event(f"{kind}_text.delta", **at_part, delta=piece)
            yield event(f"{kind}_text.done", **at_part, text=part["text"])
            yield event(f"{kind}_part.done", **at_part, part=part)
        for part_index, part in enumerate(objects(item.get("content"))):
            at_part = {**at, "content_index": part_index}
            yield event("response.content_part.added", **at_part, part={**part, "text": ""})
            deltas = (
                event("response.output_text.delta", **at_part, delta=piece, logprobs=[])
                for piece in pieces(part["text"])
            )
            fault = {"code": "server_error", "message": server_error()["message"]}
            failed = {**started, "status": "failed", "error": fault}
            failure = (event(kind, response=failed) for kind in ["response.failed"])
            yield from break_stream(model, deltas, failure)
            yield event("response.output_text.done", **at_part, text=part["text"], logprobs=[])
            yield event("response.content_part.done", **at_part, part=part)
        yield event("response.output_item.done", item=item, output_index=index)
    yield event(f"response.{ended['status']}", response=ended)


def _prompt(body: Json) -> Prompt:
    given: Any = body["input"]
    items = objects(given) or [{"role": "user", "content": given}]
    question = ""
    results: List[str] = []
    texts = [text_of(body.get("instructions"))]
    for item in items:
        kind = item.get("type", "message")
        if kind == "function_call_output":
            text = text_of(item.get("output"))
            results.append(text)
        elif kind == "function_call":
            text = f"{item.get('name')}{item.get('arguments')}"
        else:
            text = text_of(item.get("content"))
            if item.get("role") == "user":
                question, results = text, []
        texts.append(text)
    form = child(child(body, "text"), "format")
    schema: Optional[Json] = None
    if form.get("type") == "json_schema":
        schema = child(form, "schema")
    elif form.get("type") == "json_object":
        schema = {}
    functions = [tool for tool in objects(body.get("tools")) if tool.get("type") == "function"]
    return Prompt(
        text="\n".join(texts),
        question=question,
        tools=offered_tools(body, functions),
        tool_results=results,
        schema=schema,
        max_tokens=body.get("max_output_tokens"),
        thinks=reasons(body["model"]),
    )


def _usage(prompt: Prompt, answer: Answer, cached: int) -> Json:
    return {
        "input_tokens": prompt.tokens,
        "input_tokens_details": {"cached_tokens": cached},
        "output_tokens": answer.tokens,
        "output_tokens_details": {"reasoning_tokens": answer.reasoning_tokens},
        "total_tokens": prompt.tokens + answer.tokens,
    }
