"""All SDKs that can be watched: a folder each, loaded when the application imports its SDK."""

from __future__ import annotations

import functools
import importlib
import logging
import os
import sys
from typing import Any, Callable, Optional, cast

import wrapt

from peekr import faults
from peekr.instrumentation.hooks import Instrumentation
from peekr.instrumentation.versions import unsupported

__all__ = [
    "add_admission",
    "arguments_in_force",
    "every",
    "is_disabled",
    "leave_all",
    "remove_admission",
    "watch_all",
]

_DISABLED = "OTEL_PYTHON_DISABLED_INSTRUMENTATIONS"

_logger = logging.getLogger("peekr.instrumentation")
_expected: set[str] = set()
_loaded: dict[str, tuple[Instrumentation, ...]] = {}
_arguments: Optional[dict[str, Any]] = None
_refused: set[str] = set()
_standing: list[Callable[[Any], None]] = []


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


def add_admission(admission: Callable[[Any], None]) -> None:
    """Ask a function about every call until it is removed, whoever changes the arguments meanwhile.

    Args:
        admission: Runs last, on the caller's thread; see `Runtime.admissions`.
    """
    _standing.append(admission)
    for name in list(_loaded):
        _watch(name)


def remove_admission(admission: Callable[[Any], None]) -> None:
    """Ask it no more; one that was not added is passed over."""
    if admission in _standing:
        _standing.remove(admission)
        for name in list(_loaded):
            _watch(name)


def leave_all() -> None:
    """Put the own methods of every SDK back."""
    global _arguments
    _arguments = None
    for instrumentations in list(_loaded.values()):
        for instrumentation in instrumentations:
            instrumentation.leave()
    propagation = sys.modules.get("peekr.instrumentation.propagation")
    if propagation is not None:  # loaded with the first call
        propagation.release()


def arguments_in_force() -> dict[str, Any]:
    """What `watch_all` was called with; nothing when nobody watches all SDKs."""
    return dict(_arguments or {})


def every() -> list[Instrumentation]:
    """The hooks of every SDK, whether it is installed or not; loads their tables, not the SDKs."""
    found: list[Instrumentation] = []
    for name in _folders():
        found.extend(
            importlib.import_module(f"peekr.instrumentation.{name}.hooks").INSTRUMENTATIONS
        )
    return found


def is_disabled(name: str) -> bool:
    """Whether the environment turns an SDK's hooks off, by the name of their entry point.

    Source: `OTEL_PYTHON_DISABLED_INSTRUMENTATIONS`, which OpenTelemetry's launcher reads: names
    with commas between them, or `*` for all.

    Args:
        name: The SDK's short name, `openai` for `peekr_openai`.
    """
    listed = {entry.strip() for entry in os.environ.get(_DISABLED, "").split(",")}
    return not listed.isdisjoint((f"peekr_{name}", "peekr", "*"))


def _folders() -> list[str]:
    folder = os.path.dirname(__file__)
    try:
        with os.scandir(folder) as entries:
            found = [entry.name for entry in entries if _is_provider(entry)]
        return sorted(found)
    except OSError:
        import pkgutil  # from a zip file, which takes longer

        return [found.name for found in pkgutil.iter_modules([folder]) if found.ispkg]


def _is_provider(entry: os.DirEntry[str]) -> bool:
    return entry.is_dir() and os.path.exists(os.path.join(entry.path, "hooks.py"))


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
            if _is_usable(instrumentation):
                arguments: dict[str, Any] = dict(_arguments)
                arguments["admissions"] = (*(arguments.get("admissions") or ()), *_standing)
                instrumentation.watch(**arguments)
        except Exception:
            faults.report(f"hooking the SDK of {instrumentation.name}")


def _is_usable(instrumentation: Instrumentation) -> bool:
    if is_disabled(instrumentation.name):
        return False
    reason = unsupported(instrumentation.dependencies)
    if reason is not None and reason not in _refused:
        _refused.add(reason)
        _logger.warning("%s: its calls are not recorded", reason)
    return reason is None
