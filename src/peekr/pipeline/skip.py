"""Spans of other instrumentation that Peekr leaves out: those of requests that are skipped.

Other exporters get them all the same. What starts inside such a span and is not of the same
instrumentation, a model call say, is not left out.
"""

from __future__ import annotations

from typing import Any

__all__ = ["forget", "inherit", "is_any", "skip"]

_MAX_SPANS = 10_000
"""Spans that never end must not add up."""

# The scope's name by span id. One operation at a time on it, so no lock is needed.
_skipped: dict[int, str] = {}


def is_any() -> bool:
    """Whether there is a span to leave out; cheap, for the path that every span takes."""
    return bool(_skipped)


def skip(span: Any) -> None:
    """Leave out a span that has not ended, and what its instrumentation starts inside it."""
    if len(_skipped) < _MAX_SPANS:
        _skipped[span.get_span_context().span_id] = _scope_of(span)


def inherit(span: Any) -> None:
    """Leave out a span that starts, where its parent is left out and of the same making."""
    if span.parent is not None and _skipped.get(span.parent.span_id) == _scope_of(span):
        skip(span)


def forget(span: Any) -> bool:
    """Whether a span that has ended is to be left out; it is forgotten here."""
    return _skipped.pop(span.get_span_context().span_id, None) is not None


def _scope_of(span: Any) -> str:
    return getattr(getattr(span, "instrumentation_scope", None), "name", "")
