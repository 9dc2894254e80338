"""The SQLite sink: every row, whatever happens to the file, the disk and the lock."""

from __future__ import annotations

import json
import os
import shutil
import sqlite3
import sys
import threading
import tracemalloc
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from peekr.store.sqlite import write as module
from peekr.store.sqlite.schema import COLUMNS, SCHEMA_VERSION
from peekr.store.sqlite.write import SqliteSink
from tests.store.writing import make_record, run, sqlite_numbers, wait_until

# As Peekr 0.9.3 made it.
TABLE_OF_0_9 = """
CREATE TABLE IF NOT EXISTS spans (
    trace_id        TEXT NOT NULL,
    span_id         TEXT NOT NULL PRIMARY KEY,
    parent_id       TEXT,
    name            TEXT NOT NULL,
    start_time      REAL NOT NULL,
    end_time        REAL,
    duration_ms     REAL,
    status          TEXT NOT NULL DEFAULT 'ok',
    attributes      TEXT,
    tenant_id       TEXT,
    retention_class TEXT
);
CREATE INDEX IF NOT EXISTS idx_trace_id       ON spans(trace_id);
CREATE INDEX IF NOT EXISTS idx_name           ON spans(name);
CREATE INDEX IF NOT EXISTS idx_start_time     ON spans(start_time);
CREATE INDEX IF NOT EXISTS idx_tenant_id      ON spans(tenant_id);
CREATE INDEX IF NOT EXISTS idx_retention      ON spans(retention_class);
CREATE TABLE feedback (id TEXT NOT NULL PRIMARY KEY, trace_id TEXT NOT NULL, rating TEXT NOT NULL,
                       note TEXT NOT NULL DEFAULT '', created_at REAL NOT NULL);
PRAGMA user_version = 1;
"""

TABLE_BEFORE_TENANTS = """
CREATE TABLE spans (trace_id TEXT NOT NULL, span_id TEXT NOT NULL PRIMARY KEY, parent_id TEXT,
                    name TEXT NOT NULL, start_time REAL NOT NULL, end_time REAL, duration_ms REAL,
                    status TEXT NOT NULL DEFAULT 'ok', attributes TEXT);
CREATE INDEX idx_trace_id ON spans(trace_id);
"""

OLD_ROW = """
INSERT INTO spans (trace_id, span_id, name, start_time, attributes) VALUES
    ('92c5ec203d914166b6e77bea34f21466', 'bd97b12e5dd546079a47e8382f773d46', 'app.f', 1.5,
     '{"model": "old", "input": "hi"}')
"""


def messages(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [record.getMessage() for record in caplog.records if record.name == "peekr.store"]


def fetch(path: str | Path, sql: str) -> list[tuple[Any, ...]]:
    with closing(sqlite3.connect(path)) as connection:
        return connection.execute(sql).fetchall()


def execute(path: str | Path, script: str) -> None:
    with closing(sqlite3.connect(path)) as connection:
        connection.executescript(script)
        connection.commit()


@pytest.fixture
def sink(tmp_path: Path) -> Iterator[SqliteSink]:
    sink = SqliteSink(tmp_path / "traces.db")
    yield sink
    sink.close()


def test_row_is_the_record_with_attributes_as_json_text(sink: SqliteSink) -> None:
    record = make_record(7)
    record.tenant_id, record.retention_class = "acme", "pii"
    sink.write(record)
    assert sink.flush()
    with closing(sqlite3.connect(sink.path)) as connection:
        connection.row_factory = sqlite3.Row
        (row,) = map(dict, connection.execute("SELECT * FROM spans"))
    assert isinstance(row["attributes"], str)
    row["attributes"] = json.loads(row["attributes"])
    assert row == record.to_dict()


def test_database_has_the_journal_the_version_the_key_and_the_indexes(sink: SqliteSink) -> None:
    assert fetch(sink.path, "PRAGMA journal_mode") == [("wal",)]
    assert fetch(sink.path, "PRAGMA user_version") == [(SCHEMA_VERSION,)]
    table = fetch(sink.path, "PRAGMA table_info(spans)")
    assert tuple(row[1] for row in table) == COLUMNS
    assert [row[1] for row in table if row[5]] == ["span_id"]
    indexed = fetch(
        sink.path,
        "SELECT i.name FROM pragma_index_list('spans') AS l, pragma_index_info(l.name) AS i",
    )
    assert {name for (name,) in indexed} == {
        "span_id",
        "trace_id",
        "name",
        "start_time",
        "tenant_id",
        "retention_class",
    }


def test_record_is_committed_without_flush(sink: SqliteSink) -> None:
    sink.write(make_record(1))
    wait_until(lambda: sqlite_numbers(Path(sink.path)) == [1])


def test_record_written_again_replaces_the_first(sink: SqliteSink) -> None:
    sink.write(make_record(1))
    sink.write(make_record(2))
    sink.flush()
    for name in ("first", "second"):  # in one batch
        sink.write(make_record(1, name=name))
    sink.flush()
    assert sqlite_numbers(Path(sink.path)) == [1, 2]
    assert fetch(sink.path, "SELECT name FROM spans ORDER BY span_id") == [
        ("second",),
        ("openai.chat",),
    ]


@pytest.mark.parametrize("count", [1, 2, 3, 63, 64, 65, 255, 256, 257, 1000])
def test_batches_of_every_size_are_stored_whole(count: int, sink: SqliteSink) -> None:
    for number in range(count):
        sink.write(make_record(number, 10))
    assert sink.flush()
    assert sqlite_numbers(Path(sink.path)) == list(range(count))


def test_value_that_sqlite_refuses_costs_no_other_record(
    sink: SqliteSink, caplog: pytest.LogCaptureFixture
) -> None:
    for number in range(5):
        record = make_record(number, 10)
        if number == 2:
            record.name = "lone \ud800 surrogate\0"
            record.start_time = float("nan")
            record.duration_ms = 2**70
            record.attributes["input"] = "\ud800"
        sink.write(record)
    assert sink.flush()
    assert sqlite_numbers(Path(sink.path)) == [0, 1, 2, 3, 4]
    assert fetch(sink.path, "SELECT name FROM spans WHERE span_id LIKE '%2'") == [
        ("lone \\ud800 surrogate\0",)
    ]
    assert (sink.lost, messages(caplog)) == (0, [])


@pytest.mark.parametrize("old", [TABLE_OF_0_9, TABLE_BEFORE_TENANTS])
def test_file_of_an_earlier_version_is_completed_and_keeps_its_rows(
    old: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = tmp_path / "traces.db"
    execute(path, old + OLD_ROW)
    sink = SqliteSink(path)
    sink.write(make_record(1))
    assert sink.close()
    assert fetch(
        path, "SELECT length(span_id), json_extract(attributes, '$.model') FROM spans"
    ) == [
        (32, "old"),
        (16, "gpt-4o"),
    ]
    assert {row[1] for row in fetch(path, "PRAGMA table_info(spans)")} == set(COLUMNS)
    assert len(fetch(path, "PRAGMA index_list(spans)")) == 6
    assert fetch(path, "PRAGMA user_version") == [(SCHEMA_VERSION,)]
    assert fetch(path, "PRAGMA integrity_check") == [("ok",)]
    assert messages(caplog) == []


def test_file_of_a_later_version_is_written_and_keeps_its_number_and_columns(
    tmp_path: Path,
) -> None:
    path = tmp_path / "traces.db"
    SqliteSink(path).close()
    execute(path, "ALTER TABLE spans ADD COLUMN later TEXT DEFAULT 'x'; PRAGMA user_version = 99")
    sink = SqliteSink(path)
    sink.write(make_record(1))
    assert sink.close()
    assert fetch(path, "SELECT later FROM spans") == [("x",)]
    assert fetch(path, "PRAGMA user_version") == [(99,)]


def test_dropped_table_is_made_again(sink: SqliteSink) -> None:
    sink.write(make_record(1))
    sink.flush()
    execute(sink.path, "DROP TABLE spans")
    sink.write(make_record(2))
    assert sink.flush()
    assert sqlite_numbers(Path(sink.path)) == [2]
    assert sink.lost == 0


@pytest.mark.parametrize(
    ("script", "reason"),
    [
        ("CREATE TABLE spans (a, b)", "its table spans is not Peekr's (no column"),
        (
            "CREATE TABLE spans (span_id, trace_id, name, start_time)",
            "its table spans is not Peekr's (span_id is not unique)",
        ),
        ("CREATE TABLE t (a); PRAGMA user_version = 7", "it is another program's database"),
    ],
)
def test_database_of_another_program_is_left_alone(
    script: str, reason: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = tmp_path / "traces.db"
    execute(path, script)
    before = path.read_bytes()
    sink = SqliteSink(path)
    assert reason in messages(caplog)[0]
    for number in range(3):
        sink.write(make_record(number))
    assert sink.close()
    assert sink.lost == 3
    assert path.read_bytes() == before
    assert len(messages(caplog)) == 2


def test_table_joins_those_of_an_application_that_numbers_nothing(tmp_path: Path) -> None:
    path = tmp_path / "app.db"
    execute(path, "CREATE TABLE users (id); INSERT INTO users VALUES (1)")
    sink = SqliteSink(path)
    sink.write(make_record(1))
    assert sink.close()
    assert sqlite_numbers(path) == [1]
    assert fetch(path, "SELECT * FROM users") == [(1,)]


@pytest.mark.parametrize("damage", ["no database", "damaged database"])
def test_corrupt_file_is_said_once_and_neither_changed_nor_fatal(
    damage: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = tmp_path / "traces.db"
    if damage == "no database":
        path.write_bytes(b"not a database, " * 1000)
    else:
        SqliteSink(path).close()
        path.write_bytes(path.read_bytes()[:4096] + b"\xff" * 20_000)
    before = path.read_bytes()
    sink = SqliteSink(path)
    for number in range(50):
        sink.write(make_record(number))
    assert sink.flush()
    assert sink.lost == 50
    assert path.read_bytes() == before
    (message,) = messages(caplog)
    assert "file is not a database" in message or "malformed" in message
    path.unlink()
    sink.write(make_record(100))
    assert sink.close()
    assert sqlite_numbers(path) == [100]
    assert messages(caplog)[1:] == [f"writing traces to {path} again; 50 records were lost"]


def test_deleted_file_is_made_again(sink: SqliteSink, caplog: pytest.LogCaptureFixture) -> None:
    for round_ in range(3):
        sink.write(make_record(round_))
        assert sink.flush()
        assert sqlite_numbers(Path(sink.path)) == [round_]
        for end in ("", "-wal", "-shm")[: round_ + 1]:
            os.remove(sink.path + end)
    assert (sink.lost, messages(caplog)) == (0, [])


def test_removed_directory_is_made_again(sink: SqliteSink) -> None:
    sink.write(make_record(1))
    assert sink.flush()
    shutil.rmtree(Path(sink.path).parent)
    sink.write(make_record(2))
    assert sink.flush()
    assert sqlite_numbers(Path(sink.path)) == [2]
    assert sink.lost == 0


def test_database_moved_away_is_left_and_a_new_one_begun(sink: SqliteSink) -> None:
    sink.write(make_record(1))
    assert sink.flush()
    for end in ("", "-wal", "-shm"):
        os.rename(sink.path + end, f"{sink.path}.1{end}")
    sink.write(make_record(2))
    assert sink.flush()
    assert sqlite_numbers(Path(sink.path)) == [2]
    assert sqlite_numbers(Path(sink.path + ".1")) == [1]


@pytest.mark.parametrize(
    ("path", "reason"), [("file/traces.db", "Not a directory"), ("directory", "Is a directory")]
)
def test_unusable_path_is_said_at_once_and_used_when_it_becomes_usable(
    path: str, reason: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "file").touch()
    (tmp_path / "directory").mkdir()
    sink = SqliteSink(tmp_path / path)
    assert messages(caplog) == [
        f"cannot write traces to {tmp_path / path}: {reason}; the application goes on"
    ]
    for number in range(3):
        sink.write(make_record(number))
    assert sink.flush()
    assert sink.lost == 3
    (tmp_path / "file").unlink()
    (tmp_path / "directory").rmdir()
    sink.write(make_record(3))
    assert sink.close()
    assert sqlite_numbers(tmp_path / path) == [3]
    assert messages(caplog)[1:] == [
        f"writing traces to {tmp_path / path} again; 3 records were lost"
    ]


def test_locked_database_delays_records_and_loses_none(
    sink: SqliteSink, caplog: pytest.LogCaptureFixture
) -> None:
    with closing(sqlite3.connect(sink.path, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        for number in range(100):
            sink.write(make_record(number))
        assert not sink.flush(timeout_s=0.5)
        other.execute("COMMIT")
    assert sink.flush()
    assert sqlite_numbers(Path(sink.path)) == list(range(100))
    assert (sink.lost, messages(caplog)) == (0, [])


def test_close_gives_up_on_a_locked_database_and_says_what_is_lost(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    sink = SqliteSink(tmp_path / "traces.db")
    with closing(sqlite3.connect(sink.path, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        for number in range(1000):
            sink.write(make_record(number))
        assert not sink.close(timeout_s=0.1)
    assert sink.lost == 1000
    assert "1000 records were lost" in messages(caplog)[-1]


def test_what_waits_takes_the_memory_that_is_counted(sink: SqliteSink) -> None:
    with closing(sqlite3.connect(sink.path, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        sink.write(make_record(0))
        tracemalloc.start()
        for number in range(1, 1001):
            # More than the sink keeps of it: the record is of the caller's making.
            record = make_record(number, size=1200)
            record.attributes["seen"] = [{"part": str(n)} for n in range(20)]
            sink.write(record)
        used = tracemalloc.get_traced_memory()[0]
        tracemalloc.stop()
        counted = sink.waiting_bytes
        other.execute("COMMIT")
    assert 1_000_000 < counted < 3_000_000
    assert used < 1.2 * counted
    assert sink.flush()
    assert sink.waiting_bytes == 0


def test_full_queue_lets_the_caller_wait_while_the_writer_gets_on(
    sink: SqliteSink, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "_MAX_RECORDS", 10)
    for number in range(2000):
        sink.write(make_record(number))
    assert sink.flush()
    assert sqlite_numbers(Path(sink.path)) == list(range(2000))
    assert sink.lost == 0


def test_full_queue_of_a_writer_that_is_stuck_costs_records_not_time(
    sink: SqliteSink, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "_MAX_BYTES", 50_000)
    monkeypatch.setattr(module, "_STUCK_S", 0.0)
    with closing(sqlite3.connect(sink.path, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        for number in range(5_000):
            sink.write(make_record(number))
        assert sink.lost > 4_900
        other.execute("COMMIT")
    lost = sink.lost
    assert sink.flush()
    sink.write(make_record(9_999))
    assert sink.flush()
    assert sink.lost == lost
    assert len(sqlite_numbers(Path(sink.path))) == 5_001 - lost


@pytest.mark.skipif(sys.platform == "win32", reason="needs resource limits")
def test_full_disk_costs_records_and_nothing_else(tmp_path: Path) -> None:
    code = """
    import resource
    def limit(size):
        resource.setrlimit(resource.RLIMIT_FSIZE, (size, resource.RLIM_INFINITY))
    sink.write(make_record(0))
    assert sink.flush()
    limit(100_000)
    for n in range(1, 300):
        sink.write(make_record(n))
    assert sink.flush()
    lost = sink.lost
    assert lost > 0
    limit(10_000_000)
    for n in range(300, 310):
        sink.write(make_record(n))
    assert sink.close()
    assert sink.lost == lost
    print(lost)
    """
    path = tmp_path / "traces.db"
    done = run(code, "sqlite", path)
    assert done.returncode == 0, done.stderr
    numbers = sqlite_numbers(path)
    assert len(numbers) == 310 - int(done.stdout)
    assert {0, *range(300, 310)}.issubset(numbers)
    assert fetch(path, "PRAGMA integrity_check") == [("ok",)]
    first, last = done.stderr.splitlines()
    assert first.startswith(f"cannot write traces to {path}: ")
    assert last == f"writing traces to {path} again; {done.stdout.strip()} records were lost"


def test_two_sinks_on_one_file_by_two_names_keep_every_row(tmp_path: Path) -> None:
    path = tmp_path / "traces.db"
    first = SqliteSink(path)
    (tmp_path / "link").symlink_to(path)
    second = SqliteSink(tmp_path / "link")
    for number in range(0, 200, 2):
        first.write(make_record(number))
        second.write(make_record(number + 1))
    assert first.close()
    assert second.close()
    assert sorted(sqlite_numbers(path)) == list(range(200))


def test_close_ends_the_thread_and_releases_the_files(tmp_path: Path) -> None:
    sink = SqliteSink(tmp_path / "traces.db")
    sink.write(make_record(1))
    assert sink.close()
    assert os.listdir(tmp_path) == ["traces.db"]
    assert sink.close()
    assert sink.flush()
    sink.write(make_record(2))  # stored at once, and let go of again
    assert os.listdir(tmp_path) == ["traces.db"]
    assert sqlite_numbers(tmp_path / "traces.db") == [1, 2]


def test_threads_that_write_while_another_closes_lose_nothing(tmp_path: Path) -> None:
    path = tmp_path / "traces.db"
    for round_ in range(10):
        sink = SqliteSink(path)
        barrier = threading.Barrier(5)

        def work(own: int, sink: SqliteSink = sink, barrier: threading.Barrier = barrier) -> None:
            barrier.wait()
            for number in range(20):
                sink.write(make_record(own * 20 + number))

        threads = [threading.Thread(target=work, args=(round_ * 4 + own,)) for own in range(4)]
        for thread in threads:
            thread.start()
        barrier.wait()
        assert sink.close()
        for thread in threads:
            thread.join()
        assert sink.lost == 0
    assert sorted(sqlite_numbers(path)) == list(range(10 * 80))


def test_reader_that_holds_a_snapshot_does_not_hold_up_the_writer(sink: SqliteSink) -> None:
    sink.write(make_record(1))
    sink.flush()
    with closing(sqlite3.connect(sink.path, isolation_level=None)) as reader:
        reader.execute("BEGIN")
        assert reader.execute("SELECT count(*) FROM spans").fetchone() == (1,)
        for number in range(2, 500):
            sink.write(make_record(number))
        assert sink.flush(timeout_s=20)
        assert reader.execute("SELECT count(*) FROM spans").fetchone() == (1,)
    assert len(sqlite_numbers(Path(sink.path))) == 499
