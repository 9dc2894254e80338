"""Any Python value as a JSON value: within a bound, without a trace of its own, never raising."""

from __future__ import annotations

import collections
import dataclasses
import datetime
import enum
import math
import os
import re
import types
import uuid
from collections.abc import Iterable, Mapping
from itertools import islice
from typing import Any, Callable, Optional, cast

from peekr.messages import head

__all__ = ["MAX_CHARS", "MAX_DEPTH", "MAX_ITEMS", "MAX_NODES", "jsonable"]

MAX_CHARS = 262_144
"""Characters of text in one value, all its strings together."""
MAX_NODES = 10_000
"""Entries of collections in one value, all its collections together."""
MAX_ITEMS = 1_000
"""Entries of one collection."""
MAX_DEPTH = 16
"""Collections within collections."""

_MAX_REPR_CHARS = 1_000
_MAX_KEY_CHARS = 200
_ADDRESS = re.compile(r" at 0x[0-9a-fA-F]+")


def jsonable(value: Any) -> Any:
    """The JSON value that stands for a Python value.

    * Text, finite numbers, booleans and None are themselves; what is no JSON number is text
      (`"NaN"`, integers beyond 64 bits).
    * Mappings, dataclasses, named tuples, pydantic, attrs and msgspec objects are objects by the
      name of their fields; a field with `repr=False` is left out, as its author wished.
    * Lists, tuples, sets, deques, arrays and small numpy arrays are lists.
    * Dates are ISO 8601, enumeration members their value, bytes their UTF-8 text or their size and
      first bytes, larger arrays and data frames their type, shape and dtype.
    * Anything else is its `repr` without memory addresses, or its type's name where it has none of
      its own. An object's attributes are not looked into: clients hold keys.

    What is cut says so: `"…[812 items cut]"`. One-shot iterators are never advanced. The result
    shares no mutable object with the value. Runs on the caller's thread; costs about a
    microsecond for a few plain values, and no more than some milliseconds for any value, apart
    from what its own `repr` costs.
    """
    # The cases that need no bookkeeping.
    if value is None or value is True or value is False:
        return value
    kind = cast("type[Any]", type(value))
    if kind is str and len(value) <= MAX_CHARS:
        return value
    try:
        return _Walk().value(value, 0)
    except Exception:  # out of stack, or a type that fights back
        return f"<{kind.__name__}>"


class _Walk:
    """What is left of the bound while one value is walked."""

    __slots__ = ("chars", "nodes", "path")

    def __init__(self) -> None:
        self.chars = MAX_CHARS
        self.nodes = MAX_NODES
        self.path: set[int] = set()

    def value(self, value: Any, depth: int) -> Any:
        kind = cast("type[Any]", type(value))
        if kind is str:
            self.chars -= len(value)
            return value if self.chars >= 0 else self._cut(value)
        if value is None or kind is bool:
            return value
        if kind is int:
            return value if -_INT_BOUND <= value < _INT_BOUND else _large_int(value)
        if kind is float:
            return value if math.isfinite(value) else _NOT_FINITE[repr(value)]
        if kind is dict or kind is list or kind is tuple:
            return self.collection(value, kind, depth)
        convert = _BY_TYPE.get(kind)
        try:
            if convert is not None:
                return convert(self, value, depth)
            return self.other(value, kind, depth)
        except Exception:
            return self.text(f"<{kind.__name__}: not representable>")

    def text(self, value: str) -> str:
        """A text within what is left."""
        self.chars -= len(value)
        return value if self.chars >= 0 else self._cut(value)

    def _cut(self, value: str) -> str:
        kept = max(0, len(value) + self.chars)
        self.chars = 0
        return f"{head(value, kept)}…[{len(value) - kept} characters cut]"

    # -- collections -------------------------------------------------------------------------------

    def collection(self, value: Any, kind: type[Any], depth: int) -> Any:
        """A dict, list or tuple, or a subclass of one."""
        if depth >= MAX_DEPTH:
            return "…[deeper levels cut]"
        identity = id(value)
        if identity in self.path:
            return "[circular]"
        self.path.add(identity)
        try:
            if issubclass(kind, dict):
                return self.pairs(_dict_items(value), len(value), depth)
            if kind is not list and kind is not tuple and hasattr(kind, "_fields"):
                return self.pairs(zip(kind._fields, value), len(value), depth)
            return self.items(value, len(value), depth)
        except Exception:
            return self.text(f"<{kind.__name__}: not representable>")
        finally:
            self.path.discard(identity)

    def nested(self, value: Any, depth: int, walk: Callable[[], Any]) -> Any:
        """Walk something that holds others, unless it holds itself or is too deep."""
        if depth >= MAX_DEPTH:
            return "…[deeper levels cut]"
        identity = id(value)
        if identity in self.path:
            return "[circular]"
        self.path.add(identity)
        try:
            return walk()
        finally:
            self.path.discard(identity)

    def items(self, items: Iterable[Any], count: Optional[int], depth: int) -> list[Any]:
        kept = list(islice(items, max(0, min(MAX_ITEMS, self.nodes))))
        self.nodes -= len(kept)
        depth += 1
        made = [self.value(item, depth) for item in kept]
        if count is not None and count > len(kept):
            made.append(f"…[{count - len(kept)} items cut]")
        return made

    def pairs(self, pairs: Iterable[tuple[Any, Any]], count: int, depth: int) -> dict[str, Any]:
        # A list first: another thread may add to the mapping while its values are walked.
        kept = list(islice(pairs, max(0, min(MAX_ITEMS, self.nodes))))
        self.nodes -= len(kept)
        depth += 1
        made: dict[str, Any] = {}
        for key, item in kept:
            made[key if type(key) is str and len(key) <= 64 else self.key(key)] = self.value(
                item, depth
            )
        if count > len(kept):
            made["…"] = f"[{count - len(kept)} items cut]"
        return made

    def key(self, key: Any) -> str:
        name = self.value(key, MAX_DEPTH) if isinstance(key, enum.Enum) else key
        if type(name) is not str:
            try:
                name = str(name)
            except Exception:
                name = f"<{type(key).__name__}>"
        missing = len(name) - _MAX_KEY_CHARS
        if missing > 0:
            name = f"{head(name, _MAX_KEY_CHARS)}…[{missing} characters cut]"
        return self.text(name)

    # -- everything that is not common -------------------------------------------------------------

    def other(self, value: Any, kind: type[Any], depth: int) -> Any:
        """A type that is not in the table: by what it is derived from, then by what it offers."""
        # The type is asked, not the object: mocks and proxies lie about their class.
        for base, convert in _BY_BASE:
            if issubclass(kind, base):
                return convert(self, value, depth)
        for base in kind.__mro__:
            convert = _BY_NAME.get((base.__module__, base.__qualname__))
            if convert is not None:
                return convert(self, value, depth)
        if dataclasses.is_dataclass(kind):
            names = [field.name for field in dataclasses.fields(kind) if field.repr]
            return self.fields(value, names, depth)
        declared = getattr(kind, "__pydantic_fields__", None) or getattr(kind, "__fields__", None)
        if isinstance(declared, dict) and hasattr(value, "__dict__"):
            return self.pydantic(value, cast("dict[str, Any]", declared), depth)
        attributes: Any = getattr(kind, "__attrs_attrs__", None)
        if isinstance(attributes, tuple):
            names = [entry.name for entry in cast("tuple[Any, ...]", attributes) if entry.repr]
            return self.fields(value, names, depth)
        names = getattr(kind, "__struct_fields__", None)
        if isinstance(names, tuple):
            return self.fields(value, list(cast("tuple[str, ...]", names)), depth)
        if hasattr(kind, "shape"):
            return self.array(value, kind, depth)
        return self.described(value, kind)

    def fields(self, value: Any, names: list[str], depth: int) -> Any:
        missing = object()
        found = ((name, getattr(value, name, missing)) for name in names)
        pairs = [pair for pair in found if pair[1] is not missing]
        return self.nested(value, depth, lambda: self.pairs(pairs, len(pairs), depth))

    def pydantic(self, value: Any, declared: dict[str, Any], depth: int) -> Any:
        hidden = {
            name
            for name, field in declared.items()
            if getattr(getattr(field, "field_info", field), "repr", True) is False
        }
        held = dict(cast("dict[str, Any]", vars(value)))
        held.update(getattr(value, "__pydantic_extra__", None) or {})
        pairs = [(name, item) for name, item in held.items() if name not in hidden]
        return self.nested(value, depth, lambda: self.pairs(pairs, len(pairs), depth))

    def array(self, value: Any, kind: type[Any], depth: int) -> Any:
        shape, dtype = value.shape, getattr(value, "dtype", None)
        if kind.__module__.partition(".")[0] == "numpy":
            if shape == ():
                return self.value(value.item(), depth)
            if value.size <= MAX_ITEMS:
                return self.value(value.tolist(), depth)
        described = f"<{_qualified(kind)} shape={tuple(shape)}"
        return self.text(f"{described} dtype={dtype}>" if dtype is not None else f"{described}>")

    def described(self, value: Any, kind: type[Any]) -> str:
        if kind.__repr__ is object.__repr__:
            return self.text(f"<{_qualified(kind)}>")
        try:
            made = repr(value)
        except Exception as error:
            return self.text(f"<{_qualified(kind)}: its repr raised {type(error).__name__}>")
        missing = len(made) - _MAX_REPR_CHARS
        if missing > 0:
            made = f"{head(made, _MAX_REPR_CHARS)}…[{missing} characters cut]"
        return self.text(_ADDRESS.sub("", made) if " at 0x" in made else made)


_INT_BOUND = 1 << 63
_NOT_FINITE = {"nan": "NaN", "inf": "Infinity", "-inf": "-Infinity"}

_Convert = Callable[[_Walk, Any, int], Any]
_dict_items: Callable[[Any], Iterable[tuple[Any, Any]]] = getattr(dict, "items")  # noqa: B009


def _large_int(value: int) -> str:
    if value.bit_length() > 4_096:
        return f"<int of {value.bit_length()} bits>"
    return str(value)


def _qualified(kind: Any) -> str:
    name = getattr(kind, "__qualname__", None) or getattr(kind, "__name__", None) or "?"
    return f"{getattr(kind, '__module__', None) or '?'}.{name}"


def _enum(walk: _Walk, value: Any, depth: int) -> Any:
    return walk.value(value.value, depth)


def _collection(walk: _Walk, value: Any, depth: int) -> Any:
    return walk.collection(value, cast("type[Any]", type(value)), depth)


def _mapping(walk: _Walk, value: Any, depth: int) -> Any:
    return walk.nested(value, depth, lambda: walk.pairs(value.items(), len(value), depth))


def _sequence(walk: _Walk, value: Any, depth: int) -> Any:
    return walk.nested(value, depth, lambda: walk.items(value, len(value), depth))


def _set(walk: _Walk, value: Any, depth: int) -> Any:
    members: Iterable[Any] = value
    if len(value) <= MAX_ITEMS:
        try:
            members = sorted(value)  # equal sets read alike
        except Exception:
            pass  # its members have no order
    return walk.nested(value, depth, lambda: walk.items(members, len(value), depth))


def _bytes(walk: _Walk, value: Any, depth: int) -> str:
    del depth
    view = memoryview(value)
    size = view.nbytes
    # Four bytes are the most that a character takes; three more may be the end of one.
    head = view.tobytes() if size <= 4 * walk.chars else bytes(view[: 4 * max(0, walk.chars) + 4])
    try:
        made = head.decode("utf-8")
        if len(head) == size and "\x00" not in made:
            return walk.text(made)
    except UnicodeDecodeError:
        pass  # no text
    return walk.text(f"<{size} bytes: {head[:16].hex()}{'…' if size > 16 else ''}>")


def _iso(walk: _Walk, value: Any, depth: int) -> str:
    del depth
    return walk.text(value.isoformat())


def _str(walk: _Walk, value: Any, depth: int) -> str:
    del depth
    return walk.text(str(value))


def _name(walk: _Walk, value: Any, depth: int) -> str:
    del depth
    return walk.text(_qualified(value))


def _module(walk: _Walk, value: Any, depth: int) -> str:
    del depth
    return walk.text(f"<module {value.__name__}>")


def _error(walk: _Walk, value: Any, depth: int) -> str:
    del depth
    return walk.text(f"{type(value).__qualname__}: {value}")


_BY_BASE: tuple[tuple[type[Any], _Convert], ...] = (
    (enum.Enum, _enum),
    (str, lambda walk, value, depth: walk.text(str.__str__(value))),
    (int, lambda walk, value, depth: walk.value(int.__int__(value), depth)),
    (float, lambda walk, value, depth: walk.value(float.__float__(value), depth)),
    (dict, _collection),
    (tuple, _collection),
    (list, _collection),
    (set, _set),
    (frozenset, _set),
    (bytes, _bytes),
    (bytearray, _bytes),
    (memoryview, _bytes),
    (collections.deque, _sequence),
    (collections.UserDict, _mapping),
    (collections.UserList, _sequence),
    (Mapping, _mapping),
    (datetime.date, _iso),
    (datetime.time, _iso),
    (datetime.timedelta, _str),
    (uuid.UUID, _str),
    (os.PathLike, lambda walk, value, depth: walk.text(os.fsdecode(value))),
    (BaseException, _error),
    (type, _name),
    (types.FunctionType, _name),
    (types.BuiltinFunctionType, _name),
    (types.MethodType, _name),
    (types.ModuleType, _module),
)

# By their names: their modules are not imported for a program that has no such values.
_BY_NAME: dict[tuple[str, str], _Convert] = {
    ("array", "array"): _sequence,
    ("decimal", "Decimal"): _str,
    ("fractions", "Fraction"): _str,
}

_BY_TYPE: dict[type[Any], _Convert] = {
    set: _set,
    frozenset: _set,
    bytes: _bytes,
    datetime.datetime: _iso,
    datetime.date: _iso,
    uuid.UUID: _str,
}
