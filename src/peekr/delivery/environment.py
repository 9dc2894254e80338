"""The OTLP exporter that OpenTelemetry's variables ask for, where Peekr made the provider."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterable, Mapping
from typing import Any, Callable, Optional
from urllib.parse import urlsplit

from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export import SpanExporter

from peekr.delivery.batches import BoundedBatchProcessor

__all__ = ["EnvironmentProcessor", "asked_for", "is_otlp"]

_ENDPOINTS = ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "OTEL_EXPORTER_OTLP_ENDPOINT")
_PROTOCOLS = ("OTEL_EXPORTER_OTLP_TRACES_PROTOCOL", "OTEL_EXPORTER_OTLP_PROTOCOL")
_NAMES = {
    "otlp": "",
    "otlp_proto_http": "http/protobuf",
    "otlp_proto_grpc": "grpc",
}
_GRPC_PORT = 4317

_logger = logging.getLogger("peekr.exporters")


def asked_for(environ: Mapping[str, str] = os.environ) -> Optional[SpanExporter]:
    """An OTLP exporter, if `OTEL_TRACES_EXPORTER` or, where that is not set, an endpoint asks.

    The protocol is that of `OTEL_EXPORTER_OTLP_PROTOCOL`, else gRPC for port 4317 and HTTP for
    others. Everything else the exporter reads from its variables itself. Never raises: what is
    wrong is one line.
    """
    listed = environ.get("OTEL_TRACES_EXPORTER", "").strip()
    endpoint = _first(environ, _ENDPOINTS)
    names = [name.strip() for name in listed.split(",")] if listed else ["otlp"]
    wanted = [name for name in names if name in _NAMES]
    if not wanted or not (listed or endpoint):
        return None
    try:
        protocol = _NAMES[wanted[0]] or _first(environ, _PROTOCOLS)
        if not protocol:
            protocol = "grpc" if urlsplit(endpoint).port == _GRPC_PORT else "http/protobuf"
        return _exporter(protocol)
    except Exception as error:  # a certificate that is not there, a URL that is none
        _logger.warning("OTLP export is off: %s", error or type(error).__name__)
        return None


def is_otlp(thing: Any) -> bool:
    """Whether something is OpenTelemetry's OTLP exporter, or a processor that has one."""
    for held in (thing, *(getattr(thing, name, None) for name in ("span_exporter", "exporter"))):
        if type(held).__module__.startswith("opentelemetry.exporter.otlp"):
            return True
    return False


class EnvironmentProcessor(BoundedBatchProcessor):
    """Exports what Peekr hands on, unless the application does so itself.

    Attributes:
        is_silent: Whether the application has an OTLP exporter, which reads the same variables.
    """

    def __init__(self, exporter: SpanExporter, others: Callable[[], Iterable[Any]]) -> None:
        """Begin.

        Args:
            exporter: The exporter.
            others: The application's processors and exporters; the same object while none came or
                went.
        """
        super().__init__(exporter)
        self.is_silent = False
        self._others = others
        self._seen: Any = None

    def on_end(self, span: ReadableSpan) -> None:
        """Queue a finished span."""
        others = self._others()
        if others is not self._seen:
            self._seen = others
            self.is_silent = any(map(is_otlp, others))
        if not self.is_silent:
            super().on_end(span)


def _first(environ: Mapping[str, str], names: Iterable[str]) -> str:
    return next((value for name in names if (value := environ.get(name, "").strip())), "")


def _exporter(protocol: str) -> SpanExporter:
    if protocol == "grpc":
        from opentelemetry.exporter.otlp.proto.grpc.trace_exporter import OTLPSpanExporter

        return OTLPSpanExporter()
    if protocol == "http/protobuf":
        from opentelemetry.exporter.otlp.proto.http import trace_exporter as http

        return http.OTLPSpanExporter()
    raise ValueError(f"{protocol!r} is neither 'grpc' nor 'http/protobuf'")
