"""The examples of evaluators do what they say."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.examples import run_example

pytest.importorskip("openai")


def test_evaluators(tmp_path: Path) -> None:
    stdout, stderr = run_example("evaluators.py", "t.db", cwd=tmp_path)
    assert stderr == ""
    assert stdout.splitlines() == [
        "Hello! How may I help?",
        "  Polite.",
        "  Greets: 1",
        "  NotEmpty: 1",
        "  Rubric: 0.9",
        "  short: 1",
        "That is none of your business.",
        "  Rude.",
        "  NotEmpty: 1",
        "  Rubric: 0.1",
        "  short: 1",
    ]


def test_rag_evidence(tmp_path: Path) -> None:
    stdout, stderr = run_example("rag_evidence.py", "t.jsonl", cwd=tmp_path)
    assert stderr == ""
    assert stdout.splitlines() == [
        "Cats sleep up to 16 hours a day [cats-1]. Cats love sweetness [cats-3].",
        "Hallucination: 0.5",
        "CitationAccuracy: 0.5",
        "  supported: Cats sleep up to 16 hours a day. ['cats-1']",
        "  contradicted: Cats love sweetness. ['cats-2']",
    ]
