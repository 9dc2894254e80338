"""Stepping through a trace: the order of time, what is shown, keys, bad input."""

from __future__ import annotations

import os
import re
import sys
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from peekr.cli.group import group
from peekr.files.stepping import steps_of
from peekr.record import SpanRecord
from tests.support.trace_files import NOW, agent_trace, span, write_jsonl, write_sqlite

ID = "0" * 31 + "1"


def run(*arguments: Any) -> Result:
    return CliRunner().invoke(group, [str(argument) for argument in arguments])


def records(*spans: dict[str, Any]) -> list[SpanRecord]:
    return [SpanRecord.from_dict(each) for each in spans]


def test_steps_are_in_the_order_of_time_with_what_is_above_and_beside() -> None:
    steps = steps_of(
        records(
            span(1, 3, 2, "tool", NOW + 2, 500),
            span(1, 4, 1, "beside", NOW + 2.1, 500),
            span(1, 2, 1, "chat", NOW + 1, 3000),
            span(1, 1, None, "run", NOW, 5000),
        )
    )
    assert [(s.record.name, s.path, s.parallel) for s in steps] == [
        ("run", (), 0),
        ("chat", ("run",), 0),
        ("tool", ("run", "chat"), 0),
        ("beside", ("run",), 2),
    ]
    assert [round(s.offset_ms) for s in steps] == [0, 1000, 2000, 2100]


@pytest.mark.parametrize("option", ["--db", "--jsonl"])
def test_whole_trace_is_printed_where_nobody_can_press_a_key(tmp_path: Path, option: str) -> None:
    rows = agent_trace(1, error="RateLimitError: slow down")
    rows[0]["attributes"]["input"] = [{"role": "user", "content": "What is 6 x 7?"}]
    rows[0]["attributes"]["output"] = "42"
    write = write_sqlite if option == "--db" else write_jsonl
    path = write(tmp_path / "t", rows)
    done = run("replay", ID[:8] + ID[8:], option, path)
    assert done.exit_code == 0, done.output
    assert done.output.startswith("step 1 of 3  after 0ms\n  agent.run  5.00s\n")
    assert "step 2 of 3  after 1.00s\n  in agent.run\n" in done.output
    assert "user: What is 6 x 7?" in done.output
    assert "output: 42" in done.output
    assert "RateLimitError: slow down" in done.output


def test_errors_begin_at_the_first_failure(tmp_path: Path) -> None:
    path = write_jsonl(tmp_path / "t", agent_trace(1, error="Bad: x"))
    assert run("replay", ID, "--jsonl", path, "--errors").output.startswith("step 3 of 3")
    path = write_jsonl(tmp_path / "u", agent_trace(1))
    done = run("replay", ID, "--jsonl", path, "--errors")
    assert done.output.startswith("No span of this trace failed.\nstep 1 of 3")


def test_unusable_input_is_one_line(tmp_path: Path) -> None:
    path = write_jsonl(tmp_path / "t", [*agent_trace(1), *agent_trace(2)])
    done = run("replay", "feed", "--jsonl", path)
    assert (done.exit_code, done.output) == (1, f"{path}: no trace with the id feed\n")
    assert run("replay", ID, "--jsonl", tmp_path / "none").exit_code == 1
    assert not (tmp_path / "none").exists()
    assert run("replay", ID, "--jsonl", path, "--db", path).exit_code == 2
    assert run("replay", "0000", "--jsonl", path).exit_code == 2


def test_escape_sequences_do_not_pass(tmp_path: Path) -> None:
    bad = "\x1b[31mred\x1b]0;title\x07"
    path = write_jsonl(tmp_path / "t", [span(1, 1, None, bad, input=bad, output={bad: bad})])
    done = run("replay", ID, "--jsonl", path)
    assert "\x1b" not in done.output
    assert "\x07" not in done.output


@pytest.mark.skipif(os.name == "nt", reason="pseudo terminals are of POSIX")
@pytest.mark.parametrize(
    ("keys", "expected"),
    [
        ("q", ["1"]),
        ("nnn", ["1", "2", "3"]),
        (" bGgq", ["1", "2", "1", "3", "1"]),
        ("eq", ["1", "3"]),
        ("\x1b[C\x1b[Dq", ["1", "2", "1"]),
    ],
)
def test_keys_move_on_a_terminal(tmp_path: Path, keys: str, expected: list[str]) -> None:
    path = write_jsonl(tmp_path / "t", agent_trace(1, error="Bad: x"))
    said = at_a_terminal(path, keys)
    assert re.findall(rb"step (\d) of 3", said) == [e.encode() for e in expected]


@pytest.mark.skipif(os.name == "nt", reason="pseudo terminals are of POSIX")
def test_a_step_that_is_longer_than_the_screen_takes_several(tmp_path: Path) -> None:
    trace = agent_trace(1)
    for record in trace:
        if record["parent_id"] is None:
            record["attributes"]["output"] = "\n".join(f"line-{n:02}" for n in range(60))
    path = write_jsonl(tmp_path / "t", trace)
    said = at_a_terminal(path, "  b   nnnn")
    screens = said.split(b"step ")[1:]
    assert [screen[:1] for screen in screens[:5]] == [b"1"] * 5
    assert b"line-00" in screens[0]
    assert b"line-59" not in screens[0]
    assert b"lines 1 to " in screens[0]
    first, last = (re.findall(rb"line-\d\d", screens[at]) for at in (0, 1))
    assert int(last[0][-2:]) == int(first[-1][-2:]) + 1  # nothing is left out between the two
    assert screens[1] == screens[3]
    assert any(b"line-59" in screen for screen in screens)


def at_a_terminal(path: Path, keys: str) -> bytes:
    """What the command shows on a terminal of its own, where these keys are pressed."""
    import pty
    import select
    import termios
    import time

    command = [sys.executable, "-m", "peekr.cli", "replay", ID, "--jsonl", str(path)]
    child, terminal = pty.fork()
    if child == 0:
        os.environ["TERM"] = "xterm"
        os.execv(sys.executable, command)
    said = b""
    presses = re.findall(r"\x1b\[.|.", keys, re.DOTALL)
    pressed = 0
    deadline = time.monotonic() + 30.0
    while time.monotonic() < deadline:
        if select.select([terminal], [], [], 0.02)[0]:
            try:
                said += os.read(terminal, 65536)
            except OSError:
                break  # the program has ended
        # One key after each prompt, once the program waits for it: no line mode any more.
        waits = not termios.tcgetattr(terminal)[3] & termios.ICANON
        if waits and pressed < min(len(presses), said.count(b"quit: q")):
            os.write(terminal, presses[pressed].encode())
            pressed += 1
    os.close(terminal)
    _, status = os.waitpid(child, 0)
    assert os.waitstatus_to_exitcode(status) == 0, said
    return said
