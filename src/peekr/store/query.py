"""What a reader of stored records can be asked, whichever format the file has.

A query chooses whole traces: a trace is chosen when each condition holds for at least one of its
spans. Readers never create, migrate or change a file.
"""

from __future__ import annotations

import fnmatch
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any, Callable, Optional, Protocol

from peekr.record import SpanRecord

__all__ = [
    "Condition",
    "Problems",
    "Query",
    "Reader",
    "Selection",
    "Tail",
    "Trace",
    "TraceAssembly",
    "pick_from",
    "select_from",
]


@dataclass(frozen=True)
class Condition:
    """One condition on a span.

    Attributes:
        holds: Whether a span fulfils it.
        hint: Lower-case ASCII text that the stored form of every such span contains (compared
            without case), so that a reader can pass over a line without parsing it; empty where
            there is none.
        since: Unix seconds: no span that ended before fulfils it; None where it is not about time.
    """

    holds: Callable[[SpanRecord], bool]
    hint: bytes = b""
    since: Optional[float] = None


@dataclass(frozen=True)
class Query:
    """Which traces to read.

    Attributes:
        trace: A trace id or the beginning of one.
        session: `session_id` of a span.
        tenant: `tenant_id` of a span.
        user: `user_id` of a span.
        errors: Only traces with a failed span.
        model: A model's name: without case, dated snapshots included (`gpt-4o` finds
            `gpt-4o-2024-08-06`, not `gpt-4o-mini`); `*` and `?` stand for any text, any character.
        since: Unix seconds: a span of the trace ended (or, never ended, started) at or after it.
        limit: The newest so many traces; None for all.
    """

    trace: Optional[str] = None
    session: Optional[str] = None
    errors: bool = False
    model: Optional[str] = None
    since: Optional[float] = None
    limit: Optional[int] = None
    tenant: Optional[str] = None
    user: Optional[str] = None

    def wants(self, trace_id: str) -> bool:
        """Whether the id alone leaves the trace in question."""
        return self.trace is None or trace_id.startswith(self.trace)

    def conditions(self) -> list[Condition]:
        """The conditions on spans; none where every trace (of that id) is meant."""
        found: list[Condition] = []
        if self.errors:
            found.append(Condition(_failed, b'"error"'))
        if self.session is not None:
            found.append(Condition(_with("session_id", self.session), _hint(self.session)))
        if self.tenant is not None:
            found.append(Condition(_of_tenant(self.tenant), _hint(self.tenant)))
        if self.user is not None:
            found.append(Condition(_with("user_id", self.user), _hint(self.user)))
        if self.model is not None:
            found.append(Condition(_of_model(self.model_globs()), _hint(self.model)))
        if self.since is not None:
            found.append(Condition(_active_since(self.since), since=self.since))
        return found

    def model_globs(self) -> list[str]:
        """The model's name as lower-case glob patterns, for fnmatch and SQLite's GLOB."""
        if self.model is None:
            return []
        name = self.model.lower()
        if "*" in name or "?" in name:
            return [name.replace("[", "[[]")]
        plain = name.replace("[", "[[]")
        digit = "[0-9]"
        day = [f"{digit * 4}-{digit * 2}-{digit * 2}", digit * 8]
        return [plain, *(f"{plain}-{date}" for date in day)]

    def matches(self, spans: Iterable[SpanRecord]) -> bool:
        """Whether a whole trace is chosen."""
        spans = list(spans)
        if not spans or not self.wants(spans[0].trace_id):
            return False
        return all(any(map(condition.holds, spans)) for condition in self.conditions())


@dataclass
class Trace:
    """The spans of one trace, in the order of the file."""

    trace_id: str
    spans: list[SpanRecord]


@dataclass
class Selection:
    """What a query found.

    Attributes:
        traces: The chosen traces, the one that was last active last. May read while it is
            consumed.
        omitted: How many older traces the limit left out.
    """

    traces: Iterator[Trace]
    omitted: int = 0


@dataclass
class Problems:
    """What could not be read: how much, and the first of it."""

    unit: str
    count: int = 0
    first: str = ""
    partly: int = 0
    notes: list[str] = field(default_factory=list[str])

    def add(self, place: str, reason: str) -> None:
        """Count one line or row that could not be read."""
        if not self.count:
            self.first = f"{place}: {reason}"
        self.count += 1

    def describe(self) -> str:
        """One line without the file's name; empty where nothing was wrong."""
        said: list[str] = []
        if self.count:
            first = f" (first: {self.first})" if self.first else ""
            said.append(f"{_counted(self.count, self.unit)} could not be read{first}")
        if self.partly:
            said.append(f"{_counted(self.partly, self.unit)} could be read only in part")
        return "; ".join(said + self.notes)


class Tail(Protocol):
    """The growing end of a file."""

    def poll(self) -> list[SpanRecord]:
        """The records that were added since the last call; does not wait. Never raises."""
        ...

    def close(self) -> None:
        """Release the file; a second call does nothing."""
        ...


class Reader(Protocol):
    """A trace file that is open for reading. Used on one thread.

    Attributes:
        path: The file.
        problems: What could not be read so far.
        advanced: Is told of each piece that `select` has gone through, in bytes; for a progress
            bar. What is looked up rather than gone through is not told of.
    """

    path: str
    problems: Problems
    advanced: Optional[Callable[[float], None]]

    def select(self, query: Query) -> Selection:
        """The traces that the query chooses.

        Raises:
            UnreadableFileError: nothing in the file can be read.
        """
        ...

    def records(self) -> Iterator[SpanRecord]:
        """Every record in the order of the file, one at a time.

        Raises:
            UnreadableFileError: nothing in the file can be read.
        """
        ...

    def pick(self, trace_ids: set[str]) -> Iterator[Trace]:
        """The traces with these ids, in any order; those that are not there are left out.

        In memory are their spans. What cannot be read is passed over; it is not counted again.
        """
        ...

    def tail(self) -> Tail:
        """What is added from now on.

        Called before `select`, the two leave nothing out; a record that is added in between may
        come from both.

        Raises:
            UnreadableFileError: the end of the file cannot be found.
        """
        ...

    def close(self) -> None:
        """Release the file; a second call does nothing."""
        ...


class TraceAssembly:
    """Puts traces together from records that come in the order of a file, in bounded memory.

    Holds the spans of the traces that are still incomplete. `expected` says how many records of a
    trace are to come, so that the trace is handed on with its last one; ids that are not in it are
    passed over.
    """

    def __init__(self, expected: dict[Any, int]) -> None:
        """Begin.

        Args:
            expected: How many records are to come, by key; it is counted down here.
        """
        self._expected = expected
        self._open: dict[Any, list[SpanRecord]] = {}

    def wants(self, key: Any) -> bool:
        """Whether records with this key belong to a chosen trace."""
        return key in self._expected

    def add(self, key: Any, record: Optional[SpanRecord]) -> Optional[Trace]:
        """Take a record, or None for one that cannot be read; the trace once it is complete."""
        spans = self._open.setdefault(key, [])
        if record is not None:
            spans.append(record)
        left = self._expected[key] - 1
        self._expected[key] = left
        if left > 0:
            return None
        del self._expected[key], self._open[key]
        return Trace(spans[0].trace_id, spans) if spans else None

    def rest(self) -> Iterator[Trace]:
        """Traces whose last record never came (the file was cut meanwhile)."""
        for spans in self._open.values():
            if spans:
                yield Trace(spans[0].trace_id, spans)
        self._open.clear()


def pick_from(records: Iterable[SpanRecord], trace_ids: set[str]) -> Iterator[Trace]:
    """The traces with some ids, from nothing but the records."""
    found: dict[str, list[SpanRecord]] = {}
    for record in records:
        if record.trace_id in trace_ids:
            found.setdefault(record.trace_id, []).append(record)
    for trace_id, spans in found.items():
        yield Trace(trace_id, spans)


def select_from(read: Callable[[], Iterator[SpanRecord]], query: Query) -> Selection:
    """Answer a query from nothing but the records, read twice: for sources without an index.

    Args:
        read: Gives all records in order; called once to choose and once to collect.
        query: Which traces to choose.
    """
    conditions = query.conditions()
    all_met = (1 << len(conditions)) - 1
    met: dict[str, int] = {}
    counts: dict[str, int] = {}
    for record in read():
        trace_id = record.trace_id
        if not query.wants(trace_id):
            continue
        # Taken out and put in again: the dictionary's order is that of the last activity.
        counts[trace_id] = counts.pop(trace_id, 0) + 1
        flags = met.get(trace_id, 0)
        for number, condition in enumerate(conditions):
            if not flags >> number & 1 and condition.holds(record):
                flags |= 1 << number
        met[trace_id] = flags
    chosen = {key: count for key, count in counts.items() if met[key] == all_met}
    omitted = 0
    if query.limit is not None and len(chosen) > query.limit:
        omitted = len(chosen) - query.limit
        chosen = dict(list(chosen.items())[omitted:])

    def traces() -> Iterator[Trace]:
        assembly = TraceAssembly(chosen)
        for record in read():
            if assembly.wants(record.trace_id):
                trace = assembly.add(record.trace_id, record)
                if trace is not None:
                    yield trace
        yield from assembly.rest()

    return Selection(traces(), omitted)


def _failed(record: SpanRecord) -> bool:
    return record.status == "error"


def _with(name: str, value: str) -> Callable[[SpanRecord], bool]:
    def holds(record: SpanRecord) -> bool:
        found = record.attributes.get(name)
        return isinstance(found, (str, int, float)) and str(found) == value

    return holds


def _of_tenant(tenant: str) -> Callable[[SpanRecord], bool]:
    return lambda record: record.tenant_id == tenant


def _of_model(globs: list[str]) -> Callable[[SpanRecord], bool]:
    fits = re.compile("|".join(fnmatch.translate(glob) for glob in globs)).match

    def holds(record: SpanRecord) -> bool:
        model = record.attributes.get("model")
        return isinstance(model, str) and fits(model.lower()) is not None

    return holds


def _active_since(since: float) -> Callable[[SpanRecord], bool]:
    def holds(record: SpanRecord) -> bool:
        end = record.end_time
        return (record.start_time if end is None else end) >= since

    return holds


def _hint(value: str) -> bytes:
    # Only characters that every JSON writer leaves as they are, so that the text is in the file.
    pieces = re.findall(r"[a-z0-9._-]+", value.lower() if value.isascii() else "")
    return max(pieces, key=len, default="").encode("ascii")


def _counted(count: int, unit: str) -> str:
    return f"{count} {unit}" if count == 1 else f"{count} {unit}s"
