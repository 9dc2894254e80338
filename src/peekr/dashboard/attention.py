"""What a person should look at first, by rules: failures that grow, what got slow or dear."""

from __future__ import annotations

import re
from typing import NamedTuple, Optional
from urllib.parse import urlencode

from peekr.dashboard.cells import CALLS, COST, CUT_SHORT, PRICED, Totals
from peekr.dashboard.collection import Collection
from peekr.dashboard.figures import short
from peekr.dashboard.pace import slowdown
from peekr.dashboard.traces import ErrorGroup
from peekr.summary import format_cost

__all__ = ["Notice", "notices"]

_LEAST = 20
"""Calls on each side of a comparison that means something."""
_GROWTH = 1.5
_LOOP = 20
_SHOWN_ERRORS = 5
_SHOWN_SLOWER = 3
_LOOKED_AT = 40
"""Kinds and names of work, those with the most time of their own, that may have got slower."""
_TRIFLE = 0.01
"""The share of all time below which it does not matter that something got slower."""
_APART = 0.1
"""How much lower the mean score of a variant or a model is before it is told."""
_LOW = 0.5


class Notice(NamedTuple):
    """One line of *Needs attention*.

    Attributes:
        level: `error`, `warn` or `info`.
        text: What is the matter.
        link: Where on the page it is seen.
        since: Since when, in Unix seconds; None where that says nothing.
    """

    level: str
    text: str
    link: str
    since: Optional[float] = None


def notices(found: Collection) -> list[Notice]:
    """What stands out, the gravest first; empty where nothing does."""
    halves = _halves(found)
    made = [_of_errors(group) for group in _worst_groups(found)]
    made += _slower(found)
    made += [
        notice
        for notice in (
            _latency(halves),
            _cost(halves),
            _loops(found),
            _scores(found),
            *_worse(found),
            _guards(found),
            _unpriced(found),
            _cut_short(found),
        )
        if notice is not None
    ]
    order = ("error", "warn", "info")
    return sorted(made, key=lambda notice: order.index(notice.level))


def _worst_groups(found: Collection) -> list[ErrorGroup]:
    groups = sorted(found.groups.values(), key=lambda group: -group.n)
    return groups[:_SHOWN_ERRORS]


def _of_errors(group: ErrorGroup) -> Notice:
    where = f", {group.model}" if group.model else f" in {group.name[:60]}"
    spans = "1 span" if group.n == 1 else f"{group.n:,} spans"
    text = f"{_plainly(group.key)}{where}, {spans}"
    link = f"#/trace/{group.traces[-1]}" if group.traces else "#/traces?status=error"
    return Notice("error", text, link, group.first)


def _took(ms: float) -> str:
    """A duration as the page writes it: 0.4 ms, 843 ms, 2.4 s, 12 min 31 s."""
    if ms < 999.5:
        return f"{ms:.1f} ms" if ms < 9.95 else f"{ms:.0f} ms"
    seconds = ms / 1000.0
    if seconds < 59.95:
        return f"{seconds:.1f} s" if seconds < 9.95 else f"{seconds:.0f} s"
    minutes, seconds = divmod(round(seconds), 60)
    return f"{minutes:,} min {seconds:02} s"


_NESTED = re.compile(r"(.*?)[{\[].*?['\"]message['\"]: ?['\"](.+?)(?:['\"][,}]|$)")
_PLAIN_CHARS = 100


def _plainly(message: str) -> str:
    """What an error says, without the JSON around it."""
    found = _NESTED.match(message)
    return short(found[1] + found[2] if found else message, _PLAIN_CHARS)


def _quarters(found: Collection) -> Optional[tuple[list[int], list[int]]]:
    """The numbers of the buckets before the last quarter of the time, and of those in it."""
    first, end = found.cells.span
    if end - first < 8:
        return None
    cut = end - (end - first) // 4
    return list(range(first, cut)), list(range(cut, end))


def _halves(found: Collection) -> Optional[tuple[Totals, Totals]]:
    """The calls before the last quarter of the time, and those in it, where both are enough."""
    quarters = _quarters(found)
    if quarters is None:
        return None
    buckets = found.cells.buckets
    before, after = (
        Totals(cell for key in keys for cell in buckets.get(key, {}).values()) for keys in quarters
    )
    if before.sums[CALLS] < _LEAST or after.sums[CALLS] < _LEAST:
        return None
    return before, after


def _latency(halves: Optional[tuple[Totals, Totals]]) -> Optional[Notice]:
    if halves is None:
        return None
    was, now = (half.rank(0.95, _LEAST) for half in halves)
    if was is None or now is None or now < was * _GROWTH:
        return None
    text = (
        f"p95 latency of calls rose from {_took(was)} to {_took(now)} "
        "in the last quarter of the time"
    )
    return Notice("warn", text, "#/traces?sort=-dur")


def _cost(halves: Optional[tuple[Totals, Totals]]) -> Optional[Notice]:
    if halves is None:
        return None
    priced = [half.sums[PRICED] for half in halves]
    if min(priced) < _LEAST:
        return None
    was, now = (half.sums[COST] / half.sums[PRICED] for half in halves)
    if not was or now < was * _GROWTH:
        return None
    text = (
        f"a priced call costs {format_cost(now)} in the last quarter of the time, "
        f"{format_cost(was)} before"
    )
    return Notice("warn", text, "#/cost")


def _loops(found: Collection) -> Optional[Notice]:
    rows = [row for listed in found.listed.values() for row in listed.rows if row.llm >= _LOOP]
    if not rows:
        return None
    most = max(rows, key=lambda row: row.llm)
    count = len({row.id for row in rows})
    traces = "1 trace" if count == 1 else f"{count:,} traces"
    text = f"{traces} with {_LOOP} model calls and more, up to {most.llm:,} in {most.name[:60]}"
    return Notice("warn", text, f"#/trace/{most.id}")


def _scores(found: Collection) -> Optional[Notice]:
    """How many scores are low, and the lowest of them."""
    worst = found.quality.worst
    if not worst or worst[0].score >= _LOW:
        return None
    one = worst[0]
    evaluator = found.quality.evaluators[one.evaluator]
    below = sum(score < _LOW for score in evaluator.scores)
    scores = "1 score" if len(evaluator.scores) == 1 else f"{len(evaluator.scores):,} scores"
    text = (
        f"{below:,} of {scores} of {one.evaluator[:60]} below {_LOW}, lowest score {one.score:.2f}"
    )
    return Notice("warn", text, "#/quality")


def _worse(found: Collection) -> list[Notice]:
    """Of each evaluator the variant, else the model, that is clearly worse than the others."""
    made: list[Notice] = []
    for name, one in found.quality.evaluators.items():
        for dimension in ("variant", "model", "feature"):
            groups = {
                place: entry for place, entry in one.by[dimension].items() if entry[0] >= _LEAST
            }
            if len(groups) < 2:
                continue
            place, (count, total) = min(groups.items(), key=lambda item: item[1][1] / item[1][0])
            n, whole = (sum(entry[i] for entry in groups.values()) for i in (0, 1))
            mean, others = total / count, (whole - total) / (n - count)
            if others - mean < _APART:
                continue
            value = found.dimensions.value(dimension, place)
            text = (
                f"{name[:60]} is {mean:.2f} for {dimension} {value[:60] or '(none)'}, "
                f"{others:.2f} for the others"
            )
            link = urlencode({dimension: value or "(none)"})
            made.append(Notice("warn", text, f"#/quality?{link}"))
            break
    return made[:_SHOWN_SLOWER]


def _slower(found: Collection) -> list[Notice]:
    """Work that takes longer than it did, whatever it is: tools, models, own code."""
    ordered = sorted(found.work.items(), key=lambda item: -item[1].self_ms)
    whole = sum(work.self_ms for _, work in ordered)
    made: list[tuple[float, Notice]] = []
    for (_, name), work in ordered[:_LOOKED_AT]:
        one = slowdown(work, found.cells.step)
        if one is None or one.lost_ms < whole * _TRIFLE:
            continue
        text = f"p50 of {name[:60]} rose from {_took(one.was)} to {_took(one.now)}"
        link = f"#/traces?sort=-dur&from={one.since:.0f}&to={(found.last or 0.0) + 1:.0f}"
        made.append((one.lost_ms, Notice("warn", text, link, one.since)))
    made.sort(key=lambda item: -item[0])
    return [notice for _, notice in made[:_SHOWN_SLOWER]]


def _guards(found: Collection) -> Optional[Notice]:
    count = sum(finding.n for finding in found.quality.findings.values())
    if not count:
        return None
    text = f"guards found something {count:,} {'time' if count == 1 else 'times'}"
    return Notice("warn", text, "#/quality")


def _unpriced(found: Collection) -> Optional[Notice]:
    count = sum(found.unpriced_models.values())
    if not count:
        return None
    names = ", ".join(name[:40] or "(no model)" for name, _ in found.unpriced_models.most_common(3))
    calls = "1 call has" if count == 1 else f"{count:,} calls have"
    return Notice("info", f"{calls} usage and no price ({names})", "#/cost")


def _cut_short(found: Collection) -> Optional[Notice]:
    count = sum(cell[CUT_SHORT] for _, _, cell in found.cells.all())
    if not count:
        return None
    answers = "1 answer was" if count == 1 else f"{count:,} answers were"
    return Notice("info", f"{answers} cut short by the token limit", "#/traces?cut=1")
