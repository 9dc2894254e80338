"""The stage that puts a price on each model call's span that has none yet."""

from __future__ import annotations

import threading
import time
from collections import deque
from typing import Any, Callable, Optional

from opentelemetry.sdk.trace import ReadableSpan

from peekr import dialects, faults, forks
from peekr.pipeline.amended import amended
from peekr.pricing import library
from peekr.pricing.book import Pending, PriceBook
from peekr.pricing.spans import CALLS, price_of
from peekr.semconv import otel, own
from peekr.shapes import Shape, shape_of

__all__ = ["Pricing"]

MAX_HELD = 2_000
"""How many spans wait for the price table at most; a span beyond goes on without a price."""

_PATIENCE_S = 1.0
_POLL_S = 0.002

_COST = own.PEEKR_COST_USD
_INPUT = otel.GEN_AI_USAGE_INPUT_TOKENS
_OUTPUT = otel.GEN_AI_USAGE_OUTPUT_TOKENS
_PROVIDER = otel.GEN_AI_PROVIDER_NAME


class Pricing:
    """Prices what comes without a price: spans of other instrumentations, and early ones.

    A model call of Peekr's own has its price when it ends, except while the price table is being
    loaded for the first time, for some tenths of a second. What ends meanwhile is kept back, in its
    order, and so is whatever comes behind it, so that a trace's root still comes last. It is passed
    on by the thread that loads the table; `flush` and `close` wait for that. A process that is
    killed (`kill -9`) in that time loses what is kept.
    """

    def __init__(self, book: PriceBook) -> None:
        self._book = book
        self._reset()
        forks.join(self)

    def _reset(self) -> None:
        self._held: deque[tuple[ReadableSpan, Callable[[ReadableSpan], None]]] = deque()
        # True while anything is kept, or is just being passed on.
        self._holding = False
        # Reentrant: a signal handler that flushes may come in between.
        self._lock = threading.RLock()

    def take(
        self, span: ReadableSpan, resume: Callable[[ReadableSpan], None]
    ) -> Optional[ReadableSpan]:
        """Price a span; None when it has to wait for the table."""
        if not self._holding:
            priced = self._priced(span)
            if priced is not None:
                return priced
        begins = False
        with self._lock:
            if len(self._held) >= MAX_HELD:
                return span
            self._held.append((span, resume))
            if not self._holding:
                self._holding = begins = True
        if begins:
            library.when_loaded(self._pass_on)
        return None

    def flush(self, timeout_s: float) -> bool:
        """Wait until nothing is kept any more; False when time ran out.

        Waits for no lock, so a signal handler may call it, whatever it interrupts.
        """
        deadline = time.monotonic() + timeout_s
        settled_at = 0.0
        while self._holding:
            now = time.monotonic()
            if library.is_settled():
                settled_at = settled_at or now
                if now - settled_at > _PATIENCE_S:
                    self._pass_on()  # whoever was to do it waits for what this has interrupted
                    return True
            if now >= deadline:
                return False
            time.sleep(_POLL_S)
        return True

    def close(self, timeout_s: float) -> bool:
        """Wait likewise; what is left then goes on without a price."""
        if self.flush(timeout_s):
            return True
        self._pass_on()
        return False

    def _pass_on(self) -> None:
        while True:
            with self._lock:
                if not self._held:
                    self._holding = False
                    return
                span, resume = self._held.popleft()
            try:
                span = self._priced(span) or span
            except Exception:
                faults.report("pricing a model call")
            try:
                resume(span)
            except Exception:
                faults.report("passing on a span that waited for its price")

    def _priced(self, span: ReadableSpan) -> Optional[ReadableSpan]:
        """The span with its price, as it is where there is none to give; None for not yet."""
        given = _plain(span)
        shape = shape_of(given)
        if not shape.may_be_unpriced:
            return span
        attributes = _todays(span, given, shape)
        if (_INPUT not in attributes and _OUTPUT not in attributes) or _COST in attributes:
            return span
        operation = attributes.get(otel.GEN_AI_OPERATION_NAME)
        if operation is not None and operation not in CALLS:
            return span  # an agent's span repeats what its calls have used
        price = price_of(self._book, attributes, span.start_time or 0)
        if price is None:
            return span
        if isinstance(price, Pending):
            return None
        given[_COST] = price.cost_usd
        if price.saved_usd is not None:
            given[own.PEEKR_COST_SAVED_USD] = price.saved_usd
        return amended(span, attributes=given)

    def after_fork(self) -> None:
        """Begin anew in a fork's child; what is kept is the parent's to pass on."""
        self._reset()


def _plain(span: ReadableSpan) -> dict[str, Any]:
    """A span's attributes in a dictionary of one's own, which is read in a third of the time."""
    held: Any = span.attributes
    try:
        return held.copy()
    except AttributeError:
        return dict(held or {})  # a span that no tracer made


def _todays(span: ReadableSpan, attributes: dict[str, Any], shape: Shape) -> dict[str, Any]:
    """The attributes under today's names, as far as a price asks for them."""
    if shape.is_plain or (shape.is_today and _INPUT in attributes and _PROVIDER in attributes):
        return attributes
    scope = span.instrumentation_scope
    draft = dialects.Draft(
        dict(attributes), span.events, (scope.name or "") if scope else "", span.name
    )
    dialects.translate(draft)
    return draft.attributes
