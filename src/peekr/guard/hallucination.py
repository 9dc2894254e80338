"""A guardrail that withholds answers which their context does not support."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Optional, cast

from peekr.errors import ConfigurationError
from peekr.guard.base import BaseGuardrail, checked_action

__all__ = ["HallucinationBlock"]


class HallucinationBlock(BaseGuardrail):
    """Withholds answers whose Hallucination score is below a threshold.

    It asks no judge: it goes by the score that an evaluator has given. Where the evaluators have
    none of that name, `Hallucination(detailed=…)` is added to them. With `action="raise"` all
    evaluators run before the call returns, whatever `async_eval` says, and a stream is held back
    until its score is there; with `"warn"` neither is so. An answer without a score (a judge that
    failed, an answer without a text) is let through and listed under `guardrail_unchecked`, unless
    `fail_closed` is set. What is not sampled is not evaluated, and so not withheld.
    """

    name = "HallucinationBlock"
    fields = ("output",)

    def __init__(
        self,
        threshold: float = 0.5,
        detailed: bool = False,
        action: str = "raise",
        *,
        evaluator: str = "Hallucination",
        fail_closed: bool = False,
    ) -> None:
        """Withhold what is below a score.

        Args:
            threshold: The least score that passes, 0.0 to 1.0.
            detailed: Go by the claims as well: one that contradicts the context is enough.
            action: `"raise"` or `"warn"`.
            evaluator: The name of the evaluator whose score counts.
            fail_closed: Withhold answers that have no score, too.

        Raises:
            ConfigurationError: (a ValueError) a value is out of its range.
        """
        if isinstance(threshold, bool) or not isinstance(threshold, (int, float)):  # pyright: ignore[reportUnnecessaryIsInstance]
            raise TypeError(f"threshold={threshold!r} is not a number")
        if not 0.0 <= threshold <= 1.0:
            raise ConfigurationError(f"threshold={threshold!r} is outside 0.0 to 1.0")
        self.threshold = float(threshold)
        self.detailed = detailed
        self.action = checked_action(action, ("raise", "warn"))
        self.evaluator = evaluator
        self.fail_closed = fail_closed

    def check_scores(
        self, scores: Mapping[str, float], details: Optional[Sequence[Any]] = None
    ) -> Optional[str]:
        """Go by the scores of an answer.

        Args:
            scores: By the evaluators' names.
            details: The claims with their verdicts.

        Returns:
            What is objected to; None where the answer passes.

        Raises:
            LookupError: there is no score to go by.
        """
        score = scores.get(self.evaluator)
        if score is None:
            raise LookupError(f"no score of {self.evaluator}")
        if score < self.threshold:
            return f"{self.evaluator} {score:.2f} < {self.threshold:g}"
        if self.detailed:
            wrong = sum(1 for claim in details or () if _verdict(claim) == "contradicted")
            if wrong:
                return f"{wrong} of {len(details or ())} claims contradicted"
        return None

    def __repr__(self) -> str:
        return (
            f"HallucinationBlock(threshold={self.threshold:g}, detailed={self.detailed!r}, "
            f"action={self.action!r})"
        )


def _verdict(claim: Any) -> Any:
    return cast("Mapping[str, Any]", claim).get("verdict") if isinstance(claim, Mapping) else None
