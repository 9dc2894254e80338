"""Lines that are damaged, foreign or enormous cost themselves and nothing else."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Optional

import pytest

import peekr.store.jsonl.blocks as module
from peekr.store.jsonl.read import JsonlReader
from peekr.store.query import Query, Trace
from tests.support.trace_files import Record, agent_trace, span, trace_id, write_jsonl

LIMITS = [None, 1000]


def read(path: Path, limit: Optional[int]) -> tuple[list[Trace], str]:
    reader = JsonlReader(str(path))
    traces = list(reader.select(Query(limit=limit)).traces)
    reader.close()
    return traces, reader.problems.describe()


def lines(*items: Any) -> bytes:
    parts = [item if isinstance(item, bytes) else json.dumps(item).encode() for item in items]
    return b"\n".join(parts) + b"\n"


@pytest.mark.parametrize("limit", LIMITS)
@pytest.mark.parametrize(
    ("bad", "reason"),
    [
        (b"not json", "not JSON"),
        (b'{"trace_id":"00000000000000000000000000000009","span_id":"12', "cut off"),
        (b'{"trace_id":"00000000000000000000000000000009","span_id":}', "not JSON"),
        (b"[1,2]", "no span record"),
        (b"{}", "no span record"),
        (b'{"trace_id":"00000000000000000000000000000009"}', "no span record"),
        (b'{"trace_id":17,"span_id":"1"}', "no span record"),
        (b"null", "no span record"),
        (b"\xff\xfe\x00", "not UTF-8"),
        (b"[" * 100_000, "nested too deeply"),
        (b'{"a":' * 100_000 + b"1" + b"}" * 100_000, "nested too deeply"),
        (b"\x00" * 1000, "not JSON"),
    ],
)
def test_a_bad_line_is_counted_and_the_others_are_read(
    tmp_path: Path, bad: bytes, reason: str, limit: Optional[int]
) -> None:
    path = tmp_path / "t.jsonl"
    path.write_bytes(lines(span(1), b"", bad, span(2)))
    traces, problems = read(path, limit)
    assert [trace.trace_id for trace in traces] == [trace_id(1), trace_id(2)]
    assert problems == f"1 line could not be read (first: line 3: {reason})"


@pytest.mark.parametrize("limit", [1, *LIMITS])
def test_the_first_of_several_bad_lines_is_named(tmp_path: Path, limit: Optional[int]) -> None:
    path = tmp_path / "t.jsonl"
    path.write_bytes(lines(span(1), b"x", span(2), b"[]", b"y", span(3)))
    _, problems = read(path, limit)
    assert problems == "3 lines could not be read (first: line 2: not JSON)"


@pytest.mark.parametrize("limit", LIMITS)
def test_a_last_line_without_its_end_is_read_if_it_is_whole(
    tmp_path: Path, limit: Optional[int]
) -> None:
    path = tmp_path / "t.jsonl"
    path.write_bytes(lines(span(1), span(2))[:-1])
    assert len(read(path, limit)[0]) == 2
    path.write_bytes(lines(span(1), span(2))[:-9])
    traces, problems = read(path, limit)
    assert len(traces) == 1
    assert problems == "1 line could not be read (first: line 2: cut off)"


@pytest.mark.parametrize("limit", LIMITS)
def test_a_byte_order_mark_and_carriage_returns_do_no_harm(
    tmp_path: Path, limit: Optional[int]
) -> None:
    path = tmp_path / "t.jsonl"
    path.write_bytes(b"\xef\xbb\xbf" + lines(span(1), span(2)).replace(b"\n", b"\r\n"))
    traces, problems = read(path, limit)
    assert len(traces) == 2
    assert problems == ""


@pytest.mark.parametrize("limit", LIMITS)
def test_bytes_that_are_not_utf8_are_replaced_and_counted(
    tmp_path: Path, limit: Optional[int]
) -> None:
    path = tmp_path / "t.jsonl"
    path.write_bytes(lines(span(1, name="caf?")).replace(b"?", b"\xe9"))
    traces, problems = read(path, limit)
    assert traces[0].spans[0].name == "caf\ufffd"
    assert problems == "1 line could be read only in part"


@pytest.mark.parametrize("limit", LIMITS)
def test_values_of_the_wrong_type_do_not_lose_the_span(
    tmp_path: Path, limit: Optional[int]
) -> None:
    path = tmp_path / "t.jsonl"
    odd = [
        {**span(1), "start_time": float("nan"), "duration_ms": float("inf")},
        {**span(2), "start_time": "1790000000.5", "end_time": "later", "attributes": "none"},
        {**span(3), "start_time": -5, "end_time": -4, "name": 7, "status": ["error"]},
        {**span(4), "start_time": 10**400, "parent_id": 5, "attributes": [1]},
        {"trace_id": "t", "span_id": "s"},
    ]
    path.write_bytes(lines(*odd))
    traces, problems = read(path, limit)
    assert len(traces) == 5
    assert problems == ""
    assert traces[1].spans[0].start_time == 1790000000.5
    assert traces[0].spans[0].duration_ms is None or traces[0].spans[0].duration_ms > 0


@pytest.mark.parametrize("limit", LIMITS)
def test_keys_in_any_order_and_ids_inside_of_contents(tmp_path: Path, limit: Optional[int]) -> None:
    path = tmp_path / "t.jsonl"
    inner = {"trace_id": "f" * 32, "text": '{"trace_id": "e"}'}
    first = dict(reversed(list(span(1, input=inner).items())))
    named = {"name": "x", **span(2, input=inner)}
    path.write_bytes(lines(first, named, {"attributes": inner, **span(1, 2)}))
    traces, problems = read(path, limit)
    assert sorted(len(trace.spans) for trace in traces) == [1, 2]
    assert {trace.trace_id for trace in traces} == {trace_id(1), trace_id(2)}
    assert problems == ""


@pytest.mark.parametrize("block", [1, 7, 64, 1000])
def test_reading_backwards_is_the_same_for_any_size_of_block(
    tmp_path: Path, block: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    records: list[Record] = []
    for number in range(1, 8):
        records += agent_trace(number, session="ä" * number)
    path = write_jsonl(tmp_path / "t.jsonl", records)
    expected, _ = read(path, None)
    monkeypatch.setattr(module, "_BLOCK_BYTES", block)
    assert read(path, 1000)[0] == expected
    assert read(path, 2)[0] == expected[-2:]


@pytest.mark.parametrize("limit", LIMITS)
def test_a_line_of_many_megabytes_is_read(tmp_path: Path, limit: Optional[int]) -> None:
    path = tmp_path / "t.jsonl"
    path.write_bytes(lines(span(1), span(2, input="x" * 20_000_000), b"y" * 20_000_000, span(3)))
    traces, problems = read(path, limit)
    assert len(traces) == 3
    assert problems == "1 line could not be read (first: line 3: not JSON)"


def test_the_tail_gives_each_line_once_and_only_when_it_is_whole(tmp_path: Path) -> None:
    path = write_jsonl(tmp_path / "t.jsonl", [span(1)])
    reader = JsonlReader(str(path))
    tail = reader.tail()
    assert tail.poll() == []
    line = lines(span(2), b"junk", b"", span(3))
    seen: list[str] = []
    with path.open("ab", buffering=0) as file:
        for start in range(0, len(line), 50):
            file.write(line[start : start + 50])
            seen += [record.trace_id for record in tail.poll()]
    assert seen == [trace_id(2), trace_id(3)]
    tail.close()
    reader.close()


def test_the_tail_takes_over_a_line_that_was_begun_before(tmp_path: Path) -> None:
    path = tmp_path / "t.jsonl"
    whole = lines(span(1), span(2))
    path.write_bytes(whole[:-20])
    reader = JsonlReader(str(path))
    tail = reader.tail()
    assert len(list(reader.select(Query(limit=5)).traces)) == 1
    assert reader.problems.count == 0
    with path.open("ab") as file:
        file.write(whole[-20:])
    assert [record.trace_id for record in tail.poll()] == [trace_id(2)]
    tail.close()
    reader.close()


def test_the_tail_follows_truncation_rotation_and_absence(tmp_path: Path) -> None:
    path = write_jsonl(tmp_path / "t.jsonl", [span(1), span(2)])
    reader = JsonlReader(str(path))
    tail = reader.tail()
    write_jsonl(path, [span(3)])  # truncated in place
    assert [record.trace_id for record in tail.poll()] == [trace_id(3)]
    with path.open("ab") as file:
        file.write(lines(span(4)))
    path.rename(tmp_path / "t.jsonl.1")  # rotated, with a line that was not seen yet
    assert [record.trace_id for record in tail.poll()] == [trace_id(4)]
    assert tail.poll() == []
    write_jsonl(path, [span(5)])
    assert [record.trace_id for record in tail.poll()] == [trace_id(5)]
    assert tail.poll() == []
    tail.close()
    reader.close()
