"""What is kept of spans and traces while a file is read, and how spans belong together."""

from __future__ import annotations

from array import array
from collections.abc import Container
from collections.abc import Set as AbstractSet
from typing import Any, NamedTuple, Optional

from peekr.dashboard.figures import Series

__all__ = [
    "Call",
    "ErrorGroup",
    "OpenTrace",
    "Session",
    "Span",
    "TraceRow",
    "Work",
    "covered_ms",
    "topmost",
    "wrappers",
]

Call = tuple[Any, ...]
"""A model call: internal, cut short, wait, tokens in, out, cached, reasoning, cost, and whether it
is a call of a language model."""
_Dims = Optional[tuple[int, ...]]
Span = tuple[str, Optional[str], str, "Work", float, float, str, bool, _Dims, Optional[Call]]
"""Id, parent's id, name, work, start in seconds, milliseconds (-1 where there are none), error
(empty where it is ok), usage, dimensions where they matter, call.

Plain tuples: a million of them are made.
"""


class OpenTrace:
    """A trace whose spans are still coming."""

    __slots__ = ("answer", "question", "root", "score", "session", "spans", "user")

    def __init__(self) -> None:
        self.spans: list[Span] = []
        self.root: Optional[Span] = None
        self.question = self.answer = ""
        self.session = ""
        self.user = ""
        self.score: Optional[float] = None


class TraceRow(NamedTuple):
    """One trace as a row of the list.

    Attributes:
        start: Unix seconds.
        state: 0 ok, 1 recovered (its root is ok and something in it failed), 2 failed.
        group: The key of its error group, if any.
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


class Work:
    """Spans of one kind and name."""

    __slots__ = ("durations", "errors", "kind", "n", "self_ms")

    def __init__(self, kind: str) -> None:
        self.kind = kind
        self.n = self.errors = 0
        self.self_ms = 0.0
        self.durations: array[float] = array("d")


class ErrorGroup:
    """Failures that read alike once ids and numbers are masked."""

    __slots__ = ("first", "key", "last", "model", "n", "name", "series", "traces")

    def __init__(self, key: str, name: str, model: str) -> None:
        self.key, self.name, self.model = key, name, model
        self.n = 0
        self.first = self.last = 0.0
        self.series = Series(1)
        self.traces: list[str] = []


class Session:
    """The traces of one conversation."""

    __slots__ = (
        "active_ms",
        "cost",
        "errors",
        "first",
        "last",
        "tenant",
        "tokens",
        "traces",
        "turns",
        "user",
    )

    def __init__(self) -> None:
        self.user = self.tenant = ""
        self.turns = self.errors = 0
        self.active_ms = self.tokens = 0.0
        self.cost: Optional[float] = None
        self.first = self.last = 0.0
        self.traces: list[str] = []


def topmost(spans: list[Span]) -> Span:
    """The span that stands for a trace whose root is not in the file."""
    ids = {span[0] for span in spans}
    tops = [span for span in spans if span[1] not in ids]
    return min(tops or spans, key=lambda span: span[4])


_NONE: frozenset[str] = frozenset()


def wrappers(spans: list[Span], below: Container[str]) -> AbstractSet[str]:
    """The ids of spans with usage that stand above another span with usage.

    Args:
        spans: A trace.
        below: The ids of those that have children.
    """
    used = [span for span in spans if span[7]]
    for span in used:
        if span[0] in below:
            break
    else:
        return _NONE
    parents = {span[0]: span[1] for span in spans}
    above: set[str] = set()
    for span in used:
        call = span[9]
        if call is not None and call[0]:
            continue  # a judge's call is none of what it judges
        parent = span[1]
        # What was marked has marked all that is above it; so each span is visited once.
        while parent is not None and parent not in above:
            above.add(parent)
            parent = parents.get(parent)
    return {span[0] for span in used if span[0] in above}


def covered_ms(start: float, ms: float, below: list[tuple[float, float]]) -> float:
    """How much of a span's duration its children cover together, in milliseconds.

    Args:
        start: The span's, in seconds.
        ms: The span's duration.
        below: The children's start and duration.
    """
    end = start + ms / 1000.0
    if len(below) > 1:
        below.sort()
    covered, reached = 0.0, start
    for begin, took in below:
        stop = begin + took / 1000.0
        if stop > end:
            stop = end
        if begin < reached:
            begin = reached
        if stop > begin:
            covered += stop - begin
            reached = stop
    return covered * 1000.0
