"""The growing end of a JSONL file."""

from __future__ import annotations

import io
import os
from typing import BinaryIO, Callable, Optional

from peekr.record import SpanRecord
from peekr.store.jsonl.line import BOM, NotARecordError, parse_line

__all__ = ["JsonlTail"]

_POLL_BYTES = 64 << 20


class JsonlTail:
    """The growing end of a JSONL file; follows it through truncation and replacement."""

    def __init__(
        self,
        path: str,
        position: int,
        read: Callable[[bytes], list[SpanRecord]] = lambda line: [parse_line(line)[0]],
    ) -> None:
        """Begin.

        Args:
            path: The file.
            position: Where what is new begins, in bytes.
            read: The records on a line; a NotARecordError where there is none.
        """
        self._path = path
        self._records_on = read
        self._position = position
        self._file: Optional[BinaryIO] = open(path, "rb")  # noqa: SIM115 - kept between calls
        self._begun = io.BytesIO()  # a line whose end has not been written yet

    def poll(self) -> list[SpanRecord]:
        """The records appended since the last call; what is no record is passed over."""
        records: list[SpanRecord] = []
        try:
            self._read_new(records)
            if self._is_replaced():
                # The old file's last lines were read above.
                self.close()
                self._file = open(self._path, "rb")  # noqa: SIM115 - kept between calls
                self._forget_position()
                self._read_new(records)
        except OSError:
            pass  # gone, or not to be opened for the moment: the next poll tries again
        return records

    def close(self) -> None:
        """Close the file; a second call does nothing."""
        if self._file is not None:
            self._file.close()
            self._file = None

    def _is_replaced(self) -> bool:
        if self._file is None:
            return True
        now, mine = os.stat(self._path), os.fstat(self._file.fileno())
        return (now.st_ino, now.st_dev) != (mine.st_ino, mine.st_dev)

    def _read_new(self, records: list[SpanRecord]) -> None:
        if self._file is None:
            return
        if os.fstat(self._file.fileno()).st_size < self._position:
            self._forget_position()  # truncated: what is there now is new
        self._file.seek(self._position)
        data = self._file.read(_POLL_BYTES)
        self._position += len(data)
        *whole, rest = data.split(b"\n")
        if whole:
            whole[0] = self._begun.getvalue() + whole[0]
            self._begun = io.BytesIO()
        self._begun.write(rest)
        if whole and self._position == len(data):
            whole[0] = whole[0].removeprefix(BOM)
        for line in whole:
            try:
                if line and not line.isspace():
                    records += self._records_on(line)
            except (NotARecordError, MemoryError):
                continue

    def _forget_position(self) -> None:
        self._position = 0
        self._begun = io.BytesIO()
