"""Personal data: found by category, and kept out of what is recorded."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Callable, Optional, Union, cast

from peekr.errors import ConfigurationError
from peekr.guard.base import (
    FIELDS,
    BaseGuardrail,
    Finding,
    checked_fields,
    cut_out,
    merged,
)
from peekr.guard.internet import emails, ipv4s, ipv6s, may_have_ipv6
from peekr.guard.numbers import RUN, cards, ssns
from peekr.guard.patterns import BoundedPattern, Exceptions
from peekr.guard.phones import PhoneFinder

__all__ = ["CATEGORIES", "PIIRedact"]

CATEGORIES = ("email", "phone", "ssn", "credit_card", "ip_address")
"""What is found without further packages."""

_ENGINE_CATEGORIES = ("person", "location", "organization")
_BY_DIGITS = frozenset(("phone", "ssn", "credit_card", "ip_address"))
# Of findings that overlap and are as long, the first of these counts.
_RANK = {name: rank for rank, name in enumerate(("credit_card", "ssn", "ip_address", "email"))}
_MAX_BEFORE = 64
# A day, perhaps with an hour: nothing to look at.
_DATE = re.compile(
    r"(?:19|20)\d\d([-./])(?:0[1-9]|1[0-2])\1(?:0[1-9]|[12]\d|3[01])(?:\D+\d\d?)?\D*$"
)


class PIIRedact(BaseGuardrail):
    """Keeps personal data out of what is recorded; the model still sees the original.

    Each find is replaced by its category in brackets: `[EMAIL]`, `[PHONE]`, `[SSN]`,
    `[CREDIT_CARD]`, `[IP_ADDRESS]`. A find is validated, not only matched: a card by its issuer's
    range and its check digit, a social security number by the rules of issue, an IP address by its
    octets and by what stands before it, a phone number by how it is written (by each country's
    plan with `pip install "peekr[guard]"`). Digits of a UUID, a hash, a trace id or a time are
    left alone.

    It runs on the thread that ends a span, before anything else sees the span.
    """

    name = "PIIRedact"
    action = "redact"
    sees_through_json = True

    def __init__(
        self,
        fields: Union[str, Sequence[str]] = FIELDS,
        categories: Union[str, Sequence[str]] = CATEGORIES,
        *,
        patterns: Optional[Mapping[str, Any]] = None,
        exceptions: Union[str, Iterable[Any]] = (),
        regions: Union[str, Sequence[str]] = ("US",),
        engine: Any = None,
        language: str = "en",
    ) -> None:
        """Choose what is personal.

        Args:
            fields: `"input"` and `"output"`: with one of them, what is known to be the other is
                left as it is. Everything else (names, errors, events, further attributes) is
                looked at in any case.
            categories: Some of `email`, `phone`, `ssn`, `credit_card` and `ip_address`; with an
                engine also `person`, `location` and `organization`.
            patterns: Own categories: a name, and the pattern or patterns of it; a find becomes
                the name in brackets. Matching is bounded in time.
            exceptions: What is let through: texts, compared regardless of case, and patterns made
                by `re.compile`, which must match all of what was found.
            regions: Countries, by ISO 3166 code, whose national phone numbers count besides
                international ones; needs `phonenumbers`.
            engine: `"presidio"`, a Presidio `AnalyzerEngine`, or any callable that takes a text
                and gives findings as `(category, start, end)`.
            language: The language of the texts for the engine.

        Raises:
            ConfigurationError: (a ValueError) an unknown category or field, a pattern that is
                none, or an engine that is not installed.
        """
        self.fields = checked_fields(fields)
        asked = (categories,) if isinstance(categories, str) else tuple(categories)
        self._engine = _engine(engine, asked, language)
        _check(asked, engine)
        self.categories = asked
        self._patterns = [
            (category, BoundedPattern(pattern))
            for category, given in (patterns or {}).items()
            for pattern in _listed(given)
        ]
        # Patterns may be anchored, and an engine reads sentences: they get the texts inside JSON.
        self.sees_through_json = not self._patterns and self._engine is None
        self._exceptions = Exceptions(exceptions)
        chosen = frozenset(asked)
        self._has_digits = bool(chosen & _BY_DIGITS)
        self._email = "email" in chosen
        self._card = "credit_card" in chosen
        self._ssn = "ssn" in chosen
        self._ip = "ip_address" in chosen
        self._phones = PhoneFinder(_listed(regions)) if "phone" in chosen else None

    def check(self, text: str, field: str = "input") -> list[Finding]:
        """The personal data in a text, in order, not overlapping.

        Raises:
            TimeoutError: an own pattern took too long.
        """
        del field
        return self._found(text, 0)

    def redact(self, text: str) -> str:
        """The text with each find replaced by its category in brackets."""
        found = self._found(text, 0)
        return cut_out(text, found, self.mark_of) if found else text

    def redact_after(self, text: str, before: str) -> str:
        """`redact`, with the name that the text stands under telling what its digits are."""
        if len(before) > _MAX_BEFORE:
            before = before[-_MAX_BEFORE:]
        whole = f"{before}: {text}"
        found = self._found(whole, len(before) + 2)
        return cut_out(text, found, self.mark_of) if found else text

    def mark_of(self, finding: Finding) -> str:
        """The category in brackets."""
        return f"[{finding.rule.upper()}]"

    def _found(self, text: str, offset: int) -> list[Finding]:
        """What is found, by places in the text from the offset on."""
        found: list[Finding] = []
        if self._email and ("@" in text or "%40" in text or "\uff20" in text):
            found += [Finding("email", *place) for place in emails(text)]
        if self._has_digits:
            self._digits(text, found)
        for category, pattern in self._patterns:
            found += [Finding(category, *place) for place in pattern.spans(text)]
        if self._engine is not None:
            found += self._engine(text)
        if not found:
            return found
        if offset:
            found = [
                Finding(rule, max(0, start - offset), end - offset)
                for rule, start, end in found
                if end > offset
            ]
            text = text[offset:]
        if self._exceptions:
            found = [find for find in found if text[find.start : find.end] not in self._exceptions]
        found.sort(key=lambda find: _RANK.get(find.rule, len(_RANK)))
        return merged(found)

    def _digits(self, text: str, found: list[Finding]) -> None:
        card, ssn, ip, phones = self._card, self._ssn, self._ip, self._phones
        for match in RUN.finditer(text):
            run = match.span()
            written = match[0]
            if written.isdigit() and len(written) > 19:
                continue
            if ip and written.count(".") >= 3:
                found += [Finding("ip_address", *place) for place in ipv4s(text, run)]
            if _is_fraction(written) or _DATE.match(written):
                continue
            if card and len(written) >= 12:
                found += [Finding("credit_card", *place) for place in cards(text, run)]
            if ssn and len(written) >= 9:
                found += [Finding("ssn", *place) for place in ssns(text, run)]
            if phones is not None:
                found += [Finding("phone", *place) for place in phones.phones(text, run)]
        if ip and may_have_ipv6(text):
            found += [Finding("ip_address", *place) for place in ipv6s(text)]


def _is_fraction(written: str) -> bool:
    """`0.0123456789`, of which embeddings have thousands."""
    whole, point, rest = written.partition(".")
    return bool(point) and len(whole) <= 2 and rest.isdigit()


def _listed(given: Any) -> list[Any]:
    if isinstance(given, str) or hasattr(given, "pattern"):
        return [given]
    return list(given)


def _check(asked: Sequence[str], engine: Any) -> None:
    for category in asked:
        if category in CATEGORIES:
            continue
        if category in _ENGINE_CATEGORIES:
            if engine is not None:
                continue
            raise ConfigurationError(
                f"category {category!r} needs engine='presidio' (pip install \"peekr[presidio]\")"
            )
        choices = ", ".join(CATEGORIES)
        raise ConfigurationError(f"category {category!r} is none of {choices}")


def _engine(
    engine: Any, asked: Sequence[str], language: str
) -> Optional[Callable[[str], list[Finding]]]:
    if engine is None:
        return None
    wanted = [category for category in asked if category in _ENGINE_CATEGORIES]
    if engine == "presidio" or hasattr(engine, "analyze"):
        from peekr.guard.presidio import PresidioFinder

        return PresidioFinder(None if engine == "presidio" else engine, wanted, language)
    if callable(engine):
        find = cast("Callable[[str], Iterable[Any]]", engine)
        return lambda text: [Finding(*found) for found in find(text)]
    raise ConfigurationError(f"engine={engine!r} is neither 'presidio' nor a callable")
