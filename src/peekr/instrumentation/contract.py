"""What a provider's extraction gives: requests, answers, usage, faults; and how it is asked.

Extraction is pure: it imports no SDK and no OpenTelemetry, reads no clock and does no I/O. It
returns the values below, and `call.py` alone turns them into span attributes. Whatever an extractor
raises is contained: it costs detail on the span, never the user's call. Loaded with the first call.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple, Optional, Protocol, cast

from peekr.messages import Message, Part

__all__ = [
    "Accumulator",
    "Extractor",
    "Fault",
    "Request",
    "Response",
    "Usage",
    "field",
    "fields",
]


class Request:
    """What a call asks for, as far as the provider's arguments say.

    Attributes:
        model: The model's id as the caller named it.
        provider: `gen_ai.provider.name`; None keeps the hook's.
        operation: `gen_ai.operation.name`; None keeps the hook's.
        server: Host and port that the client talks to; the port is None where it is the scheme's.
        stream: The answer comes in chunks.
        attributes: Sampling parameters and the like under their attribute names.
        parameters: Parameters that have no attribute of their own, by the provider's name.
        content_parameters: The same, of those whose value may be content: a predicted answer, a
            schema, whatever is not known to hold none.
        form: How the request is written where that is not the usual way, by the place in it; see
            `peekr.replaying.request_forms`.
        input: The messages; None when there are none to record.
        system: Instructions given apart from the messages.
        tools: Definitions of the tools that the model may call.
    """

    __slots__ = (
        "attributes",
        "content_parameters",
        "form",
        "input",
        "model",
        "operation",
        "parameters",
        "provider",
        "server",
        "stream",
        "system",
        "tools",
    )

    def __init__(
        self,
        *,
        model: Optional[str] = None,
        provider: Optional[str] = None,
        operation: Optional[str] = None,
        server: Optional[tuple[str, Optional[int]]] = None,
        stream: bool = False,
        attributes: Optional[dict[str, Any]] = None,
        parameters: Optional[dict[str, Any]] = None,
        content_parameters: Optional[dict[str, Any]] = None,
        form: Optional[dict[str, Any]] = None,
        input: Optional[list[Message]] = None,
        system: Optional[list[Part]] = None,
        tools: Optional[list[dict[str, Any]]] = None,
    ) -> None:
        self.model = model
        self.provider = provider
        self.operation = operation
        self.server = server
        self.stream = stream
        self.attributes = attributes
        self.parameters = parameters
        self.content_parameters = content_parameters
        self.form = form
        self.input = input
        self.system = system
        self.tools = tools


class Usage(NamedTuple):
    """Token counts as the provider reported them; None is "not reported", never zero.

    `input` is the whole input, cached tokens included; `output` includes reasoning, and
    `cache_write` what is kept for an hour.
    """

    input: Optional[int] = None
    output: Optional[int] = None
    cache_read: Optional[int] = None
    cache_write: Optional[int] = None
    reasoning: Optional[int] = None
    audio_input: Optional[int] = None
    audio_output: Optional[int] = None
    image_input: Optional[int] = None
    cache_write_1h: Optional[int] = None


class Fault(NamedTuple):
    """A failure that the provider reported, in an exception or in an answer that is none.

    Attributes:
        type: A low-cardinality name: the exception's class or the provider's error code.
        message: The provider's words; they may quote content.
        status_code: The HTTP status, where there was one.
        code: The provider's own name of the kind of failure, where it is not `type` already:
            `model_not_found`, `insufficient_quota`.
        answer: The provider's answer that an exception carries, where the SDK could not use it.
    """

    type: str
    message: str
    status_code: Optional[int] = None
    code: Optional[str] = None
    answer: Any = None


class Response:
    """What came back, as far as the provider's answer says.

    Attributes:
        id: The provider's id of the answer.
        model: The model that answered.
        finish_reasons: One a choice, in the provider's words.
        usage: Token counts.
        output: One message a choice.
        attributes: Further facts under their attribute names.
        fault: A failure that the answer reports without an exception.
        complete: False when a stream's end has not been seen.
    """

    __slots__ = (
        "attributes",
        "complete",
        "fault",
        "finish_reasons",
        "id",
        "model",
        "output",
        "usage",
    )

    def __init__(
        self,
        *,
        id: Optional[str] = None,
        model: Optional[str] = None,
        finish_reasons: Optional[list[str]] = None,
        usage: Optional[Usage] = None,
        output: Optional[list[Message]] = None,
        attributes: Optional[dict[str, Any]] = None,
        fault: Optional[Fault] = None,
        complete: bool = True,
    ) -> None:
        self.id = id
        self.model = model
        self.finish_reasons = finish_reasons
        self.usage = usage
        self.output = output
        self.attributes = attributes
        self.fault = fault
        self.complete = complete


class Accumulator(Protocol):
    """Puts a stream's chunks together; one instance a stream, one thread at a time."""

    def add(self, chunk: Any) -> None:
        """Take a chunk, the SDK's object or the decoded JSON of one; runs once a chunk."""
        ...

    def response(self) -> Response:
        """What has arrived so far; `complete` tells whether the stream's own end was among it."""
        ...


class Extractor(Protocol):
    """Reads what one kind of call says; stateless, shared by all threads."""

    def request(self, instance: Any, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> Request:
        """Read a request from the arguments of the hooked method, consuming nothing."""
        ...

    def response(self, result: Any) -> Response:
        """Read an answer: the SDK's object, or the decoded JSON body of one."""
        ...

    def accumulator(self) -> Accumulator:
        """Begin a stream."""
        ...

    def fault(self, error: BaseException) -> Optional[Fault]:
        """What an exception says; None leaves it to the driver's general reading."""
        ...


_NO_FIELDS: Mapping[str, Any] = {}


def fields(value: Any) -> Mapping[str, Any]:
    """The fields of a mapping or of an SDK's model; empty for None and for what has none.

    The SDKs accept and give both typed dictionaries and models of their own. A model's instance
    dictionary holds its declared fields, so reading several costs one look; what the service sends
    and the SDK's version does not know yet stands beside them.
    """
    if isinstance(value, dict):
        return cast("dict[str, Any]", value)
    if value is None:
        return _NO_FIELDS
    found = getattr(value, "__dict__", None)
    if found is None:
        return _NO_FIELDS
    more = getattr(value, "__pydantic_extra__", None)
    return {**found, **more} if more else found


def field(value: Any, name: str) -> Any:
    """One field of a mapping or of an object, also one that is computed; None where absent."""
    if isinstance(value, dict):
        return cast("dict[str, Any]", value).get(name)
    found = getattr(value, name, None)
    # A text where an object belongs has an `index` and a `format` of its own.
    return None if found.__class__ is _METHOD else found


_METHOD = type("".index)
