"""Recorded model calls once more: their answers served without a network, or asked for again."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from peekr.errors import ReplayError, ReplayMismatchError
    from peekr.replaying.serving import Offline, offline
    from peekr.replaying.taken import TakenTrace

__all__ = ["Offline", "ReplayError", "ReplayMismatchError", "TakenTrace", "offline"]

_HOMES = {
    "Offline": "peekr.replaying.serving",
    "ReplayError": "peekr.errors",
    "ReplayMismatchError": "peekr.errors",
    "TakenTrace": "peekr.replaying.taken",
    "offline": "peekr.replaying.serving",
}


def __getattr__(name: str) -> Any:
    home = _HOMES.get(name)
    if home is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    # Loaded where it is asked for: reading a trace needs no OpenTelemetry.
    value = globals()[name] = getattr(importlib.import_module(home), name)
    return value
