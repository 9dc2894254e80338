"""Where the SDKs' HTTP clients are told answers instead of sending requests.

Only requests of a call that is served are answered here; all others go where they always go. What
is replaced is below the SDKs: their retries, parsing and streams are the real ones.
"""

from __future__ import annotations

import functools
import io
import sys
import threading
from collections.abc import AsyncIterator, Iterator
from typing import Any, Callable, NamedTuple, Optional, cast
from urllib.parse import unquote, urlsplit

from opentelemetry import context as otel_context
from opentelemetry import trace as otel_trace

from peekr.replaying.answers import Answer
from peekr.replaying.reply import Reply
from peekr.replaying.wire import reply_to

__all__ = ["attach", "put_on", "take_off"]

_ANSWER_KEY = otel_context.create_key("peekr-replayed-answer")
_lock = threading.Lock()
_users = 0
_replaced: list[_Replaced] = []
_by_span: dict[int, Answer] = {}


class _Replaced(NamedTuple):
    owner: Any
    name: str
    original: Any
    ours: Any


def attach(answer: Answer) -> None:
    """Have the requests of the current call answered.

    The driver of the call gives its own context back, and this one with it. A generator that sends
    its request later does so with the call's span current.
    """
    span_id = otel_trace.get_current_span().get_span_context().span_id
    if span_id:
        _by_span[span_id] = answer
    otel_context.attach(otel_context.set_value(_ANSWER_KEY, answer))
    with _lock:
        if _users:
            _replace()


def put_on() -> None:
    """Begin to stand below the SDKs' HTTP clients, of those that are imported when a call is."""
    global _users
    with _lock:
        _users += 1


def take_off() -> None:
    """Put the clients' own methods back, unless somebody else is still replaying."""
    global _users
    with _lock:
        _users -= 1
        if _users == 0:
            _by_span.clear()
            while _replaced:
                held = _replaced.pop()
                if cast("dict[str, Any]", vars(held.owner)).get(held.name) is held.ours:
                    setattr(held.owner, held.name, held.original)


def _answer() -> Optional[Answer]:
    found: Any = otel_context.get_value(_ANSWER_KEY)
    if found is None and _by_span:
        span_id = otel_trace.get_current_span().get_span_context().span_id
        found = _by_span.get(span_id)
    return found


_PLACES: tuple[tuple[str, str, str, str], ...] = (
    ("httpx", "Client", "_transport_for_url", "_httpx"),
    ("httpx", "AsyncClient", "_transport_for_url", "_httpx"),
    ("httpx2", "Client", "_transport_for_url", "_httpx"),
    ("httpx2", "AsyncClient", "_transport_for_url", "_httpx"),
    ("botocore.httpsession", "URLLib3Session", "send", "_botocore"),
    ("aiobotocore.httpsession", "AIOHTTPSession", "send", "_aiobotocore"),
    # Since aiobotocore 2.22, httpx is its other client.
    ("aiobotocore.httpxsession", "HttpxSession", "send", "_aiobotocore"),
    ("google.genai._api_client", "BaseApiClient", "_use_aiohttp", "_no_aiohttp"),
)


def _replace() -> None:
    known = {(held.owner, held.name) for held in _replaced}
    for module_name, class_name, name, way in _PLACES:
        owner: Any = getattr(sys.modules.get(module_name), class_name, None)
        own = cast("dict[str, Any]", {} if owner is None else vars(owner))
        original = own.get(name)
        if original is None or (owner, name) in known:
            continue
        ours: Any = _WAYS[way](sys.modules[module_name], original)
        setattr(owner, name, ours)
        _replaced.append(_Replaced(owner, name, original, ours))


# -- httpx and httpx2 ----------------------------------------------------------------------------


def _httpx(module: Any, original: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(original)
    def transport_for(self: Any, *args: Any, **kwargs: Any) -> Any:
        answer = _answer()
        if answer is None:
            return original(self, *args, **kwargs)
        is_async = isinstance(self, module.AsyncClient)
        return module.MockTransport(functools.partial(_answered, module, answer, is_async))

    return transport_for


def _answered(module: Any, answer: Answer, is_async: bool, request: Any) -> Any:
    reply = reply_to(answer, unquote(request.url.path), request.content)
    error = None
    if reply.broken is not None:
        kind = "ReadTimeout" if reply.broken == "timeout" else "ReadError"
        if not reply.chunks:
            kind = "ConnectTimeout" if reply.broken == "timeout" else "ConnectError"
        known: Any = getattr(module, reply.error, None)
        if not (isinstance(known, type) and issubclass(known, module.TransportError)):
            known = getattr(module, kind)
        error = known(reply.message, request=request)
        if not reply.chunks:
            raise error
    # Not as bytes: the SDKs take a response that was read before they read it for a lost one.
    content: Any = _arriving_async(reply, error) if is_async else _arriving(reply, error)
    return module.Response(reply.status, headers=reply.headers, content=content)


def _arriving(reply: Reply, error: Optional[Exception]) -> Iterator[bytes]:
    yield from reply.chunks
    if error is not None:
        raise error


async def _arriving_async(reply: Reply, error: Optional[Exception]) -> AsyncIterator[bytes]:
    for chunk in reply.chunks:
        yield chunk
    if error is not None:
        raise error


def _no_aiohttp(module: Any, original: Callable[..., Any]) -> Callable[..., Any]:
    del module

    @functools.wraps(original)
    def use_aiohttp(self: Any) -> bool:
        return False if _answer() is not None else original(self)

    return use_aiohttp


# -- botocore and aiobotocore --------------------------------------------------------------------


def _botocore(module: Any, original: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(original)
    def send(self: Any, request: Any) -> Any:
        answer = _answer()
        if answer is None:
            return original(self, request)
        reply = _asked(module, answer, request)
        response: Any = sys.modules["botocore.awsrequest"].AWSResponse(
            request.url, reply.status, reply.headers, _Raw(module, reply, request.url)
        )
        if not request.stream_output:
            _ = response.content  # as botocore does
        return response

    return send


def _aiobotocore(module: Any, original: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(original)
    async def send(self: Any, request: Any) -> Any:
        answer = _answer()
        if answer is None:
            return await original(self, request)
        errors: Any = sys.modules["botocore.httpsession"]
        reply = _asked(errors, answer, request)
        response: Any = sys.modules["aiobotocore.awsrequest"].AioAWSResponse(
            request.url, reply.status, reply.headers, _AsyncRaw(reply)
        )
        if not request.stream_output:
            await response.content
        return response

    del module
    return send


def _asked(module: Any, answer: Answer, request: Any) -> Reply:
    body = request.body
    if hasattr(body, "read"):
        body = body.read()
    if isinstance(body, str):
        body = body.encode()
    reply = reply_to(answer, unquote(urlsplit(str(request.url)).path), bytes(body or b""))
    if reply.broken is not None and not reply.chunks:
        raise _broken(module, reply, request.url)
    return reply


def _broken(module: Any, reply: Reply, url: str) -> Exception:
    if reply.broken == "timeout":
        return module.ReadTimeoutError(endpoint_url=url, error=reply.message)
    return module.EndpointConnectionError(endpoint_url=url, error=reply.message)


class _Raw(io.BytesIO):
    """A body as urllib3 has it."""

    def __init__(self, module: Any, reply: Reply, url: str) -> None:
        super().__init__(b"".join(reply.chunks))
        self._error = None if reply.broken is None else _broken(module, reply, url)
        self._chunks = reply.chunks

    def stream(self, *args: Any, **kwargs: Any) -> Iterator[bytes]:
        del args, kwargs
        yield from self._chunks
        if self._error is not None:
            raise self._error

    def release_conn(self) -> None:
        """There is no connection."""


class _AsyncRaw:
    """A body as aiohttp has it."""

    def __init__(self, reply: Reply) -> None:
        self._chunks = reply.chunks
        self._body = io.BytesIO(b"".join(reply.chunks))
        self.content = self
        # Where aiobotocore before 2.16 looks for them.
        self.raw_headers = [(n.encode(), v.encode()) for n, v in reply.headers.items()]

    async def read(self, amount: int = -1) -> bytes:
        return self._body.read(amount)

    async def readany(self) -> bytes:
        return self._body.read()

    async def iter_chunks(self) -> AsyncIterator[tuple[bytes, bool]]:
        for chunk in self._chunks:
            yield chunk, True

    def at_eof(self) -> bool:
        return self._body.tell() == len(self._body.getbuffer())

    def close(self) -> None:
        """There is no connection."""

    def release(self) -> None:
        """There is no connection."""

    async def __aenter__(self) -> _AsyncRaw:
        return self

    async def __aexit__(self, *exc_info: object) -> None:
        pass


_WAYS: dict[str, Callable[[Any, Callable[..., Any]], Any]] = {
    "_httpx": _httpx,
    "_botocore": _botocore,
    "_aiobotocore": _aiobotocore,
    "_no_aiohttp": _no_aiohttp,
}
