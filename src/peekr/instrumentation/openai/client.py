"""Which provider an OpenAI client talks to, and what its calls have in common."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Optional, cast
from urllib.parse import urlsplit

from peekr.instrumentation.contract import Fault, Usage, fields
from peekr.instrumentation.sound import dumped, listed
from peekr.messages import Part, data_url, reasoning, refusal, text
from peekr.semconv import otel

__all__ = [
    "body_error",
    "endpoint",
    "fault",
    "plain",
    "read",
    "response_attributes",
    "text_of",
    "unknown",
    "usage",
]

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
    ("api.aws", "aws.bedrock"),
)
# What `OpenAI(provider=…)` calls its platforms.
_PROVIDERS_BY_NAME = {"bedrock": "aws.bedrock", "vertex": "gcp.vertex_ai"}
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
_ABSENT = ("Omit", "NotGiven")
# Parameters that hold no content whatever their value; those of other names may.
_PLAIN_PARAMETERS = frozenset(
    (
        "background",
        "best_of",
        "echo",
        "include",
        "logit_bias",
        "logprobs",
        "max_tool_calls",
        "metadata",
        "modalities",
        "parallel_tool_calls",
        "previous_response_id",
        "prompt_cache_key",
        "prompt_cache_retention",
        "reasoning",
        "reasoning_effort",
        "safety_identifier",
        "store",
        "stream_options",
        "tool_choice",
        "top_logprobs",
        "truncation",
        "user",
        "verbosity",
    )
)
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
        "extra_body",
        "extra_headers",
        "extra_query",
        "timeout",
        "encoding_format",
        "dimensions",
    )
)


def endpoint(instance: Any) -> tuple[Optional[str], Optional[tuple[str, Optional[int]]]]:
    """The provider's name and the server of a client or of a resource's; None where unknown."""
    client: Any = instance
    base_url = getattr(instance, "base_url", None)
    if base_url is None:
        client = getattr(instance, "_client", None)
        base_url = getattr(client, "base_url", None)
    if base_url is None:
        return None, None
    key = (id(base_url), client.__class__)
    known = _endpoints.get(key)
    if known is None:
        if len(_endpoints) >= _MAX_ENDPOINTS:
            _endpoints.clear()
        parts = urlsplit(str(base_url))
        host, port = parts.hostname or "", parts.port
        if port is None and parts.scheme:
            port = 443 if parts.scheme == "https" else 80
        provider = _provider_of(client) or _provider(host, port)
        # The address is kept with its object, so that the object's id stays its own.
        known = _endpoints[key] = (base_url, (provider, (host, port) if host else None))
    return known[1]


_MAX_ENDPOINTS = 256
_endpoints: dict[
    tuple[int, type], tuple[Any, tuple[Optional[str], Optional[tuple[str, Optional[int]]]]]
] = {}


def _provider_of(client: Any) -> Optional[str]:
    """The provider that a client says itself: by its class, or by its `provider=`."""
    # The class that the SDK defines, also where an application derives its own from it.
    names = " ".join(cls.__name__ for cls in type(client).__mro__)
    if "Azure" in names:
        return "azure.ai.openai"
    if "Bedrock" in names:
        return "aws.bedrock"
    return _PROVIDERS_BY_NAME.get(getattr(getattr(client, "_provider_runtime", None), "name", ""))


def _provider(host: str, port: Optional[int]) -> str:
    for suffix, provider in _PROVIDERS_BY_HOST:
        if host == suffix or host.endswith("." + suffix):
            return provider
    if host.endswith("-aiplatform.googleapis.com"):
        return "gcp.vertex_ai"
    if "ollama" in host or (host in _LOCAL_HOSTS and port == _OLLAMA_PORT):
        return "ollama"
    if "vllm" in host or (host in _LOCAL_HOSTS and port == _VLLM_PORT):
        return "vllm"
    return "openai"


def read(
    kwargs: Mapping[str, Any],
) -> tuple[dict[str, Any], dict[str, Any], dict[str, Any], dict[str, Any]]:
    """What the caller asked for, in one pass over the arguments.

    The SDK's markers for "not given" are no values; None is left out as well, for it asks for
    nothing. `extra_body` is merged in as the SDK does.

    Returns:
        The arguments that were given; sampling parameters and the like under their attribute
        names; the parameters that have no attribute of their own, as JSON values; the same of
        those that may be content.
    """
    extra = kwargs.get("extra_body")
    if isinstance(extra, dict):
        kwargs = {**kwargs, **cast("dict[str, Any]", extra)}
    arguments: dict[str, Any] = {}
    attributes: dict[str, Any] = {}
    parameters: dict[str, Any] = {}
    contents: dict[str, Any] = {}
    for key, value in kwargs.items():
        if value is None or type(value).__name__ in _ABSENT:
            continue
        arguments[key] = value
        name = _SAMPLING.get(key)
        if name is not None:
            if key in _FLOATS and type(value) is int:
                value = float(value)
            if isinstance(value, (int, float, str)) and not isinstance(value, bool):
                attributes[name] = value
            if key == "max_completion_tokens":
                parameters[key] = value  # two names of one limit, of which a model may know one
        elif key in _PLAIN_PARAMETERS:
            parameters[key] = plain(value)
        elif key not in _NOT_PARAMETERS:
            contents[key] = plain(value)
    stop = arguments.get("stop")
    if stop is not None:
        attributes[otel.GEN_AI_REQUEST_STOP_SEQUENCES] = (
            [stop] if isinstance(stop, str) else [str(entry) for entry in listed(stop)]
        )
    choices = arguments.get("n")
    if isinstance(choices, int) and choices != 1:
        attributes[otel.GEN_AI_REQUEST_CHOICE_COUNT] = choices
    return arguments, attributes, parameters, contents


def plain(value: Any) -> Any:
    """JSON values out of the SDK's and the caller's objects; inline media by its digest alone."""
    if isinstance(value, str):
        return data_url("", value) if value.startswith("data:") and ";base64," in value else value
    if isinstance(value, dict):
        return {key: plain(entry) for key, entry in cast("dict[Any, Any]", value).items()}
    if isinstance(value, (list, tuple)):
        return [plain(entry) for entry in cast("list[Any]", value)]
    if isinstance(value, type):
        # A pydantic model as response format: its schema is what goes over the wire.
        schema = getattr(value, "model_json_schema", None)
        if schema is None:
            return value.__name__
        return {"type": "json_schema", "json_schema": {"name": value.__name__, "schema": schema()}}
    dump = getattr(value, "model_dump", None)
    return plain(dumped(value)) if callable(dump) else value


def unknown(entry: Any, kind: Any) -> Part:
    """A part or an item of a kind that is new: its fields as they are."""
    held = plain(entry)
    rest = cast("dict[str, Any]", held) if isinstance(held, dict) else {"content": held}
    make = _TEXTS.get(kind) if isinstance(kind, str) else None
    if make is not None:
        return make(cast("Any", rest.get("content", rest.get("text"))))
    return {"type": str(kind or "unknown"), **{k: v for k, v in rest.items() if k != "type"}}


# Kinds of the conventions' own, whose parts have a text.
_TEXTS = {"text": text, "reasoning": reasoning, "refusal": refusal}


def usage(counts: Any) -> Optional[Usage]:
    """Token counts in either of OpenAI's two shapes; both count cached tokens as input."""
    if counts is None:
        return None
    get = fields(counts).get
    if get("prompt_tokens") is not None:
        input_tokens, output_tokens = get("prompt_tokens"), get("completion_tokens")
        input_details = get("prompt_tokens_details")
        output_details = get("completion_tokens_details")
    else:
        input_tokens, output_tokens = get("input_tokens"), get("output_tokens")
        input_details, output_details = get("input_tokens_details"), get("output_tokens_details")
    get_input = fields(input_details).get
    get_output = fields(output_details).get
    cache_read = get_input("cached_tokens")
    if cache_read is None:
        cache_read = get("prompt_cache_hit_tokens")  # DeepSeek's name
    cache_write = get_input("cache_write_tokens")
    if cache_write is None:
        cache_write = get_input("cache_creation_input_tokens")
    return Usage(
        input_tokens,
        output_tokens,
        cache_read,
        cache_write,
        get_output("reasoning_tokens"),
        # Without audio or images these are noise: services report 0 for every text call.
        get_input("audio_tokens") or None,
        get_output("audio_tokens") or None,
        get_input("image_tokens") or None,
    )


def text_of(content: Any) -> Optional[str]:
    """The text of a content that is text, else None."""
    return content if isinstance(content, str) else None


def fault(error: BaseException) -> Optional[Fault]:
    """An exception of the SDK: its class, its words, the HTTP status, the API's code."""
    if not hasattr(error, "body"):
        answer = getattr(error, "completion", None)
        if answer is None:
            return None  # none of the SDK's: the caller's own, or Python's
        # `parse` could not make the caller's model of an answer that was cut off.
        name = type(error).__qualname__
        return Fault(name, str(error) or name, answer=answer)
    status = getattr(error, "status_code", None)
    code = getattr(error, "code", None) or getattr(error, "type", None)
    name = type(error).__qualname__
    return Fault(
        name,
        str(error) or name,
        status if isinstance(status, int) else None,
        str(code) if isinstance(code, (str, int)) else None,
    )


def response_attributes(result: Any) -> Optional[dict[str, Any]]:
    """Service tier and system fingerprint, where the answer says them."""
    made: dict[str, Any] = {}
    get = fields(result).get
    tier = get("service_tier")
    if isinstance(tier, str) and tier:
        made[otel.OPENAI_RESPONSE_SERVICE_TIER] = tier
    fingerprint = get("system_fingerprint")
    if isinstance(fingerprint, str) and fingerprint:
        made[otel.OPENAI_RESPONSE_SYSTEM_FINGERPRINT] = fingerprint
    return made or None


def body_error(result: Any) -> Optional[Fault]:
    """An error in a body of status 200, as some compatible services send."""
    get = fields(result).get
    error = None if get("choices") else get("error")
    if error is None:
        return None
    of_error = fields(error).get
    name = of_error("code") or of_error("type") or "error"
    return Fault(str(name), str(of_error("message") or error))
