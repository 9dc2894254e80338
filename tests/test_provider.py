"""Which tracer provider Peekr works with, in real programs."""

from __future__ import annotations

import dataclasses
import gc
import json
import os
import subprocess
import sys
import weakref
from pathlib import Path
from typing import Any, Dict, List

import pytest
from opentelemetry.sdk.trace import SpanLimits, TracerProvider

import peekr
from peekr import provider as peekr_provider

from .conftest import Telemetry

PRELUDE = """
import json, logging, sys, warnings
import peekr
from opentelemetry import trace
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

warnings.simplefilter("error")

def work(name, tracer=None):
    with (tracer or trace.get_tracer("t")).start_as_current_span(name):
        pass

def instrument(**arguments):
    peekr.instrument(console=False, **arguments)

class Foreign(trace.TracerProvider):
    "A provider of another make: it has the API's methods and no more."
    def get_tracer(self, *args, **kwargs):
        return trace.NoOpTracer()
"""


class Done:
    """How a program ended.

    Attributes:
        out: What it printed, line by line.
        err: What it wrote to stderr.
        records: The records in its file.
    """

    def __init__(self, folder: Path, program: str, environment: Dict[str, str]) -> None:
        kept = {name: value for name, value in os.environ.items() if not name.startswith("OTEL_")}
        made = subprocess.run(
            [sys.executable, "-c", PRELUDE + program],
            cwd=folder,
            capture_output=True,
            text=True,
            env={**kept, **environment},
            timeout=60,
        )
        assert made.returncode == 0, made.stderr
        self.out = made.stdout.splitlines()
        self.err = made.stderr
        path = folder / "traces.jsonl"
        lines = path.read_text("utf-8").splitlines() if path.exists() else []
        self.records: List[Dict[str, Any]] = [json.loads(line) for line in lines]

    @property
    def names(self) -> List[str]:
        return [record["name"] for record in self.records]


@pytest.fixture
def run(tmp_path: Path) -> Any:
    def start(program: str, **environment: str) -> Done:
        return Done(tmp_path, program, environment)

    return start


def test_a_program_without_a_provider_gets_peekrs(run: Any) -> None:
    done = run(
        "instrument(); work('a')\n"
        "provider = trace.get_tracer_provider()\n"
        "print(json.dumps(dict(provider.resource.attributes)))",
        OTEL_RESOURCE_ATTRIBUTES="deployment.environment.name=test",
        OTEL_SERVICE_NAME="shop",
    )
    assert done.names == ["a"]
    assert done.err == ""
    resource = json.loads(done.out[0])
    assert resource["telemetry.distro.name"] == "peekr"
    assert resource["telemetry.distro.version"] == peekr.__version__
    assert resource["telemetry.sdk.name"] == "opentelemetry"
    assert resource["service.name"] == "shop"
    assert resource["deployment.environment.name"] == "test"


def test_a_tracer_from_before_works_afterwards(run: Any) -> None:
    done = run("tracer = trace.get_tracer('early'); instrument(); work('a', tracer)")
    assert done.names == ["a"]


def test_an_applications_exporter_can_be_added_to_peekrs_provider(run: Any) -> None:
    done = run(
        "instrument(); exporter = InMemorySpanExporter()\n"
        "trace.get_tracer_provider().add_span_processor(SimpleSpanProcessor(exporter))\n"
        "work('a'); print(*(span.name for span in exporter.get_finished_spans()))"
    )
    assert (done.out, done.names) == (["a"], ["a"])


def test_an_applications_provider_is_joined_and_not_replaced(run: Any) -> None:
    done = run(
        "exporter = InMemorySpanExporter()\n"
        "provider = TracerProvider(resource=Resource({'service.name': 'theirs'}))\n"
        "provider.add_span_processor(SimpleSpanProcessor(exporter))\n"
        "trace.set_tracer_provider(provider)\n"
        "instrument(); instrument(); work('a')\n"
        "print(trace.get_tracer_provider() is provider)\n"
        "print(dict(provider.resource.attributes))\n"
        "print(*(span.name for span in exporter.get_finished_spans()))"
    )
    assert done.out == ["True", "{'service.name': 'theirs'}", "a"]
    assert done.names == ["a"]
    assert done.err == ""


def test_a_provider_that_the_application_sets_afterwards_is_refused_by_opentelemetry(
    run: Any,
) -> None:
    # OpenTelemetry's own rule: the first one stays. Peekr's goes on recording.
    done = run("instrument(); trace.set_tracer_provider(TracerProvider()); work('a')")
    assert done.names == ["a"]
    assert "Overriding of current TracerProvider is not allowed" in done.err


def test_a_provider_of_another_make_is_left_and_records_are_kept(run: Any) -> None:
    done = run(
        "foreign = Foreign(); trace.set_tracer_provider(foreign)\n"
        "instrument(); instrument()\n"
        "with peekr.span('mine'): pass\n"
        "work('theirs')\n"
        "print(trace.get_tracer_provider() is foreign)"
    )
    assert done.names == ["mine"]
    assert done.out == ["True"]
    (line,) = done.err.splitlines()
    assert line.startswith("The global tracer provider (Foreign) takes no span processors")
    assert "tracer_provider=" in line


def test_calls_of_a_provider_of_another_make_are_recorded(run: Any, simulated: Any) -> None:
    done = run(
        "import openai\n"
        "trace.set_tracer_provider(Foreign()); logging.disable()\n"
        "instrument()\n"
        f"client = openai.OpenAI(base_url={simulated.openai_url!r}, api_key='k')\n"
        "client.chat.completions.create(model='gpt-4o', messages=[{'role': 'user',"
        " 'content': 'hi'}])"
    )
    assert done.names == ["openai.chat"]


def test_a_disabled_sdk_makes_no_spans_and_no_file(run: Any, tmp_path: Path) -> None:
    done = run("instrument(storage='both'); work('a')", OTEL_SDK_DISABLED="true")
    assert (done.names, done.err) == ([], "")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(("sampler", "names"), [("always_off", []), ("always_on", ["a"])])
def test_the_standard_sampler_variable_keeps_its_meaning(
    run: Any, sampler: str, names: List[str]
) -> None:
    assert run("instrument(); work('a')", OTEL_TRACES_SAMPLER=sampler).names == names


def test_a_given_provider_is_used_and_the_global_one_left_alone(run: Any) -> None:
    done = run(
        "provider = TracerProvider()\n"
        "instrument(tracer_provider=provider)\n"
        "work('given', provider.get_tracer('t')); work('global')\n"
        "print(type(trace.get_tracer_provider()).__name__)"
    )
    assert done.names == ["given"]
    assert done.out == ["ProxyTracerProvider"]


def test_another_provider_takes_the_place_of_the_first(tmp_path: Path) -> None:
    first, second = Telemetry(tmp_path), Telemetry(tmp_path)
    first.instrument()
    first.tracer.start_span("a").end()
    second.instrument()
    first.tracer.start_span("b").end()
    second.tracer.start_span("c").end()
    first.instrument()
    first.tracer.start_span("d").end()
    second.tracer.start_span("e").end()
    assert [record["name"] for record in first.records] == ["a", "c", "d"]
    assert [span.name for span in first.spans] == ["a", "b", "d"]
    peekr.uninstrument()
    for made in (first, second):
        made.provider.shutdown()


def test_a_provider_is_joined_once(bare_telemetry: Telemetry) -> None:
    for _ in range(3):
        bare_telemetry.instrument()
        peekr.uninstrument()
    bare_telemetry.instrument()
    bare_telemetry.tracer.start_span("a").end()
    assert bare_telemetry.record["name"] == "a"
    one = peekr_provider.joined(bare_telemetry.provider)
    assert peekr_provider.joined(bare_telemetry.provider) is one


def test_after_uninstrument_the_provider_lives_on_without_peekr(telemetry: Telemetry) -> None:
    telemetry.tracer.start_span("a").end()
    peekr.uninstrument()
    telemetry.tracer.start_span("b").end()
    assert [span.name for span in telemetry.spans] == ["a", "b"]
    assert len(telemetry.path.read_text("utf-8").splitlines()) == 1


def test_a_joined_provider_is_not_kept_alive() -> None:
    provider = TracerProvider(shutdown_on_exit=False)
    peekr_provider.joined(provider)
    gone = weakref.ref(provider)
    provider.shutdown()
    del provider
    gc.collect()
    assert gone() is None


@dataclasses.dataclass
class _Wrapper:
    """As other distributions wrap a provider: without a hash."""

    inner: TracerProvider

    def add_span_processor(self, processor: Any) -> None:
        self.inner.add_span_processor(processor)

    def get_tracer(self, *arguments: Any, **named: Any) -> Any:
        return self.inner.get_tracer(*arguments, **named)


class _Slotted:
    """One that no weak reference can point at."""

    __slots__ = ("add_span_processor", "get_tracer")

    def __init__(self, inner: TracerProvider) -> None:
        self.add_span_processor = inner.add_span_processor
        self.get_tracer = inner.get_tracer


@pytest.mark.parametrize("kind", [_Wrapper, _Slotted])
def test_a_wrapped_provider_can_be_joined(bare_telemetry: Telemetry, kind: Any) -> None:
    wrapper = kind(bare_telemetry.provider)
    for _ in range(2):
        bare_telemetry.instrument(tracer_provider=wrapper)
    with peekr.span("mine"):
        pass
    assert bare_telemetry.record["name"] == "mine"


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (object(), "is no TracerProvider of the OpenTelemetry SDK"),
        ("global", "tracer_provider='global' is no TracerProvider"),
        (TracerProvider, "is a class; give an instance"),
    ],
)
def test_what_is_no_provider_is_named(given: Any, message: str) -> None:
    with pytest.raises(TypeError, match=message):
        peekr.instrument(console=False, storage=None, tracer_provider=given)


def test_the_limit_of_attributes_is_the_providers(monkeypatch: pytest.MonkeyPatch) -> None:
    limits = SpanLimits(max_span_attribute_length=77)
    provider = TracerProvider(shutdown_on_exit=False, span_limits=limits)
    assert peekr_provider.max_attribute_chars(provider) == 77
    monkeypatch.setenv("OTEL_SPAN_ATTRIBUTE_VALUE_LENGTH_LIMIT", "88")
    assert peekr_provider.max_attribute_chars(object()) == 88
    other = TracerProvider(shutdown_on_exit=False)
    assert peekr_provider.max_attribute_chars(other) == 88
    for made in (provider, other):
        made.shutdown()


def test_messages_beyond_the_limit_are_cut_and_stay_json(run: Any, simulated: Any) -> None:
    done = run(
        "import openai\n"
        "instrument()\n"
        f"client = openai.OpenAI(base_url={simulated.openai_url!r}, api_key='k')\n"
        "client.chat.completions.create(model='gpt-4o', messages=[{'role': 'user',"
        " 'content': 'x' * 5000}])",
        OTEL_SPAN_ATTRIBUTE_VALUE_LENGTH_LIMIT="600",
    )
    (message,) = done.records[0]["attributes"]["input"]
    assert message["role"] == "user"
    assert message["content"].endswith(" characters cut]")
