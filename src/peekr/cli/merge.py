"""`peekr merge`: several trace files put together into one."""

from __future__ import annotations

import click

from peekr.cli.output import count_of
from peekr.files.merging import merge_files
from peekr.plaintext import clean

__all__ = ["merge"]


@click.command(
    "merge",
    epilog="""\b
Examples:
  peekr merge worker-1.jsonl worker-2.jsonl -o all.jsonl
  peekr merge traces.jsonl otlp.jsonl -o traces.db""",
)
@click.argument("files", nargs=-1, required=True, type=click.Path())
@click.option(
    "--output",
    "-o",
    required=True,
    metavar="PATH",
    help="The new file: SQLite where its name ends in .db or .sqlite, else JSON lines.",
)
def merge(files: tuple[str, ...], output: str) -> None:
    """Write the records of FILES into one new file, each record once.

    FILES are JSONL, SQLite and OTLP JSON files. Records with the same trace and span id count as
    one; the first is kept. A file that exists is never written over.
    """
    made = merge_files(files, output)
    for problem in made.problems:
        click.echo(problem, err=True)
    was = "was" if made.doubled == 1 else "were"
    doubled = f" ({made.doubled:,} {was} there twice)" if made.doubled else ""
    click.echo(f"Wrote {count_of(made.records, 'record')} to {clean(output)}{doubled}.")
