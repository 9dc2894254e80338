"""What a trace cost, each model call counted once."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple, Optional

from peekr.record import SpanRecord
from peekr.summary import number, total_tokens

__all__ = ["Spending", "spending_of"]


class Spending(NamedTuple):
    """What the model calls of a trace took.

    Attributes:
        tokens: Of all of them; None when none says its tokens.
        cost_usd: Of all of them; None when the price of one that has tokens is not known.
    """

    tokens: Optional[float]
    cost_usd: Optional[float]


def spending_of(trace: Sequence[SpanRecord]) -> Spending:
    """Add up a trace.

    A span with tokens that has spans with tokens below it is a framework's sum of them, and is
    not counted itself.
    """
    parents = {record.span_id: record.parent_id for record in trace}
    found = {record.span_id: record for record in trace if total_tokens(record) is not None}
    sums: set[str] = set()
    for span_id in found:
        above = parents.get(span_id)
        # Each step is taken once: what is above a sum was seen when it became one.
        seen = {span_id}
        while above is not None and above not in seen and above not in sums:
            seen.add(above)
            if above in found:
                sums.add(above)
                break
            above = parents.get(above)
    tokens = 0.0
    cost_usd: Optional[float] = 0.0
    for span_id, record in found.items():
        if span_id in sums:
            continue
        tokens += total_tokens(record) or 0
        price = number(record.attributes.get("cost_usd"))
        cost_usd = None if cost_usd is None or price is None else cost_usd + price
    return Spending(tokens, cost_usd) if found else Spending(None, None)
