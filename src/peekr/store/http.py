"""Sends records to an HTTP endpoint: batches, bounds, back-off, and a spool for what is left."""

from __future__ import annotations

import _thread
import atexit
import gzip
import logging
import os
import threading
import time
import weakref
from typing import Callable, Optional

from peekr import forks
from peekr.encoding import dumps
from peekr.http_client import Answer
from peekr.record import SpanRecord
from peekr.store.backlog import Backlog, Batch
from peekr.store.backoff import Backoff
from peekr.store.outage import Outage
from peekr.store.spool import Spool

__all__ = ["HttpSink"]

_SAID_AFTER = 3
"""So many requests in a row fail before it is said: less is the daily life of a network."""
_EXIT_TIMEOUT_S = 5.0
_GZIP_FROM_BYTES = 1024
_UNSUPPORTED_ENCODING = 415
_TOO_LARGE = 413

_logger = logging.getLogger("peekr.store")

Post = Callable[[bytes, "dict[str, str]"], Answer]
"""Sends a body with these headers; never raises."""


class HttpSink:
    """Takes records on any thread, and sends them on one of its own.

    What waits is bounded in records and in bytes. While the endpoint does not answer or asks to
    wait, what waits is tried again after growing pauses; with a spool it goes to disk, and leaves
    room. An endpoint that refuses the key is not asked again. Nothing here raises.

    Attributes:
        sent: How many records the endpoint has taken from this process.
        spool: The spool, None where there is none.
    """

    def __init__(
        self,
        post: Post,
        name: str,
        *,
        batch_size: int = 100,
        flush_interval_s: float = 5.0,
        max_queued: int = 10_000,
        max_queued_bytes: int = 32 * 1024 * 1024,
        spool: Optional[Spool] = None,
        compress: bool = True,
        on_thread: Callable[[], None] = lambda: None,
    ) -> None:
        """Begin; a spool that has something in it is sent from at once.

        Args:
            post: Sends one body.
            name: The endpoint, as it is named in messages.
            batch_size: The most records of one request.
            flush_interval_s: How long a record waits for others at most, in seconds.
            max_queued: The most records that wait in memory.
            max_queued_bytes: The most bytes in them.
            spool: Where batches go that cannot be sent.
            compress: Send bodies in gzip.
            on_thread: Called first on the thread that sends.
        """
        self.sent = 0
        self.spool = spool
        self._post = post
        self._name = name
        self._backlog = Backlog(
            batch_size=batch_size,
            interval_s=flush_interval_s,
            max_records=max_queued,
            max_bytes=max_queued_bytes,
        )
        self._compress = compress
        self._on_thread = on_thread
        self._outage = Outage(name)
        self._closed = False
        self._stopped = False
        self._said: set[str] = set()
        self._reset()
        _instances.add(self)
        forks.join(self)
        if spool is not None:
            if spool.problem:
                self._say("spool", "cannot keep traces in %s: %s", spool.folder, spool.problem)
            if not spool.is_empty:
                self._start()

    def _reset(self) -> None:
        self._changed = threading.Condition(threading.RLock())
        self._backlog.clear()
        self._sending: Optional[Batch] = None
        self._taken = self._settled = self._flush_to = 0
        self._backoff = Backoff()
        self._runs = False
        self._spool_is_next = True

    @property
    def waiting(self) -> int:
        """How many records wait in memory."""
        return self._backlog.records

    @property
    def lost(self) -> int:
        """How many records could not be delivered and are not on disk, in this process."""
        return self._outage.lost

    @property
    def is_stopped(self) -> bool:
        """Whether the endpoint has refused the key."""
        return self._stopped

    @property
    def is_failing(self) -> bool:
        """Whether the latest request failed in a way that may pass."""
        return self._backoff.failures > 0

    def write(self, record: SpanRecord) -> None:
        """Take one record; costs its serialisation, never waits for the network."""
        # The exact copy: what orjson makes keeps a buffer of up to thirteen times its length.
        line = b"%b" % dumps(record.to_dict())
        with self._changed:
            if self._closed or (self._stopped and self.spool is None):
                self._outage.lose(1)
                return
            if self._backlog.is_full_for(line):
                self._outage.begin(f"{self._backlog.records} spans are waiting already", lost=1)
                return
            is_news = self._backlog.add(line)
            self._taken += 1
            if not self._runs:
                self._start()
            elif is_news:
                self._changed.notify_all()

    def flush(self, timeout_s: float = 30.0) -> bool:
        """Wait until all that was written before is delivered, or on disk.

        What is not delivered when time runs out goes to the spool. An endpoint that has been
        failing is tried once more, and not waited for.

        Returns:
            False when time ran out or something was lost.
        """
        deadline = time.monotonic() + timeout_s
        with self._changed:
            lost, target = self._outage.lost, self._taken
            failures = self._backoff.failures
            self._flush_to = max(self._flush_to, target)
            self._backoff.hurry()
            if self._settled < target and not self._runs:
                self._start()
            self._changed.notify_all()
            while self._settled < target:
                left = deadline - time.monotonic()
                if left <= 0 or not self._runs or 0 < failures < self._backoff.failures:
                    break
                if self._backoff.asked_until > deadline:
                    break  # the endpoint wants to be left alone for longer
                self._changed.wait(left)
            if self._settled < target and self.spool is not None:
                self._save(self.spool)
            elif self._settled < target and _exiting:
                self._give_up()
            return self._settled >= target and self._outage.lost == lost

    def close(self, timeout_s: float = 30.0) -> bool:
        """Flush and end; what is left without a spool is counted as lost, and said."""
        deadline = time.monotonic() + timeout_s
        done = self.flush(timeout_s)
        with self._changed:
            if not self._closed:
                self._closed = True
                self._give_up()
            self._changed.notify_all()
            while self._runs and deadline > time.monotonic():
                self._changed.wait(deadline - time.monotonic())
        return done

    def _give_up(self) -> None:
        """Count what waits in memory as lost, and say so."""
        batch = self._sending
        if batch is not None and batch.spooled is None and batch.saved is None:
            self._outage.lose(len(batch.lines))
        for given_up in self._backlog.take_all():
            self._outage.lose(len(given_up.lines))
            self._settled += len(given_up.lines)
            self._backlog.forget(given_up)
        self._outage.summarise()

    def summarise(self) -> None:
        """Say what was lost and not said before."""
        self._outage.summarise()

    def after_fork(self) -> None:
        """In a fork's child: what waits is the parent's, and so is the thread."""
        self._reset()

    # -- on the thread that sends ------------------------------------------------------------------

    def _start(self) -> None:
        try:
            # Not threading.Thread: it would carry the session that is current here along.
            _thread.start_new_thread(self._run, (self._changed,))
            self._runs = True
        except RuntimeError:
            pass  # too late in the life of the interpreter, or too many threads

    def _run(self, changed: threading.Condition) -> None:
        self._on_thread()
        while True:
            with changed:
                if changed is not self._changed:
                    return
                batch = self._next()
                while batch is None:
                    if self._closed:
                        self._runs = False
                        changed.notify_all()
                        return
                    changed.wait(self._pause_s())
                    batch = self._next()
                self._sending = batch
            answer = self._send(batch)
            with changed:
                self._sending = None
                self._settle(batch, answer)
                changed.notify_all()

    def _next(self) -> Optional[Batch]:
        """The batch to send now; moves to the spool what cannot be sent now."""
        now = time.monotonic()
        if self._closed:
            return None
        if self._stopped or now < self._backoff.until:
            while self.spool is not None and self._is_due(now):
                self._shelve(self._backlog.take_new())
                self._changed.notify_all()
            return None
        if self._backlog.has_again:
            return self._backlog.take()
        is_due = self._is_due(now)
        if self.spool is not None and (self._spool_is_next or not is_due):
            found = self.spool.take()
            if found is not None:
                self._spool_is_next = False
                return Batch(found.lines, found)
        self._spool_is_next = True
        return self._backlog.take_new() if is_due else None

    def _is_due(self, now: float) -> bool:
        if self._flush_to > self._settled:
            return self._backlog.has_new
        return self._backlog.is_due(now)

    def _pause_s(self) -> Optional[float]:
        """How long there is nothing to do, None for until something comes."""
        now = time.monotonic()
        until: list[float] = []
        backlog = self._backlog
        if backlog.has_new and (self.spool is not None or not self._stopped):
            until.append(backlog.due_at)
        has_older = backlog.has_again or (self.spool is not None and not self.spool.is_empty)
        if not self._stopped and self._backoff.until > now and (has_older or backlog.has_new):
            blocked = self.spool is None
            until = [self._backoff.until] if blocked else [*until, self._backoff.until]
        return max(0.001, min(until) - now) if until else None

    def _send(self, batch: Batch) -> Answer:
        body = b'{"spans":[' + b",".join(batch.lines) + b"]}"
        if self._compress and len(body) >= _GZIP_FROM_BYTES:
            packed = gzip.compress(body, 6)
            answer = self._post(packed, {"Content-Encoding": "gzip"})
            if answer.status != _UNSUPPORTED_ENCODING:
                return answer
            self._compress = False
        return self._post(body, {})

    def _settle(self, batch: Batch, answer: Answer) -> None:
        if answer.is_success:
            self._backoff.succeeded()
            self._backlog.succeeded()
            self.sent += len(batch.lines)
            self._let_go(batch)
            self._outage.end()
        elif answer.is_refused:
            self._stopped = True
            kept = self.spool is not None and not self.spool.problem
            self._say(
                "refused",
                "%s refuses the API key (%s): nothing more is sent from this process; %s",
                self._name,
                answer.reason,
                f"spans are kept in {self.spool.folder}"
                if self.spool and kept
                else "spans are lost, except for what is stored locally",
            )
            self._keep(batch)
            for waiting in self._backlog.take_all():
                self._keep(waiting)
        elif answer.status == _TOO_LARGE and len(batch.lines) > 1:
            self._split(batch)
        elif answer.is_retryable:
            self._backoff.failed(answer.retry_after_s)
            if self._backoff.failures >= _SAID_AFTER:
                self._outage.begin(answer.reason)
            self._keep(batch)
        else:
            self._reject(batch, answer)

    def _keep(self, batch: Batch) -> None:
        """Put a batch where it waits for the next attempt."""
        if batch.spooled is not None and self.spool is not None:
            self.spool.give_back(batch.spooled)
        elif self.spool is not None:
            self._shelve(batch)
        elif self._stopped:
            self._outage.lose(len(batch.lines))
            self._let_go(batch)
        else:
            self._backlog.put_back(batch)

    def _shelve(self, batch: Batch) -> None:
        """Write a batch of the memory to the spool."""
        assert self.spool is not None
        if batch.saved is None:
            if self.spool.keep(batch.lines) is None:
                reason = f"the spool {self.spool.folder}: {self.spool.problem}"
                self._outage.begin(reason, lost=len(batch.lines))
            self._settled += len(batch.lines)
        self._backlog.forget(batch)

    def _save(self, spool: Spool) -> None:
        """Write all that waits to the spool, what is being sent too: the process may end."""
        for waiting in self._backlog.take_all():
            self._shelve(waiting)
        batch = self._sending
        if batch is not None and batch.spooled is None and batch.saved is None:
            batch.saved = spool.keep(batch.lines)
            if batch.saved is not None:
                self._settled += len(batch.lines)

    def _split(self, batch: Batch) -> None:
        halves = self._backlog.halves(batch)
        if batch.spooled is None or self.spool is None:
            if batch.saved is not None and self.spool is not None:
                self.spool.discard(batch.saved)
                self._settled -= len(batch.lines)
            self._backlog.put_back(*halves)
        elif all(self.spool.keep(half.lines) is not None for half in halves):
            self.spool.done(batch.spooled)
        else:
            self._reject(batch, Answer(_TOO_LARGE, self.spool.problem))

    def _reject(self, batch: Batch, answer: Answer) -> None:
        """Let go of what the endpoint will never take; a spool keeps it for people to look at."""
        count = len(batch.lines)
        path = None if self.spool is None else self.spool.keep(batch.lines, rejected=True)
        self._say(
            f"rejected {answer.status}",
            "%s does not take %s: %s; %s. This is said once for each kind of answer",
            self._name,
            "1 span" if count == 1 else f"{count} spans",
            answer.reason,
            "they are lost" if path is None else f"they are kept in {os.path.dirname(path)}",
        )
        if path is None:
            self._outage.lose(count)
        self._let_go(batch)

    def _let_go(self, batch: Batch) -> None:
        """Count a batch as settled, and take it from the disk if it is there."""
        if self.spool is not None and batch.spooled is not None:
            self.spool.done(batch.spooled)
            return
        if self.spool is not None and batch.saved is not None:
            self.spool.discard(batch.saved)
        else:
            self._settled += len(batch.lines)
        self._backlog.forget(batch)

    def _say(self, kind: str, message: str, *arguments: object) -> None:
        if kind in self._said:
            return
        self._said.add(kind)
        try:
            _logger.warning(message, *arguments)
        except Exception:
            pass  # a broken handler of the application must not matter


def _at_exit() -> None:
    """Give what waits a last chance; what has had its chance already is counted, and said."""
    global _exiting
    _exiting = True
    for sink in list(_instances):
        sink.flush(0.0 if sink.is_failing else _EXIT_TIMEOUT_S)
        sink.summarise()


_exiting = False
_instances: weakref.WeakSet[HttpSink] = weakref.WeakSet()
atexit.register(_at_exit)
