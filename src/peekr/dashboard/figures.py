"""The arithmetic of the dashboard's figures: ranks, buckets of time, masked messages."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any, Optional

__all__ = [
    "HELD_CHARS",
    "MAX_BUCKETS",
    "MIN_P95",
    "MIN_P99",
    "STEPS_S",
    "Series",
    "answer_of",
    "bar_step",
    "mask",
    "nearest_rank",
    "place_of",
    "question_of",
    "short",
]

_WEEK_S = 604_800
STEPS_S = (
    *(60, 300, 900, 3600, 21_600, 86_400, _WEEK_S),
    # For clocks that were wrong, and for records without a time, which begin in 1970.
    *(4 * _WEEK_S, 52 * _WEEK_S, 520 * _WEEK_S, 5200 * _WEEK_S),
)
"""The widths of buckets, in seconds; each is a multiple of the one before it."""
MAX_BUCKETS = 96
MIN_P95, MIN_P99 = 20, 100
"""How many values a percentile needs to mean anything."""
SHORT_CHARS = 160
HELD_CHARS = 2 * SHORT_CHARS
"""What is held of a text of which `short` is shown, which may have much white space."""


def nearest_rank(ordered: Sequence[float], share: float, least: int = 1) -> Optional[float]:
    """The value that so large a share does not exceed; None of fewer than `least` values.

    Args:
        ordered: The values, sorted.
        share: 0.5 for the median.
        least: How many there have to be.
    """
    count = len(ordered)
    if count < max(least, 1):
        return None
    return ordered[place_of(count, share)]


def place_of(count: int, share: float) -> int:
    """Where in order the nearest rank of so many values stands."""
    return min(count - 1, max(0, -int(-share * count // 1) - 1))


def bar_step(first: float, last: float) -> int:
    """The width of the buckets that cover a time, in seconds: the finest with at most 96."""
    for step in STEPS_S:
        if last // step - first // step + 1 <= MAX_BUCKETS:
            return step
    return STEPS_S[-1]


class Series:
    """Sums by bucket of time, whose width grows with the time that they cover.

    A bucket is a list of sums; what is added to one that is not there makes it. Times come in any
    order.
    """

    def __init__(self, width: int) -> None:
        """Begin.

        Args:
            width: How many sums there are in a bucket.
        """
        self._width = width
        self.step = STEPS_S[0]
        self.buckets: dict[int, list[float]] = {}

    def at(self, seconds: float) -> int:
        """The number of the bucket of a time; makes it."""
        key = int(seconds // self.step)
        if key not in self.buckets:
            self.buckets[key] = [0.0] * self._width
            if len(self.buckets) > 1:
                self._fit()
                key = int(seconds // self.step)
        return key

    def _fit(self) -> None:
        first, last = min(self.buckets), max(self.buckets)
        if last - first < MAX_BUCKETS:
            return
        wider = bar_step(first * self.step, last * self.step)
        if wider == self.step:
            return
        factor = wider // self.step
        sums: dict[int, list[float]] = {}
        for key, values in self.buckets.items():
            into = sums.setdefault(key // factor, [0.0] * self._width)
            for place, value in enumerate(values):
                into[place] += value
        self.buckets.clear()
        self.buckets.update(sums)
        self.step = wider

    @property
    def span(self) -> tuple[int, int]:
        """The numbers of the first bucket and of the one after the last."""
        if not self.buckets:
            return 0, 0
        return min(self.buckets), max(self.buckets) + 1

    def column(self, place: int) -> list[float]:
        """One sum of every bucket, empty ones included."""
        first, end = self.span
        none = [0.0] * self._width
        return [self.buckets.get(key, none)[place] for key in range(first, end)]


_PARTS = re.compile(
    r"(?P<status>\b(?:code|status|HTTP)[ :=]{1,3}[1-5]\d\d\b)"
    r"|[0-9a-fA-F]{8}-[0-9a-fA-F-]{27}(?![0-9a-zA-Z])"
    r"|(?P<word>(?<![0-9A-Za-z])(?:[0-9]+(?:\.[0-9]+)+(?![0-9A-Za-z])|[0-9A-Za-z]*[0-9][0-9A-Za-z]*))"
)
_HEX = re.compile(r"(?=.*[0-9])[0-9a-fA-F]{6,}")
_DIGITS = re.compile(r"\d+(?:\.\d+)*")
_ERROR_CHARS = 240
_ID_CHARS = 8
"""From so many letters and digits on a word with two digits in it is an id, `n0rthw1nd`."""


def mask(message: str) -> str:
    """An error's first line with ids and numbers masked, so that equal failures count together.

    What tells failures apart stays: the code of an HTTP answer, and names such as `gpt-4o`.
    """
    first = message.strip().partition("\n")[0][:_ERROR_CHARS]
    return _PARTS.sub(_masked, first)


def _masked(found: re.Match[str]) -> str:
    if found["status"]:
        return found["status"]
    word = found["word"]
    if word is None or _HEX.fullmatch(word) or _is_id(word):
        return "#"
    before = found.string[found.start() - 1 : found.start()]
    if before == "-" and word[0].isdigit() and word[-1].isalpha():
        return word
    return _DIGITS.sub("#", word)


def _is_id(word: str) -> bool:
    return (
        len(word) >= _ID_CHARS and sum(map(str.isdigit, word)) >= 2 and any(map(str.isalpha, word))
    )


def short(text: str, chars: int = SHORT_CHARS) -> str:
    """A text on one line, cut."""
    line = " ".join(text[: chars * 2].split())
    return line if len(line) <= chars else line[: chars - 1] + "…"


def question_of(value: Any) -> str:
    """The beginning of what a person asked: the last user message, or a text that was given."""
    if isinstance(value, str):
        return value[:HELD_CHARS]
    if isinstance(value, list):
        for message in reversed(value):  # pyright: ignore[reportUnknownVariableType, reportUnknownArgumentType]
            if isinstance(message, dict) and message.get("role") == "user":  # pyright: ignore[reportUnknownMemberType]
                content = message.get("content")  # pyright: ignore[reportUnknownMemberType, reportUnknownVariableType]
                return content[:HELD_CHARS] if type(content) is str else _content(content)  # pyright: ignore[reportUnknownArgumentType]
        return ""
    if isinstance(value, dict):
        longest = ""
        for entry in value.values():  # pyright: ignore[reportUnknownVariableType]
            if isinstance(entry, str) and len(entry) > len(longest):
                longest = entry
        return longest[:HELD_CHARS]
    return ""


def answer_of(value: Any) -> str:
    """The beginning of what was answered."""
    if isinstance(value, str):
        return value[:HELD_CHARS]
    if isinstance(value, list):
        for message in reversed(value):  # pyright: ignore[reportUnknownVariableType, reportUnknownArgumentType]
            if isinstance(message, dict):
                content = message.get("content")  # pyright: ignore[reportUnknownMemberType, reportUnknownVariableType]
                if content is None:
                    continue
                found = _content(content)  # pyright: ignore[reportUnknownArgumentType]
                if found:
                    return found
        return ""
    return question_of(value) if isinstance(value, dict) else ""


def _content(content: Any) -> str:
    if isinstance(content, str):
        return content[:HELD_CHARS]
    if isinstance(content, list):
        for part in content:  # pyright: ignore[reportUnknownVariableType]
            if isinstance(part, dict):
                text = part.get("content") or part.get("text")  # pyright: ignore[reportUnknownMemberType, reportUnknownVariableType]
                if isinstance(text, str) and text:
                    return text[:HELD_CHARS]
    return ""
