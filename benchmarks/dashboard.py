"""`peekr dashboard` beside plain aggregations of the same records: SQL by SQLite, a loop in Python.

    python benchmarks/dashboard.py [SPANS] [FOLDER]

Makes a file of so many spans (100,000; some 1.4 KB each) as JSON lines and as SQLite, if FOLDER
does not have them yet; a million take 3.7 GB. Each measurement is a process of its own, the whole
of it, from the start of Python on. What counts is its processor time, so that a busy machine
changes the ratios little. They take turns, three rounds; the medians are shown.
"""

from __future__ import annotations

import os
import sqlite3
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent.parent))

ROUNDS = 3
SPANS_A_TRACE = 4
PROMPT = (
    "You help the customers of a company that sells furniture. Answer in the customer's language, "
    "in at most five sentences, and do not promise dates that the warehouse has not confirmed. "
) * 6

QUERY = """
SELECT json_extract(attributes, '$.model'), count(*), sum(status = 'error'),
    sum(json_extract(attributes, '$.tokens_input')),
    sum(json_extract(attributes, '$.tokens_output')),
    sum(json_extract(attributes, '$.tokens_cache_read')),
    sum(json_extract(attributes, '$.cost_usd')), avg(duration_ms)
FROM spans GROUP BY 1
"""
_CALLS = "FROM spans WHERE json_extract(attributes, '$.\"gen_ai.operation.name\"') = 'chat'"
_SUMS = (
    "count(*), sum(status = 'error'), sum(json_extract(attributes, '$.tokens_input')),"
    " sum(json_extract(attributes, '$.tokens_output')),"
    " sum(json_extract(attributes, '$.cost_usd'))"
)
OVERVIEW = (
    QUERY,
    f"SELECT tenant_id, {_SUMS} {_CALLS} GROUP BY 1",
    f"SELECT CAST(start_time / 86400 AS INTEGER), {_SUMS} {_CALLS} GROUP BY 1",
    "SELECT ntile, max(duration_ms) FROM"
    f" (SELECT duration_ms, ntile(100) OVER (ORDER BY duration_ms) AS ntile {_CALLS}) GROUP BY 1",
    "SELECT name, count(*), sum(duration_ms) FROM spans GROUP BY 1",
    "SELECT trace_id, sum(json_extract(attributes, '$.cost_usd')) FROM spans GROUP BY 1"
    " ORDER BY 2 DESC LIMIT 20",
)
"""What one would ask SQL for a few of the page's figures."""


def records(spans: int) -> Iterator[dict[str, Any]]:
    from tests.dashboard.sample import sample_records

    for record in sample_records(spans // SPANS_A_TRACE):
        attributes = record["attributes"]
        given = attributes.get("input")
        if isinstance(given, list):
            given[0]["content"] = PROMPT
        else:
            attributes["code.function"] = "shop.assistant.answers." + record["name"]
            attributes["resource"] = {"service.name": "assistant", "note": PROMPT[:500]}
        yield record


def make(folder: Path, spans: int) -> tuple[Path, Path]:
    import orjson

    from tests.support.trace_files import SCHEMA

    lines, database = folder / f"{spans}.jsonl", folder / f"{spans}.db"
    if not lines.exists():
        with lines.open("wb") as stream:
            for record in records(spans):
                stream.write(orjson.dumps(record, option=orjson.OPT_APPEND_NEWLINE))
    if not database.exists():
        connection = sqlite3.connect(database)
        connection.execute("PRAGMA synchronous = OFF")
        connection.executescript(SCHEMA)
        with lines.open("rb") as stream:
            names = list(orjson.loads(stream.readline()))
            stream.seek(0)
            rows = map(orjson.loads, stream)
            marks = ", ".join("?" if name != "attributes" else "CAST(? AS TEXT)" for name in names)
            connection.executemany(
                f"INSERT INTO spans ({', '.join(names)}) VALUES ({marks})",
                ([*list(row.values())[:-1], orjson.dumps(row["attributes"])] for row in rows),
            )
        connection.commit()
        connection.close()
    return lines, database


def aggregate(path: str, *queries: str) -> None:
    connection = sqlite3.connect(f"file:{path}?mode=ro", uri=True)
    for query in queries:
        for row in connection.execute(query):
            assert row


def loop(path: str) -> None:
    """What QUERY asks, of JSON lines."""
    import orjson

    sums: dict[Any, list[float]] = {}
    with open(path, "rb") as stream:
        for line in stream:
            record = orjson.loads(line)
            get = record["attributes"].get
            found = sums.setdefault(get("model"), [0, 0, 0, 0, 0, 0.0, 0.0])
            found[0] += 1
            found[1] += record["status"] == "error"
            found[2] += get("tokens_input") or 0
            found[3] += get("tokens_output") or 0
            found[4] += get("tokens_cache_read") or 0
            found[5] += get("cost_usd") or 0.0
            found[6] += record["duration_ms"]


def dashboard(path: str, output: str) -> None:
    from peekr.dashboard.report import write_report

    write_report(path, output)


def measured(*arguments: str) -> tuple[float, float, float]:
    """Processor time and wall time in seconds, and the most memory in MB, of one process."""
    started = time.perf_counter()
    process = subprocess.Popen([sys.executable, __file__, "--run", *arguments])
    _, status, usage = os.wait4(process.pid, 0)
    assert status == 0, arguments
    wall = time.perf_counter() - started
    scale = 1 if sys.platform == "darwin" else 1024
    return usage.ru_utime + usage.ru_stime, wall, usage.ru_maxrss * scale / 1e6


def main() -> None:
    import tempfile

    spans = int(sys.argv[1]) if len(sys.argv) > 1 else 100_000
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(sys.argv[2]) if len(sys.argv) > 2 else Path(temporary)
        lines, database = map(str, make(folder, spans))
        page = str(folder / "report.html")
        # What is measured, and what it is compared with.
        asked = {
            "SQL, one GROUP BY": (("sql", database), ""),
            "SQL, six of the figures": (("overview", database), "SQL, one GROUP BY"),
            "dashboard, SQLite": (("page", database, page), "SQL, one GROUP BY"),
            "orjson in a loop": (("loop", lines), "SQL, one GROUP BY"),
            "dashboard, JSON lines": (("page", lines, page), "orjson in a loop"),
        }
        found: dict[str, list[tuple[float, float, float]]] = {name: [] for name in asked}
        for _ in range(ROUNDS):
            for name, (arguments, _) in asked.items():
                found[name].append(measured(*arguments))
        size = os.path.getsize(lines)
        print(f"{spans:,} spans, {size / 1e6:,.0f} MB of JSON lines ({size / spans:,.0f} B each)")
        medians = {
            name: [statistics.median(column) for column in zip(*rounds)]
            for name, rounds in found.items()
        }
        for name, (cpu, wall, memory) in medians.items():
            base = asked[name][1]
            ratio = f"{cpu / medians[base][0]:.2f} of {base}" if base else ""
            print(f"{name:24} cpu {cpu:6.2f} s  wall {wall:6.2f} s  {memory:4.0f} MB  {ratio}")
        print(f"page: {os.path.getsize(page) / 1e6:.2f} MB")


if __name__ == "__main__":
    if sys.argv[1:2] == ["--run"]:
        _, _, what, *rest = sys.argv
        if what == "page":
            dashboard(*rest)
        elif what == "loop":
            loop(*rest)
        else:
            aggregate(*rest, *(OVERVIEW if what == "overview" else (QUERY,)))
    else:
        main()
