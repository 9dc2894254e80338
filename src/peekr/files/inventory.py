"""What a trace file holds, counted in one pass."""

from __future__ import annotations

import os
from array import array
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any, Optional

from peekr.record import SpanRecord
from peekr.summary import number

__all__ = ["Inventory", "KindCount", "file_bytes", "take_inventory"]

_MAX_DISTINCT = 10_000
"""Of names that are counted one by one, such as models; those beyond count as `(others)`."""
_OTHERS = "(others)"
_COUNTED = ("session_id", "user_id", "feature", "endpoint")


@dataclass
class KindCount:
    """Spans of one name, or of one model.

    Attributes:
        spans: How many.
        errors: How many of them failed.
        tokens_input: Their sum, 0 where none says.
        tokens_output: Their sum.
        durations_ms: Of each span that has one, in milliseconds.
    """

    spans: int = 0
    errors: int = 0
    tokens_input: float = 0.0
    tokens_output: float = 0.0
    durations_ms: array[float] = field(default_factory=lambda: array("d"))

    def add(self, record: SpanRecord) -> None:
        """Count a span."""
        self.spans += 1
        self.errors += record.status == "error"
        self.tokens_input += number(record.attributes.get("tokens_input")) or 0.0
        self.tokens_output += number(record.attributes.get("tokens_output")) or 0.0
        if record.duration_ms is not None:
            self.durations_ms.append(record.duration_ms)

    def percentile_ms(self, share: float) -> Optional[float]:
        """The duration that so large a share of the spans did not exceed (nearest rank)."""
        ordered = sorted(self.durations_ms)
        if not ordered:
            return None
        return ordered[min(len(ordered) - 1, max(0, -int(-share * len(ordered) // 1) - 1))]

    def to_dict(self) -> dict[str, Any]:
        """The counts as a JSON object."""
        return {
            "spans": self.spans,
            "errors": self.errors,
            "tokens_input": self.tokens_input,
            "tokens_output": self.tokens_output,
            "p50_ms": self.percentile_ms(0.5),
            "p95_ms": self.percentile_ms(0.95),
        }


@dataclass
class Inventory:
    """What a file holds.

    Attributes:
        spans: How many records.
        traces: How many traces.
        errors: How many records of failed spans.
        first: The earliest start, in Unix seconds.
        last: The latest end.
        names: By record name.
        models: By model; only records that name one.
        tenants: Records by tenant; "" for none.
        retention_classes: Records by class; "" for none.
        distinct: How many different sessions, users, features and endpoints there are.
    """

    spans: int = 0
    traces: int = 0
    errors: int = 0
    first: Optional[float] = None
    last: Optional[float] = None
    names: dict[str, KindCount] = field(default_factory=dict[str, KindCount])
    models: dict[str, KindCount] = field(default_factory=dict[str, KindCount])
    tenants: Counter[str] = field(default_factory=Counter[str])
    retention_classes: Counter[str] = field(default_factory=Counter[str])
    distinct: dict[str, int] = field(default_factory=dict[str, int])

    def to_dict(self) -> dict[str, Any]:
        """The counts as a JSON object."""
        return {
            "spans": self.spans,
            "traces": self.traces,
            "errors": self.errors,
            "first": self.first,
            "last": self.last,
            "names": {name: count.to_dict() for name, count in self.names.items()},
            "models": {name: count.to_dict() for name, count in self.models.items()},
            "tenants": dict(self.tenants),
            "retention_classes": dict(self.retention_classes),
            "distinct": self.distinct,
        }


def take_inventory(records: Iterable[SpanRecord]) -> Inventory:
    """Count records in one pass; in memory are the trace ids and one number a record."""
    made = Inventory()
    traces: set[str] = set()
    seen: dict[str, set[str]] = {name: set() for name in _COUNTED}
    for record in records:
        made.spans += 1
        traces.add(record.trace_id)
        made.errors += record.status == "error"
        if record.start_time and (made.first is None or record.start_time < made.first):
            made.first = record.start_time
        if record.end_time and (made.last is None or record.end_time > made.last):
            made.last = record.end_time
        _count(made.names, record.name, record)
        model = record.attributes.get("model")
        if isinstance(model, str):
            _count(made.models, model, record)
        made.tenants[_known(made.tenants, record.tenant_id or "")] += 1
        made.retention_classes[_known(made.retention_classes, record.retention_class or "")] += 1
        for name, values in seen.items():
            value = record.attributes.get(name)
            if isinstance(value, str):
                values.add(value)
    made.traces = len(traces)
    made.distinct = {name: len(values) for name, values in seen.items() if values}
    return made


def _count(counts: dict[str, KindCount], name: str, record: SpanRecord) -> None:
    found = counts.get(name)
    if found is None:
        name = _known(counts, name)
        found = counts.setdefault(name, KindCount())
    found.add(record)


def _known(counts: Any, name: str) -> str:
    return name if name in counts or len(counts) < _MAX_DISTINCT else _OTHERS


def file_bytes(path: str) -> int:
    """What a trace file takes on disk in bytes, a database's log included."""
    names = (path, f"{path}-wal")
    return sum(os.path.getsize(name) for name in names if os.path.exists(name))
