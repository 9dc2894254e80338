"""Pruning: what is due goes, all else stays byte for byte, also under a live writer."""

from __future__ import annotations

import json
import os
import select
import sqlite3
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Optional

import pytest
from click.testing import CliRunner

from peekr.cli.group import group
from peekr.errors import ConfigurationError, PeekrError, UnreadableFileError
from peekr.files.retention import DEFAULTS_S, Policy, plan, prune
from peekr.record import SpanRecord
from peekr.store.jsonl import JsonlSink
from peekr.store.sqlite import SqliteSink
from tests.support.trace_files import span, write_jsonl, write_sqlite

DAY_S = 86_400.0
NOW = 1_800_000_000.0
DEADLINE_S = 20.0


def aged(number: int, retention: Optional[str], days: float, **attributes: Any) -> dict[str, Any]:
    return {
        **span(number, start=NOW - days * DAY_S - 0.1, **attributes),
        "retention_class": retention,
    }


RECORDS = [
    aged(1, "short", 6.9),
    aged(2, "short", 7.1),
    aged(3, "default", 29.9),
    aged(4, "default", 30.1),
    aged(5, None, 29.9),
    aged(6, None, 30.1),
    aged(7, "long", 4000),
    aged(8, "pii", 29.9),
    aged(9, "pii", 30.1),
    aged(10, "gold", 4000),
    {**aged(11, None, 0), "start_time": 0.0, "end_time": None, "duration_ms": None},
    aged(12, "", 31),
]
DUE = {2, 4, 6, 9, 12}


@pytest.fixture(params=["jsonl", "sqlite"])
def file(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    if request.param == "jsonl":
        return write_jsonl(tmp_path / "t.jsonl", RECORDS)
    return write_sqlite(tmp_path / "t.db", RECORDS)


def numbers(path: Path) -> set[int]:
    if path.suffix == ".jsonl":
        ids = [json.loads(line)["trace_id"] for line in path.read_text("utf-8").splitlines()]
    else:
        connection = sqlite3.connect(str(path))
        ids = [row[0] for row in connection.execute("SELECT trace_id FROM spans")]
        connection.close()
    return {int(trace_id, 16) for trace_id in ids}


def names(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()}


# -- what is due ----------------------------------------------------------------------------------


def test_each_class_has_its_time(file: Path) -> None:
    policy = Policy(NOW)
    found = plan(str(file), policy)
    assert {name: (entry.records, entry.due) for name, entry in found.classes.items()} == {
        "short": (2, 1),
        "default": (2, 1),
        "": (4, 2),
        "long": (1, 0),
        "pii": (2, 1),
        "gold": (1, 0),
    }
    assert found.due == 5
    assert found.classes["short"].oldest == pytest.approx(NOW - 7.1 * DAY_S)
    assert numbers(file) == set(range(1, 13)), "planning changed something"
    assert prune(str(file), policy) == 5
    assert numbers(file) == set(range(1, 13)) - DUE
    assert prune(str(file), policy) == 0


def test_all_times_can_be_set(file: Path) -> None:
    changes = {"short": None, "default": 0.0, "long": 1000 * DAY_S, "pii": 29 * DAY_S}
    assert prune(str(file), Policy(NOW, changes)) == 8
    assert numbers(file) == {1, 2, 10, 11}


@pytest.mark.parametrize("changes", [{"gold": 1.0}, {"short": -1.0}, {"short": float("nan")}])
def test_a_policy_that_makes_no_sense_is_refused(changes: Any) -> None:
    with pytest.raises(ConfigurationError):
        Policy(NOW, changes)
    assert DEFAULTS_S["long"] is None


def test_a_record_on_the_edge_is_kept() -> None:
    record = SpanRecord.from_dict({**span(), "end_time": NOW - 30 * DAY_S})
    assert not Policy(NOW).is_due(record)
    assert Policy(NOW + 1).is_due(record)


# -- JSONL ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("end", [b"", b"\n", b'\n{"trace_id": "torn'])
def test_other_lines_stay_byte_for_byte(tmp_path: Path, end: bytes) -> None:
    keep = [
        b'\xef\xbb\xbf{"span_id": "a",   "trace_id" :"1", "start_time": 1800000000.0}\r\n',
        b"\n",
        b"no record at all\n",
        b'{"trace_id": "t", "span_id": "s\xff", "start_time": 1800000000}\n',
        b'{"trace_id": "t", "span_id": "nan", "start_time": NaN}\n',
        json.dumps(aged(1, None, 1, text="\u00e9" * 9000)).encode() + b"\n",
        b"   \t\n",
        b'{"trace_id": "last", "span_id": "x", "start_time": 1800000000.0}',
    ]
    due = [json.dumps(aged(number, None, 40)).encode() + b"\n" for number in range(3)]
    path = tmp_path / "t.jsonl"
    kept = b"".join(keep) + end
    path.write_bytes(due[0] + keep[0].replace(b"\xef\xbb\xbf", b"") + due[1] + kept)
    os.utime(path, (NOW - 60, NOW - 60))
    path.chmod(0o640)
    os.utime(path, (1_700_000_000, 1_700_000_000))
    assert prune(str(path), Policy(NOW)) == 2
    assert path.read_bytes() == keep[0].replace(b"\xef\xbb\xbf", b"") + kept
    assert path.stat().st_mode & 0o777 == 0o640
    assert names(tmp_path) == {"t.jsonl"}


def test_a_file_without_anything_due_is_not_touched(tmp_path: Path) -> None:
    path = write_jsonl(tmp_path / "t.jsonl", [aged(1, None, 1)])
    before = path.stat()
    assert prune(str(path), Policy(NOW)) == 0
    after = path.stat()
    assert (before.st_ino, before.st_mtime_ns) == (after.st_ino, after.st_mtime_ns)
    assert names(tmp_path) == {"t.jsonl"}


def test_a_link_leads_to_the_file_that_is_pruned(tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    path = write_jsonl(tmp_path / "real" / "t.jsonl", RECORDS)
    link = tmp_path / "link.jsonl"
    link.symlink_to(path)
    assert prune(str(link), Policy(NOW)) == 5
    assert link.is_symlink()
    assert len(numbers(path)) == 7


WRITER = """
import os, sys, time
from peekr.record import SpanRecord
name, path, stop = sys.argv[1:]
if path.endswith(".db"):
    from peekr.store.sqlite import SqliteSink as Sink
else:
    from peekr.store.jsonl import JsonlSink as Sink
sink = Sink(path)
number = 0
while number % 100 or not os.path.exists(stop):
    sink.write(SpanRecord(f"{name}-{number}", f"{name}-{number}", None, "live", 1.8e9, 1.8e9, 1.0,
               "ok", None, None, {"text": "x" * (number % 7 * 300)}))
    number += 1
    if number % 50 == 0:
        time.sleep(0.005)
assert sink.close()
assert sink.lost == 0
print(number)
"""


def live_ids(path: Path) -> list[str]:
    if path.suffix == ".jsonl":
        lines = path.read_text("utf-8").split("\n")[:-1]  # the last may be half written
        found = [json.loads(line)["span_id"] for line in lines]
    else:
        connection = sqlite3.connect(str(path))
        found = [row[0] for row in connection.execute("SELECT span_id FROM spans")]
        connection.close()
    return [name for name in found if name.startswith("w")]


def test_no_line_of_a_live_writer_is_lost_or_doubled(file: Path) -> None:
    stop = file.with_name("stop")
    writers = [
        subprocess.Popen(
            [sys.executable, "-c", WRITER, f"w{number}", str(file), str(stop)],
            stdout=subprocess.PIPE,
            text=True,
        )
        for number in range(2)
    ]
    written: list[int] = []
    pruned = 0
    try:
        deadline = time.monotonic() + DEADLINE_S
        while len({name[:2] for name in live_ids(file)}) < 2:
            assert time.monotonic() < deadline
        for turn in range(4):
            # Something is due in each turn, so that each replaces the file.
            sink: Any = SqliteSink(str(file)) if file.suffix == ".db" else JsonlSink(str(file))
            for number in range(100):
                record = aged(1000 + turn * 100 + number, None, 40)
                sink.write(SpanRecord.from_dict({**record, "span_id": f"old{turn}-{number}"}))
            assert sink.close()
            pruned += prune(str(file), Policy(NOW, {"short": None, "long": None, "pii": None}))
    finally:
        stop.touch()
        for writer in writers:
            assert writer.stdout is not None
            with writer.stdout as output:
                written.append(int(output.read() or 0))
            assert writer.wait(DEADLINE_S) == 0
    found = live_ids(file)
    assert len(found) == len(set(found)), "a line is there twice"
    assert set(found) == {
        f"w{name}-{n}" for name, count in enumerate(written) for n in range(count)
    }
    # 3 of the records of the beginning are due under this policy.
    assert pruned == 4 * 100 + 3


def test_threads_that_write_in_this_process_lose_nothing(tmp_path: Path) -> None:
    path = write_jsonl(tmp_path / "t.jsonl", RECORDS)
    sink = JsonlSink(str(path))
    stop = threading.Event()
    written: list[str] = []

    def write() -> None:
        number = 0
        while not stop.is_set():
            record = SpanRecord.from_dict({**aged(1, None, 1), "span_id": f"w{number}"})
            sink.write(record)
            written.append(record.span_id)
            number += 1

    thread = threading.Thread(target=write)
    thread.start()
    try:
        while len(written) < 100:
            time.sleep(0.001)
        assert prune(str(path), Policy(NOW)) == 5
        reached = len(written)
        while len(written) < reached + 100:
            time.sleep(0.001)
    finally:
        stop.set()
        thread.join()
        sink.close()
    assert sorted(live_ids(path)) == sorted(written)


def test_what_a_killed_pruning_left_is_taken_up(tmp_path: Path) -> None:
    path = write_jsonl(tmp_path / "t.jsonl", [aged(1, None, 1), aged(2, None, 40)])
    left = [aged(1, None, 1), aged(3, None, 1), aged(4, None, 40)]
    write_jsonl(tmp_path / "t.jsonl.peekr-old", left)
    (tmp_path / "t.jsonl.peekr-new").write_text("half")
    assert prune(str(path), Policy(NOW)) == 1
    assert numbers(path) == {1, 3}
    assert names(tmp_path) == {"t.jsonl"}
    # Killed before the new file took the place: two names of one file.
    write_jsonl(path, [aged(1, None, 1), aged(2, None, 40)])
    os.link(path, tmp_path / "t.jsonl.peekr-old")
    assert prune(str(path), Policy(NOW)) == 1
    assert numbers(path) == {1}
    assert names(tmp_path) == {"t.jsonl"}


def test_a_file_system_without_hard_links_will_do(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*arguments: Any) -> None:
        raise OSError("no hard links here")

    monkeypatch.setattr(os, "link", refuse)
    path = write_jsonl(tmp_path / "t.jsonl", RECORDS)
    sink = JsonlSink(str(path))
    assert prune(str(path), Policy(NOW)) == 5
    sink.write(SpanRecord.from_dict(aged(99, None, 1)))
    sink.close()
    assert 99 in numbers(path)


@pytest.fixture
def locked(tmp_path: Path) -> Iterator[Path]:
    fcntl = pytest.importorskip("fcntl")
    path = write_jsonl(tmp_path / "t.jsonl", RECORDS)
    with path.open("rb") as other:
        fcntl.flock(other.fileno(), fcntl.LOCK_EX)
        yield path


def test_one_pruning_at_a_time(locked: Path) -> None:
    with pytest.raises(PeekrError, match="just being pruned"):
        prune(str(locked), Policy(NOW))
    assert len(numbers(locked)) == 12


@pytest.mark.skipif(os.name == "nt" or os.geteuid() == 0, reason="root may write everywhere")
def test_a_directory_that_cannot_be_written_is_one_clear_error(tmp_path: Path) -> None:
    path = write_jsonl(tmp_path / "t.jsonl", RECORDS)
    tmp_path.chmod(0o500)
    try:
        with pytest.raises(PeekrError, match="cannot be pruned"):
            prune(str(path), Policy(NOW))
    finally:
        tmp_path.chmod(0o700)
    assert len(numbers(path)) == 12


# -- SQLite ---------------------------------------------------------------------------------------


def test_other_rows_and_tables_of_a_database_stay(tmp_path: Path) -> None:
    path = write_sqlite(tmp_path / "t.db", RECORDS)
    connection = sqlite3.connect(str(path))
    connection.executescript("CREATE TABLE notes (x); INSERT INTO notes VALUES (1);")
    before = connection.execute("SELECT * FROM spans ORDER BY span_id").fetchall()
    assert prune(str(path), Policy(NOW)) == 5
    after = connection.execute("SELECT * FROM spans ORDER BY span_id").fetchall()
    assert after == [row for row in before if int(row[0], 16) not in DUE]
    assert connection.execute("SELECT COUNT(*) FROM notes").fetchone() == (1,)
    connection.close()


def test_deleted_content_is_not_left_in_the_file(tmp_path: Path) -> None:
    secret = "a-very-secret-thing"
    path = write_sqlite(
        tmp_path / "t.db", [aged(1, "pii", 40, input=secret * 50), aged(2, "pii", 1)]
    )
    assert secret.encode() in path.read_bytes()
    assert prune(str(path), Policy(NOW)) == 1
    for name in names(tmp_path):
        assert secret.encode() not in (tmp_path / name).read_bytes(), name


def test_vacuum_gives_space_back(tmp_path: Path) -> None:
    records = [aged(number, None, 40, text="x" * 2000) for number in range(1200)]
    path = write_sqlite(tmp_path / "t.db", [*records, aged(5000, None, 1)])
    before = path.stat().st_size
    assert prune(str(path), Policy(NOW), vacuum=True) == 1200
    assert path.stat().st_size < before / 10
    assert numbers(path) == {5000}


def test_a_database_of_another_program_is_refused(tmp_path: Path) -> None:
    connection = sqlite3.connect(str(tmp_path / "t.db"))
    connection.executescript("CREATE TABLE mine (x); INSERT INTO mine VALUES (1);")
    connection.close()
    with pytest.raises(UnreadableFileError, match="not one of Peekr"):
        prune(str(tmp_path / "t.db"), Policy(NOW))


# -- the command ----------------------------------------------------------------------------------


def fresh(path: Path, days: dict[str, float]) -> Path:
    """A file whose records are so many days old today."""
    shift = time.time() - NOW
    records: list[dict[str, Any]] = []
    for number, (name, age) in enumerate(days.items(), 1):
        record = aged(number, name, age)
        record["start_time"] += shift
        record["end_time"] += shift
        records.append(record)
    return (write_sqlite if path.suffix == ".db" else write_jsonl)(path, records)


DAYS = {"short": 8.0, "default": 20.0, "long": 900.0, "pii": 40.0}


@pytest.mark.parametrize("name", ["t.jsonl", "t.db"])
def test_the_command_shows_first_and_deletes_when_told(tmp_path: Path, name: str) -> None:
    path = fresh(tmp_path / name, DAYS)
    shown = CliRunner().invoke(group, ["prune", str(path)])
    assert shown.exit_code == 0
    lines = shown.output.splitlines()
    assert lines[0].split() == [
        "class",
        "kept",
        "for",
        "records",
        "to",
        "delete",
        "ended",
        "between",
    ]
    assert [line.split()[:4] for line in lines[1:5]] == [
        ["short", "7d", "1", "1"],
        ["default", "30d", "1", "0"],
        ["long", "keep", "1", "0"],
        ["pii", "30d", "1", "1"],
    ]
    assert lines[-1] == "Nothing was deleted; --yes deletes 2 records."
    assert numbers(path) == {1, 2, 3, 4}
    done = CliRunner().invoke(group, ["prune", str(path), "--yes"])
    assert done.exit_code == 0
    assert done.output.splitlines()[-1] == "Deleted 2 records."
    assert numbers(path) == {2, 3}
    again = CliRunner().invoke(group, ["prune", str(path), "--yes"])
    assert again.output.splitlines()[-1] == "Nothing is due."


def test_the_command_takes_other_periods(tmp_path: Path) -> None:
    path = fresh(tmp_path / "t.jsonl", DAYS)
    options = ["--short", "keep", "--default", "36h", "--long", "52w", "--pii", "never", "-y"]
    done = CliRunner().invoke(group, ["prune", str(path), *options])
    assert done.exit_code == 0, done.output
    assert "36h" in done.output
    assert numbers(path) == {1, 4}


def test_wrong_usage_is_2_and_an_unusable_file_1(tmp_path: Path) -> None:
    path = fresh(tmp_path / "t.jsonl", DAYS)
    for arguments in ([], [str(path), "--short", "soon"], [str(path), "--pii", "-3d"]):
        assert CliRunner().invoke(group, ["prune", *arguments]).exit_code == 2
    (tmp_path / "junk").write_text("junk\n")
    for name in ("missing.jsonl", "junk", "."):
        done = CliRunner().invoke(group, ["prune", str(tmp_path / name), "--yes"])
        assert done.exit_code == 1
        assert done.output.count("\n") == 1, done.output
    assert len(numbers(path)) == 4


@pytest.mark.skipif(os.name == "nt", reason="pseudo terminals are of POSIX")
@pytest.mark.parametrize(
    ("answer", "left", "code"),
    [
        (b"y\n", {2, 3}, 0),
        (b"n\n", {1, 2, 3, 4}, 0),
        (b"\n", {1, 2, 3, 4}, 0),
        (b"\x04", {1, 2, 3, 4}, 130),  # Ctrl-D
    ],
)
def test_a_terminal_is_asked(tmp_path: Path, answer: bytes, left: set[int], code: int) -> None:
    import pty

    path = fresh(tmp_path / "t.jsonl", DAYS)
    leader, terminal = pty.openpty()
    process = subprocess.Popen(
        [sys.executable, "-m", "peekr.cli", "prune", str(path)],
        stdin=terminal,
        stdout=terminal,
        stderr=terminal,
    )
    os.close(terminal)
    printed = b""
    deadline = time.monotonic() + DEADLINE_S
    while process.poll() is None:
        assert time.monotonic() < deadline, printed
        # Goes on reading, for the terminal waits for that; and what is typed before the prompt has
        # prepared the terminal is thrown away.
        if select.select([leader], [], [], 0.05)[0]:
            try:
                printed += os.read(leader, 65536)
            except OSError:
                continue
        elif b"[y/N]" in printed:
            os.write(leader, answer)
    assert process.returncode == code, printed
    os.close(leader)
    assert b"Delete 2 records?" in printed
    assert b"fault of" not in printed
    assert numbers(path) == left


def test_a_file_of_another_program_is_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "otlp.jsonl"
    line = {"traceId": "1" * 32, "spanId": "2" * 16, "startTimeUnixNano": "1000000000"}
    path.write_text(json.dumps({"resourceSpans": [{"scopeSpans": [{"spans": [line]}]}]}) + "\n")
    before = path.read_bytes()
    result = CliRunner().invoke(group, ["prune", str(path), "--yes"])
    assert result.exit_code == 1
    assert "is OTLP" in result.output
    assert path.read_bytes() == before
    with pytest.raises(PeekrError, match="is OTLP"):
        prune(str(path), Policy(time.time()))
