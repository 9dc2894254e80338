"""What a person should look at first, by rules: failures that grow, what got slow or dear."""

from __future__ import annotations

from datetime import datetime, timezone
from typing import NamedTuple, Optional

from peekr.dashboard.collect import Collection, ErrorGroup
from peekr.dashboard.figures import nearest_rank

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
    """

    level: str
    text: str
    link: str


def notices(found: Collection) -> list[Notice]:
    """What stands out, the gravest first; empty where nothing does."""
    made = [_of_errors(group) for group in _worst_groups(found)]
    made += [
        notice
        for notice in (
            _latency(found),
            _cost(found),
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
    where = f" {group.model}" if group.model else f" in {group.name[:60]}"
    spans = "1 span" if group.n == 1 else f"{group.n:,} spans"
    text = f"{group.key[:100]}{where}, {spans} since {_clock(group.first)}"
    link = f"#/trace/{group.traces[-1]}" if group.traces else "#/traces?status=error"
    return Notice("error", text, link)


def _quarters(found: Collection) -> Optional[tuple[list[int], list[int]]]:
    """The numbers of the buckets before the last quarter of the time, and of those in it."""
    first, end = found.series.span
    if end - first < 8:
        return None
    cut = end - (end - first) // 4
    return list(range(first, cut)), list(range(cut, end))


def _latency(found: Collection) -> Optional[Notice]:
    quarters = _quarters(found)
    if quarters is None:
        return None
    before, after = (
        sorted(ms for key in keys for ms in found.series.durations.get(key, ()))
        for keys in quarters
    )
    was, now = nearest_rank(before, 0.95, _LEAST), nearest_rank(after, 0.95, _LEAST)
    if was is None or now is None or now < was * _GROWTH:
        return None
    text = f"p95 latency of calls rose from {was:,.0f} ms to {now:,.0f} ms in the last quarter"
    return Notice("warn", text, "#/traces?sort=-dur")


def _cost(found: Collection) -> Optional[Notice]:
    quarters = _quarters(found)
    if quarters is None:
        return None
    sums = found.series.buckets
    each: list[float] = []
    for keys in quarters:
        held = [sums[key] for key in keys if key in sums]
        calls = sum(bucket[0] for bucket in held)
        if calls < _LEAST:
            return None
        each.append(sum(bucket[5] for bucket in held) / calls)
    was, now = each
    if not was or now < was * _GROWTH:
        return None
    text = f"a call costs ${now:.4f} in the last quarter, ${was:.4f} before"
    return Notice("warn", text, "#/cost")


def _loops(found: Collection) -> Optional[Notice]:
    rows = [row for heap in found.listed.values() for _, _, row in heap if row.llm >= _LOOP]
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
    if not found.unpriced:
        return None
    names = ", ".join(name[:40] or "(no model)" for name, _ in found.unpriced_models.most_common(3))
    calls = "1 call has" if found.unpriced == 1 else f"{found.unpriced:,} calls have"
    return Notice("info", f"{calls} usage and no price ({names})", "#/cost")


def _cut_short(found: Collection) -> Optional[Notice]:
    if not found.cut_short:
        return None
    answers = "1 answer was" if found.cut_short == 1 else f"{found.cut_short:,} answers were"
    return Notice("info", f"{answers} cut short by the token limit", "#/traces?cut=1")


def _clock(seconds: float) -> str:
    try:
        return datetime.fromtimestamp(seconds, timezone.utc).strftime("%d %b %H:%M UTC")
    except (ValueError, OverflowError, OSError):
        return "an unknown time"
