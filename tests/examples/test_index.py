"""The list of the examples is complete, each says how to run it, and each is run by a test."""

from __future__ import annotations

import ast
import re
from pathlib import Path
from typing import List

import pytest

from tests.support.examples import EXAMPLES

LISTED = (EXAMPLES / "README.md").read_text("utf-8")
PROGRAMS = sorted(path.name for path in EXAMPLES.glob("*.py"))
FOLDERS = sorted(path.parent.name for path in EXAMPLES.glob("*/*.py"))
# What asks no model is the same for real; what starts others is not run with --real itself.
WITHOUT_MODEL = ("custom_exporter.py", "otlp_receiver.py", "own_spans.py", "sessions.py")


def docstring(path: Path) -> str:
    return ast.get_docstring(ast.parse(path.read_text("utf-8")), clean=False) or ""


def test_the_list_has_every_example_once_and_nothing_else() -> None:
    linked: List[str] = re.findall(r"^\| \[([\w.]+)\]\(([\w.]+)\) \|", LISTED, re.MULTILINE)
    assert all(shown == target for shown, target in linked)
    assert sorted(shown for shown, _ in linked) == sorted({*PROGRAMS, *FOLDERS})


@pytest.mark.parametrize("name", PROGRAMS)
def test_an_example_says_how_it_is_run(name: str) -> None:
    said = docstring(EXAMPLES / name)
    assert re.search(rf"^ *(?:opentelemetry-instrument )?python {name}\b", said, re.MULTILINE)
    assert ("--real" in said) is (name not in WITHOUT_MODEL)


@pytest.mark.parametrize("name", PROGRAMS)
def test_an_example_is_run_by_a_test(name: str) -> None:
    tests = [path for path in EXAMPLES.parent.glob("tests/**/*.py") if path.name != "test_index.py"]
    assert any(f'"{name}"' in path.read_text("utf-8") for path in tests)
