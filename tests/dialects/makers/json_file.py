"""OpenTelemetry's own exporter of OTLP JSON files, behind OpenInference's instrumentation."""

from __future__ import annotations

import importlib
import sys

import conversation

sdk = importlib.import_module("opentelemetry.sdk.trace")
export = importlib.import_module("opentelemetry.sdk.trace.export")
file = importlib.import_module("opentelemetry.exporter.otlp.json.file.trace_exporter")
provider = sdk.TracerProvider()
provider.add_span_processor(export.BatchSpanProcessor(file.FileSpanExporter(path=sys.argv[1])))
instrumentor = importlib.import_module("openinference.instrumentation.openai").OpenAIInstrumentor()
instrumentor.instrument(tracer_provider=provider)
providers, client = conversation.served()
openai = importlib.import_module("openai")
session = importlib.import_module("openinference.instrumentation").using_attributes(
    session_id="s-1", user_id="u-1"
)
with provider.get_tracer("trip").start_as_current_span("trip"), session:
    conversation.run(client, openai.NotFoundError)
providers.stop()
provider.shutdown()
