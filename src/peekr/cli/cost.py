"""`peekr cost`: what the model calls in a file cost, by whatever is asked for."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from typing import Any, Optional

import click
from click.core import ParameterSource

from peekr.cli.choosing import default_file, moment, query_of
from peekr.cli.cost_view import CostView
from peekr.cli.output import Output
from peekr.costs import DIMENSIONS, CallCost, CostReport, Group, Sums, Table, report
from peekr.encoding import dumps
from peekr.errors import UnreadableFileError
from peekr.plaintext import clean, clean_json
from peekr.pricing.book import PriceBook
from peekr.store.opening import open_reader

__all__ = ["cost"]

_DEFAULT_ROWS = 20
_DEFAULT_TOP = 5
# What a spreadsheet would take for a formula.
_FORMULA = ("=", "+", "-", "@", "\t", "\r")


def _groupings(
    ctx: click.Context, param: click.Parameter, value: tuple[str, ...]
) -> list[tuple[str, ...]]:
    found: list[tuple[str, ...]] = []
    for text in value or ("model",):
        names = tuple(name.strip().lower() for name in text.split(","))
        for name in names:
            if name not in DIMENSIONS:
                message = f"'{clean(name)}' is none of {', '.join(DIMENSIONS)}"
                raise click.BadParameter(message, ctx, param)
        if names not in found:
            found.append(names)
    return found


@click.command(
    "cost",
    epilog="""\b
Examples:
  peekr cost traces.jsonl
  peekr cost traces.db --by tenant --by day --since 30d
  peekr cost traces.db --by user,model --csv > costs.csv
  peekr cost traces.jsonl --reprice --json""",
)
@click.argument("file", required=False, type=click.Path())
@click.option(
    "--by",
    "groupings",
    multiple=True,
    callback=_groupings,
    metavar="NAME",
    help=f"Sum by {', '.join(DIMENSIONS)}; by several at once as user,model. "
    "Given several times, a table each. Else by model.",
)
@click.option(
    "--since",
    callback=moment,
    metavar="TIME",
    help="Only calls that ended since then: 30s, 10m, 2h, 3d, an ISO time"
    " (local, or with offset), or Unix seconds.",
)
@click.option(
    "--model",
    metavar="MODEL",
    help="Only calls of this model, dated versions included; * stands for any text.",
)
@click.option("--session", metavar="ID", help="Only calls of this session.")
@click.option("--tenant", metavar="ID", help="Only calls of this tenant.")
@click.option("--user", metavar="ID", help="Only calls of this user.")
@click.option("--trace", metavar="ID", help="Only calls of the trace with this id, or beginning.")
@click.option("--errors", is_flag=True, help="Only calls that failed.")
@click.option(
    "--reprice",
    is_flag=True,
    help="Price every call anew, from today's table and your own prices, as of the call's time.",
)
@click.option(
    "--prices",
    type=click.Path(),
    envvar="PEEKR_PRICES",
    metavar="FILE",
    help="A JSON file of your own prices for --reprice; else PEEKR_PRICES names it.",
)
@click.option(
    "--top",
    type=click.IntRange(min=0),
    default=_DEFAULT_TOP,
    show_default=True,
    metavar="N",
    help="Name the N most expensive and the N slowest calls.",
)
@click.option(
    "--limit",
    type=click.IntRange(min=0),
    default=_DEFAULT_ROWS,
    show_default=True,
    metavar="N",
    help="Show the first N rows of a table; 0 shows all. JSON and CSV have all.",
)
@click.option("--json", "as_json", is_flag=True, help="Print a JSON document.")
@click.option("--csv", "as_csv", is_flag=True, help="Print the table as CSV.")
def cost(
    file: Optional[str],
    groupings: list[tuple[str, ...]],
    reprice: bool,
    prices: Optional[str],
    top: int,
    limit: int,
    as_json: bool,
    as_csv: bool,
    **choice: Any,
) -> None:
    """Sum up what the model calls in FILE cost.

    Shows the sums by model or by what --by names, tokens by kind with what caching saved, the most
    expensive and the slowest calls, and calls without a known price. A call counts once, also where
    a framework's span repeats it. FILE is a JSONL or a SQLite file, told apart by its content.
    Without it, traces.db or traces.jsonl in the current directory is read.
    """
    if as_json and as_csv:
        raise click.UsageError("--json and --csv exclude each other")
    if as_csv and len(groupings) > 1:
        raise click.UsageError("--csv prints one table: give --by once, as --by user,model")
    source_of_prices = click.get_current_context().get_parameter_source("prices")
    if source_of_prices is ParameterSource.COMMANDLINE and not reprice:
        raise click.UsageError("--prices goes with --reprice")
    output = Output()
    where = "--prices" if source_of_prices is ParameterSource.COMMANDLINE else "PEEKR_PRICES"
    book, source = _book(prices, where) if reprice else (None, None)
    query = query_of(choice)
    path = file if file is not None else default_file()
    with closing(open_reader(path)) as reader:
        found = report(reader, groupings, query=query, top=top, book=book)
        problems = reader.problems.describe()
    shown = clean(path)
    if problems:
        click.echo(f"{shown}: {problems}", err=True)
    if not found.total.calls:
        none = (
            "no model call matches" if query.conditions() or query.trace else "no model calls yet"
        )
        click.echo(f"{shown}: {none}", err=True)
    if as_json:
        output.json_lines([clean_json(dumps(_document(found, source)).decode("utf-8"))])
    elif as_csv:
        output.lines(_csv(found.tables[0]))
    elif found.total.calls:
        view = CostView(output.palette, output.ellipsis, output.width, limit)
        output.lines(view.report(found, source))
    output.flush()


def _book(prices: Optional[str], where: str) -> tuple[PriceBook, str]:
    from peekr.errors import ConfigurationError
    from peekr.pricing import library
    from peekr.pricing.own import OwnPrices

    try:
        book = PriceBook(OwnPrices.of(prices, where) if prices else None)
    except ConfigurationError as error:
        raise UnreadableFileError(str(error)) from None
    book.load()
    return book, library.source()


# -- JSON and CSV ----------------------------------------------------------------------------------


def _sums(sums: Sums) -> dict[str, Any]:
    return {
        "calls": sums.calls,
        "errors": sums.errors,
        "unpriced_calls": sums.unpriced,
        "tokens_input": sums.input,
        "tokens_output": sums.output,
        "tokens_cache_read": sums.cache_read,
        "tokens_cache_write": sums.cache_write,
        "tokens_reasoning": sums.reasoning,
        "cost_usd": round(sums.cost_usd, 9),
        "cost_saved_usd": round(sums.saved_usd, 9),
    }


def _group(by: tuple[str, ...], group: Group) -> dict[str, Any]:
    return {**dict(zip(by, group.values)), **_sums(group.sums)}


def _call(call: CallCost) -> dict[str, Any]:
    return {
        "trace_id": call.trace_id,
        "span_id": call.span_id,
        "name": call.name,
        "model": call.model,
        "start_time": call.start_time,
        "duration_ms": call.duration_ms,
        "cost_usd": call.cost_usd,
    }


def _document(found: CostReport, source: Optional[str]) -> dict[str, Any]:
    return {
        "prices": source or "as recorded",
        "total": _sums(found.total),
        "by": {
            ",".join(table.by): [_group(table.by, group) for group in table.groups]
            for table in found.tables
        },
        "most_expensive": [_call(call) for call in found.most_expensive],
        "slowest": [_call(call) for call in found.slowest],
        "unpriced": [
            {
                "provider": one.provider,
                "model": one.model,
                "calls": one.calls,
                "tokens": one.tokens,
            }
            for one in found.unpriced
        ],
    }


def _csv(table: Table) -> Iterator[str]:
    import csv
    import io

    def line(cells: list[Any]) -> str:
        text = io.StringIO()
        csv.writer(text, lineterminator="").writerow(cells)
        return text.getvalue()

    yield line([*table.by, *_sums(Sums())])
    for group in table.groups:
        yield line([*map(_cell, group.values), *map(_number, _sums(group.sums).values())])


def _cell(value: Optional[str]) -> str:
    text = clean(value or "")
    # The names are strangers' texts: a spreadsheet must not run them.
    return f"'{text}" if text.startswith(_FORMULA) else text


def _number(value: Any) -> str:
    return f"{value:.9f}".rstrip("0").rstrip(".") if isinstance(value, float) else str(value)
