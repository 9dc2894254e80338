"""Blocks that say on whose behalf work is done: sessions and features."""

from __future__ import annotations

import functools
import inspect
import uuid
from collections.abc import Iterable
from types import TracebackType
from typing import Any, Callable, Optional, TypeVar, Union, cast, overload

from opentelemetry import context as otel_context
from opentelemetry.context import Context

from peekr.baggage import allowed, carry
from peekr.config import retention_class_of
from peekr.context import Scope, current_scope, with_scope
from peekr.manual.generators import BareRun, wrap_async_generator, wrap_generator

__all__ = ["ScopeBlock", "feature", "session"]

_Function = TypeVar("_Function", bound=Callable[..., Any])
_BLOCK = otel_context.create_key("peekr-block")


@overload
def session(
    user_id: Optional[str] = None,
    session_id: Optional[str] = None,
    tenant_id: Optional[str] = None,
    retention_class: Optional[str] = None,
    *,
    propagate: Union[bool, Iterable[str]] = False,
) -> ScopeBlock: ...


@overload
def session(user_id: _Function, /) -> _Function: ...


def session(
    user_id: Any = None,
    session_id: Optional[str] = None,
    tenant_id: Optional[str] = None,
    retention_class: Optional[str] = None,
    *,
    propagate: Union[bool, Iterable[str]] = False,
) -> Any:
    """Give everything that is started inside a session and, where set, a user, tenant, retention.

    For `with`, `async with`, and as a decorator of functions, coroutine functions and generators,
    with or without parentheses; a decorated function has a session a call. What is not set is
    inherited from the session around it. Threads and tasks that are started inside inherit it all,
    threads from `instrument()` on.

    On OpenTelemetry's spans these are `session.id` and `gen_ai.conversation.id`, `user.id`,
    `peekr.tenant_id` and `peekr.retention_class`.

    Args:
        user_id: The user.
        session_id: The conversation; where none is around it either, one is made.
        tenant_id: The customer organisation, over that of `instrument()`.
        retention_class: `default`, `short`, `long` or `pii`, over that of `instrument()`.
        propagate: True, or the names of these arguments: also send them along with outgoing
            requests, as W3C baggage (see `peekr.baggage`). Blocks inside go on with that.

    Returns:
        A context manager that gives the block's `Scope`, with `session_id`, `user_id`, ….

    Raises:
        ConfigurationError: (a ValueError) `retention_class` or `propagate` cannot be used.
    """
    if callable(user_id):
        return ScopeBlock({}, makes_session=True)(user_id)
    return ScopeBlock(
        {
            "user_id": _text(user_id),
            "session_id": _text(session_id),
            "tenant_id": _text(tenant_id),
            "retention_class": retention_class_of(retention_class),
        },
        makes_session=True,
        propagate=allowed(propagate),
    )


def feature(name: str) -> ScopeBlock:
    """Tag everything that is started inside with the feature that it belongs to.

    For `with`, `async with`, and as a decorator. A feature inside another is the one that counts.

    Args:
        name: The tag, to filter by: `feature` in records, `peekr.feature` on OpenTelemetry's spans.

    Raises:
        TypeError: it is no text.
    """
    if not isinstance(name, str):  # pyright: ignore[reportUnnecessaryIsInstance]
        raise TypeError(f"feature({name!r}): the name is to be a text")
    return ScopeBlock({"feature": _text(name)})


class ScopeBlock:
    """What `session()` and `feature()` give: a context manager and a decorator.

    Safe to use again, nested, and in several threads and tasks at once: what was current before a
    block is kept in the context that the block makes current, not here.
    """

    __slots__ = ("_changes", "_makes_session", "_propagate")

    def __init__(
        self,
        changes: dict[str, Optional[str]],
        *,
        makes_session: bool = False,
        propagate: tuple[str, ...] = (),
    ) -> None:
        """Make a block.

        Args:
            changes: Fields of `Scope`; those that are None are inherited.
            makes_session: Make a session id where there is none.
            propagate: Fields to carry across services.
        """
        self._changes = {key: value for key, value in changes.items() if value is not None}
        self._makes_session = makes_session
        self._propagate = propagate

    def __enter__(self) -> Scope:
        before = otel_context.get_current()
        made = self.enter(before)
        entry = _Entry(self, before)
        otel_context.attach(otel_context.set_value(_BLOCK, entry, made))
        return current_scope(made)

    def __exit__(
        self,
        kind: Optional[type[BaseException]],
        error: Optional[BaseException],
        trace: Optional[TracebackType],
    ) -> None:
        entry = cast("Optional[_Entry]", otel_context.get_current().get(_BLOCK))
        while entry is not None and entry.block is not self:
            before = entry.before
            entry = None if before is None else cast("Optional[_Entry]", before.get(_BLOCK))
        if entry is not None and entry.before is not None:
            before, entry.before = entry.before, None
            otel_context.attach(before)

    async def __aenter__(self) -> Scope:
        return self.__enter__()

    async def __aexit__(
        self,
        kind: Optional[type[BaseException]],
        error: Optional[BaseException],
        trace: Optional[TracebackType],
    ) -> None:
        self.__exit__(kind, error, trace)

    def __call__(self, function: _Function) -> _Function:
        """Decorate a function: each of its calls is a block."""
        return cast("_Function", self._wrapped(function))

    def enter(self, context: Context) -> Context:
        """The context that the block makes of another."""
        outer = current_scope(context)
        changes: dict[str, Any] = dict(self._changes)
        if self._makes_session and "session_id" not in changes and outer.session_id is None:
            changes["session_id"] = uuid.uuid4().hex
        scope = outer._replace(**changes)
        return carry(with_scope(scope, context), self._propagate)

    def _wrapped(self, function: Any) -> Any:
        if isinstance(function, (classmethod, staticmethod)):
            inner = cast("Any", function).__func__
            return cast("Any", type(function))(self._wrapped(inner))  # pyright: ignore[reportUnknownArgumentType]
        if isinstance(function, type) or not callable(function):
            raise TypeError(f"{function!r} is no function: a session cannot be put on it")
        if inspect.isgeneratorfunction(function):
            return wrap_generator(function, self._run)
        if inspect.isasyncgenfunction(function):
            return wrap_async_generator(function, self._run)
        called = cast("Callable[..., Any]", function)
        if inspect.iscoroutinefunction(function):

            @functools.wraps(called)
            async def scoped_coroutine(*args: Any, **kwargs: Any) -> Any:
                with self:
                    return await called(*args, **kwargs)

            return scoped_coroutine

        @functools.wraps(called)
        def scoped(*args: Any, **kwargs: Any) -> Any:
            with self:
                return called(*args, **kwargs)

        return scoped

    def _run(self, args: Any, kwargs: Any) -> BareRun:
        return BareRun(self.enter(otel_context.get_current()))


class _Entry:
    """That a block was entered, and what was current before; kept in the context."""

    __slots__ = ("before", "block")

    def __init__(self, block: ScopeBlock, before: Context) -> None:
        self.block = block
        # Taken away at the end: a task that lives on must not keep every context before it alive.
        self.before: Optional[Context] = before


def _text(value: Any) -> Optional[str]:
    """A value as an attribute holds it; an empty one counts as absent, as in the environment."""
    if value is None or value == "":
        return None
    return str(value)
