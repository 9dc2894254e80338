"""HTTP and database spans stay out of Peekr's files, unless a model call ran below them."""

from __future__ import annotations

import threading
from collections import OrderedDict
from typing import Callable, Optional

from opentelemetry.context import Context
from opentelemetry.sdk.trace import ReadableSpan

from peekr import forks
from peekr.pipeline.calls import is_model_call
from peekr.pipeline.waiting import chars_of, span_id_of

__all__ = ["OnlyLlm"]

MAX_KNOWN = 10_000
"""Spans whose parents are remembered; the oldest is forgotten first."""
MAX_WAITING = 1_000
"""Spans that ended without a model call below them, which may still come."""
MAX_WAITING_CHARS = 4 * 1024 * 1024
"""Characters of text in them, about."""

# One of these is on every span of an HTTP, database, RPC or message instrumentation, and of what
# an ASGI server sends and receives. The second of each pair is the name that it had before.
_PLUMBING = frozenset(
    (
        "http.request.method",
        "http.method",
        "asgi.event.type",
        "db.system.name",
        "db.system",
        "rpc.system.name",
        "rpc.system",
        "messaging.system",
    )
)


class OnlyLlm:
    """Passes spans on, those of HTTP requests and databases only above a model call.

    A model call marks what stands above it in this process when it starts, so nothing has to wait:
    a marked span is passed on when it ends. One that ended before, such as a request whose answer
    goes on in the background, is kept for a while, within bounds, and is passed on behind the call.

    `started` and the call itself run on the threads that start and end spans. Taken together they
    cost a few microseconds a span.
    """

    def __init__(self, passed: Callable[[ReadableSpan], None]) -> None:
        """Filter.

        Args:
            passed: Takes each span that is kept.
        """
        self._passed = passed
        self._parents: OrderedDict[int, int] = OrderedDict()
        self._marked: OrderedDict[int, None] = OrderedDict()
        self._waiting: OrderedDict[int, ReadableSpan] = OrderedDict()
        self._chars = 0
        # Reentrant: a collected stream may end its span inside any allocation made here.
        self._lock = threading.RLock()
        forks.join(self)

    def started(self, span: ReadableSpan, parent_context: Optional[Context]) -> None:
        """Note a span that starts; a model call marks what stands above it."""
        del parent_context
        parent = span.parent
        if parent is None or parent.is_remote:
            return
        with self._lock:
            self._parents[span_id_of(span)] = parent.span_id
            if len(self._parents) > MAX_KNOWN:
                self._parents.popitem(last=False)
        if is_model_call(span):
            self._mark_above(span)

    def __call__(self, span: ReadableSpan) -> None:
        """Take one finished span."""
        if is_model_call(span):
            # First what is above: a reader sees the parents of a late call no later than it.
            self._mark_above(span)
            self._passed(span)
        elif not _is_plumbing(span) or self._is_marked(span):
            self._passed(span)

    def _is_marked(self, span: ReadableSpan) -> bool:
        """Whether a model call ran below; a span below which none did yet is kept for a while."""
        with self._lock:
            if self._marked.pop(span_id_of(span), self) is None:
                return True
            self._waiting[span_id_of(span)] = span
            self._chars += chars_of(span)
            while len(self._waiting) > MAX_WAITING or self._chars > MAX_WAITING_CHARS:
                self._chars -= chars_of(self._waiting.popitem(last=False)[1])
            return False

    def _mark_above(self, call: ReadableSpan) -> None:
        late: list[ReadableSpan] = []
        with self._lock:
            above = self._parents.get(span_id_of(call))
            steps = 0
            while above is not None and steps < MAX_KNOWN:
                ended = self._waiting.pop(above, None)
                if ended is not None:
                    self._chars -= chars_of(ended)
                    late.append(ended)
                else:
                    self._marked[above] = None
                    if len(self._marked) > MAX_KNOWN:
                        self._marked.popitem(last=False)
                above = self._parents.get(above)
                steps += 1
        for span in late:
            self._passed(span)

    def after_fork(self) -> None:
        """In a fork's child: what waits is the parent's to store, and so may be the lock."""
        self._lock = threading.RLock()
        self._waiting = OrderedDict()
        self._chars = 0


def _is_plumbing(span: ReadableSpan) -> bool:
    attributes = span.attributes
    return bool(attributes) and not _PLUMBING.isdisjoint(attributes)
