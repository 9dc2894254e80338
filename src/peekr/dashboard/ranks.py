"""Percentiles of many values that lie in parts, exact and without sorting them all together."""

from __future__ import annotations

from array import array
from bisect import bisect_left, bisect_right
from collections import Counter
from collections.abc import Iterable, Sequence
from itertools import chain
from math import log
from typing import Optional

from peekr.dashboard.figures import nearest_rank, place_of

__all__ = ["Part", "Ranks", "merged", "part_of"]

Part = tuple["array[float]", bytes, list[tuple[int, int]]]
"""Values in order, of each the number of its bin, and the bins with how many values they hold.

A larger value is in no smaller bin.
"""

_FEW = 200
"""Values that are sorted in less time than their bins are counted."""
_PER_E, _LEAST, _OFFSET = 6.5, 0.01, 30
"""Bins a factor of e; with these every number from 0 to 1e14 is in one of 0 to 255."""


def part_of(values: Iterable[float]) -> Part:
    """A part of some values, none of them negative."""
    ordered = sorted(values)
    bins = bytes([int(log(value + _LEAST) * _PER_E) + _OFFSET for value in ordered])
    return array("d", ordered), bins, list(Counter(bins).items())


def merged(parts: Sequence[Part]) -> Part:
    """Parts as one."""
    if len(parts) == 1:
        return parts[0]
    counts: Counter[int] = Counter()
    for _, _, held in parts:
        for number, count in held:
            counts[number] += count
    items = sorted(counts.items())
    # Sorting runs is little more than merging them.
    values = array("d", sorted(chain.from_iterable([part[0] for part in parts])))
    return values, b"".join([bytes((number,)) * count for number, count in items]), items


class Ranks:
    """The values of some parts together."""

    __slots__ = ("_counts", "_few", "_parts", "n")

    def __init__(self, parts: Sequence[Part]) -> None:
        self._parts = parts
        self.n = sum([len(part[1]) for part in parts])
        self._counts: Optional[list[int]] = None
        self._few: Optional[list[float]] = None

    def at(self, share: float, least: int = 1) -> Optional[float]:
        """The value that so large a share does not exceed; None of fewer than `least` values.

        Args:
            share: 0.5 for the median.
            least: How many there have to be.
        """
        if self.n > max(_FEW, least):
            place = place_of(self.n, share)
            if self._counts is None:
                self._counts = counts = [0] * 256
                for _, _, held in self._parts:
                    for number, count in held:
                        counts[number] += count
            for number, count in enumerate(self._counts):
                if place < count:
                    return self._within(number)[place]
                place -= count
        if self._few is None:
            self._few = sorted(chain.from_iterable([part[0] for part in self._parts]))
        return nearest_rank(self._few, share, least)

    def _within(self, number: int) -> list[float]:
        """The values in one bin, in order."""
        found: list[float] = []
        for values, bins, _ in self._parts:
            begin = bisect_left(bins, number)
            if begin < len(bins) and bins[begin] == number:
                found += values[begin : bisect_right(bins, number, begin)]
        found.sort()
        return found
