"""The gate to SQLite: one thread of the process at a time, and none during a fork.

A fork while another thread is inside SQLite would leave the child with SQLite's own locks held by
nobody. And a connection must not cross a fork at all: the child would believe to hold file locks
that it does not have, and its parent, ending, would delete the log that the child writes to. So a
fork waits for its turn here and closes the connections first; both sides open new ones.
"""

from __future__ import annotations

import os
import threading
import weakref
from typing import Protocol

__all__ = ["Participant", "enter", "join", "leave"]

_FORK_S = 5.0
"""How long a fork waits for a statement to end; one is never that long on a disk that answers."""


class Participant(Protocol):
    """Whoever keeps a connection."""

    def before_fork(self) -> None:
        """Close the connection; runs inside the gate."""
        ...

    def after_fork(self, *, is_safe: bool) -> None:
        """Start anew in the child.

        Args:
            is_safe: Whether `before_fork` was called; otherwise what is left of the connection
                must neither be used nor closed.
        """
        ...


# Re-entrant, as a signal handler may come in between.
_lock = threading.RLock()
_participants: weakref.WeakSet[Participant] = weakref.WeakSet()
_is_held_for_fork = False


def enter(timeout_s: float) -> bool:
    """Enter, waiting so long at most; every success is followed by `leave`."""
    return _lock.acquire(timeout=timeout_s)


def leave() -> None:
    """Leave what was entered."""
    try:
        _lock.release()
    except RuntimeError:
        pass  # entered before a fork that came in between, in its child


def join(participant: Participant) -> None:
    """Have a participant told of forks, as long as it lives."""
    with _lock:
        _participants.add(participant)


def _before_fork() -> None:
    global _is_held_for_fork
    held = _lock.acquire(timeout=_FORK_S)
    _is_held_for_fork = held
    if held:
        for participant in list(_participants):
            participant.before_fork()


def _after_fork_in_parent() -> None:
    if _is_held_for_fork:
        _lock.release()


def _after_fork_in_child() -> None:
    global _lock
    _lock = threading.RLock()
    for participant in list(_participants):
        participant.after_fork(is_safe=_is_held_for_fork)


if hasattr(os, "register_at_fork"):
    os.register_at_fork(
        before=_before_fork,
        after_in_parent=_after_fork_in_parent,
        after_in_child=_after_fork_in_child,
    )
