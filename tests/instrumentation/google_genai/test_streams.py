"""Every way out of a stream: the span ends once, and the caller's stream is the SDK's."""

from __future__ import annotations

import asyncio
import gc
import inspect
import threading
from types import AsyncGeneratorType, GeneratorType
from typing import Any, Dict, Iterator, List, cast

import pytest
from opentelemetry import trace as otel_trace

from ...conftest import Telemetry, attributes_of
from ...support.player import Player
from .calling import COUNTED, MODEL, chunk, client_of, genai, playing, quiet, run_async

pytestmark = quiet

WORDS = ["one ", "two ", "three ", "four"]
ANSWER = [
    *(chunk({"text": word}) for word in WORDS[:-1]),
    chunk({"text": WORDS[-1]}, finish="STOP", **COUNTED),
]
ASKED: Dict[str, Any] = {"model": MODEL, "contents": "count"}


@pytest.fixture(autouse=True)
def sdk() -> Any:
    return genai()


@pytest.fixture
def player() -> Iterator[Player]:
    with playing("sync-stream", ANSWER, repeat=True) as started:
        yield started


@pytest.fixture
def client(player: Player) -> Iterator[Any]:
    with client_of(player.url) as made:
        yield made


def check_left(telemetry: Telemetry, text: str) -> None:
    """The one span ended, without an error, with what had arrived, and says that it was left."""
    record = telemetry.record
    assert record["name"] == "gemini.generate_content_stream"
    assert record["status"] == "ok"
    assert record["attributes"]["output"] == text
    assert record["attributes"]["peekr.stream.abandoned"] is True
    assert len(telemetry.spans) == 1


def check_whole(telemetry: Telemetry) -> None:
    record = telemetry.record
    assert record["status"] == "ok"
    assert record["attributes"]["output"] == "".join(WORDS)
    assert record["attributes"]["tokens_total"] == 8
    assert "peekr.stream.abandoned" not in record["attributes"]


def leave_by_break(stream: Any) -> None:
    for _ in stream:
        break


def leave_by_close(stream: Any) -> None:
    next(stream)
    stream.close()


def leave_by_exception(stream: Any) -> None:
    next(stream)
    with pytest.raises(KeyError):
        stream.throw(KeyError("mine"))


def leave_by_exception_in_the_loop(stream: Any) -> None:
    def reading() -> None:
        for _ in stream:
            raise KeyError("mine")

    with pytest.raises(KeyError):
        reading()


@pytest.mark.parametrize(
    "leave",
    [leave_by_break, leave_by_close, leave_by_exception, leave_by_exception_in_the_loop],
    ids=lambda leave: leave.__name__,
)
def test_stream_left_early_ends_its_span_without_an_error(
    telemetry: Telemetry, client: Any, leave: Any
):
    leave(client.models.generate_content_stream(**ASKED))
    gc.collect()
    check_left(telemetry, "one ")


def read_by_send(stream: Any) -> None:
    for word in WORDS:
        assert stream.send(None).text == word
    with pytest.raises(StopIteration):
        stream.send(None)


@pytest.mark.parametrize("end", [list[Any], read_by_send], ids=["loop", "send"])
def test_stream_read_to_its_end_is_whole(telemetry: Telemetry, client: Any, end: Any):
    stream = client.models.generate_content_stream(**ASKED)
    end(stream)
    check_whole(telemetry)
    with pytest.raises(StopIteration):
        next(stream)
    check_whole(telemetry)


def test_stream_left_when_all_had_arrived_was_not_abandoned(telemetry: Telemetry, client: Any):
    stream = client.models.generate_content_stream(**ASKED)
    for _ in WORDS:
        next(stream)
    stream.close()
    check_whole(telemetry)


def test_stream_that_is_never_begun_sends_nothing_and_records_nothing(
    telemetry: Telemetry, client: Any, player: Player
):
    stream = client.models.generate_content_stream(**ASKED)
    del stream
    gc.collect()
    assert player.requests == []
    assert telemetry.spans == []


def test_stream_is_the_generator_that_it_was(telemetry: Telemetry, client: Any):
    stream = client.models.generate_content_stream(**ASKED)
    assert type(stream) is GeneratorType
    assert inspect.getgeneratorstate(cast("Any", stream)) == inspect.GEN_CREATED
    assert [part.text for part in cast("Any", stream)] == WORDS


def test_streams_side_by_side_are_recorded_each_by_itself(telemetry: Telemetry, client: Any):
    first = client.models.generate_content_stream(**ASKED)
    second = client.models.generate_content_stream(**ASKED)
    assert [(a.text, b.text) for a, b in zip(first, second)] == [(w, w) for w in WORDS]
    list(second)
    assert len(telemetry.records) == 2
    assert {record["attributes"]["output"] for record in telemetry.records} == {"".join(WORDS)}


def test_current_span_is_the_callers_between_chunks(telemetry: Telemetry, client: Any):
    with telemetry.tracer.start_as_current_span("caller") as outer:
        for _ in client.models.generate_content_stream(**ASKED):
            assert otel_trace.get_current_span() is outer
        assert otel_trace.get_current_span() is outer
    model_call, _ = telemetry.spans
    assert model_call.parent is not None
    assert model_call.parent.span_id == outer.get_span_context().span_id


def test_request_of_a_stream_is_sent_below_its_span(
    telemetry: Telemetry, client: Any, monkeypatch: pytest.MonkeyPatch
):
    sending = client._api_client.request_streamed
    current: List[Any] = []

    def watched(*args: Any, **kwargs: Any) -> Any:
        current.append(otel_trace.get_current_span().get_span_context().span_id)
        yield from sending(*args, **kwargs)

    monkeypatch.setattr(client._api_client, "request_streamed", watched)
    list(client.models.generate_content_stream(**ASKED))
    context = telemetry.span.get_span_context()
    assert context is not None
    assert current == [context.span_id]


@pytest.mark.parametrize("mode", ["sync-stream", "async-stream"])
def test_connection_cut_in_the_middle_is_an_error_with_what_had_arrived(
    telemetry: Telemetry, mode: str
):
    raising = pytest.raises(Exception, match=r".")
    with playing(mode, ANSWER, cut_after=2) as player, client_of(player.url) as client, raising:
        consume(client, mode)
    record = telemetry.record
    assert record["status"] == "error"
    assert record["attributes"]["output"] == "one two "
    assert record["attributes"]["error.type"]
    assert len(telemetry.spans) == 1


def consume(client: Any, mode: str) -> List[str]:
    if mode == "sync-stream":
        return [part.text for part in client.models.generate_content_stream(**ASKED)]

    async def reading() -> List[str]:
        stream = await client.aio.models.generate_content_stream(**ASKED)
        return [part.text async for part in stream]

    return run_async(client, reading)


# -- async -----------------------------------------------------------------------------------------


async def aleave_by_break(stream: Any) -> None:
    async for _ in stream:
        break


async def aleave_by_close(stream: Any) -> None:
    await stream.__anext__()
    await stream.aclose()


async def aleave_by_exception(stream: Any) -> None:
    await stream.__anext__()
    with pytest.raises(KeyError):
        await stream.athrow(KeyError("mine"))


async def aleave_by_cancellation(stream: Any) -> None:
    begun = asyncio.Event()

    async def reading() -> None:
        async for _ in stream:
            begun.set()
            await asyncio.Event().wait()

    task = asyncio.ensure_future(reading())
    await begun.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


@pytest.mark.parametrize(
    "leave",
    [aleave_by_break, aleave_by_close, aleave_by_exception, aleave_by_cancellation],
    ids=lambda leave: leave.__name__,
)
def test_async_stream_left_early_ends_its_span_without_an_error(
    telemetry: Telemetry, client: Any, leave: Any
):
    async def leaving() -> None:
        await leave(await client.aio.models.generate_content_stream(**ASKED))
        gc.collect()
        await asyncio.sleep(0)

    run_async(client, leaving)
    gc.collect()
    check_left(telemetry, "one ")


def test_async_stream_dropped_before_its_first_chunk_leaves_no_span_open(
    telemetry: Telemetry, client: Any, player: Player
):
    async def dropping() -> None:
        stream = await client.aio.models.generate_content_stream(**ASKED)
        del stream
        gc.collect()

    run_async(client, dropping)
    assert len(telemetry.spans) == len(player.requests)


def test_async_stream_read_to_its_end_is_whole(telemetry: Telemetry, client: Any):
    async def reading() -> None:
        stream = await client.aio.models.generate_content_stream(**ASKED)
        assert type(stream) is AsyncGeneratorType
        assert [part.text async for part in cast("Any", stream)] == WORDS

    run_async(client, reading)
    check_whole(telemetry)


def test_async_call_cancelled_while_it_waits_ends_its_span(telemetry: Telemetry):
    async def cancelling() -> None:
        task = asyncio.ensure_future(client.aio.models.generate_content(**ASKED))
        while not player.requests and not task.done():
            await asyncio.sleep(0.005)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    with playing("async", ANSWER) as player, client_of(player.url) as client:
        slow = player.take

        def waiting(received: Any) -> Any:
            taken = slow(received)
            released.wait(30)
            return taken

        released = threading.Event()
        player.take = waiting
        try:
            run_async(client, cancelling)
        finally:
            released.set()
    span = telemetry.span
    assert attributes_of(span)["error.type"] == "CancelledError"
