"""Brings messages to one sink: off everybody's thread, again after a failure, within bounds."""

from __future__ import annotations

import logging
import random
import time
import weakref
from functools import partial
from typing import Any, Callable, cast

from peekr.alert.sinks import DeliveryError, Sink
from peekr.alert.worker import Worker, time_left_s

__all__ = ["Courier", "courier_of", "flush_all", "say_what_is_left"]

_MAX_WAITING = 100
"""Messages that wait for one sink."""
_ATTEMPTS = 4
_FIRST_DELAY_S = 0.5
_MAX_DELAY_S = 30.0

_logger = logging.getLogger("peekr.alert")


class Courier:
    """The way to one sink.

    A sink that cannot be reached (a `DeliveryError` that may pass, or an `OSError`, which the
    errors of networks are) is tried four times, with half a second, one and two seconds between,
    or as long as it asks for. Then the message is dropped and that is said once, until something
    gets through again. A sink that raises something else is reported once, with its traceback.
    """

    def __init__(self, sink: Any) -> None:
        self.sink = sink
        self._worker = Worker(_MAX_WAITING)
        self._notify: Callable[[str, str], Any] = getattr(sink, "notify", None) or sink
        self._dropped = 0
        self._said_dropping = False
        self._said_error = False
        self._said_left = 0

    def send(self, alert_name: str, message: str) -> None:
        """Queue a message; costs a queue's `put`."""
        if not self._worker.put(partial(self._bring, alert_name, message)):
            self._drop(f"{_MAX_WAITING} alerts wait for it")

    def flush(self, timeout_s: float) -> bool:
        """Wait until what was sent has arrived or was given up; False when time ran out."""
        return self._worker.flush(timeout_s)

    def say_what_is_left(self) -> None:
        """Log how many messages have not arrived, now that the process ends."""
        left = self._worker.waiting
        if left and left != self._said_left:
            self._said_left = left
            one = "alert was" if left == 1 else "alerts were"
            _warn("%s: %d %s not delivered before the process ended", self, left, one)

    def _bring(self, alert_name: str, message: str) -> None:
        delay_s = _FIRST_DELAY_S
        for attempt in range(1, _ATTEMPTS + 1):
            try:
                self._notify(alert_name, message)
            except (DeliveryError, OSError) as error:
                reason = str(error) if isinstance(error, DeliveryError) else type(error).__name__
                retry_after_s = getattr(error, "retry_after_s", None)
                if attempt == _ATTEMPTS or not getattr(error, "may_pass", True):
                    self._drop(f"{reason} ({attempt} attempt{'s' if attempt > 1 else ''})")
                    return
                # Some chance in it, so that many processes do not come back all at once.
                wait_s = delay_s * random.uniform(0.8, 1.2)
                if isinstance(retry_after_s, (int, float)):
                    wait_s = max(wait_s, float(retry_after_s))
                wait_s = min(wait_s, _MAX_DELAY_S)
                if wait_s >= time_left_s():
                    self._drop(f"{reason}, and the process ends")
                    return
                time.sleep(wait_s)
                delay_s *= 2
            except BaseException:
                self._say_error()
                return
            else:
                self._arrived()
                return

    def _drop(self, reason: str) -> None:
        self._dropped += 1
        if not self._said_dropping:
            self._said_dropping = True
            _warn("%s cannot deliver an alert: %s; the application is not affected", self, reason)

    def _arrived(self) -> None:
        if self._said_dropping:
            dropped, self._dropped, self._said_dropping = self._dropped, 0, False
            _warn("%s delivers again; alerts that did not arrive: %d", self, dropped)

    def _say_error(self) -> None:
        if not self._said_error:
            self._said_error = True
            _warn(
                "The sink %s of an alert raised; the application and other sinks are not "
                "affected. Further errors of this sink are not logged.",
                self,
                exc_info=True,
            )

    def __str__(self) -> str:
        kind = cast("type[Any]", type(self.sink))
        # A sink of Peekr's says where it sends without its secrets; another's repr may not.
        ours = kind.__module__.startswith("peekr.")
        return repr(self.sink) if ours else str(getattr(self.sink, "__name__", kind.__name__))


# One courier a sink, also when several alerts share it; alive as long as an alert holds it.
_couriers: weakref.WeakValueDictionary[int, Courier] = weakref.WeakValueDictionary()


def courier_of(sink: Sink) -> Courier:
    """The courier of a sink; hold on to it, or it goes."""
    # A courier holds its sink, so the identity is the sink's as long as the courier is there.
    courier = _couriers.get(id(sink))
    if courier is None:
        courier = _couriers[id(sink)] = Courier(cast("Any", sink))
    return courier


def flush_all(timeout_s: float) -> bool:
    """Wait until every sink has what it was sent, or it was given up; False when time ran out."""
    deadline = time.monotonic() + timeout_s
    # A courier that still has something to bring is alive, whatever became of its alert.
    done = [one.flush(max(0.0, deadline - time.monotonic())) for one in list(_couriers.values())]
    return all(done)


def say_what_is_left() -> None:
    """Log which sinks have not got everything, now that the process ends."""
    for courier in list(_couriers.values()):
        courier.say_what_is_left()


def _warn(message: str, *arguments: object, exc_info: bool = False) -> None:
    try:
        _logger.warning(message, *arguments, exc_info=exc_info)
    except Exception:
        pass  # a broken handler of the application must not matter
