"""Any value as a bounded JSON value."""

from __future__ import annotations

import array
import collections
import dataclasses
import datetime
import decimal
import enum
import fractions
import json
import pathlib
import sys
import threading
import types
import uuid
from typing import Any, Callable, Iterator, List, NamedTuple, Optional, cast
from unittest import mock

import pytest
from hypothesis import given
from hypothesis import strategies as st

from peekr.values import MAX_CHARS, MAX_DEPTH, MAX_ITEMS, MAX_NODES, jsonable


@dataclasses.dataclass
class User:
    name: str
    password: str = dataclasses.field(default="secret", repr=False)
    friends: List[Any] = dataclasses.field(default_factory=list)  # pyright: ignore[reportUnknownVariableType]


class Point(NamedTuple):
    x: int
    y: int


class Colour(enum.Enum):
    RED = "red"


class Level(enum.IntEnum):
    HIGH = 3


class Bare:
    """No repr of its own, and something that nobody is to read."""

    def __init__(self) -> None:
        self.api_key = "sk-secret"


class Spoken:
    def __repr__(self) -> str:
        return f"<Spoken at {hex(id(self))}>"


class Mute:
    def __repr__(self) -> str:
        raise ValueError("no")


class Text(str):
    __slots__ = ()


class Endless(List[Any]):
    def __iter__(self) -> Iterator[Any]:
        while True:
            yield 1


def a_function() -> None: ...


CASES: List[Any] = [
    (None, None),
    (True, True),
    ("text", "text"),
    (1.5, 1.5),
    (float("nan"), "NaN"),
    (float("-inf"), "-Infinity"),
    (2**63 - 1, 2**63 - 1),
    (2**63, "9223372036854775808"),
    (1 << 33_219, "<int of 33220 bits>"),
    ({"a": (1, 2)}, {"a": [1, 2]}),
    ({1: "a", None: "b", (1, 2): "c", Colour.RED: "d"},
     {"1": "a", "None": "b", "(1, 2)": "c", "red": "d"}),
    (User("Ada"), {"name": "Ada", "friends": []}),
    (User, "tests.test_values.User"),
    (Point(1, 2), {"x": 1, "y": 2}),
    (Colour.RED, "red"),
    (Level.HIGH, 3),
    (Text("sub"), "sub"),
    ({3, 1, 2}, [1, 2, 3]),
    (frozenset("a"), ["a"]),
    (collections.deque([1, 2]), [1, 2]),
    (collections.OrderedDict(a=1), {"a": 1}),
    (types.MappingProxyType({"a": 1}), {"a": 1}),
    (array.array("i", [1, 2]), [1, 2]),
    (b"plain text", "plain text"),
    (bytearray(b"plain"), "plain"),
    (memoryview(b"plain"), "plain"),
    (b"\x89PNG\xff" * 8, "<40 bytes: 89504e47ff89504e47ff89504e47ff89…>"),
    (datetime.datetime(2024, 5, 1, 12), "2024-05-01T12:00:00"),
    (datetime.date(2024, 5, 1), "2024-05-01"),
    (datetime.time(12, 30), "12:30:00"),
    (datetime.timedelta(hours=1), "1:00:00"),
    (decimal.Decimal("1.10"), "1.10"),
    (fractions.Fraction(1, 3), "1/3"),
    (uuid.UUID(int=1), "00000000-0000-0000-0000-000000000001"),
    (pathlib.PurePosixPath("/a/b"), "/a/b"),
    (ValueError("broken"), "ValueError: broken"),
    (a_function, "tests.test_values.a_function"),
    (threading, "<module threading>"),
    (range(3), "range(0, 3)"),
    (Spoken(), "<Spoken>"),
    (Bare(), "<tests.test_values.Bare>"),
    (Mute(), "<tests.test_values.Mute: its repr raised ValueError>"),
]  # fmt: skip


@pytest.mark.parametrize(("value", "expected"), CASES, ids=map(str, range(len(CASES))))
def test_value_is_represented(value: Any, expected: Any) -> None:
    assert jsonable(value) == expected
    assert jsonable([value]) == [expected]


def test_pydantic_models_are_objects_without_their_secrets() -> None:
    pydantic = pytest.importorskip("pydantic")
    made: Any = pydantic.create_model(
        "Account", name=(str, ...), token=(pydantic.SecretStr, ...), hidden=(str, ...)
    )
    hidden: Any = pydantic.create_model(
        "Hidden", __base__=made, hidden=(str, pydantic.Field(repr=False))
    )
    value = hidden(name="Ada", token="s3cret", hidden="x")
    assert jsonable(value) == {"name": "Ada", "token": "SecretStr('**********')"}


def test_attrs_objects_are_objects() -> None:
    attrs = pytest.importorskip("attrs")
    made: Any = attrs.make_class("Made", {"a": attrs.field(), "b": attrs.field(repr=False)})
    assert jsonable(made(1, 2)) == {"a": 1}


def test_numpy_arrays_are_lists_while_they_are_small() -> None:
    numpy: Any = pytest.importorskip("numpy")
    assert jsonable(numpy.array([[1, 2], [3, 4]])) == [[1, 2], [3, 4]]
    assert jsonable(numpy.float32(1.5)) == 1.5
    large = jsonable(numpy.zeros((1_000, 1_000), dtype="float32"))
    assert large == "<numpy.ndarray shape=(1000, 1000) dtype=float32>"


def test_array_like_is_its_shape() -> None:
    class Tensor:
        shape = (2, 3)
        dtype = "half"

    assert jsonable(Tensor()).endswith("Tensor shape=(2, 3) dtype=half>")


def test_circles_are_cut() -> None:
    circle: Any = {"self": None, "list": []}
    circle["self"] = circle
    circle["list"].append(circle)
    assert jsonable(circle) == {"self": "[circular]", "list": ["[circular]"]}
    user = User("Ada")
    user.friends.append(user)
    assert jsonable(user) == {"name": "Ada", "friends": ["[circular]"]}
    shared = [1]
    assert jsonable([shared, shared]) == [[1], [1]]


def test_depth_is_bounded() -> None:
    deep: Any = "bottom"
    for _ in range(100_000):
        deep = [deep]
    made = jsonable(deep)
    for _ in range(MAX_DEPTH):
        made = made[0]
    assert made == "…[deeper levels cut]"


def test_width_is_bounded_and_says_what_is_missing() -> None:
    made = jsonable(list(range(MAX_ITEMS + 5)))
    assert len(made) == MAX_ITEMS + 1
    assert made[-1] == "…[5 items cut]"
    pairs = jsonable({str(n): n for n in range(MAX_ITEMS + 5)})
    assert pairs["…"] == "[5 items cut]"
    assert len(json.dumps(jsonable([[[0] * 1000] * 1000] * 1000))) < 20 * MAX_NODES


def test_text_is_bounded_and_says_what_is_missing() -> None:
    made = jsonable("x" * (MAX_CHARS + 7))
    assert made == "x" * MAX_CHARS + "…[7 characters cut]"
    texts = jsonable(["y" * MAX_CHARS] * 3)
    assert texts[0] == "y" * MAX_CHARS
    assert texts[1:] == [f"…[{MAX_CHARS} characters cut]"] * 2
    assert len(jsonable({"k" * 10_000: 1}).popitem()[0]) < 300


def test_iterators_are_not_advanced() -> None:
    iterator = iter([1, 2])
    generator = (n for n in (1, 2))
    jsonable([iterator, generator, map(str, [1])])
    assert list(iterator) == [1, 2]
    assert list(generator) == [1, 2]


def test_result_shares_nothing_with_the_value() -> None:
    value = {"list": [1]}
    made = jsonable(value)
    value["list"].append(2)
    assert made == {"list": [1]}


class _Hostile:
    @property
    def __class__(self) -> Any:  # pyright: ignore[reportIncompatibleMethodOverride]
        raise RuntimeError("no class")

    def __getattr__(self, name: str) -> Any:
        raise RuntimeError(name)

    def __repr__(self) -> str:
        raise KeyError("no repr")

    def __len__(self) -> int:
        raise ValueError("no len")


class _HostileMapping(collections.UserDict):  # type: ignore[type-arg]
    def items(self) -> Any:
        raise RuntimeError("no items")


class _HostileKey:
    def __str__(self) -> str:
        raise ValueError("no str")

    __repr__ = __str__


# Made late: pytest looks at what it collects.
HOSTILE: List[Callable[[], Any]] = [
    lambda: _Hostile(),
    lambda: _HostileMapping(a=1),
    lambda: {_HostileKey(): 1},
    lambda: mock.MagicMock(),
    lambda: mock.MagicMock(spec=dict),
    lambda: Endless([1]),
    lambda: collections.ChainMap({"a": 1}),
    lambda: type("Odd", (), {"__fields__": {"a": 1}})(),
    lambda: type("Odd", (), {"__attrs_attrs__": (1,)})(),
    lambda: type("Odd", (), {"__struct_fields__": ("a",)})(),
    lambda: type("Odd", (), {"shape": property(lambda self: 1 / 0)})(),
    lambda: "\ud800",
    lambda: sys.modules,
]  # fmt: skip


@pytest.mark.parametrize("make", HOSTILE, ids=map(str, range(len(HOSTILE))))
def test_no_value_raises(make: Callable[[], Any]) -> None:
    json.dumps(jsonable(make()))
    json.dumps(jsonable({"nested": [make()]}))


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers(-(2**63), 2**63 - 1)
        | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=50),
        lambda inner: st.lists(inner, max_size=5) | st.dictionaries(st.text(max_size=10), inner),
        max_leaves=20,
    )
)  # fmt: skip
def test_json_values_within_the_bound_are_themselves(value: Any) -> None:
    def depth(value: Any) -> int:
        if not isinstance(value, (list, dict)):
            return 0
        items = cast("Any", value.values() if isinstance(value, dict) else value)
        return 1 + max((depth(item) for item in items), default=0)

    if depth(value) <= MAX_DEPTH:
        assert jsonable(value) == value


def test_value_that_others_change_meanwhile_does_not_raise() -> None:
    shared = {str(n): n for n in range(100)}
    failure: Optional[BaseException] = None
    done = threading.Event()

    def change() -> None:
        n = 0
        while not done.is_set():
            shared[f"new{n % 50}"] = n
            shared.pop(f"new{(n + 25) % 50}", None)
            n += 1

    thread = threading.Thread(target=change)
    thread.start()
    try:
        for _ in range(300):
            jsonable(shared)
    except BaseException as error:
        failure = error
    finally:
        done.set()
        thread.join()
    assert failure is None
