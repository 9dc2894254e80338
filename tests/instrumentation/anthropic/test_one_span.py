"""One call is one span, in every exporter, whatever the SDK traces itself."""

from __future__ import annotations

import copy
import threading
from typing import Any, Callable, Dict, List, Optional, cast

import anthropic
import pytest
from opentelemetry import context as otel_context
from opentelemetry import trace as otel_trace
from opentelemetry.instrumentation.utils import suppress_instrumentation
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.sdk.trace.sampling import ALWAYS_OFF

import peekr
from simulated_providers import SimulatedProviders

from ...conftest import Telemetry, attributes_of
from .calls import ASK, SDK_TRACES_ITSELF, Calls, settled

self_tracing = pytest.mark.skipif(
    not SDK_TRACES_ITSELF, reason=f"anthropic {anthropic.__version__} does not trace itself"
)
COUNT: Dict[str, Any] = {key: ASK[key] for key in ("model", "messages")}
SDK_SCOPE = "com.anthropic.sdk.python"


class GlobalProvider:
    """Stands in for the application's global tracer provider, for one test."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self._patch = monkeypatch

    def set(self, provider: Optional[TracerProvider]) -> None:
        # The API sets it once a process; the SDK's tracers ask for it as this module does.
        self._patch.setattr(otel_trace, "_TRACER_PROVIDER", provider)


@pytest.fixture
def global_provider(monkeypatch: pytest.MonkeyPatch) -> GlobalProvider:
    return GlobalProvider(monkeypatch)


@pytest.fixture(params=["application's", "peekr's", "given"])
def setting(
    request: pytest.FixtureRequest, bare_telemetry: Telemetry, global_provider: GlobalProvider
) -> Telemetry:
    """Telemetry whose provider is the global one: joined, of Peekr's own kind, or only given."""
    if request.param == "peekr's":
        own = TracerProvider(
            resource=bare_telemetry.provider.resource.merge(
                type(bare_telemetry.provider.resource)({"telemetry.distro.name": "peekr"})
            ),
            shutdown_on_exit=False,
        )
        own.add_span_processor(SimpleSpanProcessor(bare_telemetry.exporter))
        bare_telemetry.provider = own
    if request.param != "given":
        global_provider.set(bare_telemetry.provider)
    return bare_telemetry


def scopes(telemetry: Telemetry) -> List[str]:
    return [
        span.instrumentation_scope.name for span in telemetry.spans if span.instrumentation_scope
    ]


def headers_since(simulated: SimulatedProviders, count: int) -> List[Dict[str, str]]:
    return [
        {name.lower(): value for name, value in request.headers.items()}
        for request in list(simulated.requests)[count:]
    ]


async def create(call: Calls) -> None:
    await call("messages.create", **ASK)


async def create_stream(call: Calls) -> None:
    await call.drain(await call("messages.create", **ASK, stream=True))


async def beta_create(call: Calls) -> None:
    await call("beta.messages.create", **ASK)


async def helper(call: Calls) -> None:
    async with call.entered(call.method("messages.stream")(**ASK)) as stream:
        await settled(stream.get_final_message())


async def beta_helper(call: Calls) -> None:
    if not hasattr(call.client.beta.messages, "stream"):
        pytest.skip(f"anthropic {anthropic.__version__} has no beta.messages.stream")
    async with call.entered(call.method("beta.messages.stream")(**ASK)) as stream:
        await call.drain(stream.text_stream)


async def parse(call: Calls) -> None:
    if not hasattr(call.client.messages, "parse"):
        pytest.skip(f"anthropic {anthropic.__version__} has no messages.parse")
    await call("messages.parse", **ASK)


async def raw(call: Calls) -> None:
    response = await call("messages.with_raw_response.create", **ASK)
    assert (await settled(response.parse())).content


async def streaming_raw(call: Calls) -> None:
    opening = call.method("messages.with_streaming_response.create")(**ASK)
    async with call.entered(opening) as response:
        assert (await settled(response.parse())).content


async def raw_stream(call: Calls) -> None:
    response = await call("messages.with_raw_response.create", **ASK, stream=True)
    await call.drain(await settled(response.parse()))


async def low_level(call: Calls) -> None:
    from anthropic.types import Message

    await settled(call.client.post("/v1/messages", body=dict(ASK), cast_to=Message))


WAYS: List[Callable[[Calls], Any]] = [
    create,
    create_stream,
    beta_create,
    helper,
    beta_helper,
    parse,
    raw,
    streaming_raw,
    raw_stream,
    low_level,
]


@pytest.mark.parametrize("order", ["client first", "peekr first"])
@pytest.mark.parametrize("way", WAYS, ids=lambda way: way.__name__)
async def test_call_has_one_span_and_sends_no_trace_context(
    way: Callable[[Calls], Any],
    order: str,
    mode: str,
    setting: Telemetry,
    simulated: SimulatedProviders,
):
    if order == "peekr first":
        setting.instrument()
    async with Calls(mode, simulated.anthropic_url) as call:
        if order == "client first":
            # The SDK gets its tracer with the first call.
            await call("messages.count_tokens", **COUNT)
            setting.exporter.clear()
            setting.instrument()
        count = len(simulated.requests)
        with setting.tracer.start_as_current_span("caller"):
            await way(call)
    caller = setting.spans.pop()
    assert caller.name == "caller"
    assert scopes(setting) == ["peekr.instrumentation.anthropic", "test"]
    span = setting.spans[0]
    assert span.name == "chat claude-test-1"
    assert span.parent is not None
    assert caller.context is not None
    assert span.parent.span_id == caller.context.span_id
    names = [record["name"] for record in setting.records]
    assert names == ["anthropic.messages", "caller"]
    (headers,) = headers_since(simulated, count)
    assert "traceparent" not in headers
    assert "baggage" not in headers


@self_tracing
async def test_calls_that_are_not_recorded_keep_the_sdks_span(
    mode: str,
    bare_telemetry: Telemetry,
    global_provider: GlobalProvider,
    simulated: SimulatedProviders,
):
    global_provider.set(bare_telemetry.provider)
    async with Calls(mode, simulated.anthropic_url) as call:
        bare_telemetry.instrument()
        count = len(simulated.requests)
        await call("messages.count_tokens", **COUNT)
        await create(call)
        with suppress_instrumentation():
            await create(call)
    names = [span.name for span in bare_telemetry.spans]
    assert names == [
        "anthropic.messages.count_tokens",
        "chat claude-test-1",
        "anthropic.messages.create",
    ]
    assert scopes(bare_telemetry)[0] == SDK_SCOPE
    # The application has a provider of its own: what the SDK sends for it stays as it was.
    sent = ["traceparent" in headers for headers in headers_since(simulated, count)]
    assert sent == [True, False, True]


@self_tracing
async def test_nothing_of_a_trace_is_sent_where_only_peekr_is_the_provider(
    mode: str, simulated: SimulatedProviders, bare_telemetry: Telemetry, global_provider: Any
):
    resource = type(bare_telemetry.provider.resource)({"telemetry.distro.name": "peekr"})
    bare_telemetry.provider = TracerProvider(resource=resource, shutdown_on_exit=False)
    bare_telemetry.provider.add_span_processor(SimpleSpanProcessor(bare_telemetry.exporter))
    global_provider.set(bare_telemetry.provider)
    bare_telemetry.instrument()
    count = len(simulated.requests)
    async with Calls(mode, simulated.anthropic_url) as call:
        await call("messages.count_tokens", **COUNT)
    assert scopes(bare_telemetry) == [SDK_SCOPE]
    (headers,) = headers_since(simulated, count)
    assert "traceparent" not in headers


@self_tracing
@pytest.mark.parametrize("derived", [False, True], ids=["client", "copy"])
@pytest.mark.parametrize("sampled", [True, False], ids=["sampled", "unsampled"])
async def test_user_who_asks_for_propagation_has_that_of_the_one_span(
    derived: bool,
    sampled: bool,
    mode: str,
    tmp_path: Any,
    global_provider: GlobalProvider,
    simulated: SimulatedProviders,
):
    telemetry = Telemetry(tmp_path, **({} if sampled else {"sampler": ALWAYS_OFF}))
    global_provider.set(telemetry.provider)
    telemetry.instrument()
    count = len(simulated.requests)
    option = {"propagation": True}
    async with Calls(mode, simulated.anthropic_url, open_telemetry=option) as call:
        if derived:
            call.client = call.client.with_options(max_retries=1)
            kept = {**call.client.open_telemetry, "conversation_id": "conv_1"}
            call.client = call.client.with_options(open_telemetry=kept)
        assert call.client.open_telemetry["propagation"] == True  # noqa: E712
        await create(call)
    (headers,) = headers_since(simulated, count)
    version, trace_id, span_id, flags = headers["traceparent"].split("-")
    assert version == "00"
    assert bool(int(flags, 16) & 1) is sampled
    if not sampled:
        assert not telemetry.spans
        return
    context = telemetry.span.context
    assert context is not None
    assert (int(trace_id, 16), int(span_id, 16)) == (context.trace_id, context.span_id)
    conversation = attributes_of(telemetry.span).get("gen_ai.conversation.id")
    assert conversation == ("conv_1" if derived else None)


@self_tracing
async def test_environment_may_ask_for_propagation_too(
    mode: str,
    telemetry: Telemetry,
    simulated: SimulatedProviders,
    monkeypatch: pytest.MonkeyPatch,
):
    monkeypatch.setenv("ANTHROPIC_OPEN_TELEMETRY_PROPAGATION", "true")
    count = len(simulated.requests)
    async with Calls(mode, simulated.anthropic_url) as call:
        await create(call)
    assert "traceparent" in headers_since(simulated, count)[0]


@self_tracing
@pytest.mark.parametrize(
    "option",
    [
        {},
        {"conversation_id": "conv_1"},
        {"propagation": False},
        {"propagation": True, "traces": False},
        {"traces": {"content_mode": "content"}},
        False,
    ],
    ids=str,
)
async def test_no_other_option_of_the_sdk_makes_a_second_span_or_sends_context(
    option: Any,
    mode: str,
    bare_telemetry: Telemetry,
    global_provider: GlobalProvider,
    simulated: SimulatedProviders,
):
    global_provider.set(bare_telemetry.provider)
    bare_telemetry.instrument()
    count = len(simulated.requests)
    async with Calls(mode, simulated.anthropic_url, open_telemetry=option) as call:
        await create(call)
    assert scopes(bare_telemetry) == ["peekr.instrumentation.anthropic"]
    assert "traceparent" not in headers_since(simulated, count)[0]


@self_tracing
async def test_spread_options_of_another_client_ask_for_nothing(
    mode: str, telemetry: Telemetry, simulated: SimulatedProviders
):
    count = len(simulated.requests)
    async with Calls(mode, simulated.anthropic_url) as call:
        option = {**call.client.open_telemetry, "conversation_id": "conv_1"}
        call.client = call.client.with_options(open_telemetry=option)
        await create(call)
    assert attributes_of(telemetry.span)["gen_ai.conversation.id"] == "conv_1"
    assert "traceparent" not in headers_since(simulated, count)[0]


def state_of(client: Any) -> Dict[str, Any]:
    state = cast("Dict[str, Any]", client.__dict__)
    return {name: copy.copy(value) for name, value in state.items() if name != "messages"}


@self_tracing
async def test_client_is_left_as_it_was(
    mode: str, bare_telemetry: Telemetry, global_provider: GlobalProvider, simulated: Any
):
    global_provider.set(bare_telemetry.provider)
    async with Calls(mode, simulated.anthropic_url) as call:
        await create(call)
        before = state_of(call.client)
        bare_telemetry.exporter.clear()
        bare_telemetry.instrument()
        await create(call)
        after = state_of(call.client)
        assert after.keys() == before.keys()
        assert after["_open_telemetry"] == before["_open_telemetry"]
        peekr.uninstrument()
        await create(call)
    assert [span.name for span in bare_telemetry.spans] == [
        "chat claude-test-1",
        "anthropic.messages.create",
    ]


async def test_unsampled_trace_has_no_span_and_the_caller_the_sdks_own_objects(
    mode: str, tmp_path: Any, global_provider: GlobalProvider, simulated: SimulatedProviders
):
    telemetry = Telemetry(tmp_path, sampler=ALWAYS_OFF)
    global_provider.set(telemetry.provider)
    telemetry.instrument()
    count = len(simulated.requests)
    async with Calls(mode, simulated.anthropic_url) as call:
        await create(call)
        stream = await call("messages.create", **ASK, stream=True)
        assert type(stream) is (anthropic.AsyncStream if call.is_async else anthropic.Stream)
        await call.drain(stream)
        await helper(call)
    assert not telemetry.spans
    assert not telemetry.records
    assert all("traceparent" not in headers for headers in headers_since(simulated, count))


async def test_every_exporter_of_the_provider_gets_one_span(
    mode: str,
    bare_telemetry: Telemetry,
    global_provider: GlobalProvider,
    simulated: SimulatedProviders,
):
    early, late = InMemorySpanExporter(), InMemorySpanExporter()
    bare_telemetry.provider.add_span_processor(SimpleSpanProcessor(early))
    global_provider.set(bare_telemetry.provider)
    bare_telemetry.instrument(storage="both", db_path=str(bare_telemetry.path.with_suffix(".db")))
    bare_telemetry.provider.add_span_processor(SimpleSpanProcessor(late))
    async with Calls(mode, simulated.anthropic_url) as call:
        await create(call)
    assert len(early.get_finished_spans()) == len(late.get_finished_spans()) == 1
    assert len(bare_telemetry.records) == 1
    import sqlite3

    with sqlite3.connect(bare_telemetry.path.with_suffix(".db")) as db:
        assert db.execute("SELECT name FROM spans").fetchall() == [("anthropic.messages",)]
    db.close()


def test_threads_that_share_a_client_have_one_span_a_call(
    bare_telemetry: Telemetry, global_provider: GlobalProvider, simulated: SimulatedProviders
):
    global_provider.set(bare_telemetry.provider)
    bare_telemetry.instrument()
    client = Calls("sync", simulated.anthropic_url).client

    def work(number: int) -> None:
        for _ in range(5):
            if number % 2:
                client.messages.create(**ASK)
            else:
                client.messages.count_tokens(**COUNT)

    threads = [threading.Thread(target=work, args=(number,)) for number in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    client.close()
    own = [scope for scope in scopes(bare_telemetry) if scope != SDK_SCOPE]
    assert own == ["peekr.instrumentation.anthropic"] * 15
    counted = [span.name for span in bare_telemetry.spans if "count_tokens" in span.name]
    assert len(counted) == (15 if SDK_TRACES_ITSELF else 0)


async def test_retries_are_one_span(mode: str, telemetry: Telemetry, simulated: Any):
    count = len(simulated.requests)
    model = f"claude-simulated-error-429-retried-{mode}"
    async with Calls(mode, simulated.anthropic_url, max_retries=2) as call:
        await call("messages.create", **{**ASK, "model": model})
    assert len(headers_since(simulated, count)) == 2
    assert telemetry.record["status"] == "ok"


async def test_context_is_the_callers_again_after_a_call(call: Calls, telemetry: Telemetry):
    before = otel_context.get_current()
    await create(call)
    await helper(call)
    assert otel_context.get_current() is before
    assert len(telemetry.spans) == 2
