"""What may be recorded of an answer, judged by nothing but the answer: no fact is made up."""

from __future__ import annotations

from typing import Any, Dict, Iterator, List, Optional, Sequence, Set, cast

from peekr.encoding import dumps, loads
from peekr.instrumentation.contract import Response
from peekr.messages import from_record, to_record

__all__ = ["Said", "check"]

# Words of the extractors' own: OpenAI's Responses names no reason.
_OWN_REASONS = frozenset(("stop", "tool_calls", "error", "cancelled", "incomplete"))
_LONGEST = 20_000
_MAX_INT = 2**63


class Said:
    """Every text, number and key of an answer.

    Args:
        documents: The JSON of the answer, or of its events in their order.
        coerced: It came through the SDK's models, which read `"7"` and true as numbers.
    """

    def __init__(self, documents: Any, coerced: bool = False) -> None:
        self.texts: List[str] = []
        self.written: Set[str] = set()
        self._coerced = coerced
        self.numbers: Set[int] = set()
        self._collect(documents)

    def _collect(self, value: Any) -> None:
        if isinstance(value, dict):
            self.written.add(dumps(value).decode())
            for key, entry in cast("Dict[Any, Any]", value).items():
                self.texts.append(str(key))
                self._collect(entry)
        elif isinstance(value, (list, tuple)):
            self.written.add(dumps(value).decode())
            for entry in cast("Sequence[Any]", value):
                self._collect(entry)
        elif isinstance(value, str):
            self.texts.append(value)
            if self._coerced and value.isdigit() and len(value) < 20:
                self.numbers.add(int(value))
        elif isinstance(value, (int, float)):
            self.written.add(dumps(value).decode())
            if isinstance(value, bool) and not self._coerced:
                return
            if abs(value) < _MAX_INT and value == int(value):
                self.numbers.add(int(value))

    def holds(self, text: str) -> bool:
        """Whether a text was said as it is."""
        return text in self.texts

    def makes_up(self, text: str) -> bool:
        """Whether a text is anything but texts that were said, one after the other.

        What was said in the place of a text stands for itself as JSON.
        """
        if not text or len(text) > _LONGEST or text in self.texts or text in self.written:
            return False
        pieces = sorted({piece for piece in self.texts if piece and piece in text})
        reached = {0}
        for at in range(len(text)):
            if at in reached:
                reached.update(at + len(p) for p in pieces if text.startswith(p, at))
        return len(text) not in reached

    def counts(self, number: int) -> bool:
        """Whether a count was said, or is the sum of some that were."""
        if number in self.numbers:
            return True
        known = sorted(one for one in self.numbers if 0 <= one <= number)
        sums = {0}
        for _ in range(4):
            sums |= {a + b for a in sums for b in known if a + b <= number}
            if number in sums:
                return True
            if len(sums) > 20_000:
                return True  # too many to tell
        return False


def check(response: Response, documents: Any, coerced: bool = False) -> None:
    """Assert that a response says what the documents say, in types that a span can hold."""
    said = Said(documents, coerced)
    _check_words(response, said)
    if response.usage is not None:
        for name, count in zip(response.usage._fields, response.usage):
            _check_count(name, count, said)
    for entry in response.output or ():
        assert isinstance(entry["role"], str), entry
        for part in entry["parts"]:
            _check_part(part, said)
    if response.output:
        # The record's form holds the same, and what is written can be read.
        assert from_record(to_record(response.output)) == response.output
        assert isinstance(loads(dumps(to_record(response.output))), list)
    for name, value in (response.attributes or {}).items():
        assert isinstance(value, (str, bool, int, float)), (name, value)


def _check_words(response: Response, said: Said) -> None:
    for name in ("id", "model"):
        value: Optional[Any] = getattr(response, name)
        assert value is None or isinstance(value, str), (name, value)
        known = not value or value in said.written or any(value in text for text in said.texts)
        assert known, (name, value)
    for reason in response.finish_reasons or ():
        assert isinstance(reason, str), reason
        assert said.holds(reason) or reason in _OWN_REASONS, reason
    if response.fault is not None:
        assert isinstance(response.fault.type, str)
        assert isinstance(response.fault.message, str)


def _check_count(name: str, count: Any, said: Said) -> None:
    if count is None:
        return
    assert type(count) is int, (name, count)
    assert 0 <= count < _MAX_INT, (name, count)
    assert said.counts(count), (name, count)


def _check_part(part: Dict[str, Any], said: Said) -> None:
    kind = part["type"]
    assert isinstance(kind, str), part
    if kind in ("text", "reasoning", "refusal"):
        content = part["content"]
        assert isinstance(content, str), part
        assert not said.makes_up(content), content
    if kind == "tool_call":
        assert isinstance(part["name"], str), part
        assert part.get("id") is None or isinstance(part["id"], str), part
        for text in _texts(part["arguments"]):
            assert (
                any(text in one for one in said.texts)
                or not said.makes_up(text)
                or (_is_within(text, said))
            ), text


def _texts(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        for entry in cast("Dict[str, Any]", value).values():
            yield from _texts(entry)
    elif isinstance(value, list):
        for entry in cast("List[Any]", value):
            yield from _texts(entry)


def _is_within(text: str, said: Said) -> bool:
    """Whether a text within streamed JSON is in the pieces of it."""
    return text in "".join(said.texts) or all(
        any(char in one for one in said.texts) for char in set(text)
    )
