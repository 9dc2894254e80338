"""A function call whose arguments arrive piece by piece.

Source: `FunctionCall.partial_args` of Vertex AI, sent where `stream_function_call_arguments` is
on: each piece has a JSON path and a value, and pieces of one string follow each other.
"""

from __future__ import annotations

import re
from typing import Any, Optional, cast

from peekr.instrumentation.google_genai.client import get
from peekr.messages import Part, tool_call

__all__ = ["PartialCall"]

_STEP = re.compile(r"\.?([^.\[\]]+)|\[(\d+)\]|\['([^']*)'\]")
_MAX_INDEX = 10_000


class PartialCall:
    """A call as far as it has come.

    Attributes:
        part: The call as a message's part; its arguments grow.
    """

    def __init__(self, call_id: Optional[str], name: Optional[str]) -> None:
        self._arguments: dict[str, Any] = {}
        self.part: Part = tool_call(call_id, name, self._arguments)

    def add(self, pieces: list[Any]) -> None:
        """Take the next pieces of the arguments."""
        for piece in pieces:
            path = str(get(piece, "json_path") or "")
            steps = _steps(path)
            if steps:
                _put(self._arguments, steps, _value(piece))


def _steps(path: str) -> list[Any]:
    return [
        int(index) if index else quoted or name
        for name, index, quoted in _STEP.findall(path[1:] if path.startswith("$") else path)
    ]


def _value(piece: Any) -> Any:
    for name in ("string_value", "number_value", "bool_value"):
        value = get(piece, name)
        if value is not None:
            if isinstance(value, float) and value.is_integer():
                return int(value)
            return value
    return None


def _put(into: Any, steps: list[Any], value: Any) -> None:
    for step, following in zip(steps, steps[1:]):
        empty: Any = [] if isinstance(following, int) else {}
        into = _child(into, step, empty)
        if into is None:
            return
    last = steps[-1]
    before = _child(into, last, None)
    if isinstance(before, str) and isinstance(value, str):
        value = before + value
    if isinstance(into, list):
        cast("list[Any]", into)[last] = value
    elif isinstance(into, dict):
        cast("dict[str, Any]", into)[str(last)] = value


def _child(into: Any, step: Any, empty: Any) -> Any:
    """What stands at a step, made when nothing does; None where the path does not fit."""
    if isinstance(into, dict):
        entries = cast("dict[str, Any]", into)
        if entries.get(str(step)) is None:
            entries[str(step)] = empty
        return entries[str(step)]
    if isinstance(into, list) and isinstance(step, int) and step < _MAX_INDEX:
        items = cast("list[Any]", into)
        while len(items) <= step:
            items.append(None)
        if items[step] is None:
            items[step] = empty
        return items[step]
    return None
