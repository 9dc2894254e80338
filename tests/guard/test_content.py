"""Values of any shape: what is found in them is gone, and the rest is as it was."""

from __future__ import annotations

import json
from typing import Any, Dict, List, cast
from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from peekr.encoding import dumps
from peekr.guard import BaseGuardrail, Blocklist, PIIRedact
from peekr.guard.content import ContentRedactor, redacting

FINDS = {
    "jane@example.com": "[EMAIL]",
    "+1 415 555 2671": "[PHONE]",
    "536-22-1234": "[SSN]",
    "4111 1111 1111 1111": "[CREDIT_CARD]",
    "203.0.113.77": "[IP_ADDRESS]",
    "2001:db8::ff00:42:8329": "[IP_ADDRESS]",
    "sk-proj-Canary0123456789Canary0123456789": "[BLOCKED]",
    "hush": "[BLOCKED]",
}


def redactor() -> ContentRedactor:
    guards = [
        PIIRedact(),
        Blocklist(terms=["hush"], patterns=Blocklist.COMMON_SECRETS, action="redact"),
    ]
    return ContentRedactor(guards)


# Letters that make no find larger, nor another one.
FILLING = st.text(st.sampled_from("xyz äß\n\t\"'\\{}[],;<>é中🙂"), max_size=12)


def between(before: str, find: str, after: str) -> str:
    return f"{before} {find} {after}"


TEXTS = st.builds(between, FILLING, st.sampled_from(sorted(FINDS)), FILLING)
VALUES = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(-1_000, 1_000), TEXTS, FILLING),
    lambda inner: st.one_of(
        st.lists(inner, max_size=4), st.dictionaries(st.one_of(FILLING, TEXTS), inner, max_size=4)
    ),
    max_leaves=12,
)


def expected(value: Any) -> Any:
    if isinstance(value, str):
        for find, mark in FINDS.items():
            value = value.replace(find, mark)
        return value
    if isinstance(value, list):
        return [expected(item) for item in cast("List[Any]", value)]
    if isinstance(value, dict):
        return {
            expected(key): expected(item) for key, item in cast("Dict[Any, Any]", value).items()
        }
    return value


@given(VALUES)
def test_a_json_text_is_redacted_in_its_texts_and_stays_json(value: Any) -> None:
    for text in (dumps(value).decode("utf-8"), json.dumps(value), json.dumps(value, indent=2)):
        assert json.loads(redactor().text(text)) == json.loads(json.dumps(expected(value)))


@given(VALUES)
def test_a_value_is_redacted_in_its_texts(value: Any) -> None:
    assert redactor().value(value) == expected(value)


@given(VALUES)
def test_json_within_json_is_redacted(value: Any) -> None:
    text = json.dumps({"arguments": json.dumps(value)})
    made = json.loads(redactor().text(text))
    inner = made["arguments"]
    if isinstance(value, (dict, list, str)):
        assert json.loads(inner) == expected(value)
    else:
        assert inner == json.dumps(value)


@given(VALUES)
def test_what_is_redacted_is_clean(value: Any) -> None:
    found = redactor()
    once = found.text(json.dumps(value))
    assert found.text(once) is once


@pytest.mark.parametrize(
    ("value", "made"),
    [
        (4111111111111111, "[CREDIT_CARD]"),
        (1732368245000, 1732368245000),
        (12, 12),
        (True, True),
        (0.5, 0.5),
        (None, None),
        (b"to jane@example.com", b"to [EMAIL]"),
        (b"\xff\x00", b"\xff\x00"),
        (("jane@example.com", "x"), ("[EMAIL]", "x")),
        ('{"a": "jane@example.com', '{"a": "[EMAIL]'),
        ("[jane@example.com]", "[[EMAIL]]"),
        ('"jane@example.com"', '"[EMAIL]"'),
    ],
)
def test_each_kind_of_value(value: Any, made: Any) -> None:
    assert redactor().value(value) == made


def test_what_is_clean_is_the_same_object() -> None:
    value = {"a": ["x", 1, {"b": "y"}], "c": "z" * 100}
    text = json.dumps(value, indent=3)
    found = redactor()
    assert found.value(value) is value
    assert found.text(text) is text


def test_what_is_nested_too_deeply_is_left_out() -> None:
    value: Any = "jane@example.com"
    for _ in range(200):
        value = [value]
    assert "jane" not in str(redactor().value(value))
    assert "jane" not in redactor().text("[" * 5_000 + '"jane@example.com"' + "]" * 5_000)


@pytest.mark.parametrize(
    ("url", "made"),
    [
        ("https://a.test/?to=jane%40example.com&x=1", "https://a.test/?to=[EMAIL]&x=1"),
        ("https://a.test/?phone=%2B14155552671", "https://a.test/?phone=[PHONE]"),
        ("https://a.test/?q=4111%201111%201111%201111", "https://a.test/?q=[CREDIT_CARD]"),
        ("https://a.test/?q=4111+1111+1111+1111%21", "https://a.test/?q=[CREDIT_CARD]!"),
        ("https://a.test/?q=h%75sh", "https://a.test/?q=[BLOCKED]"),
        ("https://a.test/?q=a%20b%2Fc", "https://a.test/?q=a%20b%2Fc"),
        ("100% of 5%20 are %zz", "100% of 5%20 are %zz"),
    ],
)
def test_what_urls_encode_is_found(url: str, made: str) -> None:
    assert redactor().text(url) == made
    text = json.dumps({"url": url, "other": "x"})
    assert json.loads(redactor().text(text)) == {"url": made, "other": "x"}


def test_guards_act_in_their_order() -> None:
    class Marks(BaseGuardrail):
        action = "redact"

        def redact(self, text: str) -> str:
            return text.replace("[EMAIL]", "<someone>")

    assert ContentRedactor([PIIRedact(), Marks()]).text("jane@example.com") == "<someone>"
    assert ContentRedactor([Marks(), PIIRedact()]).text("jane@example.com") == "[EMAIL]"


def test_who_redacts() -> None:
    secrets = Blocklist(patterns=Blocklist.COMMON_SECRETS)
    guards: List[Any] = [PIIRedact(), Blocklist(terms=["a"]), secrets, len]
    assert redacting(guards) == (guards[0], secrets)


def test_what_is_encoded_twice_in_an_address_is_redacted() -> None:
    inner = "https://a.example/?to=" + quote(" jane@example.com from 203.0.113.77 ", safe="")
    outer = "https://b.example/?next=" + quote(inner, safe="")
    made = redactor().text(f"see {outer} and go")
    assert "jane" not in made
    assert "203.0.113.77" not in made
    assert made.startswith("see ")
    assert made.endswith(" and go")
