"""The trace context stays at home: nothing of it goes to the provider of a model.

Instrumentations of HTTP clients put `traceparent` and baggage on every request, so also on those
that an SDK sends for a model call. While Peekr watches, the global propagator gives nothing inside
a model call, and is what it was everywhere else.
"""

from __future__ import annotations

from typing import Any, Optional

from opentelemetry import context as otel_context
from opentelemetry import propagate
from opentelemetry.context import Context
from opentelemetry.propagators.textmap import TextMapPropagator, default_setter

from peekr.instrumentation.runtime import ACTIVE_KEY

__all__ = ["outside_of_call", "release", "withhold"]


class _Withholding(TextMapPropagator):
    """The application's propagator, silent inside a model call."""

    def __init__(self, inner: TextMapPropagator) -> None:
        self.inner = inner

    def extract(
        self, carrier: Any, context: Optional[Context] = None, *args: Any, **kw: Any
    ) -> Any:
        return self.inner.extract(carrier, context, *args, **kw)

    def inject(
        self, carrier: Any, context: Optional[Context] = None, setter: Any = default_setter
    ) -> None:
        current = otel_context.get_current() if context is None else context
        if current.get(ACTIVE_KEY) is None:
            self.inner.inject(carrier, context, setter)

    @property
    def fields(self) -> set[str]:
        return self.inner.fields

    def __getattr__(self, name: str) -> Any:
        return getattr(self.inner, name)


_ours: Optional[_Withholding] = None


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
        propagate.set_global_textmap(_ours.inner)
    _ours = None


def outside_of_call() -> Context:
    """The current context for those who are to get the trace context inside a model call too."""
    return otel_context.set_value(ACTIVE_KEY, None)
