"""The spans of one trace arranged as a tree, whatever their parents claim."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple, Optional

from peekr.record import SpanRecord
from peekr.render.style import Pieces
from peekr.summary import number, total_tokens

__all__ = ["Node", "Totals", "arrange", "guides", "totals"]


class Node(NamedTuple):
    """A span's place in the tree.

    Attributes:
        record: The span.
        depth: 0 for a root.
        last: For each level from 1 to `depth`: whether the ancestor there is the last of its
            siblings (a cons list, innermost first: `(is_last, the rest)`).
        has_children: Whether spans follow below this one.
        orphan: The parent's id if that span is not there.
        is_cycle: Whether the chain of parents leads back to the span itself.
    """

    record: SpanRecord
    depth: int
    last: Optional[_Levels]
    has_children: bool
    orphan: Optional[str]
    is_cycle: bool


class _Levels(NamedTuple):
    is_last: bool
    above: Optional[_Levels]


@dataclass
class Totals:
    """Sums over a trace; None where no span says anything."""

    spans: int
    errors: int
    tokens: Optional[float]
    cost_usd: Optional[float]


def arrange(spans: list[SpanRecord]) -> list[Node]:
    """All spans, parents before children, siblings by their start; linear but for the sorting.

    A span whose parent is not in the list stands at the top; so does the earliest span of a
    cycle. A span that is recorded twice in the same words is shown once; one that shares its id
    with a different span is shown beside it, and children go to the first. Not recursive.
    """
    first_with_id: dict[str, int] = {}
    members: list[SpanRecord] = []
    for record in spans:
        known = first_with_id.get(record.span_id)
        if known is None:
            first_with_id[record.span_id] = len(members)
        elif _same(members[known], record):
            continue
        members.append(record)

    starts = [member.start_time for member in members]
    order = sorted(range(len(members)), key=starts.__getitem__)
    children: dict[int, list[int]] = {}
    roots: list[int] = []
    orphans: set[int] = set()
    for index in order:
        parent_id = members[index].parent_id
        parent = first_with_id.get(parent_id) if parent_id is not None else None
        if parent is not None and parent != index:
            children.setdefault(parent, []).append(index)
        else:
            roots.append(index)
            if parent_id is not None and parent is None:
                orphans.add(index)

    nodes: list[Node] = []
    placed = [False] * len(members)

    def place(root: int, is_cycle: bool) -> None:
        stack: list[tuple[int, int, Optional[_Levels]]] = [(root, 0, None)]
        placed[root] = True
        while stack:
            index, depth, last = stack.pop()
            below = [child for child in children.get(index, ()) if not placed[child]]
            for child in below:
                placed[child] = True
            record = members[index]
            nodes.append(
                Node(
                    record,
                    depth,
                    last,
                    bool(below),
                    record.parent_id if index in orphans else None,
                    is_cycle and index == root,
                )
            )
            for position in range(len(below) - 1, -1, -1):
                levels = _Levels(position == len(below) - 1, last)
                stack.append((below[position], depth + 1, levels))

    for root in roots:
        place(root, is_cycle=members[root].parent_id == members[root].span_id)
    for index in order:
        # What no root leads to hangs on a cycle.
        if not placed[index]:
            place(index, is_cycle=True)
    return nodes


def totals(nodes: list[Node]) -> Totals:
    """Sums over a trace; of a span that repeats what its descendants say, theirs are taken."""
    tokens: list[Optional[float]] = []
    costs: list[Optional[float]] = []
    errors = 0
    # Backwards, children come before their parent: one running sum a level suffices.
    for node in reversed(nodes):
        record, depth = node[0], node[1]
        if record.status == "error":
            errors += 1
        while len(tokens) < depth + 2:
            tokens.append(None)
            costs.append(None)
        used, tokens[depth + 1] = tokens[depth + 1], None
        if used is None:
            used = total_tokens(record)
        if used is not None:
            tokens[depth] = (tokens[depth] or 0.0) + used
        cost, costs[depth + 1] = costs[depth + 1], None
        if cost is None:
            cost = record.attributes.get("cost_usd")
            cost = None if cost is None else number(cost)
        if cost is not None:
            costs[depth] = (costs[depth] or 0.0) + cost
    return Totals(len(nodes), errors, _first(tokens), _first(costs))


def _same(one: SpanRecord, other: SpanRecord) -> bool:
    try:
        return one == other
    except RecursionError:
        return False  # nested too deeply to compare: both are shown


def _first(sums: list[Optional[float]]) -> Optional[float]:
    return sums[0] if sums else None


def guides(node: Node, max_levels: int, pieces: Pieces) -> tuple[str, str]:
    """The lines drawn before a span, and before the text that belongs to it.

    Beyond `max_levels` the drawing grows no further, so that a chain of ten thousand spans is not
    a picture of a hundred million characters.
    """
    if node.last is None:
        return "", pieces.bar if node.has_children else pieces.blank
    shown: list[bool] = []
    level: Optional[_Levels] = node.last
    while level is not None and len(shown) < max_levels:
        shown.append(level.is_last)
        level = level.above
    above = "".join([pieces.blank if is_last else pieces.bar for is_last in shown[:0:-1]])
    branch = pieces.last if node.last.is_last else pieces.branch
    under = pieces.blank if node.last.is_last else pieces.bar
    text = above + under + (pieces.bar if node.has_children else pieces.blank)
    if node.depth > max_levels:
        branch = f"{branch}(level {node.depth}) "
    return above + branch, text
