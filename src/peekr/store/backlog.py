"""Records that wait in memory to be sent, within bounds, and are cut into batches."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Iterator
from typing import Optional

from peekr.store.spool import SpooledBatch

__all__ = ["Backlog", "Batch"]

_MAX_BODY_BYTES = 4 * 1024 * 1024


class Batch:
    """Records on their way, from memory or from the spool.

    Attributes:
        lines: The records, each as JSON.
        bytes: How many bytes they are.
        spooled: Where they stand on disk; None where they came from memory.
        saved: The path of a copy that was put on disk while they were being sent.
    """

    def __init__(self, lines: list[bytes], spooled: Optional[SpooledBatch] = None) -> None:
        self.lines = lines
        self.bytes = sum(map(len, lines))
        self.spooled = spooled
        self.saved: Optional[str] = None


class Backlog:
    """Serialised records in the order in which they came; batches that failed go before them.

    It has no lock of its own: whoever shares it between threads has one.

    Attributes:
        records: How many are in memory, those that are being sent included.
    """

    def __init__(
        self, *, batch_size: int, interval_s: float, max_records: int, max_bytes: int
    ) -> None:
        """Begin with nothing.

        Args:
            batch_size: The most records of one batch.
            interval_s: How long a record waits for others at most, in seconds.
            max_records: The most records that wait.
            max_bytes: The most bytes in them.
        """
        self._batch_size = batch_size
        self._interval_s = interval_s
        self._max_records = max_records
        self._max_bytes = max_bytes
        self._max_body_bytes = _MAX_BODY_BYTES
        self.clear()

    def clear(self) -> None:
        """Hold nothing any more."""
        self.records = 0
        self._bytes = 0
        self._queue: deque[bytes] = deque()
        self._again: deque[Batch] = deque()
        self._oldest = 0.0

    @property
    def has_new(self) -> bool:
        """Whether records wait that are in no batch yet."""
        return bool(self._queue)

    @property
    def has_again(self) -> bool:
        """Whether batches wait that have failed before."""
        return bool(self._again)

    @property
    def due_at(self) -> float:
        """When the oldest of the new records has waited for long enough; on `time.monotonic`."""
        return self._oldest + self._interval_s

    def is_full_for(self, line: bytes) -> bool:
        """Whether there is no room for one more."""
        return self.records >= self._max_records or self._bytes + len(line) > self._max_bytes

    def add(self, line: bytes) -> bool:
        """Take one record; whether whoever waits for records or for a full batch is to be told."""
        if not self._queue:
            self._oldest = time.monotonic()
        self._queue.append(line)
        self.records += 1
        self._bytes += len(line)
        return len(self._queue) in (1, self._batch_size)

    def is_due(self, now: float) -> bool:
        """Whether the new records fill a batch, or have waited for long enough."""
        return bool(self._queue) and (len(self._queue) >= self._batch_size or now >= self.due_at)

    def take(self) -> Batch:
        """The batch to send next, out of the queue; still counted until it is forgotten."""
        return self._again.popleft() if self._again else self.take_new()

    def take_new(self) -> Batch:
        """A batch of new records; those that failed before stay where they are."""
        lines: list[bytes] = []
        size = 0
        while self._queue and len(lines) < self._batch_size:
            if lines and size + len(self._queue[0]) > self._max_body_bytes:
                break
            lines.append(self._queue.popleft())
            size += len(lines[-1])
        # Those that stay are younger; by how much is not known.
        return Batch(lines)

    def take_all(self) -> Iterator[Batch]:
        """Everything, batch by batch."""
        while self._again or self._queue:
            yield self.take()

    def put_back(self, *batches: Batch) -> None:
        """Have batches that were taken sent before everything else, in this order."""
        self._again.extendleft(reversed(batches))

    def forget(self, batch: Batch) -> None:
        """Make room: a batch that was taken is delivered, on disk, or lost."""
        self.records -= len(batch.lines)
        self._bytes -= batch.bytes

    def halves(self, batch: Batch) -> tuple[Batch, Batch]:
        """Two batches of one that was too large; the next ones are not made as large any more."""
        self._max_body_bytes = max(1, min(self._max_body_bytes, batch.bytes // 2))
        middle = len(batch.lines) // 2
        return Batch(batch.lines[:middle]), Batch(batch.lines[middle:])

    def succeeded(self) -> None:
        """What was too large once may fit later: back slowly to where it was."""
        self._max_body_bytes = min(_MAX_BODY_BYTES, self._max_body_bytes * 21 // 20 + 1)
