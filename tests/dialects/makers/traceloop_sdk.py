"""Traceloop's SDK: a workflow and a task around the calls."""

from __future__ import annotations

import importlib
import os
import sys

import conversation
import otlp_file

os.environ["TRACELOOP_TELEMETRY"] = "FALSE"
memory = importlib.import_module("opentelemetry.sdk.trace.export.in_memory_span_exporter")
kept = memory.InMemorySpanExporter()
sdk = importlib.import_module("traceloop.sdk")
decorators = importlib.import_module("traceloop.sdk.decorators")
instruments = importlib.import_module("traceloop.sdk.instruments").Instruments
sdk.Traceloop.init(
    app_name="trips", disable_batch=True, exporter=kept, instruments={instruments.OPENAI}
)
sdk.Traceloop.set_association_properties({"session_id": "s-1", "user_id": "u-1"})
providers, client = conversation.served()
openai = importlib.import_module("openai")


@decorators.tool(name="get_weather")
def get_weather(city: str) -> str:
    return conversation.WEATHER


@decorators.workflow(name="trip")
def trip(question: str) -> str:
    get_weather("Lisbon")
    return conversation.run(client, openai.NotFoundError)


trip(conversation.QUESTION)
providers.stop()
otlp_file.write(sys.argv[1], kept.get_finished_spans())
