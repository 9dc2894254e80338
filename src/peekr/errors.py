"""Every error that Peekr raises on purpose.

They exist so that an application can tell a fault of its telemetry set-up from a fault of its
own. None of them is ever raised out of a model call that is merely watched; `GuardrailError` and
`BudgetExceededError` are what a guardrail and a budget raise out of one that they stop.

    PeekrError
    ├── BudgetExceededError                a budget is spent: the model call was not sent
    ├── ComplianceError                    a compliance pack is required and cannot be applied
    ├── ConfigurationError (ValueError)    an argument or variable that cannot be used
    ├── EvaluationError                    an evaluator could not give a score; the message says why
    ├── GuardrailError                     a guardrail stopped a model call or withheld its answer
    ├── RedactionError                     a canary went through redaction, or nothing was tested
    ├── ReplayError                        a recorded call cannot be replayed; the message says why
    │   └── ReplayMismatchError            no recorded call is the one that is made
    └── UnreadableFileError                a trace file that cannot be read; the message is one line
"""

from __future__ import annotations

from typing import Any

__all__ = [
    "BudgetExceededError",
    "ComplianceError",
    "ConfigurationError",
    "EvaluationError",
    "GuardrailError",
    "PeekrError",
    "RedactionError",
    "ReplayError",
    "ReplayMismatchError",
    "UnreadableFileError",
]


class PeekrError(Exception):
    """The root of the tree: catch it to catch whatever Peekr raises on purpose."""


class BudgetExceededError(PeekrError):
    """A budget is spent, so a model call was not sent.

    Attributes:
        message: The message.
        limit_usd: The budget's limit, in US dollars.
        spent_usd: What is spent of it in this window.
        scope: What has a budget of its own: `process`, `session`, `tenant`, `user`, `trace`.
        key: Which one: the tenant's id, say; empty for the process.
    """

    def __init__(
        self,
        message: str,
        *,
        limit_usd: float = 0.0,
        spent_usd: float = 0.0,
        scope: str = "process",
        key: str = "",
    ) -> None:
        super().__init__(message)
        self.message = message
        self.limit_usd = limit_usd
        self.spent_usd = spent_usd
        self.scope = scope
        self.key = key

    def __reduce__(self) -> tuple[Any, ...]:
        # Process pools carry errors as pickles.
        return _exceeded, (self.message, self.limit_usd, self.spent_usd, self.scope, self.key)


def _exceeded(
    message: str, limit_usd: float, spent_usd: float, scope: str, key: str
) -> BudgetExceededError:
    return BudgetExceededError(
        message, limit_usd=limit_usd, spent_usd=spent_usd, scope=scope, key=key
    )


class ComplianceError(PeekrError):
    """A compliance pack is required and its rules cannot be had: `instrument()` does not start."""


class ConfigurationError(PeekrError, ValueError):
    """An argument of `instrument()` or a `PEEKR_…` variable has a value that cannot be used."""


class GuardrailError(PeekrError):
    """A guardrail stopped a model call before it was sent, or withheld the answer.

    The message names the guardrail, the field and the rules, never the text that broke them.

    Attributes:
        message: The message.
        guardrail_name: The guardrail's name.
        span: The call's span, as Peekr shows it; None where the call is not recorded.
    """

    def __init__(self, message: str, guardrail_name: str = "", span: Any = None) -> None:
        super().__init__(message)
        self.message = message
        self.guardrail_name = guardrail_name
        self.span = span

    def __reduce__(self) -> tuple[Any, ...]:
        # Process pools carry errors as pickles, and a live span is none.
        return type(self), (self.message, self.guardrail_name)


class EvaluationError(PeekrError):
    """An evaluator could not give a score: the judge failed, or there was nothing to judge by."""


class RedactionError(PeekrError):
    """`peekr.guard.verify_redaction()` found a canary where none may be, or no span at all.

    Attributes:
        report: What was sent, where it was looked for, and what arrived.
    """

    def __init__(self, message: str, report: Any = None) -> None:
        super().__init__(message)
        self.report = report


class ReplayError(PeekrError):
    """A recorded model call cannot be replayed: content that is cut, redacted or absent, say."""


class ReplayMismatchError(ReplayError):
    """A model call is made that is none of the recorded ones; the message tells what is nearest."""


class UnreadableFileError(PeekrError):
    """A trace file is missing, is not a trace file, or has nothing in it that can be read."""
