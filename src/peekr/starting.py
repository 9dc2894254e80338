"""What spans are given when they start, besides their scope, by parts that are seldom in use."""

from __future__ import annotations

from typing import Callable, Optional

from opentelemetry.context import Context
from opentelemetry.sdk.trace import Span

__all__ = ["Starter", "add", "starters"]

Starter = Callable[[Span, Optional[Context]], None]
"""Is given a span that starts and the context that it starts in; must be cheap and not raise."""

starters: list[Starter] = []
"""Called for each span that starts while Peekr is installed; empty until a part is in use."""


def add(starter: Starter) -> None:
    """Have a function called from now on; adding it again does nothing."""
    if starter not in starters:
        starters.append(starter)
