"""Prices of one's own: negotiated rates, fine-tuned and self-hosted models."""

from __future__ import annotations

import fnmatch
import math
import os
import re
from collections.abc import Mapping
from typing import Any, Optional, Union, cast

from peekr.encoding import loads
from peekr.errors import ConfigurationError
from peekr.plaintext import clean
from peekr.pricing.rates import KINDS, Plan, Price, PricedModel, Tiered

__all__ = ["OwnPrices", "PricesGiven"]

PricesGiven = Union[Mapping[str, Mapping[str, Any]], str, "os.PathLike[str]"]
"""Prices by model, or the JSON file that holds them."""

_ABOVE = "above"
_MAX_FILE_BYTES = 16 * 1024 * 1024


class OwnPrices:
    """Prices by model; they come before the table's.

    A key is a model (`my-model`), a model of one provider (`azure.ai.openai/my-deployment`), or a
    pattern with `*`; an exact one comes before a pattern, patterns in the order in which they are
    given. A value has US dollars per million tokens by kind, `{"input": 2.5, "output": 10}`, and
    may have other ones for large inputs: `{"above": {"200000": {"input": 5}}}`; `request` is the
    price of a call, in US dollars.
    """

    def __init__(self, prices: Mapping[str, Mapping[str, Any]], where: str = "prices") -> None:
        """Check and take prices.

        Raises:
            ConfigurationError: (a ValueError) something in them cannot be used; the message names
                `where` and the model.
            TypeError: they are no mapping of mappings.
        """
        self._exact: dict[str, PricedModel] = {}
        self._patterns: list[tuple[re.Pattern[str], PricedModel]] = []
        for name, given in prices.items():
            if not isinstance(name, str) or not name:  # pyright: ignore[reportUnnecessaryIsInstance]
                raise TypeError(f"{where}: {name!r} is not the name of a model")
            if not isinstance(given, Mapping):  # pyright: ignore[reportUnnecessaryIsInstance]
                raise TypeError(f"{where}: {name!r} has no prices by kind, but {given!r}")
            model = PricedModel(name, [Plan(_prices(given, f"{where}: {clean(name)}"))])
            key = name.lower()
            if "*" in key or "?" in key:
                pattern = fnmatch.translate(key.replace("[", "[[]"))
                self._patterns.append((re.compile(pattern), model))
            else:
                self._exact[key] = model

    @classmethod
    def of(cls, given: PricesGiven, where: str = "prices") -> OwnPrices:
        """Prices from a mapping or a file.

        Raises:
            ConfigurationError: (a ValueError) the file cannot be read, or a price not used.
            TypeError: they are neither.
        """
        if isinstance(given, Mapping):
            return cls(given, where)
        if not isinstance(given, (str, os.PathLike)):  # pyright: ignore[reportUnnecessaryIsInstance]
            raise TypeError(f"{where}={given!r} is neither a mapping of prices nor a path")
        path = os.fspath(given)
        try:
            with open(path, "rb") as file:
                document = loads(file.read(_MAX_FILE_BYTES))
        except OSError as error:
            reason = (error.strerror or str(error)).lower()
            raise ConfigurationError(f"{where}={clean(path)}: {reason}") from None
        except (ValueError, RecursionError):
            raise ConfigurationError(f"{where}={clean(path)}: not a JSON file") from None
        if not isinstance(document, dict):
            raise ConfigurationError(f"{where}={clean(path)}: not a JSON object of prices by model")
        try:
            return cls(cast("dict[str, Any]", document), f"{where}={clean(path)}")
        except TypeError as error:
            raise ConfigurationError(str(error)) from None

    def find(self, provider: Optional[str], model: str) -> Optional[PricedModel]:
        """The prices of a model, None where there are none of one's own."""
        names = [model.lower()]
        if provider:
            names.insert(0, f"{provider}/{model}".lower())
        for name in names:
            found = self._exact.get(name)
            if found is not None:
                return found
        for name in names:
            for pattern, priced in self._patterns:
                if pattern.match(name):
                    return priced
        return None


def _prices(given: Mapping[str, Any], where: str) -> dict[str, Price]:
    base = {
        kind: _number(value, f"{where}: {kind}")
        for kind, value in given.items()
        if kind != _ABOVE and _is_kind(kind, where)
    }
    if not base:
        raise ConfigurationError(f"{where}: no price; give one of {', '.join(KINDS)}")
    prices: dict[str, Price] = dict(base)
    steps: dict[str, list[tuple[int, float]]] = {}
    above: object = given.get(_ABOVE) or {}
    if not isinstance(above, Mapping):
        raise ConfigurationError(f"{where}: {_ABOVE} is no object of prices by number of tokens")
    for tokens, changed in cast("Mapping[Any, Any]", above).items():
        count = str(tokens)
        if not count.isdecimal() or len(count) > 18 or not isinstance(changed, Mapping):
            raise ConfigurationError(f"{where}: {_ABOVE} has {tokens!r} in place of a token count")
        for kind, value in cast("Mapping[str, Any]", changed).items():
            _is_kind(kind, where)
            price = _number(value, f"{where}: {_ABOVE} {tokens}: {kind}")
            steps.setdefault(kind, []).append((int(tokens), price))
    for kind, listed in steps.items():
        prices[kind] = Tiered(base.get(kind, 0.0), tuple(sorted(listed)))
    request = prices.get("request")
    if isinstance(request, float):
        prices["request"] = request * 1e6
    return prices


def _is_kind(kind: str, where: str) -> bool:
    if kind not in KINDS:
        raise ConfigurationError(f"{where}: {kind!r} is none of {', '.join(KINDS)}")
    return True


def _number(value: object, where: str) -> float:
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        try:
            number = float(value)
        except OverflowError:
            number = math.inf
        if math.isfinite(number) and number >= 0:
            return number
        value = number  # an integer of thousands of digits cannot be shown
    raise ConfigurationError(f"{where}={value!r} is no price in US dollars")
