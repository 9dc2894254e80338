"""What of a stream has arrived: chunks are kept as they pass and read several at a time."""

from __future__ import annotations

from typing import Any

from peekr import faults
from peekr.instrumentation import Accumulator, Response

__all__ = ["Arriving"]

_BATCH = 64
"""Chunks that wait to be read. Many in a row cost a third of as many one by one, each of which
finds the processor's caches full of the SDK's own work."""


class Arriving:
    """An accumulator that reads its chunks in batches; one thread at a time."""

    __slots__ = ("_accumulator", "_record", "_waiting")

    def __init__(self, accumulator: Accumulator, record: str) -> None:
        """Begin.

        Args:
            accumulator: Reads the chunks.
            record: The record's name, for the report of a fault.
        """
        self._accumulator = accumulator
        self._record = record
        self._waiting: list[Any] = []

    def add(self, chunk: Any) -> None:
        """Take a chunk."""
        waiting = self._waiting
        waiting.append(chunk)
        if len(waiting) >= _BATCH:
            self._read()

    def response(self) -> Response:
        """What has arrived so far."""
        self._read()
        return self._accumulator.response()

    def _read(self) -> None:
        # Whoever ends streams at shutdown may be another thread than the one that takes chunks.
        chunks = self._waiting[:]
        del self._waiting[: len(chunks)]
        add = self._accumulator.add
        for chunk in chunks:
            try:
                add(chunk)
            except Exception:
                faults.report(f"reading a chunk of {self._record}")
