"""What a person should look at first, by rules: failures that grow, what got slow or dear."""

from __future__ import annotations

from typing import NamedTuple, Optional

from peekr.dashboard.cells import CALLS, COST, CUT_SHORT, PRICED, Totals
from peekr.dashboard.collect import Collection
from peekr.dashboard.traces import ErrorGroup
from peekr.summary import format_cost, format_duration

__all__ = ["Notice", "notices"]

_LEAST = 20
"""Calls on each side of a comparison that means something."""
_GROWTH = 1.5
_LOOP = 20
_SHOWN_ERRORS = 5


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
    made += [
        notice
        for notice in (
            _latency(halves),
            _cost(halves),
            _loops(found),
            _score(found),
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
    text = f"{group.key[:100]}{where}, {spans}"
    link = f"#/trace/{group.traces[-1]}" if group.traces else "#/traces?status=error"
    return Notice("error", text, link, group.first)


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
        f"p95 latency of calls rose from {format_duration(was)} to {format_duration(now)} "
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


def _score(found: Collection) -> Optional[Notice]:
    worst = found.quality.worst
    if not worst or worst[0].score >= 0.5:
        return None
    one = worst[0]
    text = f"lowest score: {one.evaluator[:60]} {one.score:.2f}"
    return Notice("warn", text, f"#/trace/{one.trace}/{one.span}")


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
