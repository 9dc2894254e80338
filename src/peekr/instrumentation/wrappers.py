"""Whose wrappers stand around a method of an SDK."""

from __future__ import annotations

from typing import Any

__all__ = ["makers_of"]

_MAX_DEPTH = 20


def makers_of(function: Any, own: Any) -> list[str]:
    """The modules that have wrapped a function, the outermost first.

    Args:
        function: What stands under the method's name now.
        own: Peekr's wrapper, which is named `peekr` wherever it is in the row.

    Returns:
        Names of modules; those of the SDK's own package are left out.
    """
    found: list[str] = []
    for _ in range(_MAX_DEPTH):
        inner = getattr(function, "__wrapped__", None)
        if function is own:
            found.append("peekr")
        elif inner is not None:
            found.append(_maker(function))
        if inner is None:
            break
        function = inner
    home = str(getattr(function, "__module__", "") or "").partition(".")[0]
    return [name for name in found if name.partition(".")[0] != home]


def _maker(wrapper: Any) -> str:
    """The module that a wrapper was made in; wrapt's proxies know the function that they call."""
    called = getattr(wrapper, "_self_wrapper", wrapper)
    called = getattr(called, "__func__", called)
    scope = getattr(called, "__globals__", None)
    if isinstance(scope, dict):
        return str(scope.get("__name__", "?"))  # pyright: ignore[reportUnknownMemberType, reportUnknownArgumentType]
    return str(type(called).__module__)
