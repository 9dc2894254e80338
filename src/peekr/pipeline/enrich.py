"""The stage that puts a price on each model call's span that has none yet."""

from __future__ import annotations

import os
import threading
import time
import weakref
from collections import deque
from collections.abc import Mapping
from typing import Any, Callable, Optional, Union, cast

from opentelemetry.sdk.trace import ReadableSpan

from peekr import faults
from peekr.encoding import loads
from peekr.pricing import library
from peekr.pricing.book import Pending, PriceBook, tier_of
from peekr.semconv import otel, own

__all__ = ["Pricing", "price_of", "with_attributes"]

MAX_HELD = 2_000
"""How many spans wait for the price table at most; a span beyond goes on without a price."""

_PATIENCE_S = 1.0
_POLL_S = 0.002

_COST = own.PEEKR_COST_USD
_INPUT = otel.GEN_AI_USAGE_INPUT_TOKENS
_OUTPUT = otel.GEN_AI_USAGE_OUTPUT_TOKENS
_CALLS = frozenset(("chat", "text_completion", "generate_content", "embeddings", "responses"))
# What instrumentations of older conventions call the same.
_OLD_INPUT = "gen_ai.usage.prompt_tokens"
_OLD_OUTPUT = "gen_ai.usage.completion_tokens"
_OLD_PROVIDER = "gen_ai.system"
_DETAILS = (
    (otel.GEN_AI_USAGE_CACHE_READ_INPUT_TOKENS, "gen_ai.usage.cache_read_input_tokens"),
    (otel.GEN_AI_USAGE_CACHE_CREATION_INPUT_TOKENS, "gen_ai.usage.cache_creation_input_tokens"),
    (otel.GEN_AI_USAGE_REASONING_OUTPUT_TOKENS, "gen_ai.usage.reasoning_tokens"),
    (own.PEEKR_USAGE_AUDIO_INPUT_TOKENS, ""),
    (own.PEEKR_USAGE_AUDIO_OUTPUT_TOKENS, ""),
    (own.PEEKR_USAGE_IMAGE_INPUT_TOKENS, ""),
    (own.PEEKR_USAGE_CACHE_WRITE_1H_INPUT_TOKENS, ""),
)


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
        _stages.add(self)

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
        attributes = cast("Mapping[str, Any]", span.attributes or {})
        if _COST in attributes or not _is_priceable(attributes):
            return span
        cost = price_of(self._book, attributes, span.start_time or 0)
        if isinstance(cost, Pending):
            return None
        return span if cost is None else with_attributes(span, {_COST: cost})

    def after_fork(self) -> None:
        """Begin anew in a fork's child; what is kept is the parent's to pass on."""
        self._reset()


def price_of(
    book: PriceBook, attributes: Mapping[str, Any], start_ns: int
) -> Union[float, Pending, None]:
    """What the model call behind a span's attributes costs, in US dollars.

    Args:
        book: The prices.
        attributes: As the conventions name them, today's or those of some releases ago.
        start_ns: When it began, in Unix nanoseconds; 0 is now.

    Returns:
        None where the model has no known price or no token count is reported; `PENDING` while the
        table is on its way.
    """
    get = attributes.get
    tokens_input, tokens_output = _count(get(_INPUT)), _count(get(_OUTPUT))
    if tokens_input is None:
        tokens_input = _count(get(_OLD_INPUT))
    if tokens_output is None:
        tokens_output = _count(get(_OLD_OUTPUT))
    if tokens_input is None and tokens_output is None:
        return None
    parameters: Any = get(own.PEEKR_REQUEST_PARAMETERS)
    if isinstance(parameters, str):
        parameters = _document(parameters)
    rates = book.rates(
        _text(get(otel.GEN_AI_PROVIDER_NAME) or get(_OLD_PROVIDER)),
        _text(get(otel.GEN_AI_REQUEST_MODEL)),
        _text(get(otel.GEN_AI_RESPONSE_MODEL)),
        tier_of(get(otel.OPENAI_RESPONSE_SERVICE_TIER), parameters),
        start_ns or time.time_ns(),
    )
    if rates is None or isinstance(rates, Pending):
        return rates
    details = [_count(get(name) if name in attributes else get(old)) for name, old in _DETAILS]
    return rates.cost(tokens_input, tokens_output, *details)


def with_attributes(span: ReadableSpan, more: Mapping[str, Any]) -> ReadableSpan:
    """A finished span with some more attributes: a copy, for what has ended is frozen."""
    return ReadableSpan(
        name=span.name,
        context=span.context,
        parent=span.parent,
        resource=span.resource,
        attributes={**(span.attributes or {}), **more},
        events=span.events,
        links=span.links,
        kind=span.kind,
        status=span.status,
        start_time=span.start_time,
        end_time=span.end_time,
        instrumentation_scope=span.instrumentation_scope,
    )


def _is_priceable(attributes: Mapping[str, Any]) -> bool:
    """Whether the span is one model call: an agent's span repeats what its calls have used."""
    if not any(name in attributes for name in (_INPUT, _OUTPUT, _OLD_INPUT, _OLD_OUTPUT)):
        return False
    operation = attributes.get(otel.GEN_AI_OPERATION_NAME)
    return operation is None or operation in _CALLS


def _count(value: object) -> Optional[int]:
    if isinstance(value, (int, float)) and not isinstance(value, bool) and 0 <= value < 1e15:
        return int(value)
    return None


def _text(value: object) -> Optional[str]:
    return value if isinstance(value, str) and value else None


def _document(text: str) -> Optional[dict[str, Any]]:
    if "service_tier" not in text and "speed" not in text:
        return None
    try:
        found = loads(text)
    except (ValueError, RecursionError):
        return None
    return cast("dict[str, Any]", found) if isinstance(found, dict) else None


_stages: weakref.WeakSet[Pricing] = weakref.WeakSet()


def _after_in_child() -> None:
    for stage in list(_stages):
        stage.after_fork()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_in_child)
