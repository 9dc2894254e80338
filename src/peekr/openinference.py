"""What OpenInference's readers look for on spans that are no model calls."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export import SpanExporter, SpanExportResult

from peekr.pipeline.amended import amended
from peekr.semconv import otel, own

__all__ = ["OpenInferenceExporter"]

_KIND = "openinference.span.kind"
_CHAIN = "CHAIN"
_CONTENTS = ((own.PEEKR_INPUT, "input"), (own.PEEKR_OUTPUT, "output"))


class OpenInferenceExporter(SpanExporter):
    """Passes spans on to another exporter, with a kind and contents that Phoenix and MLflow show.

    Both understand model calls as they are, by the GenAI conventions. For functions and steps,
    which those conventions do not have, this adds `openinference.span.kind` (`CHAIN`),
    `input.value` and `output.value`. Nothing is taken away, and the spans of others are left as
    they are.
    """

    def __init__(self, exporter: SpanExporter) -> None:
        """Wrap an exporter.

        Args:
            exporter: An OTLP exporter, say.
        """
        if not isinstance(exporter, SpanExporter):  # pyright: ignore[reportUnnecessaryIsInstance]
            raise TypeError(f"{exporter!r} is no OpenTelemetry SpanExporter")
        self.exporter = exporter

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        """Export spans."""
        return self.exporter.export([_translated(span) for span in spans])

    def force_flush(self, timeout_millis: int = 30_000) -> bool:
        """Flush what the other exporter keeps back."""
        return self.exporter.force_flush(timeout_millis)

    def shutdown(self) -> None:
        """Shut the other exporter down."""
        self.exporter.shutdown()


def _translated(span: ReadableSpan) -> ReadableSpan:
    held = span.attributes or {}
    scope = span.instrumentation_scope
    is_ours = scope is not None and scope.name.split(".")[0] == "peekr"
    if not is_ours or otel.GEN_AI_OPERATION_NAME in held or _KIND in held:
        return span
    more: dict[str, Any] = {_KIND: _CHAIN}
    for key, name in _CONTENTS:
        value = held.get(key)
        if isinstance(value, str):
            more[f"{name}.value"] = value
            more[f"{name}.mime_type"] = "application/json"
    return amended(span, attributes={**held, **more})
