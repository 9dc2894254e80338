"""What `invoke_model` says, whose bodies each family of models has in its own form.

The form is told by what a body holds, so that imported models and those behind an inference
profile, whose ids tell nothing, are read like the others.
"""

from __future__ import annotations

import io
from collections.abc import Mapping
from typing import Any, Optional, cast

from peekr.encoding import loads
from peekr.instrumentation.bedrock import client
from peekr.instrumentation.bedrock.chat import ChatForm
from peekr.instrumentation.bedrock.claude import ClaudeForm
from peekr.instrumentation.bedrock.command import CommandForm
from peekr.instrumentation.bedrock.converse import ConverseForm
from peekr.instrumentation.bedrock.form import Form, merged, obj, objs, text_of, whole_input
from peekr.instrumentation.bedrock.prompt import PromptForm
from peekr.instrumentation.bedrock.vectors import EmbeddingForm
from peekr.instrumentation.bedrock.written import invoke_form
from peekr.instrumentation.contract import Accumulator, Fault, Request, Response, Usage
from peekr.messages import Part, binary, message

__all__ = ["INVOKE", "INVOKE_STREAM", "InvokeExtractor"]

# The first that fits is taken.
_FORMS: tuple[Form, ...] = (
    ClaudeForm(),
    ConverseForm(),
    ChatForm(),
    CommandForm(),
    EmbeddingForm(),
    PromptForm(),
)
_EMBEDDING_FORMS: tuple[Form, ...] = (EmbeddingForm(model_says_so=True),)
_METRICS = "amazon-bedrock-invocationMetrics"
# The operation's own parameters, as they are named in the record.
_PARAMETERS = ("guardrailVersion", "trace", "performanceConfigLatency", "serviceTier")


class InvokeExtractor:
    """Reads `invoke_model`, or `invoke_model_with_response_stream`.

    Args:
        stream: The answer is a stream of chunks.
    """

    def __init__(self, stream: bool) -> None:
        self._stream = stream

    def request(self, instance: Any, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> Request:
        """Read a request from the operation's parameters."""
        asked = client.arguments(args, kwargs)
        body = _decoded(_bytes_of(asked.get("body")))
        identifier = asked.get("modelId")
        embeds = "embed" in text_of(identifier)
        forms = _EMBEDDING_FORMS if embeds else _FORMS
        form = next((form for form in forms if form.asks(body)), None)
        request = Request() if form is None else form.request(body)
        request.attributes = {
            **(request.attributes or {}),
            **client.guardrail_id(asked.get("guardrailIdentifier")),
        }
        held = {key: asked[key] for key in _PARAMETERS if asked.get(key)}
        request.parameters = {**(request.parameters or {}), **held}
        client.address(request, instance, asked)
        request.stream = self._stream
        request.form = invoke_form(body, embeds, not asked.get("body"))
        return request

    def response(self, result: Any) -> Response:
        """Read an answer whose body has been read: `result["body"]` is bytes."""
        answer = obj(result)
        body = _decoded(answer.get("body"))
        response = _response(body)
        response.usage = merged(response.usage, _metered(body.get(_METRICS)))
        response.usage = merged(response.usage, client.counted(client.headers_of(answer)))
        response.attributes = {
            **(response.attributes or {}),
            **client.answer_attributes(answer),
            **client.guardrail_attributes(body.get("amazon-bedrock-trace")),
        }
        return response

    def accumulator(self) -> Accumulator:
        """Begin a stream of events."""
        return _InvokeStream()

    def fault(self, error: BaseException) -> Optional[Fault]:
        """Read an exception of botocore."""
        return client.fault(error)


def _bytes_of(body: Any) -> Any:
    """A request's body; one in a file is read, and the file put back to where it was."""
    if type(body) is io.BytesIO:
        return body.getvalue()[body.tell() :]
    if not isinstance(body, (io.BufferedReader, io.BufferedRandom)):
        return body
    opened = cast("io.BufferedIOBase", body)
    if not opened.seekable():
        return None
    start = opened.tell()
    try:
        return opened.read()
    finally:
        opened.seek(start)


def _decoded(data: Any) -> dict[str, Any]:
    if not isinstance(data, (str, bytes, bytearray)) or not data:
        return {}
    try:
        return obj(loads(bytes(data) if isinstance(data, bytearray) else data))
    except ValueError:
        return {}  # not JSON, which is for the service to say


def _response(body: dict[str, Any]) -> Response:
    form = next((form for form in _FORMS if form.answers(body)), None)
    if form is not None:
        return form.response(body)
    images = _images(body)
    if images:
        return Response(output=[message("assistant", images)])
    return Response(fault=_body_error(body))


def _images(body: dict[str, Any]) -> list[Part]:
    """What the image models give: base64 texts."""
    given: Any = body.get("images")
    if not isinstance(given, list):
        given = [entry.get("base64") for entry in objs(body.get("artifacts"))]
    return [binary("image", data) for data in cast("list[Any]", given) if isinstance(data, str)]


def _body_error(body: dict[str, Any]) -> Optional[Fault]:
    error = body.get("error")
    if not error:
        return None
    described = obj(error)
    name = described.get("code") or described.get("type") or "error"
    return Fault(str(name), text_of(described.get("message")) or str(error))


def _metered(metrics: Any) -> Optional[Usage]:
    """The counts that come with a stream's last chunk; their input leaves the cache out."""
    given = obj(metrics)
    if not given:
        return None
    read, written = given.get("cacheReadInputTokenCount"), given.get("cacheWriteInputTokenCount")
    sent = whole_input(given.get("inputTokenCount"), read, written)
    return Usage(sent, given.get("outputTokenCount"), read, written)


class _InvokeStream:
    """Puts the chunks of a stream together, in the form that the first one shows."""

    __slots__ = ("_fault", "_guardrail", "_head", "_inner", "_metrics")

    def __init__(self) -> None:
        self._inner: Optional[Accumulator] = None
        self._head: dict[str, Any] = {}
        self._metrics: dict[str, Any] = {}
        self._guardrail: Any = None
        self._fault: Optional[Fault] = None

    def add(self, chunk: Any) -> None:
        """Take an event, `{"chunk": {"bytes": …}}`, or first of all the response's metadata."""
        event = cast("dict[str, Any]", chunk)
        holder = event.get("chunk")
        if holder is None:
            if "ResponseMetadata" in event:
                self._head = event
            else:
                self._fault = self._fault or client.event_fault(event)
            return
        body = _decoded(holder.get("bytes"))
        if _METRICS in body:
            self._metrics = obj(body[_METRICS])
        if "amazon-bedrock-trace" in body:
            self._guardrail = body["amazon-bedrock-trace"]
        if self._inner is None:
            form = next((form for form in _FORMS if form.answers(body)), None)
            if form is None:
                self._fault = self._fault or _body_error(body)
                return
            self._inner = form.accumulator()
        self._inner.add(body)

    def response(self) -> Response:
        """What has arrived; complete at the latest with Bedrock's own metrics."""
        response = Response(complete=False) if self._inner is None else self._inner.response()
        response.usage = merged(response.usage, _metered(self._metrics))
        response.attributes = {
            **(response.attributes or {}),
            **client.answer_attributes(self._head, self._metrics.get("invocationLatency")),
            **client.guardrail_attributes(self._guardrail),
        }
        response.fault = response.fault or self._fault
        response.complete = response.complete or bool(self._metrics)
        return response


INVOKE = InvokeExtractor(stream=False)
INVOKE_STREAM = InvokeExtractor(stream=True)
