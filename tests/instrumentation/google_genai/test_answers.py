"""What comes back: texts, thoughts, calls, code, images, counts and the reasons for an end."""

from __future__ import annotations

import base64
import hashlib
import json
from typing import Any, Dict, List

import pytest

from peekr.instrumentation.google_genai.generate import GenerateExtractor

from ...conftest import Telemetry, attributes_of
from .calling import (
    COUNTED,
    Json,
    candidate,
    chunk,
    client_of,
    genai,
    in_all_modes,
    playing,
    quiet,
    run,
    text_answer,
    types,
    version,
)

pytestmark = quiet


@pytest.fixture(autouse=True)
def sdk() -> Any:
    return genai()


def recorded(telemetry: Telemetry, mode: str, answer: List[Json]) -> Dict[str, Any]:
    """The attributes of the one record of a call with this answer."""
    with playing(mode, answer) as player, client_of(player.url) as client:
        assert run(client, mode)
    record = telemetry.record
    stream = "_stream" if "stream" in mode else ""
    assert record["name"] == f"gemini.generate_content{stream}"
    assert record["status"] == "ok"
    assert "peekr.stream.abandoned" not in record["attributes"]
    return record["attributes"]


def outputs(telemetry: Telemetry) -> List[Dict[str, Any]]:
    return json.loads(attributes_of(telemetry.span)["gen_ai.output.messages"])


@in_all_modes
def test_span_says_who_answered_and_how(telemetry: Telemetry, mode: str):
    with playing(mode, text_answer("Hello.")) as player, client_of(player.url) as client:
        run(client, mode)
        port = player.port
    span = telemetry.span
    attributes = attributes_of(span)
    first_chunk = attributes.pop("gen_ai.response.time_to_first_chunk", None)
    stream = "stream" in mode
    assert (first_chunk is not None) == stream
    assert span.name == "generate_content gemini-2.5-flash"
    assert attributes == {
        "gen_ai.operation.name": "generate_content",
        "gen_ai.provider.name": "gcp.gemini",
        "gen_ai.request.model": "gemini-2.5-flash",
        "gen_ai.response.model": "gemini-2.5-flash-001",
        "gen_ai.response.finish_reasons": ("STOP",),
        "gen_ai.usage.input_tokens": 5,
        "gen_ai.usage.output_tokens": 3,
        "gen_ai.input.messages": '[{"role":"user","parts":[{"type":"text","content":"hi"}]}]',
        "gen_ai.output.messages": '[{"role":"assistant","parts":[{"type":"text","content":"Hello."}'
        '],"finish_reason":"STOP"}]',
        "peekr.record.name": f"gemini.generate_content{'_stream' if stream else ''}",
        "peekr.cost_usd": 9e-06,
        "server.address": "127.0.0.1",
        "server.port": port,
        **({"gen_ai.request.stream": True} if stream else {}),
        **({"gen_ai.response.id": "resp-1"} if _has_response_id() else {}),
    }
    assert telemetry.record["attributes"]["output"] == "Hello."


def _has_response_id() -> bool:
    return "response_id" in types().GenerateContentResponse.model_fields


@in_all_modes
@pytest.mark.skipif(version() < (1, 10), reason="this version has no thoughts")
def test_thoughts_are_reasoning_and_counted_as_output(telemetry: Telemetry, mode: str):
    usage = {
        "promptTokenCount": 100,
        "candidatesTokenCount": 7,
        "thoughtsTokenCount": 20,
        "cachedContentTokenCount": 60,
        "toolUsePromptTokenCount": 9,
        "totalTokenCount": 136,
    }
    attributes = recorded(
        telemetry,
        mode,
        [
            chunk({"text": "Let me", "thought": True}, usageMetadata={"promptTokenCount": 100}),
            chunk({"text": " think.", "thought": True}),
            chunk({"text": "It is"}),
            chunk({"text": " 4."}, finish="STOP", usageMetadata=usage),
        ],
    )
    (message,) = outputs(telemetry)
    parts = "".join(part["content"] for part in message["parts"] if part["type"] == "reasoning")
    assert parts == "Let me think."
    assert "".join(p["content"] for p in message["parts"] if p["type"] == "text") == "It is 4."
    assert attributes["tokens_input"] == 109
    assert attributes["tokens_output"] == 27
    assert attributes["tokens_total"] == usage["totalTokenCount"]
    assert attributes["tokens_reasoning"] == 20
    assert attributes["tokens_cache_read"] == 60


@in_all_modes
def test_answer_that_thoughts_used_up_still_counts_them(telemetry: Telemetry, mode: str):
    if "thoughts_token_count" not in types().GenerateContentResponseUsageMetadata.model_fields:
        pytest.skip("this version has no thoughts")
    usage = {"promptTokenCount": 4, "thoughtsTokenCount": 50, "totalTokenCount": 54}
    answer: Json = {"candidates": [candidate(finish="MAX_TOKENS")], "usageMetadata": usage}
    attributes = recorded(telemetry, mode, [answer])
    assert attributes["finish_reasons"] == ["MAX_TOKENS"]
    assert attributes["tokens_output"] == attributes["tokens_reasoning"] == 50


@in_all_modes
def test_function_calls_are_tool_calls(telemetry: Telemetry, mode: str):
    calls: List[Json] = [
        {"functionCall": {"id": "call-1", "name": "weather", "args": {"city": "Paris"}}},
        {"functionCall": {"name": "time", "args": {}}},
    ]
    attributes = recorded(
        telemetry, mode, [chunk({"text": "Look:"}, calls[0]), chunk(calls[1], finish="STOP")]
    )
    assert attributes["tool_calls"] == [
        {"id": "call-1", "name": "weather", "arguments": {"city": "Paris"}},
        {"id": None, "name": "time", "arguments": {}},
    ]
    assert attributes["output"][0]["content"] == "Look:"


@in_all_modes
def test_code_that_the_model_ran_is_recorded_with_its_result(telemetry: Telemetry, mode: str):
    recorded(
        telemetry,
        mode,
        [
            chunk({"executableCode": {"language": "PYTHON", "code": "print(2 + 2)"}}),
            chunk({"codeExecutionResult": {"outcome": "OUTCOME_OK", "output": "4\n"}}),
            chunk({"text": "4"}, finish="STOP", **COUNTED),
        ],
    )
    (message,) = outputs(telemetry)
    assert message["parts"] == [
        {
            "type": "server_tool_call",
            "name": "code_execution",
            "server_tool_call": {
                "type": "code_execution",
                "language": "PYTHON",
                "code": "print(2 + 2)",
            },
        },
        {
            "type": "server_tool_call_response",
            "server_tool_call_response": {
                "type": "code_execution",
                "outcome": "OUTCOME_OK",
                "output": "4\n",
            },
        },
        {"type": "text", "content": "4"},
    ]


@in_all_modes
def test_image_that_comes_back_is_stored_by_size_and_digest(telemetry: Telemetry, mode: str):
    image = bytes(range(256)) * 8
    data = base64.urlsafe_b64encode(image).decode()
    recorded(
        telemetry,
        mode,
        [chunk({"inlineData": {"mimeType": "image/png", "data": data}}, finish="STOP")],
    )
    (message,) = outputs(telemetry)
    assert message["parts"] == [
        {
            "type": "blob",
            "modality": "image",
            "content": "",
            "size": len(image),
            "sha256": hashlib.sha256(image).hexdigest(),
            "mime_type": "image/png",
        }
    ]


@in_all_modes
@pytest.mark.parametrize("said", ["Not this.", None])
def test_refused_prompt_ends_for_the_reason_of_the_block(
    telemetry: Telemetry, mode: str, said: Any
):
    feedback: Json = {"blockReason": "PROHIBITED_CONTENT"}
    if said:
        feedback["blockReasonMessage"] = said
    usage = {"promptTokenCount": 4, "totalTokenCount": 4}
    attributes = recorded(
        telemetry, mode, [{"promptFeedback": feedback, "usageMetadata": usage, "modelVersion": "m"}]
    )
    assert attributes["finish_reasons"] == ["PROHIBITED_CONTENT"]
    assert attributes["tokens_input"] == 4
    assert "tokens_output" not in attributes
    if said and "block_reason_message" in _fields("GenerateContentResponsePromptFeedback"):
        assert attributes["output"] == [
            {"role": "assistant", "content": [{"type": "refusal", "content": said}]}
        ]


def _fields(name: str) -> Any:
    return getattr(types(), name).model_fields


@in_all_modes
@pytest.mark.parametrize("reason", ["SAFETY", "MAX_TOKENS", "RECITATION", "SOMETHING_NEW"])
def test_finish_reason_is_the_providers_word(telemetry: Telemetry, mode: str, reason: str):
    if reason == "SOMETHING_NEW" and version() < (1, 5):
        pytest.skip("this version refuses words that it does not know")
    attributes = recorded(telemetry, mode, [chunk({"text": "I"}), chunk(finish=reason)])
    assert attributes["finish_reasons"] == [reason]
    assert attributes["output"] == "I"


@in_all_modes
def test_candidates_are_told_apart(telemetry: Telemetry, mode: str):
    answer = [
        {"candidates": [candidate({"text": "a"}), candidate({"text": "x"}, index=1)]},
        {
            "candidates": [
                candidate({"text": "b"}, finish="STOP"),
                candidate({"text": "y"}, finish="MAX_TOKENS", index=1),
            ]
        },
    ]
    with playing(mode, answer) as player, client_of(player.url) as client:
        run(client, mode, config={"candidate_count": 2})
    texts = [
        "".join(part["content"] for part in message["parts"]) for message in outputs(telemetry)
    ]
    assert texts == ["ab", "xy"]
    attributes = telemetry.record["attributes"]
    assert attributes["finish_reasons"] == ["STOP", "MAX_TOKENS"]
    assert attributes["gen_ai.request.choice.count"] == 2


@in_all_modes
def test_counts_by_modality_are_recorded(telemetry: Telemetry, mode: str):
    if "prompt_tokens_details" not in _fields("GenerateContentResponseUsageMetadata"):
        pytest.skip("this version counts no modalities")
    usage = {
        "promptTokenCount": 300,
        "candidatesTokenCount": 10,
        "promptTokensDetails": [
            {"modality": "TEXT", "tokenCount": 10},
            {"modality": "IMAGE", "tokenCount": 258},
            {"modality": "AUDIO", "tokenCount": 32},
        ],
        "candidatesTokensDetails": [{"modality": "AUDIO", "tokenCount": 10}],
    }
    attributes = recorded(
        telemetry, mode, [chunk({"text": "I"}, finish="STOP", usageMetadata=usage)]
    )
    assert attributes["peekr.usage.image.input_tokens"] == 258
    assert attributes["peekr.usage.audio.input_tokens"] == 32
    assert attributes["peekr.usage.audio.output_tokens"] == 10


def test_arguments_that_are_streamed_are_put_together():
    def piece(more: bool, *pieces: Json, **call: Any) -> Json:
        entry: Json = {**call, "partialArgs": list(pieces)}
        if more:
            entry["willContinue"] = True
        return chunk({"functionCall": entry})

    answer = [
        piece(True, name="book", id="c-1"),
        piece(True, {"jsonPath": "$.city", "stringValue": "Pa", "willContinue": True}),
        piece(True, {"jsonPath": "$.city", "stringValue": "ris"}),
        piece(True, {"jsonPath": "$.guests[0].age", "numberValue": 7}),
        piece(False, {"jsonPath": "$.pets", "boolValue": False}),
        chunk({"text": "done"}, finish="STOP"),
    ]
    accumulator = GenerateExtractor(stream=True).accumulator()
    for entry in answer:
        accumulator.add(entry)
    (message,) = accumulator.response().output or []
    assert message["parts"][0] == {
        "type": "tool_call",
        "name": "book",
        "id": "c-1",
        "arguments": {"city": "Paris", "guests": [{"age": 7}], "pets": False},
    }


def test_http_response_that_the_caller_asked_for_is_read(telemetry: Telemetry):
    if "should_return_http_response" not in _fields("GenerateContentConfig"):
        pytest.skip("this version gives no HTTP response")
    with playing("sync", text_answer("Hello.")) as player, client_of(player.url) as client:
        (answer,) = run(client, "sync", config={"should_return_http_response": True})
        assert json.loads(answer.sdk_http_response.body)["candidates"]
    assert telemetry.record["attributes"]["output"] == "Hello."
    assert telemetry.record["attributes"]["tokens_total"] == 8


@in_all_modes
def test_answer_of_an_empty_text_is_an_empty_text(telemetry: Telemetry, mode: str):
    got = recorded(telemetry, mode, [chunk({"text": ""}, finish="MAX_TOKENS", **COUNTED)])
    assert got["output"] == ""
