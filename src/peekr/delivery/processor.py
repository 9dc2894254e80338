"""Finished spans on their way to exporters: a queue and a thread each, in order, within bounds."""

from __future__ import annotations

import _thread
import logging
import queue
import sys
import threading
import time
from collections.abc import Sequence
from typing import Any, Callable, Optional, Union, cast

from opentelemetry import context as otel_context
from opentelemetry.context import Context
from opentelemetry.sdk.trace import ReadableSpan, SpanProcessor
from opentelemetry.sdk.trace.export import SpanExporter, SpanExportResult

from peekr import forks
from peekr.manual.span_attributes import thawed
from peekr.pipeline.project import project
from peekr.pipeline.waiting import chars_of
from peekr.store.outage import Outage

__all__ = ["DeliveryProcessor", "suppress_on_this_thread"]

MAX_QUEUED = 10_000
"""Spans that wait for one exporter."""
MAX_QUEUED_CHARS = 32 * 1024 * 1024
"""Characters of text in them, about."""

_MAX_BATCH = 512
_TURN_S = 0.25
"""How long an exporter waits for one that was added before it, before it goes ahead."""
_TURN_SLICE_S = 0.01
_TURN_QUEUED = 256
"""With more spans than this behind it an exporter does not wait for others."""

_logger = logging.getLogger("peekr.exporters")
# Set on the threads of exporters: what they make themselves is not exported, or it would never end.
_exporting = threading.local()
# The key that opentelemetry.instrumentation.utils.suppress_instrumentation() sets.
_SUPPRESSED = Context({"suppress_instrumentation": True})


class DeliveryProcessor(SpanProcessor):
    """Hands each finished span to exporters; runs on the thread that ended the span.

    There it costs a queue's `put` an exporter. Nothing here raises.

    Attributes:
        changed: Called when an exporter came or went.
    """

    def __init__(self, exporters: Sequence[Any] = ()) -> None:
        """Begin.

        Args:
            exporters: The exporters, in their order.
        """
        self.changed: Optional[Callable[[], None]] = None
        self._lock = threading.RLock()
        self._number = 0
        self._deliveries: tuple[Union[_Delivery, _Immediate], ...] = ()
        forks.join(self)
        for exporter in exporters:
            self.add(exporter)

    @property
    def exporters(self) -> list[Any]:
        """The exporters in their order."""
        return [delivery.exporter for delivery in self._deliveries]

    def add(self, exporter: Any) -> None:
        """Add an exporter, unless it is there."""
        with self._lock:
            if all(delivery.exporter is not exporter for delivery in self._deliveries):
                kind = _Immediate if getattr(exporter, "is_immediate", False) else _Delivery
                self._deliveries = (*self._deliveries, kind(exporter))
        if self.changed is not None:
            self.changed()

    def remove(self, exporter: Any) -> None:
        """Remove an exporter, if it is there; it still gets what is queued for it."""
        with self._lock:
            removed = [one for one in self._deliveries if one.exporter is exporter]
            self._deliveries = tuple(one for one in self._deliveries if one not in removed)
        for delivery in removed:
            delivery.close()
        if self.changed is not None:
            self.changed()

    def clear(self) -> None:
        """Remove all exporters."""
        for exporter in self.exporters:
            self.remove(exporter)

    def on_end(self, span: ReadableSpan) -> None:
        """Queue a finished span for each exporter."""
        if not self._deliveries or getattr(_exporting, "now", False):
            return
        queued: tuple[_Delivery, ...] = ()
        for delivery in self._deliveries:
            if isinstance(delivery, _Immediate):
                delivery.export(span)
            else:
                queued = (*queued, delivery)
        if queued:
            # One lock for all queues, so that all have the same order. Reentrant: a collection in
            # here may end another span.
            chars = chars_of(span)
            with self._lock:
                self._number += 1
                for place, delivery in enumerate(queued):
                    delivery.put(_Entry(span, chars, self._number, queued[:place]))

    def force_flush(self, timeout_millis: int = 30_000) -> bool:
        """Wait until the exporters have all that ended before; False when time ran out."""
        if getattr(_exporting, "now", False):
            return True  # an exporter that waits for itself
        deadline = time.monotonic() + timeout_millis / 1000.0
        waits = [(delivery, delivery.begin_flush()) for delivery in self._deliveries]
        done = [delivery.flush(wait, deadline) for delivery, wait in waits]
        return all(done)

    def shutdown(self) -> None:
        """Let go of the exporters; their threads end when their queues are empty."""
        self.clear()

    def after_fork(self) -> None:
        """In a fork's child: what is queued is the parent's, and so are the threads."""
        self._lock = threading.RLock()
        for delivery in self._deliveries:
            delivery.reset()


class _Mark:
    """A place in a queue; set when everything before it was exported."""

    def __init__(self, *, stop: bool = False) -> None:
        self.reached = threading.Event()
        self.stop = stop


class _Entry:
    """One span for one exporter."""

    __slots__ = ("before", "chars", "number", "span")

    def __init__(
        self, span: ReadableSpan, chars: int, number: int, before: tuple[_Delivery, ...]
    ) -> None:
        self.span = span
        self.chars = chars
        self.number = number
        self.before = before


class _Delivery:
    """The queue and the thread of one exporter."""

    def __init__(self, exporter: Any) -> None:
        self.exporter = exporter
        self._name = type(exporter).__name__
        self._outage = Outage(f"exporter {self._name}")
        self._said_error = False
        self.reset()

    def reset(self) -> None:
        """Begin anew, with an empty queue and without a thread."""
        self._queue: queue.SimpleQueue[Union[_Entry, _Mark]] = queue.SimpleQueue()
        # Whoever takes the ticket starts the thread; pop() is atomic.
        self._tickets: list[None] = [None]
        self._condition = threading.Condition(threading.Lock())
        self._done = 0
        self._chars_in = 0
        self._chars_out = 0
        self._is_slow = False

    def put(self, entry: _Entry) -> None:
        """Queue a span; drop it when the exporter is too far behind."""
        behind = self._queue.qsize()
        if behind >= MAX_QUEUED or self._chars_in - self._chars_out > MAX_QUEUED_CHARS:
            self._outage.begin(f"it is {behind} spans behind", lost=1)
            return
        self._chars_in += entry.chars
        self._queue.put(entry)
        if self._tickets:
            self._start()

    def begin_flush(self) -> Optional[_Mark]:
        """Mark the place up to which `flush` waits; None when nothing is queued."""
        if self._tickets and self._queue.empty():
            return None
        mark = _Mark()
        self._queue.put(mark)
        if self._tickets:
            self._start()
        return mark

    def flush(self, mark: Optional[_Mark], deadline: float) -> bool:
        """Wait for a mark, then for the exporter's own buffer."""
        if mark is not None and not mark.reached.wait(max(0.0, deadline - time.monotonic())):
            return False
        return _force_flush(self.exporter, deadline)

    def close(self) -> None:
        """End the thread once the queue is empty."""
        if not self._tickets:
            self._queue.put(_Mark(stop=True))
        self._outage.summarise()

    def wait_for(self, number: int, behind: Callable[[], int]) -> None:
        """Wait until the exporter has had a span; not long, and not again while it is slow.

        Args:
            number: The span's.
            behind: How many spans wait for the one who waits.
        """
        deadline = time.monotonic() + _TURN_S
        while self._done < number and not self._is_slow:
            with self._condition:
                if self._condition.wait_for(lambda: self._done >= number, _TURN_SLICE_S):
                    return
            if behind() > _TURN_QUEUED or time.monotonic() > deadline:
                self._is_slow = True

    # -- on the exporter's thread ------------------------------------------------------------------

    def _start(self) -> None:
        try:
            self._tickets.pop()
        except IndexError:
            return  # somebody else is just doing it
        try:
            # Not threading.Thread: its start takes locks that a finalizer must not wait for, and
            # would carry the session that is current here along.
            _thread.start_new_thread(self._run, (self._tickets, self._queue))
        except RuntimeError:
            # Too many threads, or too late for one: the span stays queued for a flush.
            self._tickets.append(None)

    def _run(self, tickets: list[None], entries: queue.SimpleQueue[Union[_Entry, _Mark]]) -> None:
        suppress_on_this_thread()
        try:
            while True:
                batch, mark = self._next(entries)
                if batch:
                    self._export(batch)
                if mark is not None:
                    mark.reached.set()
                    if mark.stop:
                        return
        finally:
            tickets.append(None)
            if not entries.empty() and not sys.is_finalizing() and tickets is self._tickets:
                self._start()

    def _next(
        self, entries: queue.SimpleQueue[Union[_Entry, _Mark]]
    ) -> tuple[list[_Entry], Optional[_Mark]]:
        entry = entries.get()
        batch: list[_Entry] = []
        limit = _MAX_BATCH if isinstance(self.exporter, SpanExporter) else 1
        while not isinstance(entry, _Mark):
            batch.append(entry)
            if len(batch) >= limit:
                return batch, None
            try:
                entry = entries.get_nowait()
            except queue.Empty:
                return batch, None
        return batch, entry

    def _export(self, batch: list[_Entry]) -> None:
        last = batch[-1]
        for earlier in last.before:
            earlier.wait_for(last.number, self._queue.qsize)
        try:
            if isinstance(self.exporter, SpanExporter):
                result = self.exporter.export(tuple(entry.span for entry in batch))
                if result is SpanExportResult.FAILURE:
                    self._outage.begin("it says that exporting failed", lost=len(batch))
                else:
                    self._outage.end()
            else:
                self.exporter.export(_finished(last.span))
                self._outage.end()
        except BaseException:  # what ends a thread must not end this one
            self._say_error()
        self._chars_out += sum(entry.chars for entry in batch)
        with self._condition:
            self._done = last.number
            if self._queue.empty():
                self._is_slow = False
            self._condition.notify_all()

    def _say_error(self) -> None:
        if not self._said_error:
            self._said_error = True
            _report(self._name)


class _Immediate:
    """An exporter that takes spans on the thread that ends them, because it is made for that."""

    def __init__(self, exporter: Any) -> None:
        self.exporter = exporter
        self._said_error = False

    def export(self, span: ReadableSpan) -> None:
        """Export a span."""
        try:
            self.exporter.export(span)
        except Exception:
            if not self._said_error:
                self._said_error = True
                _report(type(self.exporter).__name__)

    def begin_flush(self) -> Optional[_Mark]:
        """Nothing is queued."""
        return None

    def flush(self, mark: Optional[_Mark], deadline: float) -> bool:
        """Wait for the exporter's own buffer."""
        del mark
        return _force_flush(self.exporter, deadline)

    def close(self) -> None:
        """Flush what the exporter has in its own buffer."""
        _force_flush(self.exporter, time.monotonic() + 5.0)

    def reset(self) -> None:
        """Keep nothing: the exporter sees to forks itself."""


def _finished(span: ReadableSpan) -> Any:
    """The record of a span, of which nothing is shared with any other exporter."""
    record = project(span)
    record.attributes = cast("dict[str, Any]", thawed(record.attributes))
    return record


def _force_flush(exporter: Any, deadline: float) -> bool:
    flush = getattr(exporter, "force_flush", None)
    if not isinstance(exporter, SpanExporter) or flush is None:
        return True
    try:
        left_ms = int(max(0.0, deadline - time.monotonic()) * 1000)
        return flush(left_ms) is not False
    except Exception:
        _report(type(exporter).__name__)
        return False


def _report(name: str) -> None:
    try:
        _logger.warning(
            "The exporter %s raised; the application and other exporters are not affected. "
            "Further errors of this exporter are not logged.",
            name,
            exc_info=True,
        )
    except Exception:
        pass  # a broken handler of the application must not matter


def suppress_on_this_thread() -> None:
    """Keep what this thread does from being traced and exported, from here to its end."""
    _exporting.now = True
    otel_context.attach(_SUPPRESSED)
