"""What storing a span costs, end to end from `end()` to the file, against plain programs.

Four programs take turns in one process, many rounds, each with spans of a model call of about
1.5 KB: a bare OpenTelemetry span whose processor appends the line itself (orjson and one write);
Peekr with a JSONL file; a bare span whose processor keeps a connection to SQLite (WAL) and commits
row by row; Peekr with SQLite. A round ends when the last record is in the file. Medians of rounds;
run `python benchmarks/storage.py`.
"""

from __future__ import annotations

import json
import os
import sqlite3
import statistics
import sys
import tempfile
import time
from contextlib import closing
from pathlib import Path
from typing import Callable, Optional

import orjson
from opentelemetry.sdk.trace import ReadableSpan, SpanProcessor, TracerProvider
from opentelemetry.trace import SpanKind, StatusCode

import peekr

ROUNDS = 15
SPANS = 3000

MESSAGES = [
    {"role": "system", "parts": [{"type": "text", "content": "You answer in one sentence."}]},
    {"role": "user", "parts": [{"type": "text", "content": "What did the model see? " * 15}]},
]
ANSWER = [
    {
        "role": "assistant",
        "parts": [{"type": "text", "content": "It saw what was sent. " * 12}],
        "finish_reason": "stop",
    }
]
ATTRIBUTES = {
    "gen_ai.operation.name": "chat",
    "gen_ai.provider.name": "openai",
    "gen_ai.request.model": "gpt-4o",
    "gen_ai.request.temperature": 0.7,
    "gen_ai.request.max_tokens": 100,
    "gen_ai.response.model": "gpt-4o-2024-08-06",
    "gen_ai.response.id": "chatcmpl-123",
    "gen_ai.response.finish_reasons": ("stop",),
    "gen_ai.usage.input_tokens": 120,
    "gen_ai.usage.output_tokens": 45,
    "server.address": "api.openai.com",
    "server.port": 443,
    "gen_ai.input.messages": json.dumps(MESSAGES),
    "gen_ai.output.messages": json.dumps(ANSWER),
}


def record(span: ReadableSpan) -> dict[str, object]:
    context, parent = span.context, span.parent
    assert context
    start_ns, end_ns = span.start_time or 0, span.end_time or 0
    return {
        "trace_id": format(context.trace_id, "032x"),
        "span_id": format(context.span_id, "016x"),
        "parent_id": None if parent is None else format(parent.span_id, "016x"),
        "name": span.name,
        "start_time": start_ns / 1e9,
        "end_time": end_ns / 1e9,
        "duration_ms": (end_ns - start_ns) / 1e6,
        "status": "error" if span.status.status_code is StatusCode.ERROR else "ok",
        "attributes": dict(span.attributes or {}),
    }


class LineProcessor(SpanProcessor):
    def __init__(self, path: Path) -> None:
        self.fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND)

    def on_end(self, span: ReadableSpan) -> None:
        os.write(self.fd, orjson.dumps(record(span)) + b"\n")

    def shutdown(self) -> None:
        os.close(self.fd)


class RowProcessor(SpanProcessor):
    """Without the indexes that Peekr's file has."""

    def __init__(self, path: Path) -> None:
        self.connection = sqlite3.connect(path, isolation_level=None)
        self.connection.execute("PRAGMA journal_mode = WAL").fetchall()
        self.connection.execute("PRAGMA synchronous = NORMAL")
        self.connection.execute(
            "CREATE TABLE spans (trace_id TEXT, span_id TEXT PRIMARY KEY, parent_id TEXT,"
            " name TEXT, start_time REAL, end_time REAL, duration_ms REAL, status TEXT,"
            " attributes TEXT)"
        )

    def on_end(self, span: ReadableSpan) -> None:
        row = record(span)
        row["attributes"] = orjson.dumps(row["attributes"]).decode()
        self.connection.execute(
            "INSERT INTO spans VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)", tuple(row.values())
        )

    def shutdown(self) -> None:
        self.connection.close()


class Timing:
    """One round: how long until everything was in the file, and each `end()`."""

    def __init__(self, total_s: float, ends_ns: list[int]) -> None:
        self.rate = len(ends_ns) / total_s
        ends_ns.sort()
        self.p50_us = ends_ns[len(ends_ns) // 2] / 1e3
        self.p99_us = ends_ns[len(ends_ns) * 99 // 100] / 1e3


def measure(provider: TracerProvider, finish: Callable[[], object]) -> Timing:
    tracer = provider.get_tracer("benchmark")
    ends_ns: list[int] = []
    clock = time.perf_counter_ns
    started = time.perf_counter()
    for _ in range(SPANS):
        span = tracer.start_span("chat gpt-4o", kind=SpanKind.CLIENT)
        span.set_attributes(ATTRIBUTES)
        before = clock()
        span.end()
        ends_ns.append(clock() - before)
    finish()
    return Timing(time.perf_counter() - started, ends_ns)


def bare(make: Callable[[Path], SpanProcessor], path: Path) -> Timing:
    provider = TracerProvider(shutdown_on_exit=False)
    provider.add_span_processor(make(path))
    timing = measure(provider, lambda: None)
    provider.shutdown()
    return timing


def with_peekr(storage: str, path: Path) -> Timing:
    provider = TracerProvider(shutdown_on_exit=False)
    peekr.instrument(
        console=False,
        storage=storage,
        jsonl_path=str(path),
        db_path=str(path),
        tracer_provider=provider,
    )
    timing = measure(provider, peekr.flush)
    peekr.uninstrument()
    return timing


PROGRAMS: dict[str, Callable[[Path], Timing]] = {
    "bare span, a line": lambda path: bare(LineProcessor, path),
    "peekr, JSONL": lambda path: with_peekr("jsonl", path),
    "bare span, a row": lambda path: bare(RowProcessor, path),
    "peekr, SQLite": lambda path: with_peekr("sqlite", path),
}


def stored(path: Path) -> int:
    with open(path, "rb") as file:
        if file.read(6) != b"SQLite":
            return path.read_bytes().count(b"\n")
    with closing(sqlite3.connect(path)) as connection:
        return int(connection.execute("SELECT count(*) FROM spans").fetchone()[0])


def main(only: Optional[str] = None) -> None:
    timings: dict[str, list[Timing]] = {name: [] for name in PROGRAMS}
    with tempfile.TemporaryDirectory() as folder:
        for round_ in range(ROUNDS + 1):
            for name, program in PROGRAMS.items():
                if only is not None and only not in name:
                    continue
                path = Path(folder) / f"{round_} {name}"
                timing = program(path)
                assert stored(path) == SPANS, (name, stored(path))
                for file in Path(folder).iterdir():
                    file.unlink()
                if round_:  # the first one warms up
                    timings[name].append(timing)

    def median(name: str, quantity: str) -> float:
        return statistics.median(float(getattr(timing, quantity)) for timing in timings[name])

    print(f"{ROUNDS} rounds of {SPANS} spans, medians; Python {sys.version.split()[0]}")
    for name in PROGRAMS:
        if timings[name]:
            print(
                f"{name:18}  {median(name, 'rate'):8,.0f} spans/s"
                f"  end() {median(name, 'p50_us'):5.1f} us, p99 {median(name, 'p99_us'):5.1f} us"
            )
    if only is not None:
        return
    jsonl = median("peekr, JSONL", "rate") / median("bare span, a line", "rate")
    p99 = median("peekr, JSONL", "p99_us") / median("bare span, a line", "p99_us")
    sqlite = median("peekr, SQLite", "rate") / median("bare span, a row", "rate")
    print(f"JSONL: {jsonl:.2f} times the throughput of the bare span (at least 0.8)")
    print(f"JSONL: {p99:.2f} times its end() at the 99th percentile (at most 2)")
    print(f"SQLite: {sqlite:.2f} times the throughput of the bare span (at least 0.6)")


if __name__ == "__main__":
    main(*sys.argv[1:2])
