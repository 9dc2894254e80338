"""What kind of work a span was, decided in one place: by its operation, else by its name."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from peekr.semconv import otel, own

__all__ = ["CALLS", "decide", "is_internal", "kind_of"]

CALLS = ("llm", "embedding")
"""The kinds that are calls of a model."""

_OPERATION = otel.GEN_AI_OPERATION_NAME
_INTERNAL = own.PEEKR_INTERNAL
_OPERATIONS = {
    "chat": "llm",
    "generate_content": "llm",
    "text_completion": "llm",
    "completion": "llm",
    "embeddings": "embedding",
    "execute_tool": "tool",
    "invoke_agent": "agent",
    "create_agent": "agent",
    "invoke_workflow": "agent",
    "retrieval": "tool",
    "evaluate": "eval",
}
_NAMES = (
    (re.compile(r"(openai|gemini|bedrock)\.\w*embed"), "embedding"),
    (re.compile(r"(openai|anthropic|gemini)\.\w+$|bedrock\.(converse|invoke)"), "llm"),
    (re.compile(r"(tool|function|retriev\w*|search|mcp)[._ ]", re.IGNORECASE), "tool"),
    (re.compile(r"(agent|crew|workflow|chain|graph)[._ ]", re.IGNORECASE), "agent"),
    (re.compile(r"(GET|POST|PUT|PATCH|DELETE|HEAD|OPTIONS)( |$)"), "http"),
    (re.compile(r"(guard|guardrail)[._ ]", re.IGNORECASE), "guard"),
)


def decide(name: str, operation: object, has_model: bool, has_usage: bool) -> str:
    """`llm`, `embedding`, `tool`, `agent`, `http`, `guard`, `eval` or `app`.

    Args:
        name: The span's.
        operation: What the span says that it did.
        has_model: Whether it names a model.
        has_usage: Whether it reports tokens.
    """
    found = _OPERATIONS.get(operation) if isinstance(operation, str) else None
    if found is not None:
        return found
    for pattern, kind in _NAMES:
        if pattern.match(name):
            # A name alone makes no model call: there has to be a model.
            return kind if kind not in CALLS or has_model else "app"
    return "llm" if has_model and has_usage else "app"


def kind_of(name: str, attributes: Mapping[str, Any]) -> str:
    """The kind of one span."""
    get = attributes.get
    has_usage = get("tokens_input") is not None or get("tokens_output") is not None
    return decide(name, get(_OPERATION), get("model") is not None, has_usage)


def is_internal(attributes: Mapping[str, Any]) -> bool:
    """Whether a span is Peekr's own, such as the call of a judge."""
    return bool(attributes.get(_INTERNAL))
