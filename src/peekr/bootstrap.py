"""The composition root: the only module that assembles Peekr, and takes it apart again."""

from __future__ import annotations

import atexit
import os
import threading
import time
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Callable, Optional, Union

from opentelemetry.sdk.trace import ReadableSpan, SpanProcessor

from peekr import config, faults, outlets, provider, threads, tracing
from peekr.config import Settings
from peekr.instrumentation.runtime import open_streams
from peekr.instrumentation.sdks import leave_all, watch_all
from peekr.pipeline.chain import Chain
from peekr.pipeline.enrich import Pricing
from peekr.pipeline.processor import PeekrSpanProcessor, SpanStage
from peekr.pipeline.project import project
from peekr.pipeline.sample import TraceSampler
from peekr.pricing.book import PriceBook
from peekr.semconv import own
from peekr.store import RecordSink
from peekr.termination import TerminationGuard

if TYPE_CHECKING:
    from peekr.gatekeeping import Gatekeeping
    from peekr.instrumentation.call import Call
    from peekr.instrumentation.runtime import Observer
    from peekr.pipeline.budgeting import Budgets
    from peekr.pipeline.chain import Stage
    from peekr.pipeline.gate import RedactionGate
    from peekr.pipeline.redact import SpanRedactor
    from peekr.pricing.own import PricesGiven

__all__ = ["active_settings", "flush", "instrument", "shutdown", "uninstrument"]

_EXIT_TIMEOUT_S = 5.0


def instrument(
    console: bool = True,
    storage: Optional[str] = "jsonl",
    jsonl_path: Optional[Union[str, os.PathLike[str]]] = "traces.jsonl",
    db_path: Optional[Union[str, os.PathLike[str]]] = "traces.db",
    tenant_id: Optional[str] = None,
    retention_class: Optional[str] = None,
    alerts: Sequence[Any] = (),
    evaluators: Sequence[Any] = (),
    guardrails: Sequence[Any] = (),
    compliance: Optional[Sequence[str]] = (),
    exporter: Any = None,
    *,
    evaluate_filter: Optional[Callable[[Any], bool]] = None,
    async_eval: bool = True,
    sample_rate: float = 1.0,
    keep_errors: bool = True,
    budget_alert: Any = None,
    tracer_provider: Any = None,
    capture_content: bool = True,
    compliance_action: str = "raise",
    compliance_required: bool = False,
    only_llm: bool = False,
    prices: Optional[PricesGiven] = None,
) -> None:
    """Trace every call to an LLM SDK from here on.

    May be called before or after the SDKs are imported and before or after clients are made.
    Called again, it changes the settings; nothing is doubled. Safe from any thread; takes some
    milliseconds, and imports no LLM SDK.

    Args:
        console: Print a line a span to stdout as it finishes.
        storage: `"jsonl"`, `"sqlite"`, `"both"`, or None for no local file.
        jsonl_path: The JSONL file; None for none.
        db_path: The SQLite file; None for none.
        tenant_id: The customer organisation of each record, else `PEEKR_TENANT_ID`.
        retention_class: `default`, `short`, `long` or `pii`, else `PEEKR_RETENTION_CLASS`.
        alerts: Instances from `peekr.alert`, or functions of a trace's records that return a
            message or None.
        evaluators: Instances from `peekr.eval`, or functions of a span's record, coroutine
            functions too, that return a score from 0.0 to 1.0 or None.
        guardrails: Instances from `peekr.guard`, or functions `(text, field)` that say whether a
            call must not go on.
        compliance: Names of Cloud rule packs, which need an HTTPExporter; None takes those that
            the project has on.
        exporter: Ships spans elsewhere besides `storage`: an OpenTelemetry `SpanExporter`, or any
            object with `export(span)`.
        evaluate_filter: Which spans are evaluated: a function of a span's record. All model calls
            that generate something when None.
        async_eval: Evaluate on background threads, and delay the record until it is scored, rather
            than before the call returns.
        sample_rate: The share of traces to keep, 0.0 to 1.0: in `storage`, on the console and for
            exporters. Span processors that you add to the tracer provider get every span.
        keep_errors: Keep a trace with an error, whatever the sample rate.
        budget_alert: A budget that is checked before each call.
        tracer_provider: Use this provider instead of the global one.
        capture_content: False keeps prompts, outputs and tool arguments out of everything.
        compliance_action: The strongest action of compliance packs, `"raise"` or `"warn"`; in
            `compliance`, `"HIPAA:warn"` says it of one.
        compliance_required: Refuse to start where the rules of a compliance pack cannot be had.
        only_llm: True keeps spans of HTTP requests and databases out of `storage`, the console and
            exporters given to Peekr, unless a model call ran below them.
        prices: Prices of your own, which come before the table's: US dollars per million tokens
            by model, `{"my-model": {"input": 2.5, "output": 10}}`, or the JSON file that holds
            them; else `PEEKR_PRICES` names the file.

    Raises:
        ConfigurationError: (a ValueError) a value is none of the choices or out of its range.
        TypeError: an object is of the wrong kind; the message names it.
        ComplianceError: a compliance pack is required and cannot be applied.
    """
    env_tenant_id, env_retention_class = config.from_environment()
    settings = Settings(
        console=console,
        storage=storage,
        jsonl_path=jsonl_path,
        db_path=db_path,
        tenant_id=tenant_id or env_tenant_id,
        retention_class=retention_class or env_retention_class,
        alerts=config.listed("alerts", alerts),
        evaluators=config.listed("evaluators", evaluators),
        guardrails=config.listed("guardrails", guardrails),
        compliance=None if compliance is None else config.listed("compliance", compliance),
        exporter=exporter,
        evaluate_filter=evaluate_filter,
        async_eval=async_eval,
        sample_rate=sample_rate,
        keep_errors=keep_errors,
        budget_alert=budget_alert,
        capture_content=capture_content,
        compliance_action=compliance_action,
        compliance_required=compliance_required,
        only_llm=only_llm,
        prices=prices if prices is not None else config.prices_file(),
    )
    _install(settings, tracer_provider)


def uninstrument() -> None:
    """Undo `instrument()`: put the SDKs' own methods back, flush and close the stores.

    The provider stays, for it cannot be taken back; Peekr's processor on it does nothing any
    more. A second call does nothing.
    """
    global _current
    with _lock:
        installation, _current = _current, None
        leave_all()
        _termination.guard(None)
        tracing.follow(None)
        threads.leave_threads_alone()
        if installation is not None:
            _detach(installation.processor)
            installation.close(_EXIT_TIMEOUT_S)
            installation.pipeline.settle(_EXIT_TIMEOUT_S)


def flush(timeout: float = 30.0) -> bool:
    """Wait until everything that has ended is stored and sent.

    Args:
        timeout: How long to wait at most, in seconds.

    Returns:
        False when time ran out.
    """
    installation = _current
    if installation is None:
        return True
    return installation.processor.force_flush(int(timeout * 1000))


def shutdown(timeout: float = 30.0) -> bool:
    """End the spans of streams that are still open, flush, and undo `instrument()`.

    A second call does nothing.

    Args:
        timeout: How long to wait for the flush at most, in seconds.

    Returns:
        False when time ran out.
    """
    _end_open_streams()
    done = flush(timeout)
    uninstrument()
    return done


def active_settings() -> Optional[Settings]:
    """The settings in force, None when Peekr is not installed."""
    return None if _current is None else _current.settings


# -- assembly --------------------------------------------------------------------------------------


class _Output:
    """Where finished spans go: records to the sinks, spans to OpenTelemetry's exporters."""

    def __init__(self, settings: Settings) -> None:
        self.sinks = _make_sinks(settings)
        self.processors = _make_processors(settings.exporter)
        self._tenant_id = settings.tenant_id
        self._retention_class = settings.retention_class

    def __call__(self, span: ReadableSpan) -> None:
        if self.sinks:
            record = project(span, self._tenant_id, self._retention_class)
            for sink in self.sinks:
                sink.write(record)
        for processor in self.processors:
            processor.on_end(span)
        for processor in outlets.added():
            processor.on_end(span)

    def flush(self, timeout_s: float) -> bool:
        done = [sink.flush(timeout_s) for sink in self.sinks]
        processors = (*self.processors, *outlets.added())
        done += [p.force_flush(int(timeout_s * 1000)) for p in processors]
        return all(done)

    def close(self, timeout_s: float) -> bool:
        done = [sink.close(timeout_s) for sink in self.sinks]
        # What was added is the application's and stays, also when Peekr is taken away.
        done += [p.force_flush(int(timeout_s * 1000)) for p in outlets.added()]
        for processor in self.processors:
            done.append(processor.force_flush(int(timeout_s * 1000)))
            processor.shutdown()
        return all(done)


class _Installation:
    """What was put in place, so that it can be changed and taken away again."""

    def __init__(
        self, settings: Settings, processor: PeekrSpanProcessor, pipeline: Chain, output: _Output
    ) -> None:
        self.settings = settings
        self.processor = processor
        self.pipeline = pipeline
        self.output = output
        self.gate: Optional[RedactionGate] = None

    def flush(self, timeout_s: float) -> bool:
        deadline = time.monotonic() + timeout_s
        done = [self.pipeline.flush(timeout_s)]
        done.append(self.output.flush(max(0.0, deadline - time.monotonic())))
        # Last: a webhook that does not answer must not take the time of what is to be stored.
        done.append(self.pipeline.settle(max(0.0, min(deadline, _exit_by) - time.monotonic())))
        return all(done)

    def end(self, timeout_s: float) -> None:
        """Flush now that the process ends: what waits for longer than that goes as it is."""
        self.pipeline.flush(timeout_s)
        self.pipeline.release()
        self.flush(timeout_s)

    def close(self, timeout_s: float) -> None:
        if self.gate is not None:
            self.gate.close()
        self.pipeline.close(timeout_s)
        self.output.close(timeout_s)


_lock = threading.RLock()
_current: Optional[_Installation] = None
_termination = TerminationGuard()
_exit_registered = False
# When the end of the process has waited long enough for alerts, on the monotonic clock.
_exit_by = float("inf")


def _install(settings: Settings, tracer_provider: Any) -> None:
    global _current, _exit_registered
    book = _price_book(settings)
    budgets = _budgets(settings, book)
    keeping = _gatekeeping(settings)
    with _lock:
        chosen = provider.choose(tracer_provider)
        processor = provider.joined(chosen)
        # A disabled SDK makes no spans: no file is made either.
        is_disabled = provider.is_disabled(chosen)
        output = _Output(_SILENT if is_disabled else settings)
        if provider.is_own(chosen) and not is_disabled:
            output.processors += _environment_processors(settings.exporter, processor)
        pipeline = _pipeline(settings, book, keeping, output, processor)
        installed = _Installation(settings, processor, pipeline, output)
        # Before anything of this installation sees a span.
        installed.gate = _gate(settings, chosen, processor)
        previous, _current = _current, installed
        processor.defaults = _defaults(settings)
        processor.flush = installed.flush
        processor.pipeline = pipeline
        if previous is not None:
            if previous.processor is not processor:
                _detach(previous.processor)
            previous.close(_EXIT_TIMEOUT_S)
        tracing.follow(
            chosen,
            capture_content=settings.capture_content and config.content_capture().on_spans,
            max_chars=provider.max_attribute_chars(chosen),
        )
        threads.carry_into_threads()
        watch_all(
            tracer_provider=chosen,
            capture_content=settings.capture_content,
            max_chars=provider.max_attribute_chars(chosen),
            admissions=_admissions(keeping, budgets),
            observers=_observers(settings, budgets),
            prices=book,
            gate=None if keeping is None else keeping.gate,
        )
        if not _exit_registered:
            _exit_registered = True
            atexit.register(_at_exit)
        _guard_termination()


def _guard_termination() -> None:
    with _lock:
        installation = _current
        if installation is not None:
            is_deferred = (
                # A JSONL file too: a span may wait for the price table.
                bool(installation.output.sinks)
                or bool(installation.settings.alerts or installation.settings.evaluators)
                or bool(installation.output.processors)
                or any(getattr(p, "exporters", True) for p in outlets.added())
            )
            _termination.guard(_flush_now if is_deferred else None)


outlets.follow(_guard_termination)


def _detach(processor: PeekrSpanProcessor) -> None:
    processor.pipeline = None
    processor.flush = None
    processor.defaults = {}
    processor.watching = None


def _defaults(settings: Settings) -> dict[str, str]:
    made: dict[str, str] = {}
    if settings.tenant_id is not None:
        made[own.PEEKR_TENANT_ID] = settings.tenant_id
    if settings.retention_class is not None:
        made[own.PEEKR_RETENTION_CLASS] = settings.retention_class
    return made


_SILENT = Settings(console=False, storage=None)


def _price_book(settings: Settings) -> PriceBook:
    if settings.prices is None:
        return PriceBook()
    from peekr.pricing.own import OwnPrices

    return PriceBook(OwnPrices.of(settings.prices))


def _budgets(settings: Settings, book: PriceBook) -> Optional[Budgets]:
    if not settings.budgets:
        return None
    from peekr.pipeline.budgeting import Budgets

    for budget in settings.budgets:
        budget.bind(settings.writes_sqlite, settings.tenant_id)
    return Budgets(settings.budgets, book)


def _gatekeeping(settings: Settings) -> Optional[Gatekeeping]:
    if not settings.guardrails and settings.compliance == ():
        return None
    from peekr.gatekeeping import gatekeeping

    return gatekeeping(settings)


def _pipeline(
    settings: Settings,
    book: PriceBook,
    keeping: Optional[Gatekeeping],
    output: _Output,
    processor: PeekrSpanProcessor,
) -> Chain:
    stored: SpanStage = output
    processor.watching = None
    if settings.only_llm:
        from peekr.pipeline.only_llm import OnlyLlm

        stored = filtered = OnlyLlm(output)
        processor.watching = filtered.started
    if settings.sample_rate < 1.0:
        # In front of the filter: an error in what it leaves out keeps the trace all the same.
        stored = TraceSampler(settings.sample_rate, settings.keep_errors, stored)
    doubles = processor.doubles

    def last(span: ReadableSpan) -> None:
        try:
            stored(doubles.placed(span) if doubles.is_any() else span)
        except Exception:
            faults.report("storing a finished span")
        processor.forward(span)

    return Chain(_stages(settings, book, keeping), last)


def _gate(
    settings: Settings, tracer_provider: Any, processor: PeekrSpanProcessor
) -> Optional[RedactionGate]:
    redactor = _redactor(settings)
    if redactor is None:
        return None
    from peekr.pipeline.gate import RedactionGate

    gate = RedactionGate(redactor)
    gate.install(tracer_provider, processor)
    return gate


def _redactor(settings: Settings) -> Optional[SpanRedactor]:
    if not settings.guardrails:
        return None
    from peekr.guard.content import redacting
    from peekr.pipeline.redact import SpanRedactor

    guards = redacting(settings.guardrails)
    return SpanRedactor(guards) if guards else None


def _stages(settings: Settings, book: PriceBook, keeping: Optional[Gatekeeping]) -> list[Stage]:
    """What stands between a span's end and its outputs, in the order that is promised."""
    # Each is imported where it is asked for: what is not costs neither time nor memory.
    stages: list[Stage] = [Pricing(book)]
    evaluators, is_async = settings.evaluators, settings.async_eval
    if keeping is not None:
        # A guardrail that goes by a score needs it, and before the call returns where it blocks.
        evaluators, is_async = keeping.evaluators, keeping.is_async
    if evaluators:
        from peekr.pipeline.evaluate import EvaluationStage

        stages.append(
            EvaluationStage(
                evaluators,
                is_async=is_async,
                chosen=settings.evaluate_filter,
                tenant_id=settings.tenant_id,
                retention_class=settings.retention_class,
                redacted=_redactor(settings),
            )
        )
    if keeping is not None and keeping.scores is not None:
        stages.append(keeping.scores)
    if settings.rules:
        from peekr.pipeline.alerting import AlertStage, ArrivalStage

        alerting = AlertStage(settings.rules)
        # In front of those that hold spans: a root waits for the spans below it that they hold.
        stages.insert(0, ArrivalStage(alerting))
        stages.append(alerting)
    return stages


def _admissions(
    keeping: Optional[Gatekeeping], budgets: Optional[Budgets]
) -> tuple[Callable[[Call], None], ...]:
    """What may refuse a call before it is sent."""
    admissions: list[Callable[[Call], None]] = []
    if keeping is not None and keeping.gate is not None and keeping.gate.has_input:
        from peekr.instrumentation.gate import check_input

        admissions.append(check_input)
    if budgets is not None:
        admissions.append(budgets.admit)
    return tuple(admissions)


def _observers(settings: Settings, budgets: Optional[Budgets]) -> tuple[Observer, ...]:
    """What is told of each call's end, also of calls whose span is not sampled."""
    del settings
    observers: list[Observer] = []
    if budgets is not None:
        observers.append(budgets.observe)
    return tuple(observers)


def _make_sinks(settings: Settings) -> list[RecordSink]:
    # Imported here: what is not asked for costs neither time nor memory.
    sinks: list[RecordSink] = []
    if settings.writes_jsonl is not None:
        from peekr.store.jsonl import JsonlSink

        sinks.append(JsonlSink(settings.writes_jsonl))
    if settings.writes_sqlite is not None:
        from peekr.store.sqlite import SqliteSink

        sinks.append(SqliteSink(settings.writes_sqlite))
    if settings.console:
        from peekr.store.console import ConsoleSink

        sinks.append(ConsoleSink())
    return sinks


def _make_processors(exporter: Any) -> list[SpanProcessor]:
    if exporter is None:
        return []
    from opentelemetry.sdk.trace.export import SpanExporter

    from peekr.delivery import DeliveryProcessor

    if not isinstance(exporter, SpanExporter) or isinstance(
        getattr(exporter, "is_immediate", None), bool
    ):
        return [DeliveryProcessor([exporter])]  # also Peekr's own, which make their own batches
    from peekr.batches import BoundedBatchProcessor

    return [BoundedBatchProcessor(exporter)]


def _end_open_streams() -> None:
    if open_streams:
        # Loaded with the first call, without which there is no stream.
        from peekr.instrumentation.drive import end_open_streams

        end_open_streams()


def _environment_processors(exporter: Any, processor: PeekrSpanProcessor) -> list[SpanProcessor]:
    """What `OTEL_EXPORTER_OTLP_ENDPOINT` asks for, where the provider is not the application's."""
    if not any(name.startswith(("OTEL_EXPORTER_OTLP", "OTEL_TRACES_EXP")) for name in os.environ):
        return []
    from peekr.otlp_environment import EnvironmentProcessor, asked_for, is_otlp

    added = [one for held in outlets.added() for one in getattr(held, "exporters", ())]
    if any(map(is_otlp, (exporter, *added))):
        return []  # which reads the same variables
    found = asked_for()
    return [] if found is None else [EnvironmentProcessor(found, lambda: processor.behind)]


# -- the end ---------------------------------------------------------------------------------------


def _flush_now() -> None:
    installation = _current
    if installation is not None:
        installation.end(_EXIT_TIMEOUT_S)


def _at_exit() -> None:
    global _exit_by
    # The stores stay open: what other exit handlers still end is written as well.
    try:
        _end_open_streams()
        _exit_by = time.monotonic() + _EXIT_TIMEOUT_S
        _flush_now()
    except Exception:
        faults.report("flushing at exit")
