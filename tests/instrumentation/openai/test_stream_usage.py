"""Token counts of streams on request: asked for where the user opted in, hidden from the caller."""

from __future__ import annotations

from typing import Any, Dict, List

import openai
import pytest

import peekr
from peekr.instrumentation.openai import OpenAIInstrumentor
from simulated_providers import SimulatedProviders

from ...conftest import Telemetry, attributes_of
from .calls import CHAT, Calls, settled


@pytest.fixture
def opted_in(bare_telemetry: Telemetry, monkeypatch: pytest.MonkeyPatch) -> Telemetry:
    monkeypatch.setenv("PEEKR_OPENAI_STREAM_USAGE", "true")
    bare_telemetry.instrument()
    return bare_telemetry


def last_body(simulated: SimulatedProviders) -> Dict[str, Any]:
    body = simulated.requests[-1].body
    assert body is not None
    return body


def assert_counted(telemetry: Telemetry) -> None:
    got = telemetry.record["attributes"]
    assert got["tokens_input"] > 0
    assert got["tokens_output"] > 0
    assert got["output"] == "This is a simulated answer to: hi there"
    assert "stream_options" not in got.get("peekr.request.parameters", {})


async def test_usage_is_recorded_and_its_chunk_hidden(
    call: Calls, opted_in: Telemetry, simulated: SimulatedProviders
):
    stream = await call("chat.completions.create", **CHAT, stream=True)
    chunks = await call.drain(stream)
    assert last_body(simulated)["stream_options"] == {"include_usage": True}
    assert len(chunks) == 10
    assert all(chunk.choices and chunk.usage is None for chunk in chunks)
    assert_counted(opted_in)


async def test_usage_chunk_is_hidden_from_next(call: Calls, opted_in: Telemetry):
    stream = await call("chat.completions.create", **CHAT, stream=True)
    await call.take(stream, 10)
    assert not opted_in.spans
    assert await call.drain(stream) == []
    assert_counted(opted_in)


async def test_usage_chunk_is_hidden_in_the_stream_helper(call: Calls, opted_in: Telemetry):
    chat = call.client.chat.completions
    chat = chat if hasattr(chat, "stream") else call.client.beta.chat.completions
    async with call.entered(chat.stream(**CHAT)) as stream:
        seen = await call.drain(stream)
        final = await settled(stream.get_final_completion())
    assert all(event.chunk.usage is None for event in seen if event.type == "chunk")
    assert final.usage is None
    assert_counted(opted_in)


async def test_usage_of_text_completions_is_recorded(call: Calls, opted_in: Telemetry):
    stream = await call("completions.create", model="gpt-4o", prompt="hi there", stream=True)
    assert all(chunk.choices for chunk in await call.drain(stream))
    assert_counted(opted_in)


STATED: List[Dict[str, Any]] = [
    {"stream_options": {"include_usage": False}},
    {"stream_options": {"include_usage": True}},
    {"stream_options": {}},
    {"extra_body": {"stream_options": {"include_usage": True}}},
]


@pytest.mark.parametrize("stated", STATED, ids=["false", "true", "empty", "extra body"])
async def test_nothing_is_changed_where_the_caller_says_what_it_wants(
    stated: Dict[str, Any], call: Calls, opted_in: Telemetry, simulated: SimulatedProviders
):
    stream = await call("chat.completions.create", **CHAT, stream=True, **stated)
    chunks = await call.drain(stream)
    options = {**stated, **stated.get("extra_body", {})}["stream_options"]
    assert last_body(simulated)["stream_options"] == options
    wants = options.get("include_usage") is True
    assert len(chunks) == (11 if wants else 10)
    assert ("tokens_input" in opted_in.record["attributes"]) == wants


@pytest.mark.parametrize("raw", ["with_raw_response", "with_streaming_response"])
async def test_raw_streams_are_left_alone(
    raw: str, call: Calls, opted_in: Telemetry, simulated: SimulatedProviders
):
    made = getattr(call.client.chat.completions, raw).create(**CHAT, stream=True)
    if raw == "with_raw_response":
        await call.drain((await settled(made)).parse())
    else:
        async with call.entered(made) as response:
            await call.drain(await settled(response.parse()))
    assert "stream_options" not in last_body(simulated)
    assert len(opted_in.spans) == 1


async def test_calls_that_do_not_stream_are_left_alone(
    call: Calls, opted_in: Telemetry, simulated: SimulatedProviders
):
    await call("chat.completions.create", **CHAT)
    assert last_body(simulated) == CHAT
    await call("chat.completions.create", **CHAT, stream=False)
    assert last_body(simulated) == {**CHAT, "stream": False}


@pytest.mark.parametrize("value", ["", "false", "0", "no"])
async def test_nothing_is_injected_without_opting_in(
    value: str,
    call: Calls,
    bare_telemetry: Telemetry,
    simulated: SimulatedProviders,
    monkeypatch: pytest.MonkeyPatch,
):
    monkeypatch.setenv("PEEKR_OPENAI_STREAM_USAGE", value)
    bare_telemetry.instrument()
    await call.drain(await call("chat.completions.create", **CHAT, stream=True))
    assert last_body(simulated) == {**CHAT, "stream": True}
    assert "tokens_input" not in bare_telemetry.record["attributes"]


async def test_instrumentor_takes_the_option(
    call: Calls, bare_telemetry: Telemetry, simulated: SimulatedProviders
):
    instrumentor = OpenAIInstrumentor()
    instrumentor.instrument(tracer_provider=bare_telemetry.provider, stream_usage=True)
    chunks = await call.drain(await call("chat.completions.create", **CHAT, stream=True))
    assert len(chunks) == 10
    assert attributes_of(bare_telemetry.span)["gen_ai.usage.output_tokens"] > 0
    # Peekr's own set-up afterwards keeps what was asked for.
    bare_telemetry.instrument()
    await call.drain(await call("chat.completions.create", **CHAT, stream=True))
    assert "stream_options" in last_body(simulated)
    # It ends with the instrumentation.
    peekr.uninstrument()
    bare_telemetry.instrument()
    await call.drain(await call("chat.completions.create", **CHAT, stream=True))
    assert "stream_options" not in last_body(simulated)


async def test_azure_is_asked_too(mode: str, opted_in: Telemetry, simulated: SimulatedProviders):
    kind = openai.AzureOpenAI if mode == "sync" else openai.AsyncAzureOpenAI
    async with Calls(
        mode, None, cls=kind, azure_endpoint=simulated.url, api_version="2024-10-21"
    ) as call:
        await call.drain(await call("chat.completions.create", **CHAT, stream=True))
    assert last_body(simulated)["stream_options"] == {"include_usage": True}
    assert_counted(opted_in)
