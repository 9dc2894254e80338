"""What hooks are and what they work with: names and values alone, cheap to load.

Everything that a call needs beyond that, its driver and the extraction of its provider, is loaded
when the first call is made.
"""

from __future__ import annotations

import weakref
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Callable, NamedTuple, Optional

from opentelemetry import context as otel_context

if TYPE_CHECKING:
    from opentelemetry import trace as otel_trace

    from peekr.instrumentation.call import Call
    from peekr.instrumentation.contract import Fault, Response
    from peekr.instrumentation.details import OperationDetails
    from peekr.instrumentation.gate import Gate
    from peekr.instrumentation.metrics import CallMetrics
    from peekr.pricing.book import PriceBook

    Admission = Callable[[Call], None]
    """May refuse a call: what it raises is raised to the caller, and nothing is sent."""
    Observer = Callable[[Call, Optional[Response], Optional[Fault]], None]
    """Is told of a call's end, sampled or not: what came back, and what went wrong."""

__all__ = [
    "ACTIVE_KEY",
    "SUPPRESS_KEY",
    "Hook",
    "Runtime",
    "is_suppressed",
    "open_streams",
]

ACTIVE_KEY = otel_context.create_key("peekr-model-call")
SUPPRESS_KEY = "suppress_instrumentation"
"""The key that `opentelemetry.instrumentation.utils.suppress_instrumentation()` sets."""


class Runtime(NamedTuple):
    """What an active instrumentor works with.

    Attributes:
        tracer: Makes the spans.
        capture_content: False keeps prompts, outputs and tool arguments off the spans.
        max_chars: The provider's limit for one attribute's length in characters, if any.
        options: Options of one provider's instrumentor, by name.
        admissions: Run on the caller's thread before a call is sent, with its span current; the
            first that raises stops the call, whose span ends with that error.
        observers: Run on the thread that ends a call, right before its span ends.
        prices: Says what a call costs; None where nobody wants to know.
        metrics: Observes as well, calls that begin while there is a MeterProvider.
        details: Emits an event of each call, where that was asked for.
        gate: Looks at what calls ask and answer, and withholds it; None where nobody does.
    """

    tracer: otel_trace.Tracer
    capture_content: bool
    max_chars: Optional[int]
    options: Mapping[str, Any]
    admissions: tuple[Admission, ...] = ()
    observers: tuple[Observer, ...] = ()
    prices: Optional[PriceBook] = None
    metrics: Optional[CallMetrics] = None
    gate: Optional[Gate] = None
    details: Optional[OperationDetails] = None


class Hook(NamedTuple):
    """One public method of an SDK, and how its calls are read.

    Attributes:
        module: The module that defines the class, by its full name.
        target: `Class.method`.
        record: The record's name, `openai.chat`.
        provider: `gen_ai.provider.name` unless the request says another.
        operation: `gen_ai.operation.name` unless the request says another.
        extractor: Reads requests, answers and chunks: where to find it, as `module:name`, for it is
            loaded at the first call.
        is_async: The method is awaited. A column of the table because
            `inspect.iscoroutinefunction` is False for some of the SDKs' async methods.
        deliver: Takes the finished or the streamed result to the caller, likewise by its name; see
            `stream.deliver`. For a method that is awaited it may be a coroutine function.
        rewrite: Changes the keyword arguments where the user opted in to that, by its name; returns
            the new ones and a predicate for chunks to hide from the caller, or None to change
            nothing. It is given the runtime and the keyword arguments.
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
    extractor: str
    is_async: bool
    deliver: str
    rewrite: Optional[str] = None
    choose: Optional[Callable[[Any, tuple[Any, ...], Mapping[str, Any]], Optional[Hook]]] = None
    body: Optional[Callable[[tuple[Any, ...], Mapping[str, Any]], dict[str, Any]]] = None
    hush: Optional[Callable[[Any, tuple[Any, ...], Mapping[str, Any]], None]] = None
    unless: Optional[str] = None


open_streams: weakref.WeakSet[Call] = weakref.WeakSet()
"""Calls whose answer is still coming."""


def is_suppressed() -> bool:
    """Whether the application has turned instrumentation off for what runs here."""
    return bool(otel_context.get_current().get(SUPPRESS_KEY))
