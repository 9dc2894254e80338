"""Forks at the worst moment: while a thread that the child does not have holds a lock."""

from __future__ import annotations

import os
import signal
import threading
from contextlib import AbstractContextManager
from typing import Any, Callable

import pytest

__all__ = ["needs_fork", "said_in_child"]

_DEADLINE_S = 30


def needs_fork(test: Any) -> Any:
    """Skip a test where there is no fork; a fork beside threads is what it is about."""
    test = pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")(test)
    return pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork here")(test)


def said_in_child(lock: AbstractContextManager[Any], say: Callable[[], str]) -> str:
    """What a function says in a child that is forked while another thread holds a lock.

    It says nothing where it raises, or waits for a lock that nobody gives back.
    """
    held, release = threading.Event(), threading.Event()

    def hold() -> None:
        with lock:
            held.set()
            release.wait(_DEADLINE_S)

    thread = threading.Thread(target=hold)
    thread.start()
    assert held.wait(_DEADLINE_S)
    reading, writing = os.pipe()
    child = os.fork()
    if not child:
        try:
            signal.alarm(_DEADLINE_S)
            os.write(writing, say().encode())
        finally:
            os._exit(0)
    os.close(writing)
    with os.fdopen(reading) as said:
        answer = said.read()
    os.waitpid(child, 0)
    release.set()
    thread.join()
    return answer
