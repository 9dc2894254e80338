"""What a recorded model call answered, ready to be told again, or why it cannot be."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from typing import Any, NamedTuple, Optional, cast

from peekr.encoding import loads
from peekr.errors import ReplayError
from peekr.messages import Part, from_record
from peekr.record import SpanRecord
from peekr.semconv import otel, own

__all__ = [
    "Answer",
    "Choice",
    "Counts",
    "Failure",
    "answer_of",
    "is_model_call",
    "parts_of",
    "refusal",
]

_CALLS = ("openai.", "anthropic.", "bedrock.", "gemini.")
_EMBEDDINGS = "embeddings"
# What `messages.cut` leaves in the place of what it took away.
_CUT = re.compile(r"…?\[\d+ (?:characters|entries|keys) cut\]$")
# What guardrails that redact write.
_REDACTED = re.compile(
    r"\[(?:EMAIL|PHONE|SSN|CREDIT_CARD|IP_ADDRESS|IBAN|PERSON|BLOCKED|REDACTED)\]"
)
_BODY_IN_TEXT = re.compile(r"^Error code: \d+ - (.*)$", re.DOTALL)


class Counts(NamedTuple):
    """Token counts as they are recorded; None where the provider reported none."""

    input: Optional[int]
    output: Optional[int]
    cache_read: Optional[int]
    cache_write: Optional[int]
    cache_write_1h: Optional[int]
    reasoning: Optional[int]
    audio_input: Optional[int]
    audio_output: Optional[int]
    image_input: Optional[int]

    @property
    def is_any(self) -> bool:
        """Whether the provider reported the input or the output."""
        return self.input is not None or self.output is not None

    @property
    def total(self) -> int:
        """Input and output."""
        return (self.input or 0) + (self.output or 0)

    @property
    def uncached(self) -> Optional[int]:
        """The input without what was read from the cache or written to it."""
        if self.input is None:
            return None
        return self.input - (self.cache_read or 0) - (self.cache_write or 0)


class Failure(NamedTuple):
    """An error that ended the call.

    Attributes:
        type: The SDK's exception, or the provider's word.
        code: The provider's own word, where it had one besides.
        status: The HTTP status; None where no answer came, or it came with status 200.
        message: In the SDK's or the provider's words.
        words: The provider's words in it.
        body: The JSON body of the provider's answer, where the message quotes it.
    """

    type: str
    code: Optional[str]
    status: Optional[int]
    message: str
    words: str
    body: Any


class Choice(NamedTuple):
    """One of the answers that the model gave.

    Attributes:
        role: Whose words they are.
        parts: In the conventions' form.
        reason: Why it ended; None where that was not seen.
        extra: What else the message carries.
    """

    role: str
    parts: list[Part]
    reason: Optional[str]
    extra: dict[str, Any]


class Answer(NamedTuple):
    """What came back."""

    record: SpanRecord
    id: Optional[str]
    model: Optional[str]
    choices: list[Choice]
    reasons: list[str]
    counts: Counts
    failure: Optional[Failure]

    def attribute(self, name: str) -> Any:
        """A further fact by its name; None where it is not recorded."""
        return self.record.attributes.get(name)

    @property
    def created_s(self) -> int:
        """When the answer was made, in Unix seconds."""
        return int(self.record.start_time)


# Raised before anything was sent, or where the caller gave the call up.
_NOT_SENT = frozenset(
    (
        "BudgetExceededError",
        "CancelledError",
        "GeneratorExit",
        "GuardrailError",
        "KeyboardInterrupt",
        "ReplayError",
        "ReplayMismatchError",
    )
)


def is_model_call(record: SpanRecord) -> bool:
    """Whether a span is a model call of the application's own that was sent."""
    attributes = record.attributes
    if attributes.get(otel.ERROR_TYPE) in _NOT_SENT and "output" not in attributes:
        return False
    return (
        record.name.startswith(_CALLS)
        and otel.GEN_AI_OPERATION_NAME in attributes
        and not attributes.get(own.PEEKR_INTERNAL)
    )


def refusal(record: SpanRecord, *, asked_again: bool = False) -> Optional[str]:
    """Why a recorded call cannot be replayed, in one line; None where it can.

    Args:
        record: The call.
        asked_again: It is to be sent again, so that what it answered is of no interest.
    """
    attributes = record.attributes
    if attributes.get(otel.GEN_AI_OPERATION_NAME) == _EMBEDDINGS and not asked_again:
        count = attributes.get(own.PEEKR_EMBEDDINGS_COUNT)
        size = attributes.get(otel.GEN_AI_EMBEDDINGS_DIMENSION_COUNT)
        told = f" ({count} of {size} dimensions)" if count and size else ""
        return f"an embedding's vectors{told} are never stored"
    if attributes.get(own.PEEKR_REDACTION_FAILED):
        return "it was recorded without content, for it could not be redacted"
    if "input" not in attributes and not _asked_nothing(record):
        return "its content was not captured"
    held: list[Any] = [attributes.get("input")]
    if _is_cut_json(held[0]):
        return "its content was cut to the limit of an attribute"
    held.append(attributes.get(otel.GEN_AI_TOOL_DEFINITIONS))
    held.append(attributes.get(own.PEEKR_REQUEST_PARAMETERS))
    held.append(attributes.get(own.PEEKR_REQUEST_FORM))
    if not asked_again:
        if record.status == "ok" and "output" not in attributes and _says_something(attributes):
            return "its answer was not captured"
        held.append(attributes.get("output"))
        for part in parts_of(attributes.get("output")):
            if part.get("type") == "blob":
                return "its answer holds media, of which only the digest is stored"
    for text in _texts(held):
        if _CUT.search(text):
            return "its content was cut to the limit of an attribute"
        if _REDACTED.search(text):
            return "its content was redacted"
    return None


def answer_of(record: SpanRecord) -> Answer:
    """Read a recorded call.

    Raises:
        ReplayError: it cannot be told again; the message says why.
    """
    reason = refusal(record)
    if reason is not None:
        raise ReplayError(f"{record.name} (span {record.span_id}) cannot be replayed: {reason}")
    attributes = record.attributes
    given: Any = attributes.get("finish_reasons") or []
    reasons = [str(reason) for reason in given]
    choices: list[Choice] = []
    for index, entry in enumerate(_messages(attributes.get("output"))):
        held = dict(entry)
        role, parts = str(held.pop("role", None) or "assistant"), held.pop("parts")
        why = held.pop("finish_reason", None)
        if why is None and index < len(reasons):
            why = reasons[index]
        choices.append(Choice(role, parts, why or None, held))
    return Answer(
        record,
        attributes.get(otel.GEN_AI_RESPONSE_ID),
        attributes.get(otel.GEN_AI_RESPONSE_MODEL),
        choices,
        reasons,
        Counts(
            attributes.get("tokens_input"),
            attributes.get("tokens_output"),
            attributes.get("tokens_cache_read"),
            attributes.get("tokens_cache_write"),
            attributes.get(own.PEEKR_USAGE_CACHE_WRITE_1H_INPUT_TOKENS),
            attributes.get("tokens_reasoning"),
            attributes.get(own.PEEKR_USAGE_AUDIO_INPUT_TOKENS),
            attributes.get(own.PEEKR_USAGE_AUDIO_OUTPUT_TOKENS),
            attributes.get(own.PEEKR_USAGE_IMAGE_INPUT_TOKENS),
        ),
        _failure(record, bool(choices)) if record.status == "error" else None,
    )


# Exceptions that tell of the connection rather than of what the caller did with the answer.
_OF_CONNECTION = re.compile(r"Connect|Timeout|Read|Protocol|Stream|Network|Endpoint")
_OF_PROVIDER = re.compile(r"^[a-z]|Exception$|^API\w*Error$|Status\w*Error$|ServerError$")


def _failure(record: SpanRecord, is_answered: bool) -> Optional[Failure]:
    attributes = record.attributes
    name = str(attributes.get(otel.ERROR_TYPE) or "error")
    if (
        is_answered
        and otel.HTTP_RESPONSE_STATUS_CODE not in attributes
        and not _OF_CONNECTION.search(name)
        and not _OF_PROVIDER.search(name)
    ):
        return None  # raised by whoever read the answer, and again when it is read again
    status = attributes.get(otel.HTTP_RESPONSE_STATUS_CODE)
    message = str(attributes.get("error") or "error")
    found = _BODY_IN_TEXT.match(message)
    body: Any = None
    if found:
        try:
            body = ast.literal_eval(found.group(1))
        except (ValueError, SyntaxError, MemoryError, RecursionError):
            pass  # the answer was no JSON: its words are the message
    return Failure(
        name,
        attributes.get(own.PEEKR_ERROR_CODE),
        status if isinstance(status, int) else None,
        message,
        found.group(1) if found else message,
        body,
    )


def _is_cut_json(value: Any) -> bool:
    """Whether messages are what a limit that knows no JSON has left of them."""
    if not isinstance(value, str) or not value.startswith(('[{"', '[ {"', "[\n")):
        return False
    try:
        loads(value)
    except ValueError:
        return True
    return False


def _asked_nothing(record: SpanRecord) -> bool:
    """Whether a request without content was refused for it, rather than recorded without."""
    attributes = record.attributes
    kind, status = attributes.get(otel.ERROR_TYPE), attributes.get(otel.HTTP_RESPONSE_STATUS_CODE)
    # Without capturing content the error's words are left out as well.
    return record.status == "error" and attributes.get("error") not in (
        kind,
        f"{kind} (HTTP {status})",
    )


def _says_something(attributes: dict[str, Any]) -> bool:
    return bool(attributes.get("tokens_output"))


def _messages(output: Any) -> list[dict[str, Any]]:
    if isinstance(output, str):
        output = [{"role": "assistant", "content": output}]
    if not isinstance(output, list):
        return []
    entries = cast("list[Any]", output)
    return from_record([cast("Any", entry) for entry in entries if isinstance(entry, dict)])


def parts_of(output: Any) -> Iterator[Part]:
    """The parts of an answer as it is recorded, in the conventions' form."""
    for entry in _messages(output):
        yield from entry["parts"]


def _texts(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        for entry in cast("dict[str, Any]", value).values():
            yield from _texts(entry)
    elif isinstance(value, (list, tuple)):
        for entry in cast("list[Any]", value):
            yield from _texts(entry)
