"""Spans as the protocol has them, for comparison."""

from __future__ import annotations

import json
from typing import Any, Dict, List, Optional, Sequence

from opentelemetry.exporter.otlp.proto.common.trace_encoder import encode_spans
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.sdk.trace import ReadableSpan

# JSON texts: the same value may be written in several ways.
_TEXTS = (
    "gen_ai.input.messages",
    "gen_ai.output.messages",
    "gen_ai.system_instructions",
    "gen_ai.tool.definitions",
    "gen_ai.tool.call.arguments",
    "gen_ai.tool.call.result",
)


def decoded(body: bytes) -> List[Dict[str, Any]]:
    """The spans of an OTLP request in protobuf."""
    request: Any = ExportTraceServiceRequest.FromString(body)
    return [
        _span(span)
        for resource in request.resource_spans
        for scope in resource.scope_spans
        for span in scope.spans
    ]


def as_opentelemetry_sends(spans: Sequence[ReadableSpan]) -> List[Dict[str, Any]]:
    """The same of spans that OpenTelemetry's own encoder has encoded."""
    message: Any = encode_spans(spans)
    return decoded(message.SerializeToString())


def _span(span: Any) -> Dict[str, Any]:
    return {
        "trace_id": span.trace_id.hex(),
        "span_id": span.span_id.hex(),
        "parent_span_id": span.parent_span_id.hex(),
        "name": span.name,
        "kind": span.kind,
        "start": span.start_time_unix_nano,
        "end": span.end_time_unix_nano,
        "status": (span.status.code, span.status.message),
        "attributes": _attributes(span.attributes),
        "events": [(e.name, e.time_unix_nano, _attributes(e.attributes)) for e in span.events],
    }


def _attributes(pairs: Any) -> Dict[str, Any]:
    made = {pair.key: _value(pair.key, pair.value) for pair in pairs}
    # As SDKs before nested attributes carry them.
    for key in made.pop("peekr.json_attributes", ()):
        made[key] = json.loads(made[key])
    return made


def _value(key: str, value: Any) -> Any:
    kind: Optional[str] = value.WhichOneof("value")
    if kind == "array_value":
        return [_value("", entry) for entry in value.array_value.values]
    if kind == "kvlist_value":
        return {pair.key: _value("", pair.value) for pair in value.kvlist_value.values}
    if kind is None:
        return None
    plain = getattr(value, kind)
    if (key in _TEXTS or key.startswith("peekr.")) and isinstance(plain, str):
        try:
            return json.loads(plain)
        except ValueError:
            return plain
    return plain
