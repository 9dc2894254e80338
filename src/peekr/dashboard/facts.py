"""The calls as rows: what the page sums again whenever somebody filters."""

from __future__ import annotations

import zlib
from typing import TYPE_CHECKING, Any, Union

from peekr.record import SpanRecord

if TYPE_CHECKING:
    from peekr.dashboard.collect import Span

__all__ = ["DIMENSIONS", "OTHER", "Dimensions", "Facts"]

DIMENSIONS = ("model", "tenant", "feature", "endpoint", "variant", "user", "name")
"""What calls can be filtered and grouped by; the order of a row's indexes."""
OTHER = "(other)"
MAX_ROWS = 100_000
"""Calls that are all in the page; of more there is a sample, and every failed one."""
_MAX_FAILED = 50_000
_MAX_VALUES = 400
_MAX_CHARS = 200


class Dimensions:
    """Texts by number, a table a dimension; number 0 is none, and what is too much is `(other)`."""

    def __init__(self) -> None:
        self._numbers: tuple[dict[str, int], ...] = tuple({"": 0} for _ in DIMENSIONS)

    def of(self, record: SpanRecord) -> tuple[int, ...]:
        """The numbers of a record's values."""
        get = record.attributes.get
        model, feature = get("model"), get("feature")
        endpoint, variant, user = get("endpoint"), get("experiment_variant"), get("user_id")
        numbers = self._numbers
        return (
            0 if model is None else self._number(numbers[0], model),
            0 if record.tenant_id is None else self._number(numbers[1], record.tenant_id),
            0 if feature is None else self._number(numbers[2], feature),
            0 if endpoint is None else self._number(numbers[3], endpoint),
            0 if variant is None else self._number(numbers[4], variant),
            0 if user is None else self._number(numbers[5], user),
            self._number(numbers[6], record.name),
        )

    def value(self, dimension: str, number: int) -> str:
        """The text behind a number."""
        return self.values(dimension)[number]

    def values(self, dimension: str) -> list[str]:
        """All texts of a dimension, in the order of their numbers."""
        return list(self._numbers[DIMENSIONS.index(dimension)])

    def _number(self, table: dict[str, int], value: Any) -> int:
        text = value if type(value) is str else str(value)
        found = table.get(text)
        if found is None:
            if len(text) > _MAX_CHARS:
                return self._number(table, text[: _MAX_CHARS - 1] + "…")
            if len(table) >= _MAX_VALUES:
                text = OTHER
            found = table.setdefault(text, len(table))
        return found


Row = tuple[Any, ...]


class Facts:
    """The calls, or a sample of them that keeps every failed one.

    A row: start in seconds, duration in milliseconds, failed, wait, kind, tokens in, out, cached,
    reasoning, cost, unpriced, cut short, the numbers of the dimensions, the trace's id.
    """

    def __init__(self, dimensions: Dimensions) -> None:
        self.dimensions = dimensions
        self.rows: list[Row] = []
        self.failed: list[Row] = []
        self.every = 1
        """Of the calls that did not fail, one in so many is kept."""
        self.failed_every = 1

    def add(self, span: Span, has_usage: bool, trace_id: str) -> None:
        """Take a call."""
        row = (
            span.start,
            span.ms,
            span.error != "",
            span.wait,
            0 if span.kind == "llm" else 1,
            span.tokens_in,
            span.tokens_out,
            span.cached,
            span.reasoning,
            span.cost,
            has_usage and span.cost is None,
            span.length,
            span.dims,
            trace_id,
        )
        if span.error:
            if self.failed_every == 1 or _chance(trace_id) % self.failed_every == 0:
                self.failed.append(row)
                if len(self.failed) > _MAX_FAILED:
                    self.failed_every *= 2
                    self.failed = [
                        r for r in self.failed if _chance(r[-1]) % self.failed_every == 0
                    ]
        elif self.every == 1 or _chance(trace_id) % self.every == 0:
            self.rows.append(row)
            if len(self.rows) > MAX_ROWS:
                # By trace, so that what is kept of a trace is all of it.
                self.every *= 2
                self.rows = [r for r in self.rows if _chance(r[-1]) % self.every == 0]

    def finish(self) -> None:
        """Put the rows in the order of time."""
        self.rows += self.failed
        self.failed = []
        self.rows.sort(key=_start)

    def weight(self, row: Row) -> int:
        """For how many calls a row stands."""
        return self.failed_every if row[2] else self.every

    @property
    def sampled(self) -> Union[str, None]:
        """How the page says it; None where every call is there."""
        return f"1 in {self.every}" if self.every > 1 else None


def _start(row: Row) -> float:
    return row[0]


def _chance(trace_id: str) -> int:
    return zlib.crc32(trace_id.encode("utf-8", "surrogatepass"))
