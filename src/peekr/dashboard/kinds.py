"""What kind of work a span was, decided in one place: by its operation, else by its name."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

__all__ = ["CALLS", "is_internal", "kind_of"]

CALLS = ("llm", "embedding")
"""The kinds that are calls of a model."""

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


def kind_of(name: str, attributes: Mapping[str, Any]) -> str:
    """`llm`, `embedding`, `tool`, `agent`, `http`, `guard`, `eval` or `app`."""
    operation = attributes.get("gen_ai.operation.name")
    if type(operation) is str:
        found = _OPERATIONS.get(operation)
        if found is not None:
            return found
    for pattern, kind in _NAMES:
        if pattern.match(name):
            # A name alone makes no model call: there has to be a model.
            return kind if kind not in CALLS or "model" in attributes else "app"
    if "model" in attributes and ("tokens_input" in attributes or "tokens_output" in attributes):
        return "llm"
    return "app"


def is_internal(attributes: Mapping[str, Any]) -> bool:
    """Whether a span is Peekr's own, such as the call of a judge."""
    return bool(attributes.get("peekr.internal"))
