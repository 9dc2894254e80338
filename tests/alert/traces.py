"""Traces as the rules see them, with just the facts that a test is about."""

from __future__ import annotations

from typing import Any, List, Optional, Sequence, Tuple

from peekr.alert import BaseAlert
from peekr.record import SpanRecord


def span(
    name: str = "openai.chat",
    *,
    trace: int = 1,
    span: int = 1,
    parent: Optional[int] = None,
    ms: float = 10.0,
    status: str = "ok",
    **attributes: Any,
) -> SpanRecord:
    return SpanRecord(
        format(trace, "032x"),
        format(span, "016x"),
        None if parent is None else format(parent, "016x"),
        name,
        1.0,
        1.0 + ms / 1000,
        ms,
        status,
        attributes=attributes,
    )


def fired(alert: BaseAlert, traces: Sequence[Sequence[SpanRecord]]) -> List[int]:
    """The places of the traces, from 1, on which a rule had something to say."""
    return [place for place, trace in enumerate(traces, 1) if alert.check(trace)]


class Kept:
    """A sink that keeps what it is told."""

    def __init__(self) -> None:
        self.told: List[Tuple[str, str]] = []

    def notify(self, alert_name: str, message: str) -> None:
        self.told.append((alert_name, message))

    @property
    def messages(self) -> List[str]:
        return [message for _, message in self.told]
