"""Guardrails that go by scores: they judge a span once evaluators have, and before it is stored."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Callable, Optional

from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.trace import Status, StatusCode

from peekr.encoding import dumps, loads
from peekr.eval.results import scores_of
from peekr.guard.verdict import Verdict
from peekr.pipeline.amended import amended
from peekr.semconv import otel, own

__all__ = ["ScoreStage"]


class ScoreStage:
    """Puts what guardrails say of scores on the spans, and keeps the verdict for the call.

    It stands right after the evaluators. A span whose call has asked for the verdict (`expect`) and
    that is withheld becomes an error; one that comes too late for that gets a warning.
    """

    def __init__(self, guardrails: Sequence[Any]) -> None:
        """Judge by scores.

        Args:
            guardrails: Those with `check_scores`.
        """
        self._guardrails = tuple(guardrails)
        self._expected: set[int] = set()
        self._verdicts: dict[int, Verdict] = {}

    # -- for the call, on its own thread -----------------------------------------------------------

    def expect(self, span_id: int) -> None:
        """Ask for the verdict on a span that is about to end."""
        self._expected.add(span_id)

    def collect(self, span_id: int) -> Optional[Verdict]:
        """The verdict on a span that has ended; None where it may pass."""
        self._expected.discard(span_id)
        return self._verdicts.pop(span_id, None)

    # -- the stage ---------------------------------------------------------------------------------

    def take(
        self, span: ReadableSpan, resume: Callable[[ReadableSpan], None]
    ) -> Optional[ReadableSpan]:
        """Judge one evaluated span; always returns it, or a copy, at once."""
        del resume
        attributes: Mapping[str, Any] = span.attributes or {}
        context = span.context
        span_id = 0 if context is None else context.span_id
        can_withhold = span_id in self._expected
        # What no evaluator has looked at has no score: that is said of calls that may be withheld.
        if not _is_evaluated(attributes) and not (can_withhold and _has_texts(attributes)):
            return span
        scores, details = scores_of(span), _details(attributes)
        found: dict[str, list[dict[str, Any]]] = {}
        blocked: Optional[tuple[Any, str]] = None
        for guard in self._guardrails:
            try:
                rule = guard.check_scores(scores, details)
            except LookupError:
                entry = {"field": "output", "what": "no score", "guard": guard.name}
                found.setdefault(own.PEEKR_GUARDRAIL_UNCHECKED, []).append(entry)
                rule = "no score" if guard.fail_closed else None
            if rule is None:
                continue
            entry = {"guard": guard.name, "field": "output", "rule": rule}
            if guard.action == "raise" and can_withhold:
                found.setdefault(own.PEEKR_GUARDRAIL_VIOLATIONS, []).append(entry)
                blocked = blocked or (guard, rule)
            else:
                found.setdefault(own.PEEKR_GUARDRAIL_WARNINGS, []).append(entry)
        if not found:
            return span
        if blocked is None:
            return _with(span, found, None)
        guard, rule = blocked
        verdict = Verdict(guard.name, "output", (rule,))
        made = _with(span, found, verdict.message)
        self._verdicts[span_id] = verdict._replace(span=made)
        return made

    def flush(self, timeout_s: float) -> bool:
        """Nothing is kept here."""
        del timeout_s
        return True

    def close(self, timeout_s: float) -> bool:
        """Nothing is kept here."""
        del timeout_s
        return True


def _is_evaluated(attributes: Mapping[str, Any]) -> bool:
    return own.PEEKR_EVAL_SCORES in attributes or own.PEEKR_EVAL_ERRORS in attributes


def _has_texts(attributes: Mapping[str, Any]) -> bool:
    is_vectors = attributes.get(otel.GEN_AI_OPERATION_NAME) == "embeddings"
    # An error has no answer, or one that is withheld already.
    return not is_vectors and otel.ERROR_TYPE not in attributes


def _details(attributes: Mapping[str, Any]) -> Optional[list[Any]]:
    held = attributes.get(own.PEEKR_EVAL_HALLUCINATION_DETAILS)
    try:
        return loads(held) if isinstance(held, str) else None
    except ValueError:
        return None


def _with(
    span: ReadableSpan, found: Mapping[str, list[dict[str, Any]]], message: Optional[str]
) -> ReadableSpan:
    attributes: dict[str, Any] = dict(span.attributes or {})
    for name, entries in found.items():
        held = attributes.get(name)
        before: Any = loads(held) if isinstance(held, str) else []
        attributes[name] = dumps([*before, *entries]).decode()
    status = span.status
    if message is not None:
        attributes.setdefault(otel.ERROR_TYPE, "GuardrailError")
        status = Status(StatusCode.ERROR, message)
    return amended(span, attributes=attributes, status=status)
