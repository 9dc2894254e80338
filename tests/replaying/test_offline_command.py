"""`peekr replay --offline`: a program run with the recorded answers."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import List

import pytest

from ..support.examples import EXAMPLES

pytest.importorskip("openai")

FOLDER = EXAMPLES / "replay_in_pytest"
PROGRAM = """
import sys
import openai
from agent import plan_walk
print(plan_walk(openai.OpenAI(api_key="none"), sys.argv[1]))
sys.exit(int(sys.argv[2]))
"""


def replay(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    lines = (FOLDER / "agent.jsonl").read_text("utf-8").splitlines()
    trace_id: str = json.loads(lines[0])["trace_id"]
    (folder / "program.py").write_text(PROGRAM)
    (folder / "agent.py").write_text((FOLDER / "agent.py").read_text("utf-8"))
    command: List[str] = [sys.executable, "-m", "peekr.cli", "replay", trace_id]
    return subprocess.run(
        [*command, "--jsonl", str(FOLDER / "agent.jsonl"), *arguments],
        capture_output=True,
        text=True,
        timeout=120,
        cwd=folder,
        env={**os.environ, "PEEKR_RAISE_FAULTS": "1"},
    )


def test_a_program_gets_the_recorded_answers(tmp_path: Path) -> None:
    question = "How is the weather in Paris?"
    done = replay(tmp_path, "--offline", "program.py", question, "0")
    assert done.returncode == 0, done.stderr
    assert "clear" in done.stdout
    assert "2 model calls were served" in done.stderr
    assert replay(tmp_path, "--offline", "program.py", question, "3").returncode == 3


def test_a_run_that_is_another_one_is_told(tmp_path: Path) -> None:
    done = replay(tmp_path, "--offline", "program.py", "What else?", "0")
    assert done.returncode == 1
    assert "not recorded: no recorded call is this openai.chat" in done.stderr
    assert "ReplayMismatchError" in done.stderr
    assert done.stderr.count("not asked for: openai.chat") == 2


def test_wrong_usage_is_told(tmp_path: Path) -> None:
    assert replay(tmp_path, "--offline").returncode == 2
    assert replay(tmp_path, "program.py").returncode == 2
    assert replay(tmp_path, "--offline", "none.py").returncode == 2
    assert replay(tmp_path, "--offline", "--live", "program.py").returncode == 2
