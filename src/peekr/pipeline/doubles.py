"""Two spans of one model call: which of them Peekr's own pipeline and files take.

Another library's instrumentor for the same SDK, or a framework's above it, makes a span of a call
that Peekr makes a span of. Both go to the exporters of the provider; Peekr prices, judges and
stores one: its own, else the outermost. What stood below one that is left out is stored as if it
stood below what is above that.
"""

from __future__ import annotations

import logging
from collections import OrderedDict
from typing import Any, Optional

from opentelemetry import trace as otel_trace
from opentelemetry.context import Context
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.trace import SpanContext

from peekr.pipeline.amended import amended
from peekr.pipeline.calls import is_model_call

__all__ = ["Doubles"]

_OWN = "peekr"
_OWN_CALLS = "peekr.instrumentation."

_MAX_SPANS = 10_000
"""Spans that never end must not add up."""

_logger = logging.getLogger("peekr")
_said: set[str] = set()


class Doubles:
    """Follows which span stands directly below which, as far as one of them is not Peekr's.

    Runs on the threads that start and end spans; each operation on a dictionary is one step, so no
    lock is needed. For spans of Peekr's alone it costs two look-ups a span.
    """

    def __init__(self) -> None:
        # By span id: the span directly above, for spans that have not ended.
        self._above: OrderedDict[int, ReadableSpan] = OrderedDict()
        # Spans that are left out when they end, or that were.
        self._out: OrderedDict[int, None] = OrderedDict()
        # Peekr's own that have not ended.
        self._calls: OrderedDict[int, None] = OrderedDict()

    def started(self, span: ReadableSpan, parent_context: Optional[Context]) -> None:
        """Note what stands above a span that starts."""
        if _scope(span).startswith(_OWN_CALLS):
            self._calls[_id(span)] = None
            if len(self._calls) > _MAX_SPANS:
                self._calls.popitem(last=False)
        parent = span.parent
        if parent is None or parent.is_remote:
            return
        above: Any = otel_trace.get_current_span(parent_context)
        if not isinstance(above, ReadableSpan):
            return
        if _scope(span).startswith(_OWN) and _scope(above).startswith(_OWN):
            return
        self._above[_id(span)] = above
        if len(self._above) > _MAX_SPANS:
            self._above.popitem(last=False)

    def is_any(self) -> bool:
        """Whether there is anything to ask about; cheap, for the path that every span takes."""
        return bool(self._calls) or bool(self._above) or bool(self._out)

    def is_double(self, span: ReadableSpan) -> bool:
        """Whether a span that has ended is to be left out, for another stands for the same call."""
        own_id = _id(span)
        is_own = self._calls.pop(own_id, self) is None
        if own_id in self._out:
            return True
        parent = span.parent
        if parent is None:
            return False
        if not is_own and (parent.span_id in self._out or parent.span_id in self._calls):
            # Also what another library adds when its span has ended, such as a stream's result,
            # and for which it has carried the context along as if from another process.
            if not is_model_call(span):
                return False
            self._leave_out(span)
            _say(self._above.get(own_id), span)
            return True
        above = self._above.get(_id(span))
        if above is None or not is_model_call(span) or not is_model_call(above):
            return False
        if _scope(span).startswith(_OWN_CALLS):
            self._leave_out_from(above, span)
            return False
        self._leave_out(span)
        return True

    def forget(self, span: ReadableSpan) -> None:
        """Let go of what is known of a span that nobody will ask about."""
        self._above.pop(_id(span), None)

    def placed(self, span: ReadableSpan) -> ReadableSpan:
        """An ended span as it is to be stored: below one that is not left out.

        Forgets what was known of it.
        """
        parent = self._parent_of(span)
        if parent is span.parent:
            return span
        return amended(span, parent=parent)

    def _parent_of(self, span: ReadableSpan) -> Optional[SpanContext]:
        """What the nearest span above is that is not left out."""
        parent = span.parent
        above = self._above.pop(_id(span), None)
        while above is not None and self._is_out(above):
            parent = above.parent
            above = self._above.get(_id(above))
        return parent

    def _is_out(self, span: ReadableSpan) -> bool:
        """Whether a span is left out, or will be when it ends."""
        if _id(span) in self._out:
            return True
        above = self._above.get(_id(span))
        return (
            above is not None
            and not _scope(span).startswith(_OWN)
            and is_model_call(span)
            and is_model_call(above)
        )

    def _leave_out_from(self, span: Optional[ReadableSpan], own: ReadableSpan) -> None:
        while span is not None and not _scope(span).startswith(_OWN) and is_model_call(span):
            self._leave_out(span)
            _say(own, span)
            span = self._above.get(_id(span))

    def _leave_out(self, span: ReadableSpan) -> None:
        self._out[_id(span)] = None
        if len(self._out) > _MAX_SPANS:
            self._out.popitem(last=False)


def _id(span: ReadableSpan) -> int:
    context = span.context
    return 0 if context is None else context.span_id  # no tracer makes one without


def _scope(span: ReadableSpan) -> str:
    scope = span.instrumentation_scope
    return "" if scope is None else scope.name


def _say(own: Optional[ReadableSpan], other: ReadableSpan) -> None:
    library = _scope(other) or "another library"
    if own is None or not _scope(own).startswith(_OWN_CALLS) or library in _said:
        return
    _said.add(library)
    name = f"peekr_{_scope(own)[len(_OWN_CALLS) :]}"
    _logger.warning(
        "Both %s and Peekr (%s) make a span of each model call. Peekr stores one record a call; "
        "other exporters get both spans. To choose: OTEL_PYTHON_DISABLED_INSTRUMENTATIONS=%s turns "
        "Peekr's off, or leave out the other's instrument().",
        library,
        name,
        name,
    )
