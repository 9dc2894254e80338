"""Whether a line may fulfil a condition, without parsing it."""

from __future__ import annotations

import re

from peekr.store.query import Condition

__all__ = ["likely"]

_END_TIME = re.compile(rb'"end_time": ?([0-9.eE+-]+)')


def likely(line: bytes, conditions: list[Condition], flags: int) -> bool:
    """Whether the line may fulfil a condition that its trace has not met yet."""
    lower = b""
    for number, condition in enumerate(conditions):
        if flags >> number & 1:
            continue
        if condition.hint:
            lower = lower or line.lower()
            if condition.hint in lower:
                return True
        elif condition.since is None or not _ended_before(line, condition.since):
            return True
    return False


def _ended_before(line: bytes, since: float) -> bool:
    found = _END_TIME.search(line)
    if found is None:
        return False
    attributes = line.find(b'"attributes"')
    if 0 <= attributes < found.start():
        return False  # it may be a key inside of the attributes
    try:
        return float(found[1]) < since
    except ValueError:
        return False
