"""The example of an agent: its traces, its tools, the session of its conversation."""

from __future__ import annotations

import json
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any, Dict, List

import pytest

from tests.support.examples import run_example


def records_of(path: Path) -> List[Dict[str, Any]]:
    with closing(sqlite3.connect(path)) as connection:
        connection.row_factory = sqlite3.Row
        rows = connection.execute("SELECT * FROM spans ORDER BY start_time")
        return [{**dict(row), "attributes": json.loads(row["attributes"])} for row in rows]


def test_a_question_is_a_trace_with_its_calls_and_tools(tmp_path: Path) -> None:
    pytest.importorskip("openai")
    stdout, stderr = run_example("agent_with_tools.py", "t.db", cwd=tmp_path)
    assert stderr == ""
    said = stdout.splitlines()
    assert "no station in Oslo" in said[0]
    assert '"booked": true' in said[1]

    records = records_of(tmp_path / "t.db")
    roots = [record for record in records if record["parent_id"] is None]
    assert [root["name"] for root in roots] == ["agent", "agent"]
    assert [root["attributes"]["output"] for root in roots] == said
    below = [
        [record for record in records if record["parent_id"] == root["span_id"]] for root in roots
    ]
    assert [[record["name"] for record in group] for group in below] == [
        ["openai.chat", "tool.get_weather", "tool.get_weather", "openai.chat"],
        ["openai.chat", "tool.book_table", "openai.chat"],
    ]
    lisbon, oslo = below[0][1:3]
    assert (lisbon["status"], lisbon["attributes"]["output"]["celsius"]) == ("ok", 21)
    assert (oslo["status"], oslo["attributes"]["error"]) == ("error", "no station in Oslo")
    # The second question has all that was said before.
    asked = below[1][0]["attributes"]["input"]
    assert [message["role"] for message in asked] == [
        "system", "user", "assistant", "tool", "tool", "assistant", "user",
    ]  # fmt: skip
    assert len({record["attributes"]["session_id"] for record in records}) == 1
    assert {record["attributes"]["user_id"] for record in records} == {"ada"}
