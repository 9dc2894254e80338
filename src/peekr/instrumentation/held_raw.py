"""Bodies of raw responses that are held back until guardrails have looked at them."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from typing import Any, Callable, Optional, cast

from peekr.encoding import loads
from peekr.errors import GuardrailError
from peekr.instrumentation.aside import aside
from peekr.instrumentation.contract import Accumulator
from peekr.instrumentation.guarded import GuardedCall
from peekr.instrumentation.held import conclude
from peekr.instrumentation.holding import Hold
from peekr.instrumentation.stainless import Tap

__all__ = ["HeldTap"]

_Iterate = Callable[..., Iterator[bytes]]
_AsyncIterate = Callable[..., AsyncIterator[bytes]]


class HeldTap(Tap):
    """Passes a body's bytes on event by event, each once what it says is clean.

    A body that is no stream of events is passed on when all of it has come. Bytes of events that
    are cut off in the middle are passed on with the last ones.
    """

    def __init__(self, call: GuardedCall, http_response: Any) -> None:
        super().__init__(call, http_response)
        self._guarded = call
        self._split = None if self._splitter is None else self._splitter()
        self._hold = call.hold(self._accumulator) if self._is_events else Hold(self._accumulator)
        self._response = http_response
        # What gives bytes as they came over the wire; iter_bytes() itself comes through it.
        encoding = http_response.headers.get("content-encoding") or "identity"
        self._is_readable = encoding.strip().lower() == "identity"
        http_response.iter_raw = self._raw(http_response.iter_raw, self._tapped)
        http_response.aiter_raw = self._raw(http_response.aiter_raw, self._atapped)

    def _raw(self, original: Any, tapped: Callable[[Any], Any]) -> Any:
        def iterate(*args: Any, **kwargs: Any) -> Any:
            if self._is_readable:
                return tapped(original)(*args, **kwargs)
            # Packed bytes: nobody can look at them.
            self._restore_raw()
            self._guarded.unseen("the packed body")
            return original(*args, **kwargs)

        return iterate

    def _restore_raw(self) -> None:
        for name in ("iter_raw", "aiter_raw"):
            cast("dict[str, Any]", vars(self._response)).pop(name, None)

    def _tapped(self, original: _Iterate) -> _Iterate:
        def pass_on(*args: Any, **kwargs: Any) -> Iterator[bytes]:
            self._restore_raw()
            hold, stream = self._hold, original(*args, **kwargs)
            while not hold.is_over:
                try:
                    chunk = next(stream)
                except StopIteration:
                    self._last()
                except Exception as error:
                    self._last(error)
                except BaseException as error:
                    hold.drop()
                    self._call.fail(error, self._read())
                    raise
                else:
                    if self._add(chunk):
                        self._response.close()
                while hold.ready:
                    yield hold.ready.popleft()
            if hold.error is not None:
                error, hold.error = hold.error, None
                raise error

        return self._remembered(pass_on)

    def _atapped(self, original: _AsyncIterate) -> _AsyncIterate:
        async def pass_on(*args: Any, **kwargs: Any) -> AsyncIterator[bytes]:
            self._restore_raw()
            hold, stream = self._hold, original(*args, **kwargs)
            while not hold.is_over:
                try:
                    chunk = await stream.__anext__()
                except StopAsyncIteration:
                    await self._last_async()
                except Exception as error:
                    await self._last_async(error)
                except (asyncio.CancelledError, GeneratorExit):
                    hold.drop()
                    self._call.abandon(self._read())
                    raise
                else:
                    if self._add(chunk):
                        await self._response.aclose()
                while hold.ready:
                    yield hold.ready.popleft()
            if hold.error is not None:
                error, hold.error = hold.error, None
                raise error

        return self._remembered(pass_on)

    def _remembered(self, pass_on: Callable[..., Any]) -> Any:
        def iterate(*args: Any, **kwargs: Any) -> Any:
            self._reading = pass_on(*args, **kwargs)
            return self._reading

        return iterate

    def _add(self, chunk: bytes) -> bool:
        """Take bytes; True when something was found in them."""
        hold = self._hold
        if self._split is None:
            self._body.append(chunk)
            hold.add(chunk)
            return False
        self._call.chunk_arrived()
        for event in self._split.feed(chunk):
            if event.data is not None:
                self._accumulator.add(event.data)
            hold.add(event.raw)
            if hold.found:
                conclude(self._guarded, self._accumulator, hold)
                return True
        return False

    def _last(self, error: Optional[BaseException] = None) -> None:
        """The last byte has come, or an error in its place."""
        hold = self._hold
        if self._split is None:
            self._last_of_body(error)
            return
        for event in self._split.rest():
            if event.data is not None:
                self._accumulator.add(event.data)
            hold.add(event.raw)
        conclude(self._guarded, self._accumulator, hold, error)

    async def _last_async(self, error: Optional[BaseException] = None) -> None:
        if self._guarded.waits:
            await aside(self._last, error)
        else:
            self._last(error)

    def _last_of_body(self, error: Optional[BaseException]) -> None:
        hold = self._hold
        hold.is_over = True
        try:
            if error is not None:
                # Of a body that breaks off, nothing can be looked at.
                hold.drop()
                hold.error = error
                self._call.fail(error)
                return
            body = b"".join(self._body)
            try:
                self._call.succeed(loads(body))
            except ValueError:
                self._call.succeed(body)
        except GuardrailError as blocked:
            hold.drop()
            hold.error = blocked
        else:
            hold.release()

    def _read(self) -> Accumulator:
        return self._accumulator
