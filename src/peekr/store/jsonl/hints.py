"""What lines are about, without parsing them."""

from __future__ import annotations

import re
from operator import itemgetter
from typing import Optional

from peekr.store.query import Condition

__all__ = ["likely", "usual_keys"]

# A line as Peekr writes it: {"trace_id":"0123456789abcdef0123456789abcdef",…}
_BEGIN, _ID, _QUOTE, _LAST = map(itemgetter, (slice(13), slice(13, 45), 45, -1))
_USUAL = ({b'{"trace_id":"'}, {ord('"')}, {ord("}")})

_END_TIME = re.compile(rb'"end_time": ?([0-9.eE+-]+)')


def likely(line: bytes, conditions: list[Condition], flags: int) -> bool:
    """Whether the line may fulfil a condition that its trace has not met yet.

    Args:
        line: The line, as it stands in the file.
        conditions: All that a query asks of a trace's spans.
        flags: A bit for each of them, 1 where the trace has met it.
    """
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


def usual_keys(lines: list[bytes]) -> Optional[set[bytes]]:
    """The trace ids on lines that are all as Peekr writes them; None where one may not be."""
    try:
        if (set(map(_BEGIN, lines)), set(map(_QUOTE, lines)), set(map(_LAST, lines))) != _USUAL:
            return None
    except IndexError:
        return None
    keys: set[bytes] = set(map(_ID, lines))
    return keys if b"".join(keys).isalnum() else None
