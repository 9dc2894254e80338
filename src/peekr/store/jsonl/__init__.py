"""Records in a JSONL file: one JSON object a line, UTF-8."""

from __future__ import annotations

from peekr.store.jsonl.write import JsonlSink

__all__ = ["JsonlSink"]
