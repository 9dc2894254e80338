"""A file's lines in blocks, from the beginning or from the end, as the file was when opened."""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import BinaryIO, Callable

from peekr.errors import UnreadableFileError
from peekr.plaintext import clean
from peekr.store.jsonl.line import BOM

__all__ = ["Blocks"]

_BLOCK_BYTES = 1 << 20
_BUFFER_BYTES = 1 << 17
_SMALL_BLOCK_BYTES = 1 << 15
"""What is parsed at a time: so little that it stays in the processor's cache, for half the time."""


class Blocks:
    """A file of lines open for reading; what is appended after that is not seen.

    Attributes:
        end: Where the block ends that `forwards` has given last, in bytes.
    """

    def __init__(self, path: str, advance: Callable[[float], None]) -> None:
        """Open.

        Args:
            path: The file.
            advance: Is told of each piece that has been gone through, in bytes.

        Raises:
            UnreadableFileError: it cannot be opened.
        """
        self._advance = advance
        self.end = 0
        self._path = path
        try:
            self._file: BinaryIO = open(path, "rb", _BUFFER_BYTES)  # noqa: SIM115 - closed by close()
            self._size = os.fstat(self._file.fileno()).st_size
        except OSError as error:
            reason = (error.strerror or "cannot be opened").lower()
            raise UnreadableFileError(f"{clean(path)}: {reason}") from None

    def forwards(self) -> Iterator[list[bytes]]:
        """The file's lines with their ends in blocks, blank ones among them; none is empty."""
        self._file.seek(0)
        left = self._size
        while left > 0:
            lines = self._file.readlines(_SMALL_BLOCK_BYTES)
            if not lines:
                break  # the file was cut meanwhile
            if left == self._size and not (lines := _without_mark(lines)):
                break
            size = sum(map(len, lines))
            left -= size
            self._advance(size)
            if left < 0:
                # What was appended after the file was opened belongs to the tail.
                while lines and left + len(lines[-1]) <= 0:
                    left += len(lines.pop())
            self.end = min(self._file.tell(), self._size)
            yield lines

    def backwards(self) -> Iterator[list[bytes]]:
        """The file's lines in blocks, the last block first; inside a block in the file's order."""
        position = self._size
        if position and self._read_at(position - 1, 1) == b"\n":
            position -= 1
        pieces: list[bytes] = []  # of a line whose beginning has not been reached, last first
        while position > 0:
            size = min(_BLOCK_BYTES, position)
            position -= size
            block = self._read_at(position, size)
            self._advance(size)
            cut = block.find(b"\n")
            if cut < 0:
                pieces.append(block)
                continue
            pieces.reverse()
            rest = b"".join((block[cut + 1 :], *pieces))
            pieces = [block[:cut]]
            yield rest.split(b"\n")
        if self._size:
            pieces.reverse()
            yield [b"".join(pieces).removeprefix(BOM)]

    def numbered(self) -> Iterator[tuple[int, bytes]]:
        """Lines that are not blank, without their end, numbered from 1."""
        self._file.seek(0)
        left = told = self._size
        for number, line in enumerate(self._file, 1):
            # What was appended after the file was opened belongs to the tail.
            if left <= 0:
                break
            left -= len(line)
            if told - left > _BLOCK_BYTES:
                self._advance(told - left)
                told = left
            line = line.rstrip(b"\r\n")
            if number == 1:
                line = line.removeprefix(BOM)
            if line and not line.isspace():
                yield number, line

    def between(self, parts: Iterator[tuple[int, int]]) -> Iterator[list[bytes]]:
        """The lines, without their ends, of parts that begin and end at these places, in bytes."""
        for begin, end in parts:
            lines = self._read_at(begin, end - begin).split(b"\n")
            if not begin:
                lines[0] = lines[0].removeprefix(BOM)
            yield lines

    def leave_unfinished_line(self) -> int:
        """Leave the last line out from now on if it has no end yet.

        Returns:
            Where the whole lines end, in bytes.
        """
        position = self._size
        while position:
            start = max(0, position - _BLOCK_BYTES)
            self._file.seek(start)
            found = self._file.read(position - start).rfind(b"\n")
            if found >= 0:
                position = start + found + 1
                break
            position = start
        self._size = position
        return position

    def close(self) -> None:
        """Close the file."""
        self._file.close()

    def _read_at(self, position: int, size: int) -> bytes:
        try:
            self._file.seek(position)
            return self._file.read(size)
        except OSError as error:
            reason = (error.strerror or "cannot be read").lower()
            raise UnreadableFileError(f"{clean(self._path)}: {reason}") from None


def _without_mark(lines: list[bytes]) -> list[bytes]:
    first = lines[0].removeprefix(BOM)
    return [first, *lines[1:]] if first else lines[1:]
