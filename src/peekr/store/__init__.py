"""Where records are kept: one protocol to write, one to read, one room a format."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from peekr.record import SpanRecord

__all__ = ["RecordSink"]


class RecordSink(Protocol):
    """Something that takes records: a file, a database, an HTTP endpoint, a terminal."""

    def write(self, record: SpanRecord) -> None:
        """Take one record; called on the thread that ended the span, so it must be quick.

        Never raises: what cannot be kept is counted, and said once.
        """
        ...

    def flush(self, timeout_s: float = 30.0) -> bool:
        """Wait until all that was written before is kept; False when time ran out."""
        ...

    def close(self, timeout_s: float = 30.0) -> bool:
        """Flush and release files and threads; a second call does nothing."""
        ...
