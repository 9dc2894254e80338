"""Budgets on the way of a call: asked before it is sent, charged when it ends."""

from __future__ import annotations

import atexit
import logging
import time
from collections.abc import Sequence
from functools import partial
from typing import TYPE_CHECKING, Any, Optional, Union

from peekr.alert.budget import BudgetAlert, charge_all
from peekr.plaintext import clean
from peekr.pricing import library
from peekr.pricing.book import Pending, PriceBook

if TYPE_CHECKING:
    from typing import Protocol

    class _Call(Protocol):
        hook: Any
        request: Any
        cost_usd: Union[float, Pending, None]
        kept: Optional[dict[Any, Any]]

        def price(self, prices: PriceBook, response: Any) -> None: ...


__all__ = ["Budgets"]

_TABLE_S = 10.0
"""How long a call waits at most for the price of one that ended before."""

_MAX_SAID = 1_000
_UNPRICED = (
    "%s of %s has no known price: budgets do not count it; "
    "peekr.instrument(prices=...) gives it one"
)
_UNTOLD = (
    "%s of %s did not tell a call's tokens: budgets do not count such calls (a stream that is left "
    "early; one of OpenAI's without PEEKR_OPENAI_STREAM_USAGE=true or stream_options="
    "{'include_usage': True})"
)

_logger = logging.getLogger("peekr.alert")


class Budgets:
    """All budgets of an installation. Runs on the callers' threads."""

    def __init__(self, budgets: Sequence[BudgetAlert], book: PriceBook) -> None:
        self._budgets = tuple(budgets)
        self._book = book
        # Calls that have ended and are charged as soon as the price table is there; a list, as
        # its operations are atomic.
        self._pending: list[object] = []
        self._waits_at_exit = False
        self._said: set[tuple[str, str, str]] = set()
        # Asked for: the first call need not wait for it.
        book.begin()

    def admit(self, call: _Call) -> None:
        """Let a call pass, or not.

        Raises:
            BudgetExceededError: a budget is spent.
        """
        charged = [(one, key) for one in self._budgets if (key := one.key_now()) is not None]
        if call.kept is None:
            call.kept = {}
        call.kept[self] = charged
        if self._pending:
            self._wait()
        for budget, key in charged:
            budget.admit(key)

    def observe(self, call: _Call, response: Any, fault: Any) -> None:
        """Charge a call that has ended."""
        charged = (call.kept or {}).get(self)
        if not charged or response is None:
            return
        usage = response.usage
        if usage is None or (usage.input is None and usage.output is None):
            if fault is None:
                self._say(call, response, _UNTOLD)
            return
        cost = call.cost_usd
        if isinstance(cost, Pending):
            entry = object()
            if not self._waits_at_exit:
                self._waits_at_exit = True
                atexit.register(self._wait)
            self._pending.append(entry)
            late = partial(self._charge_late, entry, charged, call, response)
            library.when_loaded(late)
        elif cost is None:
            self._say(call, response, _UNPRICED)
        else:
            charge_all(charged, cost)

    def _charge_late(
        self, entry: object, charged: list[tuple[BudgetAlert, str]], call: _Call, response: Any
    ) -> None:
        try:
            call.price(self._book, response)
            cost = call.cost_usd
            if cost is None or isinstance(cost, Pending):
                self._say(call, response, _UNPRICED)
            else:
                charge_all(charged, cost)
        finally:
            self._pending.remove(entry)

    def _wait(self) -> None:
        deadline = time.monotonic() + _TABLE_S
        while self._pending and time.monotonic() < deadline:
            time.sleep(0.001)

    def _say(self, call: _Call, response: Any, message: str) -> None:
        """Say once a model that its calls are not counted, and why."""
        provider = str(call.request.provider or call.hook.provider)
        model = str(response.model or call.request.model)
        said = (provider, model, message)
        if said in self._said or len(self._said) >= _MAX_SAID:
            return
        self._said.add(said)
        _logger.warning(message, clean(model), clean(provider))
