"""Files that cannot be written, go away or are held by others: calls go on, the loss is said."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import sqlite3
import subprocess
import tempfile
from collections.abc import Generator
from pathlib import Path
from typing import Any, Dict, List

import pytest

from .running import App, Ended, asked, rows

FILES = ("traces.jsonl", "traces.db")


@contextlib.contextmanager
def small_disk(at: Path, kilobytes: int) -> Generator[None, None, None]:
    """A filesystem of its own at a folder, where this user may mount one."""
    at.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", f"size={kilobytes}k", "tmpfs", str(at)]
    if shutil.which("mount") is None or subprocess.run(mount, capture_output=True).returncode:
        pytest.skip("no filesystem can be mounted here: a limit of the files' size stands for it")
    try:
        yield
    finally:
        subprocess.run(["umount", "-l", str(at)], check=True, capture_output=True)


def stored(folder: Path) -> Dict[str, List[Dict[str, Any]]]:
    """The records of both files; in JSONL a full disk may have cut lines, each by itself."""
    lines: List[Dict[str, Any]] = []
    for line in (folder / "traces.jsonl").read_bytes().splitlines():
        with contextlib.suppress(ValueError):
            lines.append(json.loads(line))
    return {"traces.jsonl": lines, "traces.db": rows(folder / "traces.db")}


def said_to_be_lost(ended: Ended, name: str) -> int:
    """How many records were lost, as stderr has it.

    A line when it begins, one when it is over, and one at the end for what came after that.
    """
    first, *others = (line for line in ended.warned if name in line)
    assert first.startswith("cannot write traces to ")
    assert first.endswith("; the application goes on")
    assert others[0].startswith("writing traces to ")
    assert len(others) <= 2
    counts = [line.rpartition("; " if " again" in line else ": ")[2] for line in others]
    return sum(int(count.split()[0].replace("no", "0")) for count in counts)


OUTAGE = """
instrument(); ask("first"); peekr.flush()
{begin}
for n in range(30): ask(f"{{n}} " + "x" * 3000)
peekr.flush()
{end}
for n in range(5): ask(f"after {{n}}")
"""


def check_outage(ended: Ended, folder: Path) -> None:
    ended.check(warned=len(ended.warned))
    for name, records in stored(folder).items():
        lost = said_to_be_lost(ended, name)
        assert 0 < lost <= 30
        assert len(records) == 36 - lost
        texts = asked(records)
        assert texts[0] == "first"
        assert texts[-5:] == [f"after {n}" for n in range(5)]


def test_a_full_disk_costs_records_until_there_is_room_and_two_lines(app: App) -> None:
    disk = app.folder / "disk"
    fill = """
with open("filling", "wb", buffering=0) as file:
    try:
        while file.write(b"x" * 4096): pass
    except OSError: pass
"""
    with small_disk(disk, 600):
        source = OUTAGE.format(begin=fill, end='os.remove("filling")')
        ended = app.run("os.chdir('disk')\n" + source)
        check_outage(ended, disk)


def test_a_limit_of_the_files_size_costs_records_until_it_is_lifted(app: App) -> None:
    limit = """
import resource
def limit(size): resource.setrlimit(resource.RLIMIT_FSIZE, (size, resource.RLIM_INFINITY))
"""
    source = OUTAGE.format(begin="limit(60_000)", end="limit(100_000_000)")
    check_outage(app.run(limit + source), app.folder)


def test_a_device_that_is_always_full_costs_all_records_and_two_lines(app: App) -> None:
    if not os.path.exists("/dev/full"):
        pytest.skip("there is no /dev/full")
    source = "instrument(storage='jsonl', jsonl_path='/dev/full')\nfor n in range(30): ask(n)"
    ended = app.run(source).check(warned=2)
    assert ended.warned == [
        "cannot write traces to /dev/full: No space left on device; the application goes on",
        "traces in /dev/full: 30 records were lost",
    ]


READ_ONLY = """
instrument(storage=None); ask(0); peekr.uninstrument()  # loads what another user could not
if os.geteuid() == 0:
    os.chown(".", 65534, -1)  # nothing is read-only to root
    os.seteuid(65534)
os.chmod(".", 0o555)
instrument()
for n in range(10): ask(n)
peekr.flush()
os.chmod(".", 0o755)
for n in range(5): ask(f"after {n}")
"""


def test_a_read_only_directory_costs_records_until_it_can_be_written(app: App) -> None:
    # Not below pytest's own folder, which is closed to others.
    with tempfile.TemporaryDirectory() as folder:
        ended = app.run(f"os.chdir({folder!r})\n{READ_ONLY}").check(warned=4)
        for name, records in stored(Path(folder)).items():
            assert said_to_be_lost(ended, name) == 10
            assert asked(records) == [f"after {n}" for n in range(5)]


@pytest.mark.parametrize("how", ["delete", "rotate", "remove the directory", "truncate"])
def test_files_that_go_away_under_the_writer_are_begun_anew(how: str, app: App) -> None:
    act = {
        "delete": "for f in os.listdir('.'): os.remove(f)",
        "rotate": "for f in sorted(os.listdir('.')): os.rename(f, '../old/' + f)",
        "remove the directory": "import shutil; shutil.rmtree('../data')",
        "truncate": "os.truncate('traces.jsonl', 0)",
    }[how]
    source = f"""
os.makedirs("data"); os.makedirs("old"); os.chdir("data"); instrument()
for n in range(10): ask(n)
peekr.flush()
{act}
time.sleep(0.06)  # how often a path is looked at
for n in range(10, 20): ask(n)
"""
    ended = app.run(source).check()
    first, second = ([str(n) for n in range(begin, begin + 10)] for begin in (0, 10))
    now = {name: asked(records) for name, records in stored(ended.folder / "data").items()}
    assert now["traces.jsonl"] == second
    assert now["traces.db"] == (first + second if how == "truncate" else second)
    if how == "rotate":
        old = stored(ended.folder / "old")
        assert [asked(old[name]) for name in FILES] == [first, first]


def test_rotation_while_threads_write_costs_no_line(app: App) -> None:
    source = """
instrument(storage="jsonl"); ask("first"); peekr.flush()
def work(own):
    for n in range(40): ask(f"{own}.{n}")
threads = [threading.Thread(target=work, args=(own,)) for own in range(3)]
for thread in threads: thread.start()
turn = 0
while any(thread.is_alive() for thread in threads):
    time.sleep(0.02)
    if os.path.exists("traces.jsonl"):
        os.rename("traces.jsonl", f"old.{turn}"); turn += 1
"""
    ended = app.run(source).check()
    found: List[str] = []
    parts = sorted(app.folder.iterdir())
    assert len(parts) > 1
    for path in parts:
        content = path.read_bytes()
        assert content.endswith(b"\n")
        found += asked([json.loads(line) for line in content.splitlines()])
    assert sorted(found) == sorted(
        ["first", *(f"{own}.{n}" for own in range(3) for n in range(40))]
    )
    assert ended.warned == []


def test_a_database_that_is_locked_for_seconds_delays_its_records_and_no_call(app: App) -> None:
    program = app.start(
        """
instrument(); ask("first"); peekr.flush(); say("ready")
while not os.path.exists("go"): time.sleep(0.005)
slowest = 0.0
for n in range(30):
    begin = time.monotonic(); ask(n); slowest = max(slowest, time.monotonic() - begin)
say("asked"); say("flushed", peekr.flush(0.2))
while not os.path.exists("end"): time.sleep(0.005)
"""
    )
    program.until(lambda out: "ready" in out)
    with contextlib.closing(
        sqlite3.connect(app.folder / "traces.db", isolation_level=None)
    ) as other:
        other.execute("BEGIN EXCLUSIVE")
        (app.folder / "go").touch()
        # All calls come back while it is locked, and a flush keeps to its time.
        program.until(lambda out: "flushed" in out)
        other.execute("ROLLBACK")
    (app.folder / "end").touch()
    ended = program.end().check()
    assert ended.said == ["ready", "asked", "flushed False"]
    assert ended.asked == ended.asked_in_rows == ["first", *map(str, range(30))]


ENDS = {"uninstrument": ("peekr.uninstrument(); os._exit(0)", 0), "exit": ("", 0),
        "SIGTERM": ("die(signal.SIGTERM)", -15)}  # fmt: skip


@pytest.mark.parametrize("end", ENDS)
def test_a_database_that_stays_locked_costs_its_records_and_keeps_no_process_alive(
    end: str, app: App
) -> None:
    code, expected = ENDS[end]
    program = app.start(
        f"""
instrument(); ask("first"); peekr.flush(); say("ready")
while not os.path.exists("go"): time.sleep(0.005)
for n in range(10): ask(n)
{code}
"""
    )
    program.until(lambda out: "ready" in out)
    with contextlib.closing(
        sqlite3.connect(app.folder / "traces.db", isolation_level=None)
    ) as other:
        other.execute("BEGIN EXCLUSIVE")
        (app.folder / "go").touch()
        ended = program.end().check(expected, warned=2)
        other.execute("ROLLBACK")
    assert ended.warned[1:] == ["traces in traces.db: 10 records were lost"]
    assert ended.asked == ["first", *map(str, range(10))]
    assert ended.asked_in_rows == ["first"]


# As network filesystems fail: locks cannot be had, now and then or at all.
BROKEN_LOCKS = """
import sqlite3
from peekr.store.sqlite import database
real, failing = database.Database.insert, [{failing}]
def insert(self, rows):
    if failing[0]:
        failing[0] -= 1
        raise sqlite3.OperationalError({error!r})
    return real(self, rows)
database.Database.insert = insert
instrument(); ask("first"); peekr.flush()
for n in range(5): ask(n)
"""


@pytest.mark.parametrize("error", ["locking protocol", "disk I/O error", "database is locked"])
def test_locks_that_fail_for_a_moment_cost_nothing(error: str, app: App) -> None:
    ended = app.run(BROKEN_LOCKS.format(failing=5, error=error))
    # An error of the disk is said when it begins and when it is over.
    ended.check(warned=2 if "disk" in error else 0)
    assert ended.asked == ended.asked_in_rows == ["first", *map(str, range(5))]
    if ended.warned:
        assert ended.warned[1] == "writing traces to traces.db again; no records were lost"
