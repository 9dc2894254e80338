"""Real programs: the order of imports, the launcher's variables, the end of the interpreter."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import textwrap
from pathlib import Path
from typing import Any, Dict, List

import pytest

from simulated_providers import SimulatedProviders

INSTRUMENT = 'peekr.instrument(console=False, jsonl_path="traces.jsonl")'
CLIENT = 'client = openai.OpenAI(base_url=URL, api_key="test", max_retries=0)'
CALL = (
    'client.chat.completions.create(model="gpt-4o", messages=[{"role": "user", "content": "hi"}])'
)


# An interpreter that ends while the SDK's stream is open: CPython 3.13.0 crashes in the collection
# of the SDK's generator after everything else has run, with Peekr and without.
CRASHES_AT_EXIT = sys.version_info[:3] == (3, 13, 0)


class Program:
    """Runs programs in a folder of their own, against the simulated providers."""

    def __init__(self, folder: Path, url: str) -> None:
        self._folder = folder
        self._url = url

    def run(self, *lines: str, code: int = 0, environment: Any = None) -> Any:
        source = "\n".join([f"URL = {self._url!r}", *(textwrap.dedent(line) for line in lines)])
        kept = {k: v for k, v in os.environ.items() if not k.startswith(("OTEL_", "PEEKR_"))}
        done = subprocess.run(
            [sys.executable, "-W", "error::UserWarning", "-c", source],
            cwd=self._folder,
            env={**kept, "PEEKR_RAISE_FAULTS": "1", **(environment or {})},
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        crashed = CRASHES_AT_EXIT and done.returncode == -signal.SIGSEGV
        assert done.returncode == code or crashed, done.stderr
        return done

    @property
    def records(self) -> List[Dict[str, Any]]:
        file = self._folder / "traces.jsonl"
        if not file.exists():
            return []
        return [json.loads(line) for line in file.read_text("utf-8").splitlines()]


@pytest.fixture
def program(tmp_path: Path, simulated: SimulatedProviders) -> Program:
    return Program(tmp_path, simulated.openai_url)


ORDERS = {
    "instrument, import, client": ["import peekr", INSTRUMENT, "import openai", CLIENT, CALL],
    "import, client, instrument": ["import openai", "import peekr", CLIENT, INSTRUMENT, CALL],
    "resources used before": [
        "import openai",
        "import peekr",
        CLIENT,
        CALL,
        "raw = client.chat.completions.with_raw_response",
        INSTRUMENT,
        CALL.replace("client.chat.completions", "raw"),
    ],
    "instrument twice": [
        "import peekr",
        INSTRUMENT,
        INSTRUMENT,
        "import openai",
        INSTRUMENT,
        CLIENT,
        CALL,
    ],
    "uninstrument before import": [
        "import peekr",
        INSTRUMENT,
        "peekr.uninstrument()",
        "import openai",
        CLIENT,
        CALL,
        INSTRUMENT,
        CALL,
    ],
}


@pytest.mark.parametrize("order", ORDERS)
def test_call_is_recorded_once_in_any_order(order: str, program: Program):
    done = program.run(*ORDERS[order])
    assert not done.stderr
    (record,) = program.records
    assert record["name"] == "openai.chat"
    assert record["attributes"]["output"] == "This is a simulated answer to: hi"


STREAM = CALL.replace("(model", "(stream=True, model")


@pytest.mark.parametrize("ending", ["pass", "raise SystemExit(0)"])
def test_stream_open_at_the_end_of_the_interpreter_is_stored(ending: str, program: Program):
    program.run(
        "import openai, peekr",
        INSTRUMENT,
        CLIENT,
        f"stream = {STREAM}",
        "for _ in range(4): next(stream)",
        "keep = [stream]; keep.append(keep)",
        ending,
    )
    (record,) = program.records
    assert record["status"] == "ok"
    assert record["attributes"]["peekr.stream.abandoned"] is True
    assert record["attributes"]["output"] == "This is a"


def test_stream_open_at_an_unhandled_exception_is_stored(program: Program):
    done = program.run(
        "import openai, peekr",
        INSTRUMENT,
        CLIENT,
        f"stream = {STREAM}",
        "next(stream); next(stream)",
        "raise ValueError('mine')",
        code=1,
    )
    assert "ValueError: mine" in done.stderr
    assert "peekr" not in done.stderr
    (record,) = program.records
    assert record["attributes"]["output"] == "This"


def test_async_stream_open_when_its_loop_ends_is_stored(program: Program):
    done = program.run(
        f"""
        import asyncio, openai, peekr
        {INSTRUMENT}

        async def main():
            client = openai.AsyncOpenAI(base_url=URL, api_key="test", max_retries=0)
            stream = await {STREAM}
            async for chunk in stream:
                if chunk.choices[0].delta.content == " is":
                    break

        asyncio.run(main())
        """
    )
    assert "Failed to detach" not in done.stderr
    (record,) = program.records
    assert record["attributes"]["output"] == "This is"
    assert record["attributes"]["peekr.stream.abandoned"] is True


def test_disabled_sdk_makes_nothing_and_calls_work(program: Program, tmp_path: Path):
    done = program.run(
        "import openai, peekr",
        INSTRUMENT,
        CLIENT,
        f"print({CALL}.choices[0].message.content)",
        f"print(len(list({STREAM})))",
        environment={"OTEL_SDK_DISABLED": "true"},
    )
    assert done.stdout.split("\n")[:2] == ["This is a simulated answer to: hi", "9"]
    assert not done.stderr
    assert not list(tmp_path.iterdir())


def test_sampler_that_is_off_makes_no_records_and_calls_work(program: Program):
    done = program.run(
        "import openai, peekr",
        INSTRUMENT,
        CLIENT,
        f"print({CALL}.choices[0].message.content)",
        f"print(len(list({STREAM})))",
        environment={"OTEL_TRACES_SAMPLER": "always_off"},
    )
    assert done.stdout.split("\n")[:2] == ["This is a simulated answer to: hi", "9"]
    assert not program.records


RESOURCE = """
from opentelemetry import trace
print(dict(trace.get_tracer_provider().resource.attributes))
"""


def test_resource_says_the_service_and_the_distribution(program: Program):
    done = program.run(
        "import peekr",
        INSTRUMENT,
        RESOURCE,
        environment={
            "OTEL_SERVICE_NAME": "shop",
            "OTEL_RESOURCE_ATTRIBUTES": "deployment.environment.name=test,service.name=other",
        },
    )
    said = eval(done.stdout)
    assert said["service.name"] == "shop"
    assert said["deployment.environment.name"] == "test"
    assert said["telemetry.distro.name"] == "peekr"
    assert said["telemetry.distro.version"]
    assert said["telemetry.sdk.language"] == "python"


JOIN = """
import openai, peekr
from opentelemetry import trace
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import ConsoleSpanExporter, SimpleSpanProcessor
provider = TracerProvider()
provider.add_span_processor(
    SimpleSpanProcessor(ConsoleSpanExporter(formatter=lambda span: span.name + "\\n"))
)
trace.set_tracer_provider(provider)
"""


def test_applications_provider_is_joined_without_a_word(program: Program):
    done = program.run(
        JOIN,
        INSTRUMENT,
        CLIENT,
        CALL,
        "assert trace.get_tracer_provider() is provider",
        "peekr.uninstrument()",
        CALL,
        "trace.get_tracer('mine').start_span('mine').end()",
    )
    assert done.stdout.split("\n")[:-1] == ["chat gpt-4o", "mine"]
    assert not done.stderr
    (record,) = program.records
    assert record["name"] == "openai.chat"


def test_provider_that_was_set_later_does_not_break_ours(program: Program):
    """OpenTelemetry lets the first provider stay; the application's own is told so, not us."""
    done = program.run("import peekr", INSTRUMENT, JOIN, CLIENT, CALL)
    assert "Overriding of current TracerProvider is not allowed" in done.stderr
    (record,) = program.records
    assert record["name"] == "openai.chat"


LONG = """
messages = [
    {"role": "system", "content": "s" * 5000},
    {"role": "user", "content": [{"type": "text", "text": "u" * 5000}] * 30},
]
tools = [
    {"type": "function", "function": {"name": f"f{n}", "description": "d" * 500}}
    for n in range(20)
]
client.chat.completions.create(
    model="gpt-4o", messages=messages, tools=tools, metadata={"m": "x" * 3000}
)
"""


@pytest.mark.parametrize(
    ("variable", "limit"),
    [("OTEL_SPAN_ATTRIBUTE_VALUE_LENGTH_LIMIT", 200), ("OTEL_ATTRIBUTE_VALUE_LENGTH_LIMIT", 2000)],
)
def test_structured_attributes_stay_json_under_a_limit(variable: str, limit: int, program: Program):
    done = program.run(
        JOIN.replace("span.name", "span.to_json(indent=None)"),
        INSTRUMENT,
        CLIENT,
        LONG,
        environment={variable: str(limit)},
    )
    attributes = json.loads(done.stdout)["attributes"]
    (record,) = program.records
    names = ("gen_ai.input.messages", "gen_ai.tool.definitions", "peekr.request.parameters")
    for name in names:
        assert len(attributes[name]) <= limit
        assert json.loads(attributes[name])
        assert "cut" in attributes[name]
    assert isinstance(record["attributes"]["input"], list)
    assert "cut" in json.dumps(record["attributes"]["input"])
    assert record["attributes"]["model"] == "gpt-4o"


def test_stream_usage_is_asked_for_by_the_environment(
    program: Program, simulated: SimulatedProviders
):
    program.run(
        "import openai, peekr",
        INSTRUMENT,
        CLIENT,
        f"assert all(chunk.choices for chunk in {STREAM})",
        environment={"PEEKR_OPENAI_STREAM_USAGE": "true"},
    )
    (record,) = program.records
    assert record["attributes"]["tokens_output"]


def test_importing_and_instrumenting_load_no_sdk(program: Program):
    program.run(
        "import sys, peekr",
        INSTRUMENT,
        "assert 'openai' not in sys.modules and 'httpx' not in sys.modules",
        "assert 'httpx2' not in sys.modules and 'pydantic' not in sys.modules",
    )
