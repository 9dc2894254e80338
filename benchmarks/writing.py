"""What lies between an ended span and the file, against the plainest way to write the same.

    python benchmarks/writing.py [--rounds 15] [--spans 2000]

Programs take turns in one process, each with the spans of a model call of about 1.5 KB. The plain
ones have their records ready: orjson and one `write` a record; one `executemany` for all rows, into
a table without indexes, and one commit. A third is a span processor that makes the dictionary too.
What Peekr and the processor take is what a program with spans takes with them, less what the same
takes without any. Processor time of the process, its other threads included; a round ends when
everything is in the file.
"""

from __future__ import annotations

import os
import sqlite3
import sys
import tempfile
import time
from pathlib import Path
from statistics import median
from typing import Any, Callable

import orjson
from opentelemetry.sdk.trace import ReadableSpan, SpanProcessor, TracerProvider
from opentelemetry.trace import SpanKind
from results import Section, command, table
from storage import ATTRIBUTES, LineProcessor, record

import peekr


class Keep(SpanProcessor):
    def __init__(self) -> None:
        self.spans: list[ReadableSpan] = []

    def on_end(self, span: ReadableSpan) -> None:
        self.spans.append(span)


def make(provider: TracerProvider, count: int) -> None:
    tracer = provider.get_tracer("benchmark")
    for _ in range(count):
        span = tracer.start_span("chat gpt-4o", kind=SpanKind.CLIENT)
        span.set_attributes(ATTRIBUTES)
        span.end()


def ready(count: int) -> list[dict[str, Any]]:
    """The records that a plain program writes."""
    provider, keep = TracerProvider(shutdown_on_exit=False), Keep()
    provider.add_span_processor(keep)
    make(provider, count)
    return [record(span) for span in keep.spans]


def lines(records: list[dict[str, Any]], path: Path) -> None:
    fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    for one in records:
        os.write(fd, orjson.dumps(one) + b"\n")
    os.close(fd)


def rows(records: list[dict[str, Any]], path: Path) -> None:
    connection = sqlite3.connect(path)
    connection.execute("PRAGMA journal_mode = WAL").fetchall()
    connection.execute("PRAGMA synchronous = NORMAL")
    connection.execute(
        "CREATE TABLE spans (trace_id TEXT, span_id TEXT PRIMARY KEY, parent_id TEXT, name TEXT,"
        " start_time REAL, end_time REAL, duration_ms REAL, status TEXT, attributes TEXT)"
    )
    values = (
        (*list(one.values())[:-1], orjson.dumps(one["attributes"]).decode()) for one in records
    )
    connection.executemany("INSERT INTO spans VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)", values)
    connection.commit()
    connection.close()


def timed(run: Callable[[], None], count: int) -> float:
    """Microseconds a span."""
    begin = time.process_time_ns()
    run()
    return (time.process_time_ns() - begin) / count / 1e3


def once(storage: str, count: int, path: Path) -> float:
    provider = TracerProvider(shutdown_on_exit=False)
    peekr.instrument(
        console=False,
        storage=storage,
        jsonl_path=str(path),
        db_path=str(path),
        tracer_provider=provider,
    )
    try:
        make(provider, 100)  # what is made once is made
        peekr.flush()

        def run() -> None:
            make(provider, count)
            peekr.flush()

        return timed(run, count)
    finally:
        peekr.uninstrument()


def by_processor(count: int, path: Path) -> float:
    provider = TracerProvider(shutdown_on_exit=False)
    provider.add_span_processor(LineProcessor(path))
    try:
        return timed(lambda: make(provider, count), count)
    finally:
        provider.shutdown()


def measure(rounds: int, count: int) -> list[Section]:
    records, alone = ready(count), TracerProvider(shutdown_on_exit=False)
    programs: dict[str, Callable[[Path], float]] = {
        "lines": lambda path: timed(lambda: lines(records, path), count),
        "rows": lambda path: timed(lambda: rows(records, path), count),
        "alone": lambda path: timed(lambda: make(alone, count), count),
        "processor": lambda path: by_processor(count, path),
        "jsonl": lambda path: once("jsonl", count, path),
        "sqlite": lambda path: once("sqlite", count, path),
    }
    found: dict[str, list[float]] = {name: [] for name in programs}
    with tempfile.TemporaryDirectory() as folder:
        for number in range(rounds + 1):
            for name, program in programs.items():
                took = program(Path(folder) / "file")
                if number:  # the first one warms up
                    found[name].append(took)
                for file in Path(folder).iterdir():
                    file.unlink()

    def row(title: str, plain: str, ours: str) -> list[str]:
        alone = found["alone"]
        share = [with_ - without for with_, without in zip(found[ours], alone)]
        raw = found[plain]
        if plain == "processor":
            raw = [with_ - without for with_, without in zip(raw, alone)]
        ratio = median(part / one for part, one in zip(share, raw))
        return [title, *[f"{median(part):.1f} µs" for part in (raw, share)], f"{ratio:.1f}x"]

    def rate(name: str) -> str:
        return f"{1e6 / median(found[name]):,.0f}"

    body = table(
        ["a span", "plain program", "Peekr, from the ended span on", "ratio"],
        [
            row("JSONL; plain: orjson and `write` of ready records", "lines", "jsonl"),
            row("JSONL; plain: a processor that makes the records too", "processor", "jsonl"),
            row("SQLite; plain: one `executemany` of ready rows", "rows", "sqlite"),
        ],
    )
    rates = (
        f"\n\nSpans a second of processor time, made and stored: {rate('alone')} made and dropped,"
        f" {rate('processor')} by the processor, {rate('jsonl')} by Peekr into JSONL,"
        f" {rate('sqlite')} into SQLite; {rate('lines')} ready records into lines,"
        f" {rate('rows')} into rows."
    )
    note = (
        f"`python benchmarks/writing.py`; medians of {rounds} rounds of {count:,} spans of 1.5 KB;"
        " processor time of all threads. The plain programs have their records ready, and their"
        " table has no index; Peekr's has five."
    )
    return [Section("Spans into a file", note, body + rates, summary=True)]


if __name__ == "__main__":
    sys.exit(command("Measure what lies between span and file.", measure, rounds=15, spans=2000))
