"""From a stored record back to the span that it was, as OTLP has it."""

from __future__ import annotations

import base64
import json
from pathlib import Path
from typing import Any, Dict, List, Tuple

import pytest
from google.protobuf.json_format import MessageToDict
from opentelemetry import trace as otel_trace
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

import peekr
from peekr import shapes
from peekr.record import SpanRecord
from peekr.store.otlp.encode import request_of, span_of
from peekr.store.otlp.wire import encoded
from tests.conftest import Telemetry
from tests.otlp.spans import as_opentelemetry_sends, decoded
from tests.support.drive import drive
from tests.support.player import Player
from tests.support.recordings import load, recording_params


def converted(records: List[Dict[str, Any]]) -> List[Dict[str, Any]]:
    return decoded(encoded(request_of(map(SpanRecord.from_dict, records))))


def assert_same(sent: Dict[str, Any], made: Dict[str, Any]) -> None:
    # A record's times are floats, which hold about a quarter of a microsecond.
    for key in ("start", "end"):
        assert abs(made.pop(key) - sent.pop(key)) < 1_000
    for span in (made, sent):
        span["events"] = [(name, attributes) for name, _, attributes in span["events"]]
        for _, attributes in span["events"]:
            attributes.pop("exception.escaped", None)
    assert made == sent


def check(telemetry: Telemetry) -> None:
    """Every span that OpenTelemetry exports is what its record is converted to."""
    records = {record["span_id"]: record for record in telemetry.records}
    sent = as_opentelemetry_sends(telemetry.spans)
    assert sent
    made = converted([records[span["span_id"]] for span in sent])
    for one, other in zip(sent, made):
        assert_same(one, other)


@pytest.mark.parametrize("file", recording_params())
def test_recorded_calls_come_back_whole(file: Path, telemetry: Telemetry) -> None:
    played = load(file)
    with Player(played) as player:
        drive(played, player.url)
    if not telemetry.spans:
        pytest.skip("the installed SDK cannot send this")
    check(telemetry)


def test_spans_of_ones_own_come_back_whole(telemetry: Telemetry) -> None:
    @peekr.trace
    def double(number: int, *, note: str = "x") -> Dict[str, int]:
        return {"twice": number * 2}

    with peekr.session(user_id="ada", tenant_id="acme", retention_class="short"):
        with peekr.span("step", {"plain": 1, "nested": {"a": [1, {"b": None}]}, "list": ["a"]}):
            double(2)
        with pytest.raises(ValueError, match="no"), peekr.span("fails"):
            raise ValueError("no")
    with peekr.feature("search"), peekr.span("tagged") as span:
        span.attributes["mixed"] = [1, "a"]
        span.attributes["none"] = None
        otel_trace.get_current_span().add_event("looked", {"rows": 3})
    check(telemetry)


def test_every_name_that_the_projection_changes_is_changed_back() -> None:
    changed: List[Tuple[str, str]] = [
        *shapes.RENAMED,
        *((key, plain) for key, plain in shapes.PARSED if key != plain),
    ]
    assert changed
    for key, plain in changed:
        is_tool = key.startswith("gen_ai.tool.call.")
        attributes: Dict[str, Any] = {plain: {"a": 1}}
        if is_tool:
            attributes["gen_ai.operation.name"] = "execute_tool"
        record = SpanRecord(
            "a" * 32, "b" * 16, None, "n", 1.0, 2.0, 1.0, "ok", None, None, attributes
        )
        names = [pair["key"] for pair in span_of(record)["attributes"]]
        assert key in names
        assert plain not in names


def test_the_bytes_are_the_protocols(telemetry: Telemetry) -> None:
    record = SpanRecord(
        "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331", "00f067aa0ba902b7", "work",
        1_700_000_000.5, 1_700_000_001.5, 1000.0, "error", "acme", "pii",
        {
            "text": "ü\ud800", "int": -7, "large": 1 << 70, "most": (1 << 63) - 1, "flag": True,
            "float": 0.5, "ints": [1, 2], "empty": [], "none": None, "deep": {"a": 1},
            "error": "went wrong", "exception.type": "ValueError",
            "events": [{"name": "e", "time": 1_700_000_001.0, "attributes": {"n": 1}}],
        },
    )  # fmt: skip
    request = request_of([record], {"service.name": "shop"})
    message: Any = ExportTraceServiceRequest.FromString(encoded(request))
    as_json = json.loads(json.dumps(request).replace("\\ud800", "?"))
    (span,) = as_json["resourceSpans"][0]["scopeSpans"][0]["spans"]
    for key in ("traceId", "spanId", "parentSpanId"):
        span[key] = base64.b64encode(bytes.fromhex(span[key])).decode()
    span["kind"] = "SPAN_KIND_INTERNAL"
    span["status"]["code"] = "STATUS_CODE_ERROR"
    for pair in span["attributes"]:
        if pair["value"] == {"arrayValue": {"values": []}}:
            pair["value"] = {"arrayValue": {}}
    del span["flags"]  # the protocol's classes of some versions do not know it
    made: Any = MessageToDict(message)
    made["resourceSpans"][0]["scopeSpans"][0]["spans"][0].pop("flags", None)
    assert made == as_json


@pytest.mark.parametrize(
    ("record", "expected"),
    [
        (
            {
                "name": "openai.chat",
                "attributes": {
                    "model": "gpt-4o",
                    "tokens_input": 3,
                    "tokens_output": 4,
                    "tokens_total": 7,
                    "input": [{"role": "user", "content": "hi"}],
                    "output": "hello",
                },
            },
            {
                "gen_ai.operation.name": "chat",
                "gen_ai.provider.name": "openai",
                "gen_ai.request.model": "gpt-4o",
                "gen_ai.usage.input_tokens": 3,
                "gen_ai.usage.output_tokens": 4,
                "gen_ai.input.messages": [
                    {"role": "user", "parts": [{"type": "text", "content": "hi"}]}
                ],
                "gen_ai.output.messages": [
                    {"role": "assistant", "parts": [{"type": "text", "content": "hello"}]}
                ],
                "peekr.record.name": "openai.chat",
            },
        ),
        (
            {"name": "app.step", "attributes": {"input": {"a": 1}, "output": None, "x": 1}},
            {"peekr.input": {"a": 1}, "peekr.output": None, "x": 1},
        ),
    ],
    ids=["a call", "a function"],
)
def test_records_of_earlier_versions_get_the_conventions_attributes(
    record: Dict[str, Any], expected: Dict[str, Any]
) -> None:
    old = {"trace_id": "A" * 32, "span_id": "f" * 32, "start_time": 1, "end_time": 2, **record}
    (span,) = converted([old])
    assert span["attributes"] == expected
    assert span["trace_id"] == "a" * 32
    assert len(span["span_id"]) == 16


def test_ids_of_another_length_keep_parents_and_children_together() -> None:
    parent = SpanRecord("t" * 32, "a" * 32, None, "parent", 1.0, 2.0, 1.0, "ok")
    child = SpanRecord("t" * 32, "b" * 32, "a" * 32, "child", 1.0, 2.0, 1.0, "ok")
    first, second = span_of(parent), span_of(child)
    assert second["parentSpanId"] == first["spanId"] != second["spanId"]
    assert first["traceId"] == second["traceId"]


def test_content_that_was_cut_in_its_middle_is_sent_as_it_is() -> None:
    cut = '[{"role":"user","parts":[{"type":"te'
    record = SpanRecord(
        "a" * 32, "b" * 16, None, "openai.chat", 1.0, None, None, "ok", None, None,
        {"gen_ai.operation.name": "chat", "input": cut, "output": {"odd": 1}},
    )  # fmt: skip
    (span,) = decoded(encoded(request_of([record])))
    assert span["attributes"]["gen_ai.input.messages"] == cut
    assert span["attributes"]["gen_ai.output.messages"] == {"odd": 1}
