"""Standard output: a terminal, a pipe, or one that went away."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable

import click

from peekr.plaintext import clean
from peekr.render.style import ASCII, COLOUR, LINES, PLAIN, Palette, Pieces

__all__ = ["Output", "abandon_stdout", "count_of", "keep_traces"]

_MAX_COLUMNS = 120
_SQLITE = b"SQLite format 3\0"


class Output:
    """Writes lines to standard output as it is at the time of construction.

    Attributes:
        palette: Colours on a terminal, unless `NO_COLOR` is set or the terminal is dumb.
        pieces: Lines to draw trees with, as far as the encoding has them.
        width: Columns to wrap long text at, None where nothing is to be wrapped (no terminal).
    """

    palette: Palette
    pieces: Pieces

    def __init__(self) -> None:
        stream = sys.stdout
        reconfigure = getattr(stream, "reconfigure", None)
        if reconfigure is not None:
            # What the encoding does not have is shown as an escape instead of being an error.
            reconfigure(errors="backslashreplace")
        self.is_terminal = stream.isatty()
        has_colour = (
            self.is_terminal and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"
        )
        self.palette = COLOUR if has_colour else PLAIN
        try:
            LINES.branch.encode(stream.encoding or "ascii")
            self.ellipsis, self.pieces = "…", LINES
        except (UnicodeEncodeError, LookupError):
            self.ellipsis, self.pieces = "...", ASCII
        self.width = None
        if self.is_terminal:
            import shutil

            self.width = min(shutil.get_terminal_size((80, 24)).columns, _MAX_COLUMNS)

    def lines(self, lines: Iterable[str]) -> None:
        """Write lines; on a terminal at once."""
        text = "".join([f"{line}\n" for line in lines])
        if self.is_terminal:
            # click knows how to colour on every Windows console.
            click.echo(text, nl=False, color=self.palette is COLOUR)
        else:
            sys.stdout.write(text)

    def json_lines(self, documents: Iterable[str]) -> None:
        """Write JSON documents, one a line, in UTF-8 whatever the terminal's encoding is."""
        data = "".join([f"{document}\n" for document in documents])
        sys.stdout.buffer.write(data.encode("utf-8"))

    def flush(self) -> None:
        """Hand on what is buffered, so that an error shows here and not at exit."""
        sys.stdout.flush()


def count_of(count: int, noun: str) -> str:
    """A number of things: `1 trace`, `2,345 traces`."""
    return f"{count:,} {noun}{'' if count == 1 else 's'}"


def keep_traces(output: str, source: str) -> None:
    """Refuse to write over traces.

    Args:
        output: What is to be written.
        source: The trace file that is read.

    Raises:
        click.UsageError: the output is the source, or a SQLite database.
    """
    if not os.path.isfile(output):
        return
    try:
        if os.path.samefile(output, source):
            raise click.UsageError(f"{clean(output)} is the file that is read: name another")
        with open(output, "rb") as file:
            is_database = file.read(len(_SQLITE)) == _SQLITE
    except OSError:
        return  # whoever reads or writes it says so
    if is_database:
        raise click.UsageError(f"{clean(output)} is a database, not written over: name another")


def abandon_stdout() -> None:
    """Stop writing: nobody reads any more, and the interpreter shall not complain at exit."""
    try:
        null = os.open(os.devnull, os.O_WRONLY)
        os.dup2(null, sys.stdout.fileno())
        os.close(null)
    except (OSError, ValueError):
        pass  # no file behind it: nothing to be flushed into it either
