"""The canaries: made-up secrets, one of each kind that a guardrail should keep out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Optional, Union

from peekr.guard.blocklist import Blocklist
from peekr.guard.pii import PIIRedact

__all__ = ["Canaries"]

_PERSONAL = {
    "email": "canary.peekr@example.com",
    "phone": "415-555-2671",
    "ssn": "536-22-4321",
    "credit_card": "4111 1111 1111 1111",
    "ip_address": "203.0.113.77",
}
_FILLING = "C4n4ryPeekrC4n4ryPeekrC4n4ryPeekrC4n4ryP"
# Put together here: what looks for secrets in source code should not find these.
_SECRETS = {
    "openai_key": "sk-" + "proj-" + _FILLING,
    "anthropic_key": "sk-" + "ant-api03-" + _FILLING,
    "github_token": "ghp" + "_" + _FILLING[:36],
    "aws_access_key_id": "AKI" + "AC4N4RYPEEKRC4N4R",
    "google_key": "AIz" + "a" + _FILLING[:35],
    "slack_token": "xox" + "b-1234567890-" + _FILLING[:24],
    "stripe_key": "sk_" + "live_" + _FILLING[:24],
    "url_password": "postgres://user:" + _FILLING[:16] + "@db/app",
}
# Of these the rest may stay: `postgres://user:[BLOCKED]@db/app`.
_CORES = {"url_password": _FILLING[:16]}


class Canaries:
    """What is sent, and how it is recognised.

    Attributes:
        texts: By name.
    """

    def __init__(
        self,
        guards: Sequence[Any],
        given: Union[Mapping[str, str], Sequence[str]],
    ) -> None:
        """Choose them.

        Args:
            guards: The guardrails that redact.
            given: Texts of the application's own, by name or without one.
        """
        own_texts = (
            dict(given)
            if isinstance(given, Mapping)
            else {f"canaries[{index}]": text for index, text in enumerate(given)}
        )
        self.texts: dict[str, str] = dict(own_texts)
        fields: dict[str, set[str]] = {name: {"input", "output"} for name in own_texts}
        for guard in guards:
            for name, text in _samples(guard).items():
                self.texts[name] = text
                fields.setdefault(name, set()).update(guard.fields)
        self._fields = fields

    def all(self, field: Optional[str] = None) -> str:
        """The canaries that are kept out of a field, in one text.

        Args:
            field: `input` or `output`; None for whatever else a span has.
        """
        names = [name for name in self.texts if field is None or field in self._fields[name]]
        return " | ".join(self.texts[name] for name in names)

    def found(self, text: str) -> list[str]:
        """The names of those that are in a text."""
        return [name for name, sent in self.texts.items() if _CORES.get(name, sent) in text]


def _samples(guard: Any) -> dict[str, str]:
    if isinstance(guard, PIIRedact):
        return {name: _PERSONAL[name] for name in guard.categories if name in _PERSONAL}
    if isinstance(guard, Blocklist):
        rules = guard.secret_rules
        made = {rule: text for rule, text in _SECRETS.items() if rule in rules}
        if guard.action == "redact":
            made.update((f"terms[{n}]", term) for n, term in enumerate(guard.terms))
        return made
    return {}
