"""What evaluators found put on a span: attributes, and OpenTelemetry's events for evaluations.

Source: semantic conventions, event `gen_ai.evaluation.result`: one an evaluation, parented to the
span that was evaluated. It is on the span, and a log record where the application has set up logs.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Sequence
from typing import Any, Callable, Optional, cast

from opentelemetry import trace as otel_trace
from opentelemetry.context import Context
from opentelemetry.sdk.trace import Event, ReadableSpan
from opentelemetry.trace import NonRecordingSpan, SpanContext

from peekr import faults
from peekr._version import __version__
from peekr.encoding import dumps
from peekr.eval import results
from peekr.eval.scoring import ATTRIBUTES, RESULT_EVENT, Findings, said_of
from peekr.pipeline.amended import amended
from peekr.semconv import otel
from peekr.tracing import SCHEMA_URL

__all__ = ["with_findings"]


def _events(span: ReadableSpan, findings: Findings) -> list[Event]:
    """An event for each evaluator that gave a score or failed, with the time of now."""
    made: list[Event] = []
    response_id = (span.attributes or {}).get(otel.GEN_AI_RESPONSE_ID)
    now_ns = time.time_ns()
    for name, finding in findings.items():
        attributes: dict[str, Any] = {otel.GEN_AI_EVALUATION_NAME: name}
        if finding.error is not None:
            attributes[otel.ERROR_TYPE] = finding.error_type
            attributes[otel.GEN_AI_EVALUATION_EXPLANATION] = finding.error
        elif finding.score is not None:
            score = finding.score
            attributes[otel.GEN_AI_EVALUATION_SCORE_VALUE] = float(score)
            if score.label:
                attributes[otel.GEN_AI_EVALUATION_SCORE_LABEL] = score.label
            if score.explanation:
                attributes[otel.GEN_AI_EVALUATION_EXPLANATION] = score.explanation
        else:
            continue
        if response_id is not None:
            attributes[otel.GEN_AI_RESPONSE_ID] = response_id
        made.append(Event(RESULT_EVENT, attributes, now_ns))
    return made


def _emit(span: ReadableSpan, made: Sequence[Event]) -> None:
    """Log the events with the span as their parent, where the application has set up OTel logs."""
    # Whoever has a logger provider of the SDK has loaded the SDK's logs.
    sdk: Any = sys.modules.get("opentelemetry.sdk._logs")
    if not made or not hasattr(sdk, "ReadWriteLogRecord"):
        return  # none, or of a time in which events were made in another way
    try:
        from opentelemetry import _logs

        provider = _logs.get_logger_provider()
        if not isinstance(provider, sdk.LoggerProvider):
            return
        logger = provider.get_logger("peekr", __version__, SCHEMA_URL)
        parent = NonRecordingSpan(cast("SpanContext", span.context))
        context = otel_trace.set_span_in_context(parent, Context())
        for event in made:
            record: Any = _logs.LogRecord(
                timestamp=event.timestamp,
                observed_timestamp=event.timestamp,
                context=context,
                severity_number=_logs.SeverityNumber.INFO,
                attributes=dict(event.attributes or {}),
                event_name=event.name,
            )
            logger.emit(record)
    except Exception:
        faults.report("logging the scores of a span")


def with_findings(
    span: ReadableSpan,
    findings: Findings,
    redacted: Optional[Callable[[ReadableSpan], ReadableSpan]] = None,
) -> ReadableSpan:
    """A copy of a finished span with scores and errors; events are logged, scores remembered.

    Args:
        span: The span.
        findings: What was found.
        redacted: Makes the span that may be seen: an evaluator may quote what it has read itself.
    """
    said = said_of(findings)
    if not said:
        return span
    context = cast("SpanContext", span.context)
    scores = said.get("eval_scores")
    if scores:
        results.give(format(context.trace_id, "032x"), format(context.span_id, "016x"), scores)
    named = {key: dumps(said[name]).decode() for key, name in ATTRIBUTES.items() if name in said}
    made: list[Event] = _events(span, findings)
    scored = amended(
        span,
        attributes={**(span.attributes or {}), **named},
        events=[*span.events, *made],
    )
    if redacted is not None:
        scored = redacted(scored)
    _emit(scored, scored.events[len(scored.events) - len(made) :])
    return scored
