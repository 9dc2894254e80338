"""Stored records written out in the forms that other programs read.

* `otlp-json`: OTLP's JSON, one `ExportTraceServiceRequest` a line, as the OpenTelemetry
  Collector's file exporter writes it and its receiver reads it;
* `jsonl`: Peekr's own records, one a line;
* `csv`: one row a record, with the usual attributes as columns and the rest as JSON in the last;
* `parquet`: the same columns with their types (needs `pyarrow`).
"""

from __future__ import annotations

import csv
import importlib
import io
import os
from collections.abc import Generator, Iterable, Iterator
from contextlib import contextmanager
from itertools import chain
from typing import IO, Any, Callable, Optional

from peekr.encoding import dumps
from peekr.errors import PeekrError
from peekr.plaintext import clean_json, clean_lines
from peekr.record import FIELDS, SpanRecord
from peekr.summary import number

__all__ = ["COLUMNS", "FORMATS", "export_records", "format_of", "replacing"]

FORMATS = ("otlp-json", "jsonl", "csv", "parquet")

_TEXTS = ("model", "provider")
_NUMBERS = (
    "tokens_input",
    "tokens_output",
    "tokens_total",
    "tokens_cache_read",
    "tokens_cache_write",
    "tokens_reasoning",
    "cost_usd",
    "time_to_first_token_ms",
)
_MORE_TEXTS = (
    "error",
    "session_id",
    "user_id",
    "feature",
    "endpoint",
    "experiment_variant",
    "input",
    "output",
    "eval_scores",
)
_FLOAT_FIELDS = ("start_time", "end_time", "duration_ms")
COLUMNS = (*FIELDS[:-1], *_TEXTS, *_NUMBERS, *_MORE_TEXTS, "attributes")
"""The columns of CSV and Parquet; `attributes` holds what has no column of its own, as JSON."""
_FLOATS = frozenset((*_FLOAT_FIELDS, *_NUMBERS))
_OF_ATTRIBUTES = (*_TEXTS, *_NUMBERS, *_MORE_TEXTS)

_BATCH = 1000
# Spreadsheets take a cell that begins so for a formula, and recorded text is a stranger's.
_FORMULA = ("=", "+", "-", "@", "\t", "\r")


def format_of(path: str) -> Optional[str]:
    """The format that a file's name speaks of, None where it says nothing."""
    lower = path.lower()
    if lower.endswith((".otlp.json", ".otlp.jsonl", ".json")):
        return "otlp-json"
    if lower.endswith((".jsonl", ".ndjson")):
        return "jsonl"
    if lower.endswith(".csv"):
        return "csv"
    return "parquet" if lower.endswith((".parquet", ".pq")) else None


def export_records(records: Iterable[SpanRecord], format: str, stream: IO[bytes]) -> int:
    """Write records to a stream; in memory is one batch of a thousand at a time.

    Args:
        records: What to write.
        format: One of `FORMATS`.
        stream: Takes the bytes.

    Returns:
        How many records were written.

    Raises:
        PeekrError: `parquet` is asked for and pyarrow is not installed.
    """
    return _WRITERS[format](records, stream)


@contextmanager
def replacing(path: str) -> Generator[IO[bytes], None, None]:
    """A file to write that takes the place of `path` when all of it is written, and only then.

    What is no file, such as `/dev/stdout` or a named pipe, is written into.

    Raises:
        OSError: it cannot be written; what was at `path` is still there.
    """
    if os.path.exists(path) and not os.path.isfile(path):
        with open(path, "wb") as stream:
            yield stream
        return
    path = os.path.realpath(path)  # a link stays one
    temporary = f"{path}.{os.getpid()}.partial"
    with open(temporary, "wb") as file:
        try:
            yield file
            file.flush()
            os.fsync(file.fileno())
            file.close()
            os.replace(temporary, path)
        except BaseException:
            file.close()
            os.unlink(temporary)
            raise


# -- formats ---------------------------------------------------------------------------------------


def _jsonl(records: Iterable[SpanRecord], stream: IO[bytes]) -> int:
    count = 0
    for record in records:
        stream.write(_document(record.to_dict()))
        count += 1
    return count


def _otlp_json(records: Iterable[SpanRecord], stream: IO[bytes]) -> int:
    from peekr.store.otlp.encode import request_of

    count = 0
    for batch in _batches(records):
        stream.write(_document(request_of(batch)))
        count += len(batch)
    return count


def _csv(records: Iterable[SpanRecord], stream: IO[bytes]) -> int:
    text = io.TextIOWrapper(stream, encoding="utf-8", errors="backslashreplace", newline="")
    try:
        rows = csv.writer(text)
        records = iter(records)
        # Before the head of the table: there is none where nothing can be read.
        first = next(records, None)
        rows.writerow(COLUMNS)
        count = 0
        for record in records if first is None else chain((first,), records):
            rows.writerow([_cell(value) for value in _row(record)])
            count += 1
    finally:
        text.detach()  # flushes; the stream is the caller's to close
    return count


def _parquet(records: Iterable[SpanRecord], stream: IO[bytes]) -> int:
    try:
        arrow: Any = importlib.import_module("pyarrow")
        parquet: Any = importlib.import_module("pyarrow.parquet")
    except ImportError:
        raise PeekrError("parquet needs pyarrow: pip install 'peekr[parquet]'") from None
    schema = arrow.schema(
        [(name, arrow.float64() if name in _FLOATS else arrow.string()) for name in COLUMNS]
    )
    count = 0
    with parquet.ParquetWriter(stream, schema, compression="zstd") as writer:
        for batch in _batches(records):
            columns = [list(column) for column in zip(*map(_row, batch))]
            arrays = [
                arrow.array(values, type=field.type) for values, field in zip(columns, schema)
            ]
            writer.write_table(arrow.Table.from_arrays(arrays, schema=schema))
            count += len(batch)
    return count


_WRITERS: dict[str, Callable[[Iterable[SpanRecord], IO[bytes]], int]] = {
    "otlp-json": _otlp_json,
    "jsonl": _jsonl,
    "csv": _csv,
    "parquet": _parquet,
}


def _batches(records: Iterable[SpanRecord]) -> Iterator[list[SpanRecord]]:
    batch: list[SpanRecord] = []
    for record in records:
        batch.append(record)
        if len(batch) >= _BATCH:
            yield batch
            batch = []
    if batch:
        yield batch


def _row(record: SpanRecord) -> list[Any]:
    """The record's values in the order of `COLUMNS`; a number that is none is left in the rest."""
    fields = record.to_dict()
    rest = dict(record.attributes)
    made: list[Any] = [fields[name] for name in FIELDS[:-1]]
    for name in _OF_ATTRIBUTES:
        value = rest.get(name)
        if value is not None and name in _FLOATS:
            value = number(value)
        elif value is not None and not isinstance(value, str):
            value = _text(value)
        if value is not None:
            del rest[name]
        made.append(value)
    made.append(_text(rest) if rest else None)
    return [_encodable(value) if isinstance(value, str) else value for value in made]


def _document(value: Any) -> bytes:
    """A line of JSON that a terminal can be shown; the same value."""
    data = dumps(value)
    if not data.isascii() or b"\x7f" in data:
        data = clean_json(data.decode("utf-8", "replace")).encode("utf-8")
    return data + b"\n"


def _text(value: Any) -> str:
    return dumps(value).decode("utf-8")


def _encodable(text: str) -> str:
    """Lone surrogates, which no encoding takes, as their escapes."""
    return text if text.isascii() else text.encode("utf-8", "backslashreplace").decode("utf-8")


def _cell(value: Any) -> Any:
    if not isinstance(value, str):
        return value
    text = clean_lines(value)
    return f"'{text}" if text.startswith(_FORMULA) else text
