"""Nested values that were written as one attribute a leaf: `llm.input_messages.0.message.role`."""

from __future__ import annotations

from typing import Any

__all__ = ["take_nested"]

_MAX_DEPTH = 16


def take_nested(attributes: dict[str, Any], prefix: str) -> Any:
    """Remove the attributes that begin with a prefix, and put the value together again.

    What is numbered becomes a list in the order of the numbers, gaps closed, so that no number
    can make it long. An attribute that does not fit beside the others stays.

    Args:
        attributes: Of a span; changed in place.
        prefix: With the dot at its end.

    Returns:
        The value, None where no attribute begins so.
    """
    root: dict[str, Any] = {}
    for key in [key for key in attributes if key.startswith(prefix)]:
        pieces = key[len(prefix) :].split(".")
        if len(pieces) > _MAX_DEPTH or not _put(root, pieces, attributes[key]):
            continue
        del attributes[key]
    return _with_lists(root) if root else None


class _Branch(dict[str, Any]):
    """What is nested, told from values that are objects themselves."""


def _put(root: dict[str, Any], pieces: list[str], value: Any) -> bool:
    at = root
    for piece in pieces[:-1]:
        below = at.setdefault(piece, _Branch())
        if not isinstance(below, _Branch):
            return False
        at = below
    if pieces[-1] in at:
        return False
    at[pieces[-1]] = value
    return True


def _with_lists(value: dict[str, Any]) -> Any:
    made = {
        key: _with_lists(item) if isinstance(item, _Branch) else item for key, item in value.items()
    }
    if made and all(key.isascii() and key.isdigit() and len(key) <= 9 for key in made):
        return [made[key] for key in sorted(made, key=int)]
    return made
