"""Answers of botocore and aiobotocore: bodies that callers read, and streams of events.

A response is a plain dictionary. Its streaming body is read at once, so that the span tells of the
whole answer at the time it came, however much of it the caller takes; the body then serves its
caller from memory through the object that the SDK made, whose methods, errors and context manager
are the SDK's own. A stream of events stays with the caller, behind a proxy.
"""

from __future__ import annotations

import http.client
import io
from collections.abc import AsyncIterator, Iterator
from typing import Any, Callable, Optional, cast

from peekr.instrumentation.aside import aside
from peekr.instrumentation.call import Call
from peekr.instrumentation.proxy import ObjectProxy
from peekr.instrumentation.stream import (
    AsyncIterableProxy,
    AsyncStreamProxy,
    IterableProxy,
    StreamProxy,
    proxy_kind,
)

__all__ = ["deliver", "deliver_async"]

_PIECE_BYTES = 65536
_METADATA = "ResponseMetadata"


def deliver(call: Call, result: Any) -> Any:
    """Hand a response of botocore to the caller; the dictionary stays the SDK's."""
    if call.request.stream:
        _watch_events(call, result)
        return result
    body = result.get("body")
    if body is None:
        call.succeed(result)
        return result
    data, error = _read(body, call.holds)
    if error is None:
        call.succeed({**result, "body": data})
        return result
    try:
        body.read()  # fails as it will for the caller, with the SDK's own error
    except Exception as seen:
        error = seen
    call.fail(error)
    return result


async def deliver_async(call: Call, result: Any) -> Any:
    """Hand a response of aiobotocore to the caller; the dictionary stays the SDK's."""
    if call.request.stream:
        _watch_events(call, result)
        return result
    body = result.get("body")
    if body is None:
        await _succeed(call, result)
        return result
    data, error = await _read_async(body, call.holds)
    if error is None:
        await _succeed(call, {**result, "body": data})
        return result
    try:
        await body.read()
    except Exception as seen:
        error = seen
    call.fail(error)
    return result


async def _succeed(call: Call, result: dict[str, Any]) -> None:
    if call.waits:
        await aside(call.succeed, result)
    else:
        call.succeed(result)


# -- streams of events ----------------------------------------------------------------------------


def _watch_events(call: Call, result: dict[str, Any]) -> None:
    key = "stream" if "stream" in result else "body"
    stream: Any = result.get(key)
    head = {_METADATA: result.get(_METADATA)}
    if isinstance(stream, (list, tuple)):
        # A stub's events, all at once.
        accumulator = call.streaming()
        for event in (head, *cast("list[Any]", stream)):
            accumulator.add(event)
        call.chunk_arrived()
        call.finish(accumulator)
        return
    kind = cast("type[Any]", type(stream))
    proxy: Any
    # Not by __next__ and __anext__: aiobotocore's streams have an __anext__ that makes iterators.
    if hasattr(kind, "__aiter__"):
        own = stream.__aiter__() is stream
        chosen = AsyncStreamProxy if own else AsyncIterableProxy
        proxy = proxy_kind(chosen, call)(stream, call)
    elif hasattr(kind, "__iter__"):
        own = iter(stream) is stream
        proxy = proxy_kind(StreamProxy if own else IterableProxy, call)(stream, call)
    else:
        call.succeed(result)
        return
    proxy._self_accumulator.add(head)
    result[key] = proxy


# -- bodies ---------------------------------------------------------------------------------------


def _read(body: Any, holds: bool) -> tuple[Optional[bytes], Optional[Exception]]:
    """What a body holds, and how it breaks off; None where it cannot be read without taking it.

    Where guardrails hold answers back, a body that breaks off gives its caller the error alone: its
    beginning cannot be looked at.
    """
    known = _in_memory(body)
    if known is not None:
        return known, None
    raw = _raw_stream(body)
    if raw is None or not hasattr(raw, "read"):
        return None, None
    known = _in_memory(raw)
    if known is not None:
        return known, None
    pieces: list[bytes] = []
    error = None
    try:
        for piece in iter(lambda: raw.read(_PIECE_BYTES), b""):
            pieces.append(piece)
    except Exception as raised:
        error = raised
    data = b"".join(pieces)
    whole_error = error
    missing = getattr(raw, "length_remaining", None)
    if error is None and isinstance(missing, int) and missing > 0:
        whole_error = _cut_off(data, missing)
    shown = b"" if holds and whole_error is not None else data
    body._raw_stream = _Replay(raw, shown, error or (whole_error if holds else None), whole_error)
    # The socket has given all that it will: a caller that sets its timeout has nothing to wait for.
    body.set_socket_timeout = _ignore
    return data, whole_error


async def _read_async(body: Any, holds: bool) -> tuple[Optional[bytes], Optional[Exception]]:
    known = _in_memory(body)
    if known is not None:
        return known, None
    raw = _raw_stream(body)
    if hasattr(raw, "aiter_raw"):  # httpx
        data, error = await _collect(raw.aiter_raw())
        raw.aiter_raw = _replaying(b"" if holds and error is not None else data, error)
        return data, error
    reader = getattr(raw, "content", None)
    if hasattr(reader, "readany"):  # aiohttp
        data, error = await _collect(_pieces(reader))
        raw.content = _AsyncReplay(reader, b"" if holds and error is not None else data, error)
        return data, error
    return None, None


def _cut_off(data: bytes, missing: int) -> Exception:
    """What urllib3 raises when all of a body is asked for that has broken off.

    Before version 2 it does not when the body is read in pieces: it only ends.
    """
    from urllib3.exceptions import ProtocolError

    partial = http.client.IncompleteRead(data, missing)
    return ProtocolError(f"Connection broken: {partial!r}", partial)


def _in_memory(source: Any) -> Optional[bytes]:
    if isinstance(source, (bytes, bytearray)):
        return bytes(source)
    if type(source) is io.BytesIO:
        return source.getvalue()[source.tell() :]
    return None


def _raw_stream(body: Any) -> Any:
    """What a streaming body reads from; None where it is of an unknown kind."""
    if isinstance(body, ObjectProxy):
        return body.__wrapped__  # aiobotocore before 3
    raw = getattr(body, "__dict__", {}).get("_raw_stream")
    return None if isinstance(raw, io.TextIOBase) else raw


async def _pieces(reader: Any) -> AsyncIterator[bytes]:
    while True:
        piece = await reader.read(_PIECE_BYTES)
        if not piece:
            return
        yield piece


async def _collect(pieces: AsyncIterator[bytes]) -> tuple[bytes, Optional[Exception]]:
    taken: list[bytes] = []
    try:
        async for piece in pieces:
            taken.append(piece)
    except Exception as error:
        return b"".join(taken), error
    return b"".join(taken), None


def _replaying(data: bytes, error: Optional[Exception]) -> Callable[..., AsyncIterator[bytes]]:
    async def aiter_raw(chunk_size: Optional[int] = None) -> AsyncIterator[bytes]:
        size = chunk_size or max(len(data), 1)
        for start in range(0, len(data), size):
            yield data[start : start + size]
        if error is not None:
            raise error

    return aiter_raw


def _ignore(timeout: Any) -> None:
    del timeout


class _Replay(ObjectProxy):
    """A raw HTTP response whose body has been read: gives it again, and the error at its end.

    Args:
        wrapped: The response.
        data: What had been read.
        error: Raised after the last byte, and
        whole_error: at once where everything is asked for.
    """

    def __init__(
        self,
        wrapped: Any,
        data: bytes,
        error: Optional[Exception],
        whole_error: Optional[Exception],
    ) -> None:
        super().__init__(wrapped)
        self._self_buffer = io.BytesIO(data)
        self._self_left = len(data)
        self._self_error = error
        self._self_whole_error = whole_error
        self._self_closed = False

    def _self_take(self, data: bytes, asked: bool) -> bytes:
        self._self_left -= len(data)
        if asked and not data and self._self_error is not None:
            raise self._self_error
        return data

    def read(self, amt: Optional[int] = None, *args: Any, **kwargs: Any) -> bytes:
        if self._self_closed:
            return self.__wrapped__.read(amt, *args, **kwargs)
        if self._self_whole_error is not None and (amt is None or amt < 0):
            raise self._self_whole_error
        return self._self_take(self._self_buffer.read(amt), amt != 0)

    def read1(self, amt: Optional[int] = None, *args: Any, **kwargs: Any) -> bytes:
        if self._self_closed:
            return self.__wrapped__.read1(amt, *args, **kwargs)
        return self._self_take(self._self_buffer.read(amt), amt != 0)

    def readinto(self, b: Any) -> int:
        data = self.read(len(b))
        b[: len(data)] = data
        return len(data)

    def readline(self, size: Optional[int] = -1) -> bytes:
        if self._self_closed:
            return self.__wrapped__.readline(-1 if size is None else size)
        return self._self_take(self._self_buffer.readline(size), size != 0)

    def readlines(self, hint: int = -1) -> list[bytes]:
        lines: list[bytes] = []
        length = 0
        for line in self:
            lines.append(line)
            length += len(line)
            if 0 < hint <= length:
                break
        return lines

    def stream(self, amt: Optional[int] = _PIECE_BYTES, *args: Any, **kw: Any) -> Iterator[bytes]:
        del args, kw
        return iter(lambda: self.read1(amt), b"")

    @property
    def data(self) -> bytes:
        return self.read()

    @property
    def closed(self) -> bool:
        return self._self_left == 0 and bool(self.__wrapped__.closed)

    def tell(self) -> int:
        return self._self_buffer.tell()

    def close(self) -> Any:
        self._self_closed = True
        self._self_left = 0
        return self.__wrapped__.close()

    def __iter__(self) -> Iterator[bytes]:
        return iter(self.readline, b"")

    def __next__(self) -> bytes:
        line = self.readline()
        if not line:
            raise StopIteration
        return line

    def __enter__(self) -> Any:
        return self

    def __exit__(self, *exc_info: Any) -> None:
        self.close()


class _AsyncReplay(ObjectProxy):
    """An aiohttp stream reader that has been read: gives its bytes again, and the error."""

    def __init__(self, wrapped: Any, data: bytes, error: Optional[Exception]) -> None:
        super().__init__(wrapped)
        self._self_buffer = io.BytesIO(data)
        self._self_left = len(data)
        self._self_error = error

    def _self_take(self, data: bytes, asked: bool = True) -> bytes:
        self._self_left -= len(data)
        if asked and not data and self._self_error is not None:
            raise self._self_error
        return data

    def at_eof(self) -> bool:
        return self._self_left == 0 and self._self_error is None

    async def read(self, n: int = -1) -> bytes:
        if n < 0 and self._self_error is not None:
            raise self._self_error
        return self._self_take(self._self_buffer.read(n), n != 0)

    async def readany(self) -> bytes:
        return self._self_take(self._self_buffer.read())

    def read_nowait(self, n: int = -1) -> bytes:
        return self._self_take(self._self_buffer.read(n), n != 0)

    async def readchunk(self) -> tuple[bytes, bool]:
        data = self._self_take(self._self_buffer.read())
        return data, bool(data)

    async def readline(self) -> bytes:
        return self._self_take(self._self_buffer.readline())

    async def readexactly(self, n: int) -> bytes:
        if n > self._self_left:
            return await self.__wrapped__.readexactly(n)  # fails as it does at the end
        return self._self_take(self._self_buffer.read(n), n != 0)

    def iter_chunked(self, n: int) -> AsyncIterator[bytes]:
        return self._self_each(lambda: self._self_buffer.read(n))

    def iter_any(self) -> AsyncIterator[bytes]:
        return self._self_each(self._self_buffer.read)

    def __aiter__(self) -> AsyncIterator[bytes]:
        return self._self_each(self._self_buffer.readline)

    async def iter_chunks(self) -> AsyncIterator[tuple[bytes, bool]]:
        async for data in self.iter_any():
            yield data, True

    async def _self_each(self, step: Callable[[], bytes]) -> AsyncIterator[bytes]:
        while True:
            data = self._self_take(step())
            if not data:
                return
            yield data
