"""Several trace files put together into one, each record once."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterable, Iterator, Sequence
from contextlib import closing
from typing import NamedTuple

from peekr.encoding import dumps
from peekr.errors import PeekrError
from peekr.files.exporting import replacing
from peekr.plaintext import clean
from peekr.record import SpanRecord
from peekr.store.opening import open_reader

__all__ = ["Merged", "is_database", "merge_files"]


class Merged(NamedTuple):
    """What came of it.

    Attributes:
        records: How many records are in the new file.
        doubled: How many were left out because a file before had them.
        problems: What could not be read, a line a file.
    """

    records: int
    doubled: int
    problems: list[str]


def is_database(path: str) -> bool:
    """Whether a file of that name is to be a SQLite database rather than JSON lines."""
    return path.lower().endswith((".db", ".sqlite", ".sqlite3"))


def merge_files(paths: Sequence[str], output: str) -> Merged:
    """Write the records of several files into a new one, in the order of the files.

    A record is known by its trace id and span id; of those with the same ids the first is kept. In
    memory are the ids of all records.

    Args:
        paths: Trace files of any format that can be read.
        output: The new file: SQLite by its name (`.db`, `.sqlite`), else JSON lines. It appears
            when it is whole.

    Raises:
        UnreadableFileError: one of the files cannot be read.
        PeekrError: the output exists, or cannot be written.
    """
    if os.path.exists(output):
        raise PeekrError(f"{clean(output)}: exists already: name a new file")
    doubled: list[int] = [0]
    problems: list[str] = []
    records = _once(paths, doubled, problems)
    try:
        count = _to_database(records, output) if is_database(output) else _to_lines(records, output)
    except OSError as error:
        raise PeekrError(f"{clean(output)}: {(error.strerror or str(error)).lower()}") from None
    return Merged(count, doubled[0], problems)


def _once(paths: Sequence[str], doubled: list[int], problems: list[str]) -> Iterator[SpanRecord]:
    seen: set[tuple[str, str]] = set()
    for path in paths:
        with closing(open_reader(path)) as reader:
            for record in reader.records():
                key = (record.trace_id, record.span_id)
                if key in seen:
                    doubled[0] += 1
                else:
                    seen.add(key)
                    yield record
            said = reader.problems.describe()
            if said:
                problems.append(f"{clean(path)}: {said}")


def _to_lines(records: Iterable[SpanRecord], output: str) -> int:
    count = 0
    with replacing(output) as stream:
        for record in records:
            stream.write(dumps(record.to_dict()) + b"\n")
            count += 1
    return count


def _to_database(records: Iterable[SpanRecord], output: str) -> int:
    from peekr.store.sqlite import SqliteSink

    folder = os.path.dirname(output) or "."
    if not os.path.isdir(folder):  # the sink would make it, also where its name is a slip
        raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), output)
    temporary = f"{output}.{os.getpid()}.partial"
    sink = SqliteSink(temporary)
    count = 0
    try:
        try:
            for record in records:
                sink.write(record)
                count += 1
                if count % 1000 == 0:
                    sink.flush(60.0)  # its queue is bounded, and nothing may be lost here
        finally:
            whole = sink.flush(60.0)
            sink.close(60.0)
        if not whole or sink.lost:
            raise PeekrError(f"{clean(output)}: not every record could be written")
        os.replace(temporary, output)
    finally:
        for leftover in (temporary, f"{temporary}-wal", f"{temporary}-shm"):
            if os.path.exists(leftover):
                os.unlink(leftover)
    return count
