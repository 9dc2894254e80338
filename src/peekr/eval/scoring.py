"""What evaluators found out about one span, put together as attributes of its record."""

from __future__ import annotations

import inspect
import math
from collections.abc import Mapping
from typing import Any, NamedTuple, Optional

from peekr.errors import EvaluationError
from peekr.eval import loops
from peekr.eval.evaluator import Evaluator, Score
from peekr.record import SpanRecord
from peekr.semconv import otel, own

__all__ = [
    "ATTRIBUTES",
    "GENERATING",
    "RESULT_EVENT",
    "Finding",
    "Findings",
    "evaluate",
    "failed",
    "is_evaluated",
    "said_of",
]

RESULT_EVENT = "gen_ai.evaluation.result"
"""The name of OpenTelemetry's event for a score."""

GENERATING = ("chat", "text_completion", "generate_content")
"""The operations whose answers are evaluated unless something else is asked for."""

ATTRIBUTES = {
    own.PEEKR_EVAL_SCORES: "eval_scores",
    own.PEEKR_EVAL_EXPLANATIONS: "eval_explanations",
    own.PEEKR_EVAL_ERRORS: "eval_errors",
    own.PEEKR_EVAL_HALLUCINATION_DETAILS: "hallucination_details",
}
"""The record's name of each attribute of a span that is about evaluation."""

_MAX_ERROR_CHARS = 500


class Finding(NamedTuple):
    """What one evaluator found.

    Attributes:
        score: 0.0 to 1.0; None where there is none.
        error: Why there is none; None where the question did not arise.
        error_type: The kind of the error.
    """

    score: Optional[Score] = None
    error: Optional[str] = None
    error_type: str = ""


Findings = Mapping[str, Finding]
"""Findings by the evaluator's name."""


def is_evaluated(attributes: Mapping[str, Any]) -> bool:
    """Whether a span or a record is evaluated unless something else is asked for."""
    return attributes.get(otel.GEN_AI_OPERATION_NAME) in GENERATING and not attributes.get(
        own.PEEKR_INTERNAL
    )


def evaluate(evaluator: Evaluator, record: SpanRecord, timeout_s: Optional[float]) -> Finding:
    """Ask one evaluator about one span; never raises for what the evaluator does.

    Args:
        evaluator: The evaluator; a coroutine is run on an event loop of Peekr's own.
        record: The span; what the evaluator does to it stays in it.
        timeout_s: How long a coroutine may take; None for good.
    """
    try:
        found = evaluator.evaluate(record)
        if inspect.isawaitable(found):
            found = loops.wait_for(found, timeout_s)
        if found is None:
            return Finding()
        return Finding(_score(found))
    except EvaluationError as error:
        cause = error.__cause__ or error
        return failed(str(error), type(cause).__qualname__)
    except Exception as error:
        kind = type(error).__qualname__
        return failed(f"{kind}: {error}" if str(error) else kind, kind)


def failed(message: str, error_type: str = "") -> Finding:
    """A finding that is none, and why."""
    text = " ".join(message.split())
    if len(text) > _MAX_ERROR_CHARS:
        text = f"{text[: _MAX_ERROR_CHARS - 1]}…"
    return Finding(error=text or "it failed", error_type=error_type or "EvaluationError")


def _score(found: Any) -> Score:
    is_number = isinstance(found, (bool, int, float)) or (
        # Another library's number, numpy's say.
        hasattr(found, "__float__") and not isinstance(found, (str, bytes))
    )
    if not is_number:
        raise EvaluationError(f"it gave {type(found).__name__}, which is no score")
    value = float(found)
    if not math.isfinite(value) or not 0.0 <= value <= 1.0:
        raise EvaluationError(f"it gave {value:g}, which is outside 0 to 1")
    if isinstance(found, Score):
        return found
    return Score(value)


def said_of(findings: Findings) -> dict[str, Any]:
    """The attributes of the record that say what was found; empty where nothing was."""
    scores: dict[str, float] = {}
    errors: dict[str, str] = {}
    explanations: dict[str, str] = {}
    details: list[Any] = []
    for name, finding in findings.items():
        if finding.error is not None:
            errors[name] = finding.error
        if finding.score is None:
            continue
        scores[name] = float(finding.score)
        if finding.score.explanation:
            explanations[name] = finding.score.explanation
        if finding.score.details is not None:
            details.extend(finding.score.details)
    made: dict[str, Any] = {}
    if scores:
        made["eval_scores"] = scores
    if explanations:
        made["eval_explanations"] = explanations
    if errors:
        made["eval_errors"] = errors
    if any(f.score is not None and f.score.details is not None for f in findings.values()):
        made["hallucination_details"] = details
    return made
