"""Which provider a client talks to, told by its class and then by its address."""

from __future__ import annotations

from typing import Any

import openai
import pytest

from peekr.instrumentation.openai.client import endpoint
from simulated_providers import SimulatedProviders

from ...conftest import Telemetry, attributes_of
from .calls import CHAT, Calls


class Resource:
    """What the extractor reads of the SDK's resources."""

    def __init__(self, url: str, cls: str = "OpenAI") -> None:
        self._client: Any = type(cls, (), {"base_url": url})()


HOSTS = {
    "https://api.openai.com/v1/": ("openai", "api.openai.com", 443),
    "https://eu.api.openai.com/v1": ("openai", "eu.api.openai.com", 443),
    "https://my.openai.azure.com/openai/": ("azure.ai.openai", "my.openai.azure.com", 443),
    "https://my.cognitiveservices.azure.com/": (
        "azure.ai.openai",
        "my.cognitiveservices.azure.com",
        443,
    ),
    "https://my.services.ai.azure.com/models": (
        "azure.ai.inference",
        "my.services.ai.azure.com",
        443,
    ),
    "https://openrouter.ai/api/v1": ("openrouter", "openrouter.ai", 443),
    "https://api.groq.com/openai/v1": ("groq", "api.groq.com", 443),
    "https://api.deepseek.com": ("deepseek", "api.deepseek.com", 443),
    "https://api.mistral.ai/v1": ("mistral_ai", "api.mistral.ai", 443),
    "https://api.x.ai/v1": ("x_ai", "api.x.ai", 443),
    "https://api.perplexity.ai": ("perplexity", "api.perplexity.ai", 443),
    "https://api.together.xyz/v1": ("together_ai", "api.together.xyz", 443),
    "https://api.fireworks.ai/inference/v1": ("fireworks_ai", "api.fireworks.ai", 443),
    "https://generativelanguage.googleapis.com/v1beta/openai/": (
        "gcp.gemini",
        "generativelanguage.googleapis.com",
        443,
    ),
    "https://us-central1-aiplatform.googleapis.com/v1": (
        "gcp.vertex_ai",
        "us-central1-aiplatform.googleapis.com",
        443,
    ),
    "http://localhost:11434/v1": ("ollama", "localhost", 11434),
    "http://ollama:11434/v1": ("ollama", "ollama", 11434),
    "http://localhost:8000/v1": ("vllm", "localhost", 8000),
    "http://vllm.internal:8080/v1": ("vllm", "vllm.internal", 8080),
    "http://127.0.0.1:1234/v1": ("openai", "127.0.0.1", 1234),
    "http://[::1]:8000/v1": ("vllm", "::1", 8000),
    "https://llm.example.com/v1": ("openai", "llm.example.com", 443),
    "http://llm.example.com/v1": ("openai", "llm.example.com", 80),
    # The end of a name is not the name: these belong to somebody else.
    "https://notopenai.com/v1": ("openai", "notopenai.com", 443),
    "https://spacex.ai/v1": ("openai", "spacex.ai", 443),
    "https://groq.com.example.org/v1": ("openai", "groq.com.example.org", 443),
}


@pytest.mark.parametrize("url", HOSTS)
def test_provider_and_server_follow_from_the_address(url: str):
    provider, host, port = HOSTS[url]
    assert endpoint(Resource(url)) == (provider, (host, port))


@pytest.mark.parametrize(
    ("cls", "provider"),
    [
        ("AzureOpenAI", "azure.ai.openai"),
        ("AsyncAzureOpenAI", "azure.ai.openai"),
        ("BedrockOpenAI", "aws.bedrock"),
        ("OpenAI", "deepseek"),
    ],
)
def test_class_of_the_client_comes_before_its_address(cls: str, provider: str):
    assert endpoint(Resource("https://api.deepseek.com", cls))[0] == provider


def test_resource_without_a_client_has_no_endpoint():
    assert endpoint(object()) == (None, None)


def test_changed_address_is_noticed():
    client = openai.OpenAI(api_key="test", base_url="https://api.deepseek.com")
    assert endpoint(client.chat.completions)[0] == "deepseek"
    client.base_url = "https://api.groq.com/openai/v1"
    assert endpoint(client.chat.completions)[0] == "groq"
    client.close()


async def test_azure_call_is_recorded_as_azures(
    mode: str, telemetry: Telemetry, simulated: SimulatedProviders
):
    kind = openai.AzureOpenAI if mode == "sync" else openai.AsyncAzureOpenAI
    async with Calls(
        mode, None, cls=kind, azure_endpoint=simulated.url, api_version="2024-10-21"
    ) as call:
        await call("chat.completions.create", **{**CHAT, "model": "my-deployment"})
        taken = call.client.chat.completions.create
        await call.drain(await call("chat.completions.create", **CHAT, stream=True))
        assert taken
    first = attributes_of(telemetry.spans[0])
    assert first["gen_ai.provider.name"] == "azure.ai.openai"
    assert first["gen_ai.request.model"] == "my-deployment"
    assert first["server.address"] == "127.0.0.1"
    assert first["server.port"] == int(simulated.url.rpartition(":")[2])
    assert [r["attributes"]["provider"] for r in telemetry.records] == ["azure.ai.openai"] * 2
    assert [r["name"] for r in telemetry.records] == ["openai.chat"] * 2
