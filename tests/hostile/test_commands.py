"""Damaged and hostile files with every command that reads one: no traceback, no harm."""

from __future__ import annotations

import http.server
import os
import re
import stat
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Dict, List, Tuple

import pytest
from click.testing import CliRunner, Result

from peekr.cli import COMMANDS
from peekr.cli.group import group
from tests.hostile.files import FILES, TRACE

READING: Dict[str, Tuple[str, ...]] = {
    "view": ("view", "@"),
    "view all": ("view", "@", "--io", "--limit", "0"),
    "view as JSON": ("view", "@", "--json"),
    "cost": ("cost", "@", "--by", "model", "--by", "tenant,day"),
    "cost anew": ("cost", "@", "--reprice", "--json"),
    "stats": ("stats", "@"),
    "diff": ("diff", TRACE, TRACE, "--file", "@"),
    "dashboard": ("dashboard", "@", "-o", "made"),
    "export jsonl": ("export", "@", "--format", "jsonl", "-o", "made"),
    "export otlp": ("export", "@", "--format", "otlp-json"),
    "export csv": ("export", "@", "--format", "csv"),
    "merge": ("merge", "@", "-o", "made"),
    "merge to SQLite": ("merge", "@", "-o", "made.db"),
    "replay": ("replay", TRACE, "--jsonl", "@", "--no-input"),
    "replay live": ("replay", TRACE, "--jsonl", "@", "--live", "--dry-run"),
    "eval": ("eval", "@", "--evaluator", "NotEmpty", "--dry-run"),
    "prune": ("prune", "@"),
    "experiment": ("experiment", "@"),
    "ship": ("ship", "@", "--endpoint", "URL", "--state", "made", "--retry-for", "0"),
}
"""Each command as it is asked; `@` is the file, `made` a new one."""

_READS_NONE = {"completion", "doctor"}

# Signs that a terminal obeys, and what reverses a line.
_SIGNS = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\u202e]|\r(?!\n)")


def _runner() -> CliRunner:
    """One that keeps standard output and standard error apart, as click 8.2 always does."""
    make: Any = CliRunner
    try:
        return make(mix_stderr=False)
    except TypeError:
        return make()


_RUNNER = _runner()


class _Collector(http.server.BaseHTTPRequestHandler):
    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["Content-Length"]))
        self.send_response(200)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, format: str, *args: object) -> None:
        del format, args


@pytest.fixture(scope="module")
def collector() -> Iterator[str]:
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), _Collector) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


def run(arguments: Tuple[str, ...], file: Path, out: Path, url: str) -> Result:
    given = {"@": str(file), "made": str(out / "made"), "made.db": str(out / "made.db")}
    given["URL"] = url
    return _RUNNER.invoke(group, [given.get(word, word) for word in arguments])


def state(path: Path) -> object:
    """Everything about a file that a reader must leave as it is."""
    if not os.path.lexists(path):
        return None
    found = os.lstat(path)
    if stat.S_ISREG(found.st_mode):
        return found.st_size, found.st_mtime_ns, path.read_bytes()[:1_000_000]
    return stat.S_IFMT(found.st_mode)


def test_every_command_that_reads_is_here() -> None:
    assert {arguments[0] for arguments in READING.values()} == COMMANDS.keys() - _READS_NONE
    assert len(FILES) >= 49


@pytest.mark.parametrize("name", FILES)
def test_every_command_copes(
    name: str, tmp_path: Path, collector: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PEEKR_RAISE_FAULTS", "1")
    hostile = FILES[name]
    folder, out = tmp_path / "files", tmp_path / "out"
    folder.mkdir()
    file = folder / "traces"
    hostile.make(file)
    before, names = state(file), set(os.listdir(folder))
    faults: List[str] = []
    for label, arguments in READING.items():
        new = out / label
        new.mkdir(parents=True)
        result = run(arguments, file, new, collector)
        said = f"{label}: exit {result.exit_code}, {result.stderr[:300]!r}"
        printed = result.stdout + result.stderr
        raised = result.exception
        if raised is not None and not isinstance(raised, SystemExit):
            faults.append(f"{said} raised {raised!r}")
        if "Traceback" in printed or "a fault of its own" in printed:
            faults.append(f"{said} is a fault")
        if _SIGNS.search(printed):
            faults.append(f"{said} lets a sign pass")
        if not hostile.is_readable:
            if result.exit_code != 1 or printed.count("\n") != 1 or result.stdout:
                faults.append(f"{said} is not one line and exit code 1: {printed[:300]!r}")
            if os.listdir(new) and label != "ship":  # which has noted that nothing was sent
                faults.append(f"{said} leaves {os.listdir(new)}")
        elif result.exit_code != 0 and not is_nothing_to_do(label, result):
            faults.append(f"{said} does not read what can be read")
        elif hostile.is_damaged and not is_told(result) and not is_untouched(name, label, result):
            faults.append(f"{said} does not say what could not be read")
        if state(file) != before or set(os.listdir(folder)) != names:
            faults.append(f"{said} changes the file, or leaves {os.listdir(folder)}")
    assert not faults, "\n".join(faults)


def is_told(result: Result) -> bool:
    signs = ("could not be read", "could be read only in part", "the database is damaged")
    return any(sign in result.stderr for sign in signs)


def is_nothing_to_do(label: str, result: Result) -> bool:
    """Whether the file can be read, and has nothing that the command is for."""
    none = {
        "experiment": ("no experiment in this file",),
        "replay live": ("no model call to replay", "cannot be sent again"),
        "prune": ("is OTLP, which Peekr only reads",),
    }
    return any(reason in result.stderr for reason in none.get(label, ()))


def is_untouched(name: str, label: str, result: Result) -> bool:
    """Whether a command had no reason to look at what is damaged."""
    looks_up = label in ("diff", "replay", "replay live")
    return result.exit_code != 0 or (looks_up and name.startswith("SQLite"))
