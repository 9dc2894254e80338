"""`peekr view`: traces as trees in the terminal."""

from __future__ import annotations

import sys
from contextlib import closing
from typing import Any, Optional

import click

from peekr.cli.choosing import ambiguous, chooses, default_file, query_of
from peekr.cli.output import Output
from peekr.cli.progress import progress
from peekr.encoding import dumps
from peekr.errors import UnreadableFileError
from peekr.files.inventory import file_bytes
from peekr.plaintext import clean, clean_json
from peekr.record import SpanRecord
from peekr.render.view import TraceView
from peekr.store.opening import open_reader
from peekr.store.query import Query, Reader, Trace

__all__ = ["view"]

_DEFAULT_LIMIT = 20


@click.command(
    "view",
    epilog="""\b
Examples:
  peekr view traces.jsonl --io
  peekr view traces.db --errors --since 2h
  peekr view --trace 4bf92f35 --io
  peekr view traces.jsonl --follow
  peekr view traces.db --model gpt-4o --json --limit 0""",
)
@click.argument("file", required=False, type=click.Path())
@click.option("--io", "show_io", is_flag=True, help="Show inputs, outputs and whole errors.")
@chooses
@click.option(
    "--limit",
    type=click.IntRange(min=0),
    default=_DEFAULT_LIMIT,
    show_default=True,
    metavar="N",
    help="Show the newest N traces; 0 shows all.",
)
@click.option("--json", "as_json", is_flag=True, help="Print the whole records as JSON lines.")
@click.option("--follow", "-f", is_flag=True, help="Go on showing spans as they end (Ctrl-C ends).")
def view(
    file: Optional[str],
    show_io: bool,
    limit: int,
    as_json: bool,
    follow: bool,
    **choice: Any,
) -> None:
    """Show the traces in FILE as trees, the newest last.

    FILE is a JSONL or a SQLite file, told apart by its content. Without it, traces.db or
    traces.jsonl in the current directory is shown.
    """
    path = file if file is not None else default_file()
    query = query_of(choice, limit)
    printer = _Printer(Output(), show_io, as_json)
    if follow:
        from peekr.cli.follow import follow_file

        try:
            follow_file(path, query, printer.whole, printer.fragment, printer.flush)
        except KeyboardInterrupt:
            return
    # Beside a tree that is being printed a bar would only flicker.
    shown = not sys.stdout.isatty()
    with (
        closing(open_reader(path)) as reader,
        progress("Reading", file_bytes(path), shown=shown) as advance,
    ):
        reader.advanced = advance
        _show(reader, query, printer)


def _show(reader: Reader, query: Query, printer: _Printer) -> None:
    selection = reader.select(query)
    shown = 0
    if query.trace is not None:
        traces = list(selection.traces)
        # The whole of an id may be the beginning of another.
        traces = [found for found in traces if found.trace_id == query.trace] or traces
        if len(traces) + selection.omitted > 1:
            raise ambiguous(query.trace, traces, len(traces) + selection.omitted)
        selection.traces = iter(traces)
    for found in selection.traces:
        printer.whole(found)
        shown += 1
    printer.omitted(selection.omitted, query.limit)
    printer.flush()
    name = clean(reader.path)
    problems = reader.problems.describe()
    if problems:
        click.echo(f"{name}: {problems}", err=True)
    if shown:
        return
    if query.trace is not None:
        raise UnreadableFileError(f"{name}: no trace with the id {clean(query.trace)}")
    none = "no trace matches" if query.conditions() else "no traces yet"
    click.echo(f"{name}: {none}", err=True)


class _Printer:
    """Prints traces in the form that was asked for."""

    def __init__(self, output: Output, show_io: bool, as_json: bool) -> None:
        self._output = output
        self._as_json = as_json
        self._view = TraceView(output.palette, output.pieces, show_io, output.width)
        self._is_first = True

    def whole(self, trace: Trace) -> None:
        """Print a trace."""
        if self._as_json:
            self._json(trace.spans)
            return
        self._separate()
        self._output.lines(self._view.trace(trace.trace_id, trace.spans))

    def fragment(self, trace: Trace, is_known: bool) -> None:
        """Print spans that have just ended."""
        if self._as_json:
            self._json(trace.spans)
        else:
            self._separate()
            lines = self._view.fragment(trace.trace_id, trace.spans, is_known)
            self._output.lines(lines)

    def omitted(self, count: int, limit: Optional[int]) -> None:
        """Say what the limit left out."""
        if not count or limit is None:
            return
        what = "1 older trace" if count == 1 else f"{count} older traces"
        them = "it" if count == 1 else "them"
        text = f"{self._output.ellipsis} {what} not shown, --limit {limit + count} shows {them}"
        if self._as_json:
            click.echo(text, err=True)
        else:
            palette = self._output.palette
            self._output.lines(["", f"{palette.dim}{text}{palette.off}"])

    def flush(self) -> None:
        """Hand on what is buffered."""
        self._output.flush()

    def _json(self, spans: list[SpanRecord]) -> None:
        self._output.json_lines(
            clean_json(dumps(span.to_dict()).decode("utf-8", "replace")) for span in spans
        )

    def _separate(self) -> None:
        if not self._is_first:
            self._output.lines([""])
        self._is_first = False
