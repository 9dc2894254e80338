"""Damaged and hostile files of other instrumentations cost themselves and nothing else."""

from __future__ import annotations

import copy
import json
from pathlib import Path
from typing import Any, Dict, List, Tuple, cast

import pytest
from click.testing import CliRunner, Result
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from peekr import dialects
from peekr.cli.group import group
from peekr.dialects import (
    conventions,
    former,
    langfuse,
    logfire,
    openinference,
    openllmetry,
    pydantic_ai,
    vercel,
)
from peekr.encoding import dumps
from peekr.errors import UnreadableFileError
from peekr.projection import project
from peekr.store.otlp.decode import StoredEvent, StoredSpan
from tests.dialects.reading import FILES, read, stored_spans

OTLP = [path for path in FILES if not path.stem.startswith("peekr")]
DIALECTS: List[Any] = [
    logfire,
    pydantic_ai,
    vercel,
    openinference,
    openllmetry,
    langfuse,
    conventions,
]
SPANS = [span for path in OTLP for span in stored_spans(path)]
KEYS = sorted({key for span in SPANS for key in span.attributes})
EVENTS = (
    *("gen_ai.system.message", "gen_ai.user.message", "gen_ai.choice", "gen_ai.content.prompt"),
    *("gen_ai.content.completion", "gen_ai.client.inference.operation.details", "exception"),
)
WORDS = (
    *("role", "content", "parts", "type", "text", "tool_calls", "tool_call", "function", "name"),
    *("arguments", "id", "message", "messages", "result", "value", "input", "user", "assistant"),
    *("image_url", "image", "file", "blob", "reasoning", "tool", "tool_use", "tool_result"),
    *("data", "source", "url", "finish_reason", "event.name", "gen_ai.choice", "properties"),
)

words = st.sampled_from(WORDS) | st.text(max_size=5)
values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | words,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(words, inner, max_size=4),
    max_leaves=12,
)
texts = values.map(lambda value: dumps(value).decode("utf-8", "replace"))
keys = st.sampled_from(KEYS) | st.tuples(st.sampled_from(KEYS), words).map(".".join)
changes = st.lists(st.tuples(keys, values | texts), max_size=6)
events = st.lists(
    st.tuples(st.sampled_from(EVENTS), st.dictionaries(words, values | texts, max_size=4)),
    max_size=3,
)
few = settings(
    max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)


def changed(span: StoredSpan, made: List[Tuple[str, Any]], more: List[Any]) -> StoredSpan:
    other = copy.copy(span)
    other.attributes = {**copy.deepcopy(span.attributes), **dict(made)}
    other.events = [*span.events, *(StoredEvent(name, found, 1) for name, found in more)]
    return other


@few
@given(st.sampled_from(SPANS), changes, events)
def test_no_dialect_stumbles_over_odd_values(
    span: StoredSpan, made: List[Tuple[str, Any]], more: List[Any]
) -> None:
    other = changed(span, made, more)
    scope = other.instrumentation_scope.name
    for dialect in DIALECTS:
        # Without the net that `dialects.translate` has under each.
        attributes = copy.deepcopy(other.attributes)
        dialect.translate(dialects.Draft(attributes, other.events, scope, other.name))
        dumps(attributes)


@few
@given(st.sampled_from(SPANS), changes, events)
def test_no_odd_value_costs_the_record(
    span: StoredSpan, made: List[Tuple[str, Any]], more: List[Any]
) -> None:
    record = project(changed(span, made, more))
    assert json.loads(dumps(record.to_dict()))["trace_id"] == record.trace_id


@few
@given(st.dictionaries(st.sampled_from(("input", "output", "model", "system")), values | texts))
def test_no_odd_value_of_an_earlier_file_costs_the_record(attributes: Dict[str, Any]) -> None:
    former.modernise(attributes)
    dumps(attributes)


@few
@given(st.data())
def test_no_damaged_file_raises(tmp_path: Path, data: st.DataObject) -> None:
    whole = data.draw(st.sampled_from(OTLP)).read_bytes()
    at = data.draw(st.integers(0, len(whole)))
    length = data.draw(st.integers(0, 40))
    new = data.draw(st.binary(max_size=20) | st.sampled_from([b"{", b"}", b'"', b"[", b"null"]))
    damaged = whole[:at] + new + whole[at + length :]
    if data.draw(st.booleans()):
        damaged = damaged[:at] + new
    path = tmp_path / "damaged.jsonl"
    path.write_bytes(damaged)
    try:
        read(path)
    except UnreadableFileError:
        pass  # nothing of it can be read


def view(*arguments: str) -> Result:
    return CliRunner().invoke(group, ["view", *arguments])


IDS = ("traceId", "spanId", "parentSpanId", "startTimeUnixNano", "endTimeUnixNano", "intValue")
ESCAPE = "\x1b]0;owned\x07\x1b[2J\x9b31m"


def escaped(value: Any) -> Any:
    """Every name and every text with escape sequences in it."""
    if isinstance(value, dict):
        found = cast("Dict[str, Any]", value)
        return {
            key: f"{item}{ESCAPE}"
            if key in ("key", "stringValue", "name", "message")
            else (item if key in IDS else escaped(item))
            for key, item in found.items()
        }
    if isinstance(value, list):
        return [escaped(item) for item in cast("List[Any]", value)]
    return value


@pytest.mark.parametrize("path", OTLP, ids=lambda path: path.stem)
@pytest.mark.parametrize("options", [[], ["--io"], ["--json"]])
def test_no_escape_sequence_passes(path: Path, options: List[str], tmp_path: Path) -> None:
    file = tmp_path / "x\x1b[0m.jsonl"
    lines = [escaped(json.loads(line)) for line in path.read_text("utf-8").splitlines()]
    file.write_text("".join(json.dumps(line) + "\n" for line in lines), encoding="utf-8")
    result = view(str(file), *options)
    assert result.exit_code == 0, result.output
    assert "owned" in result.output
    for sign in ("\x1b", "\x07", "\x9b"):
        assert sign not in result.output


HOSTILE: Dict[str, bytes] = {
    "cut": b'{"resourceSpans":[{"scopeSpans":[{"spans":[{"traceId":"00',
    "empty": b'{"resourceSpans":[]}',
    "null": b'{"resourceSpans":null}',
    "number": b'{"resourceSpans":7}',
    "wrong": b'{"resourceSpans":[{"scopeSpans":{"spans":[1,2]}}]}',
    "metrics": b'{"resourceMetrics":[{"scopeMetrics":[]}]}',
    "deep": b'{"resourceSpans":' + b"[" * 200_000,
    "nul": b'{"resourceSpans":[' + b"\x00" * 1000,
    "utf16": '{"resourceSpans":[]}'.encode("utf-16"),
    "big": b'{"resourceSpans":["' + b"x" * 50_000_000,
}


@pytest.mark.parametrize("name", HOSTILE)
def test_a_file_of_which_nothing_can_be_read_is_said_in_one_line(name: str, tmp_path: Path) -> None:
    file = tmp_path / "hostile.jsonl"
    file.write_bytes(HOSTILE[name] + b"\n")
    result = view(str(file))
    assert result.exit_code == 1
    assert result.output.count("\n") == 1
    assert "Traceback" not in result.output


@pytest.mark.parametrize("name", HOSTILE)
def test_what_can_be_read_beside_damage_is_shown(name: str, tmp_path: Path) -> None:
    sample = next(path for path in OTLP if path.stem == "openinference")
    file = tmp_path / "mixed.jsonl"
    file.write_bytes(sample.read_bytes() + HOSTILE[name] + b"\n" + sample.read_bytes()[:200])
    result = view(str(file))
    assert result.exit_code == 0
    assert "ChatCompletion" in result.output
    assert "could not be read" in result.output
    assert "Traceback" not in result.output


def deep(levels: int) -> Dict[str, Any]:
    value: Dict[str, Any] = {"stringValue": "x"}
    for _ in range(levels):
        value = {"arrayValue": {"values": [value]}}
    return value


def test_deep_values_and_enormous_numbers_of_messages_are_bounded(tmp_path: Path) -> None:
    sample = next(path for path in OTLP if path.stem == "openllmetry-0.40")
    document = json.loads(sample.read_bytes())
    span = document["resourceSpans"][0]["scopeSpans"][0]["spans"][0]
    span["attributes"] += [
        {"key": "deep", "value": deep(150)},
        {"key": "gen_ai.prompt.999999999.content", "value": {"stringValue": "far"}},
        {"key": "gen_ai.prompt.99999999999999999999.content", "value": {"stringValue": "far"}},
        {"key": "gen_ai.prompt.0", "value": {"stringValue": "not beside its parts"}},
        {"key": "gen_ai.completion." + "a." * 1000 + "b", "value": {"stringValue": "deep"}},
    ]
    file = tmp_path / "t.jsonl"
    file.write_text(json.dumps(document) + "\n", encoding="utf-8")
    records, problems = read(file)
    assert problems == ""
    assert len(records) == 4
    assert "nested too deeply" in json.dumps(records[0].attributes["deep"])
