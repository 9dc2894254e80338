"""JSON values, damaged: what a service, a proxy or a new version of an API may send instead."""

from __future__ import annotations

import copy
from typing import Any, Callable, Dict, List, Tuple, cast

from hypothesis import strategies as st

__all__ = ["ODD", "Mutation", "mutate", "mutations"]

_MAX_ENTRIES = 6


def _nested(levels: int) -> Any:
    value: Any = "deep"
    for _ in range(levels):
        value = [value]
    return value


ODD_VALUES: Tuple[Any, ...] = (
    None,
    True,
    False,
    0,
    1,
    7,
    -1,
    -5,
    1.0,
    1.5,
    float("nan"),
    float("inf"),
    2**63,
    -(2**63) - 1,
    10**30,
    "",
    "7",
    "zwölf\x00",
    "\ud800",
    "x" * 300,
    [],
    {},
    [None],
    [[]],
    [{}],
    ["text", 7, None, {"type": "text"}],
    {"type": "brand_new"},
    {"text": None, "content": 7, "value": []},
    _nested(70),
)
ODD = st.sampled_from(ODD_VALUES)
"""What stands where something else belongs."""

Mutation = Tuple[int, str, Any]

_INDEXES = ("index", "contentBlockIndex", "output_index", "content_index", "summary_index")
_Slot = Tuple[Any, Any]


def _slots(value: Any, found: List[_Slot]) -> List[_Slot]:
    """Every place in a value: its container, and the key or the index of it."""
    if isinstance(value, dict):
        fields = cast("Dict[str, Any]", value)
        for key in list(fields):
            found.append((fields, key))
            _slots(fields[key], found)
    elif isinstance(value, list):
        entries = cast("List[Any]", value)
        # Of vectors and long streams the beginning and the end.
        places = range(len(entries))
        if len(entries) > 2 * _MAX_ENTRIES and not isinstance(entries[0], dict):
            places = [*places[:_MAX_ENTRIES], *places[-_MAX_ENTRIES:]]
        for place in places:
            found.append((entries, place))
            _slots(entries[place], found)
    return found


def _emptied(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _emptied(entry) for key, entry in cast("Dict[str, Any]", value).items()}
    if isinstance(value, list):
        return [_emptied(entry) for entry in cast("List[Any]", value)]
    return None


def _drop(holder: Any, key: Any, odd: Any) -> None:
    del holder[key]


def _null(holder: Any, key: Any, odd: Any) -> None:
    holder[key] = None


def _odd(holder: Any, key: Any, odd: Any) -> None:
    holder[key] = copy.deepcopy(odd)


def _nulls_everywhere(holder: Any, key: Any, odd: Any) -> None:
    holder[key] = _emptied(holder[key])


def _in_list(holder: Any, key: Any, odd: Any) -> None:
    holder[key] = [holder[key]]


def _in_object(holder: Any, key: Any, odd: Any) -> None:
    holder[key] = {str(key): holder[key]}


def _first_alone(holder: Any, key: Any, odd: Any) -> None:
    value = holder[key]
    if isinstance(value, list) and value:
        holder[key] = value[0]
    elif isinstance(value, dict) and value:
        holder[key] = next(iter(cast("Dict[str, Any]", value).values()))


def _as_text(holder: Any, key: Any, odd: Any) -> None:
    holder[key] = str(holder[key])


def _twice(holder: Any, key: Any, odd: Any) -> None:
    if isinstance(holder, list):
        entries = cast("List[Any]", holder)
        entries.insert(key, copy.deepcopy(entries[key]))
    elif isinstance(holder[key], list):
        holder[key] = [*holder[key], *copy.deepcopy(holder[key])]


def _swapped(holder: Any, key: Any, odd: Any) -> None:
    if isinstance(holder, list):
        last = len(cast("List[Any]", holder)) - 1
        other = min(key + 1, last)
        holder[key], holder[other] = holder[other], holder[key]
    elif isinstance(holder[key], list):
        holder[key] = holder[key][::-1]


def _negative(holder: Any, key: Any, odd: Any) -> None:
    if isinstance(holder[key], (int, float)):
        holder[key] = -holder[key] - 1


def _unknown_kind(holder: Any, key: Any, odd: Any) -> None:
    if isinstance(holder, dict):
        holder["type"] = "brand_new.delta" if isinstance(odd, str) else "brand_new"
    else:
        holder.insert(key, {"type": "brand_new", "brandNew": {"text": "x"}, "text": "x"})


def _one_more(holder: Any, key: Any, odd: Any) -> None:
    if isinstance(holder, dict):
        holder["brand_new"] = copy.deepcopy(odd)
    else:
        holder.insert(key, copy.deepcopy(odd))


def _other_index(holder: Any, key: Any, odd: Any) -> None:
    for held in (holder, holder[key]):
        if isinstance(held, dict):
            for name in _INDEXES:
                if name in held:
                    held[name] = copy.deepcopy(odd)


def _cut(holder: Any, key: Any, odd: Any) -> None:
    value = holder[key]
    if isinstance(value, (str, list)):
        holder[key] = value[: len(cast("str", value)) // 2]


KINDS: Dict[str, Callable[[Any, Any, Any], None]] = {
    made.__name__.strip("_"): made
    for made in (
        _drop,
        _null,
        _odd,
        _nulls_everywhere,
        _in_list,
        _in_object,
        _first_alone,
        _as_text,
        _twice,
        _swapped,
        _negative,
        _unknown_kind,
        _one_more,
        _other_index,
        _cut,
    )
}


def mutations(most: int = 4) -> st.SearchStrategy[List[Mutation]]:
    """Some mutations: where (a number that counts the places round and round), which, and with."""
    one = st.tuples(st.integers(0, 1 << 16), st.sampled_from(sorted(KINDS)), ODD)
    return st.lists(one, min_size=1, max_size=most)


def mutate(value: Any, how: List[Mutation]) -> Any:
    """A copy of a value with the mutations made in it, one after the other."""
    made = copy.deepcopy(value)
    for where, kind, odd in how:
        slots = _slots(made, [])
        if not slots:
            break
        holder, key = slots[where % len(slots)]
        KINDS[kind](holder, key, odd)
    return made
