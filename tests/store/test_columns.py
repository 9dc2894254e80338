"""Records as columns are the same records, whatever is wrong with some of them."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any, cast

import pytest

from peekr.errors import UnreadableFileError
from peekr.store.columns import FIELDS, Columns, columns_of
from peekr.store.jsonl.read import JsonlReader
from peekr.store.opening import open_reader
from peekr.store.sqlite.read import SqliteReader
from tests.support.trace_files import NOW, Record, span, write_jsonl, write_sqlite

Write = Callable[[Path, list[Record]], Path]
RECORDS = [
    span(n // 3, n, None if n % 3 == 0 else n - 1, f"step {n}", NOW + n, 5.0 + n, model=f"m{n % 4}")
    for n in range(100)
]


def read(path: Path) -> tuple[list[Record], str]:
    """All records of a file by its columns, and what could not be read."""
    with closing(cast("JsonlReader | SqliteReader", open_reader(str(path)))) as reader:
        blocks: list[Columns] = list(reader.columns())
        assert all(len({len(column) for column in block}) == 1 and block[0] for block in blocks)
        found: list[Record] = [
            dict(zip(FIELDS, values)) for block in blocks for values in zip(*block)
        ]
        return found, reader.problems.describe()


def told(records: list[Record]) -> list[Record]:
    return [{name: record[name] for name in FIELDS} for record in records]


@pytest.mark.parametrize("write", [write_jsonl, write_sqlite])
def test_columns_hold_every_record_in_order(tmp_path: Path, write: Write) -> None:
    assert read(write(tmp_path / "t", RECORDS)) == (told(RECORDS), "")


@pytest.mark.parametrize("line", ["torn {", "[1]", '{"name": "no ids"}', "", "   "])
def test_line_that_is_no_record_is_left_out(tmp_path: Path, line: str) -> None:
    path = write_jsonl(tmp_path / "t", RECORDS[:50])
    with path.open("a", encoding="utf-8") as stream:
        stream.write(line + "\n")
    found, problems = read(path)
    assert found == told(RECORDS[:50])
    assert bool(problems) is bool(line.strip())


def test_field_that_a_line_lacks_is_none(tmp_path: Path) -> None:
    record: dict[str, Any] = {**RECORDS[0]}
    del record["tenant_id"], record["end_time"]
    (found,), problems = read(write_jsonl(tmp_path / "t", [record]))
    assert (found["tenant_id"], found["end_time"], problems) == (None, None, "")
    assert found["attributes"] == record["attributes"]


def test_row_whose_attributes_are_no_json_keeps_the_rest(tmp_path: Path) -> None:
    path = write_sqlite(tmp_path / "t.db", RECORDS)
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("UPDATE spans SET attributes = '{' WHERE name = 'step 40'")
        connection.commit()
    found, problems = read(path)
    expected = told(RECORDS)
    expected[40]["attributes"] = {}
    assert found == expected
    assert problems == "1 row could be read only in part"


def test_text_that_is_not_utf8_is_read_with_a_mark_in_its_place(tmp_path: Path) -> None:
    path = write_sqlite(tmp_path / "t.db", RECORDS)
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("UPDATE spans SET name = CAST(x'61ff' AS TEXT) WHERE name = 'step 70'")
        connection.commit()
    found, problems = read(path)
    expected = told(RECORDS)
    expected[70]["name"] = "a\ufffd"
    assert (found, problems) == (expected, "")


def test_file_without_a_record_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "t.jsonl"
    path.write_text("torn {\n", "utf-8")
    with pytest.raises(UnreadableFileError, match="no line is a record"):
        read(path)


def test_nothing_has_no_columns() -> None:
    assert columns_of([]) == []


@pytest.mark.parametrize("head", [b"", b"\xef\xbb\xbf"])
def test_traces_are_picked_from_all_over_the_file_after_a_pass(tmp_path: Path, head: bytes) -> None:
    records = [span(n % 700, n, None, "x" * (n % 3000), NOW + n, 5.0) for n in range(2100)]
    path = write_jsonl(tmp_path / "t", records)
    path.write_bytes(head + path.read_bytes().rstrip(b"\n"))
    wanted = {records[n]["trace_id"] for n in (0, 1, 350, 699)}
    with closing(JsonlReader(str(path))) as reader:
        before = {trace.trace_id: trace.spans for trace in reader.pick(wanted)}
        assert sum(len(block[0]) for block in reader.columns()) == 2100
        after = {trace.trace_id: trace.spans for trace in reader.pick(wanted | {"none"})}
    assert after == before
    assert {name: len(spans) for name, spans in after.items()} == dict.fromkeys(wanted, 3)
