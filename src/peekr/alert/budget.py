"""Budgets: no further model call once the money is spent."""

from __future__ import annotations

import logging
import math
import os
import time
from collections.abc import Iterable
from datetime import datetime, timedelta, timezone
from typing import TYPE_CHECKING, Any, Callable, Literal, Optional, Union

from opentelemetry import trace as otel_trace

from peekr import faults
from peekr.alert.ledger import Account, Mark, MemoryLedger, in_file
from peekr.context import Scope, current_scope
from peekr.errors import BudgetExceededError, ConfigurationError

if TYPE_CHECKING:
    from peekr.alert.ledger import Ledger

__all__ = ["BudgetAlert", "BudgetNotice", "charge_all"]

WINDOWS = ("hour", "day", "month")
SCOPES = ("process", "session", "tenant", "user", "trace")

_logger = logging.getLogger("peekr.alert")
_Callback = Callable[["BudgetNotice"], Any]


class BudgetNotice(str):
    """What a budget says to `on_warning` and `on_exceeded`: a message that knows its numbers.

    Attributes:
        budget: The budget.
        key: Whose it is: the tenant's id, say; empty for the process.
        spent_usd: What is spent of it in this window.
        limit_usd: Its limit.
    """

    budget: BudgetAlert
    key: str
    spent_usd: float
    limit_usd: float

    @classmethod
    def of(cls, text: str, budget: BudgetAlert, key: str, spent_usd: float) -> BudgetNotice:
        """A notice."""
        made = cls(text)
        made.budget, made.key, made.spent_usd = budget, key, spent_usd
        made.limit_usd = budget.limit_usd
        return made


class BudgetAlert:
    """Stops model calls once a sum is spent: `BudgetExceededError`, before the call is sent.

    Given to `peekr.instrument()` as `budget_alert=` or among `alerts=[...]`. A call's price is
    charged when it ends, before it returns; so what runs at the same time may overrun the limit by
    the calls in flight, and no more. A call whose model has no known price is charged nothing: that
    is logged once a model, and `prices=` of `instrument()` gives it one.

    Windows are those of the clock in UTC: they begin with the hour, at midnight, on the first of
    the month. A trace has no window. Calls outside of any session, tenant or user are not limited
    by a budget of that scope.

    With a file several processes share a budget, and it outlives them. Without, it is the SQLite
    file that `instrument()` writes records to, if there is one, else memory. If the file cannot be
    used, that is logged, and the process counts for itself.

    Any thread; checking takes some microseconds, in a file some tens.
    """

    def __init__(
        self,
        limit_usd: float,
        on_warning: Optional[_Callback] = None,
        on_exceeded: Optional[_Callback] = None,
        warning_pct: float = 0.8,
        window: Literal["hour", "day", "month"] = "day",
        *,
        scope: Literal["process", "session", "tenant", "user", "trace"] = "process",
        db_path: Optional[Union[str, os.PathLike[str]]] = None,
        name: str = "default",
    ) -> None:
        """Make a budget.

        Args:
            limit_usd: What may be spent in a window, in US dollars; 0 stops every call.
            on_warning: Called with a `BudgetNotice` once a window, when `warning_pct` of the limit
                is reached, on the thread that ended the call; without it a line is logged.
            on_exceeded: The same for the limit itself.
            warning_pct: The share of the limit to warn at, above 0.0 to 1.0.
            window: After what time it begins anew: `hour`, `day` or `month`.
            scope: What has a budget of its own: all calls of the `process` (with a file: of all
                processes), or each `session`, `tenant`, `user` or `trace`.
            db_path: The SQLite file that keeps what is spent; made where it is missing.
            name: Budgets of one name, scope and window that share a file share what is spent.

        Raises:
            ConfigurationError: (a ValueError) a value is none of the choices or out of its range.
            TypeError: an argument is of the wrong kind.
        """
        for argument, value in (("limit_usd", limit_usd), ("warning_pct", warning_pct)):
            if isinstance(value, bool) or not isinstance(value, (int, float)):  # pyright: ignore[reportUnnecessaryIsInstance]
                raise TypeError(f"{argument}={value!r} is not a number")
        if not math.isfinite(limit_usd) or limit_usd < 0:
            raise ConfigurationError(f"limit_usd={limit_usd!r} is no sum to spend")
        if not 0.0 < warning_pct <= 1.0:
            raise ConfigurationError(f"warning_pct={warning_pct!r} is outside 0.0 to 1.0")
        if window not in WINDOWS:
            raise ConfigurationError(f"window={window!r} is none of {', '.join(WINDOWS)}")
        if scope not in SCOPES:
            raise ConfigurationError(f"scope={scope!r} is none of {', '.join(SCOPES)}")
        for argument, callback in (("on_warning", on_warning), ("on_exceeded", on_exceeded)):
            if callback is not None and not callable(callback):
                raise TypeError(f"{argument}={callback!r} is not callable")
        if db_path is not None and not isinstance(db_path, (str, os.PathLike)):  # pyright: ignore[reportUnnecessaryIsInstance]
            raise TypeError(f"db_path={db_path!r} is no path")
        self.limit_usd = float(limit_usd)
        self.warning_pct = float(warning_pct)
        self.window = window
        self.scope = scope
        self.name = name
        self._on_warning = on_warning
        self._on_exceeded = on_exceeded
        self._tenant_id: Optional[str] = None
        self._is_bound = db_path is not None
        self._ledger: Ledger = MemoryLedger() if db_path is None else in_file(os.fspath(db_path))
        # What is noticed once depends on the limit, what is spent does not.
        limit = self.limit_usd
        self._warning = Mark(f"warning {limit * warning_pct:g}", limit * warning_pct)
        self._exceeded = Mark(f"exceeded {limit:g}", limit)

    @property
    def spent(self) -> float:
        """What is spent in this window, in US dollars: by the session, tenant, … of the moment."""
        key = self.key_now()
        return 0.0 if key is None else self._ledger.spent(self._account(key))

    @property
    def remaining(self) -> float:
        """What is left of the limit, in US dollars; never below 0."""
        return max(0.0, self.limit_usd - self.spent)

    def reset(self) -> None:
        """Begin this window anew, for the session, tenant, … of the moment; outside, for all."""
        self._ledger.reset(self._account(self.key_now() or ""))

    def __repr__(self) -> str:
        limit, window = self.limit_usd, self.window
        return f"BudgetAlert({limit:g}, window={window!r}, scope={self.scope!r})"

    # -- for the installation --------------------------------------------------------------------

    def bind(
        self,
        db_path: Optional[Union[str, os.PathLike[str]]] = None,
        tenant_id: Optional[str] = None,
    ) -> None:
        """Use the installation's file where none was given, and its tenant where none is set."""
        self._tenant_id = tenant_id
        if not self._is_bound and db_path is not None:
            self._is_bound = True
            self._ledger = in_file(os.fspath(db_path))

    def key_now(self) -> Optional[str]:
        """Whose budget a call that began here would use; None where it would use none."""
        if self.scope == "process":
            return ""
        if self.scope == "trace":
            context = otel_trace.get_current_span().get_span_context()
            return format(context.trace_id, "032x") if context.is_valid else None
        scope: Scope = current_scope()
        if self.scope == "session":
            return scope.session_id
        if self.scope == "tenant":
            return scope.tenant_id or self._tenant_id
        return scope.user_id

    def admit(self, key: str) -> None:
        """Let a call pass, or not.

        Raises:
            BudgetExceededError: the money is spent.
        """
        account = self._account(key)
        spent = self._ledger.spent(account)
        if spent < self.limit_usd:
            return
        raise BudgetExceededError(
            f"{self._described(key)} is spent: ${spent:.4f}{self._until(account)}",
            limit_usd=self.limit_usd,
            spent_usd=spent,
            scope=self.scope,
            key=key,
        )

    def _account(self, key: str) -> Account:
        if self.scope == "trace":
            return Account(self.name, self.scope, key, "", 0)
        return Account(self.name, self.scope, key, self.window, _start(self.window, time.time()))

    def account(self, key: str) -> tuple[Ledger, Account]:
        """Where a call is charged."""
        return self._ledger, self._account(key)

    def marks(self) -> tuple[Mark, Mark]:
        """The sums that are noticed once a window."""
        return self._warning, self._exceeded

    def notice(self, mark: str, key: str, spent_usd: float) -> None:
        """Say that a mark was reached; a fault of the callback is contained."""
        is_warning = mark == self._warning.name
        callback = self._on_warning if is_warning else self._on_exceeded
        share = f"{spent_usd / self.limit_usd:.0%} of " if self.limit_usd else ""
        text = f"{share}{self._described(key)} is spent: ${spent_usd:.4f}"
        if callback is None:
            _logger.warning("%s", text)
            return
        try:
            callback(BudgetNotice.of(text, self, key, spent_usd))
        except Exception:
            faults.report("calling a budget's callback")

    def _described(self, key: str) -> str:
        whose = f" of {self.scope} {key}" if key else ""
        each = "a trace" if self.scope == "trace" else f"a {self.window}"
        if self.window == "hour" and self.scope != "trace":
            each = "an hour"
        return f"the budget{whose} of ${self.limit_usd:g} {each}"

    def _until(self, account: Account) -> str:
        if not account.window:
            return ""
        end = datetime.fromtimestamp(_end(account.window, account.start), timezone.utc)
        return f"; calls go on at {end:%Y-%m-%d %H:%M} UTC"


def charge_all(budgets: Iterable[tuple[BudgetAlert, str]], cost_usd: float) -> None:
    """Charge one call to budgets; those that share an account charge it once.

    Args:
        budgets: Each with the key that it had when the call began.
        cost_usd: What the call cost.
    """
    shared: dict[tuple[int, Account], tuple[Ledger, list[BudgetAlert]]] = {}
    for budget, key in budgets:
        ledger, account = budget.account(key)
        shared.setdefault((id(ledger), account), (ledger, []))[1].append(budget)
    for (_, account), (ledger, sharing) in shared.items():
        marks = [mark for budget in sharing for mark in budget.marks()]
        spent, reached = ledger.charge(account, cost_usd, marks)
        for budget in sharing if reached else ():
            for mark in budget.marks():
                if mark.name in reached:
                    budget.notice(mark.name, account.key, spent)


def _start(window: str, at_s: float) -> int:
    """When the window of the clock that holds a moment began, in Unix seconds."""
    if window == "hour":
        return int(at_s) // 3600 * 3600
    if window == "day":
        return int(at_s) // 86_400 * 86_400
    moment = datetime.fromtimestamp(at_s, timezone.utc)
    return int(datetime(moment.year, moment.month, 1, tzinfo=timezone.utc).timestamp())


def _end(window: str, start: int) -> int:
    if window == "hour":
        return start + 3600
    if window == "day":
        return start + 86_400
    after = datetime.fromtimestamp(start, timezone.utc) + timedelta(days=32)
    return _start("month", after.timestamp())
