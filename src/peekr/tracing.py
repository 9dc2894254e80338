"""The tracer of the application's own spans: the installation's, else the global provider's."""

from __future__ import annotations

from typing import Any, NamedTuple, Optional

from opentelemetry import context as otel_context
from opentelemetry import trace as otel_trace
from opentelemetry.context import Context

from peekr._version import __version__
from peekr.semconv.otel import SCHEMA_URL

__all__ = ["OWN_SPAN", "SCHEMA_URL", "SPAN", "Tracing", "current", "follow"]

OWN_SPAN = otel_context.create_key("peekr-span")
"""Where a context holds the innermost span that was started through Peekr, as Peekr's view."""

SPAN: str = next(iter(otel_trace.set_span_in_context(otel_trace.INVALID_SPAN, Context())))
"""Where OpenTelemetry's contexts hold the current span: its name is not public, its place is."""


class Tracing(NamedTuple):
    """What the application's own spans are made with.

    Attributes:
        tracer: Makes them; its scope is `peekr`.
        capture_content: False keeps inputs, outputs and messages of errors off them.
        max_chars: The provider's limit for one attribute's length in characters, if any.
    """

    tracer: otel_trace.Tracer
    capture_content: bool = True
    max_chars: Optional[int] = None


_installed: Optional[Tracing] = None
_provider: Any = None
_global: Optional[Tracing] = None


def follow(provider: Any, *, capture_content: bool = True, max_chars: Optional[int] = None) -> None:
    """Make own spans through this provider from now on; None goes back to the global one."""
    global _installed
    if provider is None:
        _installed = None
    else:
        _installed = Tracing(_tracer(provider), capture_content, max_chars)


def current() -> Tracing:
    """What to make own spans with now; without a provider anywhere they are no-ops."""
    return _installed or _from_global()


def _from_global() -> Tracing:
    global _provider, _global
    provider = otel_trace.get_tracer_provider()
    if _global is None or provider is not _provider:
        _global, _provider = Tracing(_tracer(provider)), provider
    return _global


def _tracer(provider: Any) -> otel_trace.Tracer:
    return provider.get_tracer("peekr", __version__, schema_url=SCHEMA_URL)
