"""An HTTP response that tells a recorded answer, and the pieces that streams are made of."""

from __future__ import annotations

import re
from typing import Any, NamedTuple, Optional

from peekr.encoding import dumps
from peekr.replaying.answers import Answer, Failure

__all__ = ["Reply", "broken", "event", "failed", "json_text", "pieces", "plain", "stream"]

_PIECE = re.compile(r"\S+\s*|\s+")


class Reply(NamedTuple):
    """What goes back to the SDK.

    Attributes:
        status: The HTTP status.
        headers: By name, in lower case.
        chunks: The body; a stream's arrive one by one.
        broken: How the connection broke, after the chunks: `timeout`, `connection`; None where it
            did not.
        message: In what words.
        error: The name of the exception that told of it.
    """

    status: int
    headers: dict[str, str]
    chunks: list[bytes]
    broken: Optional[str] = None
    message: str = ""
    error: str = ""


def plain(body: Any, headers: Optional[dict[str, str]] = None) -> Reply:
    """A whole answer."""
    return Reply(200, {"content-type": "application/json", **(headers or {})}, [dumps(body)])


def stream(events: list[bytes]) -> Reply:
    """An answer in server-sent events."""
    return Reply(200, {"content-type": "text/event-stream"}, events)


def event(data: Any, name: Optional[str] = None) -> bytes:
    """A server-sent event."""
    head = f"event: {name}\n".encode() if name else b""
    return head + b"data: " + dumps(data) + b"\n\n"


def failed(failure: Failure, body: Any, headers: Optional[dict[str, str]] = None) -> Reply:
    """A refusal of the provider's, which no SDK sends again.

    Args:
        failure: What was recorded of it; it has a status.
        body: A text, or JSON values.
        headers: Further ones, by name, in lower case.
    """
    assert failure.status is not None
    kind = "application/json"
    if isinstance(body, str):
        kind, data = "text/plain", body.encode("utf-8", "replace")
    else:
        data = dumps(body)
    base = {"content-type": kind, "x-should-retry": "false"}
    return Reply(failure.status, {**base, **(headers or {})}, [data])


def broken(answer: Answer, chunks: Optional[list[bytes]] = None) -> Reply:
    """A connection that broke, before an answer or in the middle of one."""
    failure = answer.failure
    assert failure is not None
    kind = "timeout" if "imeout" in failure.type else "connection"
    headers = {"content-type": "text/event-stream", "x-should-retry": "false"}
    return Reply(200, headers, chunks or [], kind, failure.message, failure.type)


def pieces(text: str) -> list[str]:
    """A text in the pieces in which a stream brings it; none of an empty one."""
    return _PIECE.findall(text)


def json_text(value: Any) -> str:
    """A tool call's arguments as the JSON text that they were; text that is none as it is."""
    return value if isinstance(value, str) else dumps(value).decode("utf-8")
