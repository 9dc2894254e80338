"""Values of modules by their names, each found at its first use: what is not used is not loaded.

A fork waits for a look-up that is at its module: a child that is forked in the middle of another
thread's import would wait for ever for the end of it.
"""

from __future__ import annotations

import importlib
import os
import threading
from collections.abc import Mapping
from typing import Any, Callable

__all__ = ["loaded", "public_names"]

_FORK_S = 5.0
"""How long a fork waits; no import of ours takes that long on a disk that answers."""

# Re-entrant, as what is imported may look up something in its turn.
_lock = threading.RLock()
_is_held_for_fork = False


class _Loaded(dict[str, Any]):
    """Values by `module:name`; a look-up of one that was used before is a dictionary's."""

    def __missing__(self, name: str) -> Any:
        module, _, attribute = name.partition(":")
        lock = _lock
        # Not for ever: whoever holds it may wait for a module that this thread is just importing.
        held = lock.acquire(timeout=_FORK_S)
        try:
            value = self[name] = getattr(importlib.import_module(module), attribute)
        finally:
            if held:
                lock.release()
        return value


loaded = _Loaded()


def public_names(
    namespace: dict[str, Any], homes: Mapping[str, str], modules: tuple[str, ...] = ()
) -> tuple[Callable[[str], Any], Callable[[], list[str]]]:
    """The `__getattr__` and `__dir__` of a package whose public names live in its modules.

    Each is loaded at its first use, so that a program pays for those that it uses.

    Args:
        namespace: The package's `globals()`.
        homes: In which module a name lives, by the name.
        modules: Modules of the package that are public as such.
    """

    def find(name: str) -> Any:
        package = namespace["__name__"]
        if name in modules:
            return importlib.import_module(f"{package}.{name}")
        home = homes.get(name)
        if home is None:
            raise AttributeError(f"module {package!r} has no attribute {name!r}")
        value = namespace[name] = loaded[f"{home}:{name}"]
        return value

    def listed() -> list[str]:
        return sorted({*namespace, *namespace["__all__"]})

    return find, listed


def _before_fork() -> None:
    global _is_held_for_fork
    _is_held_for_fork = _lock.acquire(timeout=_FORK_S)


def _after_fork_in_parent() -> None:
    if _is_held_for_fork:
        _lock.release()


def _after_fork_in_child() -> None:
    global _lock
    _lock = threading.RLock()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(
        before=_before_fork,
        after_in_parent=_after_fork_in_parent,
        after_in_child=_after_fork_in_child,
    )
