"""Colours, and the lines that trees are drawn with."""

from __future__ import annotations

from typing import NamedTuple

__all__ = ["ASCII", "COLOUR", "LINES", "PLAIN", "Palette", "Pieces"]


class Pieces(NamedTuple):
    """What the lines of a tree are drawn with."""

    branch: str
    last: str
    bar: str
    blank: str


LINES = Pieces("├─ ", "└─ ", "│  ", "   ")
"""The tree's lines where the terminal can show them."""

ASCII = Pieces("|- ", "`- ", "|  ", "   ")
"""The tree's lines everywhere else."""


class Palette(NamedTuple):
    """Escape sequences of the terminal by meaning; all empty for plain text."""

    off: str = ""
    strong: str = ""
    dim: str = ""
    model: str = ""
    cost: str = ""
    error: str = ""
    label: str = ""


PLAIN = Palette()
"""Text and nothing else."""

COLOUR = Palette(
    off="\x1b[0m",
    strong="\x1b[1m",
    dim="\x1b[2m",
    model="\x1b[36m",
    cost="\x1b[32m",
    error="\x1b[1;31m",
    label="\x1b[34m",
)
"""The eight colours that each terminal's own scheme defines."""
