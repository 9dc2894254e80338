from __future__ import annotations

import asyncio
import json
from typing import Any, Iterator, List

import pytest

from simulated_providers import SimulatedProviders

genai = pytest.importorskip("google.genai")
errors = pytest.importorskip("google.genai.errors")
if not hasattr(genai.Client, "close"):
    pytest.skip("a google-genai whose clients cannot be closed", allow_module_level=True)

# The SDK warns of retired models, and of its own way to use aiohttp.
pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")

QUESTION = "What is the weather in Seattle and San Francisco?"
DECLARATION = {
    "name": "get_weather",
    "parameters": {
        "type": "OBJECT",
        "properties": {"location": {"type": "STRING"}},
        "required": ["location"],
    },
}
TOOLS = {"tools": [{"function_declarations": [DECLARATION]}]}


@pytest.fixture
def providers() -> Iterator[SimulatedProviders]:
    with SimulatedProviders() as started:
        yield started


class Calls:
    """The methods of `client.models`, sync or async, AI Studio or Vertex."""

    def __init__(self, url: str, mode: str, service: str) -> None:
        self.mode = mode
        self.service = service
        self.options: Any = {"http_options": {"base_url": url}, "api_key": "simulated"}
        if service == "vertex":
            credentials = pytest.importorskip("google.oauth2.credentials")
            del self.options["api_key"]
            self.options.update(
                vertexai=True,
                project="simulated",
                location="us-central1",
                credentials=credentials.Credentials(token="simulated"),
            )

    def __call__(self, method: str, **arguments: Any) -> Any:
        if self.mode == "async":
            return asyncio.run(self._call_async(method, arguments))
        client = genai.Client(**self.options)
        try:
            result = getattr(client.models, method)(**arguments)
            return list(result) if method.endswith("stream") else result
        finally:
            client.close()

    async def _call_async(self, method: str, arguments: Any) -> Any:
        client = genai.Client(**self.options)
        try:
            result = await getattr(client.aio.models, method)(**arguments)
            return [chunk async for chunk in result] if method.endswith("stream") else result
        finally:
            await client.aio.aclose()
            client.close()


@pytest.fixture(params=["sync", "async"])
def mode(request: pytest.FixtureRequest) -> str:
    return request.param


@pytest.fixture(params=["studio", "vertex"])
def call(providers: SimulatedProviders, mode: str, request: pytest.FixtureRequest) -> Calls:
    return Calls(providers.gemini_url, mode, request.param)


def test_content_is_generated_and_counted(call: Calls):
    reply = call("generate_content", model="gemini-2.0-flash", contents="Say this is a test")
    usage = reply.usage_metadata
    assert reply.text == "This is a test."
    assert (usage.prompt_token_count, usage.candidates_token_count) == (5, 4)
    assert usage.total_token_count == 9
    assert usage.thoughts_token_count is None


def test_stream_gives_the_same_text_and_counts_at_its_end(call: Calls):
    chunks = call("generate_content_stream", model="gemini-2.0-flash", contents="Say a b c")
    assert "".join(chunk.text for chunk in chunks) == "A b c."
    assert chunks[-1].usage_metadata.total_token_count == 5
    assert chunks[-1].candidates[0].finish_reason == "STOP"


def test_thoughts_are_counted_apart_and_shown_when_asked(call: Calls):
    asked: Any = {
        "model": "gemini-2.5-flash",
        "contents": "Say hi",
        "config": {"thinking_config": {"include_thoughts": True}},
    }
    chunks = call("generate_content_stream", **asked)
    for reply in (call("generate_content", **asked), chunks[-1]):
        usage = reply.usage_metadata
        assert usage.thoughts_token_count == 8
        assert usage.total_token_count == 2 + 1 + 8
    assert chunks[0].candidates[0].content.parts[0].thought


def test_functions_are_called_and_their_results_answered(call: Calls):
    asked = [{"role": "user", "parts": [{"text": QUESTION}]}]
    first = call("generate_content", model="gemini-2.0-flash", contents=asked, config=TOOLS)
    assert [c.args["location"] for c in first.function_calls] == ["Seattle", "San Francisco"]
    results = [
        {"function_response": {"name": "get_weather", "response": {"result": "rain"}}}
        for _ in first.function_calls
    ]
    contents = [*asked, first.candidates[0].content, {"role": "user", "parts": results}]
    second = call("generate_content", model="gemini-2.0-flash", contents=contents, config=TOOLS)
    assert second.text == "Here is what I found: rain; rain"
    chunks = call("generate_content_stream", model="gemini-2.0-flash", contents=asked, config=TOOLS)
    called: List[Any] = [c for chunk in chunks for c in (chunk.function_calls or ())]
    assert [c.args["location"] for c in called] == ["Seattle", "San Francisco"]


def test_answer_follows_a_schema(call: Calls):
    schema = {"type": "OBJECT", "properties": {"score": {"type": "NUMBER"}}}
    config = {"response_mime_type": "application/json", "response_schema": schema}
    reply = call("generate_content", model="gemini-2.0-flash", contents="Say hi", config=config)
    assert json.loads(reply.text) == {"score": 0.5}


@pytest.mark.parametrize("model", ["gemini-embedding-001", "text-embedding-004"])
def test_contents_are_embedded(call: Calls, model: str):
    contents = ["red apple"] if call.service == "vertex" else ["red apple", "blue car"]
    reply = call(
        "embed_content", model=model, contents=contents, config={"output_dimensionality": 64}
    )
    assert [len(embedding.values) for embedding in reply.embeddings] == [64] * len(contents)


def test_requests_are_refused_as_the_service_does(call: Calls):
    with pytest.raises(errors.ClientError, match="is not found for API version") as refused:
        call("generate_content", model="no-such", contents="hi")
    assert refused.value.code == 404
    with pytest.raises(errors.ClientError, match="RESOURCE_EXHAUSTED"):
        call("generate_content", model="simulated-error-429", contents="hi")
    with pytest.raises(errors.ServerError):
        call("generate_content_stream", model="simulated-error-500", contents="hi")


ASKED: Any = {"contents": "Say one two three four"}


@pytest.mark.skipif(genai.__version__.startswith("1."), reason="the SDK's 1.x ignores such errors")
def test_stream_sends_an_error_on_demand(call: Calls):
    with pytest.raises(errors.APIError, match="overloaded"):
        call("generate_content_stream", model="simulated-stream-error", **ASKED)


def test_stream_is_cut_on_demand(call: Calls):
    with pytest.raises(Exception, match=r"incomplete|peer closed|Connection|not completed"):
        call("generate_content_stream", model="simulated-stream-cut", **ASKED)


def test_chat_sends_its_history(providers: SimulatedProviders):
    options = {"base_url": providers.gemini_url}
    client = genai.Client(api_key="simulated", http_options=options)
    chat = client.chats.create(model="gemini-2.0-flash")
    assert chat.send_message("Say hi").text == "Hi."
    assert chat.send_message("Say bye").text == "Bye."
    client.close()
    last = providers.requests[-1].body
    assert last is not None
    assert [content["role"] for content in last["contents"]] == ["user", "model", "user"]
