"""Write what is generated in docs/: tables, lists of names, and what commands print.

    python -m tests.docs.write            write it
    python -m tests.docs.write cost view  only these pages, by the names of their files

Parts between `<!-- name -->` and `<!-- /name -->` are those of README.md, and lists of a module's
public names (`<!-- names peekr.guard -->`). What stands below a `$` in a console is what the
command prints, when the page is run from top to bottom; see `session.py`.
"""

from __future__ import annotations

import importlib
import sys
import tempfile
from pathlib import Path
from types import ModuleType
from typing import Any, Callable, Dict, List

from peekr.cli import COMMANDS
from tests import readme
from tests.docs import session
from tests.docs.pages import DOCS, guides
from tests.support import endpoint

__all__ = ["HOMES", "PUBLIC", "public", "stale"]

PUBLIC = {
    "peekr.guard": "guardrails",
    "peekr.eval": "evaluators",
    "peekr.alert": "alerts",
    "peekr.exporters": "exporters",
    "peekr.replaying": "replaying",
    "peekr.record": "record",
    "peekr.errors": "errors",
    "peekr": "peekr",
}
"""The modules that users import from, each with its page below docs/reference/.

What is public in several of them is documented on the page of the first.
"""

HOMES = {
    "completion": "command-line.md#complete",
    "cost": "cost.md",
    "dashboard": "dashboard.md",
    "diff": "reading.md#compare-two-runs",
    "doctor": "coexistence.md#what-is-wrong",
    "eval": "evaluators.md#traces-that-are-stored-already",
    "experiment": "experiments.md",
    "export": "reading.md#export",
    "merge": "reading.md#merge",
    "prune": "records.md#keep-less",
    "replay": "replay.md",
    "ship": "exporters.md#later",
    "stats": "reading.md#count",
    "view": "reading.md#view",
}
"""Where each command is told, with its options."""


def commands() -> str:
    """The commands, each with a link to its page."""
    rows = [
        [f"[`peekr {name}`]({HOMES[name]})", summary] for name, (_, summary) in COMMANDS.items()
    ]
    return readme.table(["command", "what it does"], rows)


def names(module: str) -> str:
    """The directives for what is public in a module, those left out that another page has."""
    before = list(PUBLIC)[: list(PUBLIC).index(module)]
    told = [value for other in before for value in public(other).values()]
    found = public(module)
    return "\n\n".join(
        f"::: {module}.{name}"
        for name, value in found.items()
        if not isinstance(value, ModuleType) and not any(value is other for other in told)
    )


def elsewhere(module: str) -> str:
    """What is public in a module and documented on another page."""
    own = names(module)
    lines: List[str] = []
    for other, page in PUBLIC.items():
        if other == module:
            break
        there = public(other)
        both = [
            f"[`{module}.{name}`][{other}.{name}]"
            for name, value in public(module).items()
            if there.get(name) is value and f"::: {module}.{name}" not in own
        ]
        if both:
            lines.append(f"* [`{other}`]({page}.md): {', '.join(both)}")
    return "\n".join(lines)


def public(module: str) -> Dict[str, Any]:
    """What users import from a module: its classes and functions, and modules within."""
    found = importlib.import_module(module)
    values = {name: getattr(found, name) for name in found.__all__}
    return {
        name: value
        for name, value in values.items()
        if callable(value) or isinstance(value, ModuleType)
    }


def parts() -> Dict[str, Callable[[], str]]:
    """What makes each part that a page may have, by its name."""
    made = dict(readme.sections())
    made["commands"] = commands
    for module in PUBLIC:
        made[f"names {module}"] = lambda module=module: names(module)
        made[f"elsewhere {module}"] = lambda module=module: elsewhere(module)
    return made


def stale(text: str) -> List[str]:
    """The names of the parts that are out of date."""
    made = parts()
    return [
        name
        for name in readme.parts_of(text)
        if not readme.is_same(name, readme.current(text, name), made[name]())
    ]


def main() -> int:
    from simulated_providers import SimulatedProviders

    chosen, failed = sys.argv[1:], False
    made = parts()
    with SimulatedProviders() as simulated, endpoint.running() as elsewhere_:
        elsewhere_.otherwise = session.answer
        environment = session.surroundings(simulated)
        for path in guides():
            if chosen and path.stem not in chosen:
                continue
            text = old = path.read_text("utf-8")
            for name in stale(text):
                text = readme.replaced(text, name, made[name]())
            with tempfile.TemporaryDirectory() as folder:
                try:
                    text = session.run(text, Path(folder), environment, elsewhere_)
                except AssertionError as error:
                    print(f"{path.relative_to(DOCS)}: {error}", file=sys.stderr)
                    failed = True
                    continue
            if text != old:
                path.write_text(text, "utf-8")
                print(f"wrote {path.relative_to(DOCS)}")
    return int(failed)


if __name__ == "__main__":
    sys.exit(main())
