"""The fixtures for pytest, in pytest runs of their own."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any, List, cast

import pytest

from ..support.examples import EXAMPLES

pytest.importorskip("openai")


def is_installed() -> bool:
    """Whether pytest finds the plugin itself; an older editable install does not name it."""
    found: Any = entry_points()
    named: Any = found.select(group="pytest11") if hasattr(found, "select") else found["pytest11"]
    return any(entry.value == "peekr.replaying.pytest_plugin" for entry in cast("List[Any]", named))


def run(folder: Path) -> subprocess.CompletedProcess[str]:
    plugin = [] if is_installed() else ["-p", "peekr.replaying.pytest_plugin"]
    return subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", *plugin],
        capture_output=True,
        text=True,
        timeout=120,
        cwd=folder,
        env={**os.environ, "PYTHONDONTWRITEBYTECODE": "1", "PEEKR_RAISE_FAULTS": "1"},
    )


@pytest.fixture
def example(tmp_path: Path) -> Path:
    folder = tmp_path / "example"
    shutil.copytree(EXAMPLES / "replay_in_pytest", folder)
    (folder / "pytest.ini").write_text("[pytest]\n")
    return folder


def test_the_examples_test_replays_its_agent_offline(example: Path) -> None:
    done = run(example)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "1 passed" in done.stdout


def test_a_call_that_was_not_recorded_fails_the_test_that_swallows_its_error(example: Path) -> None:
    (example / "test_agent.py").write_text(
        "import openai\n"
        "from agent import plan_walk\n"
        "def test_it(peekr_replay):\n"
        "    peekr_replay('agent.jsonl')\n"
        "    try:\n"
        "        plan_walk(openai.OpenAI(api_key='none'), 'What else?')\n"
        "    except Exception:\n"
        "        pass\n"
    )
    done = run(example)
    assert done.returncode == 1
    assert "model calls were not recorded" in done.stdout
    assert "'What else?' is asked" in done.stdout


def test_assertions_say_what_was_there_instead(example: Path) -> None:
    (example / "test_agent.py").write_text(
        "import openai, pytest\n"
        "from agent import plan_walk\n"
        "def test_it(peekr_replay, peekr_trace):\n"
        "    peekr_replay('agent.jsonl')\n"
        "    plan_walk(openai.OpenAI(api_key='none'), 'How is the weather in Paris?')\n"
        "    with pytest.raises(AssertionError, match='total tokens, more than 1'):\n"
        "        peekr_trace.assert_tokens(max_total=1)\n"
        "    with pytest.raises(AssertionError, match='more than'):\n"
        "        peekr_trace.assert_cost(max_usd=0.0)\n"
        "    with pytest.raises(AssertionError, match='model calls were'):\n"
        "        peekr_trace.assert_calls('anthropic.messages')\n"
        "    assert len(peekr_trace.named('agent.plan_walk')) == 1\n"
        "    assert peekr_trace.tokens_total > 1 and peekr_trace.cost_usd > 0\n"
    )
    done = run(example)
    assert done.returncode == 0, done.stdout + done.stderr


def test_failures_are_the_tests_line_and_the_reason(example: Path) -> None:
    (example / "test_agent.py").write_text(
        "def test_no_file(peekr_replay):\n"
        "    peekr_replay('nothing.jsonl')\n"
        "def test_not_asked(peekr_replay):\n"
        "    peekr_replay('agent.jsonl').assert_all_served()\n"
        "def test_calls(peekr_replay, peekr_trace):\n"
        "    peekr_trace.assert_calls('openai.chat')\n"
    )
    done = run(example)
    assert done.returncode == 1
    assert "nothing.jsonl: no such file" in done.stdout
    assert "not asked for: openai.chat" in done.stdout
    assert "model calls were [], not ['openai.chat']" in done.stdout
    assert "def assert_all_served" not in done.stdout
    assert "def offline" not in done.stdout
    assert "def assert_calls" not in done.stdout


def test_the_plugin_loads_nothing_before_a_fixture_is_asked_for() -> None:
    code = (
        "import sys, peekr.replaying.pytest_plugin\n"
        "print([n for n in sys.modules if n.startswith(('opentelemetry', 'peekr.replaying.s'))])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert done.stdout.strip() == "[]", done.stdout + done.stderr
