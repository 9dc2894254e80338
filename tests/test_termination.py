"""SIGTERM: what is on its way to its store gets there, and the process dies of the signal."""

from __future__ import annotations

import json
import os
import signal
import sqlite3
import subprocess
import sys
from pathlib import Path
from typing import Any, List

import pytest

from peekr.termination import TerminationGuard

pytestmark = pytest.mark.skipif(os.name == "nt", reason="SIGTERM's default action is of POSIX")

PRELUDE = """
import os, signal, sys, threading, time
import peekr
from opentelemetry import trace
from opentelemetry.sdk.trace.export import SpanExporter, SpanExportResult

def spans(count, begin=0):
    tracer = trace.get_tracer("t")
    for number in range(begin, begin + count):
        tracer.start_span(f"s{number}").end()

def terminate():
    os.kill(os.getpid(), signal.SIGTERM)
    time.sleep(60)
    os._exit(99)

class Otlp(SpanExporter):
    "Exports as an OTLP exporter does: in batches, on a thread of its processor's."
    def export(self, batch):
        with open("shipped.txt", "a") as file:
            file.writelines(span.name + "\\n" for span in batch)
        return SpanExportResult.SUCCESS

"""


def run(folder: Path, program: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", PRELUDE + program],
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=120,
    )


def in_database(folder: Path) -> List[str]:
    connection = sqlite3.connect(folder / "traces.db")
    try:
        rows = connection.execute("SELECT name FROM spans ORDER BY rowid").fetchall()
    finally:
        connection.close()
    return [name for (name,) in rows]


def names(count: int) -> List[str]:
    return [f"s{number}" for number in range(count)]


SQLITE = "peekr.instrument(console=False, storage='sqlite')\n"


def test_nothing_that_waits_for_sqlite_is_lost(tmp_path: Path) -> None:
    made = run(tmp_path, SQLITE + "spans(3000); terminate()")
    assert made.returncode == -signal.SIGTERM
    assert in_database(tmp_path) == names(3000)
    assert made.stderr == ""


def test_a_signal_from_outside_in_the_middle_of_writing_loses_no_ended_span(
    tmp_path: Path,
) -> None:
    program = (
        SQLITE
        + "number = 0\n"
        + "while True:\n"
        + "    spans(1, number); number += 1\n"
        + "    os.write(1, b'%d\\n' % number)\n"
    )
    for attempt in range(5):
        folder = tmp_path / str(attempt)
        folder.mkdir()
        process = subprocess.Popen(
            [sys.executable, "-c", PRELUDE + program], cwd=folder, stdout=subprocess.PIPE
        )
        assert process.stdout is not None
        with process.stdout as said:
            last = b"0"
            for _ in range(200 + attempt * 37):
                last = said.readline()
            process.send_signal(signal.SIGTERM)
            rest = said.read().split()
        assert process.wait(60) == -signal.SIGTERM
        ended = int(rest[-1] if rest else last)
        stored = in_database(folder)
        # The span whose end the signal interrupted may be there as well.
        assert stored[:ended] == names(ended)
        assert stored in (names(ended), names(ended + 1))


def test_what_waits_for_an_exporter_is_shipped(tmp_path: Path) -> None:
    made = run(
        tmp_path,
        "peekr.instrument(console=False, storage=None, exporter=Otlp()); spans(20); terminate()",
    )
    assert made.returncode == -signal.SIGTERM
    assert (tmp_path / "shipped.txt").read_text().split() == names(20)


def test_an_exporter_that_was_added_gets_what_waits(tmp_path: Path) -> None:
    made = run(
        tmp_path,
        "peekr.instrument(console=False, storage=None); peekr.add_exporter(Otlp()); spans(20)\n"
        "terminate()",
    )
    assert made.returncode == -signal.SIGTERM
    assert (tmp_path / "shipped.txt").read_text().split() == names(20)


def test_with_nothing_to_write_the_signal_is_left_alone(tmp_path: Path) -> None:
    made = run(
        tmp_path,
        "peekr.instrument(console=False, storage=None); spans(20)\n"
        "print(signal.getsignal(signal.SIGTERM) is signal.SIG_DFL, flush=True)\n"
        "terminate()",
    )
    assert made.returncode == -signal.SIGTERM
    assert made.stdout.split() == ["True"]


def test_what_waits_for_the_price_table_is_stored(tmp_path: Path) -> None:
    made = run(
        tmp_path,
        "peekr.instrument(console=False)\n"
        "tracer = trace.get_tracer('t')\n"
        "usage = {'gen_ai.provider.name': 'openai', 'gen_ai.request.model': 'gpt-4o',\n"
        "         'gen_ai.usage.input_tokens': 100, 'gen_ai.usage.output_tokens': 10}\n"
        "tracer.start_span('chat', attributes=usage).end(); spans(3)\n"
        "terminate()",
    )
    assert made.returncode == -signal.SIGTERM
    lines = (tmp_path / "traces.jsonl").read_text("utf-8").splitlines()
    records = [json.loads(line) for line in lines]
    assert [record["name"] for record in records] == ["chat", *names(3)]
    assert records[0]["attributes"]["cost_usd"] == 0.00035


HANDLER = "signal.signal(signal.SIGTERM, lambda *_: sys.exit(7))\n"


@pytest.mark.parametrize("program", [HANDLER + SQLITE, SQLITE + HANDLER], ids=["before", "after"])
def test_an_applications_handler_is_the_one_that_runs(tmp_path: Path, program: str) -> None:
    made = run(tmp_path, program + "spans(500); terminate()")
    assert made.returncode == 7
    assert in_database(tmp_path) == names(500)


def test_a_signal_that_is_ignored_stays_ignored(tmp_path: Path) -> None:
    made = run(
        tmp_path,
        "signal.signal(signal.SIGTERM, signal.SIG_IGN)\n"
        + SQLITE
        + "os.kill(os.getpid(), signal.SIGTERM); spans(5); print('goes on')",
    )
    assert (made.returncode, made.stdout) == (0, "goes on\n")
    assert in_database(tmp_path) == names(5)


def test_a_handler_that_hands_the_signal_on_reaches_the_guard(tmp_path: Path) -> None:
    # As web servers do: their own handler while they run, then the one from before, and again.
    program = (
        "previous = signal.getsignal(signal.SIGTERM)\n"
        "def handle(number, frame):\n"
        "    signal.signal(number, previous); signal.raise_signal(number)\n"
        "signal.signal(signal.SIGTERM, handle)\n"
    )
    made = run(tmp_path, SQLITE + program + "spans(500); terminate()")
    assert made.returncode == -signal.SIGTERM
    assert in_database(tmp_path) == names(500)


def test_uninstrument_gives_the_signal_back(tmp_path: Path) -> None:
    made = run(
        tmp_path,
        SQLITE
        + "print(signal.getsignal(signal.SIGTERM) is signal.SIG_DFL)\n"
        + "peekr.uninstrument()\n"
        + "print(signal.getsignal(signal.SIGTERM) is signal.SIG_DFL, flush=True)\n"
        + "terminate()",
    )
    assert made.stdout.split() == ["False", "True"]
    assert made.returncode == -signal.SIGTERM


def test_uninstrument_leaves_a_later_handler_alone(tmp_path: Path) -> None:
    made = run(tmp_path, SQLITE + HANDLER + "peekr.uninstrument(); terminate()")
    assert made.returncode == 7


def test_instrument_again_with_nothing_to_write_gives_the_signal_back(tmp_path: Path) -> None:
    made = run(
        tmp_path,
        SQLITE
        + "peekr.instrument(console=False, storage=None)\n"
        + "print(signal.getsignal(signal.SIGTERM) is signal.SIG_DFL)\n"
        + "peekr.instrument(console=False, storage='sqlite'); spans(50)\n"
        + "sys.stdout.flush(); terminate()",
    )
    assert made.stdout.split() == ["True"]
    assert made.returncode == -signal.SIGTERM
    assert in_database(tmp_path) == names(50)


@pytest.mark.parametrize("calls", ["instrument", "instrument, uninstrument"])
def test_in_a_thread_there_is_no_handler_and_no_crash(tmp_path: Path, calls: str) -> None:
    program = (
        "def start():\n"
        "    peekr.instrument(console=False, storage='sqlite')\n"
        "    spans(5)\n"
        "thread = threading.Thread(target=start); thread.start(); thread.join()\n"
        "print(signal.getsignal(signal.SIGTERM) is signal.SIG_DFL)\n"
    )
    if "uninstrument" in calls:
        program += "thread = threading.Thread(target=peekr.uninstrument)\n"
        program += "thread.start(); thread.join()\n"
    made = run(tmp_path, program)
    assert (made.returncode, made.stdout, made.stderr) == (0, "True\n", "")
    assert in_database(tmp_path) == names(5)


def test_uninstrument_in_a_thread_leaves_a_handler_that_only_dies(tmp_path: Path) -> None:
    made = run(
        tmp_path,
        SQLITE
        + "thread = threading.Thread(target=peekr.uninstrument); thread.start(); thread.join()\n"
        + "terminate()",
    )
    assert (made.returncode, made.stderr) == (-signal.SIGTERM, "")


def test_a_forks_child_dies_of_the_signal_too(tmp_path: Path) -> None:
    program = (
        "child = os.fork()\n"
        "if not child:\n"
        "    spans(20, 20); terminate()\n"
        "_, status = os.waitpid(child, 0)\n"
        "print(os.WTERMSIG(status)); spans(20)\n"
    )
    made = run(tmp_path, SQLITE + program)
    assert made.returncode == 0
    assert made.stdout.split() == [str(int(signal.SIGTERM))]
    assert sorted(in_database(tmp_path)) == sorted(names(40))


def test_a_flush_that_fails_does_not_keep_the_process_alive(tmp_path: Path) -> None:
    program = (
        "from peekr.termination import TerminationGuard\n"
        "def fail(): raise RuntimeError('no')\n"
        "TerminationGuard().guard(fail); terminate()"
    )
    assert run(tmp_path, program).returncode == -signal.SIGTERM


def test_the_guard_takes_only_the_default_action(monkeypatch: pytest.MonkeyPatch) -> None:
    def handler(*_: Any) -> None: ...

    previous = signal.signal(signal.SIGTERM, handler)
    try:
        guard = TerminationGuard()
        guard.guard(lambda: None)
        assert signal.getsignal(signal.SIGTERM) is handler
        guard.guard(None)
        assert signal.getsignal(signal.SIGTERM) is handler
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        guard.guard(lambda: None)
        assert signal.getsignal(signal.SIGTERM) is not signal.SIG_DFL
        guard.guard(None)
        assert signal.getsignal(signal.SIGTERM) is signal.SIG_DFL
    finally:
        signal.signal(signal.SIGTERM, previous)
