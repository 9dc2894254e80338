"""The sums of calls by time and by what they can be grouped by.

Every figure of calls on the page is made of these.
"""

from __future__ import annotations

from array import array
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, Optional

from peekr.dashboard.figures import MAX_BUCKETS, STEPS_S, bar_step
from peekr.dashboard.ranks import Ranks, merged, part_of

__all__ = ["CALLS", "DURATIONS", "SUMS", "Call", "Cell", "Cells", "Totals"]

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
_MAX_WAITING = 50_000
"""Calls that wait to be summed together, which is cheaper than one by one."""

Cell = list[Any]
Dims = tuple[int, ...]
Call = tuple[Any, ...]
"""A call of a model: start in seconds, milliseconds (-1 where there are none), has failed, wait for
the first token in milliseconds, kind (0 language model, 1 embedding), tokens in, out, cached,
reasoning, cost in US dollars, cut short, dimensions, the trace's id. What is not reported is None.

A plain tuple, for a million of them are made.
"""


class Cells:
    """Cells by bucket of time and by the numbers of the dimensions; buckets widen with the time.

    Attributes:
        step: The width of a bucket in seconds.
        is_exact: Whether the dimensions of every call are told apart: False where there are too
            many combinations, whose calls are then in the cells of none.
        unpriced: Calls with usage and without a price, by the first dimension, the model.
    """

    def __init__(self, width: int) -> None:
        """Begin.

        Args:
            width: How many dimensions there are.
        """
        self.step = STEPS_S[0]
        self.buckets: dict[int, dict[Dims, Cell]] = {}
        self.is_exact = True
        self.unpriced: Counter[int] = Counter()
        self._none: Dims = (0,) * width
        self._count = 0
        self._low = self._high = 0.0
        self._first = self._last = 0
        self._waiting: dict[int, dict[Dims, list[Call]]] = {}
        self._now: dict[Dims, list[Call]] = {}
        self._added = 0

    def add(self, calls: Iterable[Call]) -> None:
        """Take calls."""
        now = self._now
        for call in calls:
            if not self._low <= call[0] < self._high:
                now = self._turn(call[0])
            dims = call[11]
            if dims in now:
                now[dims].append(call)
            else:
                now[dims] = [call]
            self._added += 1
        if self._added >= _MAX_WAITING:
            self._settle()

    def _turn(self, start: float) -> dict[Dims, list[Call]]:
        """Go to the bucket of a time; returns the calls that wait for it."""
        key = int(start // self.step)
        if key not in self._waiting:
            if not self._waiting and not self.buckets:
                self._first = self._last = key
            self._first, self._last = min(self._first, key), max(self._last, key)
            if self._last - self._first >= MAX_BUCKETS:
                self._widen(bar_step(self._first * self.step, self._last * self.step))
                key = int(start // self.step)
        self._now = self._waiting.setdefault(key, {})
        self._low, self._high = key * self.step, (key + 1) * self.step
        return self._now

    def _settle(self) -> None:
        """Sum the calls that wait."""
        for key, held in self._waiting.items():
            cells = self.buckets.setdefault(key, {})
            for dims, calls in held.items():
                cell = cells.get(dims)
                if cell is None:
                    if self._count >= _MAX_CELLS:
                        self.is_exact = False
                        cell = cells.get(self._none)
                    if cell is None:
                        self._count += 1
                        cell = cells[dims if self.is_exact else self._none] = _new()
                unpriced = _sum(cell, calls)
                if unpriced:
                    self.unpriced[dims[0]] += unpriced
        self._waiting.clear()
        self._added, self._low, self._high = 0, 0.0, 0.0

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
        waiting: dict[int, dict[Dims, list[Call]]] = {}
        for key, held in self._waiting.items():
            together = waiting.setdefault(key // factor, {})
            for dims, calls in held.items():
                if dims in together:
                    together[dims] += calls
                else:
                    together[dims] = calls
        self.buckets, self._waiting, self.step = merged, waiting, step
        self._first, self._last = self._first // factor, self._last // factor
        self._count = sum(len(cells) for cells in merged.values())

    def finish(self) -> None:
        """Sum what waits, and sort what is ranked; nothing is added afterwards."""
        self._settle()
        for cells in self.buckets.values():
            for cell in cells.values():
                cell[DURATIONS] = part_of(cell[DURATIONS])
                cell[WAITS] = part_of(cell[WAITS])

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

    def over_time(self) -> dict[Dims, Cell]:
        """A cell for all of the time by its dimensions. Only of finished cells."""
        apart: dict[Dims, list[Cell]] = {}
        for _, dims, cell in self.all():
            apart.setdefault(dims, []).append(cell)
        return {
            dims: cells[0] if len(cells) == 1 else _together(cells) for dims, cells in apart.items()
        }


class Totals:
    """Cells put together: sums, and ranks over all of their values. Only of finished cells."""

    __slots__ = ("durations", "sums", "waits")

    def __init__(self, cells: Iterable[Cell]) -> None:
        columns: list[tuple[Any, ...]] = list(zip(*cells)) or [()] * (len(SUMS) + 2)
        self.sums: list[float] = [sum(column) for column in columns[: len(SUMS)]]
        self.durations: Ranks = Ranks(columns[DURATIONS])
        self.waits: Ranks = Ranks(columns[WAITS])

    def rank(self, share: float, least: int = 1) -> Optional[float]:
        """A percentile of the durations of calls that did not fail, in milliseconds."""
        return self.durations.at(share, least)

    def wait(self, share: float) -> Optional[float]:
        """A percentile of the times to the first token, in milliseconds."""
        return self.waits.at(share)


def _new() -> Cell:
    return [0, 0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0, 0, 0, 0, array("d"), array("d")]


def _sum(cell: Cell, calls: Sequence[Call]) -> int:
    """Add calls to a cell; returns how many of them have usage and no price."""
    _, durations, failed, waits, _, sent, made, cached, reasoning, costs, cut, _, _ = zip(*calls)
    count = len(calls)
    cell[CALLS] += count
    failures = sum(failed)
    if failures:
        cell[FAILED] += failures
        cell[DURATIONS].extend(
            [ms for ms, has_failed in zip(durations, failed) if not has_failed and ms >= 0.0]
        )
        waits = [wait for wait, has_failed in zip(waits, failed) if not has_failed]
    elif min(durations) >= 0.0:
        cell[DURATIONS].extend(durations)
    else:
        cell[DURATIONS].extend([ms for ms in durations if ms >= 0.0])
    if waits.count(None):
        waits = [wait for wait in waits if wait is not None]
    cell[WAITS].extend(waits)
    # Neither None nor 0 changes a sum.
    cell[IN] += sum(filter(None, sent))
    cell[OUT] += sum(filter(None, made))
    absent = cached.count(None)
    if absent < count:
        cell[CACHED] += sum(filter(None, cached))
        if absent:
            sent_cached = [of for of, part in zip(sent, cached) if part is not None]
            cell[CACHED_OF] += sum(filter(None, sent_cached))
        else:
            cell[CACHED_OF] += sum(filter(None, sent))
    cell[REASONING] += sum(filter(None, reasoning))
    cell[COST] += sum(filter(None, costs))
    unpriced = costs.count(None)
    cell[PRICED] += count - unpriced
    if None in sent and None in made:
        silent = [first is None and second is None for first, second in zip(sent, made)]
        cell[NO_USAGE] += sum(silent)
        unpriced = sum(cost is None and not none for cost, none in zip(costs, silent))
    cell[UNPRICED] += unpriced
    cell[CUT_SHORT] += sum(cut)
    return unpriced


def _together(cells: Sequence[Cell]) -> Cell:
    columns: list[tuple[Any, ...]] = list(zip(*cells))
    sums: Cell = [sum(column) for column in columns[: len(SUMS)]]
    return [*sums, merged(columns[DURATIONS]), merged(columns[WAITS])]


def _add(into: Cell, cell: Cell) -> None:
    for place in range(len(SUMS)):
        into[place] += cell[place]
    into[DURATIONS].extend(cell[DURATIONS])
    into[WAITS].extend(cell[WAITS])
