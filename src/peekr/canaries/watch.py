"""Looks at what arrives of the canaries' traces, at the doors of everything that takes spans."""

from __future__ import annotations

import json
from collections.abc import Generator
from contextlib import contextmanager
from typing import Any, Callable

from opentelemetry.sdk.trace import ReadableSpan

from peekr.canaries.report import Leak
from peekr.canaries.samples import Canaries

__all__ = ["Watch", "tapped"]


class Watch:
    """Looks at what arrives of the canaries' traces.

    Attributes:
        traces: The ids of the traces that canaries are sent in.
        places: Where something of these traces arrived.
        leaks: The canaries that arrived there.
    """

    def __init__(self, canaries: Canaries) -> None:
        """Watch for these."""
        self._canaries = canaries
        self.traces: set[int] = set()
        self.places: set[str] = set()
        self.leaks: set[Leak] = set()

    def started(self, place: str, span: Any, *_: Any, **__: Any) -> bool:
        """Look at a live span, and again when it ends: a processor may keep it."""
        if not self._is_ours(span):
            return False
        self._look(place, span.name, f"{span.name} {dict(span.attributes or {})}")
        return True

    def ended(self, place: str, span: ReadableSpan) -> bool:
        """Look at a finished span."""
        if not self._is_ours(span):
            return False
        self.places.add(place)
        self._look(place, span.name, _shown(span))
        return True

    def record(self, place: str, record: Any) -> bool:
        """Look at a record."""
        if int(record.trace_id, 16) not in self.traces:
            return False
        self.places.add(place)
        shown = json.dumps(record.to_dict(), ensure_ascii=False, default=str)
        self._look(place, record.name, shown)
        return True

    def _is_ours(self, span: Any) -> bool:
        context = span.get_span_context()
        return context is not None and context.trace_id in self.traces

    def _look(self, place: str, name: str, shown: str) -> None:
        # The name of the span may be the leak itself.
        where = "a span" if self._canaries.found(name) else name
        self.leaks.update(Leak(place, canary, where) for canary in self._canaries.found(shown))


def _shown(span: ReadableSpan) -> str:
    links, scope = span.links, span.instrumentation_scope
    contexts = [span.context, span.parent, *(link.context for link in links)]
    parts: list[Any] = [
        span.name,
        dict(span.attributes or {}),
        span.status.description,
        [(event.name, dict(event.attributes or {})) for event in span.events],
        [dict(link.attributes or {}) for link in links],
        [list(context.trace_state.items()) for context in contexts if context is not None],
        dict(span.resource.attributes),
        scope,
        getattr(scope, "attributes", None),
    ]
    return "\n".join(map(repr, parts))


@contextmanager
def tapped(taker: Any, method: str, look: Callable[..., bool]) -> Generator[None, None, None]:
    """Have what a taker gets looked at first; what is of ours does not reach it.

    Args:
        taker: A sink or a span processor.
        method: The name of its method that takes.
        look: Is given the taker's name and the arguments; whether they are of ours.
    """
    original: Any = getattr(taker, method)
    place = _named(taker)

    def tap(*args: Any, **kwargs: Any) -> None:
        if not look(place, *args, **kwargs):
            original(*args, **kwargs)

    had_own = method in getattr(taker, "__dict__", ())
    try:
        setattr(taker, method, tap)
    except AttributeError:
        yield  # it has __slots__: it gets them, and they are redacted or they are not
        return
    try:
        yield
    finally:
        if had_own:
            setattr(taker, method, original)
        else:
            delattr(taker, method)


def _named(taker: Any) -> str:
    """A taker by the exporters that it has, else by its class."""
    exporters: Any = getattr(taker, "exporters", None)
    if not exporters:
        one = getattr(taker, "exporter", None) or getattr(taker, "span_exporter", None)
        exporters = [one or taker]
    return ", ".join(type(exporter).__qualname__.lstrip("_") for exporter in exporters)
