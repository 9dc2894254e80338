"""What an evaluator is, and the plain functions that serve as one."""

from __future__ import annotations

import inspect
from abc import ABC, abstractmethod
from collections.abc import Awaitable, Sequence
from typing import Any, Callable, Optional, Union, cast

from peekr.record import SpanRecord

__all__ = ["BaseEvaluator", "Evaluation", "Evaluator", "Score", "as_evaluators"]


class Score(float):
    """A score with what is to be said about it; a float everywhere else.

    Attributes:
        explanation: Why, in a sentence or two, if known.
        label: One of few words for it, `pass` say, if the evaluator has such.
        details: Claims with their verdicts, for the record's `hallucination_details`.
    """

    explanation: Optional[str]
    label: Optional[str]
    details: Optional[Sequence[Any]]

    def __new__(
        cls,
        value: float,
        explanation: Optional[str] = None,
        *,
        label: Optional[str] = None,
        details: Optional[Sequence[Any]] = None,
    ) -> Score:
        """Make one.

        Args:
            value: 0.0 (bad) to 1.0 (good).
            explanation: Why.
            label: One of few words for it.
            details: Claims with their verdicts.
        """
        made = super().__new__(cls, value)
        made.explanation = explanation
        made.label = label
        made.details = details
        return made

    def __getnewargs_ex__(self) -> Any:
        # Copies and pickles keep what is said.
        said = {"label": self.label, "details": self.details}
        return (float(self), self.explanation), said


Evaluation = Union[float, None, Awaitable[Optional[float]]]


class BaseEvaluator(ABC):
    """Gives finished spans a score; derive your own from it.

    Attributes:
        name: Under which the score is stored; the class's name unless something else is set.
    """

    name: str = ""

    def __init_subclass__(cls, **kwargs: Any) -> None:
        """Name the evaluator after its class, where the class sets no name."""
        super().__init_subclass__(**kwargs)
        if "name" not in vars(cls):
            cls.name = cls.__name__

    @abstractmethod
    def evaluate(self, span: Any) -> Evaluation:
        """Score one finished span.

        Runs on a background thread (with `async_eval=False` the caller waits for it), several at
        once. May be a coroutine function: it then runs on an event loop of Peekr's own. What it
        raises becomes an entry in `eval_errors`. Model calls that it makes are marked as internal.

        Args:
            span: The span's record, a `SpanRecord`, redacted where that is asked for:
                `span.attributes["input"]`, `span.attributes["output"]`, `span.status`,
                `span.to_dict()`. A copy: what is changed in it is not stored.

        Returns:
            0.0 (bad) to 1.0 (good), a `Score` where there is more to say; None where the question
            does not arise, so that nothing is stored.
        """


class _FunctionEvaluator(BaseEvaluator):
    def __init__(self, function: Callable[[Any], Any]) -> None:
        self._function = function
        self.name = str(getattr(function, "__name__", None) or type(function).__name__)

    def evaluate(self, span: SpanRecord) -> Any:
        return self._function(span)

    def __repr__(self) -> str:
        return f"<evaluator {self.name}>"


class Evaluator:
    """An evaluator under the name that it has among others.

    Attributes:
        name: Its own, or with `_2`, `_3`, … where another one before it has the same.
        evaluate: Its method.
    """

    __slots__ = ("evaluate", "name")

    def __init__(self, name: str, evaluate: Callable[[Any], Any]) -> None:
        self.name = name
        self.evaluate = evaluate


def as_evaluators(given: Sequence[Any]) -> tuple[Evaluator, ...]:
    """The evaluators of a list in which functions may stand as well.

    Args:
        given: Instances with `evaluate(span)`, or functions of a span.

    Raises:
        TypeError: something else; the message names it.
    """
    made: list[Evaluator] = []
    taken: set[str] = set()
    for entry in given:
        found = _evaluator(entry)
        base = name = str(getattr(found, "name", "") or type(found).__name__)
        number = 2
        while name in taken:
            name, number = f"{base}_{number}", number + 1
        taken.add(name)
        made.append(Evaluator(name, found.evaluate))
    return tuple(made)


def _evaluator(entry: Any) -> Any:
    if isinstance(entry, type):
        raise TypeError(
            f"evaluators: {entry.__name__} is a class; give an instance, {entry.__name__}(…)"
        )
    evaluate = getattr(entry, "evaluate", None)
    if callable(evaluate):
        return entry
    if inspect.isroutine(entry) or callable(entry):
        return _FunctionEvaluator(cast("Callable[[Any], Any]", entry))
    raise TypeError(
        f"evaluators: {entry!r} is no evaluator; give an instance from peekr.eval, an object with "
        "evaluate(span), or a function of a span"
    )
