"""How a trace looks in the terminal."""

from __future__ import annotations

import re
from typing import Any, Optional

import pytest
from hypothesis import given
from hypothesis import strategies as st

from peekr.plaintext import clean
from peekr.record import SpanRecord
from peekr.render.style import ASCII, COLOUR, LINES, PLAIN
from peekr.render.table import aligned
from peekr.render.tree import arrange, totals
from peekr.render.view import TraceView, wrapped
from tests.support.trace_files import NOW, agent_trace, span


def records(*spans: dict[str, Any]) -> list[SpanRecord]:
    return [SpanRecord.from_dict(each) for each in spans]


ID = "0" * 31 + "1"


def shown(*spans: dict[str, Any], io: bool = False, width: Optional[int] = None) -> list[str]:
    found = records(*spans)
    lines = list(TraceView(PLAIN, LINES, io, width).trace(found[0].trace_id, found))
    return [re.sub(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d", "TIME", line) for line in lines]


def test_children_stand_under_their_parents_in_the_order_of_their_start() -> None:
    grandchild = span(1, 4, 2, "tool.search", NOW + 11.5, 120)
    assert shown(*agent_trace(1, session="s-1"), grandchild) == [
        f"trace {ID}  TIME  4 spans  5.00s  312tok  $0.0021  session s-1",
        "  agent.run  5.00s",
        "  ├─ openai.chat [gpt-4o]  843ms  312tok  $0.0021",
        "  │  └─ tool.search  120ms",
        "  └─ openai.chat [gpt-4o]  200ms",
    ]


def test_an_error_stands_under_its_span_by_its_first_line() -> None:
    lines = shown(*agent_trace(1, error="RateLimitError: slow down\n  at x\n  at y"))
    assert lines[0].endswith("1 error")
    assert lines[-2:] == [
        "  └─ openai.chat [gpt-4o]  200ms  ERROR",
        "        RateLimitError: slow down  (2 more lines: --io)",
    ]
    lines = shown(*agent_trace(1, error="RateLimitError: slow down\n  at x\n  at y"), io=True)
    at = lines.index("        RateLimitError: slow down")
    assert lines[at + 1 : at + 3] == ["          at x", "          at y"]


def test_messages_are_written_by_role_with_tool_calls_and_results() -> None:
    call = {"id": "call_1", "name": "get_weather", "arguments": {"city": "Paris", "days": 2}}
    own_form = {"id": "call_2", "type": "function", "function": {"name": "f", "arguments": "{}"}}
    record = span(
        1,
        name="openai.chat",
        model="gpt-4o",
        input=[
            {"role": "system", "content": "Be brief."},
            {"role": "user", "content": [{"type": "text", "content": "Look:"}, blob()]},
            {"role": "assistant", "content": None, "tool_calls": [call, own_form]},
            {"role": "tool", "tool_call_id": "call_1", "content": '{"temp": 21}\nwindy'},
        ],
        output="It is 21 degrees.",
        tokens_input=20,
        tokens_cache_read=16,
        tokens_output=7,
        time_to_first_token_ms=210.0,
        finish_reasons=["length"],
        eval_scores={"rubric": 0.8},
    )
    assert shown(record, io=True)[1:] == [
        "  openai.chat [gpt-4o]  100ms  27tok",
        "     input:",
        "       system: Be brief.",
        "       user: Look:",
        "         [image, image/png, 2048 bytes, sha256:0123456789ab]",
        '       assistant: calls get_weather(city="Paris", days=2)  [call_1]',
        "         calls f()  [call_2]",
        '       tool [call_1]: {"temp": 21}',
        "         windy",
        "     output: It is 21 degrees.",
        "     tokens: 20 in, 16 from cache, 7 out",
        "     first token: 210ms",
        "     finish reason: length",
        '     eval_scores: {"rubric":0.8}',
    ]


def blob() -> dict[str, Any]:
    return {
        "type": "blob",
        "modality": "image",
        "mime_type": "image/png",
        "size": 2048,
        "sha256": "0123456789abcdef",
    }


def test_arguments_of_a_function_are_written_by_name() -> None:
    lines = shown(span(1, input={"query": "two\nlines", "top": [1, 2]}, output=None), io=True)
    assert lines[2:] == ["     input:", "       query: two", "         lines", "       top: [1,2]"]


@pytest.mark.parametrize(
    "value",
    [
        17,
        0,
        True,
        "",
        [],
        {},
        [1, "x", None],
        [{"role": 5, "content": 7}],
        [{"role": "user"}],
        [{"role": "user", "content": [None, 5, {"type": None}, {"type": "text", "text": 9}]}],
        [{"role": "assistant", "tool_calls": [None, {}, {"name": 3, "arguments": "{cut"}]}],
        [{"role": "assistant", "tool_calls": "yes", "content": {"a": [1]}}],
        [{"role": "a", "content": [{"type": "reasoning", "content": "why"}, {"type": "thinking"}]}],
        [{"role": "a", "content": [{"type": "tool_call_response", "response": {"x": 1}}, blob()]}],
        {"role": "user", "content": "alone"},
        float("nan"),
    ],
)
def test_contents_of_any_shape_are_shown(value: Any) -> None:
    odd = dict.fromkeys(("tokens_input", "finish_reasons", "eval_scores", "error", "system"), value)
    lines = shown(span(1, input=value, output=value, session_id=value, **odd), io=True)
    assert all(line.isprintable() for line in lines)


def test_a_span_whose_parent_is_missing_says_so() -> None:
    lines = shown(span(1, 2, 9, "lost"), span(1, 1, None, "root", NOW + 1))
    assert lines[1] == "  lost  100ms  (parent 0000000100000009 not in file)"
    assert lines[2] == "  root  100ms"


def test_cycles_end() -> None:
    lines = shown(span(1, 1, 1, "self"), span(1, 2, 3, "a"), span(1, 3, 2, "b"), span(1, 4, 3, "c"))
    assert lines[1:] == [
        "  self  100ms  (its parents form a cycle)",
        "  a  100ms  (its parents form a cycle)",
        "  └─ b  100ms",
        "     └─ c  100ms",
    ]


def test_a_span_recorded_twice_is_shown_once_and_a_shared_id_hides_nothing() -> None:
    twice = span(1, 1, None, "root", tokens_total=5)
    assert len(shown(twice, twice)) == 2
    lines = shown(twice, span(1, 1, None, "other"), span(1, 2, 1, "child"))
    assert lines[1:] == ["  root  100ms  5tok", "  └─ child  100ms", "  other  100ms"]


def test_sums_do_not_count_twice_what_a_parent_repeats() -> None:
    nodes = arrange(
        records(
            span(1, 1, None, "agent", tokens_total=30, cost_usd=0.3),
            span(1, 2, 1, "chat", tokens_total=10, cost_usd=0.1),
            span(1, 3, 1, "sub-agent", tokens_total=20),
            span(1, 4, 3, "chat", tokens_total=20, cost_usd=0.2),
            span(1, 5, None, "chat", tokens_total=1),
        )
    )
    sums = totals(nodes)
    assert sums.tokens == 31
    assert sums.cost_usd == pytest.approx(0.3)  # pyright: ignore[reportUnknownMemberType]


def test_ten_thousand_levels_and_ten_thousand_children() -> None:
    chain = [span(1, n, n - 1 if n > 1 else None, f"s{n}", NOW + n) for n in range(1, 10_001)]
    lines = shown(*chain)
    assert len(lines) == 10_001
    assert max(map(len, lines)) < 160
    assert "(level 9999) s10000" in lines[-1]
    wide = [span(1, 1)] + [span(1, n, 1, f"s{n}", NOW + n) for n in range(2, 10_002)]
    assert len(shown(*wide)) == 10_002


def test_times_that_are_none_are_told() -> None:
    broken = {**span(1), "start_time": None, "end_time": None, "duration_ms": None}
    assert shown(broken)[0].split("  ")[1] == "(no time)"
    assert "(no time)" in shown({**span(1), "start_time": 1e300})[0]
    assert shown({**span(1), "start_time": -100.0, "end_time": -99.0, "duration_ms": -5})


HOSTILE = "\x1b[31mX\x07\x9b2J\u202e\r\n\x00\ud800\u2028"


def test_no_field_reaches_the_terminal_raw() -> None:
    message = {
        "role": HOSTILE,
        "name": HOSTILE,
        "tool_call_id": HOSTILE,
        "content": [{"type": "text", "text": HOSTILE}, {"type": HOSTILE}, HOSTILE],
        "tool_calls": [{"id": HOSTILE, "name": HOSTILE, "arguments": {HOSTILE: HOSTILE}}],
        "finish_reason": HOSTILE,
        "refusal": HOSTILE,
    }
    media = {"type": "uri", "modality": HOSTILE, "uri": HOSTILE, "mime_type": HOSTILE}
    attributes: dict[str, Any] = {
        "model": HOSTILE,
        "error": HOSTILE + "\n" + HOSTILE,
        "session_id": HOSTILE,
        "user_id": HOSTILE,
        "system": HOSTILE,
        "input": [message, {"role": "user", "content": [media]}],
        "output": {HOSTILE: HOSTILE},
        "finish_reasons": [HOSTILE],
        "experiment_variant": HOSTILE,
        "eval_scores": {HOSTILE: HOSTILE},
    }
    record = SpanRecord(
        HOSTILE,
        HOSTILE,
        HOSTILE + "p",
        HOSTILE,
        NOW,
        NOW,
        1.0,
        "error",
        HOSTILE,
        HOSTILE,
        attributes,
    )
    for io in (False, True):
        for width in (None, 40):
            for line in TraceView(PLAIN, LINES, io, width).trace(HOSTILE, [record]):
                assert line.isprintable(), repr(line)
            coloured = list(TraceView(COLOUR, LINES, io, width).trace(HOSTILE, [record]))
            for line in coloured:
                assert re.sub(r"\x1b\[[0-9;]*m", "", line).isprintable(), repr(line)


def test_plain_and_coloured_say_the_same() -> None:
    spans = records(*agent_trace(1, error="E: f\ng", session="s"))
    for io in (False, True):
        plain = list(TraceView(PLAIN, LINES, io).trace("x", spans))
        coloured = list(TraceView(COLOUR, LINES, io).trace("x", spans))
        assert [re.sub(r"\x1b\[[0-9;]*m", "", line) for line in coloured] == plain
        assert plain != coloured


def test_the_tree_can_be_drawn_in_ascii() -> None:
    spans = records(*agent_trace(1, error="E"))
    assert all(line.isascii() for line in TraceView(PLAIN, ASCII, True).trace("x", spans))


def test_long_text_is_wrapped_between_words_and_keeps_its_column() -> None:
    text = "The quick brown fox jumps over the lazy dog and runs away from everybody"
    lines = shown(span(1, input=[{"role": "user", "content": text}]), io=True, width=50)
    assert lines[3:] == [
        "       user: The quick brown fox jumps over the",
        "         lazy dog and runs away from everybody",
    ]
    assert max(map(len, lines[1:])) <= 50


@pytest.mark.parametrize(
    ("line", "pieces"),
    [
        ("", [""]),
        ("short", ["short"]),
        ("aaaa bbbb cccc", ["aaaa", "bbbb cccc"]),
        ("  code then words", ["  code", "then words"]),
        ("x" * 23, ["x" * 8, "x" * 10, "x" * 5]),
        ("日本語日本語日本語", ["日本語日", "本語日本語"]),
        ("a 日本語 b", ["a 日本語", "b"]),
    ],
)
def test_wrapping_counts_columns(line: str, pieces: list[str]) -> None:
    assert list(wrapped(line, 10, 8)) == pieces


def test_wrapping_loses_nothing() -> None:
    text = "é word " * 50 + "x" * 5000
    assert "".join(wrapped(text, 40, 40)).replace(" ", "") == text.replace(" ", "")


KEYS = ["role", "content", "type", "text", "name", "arguments", "tool_calls", "function", "id"]
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(st.sampled_from(KEYS) | st.text(max_size=5), inner, max_size=5)
    ),
    max_leaves=15,
)
ATTRIBUTES = ["input", "output", "error", "model", "session_id", "finish_reasons", "tokens_total"]


@given(st.lists(st.dictionaries(st.sampled_from(ATTRIBUTES), JSON), min_size=1, max_size=3), JSON)
def test_any_record_is_shown_without_an_error(attributes: list[dict[str, Any]], value: Any) -> None:
    spans = [
        {**span(1, number), "attributes": each, "name": value, "start_time": value}
        for number, each in enumerate(attributes)
    ]
    for width in (None, 30):
        for line in shown(*spans, io=True, width=width):
            assert clean(line) == line


def test_contents_nested_hundreds_of_levels_deep() -> None:
    deep: Any = 1
    for _ in range(900):
        deep = [deep]
    odd = dict.fromkeys(("input", "output", "error", "eval_scores", "session_id"), deep)
    first = span(1, **odd)
    lines = shown(first, {**first, "name": "again"}, io=True)
    assert len(lines) > 5


def test_columns_stand_below_each_other_whatever_is_in_them() -> None:
    rows = [("name", "count"), ("探す", "1"), ("a 🤖", "12"), ("e\u0301", "3")]
    assert list(aligned(rows)) == ["name  count", "探す      1", "a 🤖     12", "e\u0301         3"]
    assert list(aligned(rows[:2], left=(0, 1))) == ["name  count", "探す  1"]
