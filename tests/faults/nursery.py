"""A process that has everything loaded and forks a child for each program that it is given.

It reads one job a line from stdin and answers with a line when the child has begun and with another
one when it has ended. A child is a program like any other: it leads a process group of its own, is
`__main__`, and ends as an interpreter ends. Nothing of Peekr runs before the fork.
"""

from __future__ import annotations

import faulthandler
import importlib
import json
import os
import signal
import sys
from typing import Any, Dict

import openai

# What programs use besides: loaded once for all of them, as it is by the first call.
LOADED = (
    "genai_prices.data_snapshot",
    "opentelemetry.sdk.trace",
    "peekr.instrumentation.drive",
    "peekr.pipeline.enrich",
    "peekr.bootstrap",
    "peekr.store.jsonl.write",
    "peekr.store.sqlite.write",
)


def become(job: Dict[str, Any]) -> str:
    """Turn the child into the process that the program is to run in; gives its source."""
    os.setsid()
    os.chdir(job["folder"])
    os.environ.update(job["environment"])
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    for number, name in ((1, "out"), (2, "err")):
        flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND
        os.dup2(os.open(os.path.join(job["reports"], name), flags, 0o666), number)
    sys.argv = ["app.py"]
    # A program that hangs says where, before it is killed for that. Not by a timer: the thread
    # behind that would be missed in a fork's child.
    faulthandler.register(signal.SIGUSR2, all_threads=True)
    return job["source"]


def next_program() -> str:
    """Serve jobs; in a child it returns the program's source, in this process never."""
    for line in iter(sys.stdin.buffer.readline, b""):
        job = json.loads(line)
        child = os.fork()
        if child == 0:
            return become(job)
        print(child, flush=True)
        print(os.waitpid(child, 0)[1], flush=True)
    os._exit(0)


def warm_up(url: str) -> None:
    """Have the SDK load what it loads with its first call."""
    client = openai.OpenAI(base_url=url, api_key="test", max_retries=0)
    client.chat.completions.create(model="gpt-4o", messages=[{"role": "user", "content": "hi"}])
    client.close()


if __name__ == "__main__":
    for module in LOADED:
        importlib.import_module(module)
    warm_up(sys.argv[1])
    exec(compile(next_program(), "app.py", "exec"))
