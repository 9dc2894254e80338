from __future__ import annotations

import asyncio
import inspect
import json
from typing import Any, Iterator, List

import pytest

from simulated_providers import SimulatedProviders

anthropic = pytest.importorskip("anthropic")

# The SDK warns of retired models, and of its own way to use aiohttp.
pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")

WEATHER_TOOL = {
    "name": "get_weather",
    "input_schema": {
        "type": "object",
        "properties": {"location": {"type": "string"}},
        "required": ["location"],
    },
}
QUESTION = "What is the weather in Seattle and San Francisco?"


@pytest.fixture
def providers() -> Iterator[SimulatedProviders]:
    with SimulatedProviders() as started:
        yield started


class Calls:
    """`messages.create`, sync or async; streams come back as lists."""

    def __init__(self, url: str, mode: str, **options: Any) -> None:
        self.mode = mode
        self.options = {"base_url": url, "api_key": "simulated", "max_retries": 0, **options}

    def create(self, **arguments: Any) -> Any:
        arguments = {"model": "claude-sonnet-4-5", "max_tokens": 1024, **arguments}
        if self.mode == "async":
            return asyncio.run(self._create_async(arguments))
        with anthropic.Anthropic(**self.options) as client:
            result = client.messages.create(**arguments)
            return list(result) if arguments.get("stream") else result

    async def _create_async(self, arguments: Any) -> Any:
        async with anthropic.AsyncAnthropic(**self.options) as client:
            result = await client.messages.create(**arguments)
            return [event async for event in result] if arguments.get("stream") else result


@pytest.fixture(params=["sync", "async"])
def calls(providers: SimulatedProviders, request: pytest.FixtureRequest) -> Calls:
    return Calls(providers.anthropic_url, request.param)


def user(content: Any) -> Any:
    return [{"role": "user", "content": content}]


def test_message_answers_and_counts(calls: Calls):
    reply = calls.create(messages=user("Say this is a test"), system="Be short.")
    assert [block.text for block in reply.content] == ["This is a test."]
    assert reply.stop_reason == "end_turn"
    assert (reply.usage.input_tokens, reply.usage.output_tokens) == (7, 4)


def test_stream_has_the_events_of_the_service_and_the_text_of_a_plain_call(calls: Calls):
    events = calls.create(messages=user("Say this is a test"), stream=True)
    assert [event.type for event in events if event.type != "content_block_delta"] == [
        "message_start",
        "content_block_start",
        "ping",
        "content_block_stop",
        "message_delta",
        "message_stop",
    ] or "ping" not in [event.type for event in events]  # some versions of the SDK keep pings
    text = "".join(e.delta.text for e in events if e.type == "content_block_delta")
    assert text == "This is a test."
    assert events[-2].usage.output_tokens == 4


def has(method: str, parameter: str = "messages") -> bool:
    """Whether this version of the SDK knows a method of `messages`, and a parameter of it."""
    known = getattr(anthropic.resources.Messages, method, None)
    return known is not None and parameter in inspect.signature(known).parameters


@pytest.mark.skipif(not has("stream", "thinking"), reason="an SDK from before thinking")
def test_stream_helper_puts_tools_and_thinking_together(providers: SimulatedProviders):
    client = anthropic.Anthropic(base_url=providers.anthropic_url, api_key="simulated")
    with (
        client,
        client.messages.stream(
            model="claude-sonnet-4-5",
            max_tokens=2048,
            messages=user(QUESTION),
            tools=[WEATHER_TOOL],
            thinking={"type": "enabled", "budget_tokens": 1024},
        ) as stream,
    ):
        final = stream.get_final_message()
    assert [block.type for block in final.content] == ["thinking", "tool_use", "tool_use"]
    assert final.content[0].thinking.startswith("The user wants to know")
    assert final.content[1].input == {"location": "Seattle"}
    assert final.stop_reason == "tool_use"


def test_tool_results_are_answered(calls: Calls):
    asked = user(QUESTION)
    first = calls.create(messages=asked, tools=[WEATHER_TOOL])
    uses = [block for block in first.content if block.type == "tool_use"]
    assert [use.input["location"] for use in uses] == ["Seattle", "San Francisco"]
    results: List[Any] = [
        {"type": "tool_result", "tool_use_id": use.id, "content": "rain"} for use in uses
    ]
    said = [block.model_dump() for block in first.content]
    messages = [*asked, {"role": "assistant", "content": said}, *user(results)]
    second = calls.create(messages=messages, tools=[WEATHER_TOOL])
    assert second.content[0].text == "Here is what I found: rain; rain"


def test_marked_prompt_is_written_to_the_cache_and_then_read(calls: Calls):
    manual = "All about telemetry. " * 300
    system = [{"type": "text", "text": manual, "cache_control": {"type": "ephemeral"}}]
    first, second = (calls.create(system=system, messages=user("Say hi")).usage for _ in range(2))
    assert first.cache_creation_input_tokens == second.cache_read_input_tokens == 1575
    assert first.cache_read_input_tokens == second.cache_creation_input_tokens == 0
    assert first.input_tokens == second.input_tokens > 0


def test_limits_and_stop_sequences_end_the_answer(calls: Calls):
    cut = calls.create(messages=user("Say this is a test"), max_tokens=2)
    assert (cut.content[0].text, cut.stop_reason) == ("This is ", "max_tokens")
    stopped = calls.create(messages=user("Say this is a test"), stop_sequences=[" a"])
    assert (stopped.content[0].text, stopped.stop_sequence) == ("This is", " a")


def test_requests_are_refused_as_the_service_does(calls: Calls):
    with pytest.raises(anthropic.NotFoundError, match="model: no-such"):
        calls.create(model="no-such", messages=user("hi"))
    with pytest.raises(anthropic.BadRequestError, match="at least one message"):
        calls.create(messages=[])
    with pytest.raises(anthropic.BadRequestError, match="role: Input should be"):
        calls.create(messages=[{"role": "system", "content": "hi"}])
    with pytest.raises(anthropic.BadRequestError, match="unexpected `tool_use_id`"):
        calls.create(messages=user([{"type": "tool_result", "tool_use_id": "x", "content": "hi"}]))
    with pytest.raises(anthropic.APIStatusError) as overloaded:
        calls.create(model="simulated-error-529", messages=user("hi"))
    assert overloaded.value.status_code == 529


@pytest.mark.parametrize("mode", ["sync", "async"])
def test_rate_limit_passes_on_the_retry(providers: SimulatedProviders, mode: str):
    calls = Calls(providers.anthropic_url, mode, max_retries=1)
    reply = calls.create(model="simulated-error-429", messages=user("Say hi"))
    assert reply.content[0].text == "Hi."
    assert len(providers.requests) == 2


def test_streams_break_on_demand(calls: Calls):
    asked = {"messages": user("Say one two three four"), "stream": True}
    with pytest.raises(anthropic.APIStatusError, match="Overloaded"):
        calls.create(model="simulated-stream-error", **asked)
    with pytest.raises(Exception, match=r"incomplete chunked read|peer closed|Connection error"):
        calls.create(model="simulated-stream-cut", **asked)


@pytest.mark.skipif(not has("count_tokens"), reason="an SDK from before token counting")
def test_tokens_are_counted_without_an_answer(providers: SimulatedProviders):
    with anthropic.Anthropic(base_url=providers.anthropic_url, api_key="simulated") as client:
        counted = client.messages.count_tokens(
            model="claude-sonnet-4-5", messages=user("Say this is a test")
        )
    assert counted.input_tokens == 5


def test_answer_follows_a_json_schema(calls: Calls):
    schema = {"type": "object", "properties": {"score": {"type": "number", "minimum": 0}}}
    form = {"format": {"type": "json_schema", "schema": schema}}
    reply = calls.create(messages=user("Say hi"), extra_body={"output_config": form})
    assert json.loads(reply.content[0].text) == {"score": 0.5}
