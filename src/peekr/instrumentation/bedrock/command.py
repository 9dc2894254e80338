"""What Cohere's Command R says: a message, a history, and answers as text with tool calls.

Source: "Cohere Command R and Command R+ models" in Amazon Bedrock's user guide.
"""

from __future__ import annotations

from typing import Any, Optional, cast

from peekr.instrumentation.bedrock.form import obj, objs, parameters, sampling, text_of
from peekr.instrumentation.contract import Accumulator, Request, Response, Usage
from peekr.instrumentation.sound import count
from peekr.messages import Message, Part, message, text, tool_call, tool_response

__all__ = ["CommandForm"]

_ROLES = {"USER": "user", "CHATBOT": "assistant", "SYSTEM": "system", "TOOL": "tool"}


class CommandForm:
    """Command R's chat."""

    def asks(self, body: dict[str, Any]) -> bool:
        """Whether a request is Command R's."""
        return isinstance(body.get("message"), str) or "chat_history" in body

    def request(self, body: dict[str, Any]) -> Request:
        """Read a request."""
        made = [_message(entry) for entry in objs(body.get("chat_history"))]
        last: list[Part] = [text(text_of(body.get("message")))] if body.get("message") else []
        last += [
            {"type": "document", "filename": entry.get("title"), "content": entry}
            for entry in objs(body.get("documents"))
        ]
        if last:
            made.append(message("user", last))
        results = _tool_results(body.get("tool_results"))
        if results:
            made.append(message("tool", results))
        preamble = body.get("preamble")
        return Request(
            operation="chat",
            attributes=sampling(body),
            parameters=parameters(body),
            input=made or None,
            system=[text(preamble)] if isinstance(preamble, str) and preamble else None,
            tools=[_tool(entry) for entry in objs(body.get("tools"))] or None,
        )

    def answers(self, body: dict[str, Any]) -> bool:
        """Whether an answer or an event is Command R's."""
        return "event_type" in body or ("generation_id" in body and "text" in body)

    def response(self, body: dict[str, Any]) -> Response:
        """Read an answer."""
        reason = body.get("finish_reason")
        said = text_of(body.get("text"))
        parts: list[Part] = [text(said)] if said else []
        parts += _calls(body.get("tool_calls"))
        return Response(
            id=body.get("response_id") or body.get("id"),
            finish_reasons=[reason] if reason else None,
            usage=_usage(body.get("meta")),
            output=[message("assistant", parts, finish_reason=reason or "")] if parts else None,
        )

    def accumulator(self) -> Accumulator:
        """Begin a stream of events."""
        return _CommandStream(self)


def _usage(meta: Any) -> Optional[Usage]:
    counts = obj(obj(meta).get("tokens")) or obj(obj(meta).get("billed_units"))
    sent, made = count(counts.get("input_tokens")), count(counts.get("output_tokens"))
    return None if sent is None and made is None else Usage(sent, made)


def _message(entry: dict[str, Any]) -> Message:
    role = text_of(entry.get("role"))
    said = text_of(entry.get("message"))
    parts: list[Part] = [text(said)] if said else []
    parts += _calls(entry.get("tool_calls"))
    parts += _tool_results(entry.get("tool_results"))
    return message(_ROLES.get(role.upper(), role.lower() or "user"), parts)


def _calls(calls: Any) -> list[Part]:
    return [
        tool_call(call.get("id"), call.get("name"), call.get("parameters")) for call in objs(calls)
    ]


def _tool_results(results: Any) -> list[Part]:
    return [
        {**tool_response(None, entry.get("outputs")), "name": obj(entry.get("call")).get("name")}
        for entry in objs(results)
    ]


def _tool(entry: dict[str, Any]) -> dict[str, Any]:
    made: dict[str, Any] = {"type": "function", "name": entry.get("name")}
    if entry.get("description"):
        made["description"] = entry["description"]
    if entry.get("parameter_definitions"):
        made["parameters"] = entry["parameter_definitions"]
    return made


class _CommandStream:
    """Puts the events of a stream together; the last one repeats the whole answer."""

    __slots__ = ("_body", "_complete", "_form", "_pieces")

    def __init__(self, form: CommandForm) -> None:
        self._form = form
        self._pieces: list[str] = []
        self._body: dict[str, Any] = {}
        self._complete = False

    def add(self, chunk: Any) -> None:
        """Take an event's JSON."""
        event = cast("dict[str, Any]", chunk)
        kind = event.get("event_type")
        if kind == "text-generation":
            self._pieces.append(text_of(event.get("text")))
        elif kind == "tool-calls-generation":
            self._body["tool_calls"] = event.get("tool_calls")
        elif kind == "stream-end":
            self._complete = True
            self._body.update(
                {key: value for key, value in obj(event.get("response")).items() if value}
            )
            self._body["finish_reason"] = event.get("finish_reason")

    def response(self) -> Response:
        """What has arrived."""
        response = self._form.response({"text": "".join(self._pieces), **self._body})
        response.complete = self._complete
        return response
