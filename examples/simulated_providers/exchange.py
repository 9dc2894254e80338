"""One HTTP request to a simulated provider and the reply to it."""

from __future__ import annotations

import itertools
import json
import threading
from dataclasses import dataclass, field
from typing import Any, Dict, Iterable, List, Mapping, Optional, Protocol, cast

__all__ = [
    "CREATED_AT_S",
    "Api",
    "ConnectionCut",
    "Ids",
    "Json",
    "Rejected",
    "Reply",
    "Request",
    "StreamEnded",
    "child",
    "json_reply",
    "objects",
    "sse",
    "stream_reply",
    "strings",
]

Json = Dict[str, Any]

CREATED_AT_S = 1_735_689_600
"""Creation time in every reply, in Unix seconds: fixed, so that two runs give the same bytes."""


@dataclass(frozen=True)
class Request:
    """What a client sent.

    Attributes:
        path: the path as sent, without the query, percent-encoded.
        query: the query's parameters, the last value of each.
        headers: header values by lower-case name.
        body: the JSON object of the body; None where the body was not a JSON object.
    """

    method: str
    path: str
    query: Mapping[str, str]
    headers: Mapping[str, str]
    body: Optional[Json]


@dataclass(frozen=True)
class Reply:
    """What the server sends back: a whole body in one piece, or chunks as they come."""

    status: int
    content_type: str
    chunks: Iterable[bytes]
    streamed: bool = False
    headers: Mapping[str, str] = field(default_factory=Dict[str, str])


class Rejected(Exception):
    """A request that the provider refuses; carries the reply that says so."""

    def __init__(self, reply: Reply) -> None:
        super().__init__(reply.status)
        self.reply = reply


class ConnectionCut(Exception):
    """Raised inside a stream of chunks: the server drops the connection at this point."""


class StreamEnded(Exception):
    """Raised inside a stream of chunks: the stream ends here, in good order."""


class Api(Protocol):
    """One provider's HTTP interface."""

    def handle(self, request: Request) -> Optional[Reply]:
        """Answer a request; None where the path is not this provider's.

        Runs on the server's thread of the connection.

        Raises:
            Rejected: the request is refused.
        """
        ...


class Ids:
    """Identifiers that count up, the same in every run; safe to use from several threads."""

    def __init__(self) -> None:
        self._numbers = itertools.count(1)
        self._lock = threading.Lock()

    def next(self, prefix: str) -> str:
        """Return the next identifier, such as `chatcmpl-simulated000001`."""
        with self._lock:
            number = next(self._numbers)
        return f"{prefix}simulated{number:06d}"


def json_reply(
    payload: Any, *, status: int = 200, headers: Optional[Mapping[str, str]] = None
) -> Reply:
    """Make a reply of one JSON document."""
    return Reply(
        status=status,
        content_type="application/json",
        chunks=[json.dumps(payload).encode()],
        headers=headers or {},
    )


def stream_reply(
    chunks: Iterable[bytes],
    *,
    content_type: str = "text/event-stream; charset=utf-8",
    headers: Optional[Mapping[str, str]] = None,
) -> Reply:
    """Make a reply whose chunks are sent one by one as the iterable gives them."""
    return Reply(
        status=200,
        content_type=content_type,
        chunks=chunks,
        streamed=True,
        headers=headers or {},
    )


def sse(data: Any, event: Optional[str] = None) -> bytes:
    """Encode one server-sent event; a string is sent as it is, the rest as JSON."""
    text = data if isinstance(data, str) else json.dumps(data, separators=(",", ":"))
    name = f"event: {event}\n" if event else ""
    return f"{name}data: {text}\n\n".encode()


def child(body: Json, name: str) -> Json:
    """Return the JSON object under a name; an empty one for anything else."""
    value = body.get(name)
    return cast("Json", value) if isinstance(value, dict) else {}


def objects(value: Any) -> List[Json]:
    """Return the JSON objects of a JSON array; an empty list for anything else."""
    if not isinstance(value, list):
        return []
    items = cast("List[Any]", value)
    return [cast("Json", item) for item in items if isinstance(item, dict)]


def strings(value: Any) -> List[str]:
    """Return the strings of a JSON array; an empty list for anything else."""
    items = cast("List[Any]", value) if isinstance(value, list) else []
    return [item for item in items if isinstance(item, str)]
