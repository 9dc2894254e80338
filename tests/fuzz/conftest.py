"""Makes Hypothesis's profile `fuzz` known before it is asked for on the command line."""

from __future__ import annotations

from . import profiles

__all__ = ["profiles"]
