"""Which model a Bedrock call names, where its client sends it, and what every answer carries."""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from typing import Any, Optional, cast
from urllib.parse import urlsplit

from peekr.instrumentation.bedrock.form import obj, whole_input
from peekr.instrumentation.contract import Fault, Request, Usage
from peekr.instrumentation.sound import count
from peekr.messages import dump
from peekr.semconv import otel, own

__all__ = [
    "address",
    "answer_attributes",
    "arguments",
    "converse_usage",
    "counted",
    "endpoint",
    "event_fault",
    "fault",
    "guardrail_attributes",
    "guardrail_id",
    "headers_of",
    "model_id",
    "routed_model",
]

# What a guardrail's trace quotes of prompts and answers; the rest of it says what it found.
_QUOTED = frozenset(("match", "modelOutput", "findings", "text"))


def arguments(args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> dict[str, Any]:
    """The parameters of an operation, from the arguments of a client's `_make_api_call`."""
    return obj(args[1] if len(args) > 1 else kwargs.get("api_params"))


def model_id(identifier: Any) -> Optional[str]:
    """The model's id: an ARN's resource without its kind, anything else as it is.

    An inference profile keeps its region (`us.anthropic.claude-…`): that is the id under which it
    is called and priced. The resource of an application's inference profile, of an imported or a
    provisioned model is an opaque id.
    """
    if not isinstance(identifier, str):
        return None
    if not identifier.startswith("arn:"):
        return identifier
    resource = identifier.split(":", 5)[-1]
    return resource.partition("/")[2] or resource


def address(request: Request, instance: Any, asked: Mapping[str, Any]) -> None:
    """Put into a request which model it names, in full where that is more, and the server."""
    identifier = asked.get("modelId")
    request.model = model_id(identifier)
    request.server = endpoint(instance)
    if request.model != identifier:
        request.parameters = {**(request.parameters or {}), "modelId": identifier}


def endpoint(instance: Any) -> Optional[tuple[str, Optional[int]]]:
    """Host and port that a client sends to; None where unknown."""
    url = getattr(getattr(instance, "meta", None), "endpoint_url", None)
    return _endpoint(url) if isinstance(url, str) else None


@lru_cache(maxsize=256)
def _endpoint(url: str) -> Optional[tuple[str, Optional[int]]]:
    parts = urlsplit(url)
    if not parts.hostname:
        return None
    return parts.hostname, parts.port or (443 if parts.scheme == "https" else 80)


def routed_model(trace: Any) -> Optional[str]:
    """The model that a prompt router chose."""
    return model_id(obj(obj(trace).get("promptRouter")).get("invokedModelId"))


def converse_usage(counts: Any) -> Optional[Usage]:
    """The token counts of Converse, or of Nova's own answers."""
    given = obj(counts)
    if not given:
        return None
    read = given.get("cacheReadInputTokens", given.get("cacheReadInputTokenCount"))
    written = given.get("cacheWriteInputTokens", given.get("cacheWriteInputTokenCount"))
    sent = whole_input(given.get("inputTokens"), read, written)
    return Usage(sent, given.get("outputTokens"), read, written, cache_write_1h=_for_an_hour(given))


def _for_an_hour(counts: Mapping[str, Any]) -> Optional[int]:
    """The tokens written to a cache that keeps them for an hour, which cost more than others."""
    details: Any = counts.get("cacheDetails")
    if not isinstance(details, list):
        return None
    entries = map(obj, cast("list[Any]", details))
    kept = (count(one.get("inputTokens")) for one in entries if one.get("ttl") == "1h")
    return sum(one or 0 for one in kept) or None


def headers_of(answer: Mapping[str, Any]) -> dict[str, Any]:
    """The HTTP headers of an answer; their names are in lower case."""
    return obj(obj(answer.get("ResponseMetadata")).get("HTTPHeaders"))


def counted(headers: Mapping[str, Any]) -> Optional[Usage]:
    """The token counts that Bedrock sends as headers; its input leaves the cache out."""
    read, written, sent, made = (
        _number(headers.get(f"x-amzn-bedrock-{name}-token-count"))
        for name in ("cache-read-input", "cache-write-input", "input", "output")
    )
    if sent is None and made is None:
        return None
    if sent is not None:
        sent += (read or 0) + (written or 0)
    return Usage(sent, made, read, written)


def _number(value: Any) -> Optional[int]:
    try:
        return count(int(value))
    except (TypeError, ValueError, OverflowError):
        return None


def answer_attributes(answer: Mapping[str, Any], latency_ms: Any = None) -> dict[str, Any]:
    """The request's id, and how long Bedrock says that it took."""
    made: dict[str, Any] = {}
    request_id = obj(answer.get("ResponseMetadata")).get("RequestId")
    if isinstance(request_id, str):
        made[own.PEEKR_REQUEST_ID] = request_id
    if latency_ms is None:
        latency_ms = _number(headers_of(answer).get("x-amzn-bedrock-invocation-latency"))
    if isinstance(latency_ms, (int, float)):
        made[own.PEEKR_RESPONSE_LATENCY_MS] = latency_ms
    return made


def guardrail_attributes(trace: Any) -> dict[str, Any]:
    """What a guardrail's trace says it found, without the text in which it found it."""
    found = obj(trace).get("guardrail")
    if not found:
        return {}
    return {own.PEEKR_RESPONSE_GUARDRAIL: dump(_without_quotes(found))}


def _without_quotes(value: Any) -> Any:
    if isinstance(value, dict):
        return {k: _without_quotes(v) for k, v in obj(value).items() if k not in _QUOTED}
    if isinstance(value, list):
        return [_without_quotes(entry) for entry in value]  # pyright: ignore[reportUnknownVariableType]
    return value


def guardrail_id(identifier: Any) -> dict[str, Any]:
    """The guardrail that a request names."""
    return {otel.AWS_BEDROCK_GUARDRAIL_ID: identifier} if isinstance(identifier, str) else {}


def fault(error: BaseException) -> Optional[Fault]:
    """An exception of botocore that carries the service's answer: its code, words and status."""
    answer = obj(getattr(error, "response", None))
    described = obj(answer.get("Error"))
    code = described.get("Code")
    if not isinstance(code, str) or not code:
        return None
    status = obj(answer.get("ResponseMetadata")).get("HTTPStatusCode")
    if type(error).__name__ == "EventStreamError":
        status = None  # botocore's own, for an error inside an answer of status 200
    message = described.get("Message") or answer.get("message") or str(error)
    return Fault(code, str(message), status if isinstance(status, int) else None, answer=answer)


def event_fault(event: Mapping[str, Any]) -> Optional[Fault]:
    """A failure that comes as an event of a stream: `{"throttlingException": {…}}`."""
    for name, detail in event.items():
        if name.endswith("Exception"):
            described = obj(detail)
            status = described.get("originalStatusCode")
            message = described.get("message") or described.get("originalMessage") or name
            return Fault(name, str(message), status if isinstance(status, int) else None)
    return None
