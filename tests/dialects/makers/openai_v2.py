"""OpenTelemetry's own instrumentation of the openai SDK, spans and log records."""

from __future__ import annotations

import importlib
import os
import sys

import conversation
import otlp_file
import tracing

os.environ["OTEL_INSTRUMENTATION_GENAI_CAPTURE_MESSAGE_CONTENT"] = sys.argv[2]
if len(sys.argv) > 3:
    os.environ["OTEL_SEMCONV_STABILITY_OPT_IN"] = sys.argv[3]
provider, kept = tracing.provider()
logs = importlib.import_module("opentelemetry.sdk._logs")
export = importlib.import_module("opentelemetry.sdk._logs.export")
memory = getattr(export, "InMemoryLogRecordExporter", None) or export.InMemoryLogExporter
kept_logs = memory()
log_provider = logs.LoggerProvider()
log_provider.add_log_record_processor(export.SimpleLogRecordProcessor(kept_logs))
importlib.import_module("opentelemetry._logs").set_logger_provider(log_provider)
options = {"tracer_provider": provider, "logger_provider": log_provider}
try:
    events = importlib.import_module("opentelemetry.sdk._events")
    options["event_logger_provider"] = events.EventLoggerProvider(log_provider)
except ImportError:
    pass  # later versions write log records
module = importlib.import_module("opentelemetry.instrumentation.openai_v2")
module.OpenAIInstrumentor().instrument(**options)
providers, client = conversation.served()
openai = importlib.import_module("openai")
with provider.get_tracer("trip").start_as_current_span("trip"):
    conversation.run(client, openai.NotFoundError)
providers.stop()
otlp_file.write(sys.argv[1], kept.get_finished_spans(), kept_logs.get_finished_logs())
