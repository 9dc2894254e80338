"""All SDKs that can be watched: a folder each, loaded when the application imports its SDK."""

from __future__ import annotations

import functools
import importlib
import pkgutil
from typing import Any, Optional, cast

import wrapt

from peekr import faults
from peekr.instrumentation.hooks import Instrumentation

__all__ = ["leave_all", "watch_all"]

_expected: set[str] = set()
_loaded: dict[str, tuple[Instrumentation, ...]] = {}
_arguments: Optional[dict[str, Any]] = None


def watch_all(**arguments: Any) -> None:
    """Watch every SDK that is or will be imported; again, to change the arguments.

    Args:
        **arguments: See `Instrumentation.watch`.
    """
    global _arguments
    _arguments = arguments
    for name in _folders():
        if name in _loaded:
            _watch(name)
        elif name not in _expected:
            _expected.add(name)
            folder = importlib.import_module(f"peekr.instrumentation.{name}")
            for sdk in cast("tuple[str, ...]", folder.SDKS):
                # At once where the application has imported the SDK already.
                imported = functools.partial(_imported, name)
                cast("Any", wrapt).register_post_import_hook(imported, sdk)


def leave_all() -> None:
    """Put the own methods of every SDK back."""
    global _arguments
    _arguments = None
    for instrumentations in list(_loaded.values()):
        for instrumentation in instrumentations:
            instrumentation.leave()


def _folders() -> list[str]:
    package = importlib.import_module("peekr.instrumentation")
    return [found.name for found in pkgutil.iter_modules(package.__path__) if found.ispkg]


def _imported(name: str, module: Any) -> None:
    del module
    try:
        if name not in _loaded:
            hooks = importlib.import_module(f"peekr.instrumentation.{name}.hooks")
            _loaded[name] = hooks.INSTRUMENTATIONS
        _watch(name)
    except Exception:
        faults.report(f"hooking the SDK of {name}")


def _watch(name: str) -> None:
    if _arguments is None:
        return
    for instrumentation in _loaded[name]:
        try:
            instrumentation.watch(**_arguments)
        except Exception:
            faults.report(f"hooking the SDK of {instrumentation.name}")
