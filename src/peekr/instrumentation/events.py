"""Events in the bytes of a streamed body, one by one as they come, however the bytes are cut."""

from __future__ import annotations

import base64
import re
from collections.abc import Iterator
from typing import Any, Callable, NamedTuple, Optional, cast

from peekr.encoding import loads

__all__ = ["SPLITTERS", "AwsMessages", "Event", "ServerSentEvents", "Splitter"]

_LINE_END = re.compile(r"\r\n|\n|\r")
# An empty line. A `\r` at the end may be half of a line end, so it waits for what follows.
_EVENT_END = re.compile(rb"(?:\r\n|\n|\r(?!\n|\Z))(?:\r\n|\n|\r(?!\n|\Z))")


class Event(NamedTuple):
    """One event.

    Attributes:
        raw: Its bytes, with what ends it.
        data: What it holds, decoded; None where that is no JSON.
    """

    raw: bytes
    data: Any


class ServerSentEvents:
    """`text/event-stream`: lines, and an empty line after each event."""

    def __init__(self) -> None:
        self._left = b""

    def feed(self, data: bytes) -> Iterator[Event]:
        """Take bytes; gives the events that are whole now."""
        whole, at = self._left + data, 0
        for end in _EVENT_END.finditer(whole):
            raw = whole[at : end.end()]
            at = end.end()
            yield Event(raw, _server_sent(raw))
        self._left = whole[at:]

    def rest(self) -> Iterator[Event]:
        """What is left at the end, an event without an end of its own."""
        left, self._left = self._left, b""
        if left:
            yield Event(left, _server_sent(left))


class AwsMessages:
    """`application/vnd.amazon.eventstream`, such as Bedrock sends a model's events in.

    Source: its binary format: the lengths of the whole message and of its headers, a checksum, the
    headers, the payload, a checksum.
    """

    def __init__(self) -> None:
        self._left = b""

    def feed(self, data: bytes) -> Iterator[Event]:
        """Take bytes; gives the messages that are whole now."""
        whole, at = self._left + data, 0
        while at + 16 <= len(whole):
            length = int.from_bytes(whole[at : at + 4], "big")
            if length < 16 or at + length > len(whole):
                break
            raw = whole[at : at + length]
            at += length
            yield Event(raw, _aws(raw))
        self._left = whole[at:]

    def rest(self) -> Iterator[Event]:
        """What is left at the end, a message that was cut off."""
        left, self._left = self._left, b""
        if left:
            yield Event(left, None)


def _server_sent(raw: bytes) -> Any:
    data = [
        line[5:].lstrip(" ")
        for line in _LINE_END.split(raw.decode("utf-8", "replace"))
        if line.startswith("data:")
    ]
    return _json("\n".join(data)) if data else None


def _aws(raw: bytes) -> Any:
    headers = int.from_bytes(raw[4:8], "big")
    message = _json(raw[12 + headers : -4].decode("utf-8", "replace"))
    chunk = cast("dict[str, Any]", message).get("bytes") if isinstance(message, dict) else None
    if not isinstance(chunk, str) or not chunk:
        return None
    try:
        return _json(base64.b64decode(chunk).decode("utf-8", "replace"))
    except ValueError:
        return None  # no base64: damaged


def _json(text: str) -> Optional[Any]:
    try:
        return loads(text)
    except ValueError:
        return None  # `[DONE]`, or an event cut off in the middle


Splitter = Callable[[], Any]
SPLITTERS: dict[str, Splitter] = {
    "text/event-stream": ServerSentEvents,
    "application/vnd.amazon.eventstream": AwsMessages,
}
"""What splits a body, by its content type."""
