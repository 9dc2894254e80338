"""The `anthropic` package's own tracing (since 1.15): off for what is recorded here.

A recorded call has one span, Peekr's. What Peekr does not record keeps the SDK's span. Peekr gives
the provider of the model nothing of a trace: neither for the calls it records, nor for those that
the SDK traces only because Peekr is the application's tracer provider. A user who wants the
provider to have the trace context says so to the SDK, with `open_telemetry={"propagation": True}`
or `ANTHROPIC_OPEN_TELEMETRY_PROPAGATION=true`, and then the context is that of the one span.

Source: `_tracing.py` and `_base_client.py` of anthropic 1.15 to 2.12. What a version does not have
is left alone.
"""

from __future__ import annotations

import functools
import os
from collections.abc import Mapping
from typing import Any, Callable, Optional, cast

from opentelemetry import propagate
from opentelemetry import trace as otel_trace

from peekr.instrumentation.anthropic.client import tracing_settings
from peekr.instrumentation.contract import field
from peekr.instrumentation.hooks import Replacement
from peekr.instrumentation.propagation import outside_of_call
from peekr.instrumentation.runtime import Runtime

__all__ = ["REPLACEMENTS", "silence"]

_CLIENT = "anthropic._base_client"
_PROPAGATION_VARIABLE = "ANTHROPIC_OPEN_TELEMETRY_PROPAGATION"
_RESOLVED_TRACES = frozenset(("enabled", "content_mode", "max_content_bytes"))

_Watching = Callable[[], Optional[Runtime]]


class _Asked(int):
    """True, where a user has written it: the SDK's default of `propagation` is True as well."""

    def __repr__(self) -> str:
        return "True"


_ASKED = _Asked(True)


def silence(client: Any, options: Any) -> None:
    """Make a request of which the SDK makes no span, and so sends no trace context.

    Args:
        client: The client that sends it.
        options: The request's options, made for this one request. One that has no span name is
            one that no method of the SDK made, and gets no span.
    """
    if getattr(options, "span_name", None) is None:
        return
    options.span_name = None
    settings = tracing_settings(client)
    propagation = settings.get("propagation")
    if propagation and _is_asked(propagation) and field(settings.get("traces"), "enabled"):
        carrier: dict[str, str] = {}
        propagate.inject(carrier, outside_of_call())
        headers: Any = options.headers
        given = cast("Mapping[str, Any]", headers if isinstance(headers, Mapping) else {})
        options.headers = {**given, **carrier}


def _is_asked(propagation: Any) -> bool:
    return propagation is _ASKED or os.environ.get(_PROPAGATION_VARIABLE, "").lower() == "true"


def _marking(watching: _Watching, original: Callable[..., Any]) -> Callable[..., Any]:
    """Tell `propagation: True` of a user from that of the SDK, also in copies of the client."""

    @functools.wraps(original)
    def set_open_telemetry(self: Any, open_telemetry: Any, *args: Any, **kwargs: Any) -> Any:
        if watching() is not None and isinstance(open_telemetry, dict):
            option = cast("dict[str, Any]", open_telemetry)
            if option.get("propagation") is True and not _is_resolved(option):
                return original(self, {**option, "propagation": _ASKED}, *args, **kwargs)
        return original(self, open_telemetry, *args, **kwargs)

    return set_open_telemetry


def _is_resolved(option: Mapping[str, Any]) -> bool:
    """Whether an option is what another client resolved its own to, defaults filled in."""
    traces: Any = option.get("traces")
    return isinstance(traces, Mapping) and _RESOLVED_TRACES.issubset(cast("Any", traces))


def _withholding(watching: _Watching, original: Callable[..., Any]) -> Callable[..., Any]:
    """Keep a span to ourselves that the SDK makes only because there is a provider of Peekr's."""

    @functools.wraps(original)
    def api_call(*args: Any, **kwargs: Any) -> Any:
        propagation = kwargs.get("propagation")
        if (
            propagation
            and watching() is not None
            and _is_peekrs(otel_trace.get_tracer_provider())
            and not _is_asked(propagation)
        ):
            kwargs["propagation"] = False
        return original(*args, **kwargs)

    return api_call


def _is_peekrs(provider: Any) -> bool:
    resource = getattr(provider, "resource", None)
    attributes: Mapping[str, Any] = getattr(resource, "attributes", {})
    return attributes.get("telemetry.distro.name") == "peekr"


REPLACEMENTS = (
    Replacement(_CLIENT, "BaseClient._set_open_telemetry", _marking),
    Replacement(_CLIENT, "ApiCall", _withholding),
)
