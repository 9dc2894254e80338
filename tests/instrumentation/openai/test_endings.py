"""How a plain call can end: answered, refused, cut, timed out, cancelled, interrupted."""

from __future__ import annotations

import asyncio
import gc
import threading
from typing import Any, List, Type

import openai
import pytest
from opentelemetry import trace as otel_trace
from opentelemetry.trace import StatusCode

from simulated_providers import SimulatedProviders

from ...conftest import Telemetry, attributes_of
from ...support.player import Pause, Player
from .calls import CHAT, RESPONSES, Calls, answer, completion, events, make_client, settled

OK = completion({"role": "assistant", "content": "ok"})


@pytest.mark.parametrize(
    ("status", "error"),
    [
        (400, openai.BadRequestError),
        (401, openai.AuthenticationError),
        (403, openai.PermissionDeniedError),
        (404, openai.NotFoundError),
        (409, openai.ConflictError),
        (422, openai.UnprocessableEntityError),
        (429, openai.RateLimitError),
        (500, openai.InternalServerError),
        (503, openai.InternalServerError),
    ],
)
async def test_refused_call_is_an_error_with_status_type_and_code(
    status: int, error: Type[openai.APIStatusError], mode: str, telemetry: Telemetry
):
    body = {"error": {"message": "it says no", "type": "some_type", "code": "some_code"}}
    with Player(answer(body, status=status, **{"x-request-id": "req_1"})) as player:
        async with Calls(mode, player.url + "/v1") as call:
            with pytest.raises(error) as caught:
                await call("chat.completions.create", **CHAT)
    assert caught.value.status_code == status
    assert caught.value.__cause__ is None
    span, record = telemetry.span, telemetry.record
    assert span.status.status_code is StatusCode.ERROR
    got = attributes_of(span)
    assert got["error.type"] == error.__name__
    assert got["peekr.error.code"] == "some_code"
    assert got["http.response.status_code"] == status
    assert got["peekr.request.id"] == "req_1"
    assert got["gen_ai.request.model"] == "gpt-4o"
    assert "gen_ai.response.model" not in got
    (event,) = span.events
    assert event.name == "exception"
    assert record["status"] == "error"
    assert "it says no" in record["attributes"]["error"]
    assert record["attributes"]["input"] == CHAT["messages"]


async def test_type_of_a_refusal_stands_in_for_a_missing_code(mode: str, telemetry: Telemetry):
    body = {"error": {"message": "no", "type": "some_type", "code": None}}
    with Player(answer(body, status=400)) as player:
        async with Calls(mode, player.url + "/v1") as call:
            with pytest.raises(openai.BadRequestError):
                await call("chat.completions.create", **CHAT)
    assert attributes_of(telemetry.span)["peekr.error.code"] == "some_type"


async def test_refusal_that_is_no_json_is_an_error(mode: str, telemetry: Telemetry):
    html = "<html>bad gateway</html>"
    with Player(answer(html, status=502, **{"content-type": "text/html"})) as player:
        async with Calls(mode, player.url + "/v1") as call:
            with pytest.raises(openai.InternalServerError):
                await call("chat.completions.create", **CHAT)
    assert attributes_of(telemetry.span)["http.response.status_code"] == 502


async def test_nobody_listening_is_an_error(mode: str, telemetry: Telemetry):
    async with Calls(mode, "http://127.0.0.1:1/v1") as call:
        with pytest.raises(openai.APIConnectionError) as caught:
            await call("chat.completions.create", **CHAT)
    assert caught.value.__cause__ is not None
    got = attributes_of(telemetry.span)
    assert got["error.type"] == "APIConnectionError"
    assert "http.response.status_code" not in got


async def test_answer_cut_in_the_middle_is_an_error(mode: str, telemetry: Telemetry):
    with Player(answer(OK), cut_after=0) as player:
        async with Calls(mode, player.url + "/v1") as call:
            with pytest.raises(Exception) as caught:  # noqa: PT011 - of the HTTP library or the SDK
                await call("chat.completions.create", **CHAT)
    assert attributes_of(telemetry.span)["error.type"] == type(caught.value).__qualname__
    assert telemetry.record["status"] == "error"


def paused(before_chunk: int = 0) -> Any:
    """A player that holds its answer, and the pause that lets it go on."""
    pause = Pause(before_chunk=before_chunk)
    body = {**OK, "object": "chat.completion.chunk"}
    return Player(events(body), pause=pause), pause


async def test_timeout_of_the_sdk_is_an_error(mode: str, telemetry: Telemetry):
    player, _ = paused()
    with player:
        async with Calls(mode, player.url + "/v1", timeout=0.05) as call:
            with pytest.raises(openai.APITimeoutError):
                await call("chat.completions.create", **CHAT)
    assert attributes_of(telemetry.span)["error.type"] == "APITimeoutError"
    assert telemetry.record["status"] == "error"


async def reached(pause: Pause) -> None:
    while not pause.reached.is_set():
        await asyncio.sleep(0.001)


async def test_cancelled_call_ends_its_span_and_passes_on_the_cancellation(telemetry: Telemetry):
    player, pause = paused()
    with player:
        async with Calls("async", player.url + "/v1") as call:
            task = asyncio.create_task(call("chat.completions.create", **CHAT))
            await reached(pause)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
            assert task.cancelled()
    assert attributes_of(telemetry.span)["error.type"] == "CancelledError"
    assert telemetry.record["attributes"]["input"] == CHAT["messages"]


async def test_wait_for_raises_its_own_timeout(telemetry: Telemetry):
    player, _ = paused()
    with player:
        async with Calls("async", player.url + "/v1") as call:
            with pytest.raises(asyncio.TimeoutError):
                await asyncio.wait_for(call("chat.completions.create", **CHAT), 0.05)
    assert telemetry.span.status.status_code is StatusCode.ERROR


async def test_call_dropped_before_it_ran_makes_no_span(telemetry: Telemetry):
    client = make_client("async", "http://127.0.0.1:1/v1")
    coroutine = client.chat.completions.create(**CHAT)
    coroutine.close()
    assert not telemetry.spans
    await client.close()


async def test_call_closed_while_it_waits_ends_its_span(telemetry: Telemetry):
    """What asyncio does to the tasks that are left when its loop closes without cancelling."""
    player, _ = paused()
    with player:
        client = make_client("async", player.url + "/v1")
        coroutine = client.chat.completions.create(**CHAT)
        coroutine.send(None)
        coroutine.close()
        assert len(telemetry.spans) == 1
        assert not otel_trace.get_current_span().get_span_context().is_valid
        gc.collect()
        await client.close()


class Interrupting:
    """An HTTP client's hook that raises inside the call, as a signal handler would."""

    def __init__(self, error: BaseException, mode: str) -> None:
        def hook(request: Any) -> None:
            raise error

        async def async_hook(request: Any) -> None:
            raise error

        kind: Any = openai.DefaultAsyncHttpxClient if mode == "async" else openai.DefaultHttpxClient
        hooks = {"request": [async_hook if mode == "async" else hook]}
        self.http_client = kind(verify=False, event_hooks=hooks)


class Stop(BaseException):
    """The caller's own, which is no Exception."""


@pytest.mark.parametrize("kind", [Stop, GeneratorExit], ids=lambda kind: kind.__name__)
async def test_base_exception_ends_the_span_and_passes_unmodified(
    kind: Any, mode: str, telemetry: Telemetry
):
    mine = kind("now")
    client = Interrupting(mine, mode).http_client
    options = {"http_client": client, "base_url": "http://127.0.0.1:1/v1", "api_key": "test"}
    openai_kind: Any = openai.AsyncOpenAI if mode == "async" else openai.OpenAI
    made = openai_kind(max_retries=0, **options)
    caught: List[BaseException] = []
    try:
        await settled(made.chat.completions.create(**CHAT))
    except BaseException as error:
        caught.append(error)
    await settled(made.close())
    assert caught == [mine]
    assert mine.__cause__ is None
    assert attributes_of(telemetry.span)["error.type"] == kind.__name__
    assert telemetry.record["status"] == "error"


def test_keyboard_interrupt_ends_the_span_and_passes(telemetry: Telemetry):
    mine = KeyboardInterrupt()
    client = openai.OpenAI(
        base_url="http://127.0.0.1:1/v1",
        api_key="test",
        http_client=Interrupting(mine, "sync").http_client,
    )
    with pytest.raises(KeyboardInterrupt) as caught, client:
        client.chat.completions.create(**CHAT)
    assert caught.value is mine
    assert attributes_of(telemetry.span)["error.type"] == "KeyboardInterrupt"
    assert telemetry.record["attributes"]["error"] == "KeyboardInterrupt"


async def test_retries_that_fail_in_the_end_are_one_span(
    mode: str, telemetry: Telemetry, simulated: SimulatedProviders
):
    before = len(simulated.requests)
    async with Calls(mode, simulated.openai_url, max_retries=1) as call:
        with pytest.raises(openai.InternalServerError):
            await call("chat.completions.create", **{**CHAT, "model": "simulated-error-500"})
    assert len(simulated.requests) == before + 2
    assert attributes_of(telemetry.span)["http.response.status_code"] == 500


async def test_calls_at_once_are_spans_of_their_own(
    mode: str, telemetry: Telemetry, simulated: SimulatedProviders
):
    async with Calls(mode, simulated.openai_url) as call:

        async def one(number: int) -> None:
            with telemetry.tracer.start_as_current_span(f"caller {number}"):
                arguments = {**RESPONSES, "input": f"question {number}"}
                if call.is_async:
                    await call("responses.create", **arguments)
                else:
                    thread = threading.Thread(target=call.client.responses.create, kwargs=arguments)
                    thread.start()
                    await asyncio.to_thread(thread.join)

        await asyncio.gather(*(one(number) for number in range(8)))
    records = [r for r in telemetry.records if r["name"] == "openai.responses"]
    assert len({r["attributes"]["output"] for r in records}) == 8
    ours = [span for span in telemetry.spans if span.name.startswith("chat")]
    callers = {
        span.context.span_id: span.name
        for span in telemetry.spans
        if span.name.startswith("caller") and span.context
    }
    assert len(ours) == len(callers) == 8
    if call.is_async:
        for span in ours:
            assert span.parent is not None
            number = callers[span.parent.span_id].split()[1]
            assert f"question {number}" in attributes_of(span)["gen_ai.input.messages"]
