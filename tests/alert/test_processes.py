"""The end of a process, and forks: alerts get out within a bound, and none twice."""

from __future__ import annotations

import os
import subprocess
import sys
import textwrap
from pathlib import Path
from typing import Any

import pytest

from .webhook import Webhook, wait_until

HEAD = """
import os, sys, threading
import peekr
from peekr.alert import ErrorRate, WebhookSink

peekr.instrument(
    console=False, storage=None, alerts=[ErrorRate(0.0, sinks=[WebhookSink(URL)])]
)

@peekr.trace
def job():
    raise ValueError("no")

def fail():
    try:
        job()
    except ValueError:
        pass
"""


def _run(folder: Path, url: str, body: str) -> Any:
    source = f"URL = {url!r}\n{HEAD}\n{textwrap.dedent(body)}"
    kept = {k: v for k, v in os.environ.items() if not k.startswith(("OTEL_", "PEEKR_"))}
    return subprocess.run(
        [sys.executable, "-c", source],
        cwd=folder,
        env={**kept, "PEEKR_RAISE_FAULTS": "1"},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


@pytest.mark.parametrize(
    "end", ["", "sys.exit(0)", "raise SystemExit", "threading.Thread(target=fail).start()"]
)
def test_an_alert_of_the_last_trace_gets_out(tmp_path: Path, end: str) -> None:
    with Webhook() as hook:
        done = _run(tmp_path, hook.url, f"fail()\n{end}")
        assert done.returncode == 0, done.stderr
        assert done.stderr == ""
        assert [got.body["alert"] for got in hook.received] == ["ErrorRate"]


def test_an_alert_that_fires_while_the_process_ends_gets_out(tmp_path: Path) -> None:
    with Webhook() as hook:
        # Registered after Peekr's own handler, so it runs before it.
        done = _run(tmp_path, hook.url, "import atexit; atexit.register(fail)")
        assert done.stderr == ""
        assert len(hook.received) == 1


def test_a_webhook_that_never_answers_holds_up_the_end_for_some_seconds_at_most(
    tmp_path: Path,
) -> None:
    with Webhook() as hook:
        hook.open.clear()
        done = _run(tmp_path, hook.url, "fail()")
        assert done.returncode == 0
        assert len(hook.received) >= 1
        host = "WebhookSink(127.0.0.1)"
        assert done.stderr == f"{host}: 1 alert was not delivered before the process ended\n"


def test_a_rule_that_never_ends_holds_up_the_end_likewise_and_that_is_said(tmp_path: Path) -> None:
    body = """
    import time
    peekr.instrument(console=False, storage=None, alerts=[lambda trace: time.sleep(1e6)])
    fail()
    """
    done = _run(tmp_path, "http://127.0.0.1:9", body)
    assert done.returncode == 0
    assert done.stderr == "The process ended before the rules had looked at every trace.\n"


@pytest.mark.skipif(not hasattr(os, "kill") or sys.platform == "win32", reason="needs SIGTERM")
def test_an_alert_gets_out_before_sigterm_ends_the_process(tmp_path: Path) -> None:
    with Webhook() as hook:
        _run(tmp_path, hook.url, "import signal\nfail()\nos.kill(os.getpid(), signal.SIGTERM)")
        assert len(hook.received) == 1


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_a_forks_child_has_alerts_of_its_own_and_sends_none_of_its_parents(
    tmp_path: Path,
) -> None:
    body = """
    import warnings
    warnings.simplefilter("ignore")
    fail()  # is on its way when the process forks
    pid = os.fork()
    if pid == 0:
        peekr.flush()
        print("child flushed", flush=True)
        os._exit(0)
    os.waitpid(pid, 0)
    """
    with Webhook() as hook:
        hook.open.clear()
        source_done: list[Any] = []
        import threading

        thread = threading.Thread(target=lambda: source_done.append(_run(tmp_path, hook.url, body)))
        thread.start()
        wait_until(lambda: hook.received)
        hook.open.set()
        thread.join()
        assert "child flushed" in source_done[0].stdout
        assert len(hook.received) == 1
    body = """
    import warnings
    warnings.simplefilter("ignore")
    def busy():
        while not stop.is_set():
            with peekr.span("busy"):
                pass
    stop = threading.Event()
    threads = [threading.Thread(target=busy, daemon=True) for _ in range(3)]
    for thread in threads:
        thread.start()
    pids = []
    for _ in range(5):
        pid = os.fork()
        if pid == 0:
            fail()
            peekr.flush()
            os._exit(0)
        pids.append(pid)
    codes = [os.waitpid(pid, 0)[1] for pid in pids]
    stop.set()
    for thread in threads:
        thread.join()
    print(codes)
    """
    with Webhook() as hook:
        done = _run(tmp_path, hook.url, body)
        assert done.stdout == "[0, 0, 0, 0, 0]\n", done.stderr
        assert len(hook.received) == 5


def test_alerts_that_are_not_asked_for_load_nothing(tmp_path: Path) -> None:
    source = """
import sys
import peekr
peekr.instrument(console=False, storage=None)
loaded = [name for name in sys.modules if name.startswith(("peekr.alert", "requests"))]
assert not loaded, loaded
import peekr.alert
assert "peekr.alert.rules" not in sys.modules
"""
    subprocess.run([sys.executable, "-c", source], cwd=tmp_path, check=True, timeout=60)
