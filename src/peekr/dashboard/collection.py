"""What a pass over the records found: every sum on the page, and the traces worth showing.

A trace that has ended becomes one row, and its calls become sums. A span with usage above another
one with usage is a wrapper that repeats it, and counts nowhere.
"""

from __future__ import annotations

from array import array
from collections import Counter
from functools import partial
from typing import Any, Callable, Optional, cast

from peekr.dashboard.cells import Call, Cells
from peekr.dashboard.facts import DIMENSIONS, Dimensions, Facts
from peekr.dashboard.figures import Series
from peekr.dashboard.quality import Quality
from peekr.dashboard.sessions import Sessions
from peekr.dashboard.traces import (
    ErrorGroup,
    Failure,
    OpenTrace,
    Shortlist,
    Span,
    TraceRow,
    Work,
    covered_ms,
    topmost,
    wrappers,
)

__all__ = ["MAX_NAME_CHARS", "Collection"]

MAX_NAME_CHARS = 200
"""So much of a name is kept."""
_MAX_GROUPS = 2_000
_MAX_TYPICAL = 200
_LISTED = {"newest": 3_600, "failed": 600, "slowest": 300, "dearest": 300, "worst": 200}

_row = cast("Callable[[tuple[Any, ...]], TraceRow]", partial(tuple.__new__, TraceRow))  # pyright: ignore[reportUnknownMemberType]
"""A row of its fields as one tuple; the class itself takes three times as long."""


class Collection:
    """The sums; `finish` completes them."""

    def __init__(self) -> None:
        self.spans = self.traces = 0
        self.first: Optional[float] = None
        self.last: Optional[float] = None
        self.cells = Cells(len(DIMENSIONS))
        self.dimensions = Dimensions()
        self.facts = Facts()
        self.quality = Quality()
        self.work: dict[tuple[str, str], Work] = {}
        self.groups: dict[str, ErrorGroup] = {}
        self.sessions = Sessions()
        self.states = [0, 0, 0]
        self.trouble = Series(2)
        """Traces that recovered and that failed, by the time of their start."""
        self.trace_ms: array[float] = array("d")
        self.eval_calls = self.eval_priced = 0
        self.eval_cost = 0.0
        self.listed = {key: Shortlist(limit) for key, limit in _LISTED.items()}
        self.typical: dict[str, TraceRow] = {}

    @property
    def unpriced_models(self) -> Counter[str]:
        """How many calls of each model have usage and no price."""
        names = self.dimensions.values("model")
        found: Counter[str] = Counter()
        for place, count in self.cells.unpriced.items():
            found[names[place]] += count
        return found

    def judge(self, call: Call) -> None:
        """Take the call of a judge."""
        cost = call[9]
        self.eval_calls += 1
        if cost is not None:
            self.eval_priced += 1
            self.eval_cost += cost

    def finish(self) -> None:
        """Complete the sums; nothing is added afterwards."""
        self.cells.finish()
        self.facts.finish()

    def close(self, trace_id: str, trace: OpenTrace) -> None:
        """Take a trace of which no more spans are expected."""
        self.traces += 1
        spans = trace.spans
        root = trace.root or topmost(spans)
        below: dict[str, list[tuple[float, float]]] = {}
        first, last = root[3], 0.0
        for _, parent, _, start, ms, _, _ in spans:
            if start < first:
                first = start
            end = start + ms / 1000.0 if ms > 0.0 else start
            if end > last:
                last = end
            if parent is not None:
                if parent in below:
                    below[parent].append((start, end))
                else:
                    below[parent] = [(start, end)]
        if below:
            for span_id, _, _, start, ms, work, _ in spans:
                if span_id in below and ms > 0.0:
                    work.covered_ms += covered_ms(start, ms, below[span_id])
        calls = trace.calls
        if trace.used and not below.keys().isdisjoint(trace.used):
            repeated = wrappers(trace)
            calls = [call for call, of in zip(calls, trace.ids) if of not in repeated]
        tokens: Optional[float] = None
        cost: Optional[float] = None
        dims, is_cut = root[6] or self.dimensions.none, False
        if calls:
            self.cells.add(calls)
            for call in calls:
                sent, made, price = call[5], call[6], call[9]
                if sent is not None or made is not None:
                    tokens = (tokens or 0) + (sent or 0) + (made or 0)
                if price is not None:
                    cost = price if cost is None else cost + price
                if call[10]:
                    is_cut = True
                if not dims[0]:
                    dims = (call[11][0], *dims[1:])
            self.facts.take(trace_id, calls, bool(trace.failures))
        state, group = 0, ""
        if trace.failures:
            state, group = self._failed(trace, root, trace_id)
        if self.first is None or first < self.first:
            self.first = first
        if self.last is None or last > self.last:
            self.last = last
        row = _row(
            (
                trace_id,
                root[2][:MAX_NAME_CHARS],
                first,
                (last - first) * 1000.0,
                state,
                len(spans),
                len(trace.failures),
                len(calls),
                trace.tools,
                tokens,
                cost,
                dims,
                trace.session,
                trace.user,
                trace.question,
                trace.answer,
                trace.score,
                group,
                is_cut,
            )
        )
        self.states[state] += 1
        if state:
            self.trouble.buckets[self.trouble.at(first)][state - 1] += 1
        self.trace_ms.append(row.ms)
        self._list(row)
        if trace.session:
            self.sessions.add(row, self.dimensions.value("tenant", dims[1]))

    def _failed(self, trace: OpenTrace, root: Span, trace_id: str) -> tuple[int, str]:
        """The state of a trace with failures, and the group of one that no other failure made."""
        above = {failure.parent for failure in trace.failures}
        state, found = 1, ""
        for failure in trace.failures:
            if failure.span == root[0]:
                state = 2
            if failure.span not in above:
                found = self._group(failure, trace_id) or found
        return state, found

    def _group(self, failure: Failure, trace_id: str) -> str:
        key, start = failure.key, failure.start
        group = self.groups.get(key)
        if group is None:
            if len(self.groups) >= _MAX_GROUPS:
                return ""
            model = self.dimensions.value("model", failure.model)
            group = self.groups[key] = ErrorGroup(key, failure.name[:MAX_NAME_CHARS], model)
            group.first = start
        group.n += 1
        group.first = min(group.first, start)
        group.last = max(group.last, start)
        group.series.buckets[group.series.at(start)][0] += 1
        if trace_id not in group.traces:
            group.traces.append(trace_id)
            del group.traces[:-5]
        return key

    def _list(self, row: TraceRow) -> None:
        listed = self.listed
        listed["newest"].add(row.start, row)
        if row.state:
            listed["failed"].add(row.start, row)
        listed["slowest"].add(row.ms, row)
        if row.cost is not None:
            listed["dearest"].add(row.cost, row)
        if row.score is not None:
            listed["worst"].add(-row.score, row)
        if row.state == 0 and row.name not in self.typical and len(self.typical) < _MAX_TYPICAL:
            self.typical[row.name] = row
