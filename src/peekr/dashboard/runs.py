"""Repetitions among the spans of a trace: 750 times chat and search, counted over all of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from collections.abc import Set as AbstractSet
from typing import Any

from peekr.dashboard.kinds import kind_of
from peekr.render.tree import Node
from peekr.summary import number

__all__ = ["FOLD", "runs", "runs_of"]

FOLD = 4
"""How often siblings repeat a pattern before they are shown as one row."""
_LONGEST = 3


def runs(names: Sequence[Any]) -> list[tuple[int, int, int]]:
    """Divide a sequence into repetitions of patterns of up to three.

    Returns:
        For each the place where it begins, the length of the pattern and how often it stands there.
    """
    made: list[tuple[int, int, int]] = []
    begin, count = 0, len(names)
    while begin < count:
        best = (1, 1)
        for length in range(1, min(_LONGEST, count - begin) + 1):
            times = 1
            while begin + (times + 1) * length <= count and all(
                names[begin + place] == names[begin + times * length + place]
                for place in range(length)
            ):
                times += 1
            if times * length > best[0] * best[1]:
                best = (length, times)
        made.append((begin, best[0], best[1]))
        begin += best[0] * best[1]
    return made


def runs_of(
    nodes: Sequence[Node], places: Mapping[int, int], wrappers: AbstractSet[int]
) -> dict[str, list[dict[str, Any]]]:
    """The children of each span in the page as repetitions.

    Args:
        nodes: All of a trace.
        places: The rows of those that are in the page, by their number.
        wrappers: The numbers of those whose cost is that of others.

    Returns:
        By the row of the parent: how often the pattern stands there, its names, the rows of its
        members in the page, and of all of them how many, how long (ms) and how dear (USD).
    """
    below: dict[int, list[int]] = {}
    ancestors: list[int] = []
    for index, node in enumerate(nodes):
        del ancestors[node.depth :]
        if ancestors and ancestors[-1] in places:
            below.setdefault(ancestors[-1], []).append(index)
        ancestors.append(index)
    made: dict[str, list[dict[str, Any]]] = {}
    for parent, children in below.items():
        names = [
            (kind_of(record.name, record.attributes), record.name)
            for record in (nodes[child].record for child in children)
        ]
        found: list[dict[str, Any]] = []
        for begin, length, times in runs(names):
            members = children[begin : begin + length * times]
            shown = [places[member] for member in members if member in places]
            if not shown and times < FOLD:
                continue
            records = [nodes[member].record for member in members]
            costs = [
                cost
                for member, record in zip(members, records)
                if member not in wrappers
                and (cost := number(record.attributes.get("cost_usd"))) is not None
            ]
            found.append(
                {
                    "key": f"{places[parent]}.{begin}",
                    "times": times,
                    "names": [name[:200] for _, name in names[begin : begin + length]],
                    "members": shown,
                    "n": len(members),
                    "ms": round(sum(record.duration_ms or 0.0 for record in records), 1),
                    "cost": sum(costs) if costs else None,
                }
            )
        made[str(places[parent])] = found
    return made
