"""`peekr dashboard`: a trace file as one HTML page."""

from __future__ import annotations

from typing import Optional

import click

from peekr.cli.choosing import default_file
from peekr.cli.output import count_of, keep_traces
from peekr.cli.progress import progress
from peekr.errors import PeekrError
from peekr.plaintext import clean

__all__ = ["dashboard"]


@click.command(
    "dashboard",
    epilog="""\b
Examples:
  peekr dashboard traces.db
  peekr dashboard traces.jsonl -o report.html""",
)
@click.argument("file", required=False, type=click.Path())
@click.option(
    "--output",
    "-o",
    default="report.html",
    show_default=True,
    metavar="PATH",
    help="The HTML file to write.",
)
def dashboard(file: Optional[str], output: str) -> None:
    """Write what is in FILE as one HTML page: calls, errors, latency, cost, quality, traces.

    The page opens in any browser and needs no network. It is a few MB at most, whatever the size of
    FILE: figures are about everything, and of the traces the telling ones can be opened. It
    contains their prompts and answers.
    """
    from peekr.dashboard.report import write_report

    path = file if file is not None else default_file()
    keep_traces(output, path)
    try:
        with progress("Reading", None) as advance:
            made = write_report(path, output, advance)
    except OSError as error:
        raise PeekrError(f"{clean(output)}: {(error.strerror or str(error)).lower()}") from None
    if made.problems:
        click.echo(f"{clean(path)}: {made.problems}", err=True)
    click.echo(
        f"Wrote {clean(output)} ({made.bytes / 1e6:.1f} MB): {count_of(made.traces, 'trace')}, "
        f"{count_of(made.spans, 'span')}; {count_of(made.embedded, 'trace')} can be opened in it."
    )
