"""With capture_content=False nothing that anybody said is anywhere."""

from __future__ import annotations

import base64
from typing import Any, Dict

import openai
import pytest
from pydantic import BaseModel, Field

from peekr.instrumentation.openai import OpenAIInstrumentor

from ...conftest import Telemetry, attributes_of
from ...support.player import Player
from .calls import Calls, answer, chunk, completion, events, settled

CANARY = "CANARY7f3a"
INLINE = base64.b64encode(CANARY.encode() * 20).decode()


class Wanted(BaseModel):
    """CANARY7f3a in the description."""

    field: str = Field(description=CANARY)


REQUEST: Dict[str, Any] = {
    "model": "gpt-4o",
    "messages": [
        {"role": "system", "content": CANARY},
        {
            "role": "user",
            "name": CANARY,
            "content": [
                {"type": "text", "text": CANARY},
                {"type": "image_url", "image_url": {"url": f"https://e.com/{CANARY}.png"}},
                {"type": "image_url", "image_url": {"url": f"data:image/png;base64,{INLINE}"}},
            ],
        },
        {
            "role": "assistant",
            "content": None,
            "tool_calls": [
                {
                    "id": "call_1",
                    "type": "function",
                    "function": {"name": "f", "arguments": f'{{"x":"{CANARY}"}}'},
                }
            ],
        },
        {"role": "tool", "tool_call_id": "call_1", "content": CANARY},
    ],
    "tools": [{"type": "function", "function": {"name": "f", "description": CANARY}}],
    "prediction": {"type": "content", "content": CANARY},
    "response_format": {
        "type": "json_schema",
        "json_schema": {"name": "n", "description": CANARY, "schema": {"type": "object"}},
    },
    "extra_body": {"documents": [CANARY]},
    "temperature": 0.5,
    "reasoning_effort": "low",
}
MESSAGE: Dict[str, Any] = {
    "role": "assistant",
    "content": CANARY,
    "refusal": CANARY,
    "reasoning_content": CANARY,
    "tool_calls": [
        {
            "id": "call_1",
            "type": "function",
            "function": {"name": "f", "arguments": f'{{"x":"{CANARY}"}}'},
        }
    ],
}
RESPONSES_REQUEST: Dict[str, Any] = {
    "model": "gpt-4o",
    "input": [{"role": "user", "content": CANARY}],
    "instructions": CANARY,
    "tools": [{"type": "function", "name": "f", "parameters": {}, "description": CANARY}],
    "extra_body": {"prompt": {"id": "p", "variables": {"name": CANARY}}},
    "text": {"format": {"type": "json_schema", "name": "n", "schema": {"title": CANARY}}},
}
FAILURE = {
    "error": {"message": f"invalid: {CANARY}", "type": "invalid_request_error", "code": "bad"}
}


@pytest.fixture
def private(bare_telemetry: Telemetry) -> Telemetry:
    bare_telemetry.instrument(capture_content=False, console=True)
    return bare_telemetry


def assert_silent(telemetry: Telemetry, capsys: pytest.CaptureFixture[str]) -> None:
    assert telemetry.records
    written = telemetry.path.read_text("utf-8")
    printed = capsys.readouterr()
    assert "openai." in printed.out
    for text in (written, printed.out, printed.err, telemetry.span.to_json()):
        assert CANARY not in text
        assert INLINE[:20] not in text
    for name in ("input", "output", "tool_calls", "gen_ai.tool.definitions"):
        assert name not in telemetry.record["attributes"]


async def test_answered_chat_says_nothing(
    mode: str, private: Telemetry, capsys: pytest.CaptureFixture[str]
):
    usage = {"prompt_tokens": 3, "completion_tokens": 4, "total_tokens": 7}
    with Player(answer(completion(MESSAGE, "tool_calls", usage=usage))) as player:
        async with Calls(mode, player.url + "/v1") as call:
            result = await call("chat.completions.create", **REQUEST)
    assert result.choices[0].message.content == CANARY
    assert_silent(private, capsys)
    got = private.record["attributes"]
    assert (got["tokens_input"], got["tokens_output"]) == (3, 4)
    assert got["finish_reasons"] == ["tool_calls"]
    assert got["gen_ai.request.temperature"] == 0.5
    assert got["peekr.request.parameters"] == {"reasoning_effort": "low"}


async def test_streamed_chat_says_nothing(
    mode: str, private: Telemetry, capsys: pytest.CaptureFixture[str]
):
    delta = {**MESSAGE, "tool_calls": [{"index": 0, **MESSAGE["tool_calls"][0]}]}
    with Player(events(chunk(delta), chunk({}, "stop"))) as player:
        async with Calls(mode, player.url + "/v1") as call:
            await call.drain(await call("chat.completions.create", **REQUEST, stream=True))
    assert_silent(private, capsys)


async def test_messages_of_a_generator_say_nothing(
    mode: str, private: Telemetry, capsys: pytest.CaptureFixture[str]
):
    with Player(answer(completion(MESSAGE))) as player:
        async with Calls(mode, player.url + "/v1") as call:
            messages = (message for message in REQUEST["messages"])
            await call("chat.completions.create", **{**REQUEST, "messages": messages})
    assert_silent(private, capsys)


@pytest.mark.parametrize("status", [400, 429, 500])
async def test_failed_chat_says_what_kind_of_failure_alone(
    status: int, mode: str, private: Telemetry, capsys: pytest.CaptureFixture[str]
):
    with Player(answer(FAILURE, status=status)) as player:
        async with Calls(mode, player.url + "/v1") as call:
            with pytest.raises(openai.APIStatusError, match=CANARY):
                await call("chat.completions.create", **REQUEST)
    assert_silent(private, capsys)
    assert not private.span.events
    got = private.record["attributes"]
    assert str(status) in got["error"]
    assert got["http.response.status_code"] == status
    assert got["peekr.error.code"] == "bad"


async def test_exception_of_the_callers_own_says_its_kind_alone(
    mode: str, private: Telemetry, capsys: pytest.CaptureFixture[str]
):
    def messages() -> Any:
        yield {"role": "user", "content": CANARY}
        raise LookupError(CANARY)

    async with Calls(mode, "http://127.0.0.1:1/v1") as call:
        with pytest.raises(LookupError, match=CANARY):
            await call("chat.completions.create", model="gpt-4o", messages=messages())
    assert_silent(private, capsys)
    assert private.record["attributes"]["error"] == "LookupError"


async def test_parsed_chat_says_nothing(
    mode: str, private: Telemetry, capsys: pytest.CaptureFixture[str]
):
    body = completion({"role": "assistant", "content": f'{{"field":"{CANARY}"}}'})
    with Player(answer(body)) as player:
        async with Calls(mode, player.url + "/v1") as call:
            chat = call.client.chat.completions
            chat = chat if hasattr(chat, "parse") else call.client.beta.chat.completions
            arguments = {"model": "gpt-4o", "messages": REQUEST["messages"][:1]}
            await settled(chat.parse(**arguments, response_format=Wanted))
    assert_silent(private, capsys)


async def test_answer_that_cannot_be_parsed_says_nothing(
    mode: str, private: Telemetry, capsys: pytest.CaptureFixture[str]
):
    body = completion({"role": "assistant", "content": f'{{"other":"{CANARY}"}}'})
    with Player(answer(body)) as player:
        async with Calls(mode, player.url + "/v1") as call:
            chat = call.client.chat.completions
            chat = chat if hasattr(chat, "parse") else call.client.beta.chat.completions
            arguments = {"model": "gpt-4o", "messages": REQUEST["messages"][:1]}
            with pytest.raises(ValueError, match=CANARY):
                await settled(chat.parse(**arguments, response_format=Wanted))
    assert_silent(private, capsys)


RESPONSES_BODY: Dict[str, Any] = {
    "id": "resp_1",
    "object": "response",
    "created_at": 1,
    "model": "gpt-4o",
    "status": "completed",
    "instructions": CANARY,
    "output": [
        {"type": "reasoning", "id": "r", "summary": [{"type": "summary_text", "text": CANARY}]},
        {
            "type": "message",
            "id": "m",
            "role": "assistant",
            "status": "completed",
            "content": [{"type": "output_text", "text": CANARY, "annotations": []}],
        },
        {"type": "function_call", "call_id": "c", "name": "f", "arguments": f'"{CANARY}"'},
    ],
    "parallel_tool_calls": True,
    "tool_choice": "auto",
    "tools": [],
}


@pytest.mark.parametrize("failed", [False, True])
async def test_responses_say_nothing(
    failed: bool, mode: str, private: Telemetry, capsys: pytest.CaptureFixture[str]
):
    error = {"status": "failed", "error": {"code": "server_error", "message": CANARY}}
    body = {**RESPONSES_BODY, **(error if failed else {})}
    with Player(answer(body, "/v1/responses")) as player:
        async with Calls(mode, player.url + "/v1") as call:
            await call("responses.create", **RESPONSES_REQUEST)
    assert_silent(private, capsys)
    assert private.record["status"] == ("error" if failed else "ok")


@pytest.mark.parametrize("path", ["embeddings", "completions"])
async def test_embeddings_and_texts_say_nothing(
    path: str, call: Calls, private: Telemetry, capsys: pytest.CaptureFixture[str]
):
    if path == "embeddings":
        await call("embeddings.create", model="text-embedding-3-small", input=CANARY)
    else:
        await call("completions.create", model="gpt-4o", prompt=CANARY, suffix=CANARY)
    assert_silent(private, capsys)


async def test_instrumentor_alone_keeps_silent_too(call: Calls, bare_telemetry: Telemetry):
    instrumentor = OpenAIInstrumentor()
    instrumentor.instrument(tracer_provider=bare_telemetry.provider, capture_content=False)
    try:
        await call("completions.create", model="gpt-4o", prompt=CANARY)
    finally:
        instrumentor.uninstrument()
    assert CANARY not in str(attributes_of(bare_telemetry.span))
