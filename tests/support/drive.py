"""Sends a recorded request again, with the real SDK of its provider."""

from __future__ import annotations

import contextlib
import inspect
import json
import warnings
from dataclasses import dataclass
from typing import (
    Any,
    AsyncGenerator,
    Awaitable,
    Callable,
    Dict,
    Generator,
    List,
    Mapping,
    Optional,
    Tuple,
)
from urllib.parse import parse_qs

import pytest

from .recordings import Interaction, Recording

_OPENAI_METHODS = {
    "/chat/completions": "chat.completions",
    "/responses": "responses",
    "/embeddings": "embeddings",
    "/completions": "completions",
}
_BEDROCK_METHODS = {
    "converse": "converse",
    "converse-stream": "converse_stream",
    "invoke": "invoke_model",
    "invoke-with-response-stream": "invoke_model_with_response_stream",
}
_GEMINI_METHODS = {
    "generateContent": "generate_content",
    "streamGenerateContent": "generate_content_stream",
}


@dataclass(frozen=True)
class Outcome:
    """What the caller of the SDK got.

    Attributes:
        value: the SDK's result; for a stream the list of its events; None after an error.
        error: the exception that the SDK raised.
    """

    value: Any = None
    error: Optional[Exception] = None


def drive(recording: Recording, url: str, *, via: str = "create") -> List[Outcome]:
    """Send a recording's requests with the sync SDK; one outcome an interaction.

    Args:
        recording: its requests are sent in their order.
        url: the player's address, without a path.
        via: `create`; `raw` for `with_raw_response`; `streaming` for `with_streaming_response`;
            `helper` for the `stream()` context manager (the last three for OpenAI and Anthropic).
    """
    with open_client(recording, url) as client:
        return [send(client, interaction, via=via) for interaction in recording.interactions]


async def drive_async(recording: Recording, url: str, *, via: str = "create") -> List[Outcome]:
    """Send a recording's requests with the async SDK; see `drive`."""
    async with open_async_client(recording, url) as client:
        return [
            await send_async(client, interaction, via=via) for interaction in recording.interactions
        ]


@contextlib.contextmanager
def open_client(recording: Recording, url: str) -> Generator[Any, None, None]:
    """Make the sync client of a recording's provider, without retries."""
    if recording.provider == "bedrock":
        boto3 = pytest.importorskip("boto3")
        with _quiet():
            client = boto3.client("bedrock-runtime", **_aws_options(url))
        try:
            yield client
        finally:
            client.close()
    elif recording.provider == "gemini":
        genai = pytest.importorskip("google.genai")
        client = genai.Client(**_gemini_options(recording, url))
        try:
            yield client
        finally:
            if hasattr(client, "close"):
                client.close()
    elif recording.provider == "anthropic":
        with pytest.importorskip("anthropic").Anthropic(**_options(recording, url)) as client:
            yield client
    else:
        openai = pytest.importorskip("openai")
        # Without TLS to set up, a client costs little.
        plain = openai.DefaultHttpxClient(verify=False)
        with openai.OpenAI(**_options(recording, url), http_client=plain) as client:
            yield client


@contextlib.asynccontextmanager
async def open_async_client(recording: Recording, url: str) -> AsyncGenerator[Any, None]:
    """Make the async client of a recording's provider, without retries."""
    if recording.provider == "bedrock":
        # What aioboto3 is made of, and newer than it.
        session = pytest.importorskip("aiobotocore.session").get_session()
        with _quiet():
            opening = session.create_client("bedrock-runtime", **_aws_options(url))
        async with opening as client:
            yield client
    elif recording.provider == "gemini":
        genai = pytest.importorskip("google.genai")
        client = genai.Client(**_gemini_options(recording, url))
        try:
            yield client
        finally:
            if hasattr(client, "close"):
                await client.aio.aclose()
                client.close()
    elif recording.provider == "anthropic":
        anthropic = pytest.importorskip("anthropic")
        async with anthropic.AsyncAnthropic(**_options(recording, url)) as client:
            yield client
    else:
        openai = pytest.importorskip("openai")
        plain = openai.DefaultAsyncHttpxClient(verify=False)
        async with openai.AsyncOpenAI(**_options(recording, url), http_client=plain) as client:
            yield client


def send(client: Any, interaction: Interaction, *, via: str = "create") -> Outcome:
    """Send one interaction's request with a sync client and take in the whole answer."""
    with _quiet():
        try:
            if via == "helper":
                method, arguments = _helper(client, interaction)
                with method(**arguments) as stream:
                    return Outcome(list(stream))
            method, arguments = _method(client, interaction, via)
            if via == "streaming":
                with method(**arguments) as response:
                    return Outcome(_consumed(response.parse(), interaction))
            value = method(**arguments)
            if via == "raw":
                value = value.parse()
            return Outcome(_consumed(value, interaction))
        except Exception as error:
            return Outcome(error=error)


async def send_async(client: Any, interaction: Interaction, *, via: str = "create") -> Outcome:
    """Send one interaction's request with an async client and take in the whole answer."""
    client = client.aio if interaction.provider == "gemini" else client
    with _quiet():
        try:
            if via == "helper":
                method, arguments = _helper(client, interaction)
                async with method(**arguments) as stream:
                    return Outcome([event async for event in stream])
            method, arguments = _method(client, interaction, via)
            if via == "streaming":
                async with method(**arguments) as response:
                    value = await response.parse()
                    return Outcome(await _consumed_async(value, interaction))
            value = await method(**arguments)
            if via == "raw":
                value = value.parse()
                value = await value if inspect.isawaitable(value) else value
            return Outcome(await _consumed_async(value, interaction))
        except Exception as error:
            return Outcome(error=error)


@contextlib.contextmanager
def _quiet() -> Generator[None, None, None]:
    """Let the SDKs' own warnings pass: of retired models, of Pythons about to be left."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        warnings.filterwarnings("ignore", message="Boto3 will no longer support")
        yield


def request_arguments(interaction: Interaction) -> Dict[str, Any]:
    """The keyword arguments of the SDK's method that give the recorded request."""
    body = interaction.request_body
    if interaction.provider == "bedrock":
        model = interaction.path.split("/")[2]
        if "/converse" in interaction.path:
            return {"modelId": model, **body}
        return {"modelId": model, **({"body": json.dumps(body)} if body else {})}
    if interaction.provider == "gemini":
        model = interaction.path.rpartition("/")[2].partition(":")[0]
        return {"model": model, "contents": body["contents"], **_gemini_config(body)}
    return dict(body)


def _method(
    client: Any, interaction: Interaction, via: str
) -> Tuple[Callable[..., Any], Dict[str, Any]]:
    arguments = request_arguments(interaction)
    if interaction.provider == "bedrock":
        return getattr(client, _BEDROCK_METHODS[interaction.path.split("/")[3]]), arguments
    if interaction.provider == "gemini":
        return getattr(
            client.models, _GEMINI_METHODS[interaction.path.partition(":")[2]]
        ), arguments
    resource = _resource(client, interaction)
    if via == "raw":
        resource = resource.with_raw_response
    elif via == "streaming":
        resource = resource.with_streaming_response
    return resource.create, _with_extra_body(_resource(client, interaction).create, arguments)


def _helper(client: Any, interaction: Interaction) -> Tuple[Callable[..., Any], Dict[str, Any]]:
    """The `stream()` helper, which takes what `create(stream=True)` takes."""
    arguments = {k: v for k, v in request_arguments(interaction).items() if k != "stream"}
    resource = _resource(client, interaction)
    stream = getattr(resource, "stream", None)
    if stream is None and hasattr(client.beta, "chat"):
        stream = client.beta.chat.completions.stream  # where OpenAI had it before 1.92
    if stream is None:
        pytest.skip("this version of the SDK has no stream helper for the method")
    return stream, _with_extra_body(stream, arguments)


def _resource(client: Any, interaction: Interaction) -> Any:
    if interaction.provider == "anthropic":
        beta = parse_qs(interaction.query).get("beta") == ["true"]
        return client.beta.messages if beta else client.messages
    for name in _openai_method(interaction.path)[1].split("."):
        client = getattr(client, name)
    return client


def _openai_method(path: str) -> Tuple[str, str]:
    """The path's beginning, and the resource that its end stands for."""
    for suffix, resource in _OPENAI_METHODS.items():
        if path.endswith(suffix):
            return path[: -len(suffix)], resource
    raise AssertionError(f"no method of the SDK is known for {path}")


def _with_extra_body(method: Callable[..., Any], arguments: Mapping[str, Any]) -> Dict[str, Any]:
    known = inspect.signature(method).parameters
    extra = {name: value for name, value in arguments.items() if name not in known}
    kept = {name: value for name, value in arguments.items() if name in known}
    return {**kept, "extra_body": extra} if extra else kept


def _options(recording: Recording, url: str) -> Dict[str, Any]:
    options: Dict[str, Any] = {"api_key": "recorded", "max_retries": 0, "base_url": url}
    if recording.provider == "openai":
        options["base_url"] = url + _openai_method(recording.interactions[0].path)[0]
    return options


def _aws_options(url: str) -> Dict[str, Any]:
    config = pytest.importorskip("botocore.config")
    return {
        "endpoint_url": url,
        "region_name": "us-east-1",
        "aws_access_key_id": "recorded",
        "aws_secret_access_key": "recorded",
        "config": config.Config(retries={"total_max_attempts": 1}),
    }


def _gemini_options(recording: Recording, url: str) -> Dict[str, Any]:
    parts = recording.interactions[0].path.split("/")
    options: Dict[str, Any] = {"base_url": url, "api_version": parts[1]}
    if "projects" not in parts:
        return {"api_key": "recorded", "http_options": options}
    credentials = pytest.importorskip("google.oauth2.credentials")
    return {
        "vertexai": True,
        "project": parts[parts.index("projects") + 1],
        "location": parts[parts.index("locations") + 1],
        "credentials": credentials.Credentials(token="recorded"),
        "http_options": options,
    }


def _gemini_config(body: Dict[str, Any]) -> Dict[str, Any]:
    """The rest of a request's body, as the SDK takes it in its one `config`."""
    config: Dict[str, Any] = dict(body.get("generationConfig") or {})
    for name in ("systemInstruction", "tools", "toolConfig", "safetySettings", "cachedContent"):
        if name in body:
            config[name] = body[name]
    return {"config": config} if config else {}


def _consumed(value: Any, interaction: Interaction) -> Any:
    if interaction.provider != "bedrock":
        return list(value) if interaction.streamed else value
    if interaction.path.endswith("/converse"):
        return value
    name = "stream" if "stream" in value else "body"
    with contextlib.closing(value[name]) as body:
        return {**value, name: list(body) if interaction.streamed else body.read()}


async def _consumed_async(value: Any, interaction: Interaction) -> Any:
    if interaction.provider == "bedrock":
        if "stream" in value:
            return {**value, "stream": [event async for event in value["stream"]]}
        if "converse" in interaction.path:
            return value
        body = value["body"]
        if interaction.streamed:
            return {**value, "body": [event async for event in body]}
        reading: Awaitable[bytes] = body.read()
        return {**value, "body": await reading}
    return [event async for event in value] if interaction.streamed else value
