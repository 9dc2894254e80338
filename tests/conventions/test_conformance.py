"""Each operation of each provider against the conventions: names, types, requirement levels."""

from __future__ import annotations

import fnmatch
from typing import Any, Dict, Iterator, List, NamedTuple, Set, Tuple

import pytest
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

import peekr
from simulated_providers import SimulatedProviders

from ..conftest import Telemetry, attributes_of
from ..instrumentation.schemas import check_messages
from . import registry
from .operations import OPERATIONS, QUESTION, Operation

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")

# What every provider reports of an answer.
_ANSWERED = {
    "gen_ai.response.id",
    "gen_ai.response.model",
    "gen_ai.response.finish_reasons",
    "gen_ai.usage.input_tokens",
    "gen_ai.usage.output_tokens",
    "gen_ai.output.messages",
    "gen_ai.embeddings.dimension.count",
    "openai.api.type",
}
_ASKED = {"gen_ai.input.messages", "server.address"}
_STREAMED = {"gen_ai.request.stream", "gen_ai.response.time_to_first_chunk"}


class Deviation(NamedTuple):
    operation: str
    attribute: str
    what: str


def _group(operation: Operation) -> str:
    if operation.operation == "embeddings":
        return "span.gen_ai.embeddings.client"
    return {
        "openai": "span.openai.inference.client",
        "anthropic": "span.anthropic.inference.client",
        "aws.bedrock": "span.aws.bedrock.client",
    }.get(operation.provider, "span.gen_ai.inference.client")


def _wanted(operation: Operation, attribute: str, got: Dict[str, Any]) -> bool:
    """Whether the condition of a level that is not `required` is met."""
    if attribute in operation.asks or attribute in _ASKED:
        return True
    if attribute == "server.port":
        return "server.address" in got
    if attribute == "gen_ai.request.model":
        return True
    if attribute == "error.type":
        return operation.fails
    if attribute in _STREAMED:
        return operation.streamed
    return attribute in _ANSWERED and not operation.fails


def _deviations(name: str, operation: Operation, span: ReadableSpan) -> Iterator[Deviation]:
    group, got = _group(operation), attributes_of(span)
    for attribute, value in got.items():
        wrong = registry.wrong_type(attribute, value)
        if wrong is not None:
            yield Deviation(name, attribute, wrong)
    for attribute, level in registry.levels(group).items():
        wanted = level.name == "required" or _wanted(operation, attribute, got)
        if wanted and attribute not in got:
            yield Deviation(name, attribute, "missing")
        if not wanted and attribute in got and attribute in ("error.type", *_STREAMED):
            yield Deviation(name, attribute, "there without its condition")
    if span.kind.name.lower() != registry.kind_of(group):
        yield Deviation(name, "the kind", f"{span.kind.name}")
    if span.name != f"{operation.operation} {got.get('gen_ai.request.model')}":
        yield Deviation(name, "the name", span.name)
    if got.get("gen_ai.operation.name") != operation.operation:
        yield Deviation(name, "gen_ai.operation.name", "another value")
    if got.get("gen_ai.provider.name") != operation.provider:
        yield Deviation(name, "gen_ai.provider.name", "another value")


def _is_declared(deviation: Deviation, entry: Dict[str, Any]) -> bool:
    return (
        any(fnmatch.fnmatch(deviation.operation, pattern) for pattern in entry["operations"])
        and deviation.attribute == entry["attribute"]
        and deviation.what == entry["is"]
    )


@pytest.fixture(scope="module")
def occurred() -> Dict[str, List[Deviation]]:
    """What each operation that has run deviates in."""
    return {}


@pytest.mark.parametrize("name", OPERATIONS)
def test_each_operation_keeps_to_the_conventions(
    name: str,
    telemetry: Telemetry,
    simulated: SimulatedProviders,
    occurred: Dict[str, List[Deviation]],
) -> None:
    operation = OPERATIONS[name]
    operation.call(simulated)
    span = telemetry.span
    check_messages(span)
    occurred[name] = list(_deviations(name, operation, span))
    entries = registry.declared()
    undeclared = [
        deviation
        for deviation in occurred[name]
        if not any(_is_declared(deviation, entry) for entry in entries)
    ]
    assert undeclared == []


def test_declared_deviations_still_occur(occurred: Dict[str, List[Deviation]]) -> None:
    if set(occurred) != set(OPERATIONS):
        pytest.skip("not every operation has run here")
    found = [deviation for deviations in occurred.values() for deviation in deviations]
    for entry in registry.declared():
        for pattern in entry["operations"]:
            one = {**entry, "operations": [pattern]}
            assert any(_is_declared(deviation, one) for deviation in found), (
                f"{pattern}: {entry['attribute']} {entry['is']} is declared and does not occur"
            )


def test_tools_that_an_sdk_runs_are_spans_of_the_conventions(
    telemetry: Telemetry, simulated: SimulatedProviders
) -> None:
    genai = pytest.importorskip("google.genai")

    def get_weather(location: str) -> str:
        """The weather somewhere."""
        return f"rain in {location}"

    client = genai.Client(api_key="simulated", http_options={"base_url": simulated.gemini_url})
    client.models.generate_content(
        model="gemini-2.0-flash", contents=QUESTION, config={"tools": [get_weather]}
    )
    client.close()
    group = "span.gen_ai.execute_tool.internal"
    tools = [span for span in telemetry.spans if span.name == "execute_tool get_weather"]
    assert tools
    for span in tools:
        got = attributes_of(span)
        for attribute, value in got.items():
            assert registry.wrong_type(attribute, value) is None, attribute
        for attribute, level in registry.levels(group).items():
            unmet = attribute in ("error.type", "gen_ai.tool.call.id", "gen_ai.tool.description")
            assert attribute in got or (unmet and level.name != "required"), attribute
        assert span.kind.name.lower() == registry.kind_of(group)


def test_operations_cover_every_record_name_that_providers_make() -> None:
    from peekr.instrumentation.anthropic import hooks as anthropic
    from peekr.instrumentation.bedrock import hooks as bedrock
    from peekr.instrumentation.google_genai import hooks as gemini
    from peekr.instrumentation.openai import hooks as openai

    made = {
        hook.record
        for provider in (anthropic, bedrock, gemini, openai)
        for instrumentation in provider.INSTRUMENTATIONS
        for hook in instrumentation.hooks
    }
    assert made
    assert made <= {operation.record for operation in OPERATIONS.values()}


def _own_spans(telemetry: Telemetry) -> None:
    @peekr.trace
    def work(x: int) -> int:
        return x

    @peekr.trace
    def items() -> Iterator[int]:
        yield from (1, 2)

    @peekr.experiment(variants=["a", "b"])
    def choose(variant: str) -> str:
        return variant

    @peekr.trace
    def fails() -> None:
        raise ValueError("no")

    with peekr.session(user_id="ada", tenant_id="acme", retention_class="short"):
        with peekr.feature("search"), peekr.span("step"):
            work(1)
            list(items())
            choose()
        with pytest.raises(ValueError, match="no"):
            fails()


def test_spans_of_ones_own_have_registered_attributes_alone(telemetry: Telemetry) -> None:
    _own_spans(telemetry)
    wrong: List[Tuple[str, str, str]] = []
    names: Set[str] = set()
    for span in telemetry.spans:
        found = [attributes_of(span), *(dict(event.attributes or {}) for event in span.events)]
        for attributes in found:
            for attribute, value in attributes.items():
                names.add(attribute)
                fault = registry.wrong_type(attribute, value)
                if fault is not None:
                    wrong.append((span.name, attribute, fault))
    assert wrong == []
    assert {"session.id", "user.id", "peekr.experiment.variant", "peekr.feature"} <= names


def test_results_of_evaluations_are_events_of_the_conventions(
    bare_telemetry: Telemetry, simulated: SimulatedProviders
) -> None:
    from peekr.eval import NotEmpty

    kept = InMemorySpanExporter()
    bare_telemetry.instrument(evaluators=[NotEmpty()], async_eval=False, exporter=kept)
    OPERATIONS["openai chat"].call(simulated)
    assert peekr.flush()
    (span,) = kept.get_finished_spans()
    (event,) = (event for event in span.events if event.name == "gen_ai.evaluation.result")
    got = dict(event.attributes or {})
    wanted = registry.levels("event.gen_ai.evaluation.result", "events.yaml")
    for attribute, value in got.items():
        assert attribute in wanted
        assert registry.wrong_type(attribute, value) is None, attribute
    assert {name for name, level in wanted.items() if level.name == "required"} <= set(got)
    assert got["gen_ai.evaluation.score.value"] == 1.0
    for attribute, value in attributes_of(span).items():
        assert registry.wrong_type(attribute, value) is None, attribute


def test_metrics_are_those_of_the_conventions() -> None:
    from peekr.instrumentation import metrics

    described = vars(metrics)["_INSTRUMENTS"]
    groups = registry.metrics()
    assert {name for name, *_ in described} <= set(groups)
    client = {name for name in groups if name.startswith("gen_ai.client.")}
    assert client == {name for name, *_ in described}
    for name, unit, brief, _ in described:
        assert unit == groups[name]["unit"]
        assert groups[name]["instrument"] == "histogram"
        assert brief.split() == groups[name]["brief"].split()


def test_the_release_is_pinned_in_one_place() -> None:
    from peekr import tracing
    from peekr.instrumentation import hooks
    from peekr.semconv import otel

    assert otel.SCHEMA_URL == hooks.SCHEMA_URL == tracing.SCHEMA_URL
    manifest = (registry.OWN / "manifest.yaml").read_text("utf-8")
    assert f"semconv_version: {otel.SCHEMA_URL.rpartition('/')[2]}\n" in manifest
