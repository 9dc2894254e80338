"""What was retrieved for a model call: recorded by the application, carried by the call's span.

chunks = index.search(question)
peekr.record_evidence(chunks)
client.chat.completions.create(…)      # its record has `evidence`, evaluators judge by it
"""

from __future__ import annotations

import contextvars
import os
import threading
from collections import OrderedDict
from types import TracebackType
from typing import Any, NamedTuple, Optional

from opentelemetry import trace as otel_trace
from opentelemetry.context import Context
from opentelemetry.sdk.trace import Span

from peekr import starting, tracing
from peekr.eval.content import Passage, passages
from peekr.messages import dump
from peekr.semconv import otel, own

__all__ = ["clear_evidence", "evidence", "record_evidence"]

_MAX_TRACES = 1_000
"""Of how many traces evidence is kept, for calls elsewhere in them."""

_MAX_PASSAGES = 1_000
"""How many passages are kept of one trace or block."""

_OPERATIONS = ("chat", "text_completion", "generate_content", "invoke_agent")


class _Held:
    """Passages of one trace, one block, or what is outside of both. Lists are replaced, not grown.

    Attributes:
        passages: In the order in which they came.
        is_used: A model call has carried them.
    """

    __slots__ = ("is_used", "passages")

    def __init__(self) -> None:
        self.passages: tuple[Passage, ...] = ()
        self.is_used = False

    def add(self, found: list[Passage], *, anew: bool) -> None:
        held = () if anew else self.passages
        present = {(passage.id, passage.text) for passage in held}
        texts = {passage.text for passage in held}
        taken = {passage.id for passage in held}
        for passage in found:
            if (passage.id, passage.text) in present:
                continue
            if passage.id in taken and passage.id.isdecimal():
                if passage.text in texts:
                    continue
                # A number that a second retrieval has given out again.
                passage = passage._replace(id=str(len(held) + 1))
            taken.add(passage.id)
            texts.add(passage.text)
            held = (*held, passage)
        self.passages = held[-_MAX_PASSAGES:]
        self.is_used = False


class _Local(NamedTuple):
    """What the current context holds.

    Attributes:
        trace_id: The trace in which it was recorded; 0 outside of any, -1 for a block.
        held: The passages.
    """

    trace_id: int
    held: _Held


_local: contextvars.ContextVar[Optional[_Local]] = contextvars.ContextVar(
    "peekr-evidence", default=None
)
# For calls that what was recorded does not reach through their context: in another task or thread.
_by_trace: OrderedDict[int, _Held] = OrderedDict()
_lock = threading.RLock()


def record_evidence(chunks: Any) -> None:
    """Say what was retrieved, before the model is asked about it.

    The model calls that follow carry it in their records as `evidence`, and `Hallucination` and
    `CitationAccuracy` judge by it. It belongs to the current `evidence()` block, else to the
    current trace, to which several retrievals add up. Outside of any span it belongs to the calls
    up to the next retrieval. Nothing is kept under `capture_content=False`.

    Safe in tasks and threads: what one of them records is seen by its own calls, and by calls of
    the same trace that have recorded nothing themselves.

    Args:
        chunks: Texts, mappings or documents (LangChain's, LlamaIndex', any object with `text`,
            `content` or `page_content`), one or a list; their `id` and `source` are kept too.
    """
    found = passages(chunks)
    if not found:
        return
    starting.add(_stamp)
    local = _local.get()
    if local is not None and local.trace_id == _BLOCK:
        with _lock:
            local.held.add(found, anew=False)
        return
    trace_id = otel_trace.get_current_span().get_span_context().trace_id
    if local is None or local.trace_id != trace_id:
        local = _Local(trace_id, _Held())
    else:
        # A copy: another task may have inherited this one.
        copy = _Held()
        copy.passages, copy.is_used = local.held.passages, local.held.is_used
        local = _Local(trace_id, copy)
    local.held.add(found, anew=trace_id == 0 and local.held.is_used)
    _local.set(local)
    if trace_id:
        with _lock:
            held = _by_trace.get(trace_id)
            if held is None:
                held = _by_trace[trace_id] = _Held()
                while len(_by_trace) > _MAX_TRACES:
                    _by_trace.popitem(last=False)
            held.add(found, anew=False)


def clear_evidence() -> None:
    """Forget what was recorded for this block, or this trace, or outside of both."""
    local = _local.get()
    if local is not None and local.trace_id == _BLOCK:
        local.held.passages = ()
        return
    trace_id = otel_trace.get_current_span().get_span_context().trace_id
    with _lock:
        _by_trace.pop(trace_id, None)
    _local.set(None)


_BLOCK = -1


class evidence:
    """A block, sync or async, whose model calls have evidence of their own.

    What is recorded inside belongs to the block, whichever task or thread of it records it, and is
    forgotten at its end; what was recorded outside does not count inside.
    """

    def __init__(self, chunks: Any = None) -> None:
        """Begin with what was retrieved, if anything.

        Args:
            chunks: As for `record_evidence`.
        """
        self._found = passages(chunks)
        self._tokens: list[contextvars.Token[Optional[_Local]]] = []

    def __enter__(self) -> None:
        starting.add(_stamp)
        held = _Held()
        held.add(self._found, anew=True)
        self._tokens.append(_local.set(_Local(_BLOCK, held)))

    def __exit__(
        self,
        kind: Optional[type[BaseException]],
        error: Optional[BaseException],
        trace: Optional[TracebackType],
    ) -> None:
        token = self._tokens.pop()
        try:
            _local.reset(token)
        except ValueError:
            _local.set(None)  # left in another context than entered, as generators may be

    async def __aenter__(self) -> None:
        self.__enter__()

    async def __aexit__(
        self,
        kind: Optional[type[BaseException]],
        error: Optional[BaseException],
        trace: Optional[TracebackType],
    ) -> None:
        self.__exit__(kind, error, trace)


def _stamp(span: Span, parent_context: Optional[Context]) -> None:
    """Put what was retrieved on a model call's span that starts; others are left alone."""
    attributes: Any = span.attributes or {}
    if attributes.get(otel.GEN_AI_OPERATION_NAME) not in _OPERATIONS:
        return
    if attributes.get(own.PEEKR_INTERNAL):
        return
    held = _held_for(span)
    if held is None or not held.passages:
        return
    held.is_used = True
    settings = tracing.current()
    if settings.capture_content:
        made = [
            {"id": p.id, "text": p.text, **({"source": p.source} if p.source else {})}
            for p in held.passages
        ]
        span.set_attribute(own.PEEKR_EVIDENCE, dump(made, settings.max_chars))


def _held_for(span: Span) -> Optional[_Held]:
    local = _local.get()
    if local is not None and local.trace_id == _BLOCK:
        return local.held
    trace_id = span.get_span_context().trace_id if span.parent is not None else 0
    if local is not None and local.trace_id == trace_id:
        return local.held
    return _by_trace.get(trace_id)


def _after_fork_in_child() -> None:
    global _lock
    _lock = threading.RLock()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork_in_child)
