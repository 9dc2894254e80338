"""The sums of calls by time and by what they can be grouped by.

Every figure of calls on the page is made of these.
"""

from __future__ import annotations

from array import array
from collections.abc import Iterable, Iterator
from itertools import chain
from typing import Any, Optional

from peekr.dashboard.figures import MAX_BUCKETS, STEPS_S, bar_step, nearest_rank

__all__ = ["CALLS", "DURATIONS", "SUMS", "Cell", "Cells", "Totals", "total"]

SUMS = (
    "calls",
    "failed",
    "tokens_in",
    "tokens_out",
    "tokens_cached",
    "cost",
    "cached_of",
    "tokens_reasoning",
    "priced",
    "unpriced",
    "no_usage",
    "cut_short",
)
"""What is summed in a cell, in this order; after these stand durations and waits of ok calls."""
CALLS, FAILED, IN, OUT, CACHED, COST, CACHED_OF, REASONING = range(8)
PRICED, UNPRICED, NO_USAGE, CUT_SHORT, DURATIONS, WAITS = range(8, 14)
_MAX_CELLS = 60_000

Cell = list[Any]
Dims = tuple[int, ...]


class Cells:
    """Cells by bucket of time and by the numbers of the dimensions; buckets widen with the time.

    Attributes:
        step: The width of a bucket in seconds.
        is_exact: Whether the dimensions of every call are told apart: False where there are too
            many combinations, whose calls are then in the cells of none.
    """

    def __init__(self, width: int) -> None:
        """Begin.

        Args:
            width: How many dimensions there are.
        """
        self.step = STEPS_S[0]
        self.buckets: dict[int, dict[Dims, Cell]] = {}
        self.is_exact = True
        self._none: Dims = (0,) * width
        self._count = 0
        self._low = self._high = 0.0
        self._now: dict[Dims, Cell] = {}

    def at(self, start: float, dims: Dims) -> Cell:
        """The cell of a call that began then, in Unix seconds; makes it."""
        if not self._low <= start < self._high:
            self._turn(start)
        cell = self._now.get(dims)
        if cell is None:
            if self._count >= _MAX_CELLS:
                self.is_exact = False
                dims = self._none
                cell = self._now.get(dims)
            if cell is None:
                self._count += 1
                cell = self._now[dims] = _new()
        return cell

    def _turn(self, start: float) -> None:
        key = int(start // self.step)
        if key not in self.buckets:
            self.buckets[key] = {}
            first, last = min(self.buckets), max(self.buckets)
            if last - first >= MAX_BUCKETS:
                self._widen(bar_step(first * self.step, last * self.step))
                key = int(start // self.step)
        self._now = self.buckets[key]
        self._low, self._high = key * self.step, (key + 1) * self.step

    def _widen(self, step: int) -> None:
        factor = step // self.step
        if factor <= 1:
            return
        merged: dict[int, dict[Dims, Cell]] = {}
        for key, cells in self.buckets.items():
            into = merged.setdefault(key // factor, {})
            for dims, cell in cells.items():
                if dims in into:
                    _add(into[dims], cell)
                else:
                    into[dims] = cell
        self.buckets, self.step = merged, step
        self._count = sum(len(cells) for cells in merged.values())

    def finish(self) -> None:
        """Sort what is ranked; nothing is added afterwards."""
        for cells in self.buckets.values():
            for cell in cells.values():
                cell[DURATIONS] = sorted(cell[DURATIONS])
                cell[WAITS] = sorted(cell[WAITS])

    @property
    def span(self) -> tuple[int, int]:
        """The numbers of the first bucket and of the one after the last."""
        held = [key for key, cells in self.buckets.items() if cells]
        return (min(held), max(held) + 1) if held else (0, 0)

    def all(self) -> Iterator[tuple[int, Dims, Cell]]:
        """Every cell, with its bucket and its dimensions."""
        for key, cells in self.buckets.items():
            for dims, cell in cells.items():
                yield key, dims, cell


class Totals:
    """Cells put together: sums, and ranks over all of their values."""

    __slots__ = ("durations", "sums", "waits")

    def __init__(self, cells: Iterable[Cell]) -> None:
        columns: list[tuple[Any, ...]] = list(zip(*cells)) or [()] * (len(SUMS) + 2)
        self.sums: list[float] = [sum(column) for column in columns[: len(SUMS)]]
        durations: list[float] = list(chain.from_iterable(columns[DURATIONS]))
        waits: list[float] = list(chain.from_iterable(columns[WAITS]))
        # Each cell is sorted already; sorting runs is little more than merging them.
        durations.sort()
        waits.sort()
        self.durations, self.waits = durations, waits

    def rank(self, share: float, least: int = 1) -> Optional[float]:
        """A percentile of the durations of calls that did not fail, in milliseconds."""
        return nearest_rank(self.durations, share, least)

    def wait(self, share: float) -> Optional[float]:
        """A percentile of the times to the first token, in milliseconds."""
        return nearest_rank(self.waits, share)


def total(cells: Cells) -> Totals:
    """All cells together."""
    return Totals(cell for _, _, cell in cells.all())


def _new() -> Cell:
    return [0, 0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0, 0, 0, 0, array("d"), array("d")]


def _add(into: Cell, cell: Cell) -> None:
    for place in range(len(SUMS)):
        into[place] += cell[place]
    into[DURATIONS].extend(cell[DURATIONS])
    into[WAITS].extend(cell[WAITS])
