"""Members of JSON objects are set in their text, and every other byte stays."""

from __future__ import annotations

import json
from typing import Any, Dict

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from peekr.store.splice import SpliceError, spliced, spliced_inside


@pytest.mark.parametrize(
    ("text", "changes", "made"),
    [
        ("{}", {"a": 1}, '{"a":1}'),
        (" { } ", {"a": 1}, ' { "a":1} '),
        ('{"b" : 1.50, "n": 1e3}', {"a": [1]}, '{"b" : 1.50, "n": 1e3,"a":[1]}'),
        ('{"a": {"x": "}"}, "b": 2}', {"a": None}, '{"b": 2}'),
        ('{"b": 2, "a": 1}', {"a": None}, '{"b": 2}'),
        ('{"b": 2, "a": 1, "c": 3}', {"a": None}, '{"b": 2, "c": 3}'),
        ('{"a": 1}', {"a": None}, "{}"),
        ('{"a": 1}', {"z": None}, '{"a": 1}'),
        ('{"a": 1, "a": 2}', {"a": 3}, '{"a": 1, "a": 3}'),
        ('{"\\u0061": 1}', {"a": 3}, '{"\\u0061": 3}'),
        ('{"s": "\\"}{\\\\", "a": 1}', {"a": "é\n"}, '{"s": "\\"}{\\\\", "a": "é\\n"}'),
        ('{"big": 123456789012345678901234567890}', {"a": 1}, None),
    ],
)
def test_members_are_set(text: str, changes: Dict[str, Any], made: Any) -> None:
    wanted = text[:-1] + ',"a":1}' if made is None else made
    assert spliced(text, changes) == wanted


@pytest.mark.parametrize(
    "text",
    ["", "[]", "1", '{"a"', '{"a": ', '{"a": 1', '{"a": [1}', '{"a" 1}', "{a: 1}", '{"a": 1 2}'],
)
def test_what_is_no_object_is_refused(text: str) -> None:
    with pytest.raises(SpliceError):
        spliced(text, {"b": 1})


@pytest.mark.parametrize(
    ("text", "made"),
    [
        ('{"x": 1, "attributes": {"b": 2}}', '{"x": 1, "attributes": {"b": 2,"a":1}}'),
        ('{"attributes": null, "x": 1}', '{"attributes": {"a":1}, "x": 1}'),
        ('{"x": 1}', '{"x": 1,"attributes":{"a":1}}'),
    ],
)
def test_members_of_an_inner_object_are_set(text: str, made: str) -> None:
    assert spliced_inside(text, "attributes", {"a": 1, "gone": None}) == made


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=8,
)
OBJECTS = st.dictionaries(st.text(), VALUES)


@settings(deadline=None, max_examples=50)
@given(OBJECTS, OBJECTS, st.sampled_from([None, 1]), st.booleans())
def test_the_result_is_what_setting_the_members_gives(
    held: Dict[str, Any], changes: Dict[str, Any], indent: Any, ascii_only: bool
) -> None:
    text = json.dumps(held, indent=indent, ensure_ascii=ascii_only)
    wanted = {**held, **changes}
    wanted = {k: v for k, v in wanted.items() if k not in changes or changes[k] is not None}
    assert json.loads(spliced(text, changes)) == wanted
