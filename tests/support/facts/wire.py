"""Reading the wire: documents, server-sent events, AWS event streams."""

from __future__ import annotations

import base64
import json
from typing import Any, Dict, List, Optional, cast

import pytest

from ..recordings import Interaction

Json = Dict[str, Any]


def document(interaction: Interaction) -> Json:
    return json.loads(interaction.body)


def sse_events(interaction: Interaction) -> List[Json]:
    """The JSON of a stream's events; an event's `data:` lines belong together."""
    events: List[Json] = []
    for block in interaction.body.decode().replace("\r\n", "\n").split("\n\n"):
        lines = [line[5:].strip() for line in block.split("\n") if line.startswith("data:")]
        data = "\n".join(lines)
        if data and data != "[DONE]":
            events.append(json.loads(data))
    return events


def aws_events(interaction: Interaction) -> List[Json]:
    """The events of an AWS event stream; those of `invoke` hold their JSON as base64."""
    eventstream = pytest.importorskip("botocore.eventstream")
    buffer = eventstream.EventStreamBuffer()
    buffer.add_data(interaction.body)
    events: List[Json] = []
    for message in buffer:
        payload = json.loads(message.payload)
        if "bytes" in payload:
            events.append(json.loads(base64.b64decode(payload["bytes"])))
        else:
            kind = message.headers.get(":event-type") or message.headers.get(":exception-type")
            events.append({str(kind): payload})
    return events


def json_object(value: Any) -> Json:
    return cast("Json", value) if isinstance(value, dict) else {}


def json_objects(value: Any) -> List[Json]:
    if not isinstance(value, list):
        return []
    return [cast("Json", item) for item in cast("List[Any]", value) if isinstance(item, dict)]


def parsed(text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError:
        return text


def first_of(events: List[Json], name: str) -> Any:
    return next((event[name] for event in events if event.get(name)), None)


def either(value: Json, *names: str) -> Any:
    return next((value[name] for name in names if value.get(name) is not None), None)


def some(value: Any) -> Any:
    return (value,) if value else None


def total(first: Optional[int], *more: Optional[int]) -> Optional[int]:
    return None if first is None else first + sum(count or 0 for count in more)


def content_text(content: Any) -> str:
    if isinstance(content, str):
        return content
    parts = json_objects(content)
    return "".join(part["text"] for part in parts if isinstance(part.get("text"), str))
