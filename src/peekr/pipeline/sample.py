"""Whole-trace sampling: a trace is kept or left out as one, and kept when anything in it failed."""

from __future__ import annotations

import os
import threading
import weakref
from collections import OrderedDict
from typing import Callable, cast

from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.trace import SpanContext, StatusCode

__all__ = ["TraceSampler"]

_MAX_SPANS = 10_000
_MAX_TRACES = 1_000
_MAX_DECIDED = 4_096
# The bits that W3C trace context level 2 makes random.
_RANDOM_BITS = (1 << 56) - 1


class TraceSampler:
    """Passes on the spans of sampled traces.

    The choice is a function of the trace id alone, so every process makes the same one. With
    `keep_errors`, the spans of a trace that was not chosen wait until its root ends, and are
    passed on when one of them failed. What waits is bounded: past the bound the oldest trace is
    let go as if it had not failed.

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
        self._waiting_spans = 0
        self._decided: OrderedDict[int, bool] = OrderedDict()
        # Reentrant: a collected stream may end its span inside any allocation made here.
        self._lock = threading.RLock()
        _samplers.add(self)

    def __call__(self, span: ReadableSpan) -> None:
        """Take one finished span."""
        trace_id = cast("SpanContext", span.context).trace_id
        if trace_id & _RANDOM_BITS < self._bound:
            self._passed(span)
        elif self._keep_errors:
            for kept in self._wait(trace_id, span):
                self._passed(kept)

    def _wait(self, trace_id: int, span: ReadableSpan) -> list[ReadableSpan]:
        failed = span.status.status_code is StatusCode.ERROR
        is_root = span.parent is None or span.parent.is_remote
        with self._lock:
            decided = self._decided.get(trace_id)
            if decided is not None:
                if failed and not decided:
                    self._decide(trace_id, True)
                    return [span]
                return [span] if decided else []
            spans = self._waiting.get(trace_id)
            if spans is None:
                spans = self._waiting[trace_id] = []
            spans.append(span)
            self._waiting_spans += 1
            if failed or is_root:
                self._let_go(trace_id)
                self._decide(trace_id, failed)
                return spans if failed else []
            while self._waiting_spans > _MAX_SPANS or len(self._waiting) > _MAX_TRACES:
                oldest = next(iter(self._waiting))
                self._let_go(oldest)
                self._decide(oldest, False)
            return []

    def _let_go(self, trace_id: int) -> None:
        self._waiting_spans -= len(self._waiting.pop(trace_id))

    def _decide(self, trace_id: int, keep: bool) -> None:
        self._decided[trace_id] = keep
        while len(self._decided) > _MAX_DECIDED:
            self._decided.popitem(last=False)

    def _forked(self) -> None:
        # What waits belongs to the parent, and so may the lock.
        self._lock = threading.RLock()
        self._waiting = OrderedDict()
        self._waiting_spans = 0


_samplers: weakref.WeakSet[TraceSampler] = weakref.WeakSet()


def _after_in_child() -> None:
    for sampler in list(_samplers):
        sampler._forked()  # pyright: ignore[reportPrivateUsage]


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_in_child)
