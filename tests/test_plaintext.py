"""Recorded text never steers a terminal."""

from __future__ import annotations

import json
import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from peekr.plaintext import clean, clean_json, clean_lines


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("plain", "plain"),
        ("", ""),
        ("Grüße, 日本語, 👩‍💻, ‌نمی‌خواهم", "Grüße, 日本語, 👩‍💻, ‌نمی‌خواهم"),
        ("\x1b[31mred", "\\x1b[31mred"),
        ("\x1b]0;title\x07", "\\x1b]0;title\\x07"),
        ("a\nb\tc\rd", "a\\nb\\tc\\rd"),
        ("\x9b2J", "\\x9b2J"),
        ("\x7f\x00", "\\x7f\\x00"),
        ("\u202eevil\u2069", "\\u202eevil\\u2069"),
        ("\ufeffbom", "\\ufeffbom"),
        ("lone \ud83d", "lone \\ud83d"),
        ("tag \U000e0041", "tag \\U000e0041"),
        ("line\u2028end", "line\\u2028end"),
    ],
)
def test_control_characters_are_shown_not_sent(text: str, shown: str) -> None:
    assert clean(text) == shown


def test_lines_and_tabs_stay_in_a_block_of_text() -> None:
    assert clean_lines("a\r\nb\n\tc\rd\x1b[2J") == "a\nb\n\tc\\rd\\x1b[2J"


@given(st.text(st.characters()))
def test_nothing_that_a_terminal_obeys_is_left(text: str) -> None:
    for char in clean(text):
        assert unicodedata.category(char) not in ("Cc", "Cs", "Zl", "Zp")
        assert unicodedata.bidirectional(char) not in ("LRO", "RLO", "LRE", "RLE", "PDF", "RLI")
    for char in clean_lines(text):
        assert char in "\n\t" or unicodedata.category(char) not in ("Cc", "Cs", "Zl", "Zp")


@given(st.text(st.characters(exclude_categories=["Cs"])))
def test_json_keeps_its_value_and_loses_its_controls(text: str) -> None:
    document = json.dumps({"t": text}, ensure_ascii=False)
    safe = clean_json(document)
    assert json.loads(safe) == {"t": text}
    assert clean(safe) == safe
