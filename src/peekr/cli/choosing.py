"""What commands that read traces have in common: the file, and which of its traces."""

from __future__ import annotations

import os
import re
import time
from collections.abc import Mapping, Sequence
from contextlib import closing
from datetime import datetime
from typing import Any, Callable, Optional, TypeVar

import click

from peekr.errors import UnreadableFileError
from peekr.plaintext import clean
from peekr.store.opening import open_reader
from peekr.store.query import Query, Trace

__all__ = ["ambiguous", "chooses", "default_file", "moment", "query_of", "trace_named"]

_NAMED = 3
_DEFAULT_FILES = ("traces.db", "traces.jsonl")
_UNIX_TIME = re.compile(r"\d{9,10}(?:\.\d+)?")
# Python before 3.11 knows few forms of ISO 8601; this makes the one that all know of the others.
_ISO_TIME = re.compile(
    r"(\d{4})-?(\d\d)-?(\d\d)"
    r"(?:[T ](\d\d):?(\d\d)(?::?(\d\d)(?:[.,](\d+))?)?\s*(?:([zZ])|([+-]\d\d):?(\d\d)?)?)?"
)
_UNIT_S = {"s": 1, "m": 60, "h": 3600, "d": 86400, "w": 604800}

Command = TypeVar("Command", bound=Callable[..., Any])


def moment(ctx: click.Context, param: click.Parameter, value: Optional[str]) -> Optional[float]:
    """Unix seconds of so long ago, or of a date and time: the callback of an option."""
    if value is None:
        return None
    text = value.strip()
    ago = re.fullmatch(r"(\d{1,9}(?:\.\d+)?)\s*([smhdw])", text)
    if ago is not None:
        return time.time() - float(ago[1]) * _UNIT_S[ago[2]]
    if _UNIX_TIME.fullmatch(text):
        return float(text)
    try:
        return datetime.fromisoformat(_usual_iso(text)).timestamp()
    except (ValueError, OverflowError, OSError):
        message = f"'{clean(text)}' is no time: use 10m, 2h, 3d or 2026-01-31T12:00"
        raise click.BadParameter(message, ctx, param) from None


def _usual_iso(text: str) -> str:
    found = _ISO_TIME.fullmatch(text)
    if found is None:
        raise ValueError(text)
    year, month, day, hour, minute, second, part, is_utc, offset, offset_minute = found.groups()
    if hour is None:
        return f"{year}-{month}-{day}"
    micros = (part or "").ljust(6, "0")[:6]
    zone = "+00:00" if is_utc else f"{offset}:{offset_minute or '00'}" if offset else ""
    return f"{year}-{month}-{day}T{hour}:{minute}:{second or '00'}.{micros}{zone}"


_OPTIONS = (
    click.option(
        "--trace", metavar="ID", help="Only the trace with this id, or beginning of an id."
    ),
    click.option("--session", metavar="ID", help="Only traces of this session."),
    click.option("--tenant", metavar="ID", help="Only traces of this tenant."),
    click.option("--user", metavar="ID", help="Only traces of this user."),
    click.option("--errors", is_flag=True, help="Only traces that contain an error."),
    click.option(
        "--model",
        metavar="MODEL",
        help="Only traces that used this model, dated versions included; * stands for any text.",
    ),
    click.option(
        "--since",
        callback=moment,
        metavar="TIME",
        help="Only traces active since then: 30s, 10m, 2h, 3d, an ISO time"
        " (local, or with offset), or Unix seconds.",
    ),
)


def chooses(command: Command) -> Command:
    """Give a command the options that choose traces; `query_of` takes their values together."""
    for option in reversed(_OPTIONS):
        command = option(command)
    return command


def query_of(choice: Mapping[str, Any], limit: Optional[int] = None) -> Query:
    """The query that the options of `chooses` ask, by their names; a limit of 0 is none."""
    return Query(**choice, limit=limit or None)


def trace_named(path: str, trace_id: str) -> Trace:
    """The trace with an id, or with the beginning of one; says on stderr what could not be read.

    Raises:
        UnreadableFileError: nothing can be read, or there is no such trace.
        click.UsageError: it fits several.
    """
    shown = clean(path)
    with closing(open_reader(path)) as reader:
        traces = list(reader.select(Query(trace=trace_id)).traces)
        problems = reader.problems.describe()
    if problems:
        click.echo(f"{shown}: {problems}", err=True)
    # The whole of an id may be the beginning of another.
    traces = [trace for trace in traces if trace.trace_id == trace_id] or traces
    if not traces:
        raise UnreadableFileError(f"{shown}: no trace with the id {clean(trace_id)}")
    if len(traces) > 1:
        raise ambiguous(trace_id, traces, len(traces))
    return traces[0]


def ambiguous(trace_id: str, traces: Sequence[Trace], count: int) -> click.UsageError:
    """What is said where the beginning of an id fits `count` traces, of which these are some."""
    some = [clean(trace.trace_id) for trace in traces[-_NAMED:]]
    if count > len(some):
        some.append("…")
    return click.UsageError(f"'{clean(trace_id)}' fits {count} traces: {', '.join(some)}")


def default_file() -> str:
    """The trace file in the current directory that was written to last; says on stderr which.

    Raises:
        UnreadableFileError: there is none.
    """
    present = [name for name in _DEFAULT_FILES if os.path.exists(name)]
    if not present:
        names = " or ".join(_DEFAULT_FILES)
        raise UnreadableFileError(f"no {names} in this directory: name the file to view")
    newest = max(present, key=_last_written)
    others = "".join(f" ({name} is older)" for name in present if name != newest)
    click.echo(f"Showing {newest}{others}", err=True)
    return newest


def _last_written(path: str) -> float:
    return max(os.path.getmtime(name) for name in (path, f"{path}-wal") if os.path.exists(name))
