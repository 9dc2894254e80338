"""A tracer provider that keeps its spans, for the libraries that take one."""

from __future__ import annotations

import importlib
from typing import Any, Tuple


def provider() -> Tuple[Any, Any]:
    """A global tracer provider, and the exporter that keeps what it finishes."""
    sdk = importlib.import_module("opentelemetry.sdk.trace")
    export = importlib.import_module("opentelemetry.sdk.trace.export")
    memory = importlib.import_module("opentelemetry.sdk.trace.export.in_memory_span_exporter")
    kept = memory.InMemorySpanExporter()
    made = sdk.TracerProvider()
    made.add_span_processor(export.SimpleSpanProcessor(kept))
    importlib.import_module("opentelemetry.trace").set_tracer_provider(made)
    return made, kept
