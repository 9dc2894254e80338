"""Stream proxies: exhausted, closed, broken off, failed, dropped; the span ends once on each.

The proxy is the SDK's stream in all respects (`isinstance`, attributes, context manager) and looks
at each chunk as the caller takes it. It drives `__next__` rather than a generator, so that an
early `break` is no error, and holds no attached context, so that a stream may be consumed in any
thread or task.
"""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Iterator
from functools import lru_cache
from types import GeneratorType
from typing import Any, cast

from opentelemetry import context as otel_context

from peekr import faults
from peekr.instrumentation.call import Call
from peekr.instrumentation.contract import Accumulator
from peekr.instrumentation.proxy import ObjectProxy
from peekr.late import loaded

__all__ = [
    "AsyncIterableProxy",
    "AsyncIterator",
    "AsyncStreamProxy",
    "GeneratorProxy",
    "IterableProxy",
    "ResponseProxy",
    "StreamProxy",
    "deliver",
    "proxy_kind",
]


def deliver(call: Call, result: Any) -> Any:
    """Hand a result to the caller: as it is when it is whole, behind a proxy when it streams."""
    if call.request.stream:
        kind = cast("type[Any]", type(result))
        # Another library's wrapper may have both: then it is what the method gives.
        is_sync = not call.hook.is_async and hasattr(kind, "__next__")
        if not is_sync and hasattr(kind, "__anext__"):
            return proxy_kind(AsyncStreamProxy, call)(result, call)
        if kind is GeneratorType:
            return proxy_kind(GeneratorProxy, call)(result, call)
        if hasattr(kind, "__next__"):
            return proxy_kind(StreamProxy, call)(result, call)
    call.succeed(result)
    return result


def proxy_kind(kind: type[Any], call: Call) -> type[Any]:
    """A proxy of this module's, or the one like it that holds chunks back, as the call says."""
    if not call.holds:
        return kind
    kinds: dict[type[Any], type[Any]] = loaded["peekr.instrumentation.held:KINDS"]
    return kinds[kind]


class _Proxy(ObjectProxy):
    """What all proxies share: the call, its accumulator, and the SDK's HTTP response."""

    def __init__(self, wrapped: Any, call: Call) -> None:
        super().__init__(wrapped)
        self._self_call: Call = call
        self._self_accumulator: Accumulator = call.streaming()
        self._self_response: Any = None

    def _self_take(self, chunk: Any) -> bool:
        """Look at a chunk; False when the caller must not see it. Runs once a chunk."""
        call = self._self_call
        try:
            if call.first_chunk_ns == 0 or call.chunk_times_ns is not None:
                call.chunk_arrived()
            self._self_accumulator.add(chunk)
            return call.hidden is None or not call.hidden(chunk)
        except Exception:
            faults.report(f"reading a chunk of {call.hook.record}")
            return True

    def _self_left(self) -> None:
        self._self_call.abandon(self._self_accumulator)

    @property
    def response(self) -> Any:
        """The SDK's HTTP response; closing it closes the stream, as the SDKs' helpers do."""
        response = self.__wrapped__.response
        if self._self_response is None or self._self_response.__wrapped__ is not response:
            self._self_response = self._self_shown(response)
        return self._self_response

    def _self_shown(self, response: Any) -> Any:
        return ResponseProxy(response, self._self_left)

    def __copy__(self) -> Any:
        return self

    def __del__(self) -> None:
        try:
            self._self_left()
        except Exception:
            pass  # half-made or torn down with the interpreter: nothing to end, nobody to tell


@lru_cache(maxsize=64)
def _makes_generators(kind: type) -> bool:
    return inspect.isgeneratorfunction(cast("Any", kind).__iter__)


class StreamProxy(_Proxy):
    """A synchronous stream."""

    def __iter__(self) -> Any:
        # As the SDK has it, whose `iter()` of a stream is another generator at times.
        return (
            self._self_loop()
            if _makes_generators(cast("type[Any]", type(self.__wrapped__)))
            else self
        )

    def _self_loop(self) -> Iterator[Any]:
        """One loop over the chunks; the next one goes on where it was left.

        Leaving it (GeneratorExit, at the yield) ends nothing; it keeps the stream alive, whose own
        end counts.
        """
        step = iter(self.__wrapped__).__next__
        call, accumulator = self._self_call, self._self_accumulator
        add, hidden, timed = accumulator.add, call.hidden, call.chunk_times_ns is not None
        while True:
            try:
                chunk = step()
            except StopIteration:
                call.finish(accumulator)
                return
            except BaseException as error:
                call.fail(error, accumulator)
                raise
            # As in _self_take, whose way through the proxy costs more than all the rest.
            try:
                if timed or call.first_chunk_ns == 0:
                    call.chunk_arrived()
                add(chunk)
                if hidden is not None and hidden(chunk):
                    continue
            except Exception:
                faults.report(f"reading a chunk of {call.hook.record}")
            yield chunk

    def __next__(self) -> Any:
        while True:
            try:
                chunk = next(self.__wrapped__)
            except StopIteration:
                self._self_call.finish(self._self_accumulator)
                raise
            except BaseException as error:
                self._self_call.fail(error, self._self_accumulator)
                raise
            if self._self_take(chunk):
                return chunk

    def __enter__(self) -> Any:
        entered = self.__wrapped__.__enter__()
        return self if entered is self.__wrapped__ else entered

    def __exit__(self, *exc_info: Any) -> Any:
        try:
            return self.__wrapped__.__exit__(*exc_info)
        finally:
            self._self_left()

    def close(self) -> Any:
        """Close the SDK's stream and end the span."""
        try:
            return self.__wrapped__.close()
        finally:
            self._self_left()


class GeneratorProxy(StreamProxy):
    """A generator of the SDK, which sends its request when it is asked for the first chunk."""

    def __init__(self, wrapped: Any, call: Call) -> None:
        super().__init__(wrapped, call)
        self._self_begun = False

    def __next__(self) -> Any:
        if self._self_begun:
            return super().__next__()
        self._self_begun = True
        # Attached for this one step, in one thread: the SDK's own work belongs below the span.
        token = otel_context.attach(self._self_call.context())
        try:
            return super().__next__()
        finally:
            otel_context.detach(token)

    def send(self, value: Any) -> Any:
        """Go on with a value for the generator."""
        if value is None:
            return next(self)
        try:
            chunk = self.__wrapped__.send(value)
        except StopIteration:
            self._self_call.finish(self._self_accumulator)
            raise
        except BaseException as error:
            self._self_call.fail(error, self._self_accumulator)
            raise
        self._self_take(chunk)
        return chunk

    def throw(self, *error: Any) -> Any:
        """Raise the caller's exception in the generator, which leaves the stream unless caught."""
        try:
            chunk = self.__wrapped__.throw(*error)
        except BaseException:
            self._self_left()
            raise
        self._self_take(chunk)
        return chunk


class AsyncStreamProxy(_Proxy):
    """An asynchronous stream."""

    def __aiter__(self) -> Any:
        return self

    async def __anext__(self) -> Any:
        while True:
            try:
                chunk = await self.__wrapped__.__anext__()
            except StopAsyncIteration:
                self._self_call.finish(self._self_accumulator)
                raise
            except (asyncio.CancelledError, GeneratorExit):
                # The consumer was stopped, not the stream.
                self._self_left()
                raise
            except BaseException as error:
                self._self_call.fail(error, self._self_accumulator)
                raise
            if self._self_take(chunk):
                return chunk

    async def __aenter__(self) -> Any:
        entered = await self.__wrapped__.__aenter__()
        return self if entered is self.__wrapped__ else entered

    async def __aexit__(self, *exc_info: Any) -> Any:
        try:
            return await self.__wrapped__.__aexit__(*exc_info)
        finally:
            self._self_left()

    async def close(self) -> Any:
        """Close the SDK's stream and end the span."""
        try:
            return await self.__wrapped__.close()
        finally:
            self._self_left()

    async def aclose(self) -> Any:
        """Close the SDK's stream and end the span."""
        try:
            return await self.__wrapped__.aclose()
        finally:
            self._self_left()


class IterableProxy(StreamProxy):
    """A synchronous stream that is no iterator but makes them, each going on from the last one.

    So leaving a loop early does not end the call: closing or dropping the stream does.
    """

    def __iter__(self) -> Any:
        return self._self_loop()


class AsyncIterableProxy(AsyncStreamProxy):
    """An asynchronous stream that is no iterator but makes them; see `IterableProxy`."""

    def __aiter__(self) -> Any:
        return AsyncIterator(self.__wrapped__.__aiter__(), self)

    def close(self) -> Any:
        """Close the SDK's stream and end the span; awaited or not, as the SDK has it."""
        try:
            return self.__wrapped__.close()
        finally:
            self._self_left()


class AsyncIterator(AsyncStreamProxy):
    """An iterator of a stream; it keeps the stream alive, and its own end is not the stream's.

    No generator: one that is dropped ends later, in a task of the event loop's.
    """

    def __init__(self, wrapped: Any, stream: _Proxy) -> None:
        ObjectProxy.__init__(self, wrapped)
        self._self_call = stream._self_call
        self._self_accumulator = stream._self_accumulator
        self._self_stream = stream

    async def aclose(self) -> Any:
        """Close the SDK's iterator, which ends nothing."""
        return await self.__wrapped__.aclose()

    def __del__(self) -> None:
        pass


class ResponseProxy(ObjectProxy):
    """An HTTP response whose closing ends the call."""

    def __init__(self, wrapped: Any, closed: Any) -> None:
        super().__init__(wrapped)
        self._self_closed = closed

    def close(self) -> Any:
        """Close the response and end the call."""
        try:
            return self.__wrapped__.close()
        finally:
            self._self_closed()

    async def aclose(self) -> Any:
        """Close the response and end the call."""
        try:
            return await self.__wrapped__.aclose()
        finally:
            self._self_closed()
