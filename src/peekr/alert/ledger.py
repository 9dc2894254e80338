"""What has been spent, by account: in memory, or in a file that several processes share."""

from __future__ import annotations

import importlib
import threading
from collections import OrderedDict
from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple, cast

from peekr import forks

if TYPE_CHECKING:
    from typing import Protocol

    class Ledger(Protocol):
        """Keeps accounts; any thread."""

        def spent(self, account: Account) -> float:
            """What is on an account, in US dollars."""
            ...

        def charge(
            self, account: Account, cost_usd: float, marks: Sequence[Mark]
        ) -> tuple[float, list[str]]:
            """Add to an account.

            Returns:
                What is on it now, and which marks it has reached for the first time.
            """
            ...

        def reset(self, account: Account) -> None:
            """Empty an account, and forget its marks; with no key, all of its window."""
            ...


__all__ = ["Account", "Mark", "MemoryLedger", "in_file"]

_MAX_ACCOUNTS = 100_000


class Account(NamedTuple):
    """What a sum is kept for.

    Attributes:
        name: The budget's name.
        scope: What has a budget of its own: `process`, `tenant`, ….
        key: Which one: the tenant's id; empty for the process.
        window: `hour`, `day` or `month`; empty for a trace, which has none.
        start: When the window began, in Unix seconds.
    """

    name: str
    scope: str
    key: str
    window: str
    start: int


class Mark(NamedTuple):
    """A sum that is to be noticed once."""

    name: str
    usd: float


class MemoryLedger:
    """Accounts of this process; of very many the one that was used longest ago is forgotten."""

    def __init__(self) -> None:
        self._accounts: OrderedDict[Account, tuple[float, frozenset[str]]] = OrderedDict()
        # Reentrant: a collected stream may end its call inside any allocation made here.
        self._lock = threading.RLock()
        forks.join(self)

    def spent(self, account: Account) -> float:
        """What is on an account, in US dollars."""
        found = self._accounts.get(account)
        return 0.0 if found is None else found[0]

    def charge(
        self, account: Account, cost_usd: float, marks: Sequence[Mark]
    ) -> tuple[float, list[str]]:
        """Add to an account; see `Ledger`."""
        with self._lock:
            spent, noticed = self._accounts.pop(account, (0.0, frozenset[str]()))
            spent += cost_usd
            new = [mark.name for mark in marks if spent >= mark.usd and mark.name not in noticed]
            self._accounts[account] = (spent, noticed.union(new))
            if len(self._accounts) > _MAX_ACCOUNTS:
                self._accounts.popitem(last=False)
        return spent, new

    def reset(self, account: Account) -> None:
        """Empty an account, or all of its window; see `Ledger`."""
        with self._lock:
            for one in list(self._accounts):
                if one == account or (not account.key and one._replace(key="") == account):
                    del self._accounts[one]

    def after_fork(self) -> None:
        """Go on in a fork's child from what the parent had spent; its lock may be held there."""
        self._lock = threading.RLock()


def in_file(path: str) -> Ledger:
    """The ledger in a SQLite file, one for all budgets of the process that name it."""
    # By its name: the stores are above what users import, and load SQLite.
    module = importlib.import_module("peekr.store.sqlite.ledger")
    return cast("Ledger", module.ledger_of(path))
