"""What a `generateContent` request says, whole or streamed, and what comes back."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Optional

from peekr.encoding import loads
from peekr.instrumentation.contract import Accumulator, Fault, Request, Response
from peekr.instrumentation.google_genai import client
from peekr.instrumentation.google_genai.client import get, items_of, reader, word
from peekr.instrumentation.google_genai.contents import answer_part, input_messages, system_parts
from peekr.instrumentation.google_genai.definitions import tool_definitions
from peekr.instrumentation.google_genai.pieces import PartialCall
from peekr.instrumentation.google_genai.written import generate_form
from peekr.messages import Message, Part, message, refusal, text

__all__ = ["GENERATE", "GENERATE_STREAM", "GenerateExtractor"]

_USAGE_FIELDS = (
    "prompt_token_count",
    "candidates_token_count",
    "thoughts_token_count",
    "tool_use_prompt_token_count",
    "cached_content_token_count",
    "prompt_tokens_details",
    "candidates_tokens_details",
)


class GenerateExtractor:
    """Reads one request to generate content.

    Args:
        stream: The answer comes in chunks.
    """

    def __init__(self, stream: bool) -> None:
        self._stream = stream

    def request(self, instance: Any, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> Request:
        """Read a request from the SDK's keyword arguments."""
        del args  # the method takes none
        config = kwargs.get("config")
        provider, server = client.endpoint(instance, config)
        attributes, parameters, of_content = client.settings(config)
        return Request(
            model=client.model_name(kwargs.get("model")),
            provider=provider,
            server=server,
            stream=self._stream,
            attributes=attributes,
            parameters=parameters,
            content_parameters=of_content,
            form=generate_form(kwargs),
            input=input_messages(kwargs.get("contents")),
            system=system_parts(get(config, "system_instruction")),
            tools=tool_definitions(get(config, "tools")),
        )

    def response(self, result: Any) -> Response:
        """Read a `GenerateContentResponse` or its JSON."""
        whole = _GenerateStream()
        whole.add(_with_body(result))
        response = whole.response()
        response.complete = True
        return response

    def accumulator(self) -> Accumulator:
        """Begin a stream of `GenerateContentResponse`."""
        return _GenerateStream()

    def fault(self, error: BaseException) -> Optional[Fault]:
        """Read an exception of the SDK."""
        return client.fault(error)


def _with_body(result: Any) -> Any:
    """The answer itself, where the caller asked for the HTTP response instead of it."""
    body = get(get(result, "sdk_http_response"), "body")
    if isinstance(body, str) and body and get(result, "candidates") is None:
        return loads(body)
    return result


class _Candidate:
    """One candidate as far as it has come."""

    __slots__ = ("finish_message", "finish_reason", "is_empty", "open_call", "parts", "role")

    def __init__(self) -> None:
        self.parts: list[Part] = []
        self.role = "assistant"
        self.finish_reason: Optional[str] = None
        self.finish_message: Optional[str] = None
        self.open_call: Optional[PartialCall] = None
        self.is_empty = False  # has a text, of no letters

    def add(self, entry: Any) -> None:
        call = get(entry, "function_call")
        if call is not None and (self.open_call is not None or get(call, "will_continue")):
            self._add_piece(call)
            return
        part = answer_part(entry)
        if part is None:
            self.is_empty = self.is_empty or get(entry, "text") == ""
            return
        kind = part["type"]
        if kind in ("text", "reasoning") and self.parts and self.parts[-1]["type"] == kind:
            self.parts[-1]["content"] += part["content"]
        else:
            self.parts.append(part)

    def _add_piece(self, call: Any) -> None:
        """Take a piece of a function call whose arguments are streamed."""
        if self.open_call is None:
            self.open_call = PartialCall(get(call, "id"), get(call, "name"))
            self.parts.append(self.open_call.part)
        self.open_call.add(items_of(get(call, "partial_args")))
        if not get(call, "will_continue"):
            self.open_call = None

    def message(self) -> Message:
        return message(
            self.role,
            self.parts or ([text("")] if self.is_empty else []),
            finish_reason=self.finish_reason or "",
            finish_message=self.finish_message,
        )


class _GenerateStream:
    """Puts the chunks of an answer together; a whole answer is one chunk."""

    def __init__(self) -> None:
        self._candidates: dict[int, _Candidate] = {}
        self._counts: dict[str, Any] = {}
        self._id: Optional[str] = None
        self._model: Optional[str] = None
        self._blocked: Optional[str] = None
        self._blocked_message: Optional[str] = None

    def add(self, chunk: Any) -> None:
        """Take a `GenerateContentResponse` or its JSON."""
        of_chunk = reader(chunk)
        counts = of_chunk("usage_metadata")
        if counts is not None:
            # Each chunk has the count so far.
            of_counts = reader(counts)
            for name in _USAGE_FIELDS:
                count = of_counts(name)
                if count is not None:
                    self._counts[name] = count
        self._id = of_chunk("response_id") or self._id
        self._model = of_chunk("model_version") or self._model
        feedback = of_chunk("prompt_feedback")
        if feedback is not None:
            self._blocked = word(get(feedback, "block_reason")) or self._blocked
            self._blocked_message = get(feedback, "block_reason_message") or self._blocked_message
        for entry in items_of(of_chunk("candidates")):
            self._add_candidate(entry)

    def _add_candidate(self, entry: Any) -> None:
        of_entry = reader(entry)
        index = of_entry("index")
        if index.__class__ is not int:
            index = 0
        candidate = self._candidates.get(index)
        if candidate is None:
            candidate = self._candidates[index] = _Candidate()
        reason = of_entry("finish_reason")
        if reason is not None:
            reason = word(reason)
        if reason:
            candidate.finish_reason = reason
        candidate.finish_message = of_entry("finish_message") or candidate.finish_message
        for part in items_of(get(of_entry("content"), "parts")):
            candidate.add(part)

    def response(self) -> Response:
        """What has arrived so far."""
        candidates = [self._candidates[index] for index in sorted(self._candidates)]
        reasons = [entry.finish_reason for entry in candidates if entry.finish_reason]
        output = [entry.message() for entry in candidates]
        if self._blocked is not None:
            # The prompt was refused: there is no candidate, and this is why.
            reasons.append(self._blocked)
            if self._blocked_message:
                said = [refusal(self._blocked_message)]
                output.append(message("assistant", said, finish_reason=self._blocked))
        return Response(
            id=self._id,
            model=self._model,
            finish_reasons=reasons,
            usage=client.usage(self._counts) if self._counts else None,
            output=output,
            complete=bool(reasons),
        )


GENERATE = GenerateExtractor(stream=False)
GENERATE_STREAM = GenerateExtractor(stream=True)
