"""Where finished spans go besides what `instrument()` was asked for: what is added to it later."""

from __future__ import annotations

from typing import Callable, Optional

from opentelemetry.sdk.trace import SpanProcessor

__all__ = ["add", "added", "changed", "follow"]

_added: tuple[SpanProcessor, ...] = ()
_follow: Optional[Callable[[], None]] = None


def added() -> tuple[SpanProcessor, ...]:
    """The processors that take finished spans, in the order in which they came."""
    return _added


def add(processor: SpanProcessor) -> None:
    """Give a processor every span that finishes while Peekr is installed."""
    global _added
    if processor not in _added:
        _added = (*_added, processor)
        changed()


def changed() -> None:
    """Tell the installation that what is added has changed, or has become empty or full."""
    if _follow is not None:
        _follow()


def follow(callback: Callable[[], None]) -> None:
    """Have a function called at each change."""
    global _follow
    _follow = callback
