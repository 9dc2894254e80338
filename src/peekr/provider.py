"""Which tracer provider Peekr works with: the one given, the application's, or its own."""

from __future__ import annotations

import logging
import weakref
from functools import partial
from typing import Any, Callable, Optional, cast

from opentelemetry import trace as otel_trace
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import SpanLimits, TracerProvider

from peekr._version import __version__
from peekr.pipeline.processor import PeekrSpanProcessor

__all__ = ["adopt", "choose", "chosen", "is_disabled", "is_own", "joined", "max_attribute_chars"]

_logger = logging.getLogger("peekr")
# By identity: wrappers of providers are dataclasses at times, which have no hash.
_processors: list[tuple[Callable[[], Any], PeekrSpanProcessor]] = []
# A tracer of its own behind OpenTelemetry's API, which records as before: nothing to warn of.
_OTHER_TRACERS = ("ddtrace",)
_own: Optional[TracerProvider] = None
_chosen: Optional[Callable[[], Any]] = None
_is_said = False


def choose(given: Any = None) -> Any:
    """The provider to use; where the application has none, ours, made global.

    An application's provider is joined, never replaced.

    Raises:
        TypeError: what was given is no provider of the OpenTelemetry SDK.
    """
    global _chosen
    found = _choice(given)
    _chosen = _reference(found)
    return found


def chosen() -> Any:
    """The provider that was chosen last; None before."""
    return None if _chosen is None else _chosen()


def _choice(given: Any) -> Any:
    global _own, _is_said
    if given is not None:
        if isinstance(given, type):
            raise TypeError(f"tracer_provider={given!r} is a class; give an instance of it")
        if not hasattr(given, "add_span_processor"):
            raise TypeError(
                f"tracer_provider={given!r} is no TracerProvider of the OpenTelemetry SDK: "
                "it has no add_span_processor"
            )
        return given
    current = otel_trace.get_tracer_provider()
    if hasattr(current, "add_span_processor"):
        return current
    if _own is None:
        _own = _make()
    if isinstance(current, otel_trace.ProxyTracerProvider):
        otel_trace.set_tracer_provider(_own)
    elif not _is_said and not type(current).__module__.startswith(_OTHER_TRACERS):
        _is_said = True
        _logger.warning(
            "The global tracer provider (%s) takes no span processors, so Peekr records model "
            "calls through a provider of its own; pass tracer_provider=... to choose another.",
            type(current).__qualname__,
        )
    return _own


def joined(provider: Any) -> PeekrSpanProcessor:
    """Peekr's processor on a provider, put there once."""
    for known, processor in _processors:
        if known() is provider:
            return processor
    processor = PeekrSpanProcessor()
    provider.add_span_processor(processor)
    _remember(provider, processor)
    return processor


def adopt(provider: Any, processor: PeekrSpanProcessor) -> None:
    """Know a processor of Peekr's that a provider was made with."""
    _remember(provider, processor)


def is_own(provider: Any) -> bool:
    """Whether Peekr made a provider, because the application has none."""
    return provider is _own


def is_disabled(provider: Any) -> bool:
    """Whether `OTEL_SDK_DISABLED` keeps the provider from making spans."""
    return isinstance(provider.get_tracer("peekr"), otel_trace.NoOpTracer)


def max_attribute_chars(provider: Any) -> Optional[int]:
    """The longest span attribute that the provider keeps whole, in characters; None for any.

    Source: `OTEL_SPAN_ATTRIBUTE_VALUE_LENGTH_LIMIT`, or the limits that a provider was made with.
    """
    limits = getattr(provider, "_span_limits", None) or SpanLimits()
    return cast("Optional[int]", getattr(limits, "max_span_attribute_length", None))


def _make() -> TracerProvider:
    resource = Resource.create(
        {"telemetry.distro.name": "peekr", "telemetry.distro.version": __version__}
    )
    processor = PeekrSpanProcessor()
    # The active processor sees every span before those that are added to the provider later.
    provider = TracerProvider(resource=resource, active_span_processor=processor)
    _remember(provider, processor)
    return provider


def _remember(provider: Any, processor: PeekrSpanProcessor) -> None:
    known = _reference(provider)
    _processors[:] = [entry for entry in _processors if entry[0]() is not None]
    _processors.append((known, processor))


def _reference(provider: Any) -> Callable[[], Any]:
    try:
        return weakref.ref(provider)
    except TypeError:
        return partial(_itself, provider)  # a class with __slots__


def _itself(provider: Any) -> Any:
    return provider
