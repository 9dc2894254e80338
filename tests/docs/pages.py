"""The pages in docs/: what is in them, for those that check and run them."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import List, Optional, Tuple

from tests.readme import ROOT

__all__ = ["DOCS", "Block", "blocks", "commands_of", "guides", "page_paths", "prepared", "prose"]

DOCS = ROOT / "docs"
_BLOCK = re.compile(
    r"^(?:<!-- not run: (?P<reason>[^\n]+?) -->\n)?"
    r'^```(?P<language>\w*)(?: title="(?P<title>[^"]+)")?[^\n]*\n(?P<text>.*?)^```$',
    re.MULTILINE | re.DOTALL,
)


@dataclass(frozen=True)
class Block:
    """A fenced block of code.

    Attributes:
        line: The line on which its fence begins.
        language: The language after the fence.
        title: The file that it is, where it says one.
        reason: Why it is not run, where it is not.
        text: What is in it.
        start: Where the text begins in the page.
    """

    line: int
    language: str
    title: Optional[str]
    reason: Optional[str]
    text: str
    start: int


def page_paths() -> List[Path]:
    """Every page."""
    return sorted(DOCS.rglob("*.md"))


def guides() -> List[Path]:
    """The pages that are written, not generated."""
    return [path for path in page_paths() if path.name != "conventions.md"]


def blocks(text: str) -> List[Block]:
    """The blocks of code of a page, in their order."""
    return [
        Block(
            text.count("\n", 0, found.start("language")) + 1,
            found["language"],
            found["title"],
            found["reason"],
            found["text"],
            found.start("text"),
        )
        for found in _BLOCK.finditer(text)
    ]


def prepared(text: str) -> List[str]:
    """The files that a page finds in its folder: `<!-- prepared: traces.jsonl traces.db -->`.

    They are those of `tests/docs/files` and `tests/dialects/samples`.
    """
    found = re.search(r"<!-- prepared: (.+?) -->", text)
    return found[1].split() if found else []


def prose(text: str) -> str:
    """A page without its blocks of code."""
    return _BLOCK.sub("", text)


def commands_of(block: Block) -> List[Tuple[str, str]]:
    """The commands of a block of shell, each with the output that is shown under it."""
    if block.language == "sh":
        joined = block.text.replace("\\\n", "")
        return [(line, "") for line in joined.splitlines() if line and not line.startswith("#")]
    parts = re.split(r"^\$ ", block.text, flags=re.MULTILINE)
    assert not parts[0], f"line {block.line}: a console begins with a command"
    found: List[Tuple[str, str]] = []
    for part in parts[1:]:
        command, output = re.split(r"(?<!\\)\n", part, maxsplit=1)
        found.append((command, output))
    return found
