"""Canaries: made-up secrets that are sent through the live pipeline, and must arrive nowhere."""

from __future__ import annotations

import tempfile
import threading
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any, Union

from opentelemetry.sdk.trace import SpanProcessor, TracerProvider

from peekr import bootstrap
from peekr.canaries.report import Leak, RedactionReport
from peekr.canaries.samples import Canaries
from peekr.canaries.sending import send
from peekr.canaries.watch import Watch, tapped
from peekr.delivery import outlets
from peekr.errors import ConfigurationError, RedactionError
from peekr.guard.blocklist import Blocklist
from peekr.guard.content import redacting
from peekr.guard.pii import PIIRedact
from peekr.pipeline.processor import PeekrSpanProcessor

__all__ = ["Leak", "RedactionReport", "check_environment", "verify_redaction"]

_MAX_FLUSH_S = 10.0


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
    sent = Canaries(guards, canaries)
    watch = Watch(sent)
    with _lock, ExitStack() as taps:
        installation: Any = bootstrap._current  # pyright: ignore[reportPrivateUsage]
        for sink in installation.output.sinks:
            taps.enter_context(tapped(sink, "write", watch.record))
        provider = installation.gate.provider
        processors = (
            *installation.output.processors,
            *outlets.added(),
            *_processors(provider, installation.processor),
        )
        for processor in processors:
            if getattr(processor, "exporters", None) == []:
                continue  # nothing is behind it
            taps.enter_context(tapped(processor, "on_end", watch.ended))
            taps.enter_context(tapped(processor, "on_start", watch.started))
        send(provider, sent, watch)
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
