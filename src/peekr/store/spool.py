"""A directory of batches that could not be sent, kept until they are."""

from __future__ import annotations

import itertools
import os
import threading
import time
from collections.abc import Sequence
from typing import Optional, Union

__all__ = ["Spool", "SpooledBatch"]

_SUFFIX = ".jsonl"
_REJECTED = "rejected"
_BINARY = getattr(os, "O_BINARY", 0)
_LOOK_S = 60.0
"""How often to look for batches that other processes have left, in seconds."""


class SpooledBatch:
    """A batch on disk that is being sent; no other process sends it meanwhile.

    Attributes:
        path: Its file.
        lines: The records, each as JSON.
        file_bytes: How much room the file takes.
        fd: The descriptor that holds the lock.
    """

    def __init__(self, path: str, lines: list[bytes], file_bytes: int, fd: int) -> None:
        self.path = path
        self.lines = lines
        self.file_bytes = file_bytes
        self.fd = fd


class Spool:
    """Batches as JSONL files, one a batch, in a directory that several processes may share.

    A file appears whole or not at all, readable for its owner alone. A batch is sent under a lock
    that ends with its process; one that is sent twice all the same is no harm, for the server
    knows its spans by their ids. Safe from any thread. No method raises for the disk.

    Attributes:
        folder: The directory.
        problem: What is wrong with it, in a few words; empty where nothing is.
    """

    def __init__(self, folder: Union[str, os.PathLike[str]], max_bytes: int) -> None:
        """Make the directory, or note in `problem` why that is impossible.

        Args:
            folder: The directory.
            max_bytes: The most that is kept in it.
        """
        self.folder = os.path.abspath(os.fsdecode(folder))
        self.problem = ""
        self._max_bytes = max_bytes
        self._lock = threading.RLock()
        self._numbers = itertools.count()
        self._names: list[str] = []
        self._bytes = 0
        self._looked_at = 0.0
        try:
            os.makedirs(self.folder, mode=0o700, exist_ok=True)
            self._look()
        except OSError as error:
            self.problem = _reason(error)

    @property
    def is_empty(self) -> bool:
        """Whether nothing waits in it, as far as is known without looking at the disk."""
        return not self._names

    def keep(self, lines: Sequence[bytes], *, rejected: bool = False) -> Optional[str]:
        """Write a batch.

        Args:
            lines: JSON documents without line ends.
            rejected: Put it where it is not sent from again.

        Returns:
            Its path, or None where there is no room or the disk fails; `problem` says which.
        """
        data = b"\n".join(lines) + b"\n"
        with self._lock:
            if self._bytes + len(data) > self._max_bytes:
                self.problem = f"its {self._max_bytes} bytes are full"
                return None
            name = f"{time.time_ns():020d}-{os.getpid()}-{next(self._numbers)}{_SUFFIX}"
            folder = os.path.join(self.folder, _REJECTED) if rejected else self.folder
            path = os.path.join(folder, name)
            try:
                os.makedirs(folder, mode=0o700, exist_ok=True)
                fd = os.open(f"{path}.part", os.O_WRONLY | os.O_CREAT | os.O_EXCL | _BINARY, 0o600)
                try:
                    with os.fdopen(fd, "wb") as file:
                        file.write(data)
                    os.replace(f"{path}.part", path)
                except OSError:
                    os.unlink(f"{path}.part")
                    raise
            except OSError as error:
                self.problem = _reason(error)
                return None
            self.problem = ""
            self._bytes += len(data)
            if not rejected:
                self._names.append(name)
            return path

    def take(self) -> Optional[SpooledBatch]:
        """The oldest batch that nobody is sending; None when there is none."""
        with self._lock:
            if not self._names and time.monotonic() - self._looked_at > _LOOK_S:
                try:
                    self._look()
                except OSError:
                    return None
            while self._names:
                batch = self._claim(os.path.join(self.folder, self._names.pop(0)))
                if batch is not None:
                    return batch
        return None

    def done(self, batch: SpooledBatch) -> None:
        """Delete a batch that was sent."""
        if os.name == "nt":
            self._unlock(batch)  # an open file cannot be deleted there
        self.discard(batch.path, batch.file_bytes)
        self._unlock(batch)

    def discard(self, path: str, file_bytes: int = 0) -> None:
        """Delete a batch that was sent by another way."""
        with self._lock:
            if os.path.basename(path) in self._names:
                self._names.remove(os.path.basename(path))
            try:
                file_bytes = file_bytes or os.stat(path).st_size
                os.unlink(path)
                self._bytes -= file_bytes
            except OSError:
                pass  # somebody else has

    def give_back(self, batch: SpooledBatch) -> None:
        """Let a batch wait for its next turn."""
        with self._lock:
            self._names.insert(0, os.path.basename(batch.path))
        self._unlock(batch)

    def _look(self) -> None:
        """Find what is there, the oldest first."""
        self._looked_at = time.monotonic()
        total = 0
        found: list[str] = []
        with os.scandir(self.folder) as entries:
            for entry in entries:
                if entry.name.endswith(_SUFFIX) and entry.is_file():
                    total += entry.stat().st_size
                    found.append(entry.name)
        self._names, self._bytes = sorted(found), total

    def _claim(self, path: str) -> Optional[SpooledBatch]:
        try:
            fd = os.open(path, os.O_RDONLY | _BINARY)
        except OSError:
            return None  # sent by another process
        try:
            _lock_file(fd)
            state = os.fstat(fd)
            if not state.st_nlink:
                raise FileNotFoundError  # sent while we waited for it
            with os.fdopen(os.dup(fd), "rb") as file:
                lines = [line for line in file.read().split(b"\n") if line]
        except OSError:
            os.close(fd)
            return None
        return SpooledBatch(path, lines, state.st_size, fd)

    def _unlock(self, batch: SpooledBatch) -> None:
        if batch.fd >= 0:
            os.close(batch.fd)
            batch.fd = -1


def _lock_file(fd: int) -> None:
    """Take a file for this process alone.

    Raises:
        OSError: another process has it.
    """
    try:
        import fcntl
    except ImportError:
        return  # Windows: two processes may send the same batch, which is no harm
    fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)


def _reason(error: OSError) -> str:
    return (error.strerror or str(error)).lower()
