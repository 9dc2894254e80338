"""The record: one span as JSON, written and read back."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import Any, Dict

import pytest
from hypothesis import given
from hypothesis import strategies as st

from peekr.record import FIELDS, SpanRecord

texts = st.text(max_size=10)
times = st.floats(0, 4e9)
records = st.builds(
    SpanRecord,
    trace_id=texts,
    span_id=texts,
    parent_id=st.none() | st.text(min_size=1, max_size=10),
    name=texts,
    start_time=times,
    end_time=times,
    duration_ms=st.floats(0, 1e9),
    status=st.sampled_from(["ok", "error"]),
    tenant_id=st.none() | st.text(min_size=1, max_size=10),
    retention_class=st.none() | st.sampled_from(["default", "short", "long", "pii"]),
    attributes=st.dictionaries(texts, st.none() | texts | st.integers() | st.lists(texts)),
)

WHOLE: Dict[str, Any] = {
    "trace_id": "0af7651916cd43dd8448eb211c80319c",
    "span_id": "b7ad6b7169203331",
    "parent_id": "00f067aa0ba902b7",
    "name": "openai.chat",
    "start_time": 1_700_000_000.25,
    "end_time": 1_700_000_001.5,
    "duration_ms": 1250.0,
    "status": "error",
    "tenant_id": "acme",
    "retention_class": "pii",
    "attributes": {"model": "gpt-4o"},
}


@given(records)
def test_a_record_comes_back_from_its_json(record: SpanRecord) -> None:
    assert SpanRecord.from_dict(json.loads(json.dumps(record.to_dict()))) == record


def test_the_fields_are_written_in_their_order() -> None:
    record = SpanRecord.from_dict(WHOLE)
    assert record.to_dict() == WHOLE
    assert tuple(record.to_dict()) == FIELDS


def test_a_record_of_the_least_has_no_tenant_and_no_attributes() -> None:
    record = SpanRecord("t", "s", None, "n", 1.0, None, None, "ok")
    assert (record.tenant_id, record.retention_class, record.attributes) == (None, None, {})
    other = SpanRecord("t", "s", None, "n", 1.0, None, None, "ok")
    assert record.attributes is not other.attributes


def test_attributes_are_the_records_own_mapping() -> None:
    record = SpanRecord.from_dict(WHOLE)
    assert record.to_dict()["attributes"] is record.attributes


@pytest.mark.parametrize(
    "data",
    [
        {},
        {"trace_id": "t"},
        {"span_id": "s"},
        {"trace_id": 1, "span_id": "s"},
        {"trace_id": "t", "span_id": None},
    ],
)
def test_an_object_without_ids_is_no_record(data: Dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="trace_id and span_id"):
        SpanRecord.from_dict(data)


@pytest.mark.parametrize(
    ("field", "given", "read"),
    [
        ("parent_id", "", None),
        ("parent_id", 7, None),
        ("name", None, ""),
        ("name", ["a"], ""),
        ("start_time", "1700000000.5", 1_700_000_000.5),
        ("start_time", "yesterday", 0.0),
        ("start_time", None, 0.0),
        ("start_time", True, 0.0),
        ("start_time", 5, 5.0),
        ("end_time", "NaN", None),
        ("end_time", 1e999, None),
        ("end_time", 10**400, None),
        ("end_time", {}, None),
        ("status", "unset", "ok"),
        ("status", "ERROR", "ok"),
        ("status", None, "ok"),
        ("tenant_id", 5, None),
        ("tenant_id", "", None),
        ("retention_class", "forever", "forever"),
        ("attributes", None, {}),
        ("attributes", ["a"], {}),
        ("attributes", "{}", {}),
    ],
)
def test_what_other_programs_wrote_is_read_as_far_as_it_goes(
    field: str, given: Any, read: Any
) -> None:
    record = SpanRecord.from_dict({**WHOLE, field: given})
    assert getattr(record, field) == read


def test_a_missing_duration_follows_from_the_times() -> None:
    data = {key: value for key, value in WHOLE.items() if key != "duration_ms"}
    assert SpanRecord.from_dict(data).duration_ms == 1250.0
    del data["end_time"]
    assert SpanRecord.from_dict(data).duration_ms is None


def test_fields_that_are_unknown_are_passed_over() -> None:
    assert SpanRecord.from_dict({**WHOLE, "extra": 1}).to_dict() == WHOLE


def test_records_need_the_standard_library_alone() -> None:
    code = (
        "import sys; before = set(sys.modules); import peekr.record;"
        "print(*sorted(n for n in set(sys.modules) - before if not n.startswith('peekr')"
        " and n.partition('.')[0] not in sys.stdlib_module_names))"
    )
    if sys.version_info < (3, 10):
        pytest.skip("this Python does not list its standard library")
    made = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert made.stdout.split() == []
