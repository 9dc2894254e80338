"""Which recorded call a new one is: told by what it asks, in whatever order calls come."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Callable, NamedTuple, Optional, cast

from peekr.encoding import dumps, loads
from peekr.messages import to_record
from peekr.record import SpanRecord
from peekr.semconv import otel, own

__all__ = ["Asked", "Normalize", "asked_by", "recorded_in", "what_differs"]

Normalize = Callable[[list[dict[str, Any]]], Any]
"""Makes of messages in the record's form what is compared: without a date in a prompt, say."""

_STREAM = "_stream"
_SETTINGS_PREFIX = ("gen_ai.request.", "openai.request.", otel.GEN_AI_OUTPUT_TYPE)
_NOT_SETTINGS = frozenset((otel.GEN_AI_REQUEST_MODEL, otel.GEN_AI_REQUEST_STREAM))
_SHOWN_CHARS = 60


class Asked(NamedTuple):
    """What a call asks, in a form that can be compared.

    Attributes:
        method: The record's name, the same for streamed calls and others.
        model: As the caller named it.
        messages: In the record's form, the system's instructions first.
        tools: Their definitions.
        settings: Sampling and other parameters by name.
        keys: `messages` and the whole, as texts.
    """

    method: str
    model: Optional[str]
    messages: Any
    tools: Any
    settings: dict[str, Any]
    keys: tuple[str, str]


def asked_by(name: str, request: Any, normalize: Optional[Normalize]) -> Asked:
    """What a call asks that is about to be sent.

    Args:
        name: The name that its record will have.
        request: What its extractor read.
        normalize: See `Normalize`.
    """
    held: Any = loads(
        dumps(
            {
                "input": request.input or [],
                "system": request.system,
                "tools": request.tools,
                "attributes": request.attributes or {},
                "parameters": {**(request.parameters or {}), **(request.content_parameters or {})},
            }
        )
    )
    messages = to_record(held["input"])
    if held["system"]:
        messages[:0] = to_record([{"role": "system", "parts": held["system"]}])
    settings = _settings(held["attributes"], held["parameters"])
    return _asked(name, request.model, messages, held["tools"], settings, normalize)


def recorded_in(record: SpanRecord, normalize: Optional[Normalize]) -> Asked:
    """What a recorded call asked."""
    attributes = record.attributes
    given: Any = attributes.get("input")
    if isinstance(given, str):
        given = [{"role": "user", "content": given}]
    messages = [dict(entry) for entry in given or ()]
    settings = _settings(attributes, attributes.get(own.PEEKR_REQUEST_PARAMETERS) or {})
    tools: Any = attributes.get(otel.GEN_AI_TOOL_DEFINITIONS)
    return _asked(record.name, attributes.get("model"), messages, tools, settings, normalize)


def what_differs(recorded: Asked, asked: Asked) -> str:
    """In what a call differs from a recorded one, in a few words."""
    if recorded.model != asked.model:
        return f"the model: {recorded.model} was recorded, {asked.model} is asked"
    if recorded.keys[0] != asked.keys[0]:
        return _message_that_differs(recorded.messages, asked.messages)
    found = [] if recorded.tools == asked.tools else ["the tools"]
    names = sorted({*recorded.settings, *asked.settings})
    found += [name for name in names if recorded.settings.get(name) != asked.settings.get(name)]
    return ", ".join(found)


def _asked(
    name: str,
    model: Optional[str],
    messages: list[dict[str, Any]],
    tools: Any,
    settings: dict[str, Any],
    normalize: Optional[Normalize],
) -> Asked:
    method = name[: -len(_STREAM)] if name.endswith(_STREAM) else name
    compared: Any = messages if normalize is None else normalize(messages)
    near = [method, model, compared]
    keys = (_key(near), _key([*near, tools or None, settings]))
    return Asked(method, model, compared, tools or None, settings, keys)


def _key(value: Any) -> str:
    return dumps(_sorted(value)).decode("utf-8")


def _sorted(value: Any) -> Any:
    if isinstance(value, dict):
        entries = cast("dict[str, Any]", value)
        return {key: _sorted(entries[key]) for key in sorted(entries)}
    if isinstance(value, (list, tuple)):
        return [_sorted(entry) for entry in cast("list[Any]", value)]
    return value


def _settings(attributes: Mapping[str, Any], parameters: Mapping[str, Any]) -> dict[str, Any]:
    made = {
        key: list(cast("list[Any]", value)) if isinstance(value, (list, tuple)) else value
        for key, value in attributes.items()
        if key.startswith(_SETTINGS_PREFIX) and key not in _NOT_SETTINGS
    }
    made.update(parameters)
    made.pop("stream_options", None)  # what a stream reports, which is no part of the question
    return made


def _message_that_differs(recorded: Any, asked: Any) -> str:
    if not isinstance(recorded, list) or not isinstance(asked, list):
        return f"the input: {_shown(recorded)} was recorded, {_shown(asked)} is asked"
    before, after = cast("list[Any]", recorded), cast("list[Any]", asked)
    for number, (one, other) in enumerate(zip(before, after), 1):
        if one != other:
            role = str(other.get("role")) if isinstance(other, dict) else ""  # pyright: ignore[reportUnknownMemberType, reportUnknownArgumentType]
            return f"message {number} ({role}): {_parting(one, other)}"
    return f"{len(before)} messages were recorded, {len(after)} are asked"


def _parting(before: Any, after: Any) -> str:
    """The two, from shortly before where they part."""
    one, other = _text(before), _text(after)
    at = next((i for i, (a, b) in enumerate(zip(one, other)) if a != b), min(len(one), len(other)))
    at = max(0, at - 10)
    return f"{_shown(one[at:])} was recorded, {_shown(other[at:])} is asked"


def _text(message: Any) -> str:
    content: Any = (
        cast("dict[str, Any]", message).get("content") if isinstance(message, dict) else 0
    )
    return content if isinstance(content, str) else dumps(message).decode("utf-8", "replace")


def _shown(value: Any) -> str:
    text = value if isinstance(value, str) else dumps(value).decode("utf-8", "replace")
    return repr(text if len(text) <= _SHOWN_CHARS else f"{text[:_SHOWN_CHARS]}…")
