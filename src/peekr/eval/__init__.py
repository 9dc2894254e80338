"""Evaluators: scores from 0.0 (bad) to 1.0 (good) for what a model answered.

    peekr.instrument(evaluators=[Rubric("The answer is polite."), Hallucination(), NotEmpty()])

Each model call that generates something is evaluated, `evaluate_filter` chooses others. Its record
carries `eval_scores`, an object of scores by the evaluator's name (`Hallucination` for that one),
`eval_explanations` (why), `eval_errors` (why there is no score: a judge that fails gives no
number), and for `Hallucination(detailed=True)` `hallucination_details`. On the OpenTelemetry span
they are JSON texts, named in `peekr.semconv.own`; `scores_of` reads them from either. A score that
has been given in this process is also found by its span: `given(trace_id, span_id)`.

A judge may be OpenAI's, Anthropic's, any server with OpenAI's interface, or a function: see
`Judge`. Verdicts are cached by content for the whole process, so that whoever asks the same judge
the same again, a guardrail say, gets the same answer without another call.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from peekr.late import public_names

if TYPE_CHECKING:
    from peekr.eval.checks import NoError, NotEmpty
    from peekr.eval.citations import CitationAccuracy
    from peekr.eval.evaluator import BaseEvaluator, Score
    from peekr.eval.hallucination import Hallucination
    from peekr.eval.judge import Judge
    from peekr.eval.results import given, scores_of
    from peekr.eval.retrieval import clear_evidence, evidence, record_evidence
    from peekr.eval.rubric import Rubric

__all__ = [
    "BaseEvaluator",
    "CitationAccuracy",
    "Hallucination",
    "Judge",
    "NoError",
    "NotEmpty",
    "Rubric",
    "Score",
    "clear_evidence",
    "evidence",
    "given",
    "record_evidence",
    "scores_of",
]

# Loaded at first use, as the root package does: a reader of files needs no OpenTelemetry.
_HOMES = {
    "BaseEvaluator": "peekr.eval.evaluator",
    "CitationAccuracy": "peekr.eval.citations",
    "Hallucination": "peekr.eval.hallucination",
    "Judge": "peekr.eval.judge",
    "NoError": "peekr.eval.checks",
    "NotEmpty": "peekr.eval.checks",
    "Rubric": "peekr.eval.rubric",
    "Score": "peekr.eval.evaluator",
    "clear_evidence": "peekr.eval.retrieval",
    "evidence": "peekr.eval.retrieval",
    "given": "peekr.eval.results",
    "record_evidence": "peekr.eval.retrieval",
    "scores_of": "peekr.eval.results",
}

__getattr__, __dir__ = public_names(globals(), _HOMES)
