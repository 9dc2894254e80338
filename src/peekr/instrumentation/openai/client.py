"""Which provider an OpenAI client talks to, and what its calls have in common."""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from typing import Any, Optional, cast
from urllib.parse import urlsplit

from peekr.instrumentation import Fault, Usage, field
from peekr.semconv import otel

__all__ = ["endpoint", "fault", "given", "parameters", "sampling", "text_of", "usage"]

# Hosts of OpenAI-compatible services, by the end of their name.
_PROVIDERS_BY_HOST = (
    ("openai.azure.com", "azure.ai.openai"),
    ("cognitiveservices.azure.com", "azure.ai.openai"),
    ("services.ai.azure.com", "azure.ai.inference"),
    ("models.inference.ai.azure.com", "azure.ai.inference"),
    ("openai.com", "openai"),
    ("openrouter.ai", "openrouter"),
    ("groq.com", "groq"),
    ("deepseek.com", "deepseek"),
    ("mistral.ai", "mistral_ai"),
    ("x.ai", "x_ai"),
    ("perplexity.ai", "perplexity"),
    ("together.xyz", "together_ai"),
    ("together.ai", "together_ai"),
    ("fireworks.ai", "fireworks_ai"),
    ("cerebras.ai", "cerebras"),
    ("cohere.ai", "cohere"),
    ("cohere.com", "cohere"),
    ("generativelanguage.googleapis.com", "gcp.gemini"),
    ("aiplatform.googleapis.com", "gcp.vertex_ai"),
    ("anthropic.com", "anthropic"),
    ("amazonaws.com", "aws.bedrock"),
)
_LOCAL_HOSTS = ("localhost", "127.0.0.1", "::1", "0.0.0.0", "host.docker.internal")
_OLLAMA_PORT = 11434
_VLLM_PORT = 8000

# Request parameters that have an attribute of their own; the rest go to peekr.request.parameters.
_SAMPLING = {
    "temperature": otel.GEN_AI_REQUEST_TEMPERATURE,
    "top_p": otel.GEN_AI_REQUEST_TOP_P,
    "max_tokens": otel.GEN_AI_REQUEST_MAX_TOKENS,
    "max_completion_tokens": otel.GEN_AI_REQUEST_MAX_TOKENS,
    "max_output_tokens": otel.GEN_AI_REQUEST_MAX_TOKENS,
    "frequency_penalty": otel.GEN_AI_REQUEST_FREQUENCY_PENALTY,
    "presence_penalty": otel.GEN_AI_REQUEST_PRESENCE_PENALTY,
    "seed": otel.GEN_AI_REQUEST_SEED,
    "service_tier": otel.OPENAI_REQUEST_SERVICE_TIER,
}
_FLOATS = frozenset(("temperature", "top_p", "frequency_penalty", "presence_penalty"))
# Content, transport and what is recorded elsewhere.
_NOT_PARAMETERS = frozenset(
    (
        *_SAMPLING,
        "messages",
        "input",
        "instructions",
        "prompt",
        "model",
        "tools",
        "functions",
        "stream",
        "stop",
        "n",
        "extra_headers",
        "extra_query",
        "timeout",
        "encoding_format",
        "dimensions",
    )
)


def endpoint(instance: Any) -> tuple[Optional[str], Optional[tuple[str, Optional[int]]]]:
    """The provider's name and the server of a resource's client; None where unknown."""
    client = getattr(instance, "_client", None)
    base_url = getattr(client, "base_url", None)
    if client is None or base_url is None:
        return None, None
    return _endpoint(type(client).__name__, str(base_url))


@lru_cache(maxsize=256)
def _endpoint(
    client_class: str, base_url: str
) -> tuple[Optional[str], Optional[tuple[str, Optional[int]]]]:
    parts = urlsplit(base_url)
    host = parts.hostname or ""
    port = parts.port
    if port is None and parts.scheme:
        port = 443 if parts.scheme == "https" else 80
    server = (host, port) if host else None
    return _provider(client_class, host, port), server


def _provider(client_class: str, host: str, port: Optional[int]) -> str:
    if "Azure" in client_class:
        return "azure.ai.openai"
    if "Bedrock" in client_class:
        return "aws.bedrock"
    for suffix, provider in _PROVIDERS_BY_HOST:
        if host == suffix or host.endswith("." + suffix):
            return provider
    if "ollama" in host or (host in _LOCAL_HOSTS and port == _OLLAMA_PORT):
        return "ollama"
    if "vllm" in host or (host in _LOCAL_HOSTS and port == _VLLM_PORT):
        return "vllm"
    return "openai"


def given(kwargs: Mapping[str, Any]) -> dict[str, Any]:
    """The arguments that the caller gave, `extra_body` merged in as the SDK does.

    The SDK's markers for "not given" are no values; None is left out as well, for it asks for
    nothing.
    """
    merged = {
        key: value
        for key, value in kwargs.items()
        if value is not None and type(value).__name__ not in ("Omit", "NotGiven")
    }
    extra = merged.pop("extra_body", None)
    if isinstance(extra, dict):
        merged.update(cast("dict[str, Any]", extra))
    return merged


def sampling(arguments: Mapping[str, Any]) -> dict[str, Any]:
    """The sampling parameters and the like under their attribute names."""
    made: dict[str, Any] = {}
    for key, value in arguments.items():
        name = _SAMPLING.get(key)
        if name is None or isinstance(value, bool) or not isinstance(value, (int, float, str)):
            continue
        made[name] = float(value) if key in _FLOATS and isinstance(value, int) else value
    stop = arguments.get("stop")
    if stop is not None:
        made[otel.GEN_AI_REQUEST_STOP_SEQUENCES] = (
            [stop] if isinstance(stop, str) else [str(entry) for entry in stop]
        )
    choices = arguments.get("n")
    if isinstance(choices, int) and choices != 1:
        made[otel.GEN_AI_REQUEST_CHOICE_COUNT] = choices
    return made


def parameters(arguments: Mapping[str, Any]) -> Optional[dict[str, Any]]:
    """The parameters without an attribute of their own, as JSON values."""
    made = {
        key: _json_value(value) for key, value in arguments.items() if key not in _NOT_PARAMETERS
    }
    return made or None


def _json_value(value: Any) -> Any:
    if isinstance(value, type):
        # A pydantic model as response format: its schema is what goes over the wire.
        schema = getattr(value, "model_json_schema", None)
        if schema is None:
            return value.__name__
        return {"type": "json_schema", "json_schema": {"name": value.__name__, "schema": schema()}}
    dump = getattr(value, "model_dump", None)
    return dump(mode="json", exclude_none=True) if callable(dump) else value


def usage(counts: Any) -> Optional[Usage]:
    """Token counts in either of OpenAI's two shapes; both count cached tokens as input."""
    if counts is None:
        return None
    input_tokens = field(counts, "prompt_tokens")
    if input_tokens is None:
        input_tokens = field(counts, "input_tokens")
        output_tokens = field(counts, "output_tokens")
        input_details = field(counts, "input_tokens_details")
        output_details = field(counts, "output_tokens_details")
    else:
        output_tokens = field(counts, "completion_tokens")
        input_details = field(counts, "prompt_tokens_details")
        output_details = field(counts, "completion_tokens_details")
    cache_read = cache_write = audio_input = image_input = reasoning = audio_output = None
    if input_details is not None:
        cache_read = field(input_details, "cached_tokens")
        cache_write = field(input_details, "cache_write_tokens")
        if cache_write is None:
            cache_write = field(input_details, "cache_creation_input_tokens")
        audio_input = field(input_details, "audio_tokens")
        image_input = field(input_details, "image_tokens")
    if output_details is not None:
        reasoning = field(output_details, "reasoning_tokens")
        audio_output = field(output_details, "audio_tokens")
    if cache_read is None:
        cache_read = field(counts, "prompt_cache_hit_tokens")  # DeepSeek's name
    return Usage(
        input_tokens,
        output_tokens,
        cache_read,
        cache_write,
        reasoning,
        audio_input,
        audio_output,
        image_input,
    )


def text_of(content: Any) -> Optional[str]:
    """The text of a content that is text, else None."""
    return content if isinstance(content, str) else None


def fault(error: BaseException) -> Optional[Fault]:
    """An exception of the SDK: its class, its words, the HTTP status."""
    status = getattr(error, "status_code", None)
    if not isinstance(status, int):
        return None
    name = type(error).__qualname__
    return Fault(name, str(error) or name, status)
