"""What the tests of the sinks share: records, what a file holds, programs of their own."""

from __future__ import annotations

import json
import sqlite3
import subprocess
import sys
import textwrap
import time
from contextlib import closing
from pathlib import Path
from typing import Callable, Union

from peekr.record import SpanRecord
from peekr.store.jsonl.write import JsonlSink
from peekr.store.sqlite.write import SqliteSink

Sink = Union[JsonlSink, SqliteSink]

SINKS: dict[str, Callable[[Path], Sink]] = {"jsonl": JsonlSink, "sqlite": SqliteSink}


def make_record(number: int, size: int = 1000, name: str = "openai.chat") -> SpanRecord:
    """A record whose span id is `number` and whose content is about `size` bytes."""
    return SpanRecord(
        trace_id=f"{number // 10:032x}",
        span_id=f"{number:016x}",
        parent_id=None,
        name=name,
        start_time=1_700_000_000.0 + number,
        end_time=1_700_000_001.5 + number,
        duration_ms=1500.0,
        status="ok",
        attributes={"model": "gpt-4o", "input": f"é{number}" + "x" * size, "tokens_total": 12},
    )


def jsonl_numbers(path: Path) -> list[int]:
    """The numbers of the records in a JSONL file; fails on a line that is no record."""
    with open(path, "rb") as file:
        content = file.read()
    assert content == b"" or content.endswith(b"\n")
    return [int(json.loads(line)["span_id"], 16) for line in content.splitlines()]


def sqlite_numbers(path: Path) -> list[int]:
    """The numbers of the records in a database, in the order in which they were stored."""
    with closing(sqlite3.connect(path, timeout=10)) as connection:
        rows = connection.execute(
            "SELECT span_id FROM spans WHERE json_extract(attributes, '$.model') = 'gpt-4o'"
            " ORDER BY rowid"
        ).fetchall()
    return [int(span_id, 16) for (span_id,) in rows]


NUMBERS: dict[str, Callable[[Path], list[int]]] = {"jsonl": jsonl_numbers, "sqlite": sqlite_numbers}

_PRELUDE = """
import os, signal, sys, threading, time
from pathlib import Path
from tests.store.writing import SINKS, make_record
kind, path = sys.argv[1], Path(sys.argv[2])
sink = SINKS[kind](path)
"""

ROOT = Path(__file__).parents[2]


def program(code: str, kind: str, path: Path, *arguments: object) -> list[str]:
    """The command line of a Python program that finds `sink`, `make_record` and its modules."""
    text = _PRELUDE + textwrap.dedent(code)
    return [sys.executable, "-c", text, kind, str(path), *map(str, arguments)]


def run(code: str, kind: str, path: Path, *arguments: object) -> subprocess.CompletedProcess[str]:
    """Run a program to its end, for 60 s at most."""
    command = program(code, kind, path, *arguments)
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=60)


def start(code: str, kind: str, path: Path, *arguments: object) -> subprocess.Popen[str]:
    """Start a program whose output is to be read."""
    command = program(code, kind, path, *arguments)
    return subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True)


def wait_until(condition: Callable[[], bool], timeout_s: float = 10.0) -> None:
    """Poll until something is true; fails after `timeout_s`."""
    deadline = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.005)
