"""Evaluators that need no judge: was there an answer, and did the call succeed."""

from __future__ import annotations

from peekr.eval.content import has_answer, require_content
from peekr.eval.evaluator import BaseEvaluator, Score
from peekr.record import SpanRecord

__all__ = ["NoError", "NotEmpty"]


class NotEmpty(BaseEvaluator):
    """1.0 where the answer holds a text or a tool call, 0.0 where it holds nothing.

    What a model only thought is no answer. A call that failed has none.
    """

    def evaluate(self, span: SpanRecord) -> Score:
        """See `BaseEvaluator.evaluate`."""
        require_content(span)
        if has_answer(span):
            return Score(1.0, label="pass")
        return Score(0.0, "The answer is empty.", label="fail")


class NoError(BaseEvaluator):
    """1.0 where the span ended well, 0.0 where it ended in an error."""

    def evaluate(self, span: SpanRecord) -> Score:
        """See `BaseEvaluator.evaluate`."""
        if span.status != "error":
            return Score(1.0, label="pass")
        error = span.attributes.get("error")
        return Score(0.0, str(error)[:300] if error else "The span failed.", label="fail")
