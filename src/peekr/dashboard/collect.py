"""One pass over the records of a file: every sum on the page, and which traces are worth showing.

A trace is put together in memory until its root has ended and a while longer; then it becomes one
row and its calls become sums. A span with usage above another one with usage is a wrapper that
repeats it, and counts nowhere.
"""

from __future__ import annotations

from array import array
from collections import Counter, deque
from collections.abc import Iterable
from functools import partial
from itertools import islice
from typing import Any, Callable, Optional, cast

from peekr.dashboard.cells import Call, Cells, Dims
from peekr.dashboard.facts import Dimensions, Facts
from peekr.dashboard.figures import HELD_CHARS, Series, answer_of, mask, question_of
from peekr.dashboard.kinds import CALLS, decide
from peekr.dashboard.quality import Judged, Quality
from peekr.dashboard.rows import LATEST_S, rows_of
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
from peekr.record import SpanRecord
from peekr.semconv import otel, own
from peekr.store.columns import Columns
from peekr.summary import error_text, number

__all__ = ["Collection", "collect"]

_MAX_OPEN = 20_000
_MAX_LINGERING = 500
"""Traces whose root has ended and that may get a late span."""
_MAX_GROUPS = 2_000
_MAX_WORK = 5_000
_MAX_TYPICAL = 200
_LISTED = {"newest": 3_600, "failed": 600, "slowest": 300, "dearest": 300, "worst": 200}
_CUT_SHORT = frozenset(("length", "max_tokens", "MAX_TOKENS", "max_output_tokens"))
_STOPPED = ["stop"]
_MAX_NAME_CHARS, _MAX_ID_CHARS = 200, 64
_DIMENSIONS = 7
_MOST = 10**15
"""No number of tokens and no cost is as large as this."""
_OPERATION = otel.GEN_AI_OPERATION_NAME
_INTERNAL = own.PEEKR_INTERNAL

_row = cast("Callable[[tuple[Any, ...]], TraceRow]", partial(tuple.__new__, TraceRow))  # pyright: ignore[reportUnknownMemberType]
"""A row of its fields as one tuple; the class itself takes three times as long."""


class Collection:
    """What one pass found; `finish` completes it."""

    def __init__(self) -> None:
        self.spans = self.traces = 0
        self.first: Optional[float] = None
        self.last: Optional[float] = None
        self.cells = Cells(_DIMENSIONS)
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
        self._known: dict[tuple[Any, ...], Work] = {}
        self._open: dict[str, OpenTrace] = {}
        self._ended: deque[str] = deque()

    @property
    def unpriced_models(self) -> Counter[str]:
        """How many calls of each model have usage and no price."""
        names = self.dimensions.values("model")
        found: Counter[str] = Counter()
        for place, count in self.cells.unpriced.items():
            found[names[place]] += count
        return found

    # -- records -----------------------------------------------------------------------------------

    def read(self, columns: Columns) -> None:
        """Take records as a file holds them; what is no record is passed over."""
        if not columns:
            return
        rows = rows_of(columns)
        opened, known, numbers = self._open.get, self._known, self.dimensions.known
        count = 0
        for trace_id, span_id, parent, name, start, ms, status, tenant, attributes in rows:
            count += 1
            get = attributes.get
            trace = opened(trace_id)
            if trace is None:
                trace_id = trace_id[:_MAX_ID_CHARS]
                trace = self._begun(trace_id)
            sent, made, model = get("tokens_input"), get("tokens_output"), get("model")
            user = get("user_id")
            is_used = sent is not None or made is not None
            try:
                work = known[name, get(_OPERATION), model is not None, is_used]
            except (KeyError, TypeError):
                work = self._work_of(name, get(_OPERATION), model is not None, is_used)
            if is_used:
                trace.used.append(span_id)
            has_failed = status == "error"
            if has_failed:
                work.errors += 1
                if ms > 0.0:
                    work.failed_ms += ms
            elif ms >= 0.0:
                work.durations.append(ms)
                work.starts.append(start)
            else:
                work.untimed += 1
            dims: Optional[Dims] = None
            if work.is_call or parent is None or has_failed:
                key = (
                    model,
                    tenant,
                    get("feature"),
                    get("endpoint"),
                    get("experiment_variant"),
                    user,
                    name,
                )
                try:
                    dims = numbers[key]
                except (KeyError, TypeError):
                    dims = self.dimensions.of(key)
            if work.is_call:
                wait, cost = get("time_to_first_token_ms"), get("cost_usd")
                cached, reasoning = get("tokens_cache_read"), get("tokens_reasoning")
                reasons = get("finish_reasons")
                # A tuple that is shared by all who keep the call: see `cells.Call`.
                call = (
                    start,
                    ms,
                    has_failed,
                    wait
                    if wait is None or (type(wait) is float and 0.0 <= wait < LATEST_S)
                    else _measured(wait),
                    0 if work.kind == "llm" else 1,
                    sent
                    if sent is None or (type(sent) is int and 0 <= sent < _MOST)
                    else _measured(sent),
                    made
                    if made is None or (type(made) is int and 0 <= made < _MOST)
                    else _measured(made),
                    cached
                    if cached is None or (type(cached) is int and 0 <= cached < _MOST)
                    else _measured(cached),
                    reasoning
                    if reasoning is None or (type(reasoning) is int and 0 <= reasoning < _MOST)
                    else _measured(reasoning),
                    cost
                    if cost is None or (type(cost) is float and 0.0 <= cost < _MOST)
                    else _measured(cost),
                    reasons is not None and reasons != _STOPPED and _is_cut_short(reasons),
                    dims,
                    trace_id,
                )
                if get(_INTERNAL):
                    trace.judged.append(span_id)
                    self._judge(call)
                else:
                    trace.calls.append(call)
                    trace.ids.append(span_id)
                if not trace.question:
                    trace.question = question_of(get("input"))
                if trace.root is None or not trace.answer:
                    answer = get("output")
                    if type(answer) is str:
                        if answer:
                            trace.answer = answer[:HELD_CHARS]
                    elif answer is not None:
                        trace.answer = answer_of(answer) or trace.answer
            elif work.kind == "tool":
                trace.tools += 1
            span = (span_id, parent, name, start, ms, work, dims)
            trace.spans.append(span)
            if user is not None and not trace.user:
                trace.user = str(user)[:_MAX_NAME_CHARS]
            if not trace.session:
                session = get("session_id")
                if session is not None:
                    trace.session = str(session)[:_MAX_NAME_CHARS]
            if has_failed:
                assert dims is not None
                error = mask(_error_text(attributes)) or "error"
                trace.failures.append(Failure(span_id, parent, name, start, error, dims[0]))
            if (
                "eval_scores" in attributes
                or "eval_errors" in attributes
                or "guardrail_warnings" in attributes
                or "guardrail_violations" in attributes
                or "compliance_violations" in attributes
            ):
                if dims is None:
                    features = get("feature"), get("endpoint"), get("experiment_variant")
                    dims = self.dimensions.of((model, tenant, *features, user, name))
                judged = Judged(trace_id, span_id, start, has_failed, attributes, dims)
                score = self.quality.add(judged)
                if score is not None and (trace.score is None or score < trace.score):
                    trace.score = score
            if parent is None:
                trace.root = span
                trace.question = question_of(get("input")) or trace.question
                trace.answer = answer_of(get("output")) or trace.answer
                self._linger(trace_id)
        self.spans += count

    def _begun(self, trace_id: str) -> OpenTrace:
        trace = self._open.get(trace_id)
        if trace is None:
            trace = self._open[trace_id] = OpenTrace()
            if len(self._open) > _MAX_OPEN:
                for oldest in list(islice(self._open, _MAX_OPEN // 20)):
                    self._close(oldest, self._open.pop(oldest))
        return trace

    def _linger(self, trace_id: str) -> None:
        """The root has ended: the trace is closed after some others."""
        self._ended.append(trace_id)
        if len(self._ended) > _MAX_LINGERING:
            oldest = self._ended.popleft()
            held = self._open.pop(oldest, None)
            if held is not None:
                self._close(oldest, held)

    def _work_of(self, name: str, operation: object, has_model: bool, is_used: bool) -> Work:
        kind = decide(name, operation, has_model, is_used)
        place = (kind, name[:_MAX_NAME_CHARS])
        work = self.work.get(place)
        if work is None:
            if len(self.work) >= _MAX_WORK:
                place = (kind, "(other)")
            work = self.work.setdefault(place, Work(kind, kind in CALLS))
        if len(name) <= _MAX_NAME_CHARS and (type(operation) is str or operation is None):
            if len(self._known) >= 2 * _MAX_WORK:
                self._known.clear()
            self._known[name, operation, has_model, is_used] = work
        return work

    def _judge(self, call: Call) -> None:
        cost = call[9]
        self.eval_calls += 1
        if cost is not None:
            self.eval_priced += 1
            self.eval_cost += cost

    def finish(self) -> None:
        """Close the traces that are still open."""
        for trace_id, trace in self._open.items():
            self._close(trace_id, trace)
        self._open.clear()
        self._ended.clear()
        self.cells.finish()
        self.facts.finish()

    # -- traces ------------------------------------------------------------------------------------

    def _close(self, trace_id: str, trace: OpenTrace) -> None:
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
                root[2][:_MAX_NAME_CHARS],
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
            group = self.groups[key] = ErrorGroup(key, failure.name[:_MAX_NAME_CHARS], model)
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


def collect(blocks: Iterable[Columns]) -> Collection:
    """Collect what the page says about records, which come as columns, some at a time."""
    made = Collection()
    for block in blocks:
        made.read(block)
    made.finish()
    return made


def _measured(value: object) -> Optional[float]:
    """A number that can be a wait, a cost or a count of tokens; None for everything else."""
    found = number(value)
    return found if found is not None and 0 <= found < LATEST_S else None


def _error_text(attributes: dict[str, Any]) -> str:
    return error_text(
        SpanRecord("", "", None, "", 0.0, None, None, "error", None, None, attributes)
    )


def _is_cut_short(reasons: object) -> bool:
    if isinstance(reasons, (list, tuple)):
        for reason in cast("list[object]", reasons):
            if isinstance(reason, str) and reason in _CUT_SHORT:
                return True
    return False
