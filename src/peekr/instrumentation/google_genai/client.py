"""Which service a client talks to, and what its calls have in common.

Source: the API reference of `generateContent` and `embedContent`, and the models of google-genai
1.0 to 3.4. Names are those of the SDK's models; a dictionary may spell them in camel case too.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from enum import Enum
from functools import lru_cache, partial
from typing import Any, Callable, Optional, cast
from urllib.parse import urlsplit

from peekr.instrumentation.contract import Fault, Usage, fields
from peekr.instrumentation.sound import count, dumped
from peekr.messages import binary
from peekr.semconv import otel

__all__ = [
    "Server",
    "endpoint",
    "fault",
    "get",
    "items_of",
    "model_name",
    "reader",
    "settings",
    "usage",
    "word",
]

Server = tuple[str, Optional[int]]

_SAMPLING = {
    "temperature": otel.GEN_AI_REQUEST_TEMPERATURE,
    "top_p": otel.GEN_AI_REQUEST_TOP_P,
    "top_k": otel.GEN_AI_REQUEST_TOP_K,
    "max_output_tokens": otel.GEN_AI_REQUEST_MAX_TOKENS,
    "frequency_penalty": otel.GEN_AI_REQUEST_FREQUENCY_PENALTY,
    "presence_penalty": otel.GEN_AI_REQUEST_PRESENCE_PENALTY,
    "seed": otel.GEN_AI_REQUEST_SEED,
}
_WHOLE = frozenset(("max_output_tokens", "seed"))
# Content, transport, what the SDK decides for itself, and what is recorded elsewhere.
_NOT_PARAMETERS = frozenset(
    (
        *_SAMPLING,
        "stop_sequences",
        "candidate_count",
        "output_dimensionality",
        "system_instruction",
        "tools",
        "http_options",
        "should_return_http_response",
        "automatic_function_calling",
        "automatic_continuation",
        "continuation_token",
    )
)
# Parameters that hold no content whatever their value; those of other names may.
_PLAIN_PARAMETERS = frozenset(
    (
        "audio_timestamp",
        "audio_track_extraction",
        "auto_truncate",
        "cached_content",
        "document_ocr",
        "enable_enhanced_civic_answers",
        "image_config",
        "labels",
        "logprobs",
        "media_resolution",
        "mime_type",
        "model_selection_config",
        "response_logprobs",
        "response_mime_type",
        "response_modalities",
        "routing_config",
        "safety_settings",
        "service_tier",
        "speech_config",
        "store",
        "task_type",
        "thinking_config",
        "tool_config",
    )
)
_UPPER = re.compile(r"(?<=[a-z0-9])([A-Z])")
_LOWER = re.compile(r"_([a-z0-9])")


def get(value: Any, name: str) -> Any:
    """A field by its name in snake case, of a model or of a dictionary in either case."""
    if isinstance(value, dict):
        entries = cast("dict[str, Any]", value)
        found = entries.get(name)
        return entries.get(_camel(name)) if found is None else found
    found = getattr(value, name, None)
    # A text where an object belongs has an `index` of its own.
    return None if found.__class__ is _METHOD else found


_METHOD = type("".index)


def reader(value: Any) -> Callable[[str], Any]:
    """What gives the fields of a value by their names, as `get` does; for several of one value.

    A model of the SDK's holds its fields in a dictionary, which is asked without a detour.
    """
    if _is_model(value.__class__) and not value.__pydantic_extra__:
        return value.__dict__.get
    return partial(get, value)


@lru_cache(maxsize=512)
def _is_model(kind: type) -> bool:
    return hasattr(kind, "__pydantic_validator__") and not issubclass(kind, dict)


def items_of(value: Any) -> list[Any]:
    """The entries of a list or a tuple; empty for anything else."""
    return list(cast("list[Any]", value)) if isinstance(value, (list, tuple)) else []


def word(value: Any) -> Optional[str]:
    """The provider's word behind an enumeration's member or a text; None for anything else."""
    if isinstance(value, Enum):
        value = value.value
    return value if isinstance(value, str) and value else None


@lru_cache(maxsize=512)
def _camel(name: str) -> str:
    return _LOWER.sub(lambda match: match.group(1).upper(), name)


@lru_cache(maxsize=512)
def _snake(name: str) -> str:
    return _UPPER.sub(r"_\1", name).lower()


def endpoint(instance: Any, config: Any = None) -> tuple[Optional[str], Optional[Server]]:
    """The provider's name and the server of a `Models`; None where unknown.

    Args:
        instance: The SDK's object that sends the request.
        config: The request's configuration, which may name another address.
    """
    client = getattr(instance, "_api_client", None)
    if client is None:
        return None, None
    provider = "gcp.vertex_ai" if getattr(client, "vertexai", None) else "gcp.gemini"
    address = get(get(config, "http_options"), "base_url")
    if not address:
        address = get(getattr(client, "_http_options", None), "base_url")
    return provider, _server(str(address)) if address else None


@lru_cache(maxsize=256)
def _server(address: str) -> Optional[Server]:
    parts = urlsplit(address)
    if not parts.hostname:
        return None
    port = parts.port
    if port is None and parts.scheme:
        port = 443 if parts.scheme == "https" else 80
    return parts.hostname, port


def model_name(model: Any) -> Optional[str]:
    """The model's id without the path of its resource; tuned models and endpoints keep theirs."""
    if not isinstance(model, str) or not model:
        return None
    if "tunedModels/" in model or "endpoints/" in model:
        return model
    return model.rpartition("/")[2] or model


def settings(
    config: Any,
) -> tuple[dict[str, Any], Optional[dict[str, Any]], Optional[dict[str, Any]]]:
    """A request's configuration.

    Returns:
        What has an attribute of its own, the other parameters that hold no content, and those
        that may.
    """
    attributes: dict[str, Any] = {}
    parameters: dict[str, Any] = {}
    contents: dict[str, Any] = {}
    named: Mapping[str, Any] = fields(config)
    for key, value in named.items():
        if value is None:
            continue
        name = _snake(key)
        attribute = _SAMPLING.get(name)
        if attribute is not None:
            if isinstance(value, (int, float)) and not isinstance(value, bool):
                attributes[attribute] = int(value) if name in _WHOLE else float(value)
        elif name in _PLAIN_PARAMETERS:
            parameters[name] = _json_value(value)
        elif name not in _NOT_PARAMETERS:
            contents[name] = _json_value(value)
    stop = items_of(get(config, "stop_sequences"))
    if stop:
        attributes[otel.GEN_AI_REQUEST_STOP_SEQUENCES] = [str(entry) for entry in stop]
    choices = get(config, "candidate_count")
    if isinstance(choices, int) and choices != 1:
        attributes[otel.GEN_AI_REQUEST_CHOICE_COUNT] = choices
    output_type = _output_type(config)
    if output_type is not None:
        attributes[otel.GEN_AI_OUTPUT_TYPE] = output_type
    return attributes, parameters or None, contents or None


def _output_type(config: Any) -> Optional[str]:
    modalities = {
        str(word(entry)).upper() for entry in items_of(get(config, "response_modalities"))
    }
    if "IMAGE" in modalities:
        return "image"
    if "AUDIO" in modalities:
        return "speech"
    mime_type = get(config, "response_mime_type")
    if mime_type == "application/json":
        return "json"
    if mime_type or modalities:
        return "text"
    return None


def _json_value(value: Any) -> Any:
    if getattr(value, "__origin__", None) is list:
        # The SDK has a model made of it, of this name.
        made: dict[str, Any] = {"type": "array", "title": "Placeholder"}
        made["items"] = items = _json_value(value.__args__[0])
        if isinstance(items, dict) and "$defs" in items:
            made["$defs"] = cast("dict[str, Any]", items).pop("$defs")
        return made
    if isinstance(value, type):
        # A pydantic model as response schema: what goes over the wire is its schema.
        schema = getattr(value, "model_json_schema", None)
        return value.__name__ if schema is None else schema()
    if isinstance(value, Enum):
        return value.value
    if isinstance(value, (bytes, bytearray)):
        return binary("document", value)
    if isinstance(value, dict):
        entries = cast("dict[Any, Any]", value)
        return {str(key): _json_value(entry) for key, entry in entries.items()}
    if isinstance(value, (list, tuple)):
        return [_json_value(entry) for entry in cast("list[Any]", value)]
    dump = getattr(value, "model_dump", None)
    if callable(dump):
        return dumped(value)
    if value is None or isinstance(value, (str, int, float)):
        return value
    return str(value)  # such as `dict[str, Model]` for a schema


def usage(counts: Any) -> Optional[Usage]:
    """Token counts of an answer.

    `prompt_token_count` includes cached tokens and leaves out what server-side tools gave the
    model; `candidates_token_count` leaves the thoughts out.

    Source: `GenerateContentResponse.UsageMetadata`, whose total is the sum of prompt, candidates,
    tool use and thoughts.
    """
    if counts is None:
        return None
    prompt = count(get(counts, "prompt_token_count"))
    candidates = count(get(counts, "candidates_token_count"))
    if candidates is None:
        candidates = count(get(counts, "response_token_count"))
    thoughts = count(get(counts, "thoughts_token_count"))
    prompt_details = get(counts, "prompt_tokens_details")
    return Usage(
        input=_sum(prompt, count(get(counts, "tool_use_prompt_token_count"))),
        output=_sum(candidates, thoughts),
        cache_read=get(counts, "cached_content_token_count"),
        reasoning=thoughts,
        audio_input=_of_modality(prompt_details, "AUDIO"),
        audio_output=_of_modality(get(counts, "candidates_tokens_details"), "AUDIO"),
        image_input=_of_modality(prompt_details, "IMAGE"),
    )


def _sum(first: Optional[int], second: Optional[int]) -> Optional[int]:
    if first is None or second is None:
        return second if first is None else first
    return first + second


def _of_modality(details: Any, modality: str) -> Optional[int]:
    counts = [
        count(get(entry, "token_count")) or 0
        for entry in items_of(details)
        if word(get(entry, "modality")) == modality
    ]
    return sum(counts) if counts else None


def fault(error: BaseException) -> Optional[Fault]:
    """An exception of the SDK: its class, the API's words, the HTTP status, the API's status."""
    code = getattr(error, "code", None)
    if not isinstance(code, int):
        return None
    name = type(error).__qualname__
    status, message = getattr(error, "status", None), getattr(error, "message", None)
    words = f"{code} {status}. {message}" if status and message else str(error) or name
    return Fault(name, words, code, status if isinstance(status, str) and status else None)
