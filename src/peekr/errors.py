"""Every error that Peekr raises on purpose.

They exist so that an application can tell a fault of its telemetry set-up from a fault of its
own. None of them is ever raised out of a model call that is merely watched.

    PeekrError
    ├── ConfigurationError (ValueError)    an argument or variable that cannot be used
    └── UnreadableFileError                a trace file that cannot be read; the message is one line
"""

from __future__ import annotations

__all__ = ["ConfigurationError", "PeekrError", "UnreadableFileError"]


class PeekrError(Exception):
    """The root of the tree: catch it to catch whatever Peekr raises on purpose."""


class ConfigurationError(PeekrError, ValueError):
    """An argument of `instrument()` or a `PEEKR_…` variable has a value that cannot be used."""


class UnreadableFileError(PeekrError):
    """A trace file is missing, is not a trace file, or has nothing in it that can be read."""
