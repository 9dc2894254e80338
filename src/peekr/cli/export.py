"""`peekr export`: stored traces in the forms that other programs read."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import closing
from typing import Any, Optional

import click

from peekr.cli.choosing import chooses, default_file, query_of
from peekr.cli.output import count_of, keep_traces
from peekr.cli.progress import counted
from peekr.errors import PeekrError
from peekr.files.exporting import FORMATS, export_records, format_of, replacing
from peekr.files.merging import is_database
from peekr.plaintext import clean
from peekr.record import SpanRecord
from peekr.store.opening import open_reader
from peekr.store.query import Query, Reader

__all__ = ["export"]


@click.command(
    "export",
    epilog="""\b
Examples:
  peekr export traces.db -o traces.parquet
  peekr export traces.jsonl -o calls.csv --since 1d
  peekr export traces.db --format otlp-json --trace 4bf92f35 > trace.otlp.json
  peekr export traces.db -o traces.jsonl""",
)
@click.argument("file", required=False, type=click.Path())
@click.option("--output", "-o", metavar="PATH", help="Write there instead of to standard output.")
@click.option(
    "--format",
    "format_name",
    type=click.Choice(FORMATS),
    help="What to write; when left out, what the name of the output says, else otlp-json.",
)
@chooses
@click.option(
    "--limit", type=click.IntRange(min=0), default=0, metavar="N", help="Only the newest N traces."
)
def export(
    file: Optional[str],
    output: Optional[str],
    format_name: Optional[str],
    limit: int,
    **choice: Any,
) -> None:
    """Write the traces in FILE as OTLP JSON, JSON lines, CSV or Parquet.

    FILE is a JSONL or a SQLite file. Without it, traces.db or traces.jsonl in the current directory
    is read. The output appears when it is whole. In CSV, a text that a spreadsheet would take for a
    formula begins with an apostrophe.
    """
    if output == "-":
        output = None
    if output is not None and is_database(output):
        raise click.UsageError("SQLite is written by merge: peekr merge FILE -o NEW.db")
    path = file if file is not None else default_file()
    if output is not None:
        keep_traces(output, path)
    chosen = format_name or (format_of(output) if output else None) or "otlp-json"
    if output is None and chosen == "parquet" and sys.stdout.isatty():
        raise click.UsageError("parquet is not for a terminal: name a file with -o")
    query = query_of(choice, limit)
    with closing(open_reader(path)) as reader:
        records = counted(_records(reader, query), "Exporting", None)
        if output is None:
            count = export_records(records, chosen, sys.stdout.buffer)
            sys.stdout.flush()
        else:
            try:
                with replacing(output) as stream:
                    count = export_records(records, chosen, stream)
            except OSError as error:
                reason = (error.strerror or str(error)).lower()
                raise PeekrError(f"{clean(output)}: {reason}") from None
        problems = reader.problems.describe()
    if problems:
        click.echo(f"{clean(path)}: {problems}", err=True)
    if output is not None:
        click.echo(f"Wrote {count_of(count, 'record')} to {clean(output)} ({chosen}).")
    elif not count:
        click.echo(f"{clean(path)}: no trace matches", err=True)


def _records(reader: Reader, query: Query) -> Iterator[SpanRecord]:
    if query.trace is None and query.limit is None and not query.conditions():
        yield from reader.records()
        return
    for trace in reader.select(query).traces:
        yield from trace.spans
