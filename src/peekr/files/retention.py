"""Retention as more than a label: which records of a trace file are due, and their deletion.

A record's age counts from its end. Records without a class are of the class `default`; those of a
class that is not known here, or without a time, are kept.
"""

from __future__ import annotations

import math
import os
from collections.abc import Mapping
from contextlib import closing
from dataclasses import dataclass, field
from typing import Optional

from peekr.config import RETENTION_CLASSES
from peekr.errors import ConfigurationError, PeekrError
from peekr.plaintext import clean
from peekr.record import SpanRecord
from peekr.store.opening import open_reader
from peekr.store.query import Reader

__all__ = ["DEFAULTS_S", "ClassPlan", "Plan", "Policy", "plan", "prune"]

_DAY_S = 86_400.0

DEFAULTS_S: Mapping[str, Optional[float]] = {
    "short": 7 * _DAY_S,
    "default": 30 * _DAY_S,
    "long": None,
    "pii": 30 * _DAY_S,
}
"""How long records of each class are kept, in seconds; None keeps them."""


class Policy:
    """How long records of each class are kept, as of one moment.

    Attributes:
        kept_s: Seconds by class; None where they are kept for good.
        now: Unix seconds.
    """

    def __init__(self, now: float, changes: Optional[Mapping[str, Optional[float]]] = None) -> None:
        """Begin with `DEFAULTS_S`.

        Args:
            now: Unix seconds; what has ended so long before is due.
            changes: Seconds by class in the place of the defaults; None keeps a class.

        Raises:
            ConfigurationError: an unknown class, or a time that is negative or no number.
        """
        self.now = now
        self.kept_s: dict[str, Optional[float]] = dict(DEFAULTS_S)
        for name, kept_s in (changes or {}).items():
            if name not in RETENTION_CLASSES:
                choices = ", ".join(RETENTION_CLASSES)
                raise ConfigurationError(f"retention class {name!r} is none of {choices}")
            if kept_s is not None and not 0 <= kept_s < math.inf:
                raise ConfigurationError(f"{name}: records cannot be kept for {kept_s} seconds")
            self.kept_s[name] = kept_s

    def cutoffs(self) -> dict[str, float]:
        """Unix seconds by class: a record that ended before is due. Kept classes are not in it."""
        return {name: self.now - kept for name, kept in self.kept_s.items() if kept is not None}

    def is_due(self, record: SpanRecord) -> bool:
        """Whether a record is to be deleted."""
        kept_s = self.kept_s.get(record.retention_class or "default")
        ended = _ended(record)
        return kept_s is not None and ended is not None and ended < self.now - kept_s


@dataclass
class ClassPlan:
    """What becomes of the records of one class.

    Attributes:
        records: How many there are.
        due: How many are to be deleted.
        oldest: When the first of those ended, in Unix seconds.
        newest: When the last of those ended.
    """

    records: int = 0
    due: int = 0
    oldest: float = math.inf
    newest: float = -math.inf


@dataclass
class Plan:
    """What pruning would delete.

    Attributes:
        classes: By class; records without one under the empty name.
        problems: What could not be read (it is left alone), as one line; empty where all could.
    """

    classes: dict[str, ClassPlan] = field(default_factory=dict[str, ClassPlan])
    problems: str = ""

    @property
    def due(self) -> int:
        """How many records are to be deleted."""
        return sum(entry.due for entry in self.classes.values())


def plan(path: str, policy: Policy) -> Plan:
    """What pruning a file would delete; changes nothing.

    Raises:
        UnreadableFileError: the file is missing or nothing in it can be read.
        PeekrError: it is another program's.
    """
    made = Plan()
    with closing(open_reader(path)) as reader:
        _require_own(reader)
        for record in reader.records():
            entry = made.classes.setdefault(record.retention_class or "", ClassPlan())
            entry.records += 1
            if policy.is_due(record):
                ended = _ended(record) or 0.0
                entry.due += 1
                entry.oldest = min(entry.oldest, ended)
                entry.newest = max(entry.newest, ended)
        made.problems = reader.problems.describe()
    return made


def prune(path: str, policy: Policy, *, vacuum: bool = False) -> int:
    """Delete what is due; every other record stays as it is.

    Safe while other processes write to the file: none of their records is lost. What is deleted
    from a database is overwritten in it.

    Args:
        path: A JSONL or SQLite file, told apart by its content.
        policy: What is due.
        vacuum: Give the space back to the disk, for SQLite; it locks writers out meanwhile.

    Returns:
        How many records were deleted.

    Raises:
        UnreadableFileError: the file cannot be read.
        PeekrError: it cannot be changed; the message is one line.
    """
    with closing(open_reader(path)) as reader:
        _require_own(reader)
        is_database = reader.problems.unit == "row"
    path = os.path.realpath(path)
    if is_database:
        from peekr.store.sqlite.prune import prune_sqlite

        return prune_sqlite(path, policy.cutoffs(), vacuum=vacuum)
    from peekr.store.jsonl.prune import prune_jsonl

    return prune_jsonl(path, policy.is_due)


def _require_own(reader: Reader) -> None:
    from peekr.store.otlp import OtlpReader

    if isinstance(reader, OtlpReader):
        shown = clean(reader.path)
        raise PeekrError(f"{shown}: is OTLP, which Peekr only reads (`peekr merge` copies it)")


def _ended(record: SpanRecord) -> Optional[float]:
    ended = record.start_time if record.end_time is None else record.end_time
    return ended if ended > 0 else None
