"""The life of one model call, exactly once; the only sync and async drivers.

A call begins a span, runs the SDK's own method with that span current, and ends the span when the
answer is complete: at once for a plain answer, later (see `stream.py`) for one that comes in
chunks. Everything of Peekr's that can fail here is contained; whatever the SDK raises passes
unmodified.
"""

from __future__ import annotations

import weakref
from collections.abc import Awaitable, Mapping
from time import time_ns
from types import CoroutineType
from typing import Any, Callable, NamedTuple, Optional, cast

from opentelemetry import context as otel_context
from opentelemetry import trace as otel_trace
from opentelemetry.trace import SpanKind, Status, StatusCode

from peekr import faults
from peekr.instrumentation import (
    Accumulator,
    Extractor,
    Fault,
    Request,
    Response,
    Usage,
    iterators,
)
from peekr.messages import dump
from peekr.semconv import otel, own

__all__ = [
    "Call",
    "Hook",
    "Runtime",
    "drive",
    "drive_async",
    "end_open_streams",
    "is_suppressed",
]

_ACTIVE_KEY = otel_context.create_key("peekr-model-call")
# The key that opentelemetry.instrumentation.utils.suppress_instrumentation() sets.
_SUPPRESS_KEY = "suppress_instrumentation"

_PLAIN_TYPES = frozenset({str, int, float, bool, list, dict, tuple, type(None)})
# Hoisted: looking up an enumeration's member costs more than the rest of its line.
_CLIENT = SpanKind.CLIENT
_open_streams: weakref.WeakSet[Call] = weakref.WeakSet()


class Runtime(NamedTuple):
    """What an active instrumentor works with.

    Attributes:
        tracer: Makes the spans.
        capture_content: False keeps prompts, outputs and tool arguments off the spans.
        max_chars: The provider's limit for one attribute's length in characters, if any.
        options: Options of one provider's instrumentor, by name.
    """

    tracer: otel_trace.Tracer
    capture_content: bool
    max_chars: Optional[int]
    options: Mapping[str, Any]


class Hook(NamedTuple):
    """One public method of an SDK, and how its calls are read.

    Attributes:
        module: The module that defines the class, by its full name.
        target: `Class.method`.
        record: The record's name, `openai.chat`.
        provider: `gen_ai.provider.name` unless the request says another.
        operation: `gen_ai.operation.name` unless the request says another.
        extractor: Reads requests, answers and chunks.
        is_async: The method is awaited. A column of the table because
            `inspect.iscoroutinefunction` is False for some of the SDKs' async methods.
        deliver: Takes the finished or the streamed result to the caller; see `stream.deliver`. For
            a method that is awaited it may be a coroutine function.
        rewrite: Changes the keyword arguments where the user opted in to that; returns the new
            ones and a predicate for chunks to hide from the caller, or None to change nothing.
        choose: For a method that many kinds of calls share: picks the row that a call belongs to
            by the instance and the arguments, or None for a call that is not watched. It runs
            for every call of the method, so it must be cheap, and must not raise.
        body: For a method that takes its request in one argument: finds that mapping in the
            arguments. None where the keyword arguments are the request.
        hush: For an SDK that traces itself: keeps it from tracing this call, which is recorded
            here, and from telling its span to the provider. It is given the instance and the
            arguments, changes only what belongs to this one call, and runs for unsampled calls
            too; the call's span is current.
        unless: Another method of the same class: where the class has it, it is hooked instead.
    """

    module: str
    target: str
    record: str
    provider: str
    operation: str
    extractor: Extractor
    is_async: bool
    deliver: Callable[[Call, Any], Any]
    rewrite: Optional[
        Callable[
            [Runtime, Mapping[str, Any]], Optional[tuple[dict[str, Any], Callable[[Any], bool]]]
        ]
    ] = None
    choose: Optional[Callable[[Any, tuple[Any, ...], Mapping[str, Any]], Optional[Hook]]] = None
    body: Optional[Callable[[tuple[Any, ...], Mapping[str, Any]], dict[str, Any]]] = None
    hush: Optional[Callable[[Any, tuple[Any, ...], Mapping[str, Any]], None]] = None
    unless: Optional[str] = None


class Call:
    """One model call: its span, what was asked, and its single end.

    Attributes:
        hook: The hooked method.
        request: What was asked, as the extractor read it.
        kwargs: The keyword arguments that go to the SDK.
        recording: False when the span is not recorded, so that nothing need be read.
        first_chunk_ns: When the first chunk came, in Unix nanoseconds; 0 before.
        hidden: Chunks for which it is True are not handed to the caller.
        arriving: Tells what of a stream has arrived, to whoever ends the call from outside.
    """

    __slots__ = (
        "__weakref__",
        "_content",
        "_late",
        "_once",
        "_runtime",
        "_span",
        "_start_ns",
        "arriving",
        "first_chunk_ns",
        "hidden",
        "hook",
        "instance",
        "kwargs",
        "recording",
        "request",
    )

    def __init__(
        self,
        runtime: Runtime,
        hook: Hook,
        instance: Any,
        args: tuple[Any, ...],
        kwargs: dict[str, Any],
    ) -> None:
        self.hook = hook
        self.instance = instance
        self.hidden: Optional[Callable[[Any], bool]] = None
        self.arriving: Optional[Accumulator] = None
        self._runtime = runtime
        self.first_chunk_ns = 0
        self._late: Optional[dict[str, Any]] = None
        # pop() is atomic: whichever of close, exhaustion and collection comes first ends the span.
        self._once = [True]
        self.kwargs = kwargs
        self._content: dict[str, Any] = {}
        try:
            body = self.kwargs if hook.body is None else hook.body(args, kwargs)
            request = hook.extractor.request(instance, args, self._hold_iterators(body))
            if hook.rewrite is not None and runtime.options:
                # After the reading: what is recorded is what the caller asked for.
                rewritten = hook.rewrite(runtime, self.kwargs)
                if rewritten is not None:
                    self.kwargs, self.hidden = rewritten
        except Exception:
            faults.report(f"reading a request of {hook.record}")
            request = Request()
        self.request = request
        attributes: dict[str, Any] = {
            otel.GEN_AI_OPERATION_NAME: request.operation or hook.operation,
            otel.GEN_AI_PROVIDER_NAME: request.provider or hook.provider,
            own.PEEKR_RECORD_NAME: hook.record,
        }
        name = request.operation or hook.operation
        if request.model:
            attributes[otel.GEN_AI_REQUEST_MODEL] = request.model
            name = f"{name} {request.model}"
        if request.server is not None:
            address, port = request.server
            attributes[otel.SERVER_ADDRESS] = address
            if port is not None:
                attributes[otel.SERVER_PORT] = port
        self._start_ns = time_ns()
        self._span = runtime.tracer.start_span(
            name, kind=_CLIENT, attributes=attributes, start_time=self._start_ns
        )
        self.recording = self._span.is_recording()
        if self.recording:
            try:
                # Now, not at the end: the caller may change the messages while the call runs.
                self._read_request(request)
            except Exception:
                faults.report(f"recording a request of {hook.record}")

    # -- beginning ---------------------------------------------------------------------------------

    def context(self) -> otel_context.Context:
        """The context for the SDK's own work: our span current, nested hooks off."""
        current = otel_context.set_value(_ACTIVE_KEY, self.hook.provider)
        return otel_trace.set_span_in_context(self._span, current)

    def _hold_iterators(self, body: dict[str, Any]) -> Mapping[str, Any]:
        """Let one-shot iterators reach the SDK untouched, and keep what passes through them.

        Args:
            body: The arguments of this one call; an iterator in it is replaced by one that passes
                its items on.

        Returns:
            The arguments to read now, in which such an iterator is an empty list.
        """
        readable = body
        for key, value in body.items():
            if type(value) in _PLAIN_TYPES or not iterators.may_be_read_but_once(value):
                continue
            if self._late is None:
                self._late = readable = dict(body)
            passed: list[Any] = []
            body[key] = iterators.keeping(value, passed)
            readable[key] = passed
        return readable

    def _read_request(self, request: Request) -> None:
        content = self._content
        if request.attributes:
            content.update(request.attributes)
        if request.stream:
            content[otel.GEN_AI_REQUEST_STREAM] = True
        max_chars = self._runtime.max_chars
        parameters = request.parameters
        if request.content_parameters and self._runtime.capture_content:
            parameters = {**(parameters or {}), **request.content_parameters}
        if parameters:
            content[own.PEEKR_REQUEST_PARAMETERS] = dump(parameters, max_chars)
        if not self._runtime.capture_content:
            return
        if request.input:
            content[otel.GEN_AI_INPUT_MESSAGES] = dump(request.input, max_chars)
        if request.system:
            content[otel.GEN_AI_SYSTEM_INSTRUCTIONS] = dump(request.system, max_chars)
        if request.tools:
            content[otel.GEN_AI_TOOL_DEFINITIONS] = dump(request.tools, max_chars)

    # -- during ------------------------------------------------------------------------------------

    def streaming(self) -> Accumulator:
        """Say that the answer comes in chunks; the span stays open until one of the ends below."""
        self.arriving = accumulator = self.hook.extractor.accumulator()
        _open_streams.add(self)
        return accumulator

    def note(self, name: str, value: Any) -> None:
        """Put a fact on the span that neither the request nor the answer's body says."""
        self._content[name] = value

    def hush(self, args: tuple[Any, ...]) -> None:
        """Keep the SDK from tracing the call itself; see `Hook.hush`."""
        hush = self.hook.hush
        if hush is not None:
            try:
                hush(self.instance, args, self.kwargs)
            except Exception:
                faults.report(f"silencing the SDK's own tracing of {self.hook.record}")

    def chunk_arrived(self) -> None:
        """Take the time of the first chunk."""
        if self.first_chunk_ns == 0:
            self.first_chunk_ns = time_ns()

    # -- the ends: the first that is called ends the span, the others do nothing -------------------

    def succeed(self, result: Any) -> None:
        """End with a plain answer."""
        if not self._take():
            return
        if not self.recording:
            return
        try:
            self._end(self.hook.extractor.response(result))
        except Exception:
            self._end_bare(f"reading a response of {self.hook.record}")

    def fail(self, error: BaseException, accumulator: Optional[Accumulator] = None) -> None:
        """End with the exception that the SDK raised, and with what had arrived before it."""
        if not self._take() or not self.recording:
            return
        try:
            response = _arrived(accumulator)
            request_id = getattr(error, "request_id", None)
            if isinstance(request_id, str):
                self._content[own.PEEKR_REQUEST_ID] = request_id
            fault = self.hook.extractor.fault(error) or _describe(error)
            if response is None and fault.answer is not None:
                response = self.hook.extractor.response(fault.answer)
            self._end(response, fault=fault, error=error)
        except Exception:
            self._end_bare(f"recording an error of {self.hook.record}", error)

    def finish(self, accumulator: Accumulator) -> None:
        """End a stream that came to its end."""
        if not self._take() or not self.recording:
            return
        try:
            self._end(_arrived(accumulator))
        except Exception:
            self._end_bare(f"reading a stream of {self.hook.record}")

    def abandon(self, accumulator: Accumulator) -> None:
        """End a stream that the caller left: closed, broken off, dropped, cancelled.

        When all of it had arrived, nothing was abandoned.
        """
        if not self._take() or not self.recording:
            return
        try:
            response = _arrived(accumulator)
            if response is None or not response.complete:
                self._content[own.PEEKR_STREAM_ABANDONED] = True
            self._end(response)
        except Exception:
            self._end_bare(f"reading a stream of {self.hook.record}")

    @property
    def ended(self) -> bool:
        """Whether one of the ends was called."""
        return not self._once

    def _take(self) -> bool:
        try:
            self._once.pop()
        except IndexError:
            return False
        if self.arriving is not None:
            _open_streams.discard(self)
            self.arriving = None
        return True

    def _end(
        self,
        response: Optional[Response],
        *,
        fault: Optional[Fault] = None,
        error: Optional[BaseException] = None,
    ) -> None:
        span, content = self._span, self._content
        if self._late is not None:
            self._read_late()
        if self.first_chunk_ns:
            seconds = (self.first_chunk_ns - self._start_ns) / 1e9
            content[otel.GEN_AI_RESPONSE_TIME_TO_FIRST_CHUNK] = seconds
        if response is not None:
            self._read_response(response)
            fault = fault or response.fault
        if fault is not None:
            content[otel.ERROR_TYPE] = fault.type
            if fault.status_code is not None:
                content[otel.HTTP_RESPONSE_STATUS_CODE] = fault.status_code
            if fault.code:
                content[own.PEEKR_ERROR_CODE] = fault.code
        if content:
            span.set_attributes(content)
        if fault is not None:
            capture = self._runtime.capture_content
            # The provider's words may quote the prompt: without content, only what kind it was.
            description = fault.message if capture else _without_content(fault)
            if error is not None and capture:
                span.record_exception(error)
            span.set_status(Status(StatusCode.ERROR, description))
        span.end()

    def _end_bare(self, doing: str, error: Optional[BaseException] = None) -> None:
        try:
            faults.report(doing)
        finally:
            if self._span.is_recording():
                if error is not None:
                    kind = type(error).__qualname__
                    self._span.set_attribute(otel.ERROR_TYPE, kind)
                    self._span.set_status(Status(StatusCode.ERROR, kind))
                self._span.end()

    def _read_response(self, response: Response) -> None:
        content = self._content
        if response.attributes:
            content.update(response.attributes)
        if response.id:
            content[otel.GEN_AI_RESPONSE_ID] = response.id
        if response.model:
            content[otel.GEN_AI_RESPONSE_MODEL] = response.model
        if response.finish_reasons:
            content[otel.GEN_AI_RESPONSE_FINISH_REASONS] = response.finish_reasons
        if response.usage is not None:
            for key, count in zip(_USAGE_KEYS, response.usage):
                if count is not None:
                    content[key] = count
        if response.output and self._runtime.capture_content:
            content[otel.GEN_AI_OUTPUT_MESSAGES] = dump(response.output, self._runtime.max_chars)

    def _read_late(self) -> None:
        self._read_request(self.hook.extractor.request(self.instance, (), self._late or {}))


# In the order of Usage's fields.
_USAGE_KEYS = (
    otel.GEN_AI_USAGE_INPUT_TOKENS,
    otel.GEN_AI_USAGE_OUTPUT_TOKENS,
    otel.GEN_AI_USAGE_CACHE_READ_INPUT_TOKENS,
    otel.GEN_AI_USAGE_CACHE_CREATION_INPUT_TOKENS,
    otel.GEN_AI_USAGE_REASONING_OUTPUT_TOKENS,
    own.PEEKR_USAGE_AUDIO_INPUT_TOKENS,
    own.PEEKR_USAGE_AUDIO_OUTPUT_TOKENS,
    own.PEEKR_USAGE_IMAGE_INPUT_TOKENS,
)
assert len(_USAGE_KEYS) == len(Usage._fields)


def drive(
    runtime: Runtime,
    hook: Hook,
    original: Callable[..., Any],
    instance: Any,
    args: tuple[Any, ...],
    kwargs: dict[str, Any],
) -> Any:
    """Run one synchronous call; returns what the SDK returned, a stream behind its proxy."""
    if _is_off(hook):
        return original(instance, *args, **kwargs)
    call = Call(runtime, hook, instance, args, kwargs)
    token = otel_context.attach(call.context())
    try:
        call.hush(args)
        result = original(instance, *args, **call.kwargs)
    except BaseException as error:
        call.fail(error)
        raise
    finally:
        otel_context.detach(token)
    return _deliver(call, result)


async def drive_async(
    runtime: Runtime,
    hook: Hook,
    original: Callable[..., Any],
    instance: Any,
    args: tuple[Any, ...],
    kwargs: dict[str, Any],
) -> Any:
    """Run one call that is awaited; otherwise as `drive`."""
    if _is_off(hook):
        return await original(instance, *args, **kwargs)
    call = Call(runtime, hook, instance, args, kwargs)
    before, inside = otel_context.get_current(), call.context()
    token = otel_context.attach(inside)
    try:
        call.hush(args)
        result = await original(instance, *args, **call.kwargs)
    except GeneratorExit:
        # The coroutine was dropped or closed, perhaps in another context, where a token of this
        # one cannot be given back and our span is not current.
        token = None
        if otel_context.get_current() is inside:
            otel_context.attach(before)
        call.fail(GeneratorExit("the call was dropped before it returned"))
        raise
    except BaseException as error:
        call.fail(error)
        raise
    finally:
        if token is not None:
            otel_context.detach(token)
    delivered = _deliver(call, result)
    if type(delivered) is CoroutineType:
        return await _deliver_later(call, result, cast("Any", delivered))
    return delivered


def end_open_streams() -> None:
    """End the spans of streams that are still open, as left by the caller; for shutdown."""
    for call in _still_open():
        call.abandon(call.arriving or _Nothing())


def _still_open() -> list[Call]:
    while True:
        try:
            return list(_open_streams)
        except RuntimeError:
            pass  # another thread opened a stream meanwhile


def _deliver(call: Call, result: Any) -> Any:
    if not call.recording:
        return result
    try:
        return call.hook.deliver(call, result)
    except Exception:
        try:
            faults.report(f"delivering a result of {call.hook.record}")
        finally:
            call.abandon(_Nothing())
        return result


async def _deliver_later(call: Call, result: Any, delivering: Awaitable[Any]) -> Any:
    try:
        return await delivering
    except Exception:
        try:
            faults.report(f"delivering a result of {call.hook.record}")
        finally:
            call.abandon(_Nothing())
        return result
    except BaseException as error:
        call.fail(error)
        raise


def is_suppressed() -> bool:
    """Whether the application has turned instrumentation off for what runs here."""
    return bool(otel_context.get_current().get(_SUPPRESS_KEY))


def _is_off(hook: Hook) -> bool:
    current = otel_context.get_current()
    return bool(
        current.get(_SUPPRESS_KEY)
        # A hooked method that calls another hooked method of its SDK is one call.
        or current.get(_ACTIVE_KEY) == hook.provider
    )


def _arrived(accumulator: Optional[Accumulator]) -> Optional[Response]:
    return None if accumulator is None else accumulator.response()


def _describe(error: BaseException) -> Fault:
    status = getattr(error, "status_code", None)
    return Fault(
        type=type(error).__qualname__,
        message=str(error) or type(error).__qualname__,
        status_code=status if isinstance(status, int) else None,
    )


def _without_content(fault: Fault) -> str:
    return fault.type if fault.status_code is None else f"{fault.type} (HTTP {fault.status_code})"


class _Nothing:
    """An accumulator for a stream of which nothing can be read any more."""

    def add(self, chunk: Any) -> None:
        """Take nothing."""

    def response(self) -> Response:
        """Say that the end was not seen."""
        return Response(complete=False)
