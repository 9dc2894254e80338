"""What the model calls in a file cost: sums by whatever is asked for, in one pass over the file."""

from __future__ import annotations

from peekr.costs.dimensions import DIMENSIONS
from peekr.costs.reading import report
from peekr.costs.sums import CallCost, CostReport, Group, Sums, Table, Unpriced

__all__ = ["DIMENSIONS", "CallCost", "CostReport", "Group", "Sums", "Table", "Unpriced", "report"]
