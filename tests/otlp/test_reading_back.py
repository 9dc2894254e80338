"""What is written as OTLP in JSON is read back as the record that it was."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Dict, List

import pytest

from peekr.encoding import dumps
from peekr.record import SpanRecord
from peekr.store.otlp.encode import request_of
from tests.dialects.reading import FILES, read
from tests.support.trace_files import span


def same(records: List[SpanRecord]) -> List[Dict[str, Any]]:
    """Records as JSON, with times of a microsecond: floats hold no more."""
    made: List[Dict[str, Any]] = json.loads(json.dumps([record.to_dict() for record in records]))
    for record in made:
        for key in ("start_time", "end_time", "duration_ms"):
            record[key] = round(record[key], 3 if key == "duration_ms" else 5)
        for event in record["attributes"].get("events", []):
            event["time"] = round(event["time"], 5)
    return sorted(made, key=lambda record: str(record["span_id"]))


def written_and_read(records: List[SpanRecord], folder: Path) -> List[SpanRecord]:
    path = folder / "out.jsonl"
    path.write_bytes(dumps(request_of(records)) + b"\n")
    found, problems = read(path)
    assert problems == ""
    return found


@pytest.mark.parametrize(
    "path", [path for path in FILES if "0.9" not in path.name], ids=lambda path: path.stem
)
def test_records_of_every_origin_come_back(path: Path, tmp_path: Path) -> None:
    records, _ = read(path)
    assert same(written_and_read(records, tmp_path)) == same(records)


def test_values_of_every_kind_come_back(tmp_path: Path) -> None:
    given: Dict[str, Any] = {
        **span(1, 1, None, "app.step", status="error", error="broke", input={"a": [1, None]}),
        "tenant_id": "acme",
        "retention_class": "short",
    }
    given["attributes"].update(
        {
            "output": ["x", {"y": 1.5}],
            "session_id": "s",
            "session.id": "s",
            "feature": "f",
            "n": 9007199254740993,
            "text": '{"not": "parsed"}',
            "flag": True,
            "empty": "",
            "nested": {"a": {"b": [1, 2]}},
            "cost_usd": 0.25,
            "endpoint": "/x",
            "eval_scores": {"Rubric": 0.5},
        }
    )
    record = SpanRecord.from_dict(given)
    assert same(written_and_read([record], tmp_path)) == same([record])


@pytest.mark.parametrize(
    "held", [["a", "b"], [{"a": 1}], [{"a": 1, "b": [2]}], {"q": 1}, [1, None], []], ids=repr
)
@pytest.mark.parametrize("name", ["input", "output"])
def test_contents_of_a_call_that_are_no_messages_come_back(
    name: str, held: Any, tmp_path: Path
) -> None:
    given = span(1, 1, None, "openai.chat", model="gpt-4o")
    given["attributes"].update({"gen_ai.operation.name": "chat", "provider": "openai", name: held})
    (back,) = written_and_read([SpanRecord.from_dict(given)], tmp_path)
    assert back.attributes[name] == held
