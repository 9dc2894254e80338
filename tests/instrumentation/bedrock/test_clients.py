"""Which clients and operations are watched, and how their errors are told."""

from __future__ import annotations

import asyncio
import copy
import inspect
from dataclasses import replace
from typing import Any, Dict, cast

import pytest
from opentelemetry.instrumentation.utils import suppress_instrumentation

import peekr

from ...conftest import Telemetry
from ...support.recordings import Interaction
from .serving import MODES, REQUEST_ID, answer, async_client, call, options, play, sync_client

boto3 = pytest.importorskip("boto3")
exceptions = pytest.importorskip("botocore.exceptions")
botocore_client = pytest.importorskip("botocore.client")

ARGUMENTS: Dict[str, Any] = {
    "modelId": "m",
    "messages": [{"role": "user", "content": [{"text": "hi"}]}],
}
SAID = {
    "output": {"message": {"role": "assistant", "content": [{"text": "Hello."}]}},
    "stopReason": "end_turn",
    "usage": {"inputTokens": 1, "outputTokens": 2, "totalTokens": 3},
    "metrics": {"latencyMs": 1},
}


def test_client_made_before_is_watched(bare_telemetry: Telemetry):
    with play(answer("converse", SAID)) as player, sync_client(player.url) as client:
        bare_telemetry.instrument()
        client.converse(**ARGUMENTS)
    assert bare_telemetry.record["name"] == "bedrock.converse"


def test_async_client_made_before_is_watched(bare_telemetry: Telemetry):
    async def run() -> None:
        with play(answer("converse", SAID)) as player:
            async with async_client(player.url) as client:
                bare_telemetry.instrument()
                await client.converse(**ARGUMENTS)

    asyncio.run(run())
    assert bare_telemetry.record["name"] == "bedrock.converse"


def test_uninstrumented_client_is_as_before(bare_telemetry: Telemetry):
    client = cast("Any", vars(botocore_client.BaseClient))  # a live view of the class
    own: Any = client["_make_api_call"]
    bare_telemetry.instrument()
    watched: Any = client["_make_api_call"]
    assert watched is not own
    assert inspect.signature(watched) == inspect.signature(own)
    peekr.uninstrument()
    assert client["_make_api_call"] is own


def other(path: str, body: Any) -> Interaction:
    return replace(answer("other", body), path=path)


@pytest.mark.parametrize("mode", MODES)
def test_other_operations_and_services_pass(mode: str, telemetry: Telemetry):
    counting = {"converse": {"messages": ARGUMENTS["messages"]}}

    async def run() -> None:
        applied = other("/guardrail/gr-1/version/1/apply", {"usage": {}, "action": "NONE"})
        guarded = {
            "guardrailIdentifier": "gr-1",
            "guardrailVersion": "1",
            "source": "INPUT",
            "content": [{"text": {"text": "hi"}}],
        }
        tables = other("/", {"TableNames": []})
        with play(applied, answer("count-tokens", {"inputTokens": 1}), tables) as player:
            if mode == "sync":
                with sync_client(player.url) as client:
                    client.apply_guardrail(**guarded)
                    if hasattr(client, "count_tokens"):
                        assert client.count_tokens(modelId="m", input=counting)["inputTokens"] == 1
                with sync_client(player.url, "dynamodb") as client:
                    assert client.list_tables()["TableNames"] == []
            else:
                async with async_client(player.url) as client:
                    await client.apply_guardrail(**guarded)
                    if hasattr(client, "count_tokens"):
                        await client.count_tokens(modelId="m", input=counting)
                async with async_client(player.url, "dynamodb") as client:
                    assert (await client.list_tables())["TableNames"] == []

    asyncio.run(run())
    assert telemetry.spans == []


def test_operation_of_the_same_name_of_another_service_passes(telemetry: Telemetry):
    class Service:
        service_name = "other"

    class Meta:
        service_model = Service()
        endpoint_url = "http://127.0.0.1:9"

    class Client(botocore_client.BaseClient):
        def __init__(self) -> None:
            self.meta = Meta()

    with pytest.raises(AttributeError):
        Client()._make_api_call("Converse", ARGUMENTS)
    assert telemetry.spans == []


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("method", ["converse", "converse_stream"])
def test_refusal_is_told_in_the_services_words(mode: str, method: str, telemetry: Telemetry):
    path = method.replace("_", "-")
    refused = answer(
        path,
        {"message": "Too many requests, please wait."},
        status=429,
        headers={"x-amzn-errortype": "ThrottlingException:http://internal.amazon.com/coral/"},
    )
    with play(refused) as player, pytest.raises(exceptions.ClientError) as raised:
        call(mode, player.url, method, **ARGUMENTS)
    assert raised.value.response["Error"]["Code"] == "ThrottlingException"
    record = telemetry.record
    assert record["status"] == "error"
    assert record["attributes"]["error"] == "Too many requests, please wait."
    assert record["attributes"]["error.type"] == "ThrottlingException"
    assert record["attributes"]["http.response.status_code"] == 429
    assert record["attributes"]["peekr.request.id"] == REQUEST_ID


@pytest.mark.parametrize("mode", MODES)
def test_call_that_reaches_nobody_is_an_error(mode: str, telemetry: Telemetry):
    with pytest.raises(exceptions.EndpointConnectionError):
        call(mode, "http://127.0.0.1:9", "converse", **ARGUMENTS)
    assert telemetry.record["attributes"]["error.type"] == "EndpointConnectionError"


def test_call_with_wrong_parameters_is_an_error(telemetry: Telemetry):
    with sync_client("http://127.0.0.1:9") as client:
        with pytest.raises(exceptions.ParamValidationError):
            client.converse(modelId="m", messages="not a list")
        with pytest.raises(TypeError, match="only accepts keyword arguments"):
            client.converse("m")
    assert telemetry.record["attributes"]["error.type"] == "ParamValidationError"


def test_retries_are_one_call(telemetry: Telemetry):
    refused = answer("converse", {"message": "again"}, status=503)
    with play(refused, answer("converse", SAID)) as player:
        retrying = options(player.url, retries={"total_max_attempts": 2, "mode": "standard"})
        client = boto3.client("bedrock-runtime", **retrying)
        client.converse(**ARGUMENTS)
        client.close()
    assert telemetry.record["status"] == "ok"


def test_suppressed_instrumentation_passes(telemetry: Telemetry):
    played = play(answer("converse", SAID), answer("invoke", {}))
    with played as player, suppress_instrumentation(), sync_client(player.url) as client:
        client.converse(**ARGUMENTS)
        client.invoke_model(modelId="m", body="{}")["body"].read()
    assert telemetry.spans == []


def test_arguments_are_not_changed(telemetry: Telemetry):
    arguments = copy.deepcopy(ARGUMENTS)
    with play(answer("converse", SAID)) as player:
        call("sync", player.url, "converse", **arguments)
    assert arguments == ARGUMENTS


def test_call_is_a_child_of_the_current_span(telemetry: Telemetry):
    current = telemetry.tracer.start_as_current_span("agent")
    with play(answer("converse", SAID)) as player, current as agent:
        call("sync", player.url, "converse", **ARGUMENTS)
    made = telemetry.spans[0]
    assert made.parent is not None
    assert made.parent.span_id == agent.get_span_context().span_id
    assert made.name == "chat m"
