"""Appends records to a JSONL file: one whole line a record, one system call a line."""

from __future__ import annotations

import errno
import os
import stat
import threading
import time
from typing import TYPE_CHECKING, Optional

import orjson

from peekr import forks
from peekr.encoding import dumps
from peekr.store.outage import Outage

if TYPE_CHECKING:
    from peekr.record import SpanRecord

__all__ = ["JsonlSink"]

_PREFIX = 96
"""Bytes of a line that tell it from every other line: they hold trace id and span id."""

_dumps, _NEWLINE = orjson.dumps, orjson.OPT_APPEND_NEWLINE

_UNKNOWN = -1

_LOOK_S = 0.05
"""How often the path is looked at in any case, to find out that it leads to another file by now."""

_SETTLED_S = 1.0
"""A last line without its end that is older than this will not be finished by its writer."""


class JsonlSink:
    """Writes each record through to a file, on the thread that hands it over.

    A record is one `write` on a descriptor in append mode, without a buffer in the process: what
    `write()` has returned from survives a `kill -9`. The kernel keeps appended lines apart, so
    threads, processes and a fork's children may share the file; there is no lock on this path, so
    finalizers and signal handlers may write as well.

    A file that was deleted, renamed or rotated is opened anew, missing directories are made. While
    neither is possible records are counted as lost, and the first one that succeeds ends that.

    Attributes:
        path: The file, as an absolute path: a later `os.chdir` does not move it.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        """Open the file or say in one line why that is impossible; never raises for the file.

        Args:
            path: The file; made where it is missing, together with its directories.
        """
        self.path: str = os.path.abspath(os.fsdecode(path))
        self._outage = Outage(os.fsdecode(path))
        self._opening = threading.RLock()
        self._busy: list[None] = []
        self._fd: Optional[int] = None
        self._inode = self._device = -1
        self._end = _UNKNOWN
        self._looked_at = 0.0
        self._torn = False
        self._is_regular = False
        self._closed = False
        forks.join(self)
        try:
            self._open()
        except (OSError, ValueError) as error:
            self._outage.begin(_reason(error))

    @property
    def lost(self) -> int:
        """How many records could not be kept, in this process."""
        return self._outage.lost

    def write(self, record: SpanRecord) -> None:
        """Append one record; it is in the file when this returns.

        Runs on the caller's thread: two system calls, and some more where other processes write to
        the file as well. Never raises for a fault of the file.
        """
        try:
            line = _dumps(record, option=_NEWLINE)  # a dataclass, as `to_dict` would have it
        except (TypeError, ValueError, RecursionError):
            line = dumps(record.to_dict()) + b"\n"
        # `close` waits for this list to become empty before it gives the descriptor back, lest a
        # line go to whatever the application opens under the same number. Both are atomic.
        busy = self._busy
        busy.append(None)
        try:
            fd, now = self._fd, time.monotonic()
            if fd is None or not self._is_as_left(fd, now):
                self._write_with_care(line, now)
            else:
                written = os.write(fd, line)
                if written == len(line):
                    self._end += written
                else:
                    self._torn = True
                    self._put_apart(fd, line)
            if self._outage.active:
                self._outage.end()
        except (OSError, ValueError) as error:
            self._end = _UNKNOWN
            self._looked_at = 0.0
            self._outage.begin(_reason(error), lost=1)
        finally:
            busy.pop()
            if self._closed:
                self._release()

    def flush(self, timeout_s: float = 30.0) -> bool:
        """Nothing to wait for: every record is in the file when `write` returns."""
        return True

    def close(self, timeout_s: float = 30.0) -> bool:
        """Give the descriptor back; a record that still comes opens the file for itself."""
        self._closed = True
        self._release()
        self._outage.summarise()
        return True

    def _is_as_left(self, fd: int, now: float) -> bool:
        """Whether the file is what the last line left: the common case, in one system call.

        It is ours, in its place, and nobody has written to it: deleting and renaming it change the
        time of its inode, writing changes that of its content too. Where clocks or filesystems are
        coarser, a file that is renamed gets lines for `_LOOK_S` more; nothing is lost by that.
        """
        try:
            found = os.fstat(fd)
        except OSError:
            return False  # closed by the application
        return (
            found.st_size == self._end
            and found.st_ctime_ns == found.st_mtime_ns
            and found.st_ino == self._inode
            and found.st_dev == self._device
            and found.st_nlink > 0
            and now - self._looked_at < _LOOK_S
        )

    def _write_with_care(self, line: bytes, now: float) -> None:
        """Write a line where something else may have happened to the file.

        Raises:
            OSError: the line is not in the file.
        """
        fd = self._look(now)
        if self._torn:
            self._put_apart(fd, line)
            return
        written = os.write(fd, line)
        found = os.fstat(fd)
        size = found.st_size
        # The common case: all of it is in, nobody else has written, the file is still there.
        if size != self._end + written or written != len(line) or not found.st_nlink:
            self._check(fd, line, written, found)
        else:
            self._end = size

    def _look(self, now: float) -> int:
        """The descriptor of the file that is at `path` now, opened anew if that is another one."""
        fd = self._fd
        if fd is not None and not self._is_ours(fd):
            # Closed by the application, as daemons do: the number is not ours to use or to close.
            # Or another thread is just about to say which file it leads to by now.
            with self._opening:
                fd = self._fd
                if fd is not None and not self._is_ours(fd):
                    fd = self._fd = None
        try:
            found = os.stat(self.path)
        except (FileNotFoundError, NotADirectoryError):
            fd = None
        except OSError:
            pass  # the process may have given up the right to look there; the file is open
        else:
            if found.st_ino != self._inode or found.st_dev != self._device:
                fd = None
        if fd is None:
            fd = self._open()
        self._looked_at = now
        return fd

    def _is_ours(self, fd: int) -> bool:
        try:
            found = os.fstat(fd)
        except OSError:
            return False
        return found.st_ino == self._inode and found.st_dev == self._device

    def _check(self, fd: int, line: bytes, written: int, found: os.stat_result) -> None:
        """See to it that a line is whole and in the file after something unusual.

        Raises:
            OSError: it is not, and could not be written again.
        """
        if written != len(line):
            self._torn = True
            self._put_apart(fd, line)
        elif not self._is_regular:
            pass
        elif not found.st_nlink:
            fd = self._open()
            if self._torn:
                self._put_apart(fd, line)
            else:
                self._check(fd, line, os.write(fd, line), os.fstat(fd))
        elif self._is_glued(fd, line):
            # A reader skips the broken line, so the record is in the file once.
            self._put_apart(fd, line)

    def _put_apart(self, fd: int, line: bytes) -> None:
        """Write a line so that it does not continue a broken one.

        Raises:
            OSError: it could not be written, or only a part of it.
        """
        lead = b"\n" if self._torn and _ends_within_a_line(fd) else b""
        written = os.write(fd, lead + line)
        if written == len(lead) + len(line):
            self._torn = False
            if self._outage.active:
                self._outage.end()
            return
        self._torn = written > len(lead)
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    def _is_glued(self, fd: int, line: bytes) -> bool:
        """Whether the line just written continues one that another writer never finished.

        That is the only trace of a process killed within its `write`. The position of the
        descriptor is shared with other threads and with a fork's processes, so it may already be
        behind another line; hence the look at what is there.
        """
        try:
            end = os.lseek(fd, 0, os.SEEK_CUR)
            self._end = end
            start = end - len(line)
            if start <= 0:
                return False
            found = os.pread(fd, 1 + _PREFIX, start - 1)
        except OSError:
            return False  # open for writing only
        return found[:1] != b"\n" and found[1:] == line[:_PREFIX]

    def _open(self) -> int:
        """Open the file at `path`, in place of the one that was open before.

        Raises:
            OSError: it cannot be opened.
        """
        with self._opening:
            fd = _open_for_append(self.path)
            try:
                found = os.fstat(fd)
                self._is_regular = stat.S_ISREG(found.st_mode) and hasattr(os, "pread")
                # The young end of a line may belong to a write in progress: `_is_glued` finds out.
                settled = time.time() - found.st_mtime > _SETTLED_S
                self._torn = self._is_regular and settled and _ends_within_a_line(fd)
            except BaseException:
                os.close(fd)
                raise
            number = self._fd
            if number is None:
                self._fd = number = fd
            else:
                # Another thread may be about to write to the old number: let it reach the new
                # file, never a descriptor that means something else by then.
                os.dup2(fd, number, inheritable=False)
                os.close(fd)
            self._inode, self._device = found.st_ino, found.st_dev
            self._end = _UNKNOWN
            return number

    def _release(self) -> None:
        with self._opening:
            fd, self._fd = self._fd, None
            if fd is None:
                return
            deadline = time.monotonic() + 1.0
            while self._busy and time.monotonic() < deadline:
                time.sleep(0.0005)
            if self._busy or not self._is_ours(fd):
                # A signal handler that interrupted `write` on this thread, or a disk that does not
                # answer: one descriptor more is better than a line in the wrong file.
                return
            try:
                os.close(fd)
            except OSError:
                pass  # closed by the application (as daemons do); it is released all the same

    def after_fork(self) -> None:
        """Begin anew in a fork's child: a lock that was held there stays held for ever."""
        self._opening = threading.RLock()
        self._busy = []


def _open_for_append(path: str) -> int:
    flags = os.O_APPEND | os.O_CREAT | getattr(os, "O_CLOEXEC", 0) | getattr(os, "O_BINARY", 0)
    for attempt in (1, 2):
        try:
            return os.open(path, os.O_RDWR | flags, 0o666)
        except FileNotFoundError:
            if attempt == 2:
                raise
            os.makedirs(os.path.dirname(path), exist_ok=True)
        except PermissionError:
            return os.open(path, os.O_WRONLY | flags, 0o666)
    raise AssertionError("unreachable")


def _ends_within_a_line(fd: int) -> bool:
    try:
        size = os.fstat(fd).st_size
        return size > 0 and os.pread(fd, 1, size - 1) != b"\n"
    except OSError:
        return False  # open for writing only


def _reason(error: Exception) -> str:
    return (error.strerror if isinstance(error, OSError) else None) or str(error)
