"""Which provider an Anthropic client talks to, and what its calls have in common."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Optional, cast
from urllib.parse import urlsplit

from peekr.instrumentation.contract import Fault, Usage, field, fields
from peekr.instrumentation.sound import count, dumped
from peekr.semconv import otel

__all__ = ["endpoint", "fault", "given", "parameters", "sampling", "tracing_settings", "usage"]

_PROVIDERS_BY_CLASS = (("Bedrock", "aws.bedrock"), ("Vertex", "gcp.vertex_ai"))
# Hosts of services that speak Anthropic's API, by the end of their name.
_PROVIDERS_BY_HOST = (
    ("anthropic.com", "anthropic"),
    ("aiplatform.googleapis.com", "gcp.vertex_ai"),
    ("deepseek.com", "deepseek"),
    ("openrouter.ai", "openrouter"),
    ("moonshot.ai", "moonshot_ai"),
)
_MAX_ENDPOINTS = 256

_SAMPLING = {
    "temperature": otel.GEN_AI_REQUEST_TEMPERATURE,
    "top_p": otel.GEN_AI_REQUEST_TOP_P,
    "top_k": otel.GEN_AI_REQUEST_TOP_K,
    "max_tokens": otel.GEN_AI_REQUEST_MAX_TOKENS,
}
_FLOATS = frozenset(("temperature", "top_p"))
# Content, transport and what is recorded elsewhere.
_NOT_PARAMETERS = frozenset(
    (*_SAMPLING, "messages", "model", "stop_sequences", "stream", "system", "tools")
)
# Parameters that hold no content whatever their value; those of other names may.
_PLAIN_PARAMETERS = frozenset(
    (
        "cache_control",
        "container",
        "inference_geo",
        "metadata",
        "service_tier",
        "speed",
        "thinking",
        "thread",
        "tool_choice",
    )
)
_SECRETS = frozenset(("authorization_token", "fallback_credit_token"))

Server = Optional[tuple[str, Optional[int]]]


def endpoint(client: Any) -> tuple[Optional[str], Server]:
    """The provider's name and the server of a client; None where unknown."""
    base_url = getattr(client, "base_url", None)
    if base_url is None:
        return None, None
    kind = cast("type[Any]", type(client))
    key = (id(base_url), kind)
    known = _endpoints.get(key)
    if known is None:
        if len(_endpoints) >= _MAX_ENDPOINTS:
            _endpoints.clear()
        parts = urlsplit(str(base_url))
        host, port = parts.hostname or "", parts.port
        if port is None and parts.scheme:
            port = 443 if parts.scheme == "https" else 80
        server: Server = (host, port) if host else None
        # The address is kept with its object, so that the object's id stays its own.
        known = _endpoints[key] = (base_url, (_provider(kind, host), server))
    return known[1]


_endpoints: dict[tuple[int, type[Any]], tuple[Any, tuple[str, Server]]] = {}


def _provider(client_class: type[Any], host: str) -> str:
    # The class that the SDK defines, also where an application derives its own from it.
    names = " ".join(cls.__name__ for cls in client_class.__mro__)
    for part, provider in _PROVIDERS_BY_CLASS:
        if part in names:
            return provider
    for suffix, provider in _PROVIDERS_BY_HOST:
        if host == suffix or host.endswith("." + suffix):
            return provider
    if host.startswith("bedrock") and host.endswith("amazonaws.com"):
        return "aws.bedrock"
    return "anthropic"


def tracing_settings(client: Any) -> Mapping[str, Any]:
    """What a client's own tracing was told; empty where the SDK has none (before 1.15)."""
    settings = getattr(client, "open_telemetry", None)
    return cast("Mapping[str, Any]", settings) if isinstance(settings, Mapping) else {}


def given(body: Mapping[str, Any]) -> dict[str, Any]:
    """The arguments that the caller gave.

    The SDK's markers for "not given" are no values; None is left out as well, for it asks for
    nothing.
    """
    return {
        key: value
        for key, value in body.items()
        if value is not None and type(value).__name__ not in ("Omit", "NotGiven")
    }


def sampling(arguments: Mapping[str, Any]) -> dict[str, Any]:
    """The sampling parameters and the like under their attribute names."""
    made: dict[str, Any] = {}
    for key, name in _SAMPLING.items():
        value = arguments.get(key)
        if isinstance(value, (int, float)) and not isinstance(value, bool):
            made[name] = float(value) if key in _FLOATS else value
    stop = arguments.get("stop_sequences")
    if isinstance(stop, (list, tuple)) and stop:
        made[otel.GEN_AI_REQUEST_STOP_SEQUENCES] = [str(entry) for entry in cast("list[Any]", stop)]
    wanted = field(arguments.get("output_config"), "format") or arguments.get("output_format")
    if field(wanted, "type") == "json_schema":
        made[otel.GEN_AI_OUTPUT_TYPE] = "json"
    return made


def parameters(arguments: Mapping[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    """The parameters without an attribute of their own, as JSON values, secrets left out.

    Returns:
        Those that hold no content, and those that may.
    """
    plain: dict[str, Any] = {}
    contents: dict[str, Any] = {}
    for key, value in arguments.items():
        if key in _PLAIN_PARAMETERS:
            plain[key] = _json_value(value)
        elif key not in _NOT_PARAMETERS and key not in _SECRETS:
            contents[key] = _json_value(value)
    return plain, contents


def _json_value(value: Any) -> Any:
    if isinstance(value, Mapping):
        entries = cast("Mapping[str, Any]", value)
        return {key: _json_value(v) for key, v in entries.items() if key not in _SECRETS}
    if isinstance(value, (list, tuple)):
        return [_json_value(entry) for entry in cast("list[Any]", value)]
    return dumped(value) if callable(getattr(value, "model_dump", None)) else value


def usage(counts: Any) -> Optional[Usage]:
    """Token counts; what Anthropic calls input leaves out what concerns the cache."""
    get = fields(counts).get
    read = count(get("cache_read_input_tokens"))
    written = count(get("cache_creation_input_tokens"))
    fresh = count(get("input_tokens"))
    return Usage(
        None if fresh is None else fresh + (read or 0) + (written or 0),
        get("output_tokens"),
        read,
        written,
        field(field(counts, "output_tokens_details"), "thinking_tokens"),
        cache_write_1h=field(get("cache_creation"), "ephemeral_1h_input_tokens") or None,
    )


def fault(error: BaseException) -> Optional[Fault]:
    """An exception of the SDK: its class, words and HTTP status, and the provider's name for it."""
    body = getattr(error, "body", None)
    code = field(field(body, "error"), "type")
    status = getattr(error, "status_code", None)
    name = type(error).__qualname__
    # An error event has the status of the response that began its stream, which is none.
    refused = isinstance(status, int) and status >= 400
    return Fault(name, str(error) or name, status if refused else None, code)
