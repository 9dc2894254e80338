"""The console: a line a span, whatever stdout is."""

from __future__ import annotations

import contextlib
import io
import os
import subprocess
import sys
from pathlib import Path
from typing import Any, Dict, List, Tuple

import pytest

from peekr import faults
from peekr.record import SpanRecord
from peekr.store.console import ConsoleSink

from .conftest import Telemetry


def record(name: str = "openai.chat", status: str = "ok", **attributes: Any) -> SpanRecord:
    return SpanRecord(
        "0" * 32, "0" * 16, None, name, 1.0, 1.843, 843.0, status, None, None, attributes
    )


# -- the line --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("given", "line"),
    [
        (
            record(model="gpt-4o", tokens_total=312, cost_usd=0.0021),
            "openai.chat [gpt-4o]  843ms  312tok  $0.0021",
        ),
        (record("app.plan"), "app.plan  843ms"),
        (
            record(status="error", model="gpt-4o", error="no such model\nTraceback"),
            "openai.chat [gpt-4o]  843ms  ERROR no such model",
        ),
        (record(status="error"), "openai.chat  843ms  ERROR"),
    ],
)
def test_a_span_is_one_line(
    given: SpanRecord, line: str, capsys: pytest.CaptureFixture[str]
) -> None:
    ConsoleSink().write(given)
    assert capsys.readouterr().out == line + "\n"


def test_the_line_is_there_when_the_spans_end_returns(
    bare_telemetry: Telemetry, capsys: pytest.CaptureFixture[str]
) -> None:
    bare_telemetry.instrument(console=True)
    with bare_telemetry.tracer.start_as_current_span("first"):
        pass
    assert capsys.readouterr().out.startswith("first  ")
    bare_telemetry.instrument(console=True)
    with bare_telemetry.tracer.start_as_current_span("again"):
        pass
    assert capsys.readouterr().out.count("\n") == 1


def test_without_the_console_nothing_is_printed(
    telemetry: Telemetry, capsys: pytest.CaptureFixture[str]
) -> None:
    with telemetry.tracer.start_as_current_span("work"):
        pass
    captured = capsys.readouterr()
    assert (captured.out, captured.err) == ("", "")


@pytest.mark.parametrize(
    "hostile",
    ["\x1b[2J\x1b]0;title\x07", "a\nb\rc", "\x9b31m", "\u202eevil", "\x00\x7f", "\ud800"],
)
@pytest.mark.parametrize("place", ["name", "model", "error"])
def test_control_characters_are_shown_not_sent(
    hostile: str, place: str, capsys: pytest.CaptureFixture[str]
) -> None:
    values: Dict[str, Any] = {"name": "n", "model": "m", "error": "e", place: f"x{hostile}y"}
    ConsoleSink().write(record(values.pop("name"), "error", **values))
    out = capsys.readouterr().out
    assert out.endswith("\n")
    assert out[:-1].isprintable()
    assert "x" in out


# -- colours ---------------------------------------------------------------------------------------

PROGRAM = """
import os
import peekr
from opentelemetry import trace
from opentelemetry.trace import Status, StatusCode

peekr.instrument(storage=None)
tracer = trace.get_tracer("t")
tracer.start_span("fine").end()
failed = tracer.start_span("failed")
failed.set_status(Status(StatusCode.ERROR, "no"))
failed.end()
"""


def at_a_terminal(environment: Dict[str, str]) -> str:
    import pty

    ours, theirs = pty.openpty()
    process = subprocess.Popen(
        [sys.executable, "-c", PROGRAM],
        stdout=theirs,
        stdin=subprocess.DEVNULL,
        env={**os.environ, "NO_COLOR": "", **environment},
    )
    os.close(theirs)
    said = b""
    with contextlib.suppress(OSError):  # Linux ends a terminal with an error
        while True:
            piece = os.read(ours, 4096)
            if not piece:
                break
            said += piece
    os.close(ours)
    assert process.wait(60) == 0
    return said.decode("utf-8").replace("\r\n", "\n")


@pytest.mark.skipif(os.name == "nt", reason="pseudo terminals are of POSIX")
def test_an_error_is_red_on_a_terminal() -> None:
    fine, failed = at_a_terminal({}).splitlines()
    assert "\x1b" not in fine
    assert failed.startswith("\x1b[31mfailed  ")
    assert failed.endswith("ERROR no\x1b[0m")


@pytest.mark.skipif(os.name == "nt", reason="pseudo terminals are of POSIX")
def test_no_color_is_honoured() -> None:
    assert "\x1b" not in at_a_terminal({"NO_COLOR": "1"})


def test_a_pipe_gets_no_colours() -> None:
    made = subprocess.run([sys.executable, "-c", PROGRAM], capture_output=True, check=True)
    assert b"\x1b" not in made.stdout
    assert len(made.stdout.splitlines()) == 2


# -- whatever stdout is ----------------------------------------------------------------------------


def finish(program: str, **options: Any) -> Tuple[int, bytes, bytes]:
    process: Any = subprocess.Popen(
        [sys.executable, "-c", program],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        **options,
    )
    out, err = process.communicate(timeout=60)
    return process.returncode, out, err


def test_a_stdout_that_was_closed_costs_the_line() -> None:
    closing = PROGRAM.replace("tracer = ", "import sys; sys.stdout.close(); tracer = ")
    assert finish(closing) == (0, b"", b"")


def test_a_program_without_a_stdout_runs() -> None:
    assert finish(PROGRAM.replace("tracer = ", "import sys; sys.stdout = None; tracer = ")) == (
        0,
        b"",
        b"",
    )


@pytest.mark.skipif(os.name == "nt", reason="descriptors are of POSIX")
def test_a_descriptor_that_was_closed_costs_the_line(tmp_path: Path) -> None:
    closing = PROGRAM.replace("tracer = ", "os.close(1); tracer = ")
    code, out, _ = finish(closing)
    assert (code, out) == (0, b"")


def test_a_reader_that_went_away_costs_the_line() -> None:
    program = PROGRAM + "import sys; print('goes on', file=sys.stderr)"
    process = subprocess.Popen(
        [sys.executable, "-c", program], stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    assert process.stdout is not None
    assert process.stderr is not None
    process.stdout.close()
    with process.stderr as said:
        assert said.read() == b"goes on\n"
    assert process.wait(60) == 0


@pytest.mark.parametrize("encoding", ["ascii", "latin-1", "utf-8", "utf-16"])
def test_what_an_encoding_lacks_is_escaped(encoding: str) -> None:
    program = PROGRAM.replace('"fine"', '"caf\\u00e9 \\u65e5"')
    code, out, err = finish(program, env={**os.environ, "PYTHONIOENCODING": encoding})
    assert (code, err) == (0, b"")
    line = out.decode(encoding).splitlines()[0]
    shown = {"ascii": "caf\\xe9 \\u65e5", "latin-1": "café \\u65e5"}.get(encoding, "café 日")
    assert line.startswith(shown + "  ")


def test_the_stdout_of_the_moment_is_written_to(telemetry: Telemetry) -> None:
    sink = ConsoleSink()
    texts: List[str] = []
    for name in ("first", "second"):
        with contextlib.redirect_stdout(io.StringIO()) as replaced:
            sink.write(record(name))
        texts.append(replaced.getvalue())
    assert texts == ["first  843ms\n", "second  843ms\n"]


class _Odd:
    """A stdout of an application's own that has the least."""

    def __init__(self, fails: bool = False) -> None:
        self.written: List[str] = []
        self._fails = fails

    def write(self, text: str) -> None:
        if self._fails:
            raise KeyError("no")
        self.written.append(text)

    def flush(self) -> None: ...


def test_a_stdout_without_isatty_is_no_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    odd = _Odd()
    monkeypatch.setattr(sys, "stdout", odd)
    ConsoleSink().write(record(status="error"))
    assert odd.written == ["openai.chat  843ms  ERROR\n"]


def test_a_stdout_that_fails_in_its_own_way_is_reported_once(
    contained_faults: None, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(sys, "stdout", _Odd(fails=True))
    for _ in range(3):
        ConsoleSink().write(record())
    (said,) = caplog.records
    assert "printing a span" in said.message
    faults.reset()


def test_lines_of_many_threads_stay_whole() -> None:
    program = PROGRAM + (
        "import threading\n"
        "def work():\n"
        "    for _ in range(100): tracer.start_span('x' * 150).end()\n"
        "threads = [threading.Thread(target=work) for _ in range(4)]\n"
        "[thread.start() for thread in threads]; [thread.join() for thread in threads]\n"
    )
    _, out, _ = finish(program)
    lines = out.decode().splitlines()[2:]
    assert len(lines) == 400
    assert all(line.startswith("x" * 150 + "  ") and line.count("x") == 150 for line in lines)


def test_flush_and_close_have_nothing_to_wait_for() -> None:
    sink = ConsoleSink()
    assert sink.flush(0.0)
    assert sink.close(0.0)
