"""A trace span by span, in the order of time."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple, Optional

from peekr.record import SpanRecord
from peekr.render.tree import arrange

__all__ = ["Step", "steps_of"]


class Step(NamedTuple):
    """One span on the way through a trace.

    Attributes:
        number: From 1.
        total: How many there are.
        offset_ms: When it started, after the beginning of the trace, in milliseconds.
        path: The names of the spans above it, the outermost first.
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
    paths: list[tuple[int, ...]] = []
    ancestors: list[int] = []
    for index, node in enumerate(nodes):
        del ancestors[node.depth :]
        paths.append(tuple(ancestors))
        ancestors.append(index)
    order = sorted(range(len(nodes)), key=lambda index: (nodes[index].record.start_time, index))
    begin = nodes[order[0]].record.start_time
    running: list[int] = []
    made: list[Step] = []
    for number, index in enumerate(order, 1):
        record = nodes[index].record
        running = [other for other in running if _end(nodes[other].record) > record.start_time]
        above = set(paths[index])
        beside = sum(1 for other in running if other not in above)
        made.append(
            Step(
                number,
                len(nodes),
                (record.start_time - begin) * 1000.0,
                tuple(nodes[parent].record.name for parent in paths[index]),
                record,
                beside,
            )
        )
        running.append(index)
    return made


def _end(record: SpanRecord) -> float:
    duration: Optional[float] = record.duration_ms
    return record.start_time + (duration or 0.0) / 1000.0
