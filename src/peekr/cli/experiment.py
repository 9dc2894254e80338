"""`peekr experiment`: the variants of an experiment side by side."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import closing
from typing import Any, Optional

import click

from peekr.cli.output import Output
from peekr.encoding import dumps
from peekr.errors import UnreadableFileError
from peekr.files.comparison import (
    MIN_CALLS,
    Difference,
    Experiment,
    Variant,
    compare,
    mean,
    percentile,
)
from peekr.plaintext import clean, clean_json
from peekr.render.table import aligned
from peekr.store.opening import open_reader
from peekr.summary import format_cost, format_duration

__all__ = ["experiment"]

# How a metric is shown, and the words for less and for more of it.
_METRICS: dict[str, tuple[Callable[[float], str], str, str]] = {
    "errors": (lambda share: f"{share * 100:.1f}%", "fewer errors", "more errors"),
    "latency": (format_duration, "faster", "slower"),
    "tokens": (lambda tokens: f"{tokens:.0f}", "fewer tokens", "more tokens"),
    "cost": (format_cost, "cheaper", "more expensive"),
}


@click.command(
    "experiment",
    epilog="""\b
Examples:
  peekr experiment traces.jsonl
  peekr experiment traces.db answer --baseline short
  peekr experiment traces.db --json""",
)
@click.argument("file", type=click.Path())
@click.argument("name", required=False)
@click.option(
    "--baseline",
    metavar="VARIANT",
    help="Compare with this variant; else with control, baseline or default, or the first by name.",
)
@click.option("--json", "as_json", is_flag=True, help="Print a JSON document an experiment.")
def experiment(file: str, name: Optional[str], baseline: Optional[str], as_json: bool) -> None:
    """Compare the variants of the experiments in FILE, or of the one called NAME.

    Shows calls, error rate, latency of the calls that succeeded, and tokens, cost and scores a
    call, then how each variant differs from the baseline. p is how probable such a difference is
    by chance, corrected for the number of comparisons; below 0.05 it is called a difference. With
    too few calls there is not enough data to say.
    """
    output = Output()
    with closing(open_reader(file)) as reader:
        found = compare(reader.records(), name=name, baseline=baseline)
        problems = reader.problems.describe()
    shown = clean(file)
    if problems:
        click.echo(f"{shown}: {problems}", err=True)
    if not found:
        what = "no experiment" if name is None else f"no experiment called {clean(name)}"
        raise UnreadableFileError(f"{shown}: {what} in this file")
    if baseline is not None and not any(_has(entry, baseline) for entry in found):
        raise click.UsageError(f"--baseline {clean(baseline)}: there is no such variant")
    if as_json:
        output.json_lines(clean_json(dumps(_document(entry)).decode("utf-8")) for entry in found)
    else:
        for position, entry in enumerate(found):
            output.lines([""] if position else [])
            output.lines(_text(entry))
    output.flush()


def _has(entry: Experiment, name: str) -> bool:
    return any(variant.name == name for variant in entry.variants)


def _text(entry: Experiment) -> Iterator[str]:
    yield clean(entry.name)
    yield from _table(entry)
    if len(entry.variants) < 2:
        yield "Only one variant: nothing to compare."
    for variant in entry.variants[1:]:
        differences = [one for one in entry.differences if one.variant == variant.name]
        yield f"{clean(variant.name)} against {clean(entry.variants[0].name)}"
        told = [
            (clean(one.metric), _verdict(one))
            for one in differences
            if one.before is not None or one.after is not None
        ]
        for line in aligned(told, left=(0, 1)):
            yield f"  {line}"


def _table(entry: Experiment) -> Iterator[str]:
    scores = sorted({score for variant in entry.variants for score in variant.scores})
    rows = [["variant", "calls", "errors", "p50", "p95", "tokens", "cost", *map(clean, scores)]]
    rows += [_row(variant, scores) for variant in entry.variants]
    for line in aligned(rows):
        yield f"  {line}"


def _row(variant: Variant, scores: list[str]) -> list[str]:
    def shown(value: Optional[float], how: Callable[[float], str]) -> str:
        return "-" if value is None else how(value)

    latencies = variant.latencies_ms
    return [
        clean(variant.name),
        f"{variant.calls}",
        f"{variant.errors / variant.calls * 100:.1f}%",
        shown(percentile(latencies, 0.5), format_duration),
        shown(percentile(latencies, 0.95), format_duration),
        shown(mean(variant.tokens), lambda tokens: f"{tokens:.0f}"),
        shown(mean(variant.costs_usd), format_cost),
        *(shown(mean(variant.samples(score)), lambda score: f"{score:.2f}") for score in scores),
    ]


def _verdict(one: Difference) -> str:
    if one.p is None or one.before is None or one.after is None:
        return f"not enough data ({MIN_CALLS} calls of each are needed)"
    chance = "p < 0.001" if one.p < 0.001 else f"p = {one.p:.3f}"
    if not one.is_significant:
        return f"no significant difference ({chance})"
    show, less, more = _METRICS.get(one.metric, (lambda score: f"{score:.2f}", "lower", "higher"))
    if one.after == one.before:
        return f"distributed differently ({chance})"
    word = less if one.after < one.before else more
    return f"{word}: {show(one.after)} instead of {show(one.before)} ({chance})"


def _document(entry: Experiment) -> dict[str, Any]:
    return {
        "experiment": entry.name,
        "baseline": entry.variants[0].name,
        "variants": [
            {
                "variant": variant.name,
                "calls": variant.calls,
                "errors": variant.errors,
                "error_rate": variant.errors / variant.calls,
                "latency_p50_ms": percentile(variant.latencies_ms, 0.5),
                "latency_p95_ms": percentile(variant.latencies_ms, 0.95),
                "tokens_per_call": mean(variant.tokens),
                "cost_usd_per_call": mean(variant.costs_usd),
                "scores": {name: mean(values) for name, values in variant.scores.items()},
            }
            for variant in entry.variants
        ],
        "differences": [
            {
                "metric": one.metric,
                "variant": one.variant,
                "baseline_value": one.before,
                "value": one.after,
                "p": one.p,
                "significant": one.is_significant if one.p is not None else None,
            }
            for one in entry.differences
        ],
    }
