"""Embeddings and legacy text completions: inputs of every form, never a vector."""

from __future__ import annotations

import array
import base64
from typing import Any, Dict

import pytest

from ...conftest import Telemetry, attributes_of
from ...support.player import Player
from .calls import Calls, answer

MODEL = "text-embedding-3-small"
INPUTS: Dict[str, Any] = {
    "text": ("hi there", "hi there"),
    "texts": (
        ["one", "two"],
        [{"role": "user", "content": "one"}, {"role": "user", "content": "two"}],
    ),
    "tuple": (
        ("one", "two"),
        [{"role": "user", "content": "one"}, {"role": "user", "content": "two"}],
    ),
    "tokens": (
        [1, 2, 3],
        [{"role": "user", "content": [{"type": "tokens", "count": 3}]}],
    ),
    "token lists": (
        [[1, 2], [3]],
        [
            {"role": "user", "content": [{"type": "tokens", "count": 2}]},
            {"role": "user", "content": [{"type": "tokens", "count": 1}]},
        ],
    ),
}


@pytest.mark.parametrize("form", INPUTS)
@pytest.mark.parametrize("encoding", [None, "float", "base64"])
async def test_embedding_is_recorded_without_its_vectors(
    form: str, encoding: str, call: Calls, telemetry: Telemetry
):
    given, recorded = INPUTS[form]
    options: Dict[str, Any] = {"encoding_format": encoding} if encoding else {}
    result = await call("embeddings.create", model=MODEL, input=given, **options)
    got = telemetry.record["attributes"]
    assert telemetry.record["name"] == "openai.embeddings"
    assert got["input"] == recorded
    assert got["peekr.embeddings.count"] == len(result.data)
    vector: Any = result.data[0].embedding
    if encoding != "base64":
        assert got["gen_ai.embeddings.dimension.count"] == len(vector)
        assert max(map(str, vector), key=len) not in telemetry.path.read_text("utf-8")
    else:
        assert vector not in telemetry.path.read_text("utf-8")
    assert got["tokens_input"] == got["tokens_total"] == result.usage.prompt_tokens
    assert "tokens_output" not in got
    assert "output" not in got
    assert got.get("gen_ai.request.encoding_formats") == ([encoding] if encoding else None)
    assert attributes_of(telemetry.span)["gen_ai.operation.name"] == "embeddings"
    assert telemetry.span.name == f"embeddings {MODEL}"


async def test_dimensions_of_an_answer_in_base64_are_counted(mode: str, telemetry: Telemetry):
    vector = base64.b64encode(array.array("f", [0.5] * 96).tobytes()).decode()
    body = {
        "object": "list",
        "model": MODEL,
        "data": [{"object": "embedding", "index": 0, "embedding": vector}],
        "usage": {"prompt_tokens": 2, "total_tokens": 2},
    }
    with Player(answer(body, "/v1/embeddings")) as player:
        async with Calls(mode, player.url + "/v1") as call:
            raw = call.client.embeddings.with_raw_response
            response = raw.create(model=MODEL, input="x", encoding_format="base64", dimensions=96)
            response = await response if call.is_async else response
            assert vector in response.text
    got = telemetry.record["attributes"]
    assert got["gen_ai.embeddings.dimension.count"] == 96
    assert got["peekr.embeddings.count"] == 1
    assert vector[:40] not in telemetry.path.read_text("utf-8")


async def test_embedding_that_fails_is_an_error(call: Calls, telemetry: Telemetry):
    with pytest.raises(Exception, match="does not exist"):
        await call("embeddings.create", model="unknown", input="hi")
    assert telemetry.record["status"] == "error"
    assert telemetry.record["attributes"]["input"] == "hi"
    assert telemetry.record["attributes"]["http.response.status_code"] == 404


async def test_text_completion_is_recorded(call: Calls, telemetry: Telemetry):
    await call("completions.create", model="gpt-4o", prompt="hi there", max_tokens=50, suffix="S")
    got = telemetry.record["attributes"]
    assert telemetry.record["name"] == "openai.completions"
    assert got["input"] == "hi there"
    assert got["output"].endswith("hi there")
    assert got["gen_ai.request.max_tokens"] == 50
    assert got["peekr.request.parameters"] == {"suffix": "S"}
    assert telemetry.span.name == "text_completion gpt-4o"


async def test_prompts_of_several_forms_are_recorded(mode: str, telemetry: Telemetry):
    body = {
        "id": "cmpl-1",
        "object": "text_completion",
        "created": 1,
        "model": "gpt-3.5-turbo-instruct",
        "choices": [
            {"index": 0, "finish_reason": "stop", "text": "one", "logprobs": None},
            {"index": 1, "finish_reason": "length", "text": "two", "logprobs": None},
        ],
    }
    with Player(answer(body, "/v1/completions")) as player:
        async with Calls(mode, player.url + "/v1") as call:
            await call("completions.create", model="gpt-3.5-turbo-instruct", prompt=["a", "b"])
    got = telemetry.record["attributes"]
    assert got["input"] == [{"role": "user", "content": "a"}, {"role": "user", "content": "b"}]
    assert [message["content"] for message in got["output"]] == ["one", "two"]
    assert got["finish_reasons"] == ["stop", "length"]
