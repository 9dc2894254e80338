"""What an alert is: a rule that looks at each trace, and where it says what it found."""

from __future__ import annotations

import inspect
import logging
import time
from collections import OrderedDict
from collections.abc import Sequence
from typing import Any, Callable, Optional, TypeVar, Union, cast

from peekr.alert.courier import Courier, courier_of
from peekr.alert.sinks import Sink, StderrSink
from peekr.errors import ConfigurationError
from peekr.record import SpanRecord

__all__ = ["AlertRule", "BaseAlert", "FunctionAlert", "Memory", "as_alert", "run"]

Trace = Sequence[SpanRecord]
Verdict = Union[str, bool, None]
AlertRule = Callable[[Trace], Verdict]
"""A function that looks at a trace's spans and gives a message, or None when all is well."""

_Alert = TypeVar("_Alert", bound="BaseAlert")

_MAX_FINGERPRINTS = 1_000

_logger = logging.getLogger("peekr.alert")
_STDERR = StderrSink()


class Memory:
    """What an alert has said, by fingerprint, and whether it was reported as broken."""

    def __init__(self) -> None:
        self._said: OrderedDict[str, list[float]] = OrderedDict()
        self._is_reported = False

    def __len__(self) -> int:
        return len(self._said)

    def held_back(self, fingerprint: str, throttle_s: float) -> Optional[int]:
        """How many messages were held back until this one; None when it is to be held back."""
        now = time.monotonic()
        entry = self._said.get(fingerprint)
        if entry is not None and now - entry[0] < throttle_s:
            entry[1] += 1
            return None
        self._said[fingerprint] = [now, 0]
        self._said.move_to_end(fingerprint)
        if len(self._said) > _MAX_FINGERPRINTS:
            self._said.popitem(last=False)
        return 0 if entry is None else int(entry[1])

    def report(self, name: str) -> None:
        """Log the exception that is being handled, once."""
        if self._is_reported:
            return
        self._is_reported = True
        try:
            _logger.warning(
                "The alert %s raised; the application and other alerts are not affected. "
                "Further errors of this alert are not logged.",
                name,
                exc_info=True,
            )
        except Exception:
            pass  # a broken handler of the application must not matter


class BaseAlert:
    """A rule of one's own: subclass it and write `check`.

    Rules run one after the other on a thread of their own, once a trace, so a rule needs no locks
    and may keep what it wants between traces; it must keep it bounded. What a rule raises is
    reported once and stops neither the other rules nor the application. Nothing that a rule does
    is traced.

    Attributes:
        name: What the alert is called in messages; the class's name.
        sinks: Where messages go; when empty, to stderr.
        throttle_seconds: After a message, how long others with the same fingerprint are held back.
        memory: What it has said so far; Peekr's own.
    """

    name: str = ""
    sinks: Sequence[Sink] = ()
    throttle_seconds: float = 300.0
    # Made when it is needed: a subclass need not call our __init__.
    memory: Optional[Memory] = None
    _couriers: tuple[Courier, ...] = ()

    def __init__(
        self, *, sinks: Optional[Sequence[Sink]] = None, throttle_seconds: float = 300.0
    ) -> None:
        """Begin.

        Args:
            sinks: Where messages go: objects with `notify(alert_name, message)`, or functions of
                the two.
            throttle_seconds: After a message, how long others with the same fingerprint are held
                back, in seconds; 0 holds none back.

        Raises:
            ConfigurationError: (a ValueError) the time is negative.
            TypeError: a sink is none; the message names it.
        """
        kind = type(self).__name__
        if not _is_number(throttle_seconds) or not throttle_seconds >= 0:
            raise ConfigurationError(f"{kind}: throttle_seconds={throttle_seconds!r} is below 0")
        self.throttle_seconds = throttle_seconds
        self.sinks = []
        self.with_sinks(*(sinks or ()))

    def __init_subclass__(cls, **kwargs: Any) -> None:
        """Name the alert after its class, unless the class says another name."""
        super().__init_subclass__(**kwargs)
        if not vars(cls).get("name"):
            cls.name = cls.__name__

    def with_sinks(self: _Alert, *sinks: Sink) -> _Alert:
        """Add sinks.

        Returns:
            The alert itself.

        Raises:
            TypeError: a sink is none; the message names it.
        """
        for sink in sinks:
            usable = callable(getattr(sink, "notify", None)) or callable(sink)
            if isinstance(sink, (type, str, bytes)) or not usable:
                raise TypeError(
                    f"{self.name}: {sink!r} is no sink: it has no notify(name, message)"
                )
        self.sinks = [*self.sinks, *sinks]
        return self

    def check(self, trace: Trace) -> Verdict:
        """Look at a finished trace.

        Args:
            trace: The records of its spans in the order in which they ended, its root last. For a
                trace that began in another process, the part below one entry into this one.

        Returns:
            The message when there is something to say, else None.
        """
        raise NotImplementedError(f"{type(self).__name__} has no check(trace)")

    def fingerprint(self, trace: Trace, message: str) -> str:
        """What makes two messages the same alert for throttling; by default all of a rule's are.

        Args:
            trace: What `check` was given.
            message: What it returned.
        """
        del trace, message
        return ""

    def on_trigger(self, message: str) -> None:
        """Say that the rule has found something: hand the message to the sinks, which does not
        wait for them. Override it to do something else.

        Args:
            message: What was found.
        """
        couriers = tuple(map(courier_of, self.sinks or (_STDERR,)))
        # Held, so that a sink that several alerts share has one.
        self._couriers = couriers
        for courier in couriers:
            courier.send(self.name, message)


class FunctionAlert(BaseAlert):
    """A plain function as an alert, for one that needs sinks of its own.

    A function may stand in `instrument(alerts=[...])` as it is, too: its messages go to stderr.
    """

    def __init__(
        self,
        rule: AlertRule,
        *,
        sinks: Optional[Sequence[Sink]] = None,
        throttle_seconds: float = 300.0,
    ) -> None:
        """Make an alert of a function.

        Args:
            rule: Takes a trace, as `BaseAlert.check` does, and returns a message or None.
            sinks: Where messages go; when empty, to stderr.
            throttle_seconds: After a message, how long further ones are held back.

        Raises:
            TypeError: it is no function, or one to be awaited.
        """
        if not callable(rule) or isinstance(rule, type):
            raise TypeError(f"FunctionAlert: {rule!r} is no function of a trace")
        _refuse_coroutine(rule)
        self.name = str(getattr(rule, "__name__", type(rule).__name__))
        self._rule = rule
        super().__init__(sinks=sinks, throttle_seconds=throttle_seconds)

    def check(self, trace: Trace) -> Verdict:
        """What the function says."""
        return self._rule(trace)


# -- what the pipeline calls: a function, so that a subclass may have methods of any name ----------


def run(alert: BaseAlert, trace: Trace) -> None:
    """Have an alert look at a trace, and say what it found unless that was said lately.

    Never raises: a fault of the alert is reported once.
    """
    memory = alert.memory
    if memory is None:
        memory = alert.memory = Memory()
    try:
        verdict = alert.check(trace)
        if verdict is None or verdict is False:
            return
        message = verdict if isinstance(verdict, str) else f"{alert.name} fired"
        held_back = memory.held_back(alert.fingerprint(trace, message), alert.throttle_seconds)
        if held_back is None:
            return
        root = trace[-1]
        message = f"{message} [{root.name}, trace {root.trace_id}]"
        if held_back:
            message = f"{message} ({held_back} more since the last alert)"
        alert.on_trigger(message)
    except BaseException:
        memory.report(alert.name)


def as_alert(given: Any) -> BaseAlert:
    """The alert that was given, or one around another object with `check`, or around a function.

    Raises:
        TypeError: it is neither, or is to be awaited.
    """
    if isinstance(given, BaseAlert):
        _refuse_coroutine(given.check)
        return given
    check = getattr(given, "check", None)
    if isinstance(given, type) or not callable(check):
        return FunctionAlert(given)
    made = FunctionAlert(cast("AlertRule", check))
    made.name = type(given).__name__
    on_trigger = getattr(given, "on_trigger", None)
    if callable(on_trigger):
        cast("Any", made).on_trigger = on_trigger
    return made


def _refuse_coroutine(function: Any) -> None:
    if inspect.iscoroutinefunction(function):
        raise TypeError(f"alerts: {function!r} is a coroutine function, but alerts run on a thread")


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)
