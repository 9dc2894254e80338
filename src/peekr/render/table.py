"""Rows of a table with their columns below each other."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence

__all__ = ["aligned", "columns_of"]


def columns_of(text: str) -> int:
    """The columns that a text takes; wide characters (East Asian, emoji) take two."""
    if text.isascii():
        return len(text)
    from rich.cells import cell_len

    return cell_len(text)


def aligned(rows: Sequence[Sequence[str]], left: Collection[int] = (0,)) -> Iterator[str]:
    """Lines of a table.

    Args:
        rows: Its cells, the same number in each row, in plain text.
        left: The columns whose cells begin below each other, counted from 0; those of the others
            end below each other.
    """
    sizes = [[columns_of(cell) for cell in row] for row in rows]
    widths = [max(column) for column in zip(*sizes)]
    for row, taken in zip(rows, sizes):
        cells: list[str] = []
        for place, (cell, size, width) in enumerate(zip(row, taken, widths)):
            gap = " " * (width - size)
            cells.append(f"{cell}{gap}" if place in left else f"{gap}{cell}")
        yield "  ".join(cells).rstrip()
