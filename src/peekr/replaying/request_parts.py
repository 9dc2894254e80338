"""What a recorded request is made of, before it has the form of an SDK."""

from __future__ import annotations

from typing import Any, NamedTuple, Optional, cast

from peekr.messages import Message, Part
from peekr.request_form import Form
from peekr.semconv import otel

__all__ = ["SETTINGS", "LostError", "Parts", "apart", "lost", "named", "one_text", "settle"]

SETTINGS = (
    otel.GEN_AI_REQUEST_TEMPERATURE,
    otel.GEN_AI_REQUEST_TOP_P,
    otel.GEN_AI_REQUEST_TOP_K,
    otel.GEN_AI_REQUEST_MAX_TOKENS,
    otel.GEN_AI_REQUEST_FREQUENCY_PENALTY,
    otel.GEN_AI_REQUEST_PRESENCE_PENALTY,
    otel.GEN_AI_REQUEST_SEED,
    otel.GEN_AI_REQUEST_STOP_SEQUENCES,
    otel.GEN_AI_REQUEST_CHOICE_COUNT,
    otel.GEN_AI_REQUEST_ENCODING_FORMATS,
    otel.OPENAI_REQUEST_SERVICE_TIER,
    otel.AWS_BEDROCK_GUARDRAIL_ID,
)
"""Parameters that have attributes of their own."""


class LostError(Exception):
    """Something of the request is not in the record; the message says what.

    It stands in the request where that belongs, so that what the record has of it besides can take
    its place; `settle` raises what is left.
    """


class Parts(NamedTuple):
    """What a request is made of.

    Attributes:
        model: Whom it asks.
        messages: In the conventions' form.
        system: Instructions given apart from them.
        tools: Their definitions.
        settings: What has attributes of its own, by their names.
        parameters: The rest, by the provider's names.
        stream: The answer comes as a stream.
        form: How the request was written; empty where another provider or method is asked.
        is_own: It goes to the method that it was recorded of.
    """

    model: str
    messages: list[Message]
    system: list[Message]
    tools: list[dict[str, Any]]
    settings: dict[str, Any]
    parameters: dict[str, Any]
    stream: bool
    form: Form
    is_own: bool


def named(parts: Parts, names: dict[str, str]) -> dict[str, Any]:
    """The settings under the provider's names, those left out that it does not have."""
    made: dict[str, Any] = {}
    for attribute, value in parts.settings.items():
        name = names.get(attribute)
        if name is not None:
            made[name] = list(value) if isinstance(value, (list, tuple)) else value  # pyright: ignore[reportUnknownArgumentType]
    return made


def one_text(part_list: list[Part]) -> Optional[str]:
    """The text of parts that are one plain text; None for others."""
    if len(part_list) == 1 and part_list[0].get("type") == "text" and len(part_list[0]) == 2:
        return str(part_list[0].get("content") or "")
    return None


def apart(parts: Parts) -> tuple[list[Message], list[Part]]:
    """The messages, and all instructions, which some providers have among the messages."""
    system = [part for entry in parts.system for part in entry["parts"]]
    messages: list[Message] = []
    for entry in parts.messages:
        if entry.get("role") in ("system", "developer"):
            system += entry["parts"]
        else:
            messages.append(entry)
    return messages, system


def lost(part: Part) -> Any:
    """What stands for a part that cannot be sent again."""
    return LostError(f"a part of the kind {part.get('type')} is not recorded whole")


def settle(request: Any) -> None:
    """Check that nothing of a request is lost.

    Raises:
        LostError: something is.
    """
    if isinstance(request, LostError):
        raise request
    if isinstance(request, dict):
        for value in cast("dict[str, Any]", request).values():
            settle(value)
    elif isinstance(request, list):
        for value in cast("list[Any]", request):
            settle(value)
