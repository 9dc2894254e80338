"""Runs a generator's body in an OpenTelemetry context of its own, never across a `yield`.

While the body runs its context is current; at each `yield` the consumer's is again. What the body
itself attaches (a span around a `yield`) is kept for its next step. `send`, `throw`, `close` and
return values pass as without it.
"""

from __future__ import annotations

import functools
from collections.abc import AsyncGenerator, Generator
from typing import Any, Callable, Optional, Protocol

from opentelemetry import context as otel_context
from opentelemetry.context import Context

__all__ = ["BareRun", "Run", "wrap_async_generator", "wrap_generator"]


class Run(Protocol):
    """One run of a generator: its context, and who is told what becomes of it. Never raises.

    Attributes:
        context: The context of the body; after each step the one that the body left.
    """

    context: Context

    def item(self, value: Any) -> None:
        """The body gave a value."""
        ...

    def finish(self, value: Any) -> None:
        """The body came to its end with a return value."""
        ...

    def abandon(self) -> None:
        """The consumer closed or dropped it before its end."""
        ...

    def fail(self, error: BaseException) -> None:
        """The body raised."""
        ...


class BareRun:
    """A run that is nothing but its context."""

    def __init__(self, context: Context) -> None:
        self.context = context

    def item(self, value: Any) -> None:
        """Take no notice."""

    def finish(self, value: Any) -> None:
        """Take no notice."""

    def abandon(self) -> None:
        """Take no notice."""

    def fail(self, error: BaseException) -> None:
        """Take no notice."""


def wrap_generator(function: Callable[..., Any], begin: Callable[[Any, Any], Run]) -> Any:
    """A generator function in the place of another.

    Args:
        function: The generator function.
        begin: Makes the run from `args` and `kwargs`, when the first value is asked for.
    """

    @functools.wraps(function)
    def wrapper(*args: Any, **kwargs: Any) -> Generator[Any, Any, Any]:
        run = begin(args, kwargs)
        try:
            body = function(*args, **kwargs)
            item = _step(run, body.__next__)
            while True:
                run.item(item)
                try:
                    sent = yield item
                except GeneratorExit:
                    value = _step(run, body.close)
                    run.abandon()
                    if value is not None:
                        return value  # from Python 3.13 on, close() gives it to its caller
                    raise
                except BaseException as thrown:
                    item = _step(run, body.throw, thrown)
                else:
                    if sent is None:
                        item = _step(run, body.__next__)
                    else:
                        item = _step(run, body.send, sent)
        except StopIteration as stop:
            run.finish(stop.value)
            return stop.value
        except GeneratorExit:
            run.abandon()
            raise
        except BaseException as error:
            run.fail(error)
            raise

    return wrapper


def wrap_async_generator(function: Callable[..., Any], begin: Callable[[Any, Any], Run]) -> Any:
    """As `wrap_generator`, for async generator functions."""

    @functools.wraps(function)
    async def wrapper(*args: Any, **kwargs: Any) -> AsyncGenerator[Any, Any]:
        run = begin(args, kwargs)
        given: Optional[BaseException] = None
        try:
            body = function(*args, **kwargs)
            item = await _astep(run, body.__anext__)
            while True:
                run.item(item)
                try:
                    sent = yield item
                except GeneratorExit:
                    await _astep(run, body.aclose)
                    run.abandon()
                    raise
                except BaseException as thrown:
                    given = thrown
                    item = await _astep(run, body.athrow, thrown)
                else:
                    item = await _astep(run, body.asend, sent)
        except StopAsyncIteration:
            run.finish(None)
        except GeneratorExit:
            run.abandon()
            raise
        except BaseException as error:
            # A loop that ends cancels the closing of what was dropped: a cancellation that comes
            # to a `yield` and not to an `await` means that the consumer has gone.
            if error is given and type(error).__name__ == "CancelledError":
                run.abandon()
            else:
                run.fail(error)
            raise

    return wrapper


def _step(run: Run, resume: Callable[..., Any], *sent: Any) -> Any:
    before = otel_context.get_current()
    otel_context.attach(run.context)
    try:
        return resume(*sent)
    finally:
        run.context = otel_context.get_current()
        otel_context.attach(before)


async def _astep(run: Run, resume: Callable[..., Any], *sent: Any) -> Any:
    before = otel_context.get_current()
    otel_context.attach(run.context)
    try:
        return await resume(*sent)
    except GeneratorExit:
        # This step itself was dropped while it waited, perhaps by a collection in the middle of
        # another task, whose context is not to be touched.
        if otel_context.get_current() is not run.context:
            before = otel_context.get_current()
        raise
    finally:
        run.context = otel_context.get_current()
        otel_context.attach(before)
