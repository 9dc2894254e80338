"""The composition root: the only module that assembles Peekr, and takes it apart again."""

from __future__ import annotations

import _thread
import atexit
import os
import threading
import time
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Callable, Optional, Union

from peekr import assembly, config, faults, provider, tracing
from peekr.config import Settings
from peekr.delivery import outlets
from peekr.instrumentation.runtime import open_streams
from peekr.instrumentation.sdks import leave_all, watch_all
from peekr.manual import threads
from peekr.semconv import own
from peekr.termination import TerminationGuard

if TYPE_CHECKING:
    from peekr.pipeline.chain import Chain
    from peekr.pipeline.gate import RedactionGate
    from peekr.pipeline.processor import PeekrSpanProcessor
    from peekr.pricing.own import PricesGiven

__all__ = ["active_settings", "flush", "instrument", "shutdown", "uninstrument"]

_EXIT_TIMEOUT_S = 5.0
_STREAMS_S = 1.0
"""How long a process that gets SIGTERM waits for the spans of its open streams."""


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
    _take_away(settle_s=_EXIT_TIMEOUT_S)


def _take_away(settle_s: float) -> None:
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
            installation.pipeline.settle(settle_s)


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
    _take_away(settle_s=0.0)  # for which the flush has waited
    return done


def active_settings() -> Optional[Settings]:
    """The settings in force, None when Peekr is not installed."""
    return None if _current is None else _current.settings


# -- assembly --------------------------------------------------------------------------------------


class _Installation:
    """What was put in place, so that it can be changed and taken away again."""

    def __init__(
        self,
        settings: Settings,
        processor: PeekrSpanProcessor,
        pipeline: Chain,
        output: assembly.Output,
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
        self.output.end(is_flushed=self.flush(timeout_s))

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
    book = assembly.price_book(settings)
    budgets = assembly.budgets(settings, book)
    keeping = assembly.gatekeeping(settings)
    with _lock:
        chosen = provider.choose(tracer_provider)
        processor = provider.joined(chosen)
        # A disabled SDK makes no spans: no file is made either.
        is_disabled = provider.is_disabled(chosen)
        output = assembly.Output(_SILENT if is_disabled else settings)
        if provider.is_own(chosen) and not is_disabled:
            output.processors += assembly.environment_processors(settings.exporter, processor)
        pipeline = assembly.pipeline(settings, book, keeping, output, processor)
        installed = _Installation(settings, processor, pipeline, output)
        # Before anything of this installation sees a span.
        installed.gate = assembly.redaction_gate(settings, chosen, processor)
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
            admissions=assembly.admissions(keeping, budgets),
            observers=assembly.observers(settings, budgets),
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
            _termination.guard(_at_termination if is_deferred else None)


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


def _end_open_streams() -> None:
    if open_streams:
        # Loaded with the first call, without which there is no stream.
        from peekr.instrumentation.drive import end_open_streams

        end_open_streams()


# -- the end ---------------------------------------------------------------------------------------


def _flush_now() -> None:
    installation = _current
    if installation is not None:
        installation.end(_EXIT_TIMEOUT_S)


def _at_termination() -> None:
    if open_streams:
        # On a thread of its own: what the signal has interrupted may hold the lock of a span.
        done = threading.Event()

        def end() -> None:
            try:
                _end_open_streams()
            except Exception:
                faults.report("ending open streams")
            finally:
                done.set()

        try:
            _thread.start_new_thread(end, ())
            done.wait(_STREAMS_S)
        except RuntimeError:
            pass  # too many threads
    _flush_now()


def _at_exit() -> None:
    global _exit_by
    # The stores stay open: what other exit handlers still end is written as well.
    try:
        _end_open_streams()
        _exit_by = time.monotonic() + _EXIT_TIMEOUT_S
        _flush_now()
    except Exception:
        faults.report("flushing at exit")
