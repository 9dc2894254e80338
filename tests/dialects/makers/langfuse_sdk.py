"""Langfuse's SDK and its drop-in for the openai SDK."""

from __future__ import annotations

import importlib
import os
import sys

import conversation
import otlp_file

os.environ.update(
    LANGFUSE_PUBLIC_KEY="pk-simulated",
    LANGFUSE_SECRET_KEY="sk-simulated",
    LANGFUSE_HOST="http://127.0.0.1:9",
    LANGFUSE_TRACING_ENVIRONMENT="samples",
)
sdk = importlib.import_module("opentelemetry.sdk.trace")
export = importlib.import_module("opentelemetry.sdk.trace.export")
memory = importlib.import_module("opentelemetry.sdk.trace.export.in_memory_span_exporter")
kept = memory.InMemorySpanExporter()
provider = sdk.TracerProvider()
provider.add_span_processor(export.SimpleSpanProcessor(kept))
langfuse = importlib.import_module("langfuse")
main = langfuse.Langfuse(tracer_provider=provider)
providers, _ = conversation.served()
openai = importlib.import_module("langfuse.openai").openai
client = openai.OpenAI(base_url=providers.openai_url, api_key="simulated", max_retries=0)


@langfuse.observe(as_type="tool")
def get_weather(city: str) -> str:
    return conversation.WEATHER


@langfuse.observe(name="trip")
def trip(question: str) -> str:
    get_weather("Lisbon")
    return conversation.run(client, openai.NotFoundError)


with langfuse.propagate_attributes(session_id="s-1", user_id="u-1", tags=["walks"]):
    trip(conversation.QUESTION)
providers.stop()
otlp_file.write(sys.argv[1], kept.get_finished_spans())
os._exit(0)
