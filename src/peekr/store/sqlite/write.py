"""Writes records to a SQLite database on a thread of its own, many records a commit."""

from __future__ import annotations

import _thread
import math
import os
import queue
import random
import sqlite3
import sys
import threading
import time
from typing import Any, Optional, Union

from peekr.encoding import dumps
from peekr.record import SpanRecord
from peekr.store.outage import Outage
from peekr.store.sqlite import gate
from peekr.store.sqlite.database import (
    MAX_ROWS,
    Database,
    Row,
    is_hopeless,
    is_locked,
    is_row_fault,
)
from peekr.store.sqlite.schema import COLUMNS

__all__ = ["SqliteSink"]

_LINGER_S = 0.002
"""How long the first record of a batch waits for company; the most that a `kill -9` costs is
this, a switch of the interpreter's threads (5 ms) and the commit."""

_LINGER_IN_OUTAGE_S = 0.1

_LAG_S = 0.003
_YIELD_S = 0.00005
"""A thread that computes, and calls the system for a moment now and then, keeps the interpreter
to itself: each such moment starts the 5 ms anew after which another thread may have it. So a
caller that finds records waiting for 3 ms sleeps for the time that the writer takes to wake."""

_BATCH_BYTES = 1024 * 1024
_MAX_RECORDS = 10_000
_MAX_BYTES = 32 * 1024 * 1024
_RECORD_BYTES = 500
"""What a record takes beside its attributes, about."""

_ROOM_S = 5.0
"""How long a caller waits for room in a full queue while the writer gets on."""

_STUCK_S = 1.0
"""A writer that has not got on for this long is not waited for."""

_GRACE_S = 1.0
"""How long a batch is tried again after a fault of the file, before it counts as lost."""

_LOCKED_S = 30.0
"""The same while another program holds the database; heavy traffic must not lose a row."""

_HURRY_S = 1.0
"""How much longer `close` takes than it was given, to let the writer count what is lost."""

_GATE_S = 5.0
"""How long a statement waits for those of other threads, and for a fork."""

_SLICE_S = 0.05
_FIRST_PAUSE_S = 0.0005
_LONGEST_PAUSE_S = 0.02


class _Mark:
    """A place in the queue: the event is set when all that is before it has been dealt with."""

    def __init__(self, *, stop: bool = False) -> None:
        self.event = threading.Event()
        self.stop = stop


_Entry = tuple[Any, ...]
"""A row whose attributes are bytes yet: a text that holds an emoji would take four times that."""
_ATTRIBUTES = COLUMNS.index("attributes")


class SqliteSink:
    """Takes records into a bounded queue and stores them from a daemon thread.

    `write()` serialises the attributes and puts the record into a queue that finalizers and signal
    handlers may use as well; a record is committed within 10 ms. Several processes may write to
    one database: the writer waits for its turn as long as need be. When the queue is full the
    caller waits, unless the writer does not get on: then the record is counted as lost.

    A fork's child starts with an empty queue and a connection of its own. After `close()`, and
    when the interpreter is too far gone for threads, records are stored before `write()` returns.

    Attributes:
        path: The database file, as an absolute path.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        """Open the database, or say in one line why that is impossible; never raises for the file.

        Args:
            path: The file; made where it is missing, together with its directories.
        """
        self.path: str = os.path.abspath(os.fsdecode(path))
        self._outage = Outage(os.fsdecode(path))
        self._database = Database(self.path)
        self._reset()
        gate.join(self)
        self._try_open()

    def _reset(self) -> None:
        self._queue: queue.SimpleQueue[Union[_Entry, _Mark]] = queue.SimpleQueue()
        # Whoever takes the ticket starts the writer; a list because `pop` is atomic and waits for
        # nobody, so a signal handler may come in between.
        self._tickets: list[None] = [None]
        self._alive = False
        self._writer = 0
        self._bytes_in = 0
        self._bytes_out = 0
        self._waiting_since = 0.0
        self._stuck = False
        self._hurry = False
        self._closed = False

    @property
    def lost(self) -> int:
        """How many records could not be kept, in this process."""
        return self._outage.lost

    @property
    def waiting_bytes(self) -> int:
        """What the records that wait take in memory, about."""
        return self._bytes_in - self._bytes_out

    def write(self, record: SpanRecord) -> None:
        """Take one record; it is in the database within 10 ms.

        Runs on the caller's thread and waits only where the queue is full, for 5 s at most.
        """
        # The exact copy: what orjson makes keeps a buffer of up to thirteen times its length.
        attributes = b"%b" % dumps(record.attributes)
        size = len(attributes) + _RECORD_BYTES
        pending = self._bytes_in - self._bytes_out
        if (pending > _MAX_BYTES or self._queue.qsize() >= _MAX_RECORDS) and not self._has_room():
            self._outage.begin("records come faster than they can be stored", lost=1)
            return
        # Two threads that add at the very same moment may count one record for two, until the
        # writer has caught up. A lock here could be held by the frame that is interrupted.
        self._bytes_in += size
        self._queue.put(_entry(record, attributes))
        now = time.monotonic()
        if self._tickets:
            self._start()
        elif not self._waiting_since:
            self._waiting_since = now
        elif now - self._waiting_since > _LAG_S:
            time.sleep(_YIELD_S)
            self._waiting_since = time.monotonic()
        if sys.is_finalizing():
            self._drain()  # the writer does not run any more

    def flush(self, timeout_s: float = 30.0) -> bool:
        """Wait until every record taken before is committed or counted as lost.

        Takes no lock, so a signal handler may call it, whatever it interrupts.

        Returns:
            False if time ran out.
        """
        if self._is_idle():
            return True
        return self._wait(_Mark(), time.monotonic() + timeout_s)

    def close(self, timeout_s: float = 30.0) -> bool:
        """Flush, end the thread and close the database; safe where `flush` is.

        Returns:
            False if time ran out; what was not stored by then is counted as lost.
        """
        self._closed = True
        done = self._is_idle() or self._wait(_Mark(stop=True), time.monotonic() + timeout_s)
        if not done:
            self._count_as_lost()
        self._release()
        self._outage.summarise()
        return done

    def give_up(self) -> None:
        """Try once more what is queued, then count it as lost: the process ends.

        For a second at most, after a `flush` that ran out of time; what comes later is taken.
        """
        if not self._is_idle():
            self._count_as_lost()
            self._hurry = False

    def _count_as_lost(self) -> None:
        self._hurry = True
        if not self._wait(_Mark(), time.monotonic() + _HURRY_S):
            self._outage.lose(max(0, self._queue.qsize() - 2))  # two of them are the marks

    def _release(self) -> None:
        if gate.enter(_GATE_S):
            try:
                self._database.close()
            finally:
                gate.leave()

    def _is_idle(self) -> bool:
        return bool(self._tickets) and self._queue.empty()

    def _wait(self, mark: _Mark, deadline: float) -> bool:
        self._queue.put(mark)
        if threading.get_ident() == self._writer:
            self._drain()  # a finalizer that ran on the writer itself
            return mark.event.is_set()
        patience = 3
        while True:
            if self._tickets:
                self._start()
            if mark.event.wait(min(_SLICE_S, max(0.0, deadline - time.monotonic()))):
                return True
            if time.monotonic() >= deadline:
                return False
            patience -= 1
            if patience < 0 and not self._alive:
                # A signal handler that interrupted the start of the thread, or a thread that the
                # end of the interpreter has stopped.
                self._drain()

    def _has_room(self) -> bool:
        """Wait for the writer to make room; False where that would take too long."""
        if threading.get_ident() == self._writer:
            return True  # a finalizer that ran on the writer itself
        deadline = time.monotonic() + _ROOM_S
        while not (self._stuck or self._outage.active) and time.monotonic() < deadline:
            if self._tickets:
                self._start()
            time.sleep(0.001)
            if self.waiting_bytes < _MAX_BYTES and self._queue.qsize() < _MAX_RECORDS:
                return True
        return False

    def _start(self) -> None:
        """Start the writer thread, or store what is there on this thread if there can be none."""
        tickets = self._tickets
        while True:
            try:
                tickets.pop()
            except IndexError:
                return  # somebody else is just doing it
            if not self._closed and not sys.is_finalizing():
                try:
                    # Not `threading.Thread`: its start takes a lock that the frame below may hold,
                    # when this is a finalizer.
                    _thread.start_new_thread(self._run, (tickets,))
                    return
                except RuntimeError:
                    pass  # too many threads, or too late for one
            self._drain()
            tickets.append(None)
            if self._queue.empty():  # else something came while nobody else could have the ticket
                return

    def _run(self, tickets: list[None]) -> None:
        self._writer = threading.get_ident()
        self._alive = True
        try:
            while True:
                first = self._queue.get()
                if not isinstance(first, _Mark) and self._queue.qsize() < MAX_ROWS:
                    if self._outage.active:
                        time.sleep(_LINGER_IN_OUTAGE_S)
                    elif time.monotonic() - self._waiting_since < _LINGER_S:
                        time.sleep(_LINGER_S)
                if not self._store_batch(first):
                    return
        finally:
            self._alive = False
            self._writer = 0
            tickets.append(None)
            if not self._queue.empty():
                self._start()

    def _store_batch(self, first: Union[_Entry, _Mark]) -> bool:
        """Store a batch that begins with an entry; False when the thread is to end."""
        rows: list[Row] = []
        size = 0
        entry = first
        while not isinstance(entry, _Mark):
            rows.append(_row(entry))
            size += len(entry[_ATTRIBUTES]) + _RECORD_BYTES
            if len(rows) == MAX_ROWS or size > _BATCH_BYTES:
                break
            try:
                entry = self._queue.get_nowait()
            except queue.Empty:
                self._waiting_since = 0.0
                self._bytes_out = self._bytes_in - size  # what is counted is what is here
                break
        if rows:
            try:
                self._store(rows)
            except Exception as error:
                self._outage.begin(_reason(error), lost=len(rows))
            self._bytes_out += size
        if isinstance(entry, _Mark):
            entry.event.set()
            return not entry.stop
        return True

    def _drain(self) -> None:
        """Store all that is queued, on this thread."""
        while True:
            try:
                first = self._queue.get_nowait()
            except queue.Empty:
                break
            self._store_batch(first)
        if self._closed:
            self._release()

    def _store(self, rows: list[Row]) -> None:
        """Store rows, waiting for other writers and trying again; or count them as lost."""
        started = time.monotonic()
        hasty = self._outage.active or sys.is_finalizing()
        pause_s = _FIRST_PAUSE_S
        while True:
            error = self._attempt(rows)
            if error is None:
                self._stuck = False
                self._outage.end()
                return
            if is_row_fault(error):
                self._store_each(rows, error)
                return
            reason = _reason(error)
            if is_locked(error):
                patience_s = _GRACE_S if hasty else _LOCKED_S
                # At random, so that no process is always too late.
                pause_s = random.uniform(_FIRST_PAUSE_S, min(2.0 * pause_s, _LONGEST_PAUSE_S))
            else:
                patience_s = 0.0 if hasty or is_hopeless(error) else _GRACE_S
                pause_s = _LONGEST_PAUSE_S
                self._outage.begin(reason)
            waited_s = time.monotonic() - started
            if waited_s >= patience_s or self._hurry:
                self._stuck = True
                self._outage.begin(reason, lost=len(rows))
                return
            self._stuck = waited_s >= _STUCK_S
            time.sleep(pause_s)

    def _store_each(self, rows: list[Row], error: Exception) -> None:
        """Store one by one what was refused as a batch, and what SQLite cannot hold as text."""
        if len(rows) > 1:
            for row in rows:
                self._store([row])
            return
        row = tuple(_storable(value) for value in rows[0])
        if self._attempt([row]) is not None:
            self._outage.begin(_reason(error), lost=1)

    def _attempt(self, rows: list[Row]) -> Optional[Exception]:
        # The end of the interpreter may have stopped the writer for good on the other side.
        if not gate.enter(_GRACE_S if sys.is_finalizing() else _GATE_S):
            return sqlite3.OperationalError("the database is locked by this process")
        try:
            self._database.insert(rows)
        except Exception as error:
            if not is_locked(error) and not is_row_fault(error):
                self._database.close()
            return error
        finally:
            gate.leave()
        return None

    def _try_open(self) -> None:
        deadline = time.monotonic() + _STUCK_S
        while gate.enter(_GATE_S):
            try:
                self._database.open()
                return
            except Exception as error:
                if not is_locked(error):
                    self._outage.begin(_reason(error))
                    return
            finally:
                gate.leave()
            if time.monotonic() > deadline:
                return  # the writer will wait for its turn
            time.sleep(random.uniform(_FIRST_PAUSE_S, _LONGEST_PAUSE_S))

    def before_fork(self) -> None:
        """Close the connection: see `gate`."""
        self._database.close()

    def after_fork(self, *, is_safe: bool) -> None:
        """Start anew in the child; what is queued is the parent's to store."""
        closed = self._closed
        if not is_safe:
            _leaked.append(self._database)
            self._database = Database(self.path)
        self._reset()
        self._closed = closed


def _entry(record: SpanRecord, attributes: bytes) -> _Entry:
    return (
        record.trace_id,
        record.span_id,
        record.parent_id,
        record.name,
        record.start_time,
        record.end_time,
        record.duration_ms,
        record.status,
        attributes,
        record.tenant_id,
        record.retention_class,
    )


def _row(entry: _Entry) -> Row:
    before, after = entry[:_ATTRIBUTES], entry[_ATTRIBUTES + 1 :]
    return (*before, entry[_ATTRIBUTES].decode(), *after)


def _storable(value: object) -> Union[str, float, None]:
    """A value as SQLite takes it: text without lone surrogates, numbers of a double's range."""
    if value is None:
        return None
    if isinstance(value, (int, float)):
        number = float(value)
        return number if math.isfinite(number) else 0.0
    return str(value).encode("utf-8", "backslashreplace").decode("utf-8")


def _reason(error: Exception) -> str:
    return (error.strerror if isinstance(error, OSError) else None) or str(error)


# Never closed, lest the child of a fork wait for locks of its parent.
_leaked: list[Database] = []
