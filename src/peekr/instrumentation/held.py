"""Stream proxies that hold chunks back until guardrails have looked at them; see `stream.py`."""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, Callable, Optional, cast

from peekr.errors import GuardrailError
from peekr.instrumentation.aside import aside
from peekr.instrumentation.holding import Hold
from peekr.instrumentation.stream import (
    AsyncIterableProxy,
    AsyncIterator,
    AsyncStreamProxy,
    GeneratorProxy,
    IterableProxy,
    ResponseProxy,
    StreamProxy,
)

if TYPE_CHECKING:
    from peekr.instrumentation.contract import Accumulator
    from peekr.instrumentation.guarded import GuardedCall

__all__ = [
    "KINDS",
    "HeldAsyncIterable",
    "HeldAsyncStream",
    "HeldGenerator",
    "HeldIterable",
    "HeldStream",
    "conclude",
    "conclude_async",
]


def conclude(
    call: GuardedCall, accumulator: Accumulator, hold: Hold, error: Optional[BaseException] = None
) -> None:
    """The last chunk has come, or something was found: let the rest go, or have an error raised.

    Args:
        call: The call, which ends.
        accumulator: Says what has arrived.
        hold: Holds the chunks; its `error` is what is to be raised after those that it lets go.
        error: What the SDK raised instead of a chunk.
    """
    hold.is_over = True
    if hold.found:
        call.object_to(hold.found)
    try:
        if error is None:
            call.finish(accumulator)
        else:
            call.fail(error, accumulator)
    except GuardrailError as blocked:
        hold.drop()
        hold.error = blocked
    else:
        hold.release()
        hold.error = error


async def conclude_async(
    call: GuardedCall, accumulator: Accumulator, hold: Hold, error: Optional[BaseException] = None
) -> None:
    """`conclude`, beside the event loop where it waits for a judge."""
    if call.waits:
        await aside(conclude, call, accumulator, hold, error)
    else:
        conclude(call, accumulator, hold, error)


_BODY = frozenset(
    [
        "content",
        "text",
        "json",
        "read",
        "aread",
        "iter_bytes",
        "iter_raw",
        "iter_text",
        "iter_lines",
        "aiter_bytes",
        "aiter_raw",
        "aiter_text",
        "aiter_lines",
    ]
)


class _HeldResponse(ResponseProxy):
    """An HTTP response whose body, read from it itself, nobody looks at: that is noted."""

    def __init__(self, wrapped: Any, closed: Any, unseen: Callable[[str], None]) -> None:
        super().__init__(wrapped, closed)
        self._self_unseen = unseen

    def __getattr__(self, name: str) -> Any:
        if name in _BODY:
            self._self_unseen("the HTTP response")
        return getattr(self.__wrapped__, name)


class HeldStream(StreamProxy):
    """A synchronous stream."""

    def __init__(self, wrapped: Any, call: Any) -> None:
        super().__init__(wrapped, call)
        self._self_hold: Hold = call.hold(self._self_accumulator)

    def __next__(self) -> Any:
        return self._self_step(lambda: next(self.__wrapped__))

    def _self_shown(self, response: Any) -> Any:
        call = cast("GuardedCall", self._self_call)
        return _HeldResponse(response, self._self_left, call.unseen)

    def _self_loop(self) -> Iterator[Any]:
        step = iter(self.__wrapped__).__next__
        while True:
            try:
                chunk = self._self_step(step)
            except StopIteration:
                return
            yield chunk

    def _self_step(self, pull: Callable[[], Any]) -> Any:
        """The next chunk that may be handed on, from `pull` as many as that takes."""
        hold, call = self._self_hold, cast("GuardedCall", self._self_call)
        while not hold.ready:
            if hold.is_over:
                _end(hold)
                raise StopIteration
            try:
                chunk = pull()
            except StopIteration:
                conclude(call, self._self_accumulator, hold)
            except Exception as error:
                conclude(call, self._self_accumulator, hold, error)
            except BaseException as error:
                hold.drop()
                call.fail(error, self._self_accumulator)
                raise
            else:
                if self._self_take(chunk):
                    hold.add(chunk)
                    if hold.found:
                        conclude(call, self._self_accumulator, hold)
                        _close(self.__wrapped__)
        return hold.ready.popleft()


class HeldGenerator(GeneratorProxy, HeldStream):
    """A generator of the SDK."""

    def send(self, value: Any) -> Any:
        """Go on; a value for the generator is not handed on, for it may be further already."""
        del value
        return next(self)

    def throw(self, *error: Any) -> Any:
        """Raise the caller's exception in the generator, which leaves the stream."""
        try:
            self.__wrapped__.throw(*error)
        finally:
            self._self_hold.drop()
            self._self_left()
        return next(self)


class HeldIterable(IterableProxy, HeldStream):
    """A synchronous stream that is no iterator but makes them."""


class HeldAsyncStream(AsyncStreamProxy):
    """An asynchronous stream."""

    def __init__(self, wrapped: Any, call: Any) -> None:
        super().__init__(wrapped, call)
        self._self_hold: Hold = call.hold(self._self_accumulator)

    async def __anext__(self) -> Any:
        hold, call = self._self_hold, cast("GuardedCall", self._self_call)
        while not hold.ready:
            if hold.is_over:
                _end(hold)
                raise StopAsyncIteration
            try:
                chunk = await self.__wrapped__.__anext__()
            except StopAsyncIteration:
                await conclude_async(call, self._self_accumulator, hold)
            except Exception as error:
                await conclude_async(call, self._self_accumulator, hold, error)
            except (asyncio.CancelledError, GeneratorExit):
                hold.drop()
                self._self_left()
                raise
            except BaseException as error:
                hold.drop()
                call.fail(error, self._self_accumulator)
                raise
            else:
                if self._self_take(chunk):
                    hold.add(chunk)
                    if hold.found:
                        await conclude_async(call, self._self_accumulator, hold)
                        await self._self_stop()
        return hold.ready.popleft()

    async def _self_stop(self) -> None:
        await _aclose(self.__wrapped__)

    def _self_shown(self, response: Any) -> Any:
        call = cast("GuardedCall", self._self_call)
        return _HeldResponse(response, self._self_left, call.unseen)


class HeldAsyncIterable(AsyncIterableProxy, HeldAsyncStream):
    """An asynchronous stream that is no iterator but makes them."""

    def __aiter__(self) -> Any:
        return _HeldAsyncIterator(self.__wrapped__.__aiter__(), self)


class _HeldAsyncIterator(AsyncIterator, HeldAsyncStream):
    """An iterator of such a stream; what is held is the stream's."""

    def __init__(self, wrapped: Any, stream: Any) -> None:
        AsyncIterator.__init__(self, wrapped, stream)
        self._self_hold = stream._self_hold

    async def _self_stop(self) -> None:
        await _aclose(self._self_stream.__wrapped__)


KINDS: dict[type[Any], type[Any]] = {
    StreamProxy: HeldStream,
    GeneratorProxy: HeldGenerator,
    IterableProxy: HeldIterable,
    AsyncStreamProxy: HeldAsyncStream,
    AsyncIterableProxy: HeldAsyncIterable,
}
"""The proxies that hold chunks back, by those that do not."""


def _end(hold: Hold) -> None:
    """Raise what is to be raised at the end, once."""
    error, hold.error = hold.error, None
    if error is not None:
        raise error


def _close(stream: Any) -> None:
    """Close the SDK's stream: nobody takes its chunks any more."""
    try:
        stream.close()
    except Exception:
        pass  # it has no such method, or the connection is broken: the verdict is what counts


async def _aclose(stream: Any) -> None:
    close = getattr(stream, "aclose", None) or getattr(stream, "close", None)
    try:
        closed: Any = None if close is None else close()
        if inspect.isawaitable(closed):
            await closed
    except Exception:
        pass  # as above
