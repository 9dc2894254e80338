"""Other libraries' instrumentors for the SDKs that Peekr watches: which, and how to choose."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any, NamedTuple, Optional, cast

from peekr.instrumentation import sdks
from peekr.instrumentation.versions import installed

__all__ = ["Rival", "entry_points_of", "own_name_for", "rival_of", "rivals"]

_OWN = "peekr.instrumentation."
_BEDROCK = ("boto3", "botocore", "aioboto3", "aiobotocore")


class Rival(NamedTuple):
    """An instrumentor that makes a span of a call that Peekr makes a span of.

    Attributes:
        name: Of its entry point: `openai`.
        library: The distribution that it comes from.
        sdk: The distribution that it instruments.
        own: The entry point of Peekr's for the same: `peekr_openai`.
    """

    name: str
    library: str
    sdk: str
    own: str

    @property
    def choice(self) -> str:
        """How to choose, in one sentence."""
        variable = "OTEL_PYTHON_DISABLED_INSTRUMENTATIONS"
        return f"{variable}={self.name} keeps Peekr's, {variable}={self.own} the other."

    @property
    def left_out(self) -> str:
        """What the launcher says when it does not load it."""
        return (
            f"{self.library} ({self.name}) and Peekr ({self.own}) both instrument {self.sdk}; "
            f"Peekr does, so that a call is one span. To choose: {self.choice}"
        )


def rival_of(entry_point: Any) -> Optional[Rival]:
    """The rival that an instrumentor's entry point is; None where it is none, or Peekr's is off.

    Loads the instrumentor's module, not its SDK.

    Raises:
        Exception: whatever its module raises.
    """
    if str(entry_point.value).startswith(_OWN):
        return None
    for dependency in _dependencies(entry_point.load()):
        found = re.match(r"\s*([A-Za-z0-9._-]+)", dependency)
        sdk = found[1].lower() if found else ""
        own = own_name_for(sdk)
        # Of AWS's SDK only what is written for Bedrock: the others see to the other services.
        if own == "bedrock" and "bedrock" not in f"{entry_point.name} {entry_point.value}".lower():
            continue
        if own is not None and not sdks.is_disabled(own):
            return Rival(entry_point.name, _library(entry_point), sdk, f"peekr_{own}")
    return None


def rivals() -> list[Rival]:
    """All that are installed together with their SDK."""
    found: dict[str, Rival] = {}
    for entry_point in entry_points_of("opentelemetry_instrumentor"):
        try:
            rival = rival_of(entry_point)
        except Exception:
            continue  # one that cannot be loaded makes no spans either
        if rival is not None and installed(rival.sdk) is not None:
            found.setdefault(f"{rival.library} {rival.name}", rival)
    return list(found.values())


def entry_points_of(group: str) -> list[Any]:
    """What the installed distributions offer under a name; each once."""
    from importlib.metadata import entry_points  # here: only a diagnosis needs it

    points: Any = entry_points()
    chosen = points.select(group=group) if hasattr(points, "select") else points.get(group, ())
    return list(dict.fromkeys(cast("Sequence[Any]", chosen)))


def own_name_for(sdk: str) -> Optional[str]:
    """Peekr's short name for the SDK that a distribution is; None for one that is not watched."""
    if sdk in _BEDROCK:
        return "bedrock"
    for instrumentation in sdks.every():
        if any(d.partition(" ")[0] == sdk for d in instrumentation.dependencies):
            return instrumentation.name
    return None


def _dependencies(instrumentor: Any) -> Sequence[str]:
    try:
        return [str(entry) for entry in instrumentor().instrumentation_dependencies()]
    except Exception:
        return []  # what it is for will be seen when it makes spans


def _library(entry_point: Any) -> str:
    distribution = getattr(entry_point, "dist", None)
    name = getattr(distribution, "name", None)
    return str(name or str(entry_point.value).partition(":")[0])
