"""What a chat says: every kind of message, part and answer, in the request and in the result."""

from __future__ import annotations

import base64
import hashlib
import json
from typing import Any, Dict, List, Set

import pytest
from openai.types.chat import ChatCompletionMessage
from pydantic import BaseModel

from ...conftest import Telemetry, attributes_of
from ...support.player import Player
from ..schemas import check_messages
from .calls import CHAT, Calls, answer, chunk, completion, events, settled

PIXEL = base64.b64encode(b"\x89PNG not really an image" * 20).decode()
DIGEST = hashlib.sha256(base64.b64decode(PIXEL)).hexdigest()
SIZE = len(base64.b64decode(PIXEL))
OK = completion({"role": "assistant", "content": "ok"})


async def asked(telemetry: Telemetry, mode: str, **arguments: Any) -> Dict[str, Any]:
    """The record of one call with these arguments."""
    with Player(answer(OK)) as player:
        async with Calls(mode, player.url + "/v1") as call:
            await call("chat.completions.create", **{**CHAT, **arguments})
    check_messages(telemetry.span)
    return telemetry.record["attributes"]


async def answered(
    telemetry: Telemetry, mode: str, message: Dict[str, Any], reason: str = "stop", **more: Any
) -> Dict[str, Any]:
    """The record of one call that is answered so."""
    with Player(answer(completion(message, reason, **more))) as player:
        async with Calls(mode, player.url + "/v1") as call:
            await call("chat.completions.create", **CHAT)
    check_messages(telemetry.span)
    return telemetry.record["attributes"]


async def streamed(telemetry: Telemetry, mode: str, *chunks: Dict[str, Any]) -> Dict[str, Any]:
    """The record of one call that is answered with these chunks."""
    with Player(events(*chunks)) as player:
        async with Calls(mode, player.url + "/v1") as call:
            await call.drain(await call("chat.completions.create", **CHAT, stream=True))
    check_messages(telemetry.span)
    return telemetry.record["attributes"]


def user(*parts: Dict[str, Any]) -> Dict[str, Any]:
    return {"messages": [{"role": "user", "content": list(parts)}]}


# -- the request -------------------------------------------------------------------------------

CALLS = [{"id": "call_1", "type": "function", "function": {"name": "f", "arguments": '{"x": 1}'}}]


async def test_conversation_is_recorded_message_by_message(mode: str, telemetry: Telemetry):
    got = await asked(
        telemetry,
        mode,
        messages=[
            {"role": "developer", "content": "be kind"},
            {"role": "system", "content": [{"type": "text", "text": "be brief"}]},
            {"role": "user", "content": "hi", "name": "ann"},
            {"role": "assistant", "content": "let me see", "tool_calls": CALLS},
            {"role": "tool", "tool_call_id": "call_1", "content": "42"},
            {"role": "tool", "tool_call_id": "call_2", "content": [{"type": "text", "text": "4"}]},
            {"role": "assistant", "content": [{"type": "refusal", "refusal": "no"}]},
            {"role": "function", "name": "old", "content": "7"},
        ],
    )
    assert got["input"] == [
        {"role": "developer", "content": "be kind"},
        {"role": "system", "content": "be brief"},
        {"role": "user", "content": "hi", "name": "ann"},
        {
            "role": "assistant",
            "content": "let me see",
            "tool_calls": [{"id": "call_1", "name": "f", "arguments": {"x": 1}}],
        },
        {"role": "tool", "tool_call_id": "call_1", "content": "42"},
        {
            "role": "tool",
            "tool_call_id": "call_2",
            "content": [{"type": "text", "content": "4"}],
        },
        {"role": "assistant", "content": [{"type": "refusal", "content": "no"}]},
        {
            "role": "tool",
            "content": [{"type": "tool_call_response", "response": "7"}],
            "name": "old",
        },
    ]


async def test_answer_given_back_as_the_sdks_model_is_recorded(mode: str, telemetry: Telemetry):
    previous = ChatCompletionMessage.model_validate(
        {"role": "assistant", "content": None, "tool_calls": CALLS, "reasoning_content": "hmm"}
    )
    got = await asked(
        telemetry,
        mode,
        messages=[previous, {"role": "tool", "tool_call_id": "call_1", "content": "42"}],
    )
    assert got["input"][0] == {
        "role": "assistant",
        "content": [{"type": "reasoning", "content": "hmm"}],
        "tool_calls": [{"id": "call_1", "name": "f", "arguments": {"x": 1}}],
    }


async def test_image_by_address_is_kept_as_address(mode: str, telemetry: Telemetry):
    url = "https://example.com/cat.png"
    image = {"type": "image_url", "image_url": {"url": url, "detail": "low"}}
    got = await asked(telemetry, mode, **user({"type": "text", "text": "what?"}, image))
    assert got["input"][0]["content"] == [
        {"type": "text", "content": "what?"},
        {"type": "uri", "modality": "image", "uri": url, "detail": "low"},
    ]


INLINE: Dict[str, Any] = {
    "image": {"type": "image_url", "image_url": {"url": f"data:image/png;base64,{PIXEL}"}},
    "audio": {"type": "input_audio", "input_audio": {"data": PIXEL, "format": "wav"}},
    "document": {
        "type": "file",
        "file": {"filename": "a.pdf", "file_data": f"data:application/pdf;base64,{PIXEL}"},
    },
    "video": {"type": "video_url", "video_url": {"url": f"data:video/mp4;base64,{PIXEL}"}},
}
MIME = {
    "image": "image/png",
    "audio": "audio/wav",
    "document": "application/pdf",
    "video": "video/mp4",
}


@pytest.mark.parametrize("modality", INLINE)
async def test_inline_media_is_kept_as_type_size_and_digest(
    modality: str, mode: str, telemetry: Telemetry
):
    got = await asked(telemetry, mode, **user(INLINE[modality]))
    (part,) = got["input"][0]["content"]
    assert part["modality"] == modality
    assert part["mime_type"] == MIME[modality]
    assert part["sha256"] == DIGEST
    assert part["size"] == SIZE
    assert PIXEL[:40] not in telemetry.path.read_text("utf-8")
    assert PIXEL[:40] not in str(attributes_of(telemetry.span))


async def test_file_by_id_is_kept_as_id(mode: str, telemetry: Telemetry):
    got = await asked(telemetry, mode, **user({"type": "file", "file": {"file_id": "file-1"}}))
    (part,) = got["input"][0]["content"]
    assert (part["type"], part["file_id"]) == ("file", "file-1")


async def test_part_of_a_new_kind_keeps_its_fields_but_no_media(mode: str, telemetry: Telemetry):
    new = {"type": "hologram", "depth": 3, "frames": [{"data": f"data:x/y;base64,{PIXEL}"}]}
    got = await asked(telemetry, mode, **user(new))
    (part,) = got["input"][0]["content"]
    assert part["type"] == "hologram"
    assert part["depth"] == 3
    assert part["frames"][0]["data"]["sha256"] == DIGEST
    assert PIXEL[:40] not in telemetry.path.read_text("utf-8")


class Weather(BaseModel):
    """How the weather is."""

    city: str
    degrees: float


async def test_parameters_are_recorded_under_attributes_or_by_name(mode: str, telemetry: Telemetry):
    got = await asked(
        telemetry,
        mode,
        temperature=0,
        top_p=0.5,
        max_completion_tokens=100,
        frequency_penalty=1,
        presence_penalty=0.25,
        seed=7,
        n=2,
        stop=["a", "b"],
        service_tier="flex",
        reasoning_effort="high",
        user="u1",
        logit_bias={"50256": -100},
        metadata={"run": "r1"},
        parallel_tool_calls=False,
        prediction={"type": "content", "content": "as before"},
        response_format={"type": "json_object"},
        extra_body={"top_k": 40, "temperature": 1},
    )
    expected = {
        "gen_ai.request.temperature": 1.0,
        "gen_ai.request.top_p": 0.5,
        "gen_ai.request.max_tokens": 100,
        "gen_ai.request.frequency_penalty": 1.0,
        "gen_ai.request.presence_penalty": 0.25,
        "gen_ai.request.seed": 7,
        "gen_ai.request.choice.count": 2,
        "gen_ai.request.stop_sequences": ["a", "b"],
        "openai.request.service_tier": "flex",
        "gen_ai.output.type": "json",
    }
    assert {name: got.get(name) for name in expected} == expected
    assert got["peekr.request.parameters"] == {
        "max_completion_tokens": 100,
        "reasoning_effort": "high",
        "user": "u1",
        "logit_bias": {"50256": -100},
        "metadata": {"run": "r1"},
        "parallel_tool_calls": False,
        "prediction": {"type": "content", "content": "as before"},
        "response_format": {"type": "json_object"},
        "top_k": 40,
    }
    types: Set[Any] = {value.__class__ for value in attributes_of(telemetry.span).values()}
    assert types <= {str, int, float, bool, tuple}


async def test_tools_of_every_kind_are_recorded(mode: str, telemetry: Telemetry):
    schema = {"type": "object", "properties": {"x": {"type": "integer"}}}
    got = await asked(
        telemetry,
        mode,
        tools=[
            {
                "type": "function",
                "function": {
                    "name": "f",
                    "description": "does f",
                    "parameters": schema,
                    "strict": True,
                },
            },
            {"type": "custom", "custom": {"name": "c", "description": "does c"}},
        ],
        functions=[{"name": "old", "parameters": schema}],
        tool_choice={"type": "function", "function": {"name": "f"}},
    )
    assert got["gen_ai.tool.definitions"] == [
        {
            "type": "function",
            "name": "f",
            "description": "does f",
            "parameters": schema,
            "strict": True,
        },
        {"type": "custom", "name": "c", "description": "does c"},
        {"type": "function", "name": "old", "parameters": schema},
    ]


# -- the answer --------------------------------------------------------------------------------


async def test_tool_calls_are_recorded_with_their_arguments(mode: str, telemetry: Telemetry):
    calls: List[Dict[str, Any]] = [
        *CALLS,
        {"id": "call_2", "type": "function", "function": {"name": "g", "arguments": "not json"}},
        {"id": "call_3", "type": "custom", "custom": {"name": "c", "input": '{"free": "text"}'}},
    ]
    message = {"role": "assistant", "content": None, "tool_calls": calls}
    got = await answered(telemetry, mode, message, "tool_calls")
    expected = [
        {"id": "call_1", "name": "f", "arguments": {"x": 1}},
        {"id": "call_2", "name": "g", "arguments": "not json"},
        {"id": "call_3", "name": "c", "arguments": '{"free": "text"}'},
    ]
    assert got["tool_calls"] == expected
    assert got["output"] == [{"role": "assistant", "content": None, "tool_calls": expected}]
    assert got["finish_reasons"] == ["tool_calls"]


async def test_tool_calls_in_pieces_are_put_together(mode: str, telemetry: Telemetry):
    def call(index: int, **fields: Any) -> Dict[str, Any]:
        return chunk({"tool_calls": [{"index": index, **fields}]})

    got = await streamed(
        telemetry,
        mode,
        chunk({"role": "assistant", "content": None}),
        call(0, id="call_1", type="function", function={"name": "f", "arguments": ""}),
        call(1, id="call_2", type="function", function={"name": "g", "arguments": '{"y"'}),
        call(0, function={"arguments": '{"x":'}),
        call(0, function={"arguments": " 1}"}),
        call(1, function={"arguments": ": 2}"}),
        call(2, id="call_3", type="custom", custom={"name": "c", "input": "fr"}),
        call(2, custom={"input": "ee"}),
        chunk({}, "tool_calls"),
    )
    assert got["tool_calls"] == [
        {"id": "call_1", "name": "f", "arguments": {"x": 1}},
        {"id": "call_2", "name": "g", "arguments": {"y": 2}},
        {"id": "call_3", "name": "c", "arguments": "free"},
    ]


async def test_refusal_is_recorded(mode: str, telemetry: Telemetry):
    got = await answered(
        telemetry, mode, {"role": "assistant", "content": None, "refusal": "I will not"}
    )
    expected = [{"role": "assistant", "content": [{"type": "refusal", "content": "I will not"}]}]
    assert got["output"] == expected
    telemetry.clear()
    again = await streamed(
        telemetry, mode, chunk({"refusal": "I "}), chunk({"refusal": "will not"}), chunk({}, "stop")
    )
    assert again["output"] == expected


@pytest.mark.parametrize("name", ["reasoning_content", "reasoning"])
async def test_reasoning_of_compatible_services_is_recorded(
    name: str, mode: str, telemetry: Telemetry
):
    expected = [
        {
            "role": "assistant",
            "content": [
                {"type": "reasoning", "content": "let me think"},
                {"type": "text", "content": "42"},
            ],
        }
    ]
    got = await answered(
        telemetry, mode, {"role": "assistant", "content": "42", name: "let me think"}
    )
    assert got["output"] == expected
    telemetry.clear()
    got = await streamed(
        telemetry,
        mode,
        chunk({"role": "assistant", name: "let me "}),
        chunk({name: "think"}),
        chunk({"content": "42"}, "stop"),
    )
    assert got["output"] == expected


async def test_legacy_function_call_is_recorded(mode: str, telemetry: Telemetry):
    expected = [{"id": None, "name": "f", "arguments": {"x": 1}}]
    call = {"name": "f", "arguments": '{"x": 1}'}
    message = {"role": "assistant", "content": None, "function_call": call}
    got = await answered(telemetry, mode, message, "function_call")
    assert got["tool_calls"] == expected
    telemetry.clear()
    got = await streamed(
        telemetry,
        mode,
        chunk({"role": "assistant", "function_call": {"name": "f", "arguments": ""}}),
        chunk({"function_call": {"arguments": '{"x": 1}'}}),
        chunk({}, "function_call"),
    )
    assert got["tool_calls"] == expected
    assert got["finish_reasons"] == ["function_call"]


async def test_spoken_answer_is_kept_as_transcript_and_digest(mode: str, telemetry: Telemetry):
    audio = {"id": "audio_1", "data": PIXEL, "expires_at": 1, "transcript": "hello"}
    got = await answered(telemetry, mode, {"role": "assistant", "content": None, "audio": audio})
    (part,) = got["output"][0]["content"]
    assert (part["modality"], part["transcript"]) == ("audio", "hello")
    assert part["sha256"] == DIGEST
    telemetry.clear()
    half = len(PIXEL) // 8 * 4
    got = await streamed(
        telemetry,
        mode,
        chunk({"role": "assistant", "audio": {"id": "audio_1", "transcript": "hel"}}),
        chunk({"audio": {"data": PIXEL[:half]}}),
        chunk({"audio": {"data": PIXEL[half:], "transcript": "lo"}}),
        chunk({}, "stop"),
    )
    (part,) = got["output"][0]["content"]
    assert (part["id"], part["transcript"], part["sha256"]) == ("audio_1", "hello", DIGEST)
    assert PIXEL[:40] not in telemetry.path.read_text("utf-8")


async def test_several_choices_are_several_messages(mode: str, telemetry: Telemetry):
    body = completion({"role": "assistant", "content": "one"})
    body["choices"].append(
        {"index": 1, "finish_reason": "length", "message": {"role": "assistant", "content": "two"}}
    )
    with Player(answer(body)) as player:
        async with Calls(mode, player.url + "/v1") as call:
            await call("chat.completions.create", **CHAT, n=2)
    expected = [{"role": "assistant", "content": text} for text in ("one", "two")]
    assert telemetry.record["attributes"]["output"] == expected
    assert telemetry.record["attributes"]["finish_reasons"] == ["stop", "length"]
    telemetry.clear()
    second = chunk({"content": "two"}, "length")
    second["choices"][0]["index"] = 1
    got = await streamed(telemetry, mode, second, chunk({"content": "one"}, "stop"))
    assert got["output"] == expected
    assert got["finish_reasons"] == ["stop", "length"]


async def test_log_probabilities_are_not_stored(mode: str, telemetry: Telemetry):
    body = completion({"role": "assistant", "content": "ok"})
    token = {"token": "LOGPROB", "logprob": -0.25, "bytes": [1], "top_logprobs": []}
    body["choices"][0]["logprobs"] = {"content": [token], "refusal": None}
    with Player(answer(body)) as player:
        async with Calls(mode, player.url + "/v1") as call:
            await call("chat.completions.create", **CHAT, logprobs=True)
    assert telemetry.record["attributes"]["output"] == "ok"
    assert "LOGPROB" not in telemetry.path.read_text("utf-8")


async def test_usage_of_every_kind_is_recorded(mode: str, telemetry: Telemetry):
    usage = {
        "prompt_tokens": 100,
        "completion_tokens": 50,
        "total_tokens": 150,
        "prompt_tokens_details": {"cached_tokens": 64, "audio_tokens": 10},
        "completion_tokens_details": {
            "reasoning_tokens": 30,
            "audio_tokens": 5,
            "accepted_prediction_tokens": 1,
        },
    }
    message = {"role": "assistant", "content": "ok"}
    got = await answered(
        telemetry, mode, message, usage=usage, service_tier="default", system_fingerprint="fp_1"
    )
    expected = {
        "tokens_input": 100,
        "tokens_output": 50,
        "tokens_total": 150,
        "tokens_cache_read": 64,
        "tokens_reasoning": 30,
        "peekr.usage.audio.input_tokens": 10,
        "peekr.usage.audio.output_tokens": 5,
        "openai.response.service_tier": "default",
        "openai.response.system_fingerprint": "fp_1",
    }
    assert {name: got.get(name) for name in expected} == expected
    assert "tokens_cache_write" not in got


async def test_usage_that_was_not_reported_is_absent(mode: str, telemetry: Telemetry):
    got = await answered(telemetry, mode, {"role": "assistant", "content": "ok"})
    assert not [name for name in got if "token" in name]


async def test_deepseeks_cache_hits_are_cached_tokens(mode: str, telemetry: Telemetry):
    usage = {
        "prompt_tokens": 100,
        "completion_tokens": 5,
        "total_tokens": 105,
        "prompt_cache_hit_tokens": 64,
        "prompt_cache_miss_tokens": 36,
    }
    got = await answered(telemetry, mode, {"role": "assistant", "content": "ok"}, usage=usage)
    assert got["tokens_cache_read"] == 64
    assert got["tokens_input"] == 100


async def test_error_in_a_body_of_status_200_is_an_error(mode: str, telemetry: Telemetry):
    body = {"error": {"message": "upstream is down", "code": 502}, "user_id": "u"}
    with Player(answer(body)) as player:
        async with Calls(mode, player.url + "/v1") as call:
            await call("chat.completions.create", **CHAT)
    assert telemetry.record["status"] == "error"
    assert telemetry.record["attributes"]["error"] == "upstream is down"
    assert telemetry.record["attributes"]["error.type"] == "502"


async def test_azures_first_chunk_without_choices_is_passed_over(mode: str, telemetry: Telemetry):
    filters: Dict[str, Any] = {"choices": [], "id": "", "model": "", "prompt_filter_results": []}
    got = await streamed(
        telemetry,
        mode,
        {**chunk({}), **filters},
        chunk({"role": "assistant", "content": "ok"}),
        chunk({}, "stop"),
    )
    assert got["gen_ai.response.id"] == "chatcmpl-1"
    assert got["gen_ai.response.model"] == "gpt-4o-2024-08-06"
    assert got["output"] == "ok"


async def test_hostile_text_is_kept_as_valid_json(mode: str, telemetry: Telemetry):
    text = 'quote " backslash \\ newline \n zero \x00 escape \x1b[31m emoji 😀'
    got = await asked(telemetry, mode, messages=[{"role": "user", "content": text}])
    assert got["input"][0]["content"] == text
    raw = attributes_of(telemetry.span)["gen_ai.input.messages"]
    assert json.loads(raw)[0]["parts"][0]["content"] == text


async def test_strict_result_is_read_by_a_stream_helper(mode: str, telemetry: Telemetry):
    chunks = [
        chunk({"role": "assistant", "content": '{"city":'}),
        chunk({"content": '"Oslo","degrees":3.5}'}),
        chunk({}, "stop"),
    ]
    with Player(events(*chunks)) as player:
        async with Calls(mode, player.url + "/v1") as call:
            chat = call.client.chat.completions
            chat = chat if hasattr(chat, "stream") else call.client.beta.chat.completions
            async with call.entered(chat.stream(**CHAT, response_format=Weather)) as stream:
                result = await settled(stream.get_final_completion())
    assert result.choices[0].message.parsed == Weather(city="Oslo", degrees=3.5)
    got = telemetry.record["attributes"]
    assert got["output"] == '{"city":"Oslo","degrees":3.5}'
    assert got["gen_ai.output.type"] == "json"


# -- texts of no letters -----------------------------------------------------------------------


async def test_empty_texts_are_texts(mode: str, telemetry: Telemetry):
    messages = [
        {"role": "system", "content": ""},
        {"role": "user", "content": ""},
        {"role": "assistant", "content": "", "tool_calls": CALLS},
        {"role": "tool", "tool_call_id": "call_1", "content": ""},
    ]
    got = await asked(telemetry, mode, messages=messages)
    assert [entry["content"] for entry in got["input"]] == ["", "", None, ""]


async def test_empty_answer_is_an_empty_text(mode: str, telemetry: Telemetry):
    got = await answered(telemetry, mode, {"role": "assistant", "content": ""}, "length")
    assert got["output"] == ""


async def test_empty_answer_that_is_streamed_is_an_empty_text(mode: str, telemetry: Telemetry):
    first = chunk({"role": "assistant", "content": ""})
    got = await streamed(telemetry, mode, first, chunk({}, "length"))
    assert got["output"] == ""


async def test_calls_have_no_empty_text_beside_them(mode: str, telemetry: Telemetry):
    said = {"role": "assistant", "content": "", "tool_calls": CALLS}
    got = await answered(telemetry, mode, said, "tool_calls")
    assert got["output"][0]["content"] is None
