"""Bedrock on loopback with answers of the test's own, and clients of both SDKs for it."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import json
from typing import Any, AsyncGenerator, Dict, Generator, List, Mapping, Optional, Tuple, cast

import pytest

from simulated_providers.bedrock_api import event_message

from ...support.player import Player
from ...support.recordings import Interaction, Recording

MODES = ("sync", "async")
REQUEST_ID = "4f5e4b1f-2f13-4a0c-8b1e-000000000001"


def options(url: str, **config: Any) -> Dict[str, Any]:
    made = pytest.importorskip("botocore.config")
    return {
        "endpoint_url": url,
        "region_name": "us-east-1",
        "aws_access_key_id": "recorded",
        "aws_secret_access_key": "recorded",
        "config": made.Config(**{"retries": {"total_max_attempts": 1}, **config}),
    }


@contextlib.contextmanager
def sync_client(url: str, service: str = "bedrock-runtime") -> Generator[Any, None, None]:
    client = pytest.importorskip("boto3").client(service, **options(url))
    yield client
    client.close()


@contextlib.asynccontextmanager
async def async_client(url: str, service: str = "bedrock-runtime") -> AsyncGenerator[Any, None]:
    session = pytest.importorskip("aiobotocore.session").get_session()
    async with session.create_client(service, **options(url)) as client:
        yield client


def answer(
    method: str,
    body: Any,
    *,
    model: str = "m",
    headers: Optional[Mapping[str, str]] = None,
    status: int = 200,
) -> Interaction:
    """One answer: JSON, or a list of an event stream's messages, as bytes.

    Args:
        method: the last part of the path, `converse`.
    """
    streamed = isinstance(body, list)
    content = cast("List[bytes]", body) if streamed else []
    kind = "application/vnd.amazon.eventstream" if streamed else "application/json"
    return Interaction(
        provider="bedrock",
        method="POST",
        path=f"/model/{model}/{method}",
        query="",
        request_headers={},
        request_body={},
        status=status,
        headers={"content-type": kind, "x-amzn-requestid": REQUEST_ID, **(headers or {})},
        raw_body=b"".join(content) if streamed else json.dumps(body).encode(),
    )


def play(*interactions: Interaction, **how: Any) -> Player:
    return Player(Recording("bedrock", "inline", interactions), **how)


def events(*payloads: Dict[str, Any]) -> List[bytes]:
    """The messages of a ConverseStream: each payload is `{kind: content}`."""
    return [
        event_message(content, event_type=kind, message_type="event")
        for payload in payloads
        for kind, content in payload.items()
    ]


def chunks(*payloads: Dict[str, Any]) -> List[bytes]:
    """The messages of an InvokeModelWithResponseStream."""
    encoded = [base64.b64encode(json.dumps(payload).encode()).decode() for payload in payloads]
    return [
        event_message({"bytes": data}, event_type="chunk", message_type="event") for data in encoded
    ]


def exception(kind: str, message: str, **more: Any) -> bytes:
    return event_message(
        {"message": message, **more}, exception_type=kind, message_type="exception"
    )


def call(mode: str, url: str, method: str, **arguments: Any) -> Tuple[Any, Any]:
    """Call a method and take in all of the answer: the response, and its body or events."""
    if mode == "async":
        return asyncio.run(_call_async(url, method, arguments))
    with sync_client(url) as client:
        response = getattr(client, method)(**arguments)
        if method == "converse":
            return response, None
        if method == "invoke_model":
            return response, response["body"].read()
        return response, list(response["stream" if "stream" in response else "body"])


async def _call_async(url: str, method: str, arguments: Dict[str, Any]) -> Tuple[Any, Any]:
    async with async_client(url) as client:
        response = await getattr(client, method)(**arguments)
        if method == "converse":
            return response, None
        if method == "invoke_model":
            return response, await response["body"].read()
        stream = response["stream" if "stream" in response else "body"]
        return response, [event async for event in stream]


def invoke(mode: str, model: str, request: Any, said: Any, **headers: str) -> bytes:
    """Play one answer of `invoke_model` to a request; returns the body that the caller read."""
    with play(answer("invoke", said, model=model, headers=headers)) as player:
        return call(mode, player.url, "invoke_model", modelId=model, body=json.dumps(request))[1]


def invoke_stream(mode: str, model: str, request: Any, said: List[Dict[str, Any]]) -> List[Any]:
    """Play one streamed answer of `invoke_model`; returns the events that the caller took."""
    method = "invoke-with-response-stream"
    with play(answer(method, chunks(*said), model=model)) as player:
        name = "invoke_model_with_response_stream"
        return call(mode, player.url, name, modelId=model, body=json.dumps(request))[1]
