"""Judges' answers are read tolerantly, and what is no score is none."""

from __future__ import annotations

from typing import Any, Optional

import pytest

from peekr.errors import EvaluationError
from peekr.eval.verdict import parse_object, parse_score

SCORES = {
    "json": ('{"score": 0.8, "explanation": "why"}', 0.8, "why"),
    "mapping": ({"score": 0.8, "reasoning": "why"}, 0.8, "why"),
    "number": (0.25, 0.25, None),
    "boolean": (True, 1.0, None),
    "fenced": ('Here:\n```json\n{"score": 1, "explanation": ""}\n```\nDone.', 1.0, None),
    "thoughts first": ('{"score": 0.1}? No: {"score": 0.9, "reason": "b"}', 0.9, "b"),
    "think tag": ('<think>{"score": 0}</think>{"score": 0.5}', 0.5, None),
    "single quotes": ("{'score': 0.4, 'explanation': 'it\\'s so'}", 0.4, "it's so"),
    "trailing comma": ('{"score": 0.4, "explanation": "x",}', 0.4, "x"),
    "line break in text": ('{"explanation": "a\nb",\n "score": 0.4}', 0.4, "a\nb"),
    "braces around": ('{a} and {"score": 0.4}', 0.4, None),
    "percent": ('{"score": "80%"}', 0.8, None),
    "of ten": ('{"score": "8/10"}', 0.8, None),
    "bare": ("0.75", 0.75, None),
    "bare bold": ("**0.75**", 0.75, None),
    "bare of ten": ("7 out of 10", 0.7, None),
    "word": ("Yes.", 1.0, None),
    "word in json": ('{"verdict": "fail"}', 0.0, None),
    "in a sentence": ("It is fine.\nScore: 0.6", 0.6, None),
    "bold in a sentence": ("**Score:** 3/5 because of style", 0.6, None),
}


@pytest.mark.parametrize(("answer", "score", "reason"), SCORES.values(), ids=list(SCORES))
def test_a_score_is_found(answer: Any, score: float, reason: Optional[str]) -> None:
    assert parse_score(answer) == (pytest.approx(score), reason)


@pytest.mark.parametrize(
    "answer",
    [
        "",
        "I cannot judge this.",
        "{}",
        '{"explanation": "no number"}',
        '{"score": null}',
        '{"score": "high"}',
        '{"score": 7}',
        "7",
        "-0.5",
        '{"score": NaN}',
        '{"score": "12/10"}',
        '{"score": "1/0"}',
        '{"score": 0.8',
        [],
        None,
        "{" * 5000,
    ],
)
def test_what_is_no_score_is_an_error_that_shows_its_beginning(answer: Any) -> None:
    with pytest.raises(EvaluationError, match="the judge") as raised:
        parse_score(answer)
    assert len(str(raised.value)) < 300


def test_the_object_with_a_wanted_key_is_taken() -> None:
    text = '{"claims": [{"claim": "a {b}", "verdict": "supported"}]} {"other": 1}'
    assert parse_object(text, ("claims",))["claims"][0]["claim"] == "a {b}"
