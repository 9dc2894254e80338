"""Peekr: an OpenTelemetry distribution for LLM applications.

One line, and every model call is a span::

    import peekr

    peekr.instrument()
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from peekr._version import __version__

if TYPE_CHECKING:
    from peekr.bootstrap import flush, instrument, shutdown, uninstrument
    from peekr.errors import ConfigurationError, PeekrError, UnreadableFileError

__all__ = [
    "ConfigurationError",
    "PeekrError",
    "UnreadableFileError",
    "__version__",
    "flush",
    "instrument",
    "shutdown",
    "uninstrument",
]

# Where each public name lives. Loaded at first use: the command line reads files without any
# OpenTelemetry, and a program pays for what it uses.
_HOMES = {
    "ConfigurationError": "peekr.errors",
    "PeekrError": "peekr.errors",
    "UnreadableFileError": "peekr.errors",
    "flush": "peekr.bootstrap",
    "instrument": "peekr.bootstrap",
    "shutdown": "peekr.bootstrap",
    "uninstrument": "peekr.bootstrap",
}


def __getattr__(name: str) -> Any:
    home = _HOMES.get(name)
    if home is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(importlib.import_module(home), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
