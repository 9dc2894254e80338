"""When to try again."""

from __future__ import annotations

import random
import time
from typing import Optional

__all__ = ["Backoff"]

FIRST_S = 1.0
MAX_S = 60.0
MAX_ASKED_S = 3600.0
"""The longest pause that a server may ask for."""


class Backoff:
    """Pauses that double with each failure, with jitter, or are as long as the server asks.

    Attributes:
        failures: How many attempts have failed since one succeeded.
        until: Not to try again before; on the clock of `time.monotonic`, in seconds.
        asked_until: The same, as far as the server has asked for it.
    """

    def __init__(self) -> None:
        self.failures = 0
        self.until = self.asked_until = 0.0

    def succeeded(self) -> None:
        """Begin anew."""
        self.failures = 0
        self.until = self.asked_until = 0.0

    def failed(self, asked_s: Optional[float] = None) -> None:
        """Pause.

        Args:
            asked_s: For how long the server asks to be left alone, in seconds.
        """
        pause_s = min(MAX_S, FIRST_S * 2.0 ** min(self.failures, 16))
        self.failures += 1
        now = time.monotonic()
        asked_s = min(asked_s or 0.0, MAX_ASKED_S)
        self.asked_until = now + asked_s
        # Jitter, so that the processes of a fleet do not come back all at once.
        self.until = now + max(asked_s, pause_s * random.uniform(0.5, 1.0))

    def hurry(self) -> None:
        """Cut a pause short, unless the server has asked for it."""
        self.until = min(self.until, max(self.asked_until, time.monotonic()))
