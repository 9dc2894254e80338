"""`only_llm`: what of HTTP and databases stays out of the files."""

# ruff: noqa: SIM117 - a `with` a span shows what stands in what

from __future__ import annotations

import asyncio
from typing import Any, Dict, List

import pytest
from opentelemetry import trace as otel_trace
from opentelemetry.trace import NonRecordingSpan, SpanContext, StatusCode, TraceFlags

import peekr
from peekr.pipeline import only_llm

from .conftest import Telemetry
from .support.forking import needs_fork, said_in_child

HTTP = {"http.request.method": "GET"}
CALL = {"gen_ai.operation.name": "chat", "gen_ai.request.model": "m"}
PLUMBING: List[Dict[str, Any]] = [
    HTTP,
    {"http.method": "GET"},
    {"db.system.name": "postgresql"},
    {"db.system": "redis"},
    {"rpc.system": "grpc"},
    {"messaging.system": "kafka"},
    {"asgi.event.type": "http.response.start"},
]


@pytest.fixture
def filtered(bare_telemetry: Telemetry) -> Telemetry:
    bare_telemetry.instrument(only_llm=True)
    return bare_telemetry


def names(telemetry: Telemetry) -> List[str]:
    return [record["name"] for record in telemetry.records]


@pytest.mark.parametrize("attributes", PLUMBING)
def test_spans_of_http_and_databases_are_left_out(
    filtered: Telemetry, attributes: Dict[str, Any]
) -> None:
    with filtered.tracer.start_as_current_span("theirs", attributes=attributes):
        with filtered.tracer.start_as_current_span("mine"):
            pass
    assert names(filtered) == ["mine"]
    assert [span.name for span in filtered.spans] == ["mine", "theirs"]


def test_without_it_they_are_stored(telemetry: Telemetry) -> None:
    telemetry.tracer.start_span("GET", attributes=HTTP).end()
    assert names(telemetry) == ["GET"]


def test_what_stands_above_a_model_call_is_stored(filtered: Telemetry) -> None:
    tracer = filtered.tracer
    with tracer.start_as_current_span("GET /ask", attributes=HTTP):
        with tracer.start_as_current_span("SELECT", attributes={"db.system": "sqlite"}):
            pass
        with tracer.start_as_current_span("work"):
            with tracer.start_as_current_span("chat m", attributes=CALL):
                with tracer.start_as_current_span("POST", attributes=HTTP):
                    pass
    with tracer.start_as_current_span("GET /other", attributes=HTTP):
        pass
    assert names(filtered) == ["chat m", "work", "GET /ask"]


def test_a_model_call_that_says_so_at_its_end_counts(filtered: Telemetry) -> None:
    with filtered.tracer.start_as_current_span("GET /ask", attributes=HTTP):
        with filtered.tracer.start_as_current_span("late") as span:
            span.set_attributes({"openinference.span.kind": "LLM"})
    assert names(filtered) == ["late", "GET /ask"]


def test_a_request_that_ended_before_the_call_began_is_stored_behind_it(
    filtered: Telemetry,
) -> None:
    tracer = filtered.tracer
    request = tracer.start_span("GET /ask", attributes=HTTP)
    context = otel_trace.set_span_in_context(request)
    task = tracer.start_span("task", context)
    request.end()
    assert names(filtered) == []
    tracer.start_span("chat m", otel_trace.set_span_in_context(task), attributes=CALL).end()
    task.end()
    assert sorted(names(filtered)) == ["GET /ask", "chat m", "task"]


def test_a_parent_elsewhere_ends_the_search(filtered: Telemetry) -> None:
    remote = NonRecordingSpan(SpanContext(1 << 100, 1 << 50, True, TraceFlags(1)))
    context = otel_trace.set_span_in_context(remote)
    filtered.tracer.start_span("GET", context, attributes=HTTP).end()
    filtered.tracer.start_span("chat m", context, attributes=CALL).end()
    assert names(filtered) == ["chat m"]


def test_an_error_in_what_is_left_out_keeps_a_sampled_trace(bare_telemetry: Telemetry) -> None:
    bare_telemetry.instrument(only_llm=True, sample_rate=0.0)
    with bare_telemetry.tracer.start_as_current_span("work"):
        with bare_telemetry.tracer.start_as_current_span("chat m", attributes=CALL):
            pass
        with bare_telemetry.tracer.start_as_current_span("GET", attributes=HTTP) as span:
            span.set_status(StatusCode.ERROR, "no")
    assert names(bare_telemetry) == ["chat m", "work"]


def test_requests_of_the_middleware_count_as_http(filtered: Telemetry, simulated: Any) -> None:
    openai = pytest.importorskip("openai")
    client = openai.OpenAI(base_url=simulated.openai_url, api_key="k")
    with peekr.span("GET /health", {"http.request.method": "GET"}):
        pass
    with peekr.span("GET /ask", {"http.request.method": "GET"}):
        client.embeddings.create(model="text-embedding-3-small", input="hi")
    assert names(filtered) == ["openai.embeddings", "GET /ask"]


def test_what_waits_and_what_is_remembered_is_bounded(
    filtered: Telemetry, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(only_llm, "MAX_WAITING", 2)
    monkeypatch.setattr(only_llm, "MAX_KNOWN", 50)
    tracer = filtered.tracer
    requests = [tracer.start_span(f"GET {n}", attributes=HTTP) for n in range(3)]
    for request in requests:
        request.end()
    for request in requests:
        context = otel_trace.set_span_in_context(request)
        tracer.start_span("chat m", context, attributes=CALL).end()
    assert sorted(set(names(filtered))) == ["GET 1", "GET 2", "chat m"]
    for _ in range(200):
        with tracer.start_as_current_span("a"), tracer.start_as_current_span("b"):
            pass
    stage: Any = peekr_filter(filtered)
    assert len(stage._parents) <= 50
    assert len(stage._marked) <= 50


def test_what_waits_is_bounded_in_characters(
    filtered: Telemetry, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(only_llm, "MAX_WAITING_CHARS", 2_000)
    for n in range(5):
        attributes = {**HTTP, "body": "x" * 700}
        filtered.tracer.start_span(f"GET {n}", attributes=attributes).end()
    stage: Any = peekr_filter(filtered)
    assert len(stage._waiting) == 1
    assert stage._chars < 2_000


def peekr_filter(telemetry: Telemetry) -> Any:
    from peekr import provider

    watching: Any = provider.joined(telemetry.provider).watching
    return watching.__self__


def test_called_again_without_it_all_is_stored(filtered: Telemetry) -> None:
    filtered.instrument()
    filtered.tracer.start_span("GET", attributes=HTTP).end()
    assert names(filtered) == ["GET"]


@needs_fork
def test_a_forks_child_does_not_wait_for_a_thread_of_the_parents(filtered: Telemetry) -> None:
    stage: Any = peekr_filter(filtered)
    filtered.tracer.start_span("GET", attributes=HTTP).end()

    def say() -> str:
        filtered.tracer.start_span("GET", attributes=HTTP).end()
        return str(len(stage._waiting))

    assert said_in_child(stage._lock, say) == "1"


def test_what_opentelemetry_makes_of_requests_is_left_out_unless_a_model_was_called(
    filtered: Telemetry, simulated: Any
) -> None:
    pytest.importorskip("fastapi")
    httpx = pytest.importorskip("httpx")
    openai = pytest.importorskip("openai")
    server_side = pytest.importorskip("opentelemetry.instrumentation.fastapi")
    from fastapi import FastAPI

    app = FastAPI()

    @app.get("/items")
    async def items() -> str:
        return "none"

    @app.get("/ask")
    async def ask() -> str:
        async with openai.AsyncOpenAI(base_url=simulated.openai_url, api_key="k") as client:
            await client.embeddings.create(model="text-embedding-3-small", input="hi")
        return "done"

    server_side.FastAPIInstrumentor.instrument_app(app, tracer_provider=filtered.provider)

    async def request() -> None:
        transport = httpx.ASGITransport(app)
        async with httpx.AsyncClient(transport=transport, base_url="http://app") as client:
            for path in ("/items", "/ask", "/items"):
                assert (await client.get(path)).status_code == 200

    asyncio.run(request())
    assert names(filtered) == ["openai.embeddings", "GET /ask"]
    assert len(filtered.spans) > 6
