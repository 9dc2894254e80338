"""A database is read whatever its state, and never written to."""

from __future__ import annotations

import json
import os
import shutil
import sqlite3
from pathlib import Path
from typing import Any, Optional

import pytest

from peekr.errors import UnreadableFileError
from peekr.store.query import Query, Trace
from peekr.store.sqlite.read import SqliteReader
from tests.support.trace_files import (
    SCHEMA,
    agent_trace,
    insert_sqlite,
    span,
    trace_id,
    write_sqlite,
)

LIMITS = [None, 1000]


def read(path: Path, query: Query) -> tuple[list[Trace], str]:
    reader = SqliteReader(str(path))
    try:
        traces = list(reader.select(query).traces)
        return traces, reader.problems.describe()
    finally:
        reader.close()


def content(folder: Path) -> dict[str, tuple[bytes, int]]:
    return {
        path.name: (path.read_bytes(), path.stat().st_mtime_ns)
        for path in sorted(folder.iterdir())
        if not path.name.endswith("-shm")
    }


def test_reading_leaves_no_file_and_no_change_behind(tmp_path: Path) -> None:
    path = write_sqlite(tmp_path / "t.db", agent_trace(1))
    before = content(tmp_path)
    assert list(before) == ["t.db"]
    assert len(read(path, Query(limit=5, errors=True))[0]) == 0
    assert len(read(path, Query())[0]) == 1
    reader = SqliteReader(str(path))
    assert reader.tail().poll() == []
    reader.close()
    assert content(tmp_path) == before
    assert not (tmp_path / "t.db-shm").exists()


def test_rows_of_a_running_writer_are_seen(tmp_path: Path) -> None:
    path = write_sqlite(tmp_path / "t.db", agent_trace(1))
    writer = sqlite3.connect(str(path))
    insert_sqlite(writer, agent_trace(2))
    before = content(tmp_path)
    assert len(before) == 2
    assert len(read(path, Query(limit=5))[0]) == 2
    assert content(tmp_path) == before
    writer.close()


def test_a_wal_file_without_its_writer_is_read_too(tmp_path: Path) -> None:
    path = write_sqlite(tmp_path / "t.db", agent_trace(1))
    writer = sqlite3.connect(str(path))
    insert_sqlite(writer, agent_trace(2))
    folder = tmp_path / "copy"
    folder.mkdir()
    for suffix in ("", "-wal"):
        shutil.copyfile(f"{path}{suffix}", folder / f"t.db{suffix}")
    writer.close()
    assert len(read(folder / "t.db", Query(limit=5))[0]) == 2


@pytest.mark.skipif(os.name == "nt", reason="permissions of folders are of POSIX")
@pytest.mark.parametrize("with_wal", [False, True])
def test_a_read_only_folder_is_no_obstacle(
    tmp_path: Path, with_wal: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "folder"
    folder.mkdir()
    path = write_sqlite(folder / "t.db", agent_trace(1))
    writer = sqlite3.connect(str(path))
    insert_sqlite(writer, agent_trace(2))
    target = tmp_path / "locked"
    target.mkdir()
    for suffix in ("", "-wal") if with_wal else ("",):
        shutil.copyfile(f"{path}{suffix}", target / f"t.db{suffix}")
    writer.close()
    if os.geteuid() == 0:
        # Permissions do not bind root: stand in for what SQLite answers everybody else.
        real = sqlite3.connect

        def refusing(database: Any, *args: Any, **options: Any) -> sqlite3.Connection:
            if "locked" in str(database) and "mode=ro" in str(database):
                raise sqlite3.OperationalError("unable to open database file")
            return real(database, *args, **options)

        monkeypatch.setattr(sqlite3, "connect", refusing)
    target.chmod(0o555)
    try:
        assert len(read(target / "t.db", Query(limit=5))[0]) == (2 if with_wal else 1)
    finally:
        target.chmod(0o755)
    assert not (target / "t.db-shm").exists()


def test_names_that_mean_something_in_a_uri(tmp_path: Path) -> None:
    for name in ("a?b.db", "a#b.db", "a%20b.db", "ä b.db"):
        path = write_sqlite(tmp_path / name, agent_trace(1))
        assert len(read(path, Query(limit=5))[0]) == 1


def test_another_programs_database_is_told_apart(tmp_path: Path) -> None:
    for schema, reason in (
        ("CREATE TABLE users (id)", "it has no table spans"),
        ("CREATE TABLE spans (id, length)", "its table spans is not Peekr's"),
    ):
        path = tmp_path / "foreign.db"
        path.unlink(missing_ok=True)
        write_sqlite(path, [], schema)
        with pytest.raises(UnreadableFileError, match=reason):
            SqliteReader(str(path))


@pytest.mark.parametrize("limit", LIMITS)
def test_a_file_with_fewer_columns_is_read(tmp_path: Path, limit: Optional[int]) -> None:
    path = tmp_path / "t.db"
    connection = sqlite3.connect(str(path))
    connection.execute("CREATE TABLE spans (trace_id, span_id, name, start_time, attributes)")
    connection.execute(
        "INSERT INTO spans VALUES ('t', ?, 'openai.chat', 5.0, ?)",
        ("a" * 32, json.dumps({"model": "gpt-4"})),
    )
    connection.commit()
    connection.close()
    traces, problems = read(path, Query(limit=limit, model="gpt-4", since=1.0))
    assert traces[0].spans[0].attributes == {"model": "gpt-4"}
    assert problems == ""
    assert read(path, Query(limit=limit, errors=True))[0] == []


@pytest.mark.parametrize("limit", LIMITS)
def test_rows_with_values_of_the_wrong_type(tmp_path: Path, limit: Optional[int]) -> None:
    path = tmp_path / "t.db"
    connection = sqlite3.connect(str(path))
    connection.execute(
        "CREATE TABLE spans (trace_id, span_id, parent_id, name, start_time, end_time,"
        " duration_ms, status, attributes, tenant_id, retention_class)"
    )
    rows: list[list[Any]] = [
        ["t1", "a", None, "x", "soon", b"\xff", "7", "error", "{broken", None, None],
        ["t2", "b", 5, b"name", -5.0, 1e300, None, None, '{"model": NaN}', 1, 2],
        ["t3", "c", None, "not utf-8", 1.0, 2.0, 3.0, "ok", b'{"a": "\xff"}', None, None],
        [b"\x00\x01", "d", None, "x", 1.0, 2.0, 3.0, "ok", "{}", None, None],
        [None, None, None, None, None, None, None, None, None, None, None],
    ]
    for row in rows:
        connection.execute(f"INSERT INTO spans VALUES ({', '.join('?' * 11)})", row)
    connection.execute("UPDATE spans SET name = CAST(X'ff41' AS TEXT) WHERE span_id = 'c'")
    connection.commit()
    connection.close()
    traces, problems = read(path, Query(limit=limit))
    assert {trace.trace_id for trace in traces} == {"t1", "t2", "t3"}
    assert next(trace for trace in traces if trace.trace_id == "t3").spans[0].name == "\ufffdA"
    assert "2 rows could be read only in part" in problems
    if limit is not None:
        assert "2 rows could not be read" in problems
    assert [trace.trace_id for trace in read(path, Query(limit=limit, model="x*"))[0]] == []


def damaged(path: Path, spans: int, first_page: int, pages: int) -> Path:
    """A database in which some pages hold noise."""
    write_sqlite(path, [span(number, input="x" * 700) for number in range(1, spans + 1)])
    with path.open("r+b") as file:
        file.seek(first_page * 4096)
        file.write(b"\xa5" * (4096 * pages))
    return path


@pytest.mark.parametrize("limit", LIMITS)
@pytest.mark.parametrize("first_page", range(4, 60, 5))
def test_of_a_damaged_database_the_other_rows_are_read(
    tmp_path: Path, first_page: int, limit: Optional[int]
) -> None:
    path = damaged(tmp_path / "t.db", 300, first_page, 1)
    before = path.read_bytes()
    traces, problems = read(path, Query(limit=limit))
    found = {trace.trace_id for trace in traces}
    assert found <= {trace_id(number) for number in range(1, 301)}
    assert len(found) == len(traces)
    # A page of the table holds five of the rows; a page of an index or of the inner tree more.
    if len(found) < 300:
        assert "the database is damaged" in problems
    assert len(found) >= 290 or "could not be read" in problems or "not known" in problems
    assert path.read_bytes() == before


def test_every_row_that_is_left_is_found_and_the_lost_are_counted(tmp_path: Path) -> None:
    numbers = range(1, 301)
    path = write_sqlite(tmp_path / "t.db", [span(number, input="x" * 700) for number in numbers])
    data = path.read_bytes()
    pages = [data[start : start + 4096] for start in range(0, len(data), 4096)]
    # The page of the table that holds a row in the middle: the indexes' pages hold many more.
    lost, page = min(
        (sum(trace_id(number).encode() in page for number in numbers), position)
        for position, page in enumerate(pages)
        if trace_id(150).encode() in page
    )
    inside = {number for number in numbers if trace_id(number).encode() in pages[page]}
    with path.open("r+b") as file:
        file.seek(page * 4096)
        file.write(b"\xa5" * 4096)
    traces, problems = read(path, Query(limit=1000))
    assert {trace.trace_id for trace in traces} == {trace_id(n) for n in numbers if n not in inside}
    assert f"{lost} rows could not be read" in problems
    assert "the database is damaged" in problems


def test_a_database_that_is_cut_off_is_read_as_far_as_it_goes(tmp_path: Path) -> None:
    path = damaged(tmp_path / "t.db", 300, 1, 0)
    data = path.read_bytes()
    path.write_bytes(data[: len(data) // 2 // 4096 * 4096])
    traces, problems = read(path, Query(limit=1000))
    assert 0 < len(traces) < 300
    assert "the database is damaged" in problems


def test_a_locked_database_is_said_to_be_locked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("peekr.store.sqlite.readonly._BUSY_S", 0.01)
    path = tmp_path / "t.db"
    connection = sqlite3.connect(str(path), isolation_level=None)
    connection.executescript(SCHEMA)
    connection.execute("BEGIN EXCLUSIVE")
    with pytest.raises(UnreadableFileError, match="locked"):
        read(path, Query(limit=1))
    connection.close()


def test_the_tail_gives_each_row_once(tmp_path: Path) -> None:
    path = write_sqlite(tmp_path / "t.db", agent_trace(1))
    reader = SqliteReader(str(path))
    tail = reader.tail()
    assert tail.poll() == []
    writer = sqlite3.connect(str(path))
    insert_sqlite(writer, agent_trace(2))
    assert len(tail.poll()) == 3
    assert tail.poll() == []
    insert_sqlite(writer, [span(3)])
    writer.close()
    assert [record.trace_id for record in tail.poll()] == [trace_id(3)]
    tail.close()
    reader.close()


def test_the_tail_follows_emptying_replacement_and_absence(tmp_path: Path) -> None:
    path = write_sqlite(tmp_path / "t.db", agent_trace(1))
    reader = SqliteReader(str(path))
    tail = reader.tail()
    writer = sqlite3.connect(str(path))
    writer.execute("DELETE FROM spans")
    insert_sqlite(writer, [span(2)])
    writer.close()
    assert [record.trace_id for record in tail.poll()] == [trace_id(2)]
    path.rename(tmp_path / "old.db")
    assert tail.poll() == []
    write_sqlite(path, [span(4)])
    assert [record.trace_id for record in tail.poll()] == [trace_id(4)]
    tail.close()
    reader.close()
