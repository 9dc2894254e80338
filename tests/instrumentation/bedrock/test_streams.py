"""Every way in which a stream of events ends, ends its span once."""

from __future__ import annotations

import asyncio
import gc
import inspect
from typing import Any, Awaitable, Callable, Dict, List, Optional, Union

import pytest

import peekr

from ...conftest import Telemetry
from ...support.player import Pause
from .serving import (
    MODES,
    answer,
    async_client,
    chunks,
    events,
    exception,
    play,
    sync_client,
)

pytest.importorskip("boto3")
exceptions = pytest.importorskip("botocore.exceptions")
eventstream = pytest.importorskip("botocore.eventstream")

# A stream that nobody closed is what some of these tests are about; the SDKs' sockets say so.
pytestmark = [
    pytest.mark.filterwarnings("ignore::ResourceWarning"),
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
]

MODEL = "amazon.nova-micro-v1:0"
PIECES = ("This", " is", " a", " test.")
USAGE = {"inputTokens": 5, "outputTokens": 4, "totalTokens": 9}
TEXTS: List[Dict[str, Any]] = [
    {"contentBlockDelta": {"contentBlockIndex": 0, "delta": {"text": piece}}} for piece in PIECES
]
END: List[Dict[str, Any]] = [
    {"messageStop": {"stopReason": "end_turn"}},
    {"metadata": {"usage": USAGE, "metrics": {"latencyMs": 1}}},
]
SAID = [{"messageStart": {"role": "assistant"}}, *TEXTS, *END]


class Kind:
    """One of the two operations that stream."""

    def __init__(self, method: str, path: str, key: str, record: str) -> None:
        self.method, self.path, self.key, self.record = method, path, key, record

    def encoded(self, said: List[Dict[str, Any]]) -> List[bytes]:
        return events(*said) if self.key == "stream" else chunks(*said)

    @property
    def arguments(self) -> Dict[str, Any]:
        if self.key == "stream":
            messages = [{"role": "user", "content": [{"text": "Say this is a test"}]}]
            return {"modelId": MODEL, "messages": messages}
        return {
            "modelId": MODEL,
            "body": '{"messages": [{"role": "user", "content": [{"text": "Say this"}]}]}',
        }


KINDS = {
    "converse": Kind("converse_stream", "converse-stream", "stream", "bedrock.converse_stream"),
    "invoke": Kind(
        "invoke_model_with_response_stream",
        "invoke-with-response-stream",
        "body",
        "bedrock.invoke_model_stream",
    ),
}


@pytest.fixture(params=KINDS)
def kind(request: pytest.FixtureRequest) -> Kind:
    return KINDS[request.param]


class Stream:
    """A stream of either SDK, taken in the same words."""

    def __init__(self, stream: Any) -> None:
        self.stream = stream
        self.iterator: Any = None

    async def next(self) -> Any:
        """The next event; None at the end."""
        if self.iterator is None:
            self.restart()
        iterator: Any = self.iterator
        if hasattr(self.stream, "__aiter__"):
            try:
                return await iterator.__anext__()
            except StopAsyncIteration:
                return None
        return next(iterator, None)

    def restart(self) -> None:
        is_async = hasattr(self.stream, "__aiter__")
        self.iterator = self.stream.__aiter__() if is_async else iter(self.stream)

    async def rest(self) -> List[Any]:
        taken: List[Any] = []
        while True:
            event = await self.next()
            if event is None:
                return taken
            taken.append(event)

    async def close(self) -> None:
        closed = self.stream.close()
        if inspect.isawaitable(closed):
            await closed


Use = Callable[[Stream], Awaitable[Any]]


def consume(mode: str, kind: Kind, use: Use, body: Optional[List[bytes]] = None, **how: Any) -> Any:
    """Open a stream and hand it to a consumer, who alone holds it."""

    async def run() -> Any:
        encoded = body if body is not None else kind.encoded(SAID)
        with play(answer(kind.path, encoded, model=MODEL), **how) as player:
            if mode == "sync":
                with sync_client(player.url) as client:
                    response = getattr(client, kind.method)(**kind.arguments)
                    return await use(Stream(response.pop(kind.key)))
            async with async_client(player.url) as client:
                response = await getattr(client, kind.method)(**kind.arguments)
                return await use(Stream(response.pop(kind.key)))

    return asyncio.run(run())


def told(telemetry: Telemetry) -> Dict[str, Any]:
    gc.collect()
    assert len(telemetry.spans) == 1
    return telemetry.record["attributes"]


@pytest.mark.parametrize("mode", MODES)
class TestStream:
    def test_is_the_sdks_own_type(self, mode: str, kind: Kind, telemetry: Telemetry):
        async def use(stream: Stream) -> None:
            assert isinstance(stream.stream, eventstream.EventStream)
            if mode == "async":
                own = pytest.importorskip("aiobotocore.eventstream").AioEventStream
                assert isinstance(stream.stream, own)
            assert callable(stream.stream.get_initial_response)
            await stream.rest()

        consume(mode, kind, use)
        assert told(telemetry)["output"] == "This is a test."

    def test_exhausted(self, mode: str, kind: Kind, telemetry: Telemetry):
        async def use(stream: Stream) -> List[Any]:
            taken = await stream.rest()
            assert len(telemetry.spans) == 1
            assert await stream.rest() == []
            await stream.close()
            return taken

        assert len(consume(mode, kind, use)) == len(SAID)
        got = told(telemetry)
        assert telemetry.record["name"] == kind.record
        assert got["output"] == "This is a test."
        assert got["tokens_total"] == 9
        assert "peekr.stream.abandoned" not in got

    def test_left_and_dropped(self, mode: str, kind: Kind, telemetry: Telemetry):
        async def use(stream: Stream) -> None:
            for _ in range(3):
                await stream.next()
            assert not telemetry.spans

        consume(mode, kind, use)
        got = told(telemetry)
        assert got["output"] == "This is"
        assert got["peekr.stream.abandoned"] is True
        assert telemetry.record["status"] == "ok"

    def test_left_and_gone_on_with(self, mode: str, kind: Kind, telemetry: Telemetry):
        async def use(stream: Stream) -> None:
            await stream.next()
            await stream.next()
            stream.restart()
            await stream.rest()

        consume(mode, kind, use)
        got = told(telemetry)
        assert got["output"] == "This is a test."
        assert "peekr.stream.abandoned" not in got

    def test_iterator_alone_keeps_it_open(self, mode: str, kind: Kind, telemetry: Telemetry):
        async def use(stream: Stream) -> None:
            stream.restart()
            held, is_async = stream.iterator, mode == "async"
            del stream.stream, stream.iterator
            gc.collect()
            assert not telemetry.spans
            assert len([e async for e in held] if is_async else list(held)) == len(SAID)

        consume(mode, kind, use)
        assert told(telemetry)["tokens_total"] == 9

    def test_closed_in_the_middle(self, mode: str, kind: Kind, telemetry: Telemetry):
        async def use(stream: Stream) -> None:
            await stream.next()
            await stream.next()
            await stream.close()
            assert len(telemetry.spans) == 1

        consume(mode, kind, use)
        assert told(telemetry)["peekr.stream.abandoned"] is True

    def test_never_taken(self, mode: str, kind: Kind, telemetry: Telemetry):
        async def use(stream: Stream) -> None:
            pass

        consume(mode, kind, use)
        got = told(telemetry)
        assert got["peekr.stream.abandoned"] is True
        assert "output" not in got

    def test_consumers_own_exception(self, mode: str, kind: Kind, telemetry: Telemetry):
        async def use(stream: Stream) -> None:
            await stream.next()
            raise KeyError("mine")

        with pytest.raises(KeyError, match="mine"):
            consume(mode, kind, use)
        assert told(telemetry)["peekr.stream.abandoned"] is True
        assert telemetry.record["status"] == "ok"

    def test_exception_event(self, mode: str, kind: Kind, telemetry: Telemetry):
        body = [
            *kind.encoded(SAID[:3]),
            exception("throttlingException", "Too many requests."),
        ]
        with pytest.raises(exceptions.EventStreamError, match="Too many requests"):
            consume(mode, kind, Stream.rest, body)
        got = told(telemetry)
        assert telemetry.record["status"] == "error"
        assert got["error"] == "Too many requests."
        assert got["error.type"] == "throttlingException"
        assert got["output"] == "This is"

    def test_cut_connection(self, mode: str, kind: Kind, telemetry: Telemetry):
        with pytest.raises(Exception, match=r"."):
            consume(mode, kind, Stream.rest, cut_after=3)
        got = told(telemetry)
        assert telemetry.record["status"] == "error"
        assert got["output"] == "This is"

    def test_shut_down_while_open(self, mode: str, kind: Kind, telemetry: Telemetry):
        async def use(stream: Stream) -> None:
            await stream.next()
            peekr.shutdown()
            assert len(telemetry.spans) == 1
            await stream.rest()

        consume(mode, kind, use)
        assert len(telemetry.spans) == 1


def test_cancelled_consumer_leaves_the_stream(kind: Kind, telemetry: Telemetry):
    pause = Pause(before_chunk=3)

    async def use(stream: Stream) -> None:
        task = asyncio.ensure_future(stream.rest())
        await asyncio.get_running_loop().run_in_executor(None, pause.reached.wait)
        await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    consume("async", kind, use, pause=pause)
    got = told(telemetry)
    assert got["peekr.stream.abandoned"] is True
    assert telemetry.record["status"] == "ok"


def test_context_is_as_before_whoever_consumes(telemetry: Telemetry):
    """The stream runs under no span of its own, so what happens between its events has none."""
    from opentelemetry import trace

    kind = KINDS["converse"]

    async def use(stream: Stream) -> None:
        await stream.next()
        assert not trace.get_current_span().get_span_context().is_valid
        await stream.rest()

    consume("sync", kind, use)
    assert told(telemetry)["tokens_total"] == 9


@pytest.mark.parametrize("given", [list, iter])
def test_stubbed_events_are_told(
    given: Callable[[List[Any]], Union[List[Any], Any]],
    telemetry: Telemetry,
):
    """Tests of applications answer from a handler, with events of any iterable kind."""
    with sync_client("http://127.0.0.1:9") as client:

        def stub(**event: Any) -> Any:
            class Http:
                status_code = 200

            return Http(), {"stream": given(list(SAID))}

        client.meta.events.register_first("before-call.bedrock-runtime.ConverseStream", stub)
        response = client.converse_stream(**KINDS["converse"].arguments)
        assert list(response["stream"]) == SAID
    del response
    assert told(telemetry)["output"] == "This is a test."
