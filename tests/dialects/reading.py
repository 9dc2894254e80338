"""Samples as records, read from the file or projected from spans."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any, Dict, List, Tuple, cast

from opentelemetry.sdk.trace import Event, ReadableSpan
from opentelemetry.sdk.util.instrumentation import InstrumentationScope
from opentelemetry.trace import SpanContext, Status, StatusCode, TraceFlags

from peekr.pipeline.project import project
from peekr.record import SpanRecord
from peekr.store.opening import open_reader
from peekr.store.otlp.decode import RawSpan, StoredSpan, contents
from peekr.store.query import Query

FOLDER = Path(__file__).parent / "samples"
FILES = sorted(path for path in FOLDER.iterdir() if path.suffix in (".jsonl", ".db"))


def read(path: Path) -> Tuple[List[SpanRecord], str]:
    """Every record of a file, and what could not be read."""
    with closing(open_reader(str(path))) as reader:
        records = [span for trace in reader.select(Query()).traces for span in trace.spans]
        return records, reader.problems.describe()


def calls(records: List[SpanRecord]) -> List[SpanRecord]:
    """The model calls among records, in the order in which they began."""
    found = [
        record
        for record in records
        if record.attributes.get("gen_ai.operation.name") == "chat"
        or record.name.startswith("openai.chat")
    ]
    return sorted(found, key=lambda record: record.start_time)


def stored_spans(path: Path) -> Iterator[StoredSpan]:
    for line in path.read_bytes().splitlines():
        for item in contents(json.loads(line)):
            if isinstance(item, RawSpan):
                yield item.decoded()


def projected(path: Path) -> Dict[str, SpanRecord]:
    """What the pipeline makes of the same spans, by span id."""
    made = (project(_finished(span)) for span in stored_spans(path))
    return {record.span_id: record for record in made}


def _finished(span: StoredSpan) -> ReadableSpan:
    def context(ids: Any) -> SpanContext:
        return SpanContext(ids.trace_id, ids.span_id, False, TraceFlags(1))

    status = Status(StatusCode.OK)
    if not span.status.is_ok:
        status = Status(StatusCode.ERROR, span.status.description)
    return ReadableSpan(
        span.name,
        context=context(span.context),
        parent=None if span.parent is None else context(span.parent),
        attributes=cast("Any", span.attributes),
        events=[Event(event.name, event.attributes, event.timestamp) for event in span.events],
        status=status,
        start_time=span.start_time,
        end_time=span.end_time,
        instrumentation_scope=InstrumentationScope(span.instrumentation_scope.name),
    )
