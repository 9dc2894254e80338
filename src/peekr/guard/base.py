"""What every guardrail is: a name, the fields it looks at, and what it finds in a text."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple, Union, cast

from peekr.errors import ConfigurationError

__all__ = [
    "ACTIONS",
    "FIELDS",
    "STREAMS",
    "BaseGuardrail",
    "Finding",
    "as_guardrail",
    "checked_action",
    "checked_fields",
    "checked_stream",
    "cut_out",
    "findings_of",
    "is_redacting",
    "merged",
]

FIELDS = ("input", "output")
"""What a model is asked, and what it answers."""

ACTIONS = ("raise", "redact", "warn")
"""`raise` blocks the call, `redact` changes what is recorded, `warn` notes it on the span."""

STREAMS = ("buffer", "window", "observe")
"""How a guardrail that blocks looks at a streamed answer.

`buffer` holds the chunks back until the whole answer has been looked at. `window` lets a chunk go
once its text, and the window's characters after it, are clean. `observe` holds nothing back: what
it finds is on the span as a violation, and no error is raised.
"""


class Finding(NamedTuple):
    """One place in a text that a guardrail objects to; it never holds the text itself.

    Attributes:
        rule: The category, or the rule's name: `email`, `openai_key`, `terms[3]`.
        start: Where it begins in the text, in characters.
        end: Where it ends, exclusive. A finding about the text as a whole spans all of it.
    """

    rule: str
    start: int = 0
    end: int = 0


class BaseGuardrail:
    """The base of one's own guardrails: override `check`, and the class attributes.

    ::

        class NoCompetitors(BaseGuardrail):
            name = "no-competitors"
            fields = ("output",)

            def check(self, text, field):
                at = text.find("Acme")
                return [Finding("competitor", at, at + 4)] if at >= 0 else []

    `check` runs on the caller's thread, once for each text of a field, so it should be quick; it
    may be called by several threads at once. What it raises is recorded on the span and does not
    block the call, unless `fail_closed` is set; under `action = "redact"` the text in question is
    left out of the record instead.

    Attributes:
        name: How the guardrail is named on spans and in errors; the class's name when empty.
        fields: Which of `input` and `output` it looks at.
        action: `"raise"`, `"redact"` or `"warn"`.
        fail_closed: A fault in the guardrail blocks the call.
        stream: `"buffer"`, `"window"` or `"observe"`: how a streamed answer is looked at, see
            `STREAMS`. Choose `"window"` where what `check` finds does not depend on the whole text.
        window_chars: How many characters the window has: at least as many as what is looked for.
        mark: What stands in the record for what was cut out.
    """

    name: str = ""
    fields: Sequence[str] = FIELDS
    action: str = "raise"
    fail_closed: bool = False
    stream: str = "buffer"
    window_chars: int = 256
    mark: str = "[REDACTED]"
    # Whether a text is also shown after the name that an object holds it by, `password: …`.
    wants_names: bool = False
    # Whether `redact` changes a JSON text wherever it would change a text in it, so that a text in
    # which it changes nothing need not be parsed.
    sees_through_json: bool = False

    def __init_subclass__(cls, **options: Any) -> None:
        super().__init_subclass__(**options)
        cls.name = vars(cls).get("name") or cls.__name__

    def check(
        self, text: str, field: str
    ) -> Union[bool, str, Finding, Iterable[Union[Finding, str]], None]:
        """Look at one text.

        Args:
            text: The text, without any markup of Peekr's.
            field: `"input"` or `"output"`.

        Returns:
            The findings. For short, a rule's name (or True) stands for a finding that spans the
            whole text; None, False and an empty list say that nothing was found.
        """
        del text, field
        return None

    def redact(self, text: str) -> str:
        """The text as it may be recorded: each finding replaced by its mark."""
        return cut_out(text, findings_of(self, text, "input"), self.mark_of)

    def mark_of(self, finding: Finding) -> str:
        """What stands in the record for a finding."""
        del finding
        return self.mark

    def redact_after(self, text: str, before: str) -> str:
        """`redact` for a text of which it is known what stands before it, the key it is held by."""
        del before
        return self.redact(text)

    @property
    def redacts_record(self) -> bool:
        """Whether it changes what is recorded, whatever else it does."""
        return self.action == "redact"

    def __repr__(self) -> str:
        return f"{type(self).__name__}(action={self.action!r}, fields={tuple(self.fields)!r})"


class _FunctionGuardrail(BaseGuardrail):
    """A function of a text and its field."""

    def __init__(self, function: Any) -> None:
        self._function = function
        self.name = str(getattr(function, "__name__", None) or type(function).__name__)

    def check(self, text: str, field: str) -> Any:
        return self._function(text, field)


def as_guardrail(given: Any) -> Any:
    """A guardrail: an instance as it is, and a function `(text, field)` made one that blocks.

    Raises:
        TypeError: it is neither; the message names it.
    """
    if all(hasattr(given, name) for name in ("check", "name", "fields", "action", "mark_of")):
        return given
    if callable(given) and not isinstance(given, type):
        return _FunctionGuardrail(given)
    raise TypeError(
        f"guardrails: {given!r} is no guardrail; derive it from peekr.guard.BaseGuardrail, or give "
        "a function (text, field)"
    )


def is_redacting(guardrail: Any) -> bool:
    """Whether a guardrail changes what is recorded."""
    return getattr(guardrail, "action", None) == "redact"


def findings_of(guardrail: Any, text: str, field: str) -> list[Finding]:
    """What a guardrail's `check` finds, in one form, within the text, in order, not overlapping.

    Args:
        guardrail: Has `check` and a `name`.
        text: What to look at.
        field: `input` or `output`.

    Raises:
        Exception: whatever `check` raises.
        TypeError: `check` gave something that is no finding, or a coroutine.
    """
    made = guardrail.check(text, field)
    if made is None or made is False or made == []:
        return []
    if made is True:
        made = guardrail.name
    items: Any = [made] if isinstance(made, (str, Finding)) else made
    if not isinstance(items, Iterable):
        kind = type(cast("object", made)).__name__
        raise TypeError(f"{guardrail.name}.check() returned {kind}; give a list of findings")
    return merged(_finding(item, text) for item in cast("Iterable[Any]", items) if item)


def _finding(item: Any, text: str) -> Finding:
    if isinstance(item, str):
        return Finding(item, 0, len(text))
    rule, start, end = item
    if end <= start:
        return Finding(str(rule), 0, len(text))
    return Finding(str(rule), max(0, start), min(len(text), end))


def merged(findings: Iterable[Finding]) -> list[Finding]:
    """The findings in order; of those that overlap one is left, over all that they cover.

    It has the rule of the longest, of the first where several are as long.
    """
    made: list[Finding] = []
    longest = 0
    for finding in sorted(findings, key=_place):
        length = finding.end - finding.start
        if made and finding.start < made[-1].end:
            before = made[-1]
            rule = finding.rule if length > longest else before.rule
            longest = max(longest, length)
            made[-1] = Finding(rule, before.start, max(before.end, finding.end))
        else:
            made.append(finding)
            longest = length
    return made


def _place(finding: Finding) -> tuple[int, int]:
    return finding.start, -finding.end


def cut_out(text: str, findings: Sequence[Finding], mark_of: Any) -> str:
    """The text with a mark in the place of each finding.

    Args:
        text: The text.
        findings: In order, not overlapping.
        mark_of: Gives the mark of a finding.
    """
    if not findings:
        return text
    pieces: list[str] = []
    at = 0
    for finding in findings:
        pieces += (text[at : finding.start], mark_of(finding))
        at = finding.end
    pieces.append(text[at:])
    return "".join(pieces)


def checked_fields(fields: Union[str, Iterable[str]]) -> tuple[str, ...]:
    """The fields of a guardrail.

    Raises:
        ConfigurationError: (a ValueError) one of them is neither `input` nor `output`, or there
            is none.
    """
    made = (fields,) if isinstance(fields, str) else tuple(fields)
    if not made or not set(made) <= set(FIELDS):
        raise ConfigurationError(f"fields={fields!r}: give 'input', 'output' or both")
    return made


def checked_action(action: str, choices: Sequence[str] = ACTIONS) -> str:
    """The action of a guardrail.

    Raises:
        ConfigurationError: (a ValueError) it is none of the choices.
    """
    if action not in choices:
        raise ConfigurationError(f"action={action!r} is none of {', '.join(map(repr, choices))}")
    return action


def checked_stream(stream: str) -> str:
    """How a guardrail looks at streams.

    Raises:
        ConfigurationError: (a ValueError) it is none of `STREAMS`.
    """
    if stream not in STREAMS:
        raise ConfigurationError(f"stream={stream!r} is none of {', '.join(map(repr, STREAMS))}")
    return stream
