"""OTLP in JSON, as the collector and others write it, is a trace file like any other."""

from __future__ import annotations

import base64
import json
from contextlib import closing
from pathlib import Path
from typing import Any, Dict, List, Optional, Tuple

import pytest

from peekr.errors import UnreadableFileError
from peekr.store.opening import open_reader
from peekr.store.otlp import OtlpReader, is_otlp
from peekr.store.query import Query, Trace
from tests.support.trace_files import span as record
from tests.support.trace_files import trace_id

Json = Dict[str, Any]


def span(trace: int, number: int = 1, parent: Optional[int] = None, **more: Any) -> Json:
    made: Json = {
        "traceId": f"{trace:032x}",
        "spanId": f"{trace:08x}{number:08x}",
        "name": f"span {number}",
        "kind": 1,
        "startTimeUnixNano": str(1_790_000_000_000_000_000 + number),
        "endTimeUnixNano": str(1_790_000_001_000_000_000 + number),
    }
    if parent is not None:
        made["parentSpanId"] = f"{trace:08x}{parent:08x}"
    return {**made, **more}


def export(*spans: Any) -> Json:
    return {"resourceSpans": [{"scopeSpans": [{"scope": {"name": "s"}, "spans": list(spans)}]}]}


def logs(*records: Json) -> Json:
    return {"resourceLogs": [{"scopeLogs": [{"logRecords": list(records)}]}]}


def message(trace: int, number: int, kind: str, text: str) -> Json:
    return {
        "traceId": f"{trace:032x}",
        "spanId": f"{trace:08x}{number:08x}",
        "eventName": f"gen_ai.{kind}.message",
        "body": {"kvlistValue": {"values": [pair("content", stringValue=text)]}},
    }


def pair(key: str, **value: Any) -> Json:
    return {"key": key, "value": value}


def attributes(**texts: str) -> List[Json]:
    return [pair(key.replace("__", "."), stringValue=text) for key, text in texts.items()]


CALL = attributes(gen_ai__operation__name="chat", gen_ai__request__model="gpt-4o")


def write(path: Path, *lines: Any) -> Path:
    made = [line if isinstance(line, bytes) else json.dumps(line).encode() for line in lines]
    path.write_bytes(b"\n".join(made) + b"\n")
    return path


def read(path: Path, query: Optional[Query] = None) -> Tuple[List[Trace], str]:
    with closing(open_reader(str(path))) as reader:
        assert isinstance(reader, OtlpReader)
        traces = list(reader.select(query or Query()).traces)
        return traces, reader.problems.describe()


def ids(traces: List[Trace]) -> List[int]:
    return [int(trace.trace_id, 16) for trace in traces]


def test_a_trace_is_put_together_from_several_exports(tmp_path: Path) -> None:
    path = write(tmp_path / "o.jsonl", export(span(1, 2, 1), span(2)), export(span(1)))
    traces, problems = read(path)
    assert ids(traces) == [2, 1]
    assert [found.parent_id for found in traces[1].spans] == ["0000000100000001", None]
    assert problems == ""


def test_a_span_has_its_times_status_and_values(tmp_path: Path) -> None:
    values = [
        pair("text", stringValue="t"),
        pair("empty", stringValue=""),
        pair("count", intValue="9007199254740993"),
        pair("number", intValue=7),
        pair("share", doubleValue=0.5),
        pair("odd", doubleValue="NaN"),
        pair("is", boolValue=False),
        pair("raw", bytesValue="AAE="),
        pair("list", arrayValue={"values": [{"stringValue": "a"}, {"intValue": "2"}, {}]}),
        pair("none", arrayValue={}),
        pair("map", kvlistValue={"values": [pair("k", stringValue="v")]}),
        {"key": "nothing"},
    ]
    event = {"name": "e", "timeUnixNano": "1790000000500000000", "attributes": values[:1]}
    failed = {"code": 2, "message": "broken"}
    path = write(
        tmp_path / "o.jsonl", export(span(1, attributes=values, status=failed, events=[event]))
    )
    found = read(path)[0][0].spans[0]
    assert found.start_time == 1790000000.000000001
    assert found.duration_ms == 1000.0
    assert (found.status, found.attributes.pop("error")) == ("error", "broken")
    assert found.attributes.pop("events") == [
        {"name": "e", "time": 1790000000.5, "attributes": {"text": "t"}}
    ]
    assert found.attributes == {
        "text": "t",
        "empty": "",
        "count": 9007199254740993,
        "number": 7,
        "share": 0.5,
        "odd": "NaN",
        "is": False,
        "raw": "AAE=",
        "list": ["a", 2, None],
        "none": [],
        "map": {"k": "v"},
        "nothing": None,
    }


def test_a_span_without_an_end_has_no_duration(tmp_path: Path) -> None:
    path = write(tmp_path / "o.jsonl", export(span(1, endTimeUnixNano="0"), span(2)))
    found = read(path)[0][0].spans[0]
    assert (found.end_time, found.duration_ms) == (None, None)
    assert found.start_time > 1_789_999_999


def test_other_writers_forms_are_read(tmp_path: Path) -> None:
    def b64(text: str) -> str:
        return base64.b64encode(bytes.fromhex(text)).decode()

    snake = {
        "resource_spans": [
            {
                "scope_spans": [
                    {
                        "spans": [
                            {
                                "trace_id": f"{1:032X}",
                                "span_id": "00000001000000AA",
                                "parent_span_id": "",
                                "name": "n",
                                "start_time_unix_nano": 1790000000000000000,
                                "end_time_unix_nano": 1790000000250000000,
                                "status": {"code": "STATUS_CODE_ERROR"},
                                "attributes": [{"key": "a", "value": {"string_value": "v"}}],
                            }
                        ]
                    }
                ]
            }
        ]
    }
    old = {
        "resourceSpans": [
            {
                "instrumentationLibrarySpans": [
                    {
                        "instrumentationLibrary": {"name": "x"},
                        "spans": [
                            {
                                **span(2),
                                "traceId": b64(f"{2:032x}"),
                                "spanId": b64("00000002000000bb"),
                            }
                        ],
                    }
                ]
            }
        ]
    }
    traces, problems = read(write(tmp_path / "o.jsonl", snake, old))
    assert problems == ""
    first, second = traces[0].spans[0], traces[1].spans[0]
    assert (first.trace_id, first.span_id) == (f"{1:032x}", "00000001000000aa")
    assert (first.parent_id, first.status, first.duration_ms) == (None, "error", 250.0)
    assert first.attributes["a"] == "v"
    assert (second.trace_id, second.span_id) == (f"{2:032x}", "00000002000000bb")


@pytest.mark.parametrize("indent", [1, 4])
@pytest.mark.parametrize("as_list", [False, True])
def test_one_document_is_read(tmp_path: Path, indent: int, as_list: bool) -> None:
    document: Any = export(span(1), span(2))
    if as_list:
        document = [document, export(span(3))]
    path = tmp_path / "o.json"
    path.write_text(json.dumps(document, indent=indent) + "\n", encoding="utf-8")
    assert ids(read(path)[0]) == ([1, 2, 3] if as_list else [1, 2])


def test_queries_choose_traces(tmp_path: Path) -> None:
    path = write(
        tmp_path / "o.jsonl",
        export(span(1, attributes=CALL), span(2, status={"code": 2})),
        export(span(3, attributes=attributes(session__id="s")), span(4)),
    )
    assert ids(read(path, Query(limit=2))[0]) == [3, 4]
    assert ids(read(path, Query(errors=True))[0]) == [2]
    assert ids(read(path, Query(model="gpt-4o"))[0]) == [1]
    assert ids(read(path, Query(session="s"))[0]) == [3]
    assert ids(read(path, Query(trace=f"{4:032x}"))[0]) == [4]
    assert ids(read(path, Query(since=1790000002.0))[0]) == []
    with closing(OtlpReader(str(path))) as reader:
        assert reader.select(Query(limit=1)).omitted == 3


def test_log_records_give_their_spans_the_content(tmp_path: Path) -> None:
    path = write(
        tmp_path / "o.jsonl",
        logs(message(1, 1, "system", "be brief"), message(1, 1, "user", "hi")),
        export(span(1, attributes=CALL), span(1, 2, 1, attributes=CALL)),
        logs(message(1, 2, "user", "ho"), message(9, 9, "user", "nobody")),
    )
    traces, problems = read(path)
    assert problems == ""
    assert len(traces) == 1
    assert traces[0].spans[0].attributes["input"] == [
        {"role": "system", "content": "be brief"},
        {"role": "user", "content": "hi"},
    ]
    assert traces[0].spans[1].attributes["input"] == [{"role": "user", "content": "ho"}]
    with closing(OtlpReader(str(path))) as reader:
        assert list(reader.records()) == traces[0].spans


def test_records_come_in_the_order_of_the_file(tmp_path: Path) -> None:
    path = write(tmp_path / "o.jsonl", export(span(1), span(2)), export(span(1, 2), span(3)))
    with closing(OtlpReader(str(path))) as reader:
        assert [int(found.trace_id, 16) for found in reader.records()] == [1, 2, 1, 3]


def test_peekrs_own_lines_among_exports_are_read(tmp_path: Path) -> None:
    path = write(tmp_path / "o.jsonl", export(span(1)), record(2), export(span(3)))
    traces, problems = read(path)
    assert [trace.trace_id for trace in traces] == [trace_id(1), trace_id(2), trace_id(3)]
    assert problems == ""


def test_the_tail_gives_what_is_appended(tmp_path: Path) -> None:
    path = write(tmp_path / "o.jsonl", export(span(1)))
    with closing(OtlpReader(str(path))) as reader:
        tail = reader.tail()
        assert tail.poll() == []
        with path.open("ab") as file:
            line = json.dumps(export(span(2), span(3))).encode()
            file.write(line[:40])
            file.flush()
            assert tail.poll() == []
            file.write(line[40:] + b"\njunk\n")
        assert [int(found.trace_id, 16) for found in tail.poll()] == [2, 3]
        tail.close()
        assert ids(list(reader.select(Query()).traces)) == [1]


@pytest.mark.parametrize(
    ("head", "expected"),
    [
        (b'{"resourceSpans":[', True),
        (b'\xef\xbb\xbf{"resourceSpans":[', True),
        (b'{ "resource_spans" : [', True),
        (b'{"resourceLogs":[]}', True),
        (b'{\n  "resourceSpans": [', True),
        (b'[{"resourceSpans":[', True),
        (b'ns":[]}\n{"resourceSpans":[', True),
        (b'{"trace_id":"1","attributes":{}}\n{"resourceSpans":[', False),
        (b'{"name": "x", "trace_id": "1"}\n{"resourceSpans":[', False),
        (b'{"a":{"resourceSpans":1}}\n', False),
        (b"", False),
    ],
)
def test_a_file_is_told_by_its_first_line(head: bytes, expected: bool) -> None:
    assert is_otlp(head) is expected


GOOD = export(span(1), span(2))
DEEP = b'{"resourceSpans":' + b'[{"a":' * 50_000 + b"1" + b"}]" * 50_000 + b"}"


@pytest.mark.parametrize(
    ("bad", "reason"),
    [
        (b'{"resourceSpans":[{"scopeSpans":[{"spans":[{"traceId":"0', "cut off"),
        (b'{"resourceSpans":}', "not JSON"),
        (b"junk", "not JSON"),
        (b"\xff\xfe\x00", "not UTF-8"),
        (b"[1,2]", "no span record"),
        (b"null", "no span record"),
        (DEEP, "nested too deeply"),
        (export(1, {"traceId": 3, "spanId": []}), "no span with ids"),
        (export({**span(5), "traceId": "0" * 32}), "no span with ids"),
        (export({**span(5), "spanId": "x" * 16}), "no span with ids"),
    ],
)
def test_a_bad_line_is_counted_and_the_others_are_read(
    tmp_path: Path, bad: Any, reason: str
) -> None:
    path = write(tmp_path / "o.jsonl", GOOD, bad, b"", export(span(3)))
    traces, problems = read(path)
    assert ids(traces) == [1, 2, 3]
    assert problems == f"1 line could not be read (first: line 2: {reason})"


def test_a_bad_span_costs_itself_alone(tmp_path: Path) -> None:
    path = write(tmp_path / "o.jsonl", export(span(1), {"name": "no ids"}, None, span(2)))
    traces, problems = read(path)
    assert ids(traces) == [1, 2]
    assert problems == "1 line could be read only in part"


ODD: List[Any] = [
    {"attributes": "none"},
    {"attributes": [1, None, {"key": 5}, {"value": {}}, {"key": "a", "value": 7}]},
    {"attributes": [pair("a", intValue="many"), pair("b", intValue="9" * 5000)]},
    {"attributes": [pair("a", arrayValue=[]), pair("b", kvlistValue={"values": 1})]},
    {"startTimeUnixNano": "-5", "endTimeUnixNano": "soon"},
    {"startTimeUnixNano": "9" * 5000, "endTimeUnixNano": 1e300},
    {"startTimeUnixNano": [], "endTimeUnixNano": True},
    {"name": 7, "status": "bad", "events": {"a": 1}, "parentSpanId": 12},
    {"status": {"code": [], "message": {}}, "events": [1, {"name": None}]},
    {"parentSpanId": f"{1:08x}{1:08x}"},
]


@pytest.mark.parametrize("odd", ODD)
def test_values_of_the_wrong_type_do_not_lose_the_span(tmp_path: Path, odd: Json) -> None:
    path = write(tmp_path / "o.jsonl", export(span(1, **odd), span(2)))
    traces, problems = read(path)
    assert ids(traces) == [1, 2]
    assert problems == ""


NOTHING: List[Any] = [
    ([{"resourceSpans": []}], "holds OTLP, but no spans"),
    ([{"resourceMetrics": []}, {"resourceLogs": []}], "holds OTLP, but no spans"),
    ([b'{"resourceSpans":[', b"x"], "not a trace file, no line holds a span; 2 lines"),
    ([export({"traceId": "1"})], "no line holds a span; 1 line could not be read"),
]


@pytest.mark.parametrize(("lines", "reason"), NOTHING)
def test_a_file_without_spans_is_refused(tmp_path: Path, lines: List[Any], reason: str) -> None:
    path = write(tmp_path / "o.jsonl", *lines)
    with pytest.raises(UnreadableFileError, match=reason):
        read(path)


def test_a_trace_of_many_spans_is_read_in_one_go(tmp_path: Path) -> None:
    spans = [span(1, number, max(0, number - 1) or None) for number in range(1, 10_001)]
    path = write(
        tmp_path / "o.jsonl", *(export(*spans[at : at + 100]) for at in range(0, 10_000, 100))
    )
    assert len(read(path)[0][0].spans) == 10_000
