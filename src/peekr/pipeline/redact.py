"""Redaction: the span that everybody gets to see, in the place of the one that has ended."""

from __future__ import annotations

import logging
import os
from collections.abc import Mapping, Sequence
from typing import Any, Optional, cast

from opentelemetry.attributes import BoundedAttributes
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import Event, ReadableSpan
from opentelemetry.sdk.util import BoundedList
from opentelemetry.sdk.util.instrumentation import InstrumentationScope
from opentelemetry.trace import Link, SpanContext, Status, TraceState

from peekr.guard.content import FAILED, ContentRedactor
from peekr.semconv import otel, own

__all__ = ["SpanRedactor"]

_logger = logging.getLogger("peekr")
_NO_ATTRIBUTES: Mapping[str, Any] = {}

# What is known to be what a model or a function was given, and nothing else; then what came back.
_INPUTS = frozenset(
    (
        own.PEEKR_INPUT,
        own.PEEKR_REQUEST_PARAMETERS,
        own.PEEKR_REQUEST_FORM,
        otel.GEN_AI_INPUT_MESSAGES,
        otel.GEN_AI_SYSTEM_INSTRUCTIONS,
        otel.GEN_AI_TOOL_DEFINITIONS,
        otel.GEN_AI_TOOL_CALL_ARGUMENTS,
    )
)
_OUTPUTS = frozenset((own.PEEKR_OUTPUT, otel.GEN_AI_OUTPUT_MESSAGES, otel.GEN_AI_TOOL_CALL_RESULT))
# The same as other instrumentations name it.
_INPUT_PREFIXES = ("gen_ai.prompt", "input.value", "llm.input_messages", "llm.prompts")
_OUTPUT_PREFIXES = ("gen_ai.completion", "output.value", "llm.output_messages", "llm.completions")


class SpanRedactor:
    """Makes of a finished span the one that may be seen; the same one where there is nothing in it.

    It looks at the name, at every attribute and its key, at events with their exceptions, at the
    status's text, at links, at the trace state, at the scope and at the resource. It runs on the
    thread that ends the span and never raises: where it fails, the content is dropped, the span is
    kept, and that is said once.
    """

    def __init__(self, guardrails: Sequence[Any]) -> None:
        """Prepare.

        Args:
            guardrails: Those that redact, in the order in which they act.
        """
        self._content = ContentRedactor(guardrails)
        # A process has few of these, and each of them comes with every span.
        self._resources: dict[int, tuple[Resource, Resource]] = {}
        self._scopes: dict[int, tuple[InstrumentationScope, InstrumentationScope]] = {}
        self._is_said = False

    def __call__(self, span: ReadableSpan) -> ReadableSpan:
        """Take one finished span."""
        try:
            return self._redacted(span)
        except Exception as error:
            self.say(error)
            return _bare(span)

    def text(self, text: str) -> str:
        """A text that stands for itself, such as a span's name or a note."""
        return self._content.text(text)

    def value(self, value: Any) -> Any:
        """A value of which it is not known whether it is input or output."""
        return self._content.value(value)

    def attributes(self, attributes: Mapping[str, Any]) -> Mapping[str, Any]:
        """Attributes of a span, an event or a link; the same mapping where they are clean."""
        content = self._content
        made: Optional[dict[str, Any]] = None
        for key, value in attributes.items():
            name = content.text(key)
            changed = content.value(value, key, _field(key))
            if changed is value and name is key:
                continue
            if made is None:
                made = dict(attributes)
            if name is not key:
                del made[key]
            made[name] = changed
        return attributes if made is None else made

    def status(self, status: Any, description: Any = None) -> tuple[Any, Any]:
        """The arguments of a span's `set_status`."""
        if isinstance(status, Status):
            status = self._status(status)
        return status, self.text(description) if isinstance(description, str) else description

    def _redacted(self, span: ReadableSpan) -> ReadableSpan:
        name = self.text(span.name)
        held: Mapping[str, Any] = span.attributes or _NO_ATTRIBUTES
        attributes = self.attributes(held)
        events = self._events(span.events)
        links = self._links(span.links)
        status = self._status(span.status)
        context, parent = self._context(span.context), self._context(span.parent)
        resource = self._resource(span.resource)
        scope = self._scope(span.instrumentation_scope)
        if (
            attributes is held
            and name is span.name
            and events is None
            and links is None
            and status is span.status
            and context is span.context
            and parent is span.parent
            and resource is span.resource
            and scope is span.instrumentation_scope
        ):
            return span
        return ReadableSpan(
            name=name,
            context=context,
            parent=parent,
            resource=resource,
            attributes=_counted(attributes, span.dropped_attributes),
            events=_counted_list(span.events if events is None else events, span.dropped_events),
            links=_counted_list(span.links if links is None else links, span.dropped_links),
            kind=span.kind,
            status=status,
            start_time=span.start_time,
            end_time=span.end_time,
            instrumentation_scope=scope,
        )

    # -- the parts: what is clean comes back as the same object, or as None ------------------------

    def _events(self, events: Sequence[Event]) -> Optional[list[Event]]:
        made = [self._event(event) for event in events]
        return None if all(new is old for new, old in zip(made, events)) else made

    def _event(self, event: Event) -> Event:
        held: Mapping[str, Any] = event.attributes or _NO_ATTRIBUTES
        name, attributes = self.text(event.name), self.attributes(held)
        if name is event.name and attributes is held:
            return event
        return Event(name, _counted(attributes, event.dropped_attributes), event.timestamp)

    def _links(self, links: Sequence[Link]) -> Optional[list[Link]]:
        made = [self._link(link) for link in links]
        return None if all(new is old for new, old in zip(made, links)) else made

    def _link(self, link: Link) -> Link:
        held: Mapping[str, Any] = link.attributes or _NO_ATTRIBUTES
        context, attributes = self._context(link.context), self.attributes(held)
        if context is link.context and attributes is held:
            return link
        made = _counted(attributes, link.dropped_attributes)
        return Link(cast("SpanContext", context), made)

    def _status(self, status: Status) -> Status:
        description = status.description
        if not description:
            return status
        made = self.text(description)
        return status if made is description else Status(status.status_code, made)

    def _context(self, context: Optional[SpanContext]) -> Optional[SpanContext]:
        if context is None or not context.trace_state:
            return context
        entries = list(context.trace_state.items())
        # Its syntax has no place for a mark: an entry stays or goes.
        clean = [entry for entry in entries if self._is_clean("=".join(entry))]
        if len(clean) == len(entries):
            return context
        return SpanContext(
            context.trace_id,
            context.span_id,
            context.is_remote,
            context.trace_flags,
            TraceState(clean),
        )

    def _is_clean(self, text: str) -> bool:
        return self.text(text) is text

    def _resource(self, resource: Resource) -> Resource:
        known = self._resources.get(id(resource))
        if known is not None and known[0] is resource:
            return known[1]
        attributes = self.attributes(resource.attributes)
        made = resource
        if attributes is not resource.attributes:
            made = Resource(dict(attributes), resource.schema_url)
        if len(self._resources) >= 64:
            self._resources.clear()
        self._resources[id(resource)] = (resource, made)
        return made

    def _scope(self, scope: Optional[InstrumentationScope]) -> Optional[InstrumentationScope]:
        if scope is None:
            return None
        known = self._scopes.get(id(scope))
        if known is not None and known[0] is scope:
            return known[1]
        name = self.text(scope.name)
        held: Mapping[str, Any] = getattr(scope, "attributes", None) or _NO_ATTRIBUTES
        attributes = self.attributes(held)
        made = scope
        if name != scope.name or attributes is not held:
            made = InstrumentationScope(name, scope.version, scope.schema_url, dict(attributes))
        if len(self._scopes) >= 1_024:
            self._scopes.clear()
        self._scopes[id(scope)] = (scope, made)
        return made

    def say(self, error: Exception) -> None:
        """Say once that redaction itself failed, without what it failed on."""
        if os.environ.get("PEEKR_RAISE_FAULTS") == "1":
            raise error
        if not self._is_said:
            self._is_said = True
            # Without the traceback: its message may quote what is to be redacted.
            _logger.warning(
                "Redacting a span failed (%s): the span is recorded without its content. "
                "Further failures are not logged.",
                type(error).__name__,
            )


def _field(key: str) -> Optional[str]:
    if key in _INPUTS or key.startswith(_INPUT_PREFIXES):
        return "input"
    if key in _OUTPUTS or key.startswith(_OUTPUT_PREFIXES):
        return "output"
    return None


def _counted(attributes: Mapping[str, Any], dropped: int) -> Any:
    """The attributes with the count of those that a limit has dropped."""
    if not dropped:
        return attributes
    made = BoundedAttributes(None, dict(attributes), immutable=True)
    made.dropped = dropped
    return made


def _counted_list(items: Sequence[Any], dropped: int) -> Any:
    """The events or links with the count of those that a limit has dropped."""
    if not dropped:
        return tuple(items)
    made: Any = cast("Any", BoundedList).from_seq(len(items), items)
    made.dropped = dropped
    return made


_NUMBERS = tuple(
    value
    for module in (otel, own)
    for name, value in vars(module).items()
    if name.isupper() and isinstance(value, str)
)


def _bare(span: ReadableSpan) -> ReadableSpan:
    """What is left of a span without anything that may hold content."""
    held: Mapping[str, Any] = span.attributes or _NO_ATTRIBUTES
    attributes = {key: held[key] for key in _NUMBERS if type(held.get(key)) in (int, float, bool)}
    attributes[own.PEEKR_REDACTION_FAILED] = True
    context, parent = span.context, span.parent
    return ReadableSpan(
        name=FAILED,
        context=_plain(context),
        parent=_plain(parent),
        resource=Resource({}),
        attributes=attributes,
        kind=span.kind,
        status=Status(span.status.status_code),
        start_time=span.start_time,
        end_time=span.end_time,
    )


def _plain(context: Optional[SpanContext]) -> Optional[SpanContext]:
    if context is None:
        return None
    return SpanContext(context.trace_id, context.span_id, context.is_remote, context.trace_flags)
