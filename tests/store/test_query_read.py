"""Both formats answer the same query in the same way."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Callable, Optional

import pytest

from peekr.errors import UnreadableFileError
from peekr.store.opening import open_reader
from peekr.store.query import Query, Selection
from tests.support.trace_files import (
    NOW,
    Record,
    agent_trace,
    span,
    trace_id,
    write_jsonl,
    write_sqlite,
)

Write = Callable[[Path, list[Record]], Path]


@pytest.fixture(params=["jsonl", "sqlite"])
def write(request: pytest.FixtureRequest) -> Write:
    return write_jsonl if request.param == "jsonl" else write_sqlite


def ask(path: Path, query: Query) -> tuple[list[str], int]:
    reader = open_reader(str(path))
    try:
        selection = reader.select(query)
        return [trace.trace_id for trace in selection.traces], selection.omitted
    finally:
        reader.close()


@pytest.fixture
def many(tmp_path: Path, write: Write) -> Path:
    records: list[Record] = []
    for number in range(1, 31):
        records += agent_trace(
            number,
            model="gpt-4o-mini" if number % 3 == 0 else "gpt-4o-2024-08-06",
            error="RateLimitError: slow" if number % 5 == 0 else "",
            session=f"s{number % 2}",
        )
        for record in records[-3:]:
            if number % 4 == 0:
                record["tenant_id"] = "acme" if number % 8 else "Acme"
            record["attributes"]["user_id"] = f"u-{number % 10}"
    return write(tmp_path / "traces", records)


ALL = range(1, 31)
EXPECTED: list[tuple[Query, list[int]]] = [
    (Query(), list(ALL)),
    (Query(errors=True), [n for n in ALL if n % 5 == 0]),
    (Query(model="gpt-4o"), [n for n in ALL if n % 3]),
    (Query(model="GPT-4O-MINI"), [n for n in ALL if n % 3 == 0]),
    (Query(model="gpt-*"), list(ALL)),
    (Query(model="*"), list(ALL)),
    (Query(model="gpt-4"), []),
    (Query(session="s1"), [n for n in ALL if n % 2]),
    (Query(session="s1", errors=True), [5, 15, 25]),
    (Query(model="gpt-4o-mini", errors=True, session="s0"), [30]),
    (Query(tenant="acme"), [4, 12, 20, 28]),
    (Query(tenant="Acme", session="s0"), [8, 16, 24]),
    (Query(tenant="acm"), []),
    (Query(user="u-7"), [7, 17, 27]),
    (Query(user="u-0", tenant="acme"), [20]),
    (Query(since=NOW + 25 * 10), list(range(25, 31))),
    (Query(since=NOW + 25 * 10 + 5.0), list(range(25, 31))),
    (Query(since=NOW + 25 * 10 + 5.01), list(range(26, 31))),
    (Query(trace=trace_id(7)), [7]),
    (Query(trace="0" * 31), list(range(1, 16))),
    (Query(trace="zz"), []),
]


@pytest.mark.parametrize(("query", "numbers"), EXPECTED)
@pytest.mark.parametrize("limit", [None, 1000, 3])
def test_a_query_chooses_whole_traces_newest_last(
    many: Path, query: Query, numbers: list[int], limit: Optional[int]
) -> None:
    limited = replace(query, limit=limit)
    found, omitted = ask(many, limited)
    kept = numbers if limit is None else numbers[-limit:]
    assert found == [trace_id(number) for number in kept]
    assert omitted == len(numbers) - len(kept)


def test_every_span_of_a_chosen_trace_is_there_also_when_traces_interleave(
    tmp_path: Path, write: Write
) -> None:
    traces = [agent_trace(number) for number in range(1, 6)]
    mixed = [records[index] for index in range(3) for records in traces]
    path = write(tmp_path / "traces", mixed)
    for limit in (None, 2):
        reader = open_reader(str(path))
        found = list(reader.select(Query(limit=limit)).traces)
        assert [len(trace.spans) for trace in found] == [3] * len(found)
        assert len(found) == (5 if limit is None else 2)
        reader.close()


def test_all_records_come_in_the_order_of_the_file(many: Path) -> None:
    reader = open_reader(str(many))
    names = [record.name for record in reader.records()]
    reader.close()
    assert names == ["openai.chat", "openai.chat", "agent.run"] * 30


def test_what_is_added_after_opening_is_told_by_the_tail_alone(tmp_path: Path) -> None:
    path = write_jsonl(tmp_path / "t.jsonl", agent_trace(1))
    reader = open_reader(str(path))
    tail = reader.tail()
    with path.open("a", encoding="utf-8") as file:
        file.write(write_jsonl(tmp_path / "more", agent_trace(2)).read_text())
    selection: Selection = reader.select(Query(limit=10))
    assert [trace.trace_id for trace in selection.traces] == [trace_id(1)]
    assert [record.trace_id for record in tail.poll()] == [trace_id(2)] * 3
    assert tail.poll() == []
    tail.close()
    reader.close()


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "the file is empty"),
        (b"\n\n", "the file holds no records"),
        (b"\x1f\x8b\x08abc", "is compressed with gzip"),
        (b"PK\x03\x04", "zip archive"),
        (b"PAR1....", "Parquet"),
        (
            b"hello\nworld\n",
            "2 lines could not be read (first: line 1: not JSON)",
        ),
        ('{"trace_id": "x"}'.encode("utf-16"), "is UTF-16 text"),
        (b"SQLite format 3\x00" + b"\xff" * 2000, "the database is damaged"),
        (b"SQLite format 3\x00", "the database is damaged"),
        (bytes(range(256)) * 10, "could not be read"),
    ],
)
def test_what_is_no_trace_file_is_refused_in_one_line(
    tmp_path: Path, content: bytes, reason: str
) -> None:
    path = tmp_path / "file"
    path.write_bytes(content)
    with pytest.raises(UnreadableFileError) as caught:
        ask(path, Query(limit=5))
    assert reason in str(caught.value)
    assert "\n" not in str(caught.value)
    with pytest.raises(UnreadableFileError):
        ask(path, Query())
    assert path.read_bytes() == content


def test_a_missing_file_is_not_made(tmp_path: Path) -> None:
    for name in ("no.db", "no.jsonl", "bad\x00name"):
        with pytest.raises(UnreadableFileError):
            open_reader(str(tmp_path / name))
    with pytest.raises(UnreadableFileError, match="is a directory"):
        open_reader(str(tmp_path))
    assert list(tmp_path.iterdir()) == []


def test_the_format_is_told_by_content_not_by_name(tmp_path: Path) -> None:
    assert len(ask(write_sqlite(tmp_path / "a.jsonl", [span()]), Query(limit=1))[0]) == 1
    assert len(ask(write_jsonl(tmp_path / "b.db", [span()]), Query(limit=1))[0]) == 1
