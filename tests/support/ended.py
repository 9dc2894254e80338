"""Spans that have ended, without a tracer."""

from __future__ import annotations

from typing import Optional

from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.trace import SpanContext, Status, StatusCode, TraceFlags

__all__ = ["context_of", "ended"]


def context_of(trace_id: int, span_id: int, is_remote: bool = False) -> SpanContext:
    return SpanContext(trace_id, span_id, is_remote, TraceFlags(TraceFlags.SAMPLED))


def ended(
    trace_id: int,
    span_id: int,
    parent: Optional[int] = None,
    *,
    failed: bool = False,
    is_remote: bool = False,
    text: str = "",
) -> ReadableSpan:
    """A span with this text in an attribute; `is_remote` is said of its parent."""
    return ReadableSpan(
        f"span {span_id}",
        context=context_of(trace_id, span_id),
        parent=None if parent is None else context_of(trace_id, parent, is_remote),
        attributes={"text": text},
        status=Status(StatusCode.ERROR if failed else StatusCode.UNSET),
        start_time=1,
        end_time=2,
    )
