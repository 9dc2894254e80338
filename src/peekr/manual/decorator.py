"""`@trace`: a function's calls as spans, with their arguments and results."""

from __future__ import annotations

import functools
import inspect
from typing import Any, Callable, Optional, TypeVar, Union, cast, overload

from opentelemetry import context as otel_context
from opentelemetry.context import Context
from opentelemetry.trace import INVALID_SPAN

from peekr import faults, tracing
from peekr.manual.generators import wrap_async_generator, wrap_generator
from peekr.manual.span_view import Span
from peekr.manual.spans import close, leave, open_span
from peekr.messages import dump, head
from peekr.semconv import own
from peekr.values import MAX_CHARS, jsonable

__all__ = ["MAX_YIELDED", "trace"]

_Traced = TypeVar(
    "_Traced",
    bound=Union[Callable[..., Any], "classmethod[Any, ..., Any]", "staticmethod[..., Any]"],
)

MAX_YIELDED = 100
"""How many of the values that a generator gives are stored, unless all of them are text."""

_RECEIVERS = ("self", "cls", "mcs", "mcls", "metacls")


@overload
def trace(function: _Traced, /) -> _Traced: ...


@overload
def trace(
    *, name: Optional[str] = None, capture_io: bool = True
) -> Callable[[_Traced], _Traced]: ...


def trace(function: Any = None, /, *, name: Optional[str] = None, capture_io: bool = True) -> Any:
    """Record each call of a function as a span, with its arguments and its result.

    Works on functions, coroutine functions, generators, async generators, methods, class methods
    and static methods (above or below those decorators). Name, signature, documentation and kind of
    the function stay what they are; exceptions are recorded and pass unmodified. Arguments are
    recorded by name, defaults included, `self` and `cls` left out, as they are when the call
    begins; `peekr.values` says how values that are no JSON values are represented, and the bounds.

    A generator's span begins when its first value is asked for and ends when it is exhausted,
    closed or dropped; it is the parent of what its body starts. Its output is the values it gave:
    joined where all are text, else the first 100; where it returns something,
    `{"items": …, "returned": …}`. `peekr.generator.items` counts them. Left before its end it is no
    error, and marked `peekr.stream.abandoned`.

    Without `instrument()` the span goes to the global tracer provider, and nowhere without one.
    Overhead: a few microseconds a call beside what OpenTelemetry's own span costs.

    Args:
        function: What to trace; left out where the decorator has arguments.
        name: The record's name instead of `module.function`.
        capture_io: False leaves arguments and results out; messages of exceptions stay, unless
            `instrument(capture_content=False)` says otherwise.

    Raises:
        TypeError: it is put on something that is not called, such as a property, or on a class.
    """
    if function is None:
        return lambda function: _wrap(function, name, capture_io)  # pyright: ignore[reportUnknownLambdaType, reportUnknownVariableType]
    return _wrap(function, name, capture_io)


def _wrap(function: Any, name: Optional[str], capture_io: bool) -> Any:
    if isinstance(function, (classmethod, staticmethod)):
        inner = cast("Any", function).__func__
        return cast("Any", type(function))(_wrap(inner, name, capture_io))  # pyright: ignore[reportUnknownArgumentType]
    if isinstance(function, type) or not callable(function):
        raise TypeError(
            f"@trace cannot be put on {function!r}: it is for functions and methods"
            + ("; put it on the class's methods" if isinstance(function, type) else "")
        )
    return _wrap_callable(function, _Call(function, name or _default_name(function), capture_io))


def _wrap_callable(function: Callable[..., Any], call: _Call) -> Any:
    kind = _kind(function)
    if kind == "generator":
        return wrap_generator(function, call.run)
    if kind == "async generator":
        return wrap_async_generator(function, call.run)
    begin, succeed, fail = call.begin, call.succeed, call.fail
    # An object's own attributes are not the wrapper's.
    wraps = functools.wraps(function, updated=("__dict__",) if inspect.isroutine(function) else ())
    if kind == "coroutine":

        @wraps
        async def traced_coroutine(*args: Any, **kwargs: Any) -> Any:
            span = begin(args, kwargs)
            if span is None:
                return await function(*args, **kwargs)
            try:
                result = await function(*args, **kwargs)
            except BaseException as error:
                fail(span, error)
                raise
            succeed(span, result)
            return result

        return traced_coroutine

    @wraps
    def traced(*args: Any, **kwargs: Any) -> Any:
        span = begin(args, kwargs)
        if span is None:
            return function(*args, **kwargs)
        try:
            result = function(*args, **kwargs)
        except BaseException as error:
            fail(span, error)
            raise
        succeed(span, result)
        return result

    return traced


def _kind(function: Any) -> str:
    for candidate in (function, getattr(cast("Any", type(function)), "__call__", None)):  # noqa: B004
        if inspect.isasyncgenfunction(candidate):
            return "async generator"
        if inspect.iscoroutinefunction(candidate):
            return "coroutine"
        if inspect.isgeneratorfunction(candidate):
            return "generator"
    return "function"


def _default_name(function: Any) -> str:
    while isinstance(function, functools.partial):
        function = cast("Any", function).func
    if not hasattr(function, "__qualname__"):
        function = cast("Any", type(function))
    # Where a function was defined locally does not tell more than its module and its own name.
    name = function.__qualname__.rpartition("<locals>.")[2]
    module = getattr(function, "__module__", None)
    return f"{module}.{name}" if module else name


class _Call:
    """What is the same for all calls of one traced function, and the steps of each."""

    __slots__ = ("_arguments", "_capture_io", "_name")

    def __init__(self, function: Any, name: str, capture_io: bool) -> None:
        self._name = name
        self._capture_io = capture_io
        self._arguments = _Arguments(function)

    def begin(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Optional[Span]:
        """Start the span and make it current; None after a fault of ours."""
        try:
            span, context = open_span(self._name)
            self._read_input(span, args, kwargs)
            otel_context.attach(context)
            return span
        except Exception:
            faults.report("beginning a span of @trace")
            return None

    def run(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> _Run:
        """Start the span of a generator, which is current in the run's context alone."""
        try:
            span, context = open_span(self._name)
            self._read_input(span, args, kwargs)
            return _Run(span, context, self._capture_io and tracing.current().capture_content)
        except Exception:
            faults.report("beginning a span of @trace")
            return _Run(Span(INVALID_SPAN), otel_context.get_current(), captures=False)

    def _read_input(self, span: Span, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        if self._capture_io and span.otel_span.is_recording():
            settings = tracing.current()
            if settings.capture_content:
                named = self._arguments.by_name(args, kwargs)
                text = dump(jsonable(named), settings.max_chars)
                span.otel_span.set_attribute(own.PEEKR_INPUT, text)

    def succeed(self, span: Span, result: Any) -> None:
        """End the span with a result; never raises."""
        end_ns = span._now_ns()  # pyright: ignore[reportPrivateUsage]
        leave(span)
        if self._capture_io and tracing.current().capture_content:
            try:
                if span.otel_span.is_recording():
                    _put_output(span, jsonable(result))
            except Exception:
                faults.report("recording a result of @trace")
        close(span, end_ns)

    def fail(self, span: Span, error: BaseException) -> None:
        """End the span with an exception; never raises."""
        end_ns = span._now_ns()  # pyright: ignore[reportPrivateUsage]
        leave(span)
        span.record_exception(error)
        close(span, end_ns)


def _put_output(span: Span, made: Any) -> None:
    span.otel_span.set_attribute(own.PEEKR_OUTPUT, dump(made, tracing.current().max_chars))


class _Arguments:
    """The names of a function's parameters, to put a call's arguments under."""

    __slots__ = ("_defaults", "_keywords", "_names", "_positional", "_rest", "_skip")

    def __init__(self, function: Any) -> None:
        try:
            parameters = list(inspect.signature(function).parameters.values())
        except (TypeError, ValueError):
            parameters = []  # built in, without a signature
        positional = [
            entry.name
            for entry in parameters
            if entry.kind in (entry.POSITIONAL_ONLY, entry.POSITIONAL_OR_KEYWORD)
        ]
        self._rest = self._name_of(parameters, inspect.Parameter.VAR_POSITIONAL)
        self._keywords = self._name_of(parameters, inspect.Parameter.VAR_KEYWORD)
        scope = getattr(function, "__qualname__", "").rpartition(".")[0]
        in_class = bool(scope) and not scope.endswith("<locals>")
        self._skip = int(in_class and bool(positional) and positional[0] in _RECEIVERS)
        self._positional = positional[self._skip :]
        named = [entry for entry in parameters if entry.name not in (self._rest, self._keywords)]
        self._names = frozenset(entry.name for entry in named)
        self._defaults = [
            (entry.name, entry.default) for entry in named if entry.default is not entry.empty
        ]

    @staticmethod
    def _name_of(parameters: list[inspect.Parameter], kind: Any) -> Optional[str]:
        return next((entry.name for entry in parameters if entry.kind is kind), None)

    def by_name(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> dict[str, Any]:
        """The arguments of a call by name.

        Lenient where a call does not fit: the function itself raises the TypeError.
        """
        if self._skip:
            args = args[self._skip :]
        named: dict[str, Any] = dict(zip(self._positional, args))
        if len(args) > len(self._positional):
            named[self._rest or "args"] = args[len(self._positional) :]
        if kwargs:
            others: dict[str, Any] = {}
            for key, value in kwargs.items():
                (named if key in self._names else others)[key] = value
            if others:
                named[self._keywords or "kwargs"] = others
        for key, value in self._defaults:
            if key not in named:
                named[key] = value
        return named


class _Run:
    """One run of a traced generator: what it gave, up to a bound, and its single end."""

    __slots__ = ("_captures", "_chars", "_count", "_items", "_span", "_texts", "context")

    def __init__(self, span: Span, context: Context, captures: bool) -> None:
        self.context = context
        self._span = span
        self._captures = captures and span.otel_span.is_recording()
        self._count = 0
        self._chars = 0
        self._texts: Optional[list[str]] = []
        self._items: list[Any] = []

    def item(self, value: Any) -> None:
        """Take a value as it is now: the consumer may change it."""
        self._count += 1
        if not self._captures:
            return
        if type(value) is str and self._texts is not None:
            if self._chars < MAX_CHARS:
                self._texts.append(value)
            self._chars += len(value)
        else:
            self._texts = None
        if self._count <= MAX_YIELDED:
            self._items.append(jsonable(value))

    def finish(self, value: Any) -> None:
        """End with what was given and returned."""
        self._end(value)

    def abandon(self) -> None:
        """End as left by the consumer."""
        self._span.attributes[own.PEEKR_STREAM_ABANDONED] = True
        self._end(None)

    def fail(self, error: BaseException) -> None:
        """End with an exception and what was given before it."""
        self._span.record_exception(error)
        self._end(None)

    def _end(self, returned: Any) -> None:
        end_ns = self._span._now_ns()  # pyright: ignore[reportPrivateUsage]
        self._span.attributes[own.PEEKR_GENERATOR_ITEMS] = self._count
        if self._captures and self._span.otel_span.is_recording():
            try:
                given = self._given()
                if returned is not None:
                    given = {"items": given, "returned": jsonable(returned)}
                _put_output(self._span, given)
            except Exception:
                faults.report("recording the items of @trace")
        close(self._span, end_ns)

    def _given(self) -> Any:
        if self._texts:
            text = "".join(self._texts)
            missing = max(0, self._chars - MAX_CHARS)
            return f"{head(text, MAX_CHARS)}…[{missing} characters cut]" if missing else text
        missing = self._count - len(self._items)
        return [*self._items, f"…[{missing} items cut]"] if missing else self._items
