"""What judges have answered, kept by content: the same question is asked once a process."""

from __future__ import annotations

import hashlib
import itertools
import os
import threading
import weakref
from collections import OrderedDict
from collections.abc import Generator
from contextlib import contextmanager
from typing import Any

from peekr.encoding import dumps

__all__ = ["forget", "keep", "kept", "key_of", "turn"]

MAX_ANSWERS = 4096
"""How many are kept, for all judges of the process; the one unused for longest goes."""


class _Turn:
    """Who asks one question just now; others who want to ask the same wait for the lock."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.users = 0


_lock = threading.Lock()
_answers: OrderedDict[bytes, Any] = OrderedDict()
_turns: dict[bytes, _Turn] = {}
_numbers = itertools.count()
# A function is known by a number of its own: its place in memory may be another's later.
_functions: weakref.WeakKeyDictionary[Any, int] = weakref.WeakKeyDictionary()


def key_of(who: Any, *asked: Any) -> bytes:
    """The key of a question.

    Args:
        who: A provider's name, or the function that judges.
        asked: What is asked and under which settings: JSON values.
    """
    name = who if isinstance(who, str) else _number_of(who)
    return hashlib.blake2b(dumps([name, *asked]), digest_size=16).digest()


def _number_of(function: Any) -> int:
    with _lock:
        try:
            number = _functions.get(function)
            if number is None:
                number = _functions[function] = next(_numbers)
            return number
        except TypeError:  # no weak references, or no hash: never the same as another
            return next(_numbers)


@contextmanager
def turn(key: bytes) -> Generator[None, None, None]:
    """Be the only one who asks a question; another who asks it meanwhile finds the answer."""
    with _lock:
        mine = _turns.setdefault(key, _Turn())
        mine.users += 1
    try:
        with mine.lock:
            yield
    finally:
        with _lock:
            mine.users -= 1
            if not mine.users and _turns.get(key) is mine:
                del _turns[key]


def kept(key: bytes) -> Any:
    """The answer to a question; None where there is none."""
    with _lock:
        answer = _answers.get(key)
        if answer is not None:
            _answers.move_to_end(key)
        return answer


def keep(key: bytes, answer: Any) -> None:
    """Keep an answer that could be used."""
    with _lock:
        _answers[key] = answer
        while len(_answers) > MAX_ANSWERS:
            _answers.popitem(last=False)


def forget() -> None:
    """Have everything asked anew."""
    with _lock:
        _answers.clear()


def _after_fork_in_child() -> None:
    global _lock
    _lock = threading.Lock()
    _turns.clear()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork_in_child)
