"""Recorded model calls once more: their answers served without a network, or asked for again."""

from __future__ import annotations

from typing import TYPE_CHECKING

from peekr.late import public_names

if TYPE_CHECKING:
    from peekr.errors import ReplayError, ReplayMismatchError
    from peekr.replaying.serving import Offline, offline
    from peekr.replaying.taken import TakenTrace

__all__ = ["Offline", "ReplayError", "ReplayMismatchError", "TakenTrace", "offline"]

# Loaded where they are asked for: reading a trace needs no OpenTelemetry.
_HOMES = {
    "Offline": "peekr.replaying.serving",
    "ReplayError": "peekr.errors",
    "ReplayMismatchError": "peekr.errors",
    "TakenTrace": "peekr.replaying.taken",
    "offline": "peekr.replaying.serving",
}

__getattr__, __dir__ = public_names(globals(), _HOMES)
