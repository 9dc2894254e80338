"""The example of guardrails does what it says."""

from __future__ import annotations

import json
from pathlib import Path

from ..support.examples import run_example


def test_guardrails(tmp_path: Path) -> None:
    stdout, stderr = run_example("guardrails.py", "t.jsonl", cwd=tmp_path)
    assert stderr == ""
    assert stdout.splitlines() == [
        "answered, 55 characters",
        "Blocklist stopped the request: openai_key in the input (none of it was shown)",
        "requests sent: 1",
        "no-competitors withheld the answer: competitor in the output (some of it was shown)",
        "HallucinationBlock withheld the answer: Hallucination 0.10 < 0.5 in the output "
        "(none of it was shown)",
    ]
    text = (tmp_path / "t.jsonl").read_text("utf-8")
    records = [json.loads(line) for line in text.splitlines()]
    assert [record["status"] for record in records] == ["ok", "error", "error", "error"]
    assert [bool(r["attributes"].get("guardrail_violations")) for r in records] == [
        False, True, True, True,
    ]  # fmt: skip
    assert "sk-proj-" not in text
    assert "ada@example.com" not in text
    assert "Acme" not in text
