"""`peekr cost`: sums by whatever is asked for, each call once, from either format."""

from __future__ import annotations

import csv
import io
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any, Dict, List, Optional

import pytest

from peekr.record import SpanRecord
from peekr.store.jsonl import JsonlSink
from peekr.store.sqlite import SqliteSink
from tests.support.examples import run_example

Json = Dict[str, Any]
NOON = 1_767_268_800.0
"""2026-01-01 12:00 UTC."""


def span(number: int, parent: Optional[int] = None, trace: int = 1, **fields: Any) -> Json:
    """A record; what is no field of one is an attribute."""
    top = ("name", "start_time", "end_time", "duration_ms", "status", "tenant_id")
    record: Json = {
        "trace_id": f"{trace:032x}",
        "span_id": f"{number:016x}",
        "parent_id": None if parent is None else f"{parent:016x}",
        "name": "app.work",
        "start_time": NOON + number,
        "end_time": NOON + number + 1.0,
        "duration_ms": 1000.0,
        "status": "ok",
        **{key: value for key, value in fields.items() if key in top},
    }
    record["attributes"] = {key: value for key, value in fields.items() if key not in top}
    return record


def call(number: int, parent: Optional[int] = None, trace: int = 1, **fields: Any) -> Json:
    """A record of a model call of 100 + 10 tokens for a cent."""
    made: Json = {
        "name": "openai.chat",
        "model": "gpt-4o",
        "provider": "openai",
        "gen_ai.operation.name": "chat",
        "tokens_input": 100,
        "tokens_output": 10,
        "cost_usd": 0.01,
        **fields,
    }
    return span(number, parent, trace, **{k: v for k, v in made.items() if v is not None})


@pytest.fixture(params=["jsonl", "db"])
def file(request: pytest.FixtureRequest, tmp_path: Path) -> Any:
    """Writes records into a file of either format; gives its path."""

    def write(*records: Json) -> Path:
        path = tmp_path / f"traces.{request.param}"
        sink: Any = (JsonlSink if request.param == "jsonl" else SqliteSink)(path)
        for record in records:
            sink.write(SpanRecord.from_dict(record))
        assert sink.close()
        return path

    return write


def run(*arguments: Any, check: int = 0, **environment: str) -> subprocess.CompletedProcess[str]:
    made = subprocess.run(
        [sys.executable, "-m", "peekr.cli", "cost", *map(str, arguments)],
        capture_output=True,
        encoding="utf-8",
        env={**os.environ, "TZ": "UTC", **environment},
        timeout=60,
    )
    assert made.returncode == check, made.stderr
    return made


def report(path: Path, *arguments: Any, **environment: Any) -> Json:
    made = run(path, "--json", *arguments, **environment)
    document: Json = json.loads(made.stdout)
    return document


def by(document: Json, *names: str) -> Dict[Any, float]:
    """The sums of a table, by its values."""
    rows: List[Json] = document["by"][",".join(names)]
    if len(names) == 1:
        return {row[names[0]]: row["cost_usd"] for row in rows}
    return {tuple(row[name] for name in names): row["cost_usd"] for row in rows}


# -- sums ------------------------------------------------------------------------------------------


def test_sums_by_every_dimension(file: Any) -> None:
    path = file(
        call(1, tenant_id="acme", user_id="ada", session_id="s1", feature="search"),
        call(2, tenant_id="acme", user_id="bob", endpoint="/ask", experiment_variant="short"),
        call(
            3,
            model="claude-opus-4-1",
            provider="anthropic",
            name="anthropic.messages",
            cost_usd=0.05,
            start_time=NOON + 43_200.0,
        ),
        span(4, tenant_id="acme", user_id="ada"),
    )
    names = ["model", "provider", "operation", "tenant", "user", "session", "feature", "endpoint"]
    names += ["variant", "day"]
    document = report(path, *(part for name in names for part in ("--by", name)))
    assert document["total"]["calls"] == 3
    assert document["total"]["cost_usd"] == 0.07
    assert document["prices"] == "as recorded"
    assert by(document, "model") == {"claude-opus-4-1": 0.05, "gpt-4o": 0.02}
    assert by(document, "provider") == {"anthropic": 0.05, "openai": 0.02}
    assert by(document, "operation") == {"chat": 0.07}
    assert by(document, "tenant") == {None: 0.05, "acme": 0.02}
    assert by(document, "user") == {None: 0.05, "ada": 0.01, "bob": 0.01}
    assert by(document, "session") == {None: 0.06, "s1": 0.01}
    assert by(document, "feature") == {None: 0.06, "search": 0.01}
    assert by(document, "endpoint") == {None: 0.06, "/ask": 0.01}
    assert by(document, "variant") == {None: 0.06, "short": 0.01}
    assert list(by(document, "day").items()) == [("2026-01-01", 0.02), ("2026-01-02", 0.05)]


def test_sums_by_several_dimensions_at_once(file: Any) -> None:
    path = file(call(1, user_id="ada"), call(2, user_id="ada"), call(3, model="gpt-5"))
    document = report(path, "--by", "user,model")
    assert by(document, "user", "model") == {
        ("ada", "gpt-4o"): 0.02,
        (None, "gpt-5"): 0.01,
    }
    assert document["total"]["calls"] == 3


def test_tokens_by_kind_and_what_caching_saved(file: Any) -> None:
    path = file(
        call(1, tokens_cache_read=60, tokens_cache_write=20, cost_saved_usd=0.002),
        call(2, tokens_cache_read=40, tokens_reasoning=5),
    )
    total = report(path)["total"]
    assert {key: total[key] for key in total if key.startswith("tokens") or "saved" in key} == {
        "tokens_input": 200,
        "tokens_output": 20,
        "tokens_cache_read": 100,
        "tokens_cache_write": 20,
        "tokens_reasoning": 5,
        "cost_saved_usd": 0.002,
    }
    text = run(path).stdout
    assert "caching saved $0.0020" in text
    assert "what 40 cached tokens saved is not recorded" in text


def test_names_the_most_expensive_and_the_slowest_calls(file: Any) -> None:
    path = file(
        *(call(n, cost_usd=n / 100, duration_ms=float(1000 - n)) for n in range(1, 8)),
        span(9, duration_ms=99_999.0),
    )
    document = report(path, "--top", "2")
    assert [one["cost_usd"] for one in document["most_expensive"]] == [0.07, 0.06]
    assert [one["duration_ms"] for one in document["slowest"]] == [999.0, 998.0]
    assert document["most_expensive"][0]["span_id"] == f"{7:016x}"
    assert report(path, "--top", "0")["slowest"] == []


def test_calls_without_a_price_are_listed_and_never_guessed(file: Any) -> None:
    path = file(
        call(1),
        call(2, model="my-model", cost_usd=None),
        call(3, model="my-model", cost_usd=None),
        call(4, cost_usd=None, tokens_input=None, tokens_output=None),
        call(5, cost_usd=None, tokens_input=None, tokens_output=None, status="error"),
    )
    document = report(path)
    assert document["total"]["unpriced_calls"] == 3
    assert (document["total"]["calls"], document["total"]["errors"]) == (5, 1)
    assert document["unpriced"] == [
        {"provider": "openai", "model": "my-model", "calls": 2, "tokens": 220},
        {"provider": "openai", "model": "gpt-4o", "calls": 1, "tokens": 0},
    ]
    text = run(path).stdout
    assert "3 without a price" in text
    assert "$0.0100+" in text


def test_numbers_of_strangers_do_no_harm(file: Any) -> None:
    path = file(
        call(1, tokens_input="120", cost_usd="0.5"),
        call(2, tokens_input="many", tokens_output=[1], cost_usd=True, model=["a"]),
        call(3, tokens_input=7.0, tokens_cache_read="x", duration_ms=None, user_id=7),
    )
    document = report(path, "--by", "user", "--by", "model")
    assert document["total"]["tokens_input"] == 127
    assert document["total"]["cost_usd"] == 0.51
    assert by(document, "user") == {None: 0.5, "7": 0.01}


# -- once ------------------------------------------------------------------------------------------

CHAIN: Any = {"gen_ai.operation.name": "chain"}
AGENT: Any = {"gen_ai.operation.name": "invoke_agent", "model": "gpt-4o"}


def calls_of(document: Json) -> Any:
    total = document["total"]
    return total["calls"], total["tokens_input"], total["cost_usd"]


def test_an_agents_span_that_repeats_its_calls_does_not_count(file: Any) -> None:
    path = file(
        call(1, parent=8),
        call(2, parent=9),
        span(8, parent=9),
        span(9, **AGENT, tokens_input=200, tokens_output=20, cost_usd=0.02, name="invoke_agent a"),
    )
    assert calls_of(report(path)) == (2, 200, 0.02)


def test_an_agent_without_calls_below_it_counts(file: Any) -> None:
    path = file(
        span(9, **AGENT, tokens_input=200, tokens_output=20, cost_usd=0.02, name="invoke_agent a")
    )
    assert calls_of(report(path)) == (1, 200, 0.02)


def test_a_frameworks_span_of_a_call_does_not_count_where_the_sdks_is_below(file: Any) -> None:
    path = file(
        call(1, parent=2),
        call(2, parent=3, name="ChatOpenAI"),
        call(3, name="RunnableSequence", **CHAIN),
        call(4, trace=2, name="ChatOpenAI"),
    )
    assert calls_of(report(path)) == (2, 200, 0.02)


def test_a_call_whose_tool_makes_another_call_counts_beside_it(file: Any) -> None:
    path = file(
        call(1, parent=2, tokens_input=5_000, tokens_output=900),
        call(2, name="gemini.generate_content", model="gemini-2.5-flash"),
        call(3, parent=4, trace=2, tokens_input=20),
        call(4, trace=2, name="chat elsewhere"),
    )
    assert calls_of(report(path))[:2] == (4, 5_000 + 100 + 20 + 100)


AGENTS_SPAN: Any = {
    **AGENT, "tokens_input": 200, "tokens_output": 20, "cost_usd": None, "name": "invoke_agent a"
}  # fmt: skip


def test_a_call_that_comes_after_what_repeats_it_counts_alone(file: Any) -> None:
    """As where it waited for its evaluation."""
    path = file(
        span(8, parent=9),
        span(9, **AGENTS_SPAN),
        call(1, parent=8, user_id="ada"),
        call(2, parent=9, user_id="ada"),
        call(4, trace=2, name="ChatOpenAI", cost_usd=9.0, model=["odd"]),
        call(3, parent=4, trace=2, user_id="ada"),
        call(6, trace=3, name="chat elsewhere", cost_usd=0.5),
        call(5, parent=6, trace=3, tokens_input=20),
    )
    document = report(path, "--by", "model", "--by", "user,day")
    assert calls_of(document) == (5, 420, 0.54)
    assert document["unpriced"] == []
    assert by(document, "model") == {"gpt-4o": 0.54}
    assert by(document, "user", "day") == {
        ("ada", "2026-01-01"): 0.03,
        (None, "2026-01-01"): 0.51,
    }
    assert document["most_expensive"][0]["cost_usd"] == 0.5


def test_of_two_instrumentations_of_one_call_one_counts(file: Any) -> None:
    path = file(call(1, parent=2, name="chat gpt-4o"), call(2))
    assert calls_of(report(path)) == (1, 100, 0.01)


def test_calls_of_other_instrumentations_count(file: Any) -> None:
    path = file(call(1, parent=2, name="chat gpt-4o"), span(2), call(3, name="chat gpt-4o"))
    assert calls_of(report(path)) == (2, 200, 0.02)


# -- which calls -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "count"),
    [
        ([], 4),
        (["--model", "gpt-4o"], 2),
        (["--model", "gpt-*"], 3),
        (["--session", "s1"], 1),
        (["--tenant", "acme"], 2),
        (["--user", "ada"], 1),
        (["--errors"], 1),
        (["--trace", f"{2:032x}"[:32]], 1),
        (["--since", "2026-01-01T12:00:04Z"], 2),
        (["--since", "5m"], 0),
    ],
)
def test_the_options_of_view_choose_calls(file: Any, arguments: List[str], count: int) -> None:
    path = file(
        call(1, session_id="s1", tenant_id="acme", user_id="ada"),
        call(2, model="gpt-4o-2024-08-06", status="error"),
        call(3, model="gpt-5", tenant_id="acme"),
        call(4, model="o3", trace=2),
    )
    made = run(path, "--json", *arguments)
    assert json.loads(made.stdout)["total"]["calls"] == count
    assert ("no model call matches" in made.stderr) == (count == 0)


# -- prices anew -----------------------------------------------------------------------------------


def test_reprice_takes_todays_table(file: Any) -> None:
    path = file(
        call(1, tokens_cache_read=40, cost_usd=None),
        call(2, cost_usd=7.0),
        call(3, model="my-model", cost_usd=0.5),
        call(4, name="chat gpt-4o", cost_usd=None),
    )
    document = report(path, "--reprice")
    each = (100 * 2.5 + 10 * 10) / 1e6
    saved = 40 * 1.25 / 1e6
    assert by(document, "model") == {
        "my-model": 0.5,
        "gpt-4o": pytest.approx(3 * each - saved),
    }
    assert document["total"]["cost_saved_usd"] == pytest.approx(saved)
    assert document["prices"].startswith("genai-prices ")
    assert document["unpriced"] == []


def test_reprice_with_own_prices(file: Any, tmp_path: Path) -> None:
    path = file(call(1), call(2, model="my-model", cost_usd=None))
    prices = tmp_path / "prices.json"
    prices.write_text('{"my-model": {"request": 2}, "gpt-4o": {"input": 10000}}')
    expected = {"my-model": 2.0, "gpt-4o": 1.0}
    assert by(report(path, "--reprice", "--prices", prices), "model") == expected
    assert by(report(path, "--reprice", PEEKR_PRICES=str(prices)), "model") == expected
    alone = run(path, "--prices", prices, check=2)
    assert "--prices goes with --reprice" in alone.stderr
    missing = run(path, "--reprice", "--prices", tmp_path / "none.json", check=1)
    assert missing.stderr == f"--prices={tmp_path / 'none.json'}: no such file or directory\n"


# -- output ----------------------------------------------------------------------------------------


def test_text_is_plain_where_nobody_looks(file: Any) -> None:
    path = file(call(1, tokens_cache_read=50), call(2, model="gpt-5", cost_usd=0.25))
    lines = run(path).stdout.splitlines()
    assert lines[0] == "$0.2600  2 calls  220 tokens"
    assert lines[2].split() == [
        *("model", "calls", "errors", "input", "cached", "output", "cost", "share")
    ]
    assert lines[3].split() == ["gpt-5", "1", "-", "100", "-", "10", "$0.2500", "96.2%"]
    assert lines[4].split() == ["gpt-4o", "1", "-", "100", "50", "10", "$0.0100", "3.8%"]
    assert "\x1b" not in "".join(lines)


def test_escape_sequences_never_reach_the_terminal(file: Any) -> None:
    evil = "\x1b]0;owned\x07\x1b[2J\u202e"
    path = file(
        call(1, model=f"m{evil}", user_id=evil, provider=evil, cost_usd=None),
        call(2, name="openai.chat", model=f"n{evil}"),
    )
    for arguments in ([], ["--json"], ["--by", "user", "--csv"]):
        said = run(path, *arguments).stdout
        assert not {"\x1b", "\x07", "\u202e"} & set(said)


def test_csv_has_every_row_and_runs_in_no_spreadsheet(file: Any) -> None:
    path = file(
        *(call(n, user_id=f"u{n}") for n in range(1, 31)),
        call(40, user_id='=cmd|"/c calc"!A1', cost_usd=1.0),
    )
    rows = list(csv.reader(io.StringIO(run(path, "--by", "user", "--csv").stdout)))
    assert len(rows) == 32
    assert rows[0][:2] == ["user", "calls"]
    assert rows[1][0] == '\'=cmd|"/c calc"!A1'
    assert dict(zip(rows[0], rows[1]))["cost_usd"] == "1"


def test_a_long_table_says_what_it_leaves_out(file: Any) -> None:
    path = file(*(call(n, user_id=f"u{n:02}") for n in range(30)))
    text = run(path, "--by", "user", "--limit", "10").stdout
    assert "20 more rows, --limit 0 shows all" in text
    assert "more rows" not in run(path, "--by", "user", "--limit", "0").stdout


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--by", "moon"], "'moon' is none of model, provider"),
        (["--json", "--csv"], "exclude each other"),
        (["--csv", "--by", "user", "--by", "model"], "one table"),
        (["--since", "soon"], "'soon' is no time"),
    ],
)
def test_wrong_usage_ends_with_2(file: Any, arguments: List[str], said: str) -> None:
    assert said in run(file(call(1)), *arguments, check=2).stderr


def test_what_cannot_be_read_ends_with_1_in_one_line(tmp_path: Path) -> None:
    path = tmp_path / "letter.txt"
    path.write_text("Dear Ada,\n")
    for given in (path, tmp_path / "none.jsonl"):
        made = run(given, check=1)
        assert made.stdout == ""
        assert made.stderr.count("\n") == 1


def test_lines_that_cannot_be_read_are_counted(tmp_path: Path) -> None:
    path = tmp_path / "traces.jsonl"
    lines = [json.dumps(call(1)), "{cut off", "", "[1]", json.dumps(call(2)), '{"a": 1}']
    path.write_text("\ufeff" + "\n".join(lines), "utf-8")
    made = run(path, "--json")
    assert json.loads(made.stdout)["total"]["calls"] == 2
    assert "3 lines could not be read (first: line 2: " in made.stderr


def test_without_model_calls_it_says_so(file: Any) -> None:
    made = run(file(span(1)))
    assert made.stdout == ""
    assert "no model calls yet" in made.stderr


def test_the_file_in_the_directory_is_the_default(tmp_path: Path) -> None:
    (tmp_path / "traces.jsonl").write_text(json.dumps(call(1)) + "\n")
    made = subprocess.run(
        [sys.executable, "-m", "peekr.cli", "cost"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert made.returncode == 0
    assert made.stdout.startswith("$0.0100  1 call  110 tokens")


def test_reading_sums_loads_neither_opentelemetry_nor_the_price_table(tmp_path: Path) -> None:
    path = tmp_path / "traces.jsonl"
    path.write_text(json.dumps(call(1)) + "\n")
    program = (
        "import sys; from peekr.costs import report; from peekr.store.opening import open_reader\n"
        "assert report(open_reader(sys.argv[1]), [('model',)]).total.calls == 1\n"
        "print([m for m in ('opentelemetry', 'genai_prices', 'rich', 'pydantic')"
        " if m in sys.modules])"
    )
    made = subprocess.run(
        [sys.executable, "-c", program, str(path)], capture_output=True, text=True, timeout=60
    )
    assert made.stdout == "[]\n", made.stderr


def test_the_example_stops_the_tenant_whose_money_is_spent(tmp_path: Path) -> None:
    pytest.importorskip("openai")
    stdout, stderr = run_example("cost_and_budget.py", "t.jsonl", cwd=tmp_path)
    assert stderr == ""
    said = stdout.splitlines()
    assert [line.partition(":")[0] for line in said] == ["acme"] * 4 + ["beta"]
    assert said[1] == "acme: stop"
    assert "was not sent: the budget of tenant acme of $0.0008 a day is spent" in said[2]
    document = report(tmp_path / "t.jsonl", "--by", "tenant,model")
    spent = {line.split(":")[0]: float(line.split("$")[1].split(",")[0]) for line in said[3:]}
    assert by(document, "tenant", "model") == {
        ("acme", "gpt-4o"): pytest.approx(spent["acme"], abs=1e-6),
        ("beta", "gpt-4o-mini"): pytest.approx(spent["beta"], abs=1e-6),
    }
    assert document["total"]["errors"] == 1
