"""OpenAI: plain, streamed, async, with tools, and what only OpenAI has; a span a call.

    python openai_calls.py traces.jsonl             # on simulated providers
    python openai_calls.py traces.jsonl --real      # asks OpenAI: OPENAI_API_KEY, some cents
    peekr view traces.jsonl --io

Azure OpenAI and servers with OpenAI's interface are traced in the same way: `AzureOpenAI(...)`,
`OpenAI(base_url=...)`.
"""

from __future__ import annotations

import asyncio
import json
import sys
from typing import Any

import openai
from pydantic import BaseModel

import peekr
from simulated_providers import stand_in

MODEL = "gpt-4o-mini"
TOOL: Any = {
    "type": "function",
    "function": {
        "name": "get_weather",
        "description": "The weather of a city today",
        "parameters": {
            "type": "object",
            "properties": {"city": {"type": "string"}},
            "required": ["city"],
        },
    },
}


class Walk(BaseModel):
    """What the model is to fill in."""

    city: str
    kilometres: int


@peekr.trace
def get_weather(city: str) -> str:
    return f"{city}: clear, 21 degrees"


def plain(client: openai.OpenAI) -> None:
    reply = client.chat.completions.create(
        model=MODEL,
        messages=[
            {"role": "system", "content": "You plan walks."},
            {"role": "user", "content": "Say hello"},
        ],
        temperature=0.2,
        seed=7,
    )
    print("plain:", reply.choices[0].message.content)


def streamed(client: openai.OpenAI) -> None:
    """The span ends with the stream; it has the time to the first token and the whole answer."""
    with client.chat.completions.create(
        model=MODEL,
        messages=[{"role": "user", "content": "Say one two three"}],
        stream=True,
        # Without this OpenAI does not tell a stream's tokens. Where the code is not yours to
        # change, PEEKR_OPENAI_STREAM_USAGE=true asks for them, and hides the chunk that comes.
        stream_options={"include_usage": True},
    ) as stream:
        words = [chunk.choices[0].delta.content or "" for chunk in stream if chunk.choices]
    print("streamed:", "".join(words))


async def side_by_side() -> None:
    """Calls that run at the same time are children of the same span."""
    async with openai.AsyncOpenAI() as client:
        with peekr.span("side by side"):
            replies = await asyncio.gather(
                *(
                    client.chat.completions.create(
                        model=MODEL, messages=[{"role": "user", "content": f"Say {word}"}]
                    )
                    for word in ("left", "right")
                )
            )
    print("async:", " ".join(reply.choices[0].message.content or "" for reply in replies))


@peekr.trace
def with_tools(client: openai.OpenAI) -> None:
    """The tools that the model asks for are under `tool_calls` of the first span."""
    messages: list[Any] = [{"role": "user", "content": "What is the weather in Lisbon and Oslo?"}]
    reply = client.chat.completions.create(model=MODEL, messages=messages, tools=[TOOL])
    messages.append(reply.choices[0].message)
    for call in reply.choices[0].message.tool_calls or []:
        if call.type == "function":
            result = get_weather(**json.loads(call.function.arguments))
            messages.append({"role": "tool", "tool_call_id": call.id, "content": result})
    reply = client.chat.completions.create(model=MODEL, messages=messages, tools=[TOOL])
    print("tools:", reply.choices[0].message.content)


def structured(client: openai.OpenAI) -> None:
    """`parse` is one span, as `create` is; the answer is recorded as it came, as JSON."""
    reply = client.chat.completions.parse(
        model=MODEL,
        messages=[{"role": "user", "content": "A walk in Lisbon"}],
        response_format=Walk,
    )
    print("structured:", reply.choices[0].message.parsed)


def responses(client: openai.OpenAI) -> None:
    """Responses of a model that thinks first: its summary is recorded, and its tokens."""
    with client.responses.stream(
        model="gpt-5",
        instructions="You plan walks.",
        input="Say goodbye",
        reasoning={"summary": "auto"},
    ) as stream:
        stream.until_done()
        print("responses:", stream.get_final_response().output_text)


def embeddings(client: openai.OpenAI) -> None:
    """Of vectors their number and size are recorded."""
    reply = client.embeddings.create(
        model="text-embedding-3-small", input=["a cat", "a dog"], dimensions=256
    )
    print("embeddings:", len(reply.data), "of", len(reply.data[0].embedding))


def raw(client: openai.OpenAI) -> None:
    """Raw responses are traced too."""
    response = client.chat.completions.with_raw_response.create(
        model=MODEL, messages=[{"role": "user", "content": "Say raw"}]
    )
    print("raw:", response.http_response.status_code, response.parse().choices[0].message.content)


def refused(client: openai.OpenAI) -> None:
    """A call that fails is a span with the error; the exception is the SDK's own."""
    try:
        client.chat.completions.create(
            model="no-such-model", messages=[{"role": "user", "content": "Hello?"}]
        )
    except openai.NotFoundError as error:
        print("refused:", error.status_code)


def main(path: str = "traces.jsonl") -> None:
    peekr.instrument(console=False, jsonl_path=path)
    with openai.OpenAI() as client:
        plain(client)
        streamed(client)
        asyncio.run(side_by_side())
        with_tools(client)
        structured(client)
        responses(client)
        embeddings(client)
        raw(client)
        refused(client)
    peekr.shutdown()


if __name__ == "__main__":
    with stand_in():
        main(*sys.argv[1:])
