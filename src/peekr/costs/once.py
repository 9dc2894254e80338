"""Which spans count: each call once, also where a framework's span repeats it."""

from __future__ import annotations

from typing import Any, Optional

from peekr.costs.dimensions import Document
from peekr.pricing.spans import CALLS

__all__ = ["OWN", "Below", "Counted"]

# What Peekr calls the spans of its own instrumentations, which are one call each.
OWN = frozenset(
    ("openai.chat", "openai.responses", "openai.embeddings", "openai.completions",
     "anthropic.messages", "bedrock.converse", "bedrock.converse_stream", "bedrock.invoke_model",
     "bedrock.invoke_model_stream", "gemini.generate_content", "gemini.generate_content_stream",
     "gemini.embed_content")
)  # fmt: skip
"""Names of records that are one call each."""


_MAX_RECENT = 2_000
"""How many of the spans that came last are remembered at least; twice as many at most."""

_MAX_LEVELS = 64


class Counted:
    """A span of another instrumentation that was counted, and how to take that back.

    Attributes:
        operation: What it says that it is.
        tokens: Tokens in, and `output` those out.
        late: Tokens in and out of calls below it that came after it.
        stands: Whether it still counts.
        how: What whoever counted it needs to take it back.
    """

    __slots__ = ("how", "late", "operation", "output", "stands", "tokens")

    def __init__(self, operation: Any, tokens: int, output: int) -> None:
        self.operation = operation
        self.tokens = tokens
        self.output = output
        self.late: tuple[int, int] = (0, 0)
        self.stands = False
        self.how: tuple[Any, ...] = ()

    def is_said_by(self, tokens: int, output: int) -> bool:
        """Whether calls with so many tokens are what it repeats."""
        if self.operation is not None and self.operation not in CALLS:
            return True
        return tokens >= self.tokens and output >= self.output


class Below:
    """Which calls are below which spans.

    Children come before their parents, as they end first; where one comes later, because it waited
    for its evaluation say, what was counted above it is taken back if it came not long before.
    """

    def __init__(self) -> None:
        # By the id of the span above: tokens in, tokens out, and whether all are Peekr's own.
        self._sums: dict[Any, tuple[int, int, bool]] = {}
        # The spans that came last: what is above each, and how it was counted.
        self._recent: dict[Any, tuple[Any, Optional[Counted]]] = {}
        self._older: dict[Any, tuple[Any, Optional[Counted]]] = {}

    def passes(self, document: Document) -> None:
        """Take a span that is no call: what is below it is below what is above it."""
        below = self._sums.pop(document.get("span_id"), None)
        if below is not None:
            self._add(document, *below)
        self._remember(document, None)

    def own_call(self, document: Document, tokens: int, output: int) -> bool:
        """Take a call of Peekr's own; whether it counts."""
        below = self._sums.pop(document.get("span_id"), None)
        self._remember(document, None)
        if below is None:
            self._add(document, tokens, output, True)
            return True
        if below[2] or tokens > below[0] or output > below[1]:
            # What a tool of the call has called.
            self._add(document, tokens + below[0], output + below[1], below[2])
            return True
        self._add(document, *below)
        return False

    def counts(
        self, document: Document, operation: Any, tokens: int, output: int
    ) -> Optional[Counted]:
        """Take another span with tokens; None where calls below it say what it says."""
        made = Counted(operation, tokens, output)
        below = self._sums.pop(document.get("span_id"), None) if self._sums else None
        if below is not None and made.is_said_by(below[0], below[1]):
            self._add(document, *below)
            self._remember(document, None)
            return None
        if below is not None:
            tokens, output = tokens + below[0], output + below[1]
        self._add(document, tokens, output, False)
        self._remember(document, made)
        return made

    def is_late(self, document: Document) -> bool:
        """Whether the span above it has come already."""
        above = document.get("parent_id")
        return above in self._recent or above in self._older

    def repeated_above(self, document: Document, tokens: int, output: int) -> list[Counted]:
        """What was counted above a call that comes now, and does not count any more."""
        found: list[Counted] = []
        above = document.get("parent_id")
        for _ in range(_MAX_LEVELS):
            known = self._recent.get(above) or self._older.get(above)
            if known is None:
                break
            above, counted = known
            if counted is not None and counted.stands:
                counted.late = (counted.late[0] + tokens, counted.late[1] + output)
                if counted.is_said_by(*counted.late):
                    counted.stands = False
                    found.append(counted)
        return found

    def _remember(self, document: Document, counted: Optional[Counted]) -> None:
        recent = self._recent
        if len(recent) >= _MAX_RECENT:
            self._older = recent
            recent = self._recent = {}
        recent[document.get("span_id")] = (document.get("parent_id"), counted)

    def _add(self, document: Document, tokens: int, output: int, is_own: bool) -> None:
        parent = document.get("parent_id")
        if parent is not None:
            before = self._sums.get(parent)
            if before is not None:
                tokens, output = tokens + before[0], output + before[1]
                is_own = is_own and before[2]
            self._sums[parent] = (tokens, output, is_own)
