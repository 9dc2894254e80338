"""The trace context stays at home: nothing of it goes to the provider of a model.

Instrumentations of HTTP clients put `traceparent` and baggage on every request, so also on those
that an SDK sends for a model call. While Peekr watches, the global propagator gives nothing inside
a model call, and is what it was everywhere else. Where the current span is that of the call, and
not of an HTTP request below it, it gives the context all the same: other instrumentations of the
same SDK take it there to carry it on inside the process, to where a stream ends.
"""

from __future__ import annotations

from typing import Any, Optional

from opentelemetry import context as otel_context
from opentelemetry import propagate
from opentelemetry import trace as otel_trace
from opentelemetry.context import Context
from opentelemetry.propagators.textmap import default_setter

from peekr.instrumentation.proxy import ObjectProxy
from peekr.instrumentation.runtime import ACTIVE_KEY
from peekr.semconv import otel

__all__ = ["outside_of_call", "release", "withhold"]

_OWN = "peekr"
_LLM_ATTRIBUTES = (otel.GEN_AI_OPERATION_NAME, otel.GEN_AI_REQUEST_MODEL, "openinference.span.kind")


class _Withholding(ObjectProxy):
    """The application's propagator in all respects, but silent inside a model call."""

    def inject(
        self, carrier: Any, context: Optional[Context] = None, setter: Any = default_setter
    ) -> None:
        current = otel_context.get_current() if context is None else context
        if current.get(ACTIVE_KEY) is None or _is_carried_on(carrier, current):
            self.__wrapped__.inject(carrier, context, setter)


_ours: Any = None


def withhold() -> None:
    """Begin, or go on where the application has set another propagator; cheap where it has not."""
    global _ours
    present = propagate.get_global_textmap()
    if present is not _ours:
        _ours = _Withholding(present)
        propagate.set_global_textmap(_ours)


def release() -> None:
    """Put the application's propagator back, unless it has set another."""
    global _ours
    if _ours is not None and propagate.get_global_textmap() is _ours:
        propagate.set_global_textmap(_ours.__wrapped__)
    _ours = None


def outside_of_call() -> Context:
    """The current context for those who are to get the trace context inside a model call too."""
    return otel_context.set_value(ACTIVE_KEY, None)


def _is_carried_on(carrier: Any, context: Context) -> bool:
    """Whether another library takes the context at a model call, to carry it on in the process."""
    span: Any = otel_trace.get_current_span(context)
    attributes = getattr(span, "attributes", None)
    if not attributes or not any(name in attributes for name in _LLM_ATTRIBUTES):
        return False  # an HTTP request below the call
    scope = getattr(getattr(span, "instrumentation_scope", None), "name", _OWN)
    # At Peekr's own span it may be a request's headers, by an instrumentation that makes no spans.
    return not scope.startswith(_OWN) or (type(carrier) is dict and not carrier)
