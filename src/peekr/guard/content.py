"""Values as they may be recorded: texts, JSON texts, and whatever holds texts."""

from __future__ import annotations

import logging
import re
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from typing import Any, Optional, cast
from urllib.parse import unquote_plus

from peekr.encoding import dumps, loads
from peekr.guard.base import FIELDS, is_redacting

__all__ = ["FAILED", "ContentRedactor", "redacting"]

FAILED = "[REDACTION FAILED]"
"""What is recorded in the place of a text that a guardrail could not look at."""

_logger = logging.getLogger("peekr")
_MAX_DEPTH = 48
_MAX_JSON_IN_JSON = 6
# A shorter number is nobody's.
_LEAST_NUMBER = 10_000_000
# As URLs have it: `%20`, `%40`.
_ENCODED = re.compile(r"%[0-9A-Fa-f]{2}")
_MAX_ENCODINGS = 3  # an address within an address
_WORD = re.compile(r"[^\s\"'<>\\]+")
_MAX_KNOWN = 2_048
_MAX_KNOWN_CHARS = 4_000_000


def redacting(guardrails: Sequence[Any]) -> tuple[Any, ...]:
    """The guardrails that change what is recorded, in their order.

    A guardrail with another action may still do so: a blocklist of secrets keeps them out.
    """
    return tuple(
        guard for guard in guardrails if getattr(guard, "redacts_record", is_redacting(guard))
    )


class ContentRedactor:
    """Applies guardrails to values; what is clean comes back as the same object.

    Safe from any thread. A guardrail that fails on a text has the text left out; that is said once
    for each guardrail, without the text.
    """

    def __init__(self, guardrails: Sequence[Any]) -> None:
        """Prepare.

        Args:
            guardrails: Those that redact, in the order in which they act.
        """
        self._guards: dict[Optional[str], tuple[Any, ...]] = {
            None: tuple(guardrails),
            **{
                field: tuple(guard for guard in guardrails if field in guard.fields)
                for field in FIELDS
            },
        }
        self._said: set[int] = set()
        # Texts that were looked at and found clean: names and models come with every span, and a
        # span's content is looked at when it is set and when the span ends.
        self._known: OrderedDict[tuple[Optional[str], str, str], int] = OrderedDict()
        self._known_chars = 0

    def text(self, text: str, key: str = "", field: Optional[str] = None) -> str:
        """A text as it may be recorded; one that is JSON stays valid JSON.

        Args:
            text: The text.
            key: The name it stands under, which may tell what it is.
            field: `input` or `output` where it is known to be that and nothing else.
        """
        if not text:
            return text
        identity = (field, key, text)
        if identity in self._known:
            return text
        made = self._made(text, key, self._guards[field], 0)
        # What was redacted is looked at again when the span ends, too.
        self._remember((field, key, made))
        return text if made == text else made

    def value(self, value: Any, key: str = "", field: Optional[str] = None) -> Any:
        """A value as it may be recorded: a text, a number, bytes, or what holds such.

        Args:
            value: The value; it is not changed.
            key: The name it stands under, which may tell what it is.
            field: `input` or `output` where it is known to be that and nothing else.

        Returns:
            The same object where it is clean, else a copy.
        """
        kind = cast("type[Any]", type(value))
        if kind is str:
            return self.text(value, key, field)
        if kind is bool or kind is float or value is None:
            return value
        return self._walked(value, key, self._guards[field], 0, 0)

    # -- one text ----------------------------------------------------------------------------------

    def _made(self, text: str, key: str, guards: Sequence[Any], nesting: int) -> str:
        if nesting < _MAX_JSON_IN_JSON and _is_like_json(text):
            if not self._may_hold(text, key, guards):
                return text
            try:
                parsed = loads(text)
            except (ValueError, RecursionError):
                parsed = None  # cut off, or no JSON
            if isinstance(parsed, (dict, list, str)):
                walked = self._walked(parsed, key, guards, 0, nesting + 1)
                return text if walked is parsed else dumps(walked).decode("utf-8")
        for guard in guards:
            text = self._applied(guard, text, key)
        return text

    def _may_hold(self, text: str, key: str, guards: Sequence[Any]) -> bool:
        """Whether a JSON text need be parsed: raw, it mostly shows whether there is anything."""
        if "\\u" in text or "\\/" in text:
            return True
        return any(
            not getattr(guard, "sees_through_json", False)
            or self._applied(guard, text, key) != text
            for guard in guards
        )

    def _applied(self, guard: Any, text: str, key: str) -> str:
        made = self._asked(guard, text, key)
        if "%" in made and _ENCODED.search(made):
            return _WORD.sub(lambda word: self._decoded(guard, word[0]), made)
        return made

    def _decoded(self, guard: Any, word: str) -> str:
        """A word of a text; one that has something to find once it is decoded is, and redacted."""
        kept = shown = word
        for _ in range(_MAX_ENCODINGS):
            if "%" not in shown:
                break
            decoded = unquote_plus(shown)
            if decoded == shown:
                break
            shown = self._asked(guard, decoded, "")
            if shown != decoded:
                kept = shown
        return kept

    def _asked(self, guard: Any, text: str, key: str) -> str:
        try:
            after = getattr(guard, "redact_after", None)
            made: Any = after(text, key) if key and after is not None else guard.redact(text)
            if type(made) is str:
                return made
            raise TypeError(f"redact() returned {type(made).__name__}")
        except Exception as error:
            self._say(guard, error)
            return FAILED

    def _say(self, guard: Any, error: Exception) -> None:
        if id(guard) in self._said:
            return
        self._said.add(id(guard))
        # Not the traceback, nor the message of just any error: they may quote the text.
        reason = str(error) if isinstance(error, TimeoutError) else type(error).__name__
        _logger.warning(
            "The guardrail %s failed while redacting (%s): what it could not look at is left out "
            "of the record, as %s. Further failures of this guardrail are not logged.",
            getattr(guard, "name", type(guard).__name__),
            reason,
            FAILED,
        )

    # -- what holds texts --------------------------------------------------------------------------

    def _walked(self, value: Any, key: str, guards: Sequence[Any], depth: int, nesting: int) -> Any:
        kind = cast("type[Any]", type(value))
        if kind is str:
            return self._made(value, key, guards, nesting)
        if kind is bool or value is None:
            return value
        if isinstance(value, int):
            return self._number(value, key, guards) if abs(value) >= _LEAST_NUMBER else value
        if isinstance(value, (bytes, bytearray)):
            text = bytes(value).decode("utf-8", "replace")
            made = self._made(text, key, guards, nesting)
            return value if made == text else made.encode("utf-8")
        if depth >= _MAX_DEPTH:
            return FAILED if isinstance(value, (Mapping, list, tuple)) else value
        if isinstance(value, Mapping):
            return self._pairs(cast("Mapping[Any, Any]", value), guards, depth, nesting)
        if isinstance(value, (list, tuple)):
            return self._items(cast("Sequence[Any]", value), key, guards, depth, nesting)
        return value

    def _number(self, value: int, key: str, guards: Sequence[Any]) -> Any:
        text = str(value)
        made = text
        for guard in guards:
            made = self._applied(guard, made, key)
        return value if made == text else made

    def _pairs(
        self, pairs: Mapping[Any, Any], guards: Sequence[Any], depth: int, nesting: int
    ) -> Any:
        made: dict[Any, Any] = {}
        is_same = True
        for key, item in pairs.items():
            name = key
            if type(key) is str:
                name = self._key(key, guards)
                changed = self._walked(item, key, guards, depth + 1, nesting)
            else:
                changed = self._walked(item, "", guards, depth + 1, nesting)
            is_same = is_same and changed is item and name is key
            made[name] = changed
        return pairs if is_same else made

    def _items(
        self, items: Sequence[Any], key: str, guards: Sequence[Any], depth: int, nesting: int
    ) -> Any:
        made = [self._walked(item, key, guards, depth + 1, nesting) for item in items]
        if all(new is old for new, old in zip(made, items)):
            return items
        return tuple(made) if isinstance(items, tuple) else made

    def _key(self, key: str, guards: Sequence[Any]) -> str:
        identity = (None, "", key)
        if identity in self._known:
            return key
        made = key
        for guard in guards:
            made = self._applied(guard, made, "")
        if made == key:
            if guards is self._guards[None]:
                self._remember(identity)
            return key
        return made

    def _remember(self, identity: tuple[Optional[str], str, str]) -> None:
        """Keep a clean text at hand; by single operations, so that threads need no lock."""
        size = len(identity[2])
        if size > _MAX_KNOWN_CHARS // 8:
            return
        self._known[identity] = size
        self._known_chars += size
        while len(self._known) > _MAX_KNOWN or self._known_chars > _MAX_KNOWN_CHARS:
            try:
                _, size = self._known.popitem(last=False)
            except KeyError:
                self._known_chars = 0  # two threads at once
                return
            self._known_chars -= size


def _is_like_json(text: str) -> bool:
    return len(text) > 1 and (
        text[0] in '{["' or (text[0].isspace() and text.lstrip()[:1] in ("{", "[", '"'))
    )
