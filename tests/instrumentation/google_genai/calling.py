"""Calls of the google-genai SDK in four ways, against answers that are written down."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import json
from typing import Any, Callable, Dict, Generator, List, Optional, Sequence, Tuple, cast

import pytest

from ...support.player import Player
from ...support.recordings import Interaction, Recording

Json = Dict[str, Any]

MODES = ("sync", "async", "sync-stream", "async-stream")
MODEL = "gemini-2.5-flash"
in_all_modes = pytest.mark.parametrize("mode", MODES)
# The SDK warns of its own way to use its dependencies, and of words that it does not know yet.
quiet = [
    pytest.mark.filterwarnings(f"ignore::{kind}")
    for kind in ("DeprecationWarning", "FutureWarning", "UserWarning")
]


def genai() -> Any:
    """The SDK; the test is skipped where it is absent."""
    return pytest.importorskip("google.genai")


def types() -> Any:
    return pytest.importorskip("google.genai.types")


def version() -> Tuple[int, ...]:
    return tuple(int(part) for part in genai().__version__.split(".")[:2])


def candidate(*parts: Json, finish: Optional[str] = None, index: int = 0) -> Json:
    made: Json = {"index": index}
    if parts:
        made["content"] = {"role": "model", "parts": list(parts)}
    if finish is not None:
        made["finishReason"] = finish
    return made


def chunk(*parts: Json, finish: Optional[str] = None, **more: Any) -> Json:
    """One message of the service, of one candidate."""
    return {"candidates": [candidate(*parts, finish=finish)], **more}


def text_answer(text: str) -> List[Json]:
    return [chunk({"text": text}, finish="STOP", **COUNTED)]


COUNTED: Json = {
    "usageMetadata": {"promptTokenCount": 5, "candidatesTokenCount": 3, "totalTokenCount": 8},
    "modelVersion": "gemini-2.5-flash-001",
    "responseId": "resp-1",
}


def _merged(chunks: Sequence[Json]) -> Json:
    """The whole answer that is streamed in these chunks."""
    made: Json = {}
    found: Dict[int, Json] = {}
    for entry in chunks:
        made.update({k: v for k, v in entry.items() if k != "candidates"})
        for one in entry.get("candidates", ()):
            into = found.setdefault(one["index"], {"index": one["index"]})
            parts = into.get("content", {}).get("parts", [])
            into.update(one)
            if "content" in one or parts:
                own = one.get("content", {}).get("parts", [])
                into["content"] = {"role": "model", "parts": [*parts, *own]}
    if found:
        made["candidates"] = [found[index] for index in sorted(found)]
    return made


def _interaction(mode: str, answer: Any, path: str) -> Interaction:
    streamed = "stream" in mode
    method = "streamGenerateContent" if streamed else "generateContent"
    if isinstance(answer, tuple):
        status, body = cast("Tuple[int, Json]", answer)
        raw, kind = json.dumps(body).encode(), "application/json"
    else:
        status = 200
        if streamed:
            raw = b"".join(b"data: " + json.dumps(c).encode() + b"\r\n\r\n" for c in answer)
            kind = "text/event-stream"
        else:
            raw, kind = json.dumps(_merged(answer)).encode(), "application/json"
    return Interaction(
        "gemini", "POST", f"{path}:{method}", "", {}, {}, status, {"content-type": kind}, raw
    )


def playing(mode: str, *answers: Any, model: str = MODEL, **options: Any) -> Player:
    """A server that gives these answers one after the other.

    Each is a list of chunks, sent whole in the modes without a stream, or a status and a body.
    """
    path = f"/v1beta/models/{model}"
    made = tuple(_interaction(mode, answer, path) for answer in answers)
    return Player(Recording("gemini", "written", made), **options)


@contextlib.contextmanager
def client_of(url: str, **options: Any) -> Generator[Any, None, None]:
    """A client of AI Studio; the test closes nothing."""
    http_options = {"base_url": url, "api_version": "v1beta", **options.pop("http_options", {})}
    client = genai().Client(api_key="written", http_options=http_options, **options)
    yield client
    close = getattr(client, "close", None)
    if close is not None:
        close()


def run(client: Any, mode: str, **arguments: Any) -> List[Any]:
    """Send a request in a mode and take in all of the answer."""
    arguments = {"model": MODEL, "contents": "hi", **arguments}
    if mode == "sync":
        return [client.models.generate_content(**arguments)]
    if mode == "sync-stream":
        return list(client.models.generate_content_stream(**arguments))
    return run_async(client, lambda: _answers(client.aio.models, mode, arguments))


async def _answers(models: Any, mode: str, arguments: Json) -> List[Any]:
    if mode == "async":
        return [await models.generate_content(**arguments)]
    stream = await models.generate_content_stream(**arguments)
    return [answer async for answer in stream]


def run_async(client: Any, body: Callable[[], Any]) -> Any:
    """Run a coroutine in a loop of its own, and close the async client in the same."""

    async def running() -> Any:
        try:
            return await body()
        finally:
            gc.collect()
            close = getattr(client.aio, "aclose", None)
            if close is not None:
                await close()

    return asyncio.run(running())
