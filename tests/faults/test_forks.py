"""Forks with and without exec, multiprocessing: every process's calls are stored, once."""

from __future__ import annotations

import sys
from typing import List

import pytest

from .running import App


def numbers(first: int, count: int) -> List[str]:
    return sorted(str(n) for n in range(first, first + count))


FORKS = """
import warnings; warnings.simplefilter("ignore")
def wait(*children):
    codes = [os.waitstatus_to_exitcode(os.waitpid(c, 0)[1]) if sys.version_info >= (3, 9)
             else os.waitpid(c, 0)[1] for c in children]
    say("children", *codes)
"""


@pytest.mark.parametrize("before", ["ask(0)", "ask(0); peekr.flush()", ""])
def test_a_forks_child_stores_its_own_calls_whenever_it_is_forked(before: str, app: App) -> None:
    # Right behind the first call, while the price table loads; when that is over; before it all.
    source = f"""
instrument(); {before}
children = []
for child in range(1, 5):
    pid = os.fork()
    if pid == 0:
        for n in range(10): ask(child * 100 + n)
        sys.exit(0 if child % 2 else peekr.flush(20) and os._exit(0))
    children.append(pid)
for n in range(10): ask(1000 + n)
wait(*children)
"""
    run = app.run_fresh if before == "ask(0)" else app.run
    ended = run(FORKS + source).check()
    assert ended.said == ["children 0 0 0 0"]
    wanted = [str(child * 100 + n) for child in range(1, 5) for n in range(10)]
    wanted += [str(1000 + n) for n in range(10)] + (["0"] if before else [])
    assert sorted(ended.asked) == sorted(ended.asked_in_rows) == sorted(wanted)
    ids = [record["span_id"] for record in ended.whole_lines]
    assert len(set(ids)) == len(ids)
    assert len({record["trace_id"] for record in ended.whole_lines}) == len(ids)


def test_forks_while_threads_call_neither_hang_nor_lose_nor_double(app: App) -> None:
    source = """
instrument(); ask("first")
stop = threading.Event()
def work(own):
    number = 0
    while not stop.is_set():
        ask(f"{own}.{number}")
        number += 1
    say("asked", own, number)
threads = [threading.Thread(target=work, args=(own,)) for own in range(3)]
for thread in threads: thread.start()
children = []
for child in range(8):
    pid = os.fork()
    if pid == 0:
        for n in range(3): ask(f"child {child}.{n}")
        os._exit(0 if peekr.flush(20) else 9)
    children.append(pid)
    time.sleep(0.02)
wait(*children)
stop.set()
for thread in threads: thread.join()
"""
    ended = app.run(FORKS + source).check()
    assert "children 0 0 0 0 0 0 0 0" in ended.said
    wanted = {"first"} | {f"child {child}.{n}" for child in range(8) for n in range(3)}
    for line in ended.said:
        if line.startswith("asked"):
            _, own, count = line.split()
            wanted |= {f"{own}.{n}" for n in range(int(count))}
    assert sorted(ended.asked) == sorted(ended.asked_in_rows) == sorted(wanted)


def test_a_child_that_is_killed_takes_nothing_of_its_parents_with_it(app: App) -> None:
    source = """
instrument(); ask(0)
for child in (1, 2, 3):
    pid = os.fork()
    if pid == 0:
        ask(child * 10); peekr.flush(); die()
    ask(child)
    wait(pid)
ask(4)
"""
    ended = app.run(FORKS + source).check()
    assert ended.said == ["children -9"] * 3
    wanted = ["0", "1", "10", "2", "20", "3", "30", "4"]
    assert sorted(ended.asked) == sorted(ended.asked_in_rows) == wanted


def test_a_stream_that_is_open_at_a_fork_is_the_parents(app: App) -> None:
    source = """
instrument(); ask(0)
stream = client.chat.completions.create(**request(1, stream=True))
next(stream)
pid = os.fork()
if pid == 0:
    ask(2)
    sys.exit(0)
wait(pid)
rest = "".join(chunk.choices[0].delta.content or "" for chunk in stream if chunk.choices)
say(rest)
"""
    ended = app.run(FORKS + source).check()
    assert ended.said == ["children 0", "This is a simulated answer to: 1"]
    for records in (ended.whole_lines, ended.rows):
        outputs = [record["attributes"]["output"] for record in records]
        assert sorted(outputs) == [f"This is a simulated answer to: {n}" for n in range(3)]


def test_fork_and_exec_leaves_nothing_open_and_the_new_program_traces_for_itself(app: App) -> None:
    source = """
instrument(); ask(0); peekr.flush()
open_here = lambda: sorted(
    os.path.basename(os.readlink(f"/proc/self/fd/{fd}")) for fd in os.listdir("/proc/self/fd")
    if os.path.exists(f"/proc/self/fd/{fd}"))
if os.path.isdir("/proc/self/fd"):
    assert "traces.jsonl" in open_here()
if len(sys.argv) > 1 and sys.argv[1] == "new":
    for n in range(5): ask(100 + n)
    sys.exit(0)
pid = os.fork()
if pid == 0:
    os.execv(sys.executable, [sys.executable, "app.py", "new"])
wait(pid)
import subprocess
list_open = "import os; print([os.path.realpath(f'/proc/self/fd/{n}') for n in range(3, 30)])"
for keep in (True, False):
    made = subprocess.run([sys.executable, "-c", list_open], close_fds=keep, capture_output=True)
    say("traces" in made.stdout.decode())
for n in range(5): ask(n)
"""
    ended = app.run_fresh(FORKS + source).check()
    assert ended.said == ["children 0", "False", "False"]
    wanted = sorted(["0", "0", *map(str, range(5)), *(str(100 + n) for n in range(5))])
    assert sorted(ended.asked) == sorted(ended.asked_in_rows) == wanted


def test_a_daemon_that_closes_every_descriptor_goes_on_in_peekrs_files_and_no_other(
    app: App,
) -> None:
    source = """
instrument(); ask("first")
if os.fork() == 0:
    os.setsid()
    if os.fork() == 0:
        os.closerange(3, 256)
        files = [os.open(f"own.{n}", os.O_RDWR | os.O_CREAT) for n in range(30)]
        connect()
        for n in range(20): ask(n)
        os._exit(0 if peekr.flush(20) else 1)
    os._exit(os.waitstatus_to_exitcode(os.wait()[1]))
say("daemon", os.wait()[1])
ask("last")
"""
    ended = app.run(FORKS + source).check()
    assert ended.said == ["daemon 0"]
    wanted = sorted(["first", *map(str, range(20)), "last"])
    assert sorted(ended.asked) == sorted(ended.asked_in_rows) == wanted
    assert [path.stat().st_size for path in app.folder.glob("own.*")] == [0] * 30


METHODS = ["fork", "spawn"] if sys.platform != "darwin" else ["spawn"]


@pytest.mark.parametrize("method", [*METHODS, pytest.param("forkserver", marks=pytest.mark.slow)])
def test_multiprocessing_workers_store_their_calls(method: str, app: App) -> None:
    # A worker of multiprocessing ends by os._exit: SQLite's last moment needs the flush.
    source = f"""
import multiprocessing, warnings
warnings.simplefilter("ignore")
instrument()

def work(number):
    said = ask(number)
    return said, peekr.flush(20)

if __name__ == "__main__":
    context = multiprocessing.get_context("{method}")
    ask("parent")
    with context.Pool(1 if "{method}" == "spawn" else 2) as pool:
        results = pool.map(work, range(20), chunksize=1)
        pool.close()
        pool.join()
    for number, (said, flushed) in enumerate(results):
        checked(number, said)
        assert flushed
"""
    ended = app.run_fresh(source).check()
    wanted = sorted(["parent", *map(str, range(20))])
    assert sorted(ended.asked) == sorted(ended.asked_in_rows) == wanted


def test_a_pool_of_processes_that_is_terminated_leaves_sound_files(app: App) -> None:
    source = """
import multiprocessing, warnings
warnings.simplefilter("ignore")
instrument()

def work(number):
    while True:
        ask(number)
        say("answered", number)

if __name__ == "__main__":
    context = multiprocessing.get_context("fork")
    ask("parent"); peekr.flush()
    pool = context.Pool(3)
    pool.map_async(work, range(3))
    time.sleep(0.4)
    pool.terminate()
    pool.join()
    ask("after")
"""
    ended = app.run(source).check()
    for number in "012":
        assert ended.asked.count(number) >= ended.said.count(f"answered {number}")
        assert ended.asked_in_rows.count(number) >= ended.said.count(f"answered {number}")
    assert "after" in ended.asked_in_rows
