"""Failures on demand: the names of models that do not answer well."""

from __future__ import annotations

import re
import threading
from typing import Iterable, Iterator, Optional, Set, TypeVar

from .exchange import ConnectionCut, StreamEnded

__all__ = ["Failures", "break_stream"]

T = TypeVar("T")

_ERROR_MODEL = re.compile(r"\bsimulated-error-([45]\d\d)")
_PIECES_BEFORE_FAILURE = 2


class Failures:
    """Decides by the model's name whether a request fails; safe to use from several threads."""

    def __init__(self) -> None:
        self._failed_once: Set[str] = set()
        self._lock = threading.Lock()

    def status(self, model: str) -> Optional[int]:
        """Return the HTTP status to fail with, or None.

        `simulated-error-500` fails each time; `simulated-error-429` fails once and works from
        then on (a suffix, `simulated-error-429-b`, makes another name that fails once).
        """
        found = _ERROR_MODEL.search(model)
        if found is None:
            return None
        status = int(found[1])
        with self._lock:
            again = model in self._failed_once
            self._failed_once.add(model)
        return None if status == 429 and again else status


def break_stream(model: str, chunks: Iterable[T], error: Iterable[T] = ()) -> Iterator[T]:
    """Pass a stream's pieces of text on, unless the model's name asks for a failure.

    After two pieces `simulated-stream-cut` drops the connection, and `simulated-stream-error`
    sends the given error and ends the stream.

    Raises:
        ConnectionCut: the connection is to be dropped here.
        StreamEnded: the error is sent, the stream ends.
    """
    cut, failing = "simulated-stream-cut" in model, "simulated-stream-error" in model
    for number, chunk in enumerate(chunks):
        if number == _PIECES_BEFORE_FAILURE and (cut or failing):
            if failing:
                yield from error
                raise StreamEnded
            raise ConnectionCut
        yield chunk
