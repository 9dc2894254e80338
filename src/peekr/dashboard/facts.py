"""The calls as rows: what the page sums again whenever somebody filters."""

from __future__ import annotations

import zlib
from collections.abc import Callable
from typing import Any, Union

from peekr.dashboard.traces import Call, Span

__all__ = ["DIMENSIONS", "OTHER", "Dimensions", "Facts"]

DIMENSIONS = ("model", "tenant", "feature", "endpoint", "variant", "user", "name")
"""What calls can be filtered and grouped by; the order of a row's indexes."""
OTHER = "(other)"
MAX_ROWS = 100_000
"""Calls that are all in the page; of more there is a sample, and every failed one."""
_MAX_FAILED = 50_000
_MAX_VALUES = 400
_MAX_CHARS = 200
_MAX_KNOWN = 50_000

Document = dict[str, Any]


class Dimensions:
    """Texts by number, a table a dimension; number 0 is none, and what is too much is `(other)`."""

    def __init__(self) -> None:
        self._numbers: tuple[dict[str, int], ...] = tuple({"": 0} for _ in DIMENSIONS)
        self._known: dict[tuple[Any, ...], tuple[int, ...]] = {}
        self.none: tuple[int, ...] = (0,) * len(DIMENSIONS)

    def of(self, document: Document, get: Callable[[str], Any], name: str) -> tuple[int, ...]:
        """The numbers of a record's values.

        Args:
            document: The record as a JSON object.
            get: Looks up an attribute.
            name: The record's name.
        """
        key = (
            get("model"),
            document.get("tenant_id"),
            get("feature"),
            get("endpoint"),
            get("experiment_variant"),
            get("user_id"),
            name,
        )
        try:
            return self._known[key]
        except KeyError:
            pass
        except TypeError:  # a list or an object where a text belongs
            return self._of(key)
        if len(self._known) >= _MAX_KNOWN:
            self._known.clear()
        found = self._known[key] = self._of(key)
        return found

    def _of(self, values: tuple[Any, ...]) -> tuple[int, ...]:
        return tuple(
            0 if value is None else self._number(table, value)
            for table, value in zip(self._numbers, values)
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

    def __init__(self) -> None:
        self.rows: list[Row] = []
        self.failed: list[Row] = []
        self.every = 1
        """Of the calls that did not fail, one in so many is kept."""
        self.failed_every = 1

    def wants(self, trace_id: str, has_failed: bool) -> bool:
        """Whether a call is to be added."""
        every = self.failed_every if has_failed else self.every
        return every == 1 or _chance(trace_id) % every == 0

    def add(self, span: Span, dims: tuple[int, ...], call: Call, trace_id: str) -> None:
        """Take a call that is wanted."""
        _, is_cut_short, wait, sent, made, cached, reasoning, cost, is_llm = call
        has_failed, ms = span[6] != "", span[5]
        row = (
            span[4],
            ms,
            has_failed,
            wait,
            0 if is_llm else 1,
            sent,
            made,
            cached,
            reasoning,
            cost,
            cost is None and (sent is not None or made is not None),
            is_cut_short,
            dims,
            trace_id,
        )
        if has_failed:
            self.failed.append(row)
            if len(self.failed) > _MAX_FAILED:
                self.failed_every *= 2
                self.failed = [r for r in self.failed if _chance(r[-1]) % self.failed_every == 0]
        else:
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
