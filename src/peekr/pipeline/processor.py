"""The span processor: where Peekr sees every span first, and what those behind it get to see."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Callable, Optional

from opentelemetry.context import Context
from opentelemetry.sdk.trace import ReadableSpan, Span, SpanProcessor, SynchronousMultiSpanProcessor
from opentelemetry.trace import TraceFlags

from peekr import faults
from peekr.context import NO_SCOPE, current_scope
from peekr.pipeline import skip
from peekr.pipeline.doubles import Doubles
from peekr.starting import starters

__all__ = ["PeekrSpanProcessor", "SpanStage"]

_SAMPLED = int(TraceFlags.SAMPLED)

SpanStage = Callable[[ReadableSpan], None]
"""Takes a finished span; runs on the thread that ended it."""


class PeekrSpanProcessor(SynchronousMultiSpanProcessor):
    """Gives each span what its context carries, and hands each finished span to the pipeline.

    As the `active_span_processor` of a provider of Peekr's own it stands before every processor
    that is added later; joined to an application's provider it is one of several. Without a
    pipeline it does nothing, which is how `uninstrument()` leaves it.

    Attributes:
        redact: Makes the span that everybody gets to see of each finished one; it must not raise.
        started: Redacts a span that starts, before those behind see it; it must not raise.
        doubles: Knows which spans are second ones of a call: they go to those behind alone.
        watching: Is told of each span that starts, and of the context that it starts in.
        pipeline: Takes each finished span that is sampled, and calls `forward` with it.
        defaults: Attributes of every span whose context says nothing else.
        flush: Waits, at most so many seconds, until the pipeline's stores have everything.
    """

    def __init__(self) -> None:
        super().__init__()
        # As the base keeps them, at hand for the path that every span takes.
        self._behind: tuple[SpanProcessor, ...] = ()
        self.redact: Optional[Callable[[ReadableSpan], ReadableSpan]] = None
        self.started: Optional[Callable[[Span], None]] = None
        self.doubles = Doubles()
        self.watching: Optional[Callable[[Span, Optional[Context]], None]] = None
        self.pipeline: Optional[SpanStage] = None
        self.defaults: Mapping[str, str] = {}
        self.flush: Optional[Callable[[float], bool]] = None

    @property
    def behind(self) -> tuple[SpanProcessor, ...]:
        """The processors behind this one; the same object while none is added."""
        return self._behind

    def on_start(self, span: Span, parent_context: Optional[Context] = None) -> None:
        """Put session, user, tenant and the like on a span that starts."""
        if self.pipeline is not None:
            scope = current_scope(parent_context)
            if scope is not NO_SCOPE:
                span.set_attributes({**self.defaults, **scope.attributes()})
            elif self.defaults:
                span.set_attributes(self.defaults)
            if skip.is_any():
                skip.inherit(span)
            for starter in starters:
                starter(span, parent_context)
            self.doubles.started(span, parent_context)
            if self.watching is not None:
                self.watching(span, parent_context)
        if self.started is not None:
            self.started(span)
        for processor in self._behind:
            processor.on_start(span, parent_context)

    def on_end(self, span: ReadableSpan) -> None:
        """Hand a finished span to the pipeline, and to the processors behind."""
        pipeline = self.pipeline
        context = span.context
        if skip.is_any() and skip.forget(span):
            pipeline = None
        doubles = self.doubles
        if doubles.is_any() and doubles.is_double(span):
            pipeline = None
        if self.redact is not None:
            span = self.redact(span)
        if pipeline is not None and context is not None and context.trace_flags & _SAMPLED:
            try:
                pipeline(span)
                return
            except Exception:
                faults.report("processing a finished span")
        doubles.forget(span)
        self.forward(span)

    def forward(self, span: ReadableSpan) -> None:
        """Hand a finished span to the processors behind."""
        for processor in self._behind:
            processor.on_end(span)

    def _on_ending(self, span: Span) -> None:
        for processor in self._behind:
            processor._on_ending(span)  # pyright: ignore[reportPrivateUsage] - the SDK's own hook

    def add_span_processor(self, span_processor: SpanProcessor) -> None:
        """Put a processor behind this one."""
        super().add_span_processor(span_processor)
        self._behind = (*self._behind, span_processor)

    def force_flush(self, timeout_millis: int = 30_000) -> bool:
        """Wait until the stores have all that ended before, and those behind likewise."""
        done = self.flush is None or self.flush(timeout_millis / 1000.0)
        return super().force_flush(timeout_millis) and done

    def shutdown(self) -> None:
        """Flush, and shut down the processors behind."""
        if self.flush is not None:
            self.flush(5.0)
        super().shutdown()
