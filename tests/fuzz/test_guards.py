"""A secret survives nowhere: wherever in an answer it stands, however it is written there."""

from __future__ import annotations

import json
import re
from typing import Any, Callable, Dict, List, Tuple, cast
from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from peekr import messages
from peekr.encoding import dumps, loads
from peekr.guard.content import ContentRedactor, redacting
from peekr.pipeline.redact import SpanRedactor
from tests.guard.test_redaction import CANARIES, guards, leaked

from .corpus import exchanges
from .mutating import Mutation, mutate, mutations
from .profiles import fuzzed

Json = Dict[str, Any]

# What may stand right beside a secret without being a part of it.
_BESIDE = st.text(" \n\t\"'<>()[]{},;|é中🙂\\", max_size=4).map(lambda text: f" {text} ")
_ANY = st.text(st.characters(blacklist_categories=["Cs"]), max_size=12)


def redactor() -> ContentRedactor:
    return ContentRedactor(redacting(guards()))


def _in_json(text: str) -> str:
    return json.dumps({"a": {"to": text}, "n": [1, text]})


def _in_json_in_json(text: str) -> str:
    return json.dumps({"arguments": _in_json(text)})


_WRITTEN: Dict[str, Callable[[str], str]] = {
    "as it is": lambda text: text,
    "in JSON": _in_json,
    "in JSON in JSON": _in_json_in_json,
    "in indented JSON": lambda text: json.dumps([text], indent=2),
    "in JSON of UTF-8": lambda text: json.dumps({"x": text}, ensure_ascii=False),
    "cut off in JSON": lambda text: '{"a": "x", "b": ' + json.dumps(text),
    "in a key": lambda text: json.dumps({text: 1}),
    "in a list of texts": lambda text: json.dumps(["x", text, None]),
    "in an address": lambda text: "https://api.test/find?q=" + quote(text, safe=""),
}


# Under such names four numbers with points between them are no address.
_NUMBERED = re.compile("version|section|chapter|figure|oid", re.IGNORECASE)


def _places(value: Any, found: List[Tuple[Any, Any]]) -> List[Tuple[Any, Any]]:
    """Where a value has a text."""
    holder: Any = value
    items: List[Tuple[Any, Any]] = []
    if isinstance(value, dict):
        items += cast("Json", value).items()
    elif isinstance(value, list):
        items += enumerate(cast("List[Any]", value))
    for key, entry in items:
        if isinstance(entry, str) and not _NUMBERED.search(str(key)):
            found.append((holder, key))
        else:
            _places(entry, found)
    return found


@st.composite
def planted(draw: st.DrawFn) -> Any:
    """Documents of a provider, damaged or not, in which secrets stand in some places."""
    exchange = draw(st.sampled_from(exchanges()))
    document = exchange.documents[draw(st.integers(0, 3)) % len(exchange.documents)]
    how: List[Mutation] = draw(st.just([]) | mutations(most=2))
    made = mutate({"held": document}, how)
    places = _places(made, [])
    if not places:
        return {"held": draw(st.sampled_from(sorted(CANARIES.values())))}
    for _ in range(draw(st.integers(1, 3))):
        holder, key = places[draw(st.integers(0, 1 << 16)) % len(places)]
        text = draw(_BESIDE) + CANARIES[draw(st.sampled_from(sorted(CANARIES)))] + draw(_BESIDE)
        write = _WRITTEN[draw(st.sampled_from(sorted(_WRITTEN)))]
        holder[key] = write(text)
    return made


def written(value: Any) -> str:
    return dumps(value).decode("utf-8")


@fuzzed(200)
@given(planted())
def test_no_secret_survives_in_a_value(value: Any) -> None:
    made = redactor().value(value)
    assert leaked(written(made)) == []
    assert leaked(json.dumps(made)) == []


@fuzzed(200)
@given(planted(), st.sampled_from([None, 2]), st.booleans())
def test_no_secret_survives_in_the_json_of_a_value(value: Any, indent: Any, plain: bool) -> None:
    text = json.dumps(value, indent=indent, ensure_ascii=plain)
    made = redactor().text(text)
    assert leaked(made) == []
    loads(made)


@fuzzed(150)
@given(planted())
def test_what_is_redacted_stays_as_it_is_when_it_is_redacted_again(value: Any) -> None:
    once = redactor().value(value)
    assert redactor().value(once) == once
    text = redactor().text(written(value))
    assert redactor().text(text) == text


@pytest.fixture
def redacted_before_cut(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(messages, "before_cut", redactor().value)


@fuzzed(150)
@given(planted(), st.integers(2, 1_500))
def test_no_half_of_a_secret_survives_a_cut(
    redacted_before_cut: None, value: Any, max_chars: int
) -> None:
    made = messages.dump(value, max_chars)
    assert len(made) <= max_chars
    if len(written(value)) > max_chars:
        assert leaked(made) == []


_ATTRIBUTES = st.sampled_from(
    ["gen_ai.input.messages", "output.value", "x", "é", *sorted(CANARIES.values())]
)


@fuzzed(100)
@given(
    st.dictionaries(_ATTRIBUTES, planted(), max_size=3),
    st.sampled_from(sorted(_WRITTEN)),
)
def test_no_secret_survives_in_attributes(attributes: Json, how: str) -> None:
    held = {key: _WRITTEN[how](written(value)) for key, value in attributes.items()}
    made = SpanRedactor(redacting(guards())).attributes(held)
    assert leaked(written(dict(made))) == []


@fuzzed(150)
@given(_ANY, st.sampled_from(sorted(CANARIES)), _ANY)
def test_redaction_of_any_text_ends_and_is_complete_at_once(
    before: str, canary: str, after: str
) -> None:
    """Whatever stands beside a secret, even where it makes another text of it."""
    text = f"{before}{CANARIES[canary]}{after}"
    once = redactor().text(text)
    assert redactor().text(once) == once
