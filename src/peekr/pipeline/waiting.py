"""Spans that wait: which one it is, and how much memory it takes, about."""

from __future__ import annotations

from typing import cast

from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.trace import SpanContext

__all__ = ["chars_of", "span_id_of", "trace_id_of"]

_SPAN_CHARS = 500
"""What a span takes beside its texts, about."""


def chars_of(span: ReadableSpan) -> int:
    """The characters of text in a span's attributes, and some for the rest of it."""
    values = (span.attributes or {}).values()
    return _SPAN_CHARS + sum(len(value) for value in values if type(value) is str)


def span_id_of(span: ReadableSpan) -> int:
    """The id of a span that a tracer has made: such a one has a context."""
    return cast("SpanContext", span.context).span_id


def trace_id_of(span: ReadableSpan) -> int:
    """The id of the trace of a span that a tracer has made."""
    return cast("SpanContext", span.context).trace_id
