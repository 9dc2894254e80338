"""One pass over the records of a file, which puts traces together and sums them up.

A trace is put together in memory until its root has ended and a while longer; then the collection
takes it.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from itertools import islice
from typing import Any, Optional, cast

from peekr.dashboard.cells import Dims
from peekr.dashboard.collection import MAX_NAME_CHARS, Collection
from peekr.dashboard.figures import HELD_CHARS, answer_of, mask, question_of
from peekr.dashboard.kinds import CALLS, decide
from peekr.dashboard.quality import Judged
from peekr.dashboard.rows import LATEST_S, rows_of
from peekr.dashboard.traces import Failure, OpenTrace, Work
from peekr.record import SpanRecord
from peekr.semconv import otel, own
from peekr.store.columns import Columns
from peekr.summary import error_text, number

__all__ = ["collect"]

_MAX_OPEN = 20_000
_MAX_LINGERING = 500
"""Traces whose root has ended and that may get a late span."""
_MAX_WORK = 5_000
_CUT_SHORT = frozenset(("length", "max_tokens", "MAX_TOKENS", "max_output_tokens"))
_STOPPED = ["stop"]
_MAX_ID_CHARS = 64
_MOST = 10**15
"""No number of tokens and no cost is as large as this."""
_OPERATION = otel.GEN_AI_OPERATION_NAME
_INTERNAL = own.PEEKR_INTERNAL


class _Pass:
    """The traces that are still open, on their way into a collection."""

    def __init__(self) -> None:
        self._found = Collection()
        self._known: dict[tuple[Any, ...], Work] = {}
        self._open: dict[str, OpenTrace] = {}
        self._ended: deque[str] = deque()

    def read(self, columns: Columns) -> None:
        """Take records as a file holds them; what is no record is passed over."""
        if not columns:
            return
        found, rows = self._found, rows_of(columns)
        opened, known, numbers = self._open.get, self._known, found.dimensions.known
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
                    dims = found.dimensions.of(key)
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
                    found.judge(call)
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
                trace.user = str(user)[:MAX_NAME_CHARS]
            if not trace.session:
                session = get("session_id")
                if session is not None:
                    trace.session = str(session)[:MAX_NAME_CHARS]
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
                    dims = found.dimensions.of((model, tenant, *features, user, name))
                judged = Judged(trace_id, span_id, start, has_failed, attributes, dims)
                score = found.quality.add(judged)
                if score is not None and (trace.score is None or score < trace.score):
                    trace.score = score
            if parent is None:
                trace.root = span
                trace.question = question_of(get("input")) or trace.question
                trace.answer = answer_of(get("output")) or trace.answer
                self._linger(trace_id)
        found.spans += count

    def _begun(self, trace_id: str) -> OpenTrace:
        trace = self._open.get(trace_id)
        if trace is None:
            trace = self._open[trace_id] = OpenTrace()
            if len(self._open) > _MAX_OPEN:
                for oldest in list(islice(self._open, _MAX_OPEN // 20)):
                    self._found.close(oldest, self._open.pop(oldest))
        return trace

    def _linger(self, trace_id: str) -> None:
        """The root has ended: the trace is closed after some others."""
        self._ended.append(trace_id)
        if len(self._ended) > _MAX_LINGERING:
            oldest = self._ended.popleft()
            held = self._open.pop(oldest, None)
            if held is not None:
                self._found.close(oldest, held)

    def _work_of(self, name: str, operation: object, has_model: bool, is_used: bool) -> Work:
        kind = decide(name, operation, has_model, is_used)
        place = (kind, name[:MAX_NAME_CHARS])
        work = self._found.work.get(place)
        if work is None:
            if len(self._found.work) >= _MAX_WORK:
                place = (kind, "(other)")
            work = self._found.work.setdefault(place, Work(kind, kind in CALLS))
        if len(name) <= MAX_NAME_CHARS and (type(operation) is str or operation is None):
            if len(self._known) >= 2 * _MAX_WORK:
                self._known.clear()
            self._known[name, operation, has_model, is_used] = work
        return work

    def finish(self) -> Collection:
        """Close the traces that are still open; returns what was found."""
        found = self._found
        for trace_id, trace in self._open.items():
            found.close(trace_id, trace)
        self._open.clear()
        self._ended.clear()
        found.finish()
        return found


def collect(blocks: Iterable[Columns]) -> Collection:
    """Collect what the page says about records, which come as columns, some at a time."""
    made = _Pass()
    for block in blocks:
        made.read(block)
    return made.finish()


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
