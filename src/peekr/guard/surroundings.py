"""What stands around digits: whether they are part of an identifier, and what they are called."""

from __future__ import annotations

import re

__all__ = ["adjoins_after", "is_called", "is_part_of_identifier", "is_part_of_number"]

_BEFORE_CHARS = 40
_DASHED = frozenset("0123456789abcdefABCDEF-")
_UUID = re.compile(r"[0-9a-f]{8}-?[0-9a-f]{4}-?[0-9a-f]{4}-?[0-9a-f]{4}-?[0-9a-f]{12}", re.I)
_TRACE_PARENT = re.compile(r"[0-9a-f]{2}-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}", re.I)
_HEX = re.compile(r"(?=[0-9-]*[a-f])(?=[a-f-]*[0-9])[0-9a-f-]{16,}", re.I)
_MAX_TOKEN = 80
_ID_NAME = re.compile(
    r"(?:\b|_)(?:trace|span|parent|parent_span|uu|request|correlation|commit)[_\-.]?(?:id|hash|sha)"
    r"\W{0,4}$|\b(?:uuid|guid|sha(?:1|256|512)?|md5|etag|digest|checksum|traceparent)\W{0,4}$",
    re.I,
)


def is_part_of_number(text: str, start: int, end: int) -> bool:
    """Whether letters or further digits adjoin, as in a hash, a version or a fraction."""
    return _adjoins_before(text, start) or adjoins_after(text, end)


def _adjoins_before(text: str, start: int) -> bool:
    if not start:
        return False
    before = text[start - 1]
    if before.isalnum():
        # `\n` as in a JSON text or in a `repr` is a line end and no letter.
        return not (before in "nrt" and text[start - 2 : start - 1] == "\\")
    return before in ".," and text[max(0, start - 2) : start - 1].isdigit()


def adjoins_after(text: str, end: int) -> bool:
    """Whether a letter, a digit or a fraction follows."""
    after = text[end : end + 1]
    return after.isalnum() or (after == "." and text[end + 1 : end + 2].isdigit())


def is_part_of_identifier(text: str, start: int, end: int) -> bool:
    """Whether the place is within a UUID, a hash or a trace id, or is named as one."""
    left, right = start, end
    least, most = max(0, start - _MAX_TOKEN), min(len(text), end + _MAX_TOKEN)
    while left > least and text[left - 1] in _DASHED:
        left -= 1
    while right < most and text[right] in _DASHED:
        right += 1
    if right - left > end - start:
        token = text[left:right].strip("-")
        if _UUID.fullmatch(token) or _TRACE_PARENT.fullmatch(token) or _HEX.fullmatch(token):
            return True
    return _ID_NAME.search(text, max(0, start - _BEFORE_CHARS), start) is not None


def is_called(text: str, start: int, names: re.Pattern[str]) -> bool:
    """Whether one of the names stands shortly before the place."""
    return names.search(text, max(0, start - _BEFORE_CHARS), start) is not None
