"""The figures of a collection as the JSON that the page reads; the form is told in `__init__`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Optional, cast

from peekr.dashboard.attention import notices
from peekr.dashboard.cells import Cells, Totals
from peekr.dashboard.collection import Collection
from peekr.dashboard.facts import DIMENSIONS
from peekr.dashboard.figures import MIN_P95, Series, nearest_rank, short
from peekr.dashboard.groups import (
    by_bucket,
    groups_of,
    kpi_of,
    plain,
    series_of,
    tenth,
)
from peekr.dashboard.pace import medians
from peekr.dashboard.traces import TraceRow

__all__ = ["core_of", "facts_of", "listed_rows", "scores_of", "traces_of"]

MAX_LISTED = 5_000
_MAX_WORK = 40
_PACED = 12
"""Work whose median is told over time."""
_MAX_ERRORS = 50
_MAX_SESSIONS = 2_000
_DEAREST = 20
_MAX_FINDINGS = 100
_MAX_SCORE_IDS = 5_000
_BY_LIMIT = 40


def core_of(found: Collection, rows: Sequence[TraceRow]) -> dict[str, Any]:
    """Every figure that holds for the whole file."""
    first, end = found.cells.span
    step = found.cells.step
    apart = found.cells.over_time()
    return {
        "format": 1,
        "first": found.first,
        "last": found.last,
        "spans": found.spans,
        "traces": found.traces,
        "sessions": len(found.sessions.held),
        "buckets": {"start": first * step, "step": step, "count": end - first},
        "kpi": _kpi(found, Totals(apart.values())),
        "series": {
            **series_of(by_bucket(found.cells), first, end),
            "recovered": _aligned(found.trouble, found.cells, 0),
            "failed_traces": _aligned(found.trouble, found.cells, 1),
        },
        "by": groups_of(found, apart),
        "work": _work(found),
        "errors": _errors(found),
        "attention": [notice._asdict() for notice in notices(found)],
        "quality": _quality(found),
        "dearest": _dearest(found),
        "session_list": _sessions(found),
        "dims": {name: found.dimensions.values(name) for name in DIMENSIONS},
        "listed": len(rows),
        "sampled": found.facts.sampled,
    }


def _kpi(found: Collection, whole: Totals) -> dict[str, Any]:
    traces = sorted(found.trace_ms)
    return {
        **kpi_of(whole),
        "unpriced_models": found.unpriced_models.most_common(20),
        "traces_ok": found.states[0],
        "traces_recovered": found.states[1],
        "traces_failed": found.states[2],
        "trace_p50": tenth(nearest_rank(traces, 0.5)),
        "trace_p95": tenth(nearest_rank(traces, 0.95, MIN_P95)),
        "eval_calls": found.eval_calls,
        "eval_cost": found.eval_cost if found.eval_priced else None,
    }


def _work(found: Collection) -> list[dict[str, Any]]:
    ordered = sorted(found.work.items(), key=lambda item: -item[1].self_ms)
    made: list[dict[str, Any]] = []
    first, end = found.cells.span
    for place, ((kind, name), work) in enumerate(ordered[:_MAX_WORK]):
        durations = sorted(work.durations)
        made.append(
            {
                "kind": kind,
                "name": name[:200],
                "n": work.n,
                "errors": work.errors,
                "p50": tenth(nearest_rank(durations, 0.5)),
                "p95": tenth(nearest_rank(durations, 0.95, MIN_P95)),
                "self_ms": round(work.self_ms),
                "pace": []
                if place >= _PACED
                else [tenth(ms) for ms in medians(work, first, end, found.cells.step)],
            }
        )
    rest = ordered[_MAX_WORK:]
    if rest:
        made.append(
            {
                "kind": "app",
                "name": f"({len(rest)} others)",
                "n": sum(work.n for _, work in rest),
                "errors": sum(work.errors for _, work in rest),
                "p50": None,
                "p95": None,
                "self_ms": round(sum(work.self_ms for _, work in rest)),
                "pace": [],
            }
        )
    return made


def _errors(found: Collection) -> list[dict[str, Any]]:
    ordered = sorted(found.groups.values(), key=lambda group: -group.n)
    return [
        {
            "key": group.key,
            "type": group.key.partition(":")[0][:80],
            "name": group.name[:200],
            "model": group.model,
            "n": group.n,
            "first": group.first,
            "last": group.last,
            "series": _aligned(group.series, found.cells),
            "traces": group.traces[::-1],
        }
        for group in ordered[:_MAX_ERRORS]
    ]


def _aligned(own: Series, whole: Cells, sum_: int = 0) -> list[float]:
    """One sum of a series in the buckets of calls; what lies outside of them is in the outermost.

    Args:
        own: Whose buckets may have another width.
        whole: The calls.
        sum_: Which of the sums.
    """
    first, end = whole.span
    made = [0.0] * (end - first)
    for key, sums in own.buckets.items():
        place = int(key * own.step // whole.step) - first
        if made:
            made[min(max(place, 0), len(made) - 1)] += sums[sum_]
    return [plain(value) for value in made]


def _quality(found: Collection) -> dict[str, Any]:
    quality, dimensions = found.quality, found.dimensions
    evaluators: list[dict[str, Any]] = []
    for name, one in quality.evaluators.items():
        count = len(one.scores)
        first, end = one.series.span
        by: dict[str, Any] = {}
        for dimension, values in one.by.items():
            largest = sorted(values.items(), key=lambda item: -item[1][0])[:_BY_LIMIT]
            by[dimension] = [
                [dimensions.value(dimension, index), entry[0], entry[1] / entry[0]]
                for index, entry in largest
            ]
        evaluators.append(
            {
                "name": name,
                "n": count,
                "mean": sum(one.scores) / count if count else None,
                "low": min(one.scores) if count else None,
                "errors": one.errors,
                "bins": one.bins,
                "buckets": {"start": first * one.series.step, "step": one.series.step},
                "series_n": one.series.column(0),
                "series_mean": [
                    (one.series.buckets[key][1] / one.series.buckets[key][0])
                    if key in one.series.buckets and one.series.buckets[key][0]
                    else None
                    for key in range(first, end)
                ],
                "by": by,
            }
        )
    findings = sorted(quality.findings.items(), key=lambda item: -item[1].n)
    return {
        "evaluators": evaluators,
        "worst": [worst._asdict() for worst in quality.worst],
        "findings": [
            {"kind": kind, "guard": guard, "rule": rule, "n": one.n, "traces": one.traces[::-1]}
            for (kind, guard, rule), one in findings[:_MAX_FINDINGS]
        ],
    }


def _dearest(found: Collection) -> list[dict[str, Any]]:
    return [
        {
            "trace": row.id,
            "name": row.name[:200],
            "question": short(row.question),
            "cost": row.cost,
            "tokens": row.tokens,
            "calls": row.llm,
            "started": row.start,
        }
        for row in found.listed["dearest"].rows[:_DEAREST]
    ]


def _sessions(found: Collection) -> list[dict[str, Any]]:
    return [
        {
            "id": name[:200],
            "user": session.user[:200],
            "asked": session.asked,
            "score": session.score,
            "tenant": session.tenant,
            "turns": session.turns,
            "errors": session.errors,
            "active_ms": round(session.active_ms),
            "cost": session.cost,
            "tokens": session.tokens,
            "first": session.first,
            "last": session.last,
            "traces": session.traces,
        }
        for name, session in found.sessions.newest()[:_MAX_SESSIONS]
    ]


def listed_rows(found: Collection) -> list[TraceRow]:
    """The traces in the list, the newest first; each once."""
    rows: dict[int, TraceRow] = {}
    for shortlist in found.listed.values():
        for row in shortlist.rows:
            rows.setdefault(id(row), row)
    for row in found.typical.values():
        rows.setdefault(id(row), row)
    ordered = sorted(rows.values(), key=_start, reverse=True)
    return ordered[:MAX_LISTED]


def _start(row: TraceRow) -> float:
    return row.start


def traces_of(
    rows: Sequence[TraceRow], start: float, blocks: dict[str, tuple[int, int]]
) -> dict[str, Any]:
    """The list of traces as columns.

    Args:
        rows: As `listed_rows` gives them.
        start: Unix seconds that times are relative to.
        blocks: Where the details of a trace are: block and place, by its id.
    """
    nowhere = (-1, 0)
    made: dict[str, Any] = {
        "n": len(rows),
        "id": [row.id for row in rows],
        "name": [row.name[:200] for row in rows],
        "t": [round((row.start - start) * 1000.0) for row in rows],
        "d": [round(row.ms, 1) for row in rows],
        "state": [row.state for row in rows],
        "spans": [row.spans for row in rows],
        "errors": [row.errors for row in rows],
        "llm": [row.llm for row in rows],
        "tools": [row.tools for row in rows],
        "tok": _or_minus([row.tokens for row in rows]),
        "c": [-1 if row.cost is None else round(row.cost * 1e6, 3) for row in rows],
        "score": [-1 if row.score is None else round(row.score, 4) for row in rows],
        "question": [short(row.question) for row in rows],
        "answer": [short(row.answer) for row in rows],
        "session": [row.session[:200] for row in rows],
        "user": [row.user[:200] for row in rows],
        "group": [row.group for row in rows],
        "cut": [int(row.is_cut) for row in rows],
        "block": [blocks.get(row.id, nowhere)[0] for row in rows],
        "place": [blocks.get(row.id, nowhere)[1] for row in rows],
    }
    for place, key in enumerate(_KEYS[:5]):
        made[key] = [row.dims[place] for row in rows]
    return made


_KEYS = ("m", "te", "fe", "en", "va", "us", "na")


def facts_of(found: Collection, rows: Sequence[TraceRow]) -> dict[str, Any]:
    """The calls as columns."""
    cells, facts = found.cells, found.facts
    start = cells.span[0] * cells.step
    listed = {row.id: place for place, row in enumerate(rows)}
    held = facts.rows
    starts, ms, failed, waits, kinds, sent, made, cached, reasoning, costs, cut, dims, traces = (
        zip(*held) if held else [()] * 13
    )
    weights = (facts.every, facts.failed_every)
    columns: dict[str, Any] = {
        "n": len(held),
        "sampled": facts.sampled,
        "w": [weights[has_failed] for has_failed in failed] if facts.sampled else None,
        "t": [round((moment - start) * 1000.0) for moment in starts],
        # Rounded by hand: `round` to a place takes four times as long.
        "d": [int(took * 10.0 + 0.5) / 10.0 if took >= 0.0 else -1 for took in ms],
        "s": list(map(int, failed)),
        "f": [-1 if wait is None else round(wait) for wait in waits],
        "k": kinds,
        "in": _or_minus(sent),
        "out": _or_minus(made),
        "ca": _or_minus(cached),
        "re": _or_minus(reasoning),
        # In millionths of a US dollar, to the thousandth of one.
        "c": [-1 if cost is None else int(cost * 1e9 + 0.5) / 1e3 for cost in costs],
        "u": [
            int(cost is None and (first is not None or second is not None))
            for cost, first, second in zip(costs, sent, made)
        ],
        "x": list(map(int, cut)),
        "tr": [listed.get(trace_id, -1) for trace_id in traces],
    }
    columns.update(zip(_KEYS, zip(*dims) if dims else [()] * len(_KEYS)))
    return columns


def scores_of(found: Collection) -> Optional[dict[str, Any]]:
    """The scores as columns, for filters; None where there are none."""
    held = found.quality.rows
    if not held:
        return None
    names = list(found.quality.evaluators)
    numbers = {name: place for place, name in enumerate(names)}
    start = found.cells.span[0] * found.cells.step
    made: dict[str, Any] = {
        "n": len(held),
        "every": found.quality.every,
        "e": [numbers[row[0]] for row in held],
        "t": [round((row[1] - start) * 1000.0) for row in held],
        "v": [round(row[2], 4) for row in held],
        "s": [int(row[3]) for row in held],
        "id": [row[5] for row in held] if len(held) <= _MAX_SCORE_IDS else None,
    }
    for place, key in enumerate(_KEYS):
        made[key] = [row[4][place] for row in held]
    return made


def _or_minus(values: Sequence[Optional[float]]) -> list[float]:
    """Numbers with -1 for what is not reported, and without the point of whole ones."""
    if {int}.issuperset(map(type, values)):
        return list(cast("Sequence[float]", values))
    return [-1 if value is None else plain(value) for value in values]
