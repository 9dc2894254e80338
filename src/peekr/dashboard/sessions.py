"""Conversations: the traces that name one session, in bounded number."""

from __future__ import annotations

from typing import Optional

from peekr.dashboard.figures import short
from peekr.dashboard.traces import TraceRow

__all__ = ["Session", "Sessions"]

_MAX_SESSIONS = 50_000
_KEPT_SESSIONS = 20_000
_MAX_TRACES = 50


class Session:
    """The traces of one conversation.

    Attributes:
        asked: What its first trace was asked, the beginning of it.
        score: The lowest one in it.
        first: When its first trace began, in Unix seconds.
        last: When its last one ended.
        traces: The ids of its newest ones.
    """

    __slots__ = (
        "active_ms",
        "asked",
        "cost",
        "errors",
        "first",
        "last",
        "score",
        "tenant",
        "tokens",
        "traces",
        "turns",
        "user",
    )

    def __init__(self, first: float) -> None:
        self.user = self.tenant = self.asked = ""
        self.score: Optional[float] = None
        self.turns = self.errors = 0
        self.active_ms = self.tokens = 0.0
        self.cost: Optional[float] = None
        self.first = self.last = first
        self.traces: list[str] = []


class Sessions:
    """The sessions of a file; of very many the newest."""

    def __init__(self) -> None:
        self.held: dict[str, Session] = {}

    def add(self, row: TraceRow, tenant: str) -> None:
        """Take a trace that names a session."""
        session = self.held.get(row.session)
        if session is None:
            if len(self.held) >= _MAX_SESSIONS:
                self.held = dict(self.newest()[:_KEPT_SESSIONS])
            session = self.held[row.session] = Session(row.start)
        session.user = session.user or row.user
        session.tenant = session.tenant or tenant
        session.turns += 1
        session.errors += row.state == 2
        session.active_ms += row.ms
        if row.cost is not None:
            session.cost = (session.cost or 0.0) + row.cost
        session.tokens += row.tokens or 0.0
        if row.score is not None and (session.score is None or row.score < session.score):
            session.score = row.score
        if row.start <= session.first or not session.asked:
            session.asked = short(row.question)
        session.first = min(session.first, row.start)
        session.last = max(session.last, row.start + row.ms / 1000.0)
        session.traces.append(row.id)
        if len(session.traces) > _MAX_TRACES:
            del session.traces[0]

    def newest(self) -> list[tuple[str, Session]]:
        """All of them by name, the one that was last active first."""
        return sorted(self.held.items(), key=lambda item: -item[1].last)
