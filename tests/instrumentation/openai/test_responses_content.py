"""What a call of the Responses API says: items of every kind, in the request and in the answer."""

from __future__ import annotations

import base64
import hashlib
from typing import Any, Dict, List

import pytest
from pydantic import BaseModel

from ...conftest import Telemetry
from ...support.player import Player
from ..schemas import check_messages
from .calls import RESPONSES, Calls, answer, events, settled

PIXEL = base64.b64encode(b"\x89PNG not really an image" * 20).decode()
DIGEST = hashlib.sha256(base64.b64decode(PIXEL)).hexdigest()
PATH = "/v1/responses"


def body(*items: Dict[str, Any], **more: Any) -> Dict[str, Any]:
    return {
        "id": "resp_1",
        "object": "response",
        "created_at": 1,
        "model": "gpt-4o-2024-08-06",
        "status": "completed",
        "output": list(items),
        "parallel_tool_calls": True,
        "tool_choice": "auto",
        "tools": [],
        **more,
    }


def said(text: str) -> Dict[str, Any]:
    content: List[Any] = [{"type": "output_text", "text": text, "annotations": []}]
    return {
        "type": "message",
        "id": "msg_1",
        "role": "assistant",
        "status": "completed",
        "content": content,
    }


async def asked(telemetry: Telemetry, mode: str, **arguments: Any) -> Dict[str, Any]:
    with Player(answer(body(said("ok")), PATH)) as player:
        async with Calls(mode, player.url + "/v1") as call:
            await call("responses.create", **{**RESPONSES, **arguments})
    check_messages(telemetry.span)
    return telemetry.record["attributes"]


async def answered(telemetry: Telemetry, mode: str, *items: Any, **more: Any) -> Dict[str, Any]:
    """The record of an answer that comes whole; streamed it must say the same."""
    with Player(answer(body(*items, **more), PATH)) as player:
        async with Calls(mode, player.url + "/v1") as call:
            await call("responses.create", **RESPONSES)
    check_messages(telemetry.span)
    plain = telemetry.record["attributes"]
    telemetry.clear()
    created = {"type": "response.created", "sequence_number": 0, "response": body(status="queued")}
    done: List[Dict[str, Any]] = [
        {
            "type": "response.output_item.done",
            "output_index": index,
            "sequence_number": index,
            "item": item,
        }
        for index, item in enumerate(items)
    ]
    completed = {
        "type": "response.completed",
        "sequence_number": 9,
        "response": body(*items, **more),
    }
    for played in (
        events(created, *done, completed, path=PATH, done=False),
        events(created, *done, path=PATH, done=False),
    ):
        with Player(played) as player:
            async with Calls(mode, player.url + "/v1") as call:
                stream = await call("responses.create", **RESPONSES, stream=True)
                await call.drain(stream)
        check_messages(telemetry.span)
        assert telemetry.record["attributes"].get("output") == plain.get("output")
        telemetry.clear()
    return plain


# -- the request -------------------------------------------------------------------------------


async def test_text_and_instructions_are_recorded(mode: str, telemetry: Telemetry):
    got = await asked(telemetry, mode, input="hi there", instructions="be kind")
    assert got["input"] == [
        {"role": "system", "content": "be kind"},
        {"role": "user", "content": "hi there"},
    ]
    assert got["output"] == "ok"
    assert got["finish_reasons"] == ["stop"]
    assert got["gen_ai.operation.name"] == "chat"
    assert got["openai.api.type"] == "responses"


async def test_items_of_a_conversation_are_recorded(mode: str, telemetry: Telemetry):
    got = await asked(
        telemetry,
        mode,
        input=[
            {"role": "developer", "content": "be brief"},
            {"role": "user", "content": [{"type": "input_text", "text": "hi"}]},
            {
                "type": "reasoning",
                "id": "rs_1",
                "summary": [{"type": "summary_text", "text": "hm"}],
            },
            {"type": "function_call", "call_id": "call_1", "name": "f", "arguments": '{"x": 1}'},
            {"type": "function_call_output", "call_id": "call_1", "output": "42"},
            {
                "type": "function_call_output",
                "call_id": "call_2",
                "output": [{"type": "input_text", "text": "43"}],
            },
            {"type": "custom_tool_call", "call_id": "call_3", "name": "c", "input": "{free"},
            {"type": "custom_tool_call_output", "call_id": "call_3", "output": "44"},
            {"type": "item_reference", "id": "msg_0"},
            {
                "role": "assistant",
                "content": [{"type": "output_text", "text": "so", "annotations": []}],
            },
        ],
    )
    assert got["input"] == [
        {"role": "developer", "content": "be brief"},
        {"role": "user", "content": "hi"},
        {"role": "assistant", "content": [{"type": "reasoning", "content": "hm"}]},
        {
            "role": "assistant",
            "content": None,
            "tool_calls": [{"id": "call_1", "name": "f", "arguments": {"x": 1}}],
        },
        {"role": "tool", "tool_call_id": "call_1", "content": "42"},
        {
            "role": "tool",
            "tool_call_id": "call_2",
            "content": [{"type": "text", "content": "43"}],
        },
        {
            "role": "assistant",
            "content": None,
            "tool_calls": [{"id": "call_3", "name": "c", "arguments": "{free"}],
        },
        {"role": "tool", "tool_call_id": "call_3", "content": "44"},
        {"role": "assistant", "content": [{"type": "item_reference", "id": "msg_0"}]},
        {"role": "assistant", "content": "so"},
    ]


MEDIA: Dict[str, Dict[str, Any]] = {
    "inline image": {"type": "input_image", "image_url": f"data:image/png;base64,{PIXEL}"},
    "inline file": {
        "type": "input_file",
        "filename": "a.pdf",
        "file_data": f"data:application/pdf;base64,{PIXEL}",
    },
    "bare file": {"type": "input_file", "filename": "a.pdf", "file_data": PIXEL},
    "audio": {"type": "input_audio", "input_audio": {"data": PIXEL, "format": "mp3"}},
}


@pytest.mark.parametrize("kind", MEDIA)
async def test_inline_media_is_kept_as_size_and_digest(kind: str, mode: str, telemetry: Telemetry):
    got = await asked(telemetry, mode, input=[{"role": "user", "content": [MEDIA[kind]]}])
    (part,) = got["input"][0]["content"]
    assert part["sha256"] == DIGEST
    assert part["size"] == len(base64.b64decode(PIXEL))
    assert PIXEL[:40] not in telemetry.path.read_text("utf-8")


async def test_media_by_address_or_id_is_kept_so(mode: str, telemetry: Telemetry):
    got = await asked(
        telemetry,
        mode,
        input=[
            {
                "role": "user",
                "content": [
                    {"type": "input_image", "image_url": "https://e.com/a.png", "detail": "low"},
                    {"type": "input_image", "file_id": "file-1"},
                    {"type": "input_file", "file_url": "https://e.com/a.pdf"},
                ],
            }
        ],
    )
    assert got["input"][0]["content"] == [
        {"type": "uri", "modality": "image", "uri": "https://e.com/a.png", "detail": "low"},
        {"type": "file", "modality": "image", "file_id": "file-1"},
        {"type": "uri", "modality": "document", "uri": "https://e.com/a.pdf"},
    ]


async def test_screenshot_of_a_computer_call_is_kept_as_digest(mode: str, telemetry: Telemetry):
    screenshot = {"type": "computer_screenshot", "image_url": f"data:image/png;base64,{PIXEL}"}
    got = await asked(
        telemetry,
        mode,
        input=[
            {
                "type": "computer_call",
                "id": "cu_1",
                "call_id": "call_1",
                "action": {"type": "click", "x": 1, "y": 2, "button": "left"},
                "pending_safety_checks": [],
                "status": "completed",
            },
            {"type": "computer_call_output", "call_id": "call_1", "output": screenshot},
        ],
    )
    call, output = got["input"]
    assert call["content"][0]["server_tool_call"]["arguments"]["x"] == 1
    assert output["tool_call_id"] == "call_1"
    assert output["content"]["image_url"]["sha256"] == DIGEST
    assert PIXEL[:40] not in telemetry.path.read_text("utf-8")


async def test_output_given_back_as_the_sdks_models_is_recorded(mode: str, telemetry: Telemetry):
    first = body(
        {
            "type": "reasoning",
            "id": "rs_1",
            "summary": [{"type": "summary_text", "text": "hm"}],
        },
        said("so"),
        {
            "type": "function_call",
            "id": "fc_1",
            "call_id": "call_1",
            "name": "f",
            "arguments": '{"x": 1}',
        },
    )
    with Player(answer(first, PATH)) as player:
        async with Calls(mode, player.url + "/v1") as call:
            items: List[Any] = (await call("responses.create", **RESPONSES)).output
    assert not any(isinstance(item, dict) for item in items)
    telemetry.clear()
    got = await asked(telemetry, mode, input=[*items, {"role": "user", "content": "more"}])
    assert got["input"] == [
        {"role": "assistant", "content": [{"type": "reasoning", "content": "hm"}]},
        {"role": "assistant", "content": "so"},
        {
            "role": "assistant",
            "content": None,
            "tool_calls": [{"id": "call_1", "name": "f", "arguments": {"x": 1}}],
        },
        {"role": "user", "content": "more"},
    ]


async def test_parameters_are_recorded(mode: str, telemetry: Telemetry):
    got = await asked(
        telemetry,
        mode,
        temperature=1,
        max_output_tokens=100,
        reasoning={"effort": "low"},
        previous_response_id="resp_0",
        text={"format": {"type": "json_object"}},
        truncation="auto",
        extra_body={
            "conversation": "conv_1",
            "prompt": {"id": "pmpt_1", "variables": {"name": "Ann"}},
        },
    )
    assert got["gen_ai.request.temperature"] == 1.0
    assert got["gen_ai.request.max_tokens"] == 100
    assert got["gen_ai.output.type"] == "json"
    assert got["gen_ai.conversation.id"] == "conv_1"
    parameters = got["peekr.request.parameters"]
    assert parameters["reasoning"] == {"effort": "low"}
    assert parameters["previous_response_id"] == "resp_0"
    assert parameters["prompt"] == {"id": "pmpt_1", "variables": {"name": "Ann"}}


async def test_tools_are_recorded(mode: str, telemetry: Telemetry):
    schema: Dict[str, Any] = {"type": "object", "properties": {}}
    tools: List[Dict[str, Any]] = [
        {"type": "function", "name": "f", "parameters": schema, "strict": False},
        {"type": "web_search"},
        {
            "type": "mcp",
            "server_label": "s",
            "server_url": "https://e.com",
            "require_approval": "never",
        },
    ]
    got = await asked(telemetry, mode, tools=tools)
    recorded = got["gen_ai.tool.definitions"]
    assert [tool["type"] for tool in recorded] == ["function", "web_search", "mcp"]
    assert recorded[0]["parameters"] == schema
    assert recorded[2]["server_label"] == "s"


# -- the answer --------------------------------------------------------------------------------


async def test_reasoning_text_and_calls_are_one_message_in_their_order(
    mode: str, telemetry: Telemetry
):
    got = await answered(
        telemetry,
        mode,
        {"type": "reasoning", "id": "rs_1", "summary": [{"type": "summary_text", "text": "hm"}]},
        said("so"),
        {
            "type": "function_call",
            "id": "fc_1",
            "call_id": "call_1",
            "name": "f",
            "arguments": '{"x": 1}',
            "status": "completed",
        },
        {"type": "custom_tool_call", "id": "ct_1", "call_id": "call_2", "name": "c", "input": "{}"},
        usage={
            "input_tokens": 10,
            "input_tokens_details": {"cached_tokens": 4},
            "output_tokens": 20,
            "output_tokens_details": {"reasoning_tokens": 7},
            "total_tokens": 30,
        },
        service_tier="default",
    )
    assert got["output"] == [
        {
            "role": "assistant",
            "content": [
                {"type": "reasoning", "content": "hm"},
                {"type": "text", "content": "so"},
            ],
            "tool_calls": [
                {"id": "call_1", "name": "f", "arguments": {"x": 1}},
                {"id": "call_2", "name": "c", "arguments": "{}"},
            ],
        }
    ]
    assert got["finish_reasons"] == ["tool_calls"]
    counts = ("tokens_input", "tokens_output", "tokens_cache_read", "tokens_reasoning")
    assert [got[name] for name in counts] == [10, 20, 4, 7]
    assert got["openai.response.service_tier"] == "default"


SERVER_CALLS: Dict[str, Dict[str, Any]] = {
    "web_search_call": {"action": {"type": "search", "query": "CANARY"}},
    "file_search_call": {
        "queries": ["CANARY"],
        "results": [{"file_id": "f", "filename": "a.txt", "score": 0.5, "text": "found"}],
    },
    "code_interpreter_call": {
        "code": "print('CANARY')",
        "container_id": "c",
        "outputs": [{"type": "logs", "logs": "CANARY"}],
    },
    "mcp_call": {
        "name": "lookup",
        "arguments": '{"q": "CANARY"}',
        "server_label": "s",
        "output": "found",
    },
    "computer_call": {
        "call_id": "call_1",
        "action": {"type": "type", "text": "CANARY"},
        "pending_safety_checks": [],
    },
    "local_shell_call": {
        "call_id": "call_1",
        "action": {"type": "exec", "command": ["echo", "CANARY"], "env": {}},
    },
}


@pytest.mark.parametrize("kind", SERVER_CALLS)
async def test_tools_that_ran_at_the_provider_are_recorded(
    kind: str, mode: str, telemetry: Telemetry
):
    item = {"type": kind, "id": "it_1", "status": "completed", **SERVER_CALLS[kind]}
    got = await answered(telemetry, mode, item, said("so"))
    call = got["output"][0]["content"][0]
    assert call["type"] == "server_tool_call"
    assert call["id"] == "it_1"
    assert call["name"] == ("lookup" if kind == "mcp_call" else kind)
    assert "CANARY" in str(call["server_tool_call"]["arguments"])
    kinds = [part["type"] for part in got["output"][0]["content"]]
    has_result = kind in ("file_search_call", "code_interpreter_call", "mcp_call")
    assert ("server_tool_call_response" in kinds) == has_result
    assert kinds[-1] == "text"
    assert got["finish_reasons"] == ["stop"]


async def test_generated_image_is_kept_as_digest(mode: str, telemetry: Telemetry):
    item = {
        "type": "image_generation_call",
        "id": "ig_1",
        "status": "completed",
        "result": PIXEL,
        "output_format": "webp",
        "revised_prompt": "a cat",
    }
    got = await answered(telemetry, mode, item)
    image = got["output"][0]["content"][-1]
    assert (image["modality"], image["mime_type"]) == ("image", "image/webp")
    assert image["sha256"] == DIGEST
    assert PIXEL[:40] not in str(got)


async def test_item_of_a_new_kind_keeps_its_fields_but_no_media(mode: str, telemetry: Telemetry):
    item = {
        "type": "hologram_call",
        "id": "ho_1",
        "depth": 3,
        "frame": f"data:image/png;base64,{PIXEL}",
    }
    got = await asked(telemetry, mode, input=[item])
    (part,) = got["input"][0]["content"]
    assert (part["type"], part["id"], part["depth"]) == ("hologram_call", "ho_1", 3)
    assert part["frame"]["sha256"] == DIGEST


async def test_refusal_is_recorded(mode: str, telemetry: Telemetry):
    item = {**said(""), "content": [{"type": "refusal", "refusal": "I will not"}]}
    got = await answered(telemetry, mode, item)
    assert got["output"][0]["content"] == [{"type": "refusal", "content": "I will not"}]


async def test_failed_response_is_an_error(mode: str, telemetry: Telemetry):
    failed = body(status="failed", error={"code": "server_error", "message": "it broke"})
    with Player(answer(failed, PATH)) as player:
        async with Calls(mode, player.url + "/v1") as call:
            await call("responses.create", **RESPONSES)
    record = telemetry.record
    assert record["status"] == "error"
    assert record["attributes"]["error"] == "it broke"
    assert record["attributes"]["error.type"] == "server_error"


async def test_incomplete_response_keeps_its_text(mode: str, telemetry: Telemetry):
    cut = body(said("half"), status="incomplete", incomplete_details={"reason": "content_filter"})
    with Player(answer(cut, PATH)) as player:
        async with Calls(mode, player.url + "/v1") as call:
            await call("responses.create", **RESPONSES)
    record = telemetry.record
    assert record["status"] == "ok"
    assert record["attributes"]["output"] == "half"
    assert record["attributes"]["finish_reasons"] == ["content_filter"]


async def test_background_response_has_not_finished(mode: str, telemetry: Telemetry):
    with Player(answer(body(status="queued", background=True), PATH)) as player:
        async with Calls(mode, player.url + "/v1") as call:
            await call("responses.create", **RESPONSES, extra_body={"background": True})
    record = telemetry.record
    assert record["status"] == "ok"
    assert "finish_reasons" not in record["attributes"]
    assert record["attributes"]["peekr.request.parameters"] == {"background": True}


def delta(kind: str, piece: str, **more: Any) -> Dict[str, Any]:
    return {
        "type": f"response.{kind}.delta",
        "sequence_number": 1,
        "item_id": "it_1",
        "output_index": 0,
        "delta": piece,
        **more,
    }


async def test_pieces_of_every_kind_are_kept_when_the_stream_breaks_off(
    mode: str, telemetry: Telemetry
):
    added = {
        "type": "response.output_item.added",
        "output_index": 1,
        "sequence_number": 1,
        "item": {
            "type": "function_call",
            "id": "fc_1",
            "call_id": "call_1",
            "name": "f",
            "arguments": "",
        },
    }
    played = events(
        {"type": "response.created", "sequence_number": 0, "response": body(status="queued")},
        delta("reasoning_summary_text", "let me ", summary_index=0),
        delta("reasoning_summary_text", "think", summary_index=0),
        added,
        delta("function_call_arguments", '{"x":', output_index=1),
        delta("function_call_arguments", " 1}", output_index=1),
        delta("output_text", "Hel", output_index=2, content_index=0, logprobs=[]),
        delta("refusal", "no", output_index=3, content_index=0),
        path=PATH,
        done=False,
    )
    with Player(played) as player:
        async with Calls(mode, player.url + "/v1") as call:
            stream = await call("responses.create", **RESPONSES, stream=True)
            await call.take(stream, 8)
            await settled(stream.close())
    check_messages(telemetry.span)
    got = telemetry.record["attributes"]
    assert got["peekr.stream.abandoned"] is True
    assert got["gen_ai.response.id"] == "resp_1"
    (message,) = got["output"]
    assert [part["type"] for part in message["content"]] == [
        "reasoning",
        "tool_call",
        "text",
        "refusal",
    ]
    assert message["content"][0]["content"] == "let me think"
    assert message["content"][1]["arguments"] == {"x": 1}


class Answer(BaseModel):
    city: str


async def test_parsed_answer_is_recorded_as_its_text(mode: str, telemetry: Telemetry):
    with Player(answer(body(said('{"city":"Oslo"}')), PATH)) as player:
        async with Calls(mode, player.url + "/v1") as call:
            result = await call("responses.parse", **RESPONSES, text_format=Answer)
    assert result.output_parsed == Answer(city="Oslo")
    got = telemetry.record["attributes"]
    assert got["output"] == '{"city":"Oslo"}'
    assert got["gen_ai.output.type"] == "json"
    assert "city" in str(got["peekr.request.parameters"]["text_format"])


async def test_message_of_an_empty_text_is_a_message(mode: str, telemetry: Telemetry):
    got = await asked(telemetry, mode, input=[{"role": "user", "content": ""}])
    assert got["input"] == [{"role": "user", "content": ""}]
