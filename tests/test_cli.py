"""The command line: what it prints, on which stream, with which exit code."""

from __future__ import annotations

import ast
import json
import os
import signal
import sqlite3
import subprocess
import sys
import tempfile
import time
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from datetime import datetime, timezone
from pathlib import Path
from typing import IO, Any, Optional

import click
import pytest
from click.testing import CliRunner, Result

import peekr
from peekr.cli import COMMANDS, help_text
from peekr.cli.choosing import moment
from peekr.cli.follow import LiveTraces
from peekr.cli.group import group
from peekr.record import SpanRecord
from peekr.store.query import Query
from tests.support.trace_files import (
    agent_trace,
    insert_sqlite,
    span,
    trace_id,
    write_jsonl,
    write_sqlite,
)

POSIX = pytest.mark.skipif(os.name == "nt", reason="signals and pseudo terminals are of POSIX")
DEADLINE_S = 30.0


def run(*arguments: str) -> Result:
    return CliRunner().invoke(group, list(arguments))


def process(
    *arguments: str, cwd: Optional[Path] = None, env: Optional[dict[str, str]] = None
) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "peekr.cli", *arguments],
        cwd=cwd,
        env={**os.environ, **(env or {})},
        capture_output=True,
        encoding="utf-8",
        timeout=DEADLINE_S,
        check=False,
    )


@pytest.fixture
def jsonl(tmp_path: Path) -> Path:
    records = [record for number in range(1, 31) for record in agent_trace(number)]
    return write_jsonl(tmp_path / "t.jsonl", records)


# -- help -----------------------------------------------------------------------------------------


def test_every_command_and_option_has_help_and_an_example() -> None:
    context = click.Context(group)
    assert group.list_commands(context) == list(COMMANDS)
    for name in COMMANDS:
        command = group.get_command(context, name)
        assert command is not None
        assert command.help
        assert f"peekr {name} " in (command.epilog or ""), f"{name} shows no example"
        for parameter in command.params:
            if isinstance(parameter, click.Option):
                assert parameter.help, f"{name} {parameter.opts} has no help"
        assert run(name, "--help").exit_code == 0
    assert group.get_command(context, "nonsense") is None


def test_help_is_the_same_with_and_without_click(tmp_path: Path) -> None:
    assert run("--help").output == help_text()
    assert process("--help").stdout == help_text()
    assert process("-h").stdout == help_text()
    assert process("--version").stdout == run("--version").output == f"peekr {peekr.__version__}\n"


def test_help_imports_nothing_heavy() -> None:
    code = (
        "import sys, atexit; sys.argv = ['peekr', '--help']\n"
        "from peekr.cli import main\nmain()\n"
        "print(sorted(name.partition('.')[0] for name in sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    loaded = set(ast.literal_eval(done.stdout.splitlines()[-1]))
    assert not loaded & {"click", "rich", "opentelemetry", "orjson", "sqlite3", "wrapt", "openai"}


def test_reading_imports_no_opentelemetry(jsonl: Path) -> None:
    code = (
        "import sys\nfrom peekr.cli.group import group\n"
        f"group(['view', {str(jsonl)!r}, '--io'], standalone_mode=False)\n"
        "print(sorted(name.partition('.')[0] for name in sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    loaded = set(ast.literal_eval(done.stdout.splitlines()[-1]))
    assert "click" in loaded
    assert not loaded & {"opentelemetry", "wrapt", "openai", "genai_prices"}


@pytest.mark.parametrize(
    "arguments",
    [
        [],
        ["nonsense"],
        ["view", "--nonsense"],
        ["view", "x", "--limit", "-1"],
        ["view", "x", "--limit", "many"],
        ["view", "x", "--since", "yesterday"],
        ["view", "x", "--since", "5"],
        ["view", "x", "y"],
    ],
)
def test_wrong_usage_ends_with_2(arguments: list[str]) -> None:
    done = process(*arguments)
    assert done.returncode == 2
    assert "Traceback" not in done.stderr
    assert done.stdout == ""


# -- view -----------------------------------------------------------------------------------------


def test_the_newest_traces_are_shown_last_and_the_others_are_told(jsonl: Path) -> None:
    done = process("view", str(jsonl))
    assert done.returncode == 0
    assert done.stderr == ""
    shown = [line.split()[1] for line in done.stdout.splitlines() if line.startswith("trace ")]
    assert shown == [trace_id(number) for number in range(11, 31)]
    assert done.stdout.endswith("\n… 10 older traces not shown, --limit 30 shows them\n")
    everything = process("view", str(jsonl), "--limit", "30").stdout
    assert "not shown" not in everything
    assert everything == process("view", str(jsonl), "--limit", "0").stdout
    assert "\x1b" not in everything


def test_both_formats_look_the_same(tmp_path: Path) -> None:
    records = [
        record
        for number in range(1, 8)
        for record in agent_trace(number, error="E: x" if number == 4 else "", session="s")
    ]
    one = write_jsonl(tmp_path / "one", records)
    two = write_sqlite(tmp_path / "two", records)
    for options in ([], ["--limit", "2"], ["--errors", "--io"], ["--limit", "0"], ["--json"]):
        lines = [sorted(run("view", str(path), *options).output.split("\n")) for path in (one, two)]
        assert lines[0] == lines[1]


def test_filters_choose_traces(jsonl: Path, tmp_path: Path) -> None:
    records = agent_trace(1, model="gpt-4o-mini") + agent_trace(2, error="E: x", session="s-2")
    records[0]["tenant_id"] = "acme"
    records[-1]["attributes"]["user_id"] = "ada"
    path = str(write_jsonl(tmp_path / "t", records))
    for options, numbers in (
        (["--errors"], [2]),
        (["--model", "gpt-4o-mini"], [1]),
        (["--session", "s-2"], [2]),
        (["--tenant", "acme"], [1]),
        (["--user", "ada"], [2]),
        (["--since", "2001-01-01"], [1, 2]),
        (["--since", "2001-01-01T00:00:00Z"], [1, 2]),
        (["--since", "3000-01-01 10:00"], []),
        (["--trace", trace_id(2)], [2]),
        (["--limit", "1"], [2]),
    ):
        result = run("view", path, *options)
        assert result.exit_code == 0
        found = [line.split()[1] for line in result.output.splitlines() if line[:6] == "trace "]
        assert found == [trace_id(number) for number in numbers], options
        if not numbers:
            assert result.output == f"{path}: no trace matches\n"


def test_since_counts_back_from_now(tmp_path: Path) -> None:
    now = time.time()
    path = str(write_jsonl(tmp_path / "t", [span(1, start=now - 7200), span(2, start=now - 60)]))
    for since, count in (("3h", 2), ("1h", 1), ("90m", 1), ("5s", 0), ("1d", 2), ("0.5w", 2)):
        result = run("view", path, "--since", since, "--json")
        assert result.output.count("trace_id") == count, since


def test_a_command_that_is_none_is_told_with_what_may_be_meant() -> None:
    slip = run("vew", "traces.jsonl")
    assert slip.exit_code == 2
    assert slip.output.endswith("No such command 'vew'. Did you mean 'view'?\n")
    assert run("sing").output.endswith("No such command 'sing'.\n")


_MOMENT = datetime(2025, 11, 24, 20, 0, 0, 500_000, tzinfo=timezone.utc).timestamp()


@pytest.mark.parametrize(
    ("text", "meant"),
    [
        ("2025-11-24T20:00:00.5Z", _MOMENT),
        ("2025-11-24 20:00:00,500000789z", _MOMENT),
        ("2025-11-24T22:00:00.5+02:00", _MOMENT),
        ("20251124T143000.5-0530", _MOMENT),
        ("2025-11-24T20:00:00.5 +00", _MOMENT),
        ("1764014400.5", _MOMENT),
        ("1764014400", _MOMENT - 0.5),
        ("2025-11-24", datetime(2025, 11, 24).timestamp()),
        ("20251124", datetime(2025, 11, 24).timestamp()),
        ("2025-11-24T20:00", datetime(2025, 11, 24, 20).timestamp()),
    ],
)
def test_since_takes_times_as_logs_and_records_have_them(text: str, meant: float) -> None:
    context = click.Context(group)
    assert moment(context, click.Option(["--since"]), text) == meant


@pytest.mark.parametrize(
    "text", ["", "5", "-5m", "2025", "yesterday", "2025-13-01", "2025-11-24T25:00", "99999-01-01"]
)
def test_since_says_what_is_no_time(text: str) -> None:
    said = run("view", "x", "--since", text)
    assert said.exit_code == 2
    assert f"'{text}' is no time: use 10m, 2h, 3d or 2026-01-31T12:00" in said.output


def test_a_trace_is_named_by_the_beginning_of_its_id(tmp_path: Path) -> None:
    records = [{**span(1), "trace_id": name} for name in ("abc1", "abc2", "abd", "abd1")]
    path = str(write_jsonl(tmp_path / "t", records))
    assert "trace abc2" in run("view", path, "--trace", "abc2").output
    whole = run("view", path, "--trace", "abd").output
    assert "trace abd " in whole
    assert "trace abd1" not in whole
    several = run("view", path, "--trace", "abc")
    assert several.exit_code == 2
    assert several.output.endswith("'abc' fits 2 traces: abc1, abc2\n")
    all_of_them = run("view", path, "--trace", "ab")
    assert all_of_them.output.endswith("'ab' fits 4 traces: abc2, abd, abd1, …\n")
    missing = process("view", path, "--trace", "x\x1b")
    assert missing.returncode == 1
    assert missing.stderr == f"{path}: no trace with the id x\\x1b\n"


def test_json_gives_whole_records_and_no_raw_controls(tmp_path: Path) -> None:
    hostile = "\x1b[31m\x9b\u202e\x7f日本 \u2028\U000e0041"
    records = [span(1, input={"deep": [hostile, 1.5, None]}, name=hostile), span(2)]
    path = write_jsonl(tmp_path / "t", records)
    done = process("view", str(path), "--json", env={"PYTHONIOENCODING": "latin-1"})
    assert [json.loads(line) for line in done.stdout.split("\n")[:-1]] == records
    assert not set("\x1b\x9b\u202e\x7f\u2028\U000e0041") & set(done.stdout)
    limited = process("view", str(path), "--json", "--limit", "1")
    assert len(limited.stdout.splitlines()) == 1
    assert limited.stderr == "… 1 older trace not shown, --limit 2 shows it\n"


def test_what_could_not_be_read_is_one_line_with_a_count(tmp_path: Path) -> None:
    path = write_jsonl(tmp_path / "t.jsonl", [span(1)])
    with path.open("a", encoding="utf-8") as file:
        file.write('junk\n[]\n{"trace_id": "1", "span')
    done = process("view", str(path))
    assert done.returncode == 0
    assert "app.step" in done.stdout
    assert done.stderr == f"{path}: 3 lines could not be read (first: line 2: not JSON)\n"


@pytest.mark.parametrize("options", [[], ["--limit", "0"], ["--errors"], ["--json"], ["--io"]])
@pytest.mark.parametrize("content", [b"", b"junk\n", b"SQLite format 3\x00" + b"\xff" * 500, None])
def test_unusable_input_ends_with_1_and_one_line(
    tmp_path: Path, content: Optional[bytes], options: list[str]
) -> None:
    path = tmp_path / "bad\x1b[31m"
    if content is not None:
        path.write_bytes(content)
    done = run("view", str(path), *options)
    assert done.exit_code == 1
    assert done.output.count("\n") == 1
    assert "\x1b" not in done.output
    assert path.exists() is (content is not None)
    assert (
        run("view", str(tmp_path), *options).output
        == f"{tmp_path}: is a directory, not a trace file\n"
    )


def test_a_database_without_rows_is_not_an_error(tmp_path: Path) -> None:
    path = write_sqlite(tmp_path / "t.db", [])
    done = process("view", str(path))
    assert (done.returncode, done.stdout) == (0, "")
    assert done.stderr == f"{path}: no traces yet\n"


def test_without_a_file_the_one_in_the_directory_is_shown(tmp_path: Path) -> None:
    none = process("view", cwd=tmp_path)
    assert none.returncode == 1
    assert none.stderr == "no traces.db or traces.jsonl in this directory: name the file to view\n"
    write_jsonl(tmp_path / "traces.jsonl", agent_trace(1))
    assert process("view", cwd=tmp_path).stderr == "Showing traces.jsonl\n"
    write_sqlite(tmp_path / "traces.db", agent_trace(2))
    os.utime(tmp_path / "traces.jsonl", (1, 1))
    both = process("view", cwd=tmp_path)
    assert both.stderr == "Showing traces.db (traces.jsonl is older)\n"
    assert trace_id(2) in both.stdout


def test_an_output_without_unicode_gets_ascii(jsonl: Path) -> None:
    done = process("view", str(jsonl), env={"PYTHONIOENCODING": "ascii"})
    assert done.returncode == 0
    assert "  |- openai.chat" in done.stdout
    assert done.stdout.endswith("... 10 older traces not shown, --limit 30 shows them\n")


def test_a_fault_of_peekr_itself_is_one_line(jsonl: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*arguments: object) -> Iterator[str]:
        raise TypeError("odd\n\x1b")

    monkeypatch.setattr("peekr.render.view.TraceView.trace", fail)
    result = run("view", str(jsonl))
    assert result.exit_code == 1
    assert result.output.startswith("peekr: a fault of its own: TypeError: odd\\n\\x1b (")


# -- pipes, signals, terminals --------------------------------------------------------------------


@POSIX
@pytest.mark.parametrize("options", [["--limit", "0"], ["--json", "--limit", "0"]])
def test_a_reader_that_goes_away_is_no_error(tmp_path: Path, options: list[str]) -> None:
    records = [span(number, name="n" * 150) for number in range(1, 3000)]
    path = write_jsonl(tmp_path / "t", records)
    viewer = subprocess.Popen(
        [sys.executable, "-m", "peekr.cli", "view", str(path), *options],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    assert viewer.stdout is not None
    assert viewer.stderr is not None
    viewer.stdout.read(100)
    viewer.stdout.close()
    with viewer.stderr as errors:
        assert errors.read() == b""
    assert viewer.wait(DEADLINE_S) == 0


@POSIX
def test_a_full_disk_is_said(jsonl: Path) -> None:
    if not os.path.exists("/dev/full"):
        pytest.skip("no /dev/full here")
    with open("/dev/full", "w") as full:
        done = subprocess.run(
            [sys.executable, "-m", "peekr.cli", "view", str(jsonl)],
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
            check=False,
        )
    assert done.returncode == 1
    assert done.stderr == "peekr: No space left on device\n"


@POSIX
@pytest.mark.parametrize("argument", ["--help", "--version"])
def test_a_full_disk_is_said_without_click_too(argument: str) -> None:
    if not os.path.exists("/dev/full"):
        pytest.skip("no /dev/full here")
    with open("/dev/full", "w") as full:
        done = subprocess.run(
            [sys.executable, "-m", "peekr.cli", argument],
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
            check=False,
        )
    assert (done.returncode, done.stderr) == (1, "peekr: No space left on device\n")


@POSIX
@pytest.mark.parametrize("arguments", ["--help", "view {}", "stats {} --json", "export {}"])
def test_closed_streams_are_no_fault(jsonl: Path, arguments: str) -> None:
    command = f"exec {sys.executable} -m peekr.cli {arguments.format(jsonl)}"
    silent = subprocess.run(
        ["/bin/sh", "-c", f"{command} >&-"], stderr=subprocess.PIPE, text=True, check=False
    )
    assert (silent.returncode, silent.stderr) == (0, "")
    unseen = subprocess.run(
        ["/bin/sh", "-c", f"{command} 2>&-"], stdout=subprocess.PIPE, text=True, check=False
    )
    assert unseen.returncode == 0
    assert unseen.stdout


# -- what is written ------------------------------------------------------------------------------


@pytest.mark.parametrize("command", ["dashboard", "export --format csv"])
def test_no_trace_file_is_written_over(tmp_path: Path, jsonl: Path, command: str) -> None:
    before = jsonl.read_bytes()
    link = tmp_path / "link"
    try:
        link.symlink_to(jsonl)
    except OSError:
        link = jsonl
    for output in (jsonl, link):
        done = process(*command.split(), str(jsonl), "-o", str(output))
        assert done.returncode == 2
        assert done.stderr.endswith(f"{output} is the file that is read: name another\n")
    database = write_sqlite(tmp_path / "other", [span(1)])
    done = process(*command.split(), str(jsonl), "-o", str(database))
    assert done.returncode == 2
    assert done.stderr.endswith(f"{database} is a database, not written over: name another\n")
    assert jsonl.read_bytes() == before
    assert run("view", str(database)).exit_code == 0


@pytest.mark.parametrize("command", ["dashboard", "export", "merge"])
@pytest.mark.parametrize("name", ["gone/new.jsonl", "gone/new.db"])
def test_no_folder_is_made_and_no_part_is_left(
    tmp_path: Path, jsonl: Path, command: str, name: str
) -> None:
    if command == "export" and name.endswith(".db"):
        pytest.skip("not written by export")
    output = tmp_path / name
    done = process(command, str(jsonl), "-o", str(output))
    assert (done.returncode, done.stderr) == (1, f"{output}: no such file or directory\n")
    folder = process(command, str(jsonl), "-o", str(tmp_path))
    assert folder.returncode == 1
    assert folder.stderr.startswith(f"{tmp_path}: ")
    assert [path.name for path in tmp_path.iterdir()] == [jsonl.name]
    assert list(tmp_path.parent.glob("*.partial")) == []


def test_export_names_the_command_that_writes_sqlite(tmp_path: Path, jsonl: Path) -> None:
    done = process("export", str(jsonl), "-o", str(tmp_path / "new.db"))
    assert done.returncode == 2
    assert done.stderr.endswith("SQLite is written by merge: peekr merge FILE -o NEW.db\n")
    assert not (tmp_path / "new.db").exists()


@POSIX
@pytest.mark.parametrize("command", ["dashboard", "export"])
def test_what_is_no_file_is_written_into_and_stays(jsonl: Path, command: str) -> None:
    # The link to a pipe; replaced, it would be gone for every program on the machine.
    with tempfile.TemporaryDirectory() as folder:
        output = Path(folder) / "out"
        output.symlink_to("/dev/stdout")
        done = process(command, str(jsonl), "-o", str(output))
        assert (done.returncode, done.stderr) == (0, "")
        assert "Wrote " in done.stdout
        assert len(done.stdout) > 1000
        assert [path.name for path in Path(folder).iterdir()] == ["out"]
        assert output.is_symlink()


def test_export_takes_a_dash_for_standard_output(jsonl: Path) -> None:
    assert process("export", str(jsonl), "-o", "-").stdout == process("export", str(jsonl)).stdout


class Follower:
    """`peekr view --follow` in a process, with what it prints collected."""

    def __init__(self, folder: Path, *arguments: str) -> None:
        self._out = folder / "follow.out"
        self._err = folder / "follow.err"
        self._files: list[IO[bytes]] = [self._out.open("wb"), self._err.open("wb")]
        command = [sys.executable, "-m", "peekr.cli", "view", "--follow", *arguments]
        self.process = subprocess.Popen(command, stdout=self._files[0], stderr=self._files[1])

    def until(self, *texts: str, errors: bool = False) -> str:
        deadline = time.monotonic() + DEADLINE_S
        path = self._err if errors else self._out
        while True:
            printed = path.read_text(encoding="utf-8")
            if all(text in printed for text in texts):
                return printed
            assert self.process.poll() is None, self._err.read_text()
            assert time.monotonic() < deadline, printed
            time.sleep(0.02)

    def interrupt(self) -> tuple[int, str]:
        self.process.send_signal(signal.SIGINT)
        code = self.process.wait(DEADLINE_S)
        return code, self._err.read_text(encoding="utf-8")

    def close(self) -> None:
        self.process.kill()
        self.process.wait()
        for file in self._files:
            file.close()


@contextmanager
def following(folder: Path, *arguments: str) -> Generator[Follower, None, None]:
    follower = Follower(folder, *arguments)
    try:
        yield follower
    finally:
        follower.close()


def append(path: Path, *records: dict[str, Any]) -> None:
    with path.open("a", encoding="utf-8") as file:
        file.write("".join(json.dumps(record) + "\n" for record in records))


@POSIX
def test_follow_shows_spans_as_they_end_and_stops_on_interrupt(tmp_path: Path) -> None:
    path = write_jsonl(tmp_path / "t.jsonl", agent_trace(1))
    child, other, root = agent_trace(2)
    with following(tmp_path, str(path)) as follower:
        follower.until(trace_id(1), "agent.run")
        append(path, child)
        follower.until(trace_id(2), "843ms")
        append(path, other, root)
        printed = follower.until(f"trace {trace_id(2)}  (continued)\n  agent.run")
        assert printed.count("843ms") == 2
        assert "not in file" not in printed
        path.rename(tmp_path / "t.jsonl.1")
        append(path, span(3, name="after.rotation"))
        follower.until("after.rotation")
        path.write_text("")
        append(path, span(4, name="truncated"))
        follower.until("truncated")
        assert follower.interrupt() == (0, "")


@POSIX
def test_follow_waits_for_a_file_and_knows_its_format(tmp_path: Path) -> None:
    path = tmp_path / "t.db"
    with following(tmp_path, str(path), "--errors") as follower:
        follower.until("Waiting for", errors=True)
        write_sqlite(tmp_path / "new.db", agent_trace(1))
        os.replace(tmp_path / "new.db", path)
        connection = sqlite3.connect(str(path))
        first, failed, root = agent_trace(2, error="RateLimitError: slow")
        insert_sqlite(connection, [first])
        insert_sqlite(connection, [failed, root])
        connection.close()
        printed = follower.until("RateLimitError: slow", "agent.run")
        assert trace_id(1) not in printed
        assert follower.interrupt()[0] == 0


@POSIX
def test_follow_prints_json_lines(tmp_path: Path) -> None:
    path = write_jsonl(tmp_path / "t.jsonl", [span(1)])
    with following(tmp_path, str(path), "--json") as follower:
        follower.until(trace_id(1))
        append(path, span(2))
        printed = follower.until(trace_id(2))
        assert [json.loads(line)["trace_id"] for line in printed.splitlines()] == [
            trace_id(1),
            trace_id(2),
        ]


def test_follow_refuses_what_is_no_trace_file(tmp_path: Path) -> None:
    (tmp_path / "junk").write_text("junk\n")
    for path in (tmp_path / "junk", tmp_path):
        done = process("view", str(path), "--follow")
        assert done.returncode == 1
        assert done.stderr.count("\n") == 1


def live(query: Query, *batches: list[dict[str, Any]]) -> list[list[tuple[str, int, bool]]]:
    traces = LiveTraces(query)
    return [
        [
            (trace.trace_id[-1], len(trace.spans), known)
            for trace, known in traces.add(map(SpanRecord.from_dict, batch))
        ]
        for batch in batches
    ]


def test_a_live_trace_is_shown_whole_once_a_condition_is_met() -> None:
    first, failed, root = agent_trace(2, error="E")
    assert live(Query(errors=True), [first], [span(3)], [failed], [root]) == [
        [],
        [],
        [("2", 2, False)],
        [("2", 1, True)],
    ]
    assert live(Query(), [first, span(3)], [root]) == [
        [("2", 1, False), ("3", 1, False)],
        [("2", 1, True)],
    ]
    assert live(Query(trace=trace_id(3)), [first, span(3)]) == [[("3", 1, False)]]


@POSIX
@pytest.mark.parametrize(("variable", "coloured"), [("X", True), ("NO_COLOR", False)])
def test_colour_is_for_terminals_only(jsonl: Path, variable: str, coloured: bool) -> None:
    import pty

    leader, terminal = pty.openpty()
    environment = {**os.environ, "TERM": "xterm", "COLUMNS": "60", variable: "1"}
    viewer = subprocess.Popen(
        [sys.executable, "-m", "peekr.cli", "view", str(jsonl), "--limit", "1"],
        stdout=terminal,
        stderr=subprocess.PIPE,
        env=environment,
    )
    os.close(terminal)
    printed = b""
    while True:
        try:
            data = os.read(leader, 65536)
        except OSError:
            break
        if not data:
            break
        printed += data
    os.close(leader)
    assert viewer.stderr is not None
    with viewer.stderr as errors:
        assert errors.read() == b""
    assert viewer.wait(DEADLINE_S) == 0
    assert (b"\x1b[" in printed) is coloured
    assert b"agent.run" in printed
