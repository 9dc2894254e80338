"""Iterators among a call's arguments: they reach the SDK unconsumed, and what they give is kept."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Any, cast

import wrapt
from opentelemetry import context as otel_context

if TYPE_CHECKING:

    class _ObjectProxy:
        """What wrapt's proxy is to a type checker, which not every version of it says."""

        __wrapped__: Any

        def __init__(self, wrapped: Any) -> None: ...

else:
    _ObjectProxy = wrapt.ObjectProxy

__all__ = ["keeping", "may_be_read_but_once"]


def may_be_read_but_once(value: Any) -> bool:
    """Whether it is an iterator, or an iterable that may be one in disguise.

    Collections, files and the SDKs' own models are none: those may be read as they are, or are
    read by the SDK in ways of their own.
    """
    kind = cast("type[Any]", type(value))
    return (
        hasattr(kind, "__iter__")
        and not hasattr(kind, "__len__")
        and not hasattr(kind, "read")
        and not hasattr(kind, "model_dump")
    )


def keeping(value: Iterable[Any], passed: list[Any]) -> Any:
    """The same items, in place of `value`, for the SDK to read.

    Args:
        value: An iterator, or an iterable.
        passed: Takes the items as the SDK reads them.
    """
    # It runs while the SDK works, but is the caller's code: it sees the caller's span, and model
    # calls of its own are calls by themselves.
    callers = otel_context.get_current()
    if isinstance(value, Iterator):
        return _keep(value, passed, callers)
    return _KeepingIterable(value, passed, callers)


def _keep(
    iterator: Iterator[Any], passed: list[Any], callers: otel_context.Context
) -> Iterator[Any]:
    while True:
        token = otel_context.attach(callers)
        try:
            item = next(iterator)
        except StopIteration:
            return
        finally:
            otel_context.detach(token)
        passed.append(item)
        yield item


class _KeepingIterable(_ObjectProxy):
    """An iterable that keeps what its latest iterator gives."""

    def __init__(self, wrapped: Any, passed: list[Any], callers: otel_context.Context) -> None:
        super().__init__(wrapped)
        self._self_passed = passed
        self._self_callers = callers

    def __iter__(self) -> Iterator[Any]:
        self._self_passed.clear()
        return _keep(iter(self.__wrapped__), self._self_passed, self._self_callers)
