"""Forks: what holds threads, locks or records of a process begins anew in a child of it."""

from __future__ import annotations

import os
import weakref
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from typing import Protocol

    class Participant(Protocol):
        """Something that begins anew; compared by identity, and weakly referable."""

        def after_fork(self) -> None:
            """Begin anew; runs in the child, on its only thread, before the fork returns there."""
            ...


__all__ = ["join"]


def join(participant: Participant) -> None:
    """Have a participant told in each child that it is in a child now, as long as it lives.

    Safe from any thread. No order is promised: a participant sees to itself alone.
    """
    _participants.add(participant)


def _after_in_child() -> None:
    for participant in list(_participants):
        participant.after_fork()


_participants: weakref.WeakSet[Participant] = weakref.WeakSet()
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_in_child)
