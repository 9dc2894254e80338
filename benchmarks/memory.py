"""Whether memory stays flat over many spans: a process's resident size on the way.

    python benchmarks/memory.py [--spans 100000]

Each store is a process of its own that ends spans of about 1.5 KB as fast as it can, four in a
trace. `--spans 1000000` is the long run.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

from results import Section, say, table

STORES = {"jsonl": "JSONL", "sqlite": "SQLite", "none": "no store"}
MARKS = (0.1, 0.25, 0.5, 0.75, 1.0)


def resident() -> float:
    """Megabytes."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 1e6


def work(storage: str, spans: int, folder: str) -> None:
    from opentelemetry.trace import SpanKind
    from storage import ATTRIBUTES

    import peekr

    paths = {"jsonl_path": f"{folder}/spans.jsonl", "db_path": f"{folder}/spans.db"}
    peekr.instrument(console=False, storage=None if storage == "none" else storage, **paths)
    from opentelemetry import trace

    tracer = trace.get_tracer("benchmark")
    start, marks, sizes = resident(), [int(spans * mark) // 4 for mark in MARKS], []
    for number in range(1, spans // 4 + 1):
        with tracer.start_as_current_span("agent"):
            for _ in range(3):
                with tracer.start_as_current_span("chat gpt-4o", kind=SpanKind.CLIENT) as span:
                    span.set_attributes(ATTRIBUTES)
        if number in marks:
            sizes.append(resident())
    peekr.flush(timeout=120)
    print(json.dumps({"start": start, "sizes": sizes, "stored": stored(storage, paths)}))


def stored(storage: str, paths: dict[str, str]) -> int:
    if storage == "jsonl":
        with open(paths["jsonl_path"], "rb") as file:
            return sum(1 for _ in file)
    if storage == "sqlite":
        import sqlite3

        connection = sqlite3.connect(paths["db_path"])
        return int(connection.execute("SELECT count(*) FROM spans").fetchone()[0])
    return 0


def measure(spans: int) -> list[Section]:
    rows: list[list[str]] = []
    for storage, name in STORES.items():
        with tempfile.TemporaryDirectory() as folder:
            made = subprocess.run(
                [sys.executable, __file__, "--work", storage, folder, "--spans", str(spans)],
                check=True,
                stdout=subprocess.PIPE,
                encoding="utf-8",
            ).stdout
        found = json.loads(made.splitlines()[-1])
        sizes = found["sizes"]
        half = MARKS.index(0.5)
        growth = (sizes[-1] - sizes[half]) * 1e6 / (spans * (MARKS[-1] - MARKS[half]))
        kept = "" if storage == "none" else f"{found['stored'] / spans:.0%}"
        rows.append([name, *[f"{size:.0f} MB" for size in [found["start"], *sizes]]])
        rows[-1] += [f"{growth:+.1f} B", kept]
    head = ["", "before", *[f"at {mark:.0%}" for mark in MARKS], "growth a span", "stored"]
    note = (
        f"`python benchmarks/memory.py --spans {spans}`; resident memory of a process that ends"
        f" {spans:,} spans of 1.5 KB as fast as it can; the growth is that of the second half."
    )
    return [Section("Memory", note, table(head, rows))]


def main() -> int:
    parser = argparse.ArgumentParser(description="Measure memory over many spans.")
    parser.add_argument("--spans", type=int, default=100_000)
    parser.add_argument("--json", help="write the sections to this file")
    parser.add_argument("--work", nargs=2, metavar=("STORE", "FOLDER"), help=argparse.SUPPRESS)
    parsed = parser.parse_args()
    if parsed.work:
        work(parsed.work[0], parsed.spans, parsed.work[1])
    else:
        say(measure(parsed.spans), parsed.json)
    return 0


if __name__ == "__main__":
    sys.exit(main())
