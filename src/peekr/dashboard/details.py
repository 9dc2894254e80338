"""One trace as the page shows it: its spans in the order of the tree, texts cut, times relative."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Optional, cast

from peekr.dashboard.kinds import CALLS, is_internal, kind_of
from peekr.dashboard.runs import runs_of
from peekr.encoding import dumps
from peekr.record import SpanRecord
from peekr.render.tree import Node, arrange
from peekr.summary import error_text, number

__all__ = ["MAX_SPANS", "trace_detail"]

MAX_SPANS = 200
CUT_CHARS = 5_000
_MAX_ID_CHARS = 64
_MAX_ATTRIBUTES = 60
_MAX_ATTRIBUTE_CHARS = 500
_MAX_ENTRIES = 200
_MAX_DEPTH = 12
_SHOWN_ELSEWHERE = frozenset(
    (
        "model",
        "provider",
        "tokens_input",
        "tokens_output",
        "tokens_total",
        "tokens_cache_read",
        "tokens_reasoning",
        "cost_usd",
        "finish_reasons",
        "time_to_first_token_ms",
        "tool_calls",
        "input",
        "output",
        "error",
        "eval_scores",
        "eval_errors",
        "guardrail_warnings",
        "guardrail_violations",
        "compliance_violations",
        "session_id",
        "user_id",
        "exception.stacktrace",
    )
)
_NUMBERS = (
    ("ttft", "time_to_first_token_ms"),
    ("tok_in", "tokens_input"),
    ("tok_out", "tokens_output"),
    ("tok_cached", "tokens_cache_read"),
    ("tok_reason", "tokens_reasoning"),
    ("cost", "cost_usd"),
)
_VALUES = (
    ("finish", "finish_reasons"),
    ("input", "input"),
    ("output", "output"),
    ("scores", "eval_scores"),
    ("eval_errors", "eval_errors"),
)
_GUARDS = ("guardrail_warnings", "guardrail_violations", "compliance_violations")


def trace_detail(
    spans: Sequence[SpanRecord], max_spans: int = MAX_SPANS, chars: int = CUT_CHARS
) -> dict[str, Any]:
    """A trace for the page.

    Args:
        spans: All spans of the trace.
        max_spans: Of more the first failed ones, the dearest and the longest are kept, with all
            that is above them.
        chars: How long a text may be; of longer ones the beginning and the end are kept.
    """
    nodes = arrange(list(spans))
    first = min(node.record.start_time for node in nodes)
    kept = _kept(nodes, max_spans)
    self_ms = _self_times(nodes)
    critical = _critical(nodes)
    wrappers = _wrappers(nodes)
    rows: list[dict[str, Any]] = []
    places: dict[int, int] = {}
    attempts: dict[bytes, int] = {}
    ancestors: list[int] = []
    for number_, node in enumerate(nodes):
        del ancestors[node.depth :]
        parent = ancestors[-1] if ancestors else None
        ancestors.append(number_)
        if number_ not in kept:
            continue
        above = places.get(parent, -1) if parent is not None else -1
        if node.orphan is not None:
            above = -2
        places[number_] = len(rows)
        row = _span(node.record, first, above, chars)
        row["self"] = round(self_ms[number_], 1)
        row["crit"] = int(number_ in critical)
        row["wrapper"] = int(number_ in wrappers)
        row["attempt"] = _attempt(node.record, row["kind"], attempts)
        rows.append(row)
    root = nodes[0].record
    omitted = len(nodes) - len(rows)
    belongs = [node.record for node in nodes]
    return {
        "id": root.trace_id[:_MAX_ID_CHARS],
        "started": first,
        "spans": rows,
        "omitted": omitted,
        # Of a trace that is cut the repetitions, counted over all of it.
        **({"runs": runs_of(nodes, places, wrappers)} if omitted else {}),
        "session": _of_any(belongs, "session_id"),
        "user": _of_any(belongs, "user_id"),
        "tenant": next((r.tenant_id[:200] for r in belongs if r.tenant_id), ""),
    }


def _span(record: SpanRecord, first: float, parent: int, chars: int) -> dict[str, Any]:
    attributes = record.attributes
    get = attributes.get
    kind = kind_of(record.name, attributes)
    row: dict[str, Any] = {
        "id": record.span_id[:_MAX_ID_CHARS],
        "p": parent,
        "name": record.name[:200],
        "kind": kind,
        "t": round((record.start_time - first) * 1000.0, 2),
        "d": None if record.duration_ms is None else round(record.duration_ms, 2),
        "err": int(record.status == "error"),
    }
    for key, name in _NUMBERS:
        value = get(name)
        if value is not None and (measured := number(value)) is not None:
            row[key] = measured
    for key in ("model", "provider"):
        if value := _short(get(key)):
            row[key] = value
    error = error_text(record)
    if error:
        row["error"] = bounded(error, chars)
    for key, name in _VALUES:
        value = get(name)
        if value is not None:
            row[key] = bounded(value, chars)
    guards: list[dict[str, Any]] = [
        {"kind": key, **(entry if isinstance(entry, dict) else {"rule": str(entry)})}  # pyright: ignore[reportUnknownArgumentType]
        for key in _GUARDS
        for entry in (cast("list[Any]", get(key)) if isinstance(get(key), list) else [])
    ]
    if guards:
        row["guards"] = bounded(guards, chars)
    others = [key for key in attributes if key not in _SHOWN_ELSEWHERE][:_MAX_ATTRIBUTES]
    row["attrs"] = {str(key)[:100]: _rest(attributes[key]) for key in others}
    return row


def bounded(value: Any, chars: int = CUT_CHARS, depth: int = 0) -> Any:
    """A JSON value whose texts, lists and depth are cut; a cut text says how long it was."""
    if isinstance(value, str):
        if len(value) <= chars:
            return value
        return {"cut": [value[: chars * 4 // 5], value[-chars // 5 :], len(value)]}
    if isinstance(value, (list, tuple)):
        entries = cast("Sequence[Any]", value)
        if depth >= _MAX_DEPTH:
            return f"[{len(entries)} entries]"
        made = [bounded(entry, chars, depth + 1) for entry in entries[:_MAX_ENTRIES]]
        if len(entries) > _MAX_ENTRIES:
            made.append(f"[{len(entries) - _MAX_ENTRIES} more]")
        return made
    if isinstance(value, dict):
        held = cast("Mapping[Any, Any]", value)
        if depth >= _MAX_DEPTH:
            return f"[{len(held)} keys]"
        items = list(held.items())[:_MAX_ENTRIES]
        return {str(key)[:200]: bounded(entry, chars, depth + 1) for key, entry in items}
    return value


def _rest(value: Any) -> Any:
    if isinstance(value, (int, float, bool)) or value is None:
        return value
    text = value if isinstance(value, str) else dumps(value).decode("utf-8", "replace")
    if len(text) <= _MAX_ATTRIBUTE_CHARS:
        return text
    return f"{text[:_MAX_ATTRIBUTE_CHARS]}… ({len(text)} characters)"


def _short(value: Any) -> Optional[str]:
    return value[:200] if isinstance(value, str) and value else None


def _of_any(records: Sequence[SpanRecord], key: str) -> str:
    for record in records:
        value = record.attributes.get(key)
        if isinstance(value, (str, int, float)):
            return str(value)[:200]
    return ""


def _attempt(record: SpanRecord, kind: str, attempts: dict[bytes, int]) -> int:
    """The number of a call that was tried before with the same input and failed; else 0."""
    if kind not in CALLS:
        return 0
    sent = record.attributes.get("input")
    if sent is None:
        return 0
    key = dumps([record.name, sent])
    before = attempts.get(key, 0)
    if record.status == "error":
        attempts[key] = before + 1
    elif before:
        attempts[key] = 0
    return before + 1 if before else 0


# -- the tree --------------------------------------------------------------------------------------


def _kept(nodes: list[Node], limit: int) -> set[int]:
    """Which spans to keep: all, or the most telling ones with their ancestors."""
    if len(nodes) <= limit:
        return set(range(len(nodes)))
    parents = _parents(nodes)
    kept: set[int] = set()

    def keep(index: int) -> None:
        path: list[int] = []
        step: Optional[int] = index
        while step is not None and step not in kept:
            path.append(step)
            step = parents[step]
        if len(kept) + len(path) <= limit:
            kept.update(path)

    def telling(index: int) -> tuple[bool, float, float]:
        record = nodes[index].record
        cost = number(record.attributes.get("cost_usd")) or 0.0
        return (record.status != "error", -cost, -(record.duration_ms or 0.0))

    keep(0)
    for index in range(min(len(nodes), limit // 2)):
        keep(index)
    for index in sorted(range(len(nodes)), key=telling):
        if len(kept) >= limit:
            break
        keep(index)
    return kept


def _parents(nodes: list[Node]) -> list[Optional[int]]:
    found: list[Optional[int]] = []
    ancestors: list[int] = []
    for index, node in enumerate(nodes):
        del ancestors[node.depth :]
        found.append(ancestors[-1] if ancestors else None)
        ancestors.append(index)
    return found


def _children(nodes: list[Node]) -> list[list[int]]:
    below: list[list[int]] = [[] for _ in nodes]
    for index, parent in enumerate(_parents(nodes)):
        if parent is not None:
            below[parent].append(index)
    return below


def _end(record: SpanRecord) -> float:
    return record.start_time + (record.duration_ms or 0.0) / 1000.0


def _self_times(nodes: list[Node]) -> list[float]:
    """Each span's duration without what its children cover, in milliseconds."""
    made: list[float] = []
    for index, below in enumerate(_children(nodes)):
        record = nodes[index].record
        reached, end, covered = record.start_time, _end(record), 0.0
        for child in sorted(below, key=lambda each: nodes[each].record.start_time):
            start = max(nodes[child].record.start_time, reached)
            stop = min(_end(nodes[child].record), end)
            if stop > start:
                covered += stop - start
                reached = stop
        made.append(max(0.0, (record.duration_ms or 0.0) - covered * 1000.0))
    return made


def _critical(nodes: list[Node]) -> set[int]:
    """The spans that the trace's end waited for, from timing alone: from the root, again and
    again the child that ended last before the point that is explained already."""
    below = _children(nodes)
    found: set[int] = set()
    stack = [0]
    while stack:
        index = stack.pop()
        found.add(index)
        point = _end(nodes[index].record)
        for child in sorted(below[index], key=lambda each: -_end(nodes[each].record)):
            record = nodes[child].record
            if _end(record) <= point + 1e-6 and record.start_time < point:
                stack.append(child)
                point = record.start_time
    return found


def _wrappers(nodes: list[Node]) -> set[int]:
    """The spans with usage that stand above another one with usage."""
    below = [False] * len(nodes)
    found: set[int] = set()
    parents = _parents(nodes)
    for index in range(len(nodes) - 1, -1, -1):
        attributes = nodes[index].record.attributes
        used = "tokens_input" in attributes or "tokens_output" in attributes
        used = used and not is_internal(attributes)
        if used and below[index]:
            found.add(index)
        parent = parents[index]
        if parent is not None and (used or below[index]):
            below[parent] = True
    return found
