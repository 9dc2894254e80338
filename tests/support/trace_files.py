"""Trace files built from plain JSON and sqlite3, independent of the code that writes them."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterable
from pathlib import Path
from typing import Any, Optional

Record = dict[str, Any]

SCHEMA = """
CREATE TABLE spans (
    trace_id TEXT NOT NULL, span_id TEXT NOT NULL PRIMARY KEY, parent_id TEXT, name TEXT NOT NULL,
    start_time REAL NOT NULL, end_time REAL, duration_ms REAL, status TEXT NOT NULL DEFAULT 'ok',
    attributes TEXT, tenant_id TEXT, retention_class TEXT
);
CREATE INDEX idx_trace_id ON spans(trace_id);
CREATE INDEX idx_start_time ON spans(start_time);
"""

NOW = 1_790_000_000.0


def trace_id(number: int) -> str:
    return f"{number:032x}"


def span(
    trace: int = 1,
    number: int = 1,
    parent: Optional[int] = None,
    name: str = "app.step",
    start: float = NOW,
    duration_ms: float = 100.0,
    status: str = "ok",
    **attributes: Any,
) -> Record:
    return {
        "trace_id": trace_id(trace),
        "span_id": f"{trace:08x}{number:08x}",
        "parent_id": None if parent is None else f"{trace:08x}{parent:08x}",
        "name": name,
        "start_time": start,
        "end_time": start + duration_ms / 1000.0,
        "duration_ms": duration_ms,
        "status": status,
        "tenant_id": None,
        "retention_class": None,
        "attributes": attributes,
    }


def agent_trace(
    trace: int, model: str = "gpt-4o", error: str = "", session: str = ""
) -> list[Record]:
    """A root with two model calls, children first as they end first; the second may fail."""
    start = NOW + trace * 10
    more: Record = {"session_id": session} if session else {}
    used: Record = {"model": model, "tokens_total": 312, "cost_usd": 0.0021}
    failed: Record = {"model": model, "error": error} if error else {"model": model}
    status = "error" if error else "ok"
    return [
        span(trace, 2, 1, "openai.chat", start + 1, 843, **used, **more),
        span(trace, 3, 1, "openai.chat", start + 3, 200, status, **failed, **more),
        span(trace, 1, None, "agent.run", start, 5000, **more),
    ]


def write_jsonl(path: Path, records: Iterable[Record], ending: str = "\n") -> Path:
    path.write_text("".join(json.dumps(record) + ending for record in records), encoding="utf-8")
    return path


def write_sqlite(path: Path, records: Iterable[Record], schema: str = SCHEMA) -> Path:
    connection = sqlite3.connect(str(path))
    connection.execute("PRAGMA journal_mode = WAL")
    connection.executescript(schema)
    insert_sqlite(connection, records)
    connection.close()
    return path


def insert_sqlite(connection: sqlite3.Connection, records: Iterable[Record]) -> None:
    for record in records:
        row = {**record, "attributes": json.dumps(record["attributes"])}
        marks = ", ".join("?" * len(row))
        connection.execute(
            f"INSERT INTO spans ({', '.join(row)}) VALUES ({marks})", list(row.values())
        )
    connection.commit()
