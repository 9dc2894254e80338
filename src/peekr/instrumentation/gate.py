"""What guardrails say to a model call: what it may not ask, and what it may not answer."""

from __future__ import annotations

import logging
import traceback
from collections.abc import Iterable, Sequence
from typing import Any, Callable, Optional, Protocol

from peekr.encoding import dumps
from peekr.errors import GuardrailError
from peekr.guard.base import Finding, cut_out, findings_of, merged
from peekr.guard.texts import has_media, replaced, replaced_in_messages, said
from peekr.guard.verdict import Verdict
from peekr.instrumentation.holding import Hold, Look, Sighting
from peekr.semconv import own

__all__ = ["Gate", "Judgement", "ScoreDesk", "check_input"]

_logger = logging.getLogger("peekr.guard")

Entry = dict[str, Any]


def check_input(call: Any) -> None:
    """Look at what a guarded call asks; an admission.

    Raises:
        GuardrailError: it must not be sent.
    """
    call.check_input()


class ScoreDesk(Protocol):
    """Where guardrails that go by scores give their verdicts, once a span has been evaluated."""

    def expect(self, span_id: int) -> None:
        """Ask for the verdict on a span that is about to end."""
        ...

    def collect(self, span_id: int) -> Optional[Verdict]:
        """The verdict on a span that has ended; None where it may pass."""
        ...


class Judgement:
    """What the guardrails found in one call, as it is recorded.

    Attributes:
        blocked: What stops the call, the first that does; None where nothing does.
        observed: What would have, but was handed on already, for it was only to be observed.
    """

    def __init__(self) -> None:
        self.blocked: Optional[Verdict] = None
        self.observed: Optional[Verdict] = None
        self._lists: dict[str, list[Entry]] = {}

    def note(self, attribute: str, entry: Entry) -> None:
        """Put an entry into one of the lists on the span, once."""
        entries = self._lists.setdefault(attribute, [])
        if entry not in entries:
            entries.append(entry)

    def block(self, guardrail: str, field: str, rules: Sequence[str]) -> None:
        """Say that the call must not go on."""
        if self.blocked is None:
            self.blocked = Verdict(guardrail, field, tuple(dict.fromkeys(rules)))

    def unseen(self, field: str, what: str) -> None:
        """Say that something was not looked at."""
        self.note(own.PEEKR_GUARDRAIL_UNCHECKED, {"field": field, "what": what})

    def attributes(self) -> dict[str, str]:
        """The lists as attributes of the span."""
        return {name: dumps(entries).decode() for name, entries in self._lists.items()}


class Gate:
    """The guardrails that look at calls before they are sent and before they are answered.

    Attributes:
        has_input: Some look at what is asked.
        has_output: Some look at what is answered.
        scores: Gives the verdicts that need an evaluator's score; None where none do.
        view: Makes of a span what a `GuardrailError` carries.
    """

    def __init__(
        self,
        guardrails: Iterable[Any],
        *,
        scores: Optional[ScoreDesk] = None,
        view: Optional[Callable[[Any], Any]] = None,
    ) -> None:
        """Put guardrails at the gate.

        Args:
            guardrails: Those that raise or warn, in their order.
            scores: See above. With it, answers are withheld until there is a score.
            view: See above.
        """
        at_gate = list(guardrails)
        self._guards = {
            field: tuple(guard for guard in at_gate if field in guard.fields)
            for field in ("input", "output")
        }
        self.has_input, self.has_output = map(bool, self._guards.values())
        self.scores = scores
        self.view = view
        blocking = [g for g in self._guards["output"] if _blocks(g) and _stream(g) != "observe"]
        self._windowed: Optional[tuple[Any, ...]] = None
        if blocking and scores is None and all(_stream(guard) == "window" for guard in blocking):
            self._windowed = tuple(blocking)
        self.holds = bool(blocking) or scores is not None
        self._window_chars = max((guard.window_chars for guard in self._windowed or ()), default=0)
        self._said: set[tuple[str, str]] = set()

    def hold(self, accumulator: Any, judgement: Judgement) -> Hold:
        """Hold a stream's chunks back as the guardrails ask for; see `holds`."""
        if self._windowed is None:
            return Hold(accumulator)
        return Hold(accumulator, self._look(self._windowed, judgement), self._window_chars)

    def _look(self, guards: tuple[Any, ...], judgement: Judgement) -> Look:
        def look(piece: str) -> list[Sighting]:
            return [
                Sighting(guard, finding, piece)
                for guard in guards
                for finding in self._found(guard, piece, "output", judgement)
            ]

        return look

    def object_to(self, found: Sequence[Sighting], judgement: Judgement) -> None:
        """Note what was found in a stream's window."""
        for guard, finding, text in found:
            self._note(guard, [finding], text, "output", judgement, is_late=False)

    # -- whole requests and answers ----------------------------------------------------------------

    def look_at_request(self, request: Any, judgement: Judgement) -> dict[str, Any]:
        """Look at what a call asks.

        Args:
            request: The request; it is not changed.
            judgement: Takes what is found.

        Returns:
            The fields of the request in which something is to be left out of the record, without
            it.
        """
        guards = self._guards["input"]

        def visit(text: str, key: str) -> str:
            return self._look_at(guards, text, "input", judgement, False, key)

        changed: dict[str, Any] = {}
        for name in ("input", "system"):
            held = getattr(request, name)
            made = replaced_in_messages(held, visit)
            if made is not held:
                changed[name] = made
            if has_media(held):
                judgement.unseen("input", "media")
        for name in ("tools", "content_parameters"):
            held = getattr(request, name)
            made = replaced(held, visit)
            if made is not held:
                changed[name] = made
        self._look_at_all(guards, [*said(request.system), *said(request.input)], "input", judgement)
        return changed

    def look_at_answer(
        self, output: Any, judgement: Judgement, *, is_streamed: bool = False, is_whole: bool = True
    ) -> Any:
        """Look at what a call answers, as far as it has come.

        Args:
            output: The messages; they are not changed.
            judgement: Takes what is found.
            is_streamed: Chunks that were only observed have been handed on already.
            is_whole: It has come to its end.

        Returns:
            The messages without what is to be left out of the record.
        """
        guards = self._guards["output"]

        def visit(text: str, key: str) -> str:
            return self._look_at(guards, text, "output", judgement, is_streamed, key)

        made = replaced_in_messages(output, visit)
        if is_whole:
            for answer in output:
                self._look_at_all(guards, said([answer]), "output", judgement, is_streamed)
        if has_media(output):
            judgement.unseen("output", "media")
        return made

    def look_at_text(self, text: str, judgement: Judgement) -> str:
        """Look at an answer of which nothing is known but its text; gives it as it is recorded."""
        guards = self._guards["output"]
        self._look_at_all(guards, [text], "output", judgement)
        return self._look_at(guards, text, "output", judgement, False)

    def fail(self, field: str, what: str, judgement: Judgement) -> None:
        """Say that a field could not be read: those block that are to block when they fail."""
        judgement.unseen(field, what)
        for guard in self._guards[field]:
            if getattr(guard, "fail_closed", False) and _blocks(guard):
                self._violate(guard, field, "unreadable", judgement)

    def error(self, verdict: Verdict, span: Any) -> GuardrailError:
        """What is raised for a verdict on a call.

        Args:
            verdict: The verdict.
            span: The call's span; None where it is not recorded.
        """
        if verdict.span is not None:
            span = verdict.span
        if span is not None and self.view is not None:
            span = self.view(span)
        return GuardrailError(verdict.message, verdict.guardrail, span)

    # -- one text ----------------------------------------------------------------------------------

    def _look_at(
        self,
        guards: Sequence[Any],
        text: str,
        field: str,
        judgement: Judgement,
        is_late: bool,
        key: str = "",
    ) -> str:
        """Look at one text; gives it as it is recorded."""
        if not text:
            return text
        cuts: list[Finding] = []
        for guard in guards:
            found = self._found(guard, text, field, judgement)
            if key and not found and getattr(guard, "wants_names", False):
                found = self._found_after(guard, key, text, field, judgement)
            if found:
                self._note(guard, found, text, field, judgement, is_late=is_late)
                if _blocks(guard) and not getattr(guard, "keeps_record", False):
                    cuts += [Finding(guard.mark_of(f), f.start, f.end) for f in found]
        return cut_out(text, merged(cuts), _mark) if cuts else text

    def _found_after(
        self, guard: Any, key: str, text: str, field: str, judgement: Judgement
    ) -> list[Finding]:
        """What is found in a text of which its name tells what it is: `password`."""
        start = len(key) + 2
        return [
            Finding(found.rule, max(0, found.start - start), found.end - start)
            for found in self._found(guard, f"{key}: {text}", field, judgement)
            if found.end > start
        ]

    def _look_at_all(
        self,
        guards: Sequence[Any],
        texts: Sequence[str],
        field: str,
        judgement: Judgement,
        is_late: bool = False,
    ) -> None:
        """Have the guardrails that want that look at all that is said together."""
        for guard in guards:
            if hasattr(guard, "check_all"):
                try:
                    found = list(guard.check_all(texts, field))
                except Exception as error:
                    self._failed(guard, error, field, judgement)
                    continue
                if found:
                    self._note(guard, found, "", field, judgement, is_late=is_late)

    def _found(self, guard: Any, text: str, field: str, judgement: Judgement) -> list[Finding]:
        try:
            return findings_of(guard, text, field)
        except Exception as error:
            self._failed(guard, error, field, judgement)
            return []

    def _note(
        self,
        guard: Any,
        found: Sequence[Finding],
        text: str,
        field: str,
        judgement: Judgement,
        *,
        is_late: bool,
    ) -> None:
        blocks = _blocks(guard)
        is_late = is_late and blocks and _stream(guard) == "observe"
        rules: list[str] = []
        for finding in found:
            rules.append(finding.rule)
            described = getattr(guard, "described", None)
            if described is not None:
                attribute, entry = described(finding, text, field)
            else:
                attribute = (
                    own.PEEKR_GUARDRAIL_VIOLATIONS if blocks else own.PEEKR_GUARDRAIL_WARNINGS
                )
                entry = {"guard": guard.name, "field": field, "rule": finding.rule}
            judgement.note(attribute, {**entry, "released": True} if is_late else entry)
        if is_late:
            judgement.observed = Verdict(guard.name, field, tuple(rules))
        elif blocks and rules:
            judgement.block(guard.name, field, rules)

    def _violate(self, guard: Any, field: str, rule: str, judgement: Judgement) -> None:
        judgement.note(
            own.PEEKR_GUARDRAIL_VIOLATIONS, {"guard": guard.name, "field": field, "rule": rule}
        )
        judgement.block(guard.name, field, (rule,))

    def _failed(self, guard: Any, error: Exception, field: str, judgement: Judgement) -> None:
        kind = type(error).__name__
        judgement.note(
            own.PEEKR_GUARDRAIL_ERRORS, {"guard": guard.name, "field": field, "error": kind}
        )
        closed = bool(getattr(guard, "fail_closed", False)) and _blocks(guard)
        if closed:
            self._violate(guard, field, f"failed ({kind})", judgement)
        if (guard.name, kind) not in self._said:
            self._said.add((guard.name, kind))
            # Without its message, which may quote what it was looking at.
            frames = traceback.extract_tb(error.__traceback__)
            where = f" at {frames[-1].filename}:{frames[-1].lineno}" if frames else ""
            _logger.warning(
                "The guardrail %s raised %s%s; %s. This is said once.",
                guard.name,
                kind,
                where,
                "the call is stopped" if closed else "the call goes on, unchecked by it",
            )


def _blocks(guard: Any) -> bool:
    return guard.action == "raise"


def _stream(guard: Any) -> str:
    return getattr(guard, "stream", "buffer")


def _mark(cut: Finding) -> str:
    return cut.rule
