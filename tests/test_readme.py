"""README.md says what is there, and what it shows works."""

from __future__ import annotations

import json
import os
import re
import shlex
import sqlite3
import subprocess
import sys
from pathlib import Path
from typing import Any, Dict, List, Tuple

import click
import pytest

import peekr
from peekr import environment
from peekr.cli import COMMANDS

from . import readme

TEXT = readme.README.read_text("utf-8")
SIMULATED_SDKS = ("openai", "anthropic", "boto3", "google.genai")


def blocks(language: str) -> List[Tuple[int, str]]:
    """The code blocks of a language, each with its line in the README."""
    found = re.finditer(rf"^```{language}\n(.*?)^```", TEXT, re.MULTILINE | re.DOTALL)
    return [(TEXT.count("\n", 0, match.start()) + 1, match[1]) for match in found]


def console_lines() -> List[str]:
    return [
        re.split("[#|>]", line[2:])[0].strip()
        for _, block in blocks("console")
        for line in block.splitlines()
        if line.startswith("$ ")
    ]


# -- nothing is missing ----------------------------------------------------------------------------


@pytest.mark.parametrize("name", [name for name in readme.parts_of(TEXT) if name != "demo"])
def test_what_follows_from_the_project_is_up_to_date(name: str) -> None:
    assert not readme.out_of_date(TEXT, [name]), "make readme writes it"


def test_the_demos_output_is_what_the_demo_prints() -> None:
    for sdk in SIMULATED_SDKS:
        pytest.importorskip(sdk)
    import openai

    if int(openai.__version__.partition(".")[0]) < 2:
        pytest.skip("older SDKs word the error in another way")
    assert not readme.out_of_date(TEXT, ["demo"]), "make readme writes it"


def test_it_is_read_in_three_minutes() -> None:
    prose = re.sub(r"^```.*?^```", "", TEXT, flags=re.MULTILINE | re.DOTALL)
    prose = re.sub(r"<!-- (\S+) -->.*?<!-- /\1 -->", "", prose, flags=re.DOTALL)
    assert len(prose.split()) < 3 * 250


def test_every_variable_that_is_mentioned_exists() -> None:
    assert set(re.findall(r"PEEKR_[A-Z_]+[A-Z]", TEXT)) <= set(environment.ENVIRONMENT)


def test_every_name_that_is_mentioned_exists() -> None:
    modules = {"baggage", "eval", "alert", "guard"}
    prose = re.sub(r"^```.*?^```", "", TEXT, flags=re.MULTILINE | re.DOTALL)
    for name in set(re.findall(r"`@?peekr\.([A-Za-z_]+)", prose)) - modules:
        assert name in peekr.__all__, f"README.md mentions peekr.{name}"


# -- what it shows works ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    "program",
    [code for _, code in blocks("python")],
    ids=[f"line {n}" for n, _ in blocks("python")],
)
def test_the_programs_run(program: str, tmp_path: Path, simulated: Any) -> None:
    for module in ("openai", "fastapi", "opentelemetry.exporter.otlp.proto.http"):
        if f"import {module.partition('.')[0]}" in program or f"from {module}" in program:
            pytest.importorskip(module)
    environment = {
        **os.environ,
        "OPENAI_BASE_URL": simulated.openai_url,
        "OPENAI_API_KEY": "simulated",
        "ANTHROPIC_BASE_URL": simulated.anthropic_url,
        "ANTHROPIC_API_KEY": "simulated",
        "PEEKR_RAISE_FAULTS": "1",
    }
    made = subprocess.run(
        [sys.executable, "-c", program],
        cwd=tmp_path,
        env=environment,
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert (made.returncode, made.stderr) == (0, "")
    if "peekr.trace" in program or "peekr.span" in program:
        assert set(os.listdir(tmp_path)) & {"traces.jsonl", "traces.db"}
    if "export_feedback" in program:
        (line,) = (tmp_path / "training_data.jsonl").read_text("utf-8").splitlines()
        assert json.loads(line)["messages"][0]["role"] == "user"


def test_the_examples_of_sql_run(tmp_path: Path, simulated: Any) -> None:
    openai = pytest.importorskip("openai")
    path = tmp_path / "traces.db"
    peekr.instrument(console=False, storage="sqlite", db_path=path)
    client = openai.OpenAI(base_url=simulated.openai_url, api_key="simulated")
    client.chat.completions.create(model="gpt-4o", messages=[{"role": "user", "content": "hi"}])
    client.close()
    peekr.shutdown()
    connection = sqlite3.connect(path)
    try:
        for _, query in blocks("sql"):
            ((model, tokens),) = connection.execute(query).fetchall()
            assert (model, tokens > 0) == ("gpt-4o", True)
    finally:
        connection.close()


@pytest.mark.parametrize(
    "line", sorted({line for line in console_lines() if line.startswith("peekr")})
)
def test_the_command_lines_are_valid(line: str) -> None:
    import importlib

    command, *arguments = shlex.split(line)[1:]
    found: click.Command = getattr(importlib.import_module(COMMANDS[command][0]), command)
    with found.make_context(command, arguments):
        pass


def test_the_verbs_of_make_exist() -> None:
    makefile = (readme.ROOT / "Makefile").read_text("utf-8")
    verbs = set(re.findall(r"^([a-z]+):.*## ", makefile, re.MULTILINE))
    used = [line.split()[1] for line in console_lines() if line.startswith("make ")]
    used += re.findall(r"`make ([a-z]+)`", TEXT)
    assert used
    assert set(used) <= verbs


def test_the_extras_exist() -> None:
    project = (readme.ROOT / "pyproject.toml").read_text("utf-8")
    for line in console_lines():
        for extra in re.findall(r"peekr\[([a-z,]+)\]", line):
            for name in extra.split(","):
                assert re.search(rf"^{name} = \[", project, re.MULTILINE)


def test_links_lead_somewhere() -> None:
    for target in re.findall(r"\]\((?!https?:|#)([^)]+)\)", TEXT):
        assert (readme.ROOT / target).exists(), target


# -- the script ------------------------------------------------------------------------------------


def test_a_part_that_is_out_of_date_is_named_and_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    page = tmp_path / "README.md"
    page.write_text("a\n<!-- ranges -->\nold\n<!-- /ranges -->\nb\n", "utf-8")
    parts: Dict[str, Any] = {"ranges": lambda: "new | one"}
    monkeypatch.setattr(readme, "README", page)
    monkeypatch.setattr(readme, "sections", lambda: parts)
    monkeypatch.setattr(sys, "argv", ["readme.py", "--check"])
    assert readme.main() == 1
    assert "out of date: ranges" in capsys.readouterr().out
    monkeypatch.setattr(sys, "argv", ["readme.py"])
    assert readme.main() == 0
    assert page.read_text("utf-8") == "a\n<!-- ranges -->\nnew | one\n<!-- /ranges -->\nb\n"
    monkeypatch.setattr(sys, "argv", ["readme.py", "--check"])
    assert readme.main() == 0
    page.write_text("<!-- more -->\n<!-- /more -->\n", "utf-8")
    with pytest.raises(SystemExit, match="nothing makes the part more"):
        readme.main()


def test_times_and_ids_of_the_demo_are_left_aside() -> None:
    first = "trace 45417969d6c4fcfe0ceea8c943e09199  2026-11-23 12:05:24  9 spans  1.08s  320tok"
    second = "trace 0af7651916cd43dd8448eb211c80319c  2026-01-01 00:00:00  9 spans  90ms  320tok"
    assert readme.is_same("demo", first, second)
    assert not readme.is_same("demo", first, second.replace("320", "321"))
    assert not readme.is_same("ranges", first, second)


def test_arguments_are_read_from_a_docstring() -> None:
    text = "One.\n\nArgs:\n    a: First,\n        and more.\n    b: Second.\n\nRaises:\n    c: No."
    assert readme.described_arguments(text) == {"a": "First, and more.", "b": "Second."}
