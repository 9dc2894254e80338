"""An application's model calls answered from what was recorded of them, without a network."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterable
from contextlib import closing
from types import TracebackType
from typing import TYPE_CHECKING, Any, Optional, Union, cast

from peekr import bootstrap
from peekr.errors import ReplayError, ReplayMismatchError, UnreadableFileError
from peekr.instrumentation.sdks import add_admission, remove_admission
from peekr.record import SpanRecord
from peekr.replaying import transport
from peekr.replaying.answers import Answer, answer_of, is_model_call, refusal
from peekr.replaying.matching import Asked, Normalize, asked_by, recorded_in, what_differs
from peekr.semconv import otel, own

if TYPE_CHECKING:
    from peekr.instrumentation.call import Call

__all__ = ["Offline", "offline"]

_EMBEDDINGS = "embeddings"


class _Recorded:
    """A recorded call, and how often it was told again."""

    __slots__ = ("answer", "asked", "is_served", "record")

    def __init__(self, record: SpanRecord, asked: Asked, answer: Optional[Answer]) -> None:
        self.record = record
        self.asked = asked
        self.answer = answer
        self.is_served = False


class Offline:
    """Serves recorded answers to the application's model calls, while it is entered.

    A call is answered by the first recorded call, not served yet, that asked the same of the same
    model: the same messages and instructions; where several did, by one with the same tools and
    parameters. So calls that run at once may come in any order. The SDK gets the answer in the
    provider's words below its own parsing: its results, streams and exceptions are real, and the
    network is never asked. Each recorded call is served once.

    A call that none of the recorded ones is fails with a ReplayMismatchError that tells what is
    nearest. Threads and tasks may call at once.

    Attributes:
        served: How many calls were answered.
        unmatched: One line about each call that could not be.
        loose: One line about each that was, although its tools or parameters differ.
    """

    def __init__(
        self, spans: Iterable[SpanRecord], *, normalize: Optional[Normalize] = None
    ) -> None:
        """Read what is to be served.

        Args:
            spans: The spans of a trace, or of several; others than model calls are passed over.
            normalize: Makes of a call's messages, in the record's form, what is compared. For
                prompts with a date or a random id in them: return them without it.

        Raises:
            ReplayError: there is no model call, or one whose content was not captured, cut or
                redacted; the message names it.
        """
        self.served = 0
        self.unmatched: list[str] = []
        self.loose: list[str] = []
        self._normalize = normalize
        self._lock = threading.Lock()
        self._recorded: list[_Recorded] = []
        self._installed = False
        for record in sorted(spans, key=lambda span: span.start_time):
            if not is_model_call(record):
                continue
            answer = None
            if record.attributes.get(otel.GEN_AI_OPERATION_NAME) != _EMBEDDINGS:
                answer = answer_of(record)
            asked = recorded_in(record, normalize)
            self._recorded.append(_Recorded(record, asked, answer))
        if not self._recorded:
            raise ReplayError("there is no model call to replay")

    @property
    def unused(self) -> list[SpanRecord]:
        """The recorded calls that were not asked for, embeddings left out."""
        return [held.record for held in self._recorded if not held.is_served and held.answer]

    def assert_all_served(self) -> None:
        """Check that every recorded call was asked for, and no other.

        Raises:
            AssertionError: the message has a line for each that was not.
        """
        __tracebackhide__ = True
        told = [f"not recorded: {line}" for line in self.unmatched]
        told += [
            f"not asked for: {record.name} [{record.attributes.get('model')}], span "
            f"{record.span_id}"
            for record in self.unused
        ]
        if told:
            raise AssertionError("the run is not the recorded one\n" + "\n".join(told))

    def __enter__(self) -> Offline:
        if bootstrap.active_settings() is None:
            bootstrap.instrument(console=False, storage=None)
            self._installed = True
        transport.put_on()
        add_admission(self._admit)
        return self

    def __exit__(
        self,
        kind: Optional[type[BaseException]],
        error: Optional[BaseException],
        traceback: Optional[TracebackType],
    ) -> None:
        remove_admission(self._admit)
        transport.take_off()
        if self._installed:
            self._installed = False
            bootstrap.uninstrument()

    def _admit(self, call: Call) -> None:
        asked = asked_by(call.hook.record, call.request, self._normalize)
        with self._lock:
            held = self._take(asked)
        if held is None:
            message = self._mismatch(asked)
            self.unmatched.append(message)
            raise ReplayMismatchError(message)
        if held.answer is None:
            message = f"{held.record.name} cannot be replayed: {refusal(held.record)}"
            self.unmatched.append(message)
            raise ReplayError(message)
        if held.asked.keys[1] != asked.keys[1]:
            differs = what_differs(held.asked, asked)
            self.loose.append(f"{asked.method} [{asked.model}]: {differs}")
        call.note(own.PEEKR_REPLAY_OF, f"{held.record.trace_id}/{held.record.span_id}")
        transport.attach(held.answer)

    def _take(self, asked: Asked) -> Optional[_Recorded]:
        for place in (1, 0):
            for held in self._recorded:
                if not held.is_served and held.asked.keys[place] == asked.keys[place]:
                    held.is_served = held.answer is not None
                    self.served += held.is_served
                    return held
        return None

    def _mismatch(self, asked: Asked) -> str:
        name = f"{asked.method} [{asked.model}]"
        of_method = [held for held in self._recorded if held.asked.method == asked.method]
        if not of_method:
            others = sorted({held.asked.method for held in self._recorded})
            return f"no recorded call is this {name}: what is recorded is {', '.join(others)}"
        if any(held.asked.keys[0] == asked.keys[0] for held in of_method):
            return f"every recorded call that is this {name} was served already"
        left = [held for held in of_method if not held.is_served]
        if not left:
            return f"no recorded call is this {name}: all {len(of_method)} were served already"
        nearest = max(left, key=lambda held: _nearness(held.asked, asked))
        differs = what_differs(nearest.asked, asked)
        return (
            f"no recorded call is this {name}; the nearest, span {nearest.record.span_id}, "
            f"differs in {differs}"
        )


def offline(
    path: Union[str, os.PathLike[str]],
    trace_id: Optional[str] = None,
    *,
    normalize: Optional[Normalize] = None,
) -> Offline:
    """Serve the model calls of a file; see `Offline`.

    ```python
    with peekr.replaying.offline("traces.jsonl", "4bf92f35"):
        answer = run_agent("What is the weather?")
    ```

    Args:
        path: A file of Peekr's, JSONL or SQLite, or of OTLP JSON.
        trace_id: A trace's id, or the beginning of one; None for all that the file has.
        normalize: See `Offline`.

    Raises:
        UnreadableFileError: the file cannot be read, or has no such trace.
        ReplayError: what was recorded cannot be replayed; the message says why.
    """
    from peekr.store.opening import open_reader
    from peekr.store.query import Query

    with closing(open_reader(os.fspath(path))) as reader:
        traces = list(reader.select(Query(trace=trace_id)).traces)
    traces = [trace for trace in traces if trace.trace_id == trace_id] or traces
    if not traces:
        raise UnreadableFileError(f"{os.fspath(path)}: no trace with the id {trace_id}")
    if trace_id is not None and len(traces) > 1:
        raise ReplayError(f"{trace_id} fits {len(traces)} traces: give more of the id")
    spans: list[Any] = [span for trace in traces for span in trace.spans]
    return Offline(spans, normalize=normalize)


def _nearness(recorded: Asked, asked: Asked) -> tuple[bool, int]:
    """How near a recorded call is: the same model, then how many messages are the same."""
    same = 0
    before, after = recorded.messages, asked.messages
    if isinstance(before, list) and isinstance(after, list):
        for one, other in zip(cast("list[Any]", before), cast("list[Any]", after)):
            if one != other:
                break
            same += 1
    return recorded.model == asked.model, same
