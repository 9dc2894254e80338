"""JSON text that always comes out: `orjson` first, a tolerant second try for what it refuses."""

from __future__ import annotations

import json
import math
from typing import Any, cast

import orjson

__all__ = ["Fragment", "dumps", "loads"]

Fragment = orjson.Fragment
"""Text that is JSON already, to be placed into a document without being parsed."""

_OPTIONS = orjson.OPT_NON_STR_KEYS
_MAX_DEPTH = 64


def dumps(value: Any) -> bytes:
    """Serialise a value to JSON in UTF-8; never raises.

    `orjson` refuses lone surrogates, integers beyond 64 bits, circular and very deep structures
    and unknown types. Those take a slower second way: surrogates are written as their escape
    (`\\ud800` as text), what is deeper than 64 levels or no JSON value becomes its `repr`.

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
        plain = _plain(value, 0)
        return json.dumps(plain, ensure_ascii=False, allow_nan=False).encode(
            "utf-8", "backslashreplace"
        )


def loads(text: str | bytes) -> Any:
    """Parse JSON text.

    Raises:
        ValueError: the text is not JSON (`orjson.JSONDecodeError` and `json.JSONDecodeError` are
            both ValueErrors).
    """
    try:
        return orjson.loads(text)
    except ValueError:
        # orjson is strict where others wrote NaN, lone surrogate escapes or huge integers.
        return json.loads(text)


def _plain(value: Any, depth: int) -> Any:
    if value is None or isinstance(value, (bool, int)):
        return value
    if isinstance(value, str):
        return value.encode("utf-8", "backslashreplace").decode("utf-8")
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, orjson.Fragment):
        contents = cast("Any", value).contents
        return _plain(json.loads(contents), depth)
    if depth < _MAX_DEPTH:
        if isinstance(value, dict):
            items = cast("dict[Any, Any]", value).items()
            return {_plain(str(key), 0): _plain(item, depth + 1) for key, item in items}
        if isinstance(value, (list, tuple)):
            return [_plain(item, depth + 1) for item in cast("list[Any]", value)]
    try:
        return _plain(repr(value)[:1000], 0)
    except Exception:
        return f"<{type(value).__name__}>"
