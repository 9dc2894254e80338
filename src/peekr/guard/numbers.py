"""Numbers of payment cards and social security numbers, by the rules by which they are given."""

from __future__ import annotations

import re
from collections.abc import Iterator

from peekr.guard.surroundings import is_called, is_part_of_identifier, is_part_of_number

__all__ = ["RUN", "cards", "is_card", "ssns"]

Place = tuple[int, int]

RUN = re.compile(r"\d[\d \-./()\t\u00a0\u2007\u2010-\u2015\u202f]{5,}\d")
"""Digits and what stands between the digits of one number, seven characters at least."""

_GAP = r"[ \-.\u00a0\u2007\u2010-\u2015\u202f]"
# Looked ahead, so that each digit is tried as the first one: other numbers may stand before.
_PLAIN_CARD = re.compile(r"(?<!\d)(\d{12,19})(?!\d)")
_GROUPED_CARD = re.compile(
    rf"(?<!\d)(?=(\d{{4}}{_GAP}\d{{4}}{_GAP}\d{{4}}{_GAP}\d{{1,4}}(?:{_GAP}\d{{1,3}})?"
    rf"|\d{{4}}{_GAP}\d{{6}}{_GAP}\d{{4,5}}|\d{{8}}{_GAP}\d{{8}})(?!\d))"
)
_SPELT_CARD = re.compile(r"(?<!\d)(?<!\d[ \-])(\d(?:[ \-]\d){11,18})(?![ \-]?\d)")
_USUAL_LENGTHS = (13, 14, 15, 16)
_CARD_NAME = re.compile(
    r"card|credit|debit|visa|maestro|unionpay|discover|jcb|"
    r"(?:\b|_)(?:pan|cc|payment|pay(?: by| with)?)(?:\b|_)",
    re.I,
)
_LAST_GROUP = re.compile(rf"{_GAP}\d{{1,4}}$")

# Prefixes by the lengths that go with them. Source: ISO/IEC 7812 ranges as the networks publish
# them (Visa, Mastercard, American Express, Discover, Diners, JCB, UnionPay, Maestro, Mir, RuPay).
_ISSUERS: tuple[tuple[str, str, frozenset[int]], ...] = (
    ("4", "4", frozenset((13, 16, 19))),
    ("51", "55", frozenset((16,))),
    ("2221", "2720", frozenset((16,))),
    ("34", "34", frozenset((15,))),
    ("37", "37", frozenset((15,))),
    ("6011", "6011", frozenset((16, 17, 18, 19))),
    ("644", "649", frozenset((16, 17, 18, 19))),
    ("65", "65", frozenset((16, 17, 18, 19))),
    ("300", "305", frozenset((14, 16, 17, 18, 19))),
    ("3095", "3095", frozenset((14, 16, 17, 18, 19))),
    ("36", "36", frozenset((14, 15, 16, 17, 18, 19))),
    ("38", "39", frozenset((14, 16, 17, 18, 19))),
    ("3528", "3589", frozenset((16, 17, 18, 19))),
    ("62", "62", frozenset((16, 17, 18, 19))),
    ("81", "82", frozenset((16,))),
    ("50", "50", frozenset((12, 16, 18, 19))),
    ("56", "58", frozenset((12, 16, 18, 19))),
    ("6304", "6304", frozenset((12, 16, 18, 19))),
    ("6759", "6763", frozenset((12, 13, 16, 18, 19))),
    ("2200", "2204", frozenset((16, 17, 18, 19))),
    ("60", "60", frozenset((16,))),
    ("9792", "9792", frozenset((16,))),
)


def cards(text: str, run: Place) -> Iterator[Place]:
    """Payment card numbers within a run of digits."""
    start, end = run
    for match in _PLAIN_CARD.finditer(text, start, end):
        digits = match[1]
        if (
            is_card(digits)
            # Of other lengths there are few cards, and many identifiers.
            and (len(digits) in _USUAL_LENGTHS or is_called(text, match.start(), _CARD_NAME))
            and _stands_alone(text, *match.span(1))
        ):
            yield match.span(1)
    if end - start < 14:
        return
    for pattern in (_GROUPED_CARD, _SPELT_CARD):
        # One more, for the lookahead must see what follows.
        for match in pattern.finditer(text, start, min(len(text), end + 1)):
            at, written = match.start(1), match[1]
            while written:
                if is_card("".join(filter(str.isdigit, written))):
                    if _stands_alone(text, at, at + len(written)):
                        yield at, at + len(written)
                    break
                # The last group may be a year or a check value that follows.
                last = _LAST_GROUP.search(written) if pattern is _GROUPED_CARD else None
                written = written[: last.start()] if last and len(written) > 16 else ""


def _stands_alone(text: str, start: int, end: int) -> bool:
    return not (is_part_of_number(text, start, end) or is_part_of_identifier(text, start, end))


def is_card(digits: str) -> bool:
    """Whether the digits are of a length and a range that an issuer has, with a right check digit.

    Source: ISO/IEC 7812-1, annex B (Luhn).
    """
    if not digits.isascii():
        digits = "".join(str(int(digit)) for digit in digits)  # of other scripts
    length = len(digits)
    if not any(
        low <= digits[: len(low)] <= high and length in lengths for low, high, lengths in _ISSUERS
    ):
        return False
    if len(set(digits)) == 1:
        return False
    total = 0
    for index, digit in enumerate(reversed(digits)):
        value = int(digit)
        if index % 2:
            value *= 2
            if value > 9:
                value -= 9
        total += value
    return total % 10 == 0


_SSN = re.compile(r"(?<!\d)(\d{3})([\-\u2010-\u2013 ])(\d{2})\2(\d{4})(?!\d)")
_PLAIN_SSN = re.compile(r"(?<!\d)(\d{3})(\d{2})(\d{4})(?!\d)")
_SSN_NAME = re.compile(r"(?:\b|_)ssn|social[ _-]?sec(?:urity)?|tax(?:payer)?[ _-]?id|\bTIN\b", re.I)


def ssns(text: str, run: Place) -> Iterator[Place]:
    """Social security numbers within a run of digits; nine digits in a row only where named so."""
    start, end = run
    for match in _SSN.finditer(text, start, min(len(text), end + 1)):
        area, gap, group, serial = match.groups()
        if not _is_ssn(area, group, serial) or not _stands_alone(text, *match.span()):
            continue
        if _adjoins_group(text, *match.span(), "-/ " if gap == " " else "-/"):
            continue
        yield match.span()
    for match in _PLAIN_SSN.finditer(text, start, end):
        if (
            _is_ssn(match[1], match[2], match[3])
            and is_called(text, match.start(), _SSN_NAME)
            and _stands_alone(text, *match.span())
        ):
            yield match.span()


def _is_ssn(area: str, group: str, serial: str) -> bool:
    """By the rules of issue.

    Source: Social Security Administration: no area 000, 666 or from 900, no group 00, no serial
    0000.
    """
    return area not in ("000", "666") and area[0] != "9" and group != "00" and serial != "0000"


def _adjoins_group(text: str, start: int, end: int, gaps: str) -> bool:
    """Whether further groups of digits belong to the same number."""
    before, after = text[max(0, start - 2) : start], text[end : end + 2]
    return (
        before[-1:] == "+"
        or (len(before) == 2 and before[1] in gaps and before[0].isdigit())
        or (len(after) == 2 and after[0] in gaps and after[1].isdigit())
    )
