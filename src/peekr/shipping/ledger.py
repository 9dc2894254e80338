"""What has been sent from a file to one place, so that it is sent once."""

from __future__ import annotations

import hashlib
import os
from typing import Union

from peekr.errors import PeekrError
from peekr.plaintext import clean
from peekr.record import SpanRecord

__all__ = ["Ledger", "ledger_path"]

_MAGIC = b"PEEKRSH1"
_ENTRY_BYTES = 8


def ledger_path(file: str, destination: str) -> str:
    """The ledger's default place: beside the file, one for each destination."""
    digest = hashlib.sha256(destination.encode("utf-8")).hexdigest()[:8]
    return f"{file}.shipped-{digest}"


class Ledger:
    """The spans that were delivered, by a digest of their ids: eight bytes each, only appended.

    It does not matter whether the trace file grows, is pruned or moved meanwhile. What was added is
    on disk when `add` returns, and survives a `kill -9`. Used on one thread, by one process: a
    second one is refused.
    """

    def __init__(self, path: Union[str, os.PathLike[str]]) -> None:
        """Open or make it.

        Raises:
            PeekrError: it cannot be, is none, or another process uses it; the message is one line.
        """
        self.path = os.fsdecode(path)
        shown = clean(self.path)
        try:
            self._fd = os.open(
                self.path, os.O_RDWR | os.O_CREAT | getattr(os, "O_BINARY", 0), 0o600
            )
        except OSError as error:
            reason = (error.strerror or str(error)).lower()
            raise PeekrError(
                f"{shown}: {reason}; --state names another place for the progress"
            ) from None
        try:
            self._lock(shown)
            self._sent = self._read(shown)
        except BaseException:
            os.close(self._fd)
            raise

    def __len__(self) -> int:
        return len(self._sent)

    def __contains__(self, record: SpanRecord) -> bool:
        return _digest(record) in self._sent

    def add(self, records: list[SpanRecord]) -> None:
        """Note that spans were delivered.

        Raises:
            OSError: the disk fails.
        """
        fresh = [_digest(record) for record in records]
        data = b"".join(fresh)
        while data:
            data = data[os.write(self._fd, data) :]
        self._sent.update(fresh)

    def close(self) -> None:
        """Release it, and leave no file where nothing was delivered; a second call does nothing."""
        fd, self._fd = self._fd, -1
        if fd < 0:
            return
        if self._is_new and not self._sent:
            try:
                os.unlink(self.path)
            except OSError:
                pass  # Windows unlinks nothing that is open
        os.close(fd)

    def _lock(self, shown: str) -> None:
        try:
            import fcntl
        except ImportError:
            return  # Windows
        try:
            fcntl.flock(self._fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
            is_at_path = os.path.samestat(os.fstat(self._fd), os.stat(self.path))
        except OSError:
            is_at_path = False
        if not is_at_path:  # locked, or just deleted by another that had delivered nothing
            raise PeekrError(f"{shown}: another peekr ship is at work on it")

    def _read(self, shown: str) -> set[bytes]:
        size = os.fstat(self._fd).st_size
        self._is_new = not size
        if not size:
            os.write(self._fd, _MAGIC)
            return set()
        with os.fdopen(os.dup(self._fd), "rb") as file:
            data = file.read()
        if data[: len(_MAGIC)] != _MAGIC:
            raise PeekrError(f"{shown}: is not the progress of a peekr ship")
        # A process that was killed may have left the beginning of an entry.
        whole = len(data) - len(data) % _ENTRY_BYTES
        os.truncate(self._fd, whole)
        os.lseek(self._fd, whole, os.SEEK_SET)
        return {data[at : at + _ENTRY_BYTES] for at in range(len(_MAGIC), whole, _ENTRY_BYTES)}


def _digest(record: SpanRecord) -> bytes:
    text = f"{record.trace_id}/{record.span_id}".encode("utf-8", "surrogatepass")
    return hashlib.blake2b(text, digest_size=_ENTRY_BYTES).digest()
