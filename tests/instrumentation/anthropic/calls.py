"""The same calls through Anthropic's sync and async clients, and answers made for one test."""

from __future__ import annotations

import base64
import inspect
import json
import struct
import zlib
from contextlib import asynccontextmanager
from typing import Any, AsyncGenerator, Dict, List, Tuple

import anthropic

from ...support.recordings import Interaction, Recording

MODES = ("sync", "async")
VERSION: Tuple[int, ...] = tuple(int(part) for part in anthropic.__version__.split(".")[:2])
SDK_TRACES_ITSELF = VERSION >= (1, 15)


def make_client(mode: str, url: str, cls: str = "Anthropic", **options: Any) -> Any:
    """A client of the SDK that is cheap to make: there is no TLS on loopback."""
    if mode == "sync":
        options.setdefault("http_client", anthropic.DefaultHttpxClient(verify=False))
    else:
        cls = f"Async{cls}"
        options.setdefault("http_client", anthropic.DefaultAsyncHttpxClient(verify=False))
    if cls.endswith("Anthropic"):
        options.setdefault("api_key", "test")
    return getattr(anthropic, cls)(**{"base_url": url, "max_retries": 0, **options})


class Calls:
    """Calls the SDK's methods by their dotted names; sync or async, the test's body is one.

    Args:
        mode: `sync` or `async`.
        url: the client's `base_url`.
        options: further options of the client.
    """

    def __init__(self, mode: str, url: str, **options: Any) -> None:
        self.is_async = mode == "async"
        self.client = make_client(mode, url, **options)

    async def __aenter__(self) -> Calls:
        return self

    async def __aexit__(self, *exc_info: object) -> None:
        await settled(self.client.close())

    def method(self, path: str) -> Any:
        found = self.client
        for name in path.split("."):
            found = getattr(found, name)
        return found

    async def __call__(self, path: str, **arguments: Any) -> Any:
        return await settled(self.method(path)(**arguments))

    @asynccontextmanager
    async def entered(self, manager: Any) -> AsyncGenerator[Any, None]:
        """`with` or `async with`."""
        if self.is_async:
            async with manager as inner:
                yield inner
        else:
            with manager as inner:
                yield inner

    async def take(self, stream: Any, count: int = 1) -> List[Any]:
        """So many events, by `next()`."""
        taken: List[Any] = []
        for _ in range(count):
            taken.append(await stream.__anext__() if self.is_async else next(stream))
        return taken

    async def drain(self, stream: Any) -> List[Any]:
        """All events that are left, by `for`."""
        if self.is_async:
            return [event async for event in stream]
        return list(stream)


async def settled(result: Any) -> Any:
    """The result, awaited where it must be."""
    return await result if inspect.isawaitable(result) else result


def user(content: Any) -> List[Any]:
    return [{"role": "user", "content": content}]


ASK: Dict[str, Any] = {"model": "claude-test-1", "max_tokens": 64, "messages": user("hi there")}
"""Arguments of a call that the simulated provider answers."""

ANSWER = "This is a simulated answer to: hi there"


def body_of(content: List[Any], **more: Any) -> Dict[str, Any]:
    """The body of an answer."""
    return {
        "id": "msg_1",
        "type": "message",
        "role": "assistant",
        "model": "claude-test-1-20260101",
        "content": content,
        "stop_reason": "end_turn",
        "stop_sequence": None,
        "usage": {"input_tokens": 10, "output_tokens": 5},
        **more,
    }


def event_bodies(blocks: List[Tuple[Any, List[Any]]], **more: Any) -> List[Dict[str, Any]]:
    """The events of a streamed answer, its blocks given as their beginnings and their deltas."""
    begun = body_of([], stop_reason=None, usage={"input_tokens": 10, "output_tokens": 1})
    made: List[Dict[str, Any]] = [{"type": "message_start", "message": begun}]
    for index, (block, deltas) in enumerate(blocks):
        at: Dict[str, Any] = {"index": index}
        made.append({"type": "content_block_start", **at, "content_block": block})
        made += [{"type": "content_block_delta", **at, "delta": delta} for delta in deltas]
        made.append({"type": "content_block_stop", **at})
    ended = {"stop_reason": "end_turn", "stop_sequence": None}
    made.append({"type": "message_delta", "delta": ended, "usage": {"output_tokens": 5}, **more})
    made.append({"type": "message_stop"})
    return made


def answer(body: Any, path: str = "/v1/messages", status: int = 200, **headers: str) -> Recording:
    """An exchange that answers with a JSON body."""
    sent = {"content-type": "application/json", "request-id": "req_1", **headers}
    return _recording(path, json.dumps(body).encode(), sent, status)


def events(*bodies: Dict[str, Any], path: str = "/v1/messages") -> Recording:
    """An exchange that answers with a stream of server-sent events."""
    raw = "".join(f"event: {b['type']}\ndata: {json.dumps(b)}\n\n" for b in bodies).encode()
    return _recording(path, raw, {"content-type": "text/event-stream", "request-id": "req_1"})


def aws_events(*bodies: Dict[str, Any], path: str) -> Recording:
    """An exchange that answers with an AWS event stream, as Bedrock does."""
    raw = b"".join(_aws_message(json.dumps(body).encode()) for body in bodies)
    headers = {"content-type": "application/vnd.amazon.eventstream", "x-amzn-requestid": "aws_1"}
    return _recording(path, raw, headers)


def _aws_message(event: bytes) -> bytes:
    payload = json.dumps({"bytes": base64.b64encode(event).decode()}).encode()
    headers = b"".join(
        bytes([len(name)]) + name + b"\x07" + struct.pack(">H", len(value)) + value
        for name, value in (
            (b":event-type", b"chunk"),
            (b":content-type", b"application/json"),
            (b":message-type", b"event"),
        )
    )
    prelude = struct.pack(">II", 16 + len(headers) + len(payload), len(headers))
    checked = prelude + struct.pack(">I", zlib.crc32(prelude)) + headers + payload
    return checked + struct.pack(">I", zlib.crc32(checked))


def _recording(path: str, raw: bytes, headers: Dict[str, str], status: int = 200) -> Recording:
    made = Interaction("anthropic", "POST", path, "", {}, {}, status, headers, raw)
    return Recording("anthropic", "made", (made,))
