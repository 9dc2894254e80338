"""Every way in which a stream can end: the span ends once, with what had arrived."""

from __future__ import annotations

import asyncio
import gc
import json
import threading
from typing import Any, Awaitable, Callable, Dict, List

import openai
import pytest
from opentelemetry import trace as otel_trace
from opentelemetry.trace import StatusCode

from ...conftest import Telemetry, attributes_of
from ...support.player import Pause, Player
from .calls import CHAT, MODES, RESPONSES, Calls, chunk, events, settled

ANSWER = "This is a simulated answer to: hi there"


class Source:
    """One way to a stream: how it is opened, and how it is left whole."""

    def __init__(self, name: str, path: str, arguments: Dict[str, Any]) -> None:
        self.name, self.path, self.arguments = name, path, arguments
        self.is_helper = path.endswith(".stream")

    async def open(self, call: Calls, **more: Any) -> Any:
        """The stream; of a helper the stream that its `with` gives."""
        arguments = {**self.arguments, **more}
        if self.is_helper:
            manager = method(call, self.path)(**arguments)
            entering = manager.__aenter__() if call.is_async else manager.__enter__()
            return await settled(entering)
        return await call(self.path, **arguments, stream=True)

    def manager(self, call: Calls, **more: Any) -> Any:
        arguments = {**self.arguments, **more}
        if self.is_helper:
            return method(call, self.path)(**arguments)
        return _Opened(self, call, arguments)


class _Opened:
    """`with client.….create(stream=True) as stream`, sync or async."""

    def __init__(self, source: Source, call: Calls, arguments: Dict[str, Any]) -> None:
        self._source, self._call, self._arguments = source, call, arguments
        self._stream: Any = None

    def __enter__(self) -> Any:
        self._stream = self._call.method(self._source.path)(**self._arguments, stream=True)
        return self._stream.__enter__()

    def __exit__(self, *exc_info: Any) -> Any:
        return self._stream.__exit__(*exc_info)

    async def __aenter__(self) -> Any:
        self._stream = await self._call.method(self._source.path)(**self._arguments, stream=True)
        return await self._stream.__aenter__()

    async def __aexit__(self, *exc_info: Any) -> Any:
        return await self._stream.__aexit__(*exc_info)


def method(call: Calls, path: str) -> Any:
    """A method of the SDK; where this version has it elsewhere, from there."""
    try:
        return call.method(path)
    except AttributeError:
        if not hasattr(call.client, "responses") or path.startswith("responses"):
            pytest.skip(f"openai {openai.__version__} has no {path}")
        return call.method(f"beta.{path}")


CHAT_STREAM = Source("chat", "chat.completions.create", CHAT)
RESPONSES_STREAM = Source("responses", "responses.create", RESPONSES)
TEXT_STREAM = Source("completions", "completions.create", {"model": "gpt-4o", "prompt": "hi there"})
CHAT_HELPER = Source("chat.stream", "chat.completions.stream", CHAT)
RESPONSES_HELPER = Source("responses.stream", "responses.stream", RESPONSES)
SOURCES = [CHAT_STREAM, RESPONSES_STREAM, TEXT_STREAM, CHAT_HELPER, RESPONSES_HELPER]

every_source = pytest.mark.parametrize("source", SOURCES, ids=lambda source: source.name)
both_kinds = pytest.mark.parametrize(
    "source", [CHAT_STREAM, RESPONSES_STREAM], ids=lambda source: source.name
)


def output_text(telemetry: Telemetry) -> str:
    raw = attributes_of(telemetry.span).get("gen_ai.output.messages", "[]")
    return "".join(part["content"] for message in json.loads(raw) for part in message["parts"])


def assert_whole(telemetry: Telemetry) -> None:
    span = telemetry.span
    assert span.status.status_code is StatusCode.UNSET
    assert output_text(telemetry) == ANSWER
    assert "peekr.stream.abandoned" not in attributes_of(span)
    assert attributes_of(span)["gen_ai.response.finish_reasons"] == ("stop",)
    record = telemetry.record
    assert record["status"] == "ok"
    assert record["attributes"]["output"] == ANSWER


def assert_abandoned(telemetry: Telemetry) -> None:
    span = telemetry.span
    assert span.status.status_code is StatusCode.UNSET
    assert "error.type" not in attributes_of(span)
    assert not span.events
    assert attributes_of(span)["peekr.stream.abandoned"] is True
    assert attributes_of(span)["gen_ai.response.model"].startswith("gpt-4o")
    assert attributes_of(span)["gen_ai.response.id"]
    text = output_text(telemetry)
    assert text
    assert ANSWER.startswith(text)
    assert text != ANSWER
    record = telemetry.record
    assert record["status"] == "ok"
    assert record["attributes"]["output"] == text


async def take_some(call: Calls, stream: Any) -> None:
    """Chunks up to and with the first two words of the answer."""
    await call.take(stream, 7)


# -- whole -------------------------------------------------------------------------------------


@every_source
async def test_stream_read_by_for_is_recorded_whole(
    source: Source, call: Calls, telemetry: Telemetry
):
    stream = await source.open(call)
    assert not telemetry.spans
    await call.drain(stream)
    assert_whole(telemetry)
    await settled(stream.close())
    assert_whole(telemetry)


@every_source
async def test_stream_read_by_next_is_recorded_whole(
    source: Source, call: Calls, telemetry: Telemetry
):
    stream = await source.open(call)
    if call.is_async:
        with pytest.raises(StopAsyncIteration):
            await read_on_async(stream)
    else:
        with pytest.raises(StopIteration):
            read_on(stream)
    assert_whole(telemetry)


async def read_on_async(stream: Any) -> None:
    while True:
        await stream.__anext__()


def read_on(stream: Any) -> None:
    while True:
        next(stream)


@every_source
async def test_stream_read_inside_with_is_recorded_whole(
    source: Source, call: Calls, telemetry: Telemetry
):
    async with call.entered(source.manager(call)) as stream:
        await call.drain(stream)
    assert_whole(telemetry)


@pytest.mark.parametrize(
    ("source", "final"),
    [(CHAT_HELPER, "get_final_completion"), (RESPONSES_HELPER, "get_final_response")],
    ids=["chat", "responses"],
)
async def test_final_result_of_a_helper_is_recorded_whole(
    source: Source, final: str, call: Calls, telemetry: Telemetry
):
    async with call.entered(source.manager(call)) as stream:
        result = await settled(getattr(stream, final)())
    assert result.id
    assert_whole(telemetry)


@every_source
async def test_stream_read_by_a_generator_expression_is_recorded_whole(
    source: Source, call: Calls, telemetry: Telemetry
):
    stream = await source.open(call)
    if call.is_async:
        assert [c async for c in (c async for c in stream)]
    else:
        assert list(c for c in stream)  # noqa: C400
    assert_whole(telemetry)


@every_source
async def test_stream_with_all_but_its_end_read_is_whole(
    source: Source, call: Calls, telemetry: Telemetry
):
    stream = await source.open(call)
    done = ("response.completed", "content.done")
    while True:
        (item,) = await call.take(stream)
        kind = getattr(item, "type", None)
        if kind in done or (kind is None and item.choices and item.choices[0].finish_reason):
            break
    await settled(stream.close())
    assert_whole(telemetry)


# -- left early --------------------------------------------------------------------------------


async def close(source: Source, call: Calls) -> None:
    stream = await source.open(call)
    await take_some(call, stream)
    await settled(stream.close())
    await settled(stream.close())


async def leave_with(source: Source, call: Calls) -> None:
    async with call.entered(source.manager(call)) as stream:
        await take_some(call, stream)


async def raise_inside(source: Source, call: Calls, error: Exception) -> None:
    async with call.entered(source.manager(call)) as stream:
        await take_some(call, stream)
        raise error


async def leave_with_by_own_exception(source: Source, call: Calls) -> None:
    mine = ValueError("the caller's own")
    with pytest.raises(ValueError, match="the caller's own") as caught:
        await raise_inside(source, call, mine)
    assert caught.value is mine
    assert mine.__cause__ is None
    assert mine.__context__ is None


async def close_response(source: Source, call: Calls) -> None:
    stream = await source.open(call)
    await take_some(call, stream)
    if source.is_helper:
        await settled(stream.close())
    else:
        await settled(stream.response.aclose() if call.is_async else stream.response.close())


async def close_after_break(source: Source, call: Calls) -> None:
    stream = await source.open(call)
    count = 0
    if call.is_async:
        async for _ in stream:
            count += 1
            if count == 7:
                break
    else:
        for _ in stream:
            count += 1
            if count == 7:
                break
    await settled(stream.close())


Leaving = Callable[[Source, Calls], Awaitable[None]]
LEAVINGS: List[Leaving] = [
    close,
    leave_with,
    leave_with_by_own_exception,
    close_response,
    close_after_break,
]


@every_source
@pytest.mark.parametrize("leave", LEAVINGS, ids=lambda leaving: leaving.__name__)
async def test_stream_left_early_ends_span_without_error(
    source: Source, leave: Leaving, call: Calls, telemetry: Telemetry
):
    await leave(source, call)
    assert_abandoned(telemetry)
    gc.collect()
    assert_abandoned(telemetry)


@every_source
async def test_stream_broken_off_and_dropped_ends_span_without_error(
    source: Source, call: Calls, telemetry: Telemetry
):
    stream = await source.open(call)
    await take_some(call, stream)
    assert not telemetry.spans
    # The SDK's own objects refer to each other in a ring.
    del stream
    await collected(call)
    assert_abandoned(telemetry)


async def collected(call: Calls) -> None:
    """Collect what was dropped, and let the loop close what is asynchronous of it."""
    gc.collect()
    if call.is_async:
        await asyncio.sleep(0)


@every_source
async def test_stream_dropped_inside_a_cycle_ends_when_collected(
    source: Source, call: Calls, telemetry: Telemetry
):
    holder: Dict[str, Any] = {"stream": await source.open(call)}
    holder["self"] = holder
    await take_some(call, holder["stream"])
    del holder
    await collected(call)
    assert_abandoned(telemetry)


async def test_stream_dropped_unread_ends_span(call: Calls, telemetry: Telemetry):
    stream = await call("chat.completions.create", **CHAT, stream=True)
    del stream
    await collected(call)
    got = attributes_of(telemetry.span)
    assert got["peekr.stream.abandoned"] is True
    assert "gen_ai.output.messages" not in got
    assert "gen_ai.response.time_to_first_chunk" not in got
    assert telemetry.span.status.status_code is StatusCode.UNSET


async def test_stream_of_usage_closed_after_the_finish_reason_was_whole(
    call: Calls, telemetry: Telemetry
):
    stream = await call(
        "chat.completions.create", **CHAT, stream=True, stream_options={"include_usage": True}
    )
    await call.drain(stream)
    assert attributes_of(telemetry.span)["gen_ai.usage.output_tokens"] > 0
    assert_whole(telemetry)


# -- failed ------------------------------------------------------------------------------------


def assert_failed(telemetry: Telemetry, error_type: str) -> None:
    span = telemetry.span
    assert span.status.status_code is StatusCode.ERROR
    got = attributes_of(span)
    assert got["error.type"] == error_type
    assert "peekr.stream.abandoned" not in got
    text = output_text(telemetry)
    assert text
    assert ANSWER.startswith(text)
    record = telemetry.record
    assert record["status"] == "error"
    assert record["attributes"]["error"]
    assert record["attributes"]["output"] == text


@every_source
async def test_connection_cut_in_the_middle_is_an_error_with_what_had_arrived(
    source: Source, call: Calls, telemetry: Telemetry
):
    try:
        stream = await source.open(call, model="simulated-stream-cut")
        await call.drain(stream)
    except Exception as error:
        raised = error
    else:
        raise AssertionError("the SDK raises")
    assert_failed(telemetry, type(raised).__qualname__)
    (event,) = telemetry.span.events
    assert event.name == "exception"


@pytest.mark.parametrize(
    "source", [CHAT_STREAM, CHAT_HELPER, TEXT_STREAM], ids=lambda source: source.name
)
async def test_error_event_in_a_chat_stream_is_an_error(
    source: Source, call: Calls, telemetry: Telemetry
):
    stream = await source.open(call, model="simulated-stream-error")
    with pytest.raises(openai.APIError, match="had an error"):
        await call.drain(stream)
    assert_failed(telemetry, "APIError")
    assert "had an error" in telemetry.record["attributes"]["error"]


@pytest.mark.parametrize(
    "source", [RESPONSES_STREAM, RESPONSES_HELPER], ids=lambda source: source.name
)
async def test_failed_event_of_responses_is_an_error(
    source: Source, call: Calls, telemetry: Telemetry
):
    stream = await source.open(call, model="simulated-stream-error")
    await call.drain(stream)
    assert_failed(telemetry, "server_error")
    assert "had an error" in telemetry.record["attributes"]["error"]


CREATED: Dict[str, Any] = {
    "type": "response.created",
    "sequence_number": 0,
    "response": {
        "id": "resp_1",
        "object": "response",
        "created_at": 1,
        "model": "gpt-4o-2024-08-06",
        "status": "in_progress",
        "output": [],
        "parallel_tool_calls": True,
        "tool_choice": "auto",
        "tools": [],
    },
}


def ended_response(kind: str, text: str, **more: Any) -> Dict[str, Any]:
    created: Any = CREATED["response"]
    item: Dict[str, Any] = {
        "type": "message",
        "id": "msg_1",
        "role": "assistant",
        "status": "incomplete",
        "content": [{"type": "output_text", "text": text, "annotations": []}],
    }
    response = {**created, "status": kind, "output": [item], **more}
    return {"type": f"response.{kind}", "sequence_number": 9, "response": response}


DELTA: Dict[str, Any] = {
    "type": "response.output_text.delta",
    "sequence_number": 4,
    "item_id": "msg_1",
    "output_index": 0,
    "content_index": 0,
    "delta": "Hel",
}


async def test_error_event_of_responses_is_an_error(mode: str, telemetry: Telemetry):
    error = {
        "type": "error",
        "sequence_number": 5,
        "code": "rate_limit_exceeded",
        "message": "slow down",
        "param": None,
    }
    played = events(CREATED, DELTA, error, path="/v1/responses", done=False)
    with Player(played) as player:
        async with Calls(mode, player.url + "/v1") as call:
            stream = await call("responses.create", **RESPONSES, stream=True)
            assert len(await call.drain(stream)) == 3
    assert telemetry.span.status.status_code is StatusCode.ERROR
    assert attributes_of(telemetry.span)["error.type"] == "rate_limit_exceeded"
    assert telemetry.record["attributes"]["error"] == "slow down"
    assert output_text(telemetry) == "Hel"


async def test_incomplete_response_says_why_and_is_no_error(mode: str, telemetry: Telemetry):
    ended = ended_response(
        "incomplete", "Hello wor", incomplete_details={"reason": "max_output_tokens"}
    )
    with Player(events(CREATED, DELTA, ended, path="/v1/responses", done=False)) as player:
        async with Calls(mode, player.url + "/v1") as call:
            await call.drain(await call("responses.create", **RESPONSES, stream=True))
    got = attributes_of(telemetry.span)
    assert telemetry.span.status.status_code is StatusCode.UNSET
    assert got["gen_ai.response.finish_reasons"] == ("max_output_tokens",)
    assert "peekr.stream.abandoned" not in got
    assert output_text(telemetry) == "Hello wor"


async def test_stream_that_ends_without_its_last_event_is_marked(mode: str, telemetry: Telemetry):
    """A proxy between may end the body in the middle: nobody raises, but it is not whole."""
    with Player(events(chunk({"content": "Hel"}), done=False)) as player:
        async with Calls(mode, player.url + "/v1") as call:
            await call.drain(await call("chat.completions.create", **CHAT, stream=True))
    got = attributes_of(telemetry.span)
    assert telemetry.span.status.status_code is StatusCode.UNSET
    assert output_text(telemetry) == "Hel"
    assert "gen_ai.response.finish_reasons" not in got


# -- cancelled ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "source", [CHAT_STREAM, CHAT_HELPER, RESPONSES_STREAM], ids=lambda source: source.name
)
async def test_cancelled_task_ends_its_stream_without_error(source: Source, telemetry: Telemetry):
    body: List[Dict[str, Any]] = [
        chunk({"role": "assistant", "content": "This is"}),
        chunk({"content": " a"}, "stop"),
    ]
    path = "/v1/chat/completions"
    if source is RESPONSES_STREAM:
        body, path = (
            [CREATED, {**DELTA, "delta": "This is"}, ended_response("completed", "x")],
            ("/v1/responses"),
        )
    pause = Pause(before_chunk=len(body) - 1)
    with Player(events(*body, path=path), pause=pause) as player:
        async with Calls("async", player.url + "/v1") as call:
            stream = await source.open(call)
            got: List[Any] = []

            async def consume() -> None:
                async for item in stream:
                    got.append(item)

            task = asyncio.create_task(consume())
            while not pause.reached.is_set() or len(got) < len(body) - 1:
                await asyncio.sleep(0.001)
            await asyncio.sleep(0)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
            assert_abandoned(telemetry)
            await stream.close()
    assert_abandoned(telemetry)


async def test_timeout_around_a_stream_passes_unmodified(telemetry: Telemetry):
    body: List[Dict[str, Any]] = [
        chunk({"role": "assistant", "content": "This is"}),
        chunk({"content": " a"}, "stop"),
    ]
    pause = Pause(before_chunk=1)
    with Player(events(*body), pause=pause) as player:
        async with Calls("async", player.url + "/v1") as call:
            stream = await call("chat.completions.create", **CHAT, stream=True)
            with pytest.raises(asyncio.TimeoutError):
                await asyncio.wait_for(call.drain(stream), timeout=0.05)
            assert_abandoned(telemetry)


# -- elsewhere ---------------------------------------------------------------------------------


@every_source
async def test_stream_may_be_read_in_another_thread_or_task(
    source: Source, call: Calls, telemetry: Telemetry
):
    with telemetry.tracer.start_as_current_span("caller") as caller:
        stream = await source.open(call)
        assert otel_trace.get_current_span() is caller
    seen: List[Any] = []

    async def consume() -> None:
        seen.append(otel_trace.get_current_span())
        await call.drain(stream)
        seen.append(otel_trace.get_current_span())

    if call.is_async:
        await asyncio.create_task(consume())
    else:
        thread = threading.Thread(target=asyncio.run, args=(consume(),))
        thread.start()
        thread.join()
    assert seen[0] is seen[1]
    assert not seen[0].get_span_context().is_valid
    caller_span, span = telemetry.spans
    assert span.parent is not None
    assert caller_span.context is not None
    assert span.parent.span_id == caller_span.context.span_id
    telemetry.exporter.clear()
    assert "output" in telemetry.records[1]["attributes"]


@every_source
async def test_current_span_inside_and_after_a_stream_is_the_callers(
    source: Source, call: Calls, telemetry: Telemetry
):
    with telemetry.tracer.start_as_current_span("caller") as caller:
        stream = await source.open(call)
        assert otel_trace.get_current_span() is caller
        with telemetry.tracer.start_as_current_span("reader") as reader:
            await call.take(stream)
            assert otel_trace.get_current_span() is reader
            await call.drain(stream)
            assert otel_trace.get_current_span() is reader
        assert otel_trace.get_current_span() is caller
        await settled(stream.close())
        assert otel_trace.get_current_span() is caller


@pytest.mark.parametrize("mode", MODES)
async def test_two_streams_read_by_turns_are_two_spans(
    mode: str, call: Calls, telemetry: Telemetry
):
    first = await CHAT_STREAM.open(call)
    second = await RESPONSES_STREAM.open(call)
    await call.take(first)
    await call.take(second)
    await call.drain(first)
    await call.drain(second)
    assert [record["name"] for record in telemetry.records] == ["openai.chat", "openai.responses"]
    assert [record["attributes"]["output"] for record in telemetry.records] == [ANSWER, ANSWER]


@both_kinds
async def test_stream_open_at_shutdown_is_stored(source: Source, call: Calls, telemetry: Telemetry):
    import peekr

    stream = await source.open(call)
    await take_some(call, stream)
    peekr.shutdown()
    assert_abandoned(telemetry)
    assert await call.drain(stream)
    assert len(telemetry.spans) == 1
