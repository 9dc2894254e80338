"""From token counts to US dollars: arithmetic on prices, and which of a model's prices holds when.

Pure and quick: it runs on the caller's thread at the end of a model call.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple, Optional, Union

__all__ = ["KINDS", "Daily", "From", "Plan", "Price", "PricedModel", "Rates", "Tiered", "Variant"]

KINDS = (
    "input",
    "output",
    "cache_read",
    "cache_write",
    "cache_write_1h",
    "reasoning",
    "audio_input",
    "audio_output",
    "image_input",
    "request",
)
"""What a price can be for: US dollars per million tokens of that kind; `request` per million."""

_DAY_NS = 86_400 * 10**9


class Tiered(NamedTuple):
    """A price that depends on the size of the whole input; one rate then holds for every token.

    Attributes:
        base: The price up to the first threshold.
        steps: Thresholds in input tokens, ascending, each with the price above it.
    """

    base: float
    steps: tuple[tuple[int, float], ...]

    def above(self, tokens: int) -> float:
        """The price where the input is larger than so many tokens."""
        price = self.base
        for threshold, step in self.steps:
            if tokens >= threshold:
                price = step
        return price


Price = Union[float, Tiered]


class Rates:
    """The prices that hold for one call: US dollars per million tokens by kind."""

    __slots__ = (
        "_above",
        "_audio_input",
        "_audio_output",
        "_cache_read",
        "_cache_write",
        "_cache_write_1h",
        "_image_input",
        "_input",
        "_output",
        "_reasoning",
        "_request",
    )

    def __init__(self, prices: Mapping[str, Price]) -> None:
        """Args:
        prices: By kind, see `KINDS`. A kind without a price costs what the kind around it does:
            cached tokens as input, reasoning as output.
        """
        thresholds = {
            threshold
            for price in prices.values()
            if isinstance(price, Tiered)
            for threshold, _ in price.steps
        }

        def at(tokens: int, kind: str, otherwise: float) -> float:
            price = prices.get(kind)
            if price is None:
                return otherwise
            return price.above(tokens) if isinstance(price, Tiered) else price

        def fill(rates: Rates, tokens: int) -> None:
            rates._input = at(tokens, "input", 0.0)
            rates._output = at(tokens, "output", 0.0)
            rates._cache_read = at(tokens, "cache_read", rates._input)
            rates._cache_write = at(tokens, "cache_write", rates._input)
            rates._cache_write_1h = at(tokens, "cache_write_1h", rates._cache_write)
            rates._reasoning = at(tokens, "reasoning", rates._output)
            rates._audio_input = at(tokens, "audio_input", rates._input)
            rates._audio_output = at(tokens, "audio_output", rates._output)
            rates._image_input = at(tokens, "image_input", rates._input)
            rates._request = at(tokens, "request", 0.0)

        fill(self, -1)
        above: list[tuple[int, Rates]] = []
        for threshold in sorted(thresholds, reverse=True):
            rates = Rates.__new__(Rates)
            rates._above = ()
            fill(rates, threshold)
            above.append((threshold, rates))
        self._above: Sequence[tuple[int, Rates]] = tuple(above)

    def cost(
        self,
        input: Optional[int],
        output: Optional[int],
        cache_read: Optional[int] = None,
        cache_write: Optional[int] = None,
        reasoning: Optional[int] = None,
        audio_input: Optional[int] = None,
        audio_output: Optional[int] = None,
        image_input: Optional[int] = None,
        cache_write_1h: Optional[int] = None,
    ) -> float:
        """The price of one call in US dollars; takes under a microsecond.

        Args:
            input: The whole input, cached tokens included. Where it is smaller than its cached
                part it was counted without that, and is taken so.
            output: The whole output, reasoning included.
            cache_read: The part of the input that was read from a cache.
            cache_write: The part that was written to one.
            reasoning: The part of the output that was reasoning.
            audio_input: The part of the input that was audio.
            audio_output: The part of the output that was audio.
            image_input: The part of the input that was images.
            cache_write_1h: The part of `cache_write` that is kept for an hour.
        """
        tokens = input or 0
        if self._above:
            for threshold, rates in self._above:
                if tokens > threshold:
                    return rates._sum(
                        tokens, output, cache_read, cache_write, reasoning, audio_input,
                        audio_output, image_input, cache_write_1h,
                    )  # fmt: skip
        return self._sum(
            tokens, output, cache_read, cache_write, reasoning, audio_input, audio_output,
            image_input, cache_write_1h,
        )  # fmt: skip

    def _sum(
        self,
        rest: int,
        output: Optional[int],
        cache_read: Optional[int],
        cache_write: Optional[int],
        reasoning: Optional[int],
        audio_input: Optional[int],
        audio_output: Optional[int],
        image_input: Optional[int],
        cache_write_1h: Optional[int],
    ) -> float:
        total = self._request
        if cache_read or cache_write:
            read, written = cache_read or 0, cache_write or 0
            total += read * self._cache_read + written * self._cache_write
            if cache_write_1h:
                total += min(cache_write_1h, written) * (self._cache_write_1h - self._cache_write)
            if rest >= read + written:
                rest -= read + written
        if audio_input:
            # Audio that was cached is among the cached tokens already.
            audio_input = min(audio_input, rest)
            total += audio_input * self._audio_input
            rest -= audio_input
        if image_input:
            image_input = min(image_input, rest)
            total += image_input * self._image_input
            rest -= image_input
        total += rest * self._input
        if output:
            if reasoning and self._reasoning != self._output:
                reasoning = min(reasoning, output)
                total += reasoning * self._reasoning
                output -= reasoning
            if audio_output:
                audio_output = min(audio_output, output)
                total += audio_output * self._audio_output
                output -= audio_output
            total += output * self._output
        # Twelve digits: below them is only what binary fractions leave over.
        return round(total / 1e6, 12)

    def saved(
        self,
        input: Optional[int],
        cache_read: Optional[int],
        cache_write: Optional[int],
        cache_write_1h: Optional[int] = None,
    ) -> float:
        """What the cache saved, in US dollars: below 0 where writing cost more than reading saved.

        Args:
            input: The whole input, which decides on the tier.
            cache_read: How many tokens were read from the cache.
            cache_write: How many were written to it.
            cache_write_1h: How many of those for an hour.
        """
        rates, tokens = self, input or 0
        for threshold, above in self._above:
            if tokens > threshold:
                rates = above
                break
        written = cache_write or 0
        total = (cache_read or 0) * (rates._input - rates._cache_read)
        total -= written * (rates._cache_write - rates._input)
        hour = min(cache_write_1h or 0, written)
        total -= hour * (rates._cache_write_1h - rates._cache_write)
        return round(total / 1e6, 12)


class From(NamedTuple):
    """Holds from a moment on.

    Attributes:
        start_ns: Unix nanoseconds.
    """

    start_ns: int

    def holds(self, at_ns: int) -> bool:
        """Whether the price holds at that moment."""
        return at_ns >= self.start_ns


class Daily(NamedTuple):
    """Holds every day between two times.

    Attributes:
        start_ns: Nanoseconds since midnight UTC.
        end_ns: The same; where it is the smaller one, the span crosses midnight.
    """

    start_ns: int
    end_ns: int

    def holds(self, at_ns: int) -> bool:
        """Whether the price holds at that moment."""
        moment = at_ns % _DAY_NS
        if self.end_ns < self.start_ns:
            return moment >= self.start_ns or moment < self.end_ns
        return self.start_ns <= moment < self.end_ns


Condition = Union[From, Daily, None]


class Plan(NamedTuple):
    """Prices by kind, and when they hold."""

    prices: Mapping[str, Price]
    when: Condition = None


class Variant(NamedTuple):
    """Prices that replace some of the standard ones for a way of processing: batch, priority, ….

    Attributes:
        wants: The values of a request's context that select it.
        prices: What it replaces.
        when: When it holds.
    """

    wants: frozenset[str]
    prices: Mapping[str, Price]
    when: Condition = None


class PricedModel:
    """A model with all of its prices.

    Threads: any; what it remembers is written whole.
    """

    __slots__ = ("_fixed", "_made", "_plans", "_variants", "name")

    def __init__(self, name: str, plans: Sequence[Plan], variants: Sequence[Variant] = ()) -> None:
        """Args:
        name: The table's name of the model.
        plans: The later ones come before the earlier where both hold; the first one holds where
            no other does.
        variants: Resolved first to last, for each kind by itself.
        """
        self.name = name
        self._plans = tuple(plans)
        self._variants = tuple(variants)
        self._made: dict[tuple[int, frozenset[int]], Rates] = {}
        # Most models have one price.
        self._fixed = Rates(plans[0].prices) if len(plans) == 1 else None

    def rates(self, at_ns: int, tier: Optional[str] = None) -> Rates:
        """The rates that hold for a call.

        Args:
            at_ns: When the call began, in Unix nanoseconds.
            tier: How it was processed: `batch`, `flex`, `priority`, `fast`; None for the standard.
        """
        if tier is None and self._fixed is not None:
            return self._fixed
        plans = self._plans
        chosen = 0
        for number in range(len(plans) - 1, -1, -1):
            condition = plans[number].when
            if condition is None or condition.holds(at_ns):
                chosen = number
                break
        applied = frozenset(
            number
            for number, variant in enumerate(self._variants)
            if tier in variant.wants
            and len(variant.wants) == 1
            and (variant.when is None or variant.when.holds(at_ns))
        )
        key = (chosen, applied)
        rates = self._made.get(key)
        if rates is None:
            prices = dict(plans[chosen].prices)
            for number in sorted(applied, reverse=True):
                prices.update(self._variants[number].prices)
            rates = self._made[key] = Rates(prices)
        return rates
