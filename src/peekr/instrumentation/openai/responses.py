"""What a call of the Responses API says.

Source: the API reference of `POST /responses`, its items and its stream events, and the models of
openai 1.66 to 3.54.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Optional, cast

from peekr.instrumentation.contract import Accumulator, Fault, Request, Response, field
from peekr.instrumentation.openai import client
from peekr.instrumentation.openai.chat_messages import tool_definitions
from peekr.instrumentation.openai.written import responses_form
from peekr.instrumentation.sound import joined, listed
from peekr.messages import (
    Message,
    Part,
    binary,
    file,
    message,
    reasoning,
    refusal,
    text,
    tool_call,
    tool_response,
    uri,
)
from peekr.semconv import otel

__all__ = ["RESPONSES", "ResponsesExtractor"]

# Items that the provider runs itself, and the field that says what was asked of each.
_SERVER_CALLS = {
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
_SERVER_RESULTS = {
    "web_search_call": None,
    "file_search_call": "results",
    "code_interpreter_call": "outputs",
    "mcp_call": "output",
}


class ResponsesExtractor:
    """Reads `responses.create` and `parse`, and the stream that either helper opens."""

    def request(self, instance: Any, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> Request:
        """Read a request from the SDK's keyword arguments."""
        del args  # the method takes none
        arguments, attributes, parameters, contents = client.read(kwargs)
        prompt = arguments.get("prompt")
        if prompt is not None:
            contents["prompt"] = client.plain(prompt)
        provider, server = client.endpoint(instance)
        attributes[otel.OPENAI_API_TYPE] = "responses"
        kind = field(field(arguments.get("text"), "format"), "type")
        if kind in ("json_object", "json_schema") or arguments.get("text_format") is not None:
            attributes[otel.GEN_AI_OUTPUT_TYPE] = "json"
        elif kind == "text":
            attributes[otel.GEN_AI_OUTPUT_TYPE] = "text"
        instructions = arguments.get("instructions")
        conversation = arguments.get("conversation")
        conversation_id = (
            conversation if isinstance(conversation, str) else field(conversation, "id")
        )
        if conversation_id:
            attributes[otel.GEN_AI_CONVERSATION_ID] = conversation_id
        return Request(
            model=client.text_of(arguments.get("model")),
            provider=provider,
            server=server,
            stream=arguments.get("stream") is True,
            attributes=attributes,
            parameters=parameters,
            content_parameters=contents,
            form=responses_form(kwargs, _item_parts),
            input=_input(arguments.get("input")),
            system=[text(instructions)] if isinstance(instructions, str) else None,
            tools=tool_definitions(arguments.get("tools")),
        )

    def response(self, result: Any) -> Response:
        """Read a `Response` or its JSON."""
        status = field(result, "status")
        items = listed(field(result, "output"))
        reasons = _finish_reasons(result, status, items)
        attributes: dict[str, Any] = {}
        tier = field(result, "service_tier")
        if isinstance(tier, str) and tier:
            attributes[otel.OPENAI_RESPONSE_SERVICE_TIER] = tier
        return Response(
            id=field(result, "id"),
            model=field(result, "model"),
            finish_reasons=reasons,
            usage=client.usage(field(result, "usage")),
            output=_output(items, reasons),
            attributes=attributes,
            fault=_failure(result, status),
        )

    def accumulator(self) -> Accumulator:
        """Begin a stream of events."""
        return _ResponsesStream(self)

    def fault(self, error: BaseException) -> Optional[Fault]:
        """Read an exception of the SDK."""
        return client.fault(error)


def _finish_reasons(result: Any, status: Any, items: list[Any]) -> list[str]:
    if status == "incomplete":
        reason = field(field(result, "incomplete_details"), "reason")
        return [reason if isinstance(reason, str) and reason else "incomplete"]
    if status in ("failed", "cancelled"):
        return ["error" if status == "failed" else "cancelled"]
    if status is not None and status != "completed":
        return []  # queued or in progress: it has not finished
    kinds = [field(item, "type") for item in items]
    if "function_call" in kinds or "custom_tool_call" in kinds:
        return ["tool_calls"]
    return ["stop"] if status == "completed" else []


def _failure(result: Any, status: Optional[str]) -> Optional[Fault]:
    error = field(result, "error")
    if error is None and status != "failed":
        return None
    code = field(error, "code") or field(error, "type") or status or "error"
    return Fault(str(code), str(field(error, "message") or code))


def _output(items: list[Any], reasons: list[str]) -> list[Message]:
    """The items of one answer as one message; what the items say stays in their order."""
    parts: list[Part] = []
    role = "assistant"
    for item in items:
        if field(item, "type") == "message":
            role = field(item, "role") or role
        parts += _item_parts(item)
    if not parts:
        return []
    return [message(role, parts, finish_reason=reasons[0] if reasons else "")]


def _input(value: Any) -> Optional[list[Message]]:
    if isinstance(value, str):
        return [message("user", [text(value)])]
    if value is None or isinstance(value, bytes) or not isinstance(value, Iterable):
        return None
    made: list[Message] = []
    for item in cast("Iterable[Any]", value):
        if isinstance(item, str):
            made.append(message("user", [text(item)]))
            continue
        kind = field(item, "type")
        role = field(item, "role")
        if role is None:
            role = "tool" if str(kind).endswith("_output") else "assistant"
        parts = _item_parts(item)
        if parts:
            made.append(message(role, parts))
    return made


def _item_parts(item: Any) -> list[Part]:
    kind = field(item, "type")
    if kind == "message" or kind is None:
        return _content(field(item, "content"))
    if not isinstance(kind, str):
        return [client.unknown(item, kind)]
    if kind == "function_call":
        call_id = field(item, "call_id") or field(item, "id")
        return [tool_call(call_id, field(item, "name"), field(item, "arguments"))]
    if kind == "custom_tool_call":
        call_id = field(item, "call_id") or field(item, "id")
        part = tool_call(call_id, field(item, "name"), None)
        part["arguments"] = field(item, "input")  # free text, which may look like JSON
        return [part]
    if kind.endswith("_output"):
        output = field(item, "output")
        response = output if isinstance(output, str) else _tool_output(output)
        return [tool_response(field(item, "call_id"), response)]
    if kind == "reasoning":
        return _reasoning(item)
    if kind in _SERVER_CALLS:
        return _server_call(item, kind)
    if kind == "item_reference":
        return [{"type": "item_reference", "id": field(item, "id")}]
    return [client.unknown(item, kind)]


def _tool_output(output: Any) -> Any:
    """What a tool gave back: content parts, or values of its own such as a screenshot's."""
    entries = cast("list[Any]", output) if isinstance(output, (list, tuple)) else None
    if entries and str(field(entries[0], "type")).startswith("input_"):
        return _content(entries)
    return client.plain(output)


def _reasoning(item: Any) -> list[Part]:
    parts: list[Part] = []
    for block in listed(field(item, "summary")) or listed(field(item, "content")):
        words = field(block, "text")
        if words:
            parts.append(reasoning(words))
    return parts


def _server_call(item: Any, kind: str) -> list[Part]:
    """A tool that ran at the provider: its call, and its result where the item holds it."""
    asked = client.plain(field(item, _SERVER_CALLS[kind]))
    detail: dict[str, Any] = {"type": kind, "status": field(item, "status")}
    if asked is not None:
        detail["arguments"] = asked
    name = field(item, "name") or kind
    item_id = field(item, "id")
    parts: list[Part] = [
        {"type": "server_tool_call", "id": item_id, "name": name, "server_tool_call": detail}
    ]
    result_field = _SERVER_RESULTS.get(kind)
    result = client.plain(field(item, result_field)) if result_field else None
    if result is not None:
        parts.append(
            {
                "type": "server_tool_call_response",
                "id": item_id,
                "server_tool_call_response": {"type": kind, "result": result},
            }
        )
    if kind == "image_generation_call" and field(item, "result"):
        suffix = field(item, "output_format") or "png"
        parts.append(binary("image", field(item, "result"), f"image/{suffix}"))
    return parts


def _content(content: Any) -> list[Part]:
    if isinstance(content, str):
        return [text(content)]
    if not isinstance(content, (list, tuple)):
        return []
    return [_part(entry) for entry in cast("list[Any]", content)]


def _part(entry: Any) -> Part:
    kind = field(entry, "type")
    if kind in ("input_text", "output_text", "text", "summary_text"):
        return text(field(entry, "text") or "")
    if kind == "refusal":
        return refusal(field(entry, "refusal"))
    if kind == "input_image":
        return _media("image", entry, field(entry, "image_url"))
    if kind == "input_file":
        return _media("document", entry, field(entry, "file_url") or field(entry, "file_data"))
    if kind == "input_audio":
        audio = field(entry, "input_audio")
        suffix = field(audio, "format")
        return binary("audio", field(audio, "data"), f"audio/{suffix}" if suffix else None)
    if kind == "reasoning_text":
        return reasoning(field(entry, "text") or "")
    return client.unknown(entry, kind)


def _media(modality: str, entry: Any, address: Any) -> Part:
    name = field(entry, "filename")
    file_id = field(entry, "file_id")
    if file_id:
        return file(modality, file_id, filename=name)
    if isinstance(address, str) and "://" not in address[:16] and not address.startswith("data:"):
        return binary(modality, address, filename=name)
    return uri(modality, str(address or ""), detail=field(entry, "detail"), filename=name)


class _ResponsesStream:
    """Puts the events of a stream together.

    The closing event carries the whole response; before it, the items that are done and the
    pieces of the one that is not.
    """

    __slots__ = ("_extractor", "_fault", "_final", "_items", "_latest", "_order", "_pieces")

    def __init__(self, extractor: ResponsesExtractor) -> None:
        self._extractor = extractor
        self._final: Any = None
        self._latest: Any = None
        self._fault: Optional[Fault] = None
        self._items: dict[int, Any] = {}
        self._order: list[tuple[int, Any, str]] = []
        self._pieces: dict[tuple[int, Any, str], list[str]] = {}

    def add(self, chunk: Any) -> None:
        """Take a stream event or its JSON."""
        kind = field(chunk, "type")
        if not kind:
            # openai before 1.70 hands over events that are not `response.…` in a wrapping.
            chunk = field(chunk, "data")
            kind = field(chunk, "type")
        if not isinstance(kind, str):
            return
        if kind.endswith(".delta"):
            piece = field(chunk, "delta")
            if isinstance(piece, str):
                inner = field(chunk, "content_index")
                if inner is None:
                    inner = field(chunk, "summary_index")
                key = (_place(chunk), inner if inner.__class__ is int else None, kind)
                pieces = self._pieces.get(key)
                if pieces is None:
                    pieces = self._pieces[key] = []
                    self._order.append(key)
                pieces.append(piece)
        elif kind in ("response.output_item.added", "response.output_item.done"):
            # Added carries the names of a call that may never be done.
            self._items[_place(chunk)] = (kind, field(chunk, "item"))
        elif kind == "error":
            code = field(chunk, "code") or field(field(chunk, "error"), "code") or "error"
            words = field(chunk, "message") or field(field(chunk, "error"), "message")
            self._fault = Fault(str(code), str(words or code))
        else:
            response = field(chunk, "response")
            if response is not None:
                self._latest = response
                if kind in ("response.completed", "response.incomplete", "response.failed"):
                    self._final = response

    def response(self) -> Response:
        """What has arrived; complete when the closing event has."""
        if self._final is not None:
            made = self._extractor.response(self._final)
            made.fault = made.fault or self._fault
            if not made.output:
                # A response that failed is sent without what it had said until then.
                made.output = self._arrived(made.finish_reasons)
            return made
        return Response(
            id=field(self._latest, "id"),
            model=field(self._latest, "model"),
            output=self._arrived(None),
            fault=self._fault,
            complete=self._fault is not None,
        )

    def _arrived(self, reasons: Optional[list[str]]) -> list[Message]:
        parts: list[Part] = []
        for index in sorted({*self._items, *(key[0] for key in self._order)}):
            parts += self._partial(index)
        if not parts:
            return []
        return [message("assistant", parts, finish_reason=reasons[0] if reasons else "")]

    def _partial(self, index: int) -> list[Part]:
        state, item = self._items.get(index, ("", None))
        if state == "response.output_item.done":
            return _item_parts(item)
        parts: list[Part] = []
        for key in self._order:
            if key[0] != index:
                continue
            piece = joined(self._pieces[key])
            kind = key[2]
            if "arguments" in kind or "input" in kind:
                call_id = field(item, "call_id") or field(item, "id")
                part = tool_call(call_id, field(item, "name"), piece)
                if "input" in kind:
                    part["arguments"] = piece  # a custom tool's: free text
                parts.append(part)
            elif "reasoning" in kind:
                parts.append(reasoning(piece))
            elif "refusal" in kind:
                parts.append(refusal(piece))
            elif "output_text" in kind:
                parts.append(text(piece))
        return parts


def _place(event: Any) -> int:
    """Which item of the answer an event is about."""
    index = field(event, "output_index")
    return index if index.__class__ is int else 0


RESPONSES = ResponsesExtractor()
