"""Clients of other platforms, and the helpers that make several requests."""

from __future__ import annotations

import inspect
import json
from typing import Any, Dict, List

import anthropic
import pytest
from opentelemetry import trace as otel_trace

import peekr
from simulated_providers import SimulatedProviders

from ...conftest import Telemetry, attributes_of
from ...support.player import Player
from .calls import (
    ANSWER,
    ASK,
    Calls,
    answer,
    aws_events,
    body_of,
    event_bodies,
    events,
    settled,
    user,
)

HELLO: List[Any] = [({"type": "text", "text": ""}, [{"type": "text_delta", "text": "Hello"}])]
BEDROCK: Dict[str, Any] = {
    "cls": "AnthropicBedrock",
    "aws_region": "us-east-1",
    "aws_access_key": "test",
    "aws_secret_key": "test",
}
VERTEX: Dict[str, Any] = {
    "cls": "AnthropicVertex",
    "region": "us-east5",
    "project_id": "p1",
    "access_token": "test",
}
AWS_PATH = "/model/claude-test-1/invoke"
VERTEX_PATH = "/projects/p1/locations/us-east5/publishers/anthropic/models/claude-test-1:"


def on_platform(name: str, mode: str, url: str) -> Calls:
    options = dict(BEDROCK if name == "aws.bedrock" else VERTEX)
    if name == "aws.bedrock":
        pytest.importorskip("botocore")
    else:
        pytest.importorskip("google.auth")
    return Calls(mode, url, **options)


def played_for(name: str, streamed: bool) -> Any:
    bodies = event_bodies(HELLO)
    whole = body_of([{"type": "text", "text": "Hello"}])
    if name == "aws.bedrock":
        if streamed:
            return aws_events(*bodies, path=f"{AWS_PATH}-with-response-stream")
        return answer(whole, AWS_PATH)
    if streamed:
        return events(*bodies, path=f"{VERTEX_PATH}streamRawPredict")
    return answer(whole, f"{VERTEX_PATH}rawPredict")


platforms = pytest.mark.parametrize("name", ["aws.bedrock", "gcp.vertex_ai"])


def assert_hello(telemetry: Telemetry, provider: str) -> None:
    got = attributes_of(telemetry.span)
    assert got["gen_ai.provider.name"] == provider
    assert got["gen_ai.request.model"] == "claude-test-1"
    assert got["server.address"] == "127.0.0.1"
    attributes = telemetry.record["attributes"]
    assert telemetry.record["name"] == "anthropic.messages"
    assert attributes["output"] == "Hello"
    assert attributes["provider"] == provider
    assert (attributes["tokens_input"], attributes["tokens_output"]) == (10, 5)
    assert attributes["peekr.request.id"] in ("req_1", "aws_1")


@platforms
@pytest.mark.parametrize("api", ["messages", "beta.messages"])
@pytest.mark.parametrize("streamed", [False, True], ids=["plain", "streamed"])
async def test_client_of_a_platform_is_recorded_with_its_provider(
    name: str, api: str, streamed: bool, mode: str, telemetry: Telemetry
):
    with Player(played_for(name, streamed)) as player:
        async with on_platform(name, mode, player.url) as call:
            result = await call(f"{api}.create", **ASK, stream=streamed)
            if streamed:
                await call.drain(result)
        assert not player.unexpected
        assert "traceparent" not in player.requests[0].headers
    assert_hello(telemetry, name)


@platforms
async def test_helper_of_a_platforms_client_is_recorded(name: str, mode: str, telemetry: Telemetry):
    with Player(played_for(name, True)) as player:
        call = on_platform(name, mode, player.url)
        async with call, call.entered(call.method("messages.stream")(**ASK)) as stream:
            assert await settled(stream.get_final_text()) == "Hello"
    assert_hello(telemetry, name)


@platforms
@pytest.mark.parametrize("streamed", [False, True], ids=["plain", "streamed"])
@pytest.mark.parametrize("way", ["with_raw_response", "with_streaming_response"])
async def test_raw_response_of_a_platforms_client_is_recorded(
    name: str, way: str, streamed: bool, mode: str, telemetry: Telemetry
):
    with Player(played_for(name, streamed)) as player:
        async with on_platform(name, mode, player.url) as call:
            create = call.method(f"messages.{way}.create")
            if way == "with_raw_response":
                raw = await settled(create(**ASK, stream=streamed))
                parsed = await settled(raw.parse())
                if streamed:
                    await call.drain(parsed)
            else:
                async with call.entered(create(**ASK, stream=streamed)) as response:
                    read = await call.drain(response.iter_bytes())
                    assert b"".join(read)
    assert_hello(telemetry, name)


NEWER: Dict[str, Dict[str, Any]] = {
    "AnthropicBedrockMantle": {"aws_region": "us-east-1", "api_key": "test"},
    "AnthropicFoundry": {"api_key": "test"},
    "AnthropicAWS": {"aws_region": "us-east-1", "api_key": "test", "workspace_id": "w1"},
    "AnthropicGoogleCloud": {
        "project": "p1",
        "location": "us-east5",
        "workspace_id": "w1",
        "token_provider": lambda: "test",
    },
}


@pytest.mark.parametrize("cls", NEWER)
@pytest.mark.parametrize("api", ["messages", "beta.messages"])
async def test_client_of_a_newer_platform_is_recorded(
    cls: str, api: str, mode: str, telemetry: Telemetry, simulated: SimulatedProviders
):
    if not hasattr(anthropic, cls):
        pytest.skip(f"anthropic {anthropic.__version__} has no {cls}")
    async with Calls(mode, simulated.anthropic_url, cls=cls, **NEWER[cls]) as call:
        made = await call(f"{api}.create", **ASK)
        await call.drain(await call(f"{api}.create", **ASK, stream=True))
        async with call.entered(call.method(f"{api}.stream")(**ASK)) as stream:
            assert await settled(stream.get_final_text()) == ANSWER
    assert made.content[0].text == ANSWER
    # As the SDK's own tracing has it, which tells Bedrock and Vertex AI alone.
    provider = "aws.bedrock" if "Bedrock" in cls else "anthropic"
    assert [record["name"] for record in telemetry.records] == ["anthropic.messages"] * 3
    for record in telemetry.records:
        assert record["attributes"]["provider"] == provider
        assert record["attributes"]["output"] == ANSWER
        assert record["attributes"]["tokens_input"]


async def test_calls_over_aiohttp_are_recorded_once(
    telemetry: Telemetry, simulated: SimulatedProviders
):
    if not hasattr(anthropic, "DefaultAioHttpClient"):
        pytest.skip(f"anthropic {anthropic.__version__} has no client over aiohttp")
    try:
        http_client: Any = anthropic.DefaultAioHttpClient()
    except RuntimeError as error:
        pytest.skip(str(error))
    async with Calls("async", simulated.anthropic_url, http_client=http_client) as call:
        await call("messages.create", **ASK)
        async with call.entered(call.method("messages.stream")(**ASK)) as stream:
            assert await settled(stream.get_final_text()) == ANSWER
        streamed = call.method("messages.with_streaming_response.create")(**ASK, stream=True)
        async with call.entered(streamed) as response:
            assert b"".join(await call.drain(response.iter_bytes()))
        raw = await call("messages.with_raw_response.create", **ASK)
        assert (await settled(raw.parse())).content[0].text == ANSWER
    assert [record["name"] for record in telemetry.records] == ["anthropic.messages"] * 4
    assert [record["attributes"]["output"] for record in telemetry.records] == [ANSWER] * 4


@pytest.mark.parametrize("path", ["/v1/messages", "v1/messages", "/v1/messages?beta=true"])
async def test_post_of_the_client_itself_is_recorded(path: str, call: Calls, telemetry: Telemetry):
    made = await settled(call.client.post(path, body=ASK, cast_to=anthropic.types.Message))
    assert made.content[0].text == ANSWER
    assert [record["name"] for record in telemetry.records] == ["anthropic.messages"]


async def test_client_made_before_instrument_is_recorded(
    mode: str, bare_telemetry: Telemetry, simulated: SimulatedProviders
):
    async with Calls(mode, simulated.anthropic_url) as call:
        messages, beta = call.client.messages, call.client.beta.messages
        raw = messages.with_raw_response
        bare_telemetry.instrument()
        for create in (messages.create, beta.create, raw.create):
            await settled(create(**ASK))
    assert [record["name"] for record in bare_telemetry.records] == ["anthropic.messages"] * 3


async def test_subclass_of_a_client_is_recorded(mode: str, telemetry: Telemetry, simulated: Any):
    class Ours(anthropic.Anthropic):
        """An application's own client."""

    class OursAsync(anthropic.AsyncAnthropic):
        """And its asynchronous one."""

    cls: Any = Ours if mode == "sync" else OursAsync
    client = cls(base_url=simulated.anthropic_url, api_key="test", max_retries=0)
    await settled(client.messages.create(**ASK))
    await settled(client.close())
    assert telemetry.record["attributes"]["provider"] == "anthropic"


def test_methods_keep_their_signatures(bare_telemetry: Telemetry):
    from anthropic.resources.messages import Messages

    signatures = [inspect.signature(getattr(Messages, name)) for name in ("create", "stream")]
    request = inspect.signature(anthropic.Anthropic.request)
    bare_telemetry.instrument()
    assert [inspect.signature(getattr(Messages, n)) for n in ("create", "stream")] == signatures
    assert inspect.signature(anthropic.Anthropic.request) == request
    assert inspect.iscoroutinefunction(anthropic.AsyncAnthropic.request)


def test_uninstrument_puts_the_sdks_own_methods_back(bare_telemetry: Telemetry):
    before = anthropic.Anthropic.request, anthropic.AsyncAnthropic.request
    bare_telemetry.instrument()
    assert anthropic.Anthropic.request is not before[0]
    peekr.uninstrument()
    assert (anthropic.Anthropic.request, anthropic.AsyncAnthropic.request) == before


def _passes_parents_on() -> bool:
    """Whether a span of no provider leaves its parent current, which older OpenTelemetry does not.

    The SDK makes spans of its own for tools current, through the global provider alone; the tests
    have none.
    """
    parent = otel_trace.NonRecordingSpan(
        otel_trace.SpanContext(trace_id=1, span_id=1, is_remote=False)
    )
    context = otel_trace.set_span_in_context(parent)
    span = otel_trace.NoOpTracer().start_span("none", context)
    return span.get_span_context().is_valid


@pytest.mark.parametrize("streamed", [False, True], ids=["plain", "streamed"])
async def test_tool_runner_has_one_span_a_request(
    streamed: bool, mode: str, telemetry: Telemetry, simulated: SimulatedProviders
):
    if not hasattr(anthropic, "beta_tool"):
        pytest.skip(f"anthropic {anthropic.__version__} has no tool runner")
    asked: List[str] = []

    def get_weather(location: str) -> str:
        """Tell the weather.

        Args:
            location: Where.
        """
        asked.append(location)
        return "sunny"

    async def get_weather_async(location: str) -> str:
        """Tell the weather.

        Args:
            location: Where.
        """
        return get_weather(location)

    tool: Any = (
        anthropic.beta_tool(get_weather)
        if mode == "sync"
        else anthropic.beta_async_tool(name="get_weather")(get_weather_async)
    )
    arguments: Dict[str, Any] = {**ASK, "messages": user("What is the weather in Paris?")}
    async with Calls(mode, simulated.anthropic_url) as call:
        with telemetry.tracer.start_as_current_span("caller"):
            tool_runner = call.client.beta.messages.tool_runner
            if "thread" in inspect.signature(tool_runner).parameters:
                arguments["thread"] = False  # each request with the whole history
            runner = tool_runner(**arguments, tools=[tool], stream=streamed)
            await call.drain(runner)
    assert asked == ["Paris"]
    records = [r for r in telemetry.records if r["name"] == "anthropic.messages"]
    assert [record["attributes"]["finish_reasons"] for record in records] == [
        ["tool_use"],
        ["end_turn"],
    ]
    assert records[0]["attributes"]["tool_calls"][0]["arguments"] == {"location": "Paris"}
    if _passes_parents_on():
        assert len({record["trace_id"] for record in records}) == 1
    last = json.loads(attributes_of(spans_of(telemetry)[-1])["gen_ai.input.messages"])[-1]
    assert last["role"] == "tool"


def spans_of(telemetry: Telemetry) -> List[Any]:
    return [span for span in telemetry.spans if span.name.startswith("chat ")]


async def test_parsed_output_is_recorded_as_the_text_it_was(call: Calls, telemetry: Telemetry):
    if not hasattr(call.client.messages, "parse"):
        pytest.skip(f"anthropic {anthropic.__version__} has no messages.parse")
    from pydantic import BaseModel

    class Place(BaseModel):
        name: str

    message = await call("messages.parse", **ASK, output_format=Place)
    assert type(message.parsed_output) is Place
    got = attributes_of(telemetry.span)
    assert got["gen_ai.output.type"] == "json"
    parameters = json.loads(got["peekr.request.parameters"])
    assert parameters["output_config"]["format"]["type"] == "json_schema"
    assert (
        json.loads(telemetry.record["attributes"]["output"]) == message.parsed_output.model_dump()
    )


async def test_message_thread_is_recorded_request_by_request(call: Calls, telemetry: Telemetry):
    if not hasattr(call.client.beta.messages, "thread"):
        pytest.skip(f"anthropic {anthropic.__version__} has no message threads")
    thread = call.client.beta.messages.thread(model="claude-test-1", max_tokens=64)
    await settled(thread.send({"role": "user", "content": "hi there"}))
    assert [record["name"] for record in telemetry.records] == ["anthropic.messages"]
