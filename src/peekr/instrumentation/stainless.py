"""Answers of SDKs that Stainless generates, whose callers may ask for the raw HTTP response.

`with_raw_response` and `with_streaming_response` return exactly the SDK's object. A body that has
been read is read again from memory; one that has not is tapped: the HTTP response's own public
methods, on that one instance, pass the bytes on as they come and keep a copy until its end.
"""

from __future__ import annotations

import asyncio
import weakref
from collections.abc import AsyncIterator, Iterator, Mapping
from typing import Any, Callable, cast

from peekr import faults
from peekr.encoding import loads
from peekr.instrumentation.call import Call
from peekr.instrumentation.contract import Accumulator, Response
from peekr.instrumentation.events import SPLITTERS
from peekr.instrumentation.stream import deliver as deliver_parsed
from peekr.late import loaded
from peekr.semconv import own

__all__ = ["Tap", "deliver", "deliver_raw", "deliver_request", "is_raw"]

_RAW_HEADER = "x-stainless-raw-response"
_REQUEST_ID_HEADERS = ("request-id", "x-request-id", "x-amzn-requestid")


def deliver(call: Call, result: Any) -> Any:
    """Hand a result of a Stainless SDK to the caller; see `stream.deliver` for parsed ones."""
    if is_raw(call.kwargs):
        http_response = getattr(result, "http_response", None)
        if http_response is not None:
            return deliver_raw(call, result, http_response)
    request_id = getattr(result, "_request_id", None)
    if request_id is not None:
        call.note(own.PEEKR_REQUEST_ID, request_id)
    elif call.request.stream:
        _note_request_id(call, getattr(result, "response", None))
    return deliver_parsed(call, result)


def deliver_request(call: Call, result: Any) -> Any:
    """Hand over a result of the client's own `request`, which may be of any of the forms."""
    http_response = getattr(result, "http_response", None)
    if http_response is None:
        return deliver(call, result)
    return deliver_raw(call, result, http_response)


def deliver_raw(call: Call, result: Any, http_response: Any) -> Any:
    """Hand over an SDK's raw response, whose body may have been read or not."""
    _note_request_id(call, http_response)
    if getattr(http_response, "is_stream_consumed", False) and not call.request.stream:
        call.succeed(_parsed(http_response.content))
    elif call.holds:
        loaded["peekr.instrumentation.held_raw:HeldTap"](call, http_response)
    else:
        Tap(call, http_response)
    return result


def _parsed(body: bytes) -> Any:
    try:
        return loads(body)
    except ValueError:
        return None  # the provider's answer is no JSON: the call itself is still recorded


def _note_request_id(call: Call, http_response: Any) -> None:
    headers = getattr(http_response, "headers", None)
    if headers is not None:
        for name in _REQUEST_ID_HEADERS:
            value = headers.get(name)
            if value:
                call.note(own.PEEKR_REQUEST_ID, value)
                return


def is_raw(kwargs: Mapping[str, Any]) -> bool:
    """Whether a call's arguments ask for the raw response, by the header that the SDK adds."""
    headers = kwargs.get("extra_headers")
    if not headers or not isinstance(headers, Mapping):
        return False
    return any(str(key).lower() == _RAW_HEADER for key in cast("Mapping[Any, Any]", headers))


class Tap:
    """Keeps a copy of a body while somebody else reads it, and ends the call with the body."""

    def __init__(self, call: Call, http_response: Any) -> None:
        self._call = call
        self._accumulator = call.streaming()
        call.arriving = self
        self._body: list[bytes] = []
        self._reading: Any = None
        content_type = http_response.headers.get("content-type") or ""
        self._splitter = SPLITTERS.get(content_type.partition(";")[0].strip().lower())
        self._is_events = self._splitter is not None
        # Public methods, shadowed on this instance alone; read(), iter_text() and iter_lines()
        # all come through iter_bytes().
        http_response.iter_bytes = self._tapped(http_response.iter_bytes)
        http_response.aiter_bytes = self._atapped(http_response.aiter_bytes)
        http_response.close = self._closing(http_response.close)
        http_response.aclose = self._aclosing(http_response.aclose)
        # A response that is dropped unread is a stream that is abandoned.
        weakref.finalize(http_response, self._dropped).atexit = False

    def add(self, chunk: Any) -> None:
        """Take nothing: the bytes are read when somebody asks what they say."""

    def response(self) -> Response:
        """What the bytes that have arrived say."""
        return self._read().response()

    def _tapped(self, original: Callable[..., Iterator[bytes]]) -> Callable[..., Iterator[bytes]]:
        def pass_on(*args: Any, **kwargs: Any) -> Iterator[bytes]:
            try:
                for chunk in original(*args, **kwargs):
                    self._take(chunk)
                    yield chunk
            except GeneratorExit:
                raise
            except BaseException as error:
                self._call.fail(error, self._read())
                raise
            self._ended()

        def iter_bytes(*args: Any, **kwargs: Any) -> Iterator[bytes]:
            self._reading = pass_on(*args, **kwargs)
            return self._reading

        return iter_bytes

    def _atapped(
        self, original: Callable[..., AsyncIterator[bytes]]
    ) -> Callable[..., AsyncIterator[bytes]]:
        async def pass_on(*args: Any, **kwargs: Any) -> AsyncIterator[bytes]:
            try:
                async for chunk in original(*args, **kwargs):
                    self._take(chunk)
                    yield chunk
            except GeneratorExit:
                raise
            except asyncio.CancelledError:
                # The consumer was stopped, not the stream.
                self._call.abandon(self._read())
                raise
            except BaseException as error:
                self._call.fail(error, self._read())
                raise
            self._ended()

        def aiter_bytes(*args: Any, **kwargs: Any) -> AsyncIterator[bytes]:
            self._reading = pass_on(*args, **kwargs)
            return self._reading

        return aiter_bytes

    def _closing(self, original: Callable[[], None]) -> Callable[[], None]:
        def close() -> None:
            try:
                original()
            finally:
                self._closed()

        return close

    def _aclosing(self, original: Callable[[], Any]) -> Callable[[], Any]:
        async def aclose() -> None:
            try:
                await original()
            finally:
                self._closed()

        return aclose

    def _take(self, chunk: bytes) -> None:
        if self._is_events:
            self._call.chunk_arrived()
        self._body.append(chunk)

    def _ended(self) -> None:
        if not self._call.ended:
            if self._is_events:
                self._call.finish(self._read())
            else:
                self._succeed()

    def _closed(self) -> None:
        # HTTPX closes a response from within the iterator that has just read it to its end: then
        # the last bytes are still on their way, and the iterator's own end is what counts.
        running = getattr(self._reading, "gi_running", False) or getattr(
            self._reading, "ag_running", False
        )
        if not running and not self._call.ended:
            self._call.abandon(self._read())

    def _dropped(self) -> None:
        if not self._call.ended:
            self._call.abandon(self._read())

    def _succeed(self) -> None:
        self._call.succeed(_parsed(b"".join(self._body)))

    def _read(self) -> Accumulator:
        accumulator = self._accumulator
        if self._splitter is None or self._call.ended:
            return accumulator
        try:
            split = self._splitter()
            for event in (*split.feed(b"".join(self._body)), *split.rest()):
                if event.data is not None:
                    accumulator.add(event.data)
        except Exception:
            faults.report(f"reading the events of {self._call.hook.record}")
        self._body.clear()
        return accumulator
