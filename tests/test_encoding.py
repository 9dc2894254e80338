"""JSON text that always comes out."""

from __future__ import annotations

import dataclasses
import datetime
import enum
import json
import math
import subprocess
import sys
import threading
import uuid
from typing import Any, Dict, List, cast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from peekr.encoding import NestedTooDeeplyError, dumps, loads

json_values: st.SearchStrategy[Any] = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**64 - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(exclude_categories=["Cs"])),
    lambda inner: (
        st.lists(inner) | st.dictionaries(st.text(st.characters(exclude_categories=["Cs"])), inner)
    ),
    max_leaves=20,
)


@given(json_values)
def test_json_values_come_back(value: Any) -> None:
    assert loads(dumps(value)) == value
    assert json.loads(dumps(value)) == value


@given(st.text(st.characters()), st.integers(), st.binary())
def test_what_json_cannot_say_still_makes_json(text: str, number: int, data: bytes) -> None:
    decoded = json.loads(dumps({text: [text, number, data, {number: text}]}))
    (values,) = decoded.values()
    assert values[1] == number
    assert values[2] == repr(data)


class _Shade(enum.Enum):
    DARK = "dark"


@dataclasses.dataclass
class _Point:
    x: int


class _Silent:
    def __repr__(self) -> str:
        raise RuntimeError("no text")

    __str__ = __repr__


class _Text(str):
    pass


@pytest.mark.parametrize(
    ("value", "made"),
    [
        (math.nan, None),
        (math.inf, None),
        ({"x": [math.nan, "\ud800"]}, {"x": [None, "\\ud800"]}),
        ("lone \udc80 surrogate", "lone \\udc80 surrogate"),
        (2**64, 2**64),
        (-(2**70), -(2**70)),
        (10**5_000, "<int of 16610 bits>"),
        (
            {2: "a", None: "b", True: "c", 2.5: "d"},
            {"2": "a", "null": "b", "true": "c", "2.5": "d"},
        ),
        ({1: 2**70, None: "b", False: "c"}, {"1": 2**70, "null": "b", "false": "c"}),
        ({(1, 2): "pair"}, {"(1, 2)": "pair"}),
        ({"a": object}, {"a": "<class 'object'>"}),
        ((1, (2, 3)), [1, [2, 3]]),
        (_Shade.DARK, "dark"),
        (_Point(1), {"x": 1}),
        (_Text("text"), "text"),
        (uuid.UUID(int=1), "00000000-0000-0000-0000-000000000001"),
        (datetime.date(2026, 1, 2), "2026-01-02"),
        (_Silent(), "<_Silent>"),
        ({_Silent(): 1}, {"<_Silent>": 1}),
        (b"\xff", "b'\\xff'"),
        ({1}, "{1}"),
    ],
    ids=lambda value: type(value).__name__,
)
def test_values_beside_json(value: Any, made: Any) -> None:
    assert json.loads(dumps(value)) == made


def test_circles_end_at_once() -> None:
    tree: Dict[str, Any] = {"name": "root"}
    # Every child leads back to its parent: a walk that only counts levels would take for ever.
    tree["children"] = [{"parent": tree, "again": [tree, tree]} for _ in range(50)]
    decoded = json.loads(dumps(tree))
    assert decoded["children"][49] == {
        "parent": "<circular dict>",
        "again": ["<circular dict>", "<circular dict>"],
    }


def test_a_value_that_is_there_twice_is_no_circle() -> None:
    shared = ["\ud800"]
    assert json.loads(dumps([shared, shared])) == [["\\ud800"], ["\\ud800"]]


@pytest.mark.parametrize("depth", [300, 5_000])
def test_very_deep_values_end_in_a_text(depth: int) -> None:
    value: Any = "bottom"
    for _ in range(depth):
        value = [value]
    decoded: Any = json.loads(dumps(value))
    levels = 0
    while isinstance(decoded, list):
        decoded = cast("List[Any]", decoded)[0]
        levels += 1
    assert levels == 64
    assert isinstance(decoded, str)


def test_a_long_text_in_the_place_of_an_object_is_cut() -> None:
    class Long:
        def __repr__(self) -> str:
            return "x" * 5_000

    assert json.loads(dumps(Long())) == "x" * 1_000


def test_a_value_that_changes_meanwhile_is_no_error() -> None:
    value: Dict[Any, Any] = dict.fromkeys(range(500), "\ud800")
    done = threading.Event()

    def change() -> None:
        number = 500
        while not done.is_set():
            value[number] = number
            del value[number]
            number += 1

    thread = threading.Thread(target=change)
    thread.start()
    try:
        for _ in range(50):
            assert json.loads(dumps(value))["0"] == "\\ud800"
    finally:
        done.set()
        thread.join()


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("[1, NaN]", "nan"),
        (r'"\ud800"', "\ud800"),
        (b'{"a": 1}', {"a": 1}),
        ("1e400", math.inf),
    ],
)
def test_what_others_wrote_can_be_read(text: Any, value: Any) -> None:
    read = loads(text)
    if value == "nan":
        assert math.isnan(read[1])
    else:
        assert read == value


@pytest.mark.parametrize("text", ["", "{", "nothing", b"\xff", '{"a": 1} x', "'a'"])
def test_what_is_no_json_is_a_value_error(text: Any) -> None:
    with pytest.raises(ValueError):  # noqa: PT011 - the parsers' own words
        loads(text)


@pytest.mark.parametrize("kind", [ValueError, RecursionError])
def test_json_nested_too_deeply_is_an_error_of_both_kinds(kind: Any) -> None:
    with pytest.raises(kind, match="nested too deeply") as caught:
        loads("[" * 100_000)
    assert isinstance(caught.value, NestedTooDeeplyError)


def test_reading_and_writing_need_no_more_than_orjson() -> None:
    code = "import sys, peekr.encoding; print(*(n for n in sys.modules if 'opentelemetry' in n))"
    made = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    loaded: List[str] = made.stdout.split()
    assert loaded == []
