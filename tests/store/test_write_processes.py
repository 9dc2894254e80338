"""What is in the file after processes end in every way, fork, and write all at once."""

from __future__ import annotations

import os
import signal
import subprocess
import tempfile
from pathlib import Path

import pytest

from tests.store.writing import NUMBERS, ROOT, SINKS, program, run, start

kinds = pytest.mark.parametrize("kind", sorted(SINKS))

WRITE_500 = """
for n in range(500):
    sink.write(make_record(n))
"""

ENDINGS = {
    "end of the program": ("atexit.register(sink.close)", "", 0),
    "sys.exit": ("atexit.register(sink.close)", "sys.exit(3)", 3),
    "unhandled exception": ("atexit.register(sink.close)", "raise KeyError('x')", 1),
    "close and close again": ("", "sink.close(); sink.close()", 0),
    "flush and os._exit": ("", "sink.flush(); os._exit(0)", 0),
    "close in a signal handler": (
        "signal.signal(signal.SIGTERM, lambda *_: (sink.close(), os._exit(0)))",
        "os.kill(os.getpid(), signal.SIGTERM); time.sleep(30)",
        0,
    ),
    "close in a thread": (
        "atexit.register(sink.close)",
        "t = threading.Thread(target=sink.close); t.start(); t.join()",
        0,
    ),
}


@kinds
@pytest.mark.parametrize("ending", sorted(ENDINGS))
def test_every_record_survives_the_end_of_the_process(
    kind: str, ending: str, tmp_path: Path
) -> None:
    first, last, code = ENDINGS[ending]
    done = run(f"import atexit\n{first}\n{WRITE_500}\n{last}", kind, tmp_path / "traces")
    assert done.returncode == code, done.stderr
    assert NUMBERS[kind](tmp_path / "traces") == list(range(500))


@kinds
def test_record_written_when_the_interpreter_is_going_is_kept(kind: str, tmp_path: Path) -> None:
    code = """
    import atexit
    class Late:
        def __del__(self, write=sink.write, record=make_record(2)):
            write(record)
    sink.write(make_record(0))
    atexit.register(lambda: (sink.close(), sink.write(make_record(1))))
    keep = sys.modules["keep"] = Late()
    """
    done = run(code, kind, tmp_path / "traces")
    assert done.returncode == 0
    assert done.stderr == ""
    assert NUMBERS[kind](tmp_path / "traces") == [0, 1, 2]


@kinds
def test_record_written_after_threads_are_joined_is_kept_without_close(
    kind: str, tmp_path: Path
) -> None:
    code = """
    class Late:
        def __del__(self, write=sink.write, record=make_record(0)):
            write(record)
    keep = sys.modules["keep"] = Late()
    """
    done = run(code, kind, tmp_path / "traces")
    assert (done.returncode, done.stderr) == (0, "")
    assert NUMBERS[kind](tmp_path / "traces") == [0]


@kinds
def test_signal_handlers_write_and_flush_whatever_they_interrupt(kind: str, tmp_path: Path) -> None:
    code = """
    signals = 0
    def handler(*_):
        global signals
        signals += 1
        sink.write(make_record(100_000 + signals))
        if signals % 10 == 0:
            assert sink.flush(20)
    signal.signal(signal.SIGALRM, handler)
    signal.setitimer(signal.ITIMER_REAL, 0.0005, 0.0005)
    n = 0
    while signals < 200:
        sink.write(make_record(n))
        n += 1
    signal.setitimer(signal.ITIMER_REAL, 0)
    assert sink.close()
    assert sink.lost == 0
    print(n, signals)
    """
    done = run(code, kind, tmp_path / "traces")
    assert done.returncode == 0, done.stderr
    written, signals = map(int, done.stdout.split())
    expected = [*range(written), *range(100_001, 100_001 + signals)]
    assert sorted(NUMBERS[kind](tmp_path / "traces")) == expected


PACED = """
start = time.monotonic_ns()
for n in range(100_000):
    sink.write(make_record(n))
    print(n, time.monotonic_ns(), flush=True)
    time.sleep(max(0.0, (start + (n + 1) * 2_000_000 - time.monotonic_ns()) / 1e9))
"""


@kinds
def test_kill_9_costs_nothing_in_jsonl_and_the_last_moment_in_sqlite(
    kind: str, tmp_path: Path
) -> None:
    path = tmp_path / "traces"
    with start(PACED, kind, path) as process:
        assert process.stdout
        lines = [process.stdout.readline() for _ in range(300)]
        process.kill()
        lines += process.stdout.read().splitlines()
    written = [tuple(map(int, line.split())) for line in lines if len(line.split()) == 2]
    # 10 ms at 500 records a second on a machine that has time; here others may have it.
    last = written[-1][1] - {"jsonl": 0, "sqlite": 100_000_000}[kind]
    due = {number for number, at in written if at <= last}
    assert len(due) > 200
    if kind == "jsonl":
        content = path.read_bytes()
        path.write_bytes(content[: content.rindex(b"\n") + 1])
    assert due.issubset(NUMBERS[kind](path))


@kinds
@pytest.mark.parametrize(("size", "count"), [(1_000, 500), (64_000, 60)])
def test_eight_processes_write_whole_records_into_one_file(
    kind: str, size: int, count: int, tmp_path: Path
) -> None:
    code = """
    import logging, warnings
    size, count, own = map(int, sys.argv[3:])
    for n in range(count):
        sink.write(make_record(own * count + n, size))
    assert sink.close()
    assert sink.lost == 0
    """
    commands = [program(code, kind, tmp_path / "traces", size, count, own) for own in range(8)]
    processes = [
        subprocess.Popen(command, cwd=ROOT, stderr=subprocess.PIPE, text=True)
        for command in commands
    ]
    assert [process.communicate(timeout=60)[1] for process in processes] == [""] * 8
    assert [process.returncode for process in processes] == [0] * 8
    assert sorted(NUMBERS[kind](tmp_path / "traces")) == list(range(8 * count))


@kinds
def test_forks_while_threads_write_neither_hang_nor_double_nor_lose(
    kind: str, tmp_path: Path
) -> None:
    code = """
    import itertools, logging, warnings
    warnings.simplefilter("ignore")
    stop = False
    counter = itertools.count()
    def work():
        while not stop:
            sink.write(make_record(next(counter)))
            time.sleep(0.0002)
    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    children = []
    for child in range(20):
        pid = os.fork()
        if pid == 0:
            for n in range(20):
                sink.write(make_record(1_000_000 + child * 20 + n))
            os._exit(0 if sink.close(20) and sink.lost == 0 else 9)
        children.append(pid)
        time.sleep(0.005)
    codes = [os.waitpid(pid, 0)[1] for pid in children]
    stop = True
    for thread in threads:
        thread.join()
    assert sink.close() and sink.lost == 0
    print(next(counter), codes)
    assert not any(codes), codes
    """
    done = run(code, kind, tmp_path / "traces")
    assert done.returncode == 0, done.stderr + done.stdout
    written = int(done.stdout.split()[0])
    numbers = sorted(NUMBERS[kind](tmp_path / "traces"))
    assert numbers == [*range(written), *range(1_000_000, 1_000_400)]


@kinds
def test_child_that_outlives_its_parent_keeps_writing(kind: str, tmp_path: Path) -> None:
    code = """
    sink.write(make_record(0))
    read, write = os.pipe()
    if os.fork():
        sink.write(make_record(1))
        sink.close()
        os._exit(0)   # the pipe's end goes with the process
    os.close(write)
    sink.write(make_record(2))
    os.read(read, 1)
    sink.write(make_record(3))
    sink.close()
    """
    command = program(code, kind, tmp_path / "traces")
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE) as process:
        assert process.stdout
        process.stdout.read()  # until the child has let go of it too
    assert process.returncode == 0
    assert sorted(NUMBERS[kind](tmp_path / "traces")) == [0, 1, 2, 3]


@kinds
def test_process_that_may_not_start_threads_stores_all_the_same(kind: str, tmp_path: Path) -> None:
    code = """
    import _thread
    def refuse(*_):
        raise RuntimeError("can't start new thread")
    _thread.start_new_thread = refuse
    for n in range(5):
        sink.write(make_record(n))
    os.kill(os.getpid(), signal.SIGKILL)
    """
    done = run(code, kind, tmp_path / "traces")
    assert done.returncode == -signal.SIGKILL
    assert NUMBERS[kind](tmp_path / "traces") == [0, 1, 2, 3, 4]


@kinds
@pytest.mark.skipif(not hasattr(os, "seteuid"), reason="needs POSIX users")
def test_read_only_directory_costs_records_until_it_can_be_written(
    kind: str, tmp_path: Path
) -> None:
    code = """
    folder = Path(sys.argv[3])
    sink.write(make_record(0))
    sink.close()  # imports whatever another user could not
    if os.geteuid() == 0:
        os.chown(folder, 65534, -1)  # nothing is read-only to root
        os.seteuid(65534)
    os.chmod(folder, 0o555)
    sink = SINKS[kind](folder / "traces")
    for n in range(10):
        sink.write(make_record(n))
    assert sink.flush()
    assert sink.lost == 10, sink.lost
    os.chmod(folder, 0o755)
    for n in range(10, 20):
        sink.write(make_record(n))
    assert sink.close()
    assert sink.lost == 10, sink.lost
    """
    # Not in `tmp_path`, whose parents are closed to others.
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "traces"
        done = run(code, kind, tmp_path / "traces", folder)
        assert done.returncode == 0, done.stderr
        first, last = done.stderr.splitlines()
        assert first.startswith(f"cannot write traces to {path}: ")
        assert last == f"writing traces to {path} again; 10 records were lost"
        assert NUMBERS[kind](path) == list(range(10, 20))
