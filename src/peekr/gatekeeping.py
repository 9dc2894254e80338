"""Guardrails put to their places: at the gate of each call, and behind the evaluators."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple, Optional

from peekr.config import Settings
from peekr.guard.base import as_guardrail
from peekr.instrumentation.gate import Gate
from peekr.manual.span_view import Span
from peekr.pipeline.blocking import ScoreStage

__all__ = ["Gatekeeping", "gatekeeping"]


class Gatekeeping(NamedTuple):
    """What guardrails need of the rest.

    Attributes:
        gate: Looks at each call; None where no guardrail wants to.
        scores: The stage right behind the evaluators; None where no guardrail goes by scores.
        evaluators: The evaluators, with what the guardrails go by.
        is_async: Whether evaluators may run after the call has returned.
    """

    gate: Optional[Gate]
    scores: Optional[ScoreStage]
    evaluators: tuple[Any, ...]
    is_async: bool


def gatekeeping(settings: Settings) -> Gatekeeping:
    """Put the guardrails to their places; those of compliance packs come after the user's.

    Asks Peekr Cloud for the rules of compliance packs, if there are to be any.

    Raises:
        ComplianceError: a pack is required and cannot be applied.
        ConfigurationError: there is no such pack.
        TypeError: something is no guardrail.
    """
    packs = _packs(settings)
    given = tuple(map(as_guardrail, settings.guardrails))
    by_score = [guard for guard in given if hasattr(guard, "check_scores")]
    at_gate = [
        guard
        for guard in (*given, *packs)
        if guard not in by_score and guard.action in ("raise", "warn")
    ]
    withholds = any(guard.action == "raise" for guard in by_score)
    scores = ScoreStage(by_score) if by_score else None
    gate = None
    if at_gate or withholds:
        gate = Gate(at_gate, scores=scores if withholds else None, view=Span)
    return Gatekeeping(
        gate,
        scores,
        _with_needed(settings.evaluators, by_score),
        settings.async_eval and not withholds,
    )


def _packs(settings: Settings) -> Sequence[Any]:
    if settings.compliance == ():
        return ()
    from peekr.compliance import guards

    return guards(
        settings.compliance,
        settings.exporter.client,
        action=settings.compliance_action,
        is_required=settings.compliance_required,
        shows_matches=settings.capture_content,
    )


def _with_needed(evaluators: tuple[Any, ...], by_score: Sequence[Any]) -> tuple[Any, ...]:
    names = {getattr(evaluator, "name", None) for evaluator in evaluators}
    names |= {getattr(evaluator, "__name__", None) for evaluator in evaluators}
    made = list(evaluators)
    for guard in by_score:
        if guard.evaluator not in names:
            from peekr.eval.hallucination import Hallucination

            names.add(guard.evaluator)
            made.append(Hallucination(detailed=guard.detailed, name=guard.evaluator))
    return tuple(made)
