"""Records in a JSONL file: one JSON object a line, UTF-8."""

from __future__ import annotations

from typing import TYPE_CHECKING

from peekr.late import public_names

if TYPE_CHECKING:
    from peekr.store.jsonl.write import JsonlSink

__all__ = ["JsonlSink"]

# Whoever reads does not load what writes.
__getattr__, __dir__ = public_names(globals(), {"JsonlSink": "peekr.store.jsonl.write"})
