"""Sessions and spans in threads: what is started inside a block carries it.

OpenTelemetry's context does not flow into threads by itself. While Peekr is installed,
`Thread.start` and `ThreadPoolExecutor.submit` (so `run_in_executor` and `map` as well) take it
along wherever a session, a feature or a span of Peekr's is current; elsewhere they do what they
always did. Beside `opentelemetry-instrumentation-threading`, which does the same, nothing is
doubled: the context is attached twice, and is the same.
"""

from __future__ import annotations

import functools
import threading
import types
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Callable, Optional, cast

from opentelemetry import context as otel_context
from opentelemetry.context import Context

from peekr import faults
from peekr.context import NO_SCOPE, current_scope
from peekr.tracing import OWN_SPAN

__all__ = ["carry_into_threads", "leave_threads_alone"]


def carry_into_threads() -> None:
    """Begin; a second call does nothing."""
    for patch in _patches:
        patch.put()


def leave_threads_alone() -> None:
    """Stop, and put the standard library's own methods back; a second call does nothing."""
    for patch in _patches:
        patch.remove()


def _to_carry() -> Optional[Context]:
    """The current context, where there is something in it that is Peekr's."""
    context = otel_context.get_current()
    if context.get(OWN_SPAN) is None and current_scope(context) is NO_SCOPE:
        return None
    return context


def _inside(context: Context, function: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(function, updated=())
    def carried(*args: Any, **kwargs: Any) -> Any:
        before = otel_context.get_current()
        otel_context.attach(context)
        try:
            return function(*args, **kwargs)
        finally:
            otel_context.attach(before)

    return carried


class _Patch:
    """One method of the standard library, replaced by a plain function.

    Plain, not a proxy of wrapt: other instrumentations take a proxy for their own when they remove
    themselves.
    """

    def __init__(self, owner: Any, name: str, make: Callable[[_Patch, Any], Any]) -> None:
        self.active = False
        self._owner = owner
        self._name = name
        self._make = make
        self._original: Any = None
        self._shim: Any = None

    def put(self) -> None:
        self.active = True
        present = cast("Callable[..., Any]", vars(self._owner)[self._name])
        if self._shim is None or not (present is self._original or self._is_within(present)):
            self._original = present
            self._shim = functools.wraps(present)(self._make(self, _unbound(present)))
        if present is self._original:
            setattr(self._owner, self._name, self._shim)

    def _is_within(self, wrapper: Any) -> bool:
        """Whether somebody has wrapped ours, so that it is called still."""
        while wrapper is not None and wrapper is not self._shim:
            wrapper = getattr(wrapper, "__wrapped__", None)
        return wrapper is not None

    def remove(self) -> None:
        """Put the original back, unless somebody has wrapped ours since: then ours passes on."""
        self.active = False
        if self._shim is not None and vars(self._owner)[self._name] is self._shim:
            setattr(self._owner, self._name, self._original)


def _unbound(method: Any) -> Callable[..., Any]:
    if type(method) is types.FunctionType:  # proxies call themselves functions
        return cast("Callable[..., Any]", method)

    # Somebody else's wrapper: bind it as the class would have.
    def call(self: Any, *args: Any, **kwargs: Any) -> Any:
        return method.__get__(self, cast("Any", type(self)))(*args, **kwargs)

    return call


# The threads of a pool outlive the task that made the pool start them: they carry nothing, each
# task carries its own.
_in_submit = threading.local()


def _start(patch: _Patch, original: Callable[..., Any]) -> Callable[..., Any]:
    def start(self: threading.Thread, *args: Any, **kwargs: Any) -> Any:
        if patch.active and not getattr(_in_submit, "now", False):
            _carry_run(self)
        return original(self, *args, **kwargs)

    return start


def _carry_run(thread: threading.Thread) -> None:
    try:
        context = _to_carry()
        if context is None or "run" in vars(thread):
            return
        run = thread.run

        def carried() -> None:
            # A thread does not start twice: away with what keeps it and its context in a cycle.
            vars(thread).pop("run", None)
            _inside(context, run)()

        # On the instance: it holds for subclasses with a run() of their own as well.
        thread.run = carried
    except Exception:
        faults.report("carrying a session into a thread")


def _submit(patch: _Patch, original: Callable[..., Any]) -> Callable[..., Any]:
    def submit(self: Any, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Any:
        context = _to_carry() if patch.active else None
        if context is None:
            return original(self, fn, *args, **kwargs)
        if callable(fn):  # pyright: ignore[reportUnnecessaryComparison]
            fn = _inside(context, fn)
        outer = getattr(_in_submit, "now", False)
        _in_submit.now = True
        try:
            return original(self, fn, *args, **kwargs)
        finally:
            _in_submit.now = outer

    return submit


_patches = (
    _Patch(threading.Thread, "start", cast("Any", _start)),
    _Patch(ThreadPoolExecutor, "submit", cast("Any", _submit)),
)
