"""Chunks of a stream that are held back until what they say has been looked at."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from typing import Any, Callable, NamedTuple, Optional

from peekr.guard.base import Finding
from peekr.guard.texts import Channel, channels
from peekr.instrumentation.contract import Accumulator

__all__ = ["Hold", "Look", "Sighting"]

_CELL_CHARS = 64
"""A text is looked at cell by cell: a fixed grid, so that it does not matter how it was cut up."""

_CONTEXT_CHARS = 256
"""What stands before a cell is shown with it, for what is judged by its surroundings."""

_LOOKS = 64
_MAX_STEP = 16


class Sighting(NamedTuple):
    """What a guardrail found in a piece of text.

    Attributes:
        guardrail: The guardrail.
        finding: The finding, by its place in the piece.
        text: The piece.
    """

    guardrail: Any
    finding: Finding
    text: str


Look = Callable[[str], Iterable[Sighting]]
"""Gives what is found in a text."""


class Hold:
    """Takes chunks, and gives those back that may be handed on; one thread at a time.

    In a window, what a chunk adds to any of the answer's texts is looked at together with the
    `window_chars` characters that follow it, and with what stands before it; until then the chunk
    is held, and all chunks after it. What is last in an answer is held until `release`. The
    arguments of a tool call are JSON text, in which a text may be written in many ways, so they are
    held until they can be read.

    Attributes:
        ready: Chunks that may be handed on, in their order.
        found: What was found; nothing is handed on any more.
        is_over: The last chunk has come.
        error: What is to be raised after the last chunk.
    """

    def __init__(
        self, accumulator: Accumulator, look: Optional[Look] = None, window_chars: int = 0
    ) -> None:
        """Begin.

        Args:
            accumulator: Says what has arrived; it is given each chunk before `add`.
            look: Looks at a piece of text; None holds all chunks back until `release`.
            window_chars: The window's length, in characters.
        """
        self.ready: deque[Any] = deque()
        self.found: list[Sighting] = []
        self.is_over = False
        self.error: Optional[BaseException] = None
        self._accumulator = accumulator
        self._look = look
        self._window = max(1, window_chars)
        self._held: deque[Any] = deque()
        # How many of the held chunks had come at a look, and how long the texts were then.
        self._groups: deque[tuple[int, dict[Any, int]]] = deque()
        self._grouped = 0
        self._texts: dict[Any, _Text] = {}
        self._chunks = 0
        self._unseen = 0

    def add(self, chunk: Any) -> None:
        """Take a chunk."""
        self._held.append(chunk)
        if self._look is None or self.found:
            return
        self._chunks += 1
        self._unseen += 1
        # Reading what has arrived costs as much as has arrived: in a long answer, not each time.
        if self._unseen >= min(_MAX_STEP, max(1, self._chunks // _LOOKS)):
            self._unseen = 0
            self._see(self._look)

    def release(self) -> None:
        """Let all chunks go: the whole has been looked at."""
        self.ready.extend(self._held)
        self._held.clear()

    def drop(self) -> None:
        """Forget all chunks that have not been handed on."""
        self.ready.clear()
        self._held.clear()
        self._groups.clear()

    def _see(self, look: Look) -> None:
        lengths: dict[Any, int] = {}
        for channel in channels(self._accumulator.response().output or ()):
            lengths[channel.key] = len(channel.text)
            text = self._texts.get(channel.key)
            if text is None or not channel.text.startswith(text.text):
                text = self._texts[channel.key] = _Text()
            self.found = text.see(channel, look, self._window)
            if self.found:
                self.drop()
                return
        self._groups.append((len(self._held) - self._grouped, lengths))
        self._grouped = len(self._held)
        self._let_go(lengths)

    def _let_go(self, now: dict[Any, int]) -> None:
        groups = self._groups
        while groups:
            count, lengths = groups[0]
            if not lengths.keys() <= now.keys():
                # A text has become another one, such as arguments that can be read now: what came
                # with it goes with what came next.
                groups.popleft()
                following, lengths = groups.popleft() if groups else (0, now)
                groups.appendleft((count + following, lengths))
                continue
            if any(self._texts[key].clean < length for key, length in lengths.items()):
                return
            groups.popleft()
            self._grouped -= count
            for _ in range(count):
                self.ready.append(self._held.popleft())


class _Text:
    """How far one text has been looked at.

    Attributes:
        text: What had arrived of it.
        clean: So many characters may be handed on.
    """

    __slots__ = ("_at", "_closed_at", "clean", "text")

    def __init__(self) -> None:
        self.text = ""
        self.clean = 0
        self._at = 0
        self._closed_at = 0

    def see(self, channel: Channel, look: Look, window: int) -> list[Sighting]:
        """Look at what is new; gives the findings of the first cell that has any."""
        text = self.text = channel.text
        if channel.is_unreadable:
            return []
        while len(text) >= self._at + _CELL_CHARS + window:
            end = self._at + _CELL_CHARS
            found = self._found(look, end + window, end, self._at + window)
            if found:
                return found
            self._at = end
            self.clean = max(self.clean, end)
        if channel.is_closed and self._closed_at < len(text):
            found = self._found(look, len(text), len(text), self._at + window)
            if found:
                return found
            self._closed_at = self.clean = len(text)
        return []

    def _found(self, look: Look, end: int, before: int, seen: int) -> list[Sighting]:
        """What begins in a cell, or ends beyond what was seen until now, or spans all."""
        start = max(0, self._at - _CONTEXT_CHARS)
        piece = self.text[start:end]
        counted: list[Sighting] = []
        for sighting in look(piece):
            finding = sighting.finding
            begins, ends = start + finding.start, start + finding.end
            is_new = begins < before and (begins >= self._at or ends > seen)
            if is_new or (finding.start == 0 and finding.end >= len(piece)):
                counted.append(sighting)
        return counted
