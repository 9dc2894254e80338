"""A trace file shown while it grows."""

from __future__ import annotations

import os
import time
from collections import OrderedDict
from collections.abc import Iterable
from contextlib import closing
from dataclasses import replace
from typing import Callable

import click

from peekr.errors import UnreadableFileError
from peekr.plaintext import clean
from peekr.record import SpanRecord
from peekr.store.opening import open_reader
from peekr.store.query import Query, Reader, Trace

__all__ = ["LiveTraces", "follow_file"]

_POLL_S = 0.2
_REMEMBERED_TRACES = 2_000


def follow_file(
    path: str,
    query: Query,
    show: Callable[[Trace], None],
    show_new: Callable[[Trace, bool], None],
    flush: Callable[[], None],
) -> None:
    """Show what is there, then each span as it ends; returns only by an exception.

    Args:
        path: The file; where it is missing or empty, it is waited for.
        query: Which traces.
        show: Prints a trace that was there before.
        show_new: Prints spans that have just ended; whether its trace was shown before.
        flush: Hands on what was printed.

    Raises:
        UnreadableFileError: the file is there and cannot be read.
    """
    live = LiveTraces(query)
    reader, has_waited = _wait_for(path)
    if has_waited:
        query = replace(query, limit=None)  # all that is there has ended since
    shown: set[tuple[str, str]] = set()
    with closing(reader), closing(reader.tail()) as tail:
        try:
            for trace in reader.select(query).traces:
                show(trace)
                live.was_shown(trace)
                shown.update((span.trace_id, span.span_id) for span in trace.spans)
        except UnreadableFileError:
            if reader.problems.count:
                raise
            # Only the beginning of its first line is there: nothing has ended yet.
        flush()
        problems = reader.problems.describe()
        if problems:
            click.echo(f"{clean(path)}: {problems}", err=True)
        reader.close()
        while True:
            new = tail.poll()
            if new and shown:
                # What was added while the file was read came from both.
                new = [span for span in new if (span.trace_id, span.span_id) not in shown]
                shown.clear()
            for trace, is_known in live.add(new):
                show_new(trace, is_known)
            flush()
            time.sleep(_POLL_S)


class LiveTraces:
    """Which new spans to show, when a trace may turn out to be wanted only later."""

    def __init__(self, query: Query) -> None:
        self._query = query
        self._conditions = query.conditions()
        self._met = (1 << len(self._conditions)) - 1
        self._traces: OrderedDict[str, _LiveTrace] = OrderedDict()

    def was_shown(self, trace: Trace) -> None:
        """Remember a trace that is on the screen: its further spans are wanted."""
        state = self._state(trace.trace_id)
        state.met, state.is_shown = self._met, True

    def add(self, records: Iterable[SpanRecord]) -> list[tuple[Trace, bool]]:
        """The spans to show now, by trace, and whether the trace was shown before."""
        touched: dict[str, None] = {}
        for record in records:
            if not self._query.wants(record.trace_id):
                continue
            state = self._state(record.trace_id)
            for number, condition in enumerate(self._conditions):
                if condition.holds(record):
                    state.met |= 1 << number
            state.waiting.append(record)
            touched[record.trace_id] = None
        ready: list[tuple[Trace, bool]] = []
        for trace_id in touched:
            state = self._traces.get(trace_id)
            if state is not None and state.met == self._met:
                ready.append((Trace(trace_id, state.waiting), state.is_shown))
                state.waiting, state.is_shown = [], True
        while len(self._traces) > _REMEMBERED_TRACES:
            self._traces.popitem(last=False)
        return ready

    def _state(self, trace_id: str) -> _LiveTrace:
        state = self._traces.setdefault(trace_id, _LiveTrace())
        self._traces.move_to_end(trace_id)
        return state


class _LiveTrace:
    """What is known of a trace; `waiting` holds spans until every condition is met."""

    def __init__(self) -> None:
        self.met = 0
        self.is_shown = False
        self.waiting: list[SpanRecord] = []


def _wait_for(path: str) -> tuple[Reader, bool]:
    """The open file, and whether it had to be waited for."""
    said = False
    while True:
        try:
            return open_reader(path), said
        except UnreadableFileError:
            if os.path.isdir(path) or (os.path.exists(path) and os.path.getsize(path)):
                raise
        if not said:
            click.echo(f"Waiting for {clean(path)}", err=True)
            said = True
        time.sleep(_POLL_S)
