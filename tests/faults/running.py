"""Programs with faults: how they are run, and what every one of them must have kept to."""

from __future__ import annotations

import json
import os
import re
import select
import signal
import sqlite3
import subprocess
import sys
import time
from contextlib import closing
from pathlib import Path
from typing import Any, Callable, Dict, List, Optional

ROOT = Path(__file__).parents[2]

DEADLINE_S = 60.0

PRELUDE = """
import asyncio, json, os, signal, sys, threading, time
import openai, peekr

URL = os.environ["FAULTS_URL"]

def connect():
    global client
    client = openai.OpenAI(base_url=URL, api_key="test", max_retries=0, timeout=30)

connect()
# A child's client is its own: what is open in the SDK's is the parent's, with Peekr and without.
os.register_at_fork(after_in_child=connect)

def instrument(**settings):
    if not os.environ.get("FAULTS_BARE"):
        peekr.instrument(**{"console": False, "storage": "both", **settings})

def request(text, **more):
    return {"model": "gpt-4o", "messages": [{"role": "user", "content": str(text)}], **more}

def checked(text, said):
    if said != f"This is a simulated answer to: {text}":
        os.write(1, f"WRONG {text!r} {said!r}\\n".encode())
    return said

def ask(text):
    answer = client.chat.completions.create(**request(text))
    return checked(text, answer.choices[0].message.content)

def say(*words):
    os.write(1, (" ".join(map(str, words)) + "\\n").encode())

def die(number=signal.SIGKILL):
    os.kill(os.getpid(), number)
    time.sleep(30)
"""
"""What a program begins with; `instrument()` does nothing where the test runs it without Peekr."""

_TORN = re.compile(rb"\{[^\n]*\Z")


class Hung(AssertionError):
    """A program did not end in time."""


class Ended:
    """How a program ended, and what it left behind.

    Attributes:
        folder: Where it ran.
        code: Its exit status as `subprocess` has it: negative for a signal.
        out: What it printed.
        err: What it wrote to stderr.
    """

    def __init__(self, folder: Path, code: int, out: str, err: str) -> None:
        self.folder = folder
        self.code = code
        self.out = out
        self.err = err

    @property
    def said(self) -> List[str]:
        """What it printed, line by line."""
        return self.out.splitlines()

    @property
    def is_peekr_named(self) -> bool:
        """Whether stderr tells of Peekr; the folders of this machine may be named like it."""
        return re.search(r"peekr(?!/\.|/tests|/examples)", self.err) is not None

    @property
    def warned(self) -> List[str]:
        """What it wrote to stderr, line by line."""
        return self.err.splitlines()

    @property
    def whole_lines(self) -> List[Dict[str, Any]]:
        """The records of `traces.jsonl`; a last line may be cut off, no other may be."""
        return whole_lines(self.folder / "traces.jsonl")

    @property
    def rows(self) -> List[Dict[str, Any]]:
        """The records of `traces.db`, which must be sound."""
        return rows(self.folder / "traces.db")

    @property
    def asked(self) -> List[str]:
        """What was asked by the calls in `traces.jsonl`, in the order of their lines."""
        return asked(self.whole_lines)

    @property
    def asked_in_rows(self) -> List[str]:
        """What was asked by the calls in `traces.db`, in the order in which they were stored."""
        return asked(self.rows)

    def check(self, code: Optional[int] = 0, *, warned: int = 0) -> Ended:
        """Fail unless all answers were right and stderr holds so many lines and no traceback."""
        assert "WRONG" not in self.out, self.out
        assert "Traceback" not in self.err, self.err
        assert "fault in Peekr" not in self.err, self.err
        if code is not None:
            assert self.code == code, (self.code, self.out, self.err)
        assert len(self.warned) == warned, self.err
        return self


def whole_lines(path: Path) -> List[Dict[str, Any]]:
    """The records of a JSONL file whose last line alone may be cut off."""
    if not path.exists():
        return []
    content = _TORN.sub(b"", path.read_bytes())
    assert content == b"" or content.endswith(b"\n")
    return [json.loads(line) for line in content.splitlines()]


def rows(path: Path) -> List[Dict[str, Any]]:
    """The records of a database, which must be sound."""
    if not path.exists():
        return []
    with closing(sqlite3.connect(str(path), timeout=10)) as connection:
        assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
        connection.row_factory = sqlite3.Row
        found = [dict(row) for row in connection.execute("SELECT * FROM spans ORDER BY rowid")]
    return [{**row, "attributes": json.loads(row["attributes"])} for row in found]


def asked(records: List[Dict[str, Any]]) -> List[str]:
    """What the calls among records asked."""
    return [r["attributes"]["input"][-1]["content"] for r in records if r["name"] == "openai.chat"]


class Running:
    """A program that runs."""

    def __init__(self, folder: Path, reports: Path, pid: int, wait: Callable[[float], int]) -> None:
        self.folder = folder
        self.pid = pid
        self._reports = reports
        self._wait = wait
        self._deadline = time.monotonic() + DEADLINE_S

    @property
    def out(self) -> str:
        """What it has printed so far."""
        return self._read("out")

    def until(self, condition: Callable[[str], Any]) -> None:
        """Wait until what it has printed fulfils something; fails at its deadline."""
        while not condition(self.out):
            if time.monotonic() > self._deadline:
                self.end(signal.SIGKILL)
                raise Hung(f"printed {self.out!r} and on stderr {self._read('err')!r}")
            time.sleep(0.002)

    def end(self, number: Optional[int] = None) -> Ended:
        """Wait for its end, after a signal if one is given; fails at its deadline."""
        if number is not None:
            os.kill(self.pid, number)
        try:
            code = self._wait(max(1.0, self._deadline - time.monotonic()))
        except TimeoutError:
            os.killpg(self.pid, signal.SIGUSR2)
            time.sleep(1.0)  # for what each of its processes says of where it hangs
            os.killpg(self.pid, signal.SIGKILL)
            self._wait(DEADLINE_S)
            raise Hung(f"printed {self.out!r} and on stderr {self._read('err')!r}") from None
        return Ended(self.folder, code, self.out, self._read("err"))

    def _read(self, name: str) -> str:
        path = self._reports / name
        return path.read_text("utf-8", "replace") if path.exists() else ""


def variables(url: str, **more: str) -> Dict[str, str]:
    """The variables of a program: this process's without those that would change what is tested."""
    drop = ("OTEL_", "PEEKR_")
    kept = {name: value for name, value in os.environ.items() if not name.startswith(drop)}
    return {**kept, "FAULTS_URL": url, "PYTHONWARNINGS": "ignore::DeprecationWarning", **more}


class Nursery:
    """Starts programs as forks of a process that has everything loaded: see `nursery`."""

    def __init__(self, url: str) -> None:
        self.url = url
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.faults.nursery", url],
            cwd=ROOT,
            env=variables(url),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        )

    def start(self, folder: Path, source: str, **more: str) -> Running:
        """Start a program behind `PRELUDE`, in a folder of its own, with some variables more."""
        reports = reports_of(folder)
        job = {
            "folder": str(folder),
            "reports": str(reports),
            "environment": {**more, "FAULTS_URL": self.url},
            "source": PRELUDE + source,
        }
        stdin = self._process.stdin
        assert stdin is not None
        stdin.write(json.dumps(job).encode() + b"\n")
        stdin.flush()
        return Running(folder, reports, int(self._line(DEADLINE_S)), self._wait)

    def stop(self) -> None:
        """End the process."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.close()
        self._process.wait(DEADLINE_S)
        self._process.stdout.close()

    def _wait(self, timeout_s: float) -> int:
        status = int(self._line(timeout_s))
        return -os.WTERMSIG(status) if os.WIFSIGNALED(status) else os.WEXITSTATUS(status)

    def _line(self, timeout_s: float) -> bytes:
        stdout = self._process.stdout
        assert stdout is not None
        if not select.select([stdout], [], [], timeout_s)[0]:
            raise TimeoutError
        # One byte at a time, so that nothing is left in a buffer that select() does not see.
        found = b""
        while not found.endswith(b"\n"):
            byte = os.read(stdout.fileno(), 1)
            assert byte, "the nursery has ended"
            found += byte
        return found


class App:
    """Runs programs behind `PRELUDE` in one folder.

    Attributes:
        folder: Where they run, and Peekr's files are.
        url: The simulated providers' address for the SDK.
    """

    def __init__(self, nursery: Nursery, folder: Path) -> None:
        self.folder = folder
        self.url = nursery.url
        self._nursery = nursery

    def start(self, source: str, **environment: str) -> Running:
        """Start a program, with some variables more."""
        return self._nursery.start(self.folder, source, **environment)

    def run(self, source: str, **environment: str) -> Ended:
        """Run a program to its end."""
        return self.start(source, **environment).end()

    def start_fresh(self, source: str, *command: str, **environment: str) -> Running:
        """Start a program in an interpreter of its own, as `app.py`.

        Args:
            source: What stands behind `PRELUDE`.
            *command: Runs the program instead of Python.
            **environment: Some variables more.
        """
        (self.folder / "app.py").write_text(PRELUDE + source, "utf-8")
        reports = reports_of(self.folder)
        with open(reports / "out", "wb") as out, open(reports / "err", "wb") as err:
            process = subprocess.Popen(
                command or [sys.executable, "app.py"],
                cwd=self.folder,
                env=variables(self.url, **environment),
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=err,
                start_new_session=True,
            )

        def wait(timeout_s: float) -> int:
            try:
                return process.wait(timeout_s)
            except subprocess.TimeoutExpired:
                raise TimeoutError from None

        return Running(self.folder, reports, process.pid, wait)

    def run_fresh(self, source: str, *command: str, **environment: str) -> Ended:
        """Run a program in an interpreter of its own to its end."""
        return self.start_fresh(source, *command, **environment).end()


def reports_of(folder: Path) -> Path:
    """Where what a program says is kept: beside its folder, empty at first."""
    reports = folder.parent / f"{folder.name}.reports"
    reports.mkdir(exist_ok=True)
    for name in ("out", "err"):
        (reports / name).write_bytes(b"")
    return reports
