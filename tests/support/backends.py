"""Programs of others that take OTLP: where they are, and how they are started.

    python tests/support/backends.py [NAME ...]    install them, each in an environment of its own

They live in `~/.cache/peekr-tests`, or where `PEEKR_TEST_BACKENDS` says. A test whose program is
not there is skipped.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from pathlib import Path
from typing import Any, Dict, Generator, List, Mapping, Optional

FOLDER = Path(os.environ.get("PEEKR_TEST_BACKENDS") or Path.home() / ".cache" / "peekr-tests")
VERSIONS = {"rotel": "0.0.1a15", "arize-phoenix": "20.26.1", "mlflow": "3.17.2"}
_COMPLETE = "complete"
"""A file that an environment gets when all is installed in it."""


def environment(name: str) -> Path:
    """The environment of a backend; skips the test where there is none."""
    found = _folder(name)
    if not is_installed(found):
        import pytest

        pytest.skip(f"{name} is not installed: python tests/support/backends.py {name}")
    return found


def rotel_agent() -> str:
    """The program of the collector rotel; skips the test where it is not there or cannot run."""
    import pytest

    for agent in environment("rotel").glob("lib/python*/site-packages/rotel/rotel-agent"):
        try:
            subprocess.run([str(agent), "--version"], check=True, capture_output=True, timeout=30)
        except (OSError, subprocess.SubprocessError) as error:
            pytest.skip(f"rotel cannot run here: {error}")
        return str(agent)
    pytest.skip("rotel's program is missing from its environment")


class Program:
    """A program that runs until it is stopped."""

    def __init__(self, command: List[str], log: Path, folder: Path, **variables: str) -> None:
        self._command = command
        self._log = log
        self._folder = folder
        self._variables = variables
        self.process: Optional[subprocess.Popen[bytes]] = None

    def start(self) -> None:
        kept = ("PATH", "HOME", "LANG", "TMPDIR")
        inherited = {name: os.environ[name] for name in kept if name in os.environ}
        with self._log.open("ab") as log:
            self.process = subprocess.Popen(
                self._command,
                cwd=self._folder,
                env={**inherited, **self._variables},
                stdout=log,
                stderr=log,
                start_new_session=True,
            )

    def kill(self) -> None:
        """End it at once, with all that it has started, as a crash would."""
        process, self.process = self.process, None
        if process is not None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait(30)

    def wait_until(self, condition: Any, timeout_s: float) -> None:
        deadline = time.monotonic() + timeout_s
        while not condition():
            assert self.process is not None
            code = self.process.poll()
            if code is not None or time.monotonic() > deadline:
                tail = self._log.read_text("utf-8", "replace")[-2000:]
                raise AssertionError(f"{self._command[0]} is not ready (exit code {code}):\n{tail}")
            time.sleep(0.05)


@contextlib.contextmanager
def running(program: Program) -> Generator[Program, None, None]:
    """A program that is ended with the block."""
    program.start()
    try:
        yield program
    finally:
        program.kill()


def listens(port: int) -> bool:
    with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
        return True
    return False


def answers(url: str) -> bool:
    with contextlib.suppress(OSError), urllib.request.urlopen(url, timeout=2) as reply:
        return bool(reply.status == 200)
    return False


def fetch(
    url: str, body: Optional[bytes] = None, headers: Optional[Mapping[str, str]] = None
) -> Any:
    """The JSON that a URL answers."""
    import json

    given: Dict[str, str] = {"Content-Type": "application/json", **(headers or {})}
    request = urllib.request.Request(url, body, given)
    with urllib.request.urlopen(request, timeout=30) as reply:
        return json.load(reply)


def install(name: str) -> None:
    """Make the environment of a backend."""
    folder = _folder(name)
    if is_installed(folder):
        print(f"{folder}: is there")
        return
    # In its place from the start: the programs in it name the interpreter by its whole path.
    shutil.rmtree(folder, ignore_errors=True)
    subprocess.run([sys.executable, "-m", "venv", str(folder)], check=True)
    install = [str(folder / "bin" / "python"), "-m", "pip", "install", "--quiet"]
    wanted = f"{name}=={VERSIONS[name]}"
    subprocess.run([*install, *(["--pre"] if name == "rotel" else []), wanted], check=True)
    (folder / _COMPLETE).touch()
    print(f"{folder}: installed")


def is_installed(folder: Path) -> bool:
    """Whether an environment is there, and whole."""
    return (folder / _COMPLETE).is_file()


def _folder(name: str) -> Path:
    return FOLDER / f"{name}-{VERSIONS[name]}"


if __name__ == "__main__":
    for wanted in sys.argv[1:] or list(VERSIONS):
        install(wanted)
