"""Ends spans that have canaries wherever a span takes a text."""

from __future__ import annotations

import json
import os
from typing import Any

from opentelemetry import trace as otel_trace
from opentelemetry.trace import Link, Span, SpanContext, Status, StatusCode, TraceFlags, TraceState

from peekr import tracing
from peekr.canaries.samples import Canaries
from peekr.canaries.watch import Watch
from peekr.manual import spans
from peekr.semconv import otel, own

__all__ = ["send"]


class _CanaryError(Exception):
    pass


def send(provider: Any, canaries: Canaries, watch: Watch) -> None:
    """End one span of another instrumentation, one of Peekr's tracer, and one below each.

    Args:
        provider: The provider that Peekr is installed on.
        canaries: What to send.
        watch: Is told the trace's id before the first span starts.
    """
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


def _fill(span: Span, canaries: Canaries, text: str) -> None:
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


def _send_own(parent: Span, canaries: Canaries, text: str) -> None:
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


def _trace_state(canaries: Canaries) -> TraceState:
    """A trace state takes few characters: what it refuses is left out."""
    email = canaries.texts.get("email")
    return TraceState([("canary", email)] if email else [])
