"""Words and patterns that are not to be sent, answered or recorded."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from typing import Any, Optional, Union

from peekr.errors import ConfigurationError
from peekr.guard.base import (
    FIELDS,
    BaseGuardrail,
    Finding,
    checked_action,
    checked_fields,
    checked_stream,
    cut_out,
    merged,
)
from peekr.guard.patterns import BoundedPattern, Exceptions
from peekr.guard.secrets import (
    COMMON_SECRETS,
    SecretFinder,
    SecretPattern,
    SecretPatterns,
)

__all__ = ["Blocklist"]

# What JSON writes in another way inside a text.
_ESCAPED = re.compile(r"[\"\\/\x00-\x1f\x7f-\U0010ffff]")


class Blocklist(BaseGuardrail):
    """Stops, notes or cuts out words and patterns.

    A finding is named by its place in the arguments, `terms[0]` or `patterns[2]`, and one of the
    common secrets by its kind, `openai_key`: neither the text nor a secret is in an error or a log.

    Secrets that `COMMON_SECRETS` finds are kept out of the record whatever the action is: what is
    blocked because it is a secret must not be stored for it.
    """

    name = "Blocklist"
    mark = "[BLOCKED]"

    COMMON_SECRETS: SecretPatterns = COMMON_SECRETS
    """Patterns of the keys, tokens and passwords that are seen most, for `patterns`."""

    def __init__(
        self,
        terms: Union[str, Iterable[str], None] = None,
        patterns: Union[str, Iterable[Any], None] = None,
        action: str = "raise",
        fields: Union[str, Sequence[str]] = FIELDS,
        case_sensitive: bool = False,
        *,
        whole_words: bool = False,
        exceptions: Union[str, Iterable[Any]] = (),
        fail_closed: bool = False,
        stream: Optional[str] = None,
        window_chars: int = 256,
    ) -> None:
        """Say what is blocked.

        Args:
            terms: Texts, found anywhere, also within words; blanks stand for any white space.
            patterns: Patterns in `re`'s syntax, texts or compiled ones (which keep their flags),
                and those of `Blocklist.COMMON_SECRETS`, which may be given among others.
            action: `"raise"` stops the call or withholds the answer, `"redact"` writes `[BLOCKED]`
                in what is recorded, `"warn"` notes it on the span.
            fields: `"input"` and `"output"`.
            case_sensitive: Whether case matters in terms and patterns.
            whole_words: Whether a term counts only where no letter and no digit adjoins it.
            exceptions: What is let through: texts, compared regardless of case, and patterns made
                by `re.compile`, which must match all of what was found.
            fail_closed: A fault, such as a pattern that takes too long, blocks too.
            stream: How a streamed answer is looked at: `"window"`, `"buffer"` or `"observe"`. By
                default a window, and with patterns of one's own, which may look at anything, a
                buffer.
            window_chars: How many characters the window has, at least; the longest term's count
                where that is longer.

        Raises:
            ConfigurationError: (a ValueError) there is nothing to block, or an unknown action or
                field, or a pattern that is none.
            TypeError: a term that is no text, a pattern that is neither text nor pattern.
        """
        self.action = checked_action(action)
        self.fields = checked_fields(fields)
        self.fail_closed = bool(fail_closed)
        self.case_sensitive = bool(case_sensitive)
        self.terms: tuple[str, ...] = tuple(_listed(terms))
        self._terms = _Terms(self.terms, bool(case_sensitive), bool(whole_words))
        self._secrets: list[SecretPattern] = []
        self._patterns: list[tuple[str, BoundedPattern]] = []
        for index, pattern in enumerate(_listed(patterns)):
            if isinstance(pattern, SecretPattern):
                self._secrets.append(pattern)
            else:
                compiled = BoundedPattern(pattern, ignore_case=not case_sensitive)
                self._patterns.append((f"patterns[{index}]", compiled))
        self._finder = SecretFinder(self._secrets)
        if not (self._terms or self._secrets or self._patterns):
            raise ConfigurationError("Blocklist: give terms=, patterns= or both")
        self._exceptions = Exceptions(exceptions)
        self.stream = checked_stream(stream or ("buffer" if self._patterns else "window"))
        self.window_chars = max(window_chars, self._terms.longest)
        self.sees_through_json = not self._patterns and self._terms.are_plain
        self.wants_names = bool(self._secrets)

    @property
    def redacts_record(self) -> bool:
        """Whether it changes what is recorded: secrets are never stored."""
        return self.action == "redact" or bool(self._secrets)

    @property
    def secret_rules(self) -> frozenset[str]:
        """The kinds of common secrets that are looked for."""
        return frozenset(secret.rule for secret in self._secrets)

    def check(self, text: str, field: str = "input") -> list[Finding]:
        """What is blocked in a text, in order, not overlapping.

        Raises:
            TimeoutError: a pattern took too long.
        """
        del field
        found = self._found_secrets(text)
        found += self._terms.found(text)
        for rule, pattern in self._patterns:
            found += [Finding(rule, *span) for span in pattern.spans(text)]
        return merged(self._without_exceptions(text, found))

    def redact(self, text: str) -> str:
        """The text as it may be recorded."""
        if self.action == "redact":
            found = self.check(text)
        else:
            found = merged(self._without_exceptions(text, self._found_secrets(text)))
        return cut_out(text, found, self.mark_of) if found else text

    def redact_after(self, text: str, before: str) -> str:
        """`redact`; of some secrets it is the name before them that tells what they are."""
        if not self._secrets or not _NAMED.search(before):
            return self.redact(text)
        start = len(before) + 2
        whole = f"{before}: {text}"
        made = self.redact(whole)
        return made[start:] if made.startswith(whole[:start]) else self.mark

    def _found_secrets(self, text: str) -> list[Finding]:
        if not self._secrets:
            return []
        return [Finding(*found) for found in self._finder.found(text)]

    def _without_exceptions(self, text: str, found: list[Finding]) -> list[Finding]:
        if not (found and self._exceptions):
            return found
        return [find for find in found if text[find.start : find.end] not in self._exceptions]


_NAMED = re.compile(r"secret|key|auth|token|password|passwd|credential", re.I)


class _Terms:
    """Texts that are looked for, all at once where possible."""

    __slots__ = ("_case_sensitive", "_patterns", "_plain", "are_plain", "longest")

    def __init__(self, terms: Sequence[Any], case_sensitive: bool, whole_words: bool) -> None:
        self._case_sensitive = case_sensitive
        # Found by the text's own search, the fastest there is.
        self._plain: list[tuple[str, str]] = []
        self._patterns: list[tuple[str, str, re.Pattern[str]]] = []
        self.longest = 0
        self.are_plain = True
        for index, term in enumerate(terms):
            if not isinstance(term, str):
                raise TypeError(f"terms: {term!r} is not a text")
            words = term.split()
            if not words:
                raise ConfigurationError("terms: a term is empty")
            rule = f"terms[{index}]"
            self.longest = max(self.longest, len(term) + 8 * len(words))
            self.are_plain = self.are_plain and _ESCAPED.search(term) is None and len(words) == 1
            if len(words) == 1 and not whole_words and (case_sensitive or words[0].isascii()):
                self._plain.append((rule, words[0] if case_sensitive else words[0].lower()))
                continue
            pattern = r"\s+".join(map(re.escape, words))
            if whole_words:
                pattern = rf"(?<![^\W_]){pattern}(?![^\W_])"
            flags = 0 if case_sensitive else re.IGNORECASE
            # The first word is found fastest by itself; the rest is tried where it stands.
            first = words[0] if case_sensitive else words[0].lower()
            sought = first if case_sensitive or words[0].isascii() else ""
            self._patterns.append((rule, sought, re.compile(pattern, flags)))

    def __bool__(self) -> bool:
        return bool(self._plain or self._patterns)

    def found(self, text: str) -> list[Finding]:
        """Every place of every term."""
        made: list[Finding] = []
        searched = text if self._case_sensitive else text.lower()
        if len(searched) != len(text):
            # A letter whose small form is two: `İ`. Elsewhere each keeps its place.
            searched = "".join(c if len(c.lower()) != 1 else c.lower() for c in text)
        for rule, term in self._plain:
            at = searched.find(term)
            while at >= 0:
                made.append(Finding(rule, at, at + len(term)))
                at = searched.find(term, at + len(term))
        for rule, first, pattern in self._patterns:
            if not first:
                made += [Finding(rule, *match.span()) for match in pattern.finditer(text)]
                continue
            at = searched.find(first)
            while at >= 0:
                match = pattern.match(text, at)
                if match is not None:
                    made.append(Finding(rule, *match.span()))
                at = searched.find(first, at + 1 if match is None else match.end())
        return made


def _listed(given: Any) -> list[Any]:
    if given is None:
        return []
    if isinstance(given, str) or hasattr(given, "pattern"):
        return [given]
    return list(given)
