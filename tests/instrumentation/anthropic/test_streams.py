"""Every way in which a stream can end: the span ends once, with what had arrived."""

from __future__ import annotations

import asyncio
import gc
import json
import threading
from typing import Any, Awaitable, Callable, Dict, List

import anthropic
import pytest
from opentelemetry import trace as otel_trace
from opentelemetry.trace import StatusCode

import peekr

from ...conftest import Telemetry, attributes_of
from ...support.player import Pause, Player
from .calls import ANSWER, ASK, Calls, event_bodies, events, settled

SOURCES = ["messages.create", "beta.messages.create", "messages.stream", "beta.messages.stream"]
every_source = pytest.mark.parametrize("source", SOURCES)
plain_and_helper = pytest.mark.parametrize("source", ["messages.create", "messages.stream"])
every_helper = pytest.mark.parametrize("source", ["messages.stream", "beta.messages.stream"])

# Up to and with some of the answer's text: of a helper, each delta comes as two events.
SOME = 5


def is_helper(source: str) -> bool:
    return source.endswith(".stream")


def method(call: Calls, source: str) -> Any:
    try:
        return call.method(source)
    except AttributeError:
        pytest.skip(f"anthropic {anthropic.__version__} has no {source}")


async def opened(call: Calls, source: str, **more: Any) -> Any:
    """The stream; of a helper the stream that its `with` gives."""
    arguments = {**ASK, **more}
    if not is_helper(source):
        return await settled(method(call, source)(**arguments, stream=True))
    manager = method(call, source)(**arguments)
    return await settled(manager.__aenter__() if call.is_async else manager.__enter__())


async def manager_of(call: Calls, source: str, **more: Any) -> Any:
    if is_helper(source):
        return method(call, source)(**{**ASK, **more})
    return await opened(call, source, **more)


def output_text(telemetry: Telemetry) -> str:
    raw = attributes_of(telemetry.span).get("gen_ai.output.messages", "[]")
    return "".join(part["content"] for message in json.loads(raw) for part in message["parts"])


def assert_whole(telemetry: Telemetry) -> None:
    got = attributes_of(telemetry.span)
    assert telemetry.span.status.status_code is StatusCode.UNSET
    assert output_text(telemetry) == ANSWER
    assert "peekr.stream.abandoned" not in got
    assert got["gen_ai.request.stream"] is True
    assert got["gen_ai.response.finish_reasons"] == ("end_turn",)
    assert got["gen_ai.response.time_to_first_chunk"] >= 0
    assert got["peekr.request.id"].startswith("req_")
    attributes = telemetry.record["attributes"]
    assert telemetry.record["status"] == "ok"
    assert attributes["output"] == ANSWER
    assert attributes["tokens_total"] == attributes["tokens_input"] + attributes["tokens_output"]


def assert_abandoned(telemetry: Telemetry) -> None:
    got = attributes_of(telemetry.span)
    assert telemetry.span.status.status_code is StatusCode.UNSET
    assert "error.type" not in got
    assert not telemetry.span.events
    assert got["peekr.stream.abandoned"] is True
    assert got["gen_ai.response.id"]
    assert got["gen_ai.usage.input_tokens"] > 0
    # The beginning of a stream has only a placeholder.
    assert "gen_ai.usage.output_tokens" not in got
    text = output_text(telemetry)
    assert text
    assert ANSWER.startswith(text)
    assert text != ANSWER
    assert telemetry.record["attributes"]["output"] == text


# -- whole -------------------------------------------------------------------------------------


@every_source
async def test_stream_read_by_for_is_recorded_whole(source: str, call: Calls, telemetry: Telemetry):
    stream = await opened(call, source)
    assert not telemetry.spans
    await call.drain(stream)
    assert_whole(telemetry)
    await settled(stream.close())
    assert_whole(telemetry)


@every_source
async def test_stream_read_inside_with_is_recorded_whole(
    source: str, call: Calls, telemetry: Telemetry
):
    async with call.entered(await manager_of(call, source)) as stream:
        await call.drain(stream)
    assert_whole(telemetry)


async def drain_text(call: Calls, stream: Any) -> None:
    assert "".join(await call.drain(stream.text_stream)) == ANSWER


async def get_final_message(call: Calls, stream: Any) -> None:
    message = await settled(stream.get_final_message())
    assert message.content[0].text == ANSWER


async def get_final_text(call: Calls, stream: Any) -> None:
    assert await settled(stream.get_final_text()) == ANSWER


async def until_done(call: Calls, stream: Any) -> None:
    await settled(stream.until_done())
    assert stream.current_message_snapshot.content[0].text == ANSWER


async def text_then_final_message(call: Calls, stream: Any) -> None:
    await drain_text(call, stream)
    await get_final_message(call, stream)


@every_helper
@pytest.mark.parametrize(
    "read",
    [drain_text, get_final_message, get_final_text, until_done, text_then_final_message],
    ids=lambda read: read.__name__,
)
async def test_what_a_helper_offers_works_and_is_recorded_whole(
    source: str, read: Callable[[Calls, Any], Awaitable[None]], call: Calls, telemetry: Telemetry
):
    async with call.entered(await manager_of(call, source)) as stream:
        assert not telemetry.spans
        await read(call, stream)
    assert_whole(telemetry)


@every_helper
async def test_helpers_types_are_the_sdks(source: str, call: Calls, telemetry: Telemetry):
    peekr.uninstrument()
    bare_manager = await manager_of(call, source)
    async with call.entered(bare_manager) as bare:
        bare_events: List[Any] = [type(event) for event in await call.drain(bare)]
    telemetry.instrument()
    manager = await manager_of(call, source)
    async with call.entered(manager) as stream:
        kinds: List[Any] = [type(event) for event in await call.drain(stream)]
        assert stream.response.status_code == 200
        assert isinstance(stream.response, type(bare.response))
    assert type(manager) is type(bare_manager)
    assert type(stream) is type(bare)
    assert kinds == bare_events
    assert_whole(telemetry)


async def test_helper_sends_nothing_and_has_no_span_before_it_is_entered(
    call: Calls, telemetry: Telemetry
):
    manager = await manager_of(call, "messages.stream")
    assert not telemetry.spans
    async with call.entered(manager) as stream:
        await call.drain(stream)
    assert_whole(telemetry)


@every_source
async def test_stream_left_after_its_last_event_is_whole(
    source: str, call: Calls, telemetry: Telemetry
):
    stream = await opened(call, source)
    while (await call.take(stream))[0].type != "message_delta":
        pass
    await settled(stream.close())
    assert_whole(telemetry)


# -- left early --------------------------------------------------------------------------------


async def close(call: Calls, source: str) -> None:
    stream = await opened(call, source)
    await call.take(stream, SOME)
    await settled(stream.close())
    await settled(stream.close())


async def leave_with(call: Calls, source: str) -> None:
    async with call.entered(await manager_of(call, source)) as stream:
        await call.take(stream, SOME)


async def raise_inside(call: Calls, source: str, error: Exception) -> None:
    async with call.entered(await manager_of(call, source)) as stream:
        await call.take(stream, SOME)
        raise error


async def leave_with_by_own_exception(call: Calls, source: str) -> None:
    mine = ValueError("the caller's own")
    with pytest.raises(ValueError, match="the caller's own") as caught:
        await raise_inside(call, source, mine)
    assert caught.value is mine


async def close_response(call: Calls, source: str) -> None:
    stream = await opened(call, source)
    await call.take(stream, SOME)
    response = stream.response
    await settled(response.aclose() if call.is_async else response.close())
    # Helpers and streams alike may be closed again.
    await settled(stream.close())


async def break_and_leave_with(call: Calls, source: str) -> None:
    async with call.entered(await manager_of(call, source)) as stream:
        count = 0
        if call.is_async:
            async for _ in stream:
                count += 1
                if count == SOME:
                    break
        else:
            for _ in stream:
                count += 1
                if count == SOME:
                    break


async def drop(call: Calls, source: str) -> None:
    stream = await opened(call, source)
    await call.take(stream, SOME)
    del stream
    for _ in range(3):
        gc.collect()
        await asyncio.sleep(0)


Leaving = Callable[[Calls, str], Awaitable[None]]
LEAVINGS: List[Leaving] = [
    close,
    leave_with,
    leave_with_by_own_exception,
    close_response,
    break_and_leave_with,
]


@every_source
@pytest.mark.parametrize("leave", LEAVINGS, ids=lambda leave: leave.__name__)
async def test_stream_left_early_ends_its_span_without_error(
    source: str, leave: Leaving, call: Calls, telemetry: Telemetry
):
    await leave(call, source)
    assert_abandoned(telemetry)


@every_source
@pytest.mark.filterwarnings("ignore::ResourceWarning")
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
async def test_dropped_stream_ends_its_span_without_error(
    source: str, call: Calls, telemetry: Telemetry
):
    await drop(call, source)
    assert_abandoned(telemetry)


@every_helper
async def test_text_stream_broken_off_ends_its_span_without_error(
    source: str, call: Calls, telemetry: Telemetry
):
    async with call.entered(await manager_of(call, source)) as stream:
        await call.take(stream.text_stream, 2)
    assert_abandoned(telemetry)


@plain_and_helper
async def test_stream_open_at_shutdown_is_stored(source: str, call: Calls, telemetry: Telemetry):
    stream = await opened(call, source)
    await call.take(stream, SOME)
    peekr.shutdown()
    assert_abandoned(telemetry)
    assert await call.drain(stream)
    assert len(telemetry.spans) == 1
    await settled(stream.close())


# -- failed ------------------------------------------------------------------------------------


def assert_failed(telemetry: Telemetry, code: str) -> None:
    got = attributes_of(telemetry.span)
    assert telemetry.span.status.status_code is StatusCode.ERROR
    assert code in (got["error.type"], got.get("peekr.error.code"))
    assert "peekr.stream.abandoned" not in got
    assert got["gen_ai.response.id"]
    text = output_text(telemetry)
    assert text
    assert ANSWER.startswith(text)
    record = telemetry.record
    assert record["status"] == "error"
    assert record["attributes"]["error"]


@every_source
async def test_error_event_in_a_stream_is_an_error(source: str, call: Calls, telemetry: Telemetry):
    stream = await opened(call, source, model="claude-simulated-stream-error")
    with pytest.raises(anthropic.APIStatusError, match="Overloaded"):
        await call.drain(stream)
    assert_failed(telemetry, "overloaded_error")
    assert "http.response.status_code" not in attributes_of(telemetry.span)
    assert "Overloaded" in telemetry.record["attributes"]["error"]
    await settled(stream.close())


@every_source
async def test_connection_cut_in_a_stream_is_an_error(
    source: str, call: Calls, telemetry: Telemetry
):
    stream = await opened(call, source, model="claude-simulated-stream-cut")
    with pytest.raises(Exception, match="peer closed connection") as caught:
        await call.drain(stream)
    assert_failed(telemetry, type(caught.value).__qualname__)
    await settled(stream.close())


@plain_and_helper
async def test_refused_stream_is_an_error_with_status_and_request_id(
    source: str, call: Calls, telemetry: Telemetry
):
    with pytest.raises(anthropic.APIStatusError) as caught:
        await opened(call, source, model="claude-simulated-error-529")
    got = attributes_of(telemetry.span)
    assert telemetry.span.status.status_code is StatusCode.ERROR
    assert got["error.type"] == type(caught.value).__qualname__
    assert got["peekr.error.code"] == "overloaded_error"
    assert got["http.response.status_code"] == 529
    assert got["peekr.request.id"] == caught.value.request_id
    assert telemetry.record["status"] == "error"


@plain_and_helper
async def test_cancelled_task_ends_its_stream_without_error(source: str, telemetry: Telemetry):
    bodies = event_bodies(
        [({"type": "text", "text": ""}, [{"type": "text_delta", "text": "This is"}])]
    )
    pause = Pause(before_chunk=3)
    with Player(events(*bodies), pause=pause) as player:
        async with Calls("async", player.url) as call:
            stream = await opened(call, source)
            got_text = asyncio.Event()

            async def consume() -> None:
                async for event in stream:
                    if event.type == "content_block_delta":
                        got_text.set()

            task = asyncio.create_task(consume())
            await asyncio.wait_for(got_text.wait(), 10)
            while not pause.reached.is_set():
                await asyncio.sleep(0.001)
            await asyncio.sleep(0)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
            assert_abandoned(telemetry)
            await stream.close()
    assert_abandoned(telemetry)


async def test_stream_that_ends_without_its_last_event_says_no_finish_reason(
    mode: str, telemetry: Telemetry
):
    bodies = event_bodies([({"type": "text", "text": ""}, [{"type": "text_delta", "text": "Hel"}])])
    with Player(events(*bodies[:3])) as player:
        async with Calls(mode, player.url) as call:
            await call.drain(await call("messages.create", **ASK, stream=True))
    got = attributes_of(telemetry.span)
    assert output_text(telemetry) == "Hel"
    assert "gen_ai.response.finish_reasons" not in got


# -- raw ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("way", ["with_raw_response", "with_streaming_response"])
@pytest.mark.parametrize("api", ["messages", "beta.messages"])
async def test_raw_response_of_a_stream_left_early_is_abandoned(
    api: str, way: str, call: Calls, telemetry: Telemetry
):
    raw = (
        await call(f"{api}.{way}.create", **ASK, stream=True)
        if way == "with_raw_response"
        else (call.method(f"{api}.{way}.create")(**ASK, stream=True))
    )
    if way == "with_raw_response":
        stream = await settled(raw.parse())
        await call.take(stream, SOME)
        assert not telemetry.spans
        await settled(stream.close())
    else:
        async with call.entered(raw) as response:
            lines = response.iter_lines()
            await call.take(lines, 1)
            assert not telemetry.spans
    assert len(telemetry.spans) == 1
    assert telemetry.span.status.status_code is StatusCode.UNSET
    assert attributes_of(telemetry.span)["gen_ai.response.model"] == ASK["model"]


async def test_error_event_in_a_raw_stream_is_an_error(call: Calls, telemetry: Telemetry):
    raw = call.method("messages.with_streaming_response.create")(
        **{**ASK, "model": "claude-simulated-stream-error"}, stream=True
    )
    async with call.entered(raw) as response:
        await call.drain(response.iter_lines())
    assert_failed(telemetry, "overloaded_error")


# -- elsewhere ---------------------------------------------------------------------------------


@every_source
async def test_stream_may_be_read_in_another_thread_or_task(
    source: str, call: Calls, telemetry: Telemetry
):
    with telemetry.tracer.start_as_current_span("caller") as caller:
        stream = await opened(call, source)
        assert otel_trace.get_current_span() is caller
    seen: List[Any] = []

    async def consume() -> None:
        await call.drain(stream)
        seen.append(otel_trace.get_current_span())

    if call.is_async:
        await asyncio.create_task(consume())
    else:
        thread = threading.Thread(target=asyncio.run, args=(consume(),))
        thread.start()
        thread.join()
    assert not seen[0].get_span_context().is_valid
    caller_span, span = telemetry.spans
    assert span.parent is not None
    assert caller_span.context is not None
    assert span.parent.span_id == caller_span.context.span_id
    records: List[Dict[str, Any]] = telemetry.records
    assert records[1]["attributes"]["output"] == ANSWER


@plain_and_helper
async def test_current_span_inside_a_stream_is_the_callers(
    source: str, call: Calls, telemetry: Telemetry
):
    with telemetry.tracer.start_as_current_span("caller") as caller:
        async with call.entered(await manager_of(call, source)) as stream:
            assert otel_trace.get_current_span() is caller
            await call.take(stream)
            assert otel_trace.get_current_span() is caller
        assert otel_trace.get_current_span() is caller
