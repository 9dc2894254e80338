"""Chunks are held back until they are clean, however an answer is cut into them."""

from __future__ import annotations

import json
from typing import Any, Dict, List, Sequence, Tuple

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from peekr.instrumentation.gate import Gate, Judgement
from peekr.instrumentation.openai.chat_stream import ChatStream

from .guards import SECRET, Finds

WORDS = "The quick brown fox jumps over the lazy dog. "


def delta(key: str, text: str, index: int = 0) -> Dict[str, Any]:
    """A chunk that adds to the answer's text, to its thoughts, or to a tool call's arguments."""
    if key == "arguments":
        call: Dict[str, Any] = {
            "index": index,
            "id": "c",
            "function": {"name": "send", "arguments": text},
        }
        return {"choices": [{"index": 0, "delta": {"tool_calls": [call]}}]}
    return {"choices": [{"index": index, "delta": {key: text}}]}


END: Dict[str, Any] = {"choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]}


def run(chunks: Sequence[Dict[str, Any]], guard: Any) -> Tuple[List[Any], List[Any], bool]:
    """What has been handed on before the end, what at the end, and whether it was withheld."""
    accumulator, judgement = ChatStream(), Judgement()
    hold = Gate([guard]).hold(accumulator, judgement)
    early: List[Any] = []
    for chunk in chunks:
        accumulator.add(chunk)
        hold.add(chunk)
        early += hold.ready
        hold.ready.clear()
        if hold.found:
            return early, [], True
    # At the end the whole is looked at.
    Gate([guard]).look_at_answer(accumulator.response().output, judgement, is_streamed=False)
    if judgement.blocked is not None:
        return early, [], True
    hold.release()
    return early, list(hold.ready), False


def said(chunks: Sequence[Dict[str, Any]], key: str = "content") -> str:
    return "".join(
        choice["delta"].get(key) or "" for chunk in chunks for choice in chunk["choices"]
    )


def pieces(text: str, cuts: Sequence[int]) -> List[str]:
    edges = [0, *sorted(cuts), len(text)]
    return [text[a:b] for a, b in zip(edges, edges[1:])]


LONG = WORDS * 8 + SECRET + " " + WORDS * 8


@pytest.mark.parametrize("key", ["content", "reasoning_content", "refusal"])
def test_secret_is_withheld_wherever_the_answer_is_cut(key: str):
    guard = Finds(stream="window", window_chars=32)
    for cut in range(len(LONG) + 1):
        chunks = [delta(key, piece) for piece in pieces(LONG, [cut])]
        early, _, withheld = run([*chunks, END], guard)
        assert withheld, cut
        assert len(said(early, key)) <= LONG.index(SECRET), cut


@pytest.mark.parametrize("size", [1, 2, 3, 5, 7, 16, 17, 40, 64, 65, 1000])
def test_no_letter_of_the_secret_is_handed_on(size: int):
    guard = Finds(stream="window", window_chars=32)
    chunks = [delta("content", LONG[at : at + size]) for at in range(0, len(LONG), size)]
    early, _, withheld = run([*chunks, END], guard)
    assert withheld
    released = said(early)
    assert LONG.startswith(released)
    assert len(released) <= LONG.index(SECRET)


@pytest.mark.parametrize("size", [1, 3, 16, 64])
def test_clean_text_is_handed_on_while_the_rest_still_comes(size: int):
    guard = Finds(stream="window", window_chars=32)
    text = WORDS * 40
    chunks = [delta("content", text[at : at + size]) for at in range(0, len(text), size)]
    early, late, withheld = run([*chunks, END], guard)
    assert not withheld
    assert said(early) + said(late) == text
    assert len(said(late)) < 32 + 64 + 16 * size + size


@pytest.mark.parametrize("position", range(0, 200, 7))
@pytest.mark.parametrize("size", [1, 9])
def test_verdict_is_that_of_the_whole_answer_wherever_the_secret_stands(position: int, size: int):
    guard = Finds(stream="window", window_chars=32)
    text = ("." * position + SECRET + "." * 200)[:250]
    chunks = [delta("content", text[at : at + size]) for at in range(0, len(text), size)]
    early, _, withheld = run([*chunks, END], guard)
    assert withheld is (SECRET in text)
    assert len(said(early)) <= position


@given(
    before=st.text("ab-", max_size=400),
    after=st.text("ab-", max_size=400),
    secret=st.booleans(),
    cuts=st.lists(st.integers(0, 800), max_size=40),
)
@settings(deadline=None, max_examples=150)
def test_verdict_does_not_depend_on_the_cuts(
    before: str, after: str, secret: bool, cuts: List[int]
):
    text = before + (SECRET if secret else "") + after
    chunks = [delta("content", piece) for piece in pieces(text, [c for c in cuts if c < len(text)])]
    early, late, withheld = run([*chunks, END], Finds(stream="window", window_chars=20))
    assert withheld is secret
    assert text.startswith(said(early))
    if secret:
        assert len(said(early)) <= len(before)
    else:
        assert said(early) + said(late) == text


ARGUMENTS = json.dumps({"to": "ada", "body": f'{WORDS}\n"{SECRET}"'})
ESCAPED = ARGUMENTS.replace("zebra", "\\u007a\\u0065bra")


@pytest.mark.parametrize("arguments", [ARGUMENTS, ESCAPED], ids=["plain", "escaped"])
def test_tool_arguments_are_held_until_they_can_be_read(arguments: str):
    guard = Finds(stream="window", window_chars=32)
    for cut in range(1, len(arguments)):
        chunks = [delta("arguments", piece) for piece in pieces(arguments, [cut])]
        early, _, withheld = run([delta("content", "Wait."), *chunks, END], guard)
        assert withheld, cut
        assert not any("tool_calls" in c["choices"][0]["delta"] for c in early), cut


def test_clean_tool_call_is_handed_on_whole_and_in_order():
    arguments = json.dumps({"body": WORDS * 10})
    chunks = [
        delta("content", "Wait."),
        *(delta("arguments", arguments[at : at + 5]) for at in range(0, len(arguments), 5)),
        END,
    ]
    early, late, withheld = run(chunks, Finds(stream="window", window_chars=32))
    assert not withheld
    assert early + late == chunks


def test_thoughts_are_handed_on_when_the_answer_begins():
    guard = Finds(stream="window", window_chars=256)
    chunks = [
        delta("reasoning_content", WORDS * 2),
        delta("content", "Yes. "),
        *(delta("content", WORDS) for _ in range(30)),
        END,
    ]
    early, late, withheld = run(chunks, guard)
    assert not withheld
    assert said(early, "reasoning_content") == WORDS * 2
    assert len(said(early)) > 400
    assert early + late == chunks


def test_each_choice_has_a_window_of_its_own():
    guard = Finds(stream="window", window_chars=32)
    half = len(SECRET) // 2
    chunks = [
        delta("content", WORDS * 4, 0),
        delta("content", WORDS * 4 + SECRET[:half], 1),
        delta("content", WORDS * 4, 0),
        delta("content", SECRET[half:] + WORDS * 4, 1),
        END,
    ]
    early, _, withheld = run(chunks, guard)
    assert withheld
    assert SECRET[:half] not in "".join(said([c]) for c in early if c["choices"][0]["index"] == 1)


def test_buffer_hands_nothing_on_before_the_end():
    chunks = [*(delta("content", WORDS) for _ in range(50)), END]
    early, late, withheld = run(chunks, Finds(stream="buffer"))
    assert (early, late, withheld) == ([], chunks, False)


def test_one_guard_that_needs_the_whole_makes_all_wait():
    gate = Gate([Finds(stream="window"), Finds(stream="buffer")])
    accumulator = ChatStream()
    hold = gate.hold(accumulator, Judgement())
    for _ in range(50):
        accumulator.add(delta("content", WORDS))
        hold.add(delta("content", WORDS))
    assert not hold.ready


def test_long_answer_is_looked_at_in_pieces_and_once_as_a_whole():
    guard = Finds(stream="window", window_chars=64)
    text = WORDS * 500
    chunks = [delta("content", text[at : at + 4]) for at in range(0, len(text), 4)]
    run([*chunks, END], guard)
    whole = [seen for seen in guard.seen if len(seen) > 1000]
    assert len(whole) == 1
    assert sum(map(len, guard.seen)) < 8 * len(text)
