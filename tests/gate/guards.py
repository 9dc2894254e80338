"""Guardrails of the tests' own."""

from __future__ import annotations

from typing import Any, List, Optional

from peekr.guard import BaseGuardrail, Finding

SECRET = "zebra-4711-quagga"


class Finds(BaseGuardrail):
    """Finds a text wherever it stands."""

    name = "Finds"

    def __init__(self, secret: str = SECRET, **attributes: Any) -> None:
        self.secret = secret
        self.seen: List[str] = []
        for key, value in attributes.items():
            setattr(self, key, value)

    def check(self, text: str, field: str) -> Optional[List[Finding]]:
        self.seen.append(text)
        found: List[Finding] = []
        at = text.find(self.secret)
        while at >= 0:
            found.append(Finding("secret", at, at + len(self.secret)))
            at = text.find(self.secret, at + 1)
        return found


class Breaks(BaseGuardrail):
    """Fails on every text."""

    name = "Breaks"

    def check(self, text: str, field: str) -> None:
        raise KeyError(text)
