"""Prints a line a span to stdout as it finishes."""

from __future__ import annotations

import os
import sys

from peekr import faults
from peekr.record import SpanRecord
from peekr.summary import summary_line

__all__ = ["ConsoleSink"]

_RED = "\x1b[31m"
_RESET = "\x1b[0m"


class ConsoleSink:
    """A terminal as a sink: one line a record, coloured only where stdout is a terminal.

    Writes on the thread that ended the span, to whatever `sys.stdout` is at that moment; a stdout
    that is closed, broken or cannot encode a character costs the line, never the call.
    """

    def write(self, record: SpanRecord) -> None:
        """Print one line."""
        line = summary_line(record)
        if record.status == "error" and _is_coloured():
            line = f"{_RED}{line}{_RESET}"
        _print(line + "\n")

    def flush(self, timeout_s: float = 30.0) -> bool:
        """Each line is out when `write` returns."""
        del timeout_s
        return True

    def close(self, timeout_s: float = 30.0) -> bool:
        """Release nothing: stdout is the application's."""
        del timeout_s
        return True


def _is_coloured() -> bool:
    if os.environ.get("NO_COLOR"):
        return False
    try:
        return sys.stdout.isatty()
    except (AttributeError, ValueError):
        return False


def _print(line: str) -> None:
    stdout = sys.stdout
    if stdout is None:  # pyright: ignore[reportUnnecessaryComparison] - pythonw has none
        return
    try:
        try:
            stdout.write(line)
        except UnicodeEncodeError:
            encoding = getattr(stdout, "encoding", None) or "ascii"
            stdout.write(line.encode(encoding, "backslashreplace").decode(encoding))
        stdout.flush()
    except (OSError, ValueError):
        pass  # the reader has gone, or the application closed stdout
    except Exception:  # whatever the application put in stdout's place
        faults.report("printing a span")
