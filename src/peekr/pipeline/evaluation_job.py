"""One span on its way through its evaluators."""

from __future__ import annotations

import threading
from typing import Callable, Optional

from opentelemetry.sdk.trace import ReadableSpan

from peekr import faults
from peekr.eval.evaluator import Evaluator
from peekr.eval.scoring import Finding, failed
from peekr.pipeline.evaluation_events import with_findings
from peekr.pipeline.waiting import chars_of, trace_id_of

__all__ = ["MAX_DELAY_S", "Job", "Resume", "too_late"]

MAX_DELAY_S = 120.0
"""How long a span waits for its scores at most."""


Resume = Callable[[ReadableSpan], None]
Redaction = Callable[[ReadableSpan], ReadableSpan]


class Job:
    """One span on its way through its evaluators.

    Attributes:
        span: The span as it came.
        left: How many evaluators are not done.
        started: Those that are at it, by name.
        findings: What was found, by the evaluator's name.
        deadline: When the span goes on whatever is missing, on the monotonic clock.
        why_not: Why something is missing then.
        once: Holds one entry until the span has gone on; `pop` is atomic.
        is_waited_for: The thread that ended the span waits for `done`.
    """

    __slots__ = (
        "chars",
        "deadline",
        "done",
        "evaluators",
        "findings",
        "is_waited_for",
        "left",
        "once",
        "resume",
        "span",
        "started",
        "trace_id",
        "why_not",
    )

    def __init__(
        self,
        span: ReadableSpan,
        evaluators: tuple[Evaluator, ...],
        resume: Optional[Resume],
        deadline: float,
    ) -> None:
        self.span = span
        self.trace_id = trace_id_of(span)
        self.evaluators = evaluators
        self.resume = resume
        self.deadline = deadline
        self.chars = chars_of(span)
        self.left = len(evaluators)
        self.findings: dict[str, Finding] = {}
        self.once: list[None] = [None]
        self.why_not = too_late()
        self.done = threading.Event()
        self.is_waited_for = resume is None
        self.started: set[str] = set()

    def scored(self, redacted: Optional[Redaction]) -> ReadableSpan:
        """The span with what was found; what is missing gets a reason.

        Args:
            redacted: Makes the span that may be seen of it, if anything is to be redacted.
        """
        missing = failed(f"not evaluated: {self.why_not}", "not_evaluated")
        names = [evaluator.name for evaluator in self.evaluators]
        try:
            findings = {name: self.findings.get(name, missing) for name in names}
            return with_findings(self.span, findings, redacted)
        except Exception:
            faults.report("storing the scores of a span")
            return self.span


def too_late() -> str:
    """Why a score is missing when its time is up."""
    return f"it was not done within {MAX_DELAY_S:g} s"
