"""`peekr diff`: two traces compared."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Callable, Optional

import click

from peekr.cli.choosing import default_file, trace_named
from peekr.cli.output import Output
from peekr.encoding import dumps
from peekr.files.difference import Difference, FirstDifference, Pair, compare
from peekr.plaintext import clean, clean_json
from peekr.render.style import Palette
from peekr.summary import format_cost, format_duration, shorten

__all__ = ["diff", "lines_of"]

_TEXT_CHARS = 300
_ID_CHARS = 32


@click.command(
    "diff",
    epilog="""\b
Examples:
  peekr diff 4bf92f35 9c0d11ab
  peekr diff 4bf92f35 9c0d11ab --file traces.db
  peekr diff 4bf92f35 9c0d11ab --file before.jsonl --file after.jsonl --json""",
)
@click.argument("before", metavar="TRACE")
@click.argument("after", metavar="TRACE")
@click.option(
    "--file",
    "files",
    multiple=True,
    type=click.Path(),
    help="Where the traces are; twice where each has a file of its own.",
)
@click.option("--json", "as_json", is_flag=True, help="Print the difference as JSON.")
def diff(before: str, after: str, files: tuple[str, ...], as_json: bool) -> None:
    """Compare two traces: the first message that differs, and what each cost and took.

    TRACE is a trace id, or the beginning of one. Without --file, traces.db or traces.jsonl in the
    current directory is read. Ids and times are no differences.
    """
    if len(files) > 2:
        raise click.UsageError("--file can be given once or twice")
    paths = files or (default_file(),)
    first, second = trace_named(paths[0], before), trace_named(paths[-1], after)
    found = compare(first.spans, second.spans)
    output = Output()
    if as_json:
        output.json_lines([clean_json(dumps(found.to_dict()).decode("utf-8", "replace"))])
    else:
        output.lines(lines_of(first.trace_id, second.trace_id, found, output.palette))
    output.flush()


def lines_of(before: str, after: str, found: Difference, colour: Palette) -> Iterator[str]:
    """A comparison as people read it; the ids of the traces come first."""
    yield (
        f"{colour.strong}trace {shorten(before, _ID_CHARS)}{colour.off} compared with "
        f"{colour.strong}{shorten(after, _ID_CHARS)}{colour.off}"
    )
    for row in _sums(found):
        yield f"  {row}"
    first = found.first
    if first is not None:
        yield ""
        yield from _first(*first, colour)
    changed = [pair for pair in found.pairs if pair.is_changed]
    if not changed:
        yield ""
        yield "  The same calls, with the same contents."
        return
    yield ""
    for pair in changed:
        yield f"  {_changes(pair, colour)}"


def _sums(found: Difference) -> Iterator[str]:
    rows: list[tuple[str, Optional[float], Optional[float], Callable[[float], str]]] = [
        ("spans", found.before.spans, found.after.spans, _plain),
        ("errors", found.before.errors, found.after.errors, _plain),
        ("duration", found.before_ms, found.after_ms, format_duration),
        ("tokens", found.before.tokens, found.after.tokens, _plain),
        ("cost", found.before.cost_usd, found.after.cost_usd, format_cost),
        *((f"score {clean(one.name)}", one.before, one.after, _score) for one in found.scores),
    ]
    width = max(len(row[0]) for row in rows)
    for label, was, now, shown in rows:
        if was is None and now is None:
            continue
        left = "none" if was is None else shown(was)
        right = "none" if now is None else shown(now)
        change = ""
        if was is not None and now is not None and was != now:
            sign = "+" if now > was else "-"
            share = f" ({(now - was) / was:+.0%})" if was else ""
            change = f"  {sign}{shown(abs(now - was))}{share}"
        yield f"{label.ljust(width)}  {left.rjust(10)}  {right.rjust(10)}{change}"


def _plain(value: float) -> str:
    return f"{value:.0f}"


def _score(value: float) -> str:
    return f"{value:.2f}"


def _first(pair: Pair, where: FirstDifference, colour: Palette) -> Iterator[str]:
    record = pair.before or pair.after
    name = shorten(record.name, 100) if record is not None else ""
    place = where.content
    if where.message is not None:
        role = f" ({clean(where.role)})" if where.role else ""
        place = f"{where.content} message {where.message}{role}"
    after = f", after {where.place} characters that are the same" if where.place else ""
    yield f"  First difference: {colour.strong}{name}{colour.off}, {place}{after}"
    for sign, text in (("-", where.before), ("+", where.after)):
        shown = "(nothing)" if text is None else shorten(text, _TEXT_CHARS) or "(ends here)"
        yield f"    {colour.error if sign == '-' else colour.model}{sign} {shown}{colour.off}"


def _changes(pair: Pair, colour: Palette) -> str:
    record = pair.before or pair.after
    assert record is not None
    name = f"{colour.strong}{shorten(record.name, 100)}{colour.off}"
    if pair.after is None:
        return f"- {name}  only in the first"
    if pair.before is None:
        return f"+ {name}  only in the second"
    said = [
        f"{clean(c.name)} {_shown(c.name, c.before)} -> {_shown(c.name, c.after)}"
        for c in pair.changes
    ]
    if pair.contents:
        names = " and ".join(c.content for c in pair.contents)
        said.append(f"{names} {'differs' if len(pair.contents) == 1 else 'differ'}")
    return f"~ {name}  {'; '.join(said)}"


def _shown(name: str, value: Any) -> str:
    if value is not None and name in _FORMATS:
        return _FORMATS[name](value)
    return _value(value)


_FORMATS: dict[str, Callable[[Any], str]] = {"cost_usd": format_cost, "latency": format_duration}


def _value(value: Any) -> str:
    if value is None:
        return "none"
    if isinstance(value, (list, tuple)):
        return ",".join(shorten(str(entry), 40) for entry in value)  # pyright: ignore[reportUnknownVariableType, reportUnknownArgumentType]
    return shorten(str(value), 100)
