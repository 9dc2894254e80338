"""How a request was written, where that is not the usual way: what `peekr.request.form` holds.

The messages, tools and parameters of a record are the same whoever was asked and however it was
written. To send the very request again, what that leaves open is noted beside it: an object whose
keys are places in the request, steps joined by dots (`messages.0.content`), in the order in which
they are to be followed. Its values:

* a list of one: this value stands there;
* an empty list: nothing stands there, not even the field;
* an object: these fields stand there besides;
* `"list"`: the text is written as a list of one block;
* `"spaced"`, `"ascii"`: the JSON text is as Python's `json.dumps` writes it, the first with
  characters that are not ASCII as they are;
* other words, which are the provider's own.

A place that ends with `+` is one before which the value is put in. Most requests need no note.
"""

from __future__ import annotations

import functools
import json
import re
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, Optional, cast

from peekr.encoding import dumps, loads

if TYPE_CHECKING:
    from typing_extensions import ParamSpec

    _P = ParamSpec("_P")

__all__ = ["ABSENT", "LIST", "Form", "json_style", "literal", "noted", "rewrite", "without_media"]

Form = dict[str, Any]

ABSENT: list[Any] = []
"""Nothing stands there."""
LIST = "list"
"""The text is written as a list of one block."""

_STYLES: dict[str, Callable[[Any], str]] = {
    "spaced": lambda value: json.dumps(value, ensure_ascii=False),
    "ascii": json.dumps,
}
# Whatever may have spaces, escapes or line ends between its values, or is no object.
_MAYBE_UNUSUAL = re.compile(r'[^{]|\{ |$|.*?(?:": |\\|\n)').match
_MEDIA = frozenset(("bytes", "data", "file_data", "b64_json", "result"))
_MEDIA_NAME = re.compile("image|audio|video|media", re.IGNORECASE)
_ADDRESSES = ("https://", "http://", "s3://", "gs://")
_OPAQUE = ("encrypted", "signature", "thought_signature")
_LONG_CHARS = 512


def noted(notes: Callable[_P, Optional[Form]]) -> Callable[_P, Optional[Form]]:
    """Make a function of notes give none for what is nested without an end."""

    @functools.wraps(notes)
    def given(*args: _P.args, **kwargs: _P.kwargs) -> Optional[Form]:
        try:
            return notes(*args, **kwargs)
        except RecursionError:
            return None

    return given


def literal(value: Any) -> list[Any]:
    """The note that a value stands there as it is."""
    return [value]


def json_style(text: Any) -> Any:
    """The note of how JSON text is written; None for the usual way, compact.

    Costs next to nothing for text that is compact, which is how most models write it.
    """
    if type(text) is str and not _MAYBE_UNUSUAL(text):
        return None
    if not isinstance(text, str):
        return None
    try:
        value = loads(text)
    except ValueError:
        # Recorded as it came, but for none at all.
        return None if text else literal(text)
    if isinstance(value, str):
        return literal(text)
    if dumps(value) == text.encode("utf-8", "replace"):
        return None
    for word, write in _STYLES.items():
        if write(value) == text:
            return word
    return literal(text)


def without_media(value: Any, name: str = "") -> bool:
    """Whether a JSON value holds no bytes, however they are written.

    Args:
        value: Anything.
        name: The field that holds it.
    """
    if isinstance(value, dict):
        entries = cast("dict[str, Any]", value)
        return all(without_media(entry, str(key)) for key, entry in entries.items())
    if isinstance(value, (list, tuple)):
        return all(without_media(entry, name) for entry in cast("list[Any]", value))
    if isinstance(value, str):
        if value.startswith(_ADDRESSES):
            return True
        if name in _MEDIA or _MEDIA_NAME.search(name) or value.startswith("data:"):
            return False
        # Text has spaces; what is encrypted for the provider alone is none, but has to go back.
        is_opaque = len(value) > _LONG_CHARS and " " not in value[:_LONG_CHARS]
        return not is_opaque or name.startswith(_OPAQUE)
    return value is None or isinstance(value, (bool, int, float))


def rewrite(
    request: dict[str, Any],
    form: Mapping[str, Any],
    words: Mapping[str, Callable[[Any, dict[str, Any], str], Any]],
) -> None:
    """Write a request as its form says.

    Args:
        request: The request in the usual way; it is changed.
        form: The notes; those whose place is not there any more are passed over.
        words: What the provider's own words, `list` among them, make of a value; the holder and
            the place come along.
    """
    for place, note in form.items():
        if isinstance(note, dict) and not place:
            request.update(cast("dict[str, Any]", note))
            continue
        put_in = place.endswith("+")
        *steps, last = (place[:-1] if put_in else place).split(".")
        holder: Any = request
        for step in steps:
            inner: Any = _entry(holder, step)
            if inner is None and isinstance(holder, dict) and note and isinstance(note, list):
                inner = {}
                _put(cast("Any", holder), step, inner)
            holder = inner
        if isinstance(holder, (dict, list)):
            _follow(cast("Any", holder), last, note, put_in, words, place, request)


def _follow(
    holder: Any,
    last: str,
    note: Any,
    put_in: bool,
    words: Mapping[str, Callable[[Any, dict[str, Any], str], Any]],
    place: str,
    request: dict[str, Any],
) -> None:
    if isinstance(note, list):
        stated = cast("list[Any]", note)
        if put_in and isinstance(holder, list):
            cast("list[Any]", holder)[int(last) : int(last)] = stated
        elif stated:
            _put(holder, last, stated[0])
        elif isinstance(holder, dict):
            cast("dict[str, Any]", holder).pop(last, None)
        return
    value = _entry(holder, last)
    if isinstance(note, dict):
        if isinstance(value, dict):
            cast("dict[str, Any]", value).update(cast("dict[str, Any]", note))
    elif note in _STYLES:
        if isinstance(value, str):
            _put(holder, last, _STYLES[note](loads(value)))
    elif note in words:
        made = words[note](value, request, place)
        if made is ABSENT:
            cast("dict[str, Any]", holder).pop(last, None)
        else:
            _put(holder, last, made)


def _entry(holder: Any, step: str) -> Optional[Any]:
    if isinstance(holder, dict):
        return cast("dict[str, Any]", holder).get(step)
    if isinstance(holder, list) and step.isdigit():
        entries = cast("list[Any]", holder)
        return entries[int(step)] if int(step) < len(entries) else None
    return None


def _put(holder: Any, step: str, value: Any) -> None:
    if isinstance(holder, dict):
        holder[step] = value
    elif step.isdigit() and int(step) < len(cast("list[Any]", holder)):
        holder[int(step)] = value
