from __future__ import annotations

import asyncio
import json
import subprocess
import sys
from pathlib import Path
from typing import Any, AsyncIterator, Callable, Iterator, List

import pytest

from simulated_providers import SimulatedProviders

EXAMPLES = Path(__file__).parent.parent / "examples"
QUESTION = "What is the weather in Seattle and San Francisco?"
WEATHER_SCHEMA = {
    "type": "object",
    "properties": {"location": {"type": "string"}, "unit": {"enum": ["celsius", "fahrenheit"]}},
    "required": ["location", "unit"],
}
SEATTLE = {"location": "Seattle", "unit": "celsius"}
SAN_FRANCISCO = {"location": "San Francisco", "unit": "celsius"}


@pytest.fixture
def providers() -> Iterator[SimulatedProviders]:
    with SimulatedProviders() as started:
        yield started


def run(call: Callable[[], Any]) -> Any:
    """Run a coroutine function to its end in a loop of its own."""
    return asyncio.run(call())


class OpenAICalls:
    """The same calls for the sync and the async client; streams come back as lists."""

    def __init__(self, url: str, mode: str, **options: Any) -> None:
        self.openai = pytest.importorskip("openai")
        self.mode = mode
        self.options = {"base_url": url, "api_key": "simulated", "max_retries": 0, **options}

    def __call__(self, method: str, **arguments: Any) -> Any:
        if self.mode == "sync":
            with self.openai.OpenAI(**self.options) as client:
                result = _method(client, method)(**arguments)
                return list(result) if arguments.get("stream") else result
        return run(lambda: self._call_async(method, arguments))

    async def _call_async(self, method: str, arguments: Any) -> Any:
        async with self.openai.AsyncOpenAI(**self.options) as client:
            result: Any = await _method(client, method)(**arguments)
            return await gather(result) if arguments.get("stream") else result


def _method(client: Any, path: str) -> Callable[..., Any]:
    for name in path.split("."):
        client = getattr(client, name)
    return client


async def gather(stream: AsyncIterator[Any]) -> List[Any]:
    return [item async for item in stream]


@pytest.fixture(params=["sync", "async"])
def openai_call(providers: SimulatedProviders, request: pytest.FixtureRequest) -> OpenAICalls:
    return OpenAICalls(providers.openai_url, request.param)


def user(text: str) -> Any:
    return [{"role": "user", "content": text}]


CHAT_TOOLS: Any = [
    {"type": "function", "function": {"name": "get_weather", "parameters": WEATHER_SCHEMA}}
]


def test_openai_chat_answers_and_counts(openai_call: OpenAICalls):
    reply = openai_call(
        "chat.completions.create", model="gpt-4o-mini", messages=user("Say this is a test")
    )
    assert reply.choices[0].message.content == "This is a test."
    assert reply.choices[0].finish_reason == "stop"
    assert reply.model == "gpt-4o-mini-2024-07-18"
    assert (reply.usage.prompt_tokens, reply.usage.completion_tokens) == (5, 4)
    assert reply.usage.total_tokens == 9


def test_openai_chat_streams_the_same_answer_with_usage_when_asked(openai_call: OpenAICalls):
    asked = {"model": "gpt-4o-mini", "messages": user("Say this is a test"), "stream": True}
    plain = openai_call("chat.completions.create", **asked)
    with_usage = openai_call(
        "chat.completions.create", **asked, stream_options={"include_usage": True}
    )
    for chunks in (plain, with_usage):
        text = "".join(c.choices[0].delta.content or "" for c in chunks if c.choices)
        assert text == "This is a test."
    assert all(chunk.usage is None for chunk in plain)
    assert with_usage[-1].choices == []
    assert with_usage[-1].usage.total_tokens == 9


def test_openai_chat_calls_the_weather_tool_once_a_place_then_answers(openai_call: OpenAICalls):
    first = openai_call(
        "chat.completions.create", model="gpt-4o", messages=user(QUESTION), tools=CHAT_TOOLS
    )
    calls = first.choices[0].message.tool_calls
    assert first.choices[0].finish_reason == "tool_calls"
    assert [json.loads(call.function.arguments) for call in calls] == [SEATTLE, SAN_FRANCISCO]
    results = [
        {"role": "tool", "tool_call_id": call.id, "content": f"{number} degrees"}
        for number, call in enumerate(calls)
    ]
    second = openai_call(
        "chat.completions.create",
        model="gpt-4o",
        messages=[*user(QUESTION), first.choices[0].message.model_dump(), *results],
        tools=CHAT_TOOLS,
    )
    assert second.choices[0].message.content == "Here is what I found: 0 degrees; 1 degrees"


def test_openai_chat_streams_tool_calls_in_pieces(openai_call: OpenAICalls):
    chunks = openai_call(
        "chat.completions.create",
        model="gpt-4o",
        messages=user(QUESTION),
        tools=CHAT_TOOLS,
        stream=True,
    )
    arguments = {0: "", 1: ""}
    for chunk in chunks:
        calls: List[Any] = chunk.choices[0].delta.tool_calls or []
        for call in calls:
            arguments[call.index] += call.function.arguments
    assert [json.loads(text) for text in arguments.values()] == [SEATTLE, SAN_FRANCISCO]
    assert chunks[-1].choices[0].finish_reason == "tool_calls"


def test_openai_chat_follows_a_json_schema(openai_call: OpenAICalls):
    pydantic = pytest.importorskip("pydantic")
    now = hasattr(pytest.importorskip("openai.resources.chat").Completions, "parse")
    parse = "chat.completions.parse" if now else "beta.chat.completions.parse"  # before 1.92
    verdict = pydantic.create_model("Verdict", score=(float, ...), reasons=(List[str], ...))
    reply = openai_call(
        parse,
        model="gpt-4o",
        messages=user("Say good"),
        response_format=verdict,
    )
    parsed = reply.choices[0].message.parsed
    assert (parsed.score, parsed.reasons) == (0.5, ["Good."])


def test_openai_reports_cached_and_reasoning_tokens(openai_call: OpenAICalls):
    messages = user("word " * 2000)
    first, second = (
        openai_call("chat.completions.create", model="o3-mini", messages=messages).usage
        for _ in range(2)
    )
    assert first.prompt_tokens_details.cached_tokens == 0
    assert second.prompt_tokens_details.cached_tokens == 2432
    assert 0 < first.completion_tokens_details.reasoning_tokens < first.completion_tokens


def test_openai_length_limit_cuts_the_answer(openai_call: OpenAICalls):
    reply = openai_call(
        "chat.completions.create", model="gpt-4o", messages=user("Say this is a test"), max_tokens=2
    )
    assert reply.choices[0].message.content == "This is "
    assert reply.choices[0].finish_reason == "length"


def test_openai_responses_answer_call_tools_and_reason(openai_call: OpenAICalls):
    plain = openai_call("responses.create", model="gpt-4o", input="Say this is a test")
    assert (plain.output_text, plain.status) == ("This is a test.", "completed")
    assert plain.usage.total_tokens == plain.usage.input_tokens + plain.usage.output_tokens
    tools = [{"type": "function", "name": "get_weather", "parameters": WEATHER_SCHEMA}]
    called = openai_call(
        "responses.create",
        model="o3-mini",
        input=user(QUESTION),
        tools=tools,
        reasoning={"effort": "low", "summary": "auto"},
    )
    assert [item.type for item in called.output] == ["reasoning"] + ["function_call"] * 2
    assert json.loads(called.output[1].arguments) == SEATTLE
    outputs = [
        {"type": "function_call_output", "call_id": item.call_id, "output": "rain"}
        for item in called.output[1:]
    ]
    given = [*user(QUESTION), *(item.model_dump() for item in called.output), *outputs]
    final = openai_call("responses.create", model="gpt-4o", input=given, tools=tools)
    assert final.output_text == "Here is what I found: rain; rain"


def test_openai_responses_stream_ends_with_what_a_plain_call_gives(openai_call: OpenAICalls):
    asked = {"model": "gpt-4o", "input": "Say this is a test"}
    plain = openai_call("responses.create", **asked)
    events = openai_call("responses.create", **asked, stream=True)
    assert [event.sequence_number for event in events] == list(range(len(events)))
    assert [event.type for event in events if "delta" not in event.type] == [
        "response.created",
        "response.in_progress",
        "response.output_item.added",
        "response.content_part.added",
        "response.output_text.done",
        "response.content_part.done",
        "response.output_item.done",
        "response.completed",
    ]
    assert events[-1].response.output_text == plain.output_text
    assert events[-1].response.usage == plain.usage


def test_openai_embeddings_are_unit_vectors_alike_for_alike_texts(openai_call: OpenAICalls):
    for encoding in ("float", "base64", None):
        reply = openai_call(
            "embeddings.create",
            model="text-embedding-3-small",
            input=["red apple", "red apples", "blue car"],
            **({"encoding_format": encoding} if encoding else {}),
        )
        assert reply.usage.total_tokens == 8
        assert len(reply.data) == 3
        if encoding != "base64":
            vectors = [item.embedding for item in reply.data]
            assert len(vectors[0]) == 1536
            assert abs(sum(x * x for x in vectors[0]) - 1.0) < 1e-6
            assert dot(vectors[0], vectors[1]) > dot(vectors[0], vectors[2])


def dot(left: List[float], right: List[float]) -> float:
    return sum(a * b for a, b in zip(left, right))


def test_openai_legacy_completions(openai_call: OpenAICalls):
    asked = {"model": "gpt-3.5-turbo-instruct", "prompt": "Say this is a test"}
    assert openai_call("completions.create", **asked).choices[0].text == "This is a test."
    chunks = openai_call("completions.create", **asked, stream=True)
    assert "".join(chunk.choices[0].text for chunk in chunks) == "This is a test."


def test_openai_refuses_as_the_service_does(openai_call: OpenAICalls):
    openai = pytest.importorskip("openai")
    with pytest.raises(openai.NotFoundError, match="The model `no-such` does not exist"):
        openai_call("chat.completions.create", model="no-such", messages=user("hi"))
    with pytest.raises(openai.BadRequestError, match="empty array"):
        openai_call("chat.completions.create", model="gpt-4o", messages=[])
    with pytest.raises(openai.BadRequestError, match="above maximum value"):
        openai_call("chat.completions.create", model="gpt-4o", messages=user("hi"), temperature=3)
    with pytest.raises(openai.InternalServerError):
        openai_call("chat.completions.create", model="simulated-error-500", messages=user("hi"))


@pytest.mark.parametrize("mode", ["sync", "async"])
def test_openai_rate_limit_passes_on_the_retry(providers: SimulatedProviders, mode: str):
    call = OpenAICalls(providers.openai_url, mode, max_retries=1)
    reply = call("chat.completions.create", model="simulated-error-429", messages=user("Say hi"))
    assert reply.choices[0].message.content == "Hi."
    assert len(providers.requests) == 2


def test_openai_streams_break_on_demand(openai_call: OpenAICalls):
    openai = pytest.importorskip("openai")
    asked = {"messages": user("Say one two three four"), "stream": True}
    with pytest.raises(openai.APIError, match="had an error"):
        openai_call("chat.completions.create", model="simulated-stream-error", **asked)
    with pytest.raises(Exception, match=r"incomplete chunked read|peer closed|Connection error"):
        openai_call("chat.completions.create", model="simulated-stream-cut", **asked)
    events = openai_call(
        "responses.create", model="simulated-stream-error", input="Say a b c d", stream=True
    )
    assert events[-1].type == "response.failed"


def test_azure_paths_name_the_deployment(providers: SimulatedProviders):
    openai = pytest.importorskip("openai")
    with openai.AzureOpenAI(
        azure_endpoint=providers.url, api_key="simulated", api_version="2024-10-21"
    ) as client:
        reply = client.chat.completions.create(model="my-deployment", messages=user("Say hi"))
    assert reply.choices[0].message.content == "Hi."


def test_two_servers_give_the_same_bytes():
    def replies() -> List[str]:
        with SimulatedProviders() as providers:
            call = OpenAICalls(providers.openai_url, "sync")
            asked: Any = {"model": "gpt-4o", "messages": user(QUESTION), "tools": CHAT_TOOLS}
            return [call("chat.completions.create", **asked).model_dump_json() for _ in range(2)]

    assert replies() == replies()


def test_answers_can_be_chosen():
    with SimulatedProviders(answers=lambda question: "42" if "life" in question else None) as p:
        call = OpenAICalls(p.openai_url, "sync")
        asked: Any = {"model": "gpt-4o"}
        chosen = call("chat.completions.create", messages=user("What is life?"), **asked)
        ruled = call("chat.completions.create", messages=user("Say hi"), **asked)
    assert chosen.choices[0].message.content == "42"
    assert ruled.choices[0].message.content == "Hi."


def test_command_prints_the_addresses():
    command = [sys.executable, "-m", "simulated_providers"]
    with subprocess.Popen(command, cwd=EXAMPLES, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        lines = [process.stdout.readline() for _ in range(2)]
        process.terminate()
    assert "Simulated providers" in lines[0]
    assert "http://127.0.0.1:" in lines[1]
