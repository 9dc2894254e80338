"""How long ending a span blocks the caller, with one writer and with eight.

    python benchmarks/blocking.py [--rounds 10] [--spans 400]

Each writer is a thread that ends a span of about 1.5 KB, then waits a millisecond as for an answer,
and so on. Time of the clock of `end()` alone. The contestants take turns in one process: Peekr with
each of its stores, a processor that appends a line by itself (orjson and one `write`), and
OpenTelemetry's batch processor with an exporter that drops, which only queues.
"""

from __future__ import annotations

import sys
import tempfile
import threading
import time
from pathlib import Path
from statistics import median
from typing import Callable, Optional

from opentelemetry.sdk.trace import SpanProcessor, TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExporter, SpanExportResult
from opentelemetry.trace import SpanKind
from results import Section, command, table
from storage import ATTRIBUTES, LineProcessor

import peekr

PAUSE_S = 0.001
WRITERS = (1, 8)


class Drop(SpanExporter):
    def export(self, spans: object) -> SpanExportResult:
        return SpanExportResult.SUCCESS


def write(provider: TracerProvider, writers: int, spans: int) -> list[int]:
    """Nanoseconds of each `end()`."""
    tracer, found, together = provider.get_tracer("benchmark"), [], threading.Barrier(writers)
    clock = time.perf_counter_ns

    def work() -> None:
        mine: list[int] = []
        together.wait()
        for _ in range(spans // writers):
            span = tracer.start_span("chat gpt-4o", kind=SpanKind.CLIENT)
            span.set_attributes(ATTRIBUTES)
            before = clock()
            span.end()
            mine.append(clock() - before)
            time.sleep(PAUSE_S)
        found.extend(mine)

    threads = [threading.Thread(target=work) for _ in range(writers)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return sorted(found)


def plain(make: Callable[[Path], SpanProcessor]) -> Callable[[Path, int, int], list[int]]:
    def run(path: Path, writers: int, spans: int) -> list[int]:
        provider = TracerProvider(shutdown_on_exit=False)
        provider.add_span_processor(make(path))
        try:
            return write(provider, writers, spans)
        finally:
            provider.shutdown()

    return run


def with_peekr(storage: Optional[str]) -> Callable[[Path, int, int], list[int]]:
    def run(path: Path, writers: int, spans: int) -> list[int]:
        provider = TracerProvider(shutdown_on_exit=False)
        peekr.instrument(
            console=False,
            storage=storage,
            jsonl_path=f"{path}.jsonl",
            db_path=f"{path}.db",
            tracer_provider=provider,
        )
        try:
            write(provider, 1, 10)
            peekr.flush()
            return write(provider, writers, spans)
        finally:
            peekr.uninstrument()

    return run


PROGRAMS: dict[str, Callable[[Path, int, int], list[int]]] = {
    "Peekr, JSONL": with_peekr("jsonl"),
    "Peekr, SQLite": with_peekr("sqlite"),
    "Peekr, both": with_peekr("both"),
    "Peekr, no store": with_peekr(None),
    "a line by orjson and `write`": plain(LineProcessor),
    "OpenTelemetry's batch processor": plain(lambda path: BatchSpanProcessor(Drop())),
}


def measure(rounds: int, spans: int) -> list[Section]:
    found: dict[tuple[str, int], list[tuple[float, float]]] = {}
    with tempfile.TemporaryDirectory() as folder:
        for number in range(rounds + 1):
            for name, program in PROGRAMS.items():
                for writers in WRITERS:
                    ends = program(Path(folder) / f"{number}-{len(found)}", writers, spans)
                    of_round = ends[len(ends) // 2] / 1e3, ends[len(ends) * 99 // 100] / 1e3
                    if number:  # the first one warms up
                        found.setdefault((name, writers), []).append(of_round)
    rows = [
        [name]
        + [
            f"{median(of_round[which] for of_round in found[name, writers]):,.0f} µs"
            for writers in WRITERS
            for which in (0, 1)
        ]
        for name in PROGRAMS
    ]
    head = ["`end()`", "1 writer, p50", "p99", "8 writers, p50", "p99"]
    note = (
        f"`python benchmarks/blocking.py`; medians of {rounds} rounds of {spans} spans of 1.5 KB;"
        " each writer waits 1 ms between spans."
    )
    return [Section("How long ending a span blocks", note, table(head, rows))]


if __name__ == "__main__":
    sys.exit(command("Measure how long ending a span blocks.", measure, rounds=10, spans=400))
