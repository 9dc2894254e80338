"""Scores and findings: how good answers were, and what guards found."""

from __future__ import annotations

import heapq
from array import array
from collections.abc import Mapping
from typing import Any, NamedTuple, Optional, cast
from zlib import crc32

from peekr.dashboard.figures import Series, answer_of, question_of, short
from peekr.encoding import dumps
from peekr.summary import number

__all__ = ["Evaluator", "Finding", "Judged", "Quality", "Worst"]

_MAX_EVALUATORS = 50
_MAX_FINDINGS = 500
_WORST = 20
MAX_ROWS = 20_000
"""Scores that are in the page for filters; of more there is a sample."""
_BY = (("model", 0), ("feature", 2), ("variant", 4))
_FINDINGS = (
    ("guardrail_warnings", "warning"),
    ("guardrail_violations", "violation"),
    ("compliance_violations", "compliance"),
)


class Judged(NamedTuple):
    """A record with scores or findings.

    Attributes:
        start: Unix seconds.
        dims: The numbers of what it is grouped by.
    """

    trace: str
    span: str
    start: float
    has_failed: bool
    attributes: Mapping[str, Any]
    dims: tuple[int, ...]


class Worst(NamedTuple):
    """One of the answers with the lowest scores."""

    trace: str
    span: str
    evaluator: str
    score: float
    question: str
    answer: str
    details: str


class Evaluator:
    """The scores of one evaluator."""

    def __init__(self) -> None:
        self.scores: array[float] = array("d")
        self.errors = 0
        self.bins = [0] * 10
        self.series = Series(2)
        self.by: dict[str, dict[int, list[float]]] = {name: {} for name, _ in _BY}


class Finding:
    """What a guard found, counted."""

    def __init__(self) -> None:
        self.n = 0
        self.traces: list[str] = []


class Quality:
    """All scores and findings of a file."""

    def __init__(self) -> None:
        self.evaluators: dict[str, Evaluator] = {}
        self.findings: dict[tuple[str, str, str], Finding] = {}
        self.rows: list[tuple[Any, ...]] = []
        """Evaluator, start in seconds, score, has failed, dimensions, trace."""
        self.every = 1
        """One score in so many is among the rows."""
        self._worst: list[tuple[float, int, Worst]] = []
        self._sequence = 0

    @property
    def worst(self) -> list[Worst]:
        """The lowest scores, the lowest first."""
        return [worst for _, _, worst in sorted(self._worst, reverse=True)]

    def add(self, judged: Judged) -> Optional[float]:
        """Take a record; returns its lowest score."""
        attributes = judged.attributes
        scores = attributes.get("eval_scores")
        lowest: Optional[float] = None
        if isinstance(scores, dict):
            for name, value in cast("Mapping[str, Any]", scores).items():
                score = number(value)
                if score is None:
                    continue
                self._score(str(name)[:200], min(1.0, max(0.0, score)), judged)
                lowest = score if lowest is None else min(lowest, score)
        errors = attributes.get("eval_errors")
        if isinstance(errors, dict):
            for name in cast("Mapping[str, Any]", errors):
                found = self._evaluator(str(name)[:200])
                if found is not None:
                    found.errors += 1
        for attribute, kind in _FINDINGS:
            entries = attributes.get(attribute)
            if entries:
                self._find(kind, entries, judged.trace[:64])
        return lowest

    def _evaluator(self, name: str) -> Optional[Evaluator]:
        found = self.evaluators.get(name)
        if found is None and len(self.evaluators) < _MAX_EVALUATORS:
            found = self.evaluators[name] = Evaluator()
        return found

    def _score(self, name: str, score: float, judged: Judged) -> None:
        found = self._evaluator(name)
        if found is None:
            return
        found.scores.append(score)
        found.bins[min(9, int(score * 10))] += 1
        sums = found.series.buckets[found.series.at(judged.start)]
        sums[0] += 1
        sums[1] += score
        by, dims = found.by, judged.dims
        for dimension, place in _BY:
            entry = by[dimension].setdefault(dims[place], [0.0, 0.0])
            entry[0] += 1
            entry[1] += score
        trace = judged.trace[:64]
        if self.every == 1 or crc32(trace.encode("utf-8", "replace")) % self.every == 0:
            self.rows.append((name, judged.start, score, judged.has_failed, dims, trace))
            if len(self.rows) > MAX_ROWS:
                self.every *= 2
                self.rows = [
                    row
                    for row in self.rows
                    if crc32(row[5].encode("utf-8", "replace")) % self.every == 0
                ]
        if len(self._worst) < _WORST or score < -self._worst[0][0]:
            self._sequence += 1
            attributes = judged.attributes
            details = attributes.get("hallucination_details") or attributes.get("eval_explanations")
            worst = Worst(
                trace,
                judged.span[:64],
                name,
                score,
                short(question_of(attributes.get("input"))),
                short(answer_of(attributes.get("output"))),
                dumps(details).decode("utf-8", "replace")[:2000] if details else "",
            )
            heapq.heappush(self._worst, (-score, self._sequence, worst))
            if len(self._worst) > _WORST:
                heapq.heappop(self._worst)

    def _find(self, kind: str, entries: Any, trace_id: str) -> None:
        listed = cast("list[Any]", entries) if isinstance(entries, list) else [entries]
        for entry in listed:
            said = cast("Mapping[str, Any]", entry) if isinstance(entry, dict) else {"rule": entry}
            guard = said.get("guard") or said.get("guardrail") or said.get("pack") or ""
            rule = said.get("rule") or said.get("type") or said.get("message") or ""
            key = (kind, str(guard)[:100], str(rule)[:200])
            found = self.findings.get(key)
            if found is None:
                if len(self.findings) >= _MAX_FINDINGS:
                    continue
                found = self.findings[key] = Finding()
            found.n += 1
            if trace_id not in found.traces:
                found.traces.append(trace_id)
                del found.traces[:-5]
