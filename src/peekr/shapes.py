"""What the names of a span's attributes say by themselves.

An application's spans have few sets of names, so that what a set says is worked out once: where
each attribute goes in the record, and whether anything may have to be translated or priced.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

from peekr import dialects
from peekr.semconv import otel, own

__all__ = ["PARSED", "RENAMED", "Shape", "shape_of"]

# Attributes whose value is also wanted under the record's own name.
_COPIED = {
    otel.GEN_AI_REQUEST_MODEL: "model",
    otel.GEN_AI_PROVIDER_NAME: "provider",
    otel.GEN_AI_USAGE_INPUT_TOKENS: "tokens_input",
    otel.GEN_AI_USAGE_OUTPUT_TOKENS: "tokens_output",
    otel.GEN_AI_USAGE_CACHE_READ_INPUT_TOKENS: "tokens_cache_read",
    otel.GEN_AI_USAGE_CACHE_CREATION_INPUT_TOKENS: "tokens_cache_write",
    otel.GEN_AI_USAGE_REASONING_OUTPUT_TOKENS: "tokens_reasoning",
    otel.GEN_AI_RESPONSE_FINISH_REASONS: "finish_reasons",
    otel.SESSION_ID: "session_id",
    otel.USER_ID: "user_id",
}
RENAMED = (
    (own.PEEKR_COST_USD, "cost_usd"),
    (own.PEEKR_COST_SAVED_USD, "cost_saved_usd"),
    (own.PEEKR_EXPERIMENT_VARIANT, "experiment_variant"),
    (own.PEEKR_FEATURE, "feature"),
    (own.PEEKR_ENDPOINT, "endpoint"),
)
"""Peekr's own attributes, which the record carries under a plain name alone."""
PARSED = (
    (own.PEEKR_INPUT, "input"),
    (own.PEEKR_OUTPUT, "output"),
    (otel.GEN_AI_TOOL_CALL_ARGUMENTS, "input"),
    (otel.GEN_AI_TOOL_CALL_RESULT, "output"),
    (own.PEEKR_EVIDENCE, "evidence"),
    (own.PEEKR_EVAL_SCORES, "eval_scores"),
    (own.PEEKR_EVAL_EXPLANATIONS, "eval_explanations"),
    (own.PEEKR_EVAL_ERRORS, "eval_errors"),
    (own.PEEKR_EVAL_HALLUCINATION_DETAILS, "hallucination_details"),
    (own.PEEKR_GUARDRAIL_VIOLATIONS, "guardrail_violations"),
    (own.PEEKR_GUARDRAIL_WARNINGS, "guardrail_warnings"),
    (own.PEEKR_GUARDRAIL_ERRORS, "guardrail_errors"),
    (own.PEEKR_GUARDRAIL_UNCHECKED, "guardrail_unchecked"),
    (own.PEEKR_COMPLIANCE_VIOLATIONS, "compliance_violations"),
    *(
        (name, name)
        for name in (
            otel.GEN_AI_INPUT_MESSAGES,
            otel.GEN_AI_OUTPUT_MESSAGES,
            otel.GEN_AI_SYSTEM_INSTRUCTIONS,
            otel.GEN_AI_TOOL_DEFINITIONS,
            own.PEEKR_REQUEST_PARAMETERS,
            own.PEEKR_REQUEST_FORM,
        )
    ),
)
# Fields of the record beside its attributes.
_FIELDS = frozenset((own.PEEKR_RECORD_NAME, own.PEEKR_TENANT_ID, own.PEEKR_RETENTION_CLASS))
# What is said with these alone is said in today's words, but for a few that have to be looked into.
_TODAYS_NAMES = frozenset(
    value
    for module in (otel, own)
    for name, value in vars(module).items()
    if name.isupper() and isinstance(value, str)
) - {otel.GEN_AI_CONVERSATION_ID, otel.GEN_AI_SYSTEM_INSTRUCTIONS, otel.GEN_AI_TOOL_DEFINITIONS}
_TOKENS = frozenset((otel.GEN_AI_USAGE_INPUT_TOKENS, otel.GEN_AI_USAGE_OUTPUT_TOKENS))

_MAX_SHAPES = 512
_MAX_NAMES = 64
"""A set of more names is hardly met twice: `gen_ai.prompt.17.content`."""


class Shape(NamedTuple):
    """What a set of names says.

    Attributes:
        copied: Attributes that the record has under a plain name too, with that name.
        renamed: Attributes that the record has under a plain name alone, with that name.
        parsed: Likewise, whose value is JSON text; model calls have taken their messages before.
        has_fields: Something in them becomes a field of the record beside its attributes.
        is_plain: Nothing in them marks a dialect.
        is_today: All of them are names of today, whose values need no translation as a rule.
        is_own: Peekr has made the span.
        may_be_unpriced: It may be a model call that has no price yet.
    """

    copied: tuple[tuple[str, str], ...]
    renamed: tuple[tuple[str, str], ...]
    parsed: tuple[tuple[str, str], ...]
    has_fields: bool
    is_plain: bool
    is_today: bool
    is_own: bool
    may_be_unpriced: bool


_shapes: dict[tuple[str, ...], Shape] = {}


def shape_of(attributes: Mapping[str, Any]) -> Shape:
    """What the names of these attributes say. Any thread; half a microsecond for a known set."""
    names = tuple(attributes)
    try:
        return _shapes[names]
    except KeyError:
        pass
    held = frozenset(names)
    is_plain = dialects.MARKERS.isdisjoint(held)
    shape = Shape(
        copied=tuple((name, _COPIED[name]) for name in names if name in _COPIED),
        renamed=tuple(pair for pair in RENAMED if pair[0] in held),
        parsed=tuple(pair for pair in PARSED if pair[0] in held),
        has_fields=not _FIELDS.isdisjoint(held),
        is_plain=is_plain,
        is_today=_TODAYS_NAMES.issuperset(held),
        is_own=own.PEEKR_RECORD_NAME in held,
        may_be_unpriced=own.PEEKR_COST_USD not in held
        and not (is_plain and _TOKENS.isdisjoint(held)),
    )
    if len(names) <= _MAX_NAMES:
        if len(_shapes) >= _MAX_SHAPES:
            _shapes.clear()  # names without end: none of them comes again
        _shapes[names] = shape
    return shape
