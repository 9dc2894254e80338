"""OpenTelemetry's batch processor within bounds that hold, with drops that are counted and said."""

from __future__ import annotations

import atexit
import os
import threading
import time
import weakref
from collections.abc import Sequence
from typing import Any, Callable, Optional

from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExporter, SpanExportResult

from peekr.delivery.processor import MAX_QUEUED_CHARS
from peekr.pipeline.waiting import chars_of
from peekr.store.outage import Outage

__all__ = ["BoundedBatchProcessor"]

_MAX_QUEUED = 2_048
_MAX_BATCH = 512
_SHUTDOWN_S = 5.0


class BoundedBatchProcessor(BatchSpanProcessor):
    """Batches spans for an OpenTelemetry exporter, as `OTEL_BSP_…` say.

    OpenTelemetry's own bounds spans but not their size, forgets what an exporter gave up, and lets
    a flush take as long as the exporter retries. Here what waits is bounded in characters too (32
    million), what is dropped or given up is counted and said through the logger `peekr.store`, and
    flush and shutdown keep their time.

    Attributes:
        exporter: The exporter.
    """

    def __init__(self, exporter: SpanExporter) -> None:
        """Start the thread that exports."""
        self.exporter = exporter
        self._max_queued = _number("OTEL_BSP_MAX_QUEUE_SIZE", _MAX_QUEUED)
        self._counting = _CountingExporter(exporter)
        batch = min(_number("OTEL_BSP_MAX_EXPORT_BATCH_SIZE", _MAX_BATCH), self._max_queued)
        _instances.add(self)
        super().__init__(
            self._counting, max_queue_size=self._max_queued, max_export_batch_size=batch
        )

    @property
    def lost(self) -> int:
        """How many spans were dropped or given up, in this process."""
        return self._counting.outage.lost

    def on_end(self, span: ReadableSpan) -> None:
        """Queue a finished span; costs no more than that on the thread that ended it."""
        context = span.context
        if (
            context is not None
            and context.trace_flags.sampled
            and self._counting.admit(span, self._max_queued)
        ):
            super().on_end(span)

    def force_flush(self, timeout_millis: Optional[int] = None) -> bool:
        """Export what is queued; False when time ran out, and then it goes on by itself."""
        if not self._counting.queued:
            return True
        timeout_s = 30.0 if timeout_millis is None else timeout_millis / 1000.0
        return _within(timeout_s, super().force_flush)

    def shutdown(self) -> None:
        """Export what is queued and end, within some seconds; what is left is counted."""
        if not _within(_SHUTDOWN_S, super().shutdown):
            self._counting.shutdown()  # which ends its retries
        self._counting.say_what_is_left()

    def at_exit(self) -> None:
        """Count what is still queued when the interpreter ends, and say what was lost."""
        self._counting.say_what_is_left()


class _CountingExporter(SpanExporter):
    """An exporter between its processor and itself, with a count of what is in between."""

    def __init__(self, exporter: SpanExporter) -> None:
        self.outage = Outage(f"exporter {type(exporter).__name__}")
        self._exporter = exporter
        self._is_shut = False
        self._reset()

    def _reset(self) -> None:
        self._pid = os.getpid()
        self._lock = threading.RLock()
        self._chars = 0
        self.queued = 0

    def admit(self, span: ReadableSpan, max_queued: int) -> bool:
        """Count a span in, or as lost where there is no room for it."""
        if self._pid != os.getpid():
            self._reset()  # a fork's child, whose queue is empty
        chars = chars_of(span)
        with self._lock:
            if not self._is_shut and self.queued < max_queued and self._chars < MAX_QUEUED_CHARS:
                self.queued += 1
                self._chars += chars
                return True
        self.outage.begin(f"{self.queued} spans are waiting already", lost=1)
        return False

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        """Export a batch on the processor's thread."""
        result = SpanExportResult.FAILURE
        try:
            result = self._exporter.export(spans)
        finally:
            chars = sum(map(chars_of, spans))
            with self._lock:
                self.queued -= len(spans)
                self._chars -= chars
            if result is SpanExportResult.SUCCESS:
                self.outage.end()
            else:
                self.outage.begin("its exporter gave up", lost=len(spans))
        return result

    def force_flush(self, timeout_millis: int = 30_000) -> bool:
        """Flush what the exporter itself keeps back."""
        return self._exporter.force_flush(timeout_millis)

    def shutdown(self) -> None:
        """Shut the exporter down, once."""
        if not self._is_shut:
            self._is_shut = True
            self._exporter.shutdown()

    def say_what_is_left(self) -> None:
        with self._lock:
            left, self.queued = self.queued, 0
        self.outage.lose(left)
        self.outage.summarise()


def _at_exit() -> None:
    for processor in list(_instances):
        processor.at_exit()


_instances: weakref.WeakSet[BoundedBatchProcessor] = weakref.WeakSet()
atexit.register(_at_exit)


def _within(timeout_s: float, work: Callable[[], Any]) -> bool:
    """Run something on a thread of its own; False when it is not done in time."""
    result: list[Any] = []
    done = threading.Event()

    def run() -> None:
        try:
            result.append(work())
        finally:
            done.set()

    deadline = time.monotonic() + timeout_s
    try:
        threading.Thread(target=run, name="peekr-flush", daemon=True).start()
    except RuntimeError:
        return work() is not False  # too late in the life of the interpreter for a thread
    return done.wait(max(0.0, deadline - time.monotonic())) and result[:1] != [False]


def _number(variable: str, default: int) -> int:
    try:
        number = int(os.environ.get(variable) or default)
    except ValueError:
        return default
    return number if number > 0 else default
