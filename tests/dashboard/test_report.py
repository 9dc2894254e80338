"""The page as a file: whole, bounded, inert, and what the command says of it."""

from __future__ import annotations

import base64
import hashlib
import os
import re
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from peekr.cli.group import group
from peekr.dashboard import report
from tests.support.trace_files import NOW, span, write_jsonl

from .pages import Page, page_of
from .sample import HOSTILE, sample_records


def run(*arguments: Any) -> Result:
    return CliRunner().invoke(group, [str(argument) for argument in arguments])


def test_policy_allows_the_pages_own_style_and_script_and_nothing_else(tmp_path: Path) -> None:
    html = page_of(tmp_path, list(sample_records(40))).html
    (policy,) = re.findall(r'http-equiv="Content-Security-Policy" content="([^"]*)"', html)
    assert policy.startswith("default-src 'none';")
    (script,) = re.findall(r"<script>(.*?)</script>", html, re.DOTALL)
    (style,) = re.findall(r"<style>(.*?)</style>", html, re.DOTALL)
    for text, name in ((script, "script-src"), (style, "style-src")):
        digest = base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
        assert f"{name} 'sha256-{digest}'" in policy
    assert "require-trusted-types-for 'script'" in policy
    assert not re.search(r"(?:src|href)=\"(?:https?:)?//", html)


def test_nothing_that_was_recorded_is_markup(tmp_path: Path) -> None:
    html = page_of(tmp_path, list(sample_records(40))).html
    assert HOSTILE not in html
    assert "<img" not in html
    assert html.count("</script>") == html.count("<script")


def test_page_is_bounded_and_says_what_is_left_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(report, "MAX_BYTES", 300_000)
    page = page_of(tmp_path, list(sample_records(600)))
    assert len(page.html.encode()) < 330_000
    assert 0 < page.core["embedded"]["traces"] < 600
    assert page.core["embedded"]["why"][0][0] == "of failures"


def test_same_file_gives_the_same_page_but_for_its_date(tmp_path: Path) -> None:
    records = list(sample_records(30))
    one, other = page_of(tmp_path, records), page_of(tmp_path, records)
    made = re.compile(r'"made":[0-9.]+')
    assert made.sub("", one.html) == made.sub("", other.html)


def test_trace_of_many_spans_is_cut_to_the_telling_ones(tmp_path: Path) -> None:
    spans = [span(1, n, 1, "step", NOW + n, 5.0) for n in range(2, 1001)]
    spans[700]["status"] = "error"
    page = page_of(tmp_path, [*spans, span(1, 1, None, "run", NOW, 1e6)])
    detail = page.trace("0" * 31 + "1")
    assert len(detail["spans"]) == 200
    assert detail["omitted"] == 800
    assert any(row["err"] for row in detail["spans"])


def test_long_texts_are_cut_and_say_how_long_they_were(tmp_path: Path) -> None:
    text = "a" * 81_233
    page = page_of(tmp_path, [span(1, 1, None, "x.y", NOW, 5.0, input=text, output="b")])
    (row,) = page.trace("0" * 31 + "1")["spans"]
    assert [len(part) if isinstance(part, str) else part for part in row["input"]["cut"]] == [
        4000,
        1000,
        81_233,
    ]
    assert row["output"] == "b"


def test_second_try_with_the_same_input_is_an_attempt(tmp_path: Path) -> None:
    page = page_of(tmp_path, list(sample_records(4)))
    rows = page.trace(f"{3:032x}")["spans"]
    assert [row["attempt"] for row in rows] == [0, 0, 2]
    assert rows[0]["crit"] == 1


def test_command_writes_the_page_and_says_what_is_in_it(tmp_path: Path) -> None:
    source = write_jsonl(tmp_path / "t.jsonl", sample_records(30))
    with source.open("a", encoding="utf-8") as stream:
        stream.write("torn {\n")
    output = tmp_path / "r.html"
    done = run("dashboard", source, "-o", output)
    assert done.exit_code == 0, done.output
    assert f"{source}: 1 line could not be read" in done.output
    assert "30 traces" in done.output
    assert Page(output).core["problems"].startswith("1 line could not be read")


@pytest.mark.parametrize("content", ["", "nonsense\n"])
def test_file_that_cannot_be_read_is_one_line_and_no_page(tmp_path: Path, content: str) -> None:
    source = tmp_path / "t.jsonl"
    source.write_text(content, "utf-8")
    done = run("dashboard", source, "-o", tmp_path / "r.html")
    assert done.exit_code == 1
    assert done.output.count("\n") == 1
    assert os.listdir(tmp_path) == ["t.jsonl"]


def test_page_that_cannot_be_written_is_one_line(tmp_path: Path) -> None:
    source = write_jsonl(tmp_path / "t.jsonl", sample_records(3))
    done = run("dashboard", source, "-o", tmp_path / "missing" / "r.html")
    assert (done.exit_code, done.output.count("\n")) == (1, 1)


def test_odd_records_break_no_page(tmp_path: Path) -> None:
    odd = span(1, 1, None, "x", NOW, 5.0, input={"a": [None, True, {"b": []}]}, tokens_input="12")
    odd["end_time"] = odd["duration_ms"] = None
    cycle = span(2, 1, 2, "a", NOW, -5.0, model=7, eval_scores={"x": "high", "y": 2})
    other = span(2, 2, 1, "b", NOW, 5.0, finish_reasons="stop", guardrail_warnings="odd")
    page = page_of(tmp_path, [odd, cycle, other])
    assert page.core["spans"] == 3
    assert page.trace(f"{2:032x}")["spans"]


def test_texts_of_a_megabyte_in_every_field_leave_the_page_small(tmp_path: Path) -> None:
    long = "x<b>" * 250_000
    records: list[dict[str, Any]] = []
    for number in range(6):
        message = {"role": "user", "content": long}
        given: dict[str, Any] = {
            "model": long,
            "session_id": long,
            "user_id": long,
            "feature": long,
            "endpoint": long,
            "experiment_variant": long,
            "provider": long,
            "error": long,
            "finish_reasons": [long] * 3,
            "input": [message] * 3,
            "output": long,
            "eval_scores": {long: 0.1},
            "guardrail_warnings": [{"guard": long, "rule": long}],
            long: long,
        }
        made = span(number, 1, None, long, NOW + number, 5.0, "error", **given)
        made["trace_id"] = f"{number:032x}" if number < 3 else f"{number}{long}"
        made["span_id"] = f"{number}{long}"
        made["tenant_id"] = long
        records.append(made)
    page = page_of(tmp_path, records)
    assert len(page.html) < 400_000
    assert page.core["spans"] == 6
    assert page.trace(f"{0:032x}")["spans"][0]["output"]["cut"][2] == len(long)


def test_trace_of_many_long_texts_is_cut_further(tmp_path: Path) -> None:
    text = "".join(chr(97 + n * 7 % 26) for n in range(9_000))
    spans = [span(1, n, 1, "step", NOW + n, 5.0, input=text, output=text) for n in range(2, 300)]
    page = page_of(tmp_path, [*spans, span(1, 1, None, "run", NOW, 1e6)])
    detail = page.trace("0" * 31 + "1")
    assert len(detail["spans"]) == 60
    assert detail["omitted"] == 239


@pytest.mark.parametrize(
    "odd", ["NaN", "Infinity", "-Infinity", "1e999", "1" + "0" * 400, "-7", "[1]", '"x"']
)
@pytest.mark.parametrize(
    "field", ["cost_usd", "time_to_first_token_ms", "tokens_input", "duration_ms", "eval_scores"]
)
def test_numbers_that_are_none_count_as_absent(tmp_path: Path, odd: str, field: str) -> None:
    calls = [
        span(n, 1, None, "openai.chat", NOW + n, 5.0, model="m", tokens_output=3, cost_usd=0.5)
        for n in range(3)
    ]
    calls[1]["attributes"] |= {"time_to_first_token_ms": 7.0, "tokens_input": 2}
    text = write_jsonl(tmp_path / "o.jsonl", calls).read_text("utf-8").splitlines()
    record = calls[1]["attributes"]
    if field == "duration_ms":
        text[1] = text[1].replace('"duration_ms": 5.0', f'"duration_ms": {odd}')
    elif field == "eval_scores":
        text[1] = text[1].replace('"model"', f'"eval_scores": {{"R": {odd}}}, "model"')
    else:
        text[1] = text[1].replace(f'"{field}": {record[field]}', f'"{field}": {odd}')
    assert odd in text[1]
    source = tmp_path / "odd.jsonl"
    source.write_text("\n".join(text), "utf-8")
    report.write_report(str(source), str(tmp_path / "r.html"))
    page = Page(tmp_path / "r.html")
    assert page.core["kpi"]["calls"] == 3
    assert page.unpacked("facts")["n"] == 3
    assert page.core["kpi"]["cost"] == (1.0 if field == "cost_usd" else 1.5)
    assert page.core["kpi"]["tokens_in"] == (0 if field == "tokens_input" else 2)
    assert page.core["kpi"]["ttft_n"] == (0 if field == "time_to_first_token_ms" else 1)
