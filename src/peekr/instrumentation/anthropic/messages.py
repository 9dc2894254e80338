"""What a request for a message, its answer and the events of a stream say.

Source: the API reference of `POST /v1/messages`, its stream events, and the models of anthropic
0.45 to 2.12.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Optional, cast

from peekr.instrumentation.anthropic import client
from peekr.instrumentation.anthropic.blocks import entries, input_role, parts, plain
from peekr.instrumentation.anthropic.written import messages_form
from peekr.instrumentation.contract import Accumulator, Fault, Request, Response, field, fields
from peekr.instrumentation.sound import dumped, joined
from peekr.messages import Message, message
from peekr.semconv import otel

__all__ = ["MESSAGES", "MessagesExtractor"]


class MessagesExtractor:
    """Reads requests to `/v1/messages`, whichever method of the SDK sends them."""

    def request(self, instance: Any, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> Request:
        """Read a request from its body, given as `kwargs`, and from its options, among `args`."""
        arguments = client.given(kwargs)
        provider, server = client.endpoint(instance)
        parameters, contents = client.parameters(arguments)
        betas = _betas(args)
        if betas:
            parameters["betas"] = betas
        attributes = client.sampling(arguments)
        conversation = client.tracing_settings(instance).get("conversation_id")
        if conversation:
            attributes[otel.GEN_AI_CONVERSATION_ID] = conversation
        model = arguments.get("model")
        return Request(
            model=model if isinstance(model, str) else None,
            provider=provider,
            server=server,
            stream=arguments.get("stream") is True,
            attributes=attributes,
            parameters=parameters or None,
            content_parameters=contents or None,
            form=messages_form(kwargs),
            input=_messages(arguments.get("messages")),
            system=parts(arguments.get("system") or None) or None,
            tools=_tool_definitions(arguments.get("tools")),
        )

    def response(self, result: Any) -> Response:
        """Read a `Message`, a `BetaMessage` or the JSON of one."""
        get = fields(result).get
        reason = get("stop_reason")
        answer = get("content")
        return Response(
            id=get("id"),
            model=get("model"),
            finish_reasons=[reason] if reason else None,
            usage=client.usage(get("usage")),
            output=None if answer is None else [_answer(get("role"), answer, reason)],
        )

    def accumulator(self) -> Accumulator:
        """Begin a stream of events."""
        return _MessageStream()

    def fault(self, error: BaseException) -> Optional[Fault]:
        """Read an exception of the SDK."""
        return client.fault(error)


def _messages(messages: Any) -> Optional[list[Message]]:
    made: list[Message] = []
    for entry in entries(messages):
        content = parts(field(entry, "content"))
        role = str(field(entry, "role") or "user")
        made.append(message(input_role(role, content), content))
    return made or None


def _answer(role: Any, content: Any, reason: Optional[str]) -> Message:
    return message(role or "assistant", parts(content), finish_reason=reason or "")


def _tool_definitions(tools: Any) -> Optional[list[dict[str, Any]]]:
    """Tool definitions in the conventions' form: type, name, description, parameters."""
    made: list[dict[str, Any]] = []
    for tool in entries(tools):
        source = cast("Any", tool if isinstance(tool, dict) else plain(tool))
        if not isinstance(source, dict):
            continue
        definition = client.given(cast("dict[str, Any]", source))
        kind = definition.pop("type", None)
        name = definition.pop("name", None) or kind
        schema = definition.pop("input_schema", None)
        made.append(
            {
                "type": "function" if kind in (None, "custom") else kind,
                "name": name,
                **({} if schema is None else {"parameters": schema}),
                **definition,
            }
        )
    return made or None


def _betas(args: tuple[Any, ...]) -> Optional[list[str]]:
    headers = getattr(args[1], "headers", None) if len(args) > 1 else None
    if not isinstance(headers, Mapping):
        return None
    for name, value in cast("Mapping[str, Any]", headers).items():
        if name.lower() == "anthropic-beta" and isinstance(value, str):
            return [beta.strip() for beta in value.split(",") if beta.strip()]
    return None


class _Block:
    """One content block as far as it has come: how it began, and the pieces since."""

    __slots__ = ("citations", "pieces", "signature", "start")

    def __init__(self, start: Any) -> None:
        self.start = start
        self.pieces: dict[str, list[str]] = {}
        self.citations: list[Any] = []
        self.signature: Optional[str] = None

    def whole(self) -> dict[str, Any]:
        """The block as a plain answer would hold it; arguments are still JSON text."""
        made: dict[str, Any] = {}
        if callable(getattr(self.start, "model_dump", None)):
            made = cast("dict[str, Any]", dumped(self.start))
        else:
            made.update(fields(self.start))
        for name, pieces in self.pieces.items():
            first = made.get(name)
            made[name] = (first if isinstance(first, str) else "") + joined(pieces)
        if self.citations:
            before = made.get("citations")
            held = cast("list[Any]", before) if isinstance(before, list) else []
            made["citations"] = [*held, *self.citations]
        if self.signature:
            made["signature"] = self.signature
        return made


# The field of a delta that is a piece, and the field of the block that it belongs to.
_PIECES = {
    "text_delta": ("text", "text"),
    "input_json_delta": ("partial_json", "input"),
    "thinking_delta": ("thinking", "thinking"),
    "compaction_delta": ("content", "content"),
}
_COUNTS = (
    "input_tokens",
    "output_tokens",
    "cache_creation",
    "cache_creation_input_tokens",
    "cache_read_input_tokens",
    "output_tokens_details",
)


class _MessageStream:
    """Puts the events of a stream together."""

    __slots__ = ("_blocks", "_counts", "_fault", "_reason", "_start")

    def __init__(self) -> None:
        self._start: Any = None
        self._blocks: dict[int, _Block] = {}
        self._counts: dict[str, Any] = {}
        self._reason: Optional[str] = None
        self._fault: Optional[Fault] = None

    def add(self, chunk: Any) -> None:
        """Take an event or its JSON."""
        event = fields(chunk)
        kind = event.get("type")
        if kind == "content_block_delta":
            index: Any = event.get("index")
            block = self._blocks.get(index if index.__class__ is int else 0)
            if block is not None:
                _add_delta(block, event.get("delta"))
        elif kind == "content_block_start":
            index = event.get("index")
            place = index if index.__class__ is int else 0
            self._blocks[place] = _Block(event.get("content_block"))
        elif kind == "message_start":
            self._start = event.get("message")
            self._count(field(self._start, "usage"))
            # Only a placeholder yet: the closing event has the number.
            self._counts.pop("output_tokens", None)
            self._counts.pop("output_tokens_details", None)
        elif kind == "message_delta":
            self._reason = field(event.get("delta"), "stop_reason") or self._reason
            self._count(event.get("usage"))
        elif kind == "error":
            error = event.get("error")
            code = str(field(error, "type") or "error")
            self._fault = Fault(code, str(field(error, "message") or code))

    def _count(self, counts: Any) -> None:
        for name in _COUNTS:
            count = field(counts, name)
            if count is not None:
                self._counts[name] = count

    def response(self) -> Response:
        """What has arrived; complete when the stream has said why the answer ended."""
        start = self._start
        blocks = [block.whole() for _, block in sorted(self._blocks.items())]
        reason = self._reason
        return Response(
            id=field(start, "id"),
            model=field(start, "model"),
            finish_reasons=[reason] if reason else None,
            usage=client.usage(self._counts),
            output=[_answer(field(start, "role"), blocks, reason)] if blocks else None,
            fault=self._fault,
            complete=reason is not None or self._fault is not None,
        )


def _add_delta(block: _Block, delta: Any) -> None:
    get = fields(delta).get
    kind: Any = get("type")
    if kind.__class__ is not str:
        return
    names = _PIECES.get(kind)
    if names is not None:
        # What a version of the SDK does not know yet is no field of its model, but still there.
        piece = get(names[0]) or field(delta, names[0])
        if piece:
            pieces = block.pieces.get(names[1])
            if pieces is None:
                pieces = block.pieces[names[1]] = []
            pieces.append(piece)
    elif kind == "signature_delta":
        block.signature = field(delta, "signature")
    elif kind == "citations_delta":
        block.citations.append(field(delta, "citation"))


MESSAGES = MessagesExtractor()
