"""A recorded request as the arguments of the SDK's method, to be sent once more."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from typing import Any, NamedTuple, Optional, cast

from peekr.errors import ReplayError
from peekr.messages import Message, from_record
from peekr.plaintext import clean
from peekr.projection import SYSTEM_COUNT
from peekr.record import SpanRecord
from peekr.replaying.answers import refusal
from peekr.replaying.request_forms import place_of, written
from peekr.replaying.request_parts import SETTINGS, LostError, Parts, settle
from peekr.semconv import otel, own

__all__ = ["Asking", "is_embedding", "rebuild"]

"""Whom a request can be sent to."""

_METHODS = {
    "openai.chat": ("openai", "chat"),
    "openai.completions": ("openai", "completions"),
    "openai.responses": ("openai", "responses"),
    "openai.embeddings": ("openai", "embeddings"),
    "anthropic.messages": ("anthropic", "messages"),
    "gemini.generate_content": ("gemini", "generate_content"),
    "gemini.generate_content_stream": ("gemini", "generate_content"),
    "gemini.embed_content": ("gemini", "embed_content"),
    "bedrock.converse": ("bedrock", "converse"),
    "bedrock.converse_stream": ("bedrock", "converse"),
    "bedrock.invoke_model": ("bedrock", "invoke_model"),
    "bedrock.invoke_model_stream": ("bedrock", "invoke_model"),
}
_FIRST_METHODS = {
    "openai": "chat",
    "anthropic": "messages",
    "gemini": "generate_content",
    "bedrock": "converse",
}


class Asking(NamedTuple):
    """A request to be sent.

    Attributes:
        record: The recorded call.
        provider: `openai`, `anthropic`, `gemini` or `bedrock`.
        method: Which of its methods.
        model: The model's name.
        stream: The answer is to come as a stream.
        arguments: Of the SDK's method.
        dropped: Parameters that another provider has no place for.
    """

    record: SpanRecord
    provider: str
    method: str
    model: str
    stream: bool
    arguments: dict[str, Any]
    dropped: list[str]


def rebuild(
    record: SpanRecord,
    *,
    model: Optional[str] = None,
    provider: Optional[str] = None,
    changes: Optional[Mapping[str, Any]] = None,
) -> Asking:
    """The request of a recorded call.

    Args:
        record: The call.
        model: Ask this model instead.
        provider: Ask this provider instead; what all providers know goes along.
        changes: Arguments of the SDK's method that are set, by their names, dots between those of
            nested ones; None takes one away.

    Raises:
        ReplayError: it cannot be sent again; the message says why.
    """
    # What is made of it is changed in place; the record is not.
    attributes = copy.deepcopy(record.attributes)
    reason = refusal(record, asked_again=True)
    known = _METHODS.get(record.name)
    if reason is None and known is None:
        reason = "its request cannot be put together again"
    if reason is None and any(part.get("type") == "blob" for part in _parts(record)):
        reason = "its content holds media, of which only the digest is stored"
    others = (None, record.name.partition(".")[0])
    if reason is None and is_embedding(record) and provider not in others:
        reason = "an embedding is asked of its own provider"
    if reason is not None or known is None:
        raise _refused(record, str(reason))
    own_provider, method = known
    target = provider or own_provider
    dropped: list[str] = []
    parameters = dict(attributes.get(own.PEEKR_REQUEST_PARAMETERS) or {})
    is_own = target == own_provider
    if not is_own:
        method = _FIRST_METHODS[target]
        dropped = sorted(parameters)
        parameters = {}
    asked = str(model or parameters.pop("modelId", None) or attributes.get("model") or "")
    stream = bool(attributes.get(otel.GEN_AI_REQUEST_STREAM))
    messages, system = _messages(attributes)
    made: dict[str, Any]
    try:
        made = written(
            target,
            method,
            Parts(
                asked,
                messages,
                system,
                cast("list[dict[str, Any]]", attributes.get(otel.GEN_AI_TOOL_DEFINITIONS) or []),
                {name: attributes[name] for name in SETTINGS if name in attributes},
                parameters,
                stream,
                cast(
                    "dict[str, Any]", attributes.get(own.PEEKR_REQUEST_FORM) or {} if is_own else {}
                ),
                is_own,
            ),
        )
        settle(made)
    except LostError as error:
        raise _refused(record, str(error)) from None
    for name, value in (changes or {}).items():
        _set(made, place_of(target, method, name, made), value)
    if changes and "stream" in changes:
        stream = bool(changes["stream"])
    return Asking(record, target, method, asked, stream, made, dropped)


def is_embedding(record: SpanRecord) -> bool:
    """Whether a call asks for vectors rather than for an answer."""
    return record.attributes.get(otel.GEN_AI_OPERATION_NAME) == "embeddings"


def _refused(record: SpanRecord, reason: str) -> ReplayError:
    span = f"{clean(record.name)} (span {clean(record.span_id)})"
    return ReplayError(f"{span} cannot be sent again: {reason}")


def _messages(attributes: Mapping[str, Any]) -> tuple[list[Message], list[Message]]:
    """The messages, and the instructions that were given apart from them."""
    given: Any = attributes.get("input")
    if isinstance(given, str):
        given = [{"role": "user", "content": given}]
    entries: list[Any] = list(given) if isinstance(given, list) else []  # pyright: ignore[reportUnknownArgumentType]
    count = int(attributes.get(SYSTEM_COUNT) or 0)
    made = from_record(entries)
    return made[count:], made[:count]


def _parts(record: SpanRecord) -> list[dict[str, Any]]:
    messages, system = _messages(record.attributes)
    return [part for entry in (*system, *messages) for part in entry["parts"]]


def _set(arguments: dict[str, Any], path: str, value: Any) -> None:
    *holders, name = path.split(".")
    into = arguments
    for holder in holders:
        found = into.get(holder)
        if not isinstance(found, dict):
            found = into[holder] = {}
        into = cast("dict[str, Any]", found)
    if value is None:
        into.pop(name, None)
    else:
        into[name] = value
