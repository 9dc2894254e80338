"""A model call that guardrails look at: before it is sent, and before its answer is handed over.

The verdict is put on the span and the span is ended and stored; then the error is raised.
"""

from __future__ import annotations

import copy
from collections.abc import Sequence
from typing import Any, Optional, cast

from peekr.errors import GuardrailError
from peekr.instrumentation import iterators
from peekr.instrumentation.call import Call
from peekr.instrumentation.contract import Accumulator, Fault, Response
from peekr.instrumentation.gate import Gate, Judgement
from peekr.instrumentation.holding import Hold, Sighting
from peekr.instrumentation.runtime import Hook, Runtime

__all__ = ["GuardedCall"]

_NO_TEXTS = frozenset(("embeddings",))


class GuardedCall(Call):
    """One model call with guardrails; see `Call`.

    Each of its ends but `abandon` raises a `GuardrailError` when the answer must not be handed
    over; its span has been stored then.

    Attributes:
        gate: The guardrails.
    """

    __slots__ = ("_at_end", "_judgement", "_raises", "_result", "gate", "holds", "waits")

    def __init__(
        self,
        runtime: Runtime,
        hook: Hook,
        instance: Any,
        args: tuple[Any, ...],
        kwargs: dict[str, Any],
    ) -> None:
        """Begin; see `Call`."""
        super().__init__(runtime, hook, instance, args, kwargs)
        self.gate = cast("Gate", runtime.gate)
        self.holds = self.gate.holds
        self.waits = self.gate.scores is not None
        # Also when nobody records it.
        self.reading = True
        self._judgement = Judgement()
        self._raises: Optional[GuardrailError] = None
        self._result: Any = None
        self._at_end = False

    # -- what is asked -----------------------------------------------------------------------------

    def check_input(self) -> None:
        """Look at what the call asks, on the caller's thread.

        Raises:
            GuardrailError: it must not be sent.
        """
        judgement, request = self._judgement, self.request
        if self._late is not None:
            request = self._take_iterators()
        if request.input is None and request.system is None:
            self.gate.fail("input", "the request", judgement)
        changed = self.gate.look_at_request(request, judgement)
        if changed:
            request = copy.copy(request)
            for name, value in changed.items():
                setattr(request, name, value)
        if changed or request is not self.request:
            self.request = request
            self._read_request(request)
        if judgement.blocked is not None:
            raise self.gate.error(judgement.blocked, self._viewed())

    def _take_iterators(self) -> Any:
        """Read what can be read but once, so that it is looked at before it is sent."""
        read = dict(self._late or {})
        for key, value in self.kwargs.items():
            if iterators.is_keeping(value):
                self.kwargs[key] = read[key] = list(value)
        self._late = None
        if self.hook.body is not None:
            self.gate.fail("input", "an iterator", self._judgement)
        return self.extractor.request(self.instance, (), read)

    # -- what comes back ---------------------------------------------------------------------------

    def hold(self, accumulator: Accumulator) -> Hold:
        """What holds the chunks of the answer back."""
        return self.gate.hold(accumulator, self._judgement)

    def unseen(self, what: str) -> None:
        """Note that something of the answer goes to the caller without having been looked at.

        Raises:
            GuardrailError: a guardrail is to block then.
        """
        self.gate.fail("output", what, self._judgement)
        if self._judgement.blocked is not None:
            raise self.gate.error(self._judgement.blocked, self._viewed())

    def object_to(self, found: Sequence[Sighting]) -> None:
        """Note what was found in the window."""
        self.gate.object_to(found, self._judgement)

    def succeed(self, result: Any) -> None:
        """End with a plain answer."""
        self._result = result
        super().succeed(result)
        self._result = None
        self._raise()

    def fail(self, error: BaseException, accumulator: Optional[Accumulator] = None) -> None:
        """End with an exception, and with what had arrived before it."""
        super().fail(error, accumulator)
        if isinstance(error, Exception):
            self._raise()

    def finish(self, accumulator: Accumulator) -> None:
        """End a stream that came to its end, or that must not go on."""
        # What was found in the window has ended it before its end.
        self._at_end = self._judgement.blocked is None
        super().finish(accumulator)
        self._raise()

    def abandon(self, accumulator: Accumulator) -> None:
        """End a stream that the caller left; nothing is raised."""
        if getattr(accumulator, "is_blind", False) and not self.ended:
            self.gate.fail("output", "the answer", self._judgement)
        super().abandon(accumulator)
        self._raises = None

    def _end(
        self,
        response: Optional[Response],
        *,
        fault: Optional[Fault] = None,
        error: Optional[BaseException] = None,
    ) -> None:
        judgement, desk = self._judgement, self.gate.scores
        if response is not None:
            self._look(response)
        if fault is not None and self._quotes(fault, error):
            self.gate.look_at_text(fault.message, judgement)
        if judgement.blocked is not None and not isinstance(error, GuardrailError):
            error = self._raises = self.gate.error(judgement.blocked, self._viewed())
            fault = Fault(type(error).__qualname__, str(error))
        elif judgement.observed is not None and fault is None:
            fault = Fault("GuardrailViolation", judgement.observed.message)
        self._content.update(judgement.attributes())
        span_id = self._span.get_span_context().span_id
        if desk is not None:
            desk.expect(span_id)
        try:
            super()._end(response, fault=fault, error=error)
        finally:
            verdict = None if desk is None else desk.collect(span_id)
            if verdict is not None and error is None:
                self._raises = self.gate.error(verdict, self._viewed())

    def _end_bare(self, doing: str, error: Optional[BaseException] = None) -> None:
        judgement = self._judgement
        # What could not be read has not been looked at.
        self.gate.fail("output", "the answer", judgement)
        if judgement.blocked is not None and self._raises is None:
            error = self._raises = self.gate.error(judgement.blocked, self._viewed())
        if self._span.is_recording():
            self._span.set_attributes(judgement.attributes())
        super()._end_bare(doing, error)

    def _look(self, response: Response) -> None:
        judgement = self._judgement
        if response.output:
            response.output = self.gate.look_at_answer(
                response.output,
                judgement,
                is_streamed=self.request.stream and not self.holds,
                is_whole=response.complete or self._at_end,
            )
            return
        text = _text_of(self._result)
        if text:
            # In a form that nobody knows here.
            self.gate.look_at_text(text, judgement)
            return
        has_come = response.complete and response.fault is None
        if response.output is None and has_come and not self._has_no_texts():
            self.gate.fail("output", "the answer", judgement)

    def _quotes(self, fault: Fault, error: Optional[BaseException]) -> bool:
        """Whether the answer may be in the words of an error: an SDK quotes what it cannot read."""
        return (
            isinstance(error, Exception)
            and not isinstance(error, GuardrailError)
            and fault.status_code is None
            and self.gate.has_output
        )

    def _has_no_texts(self) -> bool:
        return (self.request.operation or self.hook.operation) in _NO_TEXTS

    def _viewed(self) -> Any:
        return self._span if self.recording else None

    def _raise(self) -> None:
        error, self._raises = self._raises, None
        if error is not None:
            raise error from None


def _text_of(result: Any) -> str:
    """The text of a body that no extractor knows."""
    if isinstance(result, dict):
        result = cast("dict[str, Any]", result).get("body")
    if isinstance(result, (bytes, bytearray)):
        return bytes(result).decode("utf-8", "replace")
    return result if isinstance(result, str) else ""
