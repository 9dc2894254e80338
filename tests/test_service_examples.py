"""The examples of experiments, feedback and HTTP do what they say."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from peekr.cli.group import group
from tests.support.examples import run_example
from tests.test_feedback import check_example


def records_of(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text("utf-8").splitlines()]


def test_experiment(tmp_path: Path) -> None:
    stdout, stderr = run_example("experiment.py", "t.jsonl", cwd=tmp_path)
    assert stderr == ""
    assert stdout.splitlines()[0].partition(":")[0] in ("control", "brief")
    records = records_of(tmp_path / "t.jsonl")
    users: dict[str, Any] = {}
    for record in records:
        attributes = record["attributes"]
        if record["name"] == "openai.chat":
            users[attributes["user_id"]] = attributes["experiment_variant"]
    assert len(users) == 80
    assert set(users.values()) == {"control", "brief"}
    shown = CliRunner().invoke(group, ["experiment", str(tmp_path / "t.jsonl"), "answer"])
    assert shown.exit_code == 0
    assert "brief against control" in shown.output


def test_feedback(tmp_path: Path) -> None:
    stdout, stderr = run_example("feedback.py", "t.db", cwd=tmp_path)
    assert (stdout, stderr) == ("1 example for fine-tuning\n1 rating with a note\n", "")
    (line,) = (tmp_path / "training_data.jsonl").read_text("utf-8").splitlines()
    assert check_example(line)["messages"][0]["content"] == "How tall is the Eiffel tower?"
    (noted,) = records_of(tmp_path / "noted.jsonl")
    assert noted["feedback"]["note"] == "to the point"
    assert {span["name"] for span in noted["spans"]} == {"__main__.answer", "openai.chat"}


def test_fastapi_app(tmp_path: Path) -> None:
    pytest.importorskip("fastapi")
    stdout, stderr = run_example("fastapi_app.py", "t.jsonl", cwd=tmp_path)
    assert stderr == ""
    assert stdout.splitlines()[-1] == "ok"
    records = records_of(tmp_path / "t.jsonl")
    roots = [record for record in records if record["parent_id"] is None]
    routes = ["/users/{user_id}/answer", "/stream"]
    assert [root["name"] for root in roots] == [f"GET {route}" for route in routes]
    for root, route in zip(roots, routes):
        inside = [record for record in records if record["trace_id"] == root["trace_id"]]
        assert "openai.chat" in {record["name"] for record in inside}
        for record in inside:
            assert record["attributes"]["endpoint"] == route
            assert record["tenant_id"] == "acme"
            assert record["attributes"]["user_id"] == "ada"
