"""OpenInference's instrumentation of the openai SDK."""

from __future__ import annotations

import importlib
import sys

import conversation
import otlp_file
import tracing

provider, kept = tracing.provider()
openinference = importlib.import_module("openinference.instrumentation")
instrumentor = importlib.import_module("openinference.instrumentation.openai").OpenAIInstrumentor()
instrumentor.instrument(tracer_provider=provider)
providers, client = conversation.served()
openai = importlib.import_module("openai")
session = openinference.using_attributes(session_id="s-1", user_id="u-1")
with provider.get_tracer("trip").start_as_current_span("trip"), session:
    conversation.run(client, openai.NotFoundError)
providers.stop()
otlp_file.write(sys.argv[1], kept.get_finished_spans())
