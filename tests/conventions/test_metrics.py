"""The conventions' metrics: what is recorded for each operation, and when nothing is."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Dict, Iterator, List, Set

import pytest
from opentelemetry import metrics
from opentelemetry.metrics import NoOpMeterProvider
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader

import peekr
from peekr.instrumentation import metrics as ours
from peekr.instrumentation.metrics import (
    DURATION,
    TIME_PER_OUTPUT_CHUNK,
    TIME_TO_FIRST_CHUNK,
    TOKENS,
    CallMetrics,
)
from simulated_providers import SimulatedProviders

from ..conftest import Telemetry, attributes_of
from ..instrumentation.openai.calls import make_client
from ..launcher.running import run
from .operations import OPERATIONS, Operation

pytestmark = [
    pytest.mark.usefixtures("no_meter_provider"),
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),
]

SHARED = {
    "gen_ai.operation.name",
    "gen_ai.provider.name",
    "gen_ai.request.model",
    "server.address",
    "server.port",
}


@pytest.fixture
def reader() -> InMemoryMetricReader:
    return InMemoryMetricReader()


def _points(reader: InMemoryMetricReader) -> Dict[str, List[Any]]:
    data = reader.get_metrics_data()
    found: Dict[str, List[Any]] = {}
    if data is None:
        return found
    for resource in data.resource_metrics:
        for scope in resource.scope_metrics:
            if scope.scope.name.startswith("peekr."):
                for metric in scope.metrics:
                    found[metric.name] = list(metric.data.data_points)
    return found


def _described(reader: InMemoryMetricReader) -> Dict[str, Any]:
    data = reader.get_metrics_data()
    assert data is not None
    scopes = [s for resource in data.resource_metrics for s in resource.scope_metrics]
    return {metric.name: metric for scope in scopes for metric in scope.metrics}


@pytest.fixture(scope="module")
def client(server_of_all: SimulatedProviders) -> Iterator[Any]:
    with make_client("sync", server_of_all.openai_url) as made:
        yield made


def _ask(client: Any, **arguments: Any) -> Any:
    asked: Any = {"model": "gpt-4o", "messages": [{"role": "user", "content": "Say a b c"}]}
    return client.chat.completions.create(**{**asked, **arguments})


@pytest.mark.parametrize("name", OPERATIONS)
def test_each_operation_is_measured_as_its_span_says(
    name: str,
    reader: InMemoryMetricReader,
    bare_telemetry: Telemetry,
    simulated: SimulatedProviders,
) -> None:
    operation: Operation = OPERATIONS[name]
    metrics.set_meter_provider(MeterProvider([reader]))
    bare_telemetry.instrument()
    operation.call(simulated)
    points = _points(reader)
    span = attributes_of(bare_telemetry.span)

    (duration,) = points.pop(DURATION)
    got = dict(duration.attributes)
    assert got["gen_ai.operation.name"] == operation.operation
    assert got["gen_ai.provider.name"] == operation.provider
    assert duration.count == 1
    assert 0 < duration.sum < 60
    assert ("error.type" in got) == operation.fails
    names = SHARED | {"gen_ai.response.model", "error.type"}
    names |= {"openai.response.service_tier", "openai.response.system_fingerprint"}
    # All that the conventions want of it, with the values of the span.
    assert got == {key: span[key] for key in names if key in span}
    assert set(got) >= SHARED

    tokens = {
        dict(point.attributes)["gen_ai.token.type"]: point for point in points.pop(TOKENS, [])
    }
    reported = {
        "input": span.get("gen_ai.usage.input_tokens"),
        "output": span.get("gen_ai.usage.output_tokens"),
    }
    assert {kind: point.sum for kind, point in tokens.items()} == {
        kind: count for kind, count in reported.items() if count is not None
    }
    for point in tokens.values():
        assert {k: v for k, v in point.attributes.items() if k != "gen_ai.token.type"} == {
            k: v for k, v in got.items() if k != "error.type"
        }

    first = points.pop(TIME_TO_FIRST_CHUNK, [])
    assert len(first) == (1 if operation.streamed else 0)
    if operation.streamed:
        assert first[0].sum == pytest.approx(span["gen_ai.response.time_to_first_chunk"])
        assert dict(first[0].attributes) == got
        (later,) = points.pop(TIME_PER_OUTPUT_CHUNK)
        assert later.count >= 1
        assert dict(later.attributes) == got
    assert points == {}


def test_the_instruments_are_those_of_the_conventions(
    reader: InMemoryMetricReader, bare_telemetry: Telemetry, client: Any
) -> None:
    metrics.set_meter_provider(MeterProvider([reader]))
    bare_telemetry.instrument()
    list(_ask(client, stream=True, stream_options={"include_usage": True}))
    described = _described(reader)
    tokens = described[TOKENS]
    assert tokens.unit == "{token}"
    assert tokens.data.data_points[0].explicit_bounds == tuple(4**n for n in range(14))
    for name in (DURATION, TIME_TO_FIRST_CHUNK, TIME_PER_OUTPUT_CHUNK):
        assert described[name].unit == "s"
        bounds = described[name].data.data_points[0].explicit_bounds
        assert bounds[:3] == (0.01, 0.02, 0.04)
        assert bounds[-1] == 81.92
        assert len(bounds) == 14


@pytest.mark.parametrize("order", ["before", "after", "between"])
def test_a_meter_provider_may_come_before_or_after_instrument(
    order: str,
    reader: InMemoryMetricReader,
    bare_telemetry: Telemetry,
    client: Any,
) -> None:
    if order == "before":
        metrics.set_meter_provider(MeterProvider([reader]))
    bare_telemetry.instrument()
    if order == "between":
        _ask(client)
    if order != "before":
        metrics.set_meter_provider(MeterProvider([reader]))
    _ask(client)
    (duration,) = _points(reader)[DURATION]
    assert duration.count == 1


def test_calls_that_are_not_sampled_are_measured_too(
    reader: InMemoryMetricReader, tmp_path: Any, client: Any
) -> None:
    from opentelemetry.sdk.trace.sampling import ALWAYS_OFF

    metrics.set_meter_provider(MeterProvider([reader]))
    telemetry = Telemetry(tmp_path, sampler=ALWAYS_OFF)
    telemetry.instrument()
    _ask(client)
    list(_ask(client, stream=True))
    with pytest.raises(Exception, match="does not exist"):
        _ask(client, model="no-such-model")
    assert telemetry.spans == []
    points = _points(reader)
    assert sum(point.count for point in points[DURATION]) == 3
    assert {dict(p.attributes).get("error.type") for p in points[DURATION]} == {
        None,
        "NotFoundError",
    }
    assert points[TIME_TO_FIRST_CHUNK][0].count == 1


def test_time_per_chunk_has_one_value_less_than_there_are_chunks(
    reader: InMemoryMetricReader, bare_telemetry: Telemetry, client: Any
) -> None:
    metrics.set_meter_provider(MeterProvider([reader]))
    bare_telemetry.instrument()
    chunks = list(_ask(client, stream=True))
    (later,) = _points(reader)[TIME_PER_OUTPUT_CHUNK]
    assert later.count == len(chunks) - 1
    assert later.min >= 0


def test_a_stream_that_is_left_is_measured_until_then(
    reader: InMemoryMetricReader, bare_telemetry: Telemetry, client: Any
) -> None:
    metrics.set_meter_provider(MeterProvider([reader]))
    bare_telemetry.instrument()
    with _ask(client, stream=True) as stream:
        next(iter(stream))
    points = _points(reader)
    assert points[DURATION][0].count == 1
    assert points[TIME_TO_FIRST_CHUNK][0].count == 1
    assert TIME_PER_OUTPUT_CHUNK not in points


def test_without_a_meter_provider_nothing_is_made_or_timed(
    bare_telemetry: Telemetry, client: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refused(*arguments: Any) -> None:
        raise AssertionError("an instrument was made")

    monkeypatch.setattr(ours, "_histogram", refused)
    bare_telemetry.instrument()
    list(_ask(client, stream=True))
    metrics.set_meter_provider(NoOpMeterProvider())
    _ask(client)
    assert len(bare_telemetry.spans) == 2


def test_an_instrumentor_takes_a_meter_provider_of_its_own(
    reader: InMemoryMetricReader, bare_telemetry: Telemetry, client: Any
) -> None:
    from peekr.instrumentation.openai.instrumentor import OpenAIInstrumentor

    instrumentor = OpenAIInstrumentor()
    instrumentor.instrument(
        tracer_provider=bare_telemetry.provider, meter_provider=MeterProvider([reader])
    )
    try:
        _ask(client)
    finally:
        instrumentor.uninstrument()
    assert _points(reader)[DURATION][0].count == 1


def test_a_provider_that_knows_no_advice_on_boundaries_is_used_without() -> None:
    names: Set[str] = set()

    class Meter:
        def create_histogram(self, name: str, unit: str, description: str) -> Any:
            names.add(name)

    class Theirs:
        def get_meter(self, *arguments: Any) -> Any:
            return Meter()

    assert CallMetrics("scope", "schema", Theirs())
    assert len(names) == 4


def test_nothing_is_measured_after_uninstrument(
    reader: InMemoryMetricReader, bare_telemetry: Telemetry, client: Any
) -> None:
    metrics.set_meter_provider(MeterProvider([reader]))
    bare_telemetry.instrument()
    peekr.uninstrument()
    _ask(client)
    assert _points(reader) == {}


def test_the_launchers_meter_provider_is_used(
    tmp_path: Path, simulated: SimulatedProviders
) -> None:
    pytest.importorskip("openai")
    done = run(
        tmp_path,
        "import openai\n"
        f"with openai.OpenAI(base_url={simulated.openai_url!r}, api_key='simulated') as client:\n"
        "    asked = [{'role': 'user', 'content': 'hi'}]\n"
        "    client.chat.completions.create(model='gpt-4o', messages=asked)\n",
        OTEL_METRICS_EXPORTER="console",
        OTEL_TRACES_EXPORTER="none",
        OTEL_LOGS_EXPORTER="none",
        PEEKR_CONSOLE="false",
    )
    exported, _ = json.JSONDecoder().raw_decode("\n".join(done.out))
    names = {
        metric["name"]
        for resource in exported["resource_metrics"]
        for scope in resource["scope_metrics"]
        if scope["scope"]["name"] == "peekr.instrumentation.openai"
        for metric in scope["metrics"]
    }
    assert names == {TOKENS, DURATION}


def test_streams_that_a_guardrail_holds_back_are_measured_as_they_arrive(
    reader: InMemoryMetricReader, bare_telemetry: Telemetry, client: Any
) -> None:
    from peekr.guard import Blocklist

    metrics.set_meter_provider(MeterProvider([reader]))
    bare_telemetry.instrument(guardrails=[Blocklist(terms=["zebra"], fields=("output",))])
    chunks = list(_ask(client, stream=True))
    points = _points(reader)
    assert points[DURATION][0].count == points[TIME_TO_FIRST_CHUNK][0].count == 1
    assert points[TIME_PER_OUTPUT_CHUNK][0].count == len(chunks) - 1
