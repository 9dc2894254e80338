"""`peekr stats`: what a trace file holds."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import closing
from datetime import datetime
from typing import Optional

import click

from peekr.cli.choosing import default_file
from peekr.cli.output import Output, count_of
from peekr.cli.progress import counted
from peekr.encoding import dumps
from peekr.files.inventory import Inventory, KindCount, file_bytes, take_inventory
from peekr.plaintext import clean, clean_json
from peekr.render.table import aligned
from peekr.store.opening import open_reader
from peekr.summary import format_duration, shorten

__all__ = ["stats"]

_SHOWN = 15


@click.command(
    "stats",
    epilog="""\b
Examples:
  peekr stats traces.db
  peekr stats traces.jsonl --json""",
)
@click.argument("file", required=False, type=click.Path())
@click.option("--json", "as_json", is_flag=True, help="Print the counts as JSON.")
def stats(file: Optional[str], as_json: bool) -> None:
    """Count what FILE holds: traces, spans, errors, models, tokens, latencies, tenants.

    FILE is a JSONL or a SQLite file. Without it, traces.db or traces.jsonl in the current directory
    is read. Tokens are sums over all spans; `peekr cost` counts each call once.
    """
    path = file if file is not None else default_file()
    with closing(open_reader(path)) as reader:
        found = take_inventory(counted(reader.records(), "Counting", None))
        problems = reader.problems.describe()
    output = Output()
    size = file_bytes(path)
    if as_json:
        said = {"file": path, "bytes": size, **found.to_dict()}
        output.json_lines([clean_json(dumps(said).decode("utf-8", "replace"))])
    else:
        output.lines(_lines(path, size, found))
    output.flush()
    if problems:
        click.echo(f"{clean(path)}: {problems}", err=True)


def _lines(path: str, size: int, found: Inventory) -> Iterator[str]:
    yield f"{clean(path)}  {_size(size)}"
    errors = f", {found.errors} with an error" if found.errors else ""
    yield f"  {count_of(found.traces, 'trace')}, {count_of(found.spans, 'span')}{errors}"
    if found.first is not None and found.last is not None:
        yield f"  from {_clock(found.first)} to {_clock(found.last)}"
    for name, count in found.distinct.items():
        yield f"  {count} different {name.replace('_id', '')}{'' if count == 1 else 's'}"
    yield ""
    yield from _table("spans by name", found.names, with_tokens=False)
    if found.models:
        yield ""
        yield from _table("calls by model", found.models, with_tokens=True)
    for title, counts in (
        ("tenants", found.tenants),
        ("retention classes", found.retention_classes),
    ):
        if set(counts) - {""}:
            yield ""
            yield f"  {title}"
            for name, count in counts.most_common(_SHOWN):
                yield f"    {shorten(name, 60) or '(none)'}  {count}"
            if len(counts) > _SHOWN:
                yield f"    and {len(counts) - _SHOWN} more"


def _table(title: str, counts: Mapping[str, KindCount], with_tokens: bool) -> Iterator[str]:
    head = [title, "count", "errors", "p50", "p95"]
    if with_tokens:
        head += ["tokens in", "tokens out"]
    rows = [head]
    largest = sorted(counts.items(), key=lambda item: -item[1].spans)
    for name, count in largest[:_SHOWN]:
        row = [shorten(name, 60) or "(no name)", str(count.spans), str(count.errors or "")]
        row += [_duration(count.percentile_ms(0.5)), _duration(count.percentile_ms(0.95))]
        if with_tokens:
            row += [f"{count.tokens_input:.0f}", f"{count.tokens_output:.0f}"]
        rows.append(row)
    for line in aligned(rows):
        yield f"  {line}"
    if len(largest) > _SHOWN:
        yield f"  and {len(largest) - _SHOWN} more"


def _duration(milliseconds: Optional[float]) -> str:
    return "" if milliseconds is None else format_duration(milliseconds)


def _clock(seconds: float) -> str:
    try:
        return datetime.fromtimestamp(seconds).strftime("%Y-%m-%d %H:%M:%S")
    except (ValueError, OverflowError, OSError):
        return f"{seconds:.0f}"  # a time that no calendar has


def _size(count: int) -> str:
    size = float(count)
    for unit in ("bytes", "KB", "MB", "GB"):
        if size < 1000 or unit == "GB":
            return f"{size:.0f} {unit}" if unit == "bytes" else f"{size:.1f} {unit}"
        size /= 1000
    raise AssertionError("unreachable")
