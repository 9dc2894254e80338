"""Watching changes nothing: the request, the result and the SDK's own objects stay as they were."""

from __future__ import annotations

import collections
import copy
import gc
import inspect
import json
import pickle
import re
import sys
import weakref
from contextlib import suppress
from pathlib import Path
from typing import Any, Callable, Dict, Iterator, List, Tuple
from unittest import mock

import openai
import pytest
from openai.resources.chat import completions as chat_resources
from openai.resources.responses import responses as responses_resources
from openai.types.chat import ChatCompletion
from pydantic import BaseModel

import peekr
from simulated_providers import SimulatedProviders

from ...conftest import Telemetry, attributes_of
from ...support.player import Player
from .calls import CHAT, Calls, answer, completion, settled, user

Completions: Any = chat_resources.Completions
AsyncCompletions: Any = chat_resources.AsyncCompletions
Responses: Any = responses_resources.Responses
AsyncResponses: Any = responses_resources.AsyncResponses
Stream: Any = openai.Stream
AsyncStream: Any = openai.AsyncStream

# -- what is sent ------------------------------------------------------------------------------

TOOL: Dict[str, Any] = {
    "type": "function",
    "function": {"name": "f", "parameters": {"type": "object", "properties": {}}},
}
FLAT_TOOL = {"type": "function", "name": "f", "parameters": {"type": "object"}, "strict": False}
MESSAGES: List[Dict[str, Any]] = [
    {"role": "system", "content": "be kind"},
    {"role": "assistant", "content": None, "tool_calls": []},
    {"role": "user", "content": [{"type": "text", "text": "hi there"}]},
]


class OnceOnly:
    """An iterable that can be read one single time, and is no iterator."""

    def __init__(self, items: List[Any]) -> None:
        self._items = items

    def __iter__(self) -> Iterator[Any]:
        while self._items:
            yield self._items.pop(0)


Making = Callable[[List[Any]], Any]
WRAPPINGS: Dict[str, Making] = {
    "list": list,
    "tuple": tuple,
    "iterator": iter,
    "generator": lambda items: (item for item in items),
    "map": lambda items: map(copy.copy, items),
    "deque": collections.deque,
    "dict values": lambda items: dict(enumerate(items)).values(),
    "once only": lambda items: OnceOnly(list(items)),
}


def sent(received: Any) -> Tuple[bytes, Dict[str, str]]:
    varying = ("host", "x-stainless-retry-count")
    return received.body, {k: v for k, v in received.headers.items() if k not in varying}


async def requests_of(
    mode: str, path: str, arguments: Callable[[], Dict[str, Any]], body: Any
) -> List[Tuple[bytes, Dict[str, str]]]:
    url_path = "/v1/" + path.rpartition(".")[0].replace(".", "/")
    with Player(answer(body, url_path)) as player:
        async with Calls(mode, player.url + "/v1") as call:
            await call(path, **arguments())
        return [sent(received) for received in player.requests]


RESPONSE_BODY: Dict[str, Any] = {
    "id": "resp_1",
    "object": "response",
    "created_at": 1,
    "model": "gpt-4o",
    "status": "completed",
    "output": [],
    "parallel_tool_calls": True,
    "tool_choice": "auto",
    "tools": [],
}
CHAT_BODY = completion({"role": "assistant", "content": "ok"})


@pytest.mark.parametrize("wrapping", WRAPPINGS)
async def test_messages_and_tools_of_any_iterable_are_sent_and_recorded(
    wrapping: str, mode: str, bare_telemetry: Telemetry
):
    wrap = WRAPPINGS[wrapping]

    def arguments() -> Dict[str, Any]:
        return {"model": "gpt-4o", "messages": wrap(MESSAGES), "tools": wrap([TOOL])}

    bare = await requests_of(mode, "chat.completions.create", arguments, CHAT_BODY)
    bare_telemetry.instrument()
    watched = await requests_of(mode, "chat.completions.create", arguments, CHAT_BODY)
    assert watched == bare
    assert json.loads(bare[0][0])["messages"] == MESSAGES
    got = bare_telemetry.record["attributes"]
    assert [message["role"] for message in got["input"]] == ["system", "assistant", "user"]
    assert got["input"][2]["content"] == "hi there"
    assert got["gen_ai.tool.definitions"][0]["name"] == "f"


@pytest.mark.parametrize("wrapping", WRAPPINGS)
async def test_input_of_responses_of_any_iterable_is_sent_and_recorded(
    wrapping: str, mode: str, bare_telemetry: Telemetry
):
    wrap = WRAPPINGS[wrapping]

    def arguments() -> Dict[str, Any]:
        return {"model": "gpt-4o", "input": wrap(user("hi there")), "tools": wrap([FLAT_TOOL])}

    try:
        bare = await requests_of(mode, "responses.create", arguments, RESPONSE_BODY)
    except TypeError as error:  # what the SDK does not take stays its error
        bare_telemetry.instrument()
        with pytest.raises(TypeError, match=re.escape(str(error))):
            await requests_of(mode, "responses.create", arguments, RESPONSE_BODY)
        return
    bare_telemetry.instrument()
    watched = await requests_of(mode, "responses.create", arguments, RESPONSE_BODY)
    assert watched == bare
    got = bare_telemetry.record["attributes"]
    assert got["input"] == user("hi there")
    assert got["gen_ai.tool.definitions"][0]["name"] == "f"


async def test_parts_given_as_a_generator_reach_the_sdk(mode: str, bare_telemetry: Telemetry):
    def arguments() -> Dict[str, Any]:
        parts = ({"type": "text", "text": text} for text in ("hi", "there"))
        return {"model": "gpt-4o", "messages": user(parts)}

    bare = await requests_of(mode, "chat.completions.create", arguments, CHAT_BODY)
    bare_telemetry.instrument()
    assert await requests_of(mode, "chat.completions.create", arguments, CHAT_BODY) == bare
    assert b"there" in bare[0][0]


async def test_generator_that_raises_raises_the_callers_own_exception(
    call: Calls, telemetry: Telemetry
):
    mine = LookupError("no more messages")

    def messages() -> Iterator[Any]:
        yield {"role": "user", "content": "one"}
        raise mine

    with pytest.raises(LookupError) as caught:
        await call("chat.completions.create", model="gpt-4o", messages=messages())
    assert caught.value is mine
    assert mine.__cause__ is None
    got = telemetry.record
    assert got["status"] == "error"
    assert got["attributes"]["error.type"] == "LookupError"
    assert got["attributes"]["input"] == user("one")


async def test_helpers_take_generators(call: Calls, telemetry: Telemetry):
    chat = call.client.chat.completions
    chat = chat if hasattr(chat, "stream") else call.client.beta.chat.completions
    async with call.entered(
        chat.stream(model="gpt-4o", messages=(m for m in user("hi there")))
    ) as stream:
        await call.drain(stream)
    await settled(chat.parse(model="gpt-4o", messages=(m for m in user("hi there"))))
    for record in telemetry.records:
        assert record["attributes"]["input"] == user("hi there")


async def test_nothing_is_injected_into_a_stream(mode: str, simulated: SimulatedProviders):
    peekr.instrument(console=False, storage=None)
    async with Calls(mode, simulated.openai_url) as call:
        await call.drain(await call("chat.completions.create", **CHAT, stream=True))
    body = simulated.requests[-1].body
    assert body == {**CHAT, "stream": True}
    assert "traceparent" not in simulated.requests[-1].headers


async def test_arguments_are_left_as_they_were(call: Calls, telemetry: Telemetry):
    arguments: Dict[str, Any] = {
        **copy.deepcopy(CHAT),
        "stop": ["x"],
        "extra_headers": {"x-a": "b"},
        "extra_body": {"user": "u"},
    }
    before = copy.deepcopy(arguments)
    await call("chat.completions.create", **arguments)
    assert arguments == before
    got = telemetry.record["attributes"]["peekr.request.parameters"]
    assert got == {"user": "u"}


async def test_messages_changed_during_the_call_are_recorded_as_they_were_sent(
    call: Calls, telemetry: Telemetry
):
    messages = user("hi there")
    stream = await call("chat.completions.create", model="gpt-4o", messages=messages, stream=True)
    messages[0]["content"] = "changed"
    messages.append({"role": "assistant", "content": "added"})
    await call.drain(stream)
    assert telemetry.record["attributes"]["input"] == user("hi there")


async def test_wrong_arguments_raise_what_the_sdk_raises(mode: str, telemetry: Telemetry):
    async with Calls(mode, "http://127.0.0.1:1/v1") as call:
        with pytest.raises(TypeError, match="messages"):
            await call("chat.completions.create", model="gpt-4o")
        with pytest.raises(TypeError, match="bogus"):
            await call("chat.completions.create", **CHAT, bogus=1)
        with pytest.raises(TypeError):
            await settled(call.client.chat.completions.create("gpt-4o"))


# -- what comes back ---------------------------------------------------------------------------


async def test_plain_result_is_the_sdks_own_object(call: Calls, telemetry: Telemetry):
    result = await call("chat.completions.create", **CHAT)
    assert type(result) is ChatCompletion
    assert result._request_id  # pyright: ignore[reportPrivateUsage]


async def test_stream_keeps_type_and_public_api(call: Calls, telemetry: Telemetry):
    kind = AsyncStream if call.is_async else Stream
    stream = await call("chat.completions.create", **CHAT, stream=True)
    assert isinstance(stream, kind)
    assert stream.__class__ is kind
    public = [name for name in dir(kind) if not name.startswith("_")]
    assert set(public) <= set(dir(stream))
    assert type(stream.response).__name__  # reachable
    assert stream.response.status_code == 200
    assert stream.response.headers["content-type"].startswith("text/event-stream")
    assert stream.response.__class__.__name__ == "Response"
    assert stream.response is stream.response
    await settled(stream.close())


async def test_stream_is_its_own_iterator_and_context(call: Calls, telemetry: Telemetry):
    stream = await call("chat.completions.create", **CHAT, stream=True)
    if call.is_async:
        async with stream as entered:
            assert isinstance(entered, AsyncStream)
            first = await entered.__anext__()
            rest = [chunk async for chunk in entered]
    else:
        with stream as entered:
            assert isinstance(entered, Stream)
            first = next(entered)
            rest = list(entered)
    assert first.choices[0].delta.role == "assistant"
    assert len(rest) == 9
    assert len(telemetry.spans) == 1


async def test_attributes_of_a_stream_can_be_read_and_set(call: Calls, telemetry: Telemetry):
    stream = await call("chat.completions.create", **CHAT, stream=True)
    stream.note = "mine"
    assert stream.note == "mine"
    del stream.note
    assert not hasattr(stream, "note")
    assert hash(stream)
    assert stream == stream
    weakref.ref(stream)
    assert "Stream object at" in repr(stream) or "Stream" in repr(stream)


async def test_copied_stream_goes_on_where_the_stream_is(call: Calls, telemetry: Telemetry):
    stream = await call("chat.completions.create", **CHAT, stream=True)
    await call.take(stream, 2)
    copied = copy.copy(stream)
    del stream
    gc.collect()
    assert not telemetry.spans
    assert len(await call.drain(copied)) == 8
    assert len(telemetry.spans) == 1


async def test_raw_responses_are_exactly_the_sdks(call: Calls, bare_telemetry: Telemetry):
    bare = await call("chat.completions.with_raw_response.create", **CHAT)
    bare_telemetry.instrument()
    watched = await call("chat.completions.with_raw_response.create", **CHAT)
    assert type(watched) is type(bare)
    assert sorted(watched.__dict__) == sorted(bare.__dict__)
    assert type(watched.http_response) is type(bare.http_response)
    assert watched.headers["content-type"] == bare.headers["content-type"]
    assert type(await settled(watched.parse())) is ChatCompletion
    assert json.loads(await settled(watched.text() if callable(watched.text) else watched.text))
    assert watched.content or callable(watched.content)


READERS = ["read", "text", "json", "parse", "iter_bytes", "iter_text", "iter_lines"]


@pytest.mark.parametrize("reader", READERS)
async def test_streamed_body_may_be_read_in_any_way(reader: str, call: Calls, telemetry: Telemetry):
    manager = call.client.chat.completions.with_streaming_response.create(**CHAT)
    async with call.entered(manager) as response:
        assert not telemetry.spans
        read = getattr(response, reader)()
        if reader.startswith("iter"):
            assert await call.drain(read)
        else:
            assert await settled(read)
    got = telemetry.record["attributes"]
    assert got["output"] == "This is a simulated answer to: hi there"
    assert got["tokens_output"]
    assert "peekr.stream.abandoned" not in got
    assert telemetry.record["status"] == "ok"


async def test_streamed_body_left_unread_ends_the_span(call: Calls, telemetry: Telemetry):
    manager = call.client.chat.completions.with_streaming_response.create(**CHAT)
    async with call.entered(manager) as response:
        assert response.status_code == 200
    assert attributes_of(telemetry.span)["peekr.stream.abandoned"] is True
    assert telemetry.record["status"] == "ok"


async def test_raw_stream_left_early_keeps_what_had_arrived(call: Calls, telemetry: Telemetry):
    manager = call.client.chat.completions.with_streaming_response.create(**CHAT, stream=True)
    async with call.entered(manager) as response:
        lines = response.iter_lines()
        seen: List[str] = []
        while len(seen) < 12:
            seen.append((await call.take(lines))[0])
    got = attributes_of(telemetry.span)
    assert got["peekr.stream.abandoned"] is True
    assert "This is" in got["gen_ai.output.messages"]


async def opened(call: Calls, resource: Any, arguments: Dict[str, Any]) -> Any:
    made = resource.create(**arguments)
    return await (
        call.enter(made)
        if hasattr(made, "__exit__") or hasattr(made, "__aexit__")
        else settled(made)
    )


@pytest.mark.parametrize("raw", ["with_raw_response", "with_streaming_response"])
async def test_error_of_a_raw_call_is_recorded(raw: str, call: Calls, telemetry: Telemetry):
    resource = getattr(call.client.chat.completions, raw)
    arguments = {**CHAT, "model": "unknown"}
    with pytest.raises(openai.NotFoundError):
        await opened(call, resource, arguments)
    assert telemetry.record["status"] == "error"
    got = telemetry.record["attributes"]
    assert got["error.type"] == "NotFoundError"
    assert got["peekr.error.code"] == "model_not_found"
    assert got["http.response.status_code"] == 404


# -- the SDK's classes and methods -------------------------------------------------------------


def test_async_methods_look_as_before(bare_telemetry: Telemetry):
    methods = (AsyncCompletions.create, AsyncResponses.create, Completions.create)
    before = [inspect.iscoroutinefunction(method) for method in methods]
    bare_telemetry.instrument()
    methods = (AsyncCompletions.create, AsyncResponses.create, Completions.create)
    assert [inspect.iscoroutinefunction(method) for method in methods] == before


@pytest.mark.skipif(sys.version_info < (3, 11), reason="typing.get_overloads is of Python 3.11")
def test_overloads_are_found_as_before(bare_telemetry: Telemetry):
    import typing

    get_overloads: Any = getattr(typing, "get_overloads")  # noqa: B009
    before = get_overloads(inspect.unwrap(Completions.create))
    bare_telemetry.instrument()
    assert get_overloads(Completions.create) == get_overloads(inspect.unwrap(Completions.create))
    assert get_overloads(inspect.unwrap(Completions.create)) == before


async def test_subclass_that_calls_super_is_one_call(call: Calls, telemetry: Telemetry):
    kind: Any = AsyncCompletions if call.is_async else Completions

    class Own(kind):
        def create(self, *args: Any, **kwargs: Any) -> Any:
            parent: Any = super()
            return parent.create(*args, **kwargs)

    result = await settled(Own(call.client).create(**CHAT))
    assert result.choices
    assert len(telemetry.spans) == 1


async def test_subclassed_client_is_watched(
    mode: str, telemetry: Telemetry, simulated: SimulatedProviders
):
    kind: Any = openai.AsyncOpenAI if mode == "async" else openai.OpenAI

    class Own(kind):
        pass

    async with Calls(mode, simulated.openai_url, cls=Own) as call:
        await call("chat.completions.create", **CHAT)
    assert attributes_of(telemetry.span)["gen_ai.provider.name"] == "openai"


async def test_copies_of_clients_and_methods_are_watched(call: Calls, telemetry: Telemetry):
    options = call.client.with_options(timeout=20)
    copied = call.client.copy()
    shallow = copy.copy(call.client)
    for client in (options, copied, shallow):
        await settled(client.chat.completions.create(**CHAT))
    method = copy.copy(call.client.chat.completions.create)
    await settled(method(**CHAT))
    assert len(telemetry.spans) == 4


def outcome(action: Callable[[], Any]) -> Any:
    """A value's type, or an error's."""
    try:
        value: Any = action()
        if inspect.iscoroutine(value):
            value.close()
        return value.__class__
    except Exception as error:
        return type(error)


async def test_what_can_be_copied_and_pickled_is_as_before(call: Calls, bare_telemetry: Telemetry):
    client = call.client

    def actions() -> List[Any]:
        found = [
            outcome(lambda: copy.deepcopy(client)),
            outcome(lambda: copy.deepcopy(client.chat.completions)),
            outcome(lambda: copy.deepcopy(client.chat.completions.create)),
            outcome(lambda: pickle.dumps(client)),
            outcome(lambda: pickle.loads(pickle.dumps(Completions.create))),
            outcome(lambda: pickle.loads(pickle.dumps(AsyncResponses.create))),
            outcome(lambda: pickle.loads(pickle.dumps(openai.OpenAI))),
        ]
        return found

    before = actions()
    bare_telemetry.instrument()
    assert actions() == before
    result = await call("chat.completions.create", **CHAT)
    assert pickle.loads(pickle.dumps(result)) == result
    assert copy.deepcopy(result) == result
    stream = await call("chat.completions.create", **CHAT, stream=True)
    with pytest.raises(Exception, match=r"pickle|__reduce"):
        pickle.dumps(stream)
    await settled(stream.close())


async def test_patched_method_is_the_mock(call: Calls, telemetry: Telemetry):
    kind: Any = AsyncCompletions if call.is_async else Completions
    fake = mock.AsyncMock if call.is_async else mock.Mock
    watched = kind.create
    with mock.patch.object(kind, "create", new=fake(return_value="made up")) as patched:
        assert await call("chat.completions.create", **CHAT) == "made up"
        patched.assert_called_once_with(**CHAT)
    assert kind.create is watched
    with mock.patch.object(call.client.chat.completions, "create", fake(return_value="made up")):
        assert await call("chat.completions.create", **CHAT) == "made up"
    assert not telemetry.spans
    await call("chat.completions.create", **CHAT)
    assert len(telemetry.spans) == 1


@pytest.mark.parametrize("cls", [Completions, AsyncCompletions, Responses, AsyncResponses])
def test_autospec_is_as_before(cls: Any, bare_telemetry: Telemetry):
    def behaviour() -> List[Any]:
        spec = mock.create_autospec(cls.create, return_value="made up")
        whole = mock.create_autospec(cls, instance=True)
        return [
            type(spec),
            inspect.signature(spec),
            outcome(lambda: spec(None, bogus=1)),
            inspect.iscoroutinefunction(spec),
            type(whole.create).__name__,
            outcome(lambda: whole.create(1, 2, 3)),
        ]

    with suppress(RuntimeWarning):
        before = behaviour()
        bare_telemetry.instrument()
        assert behaviour() == before


def test_types_are_seen_by_a_type_checker(tmp_path: Path):
    """The SDK is not changed on disk, so this asks for the one thing that could: our own stubs."""
    assert not list(Path(peekr.__file__).parent.glob("**/*.pyi"))


class Answer(BaseModel):
    city: str


async def test_parsed_result_is_the_callers_model(mode: str, telemetry: Telemetry):
    body = completion({"role": "assistant", "content": '{"city":"Oslo"}'})
    with Player(answer(body)) as player:
        async with Calls(mode, player.url + "/v1") as call:
            completions = call.client.chat.completions
            if not hasattr(completions, "parse"):
                completions = call.client.beta.chat.completions
            result = await settled(completions.parse(**CHAT, response_format=Answer))
    assert result.choices[0].message.parsed == Answer(city="Oslo")
    got = telemetry.record["attributes"]
    assert got["output"] == '{"city":"Oslo"}'
    assert got["gen_ai.output.type"] == "json"
    recorded = got["peekr.request.parameters"]["response_format"]
    assert recorded["json_schema"]["name"] == "Answer"
    assert "city" in recorded["json_schema"]["schema"]["properties"]


async def test_answer_that_cannot_be_parsed_raises_the_sdks_error(mode: str, telemetry: Telemetry):
    body = completion({"role": "assistant", "content": '{"ci'}, finish_reason="length")
    with Player(answer(body)) as player:
        async with Calls(mode, player.url + "/v1") as call:
            completions = call.client.chat.completions
            if not hasattr(completions, "parse"):
                completions = call.client.beta.chat.completions
            with pytest.raises(openai.LengthFinishReasonError):
                await settled(completions.parse(**CHAT, response_format=Answer))
    assert telemetry.record["status"] == "error"
    got = telemetry.record["attributes"]
    assert got["error.type"] == "LengthFinishReasonError"
    # What the model said and cost is in the exception that the SDK raises.
    assert got["output"] == '{"ci'
    assert got["finish_reasons"] == ["length"]


async def test_fault_of_peekr_never_reaches_the_caller(
    call: Calls,
    telemetry: Telemetry,
    contained_faults: None,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
):
    from peekr.instrumentation.openai.chat import ChatExtractor

    def broken(*args: Any, **kwargs: Any) -> Any:
        raise RuntimeError("a defect")

    for name in ("request", "response", "accumulator", "fault"):
        monkeypatch.setattr(ChatExtractor, name, broken)
    result = await call("chat.completions.create", **CHAT)
    assert type(result) is ChatCompletion
    stream = await call("chat.completions.create", **CHAT, stream=True)
    assert len(await call.drain(stream)) == 10
    with pytest.raises(openai.NotFoundError):
        await call("chat.completions.create", **{**CHAT, "model": "unknown"})
    assert len(telemetry.spans) == 3
    assert "A fault in Peekr" in caplog.text
