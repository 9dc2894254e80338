"""diff, export, merge, stats, completion: the commands that compare, convert and count."""

from __future__ import annotations

import csv
import importlib
import io
import json
import os
import sqlite3
import subprocess
import sys
from pathlib import Path
from typing import Any, Optional

import pytest
from click.testing import CliRunner, Result

from peekr.cli.group import group
from peekr.files.difference import compare
from peekr.files.exporting import COLUMNS
from peekr.record import SpanRecord
from tests.support.trace_files import NOW, Record, agent_trace, span, write_jsonl, write_sqlite


def run(*arguments: Any) -> Result:
    return CliRunner().invoke(group, [str(argument) for argument in arguments])


def chat(trace: int, *said: str, answer: str = "Sunny.", **attributes: Any) -> Record:
    roles = ["system", "user", "assistant", "user"]
    messages = [{"role": role, "content": text} for role, text in zip(roles, said)]
    facts: dict[str, Any] = {
        "model": "gpt-4o",
        "tokens_input": 10,
        "tokens_output": 5,
        **attributes,
    }
    return span(trace, 2, 1, "openai.chat", NOW + 1, input=messages, output=answer, **facts)


def records(*spans: Record) -> list[SpanRecord]:
    return [SpanRecord.from_dict(each) for each in spans]


# -- diff ------------------------------------------------------------------------------------------


def test_first_message_that_differs_is_shown_from_where_it_differs(tmp_path: Path) -> None:
    path = write_jsonl(
        tmp_path / "t.jsonl",
        [
            chat(1, "Be brief.", "What is the weather in Paris?", tokens_output=5),
            span(1, 1, None, "agent.run", NOW, 5000),
            chat(2, "Be brief.", "What is the weather in Rome?", tokens_output=9, model="gpt-5"),
            span(2, 1, None, "agent.run", NOW, 4000),
        ],
    )
    ids = ["0" * 31 + "1", "0" * 31 + "2"]
    done = run("diff", *ids, "--file", path)
    assert done.exit_code == 0, done.output
    assert "input message 2 (user), after 23 characters that are the same" in done.output
    assert "    - Paris?" in done.output
    assert "    + Rome?" in done.output
    assert "model gpt-4o -> gpt-5; tokens_output 5 -> 9; input differ" in done.output
    assert "duration       5.00s       4.00s  -1.00s (-20%)" in done.output
    made = json.loads(run("diff", *ids, "--file", path, "--json").output)
    assert made["spans"][0]["contents"][0]["message"] == 2
    assert made["after"]["duration_ms"] == pytest.approx(4000.0)


def test_equal_runs_say_so(tmp_path: Path) -> None:
    path = write_jsonl(tmp_path / "t.jsonl", [*agent_trace(1), *agent_trace(2)])
    done = run("diff", "0" * 31 + "1", "0" * 31 + "2", "--file", path)
    assert "The same calls, with the same contents." in done.output


def test_spans_without_a_counterpart_are_named() -> None:
    first = [span(1, 1, None, "run", NOW), span(1, 2, 1, "a", NOW + 1), span(1, 3, 1, "a", NOW + 2)]
    second = [span(2, 1, None, "run", NOW), span(2, 2, 1, "a", NOW + 1), span(2, 3, 1, "b", NOW)]
    found = compare(records(*first), records(*second))
    lone = [
        (pair.before and pair.before.name, pair.after and pair.after.name)
        for pair in found.pairs
        if pair.before is None or pair.after is None
    ]
    assert lone == [("a", None), (None, "b")]


@pytest.mark.parametrize(
    ("before", "after", "expected"),
    [
        ("one", "two", ("output", None, "one", "two", 0)),
        ("the same then x", "the same then y", ("output", None, "x", "y", 14)),
        ("ends here", "ends here not", ("output", None, "here", "here not", 5)),
        (None, "new", ("output", None, None, "new", 0)),
        ({"a": 1}, {"a": 2}, ("output", None, '{"a":1}', '{"a":2}', 0)),
    ],
)
def test_contents_part_at_a_word(before: Any, after: Any, expected: Any) -> None:
    one = records(span(1, output=before) if before is not None else span(1))
    other = records(span(2, output=after))
    (pair,) = compare(one, other).pairs
    (found,) = pair.contents
    got = (found.content, found.message, found.before, found.after, found.place)
    assert got == expected


def test_ten_thousand_spans_compare_in_one_pass() -> None:
    deep = [span(1, n, n - 1 if n > 1 else None, "step", NOW + n) for n in range(1, 10_001)]
    found = compare(records(*deep), records(*deep))
    assert len(found.pairs) == 10_000
    assert not any(pair.is_changed for pair in found.pairs)


def test_traces_of_two_files_compare_and_an_unknown_id_is_one_line(tmp_path: Path) -> None:
    one = write_jsonl(tmp_path / "a.jsonl", agent_trace(1))
    other = write_sqlite(tmp_path / "b.db", agent_trace(2, model="gpt-5"))
    done = run("diff", "0" * 31 + "1", "0" * 31 + "2", "--file", one, "--file", other)
    assert "model gpt-4o -> gpt-5" in done.output
    done = run("diff", "feed", "0" * 31 + "2", "--file", one)
    assert done.exit_code == 1
    assert done.output == f"{one}: no trace with the id feed\n"


def test_escape_sequences_do_not_pass_through_diff(tmp_path: Path) -> None:
    path = write_jsonl(tmp_path / "t.jsonl", [chat(1, "\x1b[31m a"), chat(2, "\x1b[32m b")])
    done = run("diff", "0" * 31 + "1", "0" * 31 + "2", "--file", path)
    assert "\x1b" not in done.output
    assert "\\x1b" in done.output


# -- export ----------------------------------------------------------------------------------------


@pytest.fixture
def file(tmp_path: Path) -> Path:
    rows = [
        chat(1, "Be brief.", "=HYPERLINK(1)", session_id="s-1", custom={"a": [1]}),
        span(1, 1, None, "agent.run", NOW, 5000, input={"city": "Zürich"}),
        *agent_trace(2, error="RateLimitError: slow down"),
    ]
    return write_jsonl(tmp_path / "t.jsonl", rows)


def test_export_of_lines_holds_the_same_records(file: Path, tmp_path: Path) -> None:
    output = tmp_path / "out.jsonl"
    done = run("export", file, "-o", output)
    assert done.output == f"Wrote 5 records to {output} (jsonl).\n"
    lines = [json.loads(line) for line in output.read_text("utf-8").splitlines()]
    assert lines == [json.loads(line) for line in file.read_text("utf-8").splitlines()]


def test_export_of_csv_has_columns_and_no_formulas(file: Path, tmp_path: Path) -> None:
    output = tmp_path / "out.csv"
    bad = chat(3, "x", answer="=1+1")
    bad["attributes"]["error"] = "\ud800 lone"
    write_jsonl(file, [*map(json.loads, file.read_text("utf-8").splitlines()), bad])
    assert run("export", file, "-o", output).exit_code == 0
    rows = list(csv.DictReader(io.StringIO(output.read_text("utf-8"), newline="")))
    assert list(rows[0]) == list(COLUMNS)
    assert rows[0]["model"] == "gpt-4o"
    assert rows[0]["tokens_input"] == "10"
    assert json.loads(rows[0]["input"])[1]["content"] == "=HYPERLINK(1)"
    assert json.loads(rows[0]["attributes"]) == {"custom": {"a": [1]}}
    assert rows[1]["input"] == '{"city":"Zürich"}'
    assert rows[5]["output"] == "'=1+1"
    assert rows[5]["error"] == "\\ud800 lone"


def test_export_of_parquet_has_types(file: Path, tmp_path: Path) -> None:
    parquet: Any = pytest.importorskip("pyarrow.parquet")
    output = tmp_path / "out.parquet"
    assert run("export", file, "-o", output).exit_code == 0
    table = parquet.read_table(output)
    assert table.column_names == list(COLUMNS)
    rows = table.to_pylist()
    assert len(rows) == 5
    assert rows[0]["tokens_input"] == 10.0
    assert rows[0]["session_id"] == "s-1"
    assert rows[1]["model"] is None


def test_parquet_without_its_library_is_one_line(
    file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    done = run("export", file, "-o", tmp_path / "out.parquet")
    assert (done.exit_code, done.output) == (
        1,
        "parquet needs pyarrow: pip install 'peekr[parquet]'\n",
    )
    assert os.listdir(tmp_path) == ["t.jsonl"]


def test_export_of_otlp_is_what_collectors_read(file: Path) -> None:
    done = run("export", file, "--format", "otlp-json", "--trace", "0" * 31 + "1")
    (line,) = done.output.splitlines()
    (scope,) = json.loads(line)["resourceSpans"][0]["scopeSpans"]
    first = scope["spans"][0]
    assert first["traceId"] == "0" * 31 + "1"
    assert len(first["spanId"]) == 16
    keys = {pair["key"] for pair in first["attributes"]}
    assert {"gen_ai.request.model", "gen_ai.input.messages"} <= keys


def test_export_takes_the_same_choices_as_view(file: Path, tmp_path: Path) -> None:
    output = tmp_path / "out.jsonl"
    assert run("export", file, "-o", output, "--errors").exit_code == 0
    lines = [json.loads(line) for line in output.read_text("utf-8").splitlines()]
    assert {line["trace_id"] for line in lines} == {"0" * 31 + "2"}


def test_export_that_fails_leaves_the_old_file(file: Path, tmp_path: Path) -> None:
    output = tmp_path / "out.csv"
    output.write_text("old", "utf-8")
    broken = tmp_path / "broken.jsonl"
    broken.write_text("no record\n", "utf-8")
    done = run("export", broken, "-o", output)
    assert done.exit_code == 1
    assert output.read_text("utf-8") == "old"
    assert sorted(os.listdir(tmp_path)) == ["broken.jsonl", "out.csv", "t.jsonl"]
    done = run("export", file, "-o", tmp_path / "none" / "out.csv")
    assert done.exit_code == 1
    assert done.output.endswith("no such file or directory\n")


# -- merge -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["all.jsonl", "all.db"])
def test_merge_keeps_each_record_once(tmp_path: Path, name: str) -> None:
    one = write_jsonl(tmp_path / "a.jsonl", [*agent_trace(1), *agent_trace(2)])
    other = write_sqlite(tmp_path / "b.db", [*agent_trace(2), *agent_trace(3)])
    output = tmp_path / name
    done = run("merge", one, other, "-o", output)
    assert done.output == f"Wrote 9 records to {output} (3 were there twice).\n"
    if name.endswith(".db"):
        connection = sqlite3.connect(output)
        ids = [row[0] for row in connection.execute("SELECT trace_id FROM spans")]
        connection.close()
    else:
        ids = [json.loads(line)["trace_id"] for line in output.read_text("utf-8").splitlines()]
    assert sorted(ids) == [f"{n:032x}" for n in (1, 1, 1, 2, 2, 2, 3, 3, 3)]
    assert sorted(os.listdir(tmp_path)) == sorted(["a.jsonl", "b.db", name])


def test_merge_writes_over_nothing_and_says_what_it_cannot_read(tmp_path: Path) -> None:
    one = write_jsonl(tmp_path / "a.jsonl", agent_trace(1))
    with one.open("a", encoding="utf-8") as stream:
        stream.write("torn {\n")
    output = tmp_path / "all.jsonl"
    done = run("merge", one, "-o", output)
    assert done.exit_code == 0
    assert f"{one}: 1 line could not be read" in done.output
    done = run("merge", one, "-o", output)
    assert done.exit_code == 1
    assert "exists already" in done.output
    done = run("merge", one, tmp_path / "missing.jsonl", "-o", tmp_path / "new.jsonl")
    assert done.exit_code == 1
    assert not (tmp_path / "new.jsonl").exists()


def test_merge_of_many_records_into_a_database_loses_none(tmp_path: Path) -> None:
    rows = [span(n, text="x" * 200) for n in range(1, 12_001)]
    one = write_jsonl(tmp_path / "a.jsonl", rows)
    output = tmp_path / "all.db"
    assert run("merge", one, "-o", output).exit_code == 0
    connection = sqlite3.connect(output)
    assert connection.execute("SELECT count(*) FROM spans").fetchone() == (12_000,)
    connection.close()


# -- stats -----------------------------------------------------------------------------------------


def test_stats_count_what_the_file_holds(file: Path) -> None:
    made = json.loads(run("stats", file, "--json").output)
    assert (made["traces"], made["spans"], made["errors"]) == (2, 5, 1)
    assert made["names"]["openai.chat"]["spans"] == 3
    assert made["names"]["openai.chat"]["p50_ms"] == pytest.approx(200.0)
    assert made["models"]["gpt-4o"]["tokens_input"] == 10
    assert made["distinct"] == {"session_id": 1}
    assert made["bytes"] == file.stat().st_size
    text = run("stats", file).output
    assert "2 traces, 5 spans, 1 with an error" in text
    assert "1 different session" in text


@pytest.mark.parametrize(
    ("durations", "share", "expected"),
    [([], 0.5, None), ([7], 0.95, 7), ([1, 2, 3, 4], 0.5, 2), (list(range(1, 101)), 0.95, 95)],
)
def test_percentiles_are_nearest_ranks(
    durations: list[float], share: float, expected: Optional[float]
) -> None:
    from peekr.files.inventory import KindCount

    count = KindCount()
    for duration in durations:
        count.add(SpanRecord.from_dict(span(duration_ms=duration)))
    assert count.percentile_ms(share) == expected


# -- completion ------------------------------------------------------------------------------------


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completion_prints_a_script(shell: str) -> None:
    done = run("completion", shell)
    assert done.exit_code == 0
    assert "_PEEKR_COMPLETE" in done.output


def test_shell_completes_commands_and_options() -> None:
    click = importlib.import_module("click")
    assert click

    def completed(words: str, cword: int) -> str:
        environment = {
            **os.environ,
            "_PEEKR_COMPLETE": "bash_complete",
            "COMP_WORDS": words,
            "COMP_CWORD": str(cword),
        }
        program = "import sys; sys.argv = ['peekr']\nfrom peekr.cli import main\nmain()"
        done = subprocess.run(
            [sys.executable, "-c", program], env=environment, capture_output=True, text=True
        )
        return done.stdout

    assert "plain,export" in completed("peekr exp", 1)
    assert "plain,--since" in completed("peekr view --si", 2)


# -- progress --------------------------------------------------------------------------------------


@pytest.mark.skipif(os.name == "nt", reason="pseudo terminals are of POSIX")
def test_bar_is_on_the_terminal_and_never_in_the_output(tmp_path: Path) -> None:
    import pty

    program = (
        "import sys, time\n"
        "from peekr.cli import progress as shown\n"
        "shown._SHOWN_AFTER_S = 0.0\n"
        "with shown.progress('Reading', 100) as advance:\n"
        "    for _ in range(10):\n"
        "        deadline = time.monotonic() + 0.11\n"
        "        while time.monotonic() < deadline:\n"
        "            pass\n"
        "        advance(10)\n"
        "print('done')\n"
    )
    terminal, other = pty.openpty()
    with (tmp_path / "out").open("wb") as output:
        done = subprocess.run(
            [sys.executable, "-c", program],
            stdout=output,
            stderr=other,
            env={**os.environ, "TERM": "xterm"},
            check=False,
        )
    os.close(other)
    said = b""
    while b"%" not in said:
        said += os.read(terminal, 65536)
    os.close(terminal)
    assert done.returncode == 0
    assert b"Reading" in said
    assert (tmp_path / "out").read_text() == "done\n"


def test_no_terminal_means_no_bar(file: Path, tmp_path: Path) -> None:
    done = run("stats", file)
    assert "Counting" not in done.output


def test_view_tells_how_far_it_has_come(tmp_path: Path) -> None:
    from peekr.store.opening import open_reader
    from peekr.store.query import Query

    path = write_jsonl(tmp_path / "t", (span(n, text="x" * 1000) for n in range(1, 5001)))
    for query in (Query(), Query(limit=5), Query(model="gpt-4o")):
        told: list[float] = []
        reader = open_reader(str(path))
        reader.advanced = told.append
        list(reader.select(query).traces)
        reader.close()
        assert sum(told) >= path.stat().st_size * 0.7
