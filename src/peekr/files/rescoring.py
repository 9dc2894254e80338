"""Scores for traces that are stored already: evaluated again, and written back into their file."""

from __future__ import annotations

import importlib
import inspect
import os
import queue
import sys
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from typing import Any, Callable, Optional, cast

from peekr.errors import ConfigurationError
from peekr.eval import loops
from peekr.eval.evaluator import BaseEvaluator, Evaluator, as_evaluators
from peekr.eval.results import scores_of
from peekr.eval.scoring import Finding, evaluate, failed, is_evaluated, said_of
from peekr.record import SpanRecord
from peekr.semconv import otel
from peekr.store.amend import SpanKey, amend
from peekr.store.opening import open_reader
from peekr.store.query import Query

__all__ = ["Outcome", "Rescoring", "load_evaluator"]

_BY_NAME = ("CitationAccuracy", "Hallucination", "NoError", "NotEmpty")
_TIMEOUT_S = 300.0
"""How long an evaluator that is a coroutine function may take for one record."""


@dataclass
class Outcome:
    """What one evaluator found in all.

    Attributes:
        scores: The scores that it gave.
        failed: How often it failed.
        first_error: Why, the first time.
        silent: How often the question did not arise.
    """

    scores: list[float] = field(default_factory=list[float])
    failed: int = 0
    first_error: str = ""
    silent: int = 0

    @property
    def mean(self) -> Optional[float]:
        """The mean score; None where there is none."""
        return sum(self.scores) / len(self.scores) if self.scores else None


_Task = tuple[SpanRecord, Evaluator]
_Queue = queue.SimpleQueue


class Rescoring:
    """Evaluates the records of one file, and writes what was found back.

    Nothing is written before `save`, so that whoever interrupts it decides about what there is.

    Attributes:
        outcomes: What each evaluator found so far, by its name.
        records: How many records have been evaluated.
    """

    def __init__(
        self,
        path: str,
        evaluators: Sequence[Any],
        *,
        query: Optional[Query] = None,
        name: Optional[str] = None,
        again: bool = False,
        concurrency: int = 4,
    ) -> None:
        """Prepare; nothing is read yet.

        Args:
            path: A JSONL or SQLite file, told apart by its content.
            evaluators: Evaluators, or functions of a record.
            query: Which traces; all when None.
            name: Evaluate the records of this name rather than model calls that generate.
            again: Evaluate also what an evaluator of the same name has scored already.
            concurrency: How many evaluations run at once.

        Raises:
            TypeError: an evaluator is none.
        """
        self._path = path
        self._evaluators = as_evaluators(evaluators)
        self._query = query or Query()
        self._name = name
        self._again = again
        self._concurrency = concurrency
        self._found: dict[SpanKey, dict[str, Finding]] = {}
        self.outcomes = {evaluator.name: Outcome() for evaluator in self._evaluators}
        self.records = 0
        self.problems = ""

    def count(self) -> int:
        """How many evaluations there are to do.

        Raises:
            UnreadableFileError: nothing in the file can be read.
        """
        return sum(1 for _ in self._tasks())

    def run(self, advanced: Callable[[], None]) -> None:
        """Evaluate; returns when all is done.

        Args:
            advanced: Called after each evaluation, on this thread.

        Raises:
            UnreadableFileError: nothing in the file can be read.
        """
        waiting: _Queue[Optional[_Task]] = queue.SimpleQueue()
        found: _Queue[tuple[_Task, Finding]] = queue.SimpleQueue()
        for _ in range(self._concurrency):
            # Daemons: an interrupted program does not wait for a judge that takes its time.
            threading.Thread(target=_work, args=(waiting, found), daemon=True).start()
        under_way = 0
        try:
            for task in self._tasks():
                waiting.put(task)
                under_way += 1
                if under_way >= 2 * self._concurrency:
                    self._collect(*found.get(), advanced)
                    under_way -= 1
            for _ in range(under_way):
                self._collect(*found.get(), advanced)
        finally:
            for _ in range(self._concurrency):
                waiting.put(None)
            while not found.empty():  # what was done before an interruption
                self._collect(*found.get(), advanced)
            loops.stop()

    def save(self) -> int:
        """Write what was found into the file; returns how many records were changed.

        Raises:
            PeekrError: the file cannot be changed.
        """
        return amend(self._path, {key: _merging(found) for key, found in self._found.items()})

    def _tasks(self) -> Iterator[_Task]:
        self.records = 0
        with closing(open_reader(self._path)) as reader:
            for trace in reader.select(self._query).traces:
                for record in trace.spans:
                    if not self._is_chosen(record):
                        continue
                    scores = {} if self._again else scores_of(record)
                    missing = [e for e in self._evaluators if e.name not in scores]
                    self.records += bool(missing)
                    for evaluator in missing:
                        yield record, evaluator
            self.problems = reader.problems.describe()

    def _is_chosen(self, record: SpanRecord) -> bool:
        if self._name is not None:
            return record.name == self._name
        attributes = record.attributes
        if otel.GEN_AI_OPERATION_NAME in attributes:
            return is_evaluated(attributes)
        # Peekr before 1.0 did not say which operation it was.
        return "model" in attributes and "output" in attributes and "embed" not in record.name

    def _collect(self, task: _Task, finding: Finding, advanced: Callable[[], None]) -> None:
        record, evaluator = task
        outcome = self.outcomes[evaluator.name]
        if finding.score is not None:
            outcome.scores.append(float(finding.score))
        elif finding.error is None:
            outcome.silent += 1
        else:
            outcome.failed += 1
            outcome.first_error = outcome.first_error or finding.error
        if finding.score is not None or finding.error is not None:
            key = (record.trace_id, record.span_id)
            self._found.setdefault(key, {})[evaluator.name] = finding
        advanced()


def _work(waiting: _Queue[Optional[_Task]], found: _Queue[tuple[_Task, Finding]]) -> None:
    while True:
        task = waiting.get()
        if task is None:
            return
        record, evaluator = task
        # What an evaluator does to its copy is nobody else's.
        copied = SpanRecord.from_dict({**record.to_dict(), "attributes": dict(record.attributes)})
        try:
            finding = evaluate(evaluator, copied, _TIMEOUT_S)
        except BaseException as error:  # what ends a thread must not end this one
            finding = failed(f"{type(error).__name__}: {error}", type(error).__qualname__)
        found.put((task, finding))


def _merging(found: Mapping[str, Finding]) -> Callable[[Mapping[str, Any]], dict[str, Any]]:
    """What was found together with what a record says by then; others' scores stay."""
    said = said_of(found)

    def merged(attributes: Mapping[str, Any]) -> dict[str, Any]:
        made: dict[str, Any] = {}
        for name in ("eval_scores", "eval_explanations", "eval_errors"):
            present: Any = attributes.get(name)
            held = dict(cast("dict[str, Any]", present)) if isinstance(present, dict) else {}
            before = dict(held)
            if name != "eval_scores":
                for evaluator, finding in found.items():
                    # The reason for a score goes with the score.
                    if finding.score is not None:
                        held.pop(evaluator, None)
            held.update(said.get(name, {}))
            if held != before:
                made[name] = held or None
        if "hallucination_details" in said:
            made["hallucination_details"] = said["hallucination_details"]
        return made

    return merged


def load_evaluator(named: str) -> Any:
    """The evaluator of a name: `NotEmpty`, or `package.module:Name` of one's own.

    The current directory is looked in as well. A class is made an instance of, without arguments.

    Raises:
        ConfigurationError: there is no such thing, or it is no evaluator.
    """
    module_name, colon, name = named.partition(":")
    if not colon:
        module_name, name = "peekr.eval", named
    elif os.getcwd() not in sys.path and "" not in sys.path:
        sys.path.insert(0, os.getcwd())
    try:
        found: Any = importlib.import_module(module_name)
        for part in name.split("."):
            found = getattr(found, part)
    except (ImportError, AttributeError, ValueError) as error:
        if not colon:
            raise ConfigurationError(
                f"{named} is no evaluator of peekr.eval: those are {', '.join(_BY_NAME)};"
                " your own is module:Name"
            ) from None
        raise ConfigurationError(f"{named}: {error}") from error
    if inspect.isclass(found):
        try:
            found = found()
        except TypeError as error:
            raise ConfigurationError(
                f"{named}: cannot be made without arguments ({error}); name an instance of it"
            ) from error
    is_usable = isinstance(found, BaseEvaluator) or callable(getattr(found, "evaluate", found))
    if not is_usable:
        raise ConfigurationError(f"{named}: is no evaluator")
    return found
