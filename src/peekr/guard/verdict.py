"""What stops a call: which guardrail, and why."""

from __future__ import annotations

from typing import Any, NamedTuple

__all__ = ["Verdict"]


class Verdict(NamedTuple):
    """What stops a call.

    Attributes:
        guardrail: The guardrail's name.
        field: `input` or `output`.
        rules: What it objects to.
        span: The span as it was stored, where that is not the call's own.
    """

    guardrail: str
    field: str
    rules: tuple[str, ...]
    span: Any = None

    @property
    def message(self) -> str:
        """What is said of it, without the text that it is about."""
        did = "stopped the request" if self.field == "input" else "withheld the answer"
        return f"{self.guardrail} {did}: {', '.join(self.rules)} in the {self.field}"
