"""JSON text that always comes out: `orjson` first, a tolerant second try for what it refuses."""

from __future__ import annotations

import json
import math
from typing import Any, Union, cast

import orjson

__all__ = ["NestedTooDeeplyError", "dumps", "loads"]

_OPTIONS = orjson.OPT_NON_STR_KEYS
_MAX_DEPTH = 64
_MAX_INTEGER = 1 << 63
# Python refuses to write longer integers as decimal text (4,300 digits).
_MAX_BITS = 14_000


class NestedTooDeeplyError(ValueError, RecursionError):
    """JSON text that is nested more deeply than a parser goes."""


def dumps(value: Any) -> bytes:
    """Serialise a value to JSON in UTF-8; never raises.

    `orjson` refuses lone surrogates, integers beyond 64 bits, circular and very deep structures
    and unknown types. Those take a slower second way: surrogates are written as their escape
    (`\\ud800` as text), a container inside itself becomes `<circular …>`, what is deeper than 64
    levels or no JSON value its `repr`.

    Runs on the caller's thread of a model call, so the common case is one C call.
    """
    try:
        return orjson.dumps(value)
    except (TypeError, ValueError, RecursionError):
        pass
    try:
        # Keys that are not text; asked for only then, because it makes all others slower.
        return orjson.dumps(value, option=_OPTIONS)
    except (TypeError, ValueError, RecursionError):
        plain = _plain(value, ())
        return json.dumps(plain, ensure_ascii=False, allow_nan=False).encode(
            "utf-8", "backslashreplace"
        )


def loads(text: str | bytes) -> Any:
    """Parse JSON text.

    Integers beyond 64 bits come as floats.

    Raises:
        ValueError: the text is not JSON (`orjson.JSONDecodeError`, `json.JSONDecodeError` and
            `NestedTooDeeplyError`, which is a RecursionError besides, are all ValueErrors).
    """
    try:
        return orjson.loads(text)
    except ValueError:
        # orjson is strict where others wrote NaN or lone surrogate escapes.
        try:
            return json.loads(text, parse_int=_integer)
        except RecursionError:
            raise NestedTooDeeplyError("nested too deeply") from None


def _integer(digits: str) -> Union[int, float]:
    if len(digits) < 19:
        return int(digits)
    # As orjson has it; and one of thousands of digits, no float either, is infinite.
    value = float(digits)
    return int(digits) if abs(value) < _MAX_INTEGER else value


def _plain(value: Any, within: tuple[int, ...]) -> Any:
    """The value in the types of JSON.

    Args:
        value: Anything.
        within: The ids of the containers around it, by which a circle is known.
    """
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, int):
        return value if value.bit_length() <= _MAX_BITS else f"<int of {value.bit_length()} bits>"
    if isinstance(value, str):
        return value.encode("utf-8", "backslashreplace").decode("utf-8")
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, (dict, list, tuple)):
        if id(cast("object", value)) in within:
            return f"<circular {type(cast('object', value)).__name__}>"
        if len(within) < _MAX_DEPTH:
            inner = (*within, id(cast("object", value)))
            # Copied in one step: another thread may be changing it.
            if isinstance(value, dict):
                items = list(cast("dict[Any, Any]", value).items())
                return {_key(key): _plain(item, inner) for key, item in items}
            return [_plain(item, inner) for item in list(cast("list[Any]", value))]
    return _described(value)


def _key(key: Any) -> str:
    if isinstance(key, str):
        return cast("str", _plain(key, ()))
    if key is None or isinstance(key, bool):
        return json.dumps(key)  # null, true, false, as orjson writes them
    return str(_plain(key, ())) if isinstance(key, (int, float)) else _described(key)


def _described(value: Any) -> str:
    try:
        return cast("str", _plain(repr(value)[:1000], ()))
    except Exception:
        return f"<{type(value).__name__}>"
