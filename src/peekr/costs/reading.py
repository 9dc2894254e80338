"""One pass over a file, quick enough to take little longer than parsing it."""

from __future__ import annotations

import heapq
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, Optional, cast

from peekr.costs.dimensions import DIMENSIONS, Document, chooser, text_of, whole
from peekr.costs.once import OWN, Below, Counted
from peekr.costs.sums import CallCost, CostReport, Group, Sums, Table, Unpriced
from peekr.pricing.book import PriceBook
from peekr.pricing.spans import Price, price_of
from peekr.semconv import otel
from peekr.store.query import Query, Reader
from peekr.summary import number

__all__ = ["report"]

_OPERATION = otel.GEN_AI_OPERATION_NAME


def report(
    reader: Reader,
    groupings: Sequence[tuple[str, ...]],
    *,
    query: Optional[Query] = None,
    top: int = 5,
    book: Optional[PriceBook] = None,
) -> CostReport:
    """Sum up a file, read once (twice where frameworks' spans wrap model calls).

    A call counts once. Spans that Peekr's instrumentations made are calls. Of other spans with
    tokens, one does not count where spans below it say all of what it says: an agent's, whatever
    calls are below it; a framework's own span of a call, where the SDK's is below it.

    Memory: the groups, and with frameworks' spans the ids of those whose root has not come yet.

    Args:
        reader: The file; its spans stand in about the order of their ends, as Peekr writes them.
        groupings: What to sum by: a table each.
        query: Which calls: those of a trace, session or model, failed ones, those since a moment.
        top: How many of the most expensive and of the slowest calls to name.
        book: Prices, to price each call anew; None takes what is recorded.

    Raises:
        UnreadableFileError: nothing in the file can be read.
    """
    wanted = None if query is None else chooser(query)
    made = _Pass(groupings, wanted, top, book, is_nested=False)
    if not made.run(_documents(reader)):
        made = _Pass(groupings, wanted, top, book, is_nested=True)
        made.run(_documents(reader))
    return made.report()


def _documents(reader: Reader) -> Iterator[list[Document]]:
    lists = getattr(reader, "documents", None)
    if lists is not None:
        return cast("Iterator[list[Document]]", lists())
    return ([record.to_dict()] for record in reader.records())


_NOTHING: Document = {}


class _Pass:
    """One pass over a file."""

    def __init__(
        self,
        groupings: Sequence[tuple[str, ...]],
        wanted: Optional[Callable[[Document, Document], bool]],
        top: int,
        book: Optional[PriceBook],
        *,
        is_nested: bool,
    ) -> None:
        self._groupings = [tuple(DIMENSIONS[name] for name in by) for by in groupings]
        self._by = [tuple(by) for by in groupings]
        self._tables: list[dict[Any, Sums]] = [{} for _ in groupings]
        self._wanted = wanted
        self._book = book
        self._is_nested = is_nested
        self._expensive = _Top(top)
        self._slow = _Top(top)
        self._unpriced: dict[tuple[Any, Any], list[int]] = {}
        self._below = Below()
        self._taken_back: set[Any] = set()

    def run(self, blocks: Iterable[list[Document]]) -> bool:
        """Read all; False where it turned out that spans may wrap others, and that matters."""
        own, nested, book, wanted = OWN, self._is_nested, self._book, self._wanted
        # By far the most frequent table, at hand for the path that every call takes.
        key_of = self._groupings[0][0] if len(self._groupings[0]) == 1 else None
        first, more = self._tables[0], len(self._groupings) > 1 or key_of is None
        is_by_model = self._by[0] == ("model",)
        least_cost, least_ms = self._expensive.least, self._slow.least
        for block in blocks:
            for document in block:
                attributes: Document = document.get("attributes") or _NOTHING
                if type(attributes) is not dict:
                    attributes = _NOTHING
                get = attributes.get
                tokens, output, cost = get("tokens_input"), get("tokens_output"), get("cost_usd")
                is_refused = False
                if tokens is None and output is None and cost is None:
                    if document.get("name") not in own:
                        if nested:
                            self._below.passes(document)
                        continue
                    # A call that failed took nothing; of others it is not known what they took.
                    is_refused = document.get("status") == "error"
                if type(tokens) is not int:
                    tokens = whole(tokens)
                if type(output) is not int:
                    output = whole(output)
                if type(cost) is not float and cost is not None:
                    cost = number(cost)
                counted: Optional[Counted] = None
                if document.get("name") not in own:
                    if not nested:
                        return False
                    counted = self._below.counts(document, get(_OPERATION), tokens, output)
                    if counted is None:
                        continue
                elif nested and not self._below.own_call(document, tokens, output):
                    continue
                if nested and self._below.is_late(document):
                    for repeated in self._below.repeated_above(document, tokens, output):
                        self._take_back(repeated)
                if wanted is not None and not wanted(document, attributes):
                    continue
                saved = get("cost_saved_usd")
                if book is not None:
                    anew = price_of(book, attributes, _start_ns(document))
                    if isinstance(anew, Price):
                        cost, saved = anew.cost_usd, anew.saved_usd
                if is_by_model:
                    key = get("model") or get(otel.GEN_AI_RESPONSE_MODEL)
                elif key_of is not None:
                    key = key_of(document, attributes)
                else:
                    key = None
                # -- the sums of the first table; the others in _add_more
                if key_of is not None:
                    try:
                        sums = first[key]
                    except KeyError:
                        sums = first[key] = Sums()
                    except TypeError:
                        sums = first.setdefault(str(key), Sums())
                    sums.calls += 1
                    sums.input += tokens
                    sums.output += output
                    if cost is not None:
                        sums.cost_usd += cost
                    elif not is_refused:
                        sums.unpriced += 1
                    if document.get("status") == "error":
                        sums.errors += 1
                    read, written = get("tokens_cache_read"), get("tokens_cache_write")
                    if read or written:
                        _add_cache(sums, read, written, saved)
                    reasoning = get("tokens_reasoning")
                    if reasoning:
                        sums.reasoning += whole(reasoning)
                if more:
                    price = 0.0 if is_refused else cost
                    self._add_more(document, attributes, tokens, output, price, saved)
                if counted is not None:
                    # Not the record itself: what is kept drives the rest out of the cache.
                    counted.stands = True
                    counted.how = (
                        key,
                        self._keys(document, attributes) if more else (),
                        cost,
                        document.get("status") == "error",
                        get("model"),
                        get("provider"),
                        get("tokens_cache_read"),
                        get("tokens_cache_write"),
                        get("tokens_reasoning"),
                        saved,
                        (document.get("trace_id"), document.get("span_id")),
                    )
                if cost is None:
                    if not is_refused:
                        self._note_unpriced(get("provider"), get("model"), tokens + output)
                elif cost > least_cost:
                    self._expensive.put(cost, document, cost)
                    least_cost = self._expensive.least
                duration = document.get("duration_ms")
                if type(duration) is float and duration > least_ms:
                    self._slow.put(duration, document, cost)
                    least_ms = self._slow.least
        return True

    def _add_more(
        self,
        document: Document,
        attributes: Document,
        tokens: int,
        output: int,
        cost: Optional[float],
        saved: Any,
    ) -> None:
        get = attributes.get
        keys = self._keys(document, attributes)
        for table, key in zip(self._tables[-len(keys) :], keys):
            sums = table.get(key)
            if sums is None:
                sums = table[key] = Sums()
            sums.calls += 1
            sums.input += tokens
            sums.output += output
            sums.reasoning += whole(get("tokens_reasoning"))
            if cost is not None:
                sums.cost_usd += cost
            else:
                sums.unpriced += 1
            if document.get("status") == "error":
                sums.errors += 1
            _add_cache(sums, get("tokens_cache_read"), get("tokens_cache_write"), saved)

    def _keys(self, document: Document, attributes: Document) -> tuple[Any, ...]:
        """The keys of a call in the tables, but for a first one of a single dimension."""
        groupings = self._groupings
        return tuple(
            tuple(text_of(read(document, attributes)) for read in readers)
            for readers in (groupings[1:] if len(groupings[0]) == 1 else groupings)
        )

    def _take_back(self, counted: Counted) -> None:
        key, keys, cost, is_error, model, provider, read, written, reasoning, saved, ids = (
            counted.how
        )
        one = Sums()
        one.calls, one.input, one.output = 1, counted.tokens, counted.output
        one.errors = int(is_error)
        one.reasoning = whole(reasoning)
        if cost is None:
            one.unpriced = 1
            unpriced = self._unpriced.get((text_of(provider), text_of(model)))
            if unpriced is not None:
                unpriced[0] -= 1
                unpriced[1] -= counted.tokens + counted.output
        else:
            one.cost_usd = cost
        _add_cache(one, read, written, saved)
        if isinstance(key, (list, dict)):
            key = str(cast("object", key))
        places = self._tables if len(keys) == len(self._tables) else self._tables[1:]
        found = [*zip(places, keys), *([] if places is self._tables else [(self._tables[0], key)])]
        for table, place in found:
            sums = table.get(place)
            if sums is not None:
                sums.add(one, -1)
                sums.cost_usd = round(sums.cost_usd, 12) + 0.0
                if not sums.calls:
                    del table[place]
        self._taken_back.add(ids)

    def _note_unpriced(self, provider: Any, model: Any, tokens: int) -> None:
        key = (text_of(provider), text_of(model))
        entry = self._unpriced.get(key)
        if entry is None:
            entry = self._unpriced[key] = [0, 0]
        entry[0] += 1
        entry[1] += tokens

    def report(self) -> CostReport:
        """What the pass has found."""
        tables: list[Table] = []
        for by, found in zip(self._by, self._tables):
            # A text and a number that reads like it are one group.
            merged: dict[tuple[Optional[str], ...], Sums] = {}
            for key, sums in found.items():
                values: tuple[Optional[str], ...] = (text_of(key),)
                if isinstance(key, tuple):
                    values = cast("tuple[Optional[str], ...]", key)
                if values in merged:
                    merged[values].add(sums)
                else:
                    merged[values] = sums
            groups = [Group(values, sums) for values, sums in merged.items()]
            if by == ("day",):
                groups.sort(key=lambda group: group.values[0] or "")
            else:
                groups.sort(key=_rank)
            tables.append(Table(by, groups))
        total = Sums()
        for group in tables[0].groups:
            total.add(group.sums)
        unpriced = [
            Unpriced(provider, model, calls, tokens)
            for (provider, model), (calls, tokens) in self._unpriced.items()
            if calls
        ]
        unpriced.sort(key=lambda one: (-one.tokens, one.model or ""))
        return CostReport(
            total, tables, self._named(self._expensive), self._named(self._slow), unpriced
        )

    def _named(self, top: _Top) -> list[CallCost]:
        gone = self._taken_back
        return [call for call in top.calls() if (call.trace_id, call.span_id) not in gone]


def _rank(group: Group) -> tuple[float, int, tuple[str, ...]]:
    sums = group.sums
    return -sums.cost_usd, -(sums.input + sums.output), tuple(v or "" for v in group.values)


def _add_cache(sums: Sums, read: Any, written: Any, saved: Any) -> None:
    tokens = whole(read)
    sums.cache_read += tokens
    sums.cache_write += whole(written)
    usd = number(saved)
    if usd is not None:
        sums.saved_usd += usd
    else:
        sums.unknown_saving += tokens


class _Top:
    """The few greatest of many.

    Attributes:
        least: What one has to exceed to be among them.
    """

    def __init__(self, count: int) -> None:
        self._count = count
        self._heap: list[tuple[float, int, CallCost]] = []
        self._seen = 0
        self.least = 0.0 if count else float("inf")

    def put(self, value: float, document: Document, cost_usd: Optional[float]) -> None:
        """Take one that exceeds the least."""
        attributes = document["attributes"]
        call = CallCost(
            trace_id=str(document.get("trace_id")),
            span_id=str(document.get("span_id")),
            name=str(document.get("name") or ""),
            model=text_of(attributes.get("model")),
            start_time=number(document.get("start_time")),
            duration_ms=number(document.get("duration_ms")),
            cost_usd=cost_usd,
        )
        self._seen += 1
        entry = (value, -self._seen, call)
        if len(self._heap) < self._count:
            heapq.heappush(self._heap, entry)
        else:
            heapq.heapreplace(self._heap, entry)
        if len(self._heap) == self._count:
            self.least = self._heap[0][0]

    def calls(self) -> list[CallCost]:
        """The greatest first."""
        return [call for _, _, call in sorted(self._heap, reverse=True)]


def _start_ns(document: Document) -> int:
    return int((number(document.get("start_time")) or 0.0) * 1e9)
