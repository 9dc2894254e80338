"""One event loop, on a thread of its own, for evaluators and judges that are coroutine functions.

One for all and for good: clients of an SDK belong to the loop on which they were first used.
"""

from __future__ import annotations

import asyncio
import concurrent.futures
import os
import threading
from collections.abc import Awaitable
from typing import Any, Optional

from peekr.errors import EvaluationError

__all__ = ["stop", "wait_for"]

_STOP_S = 2.0

_lock = threading.Lock()
_loop: Optional[asyncio.AbstractEventLoop] = None
_thread: Optional[threading.Thread] = None


def wait_for(awaitable: Awaitable[Any], timeout_s: Optional[float] = None) -> Any:
    """Run an awaitable on the loop, with the caller's context, and wait for what it gives.

    Args:
        awaitable: A coroutine, say.
        timeout_s: How long to wait; it is cancelled then. None waits for good.

    Raises:
        EvaluationError: time ran out.
        Exception: whatever the awaitable raises.
    """

    async def awaited() -> Any:
        return await awaitable

    future = asyncio.run_coroutine_threadsafe(awaited(), _running())
    try:
        return future.result(timeout_s)
    except concurrent.futures.TimeoutError:
        if future.done():
            raise  # its own
        future.cancel()
        raise EvaluationError(f"it took longer than {timeout_s:g} s") from None


def stop() -> None:
    """Cancel what still runs, and let go of the thread; the next one starts it again."""
    global _loop, _thread
    with _lock:
        loop, thread, _loop, _thread = _loop, _thread, None, None
    if loop is not None and thread is not None:
        loop.call_soon_threadsafe(_cancel_all, loop)
        thread.join(_STOP_S)


def _running() -> asyncio.AbstractEventLoop:
    global _loop, _thread
    with _lock:
        if _loop is None:
            _loop = asyncio.new_event_loop()
            _thread = threading.Thread(
                target=_run, args=(_loop,), name="peekr-eval-loop", daemon=True
            )
            _thread.start()
        return _loop


def _run(loop: asyncio.AbstractEventLoop) -> None:
    asyncio.set_event_loop(loop)
    try:
        loop.run_forever()
        loop.run_until_complete(loop.shutdown_asyncgens())
    finally:
        loop.close()


def _cancel_all(loop: asyncio.AbstractEventLoop) -> None:
    tasks = asyncio.all_tasks(loop)
    for task in tasks:
        task.cancel()

    async def ended() -> None:
        await asyncio.gather(*tasks, return_exceptions=True)
        loop.stop()

    loop.create_task(ended())  # kept alive by what it awaits; the loop ends with it


def _after_fork_in_child() -> None:
    global _lock, _loop, _thread
    _lock = threading.Lock()
    _abandoned.append(_loop)  # closing it would close what the parent's uses
    _loop = _thread = None


_abandoned: list[Any] = []

if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork_in_child)
