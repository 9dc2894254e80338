"""Logfire's instrumentation of the openai SDK."""

from __future__ import annotations

import importlib
import sys

import conversation
import otlp_file

export = importlib.import_module("opentelemetry.sdk.trace.export")
memory = importlib.import_module("opentelemetry.sdk.trace.export.in_memory_span_exporter")
kept = memory.InMemorySpanExporter()
logfire = importlib.import_module("logfire")
logfire.configure(
    send_to_logfire=False,
    console=False,
    additional_span_processors=[export.SimpleSpanProcessor(kept)],
)
logfire.instrument_openai()
providers, client = conversation.served()
openai = importlib.import_module("openai")
with logfire.span("trip to {city}", city="Lisbon"):
    conversation.run(client, openai.NotFoundError)
providers.stop()
otlp_file.write(sys.argv[1], kept.get_finished_spans())
