"""The only drivers, one for methods that return and one for methods that are awaited."""

from __future__ import annotations

import os
from collections.abc import Awaitable
from types import CoroutineType
from typing import Any, Callable, cast

from opentelemetry import context as otel_context

from peekr import faults
from peekr.context import is_internal
from peekr.errors import GuardrailError
from peekr.instrumentation.aside import aside
from peekr.instrumentation.call import Call
from peekr.instrumentation.contract import Response
from peekr.instrumentation.runtime import (
    ACTIVE_KEY,
    SUPPRESS_KEY,
    Hook,
    Runtime,
    open_streams,
)
from peekr.late import loaded

__all__ = ["drive", "drive_async", "end_open_streams"]

# Loaded with the first call that is guarded.
_GUARDED_CALL = "peekr.instrumentation.guarded:GuardedCall"


def drive(
    runtime: Runtime,
    hook: Hook,
    original: Callable[..., Any],
    instance: Any,
    args: tuple[Any, ...],
    kwargs: dict[str, Any],
) -> Any:
    """Run one synchronous call; returns what the SDK returned, a stream behind its proxy."""
    if _is_off(hook):
        return original(instance, *args, **kwargs)
    kind = Call if runtime.gate is None or is_internal() else loaded[_GUARDED_CALL]
    call: Call = kind(runtime, hook, instance, args, kwargs)
    token = otel_context.attach(call.context())
    try:
        if runtime.admissions:
            call.admit()
        call.hush(args)
        result = original(instance, *args, **call.kwargs)
    except BaseException as error:
        call.fail(error)
        raise
    finally:
        otel_context.detach(token)
    return _deliver(call, result)


async def drive_async(
    runtime: Runtime,
    hook: Hook,
    original: Callable[..., Any],
    instance: Any,
    args: tuple[Any, ...],
    kwargs: dict[str, Any],
) -> Any:
    """Run one call that is awaited; otherwise as `drive`."""
    if _is_off(hook):
        return await original(instance, *args, **kwargs)
    kind = Call if runtime.gate is None or is_internal() else loaded[_GUARDED_CALL]
    call: Call = kind(runtime, hook, instance, args, kwargs)
    before, inside = otel_context.get_current(), call.context()
    token = otel_context.attach(inside)
    try:
        if runtime.admissions:
            call.admit()
        call.hush(args)
        result = await original(instance, *args, **call.kwargs)
    except GeneratorExit:
        # The coroutine was dropped or closed, perhaps in another context, where a token of this
        # one cannot be given back and our span is not current.
        token = None
        if otel_context.get_current() is inside:
            otel_context.attach(before)
        call.fail(GeneratorExit("the call was dropped before it returned"))
        raise
    except BaseException as error:
        call.fail(error)
        raise
    finally:
        if token is not None:
            otel_context.detach(token)
    delivered = await aside(_deliver, call, result) if call.waits else _deliver(call, result)
    if type(delivered) is CoroutineType:
        return await _deliver_later(call, result, cast("Any", delivered))
    return delivered


def end_open_streams() -> None:
    """End the spans of streams that are still open, as left by the caller; for shutdown."""
    for call in _still_open():
        call.abandon(call.arriving or _Nothing())


def _leave_to_parent() -> None:
    """In a fork's child: a stream that was open is the parent's, whose span ends there alone."""
    for call in _still_open():
        call.disown()


def _still_open() -> list[Call]:
    while True:
        try:
            return list(open_streams)
        except RuntimeError:
            pass  # another thread opened a stream meanwhile


def _deliver(call: Call, result: Any) -> Any:
    if not call.reading:
        return result
    try:
        return loaded[call.hook.deliver](call, result)
    except GuardrailError:
        raise
    except Exception:
        try:
            faults.report(f"delivering a result of {call.hook.record}")
        finally:
            call.abandon(_Nothing())
        return result


async def _deliver_later(call: Call, result: Any, delivering: Awaitable[Any]) -> Any:
    try:
        return await delivering
    except GuardrailError:
        raise
    except Exception:
        try:
            faults.report(f"delivering a result of {call.hook.record}")
        finally:
            call.abandon(_Nothing())
        return result
    except BaseException as error:
        call.fail(error)
        raise


def _is_off(hook: Hook) -> bool:
    current = otel_context.get_current()
    return bool(
        current.get(SUPPRESS_KEY)
        # A hooked method that calls another hooked method of its SDK is one call.
        or current.get(ACTIVE_KEY) == hook.provider
    )


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_leave_to_parent)


class _Nothing:
    """An accumulator for a stream of which nothing can be read any more."""

    is_blind = True

    def add(self, chunk: Any) -> None:
        """Take nothing."""

    def response(self) -> Response:
        """Say that the end was not seen."""
        return Response(complete=False)
