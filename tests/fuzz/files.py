"""Trace files with damage in them, and what an independent reading finds on their lines."""

from __future__ import annotations

import json
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any, Dict, List, NamedTuple, Optional, Tuple

from hypothesis import strategies as st

from peekr.store.opening import open_reader
from peekr.store.query import Query
from peekr.store.sqlite.schema import COLUMNS
from tests.dialects.reading import FILES

from ..support.facts.wire import json_object
from .mutating import ODD, Mutation, mutate, mutations

Json = Dict[str, Any]

__all__ = ["LINES", "RECORDS", "Found", "identity", "look", "of_line", "write_sqlite"]

_PEEKR = [path for path in FILES if path.suffix == ".jsonl" and path.stem.startswith("peekr")]
_SAMPLES: List[Json] = [
    json.loads(line) for path in _PEEKR for line in path.read_text("utf-8").splitlines()
]
_TRACES = tuple(f"{number:032x}" for number in (1, 2, 10, 0xFF << 100))
_MODELS = ("gpt-4o", "gpt-4o-2024-08-06", "GPT-4o-mini", "claude [x]", "glöckner", "m*", 7, None)
_SESSIONS = ("s1", "S1", "söhne", 's"1', "", 7, 7.0, None)


def _record(
    sample: Json, trace: int, span: int, model: Any, session: Any, status: Any, end: Any
) -> Json:
    attributes = {**sample["attributes"], "model": model, "session_id": session}
    made = {
        **sample,
        "trace_id": _TRACES[trace],
        "span_id": f"{span:016x}",
        "parent_id": None,
        "status": status,
        "end_time": end,
        "attributes": attributes,
    }
    return made


RECORDS = st.builds(
    _record,
    st.sampled_from(_SAMPLES),
    st.integers(0, len(_TRACES) - 1),
    st.integers(1, 1 << 62),
    st.sampled_from(_MODELS),
    st.sampled_from(_SESSIONS),
    st.sampled_from(("ok", "error")),
    st.sampled_from((1.0, 1_700_000_000.0, 1_700_000_050.5, None)),
)
"""Records whose fields have the types that they must have."""


def _as_line(record: Any, spaced: bool) -> bytes:
    separators = (", ", ": ") if spaced else (",", ":")
    return json.dumps(record, separators=separators).encode("utf-8", "backslashreplace")


def _mutated_line(record: Json, how: List[Mutation], spaced: bool) -> bytes:
    return _as_line(mutate(record, how), spaced)


def _cut_line(line: bytes, at: int) -> bytes:
    return line[: at % (len(line) + 1)]


def _damaged_line(line: bytes, at: int, damage: bytes) -> bytes:
    at %= len(line)
    return line[:at] + damage.replace(b"\n", b"").replace(b"\r", b"") + line[at:]


def _odd_line(odd: Any) -> bytes:
    return _as_line(odd, False)


_PLACES = st.integers(0, 1 << 16)
_WHOLE = st.builds(_as_line, RECORDS, st.booleans())
_MUTATED = st.builds(_mutated_line, RECORDS, mutations(), st.booleans())
_CUT = st.builds(_cut_line, _WHOLE, _PLACES)
_DAMAGED = st.builds(_damaged_line, _WHOLE, _PLACES, st.binary(min_size=1, max_size=5))
_OTHER = st.one_of(
    st.sampled_from([b"", b"  ", b"null", b"[]", b"{}", b"7", b'"x"', b"[" * 5_000, b"\x00" * 9]),
    ODD.map(_odd_line),
)
LINES = st.lists(
    st.one_of(_WHOLE, _WHOLE, _MUTATED, _CUT, _DAMAGED, _OTHER), min_size=1, max_size=8
)
"""The lines of a file: records, damaged ones, and anything else."""


def identity(value: Any) -> Optional[Tuple[str, str]]:
    """The ids of a JSON value that is a record; None where it is none."""
    given = json_object(value)
    trace_id, span_id = given.get("trace_id"), given.get("span_id")
    return (trace_id, span_id) if isinstance(trace_id, str) and isinstance(span_id, str) else None


def of_line(line: bytes) -> Optional[Tuple[str, str]]:
    """The ids of the record on a line, read by nothing of Peekr's."""
    try:
        value = json.loads(line.decode("utf-8", "replace"))
    except (ValueError, RecursionError):
        return None
    return identity(value)


class Found(NamedTuple):
    """What a reader says of a file, in each of its ways."""

    records: List[Any]
    selected: List[Any]
    limited: List[Any]
    columns: List[Tuple[str, str]]
    unreadable: int


def look(path: Path) -> Found:
    """Read a file in all the ways in which commands do.

    Raises:
        UnreadableFileError: nothing in it can be read.
    """
    with closing(open_reader(str(path))) as reader:
        records = list(reader.records())
        unreadable = reader.problems.count
        selected = [span for trace in reader.select(Query()).traces for span in trace.spans]
        assert reader.problems.count == unreadable, reader.problems
        limited = [span for trace in reader.select(Query(limit=50)).traces for span in trace.spans]
        assert reader.problems.count == unreadable, reader.problems
        assert "\n" not in reader.problems.describe()
        columns: List[Tuple[str, str]] = []
        source: Any = reader
        if hasattr(source, "columns"):
            for block in source.columns():
                assert len({len(column) for column in block}) == 1
                # Unchecked, as it is said there: a row without ids may be among them.
                pairs = zip(block[0], block[1])
                columns += [pair for pair in pairs if set(map(type, pair)) == {str}]
        else:
            columns = [(record.trace_id, record.span_id) for record in records]
        ids = {record.trace_id for record in records}
        picked = [span for trace in reader.pick(ids) for span in trace.spans]
        assert len(picked) == len(records)
    return Found(records, selected, limited, columns, unreadable)


def write_sqlite(path: Path, rows: List[Dict[str, Any]]) -> None:
    """A database of Peekr's schema with whatever the rows hold, of whatever types."""
    with closing(sqlite3.connect(str(path))) as database:
        database.execute(f"CREATE TABLE spans ({', '.join(COLUMNS)})")
        marks = ", ".join("?" * len(COLUMNS))
        for row in rows:
            values = [row.get(name) for name in COLUMNS]
            database.execute(f"INSERT INTO spans VALUES ({marks})", values)
        database.commit()
