"""What a chat completion, or a legacy text completion, says.

Source: the API reference of `POST /chat/completions` and `POST /completions`, and the models of
openai 1.66 to 3.54.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Optional

from peekr.instrumentation.contract import Accumulator, Fault, Request, Response, field, fields
from peekr.instrumentation.openai import client
from peekr.instrumentation.openai.chat_messages import (
    answer,
    entries,
    prompt_messages,
    request_messages,
    tool_definitions,
)
from peekr.instrumentation.openai.chat_stream import ChatStream
from peekr.instrumentation.openai.written import chat_form
from peekr.instrumentation.sound import listed
from peekr.messages import Message, message, text
from peekr.semconv import otel

__all__ = ["CHAT", "COMPLETION", "ChatExtractor", "CompletionExtractor"]


class ChatExtractor:
    """Reads `chat.completions.create` and `parse`."""

    api_type: Optional[str] = "chat_completions"

    def request(self, instance: Any, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> Request:
        """Read a request from the SDK's keyword arguments."""
        del args  # the method takes none
        arguments, attributes, parameters, contents = client.read(kwargs)
        if self.api_type is not None:
            attributes[otel.OPENAI_API_TYPE] = self.api_type
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
            form=chat_form(kwargs),
            input=request_messages(arguments.get("messages")),
            tools=tool_definitions(arguments.get("tools"), arguments.get("functions")),
        )

    def response(self, result: Any) -> Response:
        """Read a `ChatCompletion` or its JSON."""
        get = fields(result).get
        reasons: list[str] = []
        output: list[Message] = []
        for choice in listed(get("choices")):
            of_choice = fields(choice)
            reason = of_choice.get("finish_reason")
            said = of_choice.get("message")
            if said is not None:
                output.append(answer(said, reason))
            if reason:
                reasons.append(reason)
        return Response(
            id=get("id"),
            model=get("model"),
            finish_reasons=reasons,
            usage=client.usage(get("usage")),
            output=output,
            attributes=client.response_attributes(result),
            fault=None if output else client.body_error(result),
        )

    def accumulator(self) -> Accumulator:
        """Begin a stream of chunks."""
        return ChatStream()

    def fault(self, error: BaseException) -> Optional[Fault]:
        """Read an exception of the SDK."""
        return client.fault(error)


class CompletionExtractor(ChatExtractor):
    """Reads the legacy `completions.create`."""

    api_type = None  # the conventions have no name for it

    def request(self, instance: Any, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> Request:
        """Read a request from the SDK's keyword arguments."""
        request = super().request(instance, args, kwargs)
        request.input = prompt_messages(kwargs.get("prompt"))
        return request

    def response(self, result: Any) -> Response:
        """Read a `Completion` or its JSON."""
        choices = listed(field(result, "choices"))
        reasons = [reason for reason in (field(c, "finish_reason") for c in choices) if reason]
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
            attributes=client.response_attributes(result),
            fault=client.body_error(result),
        )


def _output_type(arguments: Mapping[str, Any]) -> Optional[str]:
    response_format = arguments.get("response_format")
    if response_format is not None:
        kind = field(response_format, "type") if not isinstance(response_format, type) else None
        if isinstance(response_format, type) or kind in ("json_object", "json_schema"):
            return "json"
        if kind == "text":
            return "text"
    if "audio" in entries(arguments.get("modalities")):
        return "speech"
    return None


CHAT = ChatExtractor()
COMPLETION = CompletionExtractor()
