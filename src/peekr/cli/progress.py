"""A progress bar for long work: on stderr, and only where that is a terminal."""

from __future__ import annotations

import sys
import time
from collections.abc import Generator, Iterable, Iterator
from contextlib import contextmanager
from typing import Callable, Optional, TypeVar

__all__ = ["counted", "progress"]

T = TypeVar("T")

_SHOWN_AFTER_S = 0.5
"""Work that is done sooner needs no bar, and rich takes time to load."""


@contextmanager
def progress(
    doing: str, total: Optional[float], *, shown: bool = True, at_once: bool = False
) -> Generator[Callable[[float], None], None, None]:
    """Show how far work has come.

    Args:
        doing: What is being done, `Reading`.
        total: How much there is, in whatever unit; None where nobody knows.
        shown: False shows none whatever the terminal is.
        at_once: Show the bar from the start rather than after half a second.

    Yields:
        A function that is called with how much has been done in addition.
    """
    if not shown or not sys.stderr.isatty():
        yield lambda done: None
        return
    bar = _Bar(doing, total)
    if at_once:
        bar.show()
    try:
        yield bar.advance
    finally:
        bar.close()


def counted(things: Iterable[T], doing: str, total: Optional[int]) -> Iterator[T]:
    """Pass things on and show how many have been passed on.

    Args:
        things: What to pass on.
        doing: What is being done.
        total: How many there are, None where nobody knows.
    """
    with progress(doing, total) as advance:
        for thing in things:
            yield thing
            advance(1)


class _Bar:
    """A bar of rich's, made when it turns out to be needed."""

    def __init__(self, doing: str, total: Optional[float]) -> None:
        self._doing = doing
        self._total = total
        self._begun = time.monotonic()
        self._done = 0.0
        self._unsaid = 0.0
        self._said_at = self._begun
        self._shown: Optional[tuple[Callable[[float], None], Callable[[], None]]] = None

    def advance(self, done: float) -> None:
        """Count; cheap, for it runs once a record."""
        self._unsaid += done
        now = time.monotonic()
        if now - self._said_at < 0.1:
            return
        self._said_at = now
        if self._shown is None:
            if now - self._begun < _SHOWN_AFTER_S:
                return
            self.show()
        if self._shown is not None:
            self._shown[0](self._unsaid)
            self._unsaid = 0.0

    def show(self) -> None:
        from rich.console import Console
        from rich.progress import (
            BarColumn,
            Progress,
            TaskProgressColumn,
            TextColumn,
            TimeRemainingColumn,
        )

        columns = (
            TextColumn("{task.description}"),
            BarColumn(),
            TaskProgressColumn(),
            TimeRemainingColumn(),
        )
        bar = Progress(*columns, console=Console(stderr=True), transient=True)
        task = bar.add_task(self._doing, total=self._total)
        bar.start()
        self._shown = (lambda done: bar.advance(task, done), bar.stop)

    def close(self) -> None:
        if self._shown is not None:
            self._shown[0](self._unsaid)
            self._shown[1]()
