"""`traceparent` in and out as OpenTelemetry does it, and none to the providers of models."""

from __future__ import annotations

import asyncio
from typing import Any, Dict, Iterator, List, Optional

import pytest
from opentelemetry import baggage, propagate
from opentelemetry import context as otel_context
from opentelemetry import trace as otel_trace
from opentelemetry.propagators.textmap import TextMapPropagator
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

import peekr

from .conftest import Telemetry

TRACED = ("traceparent", "tracestate", "baggage")
INCOMING = f"00-{'a' * 32}-{'b' * 16}-01"


def told(simulated: Any) -> List[Dict[str, str]]:
    """What of a trace each request told that the provider received."""
    return [
        {name.lower(): value for name, value in request.headers.items() if name.lower() in TRACED}
        for request in simulated.requests
    ]


@pytest.fixture
def client(simulated: Any, seen: List[Dict[str, str]]) -> Iterator[Any]:
    """A client whose requests are traced as instrumentations of HTTP clients do it."""
    openai = pytest.importorskip("openai")

    def on_request(request: Any) -> None:
        tracer = otel_trace.get_tracer("http")
        with tracer.start_as_current_span("POST"):
            headers = {"accept": request.headers["accept"]}
            propagate.inject(headers)
            request.headers.update(headers)
            seen.append({name: headers[name] for name in headers if name != "accept"})

    http = openai.DefaultHttpxClient(event_hooks={"request": [on_request]})
    with openai.OpenAI(base_url=simulated.openai_url, api_key="k", http_client=http) as made:
        yield made


@pytest.fixture
def seen() -> List[Dict[str, str]]:
    """What was to be told to the provider of each of the client's requests."""
    return []


@pytest.mark.parametrize("stream", [False, True])
def test_a_model_call_tells_the_provider_nothing_of_the_trace(
    telemetry: Telemetry, simulated: Any, client: Any, seen: List[Dict[str, str]], stream: bool
) -> None:
    before = len(simulated.requests)
    token = otel_context.attach(baggage.set_baggage("user", "ada"))
    try:
        with peekr.span("work"):
            answer = client.chat.completions.create(
                model="gpt-4o", messages=[{"role": "user", "content": "hi"}], stream=stream
            )
            if stream:
                list(answer)
            # Outside of the call everything is as ever.
            carrier: Dict[str, str] = {}
            propagate.inject(carrier)
    finally:
        otel_context.detach(token)
    assert told(simulated)[before:] == [{}]
    assert seen[0] == {}
    assert set(carrier) == {"traceparent", "baggage"}


def test_the_global_propagator_is_put_back(telemetry: Telemetry, client: Any) -> None:
    before = propagate.get_global_textmap()
    client.embeddings.create(model="text-embedding-3-small", input="hi")
    during = propagate.get_global_textmap()
    assert during.fields == before.fields
    peekr.uninstrument()
    assert propagate.get_global_textmap() is before
    assert during is not before


class _Own(TextMapPropagator):
    """A propagator that the application sets while Peekr is running."""

    def extract(self, carrier: Any, context: Any = None, getter: Any = None) -> Any:
        return context

    def inject(self, carrier: Any, context: Any = None, setter: Any = None) -> None:
        carrier["x-own"] = "1"

    @property
    def fields(self) -> Any:
        return {"x-own"}


def test_a_propagator_that_the_application_sets_later_is_silent_in_calls_too(
    telemetry: Telemetry, client: Any, seen: List[Dict[str, str]]
) -> None:
    before = propagate.get_global_textmap()
    client.embeddings.create(model="text-embedding-3-small", input="hi")
    own = _Own()
    propagate.set_global_textmap(own)
    try:
        client.embeddings.create(model="text-embedding-3-small", input="hi")
        assert seen == [{}, {}]
        carrier: Dict[str, str] = {}
        propagate.inject(carrier)
        assert carrier == {"x-own": "1"}
        peekr.uninstrument()
        assert propagate.get_global_textmap() is own
    finally:
        propagate.set_global_textmap(before)


def test_a_trace_goes_through_fastapi_and_httpx_as_opentelemetry_does_it(
    telemetry: Telemetry, simulated: Any, client: Any, seen: List[Dict[str, str]]
) -> None:
    pytest.importorskip("fastapi")
    httpx = pytest.importorskip("httpx")
    server_side = pytest.importorskip("opentelemetry.instrumentation.fastapi")
    client_side = pytest.importorskip("opentelemetry.instrumentation.httpx")
    from fastapi import FastAPI

    received: List[Optional[str]] = []
    inner, outer = FastAPI(), FastAPI()

    @inner.get("/inner")
    async def inner_route() -> str:
        client.embeddings.create(model="text-embedding-3-small", input="hi")
        return "done"

    @outer.get("/outer")
    async def outer_route() -> str:
        transport = client_side.AsyncOpenTelemetryTransport(
            httpx.ASGITransport(inner), tracer_provider=telemetry.provider
        )
        async with httpx.AsyncClient(transport=transport, base_url="http://inner") as http:
            answer = await http.get("/inner")
            received.append(answer.request.headers.get("traceparent"))
        return "done"

    for app in (inner, outer):
        server_side.FastAPIInstrumentor.instrument_app(app, tracer_provider=telemetry.provider)

    async def ask() -> None:
        transport = httpx.ASGITransport(outer)
        async with httpx.AsyncClient(transport=transport, base_url="http://outer") as http:
            await http.get("/outer", headers={"traceparent": INCOMING})

    before = len(simulated.requests)
    asyncio.run(ask())
    records = {
        record["name"]: record for record in telemetry.records if " http " not in record["name"]
    }
    assert {record["trace_id"] for record in records.values()} == {"a" * 32}
    assert records["GET /outer"]["parent_id"] == "b" * 16
    assert records["GET"]["parent_id"] == records["GET /outer"]["span_id"]
    assert records["GET /inner"]["parent_id"] == records["GET"]["span_id"]
    assert records["openai.embeddings"]["parent_id"] == records["GET /inner"]["span_id"]
    assert told(simulated)[before:] == [{}]
    assert seen == [{}]


def test_incoming_context_is_extracted_as_before(telemetry: Telemetry, client: Any) -> None:
    client.embeddings.create(model="text-embedding-3-small", input="hi")
    context = propagate.extract({"traceparent": INCOMING})
    expected = TraceContextTextMapPropagator().extract({"traceparent": INCOMING})
    found = otel_trace.get_current_span(context).get_span_context()
    assert found == otel_trace.get_current_span(expected).get_span_context()


@pytest.mark.parametrize("is_own", [True, False])
def test_another_instrumentation_of_the_sdk_can_carry_the_context_on(
    telemetry: Telemetry, simulated: Any, is_own: bool
) -> None:
    openai = pytest.importorskip("openai")
    carried: Dict[str, str] = {}

    def on_request(request: Any) -> None:
        if is_own:
            propagate.inject(carried)
            return
        tracer = telemetry.provider.get_tracer("theirs")
        with tracer.start_as_current_span("theirs", attributes={"gen_ai.operation.name": "chat"}):
            propagate.inject(carried)

    http = openai.DefaultHttpxClient(event_hooks={"request": [on_request]})
    with openai.OpenAI(base_url=simulated.openai_url, api_key="k", http_client=http) as client:
        client.embeddings.create(model="text-embedding-3-small", input="hi")
    assert set(carried) == {"traceparent"}
