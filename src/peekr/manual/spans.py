"""Spans of one's own: started and ended by hand or around a block, and the current one.

What holds for every span that is started here:

* It is current from its start to its end, in the thread or task that started it and in what is
  started from there.
* Ended out of order, the span that was current before it becomes current again, together with
  everything that was started inside it; ending those later records them and changes nothing else.
* Ended twice: the second time does nothing.
* Never ended: it is never recorded, and stays current until a span around it ends.
* Ended in another thread or task: it is recorded; where it was started, new spans are children of
  the nearest span around it that is still open.

None of this raises or logs.
"""

from __future__ import annotations

from collections.abc import Mapping
from time import perf_counter_ns, time_ns
from types import TracebackType
from typing import Any, Optional, cast

from opentelemetry import context as otel_context
from opentelemetry import trace as otel_trace
from opentelemetry.context import Context
from opentelemetry.trace import StatusCode

from peekr import faults, tracing
from peekr.manual.span_view import Span
from peekr.semconv import own as names
from peekr.tracing import OWN_SPAN, SPAN

__all__ = [
    "SpanBlock",
    "SpanToken",
    "close",
    "end_span",
    "get_current_span",
    "leave",
    "open_span",
    "span",
    "start_span",
]


class SpanToken:
    """What `start_span` gives for `end_span`; it has no use of its own."""

    __slots__ = ("_span",)

    def __init__(self, span: Span) -> None:
        self._span = span


def start_span(name: str, attributes: Optional[Mapping[str, Any]] = None) -> tuple[Span, SpanToken]:
    """Start a span and make it the current one.

    Args:
        name: The record's name, and the OpenTelemetry span's.
        attributes: What to set on it at once.

    Returns:
        The span, and the token that `end_span` takes. Without `instrument()` and without another
        tracer provider the span records nothing and costs next to nothing.
    """
    made = open_span(name)
    otel_context.attach(made[1])
    if attributes:
        made[0].attributes.update(attributes)
    return made[0], SpanToken(made[0])


def end_span(span: Span, token: Optional[SpanToken] = None) -> None:
    """End a span, and make current again what was current before it started.

    Out of order, twice or in another thread: see the module. Never raises for that.

    Args:
        span: What `start_span` gave.
        token: What `start_span` gave with it.

    Raises:
        TypeError: `span` is no span of Peekr.
    """
    del token  # the span knows what was current before it
    if not isinstance(span, Span):  # pyright: ignore[reportUnnecessaryIsInstance]
        raise TypeError(f"end_span({span!r}): that is no span of start_span()")
    leave(span)
    close(span)


def get_current_span() -> Optional[Span]:
    """The current span, whoever started it; None where there is none.

    Costs well under a microsecond.
    """
    context = otel_context.get_current()
    own = cast("Optional[Span]", context.get(OWN_SPAN))
    current = cast("Optional[otel_trace.Span]", context.get(SPAN))
    if own is not None and own.otel_span is current:
        if own._once:  # pyright: ignore[reportPrivateUsage]
            return own
        context = _without_ended(context)
        own = cast("Optional[Span]", context.get(OWN_SPAN))
        current = cast("Optional[otel_trace.Span]", context.get(SPAN))
        if own is not None and own.otel_span is current:
            return own
    if current is None or not current.get_span_context().is_valid:
        return None
    return Span(current)


def span(name: str, attributes: Optional[Mapping[str, Any]] = None) -> SpanBlock:
    """A span around a block: `with peekr.span("name") as span:`, also `async with`.

    An exception that leaves the block is recorded and makes the status `"error"`; it passes
    unmodified.

    Args:
        name: The record's name, and the OpenTelemetry span's.
        attributes: What to set on it at once.
    """
    return SpanBlock(name, attributes)


class SpanBlock:
    """The context manager that `span()` gives. Each `with` is a span; make one a block."""

    __slots__ = ("_attributes", "_name", "_spans")

    def __init__(self, name: str, attributes: Optional[Mapping[str, Any]] = None) -> None:
        self._name = name
        self._attributes = attributes
        self._spans: list[Span] = []

    def __enter__(self) -> Span:
        made, _ = start_span(self._name, self._attributes)
        self._spans.append(made)
        return made

    def __exit__(
        self,
        kind: Optional[type[BaseException]],
        error: Optional[BaseException],
        trace: Optional[TracebackType],
    ) -> None:
        made = self._spans.pop()
        if kind is GeneratorExit:
            # The block is in a generator that its consumer left: that is no error.
            made.attributes[names.PEEKR_STREAM_ABANDONED] = True
        elif error is not None:
            made.record_exception(error)
        leave(made)
        close(made)

    async def __aenter__(self) -> Span:
        return self.__enter__()

    async def __aexit__(
        self,
        kind: Optional[type[BaseException]],
        error: Optional[BaseException],
        trace: Optional[TracebackType],
    ) -> None:
        self.__exit__(kind, error, trace)


# -- what the functions above and `@trace` are made of ---------------------------------------------


def open_span(name: str) -> tuple[Span, Context]:
    """Start a span without making it current.

    Returns:
        The span and the context to attach, in which it is the current one.
    """
    previous = otel_context.get_current()
    own = cast("Optional[Span]", previous.get(OWN_SPAN))
    if own is not None and not own._once:  # pyright: ignore[reportPrivateUsage]
        previous = _without_ended(previous)
    started = tracing.current().tracer.start_span(name, previous)
    made = Span(started)
    made._previous = previous  # pyright: ignore[reportPrivateUsage]
    made._offset_ns = time_ns() - perf_counter_ns()  # pyright: ignore[reportPrivateUsage]
    return made, Context({**previous, SPAN: started, OWN_SPAN: made})


def leave(span: Span) -> None:
    """Make current what was current before a span, where it or something inside it is current.

    Elsewhere, as in a finalizer that runs in the middle of something else, nothing changes.
    """
    previous = span._previous  # pyright: ignore[reportPrivateUsage]
    if previous is None:
        return
    own = cast("Optional[Span]", otel_context.get_current().get(OWN_SPAN))
    while own is not None and own is not span:
        outer = own._previous  # pyright: ignore[reportPrivateUsage]
        own = None if outer is None else cast("Optional[Span]", outer.get(OWN_SPAN))
    if own is span:
        # Not detach(token): a token is good for one order and one contextvars.Context only.
        otel_context.attach(previous)


def close(span: Span, end_ns: Optional[int] = None) -> None:
    """End a span, once; never raises.

    Args:
        span: The span.
        end_ns: When it ended, in Unix nanoseconds; now when None.
    """
    try:
        span._once.pop()  # pyright: ignore[reportPrivateUsage]
    except IndexError:
        return
    try:
        ending = span.otel_span
        if end_ns is None:
            end_ns = span._now_ns()  # pyright: ignore[reportPrivateUsage]
        if ending.is_recording():
            if span._wish is not None:  # pyright: ignore[reportPrivateUsage]
                ending.set_status(StatusCode.OK)
            ending.end(end_ns)
        elif span._start_ns:  # pyright: ignore[reportPrivateUsage]
            span._end_ns = end_ns  # pyright: ignore[reportPrivateUsage]
        previous = span._previous  # pyright: ignore[reportPrivateUsage]
        if previous is not None:
            # Contexts of tasks that outlive the span lead through here: keep the way short.
            span._previous = _without_ended(previous)  # pyright: ignore[reportPrivateUsage]
    except Exception:
        faults.report("ending a span")


def _without_ended(context: Context) -> Context:
    """The context with the nearest open span in the place of ended ones of Peekr's."""
    own = cast("Optional[Span]", context.get(OWN_SPAN))
    if own is None or own._once:  # pyright: ignore[reportPrivateUsage]
        return context
    is_current = context.get(SPAN) is own.otel_span
    outer: Context = Context()
    while own is not None and not own._once:  # pyright: ignore[reportPrivateUsage]
        outer = own._previous or Context()  # pyright: ignore[reportPrivateUsage]
        own = cast("Optional[Span]", outer.get(OWN_SPAN))
    made: dict[str, Any] = dict(context)
    for key in (OWN_SPAN, SPAN) if is_current else (OWN_SPAN,):
        made.pop(key, None)
        if key in outer:
            made[key] = outer[key]
    return Context(made)
