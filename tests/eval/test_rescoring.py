"""`peekr eval`: stored traces are scored, and nothing else in their file changes."""

from __future__ import annotations

import json
import os
import pty
import signal
import sqlite3
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any, Dict, List, Optional

import pytest
from click.testing import CliRunner, Result

from peekr.cli.group import group
from peekr.files.rescoring import load_evaluator
from peekr.record import SpanRecord
from peekr.store.amend import amend
from peekr.store.jsonl import JsonlSink
from peekr.store.sqlite import SqliteSink

from .judges import JudgeServer, error
from .records import chat, record

DEADLINE_S = 60.0
CALLS = [
    ("Hello?", "Hello, how may I help?"),
    ("Again?", ""),
    ("And?", "Go away."),
]


def numbered(number: int, made: SpanRecord) -> SpanRecord:
    made.trace_id, made.span_id = f"{number:032x}", f"{number:016x}"
    return made


def records() -> List[SpanRecord]:
    found = [numbered(n, chat(*call)) for n, call in enumerate(CALLS)]
    step = numbered(10, record(input={"x": 1}, output="y"))
    step.name = "module.step"
    del step.attributes["gen_ai.operation.name"]
    return [*found, step, numbered(11, chat("Judge!", "0.5", **{"peekr.internal": True}))]


def write(path: Path, made: List[SpanRecord]) -> Path:
    sink: Any = SqliteSink(path) if path.suffix == ".db" else JsonlSink(path)
    for one in made:
        sink.write(one)
    assert sink.close()
    return path


@pytest.fixture(params=["t.jsonl", "t.db"])
def file(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    return write(tmp_path / str(request.param), records())


def attributes(path: Path) -> Dict[str, Dict[str, Any]]:
    """The attributes of each span, by its id."""
    if path.suffix == ".db":
        connection = sqlite3.connect(path)
        rows = connection.execute("SELECT span_id, attributes FROM spans").fetchall()
        connection.close()
        return {span_id: json.loads(text) for span_id, text in rows}
    lines = [json.loads(line) for line in path.read_text("utf-8").splitlines()]
    return {line["span_id"]: line["attributes"] for line in lines}


def scores(path: Path) -> List[Optional[Dict[str, float]]]:
    return [found.get("eval_scores") for found in attributes(path).values()]


def invoke(*arguments: str, code: Optional[int] = None) -> Result:
    done = CliRunner().invoke(group, ["eval", *arguments])
    assert code is None or done.exit_code == code, done.output
    return done


def test_model_calls_are_scored_and_nothing_else_changes(file: Path) -> None:
    before = attributes(file)
    done = invoke(str(file), "--evaluator", "NotEmpty", "--evaluator", "NoError")
    assert done.exit_code == 0, done.output
    assert scores(file) == [
        {"NotEmpty": 1.0, "NoError": 1.0},
        {"NotEmpty": 0.0, "NoError": 1.0},
        {"NotEmpty": 1.0, "NoError": 1.0},
        None,
        None,
    ]
    after = attributes(file)
    assert list(after) == list(before)
    for span_id, held in after.items():
        held.pop("eval_scores", None)
        held.pop("eval_explanations", None)
        assert held == before[span_id]
    table = [line.split() for line in done.output.splitlines()]
    assert table[1] == ["NotEmpty", "3", "0.667", "0.000"]
    assert table[2] == ["NoError", "3", "1.000", "1.000"]
    assert done.output.endswith("Wrote to 3 records.\n")


def test_what_is_scored_already_is_left_alone(file: Path) -> None:
    invoke(str(file), "--evaluator", "NotEmpty", "--limit", "5")
    assert invoke(str(file), "--evaluator", "NotEmpty").output == (
        "Nothing to score: no span matches that is not scored already (--again scores those too).\n"
    )
    nothing = invoke(str(file), "--evaluator", "NotEmpty", "--name", "none", "--again")
    assert nothing.output == "Nothing to score: no span matches.\n"
    done = invoke(str(file), "--evaluator", "NotEmpty", "--evaluator", "NoError")
    assert "NotEmpty        0" in done.output
    assert scores(file)[0] == {"NotEmpty": 1.0, "NoError": 1.0}
    assert "Wrote to 0 records" in invoke(str(file), "--evaluator", "NoError", "--again").output


def test_nobody_to_judge_is_said_before_anything_is_written(
    file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("OPENAI_API_KEY", "ANTHROPIC_API_KEY"):
        monkeypatch.delenv(name, raising=False)
    before = file.read_bytes()
    for asking in (["--rubric", "Polite."], ["--evaluator", "Hallucination"]):
        done = invoke(str(file), *asking, code=2)
        assert "there is no judge: set OPENAI_API_KEY or ANTHROPIC_API_KEY" in done.output
        assert "--base-url" in done.output
    assert file.read_bytes() == before


def test_an_unknown_evaluator_is_told_with_the_known_ones(file: Path) -> None:
    done = invoke(str(file), "--evaluator", "Polite", code=2)
    assert (
        "Polite is no evaluator of peekr.eval: those are CitationAccuracy, Hallucination, NoError, "
        "NotEmpty; your own is module:Name" in done.output
    )


def test_lines_keep_their_bytes(tmp_path: Path) -> None:
    path = tmp_path / "t.jsonl"
    lines = [
        b'{"trace_id": "t", "span_id": "a",  "start_time": 1.50, "future": 123456789012345678901, '
        b'"attributes": {"gen_ai.operation.name": "chat", "output": "caf\xc3\xa9 \\u00e9", '
        b'"input": "x", "n": 1e3}, "attributes2": {}}\r\n',
        b"not a record\n",
        b"\n",
        b'{"trace_id": "t", "span_id": "b", "attributes": null}\n',
    ]
    path.write_bytes(b"\xef\xbb\xbf" + b"".join(lines))
    assert invoke(str(path), "--evaluator", "NotEmpty").exit_code == 0
    scored = lines[0].replace(b'"n": 1e3}', b'"n": 1e3,"eval_scores":{"NotEmpty":1.0}}')
    assert path.read_bytes() == b"\xef\xbb\xbf" + b"".join([scored, *lines[1:]])


def test_rows_keep_their_text_and_the_schema_stays(tmp_path: Path) -> None:
    path = tmp_path / "t.db"
    connection = sqlite3.connect(path)
    connection.execute(
        "CREATE TABLE spans (span_id TEXT PRIMARY KEY, trace_id TEXT, name TEXT, start_time REAL,"
        " attributes TEXT, extra BLOB)"
    )
    text = '{"gen_ai.operation.name" : "chat", "input": "x", "output": "y", "n": 1.50}'
    row = ("a" * 16, "b" * 32, "openai.chat", 1.5, text, b"\x00")
    connection.execute("INSERT INTO spans VALUES (?, ?, ?, ?, ?, ?)", row)
    connection.commit()
    schema = connection.execute("SELECT sql FROM sqlite_master").fetchall()
    connection.close()
    done = invoke(str(path), "--evaluator", "NotEmpty")
    assert done.exit_code == 0, done.output
    connection = sqlite3.connect(path)
    assert connection.execute("SELECT sql FROM sqlite_master").fetchall() == schema
    (stored,) = connection.execute("SELECT * FROM spans").fetchall()
    connection.close()
    assert stored == (*row[:4], text[:-1] + ',"eval_scores":{"NotEmpty":1.0}}', b"\x00")


def test_a_rubric_is_judged_over_the_network(file: Path) -> None:
    pytest.importorskip("openai")
    with JudgeServer(lambda body: {"explanation": "So.", "score": 0.5}) as server:
        done = invoke(
            str(file), "--rubric", "polite=Is polite.", "--rubric", "Is short.",
            "--base-url", server.openai_url, "--model", "judge-1",
        )  # fmt: skip
    assert done.exit_code == 0, done.output
    # The call without an answer is not graded.
    assert scores(file)[:3] == [
        {"polite": 0.5, "Rubric": 0.5},
        None,
        {"polite": 0.5, "Rubric": 0.5},
    ]
    assert attributes(file)["0" * 16]["eval_explanations"] == {"polite": "So.", "Rubric": "So."}
    assert len(server.requests) == 4
    assert {body["model"] for body in server.requests} == {"judge-1"}


def test_a_judge_that_fails_leaves_errors_and_exit_code_1(file: Path) -> None:
    pytest.importorskip("openai")
    with JudgeServer(lambda body: (401, error("no such key"))) as server:
        options = ("--rubric", "Is polite.", "--base-url", server.openai_url)
        done = invoke(str(file), *options)
        assert done.exit_code == 1
        assert "no score could be given" in done.output
        found = attributes(file)["0" * 16]
        assert "no such key" in found["eval_errors"]["Rubric"]
        assert "eval_scores" not in found
        # What failed is tried again, and the error goes when there is a score.
        server.answer = graded
        assert invoke(str(file), *options).exit_code == 0
    found = attributes(file)["0" * 16]
    assert found["eval_scores"] == {"Rubric": 1.0}
    assert "eval_errors" not in found


def graded(body: Dict[str, Any]) -> Dict[str, Any]:
    return {"explanation": "", "score": 1.0}


def test_scores_of_others_stay(file: Path) -> None:
    amend(str(file), {("0" * 32, "0" * 16): lambda held: {"eval_scores": {"Own": 0.1}}})
    invoke(str(file), "--evaluator", "NotEmpty")
    assert scores(file)[0] == {"Own": 0.1, "NotEmpty": 1.0}


OWN = """
from peekr.eval import BaseEvaluator

class Length(BaseEvaluator):
    def evaluate(self, span):
        return min(1.0, len(span.attributes["output"]) / 100)

async def awaited(span):
    return 0.25

class Needs:
    def __init__(self, argument): ...
    def evaluate(self, span): ...

def leaving(span):
    raise SystemExit(3)
"""


def test_own_evaluators_are_found_in_the_current_directory(
    file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(file.parent)
    monkeypatch.setattr(sys, "path", [str(file.parent), *sys.path])
    (file.parent / "own_checks.py").write_text(OWN)
    done = invoke(
        "t" + file.suffix, "--evaluator", "own_checks:Length", "--evaluator", "own_checks:awaited"
    )
    assert done.exit_code == 0, done.output
    assert scores(file)[0] == {"Length": 0.22, "awaited": 0.25}
    done = invoke("t" + file.suffix, "--evaluator", "own_checks:leaving")
    assert (done.exit_code, "SystemExit: 3" in done.output) == (1, True)


def test_records_of_earlier_versions_are_scored(tmp_path: Path) -> None:
    path = tmp_path / "old.jsonl"
    made = [("openai.chat", "Yes."), ("openai.embeddings", None), ("app.step", "Yes.")]
    with path.open("w") as file:
        for number, (name, output) in enumerate(made):
            attributes = {"model": "gpt-4o", "input": "Hm?", "output": output}
            if name == "app.step":
                del attributes["model"]
            line = {"trace_id": "a" * 32, "span_id": f"{number:032x}", "name": name}
            file.write(json.dumps({**line, "attributes": attributes}) + "\n")
    assert invoke(str(path), "--evaluator", "NotEmpty").exit_code == 0
    assert scores(path) == [{"NotEmpty": 1.0}, None, None]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "say what to score by"),
        (["--evaluator", "Nothing"], "Nothing"),
        (["--evaluator", "no_such_module:Name"], "no_such_module"),
        (["--evaluator", "json:decoder"], "is no evaluator"),
        (["--evaluator", "Rubric"], "without arguments"),
        (["--rubric", " "], "needs criteria"),
        (["--judge", "nobody"], "nobody"),
        (["--evaluator", "NotEmpty", "--concurrency", "0"], "0"),
    ],
)
def test_wrong_usage_is_said(file: Path, arguments: List[str], message: str) -> None:
    done = invoke(str(file), *arguments)
    assert done.exit_code == 2
    assert message in done.output
    assert "Traceback" not in done.output


@pytest.mark.parametrize("content", [None, "", "no records\n"])
def test_an_unusable_file_is_one_line(tmp_path: Path, content: Optional[str]) -> None:
    path = tmp_path / "t.jsonl"
    if content is not None:
        path.write_text(content)
    done = invoke(str(path), "--evaluator", "NotEmpty")
    assert done.exit_code == 1
    assert len(done.output.splitlines()) == 1


def test_a_file_of_another_format_is_not_changed(tmp_path: Path) -> None:
    path = tmp_path / "otlp.jsonl"
    span = {"traceId": "0" * 31 + "1", "spanId": "0" * 15 + "1", "name": "chat"}
    span["attributes"] = [  # type: ignore[assignment]
        {"key": "gen_ai.operation.name", "value": {"stringValue": "chat"}}
    ]
    document = {"resourceSpans": [{"scopeSpans": [{"spans": [span]}]}]}
    path.write_text(json.dumps(document) + "\n")
    done = invoke(str(path), "--evaluator", "NoError")
    assert done.exit_code == 1
    assert "is no file of Peekr's own" in done.output
    assert json.loads(path.read_text()) == document
    assert "NoError" in invoke(str(path), "--evaluator", "NoError", "--dry-run").output


def test_what_is_chosen(file: Path) -> None:
    invoke(str(file), "--evaluator", "NotEmpty", "--trace", f"{2:032x}")
    assert [bool(found) for found in scores(file)] == [False, False, True, False, False]
    invoke(str(file), "--evaluator", "NoError", "--name", "module.step")
    assert scores(file)[3] == {"NoError": 1.0}
    done = invoke(str(file), "--evaluator", "NoError", "--dry-run")
    assert "Nothing was written." in done.output
    assert scores(file)[0] is None


def test_an_evaluator_of_a_name() -> None:
    assert load_evaluator("NotEmpty").name == "NotEmpty"
    assert load_evaluator("peekr.eval.checks:NotEmpty").name == "NotEmpty"


# -- while others are at work ----------------------------------------------------------------------


def test_what_an_application_writes_meanwhile_is_not_lost(file: Path) -> None:
    stop = threading.Event()
    sink: Any = SqliteSink(file) if file.suffix == ".db" else JsonlSink(file)
    written: List[str] = []

    def writing() -> None:
        while not stop.is_set():
            made = numbered(1000 + len(written), chat("Hm?", "Yes."))
            sink.write(made)
            written.append(made.span_id)
            time.sleep(0.0005)

    thread = threading.Thread(target=writing)
    thread.start()
    try:
        for name in ("NotEmpty", "NoError"):
            done = invoke(str(file), "--evaluator", name, "--limit", "50")
            assert done.exit_code == 0, done.output
    finally:
        stop.set()
        thread.join()
    assert sink.close()
    found = attributes(file)
    assert len(found) == len(written) + 5
    assert set(written) <= set(found)
    if file.suffix == ".jsonl":
        assert len(file.read_text().splitlines()) == len(found)


def test_a_rewriting_that_was_killed_is_taken_up_without_doubles(tmp_path: Path) -> None:
    path = write(tmp_path / "t.jsonl", records())
    before = path.read_bytes()
    assert invoke(str(path), "--evaluator", "NotEmpty").exit_code == 0
    late = json.dumps(numbered(99, chat("Late?", "Yes.")).to_dict()).encode() + b"\n"
    # As it is when the process is killed after the file was replaced.
    Path(f"{path}.peekr-old").write_bytes(before + late)
    assert invoke(str(path), "--evaluator", "NoError").exit_code == 0
    found = [json.loads(line) for line in path.read_text().splitlines()]
    assert [int(one["span_id"], 16) for one in found] == [0, 1, 2, 10, 11, 99]
    assert not Path(f"{path}.peekr-old").exists()


PROGRAM = """
import sys
from peekr.cli import main
sys.argv = ["peekr", *sys.argv[1:]]
main()
"""
SLOW = """
import time

def slow(span):
    if span.attributes["output"] == "Go away.":
        print("waiting", flush=True)
        time.sleep(100)
    return 1.0
"""


@pytest.mark.skipif(os.name == "nt", reason="Ctrl-C is sent in another way there")
def test_an_interruption_keeps_what_was_scored(tmp_path: Path) -> None:
    path = write(tmp_path / "t.jsonl", records())
    (tmp_path / "slow_checks.py").write_text(SLOW)
    options = ["--evaluator", "slow_checks:slow", "--concurrency", "1"]
    process = subprocess.Popen(
        [sys.executable, "-c", PROGRAM, "eval", str(path), *options],
        cwd=tmp_path,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "waiting\n"
    deadline = time.monotonic() + DEADLINE_S
    process.send_signal(signal.SIGINT)
    stdout, stderr = process.communicate(timeout=deadline - time.monotonic())
    assert process.returncode == 130
    assert "Wrote to 2 records." in stdout
    assert stderr == "Interrupted: the same command does the rest.\n"
    assert scores(path)[:3] == [{"slow": 1.0}, {"slow": 1.0}, None]


@pytest.mark.skipif(os.name == "nt", reason="there are no such terminals")
def test_a_bar_is_shown_on_a_terminal_and_nowhere_else(tmp_path: Path) -> None:
    path = write(tmp_path / "t.jsonl", records())
    command = [sys.executable, "-c", PROGRAM, "eval", str(path), "--again"]
    command += ["--evaluator", "NotEmpty"]
    piped = subprocess.run(command, capture_output=True, text=True, timeout=DEADLINE_S)
    assert (piped.returncode, piped.stderr) == (0, "")
    controller, terminal = pty.openpty()
    shown = subprocess.run(
        command,
        stdout=subprocess.PIPE,
        stderr=terminal,
        text=True,
        timeout=DEADLINE_S,
        env={**os.environ, "TERM": "xterm", "COLUMNS": "80"},
    )
    os.close(terminal)
    seen = b""
    try:
        while True:
            piece = os.read(controller, 4096)
            if not piece:
                break
            seen += piece
    except OSError:
        pass  # how Linux says that the other end is closed
    os.close(controller)
    assert shown.returncode == 0
    assert b"Scoring" in seen
    assert b"100%" in seen
    assert "100%" not in shown.stdout
