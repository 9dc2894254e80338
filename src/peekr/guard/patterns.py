"""Patterns that others give: matched within a time limit, whatever the text."""

from __future__ import annotations

import re
import time
from collections.abc import Iterable
from typing import Any, Callable, TypeVar, Union, cast

from peekr.errors import ConfigurationError

__all__ = ["BoundedPattern", "Exceptions"]

_BASE_S = 0.05
_PER_CHAR_S = 5e-7
_Found = TypeVar("_Found")
_FLAGS = re.IGNORECASE | re.MULTILINE | re.DOTALL | re.VERBOSE | re.ASCII


class BoundedPattern:
    """A pattern in `re`'s syntax that gives up after some milliseconds of processor time.

    A pattern such as `(a+)+$` takes longer than the universe has on a text that was made for it,
    and Python's own `re` cannot be stopped. `regex` can: 50 ms and half a microsecond a character
    are what one text may cost here.
    """

    __slots__ = ("_compiled", "source")

    def __init__(self, pattern: Any, *, ignore_case: bool = False) -> None:
        """Compile a pattern.

        Args:
            pattern: A text, or what `re.compile` made of one; a compiled pattern keeps its flags.
            ignore_case: Whether a text is matched regardless of case.

        Raises:
            ConfigurationError: (a ValueError) it is no valid pattern; the message shows it.
            TypeError: it is neither a text nor a compiled pattern of texts.
        """
        # Imported here: who gives no patterns need not load it.
        import regex

        source = getattr(pattern, "pattern", pattern)
        if not isinstance(source, str):
            raise TypeError(f"{pattern!r} is not a pattern: give a text or what re.compile() made")
        flags = re.IGNORECASE if ignore_case else 0
        if source is not pattern:
            flags = cast("int", pattern.flags) & _FLAGS
        self.source = source
        try:
            # Python's own first: what it refuses is not in the syntax that is promised.
            re.compile(source, flags)
            self._compiled: Any = cast("Any", regex).compile(source, int(flags))
        except (re.error, regex.error) as error:
            raise ConfigurationError(f"{source!r} is not a valid pattern: {error}") from None

    def spans(self, text: str) -> list[tuple[int, int]]:
        """Where the pattern matches, in order; matches of nothing are left out.

        Raises:
            TimeoutError: it takes too long on this text.
        """

        def match(timeout: float) -> list[tuple[int, int]]:
            found = self._compiled.finditer(text, timeout=timeout)
            return [match.span() for match in found if match.end() > match.start()]

        return self._bounded(match, _BASE_S + len(text) * _PER_CHAR_S)

    def is_all(self, text: str) -> bool:
        """Whether the pattern matches all of a text.

        Raises:
            TimeoutError: it takes too long on this text.
        """

        def match(timeout: float) -> bool:
            return self._compiled.fullmatch(text, timeout=timeout) is not None

        return self._bounded(match, _BASE_S)

    def _bounded(self, match: Callable[[float], _Found], limit: float) -> _Found:
        """Match within so many seconds of this thread's processor time.

        `regex` counts that of all threads, and one that keeps the interpreter (it imports a large
        package, say) may come in between two matches: that is no fault of the pattern.
        """
        began, timeout = time.thread_time(), limit
        while True:
            try:
                return match(timeout)
            except TimeoutError:
                if time.thread_time() - began >= limit * 0.9:
                    raise TimeoutError(
                        f"the pattern {self.source!r} took more than {limit * 1000:.0f} ms"
                    ) from None
                timeout *= 2


class Exceptions:
    """What is let through although it looks like something that is not: texts, and patterns.

    A text is compared regardless of case; a pattern must match all of what was found.
    """

    __slots__ = ("_patterns", "_texts")

    def __init__(self, exceptions: Union[str, Iterable[Any]]) -> None:
        """Compile the patterns.

        Args:
            exceptions: One text, or texts and compiled patterns.
        """
        given: list[Any] = [exceptions] if isinstance(exceptions, str) else list(exceptions)
        self._texts = frozenset(item.casefold() for item in given if isinstance(item, str))
        self._patterns = [BoundedPattern(item) for item in given if not isinstance(item, str)]

    def __bool__(self) -> bool:
        return bool(self._texts or self._patterns)

    def __contains__(self, found: object) -> bool:
        text = str(found)
        if text.casefold() in self._texts:
            return True
        return any(pattern.is_all(text) for pattern in self._patterns)
