"""What the bodies of each family of models say, plain and streamed."""

from __future__ import annotations

import base64
import hashlib
import json
from types import MappingProxyType
from typing import Any, Dict, List, Mapping, NamedTuple, Optional

import pytest

from ...conftest import Telemetry
from .serving import MODES, answer, call, invoke, invoke_stream, play

pytest.importorskip("boto3")

ASKED = "Say this is a test"
SAID = "This is a test."
FUNCTION: Dict[str, Any] = {
    "name": "get_weather",
    "description": "Weather.",
    "parameters": {"type": "object"},
}
CALL = {"id": "call_1", "name": "get_weather", "arguments": {"location": "Seattle"}}
IMPORTED = "arn:aws:bedrock:us-east-1:123456789012:imported-model/abc123def456"


class Family(NamedTuple):
    """A request in a family's form, its answer whole and in chunks, and what they say."""

    model: str
    request: Dict[str, Any]
    answer: Dict[str, Any]
    chunks: Optional[List[Dict[str, Any]]]
    says: Dict[str, Any]
    headers: Mapping[str, str] = MappingProxyType({})


METRICS = {"amazon-bedrock-invocationMetrics": {"inputTokenCount": 7, "outputTokenCount": 5}}
HEADERS = {
    "X-Amzn-Bedrock-Input-Token-Count": "7",
    "X-Amzn-Bedrock-Output-Token-Count": "5",
}
TEXT = {"output": SAID, "tokens_input": 7, "tokens_output": 5, "tokens_total": 12}
COMPLETION = {**TEXT, "gen_ai.operation.name": "text_completion", "input": ASKED}
CHAT = {**TEXT, "gen_ai.operation.name": "chat", "input": [{"role": "user", "content": ASKED}]}
CHAT_ASKED = {"messages": [{"role": "user", "content": ASKED}], "max_tokens": 64}
CHAT_USAGE = {"prompt_tokens": 7, "completion_tokens": 5, "total_tokens": 12}

FAMILIES = {
    "titan": Family(
        "amazon.titan-text-express-v1",
        {"inputText": ASKED, "textGenerationConfig": {"maxTokenCount": 64, "topP": 1}},
        {
            "inputTextTokenCount": 7,
            "results": [{"tokenCount": 5, "outputText": SAID, "completionReason": "FINISH"}],
        },
        [
            {"outputText": "This is", "index": 0, "inputTextTokenCount": 7},
            {
                "outputText": " a test.",
                "index": 0,
                "totalOutputTextTokenCount": 5,
                "completionReason": "FINISH",
                **METRICS,
            },
        ],
        {**COMPLETION, "finish_reasons": ["FINISH"], "gen_ai.request.max_tokens": 64},
    ),
    "llama": Family(
        "us.meta.llama3-1-70b-instruct-v1:0",
        {"prompt": ASKED, "max_gen_len": 64, "temperature": 1, "top_p": 0.9},
        {
            "generation": SAID,
            "prompt_token_count": 7,
            "generation_token_count": 5,
            "stop_reason": "stop",
        },
        [
            {"generation": "This is", "prompt_token_count": 7, "generation_token_count": 2},
            {"generation": " a test.", "generation_token_count": 4, "stop_reason": None},
            {"generation": "", "generation_token_count": 5, "stop_reason": "stop", **METRICS},
        ],
        {**COMPLETION, "finish_reasons": ["stop"], "gen_ai.request.temperature": 1.0},
    ),
    "mistral": Family(
        "mistral.mistral-7b-instruct-v0:2",
        {"prompt": ASKED, "max_tokens": 64, "top_k": 50, "stop": ["|"]},
        {"outputs": [{"text": SAID, "stop_reason": "stop"}]},
        [
            {"outputs": [{"text": "This is", "stop_reason": None}]},
            {"outputs": [{"text": " a test.", "stop_reason": "stop"}], **METRICS},
        ],
        {
            **COMPLETION,
            "finish_reasons": ["stop"],
            "gen_ai.request.top_k": 50,
            "gen_ai.request.stop_sequences": ["|"],
        },
        HEADERS,
    ),
    "mistral chat": Family(
        "mistral.mistral-large-2407-v1:0",
        CHAT_ASKED,
        {
            "choices": [
                {
                    "index": 0,
                    "message": {"role": "assistant", "content": SAID},
                    "stop_reason": "stop",
                }
            ]
        },
        [
            {"choices": [{"index": 0, "message": {"content": "This is"}, "stop_reason": None}]},
            {
                "choices": [
                    {"index": 0, "message": {"content": " a test."}, "stop_reason": "stop"}
                ],
                **METRICS,
            },
        ],
        {**CHAT, "finish_reasons": ["stop"]},
        HEADERS,
    ),
    "cohere command": Family(
        "cohere.command-text-v14",
        {"prompt": ASKED, "p": 1, "k": 10, "max_tokens": 64, "return_likelihoods": "NONE"},
        {
            "id": "gen-1",
            "generations": [{"id": "g", "text": SAID, "finish_reason": "COMPLETE"}],
            "prompt": ASKED,
        },
        [
            {"index": 0, "is_finished": False, "text": "This is"},
            {"index": 0, "is_finished": False, "text": " a test."},
            {"index": 0, "is_finished": True, "finish_reason": "COMPLETE", **METRICS},
        ],
        {
            **COMPLETION,
            "finish_reasons": ["COMPLETE"],
            "gen_ai.request.top_p": 1.0,
            "gen_ai.request.top_k": 10,
            "peekr.request.parameters": {"return_likelihoods": "NONE"},
        },
        HEADERS,
    ),
    "cohere command r": Family(
        "cohere.command-r-plus-v1:0",
        {"message": ASKED, "preamble": "Be brief.", "max_tokens": 64},
        {
            "response_id": "r-1",
            "generation_id": "g-1",
            "text": SAID,
            "chat_history": [],
            "finish_reason": "COMPLETE",
        },
        [
            {"event_type": "stream-start", "generation_id": "g-1", "is_finished": False},
            {"event_type": "text-generation", "text": "This is", "is_finished": False},
            {"event_type": "text-generation", "text": " a test.", "is_finished": False},
            {
                "event_type": "stream-end",
                "finish_reason": "COMPLETE",
                "response": {"response_id": "r-1", "text": SAID, "finish_reason": "COMPLETE"},
                **METRICS,
            },
        ],
        {
            **CHAT,
            "input": [
                {"role": "system", "content": "Be brief."},
                {"role": "user", "content": ASKED},
            ],
            "finish_reasons": ["COMPLETE"],
            "gen_ai.response.id": "r-1",
        },
        HEADERS,
    ),
    "ai21 jurassic": Family(
        "ai21.j2-ultra-v1",
        {
            "prompt": ASKED,
            "maxTokens": 64,
            "topP": 1,
            "stopSequences": ["|"],
            "countPenalty": {"scale": 0},
        },
        {
            "id": 1234,
            "prompt": {"text": ASKED, "tokens": [{"generatedToken": {"token": "Say"}}]},
            "completions": [
                {"data": {"text": SAID, "tokens": []}, "finishReason": {"reason": "endoftext"}}
            ],
        },
        None,
        {
            **COMPLETION,
            "finish_reasons": ["endoftext"],
            "gen_ai.response.id": "1234",
            "peekr.request.parameters": {"countPenalty": {"scale": 0}},
        },
        HEADERS,
    ),
    "ai21 jamba": Family(
        "ai21.jamba-1-5-mini-v1:0",
        {**CHAT_ASKED, "n": 1},
        {
            "id": "chat-1",
            "model": "jamba-1.5-mini",
            "choices": [
                {
                    "index": 0,
                    "message": {"role": "assistant", "content": SAID, "tool_calls": None},
                    "finish_reason": "stop",
                }
            ],
            "usage": CHAT_USAGE,
        },
        [
            {
                "id": "chat-1",
                "model": "jamba-1.5-mini",
                "choices": [{"index": 0, "delta": {"role": "assistant"}, "finish_reason": None}],
            },
            {"id": "chat-1", "choices": [{"index": 0, "delta": {"content": "This is"}}]},
            {"id": "chat-1", "choices": [{"index": 0, "delta": {"content": " a test."}}]},
            {
                "id": "chat-1",
                "choices": [{"index": 0, "delta": {"content": ""}, "finish_reason": "stop"}],
                "usage": CHAT_USAGE,
                **METRICS,
            },
        ],
        {
            **CHAT,
            "finish_reasons": ["stop"],
            "gen_ai.response.id": "chat-1",
            "gen_ai.response.model": "jamba-1.5-mini",
        },
    ),
    "deepseek": Family(
        "us.deepseek.r1-v1:0",
        {"prompt": ASKED, "max_tokens": 64},
        {"choices": [{"text": SAID, "stop_reason": "stop"}]},
        [
            {"choices": [{"text": "This is", "stop_reason": None}]},
            {"choices": [{"text": " a test.", "stop_reason": "stop"}], **METRICS},
        ],
        {**COMPLETION, "finish_reasons": ["stop"]},
        HEADERS,
    ),
    "anthropic legacy": Family(
        "anthropic.claude-instant-v1",
        {"prompt": ASKED, "max_tokens_to_sample": 64, "stop_sequences": ["\n\nHuman:"]},
        {
            "type": "completion",
            "id": "compl_1",
            "model": "claude-instant-1.2",
            "completion": SAID,
            "stop_reason": "stop_sequence",
            "stop": "\n\nHuman:",
        },
        [
            {"type": "completion", "completion": "This is", "stop_reason": None},
            {
                "type": "completion",
                "id": "compl_1",
                "model": "claude-instant-1.2",
                "completion": " a test.",
                "stop_reason": "stop_sequence",
                **METRICS,
            },
        ],
        {
            **COMPLETION,
            "finish_reasons": ["stop_sequence"],
            "gen_ai.response.id": "compl_1",
            "gen_ai.response.model": "claude-instant-1.2",
            "gen_ai.request.max_tokens": 64,
        },
        HEADERS,
    ),
    "imported llama": Family(
        IMPORTED,
        {"prompt": ASKED, "max_gen_len": 64},
        {
            "generation": SAID,
            "prompt_token_count": 7,
            "generation_token_count": 5,
            "stop_reason": "stop",
        },
        [
            {"generation": "This is", "prompt_token_count": 7, "generation_token_count": 2},
            {"generation": " a test.", "generation_token_count": 5, "stop_reason": "stop"},
        ],
        {
            **COMPLETION,
            "model": "abc123def456",
            "finish_reasons": ["stop"],
            "peekr.request.parameters": {"modelId": IMPORTED},
        },
    ),
    "imported chat": Family(
        IMPORTED,
        CHAT_ASKED,
        {
            "id": "chatcmpl-1",
            "object": "chat.completion",
            "choices": [{"index": 0, "message": {"role": "assistant", "content": SAID}}],
            "usage": CHAT_USAGE,
        },
        None,
        {**CHAT, "model": "abc123def456", "gen_ai.response.id": "chatcmpl-1"},
    ),
}


def check(record: Dict[str, Any], family: Family) -> None:
    got: Dict[str, Any] = record["attributes"]
    assert record["status"] == "ok"
    assert got["provider"] == "aws.bedrock"
    assert got["peekr.request.id"]
    assert {name: got.get(name) for name in family.says} == family.says
    if "model" not in family.says:
        assert got["model"] == family.model


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("name", FAMILIES)
def test_answer_of_each_family_is_told(name: str, mode: str, telemetry: Telemetry):
    family = FAMILIES[name]
    read = invoke(mode, family.model, family.request, family.answer, **family.headers)
    assert json.loads(read) == family.answer
    assert telemetry.record["name"] == "bedrock.invoke_model"
    check(telemetry.record, family)


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("name", [name for name, family in FAMILIES.items() if family.chunks])
def test_stream_of_each_family_is_told(name: str, mode: str, telemetry: Telemetry):
    family = FAMILIES[name]
    taken = invoke_stream(mode, family.model, family.request, family.chunks or [])
    assert [json.loads(event["chunk"]["bytes"]) for event in taken] == family.chunks
    record = telemetry.record
    assert record["name"] == "bedrock.invoke_model_stream"
    check(record, family)
    assert record["attributes"]["gen_ai.request.stream"] is True
    assert "peekr.stream.abandoned" not in record["attributes"]


# -- embeddings -----------------------------------------------------------------------------------

PICTURE = b"\x89PNG picture"
ENCODED = base64.b64encode(PICTURE).decode()
EMBEDDINGS: Dict[str, Any] = {
    "titan v1": (
        "amazon.titan-embed-text-v1",
        {"inputText": ASKED},
        {"embedding": [0.125] * 1536, "inputTextTokenCount": 7},
        (1, 1536),
    ),
    "titan v2": (
        "amazon.titan-embed-text-v2:0",
        {"inputText": ASKED, "dimensions": 256, "normalize": True, "embeddingTypes": ["binary"]},
        {"embeddingsByType": {"binary": [1] * 256}, "inputTextTokenCount": 7},
        (1, 256),
    ),
    "titan multimodal": (
        "amazon.titan-embed-image-v1",
        {
            "inputText": ASKED,
            "inputImage": ENCODED,
            "embeddingConfig": {"outputEmbeddingLength": 384},
        },
        {"embedding": [0.125] * 384, "inputTextTokenCount": 7, "message": None},
        (1, 384),
    ),
    "cohere": (
        "cohere.embed-english-v3",
        {"texts": ["one", ASKED], "input_type": "search_document", "truncate": "END"},
        {"id": "e-1", "texts": ["one", ASKED], "embeddings": [[0.125] * 1024] * 2},
        (2, 1024),
    ),
    "cohere by type": (
        "cohere.embed-v4:0",
        {"texts": [ASKED], "input_type": "search_query", "embedding_types": ["ubinary"]},
        {"id": "e-1", "embeddings": {"ubinary": [[125] * 128]}, "response_type": "by_type"},
        (1, 1024),
    ),
    "nova": (
        "amazon.nova-2-multimodal-embeddings-v1:0",
        {
            "taskType": "SINGLE_EMBEDDING",
            "singleEmbeddingParams": {
                "embeddingDimension": 1024,
                "text": {"truncationMode": "END", "value": ASKED},
            },
        },
        {"embeddings": [{"embeddingType": "TEXT", "embedding": [0.125] * 1024}]},
        (1, 1024),
    ),
}


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("name", EMBEDDINGS)
def test_embeddings_are_counted_and_never_kept(name: str, mode: str, telemetry: Telemetry):
    model, request, said, (count, dimensions) = EMBEDDINGS[name]
    headers = {"X-Amzn-Bedrock-Input-Token-Count": "7"}
    assert json.loads(invoke(mode, model, request, said, **headers)) == said
    got = telemetry.record["attributes"]
    assert got["gen_ai.operation.name"] == "embeddings"
    assert got["peekr.embeddings.count"] == count
    assert got["gen_ai.embeddings.dimension.count"] == dimensions
    assert (got["tokens_input"], got["tokens_total"]) == (7, 7)
    assert "tokens_output" not in got
    assert ASKED in json.dumps(got["input"])
    recorded = json.dumps(got)
    assert "0.125" not in recorded
    assert "125, 125" not in recorded  # by itself it may be a part of the server's port
    assert ENCODED not in recorded


def test_image_of_an_embedding_is_told_by_its_digest(telemetry: Telemetry):
    model, request, said, _ = EMBEDDINGS["titan multimodal"]
    invoke("sync", model, request, said)
    (message,) = telemetry.record["attributes"]["input"]
    assert message["content"][1] == {
        "type": "blob",
        "modality": "image",
        "content": "",
        "size": len(PICTURE),
        "sha256": hashlib.sha256(PICTURE).hexdigest(),
    }


# -- what only some families say ------------------------------------------------------------------


@pytest.mark.parametrize("mode", MODES)
def test_anthropic_thinking_tools_and_cache_are_told(mode: str, telemetry: Telemetry):
    request: Dict[str, Any] = {
        "anthropic_version": "bedrock-2023-05-31",
        "max_tokens": 2048,
        "thinking": {"type": "enabled", "budget_tokens": 1024},
        "system": [{"type": "text", "text": "Be brief.", "cache_control": {"type": "ephemeral"}}],
        "messages": [
            {
                "role": "user",
                "content": [
                    {
                        "type": "image",
                        "source": {"type": "base64", "media_type": "image/png", "data": ENCODED},
                    },
                    {"type": "text", "text": ASKED},
                ],
            },
            {
                "role": "assistant",
                "content": [{"type": "tool_use", "id": "t0", "name": "get_weather", "input": {}}],
            },
            {
                "role": "user",
                "content": [{"type": "tool_result", "tool_use_id": "t0", "content": "rain"}],
            },
        ],
        "tools": [{"name": "get_weather", "description": "Weather.", "input_schema": {"a": 1}}],
    }
    said = {
        "id": "msg_1",
        "type": "message",
        "role": "assistant",
        "model": "claude-sonnet-4",
        "content": [
            {"type": "thinking", "thinking": "Let me see.", "signature": "c2ln"},
            {"type": "text", "text": SAID},
            {"type": "tool_use", "id": "t1", "name": "get_weather", "input": {"a": "b"}},
        ],
        "stop_reason": "tool_use",
        "usage": {
            "input_tokens": 10,
            "cache_read_input_tokens": 100,
            "cache_creation_input_tokens": 20,
            "output_tokens": 5,
        },
    }
    streamed: List[Dict[str, Any]] = [
        {"type": "message_start", "message": {**said, "content": [], "stop_reason": None}},
        {"type": "content_block_start", "index": 0, "content_block": {"type": "thinking"}},
        {
            "type": "content_block_delta",
            "index": 0,
            "delta": {"type": "thinking_delta", "thinking": "Let me see."},
        },
        {
            "type": "content_block_delta",
            "index": 0,
            "delta": {"type": "signature_delta", "signature": "c2ln"},
        },
        {"type": "content_block_start", "index": 1, "content_block": {"type": "text", "text": ""}},
        {
            "type": "content_block_delta",
            "index": 1,
            "delta": {"type": "text_delta", "text": SAID},
        },
        {
            "type": "content_block_start",
            "index": 2,
            "content_block": {"type": "tool_use", "id": "t1", "name": "get_weather", "input": {}},
        },
        *(
            {
                "type": "content_block_delta",
                "index": 2,
                "delta": {"type": "input_json_delta", "partial_json": piece},
            }
            for piece in ("", '{"a"', ': "b"}')
        ),
        {
            "type": "message_delta",
            "delta": {"stop_reason": "tool_use"},
            "usage": {"output_tokens": 5},
        },
        {"type": "message_stop", **METRICS},
    ]
    model = "eu.anthropic.claude-sonnet-4-20250514-v1:0"
    invoke(mode, model, request, said)
    invoke_stream(mode, model, request, streamed)
    for record in telemetry.records:
        got = record["attributes"]
        assert got["model"] == model
        assert got["gen_ai.response.model"] == "claude-sonnet-4"
        assert got["tokens_input"] == 130
        assert (got["tokens_cache_read"], got["tokens_cache_write"]) == (100, 20)
        assert got["finish_reasons"] == ["tool_use"]
        (told,) = got["output"]
        assert told["content"] == [
            {"type": "reasoning", "content": "Let me see."},
            {"type": "text", "content": SAID},
        ]
        assert told["tool_calls"] == [{"id": "t1", "name": "get_weather", "arguments": {"a": "b"}}]
        system, user, assistant, result = got["input"]
        assert system == {"role": "system", "content": "Be brief."}
        assert user["content"][0]["sha256"] == hashlib.sha256(PICTURE).hexdigest()
        assert user["content"][0]["mime_type"] == "image/png"
        assert assistant["tool_calls"] == [{"id": "t0", "name": "get_weather", "arguments": {}}]
        assert result == {"role": "tool", "tool_call_id": "t0", "content": "rain"}
        assert got["gen_ai.tool.definitions"] == [
            {
                "type": "function",
                "name": "get_weather",
                "description": "Weather.",
                "parameters": {"a": 1},
            }
        ]
        assert got["peekr.request.parameters"]["thinking"]["budget_tokens"] == 1024


@pytest.mark.parametrize("mode", MODES)
def test_tool_calls_and_reasoning_of_chat_completions_are_told(mode: str, telemetry: Telemetry):
    function = {"name": "get_weather", "arguments": '{"location": "Seattle"}'}
    said = {
        "choices": [
            {
                "index": 0,
                "message": {
                    "role": "assistant",
                    "reasoning_content": "Hm.",
                    "content": "",
                    "tool_calls": [{"id": "call_1", "type": "function", "function": function}],
                },
                "finish_reason": "tool_calls",
            }
        ],
        "usage": {**CHAT_USAGE, "completion_tokens_details": {"reasoning_tokens": 2}},
    }
    pieces = [
        {"reasoning_content": "Hm."},
        {"tool_calls": [{"index": 0, "id": "call_1", "function": {**function, "arguments": ""}}]},
        {"tool_calls": [{"index": 0, "function": {"arguments": '{"location": '}}]},
        {"tool_calls": [{"index": 0, "function": {"arguments": '"Seattle"}'}}]},
    ]
    streamed: List[Dict[str, Any]] = [
        *({"choices": [{"index": 0, "delta": piece}]} for piece in pieces),
        {"choices": [{"index": 0, "delta": {}, "finish_reason": "tool_calls"}]},
        {"choices": [], "usage": said["usage"]},
    ]
    request: Dict[str, Any] = {
        **CHAT_ASKED,
        "tools": [{"type": "function", "function": FUNCTION}],
        "tool_choice": "auto",
    }
    invoke(mode, "openai.gpt-oss-20b-1:0", request, said)
    invoke_stream(mode, "openai.gpt-oss-20b-1:0", request, streamed)
    for record in telemetry.records:
        got = record["attributes"]
        assert got["tool_calls"] == [CALL]
        assert got["output"][0]["content"] == [{"type": "reasoning", "content": "Hm."}]
        assert got["tokens_reasoning"] == 2
        assert got["tokens_total"] == 12
        assert got["gen_ai.tool.definitions"] == [{"type": "function", **FUNCTION}]


@pytest.mark.parametrize("mode", MODES)
def test_cohere_tools_and_history_are_told(mode: str, telemetry: Telemetry):
    calls = [{"name": "get_weather", "parameters": {"location": "Seattle"}}]
    request = {
        "message": ASKED,
        "chat_history": [
            {"role": "USER", "message": "Hello"},
            {"role": "CHATBOT", "message": "Hi"},
        ],
        "tools": [{"name": "get_weather", "description": "Weather."}],
        "tool_results": [{"call": calls[0], "outputs": [{"weather": "rain"}]}],
    }
    said = {
        "response_id": "r-1",
        "generation_id": "g-1",
        "text": "I will look.",
        "tool_calls": calls,
        "finish_reason": "COMPLETE",
    }
    streamed = [
        {"event_type": "stream-start", "generation_id": "g-1"},
        {"event_type": "text-generation", "text": "I will look."},
        {"event_type": "tool-calls-generation", "tool_calls": calls},
        {"event_type": "stream-end", "finish_reason": "COMPLETE", **METRICS},
    ]
    invoke(mode, "cohere.command-r-v1:0", request, said, **HEADERS)
    invoke_stream(mode, "cohere.command-r-v1:0", request, streamed)
    for record in telemetry.records:
        got = record["attributes"]
        assert got["tool_calls"] == [{**CALL, "id": None}]
        assert got["output"][0]["content"] == "I will look."
        assert [entry["role"] for entry in got["input"]] == ["user", "assistant", "user", "tool"]
        assert got["tokens_total"] == 12


def test_cache_counts_of_the_headers_belong_to_the_input(telemetry: Telemetry):
    said = {"outputs": [{"text": SAID, "stop_reason": "stop"}]}
    counts = {
        "X-Amzn-Bedrock-Cache-Read-Input-Token-Count": "100",
        "X-Amzn-Bedrock-Cache-Write-Input-Token-Count": "20",
    }
    invoke("sync", "mistral.m", {"prompt": ASKED}, said, **HEADERS, **counts)
    got = telemetry.record["attributes"]
    assert (got["tokens_input"], got["tokens_cache_read"], got["tokens_cache_write"]) == (
        127,
        100,
        20,
    )


def test_generated_images_are_told_by_their_digests(telemetry: Telemetry):
    request = {
        "taskType": "TEXT_IMAGE",
        "textToImageParams": {"text": ASKED},
        "imageGenerationConfig": {"numberOfImages": 1},
    }
    invoke("sync", "amazon.titan-image-generator-v2:0", request, {"images": [ENCODED]})
    (message,) = telemetry.record["attributes"]["output"]
    assert message["content"][0]["sha256"] == hashlib.sha256(PICTURE).hexdigest()
    assert ENCODED not in json.dumps(telemetry.record)


@pytest.mark.parametrize("body", [b"", b"not JSON", b"[1]", b"{}"])
def test_bodies_of_no_known_form_pass(body: bytes, telemetry: Telemetry):
    with play(answer("invoke", {"some": "thing"}, model="custom")) as player:
        _, read = call("sync", player.url, "invoke_model", modelId="custom", body=body)
    assert json.loads(read) == {"some": "thing"}
    assert telemetry.record["status"] == "ok"
    assert telemetry.record["attributes"]["model"] == "custom"


@pytest.mark.parametrize("model", ["openai.gpt-oss-20b-1:0", "anthropic.claude-3-haiku"])
def test_empty_texts_are_texts(model: str, telemetry: Telemetry):
    request: Dict[str, Any] = {
        "anthropic_version": "bedrock-2023-05-31",
        "max_tokens": 64,
        "messages": [{"role": "user", "content": ""}],
    }
    choice = {
        "index": 0,
        "message": {"role": "assistant", "content": ""},
        "finish_reason": "length",
    }
    blocks = [{"type": "text", "text": ""}]
    claude = {"type": "message", "role": "assistant", "content": blocks, "stop_reason": "length"}
    said: Any = {"choices": [choice]} if model.startswith("openai") else claude
    invoke("sync", model, request, said)
    got = telemetry.record["attributes"]
    assert got["input"] == [{"role": "user", "content": ""}]
    assert got["output"] == ""
