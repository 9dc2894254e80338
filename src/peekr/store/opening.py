"""Which reader a trace file needs: told by its content, whatever it is called."""

from __future__ import annotations

import os
import re

from peekr.errors import UnreadableFileError
from peekr.plaintext import clean
from peekr.store.query import Reader

__all__ = ["open_reader"]

_HEAD_BYTES = 1 << 16
_MAYBE_OTLP = rb'"resource_?(?:spans|logs|metrics|profiles)"'
_SQLITE_MAGIC = b"SQLite format 3\x00"
_OTHER_FORMATS = {
    b"\xff\xfe": "is UTF-16 text: save it as UTF-8 first",
    b"\xfe\xff": "is UTF-16 text: save it as UTF-8 first",
    b"\x1f\x8b": "is compressed with gzip: unpack it first",
    b"PK\x03\x04": "is a zip archive: unpack it first",
    b"\x28\xb5\x2f\xfd": "is compressed with zstd: unpack it first",
    b"PAR1": "is a Parquet file, not JSON lines and not SQLite",
}


def open_reader(path: str) -> Reader:
    """Open a trace file, told apart by its content: SQLite by its first bytes, OTLP in JSON by
    its first line, else JSON lines.

    Raises:
        UnreadableFileError: missing, a directory, not permitted, empty, or a known other format.
    """
    shown = clean(path)
    try:
        # A directory is told here already: opening it is an error, and so is a pipe that nobody
        # writes to, which would wait for ever.
        if os.path.isdir(path):
            raise UnreadableFileError(f"{shown}: is a directory, not a trace file")
        if not os.path.isfile(path) and os.path.exists(path):
            raise UnreadableFileError(f"{shown}: is not a regular file")
        with open(path, "rb") as file:
            head = file.read(_HEAD_BYTES)
    except FileNotFoundError:
        raise UnreadableFileError(f"{shown}: no such file") from None
    except (OSError, ValueError) as error:
        raise UnreadableFileError(f"{shown}: {_reason(error)}") from None
    if not head:
        raise UnreadableFileError(f"{shown}: the file is empty")
    for magic, reason in _OTHER_FORMATS.items():
        if head.startswith(magic):
            raise UnreadableFileError(f"{shown}: {reason}")
    if head.startswith(_SQLITE_MAGIC):
        from peekr.store.sqlite.read import SqliteReader

        return SqliteReader(path)
    if b'"resource' in head and re.search(_MAYBE_OTLP, head, re.IGNORECASE):
        from peekr.store.otlp import OtlpReader, is_otlp

        if is_otlp(head):
            return OtlpReader(path)
    from peekr.store.jsonl.read import JsonlReader

    return JsonlReader(path)


def _reason(error: Exception) -> str:
    if isinstance(error, PermissionError):
        return "permission denied"
    if isinstance(error, OSError) and error.strerror:
        return error.strerror.lower()
    return clean(str(error))
