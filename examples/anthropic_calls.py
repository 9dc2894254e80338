"""Anthropic: plain, streamed, async, with tools, and what only Anthropic has; a span a call.

    python anthropic_calls.py traces.jsonl          # on simulated providers
    python anthropic_calls.py traces.jsonl --real   # asks Anthropic: ANTHROPIC_API_KEY, some cents
    peekr view traces.jsonl --io

The clients `AnthropicBedrock` and `AnthropicVertex` are traced in the same way.
"""

from __future__ import annotations

import asyncio
import sys
from typing import Any

import anthropic

import peekr
from simulated_providers import stand_in

MODEL = "claude-sonnet-5"
TOOL: Any = {
    "name": "get_weather",
    "description": "The weather of a city today",
    "input_schema": {
        "type": "object",
        "properties": {"city": {"type": "string"}},
        "required": ["city"],
    },
}
GUIDE = "Lisbon has seven hills, and a tram on most of them. " * 120  # long enough for the cache


@peekr.trace
def get_weather(city: Any) -> str:
    return f"{city}: clear, 21 degrees"


def text_of(message: Any) -> str:
    return "".join(block.text for block in message.content if block.type == "text")


def plain(client: anthropic.Anthropic) -> None:
    """`system` is recorded as the first message."""
    message = client.messages.create(
        model=MODEL,
        max_tokens=100,
        system="You plan walks.",
        messages=[{"role": "user", "content": "Say hello"}],
    )
    print("plain:", text_of(message))


def streamed(client: anthropic.Anthropic) -> None:
    """The helper for streams, and the bare events: a span each, ended with the stream."""
    with client.messages.stream(
        model=MODEL, max_tokens=100, messages=[{"role": "user", "content": "Say one two three"}]
    ) as stream:
        print("streamed:", "".join(stream.text_stream))
    events = client.messages.create(
        model=MODEL,
        max_tokens=100,
        messages=[{"role": "user", "content": "Say four five"}],
        stream=True,
    )
    print("events:", len({event.type for event in events}), "kinds")


async def side_by_side() -> None:
    """Calls that run at the same time are children of the same span."""
    async with anthropic.AsyncAnthropic() as client:
        with peekr.span("side by side"):
            messages = await asyncio.gather(
                *(
                    client.messages.create(
                        model=MODEL,
                        max_tokens=100,
                        messages=[{"role": "user", "content": f"Say {word}"}],
                    )
                    for word in ("left", "right")
                )
            )
    print("async:", " ".join(map(text_of, messages)))


@peekr.trace
def with_tools(client: anthropic.Anthropic) -> None:
    """The tools that the model asks for are under `tool_calls` of the first span."""
    messages: list[Any] = [{"role": "user", "content": "What is the weather in Lisbon and Oslo?"}]
    reply = client.messages.create(model=MODEL, max_tokens=200, messages=messages, tools=[TOOL])
    results: list[Any] = [
        {"type": "tool_result", "tool_use_id": block.id, "content": get_weather(**block.input)}
        for block in reply.content
        if block.type == "tool_use"
    ]
    messages += [
        {"role": "assistant", "content": reply.content},
        {"role": "user", "content": results},
    ]
    reply = client.messages.create(model=MODEL, max_tokens=200, messages=messages, tools=[TOOL])
    print("tools:", text_of(reply))


def cached(client: anthropic.Anthropic) -> None:
    """A marked beginning is written to the cache once, and read from it then.

    Anthropic counts cached tokens beside the input. In a record `tokens_input` is the whole
    input, as for every provider, and `tokens_cache_write` and `tokens_cache_read` are parts of it.
    """
    for question in ("Say once", "Say twice"):
        message = client.messages.create(
            model=MODEL,
            max_tokens=100,
            system=[{"type": "text", "text": GUIDE, "cache_control": {"type": "ephemeral"}}],
            messages=[{"role": "user", "content": question}],
        )
        print("cached:", text_of(message))


def thinking(client: anthropic.Anthropic) -> None:
    """What the model thought is a part of the recorded answer; its signature is not."""
    message = client.messages.create(
        model=MODEL,
        max_tokens=2_000,
        thinking={"type": "adaptive"},
        messages=[{"role": "user", "content": "Say goodbye"}],
    )
    print("thinking:", [block.type for block in message.content])


def counted(client: anthropic.Anthropic) -> None:
    """Counting tokens is no model call: of it there is the SDK's own span, where it makes one."""
    count = client.messages.count_tokens(
        model=MODEL, messages=[{"role": "user", "content": "How long is this?"}]
    )
    print("counted:", count.input_tokens)


def refused(client: anthropic.Anthropic) -> None:
    """A call that fails is a span with the error; the exception is the SDK's own."""
    try:
        client.messages.create(
            model="no-such-model", max_tokens=1, messages=[{"role": "user", "content": "Hello?"}]
        )
    except anthropic.NotFoundError as error:
        print("refused:", error.status_code)


def main(path: str = "traces.jsonl") -> None:
    peekr.instrument(console=False, jsonl_path=path)
    with anthropic.Anthropic() as client:
        plain(client)
        streamed(client)
        asyncio.run(side_by_side())
        with_tools(client)
        cached(client)
        thinking(client)
        counted(client)
        refused(client)
    peekr.shutdown()


if __name__ == "__main__":
    with stand_in():
        main(*sys.argv[1:])
