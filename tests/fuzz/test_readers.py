"""Readers of trace files: as many records as there are readable ones, the rest counted."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any, Dict, List, Optional, Tuple, cast

from hypothesis import given
from hypothesis import strategies as st

from peekr.encoding import dumps
from peekr.errors import UnreadableFileError
from peekr.record import SpanRecord
from peekr.store.jsonl import JsonlSink
from peekr.store.opening import open_reader
from peekr.store.otlp.encode import request_of
from peekr.store.query import Query
from peekr.store.sqlite import SqliteSink
from tests.dialects.reading import FILES, read
from tests.otlp.test_reading_back import same

from .files import LINES, RECORDS, Found, look, of_line, write_sqlite
from .mutating import ODD, Mutation, mutate, mutations
from .profiles import fuzzed

Json = Dict[str, Any]
OTLP = [path for path in FILES if path.suffix == ".jsonl" and not path.stem.startswith("peekr")]


def ids(records: List[Any]) -> List[Tuple[str, str]]:
    return [(record.trace_id, record.span_id) for record in records]


def looked(path: Path) -> Optional[Found]:
    """What is in a file; None where it is refused, in one line."""
    try:
        return look(path)
    except UnreadableFileError as error:
        reason = str(error)
    assert "\n" not in reason
    return None


def agree(found: Found, expected: List[Tuple[str, str]]) -> None:
    assert ids(found.records) == expected
    assert sorted(ids(found.selected)) == sorted(expected)
    assert sorted(ids(found.limited)) == sorted(expected)
    assert found.columns == expected
    for record in found.records:
        check(record)


def check(record: SpanRecord) -> None:
    """The types that everything behind the readers relies on."""
    for value in (record.start_time, record.end_time, record.duration_ms):
        assert value is None or (isinstance(value, float) and math.isfinite(value))
    for text in (record.parent_id, record.tenant_id, record.retention_class):
        assert text is None or isinstance(text, str)
    assert isinstance(record.name, str)
    assert record.status in ("ok", "error")
    assert all(isinstance(key, str) for key in record.attributes)
    assert json.loads(dumps(record.to_dict()))["span_id"] is not None


@fuzzed(250)
@given(LINES, st.sampled_from([b"\n", b"\r\n"]), st.booleans())
def test_of_jsonl_every_readable_line_is_a_record_and_the_others_are_counted(
    tmp_path: Path, lines: List[bytes], line_end: bytes, ends: bool
) -> None:
    path = tmp_path / "traces.jsonl"
    path.write_bytes(line_end.join(lines) + (line_end if ends else b""))
    expected = [found for found in map(of_line, lines) if found is not None]
    blank = sum(not line or line.isspace() for line in lines)
    found = looked(path)
    if found is None:
        assert not expected
        return
    agree(found, expected)
    assert found.unreadable == len(lines) - blank - len(expected)


@fuzzed(100)
@given(
    st.lists(st.tuples(RECORDS, st.dictionaries(st.integers(0, 10), ODD, max_size=3)), max_size=6)
)
def test_of_sqlite_every_row_with_ids_is_a_record_and_the_others_are_counted(
    tmp_path: Path, given_: List[Tuple[Json, Dict[int, Any]]]
) -> None:
    rows: List[Json] = []
    for record, odd in given_:
        row = {**record, "attributes": json.dumps(record["attributes"])}
        for place, value in odd.items():
            row[list(row)[place % len(row)]] = _stored(value)
        rows.append(row)
    path = tmp_path / "traces.db"
    path.unlink(missing_ok=True)
    write_sqlite(path, rows)
    expected = [
        (row["trace_id"], row["span_id"])
        for row in rows
        if isinstance(row["trace_id"], str) and isinstance(row["span_id"], str)
    ]
    found = looked(path)
    if found is None:
        assert not expected
        return
    agree(found, expected)
    assert found.unreadable == len(rows) - len(expected)


def _stored(value: Any) -> Any:
    """A value as a column may hold it."""
    if isinstance(value, bool) or (isinstance(value, int) and abs(value) >= 2**63):
        return str(value)
    if isinstance(value, (list, dict)):
        return json.dumps(value)
    if isinstance(value, str):
        return value.encode("utf-8", "replace").decode()
    return value


def _spans(document: Any) -> int:
    """How many spans with ids of the right length an export holds, by a look of the test's own."""
    found = 0
    for resource in _objects(_either(document, "resourceSpans", "resource_spans")):
        for scope in _objects(_either(resource, "scopeSpans", "scope_spans")):
            for span in _objects(scope.get("spans")):
                trace_id, span_id = span.get("traceId"), span.get("spanId")
                found += _is_id(trace_id, 32) and _is_id(span_id, 16)
    return found


def _either(value: Any, name: str, other: str) -> Any:
    given_: Json = cast("Json", value) if isinstance(value, dict) else {}
    return given_.get(name) if given_.get(name) is not None else given_.get(other)


def _objects(value: Any) -> List[Json]:
    entries = cast("List[Any]", value) if isinstance(value, list) else []
    return [cast("Json", entry) for entry in entries if isinstance(entry, dict)]


def _is_id(value: Any, digits: int) -> bool:
    return isinstance(value, str) and len(value) == digits and bool(value.strip("0"))


@fuzzed(200)
@given(st.data(), st.lists(mutations(), min_size=1, max_size=3))
def test_of_otlp_every_span_with_ids_is_a_record(
    tmp_path: Path, data: st.DataObject, how: List[List[Mutation]]
) -> None:
    source = data.draw(st.sampled_from(OTLP))
    documents = [json.loads(line) for line in source.read_text("utf-8").splitlines()[:4]]
    for number, one in enumerate(how):
        place = number % len(documents)
        documents[place] = mutate(documents[place], one)
    path = tmp_path / "export.jsonl"
    path.write_text("".join(json.dumps(one) + "\n" for one in documents), encoding="utf-8")
    expected = sum(map(_spans, documents))
    found = looked(path)
    if found is None:
        assert expected == 0
        return
    assert len(found.records) == expected
    assert sorted(ids(found.selected)) == sorted(ids(found.records))
    assert sorted(ids(found.limited)) == sorted(ids(found.records))
    for record in found.records:
        check(record)
        check_sense(record)


_COUNTS = ("tokens_input", "tokens_output", "tokens_total", "tokens_cache_read", "cost_usd")


def check_sense(record: SpanRecord) -> None:
    """Nothing that no number was given for is a number, and no cost is negative."""
    cost = record.attributes.get("cost_usd")
    assert cost is None or (isinstance(cost, (int, float)) and cost >= 0), cost
    sent, made = (record.attributes.get(key) for key in ("tokens_input", "tokens_output"))
    total = record.attributes.get("tokens_total")
    if total is not None and sent is not None:
        assert total == sent + (made or 0)


def _reread(records: List[SpanRecord], path: Path, content: bytes) -> List[SpanRecord]:
    path.write_bytes(content)
    found, problems = read(path)
    assert problems == ""
    return found


@fuzzed(40)
@given(st.data(), mutations())
def test_a_record_comes_back_from_every_format_as_it_was(
    tmp_path: Path, data: st.DataObject, how: List[Mutation]
) -> None:
    source = data.draw(st.sampled_from(OTLP))
    document = json.loads(source.read_text("utf-8").splitlines()[0])
    path = tmp_path / "export.jsonl"
    path.write_text(json.dumps(mutate(document, how)) + "\n", encoding="utf-8")
    try:
        records, _ = read(path)
    except UnreadableFileError:
        return
    records = list({record.span_id: record for record in records}.values())
    again = _reread(records, path, b"".join(dumps(record.to_dict()) + b"\n" for record in records))
    assert plain(again) == plain(records)
    jsonl, sqlite = tmp_path / "made.jsonl", tmp_path / "made.db"
    for made in (jsonl, sqlite):
        made.unlink(missing_ok=True)
    for sink in (JsonlSink(jsonl), SqliteSink(sqlite)):
        for record in records:
            sink.write(record)
        assert sink.flush()
        assert sink.lost == 0
        assert sink.close()
    assert plain(read(jsonl)[0]) == plain(records)
    assert plain(read(sqlite)[0]) == plain(records)


def plain(records: List[SpanRecord]) -> List[Json]:
    """Records as their JSON says them, which has no NaN and no lone surrogates."""
    made = [json.loads(dumps(record.to_dict())) for record in records]
    return sorted(made, key=lambda record: (record["trace_id"], record["span_id"]))


@fuzzed(120)
@given(st.data(), mutations(most=2))
def test_a_record_comes_back_from_otlp_as_it_was(
    tmp_path: Path, data: st.DataObject, how: List[Mutation]
) -> None:
    source = data.draw(st.sampled_from(OTLP))
    document = json.loads(source.read_text("utf-8").splitlines()[0])
    path = tmp_path / "export.jsonl"
    path.write_text(json.dumps(mutate(document, how)) + "\n", encoding="utf-8")
    try:
        records, _ = read(path)
    except UnreadableFileError:
        return
    timed = [
        SpanRecord.from_dict(record)
        for record in plain(records)
        if record["end_time"] is not None and record["duration_ms"] is not None
    ]
    once = _reread(timed, path, dumps(request_of(timed)) + b"\n") if timed else []
    assert _said(same(once)) == _said(same(timed))


def _said(records: List[Json]) -> List[Json]:
    """Records whose contents are values: a text that is one comes back as what it says."""
    for record in records:
        for name in ("input", "output"):
            content = record["attributes"].get(name)
            if isinstance(content, str) and content[:1] in ("[", "{"):
                try:
                    record["attributes"][name] = json.loads(content)
                except ValueError:
                    continue  # cut off: a text
    return records


# -- queries ---------------------------------------------------------------------------------------

QUERIES = st.builds(
    Query,
    trace=st.sampled_from([None, None, "0", "00000000000000000000000000000001", "f", "x", ""]),
    session=st.sampled_from([None, None, "s1", "S1", "söhne", 's"1', "", "7", "7.0"]),
    errors=st.booleans(),
    model=st.sampled_from(
        [None, None, "gpt-4o", "GPT-4O", "gpt*", "*", "?", "claude [x]", "m*", "glöckner", "GLÖ*"]
    ),
    since=st.sampled_from([None, None, 0.0, 1_700_000_000.0, 1_700_000_020.0, float("inf")]),
    limit=st.sampled_from([None, 1, 2, 50]),
)


@fuzzed(100)
@given(st.lists(RECORDS, min_size=1, max_size=7, unique_by=lambda r: r["span_id"]), QUERIES)
def test_every_format_answers_a_query_as_a_look_at_every_span_does(
    tmp_path: Path, records: List[Json], query: Query
) -> None:
    by_trace: Dict[str, List[SpanRecord]] = {}
    for record in map(SpanRecord.from_dict, records):
        by_trace.setdefault(record.trace_id, []).append(record)
    chosen = {key for key, spans in by_trace.items() if query.matches(spans)}
    jsonl, sqlite = tmp_path / "q.jsonl", tmp_path / "q.db"
    jsonl.write_bytes(b"".join(dumps(record) + b"\n" for record in records))
    sqlite.unlink(missing_ok=True)
    write_sqlite(
        sqlite, [{**record, "attributes": json.dumps(record["attributes"])} for record in records]
    )
    for path in (jsonl, sqlite):
        reader = open_reader(str(path))
        try:
            selection = reader.select(query)
            found = [trace.trace_id for trace in selection.traces]
        finally:
            reader.close()
        assert len(found) == len(set(found))
        assert set(found) <= chosen, path
        wanted = len(chosen) if query.limit is None else min(query.limit, len(chosen))
        assert len(found) == wanted, path
        assert selection.omitted == len(chosen) - wanted


@fuzzed(60)
@given(st.lists(LINES, min_size=1, max_size=4))
def test_the_tail_gives_what_reading_the_whole_file_gives(
    tmp_path: Path, growth: List[List[bytes]]
) -> None:
    path = tmp_path / "growing.jsonl"
    path.write_bytes(b'{"trace_id":"t","span_id":"s"}\n')
    reader = open_reader(str(path))
    tail = reader.tail()
    try:
        followed: List[Any] = []
        for lines in growth:
            with path.open("ab") as file:
                file.write(b"\n".join(lines) + b"\n")
            followed += tail.poll()
    finally:
        tail.close()
        reader.close()
    found: List[Optional[Tuple[str, str]]] = [of_line(one) for lines in growth for one in lines]
    assert ids(followed) == [one for one in found if one is not None]
