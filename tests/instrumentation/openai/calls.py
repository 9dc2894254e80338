"""The same calls through OpenAI's sync and async clients, and answers made for one test."""

from __future__ import annotations

import inspect
import json
from contextlib import asynccontextmanager
from typing import Any, AsyncGenerator, Dict, List, Optional

import openai

from ...support.recordings import Interaction, Recording

MODES = ("sync", "async")


def make_client(mode: str, url: Optional[str], cls: Any = None, **options: Any) -> Any:
    """A client of the SDK that is cheap to make: there is no TLS on loopback."""
    if mode == "sync":
        cls = cls or openai.OpenAI
        options["http_client"] = openai.DefaultHttpxClient(verify=False)
    else:
        cls = cls or openai.AsyncOpenAI
        options["http_client"] = openai.DefaultAsyncHttpxClient(verify=False)
    if url is not None:
        options["base_url"] = url
    return cls(**{"api_key": "test", "max_retries": 0, **options})


class Calls:
    """Calls the SDK's methods by their dotted names; sync or async, the test's body is one.

    Args:
        mode: `sync` or `async`.
        url: the client's `base_url`; None where the options say it otherwise.
        options: further options of the client.
    """

    def __init__(self, mode: str, url: Optional[str], **options: Any) -> None:
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

    async def enter(self, manager: Any) -> Any:
        """What `with` or `async with` begins with."""
        return await settled(manager.__aenter__() if self.is_async else manager.__enter__())

    async def take(self, stream: Any, count: int = 1) -> List[Any]:
        """So many chunks, by `next()`."""
        return [await (anext_(stream) if self.is_async else settled(next(stream)))] + (
            await self.take(stream, count - 1) if count > 1 else []
        )

    async def drain(self, stream: Any) -> List[Any]:
        """All chunks that are left, by `for`."""
        if self.is_async:
            return [chunk async for chunk in stream]
        return list(stream)


async def settled(result: Any) -> Any:
    """The result, awaited where it must be."""
    return await result if inspect.isawaitable(result) else result


def anext_(stream: Any) -> Any:
    return stream.__anext__()


def user(text: Any) -> List[Any]:
    return [{"role": "user", "content": text}]


CHAT: Dict[str, Any] = {"model": "gpt-4o", "messages": user("hi there")}
RESPONSES: Dict[str, Any] = {"model": "gpt-4o", "input": "hi there"}


def answer(
    body: Any, path: str = "/v1/chat/completions", status: int = 200, **headers: str
) -> Recording:
    """An exchange that answers with a JSON body, or with text as it is."""
    raw = body.encode() if isinstance(body, str) else json.dumps(body).encode()
    return Recording(
        "openai",
        "made",
        (_interaction(path, raw, status, {"content-type": "application/json", **headers}),),
    )


def events(
    *bodies: Dict[str, Any], path: str = "/v1/chat/completions", done: bool = True
) -> Recording:
    """An exchange that answers with a stream of server-sent events."""
    blocks: List[str] = []
    for body in bodies:
        kind: str = body.get("type", "")
        named = f"event: {kind}\n" if kind.startswith(("response.", "error")) else ""
        blocks.append(f"{named}data: {json.dumps(body)}\n\n")
    if done:
        blocks.append("data: [DONE]\n\n")
    raw = "".join(blocks).encode()
    headers = {"content-type": "text/event-stream; charset=utf-8"}
    return Recording("openai", "made", (_interaction(path, raw, 200, headers),))


def _interaction(path: str, raw: bytes, status: int, headers: Dict[str, str]) -> Interaction:
    return Interaction("openai", "POST", path, "", {}, {}, status, headers, raw)


def completion(message: Any, finish_reason: Optional[str] = "stop", **more: Any) -> Dict[str, Any]:
    """The body of a chat completion with one choice."""
    return {
        "id": "chatcmpl-1",
        "object": "chat.completion",
        "created": 1,
        "model": "gpt-4o-2024-08-06",
        "choices": [{"index": 0, "finish_reason": finish_reason, "message": message}],
        **more,
    }


def chunk(delta: Any, finish_reason: Optional[str] = None, **more: Any) -> Dict[str, Any]:
    """The body of one chunk of a chat completion with one choice."""
    return {
        "id": "chatcmpl-1",
        "object": "chat.completion.chunk",
        "created": 1,
        "model": "gpt-4o-2024-08-06",
        "choices": [{"index": 0, "delta": delta, "finish_reason": finish_reason}],
        **more,
    }
