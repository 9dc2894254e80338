"""SIGTERM: what is still on its way to its store gets there before the process dies of it."""

from __future__ import annotations

import os
import signal
import threading
from types import FrameType
from typing import Callable, Optional

__all__ = ["TerminationGuard"]


class TerminationGuard:
    """Runs one function when SIGTERM is about to end the process, then lets it end the process.

    Only where the application has no handler of its own: SIGTERM's default action runs no exit
    handlers, so what waits in a buffer would be lost. A handler that the application sets, before
    or later, takes the signal and this one never runs.
    """

    def __init__(self) -> None:
        self._before: Optional[Callable[[], None]] = None
        self._installed = False

    def guard(self, before: Optional[Callable[[], None]]) -> None:
        """Run `before` ahead of a fatal SIGTERM; None gives the signal back.

        Works from the main thread only, as `signal.signal` does; elsewhere it does nothing.
        """
        self._before = before
        if threading.current_thread() is not threading.main_thread():
            return
        try:
            if before is not None and signal.getsignal(signal.SIGTERM) is signal.SIG_DFL:
                signal.signal(signal.SIGTERM, self._handle)
                self._installed = True
            elif before is None and self._installed:
                if signal.getsignal(signal.SIGTERM) == self._handle:
                    signal.signal(signal.SIGTERM, signal.SIG_DFL)
                self._installed = False
        except (ValueError, OSError):
            pass  # a sub-interpreter, or a platform without the signal

    def _handle(self, number: int, frame: Optional[FrameType]) -> None:
        del frame
        try:
            if self._before is not None:
                self._before()
        finally:
            signal.signal(number, signal.SIG_DFL)
            os.kill(os.getpid(), number)
