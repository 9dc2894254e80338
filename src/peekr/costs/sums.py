"""What some calls add up to, and the report of it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Optional

__all__ = ["CallCost", "CostReport", "Group", "Sums", "Table", "Unpriced"]


class Sums:
    """What some calls add up to; tokens and US dollars.

    Attributes:
        calls: How many.
        errors: How many of them failed.
        unpriced: How many of them have no known price.
        input: All of the input, cached tokens included.
        output: All of the output, reasoning included.
        cache_read: Read from the provider's cache.
        cache_write: Written to it.
        reasoning: Reasoning.
        cost_usd: Of those with a price.
        saved_usd: What the cache saved, as far as the records say so.
        unknown_saving: Tokens read from a cache by calls that do not say what that saved.
    """

    __slots__ = (
        "cache_read",
        "cache_write",
        "calls",
        "cost_usd",
        "errors",
        "input",
        "output",
        "reasoning",
        "saved_usd",
        "unknown_saving",
        "unpriced",
    )

    def __init__(self) -> None:
        self.calls: int = 0
        self.errors: int = 0
        self.unpriced: int = 0
        self.input: int = 0
        self.output: int = 0
        self.cache_read: int = 0
        self.cache_write: int = 0
        self.reasoning: int = 0
        self.unknown_saving: int = 0
        self.cost_usd: float = 0.0
        self.saved_usd: float = 0.0

    def add(self, other: Sums, sign: int = 1) -> None:
        """Add what others add up to, or take it away where the sign is -1."""
        for name in self.__slots__:
            setattr(self, name, getattr(self, name) + sign * getattr(other, name))


@dataclass
class Group:
    """The calls that have the same values; None where a call says nothing."""

    values: tuple[Optional[str], ...]
    sums: Sums


@dataclass
class Table:
    """Sums by one or several dimensions, the most expensive first."""

    by: tuple[str, ...]
    groups: list[Group]


@dataclass
class CallCost:
    """One call that stands out."""

    trace_id: str
    span_id: str
    name: str
    model: Optional[str]
    start_time: Optional[float]
    duration_ms: Optional[float]
    cost_usd: Optional[float]


@dataclass
class Unpriced:
    """A model whose calls have no known price."""

    provider: Optional[str]
    model: Optional[str]
    calls: int
    tokens: int


@dataclass
class CostReport:
    """What the calls in a file cost."""

    total: Sums
    tables: list[Table]
    most_expensive: list[CallCost]
    slowest: list[CallCost]
    unpriced: list[Unpriced] = field(default_factory=list[Unpriced])
