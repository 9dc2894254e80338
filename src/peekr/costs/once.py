"""Which spans count: each call once, also where a framework's span repeats it."""

from __future__ import annotations

from typing import Any

from peekr.costs.dimensions import Document
from peekr.pricing.spans import CALLS

__all__ = ["OWN", "Below"]

# What Peekr calls the spans of its own instrumentations, which are one call each.
OWN = frozenset(
    ("openai.chat", "openai.responses", "openai.embeddings", "openai.completions",
     "anthropic.messages", "bedrock.converse", "bedrock.converse_stream", "bedrock.invoke_model",
     "bedrock.invoke_model_stream", "gemini.generate_content", "gemini.generate_content_stream",
     "gemini.embed_content")
)  # fmt: skip
"""Names of records that are one call each."""


class Below:
    """What is known of the calls below spans that have not come yet: children come first."""

    def __init__(self) -> None:
        # By the id of the span above: tokens in, tokens out, and whether all are Peekr's own.
        self._sums: dict[Any, tuple[int, int, bool]] = {}

    def passes(self, document: Document) -> None:
        """Take a span that is no call: what is below it is below what is above it."""
        below = self._sums.pop(document.get("span_id"), None)
        if below is not None:
            self._add(document, *below)

    def own_call(self, document: Document, tokens: int, output: int) -> None:
        """Take a call of Peekr's own."""
        below = self._sums.pop(document.get("span_id"), None)
        self._add(document, tokens, output, below is None or below[2])
        if below is not None and below[2]:
            self._add(document, *below)

    def counts(self, document: Document, operation: Any, tokens: int, output: int) -> bool:
        """Take another span with tokens; whether it is a call that nothing below it says."""
        below = self._sums.pop(document.get("span_id"), None)
        if below is None:
            self._add(document, tokens, output, False)
            return True
        if operation in CALLS and (tokens > below[0] or output > below[1]):
            self._add(document, tokens + below[0], output + below[1], False)
            return True
        self._add(document, *below)
        return False

    def _add(self, document: Document, tokens: int, output: int, is_own: bool) -> None:
        parent = document.get("parent_id")
        if parent is not None:
            before = self._sums.get(parent)
            if before is not None:
                tokens, output = tokens + before[0], output + before[1]
                is_own = is_own and before[2]
            self._sums[parent] = (tokens, output, is_own)
