"""What the names of attributes say, and copies of finished spans."""

from __future__ import annotations

from typing import Any, Dict

import pytest
from opentelemetry.sdk.trace import ReadableSpan, SpanLimits, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import Status, StatusCode

from peekr import shapes
from peekr.pipeline import amended as copies
from peekr.pipeline.amended import amended


@pytest.fixture
def finished() -> ReadableSpan:
    kept = InMemorySpanExporter()
    provider = TracerProvider(
        span_limits=SpanLimits(max_attributes=3, max_events=1), shutdown_on_exit=False
    )
    provider.add_span_processor(SimpleSpanProcessor(kept))
    tracer = provider.get_tracer("tests")
    with tracer.start_as_current_span("above"), tracer.start_as_current_span("work") as span:
        for number in range(5):
            span.set_attribute(f"a{number}", number)
            span.add_event(f"e{number}")
    found, _ = kept.get_finished_spans()
    return found


@pytest.mark.parametrize("known", [True, False])
def test_a_copy_says_all_that_was_not_changed(
    finished: ReadableSpan, known: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(copies, "_ARE_KNOWN", known)
    status = Status(StatusCode.ERROR, "no")
    made = amended(finished, attributes={"b": 1}, status=status)
    assert dict(made.attributes or {}) == {"b": 1}
    assert made.status is status
    assert finished.status is not status
    assert "b" not in (finished.attributes or {})
    for name in ("name", "context", "parent", "resource", "links", "kind", "start_time",
                 "end_time", "instrumentation_scope"):  # fmt: skip
        assert getattr(made, name) == getattr(finished, name)
    assert [event.name for event in made.events] == ["e4"]
    assert '"b": 1' in made.to_json()
    again = amended(made, parent=None)
    assert (again.parent, dict(again.attributes or {})) == (None, {"b": 1})


def test_a_copy_keeps_the_counts_of_what_was_dropped(finished: ReadableSpan) -> None:
    assert (finished.dropped_attributes, finished.dropped_events) == (2, 4)
    made = amended(amended(finished, attributes={"b": 1}), events=())
    assert (made.dropped_attributes, made.dropped_events) == (2, 4)


def test_a_shape_is_remembered_by_the_names_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shapes, "_shapes", {})
    first = shapes.shape_of({"gen_ai.request.model": "a", "mine": 1})
    assert shapes.shape_of({"gen_ai.request.model": "b", "mine": None}) is first
    assert first.copied == (("gen_ai.request.model", "model"),)
    assert not first.is_plain
    assert first.may_be_unpriced
    assert shapes.shape_of({"mine": 1}).is_plain


def test_names_without_end_take_no_memory_without_end(monkeypatch: pytest.MonkeyPatch) -> None:
    known: Dict[Any, Any] = {}
    monkeypatch.setattr(shapes, "_shapes", known)
    for number in range(2_000):
        shapes.shape_of({f"name.{number}": 1})
    assert 0 < len(known) <= 512
    before = len(known)
    shapes.shape_of({f"gen_ai.prompt.{number}.content": "x" for number in range(1_000)})
    assert len(known) == before
