"""The end of the process, SIGTERM and fork while spans wait for their scores."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any, Dict, List

import pytest

PRELUDE = """
import os, signal, sys, threading, time
import peekr
from opentelemetry import trace

CHAT = {"gen_ai.operation.name": "chat"}

def chat(name="chat"):
    trace.get_tracer("t").start_span(name, attributes=CHAT).end()

reached, release = threading.Event(), threading.Event()

def slow(span):
    reached.set()
    time.sleep(0.3)
    return 0.5

def never(span):
    reached.set()
    release.wait(100)
    return 1.0

def half(span):
    return 0.5

def instrument(*evaluators, **more):
    peekr.instrument(console=False, evaluators=evaluators, **more)
"""
HURRY = """
import peekr.bootstrap, peekr.pipeline.evaluate
peekr.bootstrap._EXIT_TIMEOUT_S = peekr.pipeline.evaluate.EXIT_WAIT_S = 0.5
"""


def run(folder: Path, program: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", PRELUDE + program],
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=100,
        env={**os.environ, "PEEKR_RAISE_FAULTS": "1"},
    )


def attributes(folder: Path, name: str = "traces.jsonl") -> List[Dict[str, Any]]:
    lines = (folder / name).read_text("utf-8").splitlines()
    return [json.loads(line)["attributes"] for line in lines]


ENDED = "not evaluated: the process ended before there was a score"


def test_the_end_of_the_program_waits_for_scores(tmp_path: Path) -> None:
    done = run(tmp_path, "instrument(slow, half)\nchat(); chat(); chat()")
    assert (done.returncode, done.stderr) == (0, "")
    wanted = {"slow": 0.5, "half": 0.5}
    assert [found["eval_scores"] for found in attributes(tmp_path)] == [wanted] * 3


def test_what_is_not_scored_by_then_is_stored_unscored_and_said(tmp_path: Path) -> None:
    done = run(tmp_path, HURRY + "instrument(half, never)\nchat(); chat()")
    assert done.returncode == 0
    found = attributes(tmp_path)
    assert [a["eval_scores"] for a in found] == [{"half": 0.5}] * 2
    assert [a["eval_errors"] for a in found] == [{"never": ENDED}] * 2
    said = "2 spans were stored without their scores: the process ended before there was a score"
    assert done.stderr.count(said) == 1


def test_what_ends_after_that_is_stored_at_once(tmp_path: Path) -> None:
    program = "import atexit; atexit.register(chat, 'last'); instrument(half); chat()"
    done = run(tmp_path, program)
    assert (done.returncode, done.stderr) == (0, "")
    first, last = attributes(tmp_path)
    assert first["eval_scores"] == {"half": 0.5}
    assert last["eval_errors"] == {"half": "not evaluated: the process was ending"}


def test_a_judge_that_is_asked_at_the_end_answers(tmp_path: Path) -> None:
    pytest.importorskip("openai")
    from .judges import JudgeServer

    with JudgeServer(lambda body: {"explanation": "", "score": 0.25}) as server:
        url = server.openai_url
        part = {"type": "text", "content": "Yes."}
        answer = json.dumps([{"role": "assistant", "parts": [part]}])
        program = f"""
from peekr.eval import Rubric
CHAT["gen_ai.output.messages"] = {answer!r}
instrument(Rubric("x", "openai", "m", base_url={url!r}, api_key="k"))
chat()
"""
        done = run(tmp_path, program)
    assert (done.returncode, done.stderr) == (0, "")
    scores = [a["eval_scores"] for a in attributes(tmp_path) if "eval_scores" in a]
    assert scores == [{"Rubric": 0.25}]


def test_thread_pools_and_name_resolution_work_at_the_end_of_the_program(tmp_path: Path) -> None:
    program = """
import asyncio
from concurrent.futures import ThreadPoolExecutor

async def resolving(span):
    await asyncio.sleep(0.3)
    await asyncio.get_running_loop().getaddrinfo("localhost", 80)
    return 0.5

def pooling(span):
    time.sleep(0.3)
    with ThreadPoolExecutor(1) as pool:
        return pool.submit(lambda: 0.25).result()

instrument(resolving, pooling)
chat()
"""
    done = run(tmp_path, program)
    assert (done.returncode, done.stderr) == (0, "")
    assert attributes(tmp_path)[0]["eval_scores"] == {"resolving": 0.5, "pooling": 0.25}


@pytest.mark.skipif(os.name == "nt", reason="SIGTERM's default action is of POSIX")
def test_a_signal_waits_for_scores_too(tmp_path: Path) -> None:
    program = """
instrument(slow, half)
chat(); chat()
reached.wait(50)
os.kill(os.getpid(), signal.SIGTERM)
time.sleep(60)
"""
    done = run(tmp_path, program)
    assert (done.returncode, done.stderr) == (-signal.SIGTERM, "")
    wanted = {"slow": 0.5, "half": 0.5}
    assert [found["eval_scores"] for found in attributes(tmp_path)] == [wanted] * 2


@pytest.mark.skipif(os.name == "nt", reason="SIGTERM's default action is of POSIX")
def test_a_signal_in_the_middle_of_traffic_loses_no_ended_span(tmp_path: Path) -> None:
    program = (
        HURRY
        + """
instrument(half, never)
def later():
    time.sleep(0.3)
    os.kill(os.getpid(), signal.SIGTERM)
threading.Thread(target=later, daemon=True).start()
number = 0
with open("ended", "w", buffering=1) as ended:
    while True:
        chat(f"s{number}")
        ended.write(f"{number}\\n")
        number += 1
"""
    )
    done = run(tmp_path, program)
    assert done.returncode == -signal.SIGTERM
    lines = (tmp_path / "traces.jsonl").read_text("utf-8").splitlines()
    names = [json.loads(line)["name"] for line in lines]
    ended = [f"s{n}" for n in (tmp_path / "ended").read_text().split()]
    assert set(ended) <= set(names)
    assert len(names) == len(set(names))


@pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork")
def test_a_forks_child_scores_its_own_spans_and_the_parent_its_own(tmp_path: Path) -> None:
    program = """
import warnings
warnings.simplefilter("ignore")
async def awaited(span):
    return 0.25
instrument(slow, awaited)
chat("before")
reached.wait(50)
child = os.fork()
if not child:
    chat("child")
    assert peekr.flush(50)
    os._exit(0)
assert os.waitpid(child, 0)[1] == 0
chat("after")
"""
    done = run(tmp_path, program)
    assert (done.returncode, done.stderr) == (0, "")
    lines = (tmp_path / "traces.jsonl").read_text("utf-8").splitlines()
    records = [json.loads(line) for line in lines]
    assert sorted(record["name"] for record in records) == ["after", "before", "child"]
    wanted = {"slow": 0.5, "awaited": 0.25}
    assert [record["attributes"]["eval_scores"] for record in records] == [wanted] * 3


def test_a_program_without_evaluators_loads_nothing_of_them(tmp_path: Path) -> None:
    done = run(
        tmp_path,
        "peekr.instrument(console=False); chat(); peekr.flush()\n"
        "print([name for name in sys.modules if 'eval' in name and name.startswith('peekr')])",
    )
    assert (done.stdout, done.stderr) == ("[]\n", "")
