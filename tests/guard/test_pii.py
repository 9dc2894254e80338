"""What counts as personal data, and what does not."""

from __future__ import annotations

import re
from typing import Any, List

import pytest

from peekr.errors import ConfigurationError
from peekr.guard import Finding, PIIRedact
from peekr.guard import phones as phones_module

from . import corpus


@pytest.fixture(params=["with phonenumbers", "without phonenumbers"])
def guard(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> PIIRedact:
    if request.param == "without phonenumbers":
        monkeypatch.setattr(phones_module, "_library", lambda: None)
    else:
        pytest.importorskip("phonenumbers")
    return PIIRedact()


# What is known to go wrong: numbers that nothing around them tells from others.
KNOWN = {
    "hers is 536221234, she says",
    "part no. 123-456-7890",
    "reached her on 98765 43210",
    "4155552671 is hers",
    "upgrade from 1.2.3.4 to a newer one",
}


def test_of_the_corpus_only_the_known_cases_go_wrong(guard: PIIRedact) -> None:
    assert set(corpus.wrong_cases(guard)) <= KNOWN


def test_the_figures_of_the_corpus_hold(guard: PIIRedact) -> None:
    found = corpus.figures(guard)
    assert found["all"].precision >= 0.98
    assert found["all"].recall >= 0.97
    assert found["nothing"].wrong == 0


@pytest.mark.parametrize("category", corpus.CATEGORIES)
def test_every_category_has_true_and_false_cases(category: str) -> None:
    cases = corpus.cases(category)
    assert [case for case in cases if not case.wanted]
    assert category == "nothing" or [case for case in cases if case.wanted]


@pytest.mark.parametrize(
    ("text", "redacted"),
    [
        ("jane@example.com called 415-555-2671", "[EMAIL] called [PHONE]"),
        ("4111 1111 1111 1111 / 123-45-6789", "[CREDIT_CARD] / [SSN]"),
        ("from 203.0.113.7", "from [IP_ADDRESS]"),
        ("nothing here", "nothing here"),
        ("", ""),
    ],
)
def test_each_find_becomes_its_category(text: str, redacted: str) -> None:
    assert PIIRedact().redact(text) == redacted


def test_findings_say_where_and_not_what() -> None:
    assert PIIRedact().check("to jane@example.com", "input") == [Finding("email", 3, 19)]


def test_only_the_categories_that_are_asked_for_are_found() -> None:
    text = "jane@example.com 123-45-6789"
    assert PIIRedact(categories=("email",)).redact(text) == "[EMAIL] 123-45-6789"
    assert PIIRedact(categories="ssn").redact(text) == "jane@example.com [SSN]"


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ({"categories": ("email", "shoe_size")}, "'shoe_size' is none of email"),
        ({"categories": ("person",)}, "'person' needs engine='presidio'"),
        ({"fields": ("inputs",)}, "give 'input', 'output' or both"),
        ({"fields": ()}, "give 'input', 'output' or both"),
        ({"patterns": {"x": "("}}, "is not a valid pattern"),
        ({"engine": "other"}, "neither 'presidio' nor a callable"),
    ],
)
def test_what_cannot_be_used_is_a_value_error(arguments: Any, said: str) -> None:
    with pytest.raises(ValueError, match=re.escape(said)) as raised:
        PIIRedact(**arguments)
    assert isinstance(raised.value, ConfigurationError)


def test_own_patterns_have_their_name_as_mark() -> None:
    guard = PIIRedact(patterns={"employee": r"\bEMP-\d{6}\b", "case": [r"C\d+", r"K\d+"]})
    assert guard.redact("EMP-123456 in C1 and K2") == "[EMPLOYEE] in [CASE] and [CASE]"


def test_exceptions_are_let_through() -> None:
    guard = PIIRedact(exceptions=["Support@Example.com", re.compile(r".*@acme\.com"), "127.0.0.1"])
    text = "support@example.com jane@acme.com jane@example.com 127.0.0.1 8.8.8.8"
    assert guard.redact(text) == "support@example.com jane@acme.com [EMAIL] 127.0.0.1 [IP_ADDRESS]"


def test_the_name_that_a_value_has_tells_what_it_is() -> None:
    guard = PIIRedact()
    assert guard.redact_after("4155552671", "phone_number") == "[PHONE]"
    assert guard.redact_after("4155552671", "order") == "4155552671"
    assert guard.redact_after("536221234", "ssn") == "[SSN]"
    assert guard.redact_after("1.2.3.4", "service.version") == "1.2.3.4"
    assert guard.redact_after("1.2.3.4", "peer") == "[IP_ADDRESS]"


def test_numbers_of_other_countries_count_where_asked_for() -> None:
    pytest.importorskip("phonenumbers")
    text = "hab 6643 1234567"
    assert PIIRedact(regions=["AT"]).redact("hab 0664 1234567") == "hab [PHONE]"
    assert PIIRedact().redact(text) == text


def test_an_engine_of_ones_own_adds_findings() -> None:
    def names(text: str) -> List[Any]:
        return [("person", match.start(), match.end()) for match in re.finditer("Jane Doe", text)]

    guard = PIIRedact(categories=("email", "person"), engine=names)
    assert guard.redact("Jane Doe, jane@example.com") == "[PERSON], [EMAIL]"


class Analyzer:
    """What Presidio's `AnalyzerEngine` offers, as far as it is used."""

    def __init__(self) -> None:
        self.texts: List[str] = []

    def analyze(
        self, text: str, language: str, entities: List[str], score_threshold: float
    ) -> List[Any]:
        assert (language, entities) == ("en", ["PERSON", "LOCATION"])
        assert 0 < score_threshold < 1
        self.texts.append(text)
        return [
            type("Result", (), {"entity_type": "PERSON", "start": m.start(), "end": m.end()})
            for m in re.finditer("Jane Doe", text)
        ]


def test_presidio_finds_names_and_places() -> None:
    engine = Analyzer()
    guard = PIIRedact(categories=("email", "person", "location"), engine=engine)
    assert guard.redact("Jane Doe, jane@example.com") == "[PERSON], [EMAIL]"


def test_long_texts_go_to_presidio_in_pieces_between_words() -> None:
    engine = Analyzer()
    guard = PIIRedact(categories=("person", "location"), engine=engine)
    text = "Jane Doe. " * 12_000
    assert guard.redact(text) == "[PERSON]. " * 12_000
    assert len(engine.texts) > 1
    assert "".join(engine.texts) == text


def test_presidio_that_is_not_installed_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    import sys

    monkeypatch.setitem(sys.modules, "presidio_analyzer", None)
    with pytest.raises(ConfigurationError, match=r"pip install \"peekr\[presidio\]\""):
        PIIRedact(categories=("person",), engine="presidio")


@pytest.mark.parametrize("length", [1_000, 100_000])
@pytest.mark.parametrize(
    "piece",
    ["a@", "@a", "1 ", "1-", "4111 ", "1.", "::", "a:", "(4", "+1", "0 ", "1" * 30, "a.b@", '"@'],
)
def test_no_text_takes_more_than_linear_time(piece: str, length: int) -> None:
    # No limit on time: a text that took long would run into the limit of the whole run.
    assert isinstance(PIIRedact().redact((piece * length)[:length]), str)
