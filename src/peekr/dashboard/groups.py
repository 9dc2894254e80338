"""Figures of calls by what they can be grouped by: totals, and series over time."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Optional

from peekr.dashboard.cells import DURATIONS, SUMS, WAITS, Cell, Cells, Totals
from peekr.dashboard.collection import Collection
from peekr.dashboard.facts import DIMENSIONS, OTHER
from peekr.dashboard.figures import MIN_P95, MIN_P99

__all__ = ["by_bucket", "groups_of", "kpi_of", "marginals_of", "plain", "series_of", "tenth"]

_LARGEST = 40
_SERIES = ("calls", "failed", "tokens_in", "tokens_out", "tokens_cached", "cost")
_FILTERED = DIMENSIONS[:-1]
"""What the page filters by; the last one, the name, is only grouped by."""


def kpi_of(found: Totals) -> dict[str, Any]:
    """The figures of some calls."""
    made: dict[str, Any] = {name: plain(value) for name, value in zip(SUMS, found.sums)}
    if not made["priced"]:
        made["cost"] = None
    made["ok_calls"] = found.durations.n
    made["p50"] = tenth(found.rank(0.5))
    made["p95"] = tenth(found.rank(0.95, MIN_P95))
    made["p99"] = tenth(found.rank(0.99, MIN_P99))
    made["ttft_p50"] = tenth(found.wait(0.5))
    made["ttft_n"] = found.waits.n
    return made


def by_bucket(cells: Cells) -> dict[int, Totals]:
    """All calls by bucket of time."""
    return {key: Totals(held.values()) for key, held in cells.buckets.items() if held}


def series_of(buckets: Mapping[int, Totals], first: int, end: int) -> dict[str, list[Any]]:
    """Figures over time, a number a bucket; where there were no calls, ranks are None."""
    made: dict[str, list[Any]] = {name: [] for name in (*_SERIES, "p50", "p95", "ttft")}
    for key in range(first, end):
        found = buckets.get(key)
        for place, name in enumerate(_SERIES):
            made[name].append(0 if found is None else plain(found.sums[place]))
        made["p50"].append(None if found is None else tenth(found.rank(0.5)))
        made["p95"].append(None if found is None else tenth(found.rank(0.95, MIN_P95)))
        made["ttft"].append(None if found is None else tenth(found.wait(0.5)))
    return made


def groups_of(
    found: Collection, apart: Mapping[tuple[int, ...], Cell]
) -> dict[str, list[dict[str, Any]]]:
    """For each dimension its largest values with their figures, the rest as one; empty where the
    dimensions of calls are not told apart.

    Args:
        found: What they are figures of.
        apart: The cells of all of the time, by their dimensions.
    """
    if not found.cells.is_exact:
        return {}
    made: dict[str, list[dict[str, Any]]] = {}
    for place, dimension in enumerate(DIMENSIONS):
        by_value: dict[int, list[Cell]] = {}
        for dims, cell in apart.items():
            by_value.setdefault(dims[place], []).append(cell)
        if len(by_value) < 2 and 0 in by_value:
            continue  # nothing to divide by
        names = found.dimensions.values(dimension)
        rows: list[dict[str, Any]] = []
        for number, cells in _largest(by_value):
            name = OTHER if number is None else names[number]
            rows.append({"name": name, **kpi_of(Totals(cells))})
        made[dimension] = rows
    return made


def marginals_of(found: Collection) -> Optional[dict[str, Any]]:
    """Figures and series of each value of a dimension alone, and of each status: what makes one
    filter exact where the page has only a sample of the calls. None where it has all of them.
    """
    if found.facts.sampled is None or not found.cells.is_exact:
        return None
    first, end = found.cells.span
    made: dict[str, Any] = {}
    for place, dimension in enumerate(_FILTERED):
        by_value: dict[int, dict[int, list[Cell]]] = {}
        counts: dict[int, list[Cell]] = {}
        for key, dims, cell in found.cells.all():
            by_value.setdefault(dims[place], {}).setdefault(key, []).append(cell)
            counts.setdefault(dims[place], []).append(cell)
        if len(by_value) < 2 and 0 in by_value:
            continue
        names = found.dimensions.values(dimension)
        made[dimension] = {
            names[number]: {
                "kpi": kpi_of(Totals(counts[number])),
                "series": series_of(
                    {key: Totals(cells) for key, cells in by_value[number].items()}, first, end
                ),
            }
            for number, _ in _largest(counts)
            if number is not None
        }
    return made


def _largest(by_value: Mapping[int, list[Cell]]) -> list[tuple[Optional[int], list[Cell]]]:
    """The values with most calls, and those of all others together under None."""
    ordered = sorted(by_value.items(), key=lambda item: -sum(cell[0] for cell in item[1]))
    made: list[tuple[Optional[int], list[Cell]]] = list(ordered[:_LARGEST])
    rest = [cell for _, cells in ordered[_LARGEST:] for cell in cells]
    if rest:
        made.append((None, rest))
    return made


def plain(value: float) -> float:
    """Whole numbers without their point: the page is smaller."""
    return int(value) if value == int(value) else value


def tenth(value: Optional[float]) -> Optional[float]:
    """To the tenth, which is enough for milliseconds."""
    return None if value is None else round(value, 1)


assert len(SUMS) == DURATIONS
assert WAITS == DURATIONS + 1
