"""A queue of jobs and a thread that does them one after the other, while there are any."""

from __future__ import annotations

import _thread
import logging
import os
import queue
import threading
import time
import weakref
from functools import partial
from typing import Callable

from opentelemetry import context as otel_context
from opentelemetry.context import Context

__all__ = ["Worker", "is_working", "time_left_s"]

_NEVER = float("inf")
_LINGER_S = 30.0
"""How long a thread waits for the next job before it ends."""

_logger = logging.getLogger("peekr.alert")
_here = threading.local()


def _suppressed() -> Context:
    # What runs here is not the application's work: neither it nor what it sends is traced. The
    # plain key is what suppress_instrumentation() of opentelemetry-instrumentation sets.
    keys = ["suppress_instrumentation"]
    for name in ("_SUPPRESS_INSTRUMENTATION_KEY", "_SUPPRESS_HTTP_INSTRUMENTATION_KEY"):
        key = getattr(otel_context, name, None)
        if isinstance(key, str):
            keys.append(key)
    return Context(dict.fromkeys(keys, True))


_SUPPRESSED = _suppressed()


def is_working() -> bool:
    """Whether this thread is doing a worker's job just now."""
    return getattr(_here, "depth", 0) > 0


def time_left_s() -> float:
    """How long the job that this thread is doing may take; infinite on a worker's own thread."""
    return getattr(_here, "deadline", _NEVER) - time.monotonic()


class Worker:
    """Does jobs off the caller's thread, in their order.

    Handing over a job costs a queue's `put`, takes no lock that anybody holds for long, and may
    happen inside a finalizer. In a fork's child what is queued is forgotten: it is the parent's.
    """

    def __init__(self, max_jobs: int) -> None:
        """Begin; the thread starts with the first job.

        Args:
            max_jobs: How many jobs wait at most.
        """
        self._max_jobs = max_jobs
        self._handed_over = self._done = 0
        self.reset()
        _workers.add(self)

    def reset(self) -> None:
        """Begin anew, with an empty queue and without a thread."""
        self._jobs: queue.SimpleQueue[Callable[[], None]] = queue.SimpleQueue()
        # Whoever takes the ticket does the jobs; pop() is atomic.
        self._tickets: list[None] = [None]
        self._handed_over = self._done

    @property
    def waiting(self) -> int:
        """How many jobs were handed over and are not done, about."""
        return max(0, self._handed_over - self._done)

    def put(self, job: Callable[[], None]) -> bool:
        """Hand over a job; False when too many wait already, and then it is not taken."""
        if self._jobs.qsize() >= self._max_jobs:
            return False
        self._handed_over += 1
        self._jobs.put(partial(self._do, job))
        if self._tickets:
            self._start()
        return True

    def flush(self, timeout_s: float) -> bool:
        """Wait until every job that was handed over before is done; False when time ran out."""
        if is_working():
            return True  # a job that waits for itself
        jobs, tickets = self._jobs, self._tickets
        if tickets and jobs.empty():
            return True
        deadline = time.monotonic() + timeout_s
        reached = threading.Event()
        jobs.put(reached.set)
        if tickets:
            self._start()
        if tickets and _take(tickets):
            # Too late for a thread: the interpreter is ending.
            _here.deadline = deadline
            try:
                self._work(jobs, tickets, deadline, linger_s=0.0)
            finally:
                _here.deadline = _NEVER
        return reached.wait(max(0.0, deadline - time.monotonic()))

    def _do(self, job: Callable[[], None]) -> None:
        try:
            job()
        finally:
            self._done += 1

    def _start(self) -> None:
        jobs, tickets = self._jobs, self._tickets
        if not _take(tickets):
            return  # somebody else is just doing it
        try:
            # Not threading.Thread: its start takes locks that a finalizer must not wait for, and
            # would carry the session that is current here along.
            _thread.start_new_thread(self._run, (jobs, tickets))
        except RuntimeError:
            # Too many threads, or too late for one: the jobs stay for a flush.
            tickets.append(None)

    def _run(self, jobs: queue.SimpleQueue[Callable[[], None]], tickets: list[None]) -> None:
        self._work(jobs, tickets, _NEVER, _LINGER_S)

    def _work(
        self,
        jobs: queue.SimpleQueue[Callable[[], None]],
        tickets: list[None],
        deadline: float,
        linger_s: float,
    ) -> None:
        while True:
            try:
                while time.monotonic() < deadline:
                    _do(jobs.get(timeout=linger_s) if linger_s else jobs.get_nowait())
            except queue.Empty:
                pass
            tickets.append(None)
            # A job may have come between the last look and the ticket's return.
            if jobs.empty() or time.monotonic() >= deadline or not _take(tickets):
                return


def _take(tickets: list[None]) -> bool:
    try:
        tickets.pop()
    except IndexError:
        return False
    return True


def _do(job: Callable[[], None]) -> None:
    token = otel_context.attach(_SUPPRESSED)
    _here.depth = getattr(_here, "depth", 0) + 1
    try:
        job()
    except BaseException:  # what ends a thread must not end this one
        _logger.warning("A fault in Peekr while working on alerts.", exc_info=True)
    finally:
        _here.depth -= 1
        otel_context.detach(token)


def _after_in_child() -> None:
    _here.depth = 0
    for worker in list(_workers):
        worker.reset()


_workers: weakref.WeakSet[Worker] = weakref.WeakSet()
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_in_child)
