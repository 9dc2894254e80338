"""Scores found again: on a span or a record, or by the span's id shortly after they were given."""

from __future__ import annotations

import os
import threading
from collections import OrderedDict
from collections.abc import Mapping
from typing import Any, cast

from peekr.encoding import loads
from peekr.semconv import own

__all__ = ["give", "given", "scores_of"]

MAX_SPANS = 1_000
"""Of how many spans the scores are remembered."""

_given: OrderedDict[tuple[str, str], Mapping[str, float]] = OrderedDict()
_lock = threading.RLock()
_NOTHING: Mapping[str, float] = {}


def scores_of(span: Any) -> dict[str, float]:
    """The scores by evaluator's name that an OpenTelemetry span or a record carries; may be empty.

    Args:
        span: A finished span, a `SpanRecord`, or anything else with such `attributes`.
    """
    attributes: Mapping[str, Any] = getattr(span, "attributes", None) or {}
    held: Any = attributes.get("eval_scores", attributes.get(own.PEEKR_EVAL_SCORES))
    if isinstance(held, str):
        try:
            held = loads(held)
        except ValueError:
            return {}
    if not isinstance(held, dict):
        return {}
    found = cast("dict[str, Any]", held)
    return {
        name: float(score)
        for name, score in found.items()
        if isinstance(score, (int, float)) and not isinstance(score, bool)
    }


def given(trace_id: str, span_id: str) -> Mapping[str, float]:
    """The scores that a span has been given in this process; the last thousand are remembered.

    With `async_eval=False` they are there as soon as the span has ended.

    Args:
        trace_id: 32 hexadecimal digits.
        span_id: 16 hexadecimal digits.
    """
    return _given.get((trace_id, span_id), _NOTHING)


def give(trace_id: str, span_id: str, scores: Mapping[str, float]) -> None:
    """Remember the scores of a span; safe from any thread.

    Args:
        trace_id: 32 hexadecimal digits.
        span_id: 16 hexadecimal digits.
        scores: By the evaluator's name.
    """
    with _lock:
        _given[trace_id, span_id] = scores
        while len(_given) > MAX_SPANS:
            _given.popitem(last=False)


def _after_fork_in_child() -> None:
    global _lock
    _lock = threading.RLock()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork_in_child)
