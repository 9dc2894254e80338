"""AWS Bedrock: plain, streamed, async, with tools, and each family's own form; a span a call.

    python bedrock_calls.py traces.jsonl            # on simulated providers
    python bedrock_calls.py traces.jsonl --real     # asks AWS: credentials, a region, some cents
    peekr view traces.jsonl --io

With `aioboto3` installed the async calls are its own; without, boto3 is called in threads.
"""

# pyright: basic
# boto3 has no types.

from __future__ import annotations

import asyncio
import json
import sys
from typing import Any

import boto3

import peekr
from simulated_providers import stand_in

try:
    import aioboto3
except ImportError:
    aioboto3 = None

MODEL = "us.amazon.nova-lite-v1:0"  # an inference profile; plain ids and ARNs will do as well
CLAUDE = "us.anthropic.claude-sonnet-4-5-20250929-v1:0"
LLAMA = "us.meta.llama3-1-8b-instruct-v1:0"
TOOL: dict[str, Any] = {
    "toolSpec": {
        "name": "get_weather",
        "description": "The weather of a city today",
        "inputSchema": {
            "json": {
                "type": "object",
                "properties": {"city": {"type": "string"}},
                "required": ["city"],
            }
        },
    }
}


@peekr.trace
def get_weather(city: str) -> str:
    return f"{city}: clear, 21 degrees"


def said(text: str) -> list[Any]:
    return [{"role": "user", "content": [{"text": text}]}]


def text_of(reply: Any) -> str:
    return "".join(block.get("text", "") for block in reply["output"]["message"]["content"])


def plain(client: Any) -> None:
    reply = client.converse(
        modelId=MODEL,
        system=[{"text": "You plan walks."}],
        messages=said("Say hello"),
        inferenceConfig={"maxTokens": 100, "temperature": 0.2},
    )
    print("plain:", text_of(reply))


def streamed(client: Any) -> None:
    """The span ends with the event stream, and has what its last event says of tokens."""
    reply = client.converse_stream(modelId=MODEL, messages=said("Say one two three"))
    words = [
        event["contentBlockDelta"]["delta"]["text"]
        for event in reply["stream"]
        if "contentBlockDelta" in event
    ]
    print("streamed:", "".join(words))


async def side_by_side(client: Any) -> None:
    """Calls that run at the same time are children of the same span, in threads as well."""
    words = ("left", "right")
    with peekr.span("side by side"):
        if aioboto3 is None:
            calls = [
                asyncio.to_thread(client.converse, modelId=MODEL, messages=said(f"Say {word}"))
                for word in words
            ]
            replies = await asyncio.gather(*calls)
        else:
            session: Any = aioboto3.Session()
            async with session.client("bedrock-runtime") as own:
                calls = [own.converse(modelId=MODEL, messages=said(f"Say {w}")) for w in words]
                replies = await asyncio.gather(*calls)
    print("async:", " ".join(map(text_of, replies)))


@peekr.trace
def with_tools(client: Any) -> None:
    """The tools that the model asks for are under `tool_calls` of the first span."""
    messages = said("What is the weather in Lisbon and Oslo?")
    tools = {"tools": [TOOL]}
    reply = client.converse(modelId=MODEL, messages=messages, toolConfig=tools)
    message = reply["output"]["message"]
    results = [
        {
            "toolResult": {
                "toolUseId": block["toolUse"]["toolUseId"],
                "content": [{"text": get_weather(**block["toolUse"]["input"])}],
            }
        }
        for block in message["content"]
        if "toolUse" in block
    ]
    messages += [message, {"role": "user", "content": results}]
    reply = client.converse(modelId=MODEL, messages=messages, toolConfig=tools)
    print("tools:", text_of(reply))


def own_form(client: Any) -> None:
    """`invoke_model` takes each family's own form: it is read, and the body is yours to read."""
    body = {
        "anthropic_version": "bedrock-2023-05-31",
        "max_tokens": 100,
        "messages": [{"role": "user", "content": "Say claude"}],
    }
    reply = client.invoke_model(modelId=CLAUDE, body=json.dumps(body))
    print("claude:", json.loads(reply["body"].read())["content"][0]["text"])


def own_form_streamed(client: Any) -> None:
    """So does `invoke_model_with_response_stream`."""
    body = {"prompt": "Say llama", "max_gen_len": 100}
    reply = client.invoke_model_with_response_stream(modelId=LLAMA, body=json.dumps(body))
    chunks = [json.loads(event["chunk"]["bytes"]) for event in reply["body"]]
    print("llama:", "".join(chunk["generation"] for chunk in chunks))


def refused(client: Any) -> None:
    """A call that fails is a span with the error; the exception is the SDK's own."""
    try:
        client.converse(modelId="no-such-model", messages=said("Hello?"))
    except client.exceptions.ClientError as error:
        print("refused:", error.response["Error"]["Code"])


def main(path: str = "traces.jsonl") -> None:
    peekr.instrument(console=False, jsonl_path=path)
    client = boto3.client("bedrock-runtime")
    plain(client)
    streamed(client)
    asyncio.run(side_by_side(client))
    with_tools(client)
    own_form(client)
    own_form_streamed(client)
    refused(client)
    client.close()
    peekr.shutdown()


if __name__ == "__main__":
    with stand_in():
        main(*sys.argv[1:])
