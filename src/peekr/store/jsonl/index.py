"""Which parts of a file hold records of which traces, so that a few traces are found again."""

from __future__ import annotations

from array import array
from collections.abc import Iterable, Iterator
from typing import Any

__all__ = ["Index"]

_BLOCKS_A_PART = 4


class Index:
    """Which parts of a file hold records of which traces, in a few bytes a trace.

    A part may be named wrongly, as only a part of each id's hash is kept; none is left out.
    """

    def __init__(self) -> None:
        self._ends: list[int] = []
        self._hashes: list[array[int]] = []
        self._begun: set[int] = set()
        self._blocks = self._end = 0

    def add(self, trace_ids: Iterable[Any], end: int) -> None:
        """Take the traces of the records between the last place and this one, in bytes."""
        self._begun.update(map(hash, {*trace_ids}))
        self._end = end
        self._blocks += 1
        if self._blocks >= _BLOCKS_A_PART:
            self._finish()

    def _finish(self) -> None:
        self._ends.append(self._end)
        self._hashes.append(array("I", [number & 0xFFFFFFFF for number in self._begun]))
        self._begun.clear()
        self._blocks = 0

    def parts(self, trace_ids: Iterable[str]) -> Iterator[tuple[int, int]]:
        """Where the parts with these traces begin and end."""
        if self._blocks:
            self._finish()
        wanted = {hash(trace_id) & 0xFFFFFFFF for trace_id in trace_ids}
        begin = 0
        for end, hashes in zip(self._ends, self._hashes):
            if not wanted.isdisjoint(hashes):
                yield begin, end
            begin = end
