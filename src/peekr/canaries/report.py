"""What a check of redaction has found: which canaries arrived, and where."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

__all__ = ["Leak", "RedactionReport"]


@dataclass(frozen=True)
class Leak:
    """A canary that arrived.

    Attributes:
        place: Where: `console`, `JsonlSink`, an exporter's or a processor's class.
        canary: Which: `email`, `openai_key`, a canary of one's own by its name.
        span: The span that it was on.
    """

    place: str
    canary: str
    span: str


@dataclass(frozen=True)
class RedactionReport:
    """What `verify_redaction` did.

    Attributes:
        canaries: The names of the canaries that were sent.
        places: Where spans arrived, and were looked at.
        leaks: The canaries that arrived; none of them is good.
    """

    canaries: tuple[str, ...]
    places: tuple[str, ...]
    leaks: tuple[Leak, ...]

    @property
    def ok(self) -> bool:
        """Whether spans arrived, and no canary with them."""
        return bool(self.places) and not self.leaks

    def to_dict(self) -> dict[str, Any]:
        """The report as JSON values."""
        return {
            "ok": self.ok,
            "canaries": list(self.canaries),
            "places": list(self.places),
            "leaks": [vars(leak) for leak in self.leaks],
        }

    def __str__(self) -> str:
        head = f"{len(self.canaries)} canaries, looked for in {', '.join(self.places) or 'nothing'}"
        if self.ok:
            return f"redaction holds: {head}: none arrived"
        if not self.places:
            return f"redaction was not tested: no span arrived anywhere ({head})"
        lines = [f"redaction fails: {head}"]
        lines += [f"  {leak.canary} arrived in {leak.place}, on {leak.span}" for leak in self.leaks]
        return "\n".join(lines)
