"""What `OpenInferenceExporter` adds, and what it leaves alone."""

from __future__ import annotations

from typing import Any, Dict

import pytest
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

import peekr
from tests.conftest import Telemetry, attributes_of


def test_functions_and_steps_get_a_kind_and_contents(bare_telemetry: Telemetry) -> None:
    inner = InMemorySpanExporter()
    bare_telemetry.instrument(exporter=peekr.OpenInferenceExporter(inner))

    @peekr.trace(name="double")
    def double(number: int) -> int:
        return 2 * number

    double(2)
    with peekr.span("call", {"gen_ai.operation.name": "chat"}):
        pass
    with bare_telemetry.tracer.start_as_current_span("another library's"):
        pass
    assert peekr.flush()
    added: Dict[str, Dict[str, Any]] = {}
    for before, after in zip(bare_telemetry.spans, inner.get_finished_spans()):
        assert after.context == before.context
        held = attributes_of(before)
        got = attributes_of(after)
        assert {key: got[key] for key in held} == held
        added[after.name] = {key: got[key] for key in got if key not in held}
    assert added == {
        "double": {
            "openinference.span.kind": "CHAIN",
            "input.value": '{"number":2}',
            "input.mime_type": "application/json",
            "output.value": "4",
            "output.mime_type": "application/json",
        },
        "call": {},
        "another library's": {},
    }


def test_only_exporters_of_opentelemetry_are_wrapped() -> None:
    with pytest.raises(TypeError, match="no OpenTelemetry SpanExporter"):
        peekr.OpenInferenceExporter(print)  # pyright: ignore[reportArgumentType]
