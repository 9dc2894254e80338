"""Who costs what: the prices that one installation works with, remembered by model."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final, Optional, Union

from peekr.late import loaded

if TYPE_CHECKING:
    from peekr.pricing.own import OwnPrices
    from peekr.pricing.rates import PricedModel, Rates

__all__ = ["PENDING", "Pending", "PriceBook", "tier_of"]

_MAX_KNOWN = 4_096
_LOAD_BEHIND = "peekr.pricing.library:load_behind"
_STANDARD = frozenset(
    ("", "default", "auto", "standard", "standard_only", "on_demand", "on-demand", "none", "scale")
)


class Pending:
    """What a price is while the table is on its way."""

    def __repr__(self) -> str:
        return "PENDING"


PENDING: Final = Pending()
"""The one instance."""

_Key = tuple[Optional[str], Optional[str], Optional[str]]


class PriceBook:
    """Looks prices up once a model; any thread.

    Own prices come first. The table is loaded by the first call that needs it, on a thread of its
    own; until it is there, answers that it would decide are `PENDING`.
    """

    def __init__(self, own: Optional[OwnPrices] = None) -> None:
        self._own = own
        self._known: dict[_Key, Optional[PricedModel]] = {}

    def begin(self) -> None:
        """Have the table loaded, now that a call is on its way; costs next to nothing."""
        loaded[_LOAD_BEHIND]()

    def load(self) -> None:
        """Have the table loaded when this returns."""
        from peekr.pricing import library

        library.load()

    def rates(
        self,
        provider: Optional[str],
        model: Optional[str],
        answered: Optional[str] = None,
        tier: Optional[str] = None,
        at_ns: Optional[int] = None,
    ) -> Union[Rates, Pending, None]:
        """The rates that hold for a call; None where nobody knows them.

        A model that was met before takes under a microsecond, another one about 0.1 ms.

        Args:
            provider: `gen_ai.provider.name`.
            model: The model that was asked for.
            answered: The model that answered: often the exact version, or what is behind a
                deployment's name.
            tier: See `tier_of`.
            at_ns: When the call began, in Unix nanoseconds; now when left out.
        """
        key = (provider, model, answered)
        try:
            found = self._known[key]
        except KeyError:
            found = self._find(key)
        if found is None:
            return None
        if isinstance(found, Pending):
            return found
        return found.rates(time.time_ns() if at_ns is None else at_ns, tier)

    def _find(self, key: _Key) -> Union[PricedModel, Pending, None]:
        provider, model, answered = key
        # A Bedrock id says more than the name in the answer: in which region, by which profile.
        asked_first = provider is not None and "bedrock" in provider
        names = [name for name in ((model, answered) if asked_first else (answered, model)) if name]
        found: Optional[PricedModel] = None
        if self._own is not None:
            # What the caller wrote is what the caller has prices for.
            for name in (model, answered):
                found = found or (self._own.find(provider, name) if name else None)
        if found is None and names:
            from peekr.pricing import library

            table = library.loaded()
            if table is None:
                if not library.is_settled():
                    library.load_behind()
                if not library.is_settled():
                    return PENDING
                table = library.loaded()
            if table is not None:
                for name in names:
                    found = found or table.find(provider, name)
        if len(self._known) >= _MAX_KNOWN:
            self._known.clear()  # names without end: they are no models of any table
        self._known[key] = found
        return found


def tier_of(
    service_tier: Optional[object], parameters: Optional[Mapping[str, Any]] = None
) -> Optional[str]:
    """How a call was processed, as prices know it: `batch`, `flex`, `priority`, `fast`, or None.

    Args:
        service_tier: What the answer says.
        parameters: The request's parameters, which decide where the answer says nothing.
    """
    if service_tier is None and parameters:
        speed = parameters.get("speed")
        service_tier = speed if speed == "fast" else parameters.get("service_tier")
    if not isinstance(service_tier, str):
        return None
    tier = service_tier.lower()
    return None if tier in _STANDARD else tier
