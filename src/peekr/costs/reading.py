"""One pass over a file, quick enough to take little longer than parsing it."""

from __future__ import annotations

import heapq
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import islice
from typing import Any, Optional, cast

from peekr.costs.dimensions import DIMENSIONS, Attributes, Row, chooser, text_of, whole
from peekr.costs.once import OWN, Below, Counted
from peekr.costs.sums import CallCost, CostReport, Group, Sums, Table, Unpriced
from peekr.pricing.book import PriceBook
from peekr.pricing.spans import CALLS, Price, price_of
from peekr.record import SpanRecord
from peekr.semconv import otel
from peekr.store.columns import FIELDS, Columns, columns_of
from peekr.store.query import Query, Reader
from peekr.summary import number

__all__ = ["report"]

_OPERATION = otel.GEN_AI_OPERATION_NAME
_START = FIELDS.index("start_time")
_HASHED = tuple(map(FIELDS.index, ("span_id", "parent_id")))
_CALLS = tuple(sorted(CALLS))  # for `in`: an operation may be of any type
_NOTHING: Attributes = {}
_BLOCK_RECORDS = 64


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
        query: Which calls: those of a trace, session, tenant, user or model, those that failed,
            those since a moment.
        top: How many of the most expensive and of the slowest calls to name.
        book: Prices, to price each call anew; None takes what is recorded.

    Raises:
        UnreadableFileError: nothing in the file can be read.
    """
    wanted = None if query is None else chooser(query)
    made = _Pass(groupings, wanted, top, book, is_nested=False)
    if not made.run(_columns(reader)):
        made = _Pass(groupings, wanted, top, book, is_nested=True)
        made.run(_columns(reader))
    return made.report()


def _columns(reader: Reader) -> Iterator[Columns]:
    made = getattr(reader, "columns", None)
    if made is not None:
        return cast("Iterator[Columns]", made())
    return _gathered(reader.records())


def _gathered(records: Iterator[SpanRecord]) -> Iterator[Columns]:
    while some := list(islice(records, _BLOCK_RECORDS)):
        yield columns_of(map(vars, some))


class _Pass:
    """One pass over a file."""

    def __init__(
        self,
        groupings: Sequence[tuple[str, ...]],
        wanted: Optional[Callable[[Row, Attributes], bool]],
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

    def run(self, blocks: Iterable[Columns]) -> bool:
        """Read all; False where it turned out that spans may wrap others, and that matters."""
        own, nested, book, wanted, tree = (
            OWN,
            self._is_nested,
            self._book,
            self._wanted,
            self._below,
        )
        # By far the most frequent table, at hand for the path that every call takes.
        key_of = self._groupings[0][0] if len(self._groupings[0]) == 1 else None
        first, more = self._tables[0], len(self._groupings) > 1 or key_of is None
        is_by_model = self._by[0] == ("model",)
        least_cost, least_ms = self._expensive.least, self._slow.least
        recent, older, pending = tree.recent, tree.older, tree.sums
        attributes: Attributes
        above: Optional[int] = None
        span, is_call = 0, True
        for columns in blocks:
            if nested:
                _require_ids(columns)
                tree.forget()
                recent, older = tree.recent, tree.older
            for row in cast("Iterable[Any]", zip(*columns)):
                _, span_id, parent, name, _, _, duration, status, _, attributes = row
                if type(attributes) is not dict:
                    attributes = _NOTHING
                get = attributes.get
                tokens, output, cost = get("tokens_input"), get("tokens_output"), get("cost_usd")
                is_own = name in own if type(name) is str else False
                is_error = status == "error"
                is_refused = False
                if tokens is None and output is None and cost is None:
                    if not is_own:
                        if nested:
                            span, above = hash(span_id), None if parent is None else hash(parent)
                            if span in pending:
                                tree.passes(span, above)
                            recent[span] = above
                        continue
                    # A call that failed took nothing; of others it is not known what they took.
                    is_refused = is_error
                if type(tokens) is not int or tokens < 0:
                    tokens = whole(tokens)
                if type(output) is not int or output < 0:
                    output = whole(output)
                if type(cost) is not float and cost is not None:
                    cost = number(cost)
                if nested:
                    span, above = hash(span_id), None if parent is None else hash(parent)
                    recent[span] = above
                    if above in recent or above in older:
                        for repeated, counted in tree.repeated_above(above, tokens, output):
                            self._take_back(repeated, counted)
                    if is_own:
                        if not tree.own_call(span, above, tokens, output):
                            continue
                    else:
                        operation = get(_OPERATION)
                        is_call = operation is None or (
                            type(operation) is str and operation in CALLS
                        )
                        if not tree.counts(span, above, is_call, tokens, output):
                            continue
                elif not is_own:
                    return False
                if wanted is not None and not wanted(row, attributes):
                    continue
                saved = get("cost_saved_usd")
                if book is not None:
                    anew = price_of(book, attributes, _start_ns(row))
                    if isinstance(anew, Price):
                        cost, saved = anew.cost_usd, anew.saved_usd
                read, written = get("tokens_cache_read"), get("tokens_cache_write")
                reasoning = get("tokens_reasoning")
                if is_by_model:
                    key = get("model") or get(otel.GEN_AI_RESPONSE_MODEL)
                elif key_of is not None:
                    key = key_of(row, attributes)
                else:
                    key = None
                added: tuple[Any, ...] = ()
                if more:
                    price = 0.0 if is_refused else cost
                    added = self._add_more(row, attributes, tokens, output, price, saved, is_error)
                # -- the sums of the first table; the others above
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
                    if is_error:
                        sums.errors += 1
                    if read or written:
                        _add_cache(sums, read, written, saved)
                    if reasoning:
                        sums.reasoning += whole(reasoning)
                    added = (sums, *added) if more else (sums,)
                if nested and not is_own:
                    rest = None
                    if cost is None:
                        rest = (read, written, reasoning, saved, get("provider"), get("model"))
                    elif read or written or reasoning:
                        rest = (read, written, reasoning, saved, None, None)
                    recent[span] = (above, is_call, tokens, output, added, cost, is_error, rest)
                if cost is None:
                    if not is_refused:
                        self._note_unpriced(get("provider"), get("model"), tokens + output)
                elif cost > least_cost:
                    self._expensive.put(cost, row, attributes, cost)
                    least_cost = self._expensive.least
                if type(duration) is float and duration > least_ms:
                    self._slow.put(duration, row, attributes, cost)
                    least_ms = self._slow.least
        return True

    def _add_more(
        self,
        row: Row,
        attributes: Attributes,
        tokens: int,
        output: int,
        cost: Optional[float],
        saved: Any,
        is_error: bool,
    ) -> tuple[Sums, ...]:
        """Add to the tables but for a first one of a single dimension."""
        get = attributes.get
        begin = 1 if len(self._groupings[0]) == 1 else 0
        added: list[Sums] = []
        for table, readers in zip(self._tables[begin:], self._groupings[begin:]):
            key = tuple(text_of(read(row, attributes)) for read in readers)
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
            if is_error:
                sums.errors += 1
            _add_cache(sums, get("tokens_cache_read"), get("tokens_cache_write"), saved)
            added.append(sums)
        return tuple(added)

    def _take_back(self, span: int, counted: Counted) -> None:
        _, _, tokens, output, added, cost, is_error, more = counted
        read, written, reasoning, saved, provider, model = more or (None,) * 6
        one = Sums()
        one.calls, one.input, one.output = 1, tokens, output
        one.errors = int(is_error)
        one.reasoning = whole(reasoning)
        if cost is None:
            one.unpriced = 1
            unpriced = self._unpriced.get((text_of(provider), text_of(model)))
            if unpriced is not None:
                unpriced[0] -= 1
                unpriced[1] -= tokens + output
        else:
            one.cost_usd = cost
        _add_cache(one, read, written, saved)
        for sums in added:
            sums.add(one, -1)
            sums.cost_usd = round(sums.cost_usd, 12) + 0.0
        self._taken_back.add(span)

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
                if not sums.calls:
                    continue  # taken back
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
        return [call for call in top.calls() if hash(call.span_id) not in gone]


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

    def put(
        self, value: float, row: Row, attributes: Attributes, cost_usd: Optional[float]
    ) -> None:
        """Take one that exceeds the least."""
        trace_id, span_id, _, name, start, _, duration, *_ = row
        call = CallCost(
            trace_id=str(trace_id),
            span_id=str(span_id),
            name=str(name or ""),
            model=text_of(attributes.get("model")),
            start_time=number(start),
            duration_ms=number(duration),
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


def _start_ns(row: Row) -> int:
    return int((number(row[_START]) or 0.0) * 1e9)


def _require_ids(columns: Columns) -> None:
    """Make None of ids that are none, for a tree can be built of what has a hash alone."""
    for place in _HASHED:
        try:
            hash(columns[place])
        except TypeError:
            columns[place] = tuple(one if type(one) is str else None for one in columns[place])
