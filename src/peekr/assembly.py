"""The parts of an installation, made from its settings; `bootstrap` puts them in place."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any, Callable, Optional

from peekr import faults
from peekr.delivery import outlets
from peekr.late import loaded
from peekr.pipeline.chain import Chain, Late
from peekr.pricing.book import PriceBook

if TYPE_CHECKING:
    from opentelemetry.sdk.trace import ReadableSpan, SpanProcessor

    from peekr.config import Settings
    from peekr.gatekeeping import Gatekeeping
    from peekr.instrumentation.call import Call
    from peekr.instrumentation.runtime import Observer
    from peekr.pipeline.budgeting import Budgets
    from peekr.pipeline.chain import Stage
    from peekr.pipeline.gate import RedactionGate
    from peekr.pipeline.processor import PeekrSpanProcessor, SpanStage
    from peekr.pipeline.redact import SpanRedactor
    from peekr.store import RecordSink

__all__ = [
    "Output",
    "admissions",
    "budgets",
    "environment_processors",
    "gatekeeping",
    "observers",
    "pipeline",
    "price_book",
    "redaction_gate",
]

# Loaded with the first span: a program that has none yet does not wait for them.
_PROJECT = "peekr.projection:project"
_PRICING = "peekr.pipeline.enrich:Pricing"


class Output:
    """Where finished spans go: records to the sinks, spans to OpenTelemetry's exporters.

    Attributes:
        sinks: Take records.
        processors: Take spans.
    """

    def __init__(self, settings: Settings) -> None:
        """Open what the settings ask for."""
        self.sinks = _sinks(settings)
        self.processors = _processors(settings.exporter)
        self._tenant_id = settings.tenant_id
        self._retention_class = settings.retention_class

    def __call__(self, span: ReadableSpan) -> None:
        """Take a finished span; runs on the thread that ended it, unless a stage has kept it."""
        if self.sinks:
            record = loaded[_PROJECT](span, self._tenant_id, self._retention_class)
            for sink in self.sinks:
                sink.write(record)
        for processor in self.processors:
            processor.on_end(span)
        for processor in outlets.added():
            processor.on_end(span)

    def flush(self, timeout_s: float) -> bool:
        """Wait until all has arrived; False when time ran out."""
        done = [sink.flush(timeout_s) for sink in self.sinks]
        processors = (*self.processors, *outlets.added())
        done += [p.force_flush(int(timeout_s * 1000)) for p in processors]
        return all(done)

    def end(self, *, is_flushed: bool) -> None:
        """Say what was lost and not said before, now that the process ends.

        Args:
            is_flushed: False where something still waits that cannot be waited for any longer.
        """
        for sink in () if is_flushed else self.sinks:
            give_up = getattr(sink, "give_up", None)
            if give_up is not None:
                give_up()
        if self.sinks:
            from peekr.store import outage

            outage.summarise()

    def close(self, timeout_s: float) -> bool:
        """Flush, and close what was opened here."""
        done = [sink.close(timeout_s) for sink in self.sinks]
        # What was added is the application's and stays, also when Peekr is taken away.
        done += [p.force_flush(int(timeout_s * 1000)) for p in outlets.added()]
        for processor in self.processors:
            done.append(processor.force_flush(int(timeout_s * 1000)))
            processor.shutdown()
        return all(done)


def price_book(settings: Settings) -> PriceBook:
    """The prices to go by."""
    if settings.prices is None:
        return PriceBook()
    from peekr.config import prices_file
    from peekr.pricing.own import OwnPrices

    where = "PEEKR_PRICES" if settings.prices == prices_file() else "prices"
    return PriceBook(OwnPrices.of(settings.prices, where))


def budgets(settings: Settings, book: PriceBook) -> Optional[Budgets]:
    """The budgets that are checked before a call."""
    if not settings.budgets:
        return None
    from peekr.pipeline.budgeting import Budgets

    for budget in settings.budgets:
        budget.bind(settings.writes_sqlite, settings.tenant_id)
    return Budgets(settings.budgets, book)


def gatekeeping(settings: Settings) -> Optional[Gatekeeping]:
    """The guardrails that may stop a call."""
    if not settings.guardrails and settings.compliance == ():
        return None
    from peekr import gatekeeping as keeping

    return keeping.gatekeeping(settings)


def pipeline(
    settings: Settings,
    book: PriceBook,
    keeping: Optional[Gatekeeping],
    output: Output,
    processor: PeekrSpanProcessor,
) -> Chain:
    """What a finished span goes through, down to the outputs and the processors behind ours."""
    stored: SpanStage = output
    processor.watching = None
    if settings.only_llm:
        from peekr.pipeline.only_llm import OnlyLlm

        stored = filtered = OnlyLlm(output)
        processor.watching = filtered.started
    if settings.sample_rate < 1.0:
        # In front of the filter: an error in what it leaves out keeps the trace all the same.
        from peekr.pipeline.sample import TraceSampler

        stored = TraceSampler(settings.sample_rate, settings.keep_errors, stored)
    doubles = processor.doubles

    def last(span: ReadableSpan) -> None:
        try:
            stored(doubles.placed(span) if doubles.is_any() else span)
        except Exception:
            faults.report("storing a finished span")
        processor.forward(span)

    return Chain(_stages(settings, book, keeping), last)


def redaction_gate(
    settings: Settings, tracer_provider: Any, processor: PeekrSpanProcessor
) -> Optional[RedactionGate]:
    """What keeps secrets from everybody who sees spans; it is in place when this returns."""
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
    stages: list[Stage] = [Late(lambda: loaded[_PRICING](book))]
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


def admissions(
    keeping: Optional[Gatekeeping], budgets: Optional[Budgets]
) -> tuple[Callable[[Call], None], ...]:
    """What may refuse a call before it is sent."""
    made: list[Callable[[Call], None]] = []
    if keeping is not None and keeping.gate is not None and keeping.gate.has_input:
        from peekr.instrumentation.gate import check_input

        made.append(check_input)
    if budgets is not None:
        made.append(budgets.admit)
    return tuple(made)


def observers(settings: Settings, budgets: Optional[Budgets]) -> tuple[Observer, ...]:
    """What is told of each call's end, also of calls whose span is not sampled."""
    del settings
    made: list[Observer] = []
    if budgets is not None:
        made.append(budgets.observe)
    return tuple(made)


def _sinks(settings: Settings) -> list[RecordSink]:
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


def _processors(exporter: Any) -> list[SpanProcessor]:
    if exporter is None:
        return []
    from opentelemetry.sdk.trace.export import SpanExporter

    from peekr.delivery.processor import DeliveryProcessor

    if not isinstance(exporter, SpanExporter) or isinstance(
        getattr(exporter, "is_immediate", None), bool
    ):
        return [DeliveryProcessor([exporter])]  # also Peekr's own, which make their own batches
    from peekr.delivery.batches import BoundedBatchProcessor

    return [BoundedBatchProcessor(exporter)]


def environment_processors(exporter: Any, processor: PeekrSpanProcessor) -> list[SpanProcessor]:
    """What `OTEL_EXPORTER_OTLP_ENDPOINT` asks for, where the provider is not the application's."""
    if not any(name.startswith(("OTEL_EXPORTER_OTLP", "OTEL_TRACES_EXP")) for name in os.environ):
        return []
    from peekr.delivery.environment import EnvironmentProcessor, asked_for, is_otlp

    added = [one for held in outlets.added() for one in getattr(held, "exporters", ())]
    if any(map(is_otlp, (exporter, *added))):
        return []  # which reads the same variables
    found = asked_for()
    return [] if found is None else [EnvironmentProcessor(found, lambda: processor.behind)]
