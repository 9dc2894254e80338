"""Phone numbers: by how they are written, and with `phonenumbers` by each country's plan."""

from __future__ import annotations

import importlib
import re
from collections.abc import Iterator, Sequence
from typing import Any, Optional

from peekr.guard.surroundings import (
    adjoins_after,
    is_called,
    is_part_of_identifier,
    is_part_of_number,
)

__all__ = ["PhoneFinder"]

Place = tuple[int, int]

_GAP = r"[ \-./\t\u00a0\u2007\u2010-\u2015\u202f]"
_GAPS = re.compile(_GAP)
_EXTENSION = r"(?:[ ,;]{0,2}(?:x|ext\.?|extension|#)[ .:]?\d{1,6})?"
# Between two digits: at most three characters, of which brackets may be some.
_BETWEEN = r"(?:[ \-./()\t\u00a0\u2007\u2010-\u2015\u202f]{0,3})"

_INTERNATIONAL = re.compile(
    rf"(?:\+|(?<!\d)00[ ]?)[(]?\d(?:{_BETWEEN}\d){{6,14}}(?!\d){_EXTENSION}"
)
_AMERICAN = re.compile(
    rf"(?<!\d)(?:1{_GAP})?(?:\((?P<a>\d{{3}})\) ?{_GAP}?|(?P<b>\d{{3}})(?P<gap>{_GAP}))"
    rf"(?P<exchange>\d{{3}})(?P<last>{_GAP})\d{{4}}(?!\d){_EXTENSION}"
)
_NATIONAL = re.compile(
    rf"(?<!\d)\(?0(?:"
    rf"[1-9]\d{{1,3}}\)?{_GAP}{{1,3}}\d{{3,4}}{_GAP}\d{{3,4}}"  # 020 7946 0958, 0161 496 0123
    rf"|[1-9]\d{{2,4}}\)?{_GAP}{{1,3}}\d{{5,8}}"  # 07700 900123, 030/1234567
    rf"|[1-9]([ .\-\u00a0\u202f])\d\d(?:\1\d\d){{3}}"  # 01 23 45 67 89
    rf")(?!\d)"
)
_ANY = re.compile(rf"(?<!\d)\(?\d(?:{_BETWEEN}\d){{6,14}}(?!\d){_EXTENSION}")
_LAST_GROUP = re.compile(rf"{_BETWEEN}\d+{_EXTENSION}$")
_NAME = re.compile(
    r"(?:\b|_)(?:tel(?:e(?:phone|fon))?|phone|cell(?:ular)?|mobile?|mobil|fax|handy|whatsapp|"
    r"call(?:ed|ing)?|dial|sms|text(?: me)? at|contact|reach (?:me|us)|msisdn|hotline)"
    r"(?:[ _-]?(?:number|num|no|nr|me|us|at|is|on|him|her|back))*(?:\b|_)[^\n\d]{0,24}$",
    re.I,
)

# Country calling codes by their first digits. Source: ITU-T E.164 assigned country codes.
_SHORT_CODES = (
    "1 7 20 27 30 31 32 33 34 36 39 40 41 43 44 45 46 47 48 49 51 52 53 54 55 56 57 58 60 61 62 63"
    " 64 65 66 81 82 84 86 90 91 92 93 94 95 98"
)
_LONG_CODES = (
    (211, 213), (216, 216), (218, 218), (220, 269), (290, 291), (297, 299), (350, 359), (370, 383),
    (385, 387), (389, 389), (420, 421), (423, 423), (500, 509), (590, 599), (670, 670), (672, 692),
    (800, 800), (808, 808), (850, 850), (852, 853), (855, 856), (870, 870), (878, 878), (880, 883),
    (886, 886), (888, 888), (960, 968), (970, 977), (979, 979), (992, 996), (998, 998),
)  # fmt: skip
_CODES = frozenset(_SHORT_CODES.split()).union(
    str(code) for first, last in _LONG_CODES for code in range(first, last + 1)
)


class PhoneFinder:
    """Finds phone numbers in runs of digits.

    Without `phonenumbers` these count: numbers with `+` or `00` and a country code that exists;
    ten digits as North America groups them, with an area and an exchange that the plan allows;
    usual groupings of national numbers with a leading 0; and, where a word such as *phone* or
    *call* stands before them, other digits of a possible length. With it, what has a country code
    must be a possible number of that country, and any number that is valid in one of the regions
    counts when it is grouped.
    """

    def __init__(self, regions: Sequence[str] = ("US",)) -> None:
        """Prepare.

        Args:
            regions: Countries, by ISO 3166 code, whose national numbers count.
        """
        self._library = _library()
        # The grouping of North American numbers is known without it.
        self._regions = tuple(
            region
            for region in regions
            if self._library is not None and self._library.country_code_for_region(region) != 1
        )

    def phones(self, text: str, run: Place) -> Iterator[Place]:
        """Phone numbers within a run of digits; they may overlap.

        Args:
            text: The text.
            run: Where the digits begin and end.
        """
        start, end = run
        # `+`, a bracket or an extension may adjoin the run.
        first, last = max(0, start - 2), min(len(text), end + 14)
        yield from self._international(text, first, last)
        for match in _AMERICAN.finditer(text, first, last):
            if _is_american(text, match) and _stands_alone(text, match):
                yield match.span()
        for match in _NATIONAL.finditer(text, first, min(len(text), end + 1)):
            if _stands_alone(text, match) and not _counts_up(match[0]):
                yield match.span()
        is_named = is_called(text, start, _NAME)
        if is_named or self._regions:
            for match in _ANY.finditer(text, first, last):
                if (
                    match.start() < end
                    and self._is_other(match[0], is_named)
                    and _stands_alone(text, match)
                ):
                    yield match.span()

    def _international(self, text: str, first: int, last: int) -> Iterator[Place]:
        at = first
        while True:
            match = _INTERNATIONAL.search(text, at, last)
            if match is None:
                return
            start, at = match.start(), match.start() + 1
            written = match[0]
            while written:
                end = start + len(written)
                if self._is_international(text, start, end):
                    yield start, end
                    at = end
                    break
                # Other numbers may follow: without the last group it may be one.
                cut = _LAST_GROUP.search(written)
                written = "" if cut is None else written[: cut.start()]

    def _is_international(self, text: str, start: int, end: int) -> bool:
        written = text[start:end]
        has_plus = written[0] == "+"
        before = text[start - 1 : start]
        if before.isalnum() and not (before in "nrt" and text[start - 2 : start - 1] == "\\"):
            return False
        if not has_plus and not _GAPS.search(written) and not is_called(text, start, _NAME):
            return False
        digits = _digits(written)[0 if has_plus else 2 :]
        code = next((digits[:n] for n in (1, 2, 3) if digits[:n] in _CODES), None)
        least = 8 if self._library is None else 7  # of a few islands
        if code is None or not least <= len(digits) <= 15:
            return False
        if code == "1" and (len(digits) != 11 or digits[1] in "01"):
            return False
        if adjoins_after(text, end):
            return False
        return self._library is None or code == "1" or self._is_possible(f"+{digits}", None)

    def _is_other(self, written: str, is_named: bool) -> bool:
        digits = _digits(written)
        if is_named and 7 <= len(digits) <= 15 and not _is_moment(written, digits):
            return len(set(digits)) > 1
        if len(digits) < 8 or not _GAPS.search(written.strip()):
            return False
        return any(self._is_possible(written, region) for region in self._regions)

    def _is_possible(self, written: str, region: Optional[str]) -> bool:
        library = self._library
        try:
            number = library.parse(written, region)
        except library.NumberParseException:
            return False
        if region is None:
            return bool(library.is_possible_number(number))
        grouped = library.is_valid_number(number)
        return bool(grouped) and _is_grouped_so(library, number, written)


def _is_grouped_so(library: Any, number: Any, written: str) -> bool:
    """Whether the digits are grouped as they are where the number is from."""
    form = library.format_number(number, library.PhoneNumberFormat.NATIONAL)
    return _groups(form) == _groups(written.partition("x")[0])


def _groups(written: str) -> list[str]:
    return re.findall(r"\d+", written)


def _library() -> Any:
    try:
        return importlib.import_module("phonenumbers")
    except ImportError:
        return None


def _digits(written: str) -> str:
    number = re.split(r"[xe#,;]", written, maxsplit=1)[0]
    return "".join(str(int(char)) for char in number if char.isdigit())


def _is_american(text: str, match: re.Match[str]) -> bool:
    """Whether three, three and four digits are a number of North America.

    With brackets, dashes or dots the grouping says so; with spaces the plan must allow it, for
    three numbers in a row look the same.

    Source: NANPA: area and exchange begin with 2 to 9.
    """
    area, exchange = _digits(match["a"] or match["b"]), _digits(match["exchange"])
    gap, last = match["gap"], match["last"]
    if gap is None:
        return area[0] != "0" and not _adjoins_number(text, match, "-./")
    if gap != last and not {gap, last} <= {" ", "-", "."}:
        return False
    if gap in "-\u2010\u2011\u2012\u2013.":
        return area[0] != "0" and not _adjoins_number(text, match, "-./")
    return (
        area[0] in "23456789"
        and area[1:] != "00"
        and (exchange[0] in "23456789" or area == "555")
        and not _adjoins_number(text, match, " \t-./,")
    )


def _adjoins_number(text: str, match: re.Match[str], gaps: str) -> bool:
    start, end = match.span()
    before, after = text[max(0, start - 2) : start], text[end : end + 2]
    return (len(before) == 2 and before[1] in gaps and before[0].isdigit()) or (
        len(after) == 2 and after[0] in gaps and after[1].isdigit()
    )


def _counts_up(written: str) -> bool:
    """`01 02 03 04 05` is a list."""
    groups = [int(group) for group in re.findall(r"\d+", written)]
    steps = {after - before for before, after in zip(groups, groups[1:])}
    return len(groups) > 3 and len(steps) == 1


_MOMENT = re.compile(
    r"(?:19|20)\d\d[-./ ]?(?:0[1-9]|1[0-2])[-./ ]?(?:0[1-9]|[12]\d|3[01])(?!\d{3})"
)
_ADDRESS = re.compile(r"\d{1,3}(?:\.\d{1,3}){3}$")


def _is_moment(written: str, digits: str) -> bool:
    """Whether it is a date, an epoch number, an IP address or a fraction rather."""
    if _MOMENT.match(written) or _ADDRESS.match(written.strip()):
        return True
    if written.count(".") == 1 and written.replace(".", "").isdigit():
        return True
    return digits[0] == "1" and len(digits) in (10, 13, 16, 19) and written.isdigit()


def _stands_alone(text: str, match: re.Match[str]) -> bool:
    start, end = match.span()
    if text[start] == "(":
        return not adjoins_after(text, end)
    return not (is_part_of_number(text, start, end) or is_part_of_identifier(text, start, end))
