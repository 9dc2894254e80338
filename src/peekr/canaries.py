"""Canaries: made-up secrets that are sent through the live pipeline, and must arrive nowhere."""

from __future__ import annotations

import json
import os
import tempfile
import threading
from collections.abc import Generator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Callable, Optional, Union

from opentelemetry import trace as otel_trace
from opentelemetry.sdk.trace import ReadableSpan, SpanProcessor, TracerProvider
from opentelemetry.trace import Link, Span, SpanContext, Status, StatusCode, TraceFlags, TraceState

from peekr import bootstrap, tracing
from peekr.delivery import outlets
from peekr.errors import ConfigurationError, RedactionError
from peekr.guard.blocklist import Blocklist
from peekr.guard.content import redacting
from peekr.guard.pii import PIIRedact
from peekr.manual import spans
from peekr.pipeline.processor import PeekrSpanProcessor
from peekr.semconv import otel, own

__all__ = ["Leak", "RedactionReport", "check_environment", "verify_redaction"]

_PERSONAL = {
    "email": "canary.peekr@example.com",
    "phone": "415-555-2671",
    "ssn": "536-22-4321",
    "credit_card": "4111 1111 1111 1111",
    "ip_address": "203.0.113.77",
}
_FILLING = "C4n4ryPeekrC4n4ryPeekrC4n4ryPeekrC4n4ryP"
# Put together here: what looks for secrets in source code should not find these.
_SECRETS = {
    "openai_key": "sk-" + "proj-" + _FILLING,
    "anthropic_key": "sk-" + "ant-api03-" + _FILLING,
    "github_token": "ghp" + "_" + _FILLING[:36],
    "aws_access_key_id": "AKI" + "AC4N4RYPEEKRC4N4R",
    "google_key": "AIz" + "a" + _FILLING[:35],
    "slack_token": "xox" + "b-1234567890-" + _FILLING[:24],
    "stripe_key": "sk_" + "live_" + _FILLING[:24],
    "url_password": "postgres://user:" + _FILLING[:16] + "@db/app",
}
# Of these the rest may stay: `postgres://user:[BLOCKED]@db/app`.
_CORES = {"url_password": _FILLING[:16]}

_MAX_FLUSH_S = 10.0


@dataclass(frozen=True)
class Leak:
    """A canary that arrived.

    Attributes:
        place: Where: `console`, `JsonlSink`, an exporter's or a processor's class.
        canary: Which: `email`, `openai_key`, a canary of one's own by its name.
        span: The span that it was on.
    """

    place: str
    canary: str
    span: str


@dataclass(frozen=True)
class RedactionReport:
    """What `verify_redaction` did.

    Attributes:
        canaries: The names of the canaries that were sent.
        places: Where spans arrived, and were looked at.
        leaks: The canaries that arrived; none of them is good.
    """

    canaries: tuple[str, ...]
    places: tuple[str, ...]
    leaks: tuple[Leak, ...]

    @property
    def ok(self) -> bool:
        """Whether spans arrived, and no canary with them."""
        return bool(self.places) and not self.leaks

    def to_dict(self) -> dict[str, Any]:
        """The report as JSON values."""
        return {
            "ok": self.ok,
            "canaries": list(self.canaries),
            "places": list(self.places),
            "leaks": [vars(leak) for leak in self.leaks],
        }

    def __str__(self) -> str:
        head = f"{len(self.canaries)} canaries, looked for in {', '.join(self.places) or 'nothing'}"
        if self.ok:
            return f"redaction holds: {head}: none arrived"
        if not self.places:
            return f"redaction was not tested: no span arrived anywhere ({head})"
        lines = [f"redaction fails: {head}"]
        lines += [f"  {leak.canary} arrived in {leak.place}, on {leak.span}" for leak in self.leaks]
        return "\n".join(lines)


def verify_redaction(
    canaries: Union[Mapping[str, str], Sequence[str]] = (), *, timeout_s: float = _MAX_FLUSH_S
) -> RedactionReport:
    """Send canaries through the live pipeline, and see that none arrives anywhere.

    Spans with a canary in their names, attributes, JSON texts, events, exceptions, links and status
    are ended: some of Peekr's own, some of another instrumentation on the same provider. Everything
    that takes spans (stores, the console, exporters, the application's own processors) is watched
    for that while, at its door: nothing of it is stored or sent. What is sent is what the
    guardrails in force should keep out: the categories of `PIIRedact`, common secrets, the terms
    of a `Blocklist(action="redact")`.

    For tests and for a check at the start of a program. Other spans pass unhindered meanwhile.

    Args:
        canaries: Texts of your own that must not arrive, by their names: such as your own
            patterns and guardrails keep out.
        timeout_s: How long to wait for what holds spans back, in seconds.

    Returns:
        What was looked for, and where.

    Raises:
        RedactionError: a canary arrived, or no span did; the message says which and where, and
            `report` has it all.
        ConfigurationError: Peekr is not installed, or no guardrail redacts.
    """
    settings = bootstrap.active_settings()
    if settings is None:
        raise ConfigurationError("verify_redaction(): call peekr.instrument() first")
    guards = redacting(settings.guardrails)
    if not guards:
        raise ConfigurationError(
            "verify_redaction(): no guardrail redacts; give guardrails=[PIIRedact()] or the like"
        )
    sent = _Canaries(guards, canaries, captures=settings.capture_content)
    watch = _Watch(sent)
    with _lock, ExitStack() as taps:
        installation: Any = bootstrap._current  # pyright: ignore[reportPrivateUsage]
        for sink in installation.output.sinks:
            taps.enter_context(_tapped(sink, "write", watch.record))
        provider = installation.gate.provider
        processors = (
            *installation.output.processors,
            *outlets.added(),
            *_processors(provider, installation.processor),
        )
        for processor in processors:
            if getattr(processor, "exporters", None) == []:
                continue  # nothing is behind it
            taps.enter_context(_tapped(processor, "on_end", watch.ended))
            taps.enter_context(_tapped(processor, "on_start", watch.started))
        _send(provider, sent, watch)
        bootstrap.flush(timeout_s)
    report = RedactionReport(
        canaries=tuple(sent.texts),
        places=tuple(sorted(watch.places)),
        leaks=tuple(sorted(watch.leaks, key=lambda leak: (leak.place, leak.canary, leak.span))),
    )
    if not report.ok:
        raise RedactionError(str(report), report)
    return report


def check_environment() -> RedactionReport:
    """Whether redaction holds with what is installed here; for `peekr doctor --redaction`.

    It installs Peekr on a provider of its own, with `PIIRedact()` and a blocklist of the common
    secrets, into files that are deleted, and takes it away again.

    Raises:
        RedactionError: a canary arrived.
        ConfigurationError: Peekr is installed in this process already.
    """
    if bootstrap.active_settings() is not None:
        raise ConfigurationError("Peekr is installed already: call verify_redaction()")
    provider = TracerProvider(shutdown_on_exit=False)
    provider.add_span_processor(_ApplicationProcessor())
    with tempfile.TemporaryDirectory(prefix="peekr-canaries-") as folder:
        bootstrap.instrument(
            console=True,
            storage="both",
            jsonl_path=Path(folder) / "traces.jsonl",
            db_path=Path(folder) / "traces.db",
            guardrails=[
                PIIRedact(),
                Blocklist(patterns=Blocklist.COMMON_SECRETS, action="redact"),
            ],
            tracer_provider=provider,
        )
        try:
            return verify_redaction()
        finally:
            bootstrap.uninstrument()
            provider.shutdown()


_lock = threading.Lock()


class _ApplicationProcessor(SpanProcessor):
    """Stands for a processor of an application's own."""


class _Canaries:
    """What is sent, and how it is recognised.

    Attributes:
        texts: By name.
    """

    def __init__(
        self,
        guards: Sequence[Any],
        given: Union[Mapping[str, str], Sequence[str]],
        *,
        captures: bool,
    ) -> None:
        own_texts = (
            dict(given)
            if isinstance(given, Mapping)
            else {f"canaries[{index}]": text for index, text in enumerate(given)}
        )
        self.captures = captures
        self.texts: dict[str, str] = dict(own_texts)
        fields: dict[str, set[str]] = {name: {"input", "output"} for name in own_texts}
        for guard in guards:
            for name, text in _samples(guard).items():
                self.texts[name] = text
                fields.setdefault(name, set()).update(guard.fields)
        self._fields = fields

    def all(self, field: Optional[str] = None) -> str:
        """The canaries that are kept out of a field, in one text."""
        names = [name for name in self.texts if field is None or field in self._fields[name]]
        return " | ".join(self.texts[name] for name in names)

    def found(self, text: str) -> list[str]:
        """The names of those that are in a text."""
        return [name for name, sent in self.texts.items() if _CORES.get(name, sent) in text]


def _samples(guard: Any) -> dict[str, str]:
    if isinstance(guard, PIIRedact):
        return {name: _PERSONAL[name] for name in guard.categories if name in _PERSONAL}
    if isinstance(guard, Blocklist):
        rules = guard.secret_rules
        made = {rule: text for rule, text in _SECRETS.items() if rule in rules}
        if guard.action == "redact":
            made.update((f"terms[{n}]", term) for n, term in enumerate(guard.terms))
        return made
    return {}


class _Watch:
    """Looks at what arrives of the canaries' traces.

    Attributes:
        traces: The ids of the traces that canaries are sent in.
    """

    def __init__(self, canaries: _Canaries) -> None:
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
def _tapped(taker: Any, method: str, look: Callable[..., bool]) -> Generator[None, None, None]:
    """Have what a taker gets looked at first; what is of ours does not reach it."""
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


def _processors(provider: Any, processor: PeekrSpanProcessor) -> list[SpanProcessor]:
    """The application's own processors, those behind ours and those beside it."""
    found: list[SpanProcessor] = []
    held: list[Any] = [processor, getattr(provider, "_active_span_processor", None)]
    seen: set[int] = set()
    while held:
        one = held.pop()
        if one is None or id(one) in seen:
            continue
        seen.add(id(one))
        inner = getattr(one, "_span_processors", None)
        if inner is None:
            found.append(one)
        else:
            held += inner
    return found


class _CanaryError(Exception):
    pass


def _send(provider: Any, canaries: _Canaries, watch: _Watch) -> None:
    """End spans that have canaries wherever a span takes a text."""
    text = canaries.all()
    context = SpanContext(
        int.from_bytes(os.urandom(16), "big") | 1,
        1,
        True,
        TraceFlags(TraceFlags.SAMPLED),
        _trace_state(canaries),
    )
    watch.traces.add(context.trace_id)
    parent = otel_trace.set_span_in_context(otel_trace.NonRecordingSpan(context))
    for tracer in (provider.get_tracer("peekr.canaries"), tracing.current().tracer):
        span: Span = tracer.start_span(
            f"canary at its start {text}",
            context=parent,
            attributes={own.PEEKR_INTERNAL: True, "canary.start": text, "canary.list": [text]},
            links=[Link(context, {"canary.link": text})],
        )
        _fill(span, canaries, text)
        span.end()
        _send_own(span, canaries, text)


def _fill(span: Span, canaries: _Canaries, text: str) -> None:
    asked, answered = canaries.all("input"), canaries.all("output")
    message = [{"role": "user", "parts": [{"type": "text", "content": asked}]}]
    span.set_attributes(
        {
            "canary": text,
            f"canary.key {text}": True,
            "canary.json": json.dumps({"a": [{"b": text}], text: json.dumps({"c": text})}),
            "url.full": f"https://canary.test/?q={text}",
            own.PEEKR_INPUT: json.dumps({"question": asked}),
            own.PEEKR_OUTPUT: json.dumps(answered),
            otel.GEN_AI_INPUT_MESSAGES: json.dumps(message),
            otel.GEN_AI_TOOL_CALL_ARGUMENTS: json.dumps({"arguments": asked}),
            otel.GEN_AI_TOOL_CALL_RESULT: answered,
        }
    )
    span.add_event(f"canary {text}", {"canary.event": text})
    try:
        raise _CanaryError(text)
    except _CanaryError as error:
        span.record_exception(error)
    span.set_status(Status(StatusCode.ERROR, text))
    span.update_name(f"canary {text}")


def _send_own(parent: Span, canaries: _Canaries, text: str) -> None:
    """A span as applications make them through Peekr."""
    with otel_trace.use_span(parent, end_on_exit=False):
        made, token = spans.start_span(f"canary of Peekr's {text}")
        made.attributes["input"] = {"question": canaries.all("input")}
        made.attributes["output"] = canaries.all("output")
        made.attributes["nested"] = {"a": [text]}
        try:
            raise _CanaryError(text)
        except _CanaryError as error:
            made.record_exception(error)
        spans.end_span(made, token)


def _trace_state(canaries: _Canaries) -> TraceState:
    """A trace state takes few characters: what it refuses is left out."""
    email = canaries.texts.get("email")
    return TraceState([("canary", email)] if email else [])
