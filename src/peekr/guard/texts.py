"""The texts in messages, tool calls and definitions, and the same with some of them replaced."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Callable, NamedTuple, Optional, cast

from peekr.messages import Message

__all__ = ["Channel", "channels", "has_media", "replaced", "replaced_in_messages", "said"]

# What names or measures a part of a message and is no text of anybody's.
_NO_TEXT = frozenset(
    (
        "type",
        "role",
        "id",
        "modality",
        "mime_type",
        "sha256",
        "size",
        "finish_reason",
        "signature",
    )
)
_SAID = frozenset(("text", "refusal"))
_MEDIA = frozenset(("blob", "file", "uri"))
# Shorter numbers are amounts and counts.
_LEAST_NUMBER = 1_000_000
_MAX_DEPTH = 64

Visit = Callable[[str, str], str]
"""Is given a text, and the key that it is held by in an object, or nothing."""


def replaced_in_messages(messages: Any, visit: Visit) -> Any:
    """Show every text of messages, or of parts of one, to a function.

    Args:
        messages: Messages or parts in the conventions' form; None for none.
        visit: Is given a text, and its key in tool arguments and the like, and returns what is to
            stand in the text's place.

    Returns:
        The same object where every text stayed, else a copy.
    """
    if not isinstance(messages, (list, tuple)):
        return replaced(messages, visit)
    return _items(cast("Sequence[Any]", messages), lambda entry: _entry(entry, visit))


def _entry(entry: Any, visit: Visit) -> Any:
    """A message, or a part of one."""
    if not isinstance(entry, Mapping):
        return replaced(entry, visit)
    made: Optional[dict[str, Any]] = None
    held = cast("Mapping[str, Any]", entry)
    for key, value in held.items():
        if key in _NO_TEXT:
            continue
        show = replaced_in_messages if key == "parts" else replaced
        changed = show(value, visit)
        if changed is not value:
            if made is None:
                made = dict(held)
            made[key] = changed
    return held if made is None else made


def replaced(value: Any, visit: Visit, depth: int = 0, key: str = "") -> Any:
    """Show every text of a JSON value to a function, keys included; see `replaced_in_messages`.

    Long numbers are shown as texts; so are bytes.

    Args:
        value: The value; it is not changed.
        visit: Gives what stands in the place of a text, from the text and the key above it.
        depth: How deep in another value this one is; far down nothing is shown any more.
        key: The key above it.

    Returns:
        The same object where nothing was replaced, else a copy.
    """
    kind = cast("type[Any]", type(value))
    if kind is str:
        made = visit(value, key)
        return value if made == value else made
    if kind is int:
        if -_LEAST_NUMBER < value < _LEAST_NUMBER:
            return value
        digits = str(value)
        made = visit(digits, key)
        return value if made == digits else made
    if isinstance(value, (bytes, bytearray)):
        text = bytes(value).decode("utf-8", "replace")
        made = visit(text, key)
        return value if made == text else made
    if depth > _MAX_DEPTH:
        return value
    if isinstance(value, Mapping):
        return _pairs(cast("Mapping[Any, Any]", value), visit, depth)
    if isinstance(value, (list, tuple)):
        entries = cast("Sequence[Any]", value)
        return _items(entries, lambda entry: replaced(entry, visit, depth + 1, key))
    return value


def _pairs(pairs: Mapping[Any, Any], visit: Visit, depth: int) -> Any:
    made: dict[Any, Any] = {}
    is_same = True
    for key, value in pairs.items():
        name = replaced(key, visit, depth + 1) if type(key) is str else key
        changed = replaced(value, visit, depth + 1, key if type(key) is str else "")
        is_same = is_same and name is key and changed is value
        made[name] = changed
    return pairs if is_same else made


def _items(items: Sequence[Any], change: Callable[[Any], Any]) -> Any:
    made = [change(entry) for entry in items]
    return items if all(new is old for new, old in zip(made, items)) else made


def has_media(messages: Any) -> bool:
    """Whether messages hold images, sounds or files, in which there is no text to look at."""
    entries = cast("list[Any]", messages) if isinstance(messages, list) else []
    for entry in entries:
        if not isinstance(entry, Mapping):
            continue
        part = cast("Mapping[str, Any]", entry)
        if part.get("type") in _MEDIA or has_media(part.get("parts")):
            return True
        if part.get("type") == "tool_call_response" and has_media(part.get("response")):
            return True
    return False


def said(messages: Any) -> list[str]:
    """What is said in messages, or in parts of one, in words to people."""
    found: list[str] = []
    for entry in cast("list[Any]", messages) if isinstance(messages, list) else ():
        if not isinstance(entry, Mapping):
            continue
        part = cast("Mapping[str, Any]", entry)
        content = part.get("content")
        if part.get("type") in _SAID and isinstance(content, str) and content:
            found.append(content)
        found += said(part.get("parts"))
    return found


class Channel(NamedTuple):
    """One text of a streamed answer, which grows at its end.

    Attributes:
        key: Names it among the others, the same at every look.
        text: What of it has arrived.
        is_closed: Something has begun after it: it is not expected to grow.
        is_unreadable: It is the beginning of JSON text, whose texts can be read at its end alone.
    """

    key: tuple[Any, ...]
    text: str
    is_closed: bool
    is_unreadable: bool


def channels(messages: Sequence[Message]) -> Iterator[Channel]:
    """The texts of what has arrived of an answer."""
    for index, entry in enumerate(messages):
        parts = cast("list[Any]", entry.get("parts") or [])
        counts: dict[str, int] = {}
        for key, value in entry.items():
            if key != "parts" and key not in _NO_TEXT:
                for path, text in _leaves(value, (index, key)):
                    yield Channel(path, text, False, False)
        for number, part in enumerate(parts, 1):
            if not isinstance(part, Mapping):
                continue
            known = cast("Mapping[str, Any]", part)
            kind = str(known.get("type"))
            # Not by its number among all: thoughts that come late stand before the text.
            nth = counts[kind] = counts.get(kind, 0) + 1
            is_closed = number < len(parts)
            for key, value in known.items():
                if key in _NO_TEXT:
                    continue
                place = (index, kind, nth, key)
                if key == "arguments" and isinstance(value, str):
                    yield Channel(place, value, is_closed, value.lstrip()[:1] in ("{", "["))
                else:
                    for path, text in _leaves(value, place):
                        yield Channel(path, text, is_closed, False)


def _leaves(value: Any, path: tuple[Any, ...]) -> Iterator[tuple[tuple[Any, ...], str]]:
    if isinstance(value, str):
        yield path, value
    elif isinstance(value, Mapping):
        for key, entry in cast("Mapping[Any, Any]", value).items():
            if isinstance(key, str):
                yield (*path, key, "key"), key
            yield from _leaves(entry, (*path, key))
    elif isinstance(value, (list, tuple)):
        for number, entry in enumerate(cast("Sequence[Any]", value)):
            yield from _leaves(entry, (*path, number))
    elif value is not None and not isinstance(value, (bool, float)):
        yield path, str(value)
