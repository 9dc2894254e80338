"""The calls as rows: what the page sums again whenever somebody filters."""

from __future__ import annotations

import zlib
from operator import itemgetter
from typing import Any, Union

from peekr.dashboard.cells import Call

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


class Dimensions:
    """Texts by number, a table a dimension; number 0 is none, and what is too much is `(other)`."""

    def __init__(self) -> None:
        self._numbers: tuple[dict[str, int], ...] = tuple({"": 0} for _ in DIMENSIONS)
        self.known: dict[tuple[Any, ...], tuple[int, ...]] = {}
        self.none: tuple[int, ...] = (0,) * len(DIMENSIONS)

    def of(self, key: tuple[Any, ...]) -> tuple[int, ...]:
        """The numbers of a record's values, which stand in the order of `DIMENSIONS`.

        A pass over many records looks in `known` first.
        """
        try:
            return self.known[key]
        except KeyError:
            pass
        except TypeError:  # a list or an object where a text belongs
            return self._of(key)
        found = self._of(key)
        if all(value is None or len(str(value)) <= _MAX_CHARS for value in key):
            if len(self.known) >= _MAX_KNOWN:
                self.known.clear()
            self.known[key] = found
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


class Facts:
    """The calls (`cells.Call`), or a sample of them that keeps every failed one."""

    def __init__(self) -> None:
        self.rows: list[Call] = []
        self.failed: list[Call] = []
        self.every = 1
        """Of the calls that did not fail, one in so many is kept."""
        self.failed_every = 1

    def take(self, trace_id: str, calls: list[Call], has_failed: bool) -> None:
        """Take the calls of a trace, if it is in the sample.

        Args:
            trace_id: By which it is decided.
            calls: Of the trace, some or all.
            has_failed: Whether a call among them may have failed.
        """
        if has_failed:
            failed = [call for call in calls if call[2]]
            calls = [call for call in calls if not call[2]]
            if self.failed_every == 1 or _chance(trace_id) % self.failed_every == 0:
                self.failed += failed
                if len(self.failed) > _MAX_FAILED:
                    self.failed_every *= 2
                    self.failed = _sampled(self.failed, self.failed_every)
        if self.every == 1 or _chance(trace_id) % self.every == 0:
            self.rows += calls
            if len(self.rows) > MAX_ROWS:
                # By trace, so that what is kept of a trace is all of it.
                self.every *= 2
                self.rows = _sampled(self.rows, self.every)

    def finish(self) -> None:
        """Put the rows in the order of time."""
        self.rows += self.failed
        self.failed = []
        self.rows.sort(key=_start)

    @property
    def sampled(self) -> Union[str, None]:
        """How the page says it; None where every call is there."""
        return f"1 in {self.every}" if self.every > 1 else None


_start = itemgetter(0)


def _sampled(calls: list[Call], every: int) -> list[Call]:
    return [call for call in calls if _chance(call[12]) % every == 0]


def _chance(trace_id: str) -> int:
    return zlib.crc32(trace_id.encode("utf-8", "surrogatepass"))
