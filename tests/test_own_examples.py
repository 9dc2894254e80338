"""The examples of spans, sessions and exporters of one's own do what they say."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Dict, List

from tests.support.examples import run_example


def records_of(path: Path) -> List[Dict[str, Any]]:
    return [json.loads(line) for line in path.read_text("utf-8").splitlines()]


def test_own_spans(tmp_path: Path) -> None:
    stdout, stderr = run_example("own_spans.py", "own.jsonl", cwd=tmp_path)
    assert stderr == ""
    records = {record["name"]: record for record in records_of(tmp_path / "own.jsonl")}
    assert len(stdout.splitlines()) == len(records) == 7
    answer = records["__main__.answer"]
    assert answer["attributes"] == {
        "input": {"question": "sleep"},
        "output": "Cats sleep a lot.",
        "feature": "answers",
        "ranking": {"best": "Cats", "scores": [0.9, 0.4]},
    }
    assert records["__main__.search"]["attributes"]["output"] == [
        {"title": "Cats", "text": "Cats sleep a lot."}
    ]
    assert records["__main__.check_password"]["attributes"] == {}
    assert records["words.split"]["attributes"]["peekr.generator.items"] == 4
    parents = {name: record["parent_id"] for name, record in records.items()}
    assert parents["words.split"] == records["__main__.stream"]["span_id"]
    assert parents["__main__.stream"] == records["compose"]["span_id"]
    assert parents["compose"] == answer["span_id"]
    assert records["import"]["status"] == "error"
    assert records["import"]["attributes"]["error"] == "row 2 has no title"


def test_sessions(tmp_path: Path) -> None:
    stdout, stderr = run_example("sessions.py", "own.jsonl", cwd=tmp_path)
    assert stderr == ""
    records = records_of(tmp_path / "own.jsonl")
    first = stdout.split()[1]
    seen = [
        (
            record["attributes"]["session_id"] == first,
            record["attributes"].get("user_id"),
            record["tenant_id"],
            record["retention_class"],
            record["attributes"].get("feature"),
        )
        for record in records
    ]
    assert seen == [
        (True, "ada", "acme", "short", "digest"),
        (True, "ada", "acme", "short", "digest"),
        (True, "ada", "beta", "short", None),
        (False, None, "acme", None, None),
        (False, None, "acme", None, None),
    ]
    assert records[3]["attributes"]["session_id"] != records[4]["attributes"]["session_id"]
    assert stdout.splitlines()[1:] == ["sent along: session.id=s-1", "received: s-1"]


def test_custom_exporter(tmp_path: Path) -> None:
    stdout, stderr = run_example("custom_exporter.py", "own.db", cwd=tmp_path)
    printed, *told = stdout.splitlines()
    assert printed.startswith("rank  ")
    assert told == [
        "slow: lookup search, rank None",
        "rows: [{'name': 'lookup'}, {'name': 'rank'}]",
        "lines: 2",
    ]
    assert stderr.count("The exporter Broken raised") == 1
    assert "no route to host" in stderr
