"""Runs a page of docs/ as a reader does: from top to bottom, in one folder.

* A `python` block with a title is a file of that name, for the commands below it. Without a title
  it is a program, which is run; it may print what it likes, and says nothing on stderr.
* A `console` block is commands, each with what it prints below it. A `sh` block is commands whose
  output is not shown. All of them succeed.
* `sql` is run on the page's `traces.db`, `json` and `yaml` are read; with a title they are files.
* What is preceded by `<!-- not run: why -->` is not run; its Python has to compile.

Models are simulated, and so is whatever else the page reaches by the addresses in `_ELSEWHERE`.
"""

from __future__ import annotations

import ast
import json
import os
import re
import shutil
import sqlite3
import subprocess
import sys
from contextlib import closing
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any, Dict, List

import yaml

from tests.docs.pages import Block, blocks, commands_of, prepared
from tests.launcher.running import other_instrumentors
from tests.readme import masked
from tests.support.endpoint import Endpoint, Received, Reply

__all__ = ["FILES", "OF_OTHERS", "answer", "is_same", "run", "surroundings"]

FILES = Path(__file__).parent / "files"
OF_OTHERS = Path(__file__).parent.parent / "dialects" / "samples"
_TIMEOUT_S = 120.0
_ELSEWHERE = (
    "https://peekr.example.com",
    "http://localhost:4318",
    "https://hooks.slack.com",
    "https://alerts.example.com",
)
# Of the environment, what would change the outputs; and programs are to start as fast as they can.
_NOT_OURS = ("OTEL_", "PEEKR_", "COLUMNS", "FORCE_COLOR", "PYTEST_", "PYTHONDONTWRITEBYTECODE")
_LOCAL_MODELS = "http://localhost:11434/v1"


def surroundings(simulated: Any) -> Dict[str, str]:
    """The environment in which pages are run.

    Args:
        simulated: The simulated providers.
    """
    kept = {name: value for name, value in os.environ.items() if not name.startswith(_NOT_OURS)}
    others = other_instrumentors()
    if others:
        # The pages tell of machines that have Peekr alone.
        kept["OTEL_PYTHON_DISABLED_INSTRUMENTATIONS"] = others
    return {
        **kept,
        "PATH": os.pathsep.join([str(Path(sys.executable).parent), kept.get("PATH", "")]),
        "TZ": "UTC",
        "NO_COLOR": "1",
        "COLUMNS": "100",
        "PYTHONIOENCODING": "utf-8",
        "PYTHONUNBUFFERED": "1",  # lines of stdout and stderr in the order in which they are said
        "PEEKR_RAISE_FAULTS": "1",
        "OPENAI_BASE_URL": simulated.openai_url,
        "OPENAI_API_KEY": "simulated",
        "ANTHROPIC_BASE_URL": simulated.anthropic_url,
        "ANTHROPIC_API_KEY": "simulated",
        "AWS_ENDPOINT_URL_BEDROCK_RUNTIME": simulated.bedrock_url,
        "AWS_ACCESS_KEY_ID": "simulated",
        "AWS_SECRET_ACCESS_KEY": "simulated",
        "AWS_DEFAULT_REGION": "us-east-1",
        "GOOGLE_GEMINI_BASE_URL": simulated.gemini_url,
        "GEMINI_API_KEY": "simulated",
        "PYTEST_ADDOPTS": " ".join(["-p no:cacheprovider", *_plugin()]),
    }


def _plugin() -> List[str]:
    """What an editable install needs that was made before the project had its pytest plugin."""
    found: Any = entry_points()
    named: Any = found.select(group="pytest11") if hasattr(found, "select") else found["pytest11"]
    plugin = "peekr.replaying.pytest_plugin"
    return [] if any(entry.value == plugin for entry in named) else [f"-p {plugin}"]


def answer(request: Received) -> Reply:
    """What the endpoint elsewhere answers: a compliance pack, and thanks for everything else."""
    if request.path.startswith("/v1/compliance"):
        packs = {
            "packs": [{"name": "HIPAA", "action": "raise"}],
            "rules": [
                {
                    "pack": "HIPAA",
                    "rule_type": "prohibited_input",
                    "pattern": r"MRN \d{6}",
                    "description": "Medical record numbers",
                }
            ],
        }
        return Reply(body=json.dumps(packs).encode())
    return Reply()


def run(text: str, folder: Path, environment: Dict[str, str], endpoint: Endpoint) -> str:
    """Run a page.

    Args:
        text: The page.
        folder: An empty folder.
        environment: The environment; see `surroundings`.
        endpoint: What stands in for services elsewhere.

    Returns:
        The page with what the commands of its consoles printed.

    Raises:
        AssertionError: something did not do what it should; the message begins with its line.
    """
    environment = {**environment, "HOME": str(folder), "XDG_CACHE_HOME": str(folder / ".cache")}
    page = _Page(folder, environment, endpoint.url)
    page.prepare(prepared(text))
    made: List[str] = []
    done = 0
    for block in blocks(text):
        shown = page.take(block)
        made += [text[done : block.start], shown]
        done = block.start + len(block.text)
    page.finish()
    return "".join(made) + text[done:]


def is_same(first: str, second: str) -> bool:
    """Whether two outputs say the same; times, ids, prices and widths are left aside."""
    return _bare(first) == _bare(second)


def _bare(text: str) -> str:
    text = re.sub(r"\b[0-9a-f]{16}\b", "<id>", masked(text))
    text = re.sub(r"\$\d+(\.\d+)?", "<cost>", text)  # the table of prices has a newer edition
    text = re.sub(r"[+-]?<time>", "<time>", re.sub(r" \([+-]\d+%\)", "", text))
    text = re.sub(r"127\.0\.0\.1:\d+", "<address>", text)
    text = re.sub(r"\b\d+(\.\d+)? seconds?\b", "<time>", text)
    return re.sub(r"[ ─━]+", " ", text).strip()


class _Page:
    def __init__(self, folder: Path, environment: Dict[str, str], elsewhere: str) -> None:
        self._folder = folder
        self._environment = environment
        self._elsewhere = elsewhere
        self._address = _ELSEWHERE[0]  # the one that was reached last
        self._files: Dict[str, int] = {}
        self._used = ""

    def prepare(self, names: List[str]) -> None:
        for name in names:
            if name == "traces.db":
                self._run([sys.executable, "-m", "peekr.cli", "merge", str(FILES / "traces.jsonl"),
                           "-o", str(self._folder / name)], "prepared")  # fmt: skip
            else:
                folder = FILES if (FILES / name).exists() else OF_OTHERS
                shutil.copy(folder / name, self._folder / name)

    def take(self, block: Block) -> str:
        """Run a block; gives what is to stand in it."""
        where = f"line {block.line}"
        if block.reason is not None:
            if block.language == "python":
                ast.parse(block.text)
            return block.text
        if block.title is not None:
            (self._folder / block.title).write_text(self._here(block.text), "utf-8")
            self._files[block.title] = block.line
        if block.language == "console":
            return self._console(block, where)
        if block.language == "sh":
            for command, _ in commands_of(block):
                self._shell(command, where)
        elif block.language == "sql":
            self._query(block.text)
        elif block.language == "json":
            json.loads(block.text)
        elif block.language == "yaml":
            list(yaml.safe_load_all(block.text))
        elif block.language == "python":
            ast.parse(block.text)
            if block.title is None:
                self._program(block.text, where)
        else:
            raise AssertionError(f"{where}: what is {block.language!r}? Say why it is not run")
        return block.text

    def finish(self) -> None:
        for name, line in self._files.items():
            stem = name.partition(".")[0]
            assert stem in self._used, f"line {line}: {name} is used nowhere on the page"

    def _console(self, block: Block, where: str) -> str:
        shown: List[str] = []
        for command, output in commands_of(block):
            printed = self._shell(command, where)
            # Nothing is changed where it says the same, so that a page changes with its meaning.
            shown.append(f"$ {command}\n{output if is_same(output, printed) else printed}")
        return "".join(shown)

    def _shell(self, command: str, where: str) -> str:
        self._used += command
        printed = self._run(["/bin/sh", "-ec", self._here(command)], f"{where}: {command}")
        printed = re.sub(r"[ \t]+$", "", printed, flags=re.MULTILINE)
        return printed if printed.endswith("\n") or not printed else printed + "\n"

    def _program(self, text: str, where: str) -> None:
        path = self._folder / "program.py"
        path.write_text(self._here(text), "utf-8")
        try:
            self._run([sys.executable, path.name], where, is_quiet=True)
        finally:
            path.unlink()

    def _run(self, command: List[str], where: str, *, is_quiet: bool = False) -> str:
        done = subprocess.run(
            command,
            cwd=self._folder,
            env=self._environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE if is_quiet else subprocess.STDOUT,
            encoding="utf-8",
            timeout=_TIMEOUT_S,
        )
        said = done.stderr if is_quiet else ""
        assert (done.returncode, said) == (0, ""), f"{where}: {said or done.stdout}"
        # What the launcher says where other distributions are installed, whichever is chosen.
        printed = re.sub(r"^Configuration of .*\n", "", done.stdout, flags=re.MULTILINE)
        return self._there(printed)

    def _query(self, query: str) -> None:
        with closing(sqlite3.connect(str(self._folder / "traces.db"))) as connection:
            assert connection.execute(query).fetchall(), f"no row: {query}"

    def _here(self, text: str) -> str:
        for address in _ELSEWHERE:
            if address in text:
                self._address = address
                text = text.replace(address, self._elsewhere)
        return text.replace(_LOCAL_MODELS, self._environment["OPENAI_BASE_URL"])

    def _there(self, text: str) -> str:
        text = text.replace(str(self._folder) + os.sep, "")
        return text.replace(self._elsewhere, self._address)
