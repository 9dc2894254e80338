"""The gate: redaction in front of everything that sees spans, also on a provider that we joined."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import Any, Callable, Optional, cast

from opentelemetry.context import Context
from opentelemetry.sdk.trace import ReadableSpan, Span

from peekr import messages
from peekr.pipeline.processor import PeekrSpanProcessor
from peekr.pipeline.redact import SpanRedactor

__all__ = ["RedactionGate"]

_logger = logging.getLogger("peekr")
# Where wrappers of providers keep what they wrap.
_WRAPPED = ("provider", "_provider", "wrapped", "_wrapped", "__wrapped__", "_tracer_provider")
_MAX_WRAPPERS = 4


class RedactionGate:
    """Puts redaction in front of the span processors of a provider, and takes it away again.

    Two things together keep what is to be redacted from everybody. A span that starts becomes one
    that redacts whatever is set on it, before a length limit of the SDK can cut a secret in two:
    processors that keep the live span see nothing else either. When it ends, the processors get
    the copy that `SpanRedactor` makes of it.

    On a provider of Peekr's own the processor stands before all others. On an application's, the
    methods of the provider's own active processor are wrapped, on that one object, so that
    processors which were there before, and those that are added later, are behind the gate. Where
    a provider has no such processor, other processors on it get spans that were redacted as they
    were set; what a span's start itself gives (its name, its first attributes and links) they may
    see as it was, which is said once.
    """

    def __init__(self, redactor: SpanRedactor) -> None:
        """Prepare; nothing is changed yet."""
        self._redactor = redactor
        self._started = _Starter(redactor)
        self.provider: Any = None
        self._processor: Optional[PeekrSpanProcessor] = None
        self._active: Any = None

    def close(self) -> None:
        """Take the gate away; a second call does nothing."""
        processor, self._processor = self._processor, None
        if processor is None:
            return
        if messages.before_cut == self._redactor.value:
            messages.before_cut = None
        if processor.redact is self._redactor:
            processor.redact = None
        if processor.started is self._started:
            processor.started = None
        active, self._active = self._active, None
        if active is not None:
            for name in _GATED:
                if getattr(getattr(active, name), "peekr_gate", None) is self:
                    delattr(active, name)

    def install(self, provider: Any, processor: PeekrSpanProcessor) -> None:
        """Put the gate in front of a provider's processors.

        Args:
            provider: The provider.
            processor: Peekr's processor on it.
        """
        self.provider = provider
        self._processor = processor
        messages.before_cut = self._redactor.value
        processor.started = self._started
        active = _active_processor(provider)
        if active is processor:
            processor.redact = self._redactor
            return
        if active is not None and self._wrap(active):
            self._active = active
            return
        # Behind processors that are not to be had: what Peekr itself passes on is redacted.
        processor.redact = self._redactor
        _logger.warning(
            "guardrails: Peekr cannot stand before the span processors of %s. What is set on a "
            "span after its start is redacted for all of them; a span's name and the attributes "
            "and links that it starts with, only for what Peekr stores and ships itself. To have "
            "all of it redacted, call peekr.instrument() before another tracer provider is set.",
            type(provider).__qualname__,
        )

    def _wrap(self, active: Any) -> bool:
        redactor, started = self._redactor, self._started
        # Of a gate that is there already, only what it stands before.
        on_start, on_end = (_ungated(getattr(active, name)) for name in _GATED)

        def gated_start(span: Span, parent_context: Optional[Context] = None) -> None:
            started(span)
            on_start(span, parent_context=parent_context)

        def gated_end(span: ReadableSpan) -> None:
            on_end(redactor(span))

        try:
            gates: tuple[Any, ...] = (gated_start, gated_end)
            for name, gated, original in zip(_GATED, gates, (on_start, on_end)):
                gated.peekr_gate, gated.peekr_original = self, original
                setattr(active, name, gated)
        except AttributeError:
            return False  # a processor with __slots__
        return True


_GATED = ("on_start", "on_end")


def _ungated(method: Any) -> Callable[..., None]:
    return getattr(method, "peekr_original", method)


def _active_processor(provider: Any) -> Any:
    """What hands a provider's spans to its processors; None where there is none to be found."""
    for _ in range(_MAX_WRAPPERS):
        active = getattr(provider, "_active_span_processor", None)
        if hasattr(active, "on_start") and hasattr(active, "on_end"):
            return active
        wrapped = (getattr(provider, name, None) for name in _WRAPPED)
        provider = next((found for found in wrapped if found is not None), None)
        if provider is None:
            return None
    return None


class _Starter:
    """Makes a span that starts one that redacts what is set on it."""

    def __init__(self, redactor: SpanRedactor) -> None:
        self._redactor = redactor
        self._kinds: dict[type[Any], type[Any]] = {}

    def __call__(self, span: Span) -> None:
        try:
            self._start(span)
        except Exception as error:
            # The end of the span drops what cannot be redacted.
            self._redactor.say(error)

    def _start(self, span: Span) -> None:
        kind = type(span)
        if getattr(kind, "peekr_redactor", None) is not self._redactor:
            made = self._kinds.get(kind) or self._made(kind)
            try:
                span.__class__ = made
            except TypeError:
                pass  # a span of other code with a layout of its own: its end is redacted
        redactor = self._redactor
        name = redactor.text(span.name)
        if name is not span.name:
            span.update_name(name)
        given: Mapping[str, Any] = span.attributes or {}
        changed = redactor.attributes(given)
        limit: Optional[int] = getattr(
            getattr(span, "_limits", None), "max_span_attribute_length", None
        )
        if limit is not None:
            changed = {
                key: _without_cut_end(value, given.get(key), limit)
                for key, value in changed.items()
            }
        if changed is not given:
            span.set_attributes(
                {key: changed[key] for key in changed if changed[key] is not given.get(key)}
            )

    def _made(self, kind: type[Any]) -> type[Any]:
        base = getattr(kind, "peekr_base", kind)
        given = {
            "peekr_base": base,
            "peekr_redactor": self._redactor,
            "__module__": base.__module__,
        }
        made = type(base.__name__, (_RedactingSpan, base), given)
        self._kinds[kind] = made
        return made


class _RedactingSpan(Span):
    """A live span of the SDK's that redacts what is set on it."""

    peekr_redactor: SpanRedactor

    def set_attributes(self, attributes: Mapping[str, Any]) -> None:
        super().set_attributes(_contained(self.peekr_redactor.attributes, attributes) or {})

    def set_attribute(self, key: str, value: Any) -> None:
        redacted = _contained(self.peekr_redactor.attributes, {key: value})
        for name, made in redacted.items():
            super().set_attribute(name, made)

    def add_event(self, name: str, attributes: Any = None, timestamp: Optional[int] = None) -> None:
        redactor = self.peekr_redactor
        if attributes:
            attributes = _contained(redactor.attributes, attributes)
        super().add_event(_contained(redactor.text, name), attributes, timestamp)

    def add_link(self, context: Any, attributes: Any = None) -> None:
        if attributes:
            attributes = _contained(self.peekr_redactor.attributes, attributes)
        super().add_link(context, attributes)

    def update_name(self, name: str) -> None:
        super().update_name(_contained(self.peekr_redactor.text, name))

    def set_status(self, status: Any, description: Any = None) -> None:
        super().set_status(*self.peekr_redactor.status(status, description))


# As long as the start of a secret is that no pattern knows yet.
_UNKNOWN_CHARS = 64


def _without_cut_end(redacted: Any, given: Any, limit: int) -> Any:
    """A value that a span starts with, without the end at which the SDK's limit has cut it.

    The SDK cuts these before anybody sees the span, perhaps in the midst of a secret.
    """
    if isinstance(given, str) and isinstance(redacted, str) and len(given) >= limit:
        return f"{redacted[: max(0, len(redacted) - _UNKNOWN_CHARS)]}…[cut]"[:limit]
    if isinstance(given, tuple) and isinstance(redacted, tuple):
        pairs = zip(cast("tuple[Any, ...]", redacted), cast("tuple[Any, ...]", given))
        return tuple(_without_cut_end(new, old, limit) for new, old in pairs)
    return redacted


def _contained(redact: Callable[[Any], Any], value: Any) -> Any:
    """What redaction makes of it; the end of the span has the last word.

    A fault here must not reach the application, nor keep what is to be redacted on the span.
    """
    try:
        return redact(value)
    except Exception:
        return {} if isinstance(value, Mapping) else "[REDACTION FAILED]"
