"""The life of one model call, exactly once.

A call begins a span, runs the SDK's own method with that span current, and ends the span when the
answer is complete: at once for a plain answer, later (see `stream.py`) for one that comes in
chunks. Everything of Peekr's that can fail here is contained; whatever the SDK raises passes
unmodified.
"""

from __future__ import annotations

from collections.abc import Mapping
from time import perf_counter_ns, time_ns
from typing import Any, Callable, Optional, Union

from opentelemetry import context as otel_context
from opentelemetry import trace as otel_trace
from opentelemetry.trace import SpanKind, Status, StatusCode

from peekr import faults
from peekr.context import is_internal
from peekr.instrumentation import iterators
from peekr.instrumentation.contract import Accumulator, Extractor, Fault, Request, Response, Usage
from peekr.instrumentation.propagation import withhold
from peekr.instrumentation.runtime import ACTIVE_KEY, Hook, Runtime, open_streams
from peekr.instrumentation.sound import clean
from peekr.late import loaded
from peekr.messages import dump
from peekr.pricing.book import Pending, PriceBook, tier_of
from peekr.semconv import otel, own

__all__ = ["Call"]

_PLAIN_TYPES = frozenset({str, int, float, bool, list, dict, tuple, type(None)})
# Hoisted: looking up an enumeration's member costs more than the rest of its line.
_CLIENT = SpanKind.CLIENT


class Call:
    """One model call: its span, what was asked, and its single end.

    Attributes:
        hook: The hooked method.
        request: What was asked, as the extractor read it.
        kwargs: The keyword arguments that go to the SDK.
        extractor: Reads the request and what comes back.
        recording: False when the span is not recorded.
        reading: False when nobody wants to know what comes back.
        holds: Chunks are held back until guardrails have looked at them.
        waits: Its end waits for a judge; see `aside`.
        first_chunk_ns: When the first chunk came, in Unix nanoseconds; 0 before.
        hidden: Chunks for which it is True are not handed to the caller.
        arriving: Tells what of a stream has arrived, to whoever ends the call from outside.
        chunk_times_ns: When each chunk came, by a clock that never goes back; None where nobody
            wants to know.
        cost_usd: What the call cost, for observers; None where no price is known, `PENDING` where
            the price table is still on its way.
        kept: What an admission wants to know again when the call ends, under its own key.
    """

    holds: bool = False
    waits: bool = False

    __slots__ = (
        "__weakref__",
        "_apart",
        "_content",
        "_details",
        "_late",
        "_observers",
        "_offset_ns",
        "_once",
        "_runtime",
        "_span",
        "_start_ns",
        "arriving",
        "chunk_times_ns",
        "cost_usd",
        "extractor",
        "first_chunk_ns",
        "hidden",
        "hook",
        "instance",
        "kept",
        "kwargs",
        "reading",
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
        self.cost_usd: Union[float, Pending, None] = None
        self.kept: Optional[dict[Any, Any]] = None
        # pop() is atomic: whichever of close, exhaustion and collection comes first ends the span.
        self._once = [True]
        self.kwargs = kwargs
        self.extractor: Extractor = loaded[hook.extractor]
        self._content: dict[str, Any] = {}
        try:
            body = self.kwargs if hook.body is None else hook.body(args, kwargs)
            request = self.extractor.request(instance, args, self._hold_iterators(body))
            if hook.rewrite is not None and runtime.options:
                # After the reading: what is recorded is what the caller asked for.
                rewritten = loaded[hook.rewrite](runtime, self.kwargs)
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
        if runtime.prices is not None:
            runtime.prices.begin()
        self._start_ns = time_ns()
        # The wall clock may be set while the call runs; what is measured is not.
        self._offset_ns = self._start_ns - perf_counter_ns()
        self._span = runtime.tracer.start_span(
            name, kind=_CLIENT, attributes=attributes, start_time=self._start_ns
        )
        self.recording = self._span.is_recording()
        self._observers = runtime.observers
        self.chunk_times_ns: Optional[list[int]] = None
        if runtime.metrics:
            self._observers = (*runtime.observers, runtime.metrics)
            self.chunk_times_ns = []
        if self._observers and is_internal():
            self._observers = ()
        # What goes to events alone.
        self._apart: Optional[dict[str, Any]] = None
        self._details = runtime.details or None
        if self._details is not None and self._details.with_content:
            self._apart = None if runtime.capture_content else {}
        self.reading = self.recording or bool(self._observers) or self._details is not None
        if self.recording or self._details is not None:
            try:
                # Now, not at the end: the caller may change the messages while the call runs.
                self._read_request(request)
            except Exception:
                faults.report(f"recording a request of {hook.record}")

    # -- beginning ---------------------------------------------------------------------------------

    def context(self) -> otel_context.Context:
        """The context for the SDK's own work: our span current, nested hooks off."""
        withhold()
        current = otel_context.set_value(ACTIVE_KEY, self.hook.provider)
        return otel_trace.set_span_in_context(self._span, current)

    def admit(self) -> None:
        """Ask whoever may refuse the call.

        Raises:
            Exception: one of them refuses it.
        """
        if is_internal():
            return  # a judge's call holds what was admitted already
        for admission in self._runtime.admissions:
            admission(self)

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
        into = content if self._runtime.capture_content else self._apart
        if into is None:
            return
        if request.input:
            into[otel.GEN_AI_INPUT_MESSAGES] = dump(request.input, max_chars)
        if request.system:
            into[otel.GEN_AI_SYSTEM_INSTRUCTIONS] = dump(request.system, max_chars)
        if request.tools:
            into[otel.GEN_AI_TOOL_DEFINITIONS] = dump(request.tools, max_chars)
        if request.form:
            into[own.PEEKR_REQUEST_FORM] = dump(request.form, max_chars)

    # -- during ------------------------------------------------------------------------------------

    def streaming(self) -> Accumulator:
        """Say that the answer comes in chunks; the span stays open until one of the ends below."""
        self.arriving = accumulator = self.extractor.accumulator()
        open_streams.add(self)
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
        """Take the time of the first chunk, and of the others where somebody wants to know it."""
        if self.first_chunk_ns == 0:
            self.first_chunk_ns = self.now_ns()
        if self.chunk_times_ns is not None:
            self.chunk_times_ns.append(perf_counter_ns())

    # -- the ends: the first that is called ends the span, the others do nothing -------------------

    def succeed(self, result: Any) -> None:
        """End with a plain answer."""
        if not self._take() or not self.reading:
            return
        try:
            self._end(self.extractor.response(result))
        except Exception:
            self._end_bare(f"reading a response of {self.hook.record}")

    def fail(self, error: BaseException, accumulator: Optional[Accumulator] = None) -> None:
        """End with the exception that the SDK raised, and with what had arrived before it."""
        if not self._take() or not self.reading:
            return
        try:
            response = _arrived(accumulator)
            request_id = getattr(error, "request_id", None)
            if isinstance(request_id, str):
                self._content[own.PEEKR_REQUEST_ID] = request_id
            fault = self.extractor.fault(error) or _describe(error)
            if response is None and fault.answer is not None:
                response = self.extractor.response(fault.answer)
            self._end(response, fault=fault, error=error)
        except Exception:
            self._end_bare(f"recording an error of {self.hook.record}", error)

    def finish(self, accumulator: Accumulator) -> None:
        """End a stream that came to its end."""
        if not self._take() or not self.reading:
            return
        try:
            self._end(_arrived(accumulator))
        except Exception:
            self._end_bare(f"reading a stream of {self.hook.record}")

    def abandon(self, accumulator: Accumulator) -> None:
        """End a stream that the caller left: closed, broken off, dropped, cancelled.

        When all of it had arrived, nothing was abandoned.
        """
        if not self._take() or not self.reading:
            return
        try:
            response = _arrived(accumulator)
            if response is None or not response.complete:
                self._content[own.PEEKR_STREAM_ABANDONED] = True
            self._end(response)
        except Exception:
            self._end_bare(f"reading a stream of {self.hook.record}")

    def disown(self) -> None:
        """Let nothing end the call here: it is another process's."""
        self._once.clear()
        open_streams.discard(self)

    @property
    def start_ns(self) -> int:
        """When the call began, in Unix nanoseconds."""
        return self._start_ns

    def now_ns(self) -> int:
        """Now in Unix nanoseconds, by a clock that nobody has set since the call began."""
        return self._offset_ns + perf_counter_ns()

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
            open_streams.discard(self)
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
            clean(response)
            self._read_response(response)
            fault = fault or response.fault
        if fault is not None:
            content[otel.ERROR_TYPE] = fault.type
            if fault.status_code is not None:
                content[otel.HTTP_RESPONSE_STATUS_CODE] = fault.status_code
            if fault.code:
                content[own.PEEKR_ERROR_CODE] = fault.code
        for observer in self._observers:
            try:
                observer(self, response, fault)
            except Exception:
                faults.report(f"observing the end of a call ({_name_of(observer)})")
        if self._details is not None:
            try:
                self._details.emit(self, response, {**content, **(self._apart or {})})
            except Exception:
                faults.report(f"logging the details of {self.hook.record}")
        if content:
            span.set_attributes(content)
        if fault is not None:
            capture = self._runtime.capture_content
            # The provider's words may quote the prompt: without content, only what kind it was.
            description = fault.message if capture else _without_content(fault)
            if error is not None and capture:
                span.record_exception(error)
            span.set_status(Status(StatusCode.ERROR, description))
        span.end(self._offset_ns + perf_counter_ns())

    def _end_bare(self, doing: str, error: Optional[BaseException] = None) -> None:
        try:
            faults.report(doing)
        finally:
            if self._span.is_recording():
                if error is not None:
                    kind = type(error).__qualname__
                    self._span.set_attribute(otel.ERROR_TYPE, kind)
                    self._span.set_status(Status(StatusCode.ERROR, kind))
                self._span.end(self.now_ns())

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
            if self._runtime.prices is not None:
                self.price(self._runtime.prices, response)
        into = content if self._runtime.capture_content else self._apart
        if response.output and into is not None:
            into[otel.GEN_AI_OUTPUT_MESSAGES] = dump(response.output, self._runtime.max_chars)

    def price(self, prices: PriceBook, response: Response) -> None:
        """Find out what the call cost; again later where the price table was on its way."""
        usage, request, content = response.usage, self.request, self._content
        if usage is None or (usage.input is None and usage.output is None):
            return
        rates = prices.rates(
            request.provider or self.hook.provider,
            request.model,
            response.model,
            tier_of(content.get(otel.OPENAI_RESPONSE_SERVICE_TIER), request.parameters),
            self._start_ns,
        )
        if rates is None or isinstance(rates, Pending):
            self.cost_usd = rates
        else:
            self.cost_usd = content[own.PEEKR_COST_USD] = rates.cost(*usage)
            if usage.cache_read or usage.cache_write:
                content[own.PEEKR_COST_SAVED_USD] = rates.saved(
                    usage.input, usage.cache_read, usage.cache_write, usage.cache_write_1h
                )

    def _read_late(self) -> None:
        self._read_request(self.extractor.request(self.instance, (), self._late or {}))


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
    own.PEEKR_USAGE_CACHE_WRITE_1H_INPUT_TOKENS,
)
assert len(_USAGE_KEYS) == len(Usage._fields)


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


def _name_of(observer: Any) -> str:
    return getattr(observer, "__qualname__", type(observer).__qualname__)
