"""Google Gemini: plain, streamed, async, with tools, and what only Gemini has; a span a call.

    python gemini_calls.py traces.jsonl             # on simulated providers
    python gemini_calls.py traces.jsonl --real      # asks AI Studio: GEMINI_API_KEY, some cents
    peekr view traces.jsonl --io

With Vertex AI the client is `genai.Client(vertexai=True, project=..., location=...)`; nothing else
changes.
"""

# pyright: basic
# google-genai carries types that are only partly known.

from __future__ import annotations

import asyncio
import sys

from google import genai
from google.genai import errors, types

import peekr
from simulated_providers import stand_in

MODEL = "gemini-2.5-flash"


def get_weather(city: str) -> str:
    """The weather of a city today.

    Args:
        city: Its name.
    """
    return f"{city}: clear, 21 degrees"


def plain(client: genai.Client) -> None:
    reply = client.models.generate_content(
        model=MODEL,
        contents="Say hello",
        config=types.GenerateContentConfig(
            system_instruction="You plan walks.", temperature=0.2, max_output_tokens=1_000
        ),
    )
    print("plain:", reply.text)


def streamed(client: genai.Client) -> None:
    """The span ends with the stream; it has the time to the first token and the whole answer."""
    chunks = client.models.generate_content_stream(model=MODEL, contents="Say one two three")
    print("streamed:", "".join(chunk.text or "" for chunk in chunks))


async def side_by_side(client: genai.Client) -> None:
    """Calls that run at the same time are children of the same span."""
    with peekr.span("side by side"):
        replies = await asyncio.gather(
            *(
                client.aio.models.generate_content(model=MODEL, contents=f"Say {word}")
                for word in ("left", "right")
            )
        )
    await client.aio.aclose()
    print("async:", " ".join(reply.text or "" for reply in replies))


@peekr.trace
def with_tools(client: genai.Client) -> None:
    """The SDK runs the function itself: a span for each request, and for each run of the function.

    Each message of a chat has all that was said before.
    """
    talk = client.chats.create(model=MODEL, config=types.GenerateContentConfig(tools=[get_weather]))
    print("tools:", talk.send_message("What is the weather in Lisbon and Oslo?").text)
    print("chat:", talk.send_message("Say thanks").text)


def structured(client: genai.Client) -> None:
    """The answer follows a schema, and is recorded as it came, as JSON."""
    schema = {"type": "object", "properties": {"city": {"type": "string"}}}
    reply = client.models.generate_content(
        model=MODEL,
        contents="Lisbon",
        config=types.GenerateContentConfig(
            response_mime_type="application/json", response_schema=schema
        ),
    )
    print("structured:", reply.text)


def thinking(client: genai.Client) -> None:
    """Thoughts that are asked for are recorded as such; their tokens are so in any case."""
    reply = client.models.generate_content(
        model=MODEL,
        contents="Say goodbye",
        config=types.GenerateContentConfig(
            thinking_config=types.ThinkingConfig(include_thoughts=True)
        ),
    )
    print("thinking:", reply.text)


def embeddings(client: genai.Client) -> None:
    """Of vectors their number and size are recorded."""
    reply = client.models.embed_content(
        model="gemini-embedding-001",
        contents=["a cat", "a dog"],
        config=types.EmbedContentConfig(output_dimensionality=256),
    )
    vectors = reply.embeddings or []
    print("embeddings:", len(vectors), "of", len(vectors[0].values or []))


def refused(client: genai.Client) -> None:
    """A call that fails is a span with the error; the exception is the SDK's own."""
    try:
        client.models.generate_content(model="no-such-model", contents="Hello?")
    except errors.ClientError as error:
        print("refused:", error.code)


def main(path: str = "traces.jsonl") -> None:
    peekr.instrument(console=False, jsonl_path=path)
    client = genai.Client()
    plain(client)
    streamed(client)
    asyncio.run(side_by_side(client))
    with_tools(client)
    structured(client)
    thinking(client)
    embeddings(client)
    refused(client)
    client.close()
    peekr.shutdown()


if __name__ == "__main__":
    with stand_in():
        main(*sys.argv[1:])
