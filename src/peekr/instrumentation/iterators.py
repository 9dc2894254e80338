"""Iterators among a call's arguments: they reach the SDK unconsumed, and what they give is kept."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any, cast

from opentelemetry import context as otel_context

from peekr.instrumentation.proxy import ObjectProxy

__all__ = ["is_keeping", "keeping", "may_be_read_but_once"]


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
    kind = _KeepingIterator if isinstance(value, Iterator) else _KeepingIterable
    return kind(value, passed, callers)


def is_keeping(value: Any) -> bool:
    """Whether it is what `keeping` makes."""
    return isinstance(value, _Keeping)


class _Keeping(ObjectProxy):
    """The caller's object in all respects but that it keeps what it gives."""

    def __init__(self, wrapped: Any, passed: list[Any], callers: otel_context.Context) -> None:
        super().__init__(wrapped)
        self._self_passed = passed
        self._self_callers = callers


class _KeepingIterator(_Keeping):
    """An iterator."""

    def __iter__(self) -> Any:
        return self

    def __next__(self) -> Any:
        token = otel_context.attach(self._self_callers)
        try:
            item = next(self.__wrapped__)
        finally:
            otel_context.detach(token)
        self._self_passed.append(item)
        return item


class _KeepingIterable(_Keeping):
    """An iterable, of which the latest iterator counts."""

    def __iter__(self) -> Any:
        self._self_passed.clear()
        return _KeepingIterator(iter(self.__wrapped__), self._self_passed, self._self_callers)
