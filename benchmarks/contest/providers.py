"""The four SDKs, each on a provider in memory: one plain call and one streamed in 200 chunks.

The answer is ready bytes, so that what is measured is the SDK and who watches it, and no network;
a number in it, and in what is asked, is another one each time, as texts are in life.
OpenAI, Anthropic and Gemini get them from a transport of their HTTP library; botocore from a
handler of its event `before-send`. All else is what an application runs: the request is built, the
answer parsed.
"""

from __future__ import annotations

import json
import struct
import zlib
from itertools import count
from typing import Any, Callable, Iterable, NamedTuple

PROMPT = "What did the model see? " * 20
SYSTEM = "You answer in one sentence."
NUMBER = "000000000"
ANSWER = f"{NUMBER}. " + "It saw what was sent. " * 20
CHUNKS = 200
WORD = "word "
INPUT_TOKENS, OUTPUT_TOKENS = 1357, 2468


_numbers = count()


def numbered(body: bytes) -> bytes:
    """An answer with a number of its own."""
    return body.replace(NUMBER.encode(), b"%09d" % next(_numbers), 1)


def prompt() -> str:
    """What is asked, with a number of its own."""
    return f"{next(_numbers)} {PROMPT}"


class Calls(NamedTuple):
    """What is called; each returns what the SDK returned, a stream as the list of its chunks."""

    plain: Callable[[], Any]
    streamed: Callable[[], list[Any]]


def calls(provider: str) -> Calls:
    return {"openai": _openai, "anthropic": _anthropic, "bedrock": _bedrock, "gemini": _gemini}[
        provider
    ]()


def _openai() -> Calls:
    import openai

    def messages() -> Any:
        return [{"role": "system", "content": SYSTEM}, {"role": "user", "content": prompt()}]

    usage = {
        "prompt_tokens": INPUT_TOKENS,
        "completion_tokens": OUTPUT_TOKENS,
        "total_tokens": INPUT_TOKENS + OUTPUT_TOKENS,
        "prompt_tokens_details": {"cached_tokens": 0},
        "completion_tokens_details": {"reasoning_tokens": 0},
    }
    same = {"id": "chatcmpl-1", "created": 1, "model": "gpt-4o-2024-08-06"}
    completion = {
        **same,
        "object": "chat.completion",
        "service_tier": "default",
        "system_fingerprint": "fp_1",
        "choices": [
            {
                "index": 0,
                "message": {"role": "assistant", "content": ANSWER},
                "finish_reason": "stop",
            }
        ],
        "usage": usage,
    }

    def chunk(delta: dict[str, Any], reason: str | None = None) -> dict[str, Any]:
        choice = {"index": 0, "delta": delta, "finish_reason": reason}
        return {**same, "object": "chat.completion.chunk", "choices": [choice]}

    chunks = [
        chunk({"role": "assistant", "content": ""}),
        chunk({"content": NUMBER}),
        *[chunk({"content": WORD})] * (CHUNKS - 4),
        chunk({}, "stop"),
        {**same, "object": "chat.completion.chunk", "choices": [], "usage": usage},
    ]
    stream = _events((None, chunk) for chunk in chunks) + b"data: [DONE]\n\n"
    httpx = _httpx_of("openai")
    client = openai.OpenAI(
        api_key="none",
        base_url="http://loopback/v1",
        http_client=httpx.Client(transport=_transport(httpx, completion, stream)),
    )

    def plain() -> Any:
        return client.chat.completions.create(model="gpt-4o", messages=messages(), temperature=0.5)

    def streamed() -> list[Any]:
        options: Any = {"include_usage": True}
        return list(
            client.chat.completions.create(
                model="gpt-4o",
                messages=messages(),
                temperature=0.5,
                stream=True,
                stream_options=options,
            )
        )

    return Calls(plain, streamed)


def _anthropic() -> Calls:
    import anthropic

    message: dict[str, Any] = {
        "id": "msg_1",
        "type": "message",
        "role": "assistant",
        "model": "claude-sonnet-4-5-20250929",
        "content": [{"type": "text", "text": ANSWER}],
        "stop_reason": "end_turn",
        "stop_sequence": None,
        "usage": {"input_tokens": INPUT_TOKENS, "output_tokens": OUTPUT_TOKENS},
    }
    begun = {
        **message,
        "content": [],
        "stop_reason": None,
        "usage": {"input_tokens": INPUT_TOKENS, "output_tokens": 1},
    }
    block = {"type": "content_block_delta", "index": 0}
    events: list[dict[str, Any]] = [
        {"type": "message_start", "message": begun},
        {"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}},
        {**block, "delta": {"type": "text_delta", "text": NUMBER}},
        *[{**block, "delta": {"type": "text_delta", "text": WORD}}] * (CHUNKS - 6),
        {"type": "content_block_stop", "index": 0},
        {
            "type": "message_delta",
            "delta": {"stop_reason": "end_turn", "stop_sequence": None},
            "usage": {"output_tokens": OUTPUT_TOKENS},
        },
        {"type": "message_stop"},
    ]
    httpx = _httpx_of("anthropic")
    transport = _transport(httpx, message, _events((event["type"], event) for event in events))
    client = anthropic.Anthropic(
        api_key="none", base_url="http://loopback", http_client=httpx.Client(transport=transport)
    )
    request: dict[str, Any] = {
        "model": "claude-sonnet-4-5",
        "max_tokens": 1000,
        "system": SYSTEM,
    }

    def messages() -> Any:
        return [{"role": "user", "content": prompt()}]

    return Calls(
        lambda: client.messages.create(**request, messages=messages()),
        lambda: list(client.messages.create(**request, messages=messages(), stream=True)),
    )


def _bedrock() -> Calls:
    import boto3
    from botocore.awsrequest import AWSResponse

    usage = {
        "inputTokens": INPUT_TOKENS,
        "outputTokens": OUTPUT_TOKENS,
        "totalTokens": INPUT_TOKENS + OUTPUT_TOKENS,
    }
    plain = json.dumps(
        {
            "output": {"message": {"role": "assistant", "content": [{"text": ANSWER}]}},
            "stopReason": "end_turn",
            "usage": usage,
            "metrics": {"latencyMs": 500},
        }
    ).encode()
    events: list[tuple[str, dict[str, Any]]] = [
        *[("contentBlockDelta", {"contentBlockIndex": 0, "delta": {"text": WORD}})] * (CHUNKS - 5),
        ("contentBlockStop", {"contentBlockIndex": 0}),
        ("messageStop", {"stopReason": "end_turn"}),
        ("metadata", {"usage": usage, "metrics": {"latencyMs": 500}}),
    ]
    begun = _frame("messageStart", {"role": "assistant"})
    stream = b"".join(_frame(kind, body) for kind, body in events)

    def streamed() -> bytes:
        delta = {"text": numbered(NUMBER.encode()).decode()}  # before the frame's checksum
        first = _frame("contentBlockDelta", {"contentBlockIndex": 0, "delta": delta})
        return begun + first + stream

    class Raw:
        def __init__(self, body: bytes) -> None:
            self._body = body

        def stream(self, amount: int = 65536, **_: Any) -> Iterable[bytes]:
            yield from (self._body[at : at + amount] for at in range(0, len(self._body), amount))

        def close(self) -> None:
            pass

    def answer(kind: str, body: Callable[[], bytes]) -> Callable[..., Any]:
        headers = {"content-type": kind, "x-amzn-requestid": "1"}
        return lambda request, **_: AWSResponse(request.url, 200, headers, Raw(body()))

    client: Any = boto3.client(
        "bedrock-runtime",
        region_name="us-east-1",
        aws_access_key_id="none",
        aws_secret_access_key="none",
        endpoint_url="http://loopback",
    )
    before = "before-send.bedrock-runtime."
    client.meta.events.register(
        before + "Converse", answer("application/json", lambda: numbered(plain))
    )
    streams = "application/vnd.amazon.eventstream"
    client.meta.events.register(before + "ConverseStream", answer(streams, streamed))
    request: dict[str, Any] = {
        "modelId": "us.amazon.nova-lite-v1:0",
        "system": [{"text": SYSTEM}],
        "inferenceConfig": {"temperature": 0.5},
    }

    def messages() -> Any:
        return [{"role": "user", "content": [{"text": prompt()}]}]

    return Calls(
        lambda: client.converse(**request, messages=messages()),
        lambda: list(client.converse_stream(**request, messages=messages())["stream"]),
    )


def _gemini() -> Calls:
    from google import genai
    from google.genai import types

    def response(text: str, reason: str | None, usage: bool = True) -> dict[str, Any]:
        candidate: dict[str, Any] = {
            "index": 0,
            "content": {"role": "model", "parts": [{"text": text}]},
        }
        made: dict[str, Any] = {
            "candidates": [candidate],
            "modelVersion": "gemini-2.5-flash",
            "responseId": "1",
        }
        if reason:
            candidate["finishReason"] = reason
        if usage:
            made["usageMetadata"] = {
                "promptTokenCount": INPUT_TOKENS,
                "candidatesTokenCount": OUTPUT_TOKENS,
                "totalTokenCount": INPUT_TOKENS + OUTPUT_TOKENS,
            }
        return made

    words = [response(WORD, None)] * (CHUNKS - 2)
    chunks = [response(NUMBER, None), *words, response("", "STOP")]
    httpx = _httpx_of("google.genai")
    stream = _events((None, chunk) for chunk in chunks)
    transport = _transport(httpx, response(ANSWER, "STOP"), stream)
    options: dict[str, Any] = {"base_url": "http://loopback"}
    client = genai.Client(
        api_key="none",
        http_options=types.HttpOptions(**options, httpx_client=httpx.Client(transport=transport)),
    )
    request: dict[str, Any] = {
        "model": "gemini-2.5-flash",
        "config": types.GenerateContentConfig(system_instruction=SYSTEM, temperature=0.5),
    }
    return Calls(
        lambda: client.models.generate_content(**request, contents=prompt()),
        lambda: list(client.models.generate_content_stream(**request, contents=prompt())),
    )


def _httpx_of(package: str) -> Any:
    """The HTTP library that this version of an SDK speaks through."""
    import importlib

    name = {"google.genai": "google.genai._api_client"}.get(package, f"{package}._base_client")
    module = importlib.import_module(name)
    return getattr(module, "httpx2", None) or module.httpx


def _transport(httpx: Any, body: dict[str, Any], stream: bytes) -> Any:
    plain = json.dumps(body).encode()

    def answer(request: Any) -> Any:
        sent = request.content
        if b'"stream":true' in sent or b'"stream": true' in sent or "alt=sse" in str(request.url):
            headers = {"content-type": "text/event-stream"}
            return httpx.Response(200, headers=headers, content=numbered(stream))
        return httpx.Response(
            200, headers={"content-type": "application/json"}, content=numbered(plain)
        )

    return httpx.MockTransport(answer)


def _events(events: Iterable[tuple[str | None, Any]]) -> bytes:
    """Server-sent events."""
    return b"".join(
        (f"event: {kind}\n" if kind else "").encode() + f"data: {json.dumps(body)}\n\n".encode()
        for kind, body in events
    )


def _frame(kind: str, body: dict[str, Any]) -> bytes:
    """A frame of AWS's event stream."""
    headers = b""
    for name, value in (
        (":message-type", "event"),
        (":event-type", kind),
        (":content-type", "application/json"),
    ):
        headers += struct.pack("!B", len(name)) + name.encode()
        headers += struct.pack("!BH", 7, len(value)) + value.encode()
    payload = json.dumps(body).encode()
    prelude = struct.pack("!II", 16 + len(headers) + len(payload), len(headers))
    message = prelude + struct.pack("!I", zlib.crc32(prelude)) + headers + payload
    return message + struct.pack("!I", zlib.crc32(message))
