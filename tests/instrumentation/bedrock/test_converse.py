"""What Converse is asked and answers, beyond text."""

from __future__ import annotations

import hashlib
import json
from typing import Any, Dict

import pytest

from ...conftest import Telemetry
from .serving import MODES, REQUEST_ID, answer, call, events, play

boto3 = pytest.importorskip("boto3")

PICTURE = b"\x89PNG picture"
PAPER = b"%PDF paper"
MODEL = "us.anthropic.claude-sonnet-4-20250514-v1:0"
FILM = {"s3Location": {"uri": "s3://films/one.mp4"}}
MESSAGES = [
    {
        "role": "user",
        "content": [
            {"image": {"format": "png", "source": {"bytes": PICTURE}}},
            {"document": {"format": "pdf", "name": "paper", "source": {"bytes": PAPER}}},
            {"video": {"format": "three_gp", "source": FILM}},
            {"guardContent": {"text": {"text": "guarded", "qualifiers": ["query"]}}},
            {"text": "What is this?"},
            {"cachePoint": {"type": "default"}},
        ],
    },
    {
        "role": "assistant",
        "content": [
            {"reasoningContent": {"reasoningText": {"text": "Hm.", "signature": "c2ln"}}},
            {"toolUse": {"toolUseId": "t0", "name": "look", "input": {"at": 1}}},
        ],
    },
    {
        "role": "user",
        "content": [
            {
                "toolResult": {
                    "toolUseId": "t0",
                    "content": [{"json": {"seen": "cat"}}],
                    "status": "error",
                }
            }
        ],
    },
]
REQUEST: Dict[str, Any] = {
    "modelId": MODEL,
    "messages": MESSAGES,
    "system": [{"text": "Be brief."}],
    "inferenceConfig": {"maxTokens": 64, "temperature": 1, "stopSequences": ["|"]},
    "toolConfig": {
        "tools": [{"toolSpec": {"name": "look", "inputSchema": {"json": {"type": "object"}}}}],
        "toolChoice": {"auto": {}},
    },
    "guardrailConfig": {"guardrailIdentifier": "gr-1", "guardrailVersion": "1"},
    "additionalModelRequestFields": {"top_k": 50, "thinking": {"type": "enabled"}},
    "requestMetadata": {"team": "search"},
}
GUARDRAIL = {
    "modelOutput": ["my number is 555-0100"],
    "actionReason": "Guardrail blocked.",
    "inputAssessment": {
        "gr-1": {
            "sensitiveInformationPolicy": {
                "piiEntities": [{"match": "555-0100", "type": "PHONE", "action": "BLOCKED"}]
            }
        }
    },
}
USAGE = {
    "inputTokens": 10,
    "outputTokens": 5,
    "totalTokens": 135,
    "cacheReadInputTokens": 100,
    "cacheWriteInputTokens": 20,
}
ROUTER = {"invokedModelId": "arn:aws:bedrock:us-east-1::foundation-model/anthropic.claude-x-v1:0"}
TRACE = {"guardrail": GUARDRAIL, "promptRouter": ROUTER}
WHOLE = {
    "output": {
        "message": {
            "role": "assistant",
            "content": [
                {"reasoningContent": {"reasoningText": {"text": "Thinking."}}},
                {"text": "A cat."},
                {"toolUse": {"toolUseId": "t1", "name": "look", "input": {"at": 2}}},
            ],
        }
    },
    "stopReason": "tool_use",
    "usage": USAGE,
    "metrics": {"latencyMs": 608},
    "trace": TRACE,
}
STREAMED = events(
    {"messageStart": {"role": "assistant"}},
    {
        "contentBlockDelta": {
            "contentBlockIndex": 0,
            "delta": {"reasoningContent": {"text": "Think"}},
        }
    },
    {
        "contentBlockDelta": {
            "contentBlockIndex": 0,
            "delta": {"reasoningContent": {"text": "ing."}},
        }
    },
    {
        "contentBlockDelta": {
            "contentBlockIndex": 0,
            "delta": {"reasoningContent": {"signature": "c2ln"}},
        }
    },
    {"contentBlockStop": {"contentBlockIndex": 0}},
    {"contentBlockDelta": {"contentBlockIndex": 1, "delta": {"text": "A "}}},
    {"contentBlockDelta": {"contentBlockIndex": 1, "delta": {"text": "cat."}}},
    {
        "contentBlockStart": {
            "contentBlockIndex": 2,
            "start": {"toolUse": {"toolUseId": "t1", "name": "look"}},
        }
    },
    {"contentBlockDelta": {"contentBlockIndex": 2, "delta": {"toolUse": {"input": '{"at"'}}}},
    {"contentBlockDelta": {"contentBlockIndex": 2, "delta": {"toolUse": {"input": ": 2}"}}}},
    {"messageStop": {"stopReason": "tool_use"}},
    {"metadata": {"usage": USAGE, "metrics": {"latencyMs": 608}, "trace": TRACE}},
)


with_everything = pytest.mark.skipif(
    [int(part) for part in boto3.__version__.split(".")[:2]] < [1, 37],
    reason="boto3 from before video, reasoning and cache points",
)


def ask(method: str, mode: str, **arguments: Any) -> None:
    path, body = ("converse", WHOLE) if method == "converse" else ("converse-stream", STREAMED)
    model = arguments["modelId"]
    with play(answer(path, body, model=model)) as player:
        call(mode, player.url, method, **arguments)
        assert not player.unexpected


@with_everything
@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("method", ["converse", "converse_stream"])
def test_everything_asked_and_answered_is_told(method: str, mode: str, telemetry: Telemetry):
    ask(method, mode, **REQUEST)
    record = telemetry.record
    assert record["name"] == f"bedrock.{method}"
    got = record["attributes"]
    assert got["model"] == MODEL
    assert got["gen_ai.response.model"] == "anthropic.claude-x-v1:0"
    assert got["gen_ai.operation.name"] == "chat"
    assert got["gen_ai.request.max_tokens"] == 64
    assert got["gen_ai.request.temperature"] == 1.0
    assert got["gen_ai.request.top_k"] == 50
    assert got["gen_ai.request.stop_sequences"] == ["|"]
    assert got["aws.bedrock.guardrail.id"] == "gr-1"
    assert got["peekr.request.parameters"] == {
        "thinking": {"type": "enabled"},
        "toolChoice": {"auto": {}},
        "guardrailConfig": {"guardrailIdentifier": "gr-1", "guardrailVersion": "1"},
        "requestMetadata": {"team": "search"},
    }
    assert got["peekr.request.id"] == REQUEST_ID
    assert got["peekr.response.latency_ms"] == 608
    assert (got["tokens_input"], got["tokens_output"], got["tokens_total"]) == (130, 5, 135)
    assert (got["tokens_cache_read"], got["tokens_cache_write"]) == (100, 20)
    assert got["finish_reasons"] == ["tool_use"]
    (told,) = got["output"]
    assert told["content"] == [
        {"type": "reasoning", "content": "Thinking."},
        {"type": "text", "content": "A cat."},
    ]
    assert told["tool_calls"] == [{"id": "t1", "name": "look", "arguments": {"at": 2}}]
    assert got["gen_ai.tool.definitions"] == [
        {"type": "function", "name": "look", "parameters": {"type": "object"}}
    ]
    system, user, assistant, result = got["input"]
    assert system == {"role": "system", "content": "Be brief."}
    image, document, video, guarded, text, cached = user["content"]
    assert (image["mime_type"], image["size"]) == ("image/png", len(PICTURE))
    assert image["sha256"] == hashlib.sha256(PICTURE).hexdigest()
    assert (document["mime_type"], document["filename"]) == ("application/pdf", "paper")
    assert document["sha256"] == hashlib.sha256(PAPER).hexdigest()
    assert (video["uri"], video["mime_type"]) == ("s3://films/one.mp4", "video/3gpp")
    assert guarded == {"type": "text", "content": "guarded", "qualifiers": ["query"]}
    assert text == {"type": "text", "content": "What is this?"}
    assert cached == {"type": "cache_point"}
    assert assistant["tool_calls"] == [{"id": "t0", "name": "look", "arguments": {"at": 1}}]
    assert result["role"] == "tool"
    assert result["content"][0]["response"] == {"seen": "cat"}
    assert result["content"][0]["status"] == "error"


@with_everything
@pytest.mark.parametrize("method", ["converse", "converse_stream"])
def test_guardrail_trace_says_what_was_found_without_quoting_it(method: str, telemetry: Telemetry):
    ask(method, "sync", **REQUEST)
    found = json.loads(telemetry.record["attributes"]["peekr.response.guardrail"])
    assert found == {
        "actionReason": "Guardrail blocked.",
        "inputAssessment": {
            "gr-1": {
                "sensitiveInformationPolicy": {
                    "piiEntities": [{"type": "PHONE", "action": "BLOCKED"}]
                }
            }
        },
    }
    assert "555-0100" not in json.dumps(telemetry.record)


@with_everything
@pytest.mark.parametrize("method", ["converse", "converse_stream"])
def test_without_content_nothing_said_is_recorded(method: str, bare_telemetry: Telemetry):
    bare_telemetry.instrument(capture_content=False)
    ask(method, "sync", **REQUEST)
    everything = json.dumps(bare_telemetry.record)
    for said in ("What is this", "Be brief", "cat", "Thinking", "paper", "guarded", "look"):
        assert said not in everything
    assert bare_telemetry.record["attributes"]["tokens_total"] == 135


ARN = "arn:aws:bedrock:us-east-1:123456789012:"


@pytest.mark.parametrize(
    ("identifier", "model"),
    [
        ("amazon.nova-micro-v1:0", "amazon.nova-micro-v1:0"),
        (MODEL, MODEL),
        (
            "arn:aws:bedrock:us-east-1::foundation-model/amazon.nova-pro-v1:0",
            "amazon.nova-pro-v1:0",
        ),
        (f"{ARN}inference-profile/{MODEL}", MODEL),
        (f"{ARN}application-inference-profile/a1b2c3", "a1b2c3"),
        (f"{ARN}provisioned-model/a1b2c3", "a1b2c3"),
        (f"{ARN}default-prompt-router/anthropic.claude:1", "anthropic.claude:1"),
        ("arn:aws-us-gov:bedrock:us-gov-west-1::foundation-model/x.y-v1:0", "x.y-v1:0"),
    ],
)
def test_model_is_the_id_in_an_arn(identifier: str, model: str, telemetry: Telemetry):
    messages = [{"role": "user", "content": [{"text": "hi"}]}]
    ask("converse", "sync", modelId=identifier, messages=messages)
    span, got = telemetry.span, telemetry.record["attributes"]
    assert span.name == f"chat {model}"
    assert got["model"] == model
    named = got.get("peekr.request.parameters", {}).get("modelId", model)
    assert named == identifier
