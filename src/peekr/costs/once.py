"""Which spans count: each call once, also where a framework's span repeats it."""

from __future__ import annotations

from itertools import islice
from typing import Any, Optional, Union

from peekr.costs.sums import Sums

__all__ = ["OWN", "Below", "Counted"]

# What Peekr calls the spans of its own instrumentations, which are one call each.
OWN = frozenset(
    ("openai.chat", "openai.responses", "openai.embeddings", "openai.completions",
     "anthropic.messages", "bedrock.converse", "bedrock.converse_stream", "bedrock.invoke_model",
     "bedrock.invoke_model_stream", "gemini.generate_content", "gemini.generate_content_stream",
     "gemini.embed_content")
)  # fmt: skip
"""Names of records that are one call each."""

_MAX_RECENT = 1_000
"""How many of the spans that came last are remembered at least; twice as many at most, and one
block of the file."""

_MAX_LEVELS = 64
_MAX_PENDING = 200_000


Counted = tuple[
    Optional[int],  # the hash of the id of the span above
    bool,  # whether it says that it is one call; an agent's, say, repeats those below it
    int,  # tokens in
    int,  # tokens out
    tuple[Sums, ...],  # what it was added to
    Optional[float],  # what it cost
    bool,  # whether it failed
    Optional[tuple[Any, ...]],  # what only some have, as whoever counted it needs it
]
"""A span of another instrumentation that was counted, and what taking that back needs.

A plain tuple, without texts and anything of the record itself: what is kept of every span would
else drive the rest out of the processor's cache.
"""


class Below:
    """Which calls are below which spans.

    Children come before their parents, as they end first; where one comes later, because it waited
    for its evaluation say, what was counted above it is taken back if it came not long before.

    Spans are known by the hashes of their ids.

    Attributes:
        sums: By the span above: tokens in, tokens out, and whether all are Peekr's own.
        recent: Each of the spans that came last: how it was counted, or only what is above it.
            Whoever reads adds to it, for that happens with every span.
        older: Those before them.
    """

    def __init__(self) -> None:
        self.sums: dict[int, tuple[int, int, bool]] = {}
        self.recent: dict[int, Union[Counted, int, None]] = {}
        self.older: dict[int, Union[Counted, int, None]] = {}
        # Of what was counted, what came below it afterwards; None once it was taken back.
        self._late: dict[int, Optional[tuple[int, int]]] = {}

    def forget(self) -> None:
        """Let go of what came long ago; called now and then."""
        if len(self.recent) >= _MAX_RECENT:
            self.older, self.recent = self.recent, {}
            late = self._late
            self._late = {key: late[key] for key in late if key in self.older}
        if len(self.sums) > _MAX_PENDING:
            # The spans above are in another file: they would have come.
            for key in list(islice(self.sums, _MAX_PENDING // 2)):
                del self.sums[key]

    def passes(self, span: int, parent: Optional[int]) -> None:
        """Take a span that is no call: what is below it is below what is above it."""
        below = self.sums.pop(span, None)
        if below is not None:
            self._add(parent, *below)

    def own_call(self, span: int, parent: Optional[int], tokens: int, output: int) -> bool:
        """Take a call of Peekr's own; whether it counts."""
        below = self.sums.pop(span, None)
        if below is None:
            self._add(parent, tokens, output, True)
            return True
        if below[2] or tokens > below[0] or output > below[1]:
            # What a tool of the call has called.
            self._add(parent, tokens + below[0], output + below[1], below[2])
            return True
        self._add(parent, *below)
        return False

    def counts(
        self, span: int, parent: Optional[int], is_call: bool, tokens: int, output: int
    ) -> bool:
        """Take another span with tokens; False where calls below it say what it says."""
        sums = self.sums
        is_counted, is_own = True, False
        if span in sums:
            below, output_below, is_own_below = sums.pop(span)
            if not is_call or (below >= tokens and output_below >= output):
                is_counted, is_own = False, is_own_below
                tokens = output = 0
            tokens += below
            output += output_below
        # -- as _add does, for most spans come here
        if parent is not None:
            before = sums.get(parent)
            if before is not None:
                tokens += before[0]
                output += before[1]
                is_own = is_own and before[2]
            sums[parent] = (tokens, output, is_own)
        return is_counted

    def repeated_above(
        self, parent: Optional[int], tokens: int, output: int
    ) -> list[tuple[int, Counted]]:
        """What was counted above a call that comes now, and does not count any more."""
        found: list[tuple[int, Counted]] = []
        for _ in range(_MAX_LEVELS):
            if parent is None:
                break
            known = self.recent.get(parent) or self.older.get(parent)
            if not isinstance(known, tuple):
                parent = known
                continue
            above, is_call, counted, counted_output = known[:4]
            before = self._late.get(parent, (0, 0))
            if before is not None:
                below, output_below = before[0] + tokens, before[1] + output
                is_repeated = not is_call or (below >= counted and output_below >= counted_output)
                self._late[parent] = None if is_repeated else (below, output_below)
                if is_repeated:
                    found.append((parent, known))
            parent = above
        return found

    def _add(self, parent: Optional[int], tokens: int, output: int, is_own: bool) -> None:
        if parent is not None:
            before = self.sums.get(parent)
            if before is not None:
                tokens, output = tokens + before[0], output + before[1]
                is_own = is_own and before[2]
            self.sums[parent] = (tokens, output, is_own)
