"""The variants of an experiment compared: what each cost, how it did, and what chance explains.

Pure: records in, numbers out. The tests are Fisher's exact test for shares and the Mann-Whitney U
test for everything else, which asks nothing of the shape of latencies or costs. Their p-values are
corrected for the number of comparisons in one experiment (Holm). The tests take calls as
independent of each other.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any, Optional, cast

from peekr.record import SpanRecord
from peekr.semconv import own
from peekr.summary import number, total_tokens

__all__ = [
    "MIN_CALLS",
    "SIGNIFICANT_P",
    "Difference",
    "Experiment",
    "Variant",
    "compare",
    "fisher_exact_p",
    "mann_whitney_p",
    "mean",
    "percentile",
]

MIN_CALLS = 20
"""With fewer calls in either variant no test is made: not enough data."""

SIGNIFICANT_P = 0.05

_PREFIX = "experiment."
_BASELINES = ("control", "baseline", "default")


@dataclass
class Variant:
    """What the calls of one variant were like; the lists are by call.

    Attributes:
        name: The variant's name.
        calls: How many calls there were.
        errors: How many of them failed.
        latencies_ms: Durations of the calls that succeeded, in milliseconds.
        tokens: Tokens of the model calls inside, of each call that has any.
        costs_usd: Their price, of each call that has one.
        scores: By evaluator, the mean of a call's scores, of each call that has any.
    """

    name: str
    calls: int = 0
    errors: int = 0
    latencies_ms: list[float] = field(default_factory=list[float])
    tokens: list[float] = field(default_factory=list[float])
    costs_usd: list[float] = field(default_factory=list[float])
    scores: dict[str, list[float]] = field(default_factory=dict[str, list[float]])

    def measure(self, metric: str) -> Optional[float]:
        """What is shown of a metric: a share, a median, a mean; None where there is nothing."""
        if metric == "errors":
            return self.errors / self.calls if self.calls else None
        if metric == "latency":
            return percentile(self.latencies_ms, 0.5)
        return mean(self.samples(metric))

    def samples(self, metric: str) -> list[float]:
        """The values of a metric by call; for errors 0 and 1."""
        if metric == "errors":
            return [1.0] * self.errors + [0.0] * (self.calls - self.errors)
        if metric == "latency":
            return self.latencies_ms
        if metric == "tokens":
            return self.tokens
        if metric == "cost":
            return self.costs_usd
        return self.scores.get(metric, [])


@dataclass
class Difference:
    """One metric of one variant against the baseline's.

    Attributes:
        metric: `errors`, `latency`, `tokens`, `cost` or the name of an evaluator.
        variant: The variant's name.
        baseline: The name of the one it is compared with.
        before: The baseline's measure (`Variant.measure`).
        after: The variant's.
        p: How probable a difference like this is where there is none, corrected; None where there
            is not enough data.
    """

    metric: str
    variant: str
    baseline: str
    before: Optional[float]
    after: Optional[float]
    p: Optional[float]

    @property
    def is_significant(self) -> bool:
        """Whether chance is a poor explanation."""
        return self.p is not None and self.p < SIGNIFICANT_P


@dataclass
class Experiment:
    """One experiment: its variants, the baseline first, and how they differ from that."""

    name: str
    variants: list[Variant]
    differences: list[Difference]


# -- from records to calls -------------------------------------------------------------------------


class _Node:
    """What is needed of one span."""

    __slots__ = ("cost", "duration", "is_error", "name", "parent", "scores", "tokens", "variant")

    def __init__(self, record: SpanRecord, variant: str) -> None:
        attributes = record.attributes
        self.name = record.name
        self.variant = variant
        self.parent = record.parent_id
        self.is_error = record.status == "error"
        self.duration = record.duration_ms
        is_internal = bool(attributes.get(own.PEEKR_INTERNAL))
        # A judge's tokens are the price of measuring, not of the variant.
        self.tokens = None if is_internal else total_tokens(record)
        self.cost = None if is_internal else number(attributes.get("cost_usd"))
        scores = attributes.get("eval_scores")
        self.scores = cast("dict[str, Any]", scores) if isinstance(scores, dict) else {}


class _Call:
    """What one call of an experiment adds up to."""

    def __init__(self, node: _Node) -> None:
        self.node = node
        self.tokens: Optional[float] = None
        self.cost: Optional[float] = None
        self.scores: dict[str, list[float]] = {}

    def add(self, node: _Node) -> None:
        if node.tokens is not None:
            self.tokens = (self.tokens or 0.0) + node.tokens
        if node.cost is not None:
            self.cost = (self.cost or 0.0) + node.cost
        for name, value in node.scores.items():
            score = number(value)
            if score is not None:
                self.scores.setdefault(name, []).append(score)


def compare(
    records: Iterable[SpanRecord], *, name: Optional[str] = None, baseline: Optional[str] = None
) -> list[Experiment]:
    """Compare the variants of each experiment in a file.

    A call is a span `experiment.<function>`; what ran inside counts towards it, also towards the
    call of an experiment around it. A span that has a variant without such a span around it is a
    call of its own, under its own name.

    Args:
        records: All records, in any order; only those with a variant are kept in memory, and of
            those only numbers.
        name: Only this experiment: `answer` or `experiment.answer`.
        baseline: What to compare with; else the variant named control, baseline or default, else
            the first by name.

    Returns:
        The experiments by name.
    """
    nodes: dict[tuple[str, str], _Node] = {}
    for record in records:
        variant = record.attributes.get("experiment_variant")
        if isinstance(variant, (str, int, float)):
            nodes[record.trace_id, record.span_id] = _Node(record, str(variant))
    calls: dict[tuple[str, str], _Call] = {}
    for key, node in nodes.items():
        for owner in _owners(key, nodes):
            call = calls.get(owner)
            if call is None:
                call = calls[owner] = _Call(nodes[owner])
            call.add(node)
    found: dict[str, dict[str, Variant]] = {}
    wanted = None if name is None else name.partition(_PREFIX)[2] or name
    for call in calls.values():
        own_name = call.node.name.partition(_PREFIX)[2] or call.node.name
        if wanted is None or own_name == wanted:
            variants = found.setdefault(own_name, {})
            _count(call, variants.setdefault(call.node.variant, Variant(call.node.variant)))
    return [_compared(own_name, found[own_name], baseline) for own_name in sorted(found)]


def _owners(key: tuple[str, str], nodes: dict[tuple[str, str], _Node]) -> list[tuple[str, str]]:
    """The calls that a span belongs to: the experiments around it, else the outermost span."""
    trace_id = key[0]
    owners: list[tuple[str, str]] = []
    seen: set[tuple[str, str]] = set()
    outermost = key
    current: Optional[tuple[str, str]] = key
    while current is not None and current in nodes and current not in seen:
        seen.add(current)
        outermost = current
        node = nodes[current]
        if node.name.startswith(_PREFIX):
            owners.append(current)
        current = None if node.parent is None else (trace_id, node.parent)
    return owners or [outermost]


def _count(call: _Call, variant: Variant) -> None:
    node = call.node
    variant.calls += 1
    if node.is_error:
        variant.errors += 1
    elif node.duration is not None:
        variant.latencies_ms.append(node.duration)
    if call.tokens is not None:
        variant.tokens.append(call.tokens)
    if call.cost is not None:
        variant.costs_usd.append(call.cost)
    for name, values in call.scores.items():
        variant.scores.setdefault(name, []).append(math.fsum(values) / len(values))


# -- the comparison --------------------------------------------------------------------------------


def _compared(name: str, found: dict[str, Variant], baseline: Optional[str]) -> Experiment:
    first = _baseline(list(found), baseline)
    variants = [found[first]] + [found[other] for other in sorted(found) if other != first]
    metrics = ["errors", "latency", "tokens", "cost"]
    metrics += sorted({score for variant in variants for score in variant.scores})
    differences = [
        _difference(metric, variants[0], other) for other in variants[1:] for metric in metrics
    ]
    _correct([entry for entry in differences if entry.p is not None])
    return Experiment(name, variants, differences)


def _baseline(names: list[str], wished: Optional[str]) -> str:
    if wished in names:
        return wished
    by_lower = {name.lower(): name for name in names}
    for usual in _BASELINES:
        if usual in by_lower:
            return by_lower[usual]
    return min(names)


def _difference(metric: str, first: Variant, other: Variant) -> Difference:
    before, after = first.samples(metric), other.samples(metric)
    p = None
    if min(len(before), len(after)) >= MIN_CALLS:
        if metric == "errors":
            p = fisher_exact_p(first.errors, first.calls, other.errors, other.calls)
        else:
            p = mann_whitney_p(before, after)
    return Difference(
        metric, other.name, first.name, first.measure(metric), other.measure(metric), p
    )


def _correct(differences: list[Difference]) -> None:
    """Holm's correction: with ten comparisons one in two would be "significant" by chance."""
    largest = 0.0
    ordered = sorted(differences, key=lambda entry: entry.p or 0.0)
    for position, entry in enumerate(ordered):
        largest = max(largest, min(1.0, (entry.p or 0.0) * (len(ordered) - position)))
        entry.p = largest


# -- statistics ------------------------------------------------------------------------------------


def mean(values: Sequence[float]) -> Optional[float]:
    """The mean, None of nothing."""
    return math.fsum(values) / len(values) if values else None


def percentile(values: Sequence[float], share: float) -> Optional[float]:
    """The value below which a share (0 to 1) of the values lies, interpolated; None of nothing."""
    if not values:
        return None
    ordered = sorted(values)
    place = share * (len(ordered) - 1)
    below = math.floor(place)
    above = min(below + 1, len(ordered) - 1)
    return ordered[below] + (ordered[above] - ordered[below]) * (place - below)


def fisher_exact_p(hits_a: int, total_a: int, hits_b: int, total_b: int) -> float:
    """How probable shares that differ so much are when there is one share; two-sided, exact.

    Args:
        hits_a: How many of the first have it.
        total_a: How many the first are.
        hits_b: How many of the second have it.
        total_b: How many the second are.

    Returns:
        0.0 to 1.0.

    Source: Fisher's exact test: the tables with the same sums that are no more probable than this.
    """
    hits, total = hits_a + hits_b, total_a + total_b
    if total_a == 0 or total_b == 0 or hits in (0, total):
        return 1.0
    least, most = max(0, hits - total_b), min(hits, total_a)
    whole = _log_choose(total, hits)

    def log_p(a: int) -> float:
        return _log_choose(total_a, a) + _log_choose(total_b, hits - a) - whole

    # A table of the same probability counts, whatever the last digits say.
    limit = log_p(hits_a) + 1e-9
    logs = (log_p(a) for a in range(least, most + 1))
    return min(1.0, math.fsum(math.exp(log) for log in logs if log <= limit))


def _log_choose(total: int, some: int) -> float:
    return math.lgamma(total + 1) - math.lgamma(some + 1) - math.lgamma(total - some + 1)


def mann_whitney_p(first: Sequence[float], second: Sequence[float]) -> float:
    """How probable samples so unlike each other are when they come from one distribution.

    Two-sided; the normal approximation with corrections for ties and continuity, good from some
    ten values each.
    """
    n, m = len(first), len(second)
    if not n or not m:
        return 1.0
    pooled = sorted([(value, 0) for value in first] + [(value, 1) for value in second])
    total = n + m
    ranks_of_first = 0.0
    ties = 0.0
    start = 0
    while start < total:
        end = start
        while end < total and pooled[end][0] == pooled[start][0]:
            end += 1
        size = end - start
        rank = (start + 1 + end) / 2.0
        ranks_of_first += rank * sum(1 for entry in pooled[start:end] if entry[1] == 0)
        ties += size**3 - size
        start = end
    u = ranks_of_first - n * (n + 1) / 2.0
    variance = n * m / 12.0 * ((total + 1) - ties / (total * (total - 1)))
    if variance <= 0:
        return 1.0  # all values are the same
    distance = max(0.0, abs(u - n * m / 2.0) - 0.5)
    return math.erfc(distance / math.sqrt(2.0 * variance))
