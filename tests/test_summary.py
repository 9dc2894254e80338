"""The line that stands for a span, on the console and in the tree."""

from __future__ import annotations

from typing import Any, Optional

import pytest

from peekr.record import SpanRecord
from peekr.summary import format_cost, format_duration, summary_line


def span(
    name: str = "openai.chat",
    duration_ms: Optional[float] = 843.0,
    status: str = "ok",
    **attributes: Any,
) -> SpanRecord:
    return SpanRecord(
        "a" * 32, "b" * 16, None, name, 1.0, 2.0, duration_ms, status, None, None, attributes
    )


def test_a_model_call_shows_model_duration_tokens_and_cost() -> None:
    record = span(model="gpt-4o", tokens_total=312, cost_usd=0.0021)
    assert summary_line(record) == "openai.chat [gpt-4o]  843ms  312tok  $0.0021"


def test_what_is_not_known_is_left_out() -> None:
    assert summary_line(span(name="app.step")) == "app.step  843ms"
    assert summary_line(span(name="", duration_ms=None)) == "(no name)"


def test_a_failed_span_shows_the_first_line_of_its_error() -> None:
    record = span(status="error", error="RateLimitError: slow down\nTraceback …")
    assert summary_line(record) == "openai.chat  843ms  ERROR RateLimitError: slow down"
    assert summary_line(span(status="error")) == "openai.chat  843ms  ERROR"


def test_input_and_output_tokens_stand_in_for_a_missing_total() -> None:
    assert "15tok" in summary_line(span(tokens_input=10, tokens_output=5))
    assert "10tok" in summary_line(span(tokens_input=10))


@pytest.mark.parametrize(
    "value", ["x", float("nan"), float("inf"), True, [], {}, None, 10**400, "9" * 50]
)
def test_values_of_the_wrong_type_are_left_out(value: Any) -> None:
    record = span(model=value, tokens_total=value, cost_usd=value)
    line = summary_line(record)
    assert "tok" not in line
    assert "$" not in line


def test_numbers_written_as_text_are_read() -> None:
    assert summary_line(span(tokens_total="312", cost_usd="0.0021")).endswith("312tok  $0.0021")


def test_every_field_is_safe_to_print_and_of_bounded_length() -> None:
    record = span(
        name="a\x1b[2Jb\n" + "n" * 1000,
        model="m\x9b" + "m" * 1000,
        status="error",
        error="\x1b" * 1000,
    )
    line = summary_line(record)
    assert line.isprintable()
    assert line.startswith("a\\x1b[2Jb\\nnnn")
    assert len(line) < 2000


@pytest.mark.parametrize(
    ("ms", "text"),
    [
        (0, "0ms"),
        (0.4234, "0.42ms"),
        (0.9999, "1.0ms"),
        (9.26, "9.3ms"),
        (9.96, "10ms"),
        (843.4, "843ms"),
        (999.6, "1.00s"),
        (1240, "1.24s"),
        (59_996, "1m00s"),
        (125_000, "2m05s"),
        (3_725_000, "1h02m"),
        (-12, "-12ms"),
    ],
)
def test_durations(ms: float, text: str) -> None:
    assert format_duration(ms) == text


@pytest.mark.parametrize(
    ("usd", "text"),
    [
        (0, "$0"),
        (0.0021, "$0.0021"),
        (0.000012345, "$0.000012"),
        (0.5, "$0.5000"),
        (0.99999, "$1.00"),
        (12.5, "$12.50"),
        (-0.002, "-$0.0020"),
        (5e-324, "$0.000000000000000"),
    ],
)
def test_costs(usd: float, text: str) -> None:
    assert format_cost(usd) == text
