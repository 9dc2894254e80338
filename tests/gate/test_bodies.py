"""Bedrock's bodies: withheld as a whole, in every family's form, and when they break off."""

from __future__ import annotations

import json
from typing import Any, Dict, List

import pytest

import peekr

from ..conftest import Telemetry
from ..instrumentation.bedrock.serving import answer, async_client, play, sync_client
from .guards import SECRET, Finds

BODIES: Dict[str, Any] = {
    "Claude": {
        "type": "message",
        "role": "assistant",
        "content": [{"type": "text", "text": SECRET}],
    },
    "Nova": {"output": {"message": {"role": "assistant", "content": [{"text": SECRET}]}}},
    "Titan": {"results": [{"outputText": SECRET, "completionReason": "FINISH"}]},
    "Llama": {"generation": SECRET, "stop_reason": "stop"},
    "Mistral": {"outputs": [{"text": SECRET, "stop_reason": "stop"}]},
    "Cohere": {"text": SECRET, "finish_reason": "COMPLETE"},
    "AI21": {"choices": [{"index": 0, "message": {"role": "assistant", "content": SECRET}}]},
    "a form that nobody knows": {"answer": {"is": [SECRET]}},
}
ARGUMENTS = {"modelId": "m", "body": '{"prompt": "Say this"}'}


async def invoke(mode: str, url: str, taken: List[bytes]) -> None:
    if mode == "sync":
        with sync_client(url) as client:
            body = client.invoke_model(**ARGUMENTS)["body"]
            taken.extend(iter(lambda: body.read(16), b""))
    else:
        async with async_client(url) as client:
            body = (await client.invoke_model(**ARGUMENTS))["body"]
            while True:
                piece = await body.read(16)
                if not piece:
                    break
                taken.append(piece)


@pytest.mark.parametrize("mode", ["sync", "async"])
@pytest.mark.parametrize("family", BODIES)
async def test_body_of_every_family_is_withheld(bare_telemetry: Telemetry, mode: str, family: str):
    bare_telemetry.instrument(guardrails=[Finds(fields=("output",))])
    taken: List[bytes] = []
    with play(answer("invoke", BODIES[family])) as player, pytest.raises(peekr.GuardrailError):
        await invoke(mode, player.url, taken)
    assert taken == []
    record = bare_telemetry.record
    assert record["attributes"]["guardrail_violations"] == [
        {"guard": "Finds", "field": "output", "rule": "secret"}
    ]
    assert SECRET not in json.dumps(record)


@pytest.mark.parametrize("mode", ["sync", "async"])
async def test_body_that_breaks_off_gives_its_error_alone(bare_telemetry: Telemetry, mode: str):
    bare_telemetry.instrument(guardrails=[Finds(fields=("output",))])
    taken: List[bytes] = []
    body = {"outputs": [{"text": SECRET + " so it goes" * 50}]}
    error: Any = None
    with play(answer("invoke", body), cut_after=0) as player:
        try:
            await invoke(mode, player.url, taken)
        except Exception as raised:
            error = raised
    assert error is not None
    assert taken == []
    assert bare_telemetry.record["status"] == "error"
    assert SECRET not in json.dumps(bare_telemetry.record)
