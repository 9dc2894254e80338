from __future__ import annotations

import asyncio
import contextlib
import json
from typing import Any, Dict, Iterator, List

import pytest

from simulated_providers import SimulatedProviders

boto3 = pytest.importorskip("boto3")
exceptions = pytest.importorskip("botocore.exceptions")

# boto3 warns of Pythons that it is about to leave.
pytestmark = pytest.mark.filterwarnings("ignore:Boto3 will no longer support")

QUESTION = "What is the weather in Seattle and San Francisco?"
SCHEMA = {
    "type": "object",
    "properties": {"location": {"type": "string"}},
    "required": ["location"],
}
TOOLS = {"tools": [{"toolSpec": {"name": "get_weather", "inputSchema": {"json": SCHEMA}}}]}
NOVA = "amazon.nova-micro-v1:0"
ASKED = "Say this is a test"
BODIES: Dict[str, Any] = {
    "us.anthropic.claude-3-5-haiku-20241022-v1:0": {
        "anthropic_version": "bedrock-2023-05-31",
        "max_tokens": 100,
        "messages": [{"role": "user", "content": ASKED}],
    },
    NOVA: {"messages": [{"role": "user", "content": [{"text": ASKED}]}]},
    "amazon.titan-text-lite-v1": {"inputText": ASKED},
    "meta.llama3-1-70b-instruct-v1:0": {"prompt": ASKED},
    "mistral.mistral-7b-instruct-v0:2": {"prompt": f"<s>[INST] {ASKED} [/INST]"},
    "cohere.command-light-text-v14": {"prompt": ASKED},
    "cohere.command-r-v1:0": {"message": ASKED},
    "ai21.jamba-1-5-mini-v1:0": {"messages": [{"role": "user", "content": ASKED}]},
}


@pytest.fixture
def providers() -> Iterator[SimulatedProviders]:
    with SimulatedProviders() as started:
        yield started


class Calls:
    """A client's methods, sync or async; bodies are read and streams come back as lists."""

    def __init__(self, url: str, mode: str) -> None:
        self.mode = mode
        config = pytest.importorskip("botocore.config")
        self.options = {
            "endpoint_url": url,
            "region_name": "us-east-1",
            "aws_access_key_id": "simulated",
            "aws_secret_access_key": "simulated",
            "config": config.Config(retries={"total_max_attempts": 1}),
        }

    def __call__(self, method: str, **arguments: Any) -> Any:
        if self.mode == "async":
            return asyncio.run(self._call_async(method, arguments))
        client = boto3.client("bedrock-runtime", **self.options)
        try:
            response = getattr(client, method)(**arguments)
            if method == "converse":
                return response
            with contextlib.closing(response.get("stream") or response["body"]) as body:
                return list(body) if method.endswith("stream") else json.loads(body.read())
        finally:
            client.close()

    async def _call_async(self, method: str, arguments: Any) -> Any:
        session = pytest.importorskip("aioboto3").Session()
        async with session.client("bedrock-runtime", **self.options) as client:
            response = await getattr(client, method)(**arguments)
            if "stream" in response:
                return [event async for event in response["stream"]]
            if method == "converse":
                return response
            body = response["body"]
            if method.endswith("stream"):
                return [event async for event in body]
            return json.loads(await body.read())


@pytest.fixture(params=["sync", "async"])
def call(providers: SimulatedProviders, request: pytest.FixtureRequest) -> Calls:
    return Calls(providers.bedrock_url, request.param)


def user(*blocks: Any) -> Any:
    return [{"role": "user", "content": list(blocks)}]


def test_converse_answers_and_counts(call: Calls):
    reply = call("converse", modelId=NOVA, messages=user({"text": ASKED}))
    assert reply["output"]["message"]["content"] == [{"text": "This is a test."}]
    assert reply["stopReason"] == "end_turn"
    usage = reply["usage"]
    assert (usage["inputTokens"], usage["outputTokens"], usage["totalTokens"]) == (5, 4, 9)


def test_converse_calls_tools_and_answers_with_their_results(call: Calls):
    asked = user({"text": QUESTION})
    first = call("converse", modelId=NOVA, messages=asked, toolConfig=TOOLS)
    said = first["output"]["message"]
    uses = [block["toolUse"] for block in said["content"]]
    assert first["stopReason"] == "tool_use"
    assert [use["input"]["location"] for use in uses] == ["Seattle", "San Francisco"]
    results = [
        {"toolResult": {"toolUseId": use["toolUseId"], "content": [{"text": "rain"}]}}
        for use in uses
    ]
    second = call(
        "converse", modelId=NOVA, messages=[*asked, said, *user(*results)], toolConfig=TOOLS
    )
    text = second["output"]["message"]["content"][0]["text"]
    assert text == "Here is what I found: rain; rain"


def test_converse_stream_sends_text_tools_and_usage(call: Calls):
    events = call("converse_stream", modelId=NOVA, messages=user({"text": ASKED}))
    deltas = [e["contentBlockDelta"]["delta"] for e in events if "contentBlockDelta" in e]
    assert "".join(delta["text"] for delta in deltas) == "This is a test."
    assert events[-1]["metadata"]["usage"]["totalTokens"] == 9
    events = call(
        "converse_stream", modelId=NOVA, messages=user({"text": QUESTION}), toolConfig=TOOLS
    )
    given: Dict[int, str] = {}
    for event in events:
        if "contentBlockDelta" in event:
            delta = event["contentBlockDelta"]
            index = delta["contentBlockIndex"]
            given[index] = given.get(index, "") + delta["delta"]["toolUse"]["input"]
    assert [json.loads(text)["location"] for text in given.values()] == ["Seattle", "San Francisco"]


@pytest.mark.skipif(
    [int(part) for part in boto3.__version__.split(".")] < [1, 37],
    reason="boto3 from before cache points",
)
def test_converse_reasons_and_caches_when_asked(call: Calls):
    asked: Any = {
        "modelId": "us.anthropic.claude-sonnet-4-20250514-v1:0",
        "messages": user({"text": "Say hi"}),
        "system": [{"text": "All about telemetry. " * 300}, {"cachePoint": {"type": "default"}}],
        "additionalModelRequestFields": {"thinking": {"type": "enabled", "budget_tokens": 1024}},
    }
    first, second = (call("converse", **asked) for _ in range(2))
    shown = first["output"]["message"]["content"][0]["reasoningContent"]["reasoningText"]
    assert shown["text"] == "The user wants to know: Say hi"
    assert first["usage"]["cacheWriteInputTokens"] == second["usage"]["cacheReadInputTokens"] > 1024


def texts(value: Any) -> List[str]:
    """Every text under the names by which the families call their answers."""
    if isinstance(value, list):
        found: List[Any] = value  # pyright: ignore[reportUnknownVariableType]
        return [text for item in found for text in texts(item)]
    if not isinstance(value, dict):
        return []
    names = ("text", "outputText", "generation", "content")
    members: Dict[str, Any] = value  # pyright: ignore[reportUnknownVariableType]
    return [
        text
        for name, member in members.items()
        if name not in ("prompt", "chat_history", "response")
        for text in ([member] if name in names and isinstance(member, str) else texts(member))
    ]


@pytest.mark.parametrize("model", BODIES)
def test_invoke_answers_in_the_form_of_each_family(call: Calls, model: str):
    reply = call("invoke_model", modelId=model, body=json.dumps(BODIES[model]))
    assert "".join(texts(reply)) == "This is a test."
    events = call(
        "invoke_model_with_response_stream", modelId=model, body=json.dumps(BODIES[model])
    )
    chunks = [json.loads(event["chunk"]["bytes"]) for event in events]
    assert "".join(texts(chunks)) == "This is a test."
    metrics = chunks[-1]["amazon-bedrock-invocationMetrics"]
    assert metrics["inputTokenCount"] > 0
    assert metrics["outputTokenCount"] == 4


def test_invoke_embeds(call: Calls):
    reply = call(
        "invoke_model", modelId="amazon.titan-embed-text-v2:0", body='{"inputText": "red apple"}'
    )
    assert len(reply["embedding"]) == 1024
    assert reply["inputTextTokenCount"] == 3


@pytest.mark.parametrize("method", ["converse", "converse_stream"])
def test_requests_are_refused_as_the_service_does(call: Calls, method: str):
    messages = user({"text": "hi"})
    with pytest.raises(exceptions.ClientError, match="model identifier is invalid") as refused:
        call(method, modelId="does-not-exist", messages=messages)
    assert refused.value.response["Error"]["Code"] == "ValidationException"
    with pytest.raises(exceptions.ClientError, match="ThrottlingException"):
        call(method, modelId="simulated-error-429", messages=messages)
    with pytest.raises(exceptions.ClientError, match="must start with a user message"):
        call(method, modelId=NOVA, messages=[{"role": "assistant", "content": [{"text": "hi"}]}])
    with pytest.raises(exceptions.ClientError, match=r"required key \[inputText\] not found"):
        call("invoke_model", modelId="amazon.titan-text-lite-v1", body="{}")


def test_streams_break_on_demand(call: Calls):
    messages = user({"text": "Say one two three four"})
    with pytest.raises(exceptions.EventStreamError, match="unexpected error"):
        call("converse_stream", modelId="simulated-stream-error", messages=messages)
    with pytest.raises(
        Exception, match=r"Connection|Response payload|incomplete|ended prematurely"
    ):
        call("converse_stream", modelId="simulated-stream-cut", messages=messages)
