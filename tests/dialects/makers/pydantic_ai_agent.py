"""An agent of pydantic-ai, which makes the calls itself; an old version and a new one."""

from __future__ import annotations

import importlib
import inspect
import json
import sys
from typing import Any, Dict

import conversation
import otlp_file
import tracing

provider, kept = tracing.provider()
providers, client = conversation.served()
openai = importlib.import_module("openai")
ai = importlib.import_module("pydantic_ai")
models = importlib.import_module("pydantic_ai.models.openai")
model_class = getattr(models, "OpenAIChatModel", None) or models.OpenAIModel
via = importlib.import_module("pydantic_ai.providers.openai").OpenAIProvider(
    openai_client=openai.AsyncOpenAI(
        base_url=providers.openai_url, api_key="simulated", max_retries=0
    )
)
settings_class = (
    getattr(ai, "InstrumentationSettings", None)
    or importlib.import_module("pydantic_ai.models.instrumented").InstrumentationSettings
)
options: Dict[str, Any] = {"tracer_provider": provider}
if len(sys.argv) > 2:
    given = json.loads(sys.argv[2])
    options.update(
        {k: v for k, v in given.items() if k in inspect.signature(settings_class).parameters}
    )
settings = settings_class(**options)


def agent(name: str) -> Any:
    kind: Dict[str, Any] = {}
    if "instrument" in inspect.signature(ai.Agent).parameters:
        kind["instrument"] = settings
    else:
        ai.Agent.instrument_all(settings)
    return ai.Agent(
        model_class(name, provider=via),
        name="walker",
        system_prompt=conversation.SYSTEM,
        model_settings={"temperature": 0.2, "max_tokens": 200},
        **kind,
    )


walker = agent(conversation.MODEL)


def get_weather(city: str) -> str:
    """The weather of a city today."""
    return conversation.WEATHER


walker.tool_plain(get_weather)
walker.run_sync(conversation.QUESTION)
try:
    agent("no-such-model").run_sync(conversation.QUESTION)
except Exception:
    pass
providers.stop()
otlp_file.write(sys.argv[1], kept.get_finished_spans())
