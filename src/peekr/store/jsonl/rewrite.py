"""Lines of a JSONL file changed or deleted while others may be appending to it.

What is kept is copied into a new file, which then takes the old one's place. Writers of Peekr look
at the path every millisecond of writing and go over to the new file; what they still append to the
old one is carried over, line by line. The old file keeps a second name until that is done, so that
nothing is lost if this process is killed in between; the next rewriting takes up what it left.

Whoever keeps the old file open without looking at the path writes to nowhere. That shows in a file
that goes on growing: it is kept under its second name, and said.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import time
from collections.abc import Iterator
from typing import BinaryIO, Callable, Optional

from peekr.errors import PeekrError
from peekr.plaintext import clean
from peekr.record import SpanRecord
from peekr.store.jsonl.line import BOM, NotARecordError, parse_line

__all__ = ["Change", "rewrite_jsonl"]

Change = Callable[[bytes, SpanRecord], Optional[bytes]]
"""What becomes of the line of a record, without its end: the same or another, or None to delete it.
"""

_SETTLED_S = 1.0
"""A last line without its end that is older than this will not be finished by its writer."""

_QUIET_S = 0.25
"""For how long the old file must not have grown to be left by all: 250 times the time after which
a writer looks at the path."""

_GIVE_UP_S = 10.0
_POLL_S = 0.01
_STRAGGLER_S = 0.1


def rewrite_jsonl(path: str, change: Change, done: str) -> int:
    """Change lines; all others stay byte for byte, in their order.

    A line that is no record stays. Takes a quarter of a second longer than reading the file, or
    leaves the file alone where nothing changes.

    Args:
        path: The file itself, no link to it.
        change: What becomes of each record's line. Called again for some.
        done: What is done, for messages: `pruned`.

    Returns:
        How many lines were changed or deleted.

    Raises:
        PeekrError: the file cannot be changed, or changed its place meanwhile; it is as it was.
    """
    try:
        return _Rewriting(path, change, done).run()
    except OSError as error:
        raise PeekrError(
            f"{clean(path)}: cannot be {done}: {(error.strerror or str(error)).lower()}"
        ) from error


class _Rewriting:
    """One file on its way from the old to the new."""

    def __init__(self, path: str, change: Change, done: str) -> None:
        self._path = path
        self._change = change
        self._done = done
        self._new_path = f"{path}.peekr-new"
        self._old_path = f"{path}.peekr-old"
        self._changed = 0

    def run(self) -> int:
        with open(self._path, "rb") as old:
            _lock(old, self._path, self._done)
            if os.path.lexists(self._old_path):
                self._take_up()
            position = self._copy_kept(old)
            if not self._changed:
                os.unlink(self._new_path)
                return 0
            has_second_name = self._replace(old)
            self._carry_over(old, position, has_second_name)
        return self._changed

    def _copy_kept(self, old: BinaryIO) -> int:
        """Copy what is kept into the new file; the position up to which that was done."""
        try:
            with open(self._new_path, "wb") as new:
                shutil.copymode(self._path, self._new_path)
                _copy_owner(old, self._new_path)
                for line in _lines(old):
                    kept = self._kept(line)
                    if kept is not line:
                        self._changed += 1
                    if kept is not None:
                        new.write(kept)
                new.flush()
                os.fsync(new.fileno())
            return old.tell()
        except BaseException:
            _unlink(self._new_path)
            raise

    def _kept(self, line: bytes) -> Optional[bytes]:
        """What becomes of a line: itself, another, or None."""
        bare = line.rstrip(b"\r\n")
        if not bare or bare.isspace():
            return line
        content = bare.removeprefix(BOM)
        try:
            record, _ = parse_line(content)
        except (NotARecordError, MemoryError):
            return line
        changed = self._change(content, record)
        if changed is None:
            return None
        if changed == content:
            return line
        return bare[: len(bare) - len(content)] + changed + line[len(bare) :]

    def _replace(self, old: BinaryIO) -> bool:
        """Put the new file in the old one's place; whether the old one kept a second name."""
        try:
            found, mine = os.stat(self._path), os.fstat(old.fileno())
            if (found.st_ino, found.st_dev) != (mine.st_ino, mine.st_dev):
                raise PeekrError(f"{clean(self._path)}: was replaced meanwhile, try again")
            try:
                os.link(self._path, self._old_path)
                has_second_name = True
            except OSError:
                has_second_name = False  # a file system without hard links
            try:
                os.replace(self._new_path, self._path)
            except BaseException:
                if has_second_name:
                    _unlink(self._old_path)
                raise
        except BaseException:
            _unlink(self._new_path)
            raise
        _sync_folder(self._path)
        return has_second_name

    def _carry_over(self, old: BinaryIO, position: int, has_second_name: bool) -> None:
        """Append to the new file what was appended to the old one after it had been copied."""
        with open(self._path, "ab", buffering=0) as new:
            end = time.monotonic() + _GIVE_UP_S
            while has_second_name:
                grown = _wait_for_growth(old, position, min(end, time.monotonic() + _QUIET_S))
                if not grown:
                    break
                position = self._carry(old, position, new)
                if time.monotonic() >= end:
                    raise PeekrError(
                        f"{clean(self._path)}: {self._done}, but a program goes on writing to the "
                        f"old file, which is kept as {clean(self._old_path)}: restart that "
                        "program, then do this again"
                    )
            if has_second_name:
                os.unlink(self._old_path)
            # From now on a writer of Peekr sees that its file has no name any more, and writes the
            # line again itself. Whether it has is looked up in the new file.
            if _wait_for_growth(old, position, time.monotonic() + _STRAGGLER_S):
                time.sleep(_STRAGGLER_S)
                self._append_missing(new, old, position)

    def _carry(self, old: BinaryIO, position: int, new: BinaryIO) -> int:
        old.seek(position)
        for line in _lines(old):
            new.write(line if line.endswith(b"\n") else line + b"\n")
        return old.tell()

    def _append_missing(
        self, new: BinaryIO, old: BinaryIO, position: int, *, by_span: bool = False
    ) -> None:
        """Append what the new file lacks of the old one.

        Args:
            new: The new file, to append to.
            old: The old one.
            position: From where on.
            by_span: A span that is there need not be there in the same words.
        """
        present: set[bytes] = set()
        spans: set[tuple[str, str]] = set()
        with open(self._path, "rb") as file:
            for line in file:
                present.add(_digest(line))
                span = _span_of(line) if by_span else None
                if span is not None:
                    spans.add(span)
        old.seek(position)
        for line in _lines(old):
            if _digest(line) in present or (by_span and _span_of(line) in spans):
                continue
            kept = self._kept(line)
            if kept is not None:
                new.write(kept if kept.endswith(b"\n") else kept + b"\n")

    def _take_up(self) -> None:
        """Bring back what a rewriting that was killed had not carried over yet."""
        with open(self._old_path, "rb") as left, open(self._path, "ab", buffering=0) as present:
            found, mine = os.fstat(left.fileno()), os.fstat(present.fileno())
            if (found.st_ino, found.st_dev) != (mine.st_ino, mine.st_dev):
                self._append_missing(present, left, 0, by_span=True)
        os.unlink(self._old_path)


def _lines(file: BinaryIO) -> Iterator[bytes]:
    """The lines up to the end; waits for the end of one that is just being written.

    `tell()` of the file is afterwards where the last line given ends.
    """
    begun = b""
    begun_at = file.tell()
    while True:
        line = file.readline()
        if line.endswith(b"\n"):
            yield begun + line
            begun, begun_at = b"", file.tell()
            continue
        begun += line
        if not begun:
            return
        if time.time() - os.fstat(file.fileno()).st_mtime > _SETTLED_S:
            yield begun
            begun, begun_at = b"", file.tell()
            return
        time.sleep(_POLL_S)
        file.seek(begun_at + len(begun))


def _wait_for_growth(file: BinaryIO, position: int, deadline: float) -> bool:
    while os.fstat(file.fileno()).st_size <= position:
        if time.monotonic() >= deadline:
            return False
        time.sleep(_POLL_S)
    return True


def _digest(line: bytes) -> bytes:
    return hashlib.blake2b(line.rstrip(b"\r\n"), digest_size=16).digest()


def _span_of(line: bytes) -> Optional[tuple[str, str]]:
    try:
        record, _ = parse_line(line.rstrip(b"\r\n").removeprefix(BOM))
    except (NotARecordError, MemoryError):
        return None
    return (record.trace_id, record.span_id)


def _lock(file: BinaryIO, path: str, done: str) -> None:
    """See to it that one process at a time rewrites a file."""
    try:
        import fcntl
    except ImportError:
        return  # Windows, where a file that is open cannot be replaced anyway
    try:
        fcntl.flock(file.fileno(), fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        raise PeekrError(f"{clean(path)}: is just being {done} by another process") from None


def _copy_owner(old: BinaryIO, path: str) -> None:
    chown: Optional[Callable[[str, int, int], None]] = getattr(os, "chown", None)
    if chown is None:
        return
    found = os.fstat(old.fileno())
    try:
        chown(path, found.st_uid, found.st_gid)
    except OSError:
        pass  # not permitted; then the file is the one's who prunes it


def _sync_folder(path: str) -> None:
    try:
        descriptor = os.open(os.path.dirname(path) or ".", os.O_RDONLY)
    except OSError:
        return  # a system that does not open directories
    try:
        os.fsync(descriptor)
    except OSError:
        pass
    finally:
        os.close(descriptor)


def _unlink(path: str) -> None:
    try:
        os.unlink(path)
    except OSError:
        pass
