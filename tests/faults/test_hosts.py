"""Hosts of other kinds: without /dev/shm, frozen between invocations, a notebook's kernel."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
from typing import Any, Dict, List

import pytest

from .running import App

NUMBERS = [str(n) for n in range(10)]


def test_a_system_without_shared_memory_is_no_trouble(app: App) -> None:
    # As on AWS Lambda: semaphores of multiprocessing cannot be had.
    command = f"mount -t tmpfs -o ro,size=4k tmpfs /dev/shm && exec {sys.executable} app.py"
    unshare = ["unshare", "-m", "sh", "-c"]
    can = shutil.which("unshare") and os.path.isdir("/dev/shm")
    if (
        not can
        or subprocess.run([*unshare, command.split(" && ")[0]], capture_output=True).returncode
    ):
        pytest.skip("/dev/shm cannot be taken from a process here")
    ended = app.start_fresh(
        """
import multiprocessing
try: multiprocessing.Lock()
except OSError: say("no shared memory")
instrument()
for n in range(10): ask(n)
""",
        *unshare,
        command,
    ).end()
    ended.check()
    assert ended.said == ["no shared memory"]
    assert ended.asked == ended.asked_in_rows == NUMBERS


def test_semaphores_that_cannot_be_made_are_not_missed(app: App) -> None:
    ended = app.run(
        """
import _multiprocessing
class SemLock(_multiprocessing.SemLock):
    def __new__(self, *_): raise OSError(38, "Function not implemented")
_multiprocessing.SemLock = SemLock
import multiprocessing.synchronize
try: multiprocessing.Lock()
except OSError: say("none")
instrument(evaluators=[peekr.eval.NotEmpty()], alerts=[peekr.alert.ErrorRate()])
for n in range(10): ask(n)
"""
    ).check()
    assert ended.said == ["none"]
    assert sorted(ended.asked) == sorted(ended.asked_in_rows) == NUMBERS


def test_a_process_without_a_descriptor_left_loses_nothing_of_what_is_open(app: App) -> None:
    ended = app.run(
        """
import resource
instrument(); ask("first"); peekr.flush()
limit = resource.getrlimit(resource.RLIMIT_NOFILE)
resource.setrlimit(resource.RLIMIT_NOFILE, (64, limit[1]))
held = []
try:
    while True: held.append(os.open(os.devnull, os.O_RDONLY))
except OSError: pass
for n in range(10): ask(n)  # by the connection that the SDK keeps
say(peekr.flush(20))
for fd in held: os.close(fd)
ask("last")
"""
    ).check()
    assert ended.said == ["True"]
    assert ended.asked == ended.asked_in_rows == ["first", *NUMBERS, "last"]


def test_a_process_that_may_start_no_more_threads_stores_on_those_it_has(app: App) -> None:
    ended = app.run(
        """
import _thread
instrument(evaluators=[peekr.eval.NotEmpty()], alerts=[peekr.alert.ErrorRate()],
           budget_alert=peekr.alert.BudgetAlert(10.0))
def refuse(*arguments, **more): raise RuntimeError("can't start new thread")
_thread.start_new_thread = threading._start_new_thread = refuse
for n in range(10): ask(n)
say(peekr.flush(20))
"""
    ).check()
    assert ended.said == ["True"]
    assert sorted(ended.asked) == sorted(ended.asked_in_rows) == NUMBERS


def test_a_console_that_is_gone_costs_its_lines_alone(app: App) -> None:
    ended = app.run(
        """
instrument(console=True)
kept = os.dup(1)
reader, writer = os.pipe(); os.dup2(writer, 1); os.close(reader); os.close(writer)
for n in range(5): ask(n)
sys.stdout.close()
for n in range(5, 8): ask(n)
sys.stdout = None
for n in range(8, 10): ask(n)
os.dup2(kept, 1); say("done")
"""
    ).check()
    assert ended.said == ["done"]
    assert ended.asked == ended.asked_in_rows == NUMBERS


def test_a_function_that_is_frozen_between_invocations_has_stored_each_one(app: App) -> None:
    # As AWS Lambda does: thawed for an invocation, frozen when its answer is out, killed some day.
    program = app.start(
        """
instrument()
def handler(event):
    said = ask(event)
    assert peekr.flush(5)
    return said
say("init")
for number in range(10):
    while not os.path.exists(f"event.{number}"): time.sleep(0.002)
    checked(number, handler(number))
    say("answered", number)
while True: time.sleep(0.01)
"""
    )
    program.until(lambda out: "init" in out)
    for number in range(10):
        os.kill(program.pid, signal.SIGSTOP)
        (app.folder / f"event.{number}").touch()
        os.kill(program.pid, signal.SIGCONT)
        program.until(lambda out, said=f"answered {number}\n": said in out)
    os.kill(program.pid, signal.SIGSTOP)
    ended = program.end(signal.SIGKILL).check(-signal.SIGKILL)
    assert ended.asked == ended.asked_in_rows == NUMBERS


def test_a_process_that_is_stopped_in_the_middle_of_calls_goes_on_where_it_was(app: App) -> None:
    program = app.start(
        """
instrument()
def work(own):
    for n in range(30): ask(f"{own}.{n}")
threads = [threading.Thread(target=work, args=(own,)) for own in range(3)]
for thread in threads: thread.start()
say("begun")
for thread in threads: thread.join()
say("done")
"""
    )
    program.until(lambda out: "begun" in out)
    stops = 0
    while "done" not in program.out:
        os.kill(program.pid, signal.SIGSTOP)
        stops += 1
        os.kill(program.pid, signal.SIGCONT)
        program.until(lambda out: True)
    ended = program.end().check()
    assert stops > 0
    wanted = sorted(f"{own}.{n}" for own in range(3) for n in range(30))
    assert sorted(ended.asked) == sorted(ended.asked_in_rows) == wanted
    for record in ended.whole_lines:
        assert record["duration_ms"] >= 0.0


CELLS = [
    "instrument(); ask('cell 0')",
    "first = await async_client.chat.completions.create(**request('cell 1'))\n"
    "checked('cell 1', first.choices[0].message.content)",
    "@peekr.trace\nasync def both():\n"
    "    return await asyncio.gather(ask_async('cell 2'), ask_async('cell 2'))\nawait both()",
    "stream = await async_client.chat.completions.create(**request('cell 3', stream=True))\n"
    "async for chunk in stream: break",
    "1 / 0",
    "instrument(); instrument(); ask('cell 5')  # run again, as people do",
    "with peekr.session(session_id='of the cell') as session:\n    await ask_async('cell 6')",
    "ask('cell 7'); assert peekr.get_current_span() is None",
]
ASKED = ["cell 0", "cell 1", "cell 2", "cell 2", "cell 3", "cell 5", "cell 6", "cell 7"]

ASYNC = """
async_client = openai.AsyncOpenAI(base_url=URL, api_key="test", max_retries=0, timeout=60)
async def ask_async(text):
    answer = await async_client.chat.completions.create(**request(text))
    return checked(text, answer.choices[0].message.content)
"""


def check_cells(records: List[Dict[str, Any]]) -> None:
    calls = [record for record in records if record["name"] == "openai.chat"]
    texts = [record["attributes"]["input"][0]["content"] for record in calls]
    assert sorted(texts) == ASKED
    for text, record in zip(texts, calls):
        session = record["attributes"].get("session_id")
        assert session == ("of the cell" if text == "cell 6" else None)
        assert (record["parent_id"] is None) is (text != "cell 2")
    assert len(records) == len(calls) + 1


@pytest.mark.slow
def test_cells_in_ipythons_loop_are_traced_as_anywhere(app: App) -> None:
    pytest.importorskip("IPython")
    source = (
        ASYNC
        + f"""
from IPython.core.interactiveshell import InteractiveShell
shell = InteractiveShell.instance(user_ns=globals())
async def main():  # the running loop of a notebook
    for cell in {CELLS!r}:
        result = await shell.run_cell_async(cell, transformed_cell=shell.transform_cell(cell))
        error = result.error_in_exec or result.error_before_exec
        print(type(error).__name__)
asyncio.run(main())
"""
    )
    ended = app.start_fresh(source, IPYTHONDIR=str(app.folder / "ipython")).end()
    assert "WRONG" not in ended.out
    assert ended.code == 0
    said = [
        line for line in ended.said if line in ("NoneType", "ZeroDivisionError") or "Err" in line
    ]
    assert [line for line in said if " " not in line].count("NoneType") == len(CELLS) - 1
    check_cells(ended.whole_lines)
    check_cells(ended.rows)


def test_a_notebooks_kernel_traces_its_cells_and_ends_at_once(app: App) -> None:
    pytest.importorskip("ipykernel")
    pytest.importorskip("jupyter_client")
    driver = f"""
import sys
from jupyter_client.manager import KernelManager
manager = KernelManager()
manager.start_kernel(stdout=sys.stderr, stderr=sys.stderr)
client = manager.blocking_client(); client.start_channels(); client.wait_for_ready(timeout=50)
source = open("app.py").read().partition("# driver")[0]
for cell in [source, *{CELLS!r}]:
    reply = client.execute_interactive(cell, timeout=50, output_hook=lambda message: None)
    print(reply["content"].get("ename", "done"))
client.stop_channels(); manager.shutdown_kernel(); print("ended")
"""
    (app.folder / "driver.py").write_text(driver, "utf-8")
    ended = app.start_fresh(
        ASYNC + "# driver\n",
        sys.executable,
        "driver.py",
        HOME=str(app.folder.parent),
        IPYTHONDIR=str(app.folder.parent / "ipython"),
    ).end()
    assert ended.code == 0, ended.err
    assert ended.said == [*["done"] * 5, "ZeroDivisionError", *["done"] * 3, "ended"], ended.err
    assert "Traceback" not in ended.err
    check_cells(ended.whole_lines)
    check_cells(ended.rows)
