"""What measures Peekr beside others calls every provider, and keeps its page in order."""

from __future__ import annotations

import importlib
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

BENCHMARKS = Path(__file__).parent.parent / "benchmarks"
SDKS = {
    "openai": "openai",
    "anthropic": "anthropic",
    "bedrock": "boto3",
    "gemini": "google.genai",
}


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    monkeypatch.syspath_prepend(str(BENCHMARKS))  # pyright: ignore[reportUnknownMemberType]
    yield importlib.import_module("run")
    for name in ("run", "results"):
        sys.modules.pop(name, None)


@pytest.mark.parametrize("contestant", ["by hand", "peekr"])
@pytest.mark.parametrize("provider", SDKS)
def test_a_contestants_process_records_whole_calls(
    provider: str, contestant: str, tmp_path: Path
) -> None:
    pytest.importorskip(SDKS[provider])
    asked: list[dict[str, Any]] = [{"check": "plain"}, {"check": "streamed"}]
    asked += [{"batch": "streamed", "calls": 1}, {"count": "plain"}]
    made = subprocess.run(
        [sys.executable, BENCHMARKS / "contest" / "worker.py", contestant, provider, tmp_path],
        input="\n".join(map(json.dumps, asked)),
        env={**os.environ, "PEEKR_RAISE_FAULTS": "1"},
        stdout=subprocess.PIPE,
        encoding="utf-8",
        check=True,
    ).stdout
    versions, plain, streamed, batch, count = map(json.loads, made.splitlines())
    assert versions["versions"]
    for check in (plain, streamed):
        recorded = {name: check[name] for name in ("spans", "input", "output", "tokens")}
        assert recorded == {"spans": 1, "input": True, "output": True, "tokens": True}
    assert batch["thread_us"] > 0
    assert count["functions"] > 100


def test_a_part_of_the_page_is_replaced_and_the_others_stay(run: Any) -> None:
    first, second = (
        run.Section("Title", "Note.", body, True) for body in ("first body", "second body")
    )
    page = run.written("", "memory", run.part("memory", [first], "Measured."))
    page = run.written(page, "writing", run.part("writing", [first], "Measured."))
    page = run.written(page, "memory", run.part("memory", [second], "Measured."))
    assert page.count("first body") == page.count("second body") == 1
    assert page.index("<!-- writing -->") < page.index("<!-- memory -->")
    assert run.written(page, "memory", run.part("memory", [second], "Measured.")) == page


def test_every_benchmark_that_is_run_exists(run: Any) -> None:
    for name in run.BENCHMARKS:
        assert (BENCHMARKS / f"{name}.py").exists()
