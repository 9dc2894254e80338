"""Stored spans sent to where they were to go: each once, from where the last attempt stopped."""

from __future__ import annotations

import time
from contextlib import closing
from dataclasses import dataclass
from typing import Callable, Optional

from peekr.errors import PeekrError
from peekr.http_client import Answer
from peekr.record import SpanRecord
from peekr.shipping.destinations import Destination
from peekr.shipping.ledger import Ledger
from peekr.store.backoff import Backoff
from peekr.store.opening import open_reader

__all__ = ["Report", "count", "ship"]

_TOO_LARGE = 413
_MAX_BATCH_CHARS = 2_000_000
_SLICE_S = 0.2


@dataclass
class Report:
    """What became of a file's spans.

    Attributes:
        sent: Spans that the destination has taken now.
        before: Spans that it had taken already.
        rejected: Spans that it will not take.
        reason: Why it will not take the first of those.
        problems: What in the file could not be read, as one line.
    """

    sent: int = 0
    before: int = 0
    rejected: int = 0
    reason: str = ""
    problems: str = ""

    @property
    def done(self) -> int:
        """Spans that need no further attempt now."""
        return self.sent + self.before + self.rejected


def ship(
    path: str,
    destination: Destination,
    ledger: Ledger,
    *,
    batch_size: int = 200,
    retry_for_s: float = 60.0,
    on_progress: Callable[[Report], None] = lambda report: None,
    on_failure: Callable[[str], None] = lambda reason: None,
    should_stop: Callable[[], bool] = lambda: False,
) -> Report:
    """Send every span of a file that the ledger does not have, and note it there.

    A span is noted after the destination has taken it, so that no end of the process, `kill -9`
    included, loses one; the batch that is on its way at that moment may be sent again.

    Args:
        path: A JSONL or SQLite file, told apart by its content.
        destination: Where to.
        ledger: What was sent there before.
        batch_size: The most spans of one request.
        retry_for_s: How long to try again without success before giving up, in seconds.
        on_progress: Called after each batch.
        on_failure: Called with the reason before a batch is tried again.
        should_stop: Asked before each batch.

    Raises:
        UnreadableFileError: the file is missing or nothing in it can be read.
        PeekrError: the destination did not take spans; those before it are noted.
    """
    report = Report()
    run = _Run(destination, ledger, report, retry_for_s, on_failure, should_stop)
    with closing(open_reader(path)) as reader:
        batch: list[SpanRecord] = []
        chars = 0
        seen: set[tuple[str, str]] = set()
        for record in reader.records():
            if should_stop():
                break
            identity = (record.trace_id, record.span_id)
            if identity in seen:
                continue
            if record in ledger:
                report.before += 1
                continue
            size = _chars(record)
            if batch and (len(batch) >= batch_size or chars + size > _MAX_BATCH_CHARS):
                run.deliver(batch)
                on_progress(report)
                batch, chars = [], 0
                seen.clear()  # those are in the ledger
            batch.append(record)
            seen.add(identity)
            chars += size
        if batch and not should_stop():
            run.deliver(batch)
        report.problems = reader.problems.describe()
    on_progress(report)
    return report


def count(path: str) -> Optional[int]:
    """About how many spans a file has, found quickly; None where that is not known."""
    try:
        with open(path, "rb") as file:
            if not file.read(16).startswith(b"SQLite format 3"):
                file.seek(0)
                return sum(block.count(b"\n") for block in iter(lambda: file.read(1 << 20), b""))
        import sqlite3

        from peekr.store.sqlite.readonly import DAMAGE, connect

        try:
            connection, copy = connect(path)
            try:
                with closing(connection):
                    return int(connection.execute("SELECT COUNT(*) FROM spans").fetchone()[0])
            finally:
                if copy is not None:
                    copy.cleanup()
        except (*DAMAGE, sqlite3.Error):
            return None
    except OSError:
        return None


class _Run:
    """One attempt to send a file."""

    def __init__(
        self,
        destination: Destination,
        ledger: Ledger,
        report: Report,
        retry_for_s: float,
        on_failure: Callable[[str], None],
        should_stop: Callable[[], bool],
    ) -> None:
        self._destination = destination
        self._ledger = ledger
        self._report = report
        self._retry_for_s = retry_for_s
        self._on_failure = on_failure
        self._should_stop = should_stop
        self._backoff = Backoff()

    def deliver(self, batch: list[SpanRecord]) -> None:
        """Send a batch, in parts where it is too large or not all of it is taken.

        Raises:
            PeekrError: it was not taken, and others would not be either.
        """
        answer = self._send(batch)
        if answer is None:
            return
        if answer.is_success:
            rejected, reason = self._destination.rejected(answer)
            self._reject(min(rejected, len(batch)), reason)
            self._report.sent += len(batch) - min(rejected, len(batch))
            self._ledger.add(batch)
            return
        # Where nothing has been taken yet, it is not the span but the destination or the request.
        is_known_to_take = self._report.sent > 0
        if answer.status == _TOO_LARGE or (is_known_to_take and not answer.is_refused):
            if len(batch) > 1:
                middle = len(batch) // 2
                self.deliver(batch[:middle])
                self.deliver(batch[middle:])
                return
            self._reject(1, answer.reason)
            return
        raise PeekrError(f"{self._destination.name} does not take spans: {answer.reason}")

    def _reject(self, number: int, reason: str) -> None:
        if number and not self._report.rejected:
            self._report.reason = reason
        self._report.rejected += number

    def _send(self, batch: list[SpanRecord]) -> Optional[Answer]:
        """The answer to a batch, after retries; None when it was not sent because of a stop.

        Raises:
            PeekrError: nobody answers.
        """
        deadline = time.monotonic() + self._retry_for_s
        while True:
            answer = self._destination.send(batch)
            if not answer.is_retryable:
                self._backoff.succeeded()
                return answer
            self._backoff.failed(answer.retry_after_s)
            if self._backoff.until > deadline:
                raise PeekrError(
                    f"{self._destination.name}: {answer.reason}; run it again to go on"
                )
            self._on_failure(answer.reason)
            while time.monotonic() < self._backoff.until:
                if self._should_stop():
                    return None
                time.sleep(min(_SLICE_S, max(0.0, self._backoff.until - time.monotonic())))


def _chars(record: SpanRecord) -> int:
    total = 500
    for value in record.attributes.values():
        total += len(value) if isinstance(value, str) else 0
        if isinstance(value, (list, dict)):
            total += len(str(value))  # pyright: ignore[reportUnknownArgumentType]
    return total
