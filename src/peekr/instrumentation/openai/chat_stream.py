"""The chunks of a chat or a text completion, put together."""

from __future__ import annotations

from typing import Any, Optional

from peekr.instrumentation.contract import Fault, Response, field, fields
from peekr.instrumentation.openai import client
from peekr.instrumentation.openai.chat_messages import audio_answer
from peekr.instrumentation.sound import joined, listed
from peekr.messages import Message, Part, message, reasoning, refusal, text, tool_call

__all__ = ["ChatStream", "is_usage_chunk"]


def is_usage_chunk(chunk: Any) -> bool:
    """Whether a chunk carries nothing but the usage that `include_usage` asks for."""
    return field(chunk, "usage") is not None and not field(chunk, "choices")


class ChatStream:
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
        try:
            # Nearly every chunk is one piece of one choice's text, and there are many.
            held = chunk.__dict__
            (entry,) = held["choices"]
            of_entry = entry.__dict__
            delta = of_entry["delta"]
            if (
                len(delta.__pydantic_fields_set__) == 1
                and of_entry["finish_reason"] is None
                and held["usage"] is None
                and not delta.__pydantic_extra__
            ):
                piece = delta.__dict__["content"]
                if piece:
                    self._choices[of_entry["index"]].text.append(piece)
                    return
        except (AttributeError, KeyError, TypeError, ValueError):
            pass  # none of those
        self._add(chunk)

    def _add(self, chunk: Any) -> None:
        of_chunk = fields(chunk)
        counts = of_chunk.get("usage")
        if counts is not None:
            self._usage = counts
        if self._last is None or of_chunk.get("id"):
            self._last = chunk
        choices = of_chunk.get("choices")
        if not choices:
            if choices is None:
                self._fault = self._fault or client.body_error(chunk)
            return
        for entry in listed(choices):
            of_entry = fields(entry)
            index: Any = of_entry.get("index")
            if index.__class__ is not int:
                index = 0
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
            attributes=client.response_attributes(last),
            fault=self._fault,
            complete=bool(choices) and len(reasons) == len(choices),
        )


class _Choice:
    """One choice of a stream as far as it has come."""

    __slots__ = (
        "audio",
        "audio_id",
        "calls",
        "finish_reason",
        "function",
        "is_empty",
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
        self.is_empty = False  # has a text, perhaps of no letters

    def message(self) -> Message:
        parts: list[Part] = []
        said = joined(self.thought)
        if said:
            parts.append(reasoning(said))
        said = joined(self.text)
        if said:
            parts.append(text(said))
        said = joined(self.refusal)
        if said:
            parts.append(refusal(said))
        if self.audio or self.transcript:
            transcript = joined(self.transcript) or None
            data = joined(self.audio)
            parts.append(
                audio_answer({"id": self.audio_id, "transcript": transcript, "data": data})
            )
        for call_id, name, pieces, is_text in self.calls.values():
            part = tool_call(call_id, name, None if is_text else joined(pieces))
            if is_text:
                part["arguments"] = joined(pieces)
            parts.append(part)
        if self.function is not None:
            parts.append(tool_call(None, self.function[1], joined(self.function[2])))
        if not parts and self.is_empty and self.finish_reason:
            parts.append(text(""))
        return message(self.role, parts, finish_reason=self.finish_reason or "")


def _add_delta(choice: _Choice, delta: Any) -> None:
    get = fields(delta).get
    piece = get("content")
    if piece:
        choice.text.append(piece)
    elif piece == "":
        choice.is_empty = True
    role = get("role")
    if role:
        choice.role = role
    calls = get("tool_calls")
    if calls:
        for entry in listed(calls):
            _add_call(choice, entry)
    refused = get("refusal")
    if refused:
        choice.refusal.append(refused)
    function = get("function_call")
    if function is not None:
        if choice.function is None:
            choice.function = [None, None, []]
        _add_function(choice.function, function)
    audio = get("audio")
    if audio:
        _add_audio(choice, audio)
    thought = get("reasoning_content") or get("reasoning")
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
    if index.__class__ is not int:
        # Some compatible services leave the index out and send each call whole.
        index = call_id if isinstance(call_id, str) and call_id else len(choice.calls) - 1
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
