"""Whether a span is a model call, in the words of whoever made it."""

from __future__ import annotations

from opentelemetry.sdk.trace import ReadableSpan

from peekr.semconv import otel

__all__ = ["is_model_call"]

_OPERATIONS = frozenset(
    ("chat", "text_completion", "generate_content", "embeddings", "completion", "embedding")
)
# OpenInference's and OpenLLMetry's own, and the name that the conventions had before.
_KIND, _KINDS = "openinference.span.kind", frozenset(("LLM", "EMBEDDING"))
_TYPE, _TYPES = "llm.request.type", frozenset(("chat", "completion", "embedding"))
_SYSTEM = "gen_ai.system"


def is_model_call(span: ReadableSpan) -> bool:
    """Whether a span, ended or not, stands for one request to a model.

    Known are the GenAI conventions in their present and their former names, OpenInference and
    OpenLLMetry. Agents, tools, chains and retrievals are none.
    """
    attributes = span.attributes
    if not attributes:
        return False
    operation = attributes.get(otel.GEN_AI_OPERATION_NAME)
    if operation is not None:
        return operation in _OPERATIONS
    if attributes.get(_KIND) in _KINDS or attributes.get(_TYPE) in _TYPES:
        return True
    return _SYSTEM in attributes and otel.GEN_AI_REQUEST_MODEL in attributes
