"""A process that makes batches of calls on request, and says what they took.

    python worker.py CONTESTANT PROVIDER FOLDER

A request is a line of JSON on its standard input: `{"batch": "plain", "calls": 10}`; or
`{"check": "plain"}` for what is recorded of a call; or `{"count": "plain"}` for how many functions
run in one. The answer is a line on its standard output.
"""

from __future__ import annotations

import cProfile
import json
import os
import sys
import time
from importlib import metadata
from pathlib import Path
from typing import Any, Callable

sys.path.insert(0, str(Path(__file__).parent.parent))

from contest.contestants import CONTESTANTS
from contest.providers import ANSWER, INPUT_TOKENS, OUTPUT_TOKENS, PROMPT, WORD, calls


def batch(call: Callable[[], Any], count: int) -> dict[str, float]:
    """Microseconds a call: of this thread's processor, of the clock, of the process's processor."""
    call()  # the batch of another process has left its own in the caches
    wall, thread, process = time.perf_counter_ns(), time.thread_time_ns(), time.process_time_ns()
    for _ in range(count):
        call()
    return {
        "thread_us": (time.thread_time_ns() - thread) / count / 1e3,
        "process_us": (time.process_time_ns() - process) / count / 1e3,
        "wall_us": (time.perf_counter_ns() - wall) / count / 1e3,
    }


def functions(call: Callable[[], Any]) -> float:
    """How many functions run on this thread in a call, Python's and C's."""
    profile = cProfile.Profile()
    profile.enable()
    for _ in range(10):
        call()
    profile.disable()
    return sum(entry.callcount for entry in profile.getstats()) / 10


def main() -> None:
    name, provider, folder = sys.argv[1:4]
    answers = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)  # what a library prints is no answer
    watching = CONTESTANTS[name](provider, Path(folder))
    watched = watching.wrap(calls(provider))
    kinds: dict[str, Callable[[], Any]] = {"plain": watched.plain, "streamed": watched.streamed}

    def answer(made: Any) -> None:
        print(json.dumps(made), file=answers, flush=True)

    answer({"versions": {d.name: d.version for d in metadata.distributions()}})
    for line in sys.stdin:
        asked = json.loads(line)
        if "check" in asked:
            call = kinds[asked["check"]]
            before = watching.count()
            for _ in range(8):  # as many as are kept: what is found is of this kind
                call()
            count = (watching.count() - before) / 8
            kept = "\n".join(watching.kept())
            said = ANSWER[20:200] if asked["check"] == "plain" else WORD * 20
            answer(
                {
                    "spans": count,
                    "input": PROMPT[:200] in kept,
                    "output": said in kept,
                    "tokens": str(INPUT_TOKENS) in kept and str(OUTPUT_TOKENS) in kept,
                    "kept": kept if asked.get("show") else "",
                }
            )
        elif "count" in asked:
            answer({"functions": functions(kinds[asked["count"]])})
        else:
            answer(batch(kinds[asked["batch"]], asked["calls"]))


if __name__ == "__main__":
    main()
