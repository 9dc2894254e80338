"""Spans of other libraries for calls that Peekr records: one record a call."""

# ruff: noqa: SIM117 - a `with` a span shows what stands in what

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any, Dict, Iterator, List

import pytest
from opentelemetry import trace as otel_trace
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.sampling import Decision, Sampler, SamplingResult

import peekr
from peekr.pipeline import doubles

from .conftest import Telemetry
from .launcher.running import run

OPENINFERENCE = {"openinference.span.kind": "LLM"}
DIALECTS: List[Dict[str, str]] = [
    OPENINFERENCE,
    {"gen_ai.operation.name": "chat"},
    {"llm.request.type": "chat"},
    {"gen_ai.system": "openai", "gen_ai.request.model": "gpt-4o"},
]


@pytest.fixture(autouse=True)
def unsaid() -> Iterator[None]:
    module: Any = doubles
    module._said.clear()
    yield
    module._said.clear()


@pytest.fixture
def call(telemetry: Telemetry, simulated: Any) -> Any:
    openai = pytest.importorskip("openai")
    client = openai.OpenAI(base_url=simulated.openai_url, api_key="k")

    def ask(**more: Any) -> Any:
        messages = [{"role": "user", "content": "hi"}]
        return client.chat.completions.create(model="gpt-4o", messages=messages, **more)

    return ask


def theirs(telemetry: Telemetry, scope: str = "other.library") -> Any:
    return telemetry.provider.get_tracer(scope)


def names(telemetry: Telemetry) -> List[str]:
    return [record["name"] for record in telemetry.records]


@pytest.mark.parametrize("attributes", DIALECTS)
def test_another_librarys_span_above_is_left_out(
    telemetry: Telemetry, call: Any, attributes: Dict[str, str], caplog: pytest.LogCaptureFixture
) -> None:
    with peekr.span("work"):
        with theirs(telemetry).start_as_current_span("theirs", attributes=attributes):
            call()
    record, above = telemetry.records
    assert (record["name"], above["name"]) == ("openai.chat", "work")
    assert record["parent_id"] == above["span_id"]
    assert [span.name for span in telemetry.spans] == ["chat gpt-4o", "theirs", "work"]
    # Other exporters get the spans as they are.
    spans = {span.name: span for span in telemetry.spans}
    parent = spans["chat gpt-4o"].parent
    assert parent is not None
    above_it: Any = spans["theirs"].context
    assert parent.span_id == above_it.span_id
    (line,) = caplog.messages
    assert line.startswith("Both other.library and Peekr (peekr_openai) make a span")
    assert "OTEL_PYTHON_DISABLED_INSTRUMENTATIONS=peekr_openai" in line


def test_another_librarys_span_below_is_left_out(
    telemetry: Telemetry, call: Any, simulated: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    import openai

    tracer = theirs(telemetry)
    client = openai.OpenAI(base_url=simulated.openai_url, api_key="k")
    completions: Any = client.chat.completions
    original = completions._post

    def post(*args: Any, **kwargs: Any) -> Any:
        with tracer.start_as_current_span("theirs") as span:
            with tracer.start_as_current_span("POST", attributes={"http.method": "POST"}):
                result = original(*args, **kwargs)
            span.set_attributes(OPENINFERENCE)
            return result

    monkeypatch.setattr(completions, "_post", post)
    client.chat.completions.create(model="gpt-4o", messages=[{"role": "user", "content": "hi"}])
    assert sorted(names(telemetry)) == ["POST", "openai.chat"]
    assert len(telemetry.spans) == 3


def test_a_span_that_says_what_it_is_at_its_end_is_left_out(
    telemetry: Telemetry, call: Any
) -> None:
    with theirs(telemetry).start_as_current_span("theirs") as span:
        call()
        span.set_attributes(OPENINFERENCE)
    record = telemetry.records[0]
    assert record["name"] == "openai.chat"


def test_of_two_others_above_none_is_stored(telemetry: Telemetry, call: Any) -> None:
    with theirs(telemetry, "one").start_as_current_span("framework", attributes=OPENINFERENCE):
        with theirs(telemetry, "two").start_as_current_span("sdk", attributes=DIALECTS[1]):
            call()
    record = telemetry.record
    assert (record["name"], record["parent_id"]) == ("openai.chat", None)


def test_of_two_others_alone_the_outer_one_is_stored(
    telemetry: Telemetry, caplog: pytest.LogCaptureFixture
) -> None:
    with theirs(telemetry, "one").start_as_current_span("outer", attributes=OPENINFERENCE):
        with theirs(telemetry, "two").start_as_current_span("inner", attributes=DIALECTS[1]):
            with theirs(telemetry, "http").start_as_current_span("POST"):
                pass
    inner_most, outer = telemetry.records
    assert (inner_most["name"], outer["name"]) == ("POST", "outer")
    assert inner_most["parent_id"] == outer["span_id"]
    assert caplog.messages == []


def test_agents_tools_and_functions_around_a_call_are_stored(
    telemetry: Telemetry, call: Any, caplog: pytest.LogCaptureFixture
) -> None:
    agent = {"gen_ai.operation.name": "invoke_agent", "gen_ai.request.model": "gpt-4o"}
    chain = {"openinference.span.kind": "CHAIN"}
    with theirs(telemetry).start_as_current_span("agent", attributes=agent):
        with theirs(telemetry).start_as_current_span("chain", attributes=chain):
            call()
    assert names(telemetry) == ["openai.chat", "chain", "agent"]
    assert caplog.messages == []


def test_a_call_of_a_library_that_peekr_does_not_watch_is_stored(telemetry: Telemetry) -> None:
    with peekr.span("work"):
        theirs(telemetry).start_span("cohere", attributes=OPENINFERENCE).end()
    assert names(telemetry) == ["cohere", "work"]


def test_a_stream_that_outlives_the_others_span_is_one_record(
    telemetry: Telemetry, call: Any
) -> None:
    with theirs(telemetry).start_as_current_span("theirs", attributes=OPENINFERENCE):
        stream = call(stream=True)
    assert list(stream)
    record = telemetry.records[-1]
    assert record["name"] == "openai.chat"


def test_a_librarys_doubling_is_said_once(
    telemetry: Telemetry, call: Any, caplog: pytest.LogCaptureFixture
) -> None:
    for _ in range(3):
        with theirs(telemetry).start_as_current_span("theirs", attributes=OPENINFERENCE):
            call()
    assert names(telemetry) == ["openai.chat"] * 3
    assert len([m for m in caplog.messages if "other.library" in m]) == 1
    assert caplog.records[0].levelno == logging.WARNING


def test_what_is_known_of_spans_that_never_end_is_bounded(
    telemetry: Telemetry, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(doubles, "_MAX_SPANS", 5)
    root = theirs(telemetry).start_span("root")
    context = otel_trace.set_span_in_context(root)
    spans = [theirs(telemetry).start_span("open", context) for _ in range(20)]
    from peekr import provider

    known: Any = provider.joined(telemetry.provider).doubles
    assert len(known._above) == 5
    for span in (*spans, root):
        span.end()
    assert not known._above


def test_nothing_is_kept_of_spans_that_are_not_sampled(simulated: Any) -> None:
    openai = pytest.importorskip("openai")
    from peekr import provider

    class Record(Sampler):
        """Records and does not sample: processors see the spans, exporters do not."""

        def should_sample(self, *args: Any, **kwargs: Any) -> SamplingResult:
            return SamplingResult(Decision.RECORD_ONLY)

        def get_description(self) -> str:
            return "Record"

    made = TracerProvider(sampler=Record(), shutdown_on_exit=False)
    peekr.instrument(console=False, storage=None, tracer_provider=made)
    with openai.OpenAI(base_url=simulated.openai_url, api_key="k") as client:
        with made.get_tracer("other").start_as_current_span("theirs", attributes=OPENINFERENCE):
            client.embeddings.create(model="text-embedding-3-small", input="hi")
    known: Any = provider.joined(made).doubles
    assert (len(known._above), len(known._calls)) == (0, 0)
    made.shutdown()


WRAPPED = """
import asyncio, openai, wrapt
from openai.resources.chat.completions import AsyncCompletions, Completions

class BothWays(wrapt.ObjectProxy):
    "A stream as other libraries wrap it: one class for the sync and the async one."
    def __iter__(self): return self
    def __next__(self): return self.__wrapped__.__next__()
    def __aiter__(self): return self
    async def __anext__(self): return await self.__wrapped__.__anext__()

def create(self, _original=Completions.create, **arguments):
    return BothWays(_original(self, **arguments))

async def acreate(self, _original=AsyncCompletions.create, **arguments):
    return BothWays(await _original(self, **arguments))

Completions.create, AsyncCompletions.create = create, acreate
import peekr
peekr.instrument(console=False)
arguments = dict(model="gpt-4o", messages=[{"role": "user", "content": "hi"}], stream=True)
for chunk in openai.OpenAI(base_url=URL, api_key="k").chat.completions.create(**arguments): pass

async def main():
    async with openai.AsyncOpenAI(base_url=URL, api_key="k") as client:
        async for chunk in await client.chat.completions.create(**arguments): pass
asyncio.run(main())
"""


def test_a_stream_that_another_library_has_wrapped_is_read(tmp_path: Path, simulated: Any) -> None:
    pytest.importorskip("openai")
    done = run(tmp_path, f"URL = {simulated.openai_url!r}\n{WRAPPED}", launched=False)
    for record in done.records:
        assert record["attributes"]["output"] == "This is a simulated answer to: hi"
        assert "peekr.stream.abandoned" not in record["attributes"]
    assert len(done.records) == 2
