"""One pass over the records of a file: every sum on the page, and which traces are worth showing.

A trace is put together in memory until its root has ended and a while longer; then it becomes one
row and its calls become sums. A span with usage above another with usage is a wrapper that repeats
it, and counts nowhere.
"""

from __future__ import annotations

import heapq
from array import array
from collections import Counter, OrderedDict
from collections.abc import Iterable
from typing import Optional

from peekr.dashboard.facts import DIMENSIONS, Dimensions, Facts
from peekr.dashboard.figures import Series, answer_of, mask, question_of
from peekr.dashboard.kinds import CALLS, is_internal, kind_of
from peekr.dashboard.quality import Quality
from peekr.record import SpanRecord
from peekr.summary import error_text, number

__all__ = ["CALL_SUMS", "Collection", "ErrorGroup", "Session", "TraceRow", "Work", "collect"]

_MAX_OPEN = 20_000
_MAX_LINGERING = 500
"""Traces whose root has ended and that may get a late span."""
_MAX_GROUPS = 2_000
_MAX_SESSIONS = 50_000
_KEPT_SESSIONS = 20_000
_LISTED = {"newest": 3_600, "failed": 600, "slowest": 300, "dearest": 300, "worst": 200}
_CUT_SHORT = frozenset(("length", "max_tokens", "MAX_TOKENS", "max_output_tokens"))

CALL_SUMS = ("calls", "failed", "tokens_in", "tokens_out", "tokens_cached", "cost")
"""What is summed a bucket of time, in this order."""


class Span:
    """What the sums need to know of one span."""

    __slots__ = (
        "cached",
        "cost",
        "dims",
        "error",
        "id",
        "internal",
        "kind",
        "length",
        "ms",
        "name",
        "parent",
        "reasoning",
        "start",
        "tokens_in",
        "tokens_out",
        "wait",
    )
    id: str
    parent: Optional[str]
    name: str
    kind: str
    start: float
    ms: Optional[float]
    error: str
    internal: bool
    length: bool
    wait: Optional[float]
    tokens_in: Optional[float]
    tokens_out: Optional[float]
    cached: Optional[float]
    reasoning: Optional[float]
    cost: Optional[float]
    dims: tuple[int, ...]


class _Open:
    """A trace whose spans are still coming."""

    __slots__ = ("answer", "question", "root", "score", "session", "spans", "user")

    def __init__(self) -> None:
        self.spans: list[Span] = []
        self.root: Optional[Span] = None
        self.question = self.answer = ""
        self.session = ""
        self.user = ""
        self.score: Optional[float] = None


class TraceRow:
    """One trace as a row of the list.

    Attributes:
        state: 0 ok, 1 recovered (its root is ok and something in it failed), 2 failed.
        why: For which list it was kept first.
    """

    __slots__ = (
        "answer",
        "cost",
        "dims",
        "errors",
        "group",
        "id",
        "llm",
        "ms",
        "name",
        "question",
        "score",
        "session",
        "spans",
        "start",
        "state",
        "tokens",
        "tools",
        "user",
    )
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

    __slots__ = ("durations", "errors", "n", "self_ms")

    def __init__(self) -> None:
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
        self.active_ms = self.cost = 0.0
        self.tokens = 0.0
        self.first = self.last = 0.0
        self.traces: list[str] = []


class Collection:
    """What one pass found; `finish` completes it."""

    def __init__(self) -> None:
        self.spans = self.traces = 0
        self.first: Optional[float] = None
        self.last: Optional[float] = None
        self.series = Series(len(CALL_SUMS))
        self.dimensions = Dimensions()
        self.facts = Facts(self.dimensions)
        self.quality = Quality()
        self.work: dict[tuple[str, str], Work] = {}
        self.groups: dict[str, ErrorGroup] = {}
        self.sessions: dict[str, Session] = {}
        self.states = [0, 0, 0]
        self.trace_ms: array[float] = array("d")
        self.latencies: array[float] = array("d")
        self.waits: array[float] = array("d")
        self.calls = self.failed = self.cut_short = self.no_usage = 0
        self.priced = self.unpriced = 0
        self.tokens_in = self.tokens_out = self.tokens_cached = self.tokens_reasoning = 0.0
        self.cached_of = 0.0
        self.cost = 0.0
        self.unpriced_models: Counter[str] = Counter()
        self.eval_calls = 0
        self.eval_cost = 0.0
        self.listed: dict[str, list[tuple[float, int, TraceRow]]] = {key: [] for key in _LISTED}
        self.typical: dict[str, TraceRow] = {}
        self._open: OrderedDict[str, _Open] = OrderedDict()
        self._ended: OrderedDict[str, None] = OrderedDict()
        self._sequence = 0

    # -- records -----------------------------------------------------------------------------------

    def add(self, record: SpanRecord) -> None:
        """Take one record."""
        self.spans += 1
        attributes = record.attributes
        get = attributes.get
        span = Span()
        span.id, span.parent, span.name = record.span_id, record.parent_id, record.name
        span.start = start = record.start_time
        span.ms = record.duration_ms
        span.kind = kind = kind_of(record.name, attributes)
        span.internal = is_internal(attributes)
        span.error = ""
        span.wait = None
        span.length = False
        if record.status == "error":
            span.error = mask(error_text(record)) or "error"
        if self.first is None or start < self.first:
            self.first = start
        end = record.end_time
        if end is not None and (self.last is None or end > self.last):
            self.last = end
        trace_id = record.trace_id
        trace = self._open.get(trace_id)
        if trace is None:
            trace = self._open[trace_id] = _Open()
            if len(self._open) > _MAX_OPEN:
                self._close(*self._open.popitem(last=False))
        trace.spans.append(span)
        tokens_in = get("tokens_input")
        tokens_out = get("tokens_output")
        span.tokens_in = number(tokens_in) if tokens_in is not None else None
        span.tokens_out = number(tokens_out) if tokens_out is not None else None
        cost = get("cost_usd")
        span.cost = number(cost) if cost is not None else None
        span.cached = span.reasoning = None
        if kind in CALLS:
            cached, reasoning = get("tokens_cache_read"), get("tokens_reasoning")
            wait = get("time_to_first_token_ms")
            span.cached = number(cached) if cached is not None else None
            span.reasoning = number(reasoning) if reasoning is not None else None
            span.wait = number(wait) if wait is not None else None
            reasons = get("finish_reasons")
            if isinstance(reasons, (list, tuple)):
                span.length = any(r in _CUT_SHORT for r in reasons if isinstance(r, str))  # pyright: ignore[reportUnknownVariableType]
            if not trace.question:
                trace.question = question_of(get("input"))
            answer = answer_of(get("output"))
            if answer and (trace.root is None or not trace.answer):
                trace.answer = answer
        span.dims = self.dimensions.of(record)
        session = get("session_id")
        if session is not None and not trace.session:
            trace.session = str(session)
        user = get("user_id")
        if user is not None and not trace.user:
            trace.user = str(user)
        score = self.quality.add(record, span.dims)
        if score is not None and (trace.score is None or score < trace.score):
            trace.score = score
        if record.parent_id is None:
            trace.root = span
            asked = question_of(get("input"))
            said = answer_of(get("output"))
            trace.question = asked or trace.question
            trace.answer = said or trace.answer
            self._ended[trace_id] = None
            if len(self._ended) > _MAX_LINGERING:
                oldest, _ = self._ended.popitem(last=False)
                held = self._open.pop(oldest, None)
                if held is not None:
                    self._close(oldest, held)

    def finish(self) -> None:
        """Close the traces that are still open."""
        while self._open:
            self._close(*self._open.popitem(last=False))
        self._ended.clear()
        self.facts.finish()

    # -- traces ------------------------------------------------------------------------------------

    def _close(self, trace_id: str, trace: _Open) -> None:
        self.traces += 1
        spans = trace.spans
        by_id = {span.id: span for span in spans}
        parents = {span.id: span.parent for span in spans}
        root = trace.root or _topmost(spans, by_id)
        wrappers = _wrappers(spans, parents)
        children: dict[str, list[Span]] = {}
        failing: set[str] = set()
        for span in spans:
            if span.parent is not None:
                children.setdefault(span.parent, []).append(span)
                if span.error:
                    failing.add(span.parent)
        first = min(span.start for span in spans)
        last = max(span.start + (span.ms or 0.0) / 1000.0 for span in spans)
        row = TraceRow()
        row.id, row.name, row.start = trace_id, root.name, first
        row.ms = (last - first) * 1000.0
        row.spans = len(spans)
        row.errors = sum(1 for span in spans if span.error)
        row.state = 2 if root.error else 1 if row.errors else 0
        row.llm = row.tools = 0
        row.tokens = row.cost = None
        row.dims = root.dims
        row.session, row.user = trace.session, trace.user
        row.question, row.answer, row.score = trace.question, trace.answer, trace.score
        row.group = ""
        for span in spans:
            below = children.get(span.id)
            self_ms = span.ms or 0.0
            if below and self_ms:
                self_ms -= _covered(span, below)
            work = self.work.get((span.kind, span.name))
            if work is None:
                key = (span.kind, span.name) if len(self.work) < 5_000 else (span.kind, "(other)")
                work = self.work.setdefault(key, Work())
            work.n += 1
            work.self_ms += self_ms
            if span.error:
                work.errors += 1
                if span.id not in failing:
                    row.group = self._failed(span, trace_id) or row.group
            elif span.ms is not None:
                work.durations.append(span.ms)
            if span.kind == "tool":
                row.tools += 1
            elif span.kind in CALLS:
                self._call(span, span.id in wrappers, row)
        self.states[row.state] += 1
        self.trace_ms.append(row.ms)
        self._list(row)
        if trace.session:
            self._session(trace.session, row)

    def _call(self, span: Span, is_wrapper: bool, row: TraceRow) -> None:
        if span.internal:
            self.eval_calls += 1
            self.eval_cost += span.cost or 0.0
            return
        if is_wrapper:
            return
        row.llm += 1
        if not any(row.dims[:1]):
            row.dims = (span.dims[0], *row.dims[1:])
        tokens_in, tokens_out = span.tokens_in, span.tokens_out
        has_usage = tokens_in is not None or tokens_out is not None
        series = self.series
        key = series.at(span.start)
        sums = series.buckets[key]
        sums[0] += 1
        self.calls += 1
        if span.error:
            sums[1] += 1
            self.failed += 1
        elif span.ms is not None:
            self.latencies.append(span.ms)
            series.durations.setdefault(key, array("d")).append(span.ms)
        if span.wait is not None and not span.error:
            self.waits.append(span.wait)
            series.waits.setdefault(key, array("d")).append(span.wait)
        if has_usage:
            tokens = (tokens_in or 0.0) + (tokens_out or 0.0)
            row.tokens = (row.tokens or 0.0) + tokens
            sums[2] += tokens_in or 0.0
            sums[3] += tokens_out or 0.0
            self.tokens_in += tokens_in or 0.0
            self.tokens_out += tokens_out or 0.0
            self.tokens_reasoning += span.reasoning or 0.0
            if span.cached is not None:
                sums[4] += span.cached
                self.tokens_cached += span.cached
                self.cached_of += tokens_in or 0.0
        else:
            self.no_usage += 1
        if span.cost is not None:
            self.priced += 1
            self.cost += span.cost
            sums[5] += span.cost
            row.cost = (row.cost or 0.0) + span.cost
        elif has_usage:
            self.unpriced += 1
            self.unpriced_models[self.dimensions.value("model", span.dims[0])] += 1
        if span.length:
            self.cut_short += 1
        self.facts.add(span, has_usage, row.id)

    def _failed(self, span: Span, trace_id: str) -> str:
        group = self.groups.get(span.error)
        if group is None:
            if len(self.groups) >= _MAX_GROUPS:
                return ""
            model = self.dimensions.value("model", span.dims[0])
            group = self.groups[span.error] = ErrorGroup(span.error, span.name, model)
            group.first = span.start
        group.n += 1
        group.first = min(group.first, span.start)
        group.last = max(group.last, span.start)
        group.series.buckets[group.series.at(span.start)][0] += 1
        if trace_id not in group.traces:
            group.traces.append(trace_id)
            del group.traces[:-5]
        return span.error

    def _list(self, row: TraceRow) -> None:
        self._keep("newest", row.start, row)
        if row.state:
            self._keep("failed", row.start, row)
        self._keep("slowest", row.ms, row)
        if row.cost is not None:
            self._keep("dearest", row.cost, row)
        if row.score is not None:
            self._keep("worst", -row.score, row)
        if len(self.typical) < 200 and row.state == 0:
            self.typical.setdefault(row.name, row)

    def _keep(self, name: str, key: float, row: TraceRow) -> None:
        heap = self.listed[name]
        self._sequence += 1
        if len(heap) < _LISTED[name]:
            heapq.heappush(heap, (key, self._sequence, row))
        elif key > heap[0][0]:
            heapq.heapreplace(heap, (key, self._sequence, row))

    def _session(self, name: str, row: TraceRow) -> None:
        session = self.sessions.get(name)
        if session is None:
            if len(self.sessions) >= _MAX_SESSIONS:
                newest = sorted(self.sessions.items(), key=lambda item: -item[1].last)
                self.sessions = dict(newest[:_KEPT_SESSIONS])
            session = self.sessions[name] = Session()
            session.first = row.start
        session.user = session.user or row.user
        session.tenant = session.tenant or self.dimensions.value("tenant", row.dims[1])
        session.turns += 1
        session.errors += row.state == 2
        session.active_ms += row.ms
        session.cost += row.cost or 0.0
        session.tokens += row.tokens or 0.0
        session.first = min(session.first, row.start)
        session.last = max(session.last, row.start + row.ms / 1000.0)
        session.traces.append(row.id)
        del session.traces[:-50]


def collect(records: Iterable[SpanRecord]) -> Collection:
    """Collect what the page says about records."""
    made = Collection()
    for record in records:
        made.add(record)
    made.finish()
    return made


def _topmost(spans: list[Span], by_id: dict[str, Span]) -> Span:
    tops = [span for span in spans if span.parent is None or span.parent not in by_id]
    return min(tops or spans, key=lambda span: span.start)


def _wrappers(spans: list[Span], parents: dict[str, Optional[str]]) -> set[str]:
    """The ids of spans with usage that stand above another span with usage."""
    above: set[str] = set()
    for span in spans:
        if span.tokens_in is None and span.tokens_out is None:
            continue
        if span.internal:
            continue
        parent = span.parent
        # What was marked has marked all that is above it; so each span is visited once.
        while parent is not None and parent not in above:
            above.add(parent)
            parent = parents.get(parent)
    return {
        span.id
        for span in spans
        if span.id in above and (span.tokens_in is not None or span.tokens_out is not None)
    }


def _covered(span: Span, children: list[Span]) -> float:
    """How much of a span's duration its children cover together, in milliseconds."""
    begin, end = span.start, span.start + (span.ms or 0.0) / 1000.0
    covered = 0.0
    reached = begin
    for child in sorted(children, key=lambda each: each.start):
        start = max(child.start, reached)
        stop = min(child.start + (child.ms or 0.0) / 1000.0, end)
        if stop > start:
            covered += stop - start
            reached = stop
    return covered * 1000.0


assert DIMENSIONS[0] == "model"
assert DIMENSIONS[1] == "tenant"
