"""Alerting: the spans of each trace are gathered, and the rules look at them when its root ends."""

from __future__ import annotations

import logging
import threading
import time
from collections import OrderedDict
from collections.abc import Iterable, Sequence
from functools import partial
from typing import Any, Callable, Optional, cast

from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.trace import SpanContext

from peekr import faults, forks
from peekr.alert.base import BaseAlert, as_alert, run
from peekr.alert.courier import flush_all, say_what_is_left
from peekr.alert.worker import Worker, is_working
from peekr.pipeline.project import project
from peekr.pipeline.waiting import chars_of, span_id_of
from peekr.record import SpanRecord
from peekr.semconv import own

__all__ = ["AlertStage", "ArrivalStage"]

MAX_SPANS = 10_000
MAX_CHARS = 32 * 1024 * 1024
MAX_TRACES = 1_000
"""How much waits for a root at most, in spans, characters of text in them (about), and traces."""
MAX_QUEUED = 1_000
"""How many finished traces wait for the rules at most."""

_MAX_ENDED = 4_096

_logger = logging.getLogger("peekr.alert")
# One for all: a rule that two installations share, one after the other, still runs on one thread.
_rules = Worker(MAX_QUEUED)


class _Trace:
    """What has been gathered of one trace.

    Attributes:
        spans: Those that came, in that order.
        roots: Roots among them that ended while spans were still on their way here.
        expected: The ids of spans that have ended and are still on their way here.
        chars: The characters of text in the spans, about.
    """

    __slots__ = ("chars", "expected", "roots", "spans")

    def __init__(self) -> None:
        self.spans: list[ReadableSpan] = []
        self.roots: list[ReadableSpan] = []
        self.expected: set[int] = set()
        self.chars = 0


class AlertStage:
    """Gathers traces, and has the rules look at each once, when its root has ended.

    A root is a span without a parent, or with one in another process; a trace that comes into this
    process twice is two for the rules. On the thread that ends a span this costs an entry in a
    list; rules and sinks run on others. What waits is bounded: past the bound the oldest trace is
    forgotten, which is said once. Spans that end after their root, and those of Peekr's own calls,
    are not looked at.
    """

    def __init__(self, alerts: Sequence[Any]) -> None:
        """Watch.

        Args:
            alerts: Alerts, or functions of a trace.

        Raises:
            TypeError: one is neither.
        """
        # One that is given twice counts each trace once.
        given = {id(alert): alert for alert in alerts}
        self.alerts: tuple[BaseAlert, ...] = tuple(map(as_alert, given.values()))
        self._is_last = False
        self._traces: OrderedDict[int, _Trace] = OrderedDict()
        # What has ended with its root: traces, and (negative) spans of traces that began elsewhere.
        # What still comes of them is not gathered.
        self._ended: OrderedDict[int, None] = OrderedDict()
        self._spans = 0
        self._chars = 0
        self._said: set[str] = set()
        # Reentrant: a collected stream may end its span inside any allocation made here.
        self._lock = threading.RLock()
        forks.join(self)

    def take(
        self, span: ReadableSpan, resume: Callable[[ReadableSpan], None]
    ) -> Optional[ReadableSpan]:
        """Take one finished span; always returns it at once."""
        del resume
        context = span.context
        if context is not None and not _is_own(span):
            with self._lock:
                done = self._gather(context, span)
            for spans in done:
                self._check(spans)
        return span

    def expect(self, span: ReadableSpan) -> None:
        """Note a span that has ended and comes later, so that its root waits for it."""
        context = span.context
        if context is not None and not _is_own(span):
            with self._lock:
                if not self._is_late(context, span):
                    self._trace(context.trace_id).expected.add(context.span_id)
                    self._bound()

    def flush(self, timeout_s: float) -> bool:
        """Hand to the rules every trace whose root has ended; keeps no span, so waits for none.

        The stages before have been flushed: what has not come by now does not come.
        """
        del timeout_s
        with self._lock:
            done = [spans for found in list(self._traces) for spans in self._completed(found)]
        for spans in done:
            self._check(spans)
        return True

    def settle(self, timeout_s: float) -> bool:
        """Wait until the rules have seen the traces, and the sinks have what the rules say.

        Returns:
            False when time ran out.
        """
        deadline = time.monotonic() + timeout_s
        has_looked = _rules.flush(timeout_s)
        is_done = flush_all(max(0.0, deadline - time.monotonic())) and has_looked
        if self._is_last and not is_done:
            if _rules.waiting:
                self._say("The process ended before the rules had looked at every trace.")
            say_what_is_left()
        return is_done

    def release(self) -> None:
        """Know that the process ends: what does not settle now is lost."""
        self._is_last = True

    def close(self, timeout_s: float) -> bool:
        """Hand over likewise; traces whose root has not ended are forgotten."""
        return self.flush(timeout_s)

    # -- under the lock ----------------------------------------------------------------------------

    def _gather(self, context: SpanContext, span: ReadableSpan) -> Iterable[list[ReadableSpan]]:
        """The traces that are complete now."""
        trace_id, parent = context.trace_id, span.parent
        is_root = parent is None or parent.is_remote
        if is_root and trace_id not in self._traces:
            # The common case of a single call.
            self._end(trace_id if parent is None else -context.span_id)
            return ([span],)
        if self._is_late(context, span):
            return ()
        chars = chars_of(span)
        trace = self._trace(trace_id)
        trace.expected.discard(context.span_id)
        if is_root:
            trace.roots.append(span)
        trace.spans.append(span)
        trace.chars += chars
        self._spans += 1
        self._chars += chars
        if trace.roots and not trace.expected:
            return self._completed(trace_id)
        return self._bound()

    def _trace(self, trace_id: int) -> _Trace:
        trace = self._traces.get(trace_id)
        if trace is None:
            trace = self._traces[trace_id] = _Trace()
        return trace

    def _bound(self) -> list[list[ReadableSpan]]:
        """Forget the oldest traces where there are too many; gives those that had ended."""
        done: list[list[ReadableSpan]] = []
        while self._spans > MAX_SPANS or self._chars > MAX_CHARS or len(self._traces) > MAX_TRACES:
            oldest = next(iter(self._traces))
            if self._traces[oldest].roots:
                done += self._completed(oldest)
            else:
                self._forget(oldest)
                self._say("Too much waits for its root span: traces are left out of alerts.")
        return done

    def _forget(self, trace_id: int) -> _Trace:
        trace = self._traces.pop(trace_id)
        self._spans -= len(trace.spans)
        self._chars -= trace.chars
        return trace

    def _is_late(self, context: SpanContext, span: ReadableSpan) -> bool:
        if context.trace_id in self._ended:
            return True
        parent = span.parent
        if parent is None or parent.is_remote or -parent.span_id not in self._ended:
            return False
        self._end(-context.span_id)
        return True

    def _end(self, trace_or_span_id: int) -> None:
        self._ended[trace_or_span_id] = None
        if len(self._ended) > _MAX_ENDED:
            self._ended.popitem(last=False)

    def _completed(self, trace_id: int) -> list[list[ReadableSpan]]:
        """Take out of a trace what is below the roots that have ended."""
        trace = self._traces.get(trace_id)
        if trace is None or not trace.roots:
            return []
        self._forget(trace_id)
        done: list[list[ReadableSpan]] = []
        rest = trace.spans
        for root in trace.roots:
            below = _below(root, rest)
            for ended in (trace_id,) if root.parent is None else [-span for span in below]:
                self._end(ended)
            chosen = [s for s in rest if span_id_of(s) in below and s is not root]
            rest = [s for s in rest if span_id_of(s) not in below]
            done.append([*chosen, root])
        if trace_id not in self._ended and (rest or trace.expected):
            # Another request of the same trace is still running.
            chars = sum(map(chars_of, rest))
            waiting = self._trace(trace_id)
            waiting.expected |= trace.expected
            waiting.spans[:0] = rest
            waiting.chars += chars
            self._spans += len(rest)
            self._chars += chars
        return done

    # -- beyond it ---------------------------------------------------------------------------------

    def _check(self, spans: list[ReadableSpan]) -> None:
        if not _rules.put(partial(_run, self.alerts, spans)):
            self._say("The rules are slower than traces end: traces are left out of alerts.")

    def _say(self, message: str) -> None:
        if message not in self._said:
            self._said.add(message)
            _logger.warning(message)

    def after_fork(self) -> None:
        """Begin anew in a fork's child: what waits is the parent's, and so may the lock be."""
        self._lock = threading.RLock()
        self._traces = OrderedDict()
        self._ended = OrderedDict()
        self._spans = self._chars = 0


class ArrivalStage:
    """Stands before stages that hold spans, and tells the alerts which ones are on their way.

    Without it a root that is not held would be looked at before the spans below it that are.
    """

    def __init__(self, alerts: AlertStage) -> None:
        """Stand at the front of the chain.

        Args:
            alerts: The stage to tell.
        """
        self._alerts = alerts

    def take(
        self, span: ReadableSpan, resume: Callable[[ReadableSpan], None]
    ) -> Optional[ReadableSpan]:
        """Note a finished span; always returns it at once."""
        del resume
        self._alerts.expect(span)
        return span

    def flush(self, timeout_s: float) -> bool:
        """Nothing is kept here."""
        del timeout_s
        return True

    def close(self, timeout_s: float) -> bool:
        """Nothing is kept here."""
        del timeout_s
        return True


def _run(alerts: tuple[BaseAlert, ...], spans: list[ReadableSpan]) -> None:
    try:
        trace = tuple(map(_record, spans))
    except Exception:
        faults.report("reading a trace for alerts")
        return
    for alert in alerts:
        run(alert, trace)


def _record(span: ReadableSpan) -> SpanRecord:
    record = project(span)
    # As everybody else knows records: OpenTelemetry's sequences are lists there.
    for name, value in record.attributes.items():
        if type(value) is tuple:
            record.attributes[name] = list(cast("tuple[Any, ...]", value))
    return record


def _below(root: ReadableSpan, spans: list[ReadableSpan]) -> set[int]:
    """The ids of a root and of what is below it; spans may have come in any order."""
    children: dict[int, list[int]] = {}
    for span in spans:
        parent = span.parent
        if parent is not None and not parent.is_remote:
            children.setdefault(parent.span_id, []).append(span_id_of(span))
    found = {span_id_of(root)}
    left = [span_id_of(root)]
    while left:
        for child in children.get(left.pop(), ()):
            if child not in found:
                found.add(child)
                left.append(child)
    return found


def _is_own(span: ReadableSpan) -> bool:
    """Whether a span is of a rule's making, or of a call of Peekr's own."""
    return is_working() or bool((span.attributes or {}).get(own.PEEKR_INTERNAL))
