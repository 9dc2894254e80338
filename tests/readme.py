"""Write the parts of README.md that follow from the project, so that they cannot go stale.

    python tests/readme.py            write them
    python tests/readme.py --check    say what is out of date, and exit with 1 if something is

A part stands between `<!-- name -->` and `<!-- /name -->`; `sections` says what makes it, here and
in the pages of docs/. Of the
demo's output, times and ids are not compared: they differ from run to run.
"""

from __future__ import annotations

import argparse
import importlib
import inspect
import os
import re
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any, Callable, Dict, List

ROOT = Path(__file__).parent.parent
README = ROOT / "README.md"


def demo() -> str:
    """What `make demo` prints, the tree without `--io`."""
    environment = {**os.environ, "NO_COLOR": "1", "COLUMNS": "100"}
    with tempfile.TemporaryDirectory() as folder:
        path = str(Path(folder) / "traces.jsonl")
        said = [
            subprocess.run(
                [sys.executable, *command],
                cwd=ROOT / "examples",
                env=environment,
                stdout=subprocess.PIPE,
                check=True,
                encoding="utf-8",
            ).stdout
            for command in (["quickstart.py", path], ["-m", "peekr.cli", "view", path])
        ]
    return "```\n" + "\n".join(said) + "```"


def ranges() -> str:
    """The supported versions."""
    sys.path.insert(0, str(ROOT / "tests"))
    try:
        return str(importlib.import_module("matrix").table())
    finally:
        sys.path.remove(str(ROOT / "tests"))


def options(command: str) -> str:
    """The options of a command of the command line."""
    import click

    from peekr.cli import COMMANDS

    found: click.Command = getattr(importlib.import_module(COMMANDS[command][0]), command)
    rows: List[List[str]] = []
    for parameter in found.params:
        if isinstance(parameter, click.Option):
            names = ", ".join(sorted(parameter.opts, key=len, reverse=True))
            if not parameter.is_flag:
                names += f" {parameter.metavar or parameter.type.name.upper()}"
            default = f" Default: {parameter.default}." if parameter.show_default else ""
            rows.append([f"`{names}`", f"{parameter.help}{default}"])
    return table(["option", "meaning"], rows)


def arguments() -> str:
    """The arguments of `peekr.instrument()`."""
    import peekr

    described = described_arguments(inspect.getdoc(peekr.instrument) or "")
    rows: List[List[str]] = []
    for name, parameter in inspect.signature(peekr.instrument).parameters.items():
        rows.append([f"`{name}`", f"`{parameter.default!r}`", described[name]])
    return table(["argument", "default", "meaning"], rows)


def described_arguments(docstring: str) -> Dict[str, str]:
    """What a docstring says of each argument."""
    found: Dict[str, str] = {}
    block = docstring.partition("\nArgs:\n")[2].partition("\n\n")[0]
    for match in re.finditer(r"^ {4}(\w+): (.*(?:\n {8}.*)*)", block, re.MULTILINE):
        found[match[1]] = re.sub(r"\s+", " ", match[2])
    return found


def environment() -> str:
    """The variables that Peekr reads."""
    from peekr.environment import ENVIRONMENT

    rows = [[f"`{name}`", variable.meaning] for name, variable in ENVIRONMENT.items()]
    return table(["variable", "meaning"], rows)


def redaction_figures() -> str:
    """What `PIIRedact` finds of the tests' corpus."""
    sys.path.insert(0, str(ROOT))
    try:
        corpus = importlib.import_module("tests.guard.corpus")
    finally:
        sys.path.remove(str(ROOT))
    from peekr.guard import PIIRedact

    rows: List[List[str]] = []
    for category, found in corpus.figures(PIIRedact()).items():
        there, wrong = found.right + found.missed, str(found.wrong)
        precision, recall = f"{found.precision:.1%}", f"{found.recall:.1%}"
        if category == "nothing":
            precision = recall = ""
        cases = len(corpus.cases(category)) if category in corpus.CATEGORIES else corpus.count()
        rows.append([category, str(cases), str(there), wrong, precision, recall])
    head = ["cases of", "texts", "to find", "found wrongly", "precision", "recall"]
    return table(head, rows)


def benchmarks() -> str:
    """The tables of benchmarks/RESULTS.md that are marked there."""
    page = (ROOT / "benchmarks" / "RESULTS.md").read_text(encoding="utf-8")
    quoted = re.findall(r"<!-- quoted -->\n(.*?)\n<!-- /quoted -->", page, re.DOTALL)
    return "\n\n".join(quoted)


def table(head: List[str], rows: List[List[str]]) -> str:
    """A Markdown table."""
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(
        "| " + " | ".join(cell.replace("|", "\\|") for cell in row) + " |" for row in lines
    )


def sections() -> Dict[str, Callable[[], str]]:
    """What makes each part, by its name."""
    from peekr.cli import COMMANDS

    made: Dict[str, Callable[[], str]] = {
        "demo": demo,
        "ranges": ranges,
        "arguments": arguments,
        "environment": environment,
        "redaction-figures": redaction_figures,
        "benchmarks": benchmarks,
    }
    for command in COMMANDS:
        made[f"{command}-options"] = lambda command=command: options(command)
    return made


def current(text: str, name: str) -> str:
    """A part as it stands in the text.

    Raises:
        SystemExit: it does not.
    """
    found = pattern(name).search(text)
    if found is None:
        raise SystemExit(f"README.md has no part <!-- {name} --> … <!-- /{name} -->")
    return found[2]


def replaced(text: str, name: str, made: str) -> str:
    """The text with a part replaced."""
    return pattern(name).sub(lambda found: f"{found[1]}{made}\n{found[3].lstrip()}", text)


def pattern(name: str) -> re.Pattern[str]:
    return re.compile(
        rf"(<!-- {re.escape(name)} -->\n)(.*?)(\n?<!-- /{re.escape(name)} -->)", re.DOTALL
    )


def is_same(name: str, first: str, second: str) -> bool:
    """Whether a part says the same; times and ids of the demo are left aside."""
    return masked(first) == masked(second) if name == "demo" else first == second


def masked(text: str) -> str:
    """The text without what differs from run to run."""
    text = re.sub(r"\b[0-9a-f]{32}\b", "<id>", text)
    text = re.sub(r"\d{4}-\d{2}-\d{2} \d{2}:\d{2}:\d{2}", "<time>", text)
    return re.sub(r"\b\d+(\.\d+)?(µs|ms|s)\b", "<time>", text)


def parts_of(text: str) -> List[str]:
    """The names of the parts that a page has."""
    return re.findall(r"^<!-- /(.+?) -->$", text, re.MULTILINE)


def known(names: List[str], made: Dict[str, Any]) -> List[str]:
    """The same names.

    Raises:
        SystemExit: nothing makes one of them.
    """
    for name in names:
        if name not in made:
            raise SystemExit(f"README.md: nothing makes the part {name}")
    return names


def out_of_date(text: str, names: Any = None) -> List[str]:
    """The names of the parts that are."""
    made = sections()
    chosen = known(parts_of(text) if names is None else names, made)
    return [name for name in chosen if not is_same(name, current(text, name), made[name]())]


def main() -> int:
    parser = argparse.ArgumentParser(description="Write the parts of README.md that follow.")
    parser.add_argument("--check", action="store_true", help="only say what is out of date")
    parsed = parser.parse_args()
    text = README.read_text(encoding="utf-8")
    if parsed.check:
        stale = out_of_date(text)
        if stale:
            print(f"README.md: out of date: {', '.join(stale)}; make readme writes it")
        return 1 if stale else 0
    makes = sections()
    for name in known(parts_of(text), makes):
        made = makes[name]()
        if not is_same(name, current(text, name), made):
            text = replaced(text, name, made)
            print(f"README.md: wrote {name}")
    README.write_text(text, encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
