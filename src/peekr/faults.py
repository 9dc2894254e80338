"""Faults of Peekr's own: contained, said once, never in the way of the application.

Telemetry must not break what it watches, so code that runs inside a user's call reports here
instead of raising. With `PEEKR_RAISE_FAULTS=1`, which Peekr's own tests set, a fault is raised
instead: a contained defect must not pass for a correct result there.
"""

from __future__ import annotations

import logging
import os

__all__ = ["report", "reset"]

_logger = logging.getLogger("peekr")
_said: set[str] = set()


def report(where: str) -> None:
    """Log the exception that is being handled, with its traceback, once for each `where`.

    Call it inside an `except` block. Safe from any thread, also inside a finalizer.

    Args:
        where: What was being done, as it should read in the log: `reading an OpenAI response`.
    """
    if os.environ.get("PEEKR_RAISE_FAULTS") == "1":
        raise
    if where in _said:
        return
    _said.add(where)
    _logger.warning(
        "A fault in Peekr while %s; the application is not affected. "
        "Further faults of this kind are not logged.",
        where,
        exc_info=True,
    )


def reset() -> None:
    """Forget what was said, so that it is said again; for tests and for a new configuration."""
    _said.clear()
