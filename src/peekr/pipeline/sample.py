"""Whole-trace sampling: a trace is kept or left out as one, and kept when anything in it failed."""

from __future__ import annotations

import threading
from collections import OrderedDict
from typing import Callable

from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.trace import StatusCode

from peekr import forks
from peekr.pipeline.waiting import chars_of, span_id_of, trace_id_of

__all__ = ["TraceSampler"]

MAX_SPANS = 10_000
MAX_CHARS = 32 * 1024 * 1024
MAX_TRACES = 1_000
"""How much waits at most, in spans, characters of text in them (about), and traces."""

_MAX_KEPT = 4_096
# The bits that W3C trace context level 2 makes random.
_RANDOM_BITS = (1 << 56) - 1


class TraceSampler:
    """Passes on the spans of sampled traces.

    The choice is a function of the trace id alone, so every process makes the same one. With
    `keep_errors`, the spans of a trace that was not chosen wait until the root above them ends, and
    are passed on as soon as a span of their trace failed; those that end later follow at once. A
    root is a span without a parent, or with one in another process. Spans that end after their root
    wait too: an error may still come. What waits is bounded: past the bound the oldest trace is let
    go as if it had not failed. An error in another process keeps the spans of that process alone.

    It stands before Peekr's own outputs: the stores, the console, `exporter=`, and exporters that
    were added. What an application's own span processors get is not sampled here, whether they
    joined a provider of Peekr's or Peekr joined theirs.

    Runs on the threads that end spans.
    """

    def __init__(
        self, rate: float, keep_errors: bool, passed: Callable[[ReadableSpan], None]
    ) -> None:
        """Sample.

        Args:
            rate: The share of traces that is kept, 0.0 to 1.0.
            keep_errors: Keep a trace in which a span failed.
            passed: Takes each span that is kept.
        """
        self._bound = round(rate * (_RANDOM_BITS + 1))
        self._keep_errors = keep_errors
        self._passed = passed
        self._waiting: OrderedDict[int, list[ReadableSpan]] = OrderedDict()
        self._spans = 0
        self._chars = 0
        # Traces that failed, in the order of their failures.
        self._kept: OrderedDict[int, None] = OrderedDict()
        # Reentrant: a collected stream may end its span inside any allocation made here.
        self._lock = threading.RLock()
        forks.join(self)

    def __call__(self, span: ReadableSpan) -> None:
        """Take one finished span."""
        trace_id = trace_id_of(span)
        if trace_id & _RANDOM_BITS < self._bound:
            self._passed(span)
        elif self._keep_errors:
            for kept in self._wait(trace_id, span):
                self._passed(kept)

    def _wait(self, trace_id: int, span: ReadableSpan) -> list[ReadableSpan]:
        """What is to be passed on now."""
        failed = span.status.status_code is StatusCode.ERROR
        with self._lock:
            if trace_id in self._kept:
                return [span]
            if failed:
                spans = self._let_go(trace_id)
                self._kept[trace_id] = None
                if len(self._kept) > _MAX_KEPT:
                    self._kept.popitem(last=False)
                return [*spans, span]
            if span.parent is None:
                self._let_go(trace_id)
                return []
            if span.parent.is_remote:
                self._let_go_below(trace_id, span)
                return []
            waiting = self._waiting.get(trace_id)
            if waiting is None:
                waiting = self._waiting[trace_id] = []
            waiting.append(span)
            self._spans += 1
            self._chars += chars_of(span)
            while self._is_full():
                self._let_go(next(iter(self._waiting)))
            return []

    def _is_full(self) -> bool:
        return self._spans > MAX_SPANS or self._chars > MAX_CHARS or len(self._waiting) > MAX_TRACES

    def _let_go(self, trace_id: int) -> list[ReadableSpan]:
        spans = self._waiting.pop(trace_id, [])
        self._spans -= len(spans)
        self._chars -= sum(map(chars_of, spans))
        return spans

    def _let_go_below(self, trace_id: int, root: ReadableSpan) -> None:
        """Let go what is below this root: another request of the same trace may still fail."""
        below = {span_id_of(root)}
        others: list[ReadableSpan] = []
        # Children end before their parents, so a parent comes first from behind.
        for span in reversed(self._let_go(trace_id)):
            if span.parent is not None and span.parent.span_id in below:
                below.add(span_id_of(span))
            else:
                others.append(span)
        if others:
            self._waiting[trace_id] = others[::-1]
            self._spans += len(others)
            self._chars += sum(map(chars_of, others))

    def after_fork(self) -> None:
        """Begin anew in a fork's child: what waits belongs to the parent, and so may the lock."""
        self._lock = threading.RLock()
        self._waiting = OrderedDict()
        self._spans = self._chars = 0
