"""The table `budgets`: what is spent, shared by processes and kept across restarts."""

from __future__ import annotations

import logging
import os
import random
import sqlite3
import threading
import time
import weakref
from collections.abc import Sequence
from typing import Any, Optional

from peekr.plaintext import clean
from peekr.store.sqlite import gate
from peekr.store.sqlite.database import Database, is_locked
from peekr.store.sqlite.schema import ForeignDatabaseError

__all__ = ["SqliteLedger", "ledger_of"]

_CREATE = """
CREATE TABLE IF NOT EXISTS budgets (
    name         TEXT NOT NULL,
    scope        TEXT NOT NULL,
    key          TEXT NOT NULL,
    window       TEXT NOT NULL,
    window_start INTEGER NOT NULL,
    spent_usd    REAL NOT NULL,
    marks        TEXT NOT NULL DEFAULT '',
    updated_at   REAL NOT NULL,
    PRIMARY KEY (name, scope, key, window, window_start)
) WITHOUT ROWID
"""
_WHERE = "WHERE name = ? AND scope = ? AND key = ? AND window = ? AND window_start = ?"
_SPENT = f"SELECT spent_usd, marks FROM budgets {_WHERE}"
_CHARGE = """
INSERT INTO budgets (name, scope, key, window, window_start, spent_usd, updated_at)
VALUES (?, ?, ?, ?, ?, ?, ?)
ON CONFLICT (name, scope, key, window, window_start)
DO UPDATE SET spent_usd = spent_usd + excluded.spent_usd, updated_at = excluded.updated_at
"""
_MARK = f"UPDATE budgets SET marks = ? {_WHERE}"
_RESET = f"DELETE FROM budgets {_WHERE}"
_RESET_ALL = "DELETE FROM budgets WHERE name = ? AND scope = ? AND window = ? AND window_start = ?"
# Of windows that are over nobody asks any more; the last months stay for whoever looks.
_PRUNE = "DELETE FROM budgets WHERE updated_at < ?"
_KEPT_S = 100 * 86_400.0

_PATIENCE_S = 2.0
"""How long a caller waits at most while other processes hold the database."""

_MAX_SEEN = 10_000

_LONGEST_PAUSE_S = 0.01

_Account = Any  # a tuple of the key's columns

_logger = logging.getLogger("peekr.alert")


class SqliteLedger:
    """Accounts in a file. Each charge is committed when `charge` returns.

    What could not be committed is counted in memory, on top of what was last seen in the file, and
    tried again with the next charge: so the process itself stays within its budget while the file
    cannot be used.
    """

    def __init__(self, path: str) -> None:
        """Note the file; it is opened with the first charge or question.

        Args:
            path: The file, absolute.
        """
        self.path = path
        self._database = Database(path)
        self._reset()
        gate.join(self)

    def _reset(self) -> None:
        self._unsaved: dict[_Account, float] = {}
        self._seen: dict[_Account, float] = {}
        # Reentrant: a collected stream may end its call inside any allocation made here.
        self._lock = threading.RLock()
        self._noticed: set[tuple[_Account, str]] = set()
        self._is_made_on: Optional[sqlite3.Connection] = None
        self._failing = False

    def __del__(self) -> None:
        self._database.close()

    def spent(self, account: _Account) -> float:
        """What is on an account, in US dollars."""
        key = tuple(account)

        def read(connection: sqlite3.Connection) -> float:
            row = connection.execute(_SPENT, key).fetchone()
            return 0.0 if row is None else float(row[0])

        found = self._run(read)
        if found is None:
            found = self._seen.get(key, 0.0)
        else:
            self._see(key, found)
        return found + self._unsaved.get(key, 0.0)

    def charge(
        self, account: _Account, cost_usd: float, marks: Sequence[tuple[str, float]]
    ) -> tuple[float, list[str]]:
        """Add to an account.

        Args:
            account: The columns of its key.
            cost_usd: How much, in US dollars.
            marks: Sums to watch for, each by name, in US dollars.

        Returns:
            What is on it now, and which marks it has reached for the first time in any process.
        """
        key = tuple(account)
        with self._lock:
            sum_usd = cost_usd + self._unsaved.pop(key, 0.0)

        def write(connection: sqlite3.Connection) -> tuple[float, list[str]]:
            connection.execute("BEGIN IMMEDIATE")
            try:
                connection.execute(_CHARGE, (*key, sum_usd, time.time()))
                spent, text = connection.execute(_SPENT, key).fetchone()
                noticed: list[str] = text.split("\n") if text else []
                new = [name for name, usd in marks if spent >= usd and name not in noticed]
                if new:
                    connection.execute(_MARK, ("\n".join(noticed + new), *key))
                connection.execute("COMMIT")
                return float(spent), new
            except BaseException:
                if connection.in_transaction:
                    connection.execute("ROLLBACK")
                raise

        done = self._run(write)
        if done is not None:
            self._see(key, done[0])
            return done
        with self._lock:
            self._unsaved[key] = self._unsaved.get(key, 0.0) + sum_usd
            spent = self._seen.get(key, 0.0) + self._unsaved[key]
            new = [name for name, usd in marks if spent >= usd and (key, name) not in self._noticed]
            self._noticed.update((key, name) for name in new)
        return spent, new

    def _see(self, key: _Account, spent_usd: float) -> None:
        if len(self._seen) >= _MAX_SEEN:
            self._seen.clear()
        self._seen[key] = spent_usd

    def reset(self, account: _Account) -> None:
        """Empty an account; all accounts of the window where its key is empty."""
        name, scope, key, window, start = tuple(account)
        with self._lock:
            for kept in (self._unsaved, self._seen):
                for one in list(kept):
                    if one == tuple(account) or (not key and one[:2] == (name, scope)):
                        kept.pop(one, None)

        def write(connection: sqlite3.Connection) -> bool:
            if key:
                connection.execute(_RESET, tuple(account))
            else:
                connection.execute(_RESET_ALL, (name, scope, window, start))
            return True

        self._run(write)

    def _run(self, do: Any) -> Any:
        """What the function returns; None where the file could not be used."""
        deadline = time.monotonic() + _PATIENCE_S
        pause_s = 0.0005
        while True:
            if not gate.enter(_PATIENCE_S):
                return self._failed("SQLite is busy")
            try:
                done = do(self._open())
                self._failing = False
                return done
            except (sqlite3.Error, OSError, ForeignDatabaseError) as error:
                if not is_locked(error):
                    self._database.close()
                if not is_locked(error) or time.monotonic() >= deadline:
                    reason = (error.strerror if isinstance(error, OSError) else None) or str(error)
                    return self._failed(reason)
            finally:
                gate.leave()
            # At random, so that no process is always too late.
            time.sleep(random.uniform(0.0002, pause_s))
            pause_s = min(2.0 * pause_s, _LONGEST_PAUSE_S)

    def _open(self) -> sqlite3.Connection:
        connection = self._database.open()
        if connection is not self._is_made_on:
            connection.execute(_CREATE)
            connection.execute(_PRUNE, (time.time() - _KEPT_S,))
            self._is_made_on = connection
        return connection

    def _failed(self, reason: str) -> None:
        if not self._failing:
            self._failing = True
            _logger.warning(
                "%s: the budget cannot be kept there: %s; this process counts for itself",
                clean(self.path),
                clean(reason),
            )

    def before_fork(self) -> None:
        """Close the connection: see `gate`."""
        self._database.close()
        self._is_made_on = None

    def after_fork(self, *, is_safe: bool) -> None:
        """Start anew in the child; what is not saved is the parent's to save."""
        if not is_safe:
            _leaked.append(self._database)
            self._database = Database(self.path)
        self._reset()


_ledgers: weakref.WeakValueDictionary[str, SqliteLedger] = weakref.WeakValueDictionary()
# Never closed, lest the child of a fork wait for locks of its parent.
_leaked: list[Database] = []


def ledger_of(path: str) -> SqliteLedger:
    """The one ledger of this process for a file; nothing is opened yet."""
    full = os.path.abspath(path)
    made = _ledgers.get(full)
    if made is None:
        made = _ledgers[full] = SqliteLedger(full)
    return made
