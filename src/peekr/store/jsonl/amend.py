"""Attributes changed in the lines of a JSONL file that others may be appending to."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Callable

from peekr.record import SpanRecord
from peekr.store.jsonl.rewrite import rewrite_jsonl
from peekr.store.splice import SpliceError, spliced_inside

__all__ = ["amend_jsonl"]


def amend_jsonl(
    path: str,
    amendments: Mapping[tuple[str, str], Callable[[Mapping[str, Any]], Mapping[str, Any]]],
) -> int:
    """See `peekr.store.amend.amend`.

    Raises:
        PeekrError: the file cannot be changed; it is as it was.
    """

    def change(line: bytes, record: SpanRecord) -> bytes:
        amendment = amendments.get((record.trace_id, record.span_id))
        if amendment is None:
            return line
        try:
            # Bytes that are no UTF-8 come out as they went in.
            text = line.decode("utf-8", "surrogateescape")
            changed = spliced_inside(text, "attributes", amendment(record.attributes))
            return changed.encode("utf-8", "surrogateescape")
        except (SpliceError, UnicodeEncodeError):
            return line

    return rewrite_jsonl(path, change, "changed")
