"""What is kept of spans and traces while a file is read, and how spans belong together."""

from __future__ import annotations

import math
from array import array
from collections.abc import Set as AbstractSet
from typing import NamedTuple, Optional

from peekr.dashboard.cells import Call, Dims
from peekr.dashboard.figures import Series

__all__ = [
    "ErrorGroup",
    "Failure",
    "OpenTrace",
    "Shortlist",
    "Span",
    "TraceRow",
    "Work",
    "covered_ms",
    "topmost",
    "wrappers",
]

Span = tuple[str, Optional[str], str, float, float, "Work", Optional[Dims]]
"""Id, parent's id, name, start in seconds, milliseconds (-1 where there are none), work, dimensions
where they matter.

A plain tuple: a million of them are made.
"""


class Failure(NamedTuple):
    """A span that failed.

    Attributes:
        start: Unix seconds.
        key: Its message, masked.
        model: The number of its model.
    """

    span: str
    parent: Optional[str]
    name: str
    start: float
    key: str
    model: int


class OpenTrace:
    """A trace whose spans are still coming.

    Attributes:
        calls: Those of models, without those of judges.
        ids: The span's id of each of the calls.
        used: The ids of spans with usage.
        judged: Of those the ones that are calls of judges.
        root: The span without a parent.
    """

    __slots__ = (
        "answer",
        "calls",
        "failures",
        "ids",
        "judged",
        "question",
        "root",
        "score",
        "session",
        "spans",
        "tools",
        "used",
        "user",
    )

    def __init__(self) -> None:
        self.spans: list[Span] = []
        self.calls: list[Call] = []
        self.ids: list[str] = []
        self.used: list[str] = []
        self.judged: list[str] = []
        self.failures: list[Failure] = []
        self.root: Optional[Span] = None
        self.question = self.answer = self.session = self.user = ""
        self.score: Optional[float] = None
        self.tools = 0


class TraceRow(NamedTuple):
    """One trace as a row of the list.

    Attributes:
        start: Unix seconds.
        state: 0 ok, 1 recovered (its root is ok and something in it failed), 2 failed.
        group: The key of its error group, if any.
        is_cut: Whether an answer in it was cut short by the limit of tokens.
    """

    id: str
    name: str
    start: float
    ms: float
    state: int
    spans: int
    errors: int
    llm: int
    tools: int
    tokens: Optional[float]
    cost: Optional[float]
    dims: tuple[int, ...]
    session: str
    user: str
    question: str
    answer: str
    score: Optional[float]
    group: str
    is_cut: bool


class Work:
    """Spans of one kind and name.

    Attributes:
        durations: Milliseconds of those that did not fail.
        starts: When each of these began, in Unix seconds.
        failed_ms: Milliseconds of those that failed, together.
        covered_ms: What the children of all of them cover.
        untimed: Spans without a duration that did not fail.
    """

    __slots__ = (
        "covered_ms",
        "durations",
        "errors",
        "failed_ms",
        "is_call",
        "kind",
        "starts",
        "untimed",
    )

    def __init__(self, kind: str, is_call: bool) -> None:
        self.kind, self.is_call = kind, is_call
        self.errors = self.untimed = 0
        self.failed_ms = self.covered_ms = 0.0
        self.durations: array[float] = array("d")
        self.starts: array[float] = array("d")

    @property
    def n(self) -> int:
        """How many spans."""
        return len(self.durations) + self.errors + self.untimed

    @property
    def self_ms(self) -> float:
        """The time of the spans without that of their children."""
        return sum(self.durations) + self.failed_ms - self.covered_ms


class ErrorGroup:
    """Failures that read alike once ids and numbers are masked."""

    __slots__ = ("first", "key", "last", "model", "n", "name", "series", "traces")

    def __init__(self, key: str, name: str, model: str) -> None:
        self.key, self.name, self.model = key, name, model
        self.n = 0
        self.first = self.last = 0.0
        self.series = Series(1)
        self.traces: list[str] = []


class Shortlist:
    """The rows with the largest keys, so many."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._held: list[tuple[float, int, TraceRow]] = []
        self._sequence = 0
        self.least = -math.inf
        """A row with a smaller key than this need not be offered."""

    def add(self, key: float, row: TraceRow) -> None:
        """Offer a row."""
        if key > self.least:
            self._sequence += 1
            self._held.append((key, -self._sequence, row))
            # Cut now and then: one sort of many is much cheaper than a heap kept in order.
            if len(self._held) >= 2 * self._limit:
                self._cut()

    def _cut(self) -> None:
        self._held.sort(reverse=True)
        if len(self._held) >= self._limit:
            del self._held[self._limit :]
            self.least = self._held[-1][0]

    @property
    def rows(self) -> list[TraceRow]:
        """The rows, the one with the largest key first; of equal keys the earlier one."""
        self._cut()
        return [row for _, _, row in self._held]


def topmost(spans: list[Span]) -> Span:
    """The span that stands for a trace whose root is not in the file."""
    ids = {span[0] for span in spans}
    tops = [span for span in spans if span[1] not in ids]
    return min(tops or spans, key=_start)


def _start(span: Span) -> float:
    return span[3]


def wrappers(trace: OpenTrace) -> AbstractSet[str]:
    """The ids of spans with usage that stand above another span with usage."""
    parents = {span[0]: span[1] for span in trace.spans}
    above: set[str] = set()
    judged = set(trace.judged)
    for used in trace.used:
        if used in judged:
            continue  # a judge's call is none of what it judges
        parent = parents.get(used)
        # What was marked has marked all that is above it; so each span is visited once.
        while parent is not None and parent not in above:
            above.add(parent)
            parent = parents.get(parent)
    return above.intersection(trace.used)


def covered_ms(start: float, ms: float, below: list[tuple[float, float]]) -> float:
    """How much of a span's duration its children cover together, in milliseconds.

    Args:
        start: The span's, in seconds.
        ms: The span's duration.
        below: The children's start and end, in seconds.
    """
    end = start + ms / 1000.0
    if len(below) > 1:
        below.sort()
    covered, reached = 0.0, start
    for begin, stop in below:
        if stop > end:
            stop = end
        if begin < reached:
            begin = reached
        if stop > begin:
            covered += stop - begin
            reached = stop
    return covered * 1000.0
