"""`peekr replay --live`: a trace's model calls sent once more, beside what was recorded."""

from __future__ import annotations

import difflib
import json
from collections import Counter
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any, Optional

import click

from peekr.cli.diff import lines_of
from peekr.cli.output import Output
from peekr.cli.progress import progress
from peekr.encoding import dumps, loads
from peekr.files.difference import compare_calls
from peekr.plaintext import clean
from peekr.record import SpanRecord
from peekr.render.style import Palette
from peekr.replaying.answers import parts_of
from peekr.store.query import Trace
from peekr.summary import format_cost, shorten

if TYPE_CHECKING:
    from peekr.replaying.requests import Asking

__all__ = ["changes_of", "replay_live"]

_TEXT_LINES = 40
_LINE_CHARS = 200


def changes_of(given: Sequence[str]) -> dict[str, Any]:
    """The arguments of `--set`, by name; values are JSON, or else texts.

    Raises:
        click.UsageError: one is not of the form `key=value`.
    """
    made: dict[str, Any] = {}
    for entry in given:
        name, equals, text = entry.partition("=")
        if not equals or not name:
            raise click.UsageError(f"--set {entry}: write key=value")
        try:
            made[name] = loads(text)
        except ValueError:
            made[name] = text
    return made


def replay_live(
    trace: Trace,
    output: Output,
    *,
    store: dict[str, Any],
    model: Optional[str],
    provider: Optional[str],
    changes: dict[str, Any],
    evaluators: Sequence[Any],
    dry_run: bool,
) -> bool:
    """Send a trace's calls again and print what is different, or print what would be sent.

    Args:
        trace: The recorded trace.
        output: Where to print.
        store: Where the new trace goes: arguments of `peekr.instrument()`.
        model: Asked instead of the recorded one.
        provider: Asked instead of the recorded one.
        changes: Arguments that are set.
        evaluators: Score both runs; without any, those that cost nothing and scored the recorded.
        dry_run: Send nothing.

    Returns:
        Whether every call was answered.
    """
    # What sends needs OpenTelemetry and the SDKs, which reading a file does not.
    from peekr.pricing.book import PriceBook
    from peekr.replaying import live

    asked = live.requests_of(trace.spans, model=model, provider=provider, changes=changes)
    book = PriceBook()
    book.load()
    if dry_run:
        output.lines(_plan(asked, [live.estimate_usd(asking, book) for asking in asked], output))
        return True
    named = {getattr(evaluator, "name", None) for evaluator in evaluators}
    free = [one for one in live.evaluators_for(asked) if one.name not in named]
    with progress("Sending", len(asked)) as advance:
        run = live.send(
            asked, evaluators=[*evaluators, *free], advanced=lambda: advance(1), **store
        )
    colour = output.palette
    for error, count in Counter(run.errors).items():
        click.echo(clean(error) + (f" ({count} calls)" if count > 1 else ""), err=True)
    found = compare_calls(run.pairs)
    output.lines(lines_of(trace.trace_id, run.trace_id, found, colour))
    for before, after in run.pairs:
        if after is not None:
            output.lines(_texts(before, after, colour))
    return not run.errors


def _plan(
    asked: Sequence[Asking], costs: Sequence[Optional[float]], output: Output
) -> Iterator[str]:
    colour = output.palette
    for number, (asking, cost) in enumerate(zip(asked, costs), 1):
        price = "cost unknown" if cost is None else f"about {format_cost(cost)}"
        yield (
            f"{colour.strong}{number}. {asking.provider} {asking.method}{colour.off} "
            f"[{clean(asking.model)}]  {price}"
        )
        if asking.dropped:
            names = ", ".join(asking.dropped)
            yield f"   left out, as {asking.provider} does not know them: {names}"
        sent = dumps(asking.arguments).decode("utf-8", "replace")
        if output.is_terminal:
            # For eyes; elsewhere a request is a line.
            for line in json.dumps(loads(sent), indent=2, ensure_ascii=False).splitlines():
                yield clean(line)
        else:
            yield clean(sent)
    known = [cost for cost in costs if cost is not None]
    total = format_cost(sum(known)) if known else "unknown"
    yield f"{len(asked)} calls, estimated cost {total}; nothing was sent"


def _texts(before: SpanRecord, after: SpanRecord, colour: Palette) -> Iterator[str]:
    one, other = _output(before), _output(after)
    if one == other:
        return
    yield ""
    yield f"  {colour.strong}{shorten(before.name, 100)}{colour.off} answered"
    lines = difflib.unified_diff(one, other, n=1, lineterm="")
    for number, line in enumerate(lines):
        if number < 2 or line.startswith("@@"):
            continue  # names of files and lines
        if number > _TEXT_LINES:
            yield "    …"
            return
        sign = line[:1]
        mark = colour.error if sign == "-" else colour.model if sign == "+" else ""
        yield f"    {mark}{sign} {shorten(line[1:], _LINE_CHARS)}{colour.off if mark else ''}"


def _output(span: SpanRecord) -> list[str]:
    """An answer as lines: its texts, then what it calls, whose ids are new each time."""
    held: Any = span.attributes.get("output")
    if isinstance(held, str):
        return held.splitlines()
    lines: list[str] = []
    for part in parts_of(held):
        kind, content = part.get("type"), part.get("content")
        if kind == "tool_call":
            asked = dumps(part.get("arguments")).decode("utf-8", "replace")
            lines.append(f"calls {part.get('name')}({asked})")
        elif isinstance(content, str):
            lead = "" if kind == "text" else f"({kind}) "
            lines += [lead + line for line in content.splitlines()]
        else:
            rest = {key: value for key, value in part.items() if key != "id"}
            lines.append(dumps(rest).decode("utf-8", "replace"))
    return lines
