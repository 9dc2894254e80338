"""OpenLIT; its older versions write the events of the conventions' first generation."""

from __future__ import annotations

import importlib
import inspect
import sys

import conversation
import otlp_file
import tracing

provider, kept = tracing.provider()
openlit = importlib.import_module("openlit")
given = inspect.signature(openlit.init).parameters
options = {"tracer": provider.get_tracer("openlit"), "disable_metrics": True}
openlit.init(application_name="trips", **{key: options[key] for key in options if key in given})
providers, client = conversation.served()
openai = importlib.import_module("openai")
with provider.get_tracer("trip").start_as_current_span("trip"):
    conversation.run(client, openai.NotFoundError)
providers.stop()
otlp_file.write(sys.argv[1], kept.get_finished_spans())
