"""`peekr prune`: records deleted when their retention class says so."""

from __future__ import annotations

import math
import re
import sys
import time
from datetime import datetime
from typing import Any, Optional

import click

from peekr.cli.output import count_of
from peekr.files.retention import DEFAULTS_S, ClassPlan, Plan, Policy, plan
from peekr.files.retention import prune as delete
from peekr.plaintext import clean
from peekr.render.table import aligned

__all__ = ["prune"]

_UNIT_S = {"m": 60.0, "h": 3600.0, "d": 86_400.0, "w": 604_800.0}
_NAMES = ("keep", "never")


class _Period(click.ParamType):  # pyright: ignore[reportMissingTypeArgument] - newer clicks
    """So long, in seconds; infinity for `keep`."""

    name = "period"

    def convert(
        self, value: Any, param: Optional[click.Parameter], ctx: Optional[click.Context]
    ) -> float:
        """`7d` as seconds."""
        if isinstance(value, float):
            return value
        text = str(value).strip().lower()
        if text in _NAMES:
            return math.inf
        found = re.fullmatch(r"(\d{1,6}(?:\.\d+)?)\s*([mhdw])", text)
        if found is None:
            self.fail(f"{clean(text)} is no period: use 12h, 7d, 4w or keep", param, ctx)
        return float(found[1]) * _UNIT_S[found[2]]


def _shown(seconds: Optional[float]) -> str:
    if seconds is None or seconds == math.inf:
        return "keep"
    for unit in ("d", "h"):
        if seconds % _UNIT_S[unit] == 0:
            return f"{seconds / _UNIT_S[unit]:.0f}{unit}"
    return f"{seconds / 60.0:g}m"


def _period_option(name: str, help: str) -> Any:
    return click.option(
        f"--{name}",
        f"{name}_s",
        type=_Period(),
        default=_shown(DEFAULTS_S[name]),
        show_default=True,
        metavar="PERIOD",
        help=help,
    )


@click.command(
    "prune",
    epilog="""\b
Examples:
  peekr prune traces.jsonl
  peekr prune traces.db --yes
  peekr prune traces.db --short 1d --pii 12h --long 365d --yes""",
)
@click.argument("file", type=click.Path())
@_period_option("short", "How long records of the class short are kept: 12h, 7d, 4w or keep.")
@_period_option("default", "The same for default, and for records without a class.")
@_period_option("long", "The same for long.")
@_period_option("pii", "The same for pii.")
@click.option("--yes", "-y", is_flag=True, help="Delete without being asked.")
@click.option(
    "--vacuum", is_flag=True, help="Shrink a SQLite file too; writers have to wait meanwhile."
)
def prune(
    file: str,
    short_s: float,
    default_s: float,
    long_s: float,
    pii_s: float,
    yes: bool,
    vacuum: bool,
) -> None:
    """Delete the records in FILE that are older than their retention class allows.

    Shows first what would be deleted. Without --yes nothing is, unless it is confirmed in a
    terminal. Other records stay as they are, and an application that writes to FILE through Peekr
    meanwhile loses nothing. A class that Peekr does not know is kept.
    """
    given = {"short": short_s, "default": default_s, "long": long_s, "pii": pii_s}
    policy = Policy(
        time.time(), {name: None if math.isinf(kept) else kept for name, kept in given.items()}
    )
    found = plan(file, policy)
    for line in _table(found, policy):
        click.echo(line)
    if found.problems:
        click.echo(f"{clean(file)}: {found.problems}, left as they are", err=True)
    if not found.due:
        click.echo("Nothing is due.")
        return
    if not yes:
        is_asked = sys.stdin.isatty() and sys.stdout.isatty()
        if not (is_asked and click.confirm(f"Delete {count_of(found.due, 'record')}?")):
            click.echo(f"Nothing was deleted; --yes deletes {count_of(found.due, 'record')}.")
            return
    click.echo(f"Deleted {count_of(delete(file, policy, vacuum=vacuum), 'record')}.")


def _table(found: Plan, policy: Policy) -> list[str]:
    rows = [("class", "kept for", "records", "to delete", "ended between")]
    for name in sorted(found.classes, key=_order):
        entry = found.classes[name]
        known = name or "default"
        kept = _shown(policy.kept_s[known]) if known in policy.kept_s else "keep (unknown class)"
        rows.append(
            (clean(name) or "(none)", kept, f"{entry.records}", f"{entry.due}", _ends(entry))
        )
    return list(aligned(rows, left=(0, 1, 4)))


def _order(name: str) -> tuple[int, str]:
    known = ("short", "default", "", "long", "pii")
    return (known.index(name), "") if name in known else (len(known), name)


def _ends(entry: ClassPlan) -> str:
    if not entry.due:
        return ""
    first, last = _date(entry.oldest), _date(entry.newest)
    return first if first == last else f"{first} and {last}"


def _date(seconds: float) -> str:
    try:
        return datetime.fromtimestamp(seconds).strftime("%Y-%m-%d %H:%M")
    except (ValueError, OverflowError, OSError):
        return f"{seconds:.0f}"  # a time that no calendar has
