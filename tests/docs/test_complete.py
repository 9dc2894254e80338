"""docs/ is complete: every public name, command, option, argument and variable is in it."""

from __future__ import annotations

import importlib
import inspect
import re
import shlex
from types import ModuleType
from typing import Any, List, Tuple

import click
import pytest

import peekr
from peekr import environment
from peekr.cli import COMMANDS
from tests import readme
from tests.docs import write
from tests.docs.pages import DOCS, blocks, commands_of, guides, prose

TEXTS = {path: path.read_text("utf-8") for path in guides()}
GUIDES = "\n".join(
    text for path, text in TEXTS.items() if path.parent.name not in ("reference", "migration")
)
WITH_GUIDES = ("peekr.guard", "peekr.eval", "peekr.alert")
REFERENCE = "\n".join(text for path, text in TEXTS.items() if path.parent.name == "reference")


def shell(block: Any) -> List[str]:
    if block.language not in ("console", "sh"):
        return []
    return [command for command, _ in commands_of(block)]


def public() -> List[Tuple[str, str]]:
    return [(module, name) for module in write.PUBLIC for name in write.public(module)]


@pytest.mark.parametrize(("module", "name"), public())
def test_every_public_name_is_in_the_reference(module: str, name: str) -> None:
    value = getattr(importlib.import_module(module), name)
    if isinstance(value, ModuleType):
        assert f"# {module}.{name}\n" in REFERENCE
        return
    told = re.findall(r"^::: ([\w.]+)$", REFERENCE, re.MULTILINE)
    same: List[str] = []
    for full in told:
        home, _, last = full.rpartition(".")
        if getattr(importlib.import_module(home), last) is value:
            same.append(full)
    assert same, f"{module}.{name} is on no page"


@pytest.mark.parametrize(("module", "name"), public())
def test_every_public_name_has_a_docstring(module: str, name: str) -> None:
    value: Any = getattr(importlib.import_module(module), name)
    assert inspect.getdoc(value), f"{module}.{name} has no docstring"


@pytest.mark.parametrize("name", [name for name in peekr.__all__ if name != "__version__"])
def test_every_name_of_the_package_is_explained_in_a_guide(name: str) -> None:
    assert re.search(rf"\bpeekr\.{name}\b", GUIDES), f"no guide mentions peekr.{name}"


@pytest.mark.parametrize(("module", "name"), [pair for pair in public() if pair[0] in WITH_GUIDES])
def test_every_name_of_guards_evaluators_and_alerts_is_explained(module: str, name: str) -> None:
    text = GUIDES + REFERENCE
    assert re.search(rf"\b{name}\b", text), f"no page mentions {module}.{name}"


def test_every_name_that_is_mentioned_exists() -> None:
    for path, text in TEXTS.items():
        if path.parent.name == "migration":
            continue  # names of what there was before
        for full in set(re.findall(r"`@?(peekr(?:\.[A-Za-z_]+)+)", prose(text))):
            assert is_known(full), f"{path.relative_to(DOCS)} mentions {full}"


def is_known(full: str) -> bool:
    from peekr.semconv import own

    attributes = {value for value in vars(own).values() if isinstance(value, str)}
    if full in attributes or full in (
        "peekr.alert",
        "peekr.store",
        "peekr.eval",
        "peekr.exporters",
    ):
        return True
    found: Any = peekr
    for step in full.split(".")[1:]:
        found = getattr(found, step, None)
        if found is None:
            try:
                importlib.import_module(full)
            except ImportError:
                return False
            return True
    return True


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_and_option_is_explained_and_run(command: str) -> None:
    page = (DOCS / write.HOMES[command].partition("#")[0]).read_text("utf-8")
    section = readme.current(page, f"{command}-options")
    found: click.Command = getattr(importlib.import_module(COMMANDS[command][0]), command)
    for parameter in found.params:
        if isinstance(parameter, click.Option):
            for option in parameter.opts:
                assert re.search(rf"[`\s]{option}\b", section), f"{command} {option}"
    run = [line for block in blocks(page) if not block.reason for line in shell(block)]
    assert any(re.search(rf"\bpeekr {command}\b", line) for line in run), "it is nowhere run"


@pytest.mark.parametrize(
    "line",
    sorted(
        {
            line.partition("  #")[0].strip()
            for text in TEXTS.values()
            for block in blocks(text)
            for line in shell(block)
            if block.reason and line.startswith("peekr ")
        }
    ),
)
def test_a_command_that_is_not_run_is_valid_all_the_same(line: str) -> None:
    command, *arguments = shlex.split(line)[1:]
    found: click.Command = getattr(importlib.import_module(COMMANDS[command][0]), command)
    with found.make_context(command, arguments):
        pass


def test_every_argument_and_variable_is_explained() -> None:
    text = (DOCS / "configuration.md").read_text("utf-8")
    for name in inspect.signature(peekr.instrument).parameters:
        assert f"| `{name}` |" in text
    for name in environment.ENVIRONMENT:
        assert f"| `{name}` |" in text


def test_every_variable_that_is_mentioned_exists() -> None:
    for path, text in TEXTS.items():
        named = set(re.findall(r"PEEKR_[A-Z_]+[A-Z]", text))
        assert named <= set(environment.ENVIRONMENT), path.name


def test_every_command_that_is_mentioned_exists() -> None:
    for path, text in TEXTS.items():
        if path.parent.name == "migration":
            continue
        named = set(re.findall(r"(?:`|^\$ |^)peekr ([a-z]+)\b", text, re.MULTILINE))
        assert named <= {*COMMANDS}, path.name
