"""Members of a JSON object replaced in its text: every other byte stays as it is."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any, NamedTuple, Optional

from peekr.encoding import dumps

__all__ = ["SpliceError", "spliced", "spliced_inside"]

_SPACE = re.compile(r"[ \t\r\n]*")
_STRING = re.compile(r'"[^"\\]*(?:\\.[^"\\]*)*"', re.DOTALL)
_SCALAR = re.compile(r"[^\s,\]}]+")
_BRACKET = re.compile(r'[{}\[\]]|"[^"\\]*(?:\\.[^"\\]*)*"', re.DOTALL)


class SpliceError(ValueError):
    """The text is no JSON object."""


class _Member(NamedTuple):
    name: str
    start: int
    value_start: int
    value_end: int


def spliced(text: str, changes: Mapping[str, Any]) -> str:
    """The text of a JSON object with members set; a new one comes last, None takes one away.

    Args:
        text: The object.
        changes: JSON values by name.

    Raises:
        SpliceError: the text is no JSON object.
    """
    for name, value in changes.items():
        members, end = _members(text)
        # Of two members of one name, parsers take the last.
        found = next((member for member in reversed(members) if member.name == name), None)
        if found is None:
            if value is not None:
                comma = "," if members else ""
                at = members[-1].value_end if members else end
                text = f"{text[:at]}{comma}{_json(name)}:{_json(value)}{text[at:]}"
        elif value is not None:
            text = f"{text[: found.value_start]}{_json(value)}{text[found.value_end :]}"
        else:
            text = _without(text, members, members.index(found))
    return text


def spliced_inside(text: str, outer: str, changes: Mapping[str, Any]) -> str:
    """As `spliced`, with members of an object that is a member itself; made where it is missing.

    Args:
        text: The outer object.
        outer: The member that holds the inner one.
        changes: JSON values of the inner object, by name.

    Raises:
        SpliceError: the text is no JSON object.
    """
    members, _ = _members(text)
    found = next((member for member in reversed(members) if member.name == outer), None)
    if found is None or text[found.value_start] != "{":
        return spliced(text, {outer: {k: v for k, v in changes.items() if v is not None}})
    inner = spliced(text[found.value_start : found.value_end], changes)
    return f"{text[: found.value_start]}{inner}{text[found.value_end :]}"


def _json(value: Any) -> str:
    return dumps(value).decode()


def _without(text: str, members: list[_Member], place: int) -> str:
    found = members[place]
    if place:
        return text[: members[place - 1].value_end] + text[found.value_end :]
    if len(members) > 1:
        return text[: found.start] + text[members[1].start :]
    return text[: found.start] + text[found.value_end :]


def _members(text: str) -> tuple[list[_Member], int]:
    """The members of the object, and where its closing bracket is."""
    position = _past_space(text, 0)
    _expect(text, position, "{")
    position = _past_space(text, position + 1)
    members: list[_Member] = []
    while not text.startswith("}", position):
        if members:
            _expect(text, position, ",")
            position = _past_space(text, position + 1)
        start = position
        quoted = _matched(_STRING.match(text, position))
        position = _past_space(text, quoted.end())
        _expect(text, position, ":")
        value_start = _past_space(text, position + 1)
        value_end = _end_of_value(text, value_start)
        try:
            name = json.loads(quoted.group(), strict=False)
        except ValueError:
            raise SpliceError("a member's name is no JSON text") from None
        members.append(_Member(name, start, value_start, value_end))
        position = _past_space(text, value_end)
    return members, position


def _end_of_value(text: str, start: int) -> int:
    first = text[start : start + 1]
    if first == '"':
        return _matched(_STRING.match(text, start)).end()
    if first not in ("{", "["):
        return _matched(_SCALAR.match(text, start)).end()
    depth = 0
    for found in _BRACKET.finditer(text, start):
        bracket = found.group()
        if bracket in ("{", "["):
            depth += 1
        elif bracket in ("}", "]"):
            depth -= 1
            if not depth:
                return found.end()
    raise SpliceError("it is cut off")


def _past_space(text: str, position: int) -> int:
    return _matched(_SPACE.match(text, position)).end()


def _expect(text: str, position: int, character: str) -> None:
    if not text.startswith(character, position):
        raise SpliceError(f"there is no {character} at {position}")


def _matched(found: Optional[re.Match[str]]) -> re.Match[str]:
    if found is None:
        raise SpliceError("it is no JSON object")
    return found
