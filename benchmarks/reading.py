"""What `peekr view` and `peekr cost` take beside plain programs that print the same.

    python benchmarks/reading.py [SPANS …] [--in FOLDER] [--only TEXT]

Makes files of so many spans (10,000 and 100,000; some 1.2 KB each) as JSON lines and as SQLite: of
Peekr's own instrumentations, and of others. The plain programs are below: orjson and dictionaries
for JSON lines, `sqlite3` for SQLite. The plain `view` prints the same text to the letter, and the
plain `cost` sums up the same table, which is checked. Each measurement is a process of its own;
what counts is its processor time, so that a busy machine changes the ratios little. The programs
take turns, several rounds; shown are medians.
"""

from __future__ import annotations

import math
import sys
from datetime import datetime
from typing import TYPE_CHECKING, Any

import orjson

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

# What the plain programs do not need is imported where it is used: they are to start as quickly as
# a plain program does.

NOW = 1_790_000_000.0
PROMPT = (
    "You help the customers of a company that sells furniture. Answer in the customer's language, "
    "in at most five sentences, and do not promise dates that the warehouse has not confirmed. "
) * 4
MODELS = {"gpt-4o": 2.5e-6, "gpt-4o-mini": 1.5e-7, "o3": 2e-6, "gpt-4.1-nano": 1e-7}
SCHEMA = """
CREATE TABLE spans (
    trace_id TEXT NOT NULL, span_id TEXT NOT NULL PRIMARY KEY, parent_id TEXT, name TEXT NOT NULL,
    start_time REAL NOT NULL, end_time REAL, duration_ms REAL, status TEXT NOT NULL DEFAULT 'ok',
    tenant_id TEXT, retention_class TEXT, attributes TEXT
);
CREATE INDEX idx_trace_id ON spans(trace_id);
CREATE INDEX idx_name ON spans(name);
CREATE INDEX idx_start_time ON spans(start_time);
CREATE INDEX idx_tenant_id ON spans(tenant_id);
CREATE INDEX idx_retention_class ON spans(retention_class);
"""

Record = dict[str, Any]
Usage = tuple[float, float, float]

# -- files -----------------------------------------------------------------------------------------


def records(spans: int, is_own: bool) -> Iterator[Record]:
    """Records of requests with three model calls and a tool each, in the order of their ends."""
    import random

    chance = random.Random(7)
    call, tool, root = ("openai.chat", "shop.search", "shop.answer")
    if not is_own:
        call, tool, root = ("ChatCompletion", "search", "Agent workflow")
    for number in range(-(-spans // 5)):
        trace_id = f"{chance.getrandbits(128):032x}"
        ids = [f"{chance.getrandbits(64):016x}" for _ in range(5)]
        start = NOW + number * 0.5
        common: Record = {"session_id": f"s-{number // 4}", "user_id": f"u-{number % 50}"}
        first = start

        def made(
            place: int, name: str, ms: float, status: str, attributes: Record, first: float
        ) -> Record:
            return {
                "trace_id": trace_id,  # noqa: B023 - called at once
                "span_id": ids[place],  # noqa: B023
                "parent_id": ids[4] if place < 4 else None,  # noqa: B023
                "name": name,
                "start_time": first,
                "end_time": first + ms / 1000,
                "duration_ms": ms,
                "status": status,
                "tenant_id": ("acme", "globex")[number % 2],  # noqa: B023
                "retention_class": "default",
                "attributes": attributes,
            }

        for place in range(4):
            ms = round(chance.uniform(80, 2500), 3)
            if place == 2:
                attributes: Record = {
                    **common,
                    "gen_ai.operation.name": "execute_tool",
                    "input": {"query": PROMPT[: chance.randrange(200, 700)]},
                    "output": {"found": [PROMPT[:250]]},
                }
                yield made(place, tool, ms, "ok", attributes, first)
            else:
                model = chance.choice(list(MODELS))
                tokens, output = chance.randrange(50, 4000), chance.randrange(5, 400)
                attributes = {
                    "provider": "openai",
                    "model": model,
                    "gen_ai.operation.name": "chat",
                    "gen_ai.response.model": f"{model}-2024-08-06",
                    "gen_ai.response.id": f"chatcmpl-{chance.getrandbits(96):024x}",
                    "server.address": "api.openai.com",
                    **common,
                    "tokens_input": tokens,
                    "tokens_output": output,
                    "tokens_total": tokens + output,
                    "input": [
                        {"role": "system", "content": PROMPT[: chance.randrange(100, 600)]},
                        {"role": "user", "content": "Where is my order? It was due yesterday."},
                    ],
                    "output": "It left the warehouse this morning and is with you tomorrow.",
                    "finish_reasons": ["stop"],
                    "cost_usd": tokens * MODELS[model] + output * MODELS[model] * 4,
                    "time_to_first_token_ms": round(ms / 3, 3),
                }
                status = "ok"
                if chance.random() < 0.01:
                    status, attributes["error"] = "error", "RateLimitError: slow down"
                yield made(place, call, ms, status, attributes, first)
            first += ms / 1000
        attributes = {
            **common,
            "endpoint": "/answer",
            "input": {"question": PROMPT[: chance.randrange(200, 700)]},
            "output": "It left the warehouse this morning and is with you tomorrow.",
            "resource": {"service.name": "assistant", "note": PROMPT[:300]},
        }
        yield made(4, root, round((first - start) * 1000 + 3, 3), "ok", attributes, start)


def make(folder: Path, spans: int, only: str) -> dict[str, Path]:
    """The files of so many spans that are measured; those that are there are taken as they are."""
    import sqlite3

    files: dict[str, Path] = {}
    for kind in ("own", "others"):
        lines, database = folder / f"{kind}-{spans}.jsonl", folder / f"{kind}-{spans}.db"
        for file in (lines, database):
            if any(only in f"{what} {kind}{file.suffix}" for what in ("view", "cost", "newest")):
                files[f"{kind}{file.suffix}"] = file
        if not lines.exists() and (lines in files.values() or database in files.values()):
            with lines.open("wb") as stream:
                for record in records(spans, kind == "own"):
                    stream.write(orjson.dumps(record, option=orjson.OPT_APPEND_NEWLINE))
        if not database.exists() and database in files.values():
            connection = sqlite3.connect(database)
            connection.executescript(SCHEMA)
            with lines.open("rb") as stream:
                connection.executemany(
                    f"INSERT INTO spans VALUES ({', '.join('?' * 11)})", map(row_of, stream)
                )
            connection.commit()
            connection.close()
    return files


def row_of(line: bytes) -> tuple[Any, ...]:
    record = orjson.loads(line)
    record["attributes"] = orjson.dumps(record["attributes"]).decode()
    return tuple(record.values())


# -- the plain programs: `view` --------------------------------------------------------------------


def plain_view_jsonl(path: str) -> None:
    traces: dict[str, list[Record]] = {}
    with open(path, "rb") as stream:
        for line in stream:
            record = orjson.loads(line)
            spans = traces.pop(record["trace_id"], [])
            spans.append(record)
            traces[record["trace_id"]] = spans  # the last active one last
    show(traces)


def plain_view_sqlite(path: str) -> None:
    import sqlite3

    connection = sqlite3.connect(f"file:{path}?mode=ro", uri=True)
    traces: dict[str, list[Record]] = {}
    names = [column[1] for column in connection.execute("PRAGMA table_info(spans)")]
    for row in connection.execute("SELECT * FROM spans ORDER BY rowid"):
        record = dict(zip(names, row))
        record["attributes"] = orjson.loads(record["attributes"])
        spans = traces.pop(record["trace_id"], [])
        spans.append(record)
        traces[record["trace_id"]] = spans
    ends = {key: max(span["end_time"] for span in spans) for key, spans in traces.items()}
    show({key: traces[key] for key in sorted(traces, key=ends.__getitem__)})


def show(traces: dict[str, list[Record]]) -> None:
    is_first = True
    for trace_id, spans in traces.items():
        lines = [] if is_first else [""]
        is_first = False
        spans.sort(key=lambda span: span["start_time"])
        ids = {span["span_id"] for span in spans}
        children: dict[Any, list[Record]] = {}
        roots: list[Record] = []
        for span in spans:
            if span["parent_id"] in ids:
                children.setdefault(span["parent_id"], []).append(span)
            else:
                roots.append(span)
        lines.append(header(trace_id, spans))
        for root in roots:
            draw(root, "", "", children, lines)
        lines.append("")
        sys.stdout.write("\n".join(lines))


def header(trace_id: str, spans: list[Record]) -> str:
    start = min(span["start_time"] for span in spans)
    end = max(span["end_time"] for span in spans)
    found = [span["attributes"] for span in spans]
    tokens = sum(one.get("tokens_total", 0) for one in found)
    cost = sum(one.get("cost_usd", 0) for one in reversed(found))
    errors = sum(span["status"] == "error" for span in spans)
    parts = [
        f"trace {trace_id}",
        datetime.fromtimestamp(start).strftime("%Y-%m-%d %H:%M:%S"),
        f"{len(spans)} spans",
        duration((end - start) * 1000),
        f"{tokens:.0f}tok",
        dollars(cost),
    ]
    if errors:
        parts.append("1 error" if errors == 1 else f"{errors} errors")
    parts.append(f"session {found[0]['session_id']}")
    parts.append(f"user {found[0]['user_id']}")
    parts.append(f"tenant {spans[0]['tenant_id']}")
    return "  ".join(parts)


def draw(
    span: Record, before: str, under: str, children: dict[Any, list[Record]], lines: list[str]
) -> None:
    attributes = span["attributes"]
    line = f"  {before}{span['name']}"
    if "model" in attributes:
        line += f" [{attributes['model']}]"
    line += f"  {duration(span['duration_ms'])}"
    if "tokens_total" in attributes:
        line += f"  {attributes['tokens_total']}tok"
    if "cost_usd" in attributes:
        line += f"  {dollars(attributes['cost_usd'])}"
    if span["status"] == "error":
        line += "  ERROR"
    lines.append(line)
    below = children.get(span["span_id"], [])
    if "error" in attributes:
        lines.append(f"  {under}{'│  ' if below else '   '}{attributes['error']}")
    for child in below:
        is_last = child is below[-1]
        branch, bar = ("└─ ", "   ") if is_last else ("├─ ", "│  ")
        draw(child, under + branch, under + bar, children, lines)


def duration(ms: float) -> str:
    if ms < 999.5:
        return f"{ms:.0f}ms"
    return f"{ms / 1000:.2f}s"


def dollars(usd: float) -> str:
    if usd >= 0.99995:
        return f"${usd:.2f}"
    return f"${usd:.4f}" if usd >= 0.0001 else f"${usd:.{1 - math.floor(math.log10(usd))}f}"


# -- the plain programs: `cost` --------------------------------------------------------------------


def plain_cost_jsonl(path: str) -> None:
    sums: dict[Any, list[Any]] = {}
    with open(path, "rb") as stream:
        for line in stream:
            record = orjson.loads(line)
            attributes = record["attributes"]
            if "tokens_input" not in attributes:
                continue
            found = sums.setdefault(attributes.get("model"), [0, 0, 0, 0, 0.0])
            found[0] += 1
            found[1] += record["status"] == "error"
            found[2] += attributes["tokens_input"]
            found[3] += attributes["tokens_output"]
            found[4] += attributes.get("cost_usd", 0)
    print(orjson.dumps(sums).decode())


QUERY = """
SELECT json_extract(attributes, '$.model'), count(*), sum(status = 'error'),
    sum(json_extract(attributes, '$.tokens_input')),
    sum(json_extract(attributes, '$.tokens_output')),
    sum(json_extract(attributes, '$.cost_usd'))
FROM spans WHERE json_extract(attributes, '$.tokens_input') IS NOT NULL GROUP BY 1
"""


def plain_cost_sqlite(path: str) -> None:
    import sqlite3

    connection = sqlite3.connect(f"file:{path}?mode=ro", uri=True)
    print(orjson.dumps({row[0]: row[1:] for row in connection.execute(QUERY)}).decode())


PLAIN = {
    "view.jsonl": plain_view_jsonl,
    "view.db": plain_view_sqlite,
    "cost.jsonl": plain_cost_jsonl,
    "cost.db": plain_cost_sqlite,
}

# -- the comparison --------------------------------------------------------------------------------


def measured(output: Path, *arguments: str) -> Usage:
    """Processor time and wall time in seconds, and the most memory in MB, of one process."""
    import os
    import subprocess
    import time

    # As installed, with the modules compiled beforehand.
    environment = {**os.environ, "PYTHONPYCACHEPREFIX": str(output.parent / "compiled")}
    environment.pop("PYTHONDONTWRITEBYTECODE", None)
    with output.open("wb") as stream:
        started = time.perf_counter()
        process = subprocess.Popen([sys.executable, *arguments], stdout=stream, env=environment)
        _, status, usage = os.wait4(process.pid, 0)
        wall = time.perf_counter() - started
    process.returncode = status
    assert status == 0, arguments
    scale = 1 if sys.platform == "darwin" else 1024
    return usage.ru_utime + usage.ru_stime, wall, usage.ru_maxrss * scale / 1e6


def compared(
    output: Path, rounds: int, programs: dict[str, tuple[str, ...]]
) -> dict[str, tuple[float, float, float]]:
    """The medians of programs that take turns."""
    import statistics

    found: dict[str, list[Usage]] = {name: [] for name in programs}
    for _ in range(rounds):
        for name, arguments in programs.items():
            found[name].append(measured(output / name, *arguments))
    return {
        name: tuple(statistics.median(column) for column in zip(*usages))  # type: ignore[misc]
        for name, usages in found.items()
    }


def same(kind: str, plain: Path, peekr: Path) -> bool:
    """Whether both have found the same."""
    if kind == "view":
        return plain.read_bytes() == peekr.read_bytes()
    sums = orjson.loads(plain.read_bytes())
    keys = ("calls", "errors", "tokens_input", "tokens_output", "cost_usd")
    groups = orjson.loads(peekr.read_bytes())["by"]["model"]
    found = {group["model"]: [group[key] for key in keys] for group in groups}
    return found.keys() == sums.keys() and all(
        abs(one - other) < 1e-6 for model in sums for one, other in zip(sums[model], found[model])
    )


def main(sizes: Iterable[int], folder: Path, only: str) -> None:
    import os

    measured(folder / "peekr.txt", "-c", "import peekr.cli.view, peekr.cli.cost")  # compiles
    for spans in sizes:
        files = make(folder, spans, only)
        print(
            f"{spans:,} spans, of {max(os.path.getsize(f) for f in files.values()) / 1e6:,.0f} MB"
        )
        rounds = 7 if spans <= 20_000 else 5 if spans <= 200_000 else 1
        for name, path in files.items():
            ending = path.suffix
            for kind, options in (("view", ("--limit", "0")), ("cost", ("--json",))):
                if only not in f"{kind} {name}":
                    continue
                found = compared(
                    folder,
                    rounds,
                    {
                        "plain.txt": (__file__, "--run", f"{kind}{ending}", str(path)),
                        "peekr.txt": ("-m", "peekr.cli", kind, str(path), *options),
                    },
                )
                plain, ours = found["plain.txt"], found["peekr.txt"]
                check = same(kind, folder / "plain.txt", folder / "peekr.txt")
                print(
                    f"  {kind} {name:13} cpu {ours[0]:6.2f} s, plain {plain[0]:6.2f} s:"
                    f" {ours[0] / plain[0]:.2f} times; wall {ours[1]:6.2f} s;"
                    f" memory {ours[2]:5.0f} MB, plain {plain[2]:5.0f} MB"
                    f"{'' if check else '  NOT THE SAME'}",
                    flush=True,
                )
            if only in f"newest {name}":
                usage = compared(
                    folder, rounds, {"peekr.txt": ("-m", "peekr.cli", "view", str(path))}
                )["peekr.txt"]
                print(
                    f"  newest {name:11} cpu {usage[0]:6.2f} s; wall {usage[1]:6.2f} s;"
                    f" memory {usage[2]:5.0f} MB",
                    flush=True,
                )


def start() -> None:
    import argparse
    import tempfile
    from pathlib import Path

    parser = argparse.ArgumentParser()
    parser.add_argument("spans", nargs="*", type=int)
    parser.add_argument("--in", dest="folder", type=Path)
    parser.add_argument("--only", default="")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        main(given.spans or (10_000, 100_000), given.folder or Path(temporary), given.only)


if __name__ == "__main__":
    if sys.argv[1:2] == ["--run"]:
        PLAIN[sys.argv[2]](sys.argv[3])
    else:
        start()
