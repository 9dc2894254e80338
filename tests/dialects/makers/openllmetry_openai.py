"""OpenLLMetry's instrumentation of the openai SDK; run with an old version and with a new one."""

from __future__ import annotations

import importlib
import sys

import conversation
import otlp_file
import tracing

provider, kept = tracing.provider()
instrumentor = importlib.import_module("opentelemetry.instrumentation.openai").OpenAIInstrumentor()
instrumentor.instrument(tracer_provider=provider)
providers, client = conversation.served()
openai = importlib.import_module("openai")
with provider.get_tracer("trip").start_as_current_span("trip"):
    conversation.run(client, openai.NotFoundError)
providers.stop()
otlp_file.write(sys.argv[1], kept.get_finished_spans())
