"""Work that waits, done beside the event loop, so that the loop goes on."""

from __future__ import annotations

import contextvars
from functools import partial
from typing import Any, Callable

__all__ = ["aside"]


async def aside(function: Callable[..., Any], *args: Any) -> Any:
    """Call a function on another thread, in this context, and wait for it.

    Without a loop of asyncio's, it is called here.
    """
    import asyncio

    try:
        loop = asyncio.get_running_loop()
    except RuntimeError:
        return function(*args)
    run = contextvars.copy_context().run
    return await loop.run_in_executor(None, partial(run, function, *args))
