"""How many examples a fuzz test tries: few and always the same ones, or many with `make fuzz`.

`make fuzz` chooses Hypothesis's profile `fuzz`: twenty times as many, other ones each time.
"""

from __future__ import annotations

from typing import Any, Callable, cast

from hypothesis import HealthCheck, settings

__all__ = ["fuzzed", "times"]

_USUAL = 100

settings.register_profile("fuzz", max_examples=20 * _USUAL, print_blob=True)


def times() -> int:
    """By how much the chosen profile multiplies the examples."""
    chosen: Any = settings.default
    return max(1, chosen.max_examples // _USUAL)


def fuzzed(examples: int) -> Callable[[Any], Any]:
    """Settings of a test that tries so many examples in a usual run."""
    many = times() > 1
    return settings(
        max_examples=examples * times(),
        derandomize=not many,
        database=cast("Any", settings.default).database if many else None,
        deadline=None,
        suppress_health_check=cast("Any", list(cast("Any", HealthCheck))),
    )
