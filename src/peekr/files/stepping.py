"""A trace span by span, in the order of time."""

from __future__ import annotations

from collections.abc import Sequence
from heapq import heappop, heappush
from typing import NamedTuple, Optional

from peekr.record import SpanRecord
from peekr.render.tree import arrange

__all__ = ["Step", "steps_of"]

_MAX_PATH = 64


class Step(NamedTuple):
    """One span on the way through a trace.

    Attributes:
        number: From 1.
        total: How many there are.
        offset_ms: When it started, after the beginning of the trace, in milliseconds.
        path: The names of the spans above it, the outermost first; of very many the nearest.
        record: The span.
        parallel: How many other spans, none of them above or below it, were running at its start.
    """

    number: int
    total: int
    offset_ms: float
    path: tuple[str, ...]
    record: SpanRecord
    parallel: int


def steps_of(spans: Sequence[SpanRecord]) -> list[Step]:
    """The spans of a trace in the order in which they started, parents before children."""
    nodes = arrange(list(spans))
    if not nodes:
        return []
    parents: list[int] = []  # of each, -1 at the top
    ancestors: list[int] = []
    for index, node in enumerate(nodes):
        del ancestors[node.depth :]
        parents.append(ancestors[-1] if ancestors else -1)
        ancestors.append(index)
    order = sorted(range(len(nodes)), key=lambda index: (nodes[index].record.start_time, index))
    begin = nodes[order[0]].record.start_time
    running: list[tuple[float, int]] = []  # a heap by their ends
    made: list[Step] = []
    for number, index in enumerate(order, 1):
        record = nodes[index].record
        while running and running[0][0] <= record.start_time:
            heappop(running)
        above: list[int] = []
        parent = parents[index]
        while parent >= 0 and len(above) < _MAX_PATH:
            above.append(parent)
            parent = parents[parent]
        # Of those further above, all are taken to be running, as they would be.
        still = nodes[index].depth - len(above)
        for one in above:
            other = nodes[one].record
            still += other.start_time <= record.start_time < _end(other)
        made.append(
            Step(
                number,
                len(nodes),
                (record.start_time - begin) * 1000.0,
                tuple(nodes[one].record.name for one in reversed(above)),
                record,
                max(0, len(running) - still),
            )
        )
        heappush(running, (_end(record), index))
    return made


def _end(record: SpanRecord) -> float:
    duration: Optional[float] = record.duration_ms
    return record.start_time + (duration or 0.0) / 1000.0
