"""Whether a span is a model call, in the words of whoever made it."""

from __future__ import annotations

from opentelemetry.sdk.trace import ReadableSpan

from peekr.semconv import otel

__all__ = ["is_model_call"]

_OPERATIONS = frozenset(
    ("chat", "text_completion", "generate_content", "embeddings", "completion", "embedding")
)
# OpenInference's and OpenLLMetry's own, and the name that the conventions had before.
_KIND, _TYPE = "openinference.span.kind", "llm.request.type"
_KINDS = frozenset(("LLM", "EMBEDDING", "chat", "completion", "embedding"))
_SYSTEM = "gen_ai.system"
_PREFIXES = ("gen_ai.", "llm.", "logfire.", "langfuse.", "traceloop.", "ai.", "model_request")


def is_model_call(span: ReadableSpan) -> bool:
    """Whether a span, ended or not, stands for one request to a model.

    Known are the GenAI conventions, present and former, and the dialects of `peekr.dialects`.
    Agents, tools, chains and retrievals are none.
    """
    attributes = span.attributes
    if not attributes:
        return False
    operation = attributes.get(otel.GEN_AI_OPERATION_NAME)
    if operation is not None:
        return operation in _OPERATIONS
    kind = attributes.get(_KIND) or attributes.get(_TYPE)
    if kind is not None:
        return kind in _KINDS
    if _SYSTEM in attributes and otel.GEN_AI_REQUEST_MODEL in attributes:
        return True
    if not any(name.startswith(_PREFIXES) for name in attributes):
        return False
    from peekr.dialects import Draft, translate  # here: who has no such span does not pay for it

    draft = Draft(dict(attributes), (), getattr(span.instrumentation_scope, "name", ""), span.name)
    translate(draft)
    return draft.attributes.get(otel.GEN_AI_OPERATION_NAME) in _OPERATIONS
