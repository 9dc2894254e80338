"""Lines deleted from a JSONL file that others may be appending to."""

from __future__ import annotations

from typing import Callable, Optional

from peekr.record import SpanRecord
from peekr.store.jsonl.rewrite import rewrite_jsonl

__all__ = ["prune_jsonl"]


def prune_jsonl(path: str, is_due: Callable[[SpanRecord], bool]) -> int:
    """Delete the lines whose record is due; all others stay byte for byte, in their order.

    A line that is no record stays. Takes a quarter of a second longer than reading the file.

    Args:
        path: The file itself, no link to it.
        is_due: Whether a record is to be deleted.

    Returns:
        How many lines were deleted.

    Raises:
        PeekrError: the file cannot be changed, or changed its place meanwhile; it is as it was.
    """

    def change(line: bytes, record: SpanRecord) -> Optional[bytes]:
        return None if is_due(record) else line

    return rewrite_jsonl(path, change, "pruned")
