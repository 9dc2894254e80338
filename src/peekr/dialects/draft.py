"""A finished span of another instrumentation on its way into today's conventions."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Callable, Optional, cast

from peekr.encoding import dumps, loads

__all__ = ["Draft", "entries", "mapping", "number", "parsed", "text"]


class Draft:
    """What a dialect reads and changes: attributes by name, and events.

    A dialect takes what it knows and gives it the name that the conventions have for it today; what
    it does not know stays as it is. What is there already under today's name wins.

    Attributes:
        attributes: Of the span; changed in place.
        events: Objects with a `name` and `attributes`; those that were read are removed.
        scope: The name of the instrumentation scope, empty where there is none.
        name: The span's name.
    """

    __slots__ = ("attributes", "events", "name", "scope")

    def __init__(
        self,
        attributes: dict[str, Any],
        events: Iterable[Any] = (),
        scope: str = "",
        name: str = "",
    ) -> None:
        self.attributes = attributes
        self.events = list(events)
        self.scope = scope
        self.name = name

    def get(self, key: str) -> Any:
        """The value, None where there is none."""
        return self.attributes.get(key)

    def take(self, key: str) -> Any:
        """Remove and return the value, None where there is none."""
        return self.attributes.pop(key, None)

    def take_parsed(self, key: str) -> Any:
        """Remove and return the value, read as JSON where it is the text of JSON."""
        return parsed(self.attributes.pop(key, None))

    def put(self, key: str, value: Any) -> None:
        """Set an attribute, unless it is there, or the value is None."""
        if value is not None:
            self.attributes.setdefault(key, value)

    def put_value(self, key: str, value: Any) -> None:
        """Set an attribute that holds JSON text, unless it is there, or the value is None."""
        if isinstance(value, str):
            value = dumps(value).decode("utf-8")
        self.put(key, value)

    def move(
        self,
        names: Mapping[str, str],
        convert: Optional[Callable[[Any], Any]] = None,
    ) -> None:
        """Rename attributes, `{old: new}`.

        Args:
            names: An old name whose new name is there already is removed.
            convert: Makes the new value from the old one; None for a value that is not to be moved,
                which then stays.
        """
        attributes = self.attributes
        for old, new in names.items():
            if old not in attributes:
                continue
            value = attributes[old]
            if convert is not None:
                value = convert(value)
                if value is None:
                    continue
            del attributes[old]
            attributes.setdefault(new, value)

    def has_any(self, keys: frozenset[str]) -> bool:
        """Whether one of the attributes is there."""
        return not keys.isdisjoint(self.attributes)


def parsed(value: Any) -> Any:
    """A value; where it is the text of a JSON object or array, that. Never raises."""
    if isinstance(value, str) and value[:1] in ("{", "[") and value[-1:] in ("}", "]"):
        try:
            return loads(value)
        except ValueError:
            return value
    return value


def number(value: Any) -> Optional[float]:
    """A finite number, also from text; None where there is none."""
    if isinstance(value, bool) or not isinstance(value, (int, float, str)):
        return None
    try:
        made = float(value)
    except (ValueError, OverflowError):
        return None
    if made != made or made in (float("inf"), float("-inf")):
        return None
    return int(made) if made == int(made) and abs(made) < 1 << 53 else made


def text(value: Any) -> Optional[str]:
    """A text that is not empty; None for anything else."""
    return value if isinstance(value, str) and value else None


def mapping(value: Any) -> dict[str, Any]:
    """An object of JSON; an empty one for anything else."""
    return cast("dict[str, Any]", value) if isinstance(value, dict) else {}


def entries(value: Any) -> list[Any]:
    """An array of JSON; an empty one for anything else."""
    return list(cast("list[Any]", value)) if isinstance(value, (list, tuple)) else []
