"""Automatic function calling: one span a request, one for each function that is executed."""

from __future__ import annotations

import asyncio
import contextlib
import json
from types import SimpleNamespace
from typing import Any, Dict, Generator, List, Optional

import pytest
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.trace import SpanKind

import peekr

from ...conftest import Telemetry, attributes_of
from ...support.player import Player
from .calling import (
    COUNTED,
    Json,
    chunk,
    client_of,
    genai,
    in_all_modes,
    playing,
    quiet,
    run,
    run_async,
    text_answer,
    types,
    version,
)

pytestmark = quiet


@pytest.fixture(autouse=True)
def sdk() -> Any:
    return genai()


def calls(*places: str, ids: bool = False) -> List[Json]:
    """An answer that calls `get_weather` for each place."""
    made: List[Json] = []
    for number, place in enumerate(places):
        call: Json = {"name": "get_weather", "args": {"place": place}}
        if ids:
            call["id"] = f"call-{number}"
        made.append({"functionCall": call})
    return [chunk(*made, finish="STOP", **COUNTED)]


class Weather:
    """A function for the model, and what it was asked."""

    def __init__(self, also: Any = None) -> None:
        self.asked: List[str] = []
        self._also = also

    def function(self, mode: str) -> Any:
        """The function: an async one where the mode is async and the SDK can call it."""

        def get_weather(place: str) -> str:
            """Say how the weather is."""
            return self._answer(place)

        async def get_weather_async(place: str) -> str:
            """Say how the weather is."""
            await asyncio.sleep(0)
            return self._answer(place)

        for function in (get_weather, get_weather_async):
            # Most versions of the SDK do not read annotations that are texts.
            function.__annotations__ = {"place": str, "return": str}
        if mode.startswith("async") and version() >= (1, 20):
            get_weather_async.__name__ = "get_weather"
            return get_weather_async
        return get_weather

    def _answer(self, place: str) -> str:
        self.asked.append(place)
        if self._also is not None:
            self._also()
        return f"rain in {place}"


@contextlib.contextmanager
def caller(telemetry: Telemetry) -> Generator[ReadableSpan, None, None]:
    """A span of the application's own around a call."""
    with telemetry.tracer.start_as_current_span("caller") as span:
        yield span


def named(telemetry: Telemetry, prefix: str) -> List[ReadableSpan]:
    return [span for span in telemetry.spans if span.name.startswith(prefix)]


def parent_of(span: ReadableSpan) -> Optional[int]:
    return None if span.parent is None else span.parent.span_id


def id_of(span: ReadableSpan) -> int:
    context = span.get_span_context()
    assert context is not None
    return context.span_id


@in_all_modes
def test_each_request_and_each_function_has_a_span_below_the_caller(
    telemetry: Telemetry, mode: str
):
    weather = Weather()
    answers = [calls("Oslo", "Rome"), calls("Bern"), text_answer("It rains.")]
    with playing(mode, *answers) as player, client_of(player.url) as client:
        with caller(telemetry) as outer:
            got = run(client, mode, contents=["?"], config={"tools": [weather.function(mode)]})
        assert got[-1].text == "It rains."
        requests = named(telemetry, "generate_content")
        assert len(requests) == len(player.requests) == 3
    executed = named(telemetry, "execute_tool get_weather")
    assert [json.loads(attributes_of(s)["gen_ai.tool.call.arguments"]) for s in executed] == [
        {"place": place} for place in weather.asked
    ]
    if version() >= (1, 10):  # the first ones execute a streamed function twice
        assert weather.asked == ["Oslo", "Rome", "Bern"]
    assert {parent_of(span) for span in (*requests, *executed)} == {id_of(outer)}
    for span, place in zip(executed, weather.asked):
        assert span.kind is SpanKind.INTERNAL
        assert attributes_of(span) == {
            "gen_ai.operation.name": "execute_tool",
            "gen_ai.tool.name": "get_weather",
            "gen_ai.tool.type": "function",
            "gen_ai.tool.call.arguments": json.dumps({"place": place}, separators=(",", ":")),
            "gen_ai.tool.call.result": json.dumps(f"rain in {place}"),
        }
    tools = [r["attributes"] for r in telemetry.records if r["name"].startswith("execute_tool")]
    assert [(tool["input"], tool["output"]) for tool in tools] == [
        ({"place": place}, f"rain in {place}") for place in weather.asked
    ]
    names = [r["name"] for r in telemetry.records if r["name"].startswith("gemini.")]
    assert set(names) == {f"gemini.generate_content{'_stream' if 'stream' in mode else ''}"}


@in_all_modes
def test_later_request_has_the_functions_results_in_its_input(telemetry: Telemetry, mode: str):
    answers = [calls("Oslo"), text_answer("It rains.")]
    with playing(mode, *answers) as player, client_of(player.url) as client:
        run(client, mode, contents=["?"], config={"tools": [Weather().function(mode)]})
    messages = json.loads(
        attributes_of(named(telemetry, "generate_content")[-1])["gen_ai.input.messages"]
    )
    assert [message["role"] for message in messages] == ["user", "assistant", "tool"]
    assert messages[-1]["parts"] == [
        {
            "type": "tool_call_response",
            "response": {"result": "rain in Oslo"},
            "name": "get_weather",
        }
    ]


@in_all_modes
def test_ids_of_calls_are_on_their_executions(telemetry: Telemetry, mode: str):
    answers = [calls("Oslo", "Rome", ids=True), text_answer("It rains.")]
    with playing(mode, *answers) as player, client_of(player.url) as client:
        run(client, mode, contents=["?"], config={"tools": [Weather().function(mode)]})
    executed = [attributes_of(span) for span in named(telemetry, "execute_tool")]
    ids = {attributes.get("gen_ai.tool.call.id") for attributes in executed}
    assert ids == {"call-0", "call-1"}
    for attributes in executed:
        place = json.loads(attributes["gen_ai.tool.call.arguments"])["place"]
        assert attributes["gen_ai.tool.call.id"] == {"Oslo": "call-0", "Rome": "call-1"}[place]


@in_all_modes
def test_model_that_a_function_calls_is_recorded_below_it(telemetry: Telemetry, mode: str):
    with playing("sync", text_answer("Inner."), repeat=True) as inner:
        with client_of(inner.url) as other:

            def ask() -> None:
                assert run(other, "sync")[-1].text == "Inner."

            answers = [calls("Oslo"), text_answer("It rains.")]
            with playing(mode, *answers) as player, client_of(player.url) as client:
                tools = [Weather(also=ask).function(mode)]
                run(client, mode, contents=["?"], config={"tools": tools})
        asked = len(inner.requests)
    executed = named(telemetry, "execute_tool")
    nested = [s for s in named(telemetry, "generate_content") if parent_of(s) is not None]
    assert len(nested) == len(executed) == asked
    assert [parent_of(span) for span in nested] == [id_of(span) for span in executed]


@in_all_modes
def test_function_that_fails_is_an_error_and_the_loop_goes_on(telemetry: Telemetry, mode: str):
    def fail() -> None:
        raise LookupError("no such place")

    answers = [calls("Nowhere"), text_answer("I do not know.")]
    with playing(mode, *answers) as player, client_of(player.url) as client:
        tools = [Weather(also=fail).function(mode)]
        assert run(client, mode, contents=["?"], config={"tools": tools})[-1].text
    for span in named(telemetry, "execute_tool"):
        attributes = attributes_of(span)
        assert attributes["error.type"] == "LookupError"
        assert span.status.description == "no such place"
        assert "gen_ai.tool.call.result" not in attributes
    statuses = {r["name"]: r["status"] for r in telemetry.records}
    assert statuses.pop("execute_tool get_weather") == "error"
    assert set(statuses.values()) == {"ok"}


@in_all_modes
def test_without_content_a_function_is_seen_but_not_what_it_said(
    bare_telemetry: Telemetry, mode: str
):
    bare_telemetry.instrument(capture_content=False)
    answers = [calls("secret"), text_answer("secret")]
    with playing(mode, *answers) as player, client_of(player.url) as client:
        run(client, mode, contents=["secret"], config={"tools": [Weather().function(mode)]})
    executed = named(bare_telemetry, "execute_tool get_weather")
    assert executed
    assert "secret" not in json.dumps(bare_telemetry.records)


@in_all_modes
def test_functions_that_are_only_offered_are_not_called(telemetry: Telemetry, mode: str):
    if mode == "async-stream" and version() < (1, 3):
        pytest.skip("without the loop this version gives a coroutine in place of the stream")
    weather = Weather()
    config = {
        "tools": [weather.function(mode)],
        "automatic_function_calling": {"disable": True},
    }
    with playing(mode, calls("Oslo")) as player, client_of(player.url) as client:
        run(client, mode, contents=["?"], config=config)
    assert weather.asked == []
    definitions = telemetry.record["attributes"]["gen_ai.tool.definitions"]
    assert definitions[0]["name"] == "get_weather"
    assert definitions[0]["parameters"]["required"] == ["place"]


@in_all_modes
def test_nothing_is_recorded_after_uninstrument(telemetry: Telemetry, mode: str):
    weather = Weather()
    peekr.uninstrument()
    answers = [calls("Oslo"), text_answer("It rains.")]
    with playing(mode, *answers) as player, client_of(player.url) as client:
        run(client, mode, contents=["?"], config={"tools": [weather.function(mode)]})
    assert weather.asked
    assert telemetry.spans == []


@pytest.mark.parametrize("refused", [False, True])
async def test_tool_of_an_mcp_server_is_an_execution_too(telemetry: Telemetry, refused: bool):
    adapters = pytest.importorskip("google.genai._adapters")

    class Session:
        """A session of the `mcp` package, as far as the SDK calls it."""

        async def call_tool(self, name: str, arguments: Json) -> Any:
            content = [{"type": "text", "text": f"{name} of {arguments['city']}"}]
            return SimpleNamespace(content=content, isError=refused)

    adapter = adapters.McpToGenAiToolAdapter(Session(), SimpleNamespace(tools=[]))
    call = types().FunctionCall(name="map", args={"city": "Oslo"})
    assert (await adapter.call_tool(call)).content[0]["text"] == "map of Oslo"
    span = telemetry.span
    attributes = attributes_of(span)
    assert span.name == "execute_tool map"
    assert attributes["gen_ai.tool.type"] == "extension"
    assert json.loads(attributes["gen_ai.tool.call.arguments"]) == {"city": "Oslo"}
    assert attributes.get("error.type") == ("tool_error" if refused else None)
    assert telemetry.record["status"] == ("error" if refused else "ok")


@in_all_modes
def test_chat_records_each_of_its_requests(telemetry: Telemetry, mode: str):
    answers = [calls("Oslo"), text_answer("It rains."), text_answer("Bye.")]
    with playing(mode, *answers) as player, client_of(player.url) as client:
        texts = chat(client, mode, Weather().function(mode), "Weather?", "Bye")
        assert texts[-1] == "Bye."
        requests = named(telemetry, "generate_content")
        assert len(requests) == len(player.requests) == 3
        assert_same_contents(requests, player)
    assert named(telemetry, "execute_tool get_weather")


def chat(client: Any, mode: str, function: Any, *said: str) -> List[str]:
    options: Dict[str, Any] = {"model": "gemini-2.5-flash", "config": {"tools": [function]}}
    if mode == "sync":
        talk = client.chats.create(**options)
        return [talk.send_message(text).text for text in said]
    if mode == "sync-stream":
        talk = client.chats.create(**options)
        return ["".join(c.text or "" for c in talk.send_message_stream(text)) for text in said]

    async def talking() -> List[str]:
        talk = client.aio.chats.create(**options)
        if mode == "async":
            return [(await talk.send_message(text)).text for text in said]
        texts: List[str] = []
        for text in said:
            # The first versions give the generator itself, the later ones one to await.
            stream = talk.send_message_stream(text)
            if hasattr(stream, "__await__"):
                stream = await stream
            texts.append("".join([c.text or "" async for c in stream]))
        return texts

    return run_async(client, talking)


def assert_same_contents(spans: List[ReadableSpan], player: Player) -> None:
    """As many messages are recorded as were sent."""
    for span, request in zip(spans, player.requests):
        messages = json.loads(attributes_of(span)["gen_ai.input.messages"])
        assert len(messages) == len(request.json["contents"])
