"""The form of the facts of one exchange."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Optional, Tuple


@dataclass(frozen=True)
class CalledTool:
    """A tool call in the answer; `arguments` is parsed, or the text where it is no JSON.

    `choice` is the index of the choice (candidate, generation) that it belongs to.
    """

    name: str
    arguments: Any
    id: Optional[str] = None
    choice: int = 0


@dataclass(frozen=True)
class Facts:
    """The facts of one exchange.

    Attributes:
        streamed: the answer came as a stream.
        input_tokens: the whole input, tokens from and for the cache included.
        output_tokens: the whole output, reasoning included.
        cached_tokens: input tokens read from the cache.
        cache_write_tokens: input tokens written to the cache.
        finish_reasons: as the provider names them, one a choice that names one.
        output_texts: the text of each choice that has text.
        reasoning_texts: the reasoning that the answer shows, one a choice that shows some.
        error_status: the HTTP status of a refusal.
        error_type: the most specific name that the refusal gives to its kind.
        last_user_text: the text of the last user message that has text; an embedding's input.
        embedding_count: how many vectors came back.
        embedding_dimensions: how long they are.
    """

    streamed: bool = False
    request_model: Optional[str] = None
    response_model: Optional[str] = None
    response_id: Optional[str] = None
    input_tokens: Optional[int] = None
    output_tokens: Optional[int] = None
    cached_tokens: Optional[int] = None
    cache_write_tokens: Optional[int] = None
    reasoning_tokens: Optional[int] = None
    finish_reasons: Optional[Tuple[str, ...]] = None
    output_texts: Tuple[str, ...] = ()
    reasoning_texts: Tuple[str, ...] = ()
    tool_calls: Tuple[CalledTool, ...] = ()
    error_status: Optional[int] = None
    error_type: Optional[str] = None
    error_message: Optional[str] = None
    last_user_text: Optional[str] = None
    embedding_count: Optional[int] = None
    embedding_dimensions: Optional[int] = None

    @property
    def output_text(self) -> Optional[str]:
        """The first choice's text."""
        return self.output_texts[0] if self.output_texts else None
