"""The rules that come with Peekr; each looks at one finished trace at a time."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Mapping, Sequence
from typing import Any, Optional, cast

from peekr.alert.base import BaseAlert, Trace
from peekr.alert.sinks import Sink
from peekr.alert.spending import spending_of
from peekr.errors import ConfigurationError
from peekr.summary import format_cost, format_duration, number

__all__ = ["CostSpike", "ErrorRate", "LatencyP95", "ScoreFloor", "TokenGrowth"]


class ErrorRate(BaseAlert):
    """Fires when more than a share of the latest traces failed.

    A trace has failed when any of its spans has. Until there have been `window` traces, those that
    there were count.
    """

    def __init__(
        self,
        threshold: float = 0.05,
        window: int = 100,
        *,
        sinks: Optional[Sequence[Sink]] = None,
        throttle_seconds: float = 300.0,
    ) -> None:
        """Watch the share of traces that fail.

        Args:
            threshold: The share above which it fires, 0 to 1.
            window: How many traces are looked back on.
            sinks: See `BaseAlert`.
            throttle_seconds: See `BaseAlert`.

        Raises:
            ConfigurationError: (a ValueError) a value is out of its range.
        """
        super().__init__(sinks=sinks, throttle_seconds=throttle_seconds)
        self.threshold = _between(self, "threshold", threshold, 0.0, 1.0)
        self.window = _count(self, "window", window)
        self._failed: deque[bool] = deque(maxlen=window)

    def check(self, trace: Trace) -> Optional[str]:
        """Count a trace, and compare the share."""
        self._failed.append(any(record.status == "error" for record in trace))
        count = sum(self._failed)
        rate = count / len(self._failed)
        if rate <= self.threshold:
            return None
        return (
            f"{count} of the last {len(self._failed)} traces failed "
            f"({rate:.1%}, threshold {self.threshold:.1%})"
        )


class CostSpike(BaseAlert):
    """Fires when a trace costs more than a multiple of what the traces before it did on average.

    By the price where the prices of all its calls are known, else by its tokens. Traces without
    model calls are passed over, and so is each call's framework span that only adds up.
    """

    def __init__(
        self,
        multiplier: float = 2.0,
        window: int = 100,
        *,
        sinks: Optional[Sequence[Sink]] = None,
        throttle_seconds: float = 300.0,
    ) -> None:
        """Watch for traces that cost much more than others.

        Args:
            multiplier: How many times the average a trace must cost more than to fire.
            window: How many traces the average is of.
            sinks: See `BaseAlert`.
            throttle_seconds: See `BaseAlert`.

        Raises:
            ConfigurationError: (a ValueError) a value is out of its range.
        """
        super().__init__(sinks=sinks, throttle_seconds=throttle_seconds)
        self.multiplier = _between(self, "multiplier", multiplier, 0.0, math.inf)
        self.window = _count(self, "window", window)
        self._costs: deque[float] = deque(maxlen=window)
        self._tokens: deque[float] = deque(maxlen=window)

    def check(self, trace: Trace) -> Optional[str]:
        """Compare a trace with those before it, and remember it."""
        tokens, cost_usd = spending_of(trace)
        if tokens is None:
            return None
        message = None
        if cost_usd is not None and any(self._costs):
            message = self._compared(cost_usd, self._costs, format_cost)
        else:
            message = self._compared(tokens, self._tokens, _in_tokens)
        if cost_usd is not None:
            self._costs.append(cost_usd)
        self._tokens.append(tokens)
        return message

    def _compared(self, value: float, before: deque[float], shown: Any) -> Optional[str]:
        average = math.fsum(before) / len(before) if before else 0.0
        if average <= 0.0 or value <= self.multiplier * average:
            return None
        return (
            f"this trace took {shown(value)}, {value / average:.1f} times the average of "
            f"{shown(average)} over {_traces(len(before))} (threshold {self.multiplier:g})"
        )


class LatencyP95(BaseAlert):
    """Fires when the 95th percentile of the durations of a trace's spans is above a limit.

    By nearest rank: of fewer than 20 spans it is the slowest, which as a rule is the root.
    """

    def __init__(
        self,
        ms: float = 5000.0,
        *,
        sinks: Optional[Sequence[Sink]] = None,
        throttle_seconds: float = 300.0,
    ) -> None:
        """Watch for slow traces.

        Args:
            ms: The limit in milliseconds.
            sinks: See `BaseAlert`.
            throttle_seconds: See `BaseAlert`.

        Raises:
            ConfigurationError: (a ValueError) a value is out of its range.
        """
        super().__init__(sinks=sinks, throttle_seconds=throttle_seconds)
        self.ms = _between(self, "ms", ms, 0.0, math.inf)

    def check(self, trace: Trace) -> Optional[str]:
        """Compare a trace's durations with the limit."""
        durations = sorted(one.duration_ms for one in trace if one.duration_ms is not None)
        if not durations:
            return None
        # In whole numbers: 0.95 as a float would round some counts to the next rank.
        p95 = durations[(len(durations) * 95 + 99) // 100 - 1]
        if p95 <= self.ms:
            return None
        spans = "1 span" if len(durations) == 1 else f"{len(durations)} spans"
        return (
            f"the 95th percentile of {spans} took {format_duration(p95)} "
            f"(threshold {format_duration(self.ms)})"
        )


class TokenGrowth(BaseAlert):
    """Fires when each of several traces in a row took more tokens than the one before it.

    Traces without model calls are passed over.
    """

    def __init__(
        self,
        runs: int = 5,
        *,
        sinks: Optional[Sequence[Sink]] = None,
        throttle_seconds: float = 300.0,
    ) -> None:
        """Watch for conversations that grow without bound.

        Args:
            runs: How many times in a row the tokens must have grown.
            sinks: See `BaseAlert`.
            throttle_seconds: See `BaseAlert`.

        Raises:
            ConfigurationError: (a ValueError) a value is out of its range.
        """
        super().__init__(sinks=sinks, throttle_seconds=throttle_seconds)
        self.runs = _count(self, "runs", runs)
        self._tokens: deque[float] = deque(maxlen=runs + 1)

    def check(self, trace: Trace) -> Optional[str]:
        """Compare a trace's tokens with those of the traces before it."""
        tokens = spending_of(trace).tokens
        if tokens is None:
            return None
        self._tokens.append(tokens)
        row = list(self._tokens)
        if len(row) <= self.runs or any(a >= b for a, b in zip(row, row[1:])):
            return None
        times = "once" if self.runs == 1 else f"{self.runs} times in a row"
        return f"tokens grew {times}, from {row[0]:.0f} to {row[-1]:.0f} a trace"


class ScoreFloor(BaseAlert):
    """Fires when an evaluator gave a span of the trace less than a score.

    Spans that were not evaluated, or where the evaluator failed, are passed over.
    """

    def __init__(
        self,
        evaluator: Any,
        threshold: float,
        *,
        sinks: Optional[Sequence[Sink]] = None,
        throttle_seconds: float = 300.0,
    ) -> None:
        """Watch the scores of an evaluator that `instrument(evaluators=...)` runs.

        Args:
            evaluator: The evaluator, or its name, as it stands in `eval_scores`.
            threshold: The score below which it fires, 0 to 1.
            sinks: See `BaseAlert`.
            throttle_seconds: See `BaseAlert`.

        Raises:
            ConfigurationError: (a ValueError) the threshold is out of its range.
            TypeError: the evaluator is neither a name nor has one.
        """
        super().__init__(sinks=sinks, throttle_seconds=throttle_seconds)
        name = evaluator if isinstance(evaluator, str) else getattr(evaluator, "name", None)
        if not isinstance(name, str) or not name:
            raise TypeError(f"ScoreFloor: {evaluator!r} is neither an evaluator nor its name")
        self.evaluator = name
        self.threshold = _between(self, "threshold", threshold, 0.0, 1.0)

    def check(self, trace: Trace) -> Optional[str]:
        """Compare the lowest score with the threshold."""
        scores = [score for score in map(self._score, trace) if score is not None]
        if not scores or min(scores) >= self.threshold:
            return None
        below = sum(score < self.threshold for score in scores)
        which = "" if len(scores) == 1 else f", {below} of {len(scores)} below"
        return f"{self.evaluator} scored {min(scores):.2f} (threshold {self.threshold:g}{which})"

    def _score(self, record: Any) -> Optional[float]:
        scores = record.attributes.get("eval_scores")
        if not isinstance(scores, Mapping):
            return None
        return number(cast("Mapping[str, Any]", scores).get(self.evaluator))


def _traces(count: int) -> str:
    return "1 trace" if count == 1 else f"{count} traces"


def _in_tokens(tokens: float) -> str:
    return f"{tokens:.0f} tokens"


def _between(alert: BaseAlert, argument: str, value: Any, low: float, high: float) -> float:
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not low <= value <= high:
        allowed = f"{low:g} to {high:g}" if math.isfinite(high) else f"{low:g} or more"
        raise ConfigurationError(f"{alert.name}: {argument}={value!r} is no number, {allowed}")
    return value


def _count(alert: BaseAlert, argument: str, value: Any) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or value < 1:
        raise ConfigurationError(f"{alert.name}: {argument}={value!r} is no whole number above 0")
    return value
