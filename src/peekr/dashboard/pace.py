"""How long work takes over time, and since when it takes longer."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple, Optional

from peekr.dashboard.figures import nearest_rank
from peekr.dashboard.traces import Work

__all__ = ["Slowdown", "medians", "slowdown"]

_MAX_LOOKED_AT = 5_000
"""Spans of one kind and name that are looked at, spread evenly, so that a million cost no more."""
_LEAST = 20
"""Spans on each side of a moment."""
_GROWTH = 1.5
_CERTAIN = 5.0
"""So many standard errors apart, for the moment is the best one of many."""
_OWN = 0.8
"""The share of a span's time that is its own, where it is not its children that got slower."""


class Slowdown(NamedTuple):
    """A moment since which work takes longer.

    Attributes:
        since: Unix seconds, the beginning of a bucket.
        was: The median before, in milliseconds.
        now: The median from then on, in milliseconds.
        lost_ms: What was spent since then beyond the old median, all spans together.
    """

    since: float
    was: float
    now: float
    lost_ms: float


def medians(work: Work, first: int, end: int, step: int) -> list[Optional[float]]:
    """The median duration in each bucket, in milliseconds; None where nothing ended well.

    Args:
        work: What took time.
        first: The number of the first bucket.
        end: That of the bucket after the last one.
        step: The width of a bucket in seconds.
    """
    held = _by_bucket(work, step)
    return [nearest_rank(sorted(held.get(key, ())), 0.5) for key in range(first, end)]


def slowdown(work: Work, step: int) -> Optional[Slowdown]:
    """Since when work takes clearly longer, up to the end; None where it does not.

    Args:
        work: What took time; None where most of that is the time of its children.
        step: The width of a bucket in seconds.
    """
    if len(work.durations) < 2 * _LEAST:
        return None
    if work.covered_ms > (1.0 - _OWN) * (sum(work.durations) + work.failed_ms):
        return None
    held = _by_bucket(work, step)
    keys = sorted(held)
    cut = _cut([[math.log(ms + 0.01) for ms in held[key]] for key in keys])
    if cut is None:
        return None
    before = [ms for key in keys[:cut] for ms in held[key]]
    after = [ms for key in keys[cut:] for ms in held[key]]
    was, now, latest = (
        nearest_rank(sorted(values), 0.5) or 0.0 for values in (before, after, after[-_LEAST:])
    )
    if min(now, latest) < was * _GROWTH:
        return None
    scale = len(work.durations) / (len(before) + len(after))
    return Slowdown(float(keys[cut] * step), was, now, (now - was) * len(after) * scale)


def _by_bucket(work: Work, step: int) -> dict[int, list[float]]:
    """Durations by the bucket of their start, in the order in which they were recorded."""
    every = -(-len(work.durations) // _MAX_LOOKED_AT) or 1
    held: dict[int, list[float]] = {}
    for start, ms in zip(work.starts[::every], work.durations[::every]):
        held.setdefault(int(start // step), []).append(ms)
    return held


def _cut(groups: Sequence[Sequence[float]]) -> Optional[int]:
    """The place in a sequence of groups from which on their values are most clearly larger."""
    count = sum(map(len, groups))
    whole = sum(map(sum, groups))
    squares = sum(value * value for group in groups for value in group)
    best: Optional[int] = None
    most, seen, total = _CERTAIN, 0, 0.0
    for place, group in enumerate(groups[:-1], 1):
        seen += len(group)
        total += sum(group)
        rest = count - seen
        if seen < _LEAST or rest < _LEAST:
            continue
        low, high = total / seen, (whole - total) / rest
        spread = (squares - seen * low * low - rest * high * high) / (count - 2)
        apart = (high - low) / math.sqrt(max(spread, 1e-6) * (1.0 / seen + 1.0 / rest))
        if apart > most:
            best, most = place, apart
    return best
