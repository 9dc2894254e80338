"""What a sink says when records cannot be kept: once at the start, once at the end."""

from __future__ import annotations

import logging
import threading
import time
import weakref

from peekr import forks

__all__ = ["Outage", "outages", "summarise"]

_logger = logging.getLogger("peekr.store")

_QUIET_S = 10.0
"""An outage that follows a reported one within this time, for the same reason, is not reported
by a line of its own: a disk at its limit lets some records through and refuses others."""


class Outage:
    """Counts the records that a sink could not keep and reports through the logger `peekr.store`.

    Every method may be called from any thread, from finalizers and from signal handlers. The lock
    is re-entrant, is taken only when something is wrong or has just become right again, and is
    made anew in a fork's child.

    Attributes:
        what: What is written, as it is named in messages.
        active: Whether the latest attempt to keep a record failed.
        lost: How many records could not be kept since the sink was made (in this process).
    """

    def __init__(self, what: str) -> None:
        """Begin without a loss.

        Args:
            what: What is written, as it is named in messages: `traces.jsonl`.
        """
        self.active = False
        self.lost = 0
        self._what = self.what = what
        self._lock = threading.RLock()
        self._unsaid = 0
        self._said = False
        self._said_reason = ""
        self._said_at = -_QUIET_S
        _instances.add(self)
        forks.join(self)

    def begin(self, reason: str, *, lost: int = 0) -> None:
        """Note that records cannot be kept now, and how many were lost by that.

        Args:
            reason: Why, in a few words; reported once an outage.
            lost: How many records are lost for good.
        """
        with self._lock:
            self.lost += lost
            self._unsaid += lost
            if self.active:
                return
            self.active = True
            now = time.monotonic()
            self._said = reason != self._said_reason or now - self._said_at >= _QUIET_S
            if not self._said:
                return
            self._said_reason, self._said_at = reason, now
        _warn("cannot write traces to %s: %s; the application goes on", self._what, reason)

    def lose(self, count: int) -> None:
        """Count records as lost within the present outage, or without one; says nothing."""
        with self._lock:
            self.lost += count
            self._unsaid += count

    def end(self) -> None:
        """Note that records are kept again; cheap where there was no outage."""
        if not self.active:
            return
        with self._lock:
            if not self.active:
                return
            self.active = False
            if not self._said:
                return
            lost, self._unsaid = self._unsaid, 0
        _warn("writing traces to %s again; %s", self._what, _were_lost(lost))

    def summarise(self) -> None:
        """Say at the end of a sink's life what was lost and not said before."""
        with self._lock:
            lost, self._unsaid = self._unsaid, 0
        if lost:
            _warn("traces in %s: %s", self._what, _were_lost(lost))

    def after_fork(self) -> None:
        """Start anew in a fork's child: what the parent lost is the parent's to report."""
        self._lock = threading.RLock()
        self.lost = self._unsaid = 0


def outages() -> list[tuple[str, int, bool]]:
    """Of each sink of this process: what it writes, how many records it lost, whether it fails now.

    Sinks without a loss are in it too.
    """
    return [(outage.what, outage.lost, outage.active) for outage in list(_instances)]


def summarise() -> None:
    """Say of each sink of this process what was lost and not said before: the process ends."""
    for outage in list(_instances):
        outage.summarise()


def _were_lost(count: int) -> str:
    return "1 record was lost" if count == 1 else f"{count or 'no'} records were lost"


def _warn(message: str, *arguments: object) -> None:
    try:
        _logger.warning(message, *arguments)
    except Exception:
        pass


_instances: weakref.WeakSet[Outage] = weakref.WeakSet()
