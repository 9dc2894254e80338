"""Logfire: JSON text under `logfire.json_schema`, and its own form of calls before the conventions.

Before Logfire 4.x a call was `request_data` and `response_data`, as they went over the wire.
"""

from __future__ import annotations

from typing import Any

from peekr.dialects.draft import Draft, entries, mapping, number, parsed, text
from peekr.dialects.openinference import PARAMETERS
from peekr.dialects.wire import conversation, message_of, tool_definition
from peekr.semconv import otel, own

__all__ = ["MARKERS", "put_usage", "translate"]

_MESSAGE = "logfire.msg"
_SCHEMA = "logfire.json_schema"
MARKERS = frozenset((_MESSAGE, _SCHEMA, "logfire.msg_template", "logfire.span_type"))


def translate(draft: Draft) -> None:
    """Give a span of Logfire today's names, and its message as the record's name."""
    message = text(draft.get(_MESSAGE))
    if message is not None and "{" in draft.name:
        # The span's name is the template: what was filled in tells spans apart.
        draft.put(own.PEEKR_RECORD_NAME, message)
    schema = mapping(parsed(draft.get(_SCHEMA)))
    if schema:
        draft.take(_SCHEMA)
        for key, described in mapping(schema.get("properties")).items():
            if key in draft.attributes and mapping(described).get("type") in ("object", "array"):
                draft.attributes[key] = parsed(draft.attributes[key])
    request = mapping(parsed(draft.get("request_data")))
    if "model" in request and ("messages" in request or "input" in request or len(request) == 1):
        draft.take("request_data")
        _request(draft, request)
        response = mapping(parsed(draft.get("response_data")))
        if response:
            draft.take("response_data")
            _response(draft, response)
    raw = mapping(parsed(draft.get("gen_ai.usage.raw")))
    if raw:
        draft.take("gen_ai.usage.raw")
        put_usage(draft, raw)


def _request(draft: Draft, request: dict[str, Any]) -> None:
    rest = dict(request)
    for name, key in PARAMETERS.items():
        if name in rest:
            draft.put(key, rest.pop(name))
    messages = rest.pop("messages", None)
    if messages is None:
        messages = rest.pop("input", None)
    draft.put(otel.GEN_AI_INPUT_MESSAGES, conversation(messages))
    tools = entries(rest.pop("tools", None))
    if tools:
        draft.put(otel.GEN_AI_TOOL_DEFINITIONS, [tool_definition(tool) for tool in tools])
    provider = draft.scope.rpartition(".")[2] if draft.scope.startswith("logfire.") else None
    if otel.GEN_AI_PROVIDER_NAME not in draft.attributes:
        draft.put("gen_ai.system", provider)
    if rest:
        draft.put(own.PEEKR_REQUEST_PARAMETERS, rest)


def _response(draft: Draft, response: dict[str, Any]) -> None:
    rest = dict(response)
    given = rest.pop("message", None)
    if given is None:
        given = rest.pop("combined_chunk_content", None)
    if isinstance(given, dict):
        draft.put(otel.GEN_AI_OUTPUT_MESSAGES, [message_of(mapping(given), "assistant")])
    else:
        draft.put(otel.GEN_AI_OUTPUT_MESSAGES, conversation(given, "assistant"))
    put_usage(draft, mapping(rest.pop("usage", None)))
    if rest:
        draft.put("response_data", rest)


def put_usage(draft: Draft, usage: dict[str, Any]) -> None:
    """The usage as OpenAI's and Anthropic's APIs report it."""
    used = number(usage.get("prompt_tokens"))
    details = mapping(usage.get("prompt_tokens_details") or usage.get("input_tokens_details"))
    read = number(details.get("cached_tokens"))
    written = number(usage.get("cache_creation_input_tokens"))
    if used is None:
        used = number(usage.get("input_tokens"))
        apart = number(usage.get("cache_read_input_tokens"))
        if apart is not None or written is not None:
            # Anthropic's: what the cache had or took is not in the input.
            read = apart if read is None else read
            if used is not None:
                used += (apart or 0) + (written or 0)
    draft.put(otel.GEN_AI_USAGE_INPUT_TOKENS, used)
    made = number(usage.get("completion_tokens"))
    if made is None:
        made = number(usage.get("output_tokens"))
    draft.put(otel.GEN_AI_USAGE_OUTPUT_TOKENS, made)
    draft.put(otel.GEN_AI_USAGE_CACHE_READ_INPUT_TOKENS, read)
    draft.put(otel.GEN_AI_USAGE_CACHE_CREATION_INPUT_TOKENS, written)
    details = mapping(usage.get("completion_tokens_details") or usage.get("output_tokens_details"))
    draft.put(otel.GEN_AI_USAGE_REASONING_OUTPUT_TOKENS, number(details.get("reasoning_tokens")))
