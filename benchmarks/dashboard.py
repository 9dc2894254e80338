"""`peekr dashboard` beside a plain SQL aggregation of the same records by SQLite.

    python benchmarks/dashboard.py [SPANS] [FOLDER]

Makes a file of so many spans (100,000; some 1.3 KB each) as SQLite and as JSON lines, if FOLDER
does not have them yet. Each measurement is a process of its own; what counts is its processor time,
so that a busy machine changes the ratios little. The three take turns, several rounds.
"""

from __future__ import annotations

import os
import sqlite3
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import orjson

sys.path.insert(0, str(Path(__file__).parent.parent))

from tests.dashboard.sample import sample_records
from tests.support.trace_files import SCHEMA

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
    lines, database = folder / f"{spans}.jsonl", folder / f"{spans}.db"
    if not lines.exists():
        with lines.open("wb") as stream:
            for record in records(spans):
                stream.write(orjson.dumps(record, option=orjson.OPT_APPEND_NEWLINE))
    if not database.exists():
        connection = sqlite3.connect(database)
        connection.executescript(SCHEMA)
        names: list[str] = []
        with lines.open("rb") as stream:
            rows = (orjson.loads(line) for line in stream)
            for row in rows:
                row["attributes"] = orjson.dumps(row["attributes"]).decode()
                names = names or list(row)
                marks = ", ".join("?" * len(names))
                connection.execute(
                    f"INSERT INTO spans ({', '.join(names)}) VALUES ({marks})",
                    list(row.values()),
                )
        connection.commit()
        connection.close()
    return lines, database


def aggregate(path: str, *queries: str) -> None:
    connection = sqlite3.connect(f"file:{path}?mode=ro", uri=True)
    for query in queries:
        for row in connection.execute(query):
            assert row


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
    spans = int(sys.argv[1]) if len(sys.argv) > 1 else 100_000
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(sys.argv[2]) if len(sys.argv) > 2 else Path(temporary)
        lines, database = make(folder, spans)
        page = str(folder / "report.html")
        found: dict[str, list[tuple[float, float, float]]] = {
            "sql": [],
            "overview": [],
            "sqlite": [],
            "jsonl": [],
        }
        for _ in range(ROUNDS if spans <= 200_000 else 1):
            found["sql"].append(measured("sql", str(database)))
            found["overview"].append(measured("overview", str(database)))
            found["sqlite"].append(measured("page", str(database), page))
            found["jsonl"].append(measured("page", str(lines), page))
        size = lines.stat().st_size
        print(f"{spans:,} spans, {size / 1e6:,.0f} MB of JSON lines ({size / spans:,.0f} B each)")
        base = statistics.median(cpu for cpu, _, _ in found["sql"])
        names = {
            "sql": "SQL, by model",
            "overview": "SQL, six of its figures",
            "sqlite": "dashboard, SQLite",
            "jsonl": "dashboard, JSON lines",
        }
        for key, rounds in found.items():
            cpu, wall, memory = (statistics.median(column) for column in zip(*rounds))
            print(
                f"{names[key]:24} cpu {cpu:6.2f} s ({cpu / base:.2f}x)  wall {wall:6.2f} s"
                f"  memory {memory:4.0f} MB"
            )
        print(f"page: {os.path.getsize(page) / 1e6:.2f} MB")


if __name__ == "__main__":
    if sys.argv[1:2] == ["--run"]:
        _, _, what, *rest = sys.argv
        if what == "page":
            dashboard(*rest)
        else:
            aggregate(*rest, *(OVERVIEW if what == "overview" else (QUERY,)))
    else:
        main()
