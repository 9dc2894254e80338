"""Scores as OpenTelemetry's `gen_ai.evaluation.result` events, on the span and as log records.

Source: semantic conventions, event `gen_ai.evaluation.result`: one an evaluation, parented to the
span that was evaluated.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Sequence
from typing import Any, cast

from opentelemetry import trace as otel_trace
from opentelemetry.context import Context
from opentelemetry.sdk.trace import Event, ReadableSpan
from opentelemetry.trace import NonRecordingSpan, SpanContext

from peekr import faults
from peekr._version import __version__
from peekr.eval.scoring import RESULT_EVENT, Findings
from peekr.semconv import otel
from peekr.tracing import SCHEMA_URL

__all__ = ["emit", "events"]


def events(span: ReadableSpan, findings: Findings) -> list[Event]:
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


def emit(span: ReadableSpan, made: Sequence[Event]) -> None:
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
