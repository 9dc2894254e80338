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
from typing import Any, Optional, cast

from peekr.dashboard.cells import DURATIONS, WAITS, Cells
from peekr.dashboard.facts import Dimensions, Facts
from peekr.dashboard.figures import answer_of, mask, question_of
from peekr.dashboard.kinds import CALLS, decide
from peekr.dashboard.quality import Quality
from peekr.dashboard.traces import (
    Call,
    ErrorGroup,
    OpenTrace,
    Session,
    Span,
    TraceRow,
    Work,
    covered_ms,
    topmost,
    wrappers,
)
from peekr.record import SpanRecord
from peekr.semconv import otel, own
from peekr.summary import error_text, number

__all__ = ["Collection", "collect"]

Document = dict[str, Any]

_MAX_OPEN = 20_000
_MAX_LINGERING = 500
"""Traces whose root has ended and that may get a late span."""
_MAX_GROUPS = 2_000
_MAX_WORK = 5_000
_MAX_SESSIONS = 50_000
_KEPT_SESSIONS = 20_000
_LISTED = {"newest": 3_600, "failed": 600, "slowest": 300, "dearest": 300, "worst": 200}
_CUT_SHORT = frozenset(("length", "max_tokens", "MAX_TOKENS", "max_output_tokens"))
_STOPPED = ["stop"]
_MAX_NAME_CHARS, _MAX_ID_CHARS = 200, 64
_DIMENSIONS = 7
_LATEST_S = 1e11
"""No moment is later, in Unix seconds, that anything is reckoned with."""
_OPERATION = otel.GEN_AI_OPERATION_NAME
_INTERNAL = own.PEEKR_INTERNAL


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
        self.sessions: dict[str, Session] = {}
        self.states = [0, 0, 0]
        self.trace_ms: array[float] = array("d")
        self.unpriced_models: Counter[str] = Counter()
        self.eval_calls = self.eval_priced = 0
        self.eval_cost = 0.0
        self.listed: dict[str, list[tuple[float, int, TraceRow]]] = {key: [] for key in _LISTED}
        self.typical: dict[str, TraceRow] = {}
        self._known: dict[tuple[Any, ...], Work] = {}
        self._open: OrderedDict[str, OpenTrace] = OrderedDict()
        self._ended: OrderedDict[str, None] = OrderedDict()
        self._sequence = 0

    # -- records -----------------------------------------------------------------------------------

    def read(self, documents: Iterable[Document]) -> None:
        """Take records as a file holds them; what is no record is passed over."""
        traces, known = self._open, self._known
        dims_of, score_of, ended = self.dimensions.of, self.quality.add, self._ended
        count = 0
        for document in documents:
            try:
                trace_id, span_id = document["trace_id"], document["span_id"]
                parent, name = document["parent_id"], document["name"]
                start, ms = document["start_time"], document["duration_ms"]
                attributes, status = document["attributes"], document["status"]
            except KeyError:
                trace_id = span_id = parent = name = start = ms = attributes = status = None
            if not (
                type(start) is float
                and 0.0 <= start < _LATEST_S
                and type(ms) is float
                and 0.0 <= ms < _LATEST_S
                and type(attributes) is dict
                and type(name) is str
                and type(trace_id) is str
                and type(span_id) is str
                and (parent is None or (type(parent) is str and parent))
            ):
                try:
                    record = SpanRecord.from_dict(document)
                except ValueError:
                    continue
                document = record.to_dict()
                trace_id, span_id, parent = record.trace_id, record.span_id, record.parent_id
                name, start, attributes = record.name, record.start_time, record.attributes
                status = record.status
                ms = -1.0 if record.duration_ms is None else max(0.0, record.duration_ms)
                start = min(max(start, 0.0), _LATEST_S)
            get = cast("Document", attributes).get
            try:
                trace = traces[trace_id]
            except KeyError:
                trace_id = trace_id[:_MAX_ID_CHARS]
                trace = traces.setdefault(trace_id, OpenTrace())
                if len(traces) > _MAX_OPEN:
                    self._close(*traces.popitem(last=False))
            count += 1
            sent, made, model = get("tokens_input"), get("tokens_output"), get("model")
            is_used = sent is not None or made is not None
            key = (name, get(_OPERATION), model is not None, is_used)
            try:
                work = known[key]
            except (KeyError, TypeError):
                work = self._work_of(*key)
            kind = work.kind
            error = ""
            if status == "error":
                error = mask(error_text(SpanRecord.from_dict(document))) or "error"
            call: Optional[Call] = None
            dims: Optional[tuple[int, ...]] = None
            if kind in CALLS:
                dims = dims_of(document, get, name)
                cost, wait = get("cost_usd"), get("time_to_first_token_ms")
                cached, reasoning = get("tokens_cache_read"), get("tokens_reasoning")
                reasons = get("finish_reasons")
                call = (
                    get(_INTERNAL),
                    reasons is not None and reasons != _STOPPED and _is_cut_short(reasons),
                    wait if wait is None or type(wait) is float else number(wait),
                    sent if sent is None or type(sent) is int else number(sent),
                    made if made is None or type(made) is int else number(made),
                    cached if cached is None or type(cached) is int else number(cached),
                    reasoning if reasoning is None or type(reasoning) is int else number(reasoning),
                    cost if cost is None or type(cost) is float else number(cost),
                    kind == "llm",
                )
                if not trace.question:
                    trace.question = question_of(get("input"))
                if trace.root is None or not trace.answer:
                    trace.answer = answer_of(get("output")) or trace.answer
            elif error or parent is None:
                dims = dims_of(document, get, name)
            span: Span = (span_id, parent, name, work, start, ms, error, is_used, dims, call)
            trace.spans.append(span)
            if not trace.session:
                session = get("session_id")
                if session is not None:
                    trace.session = str(session)[:_MAX_NAME_CHARS]
            if not trace.user:
                user = get("user_id")
                if user is not None:
                    trace.user = str(user)[:_MAX_NAME_CHARS]
            if (
                "eval_scores" in attributes
                or "eval_errors" in attributes
                or "guardrail_warnings" in attributes
                or "guardrail_violations" in attributes
                or "compliance_violations" in attributes
            ):
                if dims is None:
                    dims = dims_of(document, get, name)
                score = score_of(SpanRecord.from_dict(document), dims)
                if score is not None and (trace.score is None or score < trace.score):
                    trace.score = score
            if parent is None:
                trace.root = span
                trace.question = question_of(get("input")) or trace.question
                trace.answer = answer_of(get("output")) or trace.answer
                ended[trace_id] = None
                if len(ended) > _MAX_LINGERING:
                    oldest, _ = ended.popitem(last=False)
                    held = traces.pop(oldest, None)
                    if held is not None:
                        self._close(oldest, held)
        self.spans += count

    def _work_of(self, name: str, operation: object, has_model: bool, is_used: bool) -> Work:
        kind = decide(name, operation, has_model, is_used)
        place = (kind, name[:_MAX_NAME_CHARS])
        work = self.work.get(place)
        if work is None:
            if len(self.work) >= _MAX_WORK:
                place = (kind, "(other)")
            work = self.work.setdefault(place, Work(kind))
        if len(name) <= _MAX_NAME_CHARS and (type(operation) is str or operation is None):
            if len(self._known) >= 2 * _MAX_WORK:
                self._known.clear()
            self._known[name, operation, has_model, is_used] = work
        return work

    def finish(self) -> None:
        """Close the traces that are still open."""
        while self._open:
            self._close(*self._open.popitem(last=False))
        self._ended.clear()
        self.cells.finish()
        self.facts.finish()

    # -- traces ------------------------------------------------------------------------------------

    def _close(self, trace_id: str, trace: OpenTrace) -> None:
        self.traces += 1
        spans = trace.spans
        root = trace.root or topmost(spans)
        below: dict[str, list[tuple[float, float]]] = {}
        failing: set[str] = set()
        first, last = root[4], 0.0
        for _, parent, _, _, start, ms, error, _, _, _ in spans:
            if start < first:
                first = start
            end = start + ms / 1000.0 if ms > 0.0 else start
            if end > last:
                last = end
            if parent is not None:
                held = below.get(parent)
                if held is None:
                    below[parent] = [(start, ms)]
                else:
                    held.append((start, ms))
                if error:
                    failing.add(parent)
        repeated = wrappers(spans, below)
        errors = tools = llm = 0
        tokens: Optional[float] = None
        cost: Optional[float] = None
        group = ""
        dims = root[8] or self.dimensions.none
        for span in spans:
            span_id, _, _, work, start, ms, error, _, own_dims, call = span
            work.n += 1
            if ms > 0.0:
                held = below.get(span_id)
                work.self_ms += ms - covered_ms(start, ms, held) if held is not None else ms
            if error:
                errors += 1
                work.errors += 1
                if span_id not in failing:
                    group = self._failed(span, trace_id) or group
            elif ms >= 0.0:
                work.durations.append(ms)
            if call is not None:
                if call[0]:
                    self.eval_calls += 1
                    if call[7] is not None:
                        self.eval_priced += 1
                        self.eval_cost += call[7]
                elif span_id not in repeated:
                    assert own_dims is not None
                    llm += 1
                    if not dims[0]:
                        dims = (own_dims[0], *dims[1:])
                    self._call(span, own_dims, call, trace_id)
                    sent, made = call[3], call[4]
                    if sent is not None or made is not None:
                        tokens = (tokens or 0) + (sent or 0) + (made or 0)
                    if call[7] is not None:
                        cost = (cost or 0.0) + call[7]
            elif work.kind == "tool":
                tools += 1
        if self.first is None or first < self.first:
            self.first = first
        if self.last is None or last > self.last:
            self.last = last
        state = 2 if root[6] else 1 if errors else 0
        total_ms = (last - first) * 1000.0
        row = TraceRow(
            trace_id,
            root[2][:_MAX_NAME_CHARS],
            first,
            total_ms,
            state,
            len(spans),
            errors,
            llm,
            tools,
            tokens,
            cost,
            dims,
            trace.session,
            trace.user,
            trace.question,
            trace.answer,
            trace.score,
            group,
        )
        self.states[state] += 1
        self.trace_ms.append(total_ms)
        self._list(row)
        if trace.session:
            self._session(trace.session, row)

    def _call(self, span: Span, dims: tuple[int, ...], call: Call, trace_id: str) -> None:
        _, is_cut_short, wait, sent, made, cached, reasoning, cost, _ = call
        start, ms, error = span[4], span[5], span[6]
        cell = self.cells.at(start, dims)
        # The places are those of cells.SUMS.
        cell[0] += 1
        if error:
            cell[1] += 1
        else:
            if ms >= 0.0:
                cell[DURATIONS].append(ms)
            if wait is not None:
                cell[WAITS].append(wait)
        is_used = sent is not None or made is not None
        if is_used:
            if sent is not None:
                cell[2] += sent
            if made is not None:
                cell[3] += made
            if cached is not None:
                cell[4] += cached
                cell[6] += sent or 0
            if reasoning is not None:
                cell[7] += reasoning
        else:
            cell[10] += 1
        if cost is not None:
            cell[5] += cost
            cell[8] += 1
        elif is_used:
            cell[9] += 1
            self.unpriced_models[self.dimensions.value("model", dims[0])] += 1
        if is_cut_short:
            cell[11] += 1
        if self.facts.wants(trace_id, error != ""):
            self.facts.add(span, dims, call, trace_id)

    def _failed(self, span: Span, trace_id: str) -> str:
        key, start = span[6], span[4]
        group = self.groups.get(key)
        if group is None:
            if len(self.groups) >= _MAX_GROUPS:
                return ""
            model = self.dimensions.value("model", (span[8] or self.dimensions.none)[0])
            group = self.groups[key] = ErrorGroup(key, span[2][:_MAX_NAME_CHARS], model)
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
        self._keep("newest", row.start, row)
        if row.state:
            self._keep("failed", row.start, row)
        self._keep("slowest", row.ms, row)
        if row.cost is not None:
            self._keep("dearest", row.cost, row)
        if row.score is not None:
            self._keep("worst", -row.score, row)
        if row.state == 0 and row.name not in self.typical and len(self.typical) < 200:
            self.typical[row.name] = row

    def _keep(self, name: str, key: float, row: TraceRow) -> None:
        heap = self.listed[name]
        if len(heap) < _LISTED[name]:
            self._sequence += 1
            heapq.heappush(heap, (key, self._sequence, row))
        elif key > heap[0][0]:
            self._sequence += 1
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
        if row.cost is not None:
            session.cost = (session.cost or 0.0) + row.cost
        session.tokens += row.tokens or 0.0
        session.first = min(session.first, row.start)
        session.last = max(session.last, row.start + row.ms / 1000.0)
        session.traces.append(row.id)
        del session.traces[:-50]


def collect(blocks: Iterable[Iterable[Document]]) -> Collection:
    """Collect what the page says about records, which come as JSON objects in lists."""
    made = Collection()
    for block in blocks:
        made.read(block)
    made.finish()
    return made


def _is_cut_short(reasons: object) -> bool:
    if isinstance(reasons, (list, tuple)):
        for reason in cast("list[object]", reasons):
            if isinstance(reason, str) and reason in _CUT_SHORT:
                return True
    return False
