"""Two traces side by side: which spans they share, what changed, the first message that differs."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple, Optional, cast

from peekr.encoding import dumps
from peekr.record import SpanRecord
from peekr.render.tree import Node, Totals, arrange, totals

__all__ = ["Change", "Difference", "FirstDifference", "Pair", "compare", "compare_calls"]

_FACTS = ("model", "provider", "finish_reasons", "tokens_input", "tokens_output", "cost_usd")
_CONTENTS = ("input", "output", "error")
_WORD_CHARS = 40


class Change(NamedTuple):
    """One fact of a span that is not the same in both traces."""

    name: str
    before: Any
    after: Any


class FirstDifference(NamedTuple):
    """Where two contents part.

    Attributes:
        content: `input`, `output` or `error`.
        message: The number of the message, from 1; None where the content is no list of them.
        role: The message's role, where it has one.
        before: What the first trace has there, from where they part; None where it ends before.
        after: What the second has there.
        place: How many characters are the same before that.
    """

    content: str
    message: Optional[int]
    role: Optional[str]
    before: Optional[str]
    after: Optional[str]
    place: int


@dataclass
class Pair:
    """A span of each trace that stand for each other, or one that has no counterpart."""

    before: Optional[SpanRecord]
    after: Optional[SpanRecord]
    changes: list[Change] = field(default_factory=list[Change])
    contents: list[FirstDifference] = field(default_factory=list[FirstDifference])

    @property
    def is_changed(self) -> bool:
        """Whether more than the time it took is different."""
        return bool(self.changes or self.contents or self.before is None or self.after is None)


@dataclass
class Difference:
    """What two traces differ in.

    Attributes:
        before: Sums over the first trace.
        after: Sums over the second.
        before_ms: From the first trace's first start to its last end, in milliseconds.
        after_ms: The same of the second.
        pairs: All spans, in the order of the first trace's tree, those that only the second has
            at the end.
        scores: The mean score of each evaluator, by its name; None where it gave none.
    """

    before: Totals
    after: Totals
    before_ms: Optional[float]
    after_ms: Optional[float]
    pairs: list[Pair]
    scores: list[Change] = field(default_factory=list[Change])

    @property
    def first(self) -> Optional[tuple[Pair, FirstDifference]]:
        """The first content that differs, in the order of the tree."""
        for pair in self.pairs:
            if pair.contents:
                return pair, pair.contents[0]
        return None

    def to_dict(self) -> dict[str, Any]:
        """The difference as a JSON object."""
        return {
            "before": {**vars(self.before), "duration_ms": self.before_ms},
            "after": {**vars(self.after), "duration_ms": self.after_ms},
            "scores": [change._asdict() for change in self.scores],
            "spans": [_pair_to_dict(pair) for pair in self.pairs if pair.is_changed],
        }


def compare(before: Sequence[SpanRecord], after: Sequence[SpanRecord]) -> Difference:
    """Compare two traces; linear in their spans.

    Spans stand for each other when they have the same name, below spans that stand for each
    other, and are the same number among their equals. Ids, times and durations are no changes.
    """
    first, second = arrange(list(before)), arrange(list(after))
    counterparts = dict(_places(second))
    pairs: list[Pair] = []
    for place, record in _places(first):
        pairs.append(_pair(record, counterparts.pop(place, None)))
    pairs += [Pair(None, record) for record in counterparts.values()]
    return Difference(
        totals(first), totals(second), _span_ms(before), _span_ms(after), pairs, _means(pairs)
    )


def compare_calls(calls: Sequence[tuple[SpanRecord, Optional[SpanRecord]]]) -> Difference:
    """Compare model calls with those that ask the same again, which are known by pairs.

    The durations are of the calls alone, without what the application did between them; each
    pair tells its own as well.
    """
    pairs = [_pair(before, after) for before, after in calls]
    for pair in pairs:
        if pair.after is not None and _answer(pair.before) == _answer(pair.after):
            # The ids of tool calls are new each time.
            pair.contents[:] = [one for one in pair.contents if one.content != "output"]
        if pair.before is not None and pair.after is not None:
            was, now = pair.before.duration_ms, pair.after.duration_ms
            pair.changes.append(Change("latency", was, now))
    before = [before for before, _ in calls]
    after = [after for _, after in calls if after is not None]
    now_in_all = totals(arrange(after))
    if any("cost_usd" in one.attributes and _is_unpriced(other) for one, other in calls):
        now_in_all.cost_usd = None  # a sum without them would look like a saving
    return Difference(
        totals(arrange(before)),
        now_in_all,
        sum(record.duration_ms or 0.0 for record in before),
        sum(record.duration_ms or 0.0 for record in after) if after else None,
        pairs,
        _means(pairs),
    )


def _is_unpriced(record: Optional[SpanRecord]) -> bool:
    attributes = {} if record is None else record.attributes
    return "tokens_total" in attributes and "cost_usd" not in attributes


def _answer(record: Optional[SpanRecord]) -> Any:
    return None if record is None else _without_ids(record.attributes.get("output"))


def _without_ids(value: Any) -> Any:
    if isinstance(value, dict):
        entries = cast("dict[str, Any]", value)
        return {key: _without_ids(entry) for key, entry in entries.items() if key != "id"}
    if isinstance(value, list):
        return [_without_ids(entry) for entry in cast("list[Any]", value)]
    return value


def _means(pairs: Sequence[Pair]) -> list[Change]:
    """The mean score of each evaluator over the spans of either trace."""
    sides: tuple[dict[str, list[float]], dict[str, list[float]]] = ({}, {})
    for pair in pairs:
        for side, record in zip(sides, (pair.before, pair.after)):
            for name, score in _scores(record).items():
                side.setdefault(name, []).append(score)
    names = dict.fromkeys([*sides[0], *sides[1]])
    before, after = ({n: sum(s) / len(s) for n, s in side.items()} for side in sides)
    return [Change(name, before.get(name), after.get(name)) for name in names]


def _scores(record: Optional[SpanRecord]) -> dict[str, float]:
    held: Any = record.attributes.get("eval_scores") if record is not None else None
    if not isinstance(held, dict):
        return {}
    entries = cast("dict[str, Any]", held)
    return {
        name: float(score)
        for name, score in entries.items()
        if isinstance(score, (int, float)) and not isinstance(score, bool)
    }


Place = tuple[int, str, int]


def _places(nodes: list[Node]) -> Iterator[tuple[Place, SpanRecord]]:
    """Each span with its place: its parent's, its name, and its number among its equals."""
    equals: dict[tuple[int, str], int] = {}
    ancestors: list[int] = []
    for node in nodes:
        del ancestors[node.depth :]
        key = (ancestors[-1] if ancestors else 0, node.record.name)
        equals[key] = equals.get(key, -1) + 1
        place = (*key, equals[key])
        # One number stands for the whole path, the same in both traces: no text grows with depth.
        ancestors.append(hash(place))
        yield place, node.record


def _pair(before: SpanRecord, after: Optional[SpanRecord]) -> Pair:
    if after is None:
        return Pair(before, None)
    pair = Pair(before, after)
    if before.status != after.status:
        pair.changes.append(Change("status", before.status, after.status))
    for name in _FACTS:
        was, now = before.attributes.get(name), after.attributes.get(name)
        if was != now:
            pair.changes.append(Change(name, was, now))
    was_scored, is_scored = _scores(before), _scores(after)
    for name in dict.fromkeys([*was_scored, *is_scored]):
        if was_scored.get(name) != is_scored.get(name):
            change = Change(f"score {name}", was_scored.get(name), is_scored.get(name))
            pair.changes.append(change)
    for name in _CONTENTS:
        found = _first_difference(name, before.attributes.get(name), after.attributes.get(name))
        if found is not None:
            pair.contents.append(found)
    return pair


def _first_difference(content: str, before: Any, after: Any) -> Optional[FirstDifference]:
    if before == after:
        return None
    if not (isinstance(before, list) and isinstance(after, list)):
        place = _common(_text(before), _text(after))
        return FirstDifference(
            content, None, None, _from(before, place), _from(after, place), place
        )
    was, now = cast("list[Any]", before), cast("list[Any]", after)
    for index in range(max(len(was), len(now))):
        one = was[index] if index < len(was) else None
        other = now[index] if index < len(now) else None
        if one == other:
            continue
        role = _role(one) or _role(other)
        left, right = _message_text(one, other), _message_text(other, one)
        place = _common(left or "", right or "")
        return FirstDifference(
            content,
            index + 1,
            role,
            None if left is None else left[place:],
            None if right is None else right[place:],
            place,
        )
    return None  # values that are never equal, such as NaN


def _role(message: Any) -> Optional[str]:
    role = cast("dict[str, Any]", message).get("role") if isinstance(message, dict) else None
    return role if isinstance(role, str) else None


def _message_text(message: Any, other: Any) -> Optional[str]:
    """A message as text: its content where that is what differs, else the whole."""
    if message is None:
        return None
    if isinstance(message, dict) and isinstance(other, dict):
        mine, theirs = cast("dict[str, Any]", message), cast("dict[str, Any]", other)
        rest = {k: v for k, v in mine.items() if k != "content"}
        if rest == {k: v for k, v in theirs.items() if k != "content"}:
            return _text(mine.get("content"))
    elif isinstance(message, dict):
        content = cast("dict[str, Any]", message).get("content")
        if isinstance(content, str):
            return content
    return _text(message)


def _text(value: Any) -> str:
    if value is None:
        return ""
    return value if isinstance(value, str) else dumps(value).decode("utf-8", "replace")


def _from(value: Any, place: int) -> Optional[str]:
    return None if value is None else _text(value)[place:]


def _common(one: str, other: str) -> int:
    """How many characters two texts begin with in common, back to the beginning of a word."""
    pairs = enumerate(zip(one, other))
    place = next((i for i, (a, b) in pairs if a != b), min(len(one), len(other)))
    word = max(one.rfind(" ", 0, place), one.rfind("\n", 0, place)) + 1
    return word if place - word < _WORD_CHARS else place


def _span_ms(records: Sequence[SpanRecord]) -> Optional[float]:
    starts = [record.start_time for record in records if record.start_time]
    ends = [record.end_time for record in records if record.end_time]
    return (max(ends) - min(starts)) * 1000.0 if starts and ends else None


def _pair_to_dict(pair: Pair) -> dict[str, Any]:
    record = pair.before or pair.after
    assert record is not None
    return {
        "name": record.name,
        "before": None if pair.before is None else pair.before.span_id,
        "after": None if pair.after is None else pair.after.span_id,
        "changes": [change._asdict() for change in pair.changes],
        "contents": [content._asdict() for content in pair.contents],
    }
