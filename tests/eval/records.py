"""Records of model calls, to be evaluated."""

from __future__ import annotations

from typing import Any

from peekr.record import SpanRecord


def record(**attributes: Any) -> SpanRecord:
    """A chat's record with these attributes."""
    return SpanRecord(
        trace_id="0" * 31 + "1",
        span_id="0" * 15 + "2",
        parent_id=None,
        name="openai.chat",
        start_time=1.0,
        end_time=2.0,
        duration_ms=1000.0,
        status="error" if "error" in attributes else "ok",
        attributes={"gen_ai.operation.name": "chat", **attributes},
    )


def chat(question: str, answer: str, **attributes: Any) -> SpanRecord:
    """A chat of one question and one answer."""
    asked = [{"role": "user", "content": question}]
    return record(input=asked, output=answer, **attributes)
