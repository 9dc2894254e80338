"""Finished spans and log records as the lines of OTLP JSON that the collector's exporter writes."""

from __future__ import annotations

import base64
import importlib
import json
from pathlib import Path
from typing import Any, Dict, Sequence, cast

_IDS = ("traceId", "spanId", "parentSpanId")


def write(path: str, spans: Sequence[Any], logs: Sequence[Any] = ()) -> None:
    """Write one line for the spans and one for the log records.

    Args:
        path: The file, replaced where it exists.
        spans: `ReadableSpan`s.
        logs: What an InMemoryLogRecordExporter gave.
    """
    common = "opentelemetry.exporter.otlp.proto.common."
    lines = [importlib.import_module(common + "trace_encoder").encode_spans(spans)]
    if logs:
        lines.append(importlib.import_module(common + "_log_encoder").encode_logs(logs))
    Path(path).write_text("".join(_line(made) + "\n" for made in lines), encoding="utf-8")


def _line(message: Any) -> str:
    to_dict = importlib.import_module("google.protobuf.json_format").MessageToDict
    made = to_dict(message, use_integers_for_enums=True)
    return json.dumps(_with_hex_ids(made), ensure_ascii=False)


def _with_hex_ids(value: Any) -> Any:
    """OTLP JSON writes ids in hexadecimal, protobuf's own JSON in base64."""
    if isinstance(value, list):
        return [_with_hex_ids(item) for item in value]  # pyright: ignore[reportUnknownVariableType]
    if not isinstance(value, dict):
        return value
    given = cast("Dict[str, Any]", value)
    return {
        key: base64.b64decode(item).hex() if key in _IDS else _with_hex_ids(item)
        for key, item in given.items()
    }
