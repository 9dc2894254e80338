"""What the benchmarks found, as sections of `RESULTS.md`."""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Callable, List, NamedTuple, Optional


class Section(NamedTuple):
    """A part of the page.

    Attributes:
        title: Its heading.
        note: What it shows and how it was measured, a sentence or two.
        body: Markdown.
        summary: Whether the README quotes it.
    """

    title: str
    note: str
    body: str
    summary: bool = False


def table(head: List[str], rows: List[List[str]], numbers: bool = True) -> str:
    """A Markdown table; what follows the first column stands to the right where it is numbers."""
    lines = [head, ["---"] + ["---:" if numbers else "---"] * (len(head) - 1), *rows]
    return "\n".join("| " + " | ".join(row) + " |" for row in lines)


def say(sections: List[Section], path: Optional[str] = None) -> None:
    """Print them, and write them to a file for `run.py`."""
    if path:
        Path(path).write_text(json.dumps([section._asdict() for section in sections]), "utf-8")
    for section in sections:
        print(f"\n{section.title}\n{section.note}\n\n{section.body}")


def command(
    does: str, measure: Callable[[int, int], List[Section]], *, rounds: int, spans: int
) -> int:
    """The command line of a benchmark that measures spans in rounds; its exit code."""
    parser = argparse.ArgumentParser(description=does)
    parser.add_argument("--rounds", type=int, default=rounds)
    parser.add_argument("--spans", type=int, default=spans)
    parser.add_argument("--json", help="write the sections to this file")
    parsed = parser.parse_args()
    say(measure(parsed.rounds, parsed.spans), parsed.json)
    return 0
