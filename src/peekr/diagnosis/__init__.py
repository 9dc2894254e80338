"""What is watched, by whom, where spans go, and what is wrong: in this process."""

from __future__ import annotations

import json
from typing import Any

__all__ = ["Diagnosis", "doctor"]


class Diagnosis:
    """What `peekr.doctor()` found; `print()` it.

    Attributes:
        facts: What there is, as `to_dict` gives it.
        problems: What is wrong and what to do about it, one sentence or two each.
        notes: What is right but may surprise.
    """

    def __init__(self, facts: dict[str, Any], problems: list[str], notes: list[str]) -> None:
        self.facts = facts
        self.problems = problems
        self.notes = notes

    def to_dict(self) -> dict[str, Any]:
        """All of it, as JSON has it."""
        return {**self.facts, "problems": self.problems, "notes": self.notes}

    @classmethod
    def from_dict(cls, found: dict[str, Any]) -> Diagnosis:
        """The diagnosis that `to_dict` gave."""
        facts = {k: v for k, v in found.items() if k not in ("problems", "notes")}
        return cls(facts, found["problems"], found["notes"])

    def __str__(self) -> str:
        from peekr.diagnosis.text import rendered

        return rendered(self)

    def __repr__(self) -> str:
        return f"Diagnosis(problems={json.dumps(self.problems)})"


def doctor() -> Diagnosis:
    """Look at this process: what Peekr watches and who else, where spans go, and what is wrong.

    Takes some tenths of a second, for it reads the metadata of what is installed. Changes nothing.
    """
    from peekr.diagnosis.facts import facts
    from peekr.diagnosis.problems import judged

    found = facts()
    problems, notes = judged(found)
    return Diagnosis(found, problems, notes)
