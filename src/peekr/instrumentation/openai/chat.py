"""What a chat completion, or a legacy text completion, says.

Source: the API reference of `POST /chat/completions` and `POST /completions`, and the models of
openai 1.66 to 3.54.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from typing import Any, Optional, cast

from peekr.instrumentation import Accumulator, Fault, Request, Response, field, fields
from peekr.instrumentation.openai import client
from peekr.messages import (
    Message,
    Part,
    binary,
    file,
    message,
    reasoning,
    text,
    tool_call,
    tool_response,
    uri,
)
from peekr.semconv import otel

__all__ = ["ChatExtractor", "CompletionExtractor", "is_usage_chunk"]


class ChatExtractor:
    """Reads `chat.completions.create` and `parse`."""

    def request(self, instance: Any, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> Request:
        """Read a request from the SDK's keyword arguments."""
        del args  # the method takes none
        arguments, attributes, parameters, contents = client.read(kwargs)
        provider, server = client.endpoint(instance)
        output_type = _output_type(arguments)
        if output_type is not None:
            attributes[otel.GEN_AI_OUTPUT_TYPE] = output_type
        return Request(
            model=client.text_of(arguments.get("model")),
            provider=provider,
            server=server,
            stream=arguments.get("stream") is True,
            attributes=attributes,
            parameters=parameters,
            content_parameters=contents,
            input=_messages(arguments.get("messages")),
            tools=tool_definitions(arguments.get("tools"), arguments.get("functions")),
        )

    def response(self, result: Any) -> Response:
        """Read a `ChatCompletion` or its JSON."""
        get = fields(result).get
        reasons: list[str] = []
        output: list[Message] = []
        for choice in get("choices") or ():
            of_choice = fields(choice)
            reason = of_choice.get("finish_reason")
            answer = of_choice.get("message")
            if answer is not None:
                output.append(_answer(answer, reason))
            if reason:
                reasons.append(str(reason))
        return Response(
            id=get("id"),
            model=get("model"),
            finish_reasons=reasons,
            usage=client.usage(get("usage")),
            output=output,
            attributes=_response_attributes(result),
            fault=None if output else _body_error(result),
        )

    def accumulator(self) -> Accumulator:
        """Begin a stream of chunks."""
        return _ChatStream()

    def fault(self, error: BaseException) -> Optional[Fault]:
        """Read an exception of the SDK."""
        return client.fault(error)


class CompletionExtractor(ChatExtractor):
    """Reads the legacy `completions.create`."""

    def request(self, instance: Any, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> Request:
        """Read a request from the SDK's keyword arguments."""
        request = super().request(instance, args, kwargs)
        request.input = prompt_messages(kwargs.get("prompt"))
        return request

    def response(self, result: Any) -> Response:
        """Read a `Completion` or its JSON."""
        choices: list[Any] = field(result, "choices") or []
        reasons = [str(reason) for reason in (field(c, "finish_reason") for c in choices) if reason]
        output = [
            message(
                "assistant",
                [text(field(choice, "text") or "")],
                finish_reason=field(choice, "finish_reason"),
            )
            for choice in choices
        ]
        return Response(
            id=field(result, "id"),
            model=field(result, "model"),
            finish_reasons=reasons,
            usage=client.usage(field(result, "usage")),
            output=output,
            attributes=_response_attributes(result),
            fault=_body_error(result),
        )


def is_usage_chunk(chunk: Any) -> bool:
    """Whether a chunk carries nothing but the usage that `include_usage` asks for."""
    return field(chunk, "usage") is not None and not field(chunk, "choices")


def prompt_messages(prompt: Any) -> Optional[list[Message]]:
    """A prompt or an embedding's input: text, texts, or token ids (only counted)."""
    if prompt is None:
        return None
    if isinstance(prompt, str):
        return [message("user", [text(prompt)])]
    if not isinstance(prompt, (list, tuple)):
        return None
    entries = cast("list[Any]", prompt)
    if entries and isinstance(entries[0], int):
        return [message("user", [{"type": "tokens", "count": len(entries)}])]
    made: list[Message] = []
    for entry in entries:
        if isinstance(entry, str):
            made.append(message("user", [text(entry)]))
        elif isinstance(entry, (list, tuple)):
            made.append(
                message("user", [{"type": "tokens", "count": len(cast("list[Any]", entry))}])
            )
    return made


def tool_definitions(tools: Any, functions: Any = None) -> Optional[list[dict[str, Any]]]:
    """Tool definitions in the conventions' form: type, name, description, parameters."""
    made: list[dict[str, Any]] = []
    for tool in _list(tools):
        kind = field(tool, "type") or "function"
        inner = field(tool, kind)
        source = inner if inner is not None else tool
        made.append(_definition(kind, source))
    for function in _list(functions):
        made.append(_definition("function", function))
    return made or None


def _definition(kind: str, source: Any) -> dict[str, Any]:
    made: dict[str, Any] = {"type": kind, "name": field(source, "name") or kind}
    if isinstance(source, dict):
        for key, value in cast("dict[str, Any]", source).items():
            if key not in ("type", "name") and value is not None:
                made[key] = value
        return made
    for key in ("description", "parameters", "strict"):
        value = field(source, key)
        if value is not None:
            made[key] = value
    return made


def _output_type(arguments: Mapping[str, Any]) -> Optional[str]:
    response_format = arguments.get("response_format")
    if response_format is not None:
        kind = field(response_format, "type") if not isinstance(response_format, type) else None
        if isinstance(response_format, type) or kind in ("json_object", "json_schema"):
            return "json"
        if kind == "text":
            return "text"
    if "audio" in _list(arguments.get("modalities")):
        return "speech"
    return None


def _messages(messages: Any) -> Optional[list[Message]]:
    if type(messages) is not list and (
        isinstance(messages, (str, bytes)) or not isinstance(messages, Iterable)
    ):
        return None
    return [_request_message(entry) for entry in cast("Iterable[Any]", messages)]


def _request_message(entry: Any) -> Message:
    of_entry = fields(entry)
    role = of_entry.get("role") or "user"
    content = of_entry.get("content")
    name = of_entry.get("name")
    if role == "tool":
        response = content if isinstance(content, str) else _parts(content)
        return message("tool", [tool_response(of_entry.get("tool_call_id"), response)])
    if role == "function":
        return message("tool", [tool_response(None, content)], name=name)
    if len(of_entry) == 2 and isinstance(content, str):
        return message(role, [text(content)] if content else [])
    return message(role, _answer_parts(entry, of_entry), name=name)


def _answer(entry: Any, reason: Optional[str]) -> Message:
    of_entry = fields(entry)
    parts = _answer_parts(entry, of_entry)
    return message(of_entry.get("role") or "assistant", parts, finish_reason=reason or "")


def _answer_parts(entry: Any, of_entry: Mapping[str, Any]) -> list[Part]:
    """The parts of a user's or an assistant's message, in the order: thinking, text, calls."""
    parts: list[Part] = []
    more = _extras(entry)
    if more:
        thought = more.get("reasoning_content") or more.get("reasoning")
        if isinstance(thought, str) and thought:
            parts.append(reasoning(thought))
    parts += _parts(of_entry.get("content"))
    refusal = of_entry.get("refusal")
    if refusal:
        parts.append({"type": "refusal", "content": refusal})
    audio = of_entry.get("audio")
    if audio is not None:
        parts.append(_audio_answer(audio))
    calls = of_entry.get("tool_calls")
    if calls:
        parts += [_tool_call(call) for call in _list(calls)]
    function = of_entry.get("function_call")
    if function is not None:
        parts.append(tool_call(None, field(function, "name"), field(function, "arguments")))
    return parts


def _extras(entry: Any) -> Optional[Mapping[str, Any]]:
    if isinstance(entry, dict):
        return cast("dict[str, Any]", entry)
    return cast("Optional[Mapping[str, Any]]", getattr(entry, "model_extra", None))


def _tool_call(call: Any) -> Part:
    custom = field(call, "custom")
    if custom is not None:
        part = tool_call(field(call, "id"), field(custom, "name"), None)
        part["arguments"] = field(custom, "input")  # free text, which may look like JSON
        return part
    function = field(call, "function")
    return tool_call(field(call, "id"), field(function, "name"), field(function, "arguments"))


def _parts(content: Any) -> list[Part]:
    if content is None:
        return []
    if isinstance(content, str):
        return [text(content)] if content else []
    return [_part(entry) for entry in _list(content)]


def _part(entry: Any) -> Part:
    if isinstance(entry, str):
        return text(entry)
    kind = field(entry, "type")
    if kind == "text":
        return text(field(entry, "text") or "")
    if kind == "image_url":
        image = field(entry, "image_url")
        return uri("image", _url(image), detail=field(image, "detail"))
    if kind == "input_audio":
        audio = field(entry, "input_audio")
        suffix = field(audio, "format")
        return binary("audio", field(audio, "data"), f"audio/{suffix}" if suffix else None)
    if kind == "file":
        return _file(field(entry, "file"))
    if kind == "video_url":
        return uri("video", _url(field(entry, "video_url")))
    if kind == "refusal":
        return {"type": "refusal", "content": field(entry, "refusal") or ""}
    return client.unknown(entry, kind)


def _url(holder: Any) -> str:
    return str(holder if isinstance(holder, str) else field(holder, "url") or "")


def _file(entry: Any) -> Part:
    name = field(entry, "filename")
    file_id = field(entry, "file_id")
    if file_id:
        return file("document", file_id, filename=name)
    data = field(entry, "file_data") or ""
    if isinstance(data, str) and data.startswith("data:"):
        return uri("document", data, filename=name)
    return binary("document", data, filename=name)


def _audio_answer(audio: Any) -> Part:
    transcript = field(audio, "transcript")
    data = field(audio, "data")
    if data:
        return binary("audio", data, id=field(audio, "id"), transcript=transcript)
    return file("audio", field(audio, "id") or "", transcript=transcript)


def _response_attributes(result: Any) -> Optional[dict[str, Any]]:
    made: dict[str, Any] = {}
    get = fields(result).get
    tier = get("service_tier")
    if tier:
        made[otel.OPENAI_RESPONSE_SERVICE_TIER] = tier
    fingerprint = get("system_fingerprint")
    if fingerprint:
        made[otel.OPENAI_RESPONSE_SYSTEM_FINGERPRINT] = fingerprint
    return made or None


def _body_error(result: Any) -> Optional[Fault]:
    """An error in a body of status 200, as some compatible services send."""
    if field(result, "choices"):
        return None
    extras = _extras(result)
    error = extras.get("error") if extras else None
    if error is None:
        return None
    name = field(error, "code") or field(error, "type") or "error"
    return Fault(str(name), str(field(error, "message") or error))


def _list(value: Any) -> list[Any]:
    """The entries of a collection; none of an iterator, which is the SDK's to consume."""
    if isinstance(value, (list, tuple)):
        return list(cast("list[Any]", value))
    if isinstance(value, Collection) and not isinstance(value, (str, bytes, Mapping)):
        return list(cast("Collection[Any]", value))
    return []


class _Choice:
    """One choice of a stream as far as it has come."""

    __slots__ = (
        "audio",
        "audio_id",
        "calls",
        "finish_reason",
        "function",
        "refusal",
        "role",
        "text",
        "thought",
        "transcript",
    )

    def __init__(self) -> None:
        self.role = "assistant"
        self.text: list[str] = []
        self.thought: list[str] = []
        self.refusal: list[str] = []
        self.transcript: list[str] = []
        self.audio: list[str] = []  # base64
        self.audio_id: Optional[str] = None
        # index -> [id, name, pieces of arguments, whether they are free text]
        self.calls: dict[Any, list[Any]] = {}
        self.function: Optional[list[Any]] = None
        self.finish_reason: Optional[str] = None

    def message(self) -> Message:
        parts: list[Part] = []
        if self.thought:
            parts.append(reasoning("".join(self.thought)))
        if self.text:
            parts.append(text("".join(self.text)))
        if self.refusal:
            parts.append({"type": "refusal", "content": "".join(self.refusal)})
        if self.audio or self.transcript:
            said: Optional[str] = "".join(self.transcript) or None
            parts.append(
                _audio_answer(
                    {"id": self.audio_id, "transcript": said, "data": "".join(self.audio)}
                )
            )
        for call_id, name, pieces, is_text in self.calls.values():
            part = tool_call(call_id, name, None if is_text else "".join(pieces))
            if is_text:
                part["arguments"] = "".join(pieces)
            parts.append(part)
        if self.function is not None:
            parts.append(tool_call(None, self.function[1], "".join(self.function[2])))
        return message(self.role, parts, finish_reason=self.finish_reason or "")


class _ChatStream:
    """Puts the chunks of a chat or text completion together."""

    __slots__ = ("_choices", "_complete", "_fault", "_last", "_tier", "_usage")

    def __init__(self) -> None:
        self._choices: dict[int, _Choice] = {}
        self._last: Any = None
        self._usage: Any = None
        self._tier: Optional[dict[str, Any]] = None
        self._fault: Optional[Fault] = None

    def add(self, chunk: Any) -> None:
        """Take a `ChatCompletionChunk`, a `Completion`, or the JSON of one."""
        of_chunk = fields(chunk)
        counts = of_chunk.get("usage")
        if counts is not None:
            self._usage = counts
        if self._last is None or of_chunk.get("id"):
            self._last = chunk
        choices = of_chunk.get("choices")
        if not choices:
            if choices is None:
                self._fault = self._fault or _body_error(chunk)
            return
        for entry in choices:
            of_entry = fields(entry)
            index = of_entry.get("index") or 0
            choice = self._choices.get(index)
            if choice is None:
                choice = self._choices[index] = _Choice()
            reason = of_entry.get("finish_reason")
            if reason:
                choice.finish_reason = reason
            delta = of_entry.get("delta")
            if delta is not None:
                _add_delta(choice, delta)
            else:
                piece = of_entry.get("text")
                if piece:
                    choice.text.append(piece)

    def response(self) -> Response:
        """What has arrived; complete when every choice has said why it finished."""
        choices = [choice for _, choice in sorted(self._choices.items())]
        reasons = [choice.finish_reason for choice in choices if choice.finish_reason]
        last = self._last
        return Response(
            id=field(last, "id"),
            model=field(last, "model"),
            finish_reasons=reasons,
            usage=client.usage(self._usage),
            # A choice of which nothing has arrived yet has said nothing.
            output=[made for made in (c.message() for c in choices) if made["parts"]],
            attributes=_response_attributes(last),
            fault=self._fault,
            complete=bool(choices) and len(reasons) == len(choices),
        )


def _add_delta(choice: _Choice, delta: Any) -> None:
    get = fields(delta).get
    piece = get("content")
    if piece:
        choice.text.append(piece)
    role = get("role")
    if role:
        choice.role = role
    calls = get("tool_calls")
    if calls:
        for entry in calls:
            _add_call(choice, entry)
    refusal = get("refusal")
    if refusal:
        choice.refusal.append(refusal)
    function = get("function_call")
    if function is not None:
        if choice.function is None:
            choice.function = [None, None, []]
        _add_function(choice.function, function)
    extras = _extras(delta)
    audio = get("audio") or (extras and extras.get("audio"))
    if audio:
        _add_audio(choice, audio)
    if extras:
        thought = extras.get("reasoning_content") or extras.get("reasoning")
        if isinstance(thought, str) and thought:
            choice.thought.append(thought)


def _add_audio(choice: _Choice, audio: Any) -> None:
    for name, pieces in (("transcript", choice.transcript), ("data", choice.audio)):
        piece = field(audio, name)
        if piece:
            pieces.append(piece)
    choice.audio_id = field(audio, "id") or choice.audio_id


def _add_call(choice: _Choice, entry: Any) -> None:
    index = field(entry, "index")
    call_id = field(entry, "id")
    if index is None:
        # Some compatible services leave the index out and send each call whole.
        index = call_id if call_id else len(choice.calls) - 1
    call = choice.calls.get(index)
    if call is None:
        call = choice.calls[index] = [None, None, [], False]
    if call_id:
        call[0] = call_id
    function = field(entry, "function")
    if function is not None:
        _add_function(call, function)
    custom = field(entry, "custom")
    if custom is not None:
        call[3] = True
        call[1] = field(custom, "name") or call[1]
        call[2].append(field(custom, "input") or "")


def _add_function(call: list[Any], function: Any) -> None:
    name = field(function, "name")
    if name:
        call[1] = name
    piece = field(function, "arguments")
    if piece:
        call[2].append(piece)
