"""What other instrumentations write, under the names of today's conventions.

Each dialect is a module with `MARKERS`, attributes of which every span of the dialect has at least
one, and `translate(draft)`. No dialect knows OpenTelemetry: a draft is attributes and events by
name, from a finished span or from a file. The names of the conventions are the common tongue; what
they become in a record is the projection's matter.
"""

from __future__ import annotations

from peekr.dialects import (
    conventions,
    langfuse,
    logfire,
    openinference,
    openllmetry,
    pydantic_ai,
    vercel,
)
from peekr.dialects.draft import Draft

__all__ = ["MARKERS", "Draft", "translate"]

# Those with names of their own first: what they leave to the conventions' names is read last.
_DIALECTS = (logfire, pydantic_ai, vercel, openinference, openllmetry, langfuse, conventions)

MARKERS = frozenset(marker for dialect in _DIALECTS for marker in dialect.MARKERS)
"""Attributes of which a span that speaks a dialect has at least one."""


def translate(draft: Draft) -> None:
    """Give everything that a dialect says today's names; never raises.

    Several dialects may be mixed in one span. A fault in one, which only damaged attributes can
    bring about, leaves them as that dialect found them.
    """
    for dialect in _DIALECTS:
        if dialect.MARKERS.isdisjoint(draft.attributes) and not (
            dialect is conventions and draft.events
        ):
            continue
        attributes, events = dict(draft.attributes), draft.events
        try:
            dialect.translate(draft)
        except Exception:
            draft.attributes.clear()
            draft.attributes.update(attributes)
            draft.events = events
