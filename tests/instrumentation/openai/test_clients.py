"""Clients made in other ways, and methods beside the well-known ones: one span, or none."""

from __future__ import annotations

import gc
from typing import Any, Dict, List

import openai
import pytest
from openai.types.chat import ChatCompletion

from peekr.instrumentation.openai.client import endpoint
from simulated_providers import SimulatedProviders

from ...conftest import Telemetry, attributes_of
from ...support.player import Player
from .calls import CHAT, RESPONSES, Calls, answer, settled

COMPACTED: Dict[str, Any] = {
    "id": "cmp_1",
    "object": "response.compaction",
    "created_at": 1,
    "output": [{"id": "item_1", "type": "compaction", "encrypted_content": "abc"}],
    "usage": {
        "input_tokens": 700,
        "output_tokens": 30,
        "total_tokens": 730,
        "input_tokens_details": {"cached_tokens": 200, "cache_write_tokens": 0},
        "output_tokens_details": {"reasoning_tokens": 10},
    },
}


def names(telemetry: Telemetry) -> List[str]:
    assert len(telemetry.spans) == len(telemetry.records)
    return [record["name"] for record in telemetry.records]


def has(call: Calls, path: str) -> bool:
    try:
        call.method(path)
    except AttributeError:
        return False
    return True


# -- methods -----------------------------------------------------------------------------------


@pytest.mark.parametrize("stream", [False, True], ids=["plain", "streamed"])
@pytest.mark.parametrize("way", ["", "with_raw_response.", "with_streaming_response."])
async def test_beta_responses_are_recorded_as_responses(
    way: str, stream: bool, call: Calls, telemetry: Telemetry
):
    if not has(call, "beta.responses"):
        pytest.skip(f"openai {openai.__version__} has no beta.responses")
    made = call.method(f"beta.responses.{way}create")(**RESPONSES, stream=stream)
    if way == "with_streaming_response.":
        async with call.entered(made) as response:
            parsed = await settled(response.parse())
            if stream:
                await call.drain(parsed)
    else:
        result = await settled(made)
        parsed = await settled(result.parse()) if way else result
        if stream:
            await call.drain(parsed)
    assert names(telemetry) == ["openai.responses"]
    got = telemetry.record["attributes"]
    assert got["model"] == "gpt-4o"
    assert got["input"] == [{"role": "user", "content": "hi there"}]
    assert got["output"].endswith("hi there")
    assert got["tokens_input"]
    assert got["tokens_output"]
    assert got.get("gen_ai.request.stream", False) is stream
    assert "peekr.stream.abandoned" not in got


@pytest.mark.parametrize("api", ["responses", "beta.responses"])
async def test_compaction_is_a_call_with_its_tokens(api: str, mode: str, telemetry: Telemetry):
    with Player(answer(COMPACTED, "/v1/responses/compact")) as player:
        async with Calls(mode, player.url + "/v1") as call:
            if not has(call, f"{api}.compact"):
                pytest.skip(f"openai {openai.__version__} has no {api}.compact")
            result = await call(f"{api}.compact", model="gpt-4o", input="a long talk")
    assert result.id == "cmp_1"
    assert names(telemetry) == ["openai.responses"]
    got = telemetry.record["attributes"]
    assert (got["tokens_input"], got["tokens_output"]) == (700, 30)
    assert (got["tokens_cache_read"], got["tokens_reasoning"]) == (200, 10)
    assert got["model"] == "gpt-4o"
    assert got["gen_ai.response.id"] == "cmp_1"
    assert got["output"][0]["content"][0]["type"] == "compaction"


@pytest.mark.parametrize(
    "path", ["/chat/completions", "chat/completions", "/chat/completions?trial=1"]
)
async def test_post_of_the_client_itself_is_recorded(path: str, call: Calls, telemetry: Telemetry):
    await settled(call.client.post(path, body=CHAT, cast_to=ChatCompletion))
    assert names(telemetry) == ["openai.chat"]


@pytest.mark.parametrize(
    ("method", "arguments", "path"),
    [
        ("responses.cancel", {"response_id": "resp_1"}, "/v1/responses/resp_1/cancel"),
        ("responses.input_tokens.count", RESPONSES, "/v1/responses/input_tokens"),
        (
            "chat.completions.update",
            {"completion_id": "c1", "metadata": {}},
            "/v1/chat/completions/c1",
        ),
        ("images.generate", {"prompt": "a cat"}, "/v1/images/generations"),
        ("moderations.create", {"input": "hi"}, "/v1/moderations"),
    ],
)
async def test_what_is_not_recorded_passes(
    method: str, arguments: Any, path: str, mode: str, telemetry: Telemetry
):
    with Player(answer({"id": "x"}, path)) as player:
        async with Calls(mode, player.url + "/v1") as call:
            if not has(call, method):
                pytest.skip(f"openai {openai.__version__} has no {method}")
            await call(method, **arguments)
        assert player.all_played
    assert telemetry.spans == []


# -- clients -----------------------------------------------------------------------------------


@pytest.mark.parametrize("stream", [False, True], ids=["plain", "streamed"])
async def test_azure_client_with_a_token_provider_is_recorded(
    stream: bool, mode: str, telemetry: Telemetry, simulated: SimulatedProviders
):
    asked: List[str] = []

    def token() -> str:
        asked.append("token")
        return "secret-token"

    cls = openai.AzureOpenAI if mode == "sync" else openai.AsyncAzureOpenAI
    options = {"azure_endpoint": simulated.url, "api_version": "2024-10-21", "api_key": None}
    async with Calls(mode, None, cls=cls, azure_ad_token_provider=token, **options) as call:
        result = await call("chat.completions.create", **CHAT, stream=stream)
        if stream:
            await call.drain(result)
    assert asked == ["token"]
    assert attributes_of(telemetry.span)["gen_ai.provider.name"] == "azure.ai.openai"
    assert "secret-token" not in telemetry.path.read_text()


async def test_derived_azure_client_is_still_azures(
    mode: str, telemetry: Telemetry, simulated: SimulatedProviders
):
    base: Any = openai.AzureOpenAI if mode == "sync" else openai.AsyncAzureOpenAI
    ours = type("Ours", (base,), {})
    options = {"azure_endpoint": simulated.url, "api_version": "2024-10-21"}
    async with Calls(mode, None, cls=ours, **options) as call:
        await call("chat.completions.create", **CHAT)
    assert telemetry.record["attributes"]["provider"] == "azure.ai.openai"


@pytest.mark.parametrize("name", ["aws.bedrock", "gcp.vertex_ai"])
async def test_client_with_a_platform_is_recorded_as_the_platforms(
    name: str, mode: str, telemetry: Telemetry, simulated: SimulatedProviders
):
    providers = pytest.importorskip("openai.providers")
    base_url = simulated.openai_url
    if name == "aws.bedrock":
        platform = providers.bedrock(region="us-east-1", base_url=base_url, api_key="test")
    elif hasattr(providers, "vertex"):
        platform = providers.vertex(base_url=base_url, token_provider=lambda: "test")
    else:
        pytest.skip(f"openai {openai.__version__} has no such platform")
    cls = openai.OpenAI if mode == "sync" else openai.AsyncOpenAI
    client: Any = cls(provider=platform, max_retries=0)
    result = await settled(client.responses.create(**RESPONSES))
    await settled(client.close())
    assert result.output_text.endswith("hi there")
    assert telemetry.record["attributes"]["provider"] == name


def test_bedrocks_own_address_is_bedrocks():
    class Resource:
        base_url = "https://bedrock-mantle.us-east-1.api.aws/openai/v1"

    assert endpoint(Resource())[0] == "aws.bedrock"


async def aiohttp_client(url: str) -> Any:
    if not hasattr(openai, "DefaultAioHttpClient"):
        pytest.skip(f"openai {openai.__version__} has no client over aiohttp")
    try:
        http_client = openai.DefaultAioHttpClient()
    except RuntimeError as error:
        pytest.skip(str(error))
    return openai.AsyncOpenAI(base_url=url, api_key="test", max_retries=0, http_client=http_client)


async def test_calls_over_aiohttp_are_recorded_once(
    telemetry: Telemetry, simulated: SimulatedProviders
):
    async with await aiohttp_client(simulated.openai_url) as client:
        await client.chat.completions.create(**CHAT)
        async with client.responses.stream(**RESPONSES) as stream:
            assert (await stream.get_final_response()).output_text.endswith("hi there")
        raw = await client.chat.completions.with_raw_response.create(**CHAT)
        assert raw.parse().choices
        opened = client.responses.with_streaming_response.create(**RESPONSES, stream=True)
        async with opened as response:
            async for _ in await response.parse():
                pass
    assert names(telemetry) == [
        "openai.chat",
        "openai.responses",
        "openai.chat",
        "openai.responses",
    ]
    for record in telemetry.records:
        assert record["attributes"]["output"].endswith("hi there")
        assert record["attributes"]["tokens_input"]


async def test_stream_over_aiohttp_that_is_left_early_ends(
    telemetry: Telemetry, simulated: SimulatedProviders
):
    async with await aiohttp_client(simulated.openai_url) as client:
        stream = await client.chat.completions.create(**CHAT, stream=True)
        async for _ in stream:
            break
        await stream.close()
        del stream
        gc.collect()
    assert telemetry.record["status"] == "ok"
    assert telemetry.record["attributes"]["peekr.stream.abandoned"] is True
