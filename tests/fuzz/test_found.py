"""What fuzzing has found, each by itself: the damage, and what is recorded in spite of it."""

from __future__ import annotations

import json
import sqlite3
import warnings
from contextlib import closing
from pathlib import Path
from typing import Any, Dict, List, Tuple, cast

import pytest

from peekr import messages
from peekr.dialects import Draft, conventions
from peekr.encoding import dumps
from peekr.instrumentation.anthropic.messages import MESSAGES
from peekr.instrumentation.bedrock.client import counted
from peekr.instrumentation.bedrock.command import CommandForm
from peekr.instrumentation.bedrock.converse import CONVERSE_STREAM
from peekr.instrumentation.bedrock.invoke import INVOKE_STREAM
from peekr.instrumentation.contract import Fault, Response, Usage, field
from peekr.instrumentation.events import AwsMessages
from peekr.instrumentation.google_genai.generate import GENERATE
from peekr.instrumentation.openai.chat import CHAT
from peekr.instrumentation.openai.embeddings import EMBEDDINGS
from peekr.instrumentation.openai.responses import RESPONSES
from peekr.instrumentation.sound import clean, count, joined
from peekr.record import SpanRecord
from peekr.store.opening import open_reader
from peekr.store.otlp.encode import request_of
from peekr.store.query import Query

from .wire import aws_message

Json = Dict[str, Any]


def stream(extractor: Any, events: List[Any]) -> Response:
    accumulator = extractor.accumulator()
    for event in events:
        accumulator.add(event)
    return accumulator.response()


def texts(response: Response) -> List[str]:
    return [
        part["content"]
        for entry in response.output or ()
        for part in entry["parts"]
        if part["type"] == "text"
    ]


# -- counts ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        *((7, 7), (0, 0), (7.0, 7), (True, None), (-1, None), (1.5, None), ("7", None)),
        *((2**63, None), (float("nan"), None), (float("inf"), None), ([7], None), (None, None)),
    ],
)
def test_a_count_is_a_number_that_was_reported(given: Any, expected: Any) -> None:
    assert count(given) == expected
    assert type(count(given)) is type(expected)


def test_a_wrong_count_costs_itself_alone() -> None:
    response = Response(usage=Usage("12", 30, -4, {"n": 1}, 6))  # pyright: ignore[reportArgumentType]
    clean(response)
    assert response.usage == Usage(None, 30, None, None, 6)


def test_a_name_that_is_no_text_is_left_out() -> None:
    reasons: Any = ["stop", 7, None]
    response = Response(id=["x"], model={"m": 1}, finish_reasons=reasons)  # pyright: ignore[reportArgumentType]
    clean(response)
    assert (response.id, response.model, response.finish_reasons) == (None, None, ["stop"])


@pytest.mark.parametrize("written", ["8", [8], {}, -8])
def test_anthropics_cached_tokens_are_added_only_where_they_are_numbers(written: Any) -> None:
    usage = {"input_tokens": 20, "output_tokens": 3, "cache_creation_input_tokens": written}
    assert MESSAGES.response({"usage": usage}).usage == Usage(20, 3)


def test_bedrocks_headers_and_bodies_count_nothing_that_is_no_number() -> None:
    assert counted({"x-amzn-bedrock-input-token-count": "-3"}) is None
    body = {"text": "x", "meta": {"tokens": {"input_tokens": "many", "output_tokens": 4}}}
    assert CommandForm().response(body).usage == Usage(None, 4)


def test_geminis_counts_are_added_only_where_they_are_numbers() -> None:
    usage = {"promptTokenCount": "20", "toolUsePromptTokenCount": 2, "candidatesTokenCount": 3}
    response = GENERATE.response({"usageMetadata": usage, "candidates": []})
    assert response.usage is not None
    assert (response.usage.input, response.usage.output) == (2, 3)


# -- texts and places ------------------------------------------------------------------------------


def test_pieces_that_are_no_texts_are_left_out() -> None:
    assert joined(["a", None, 7, ["b"], "c"]) == "ac"


def test_what_stands_in_the_place_of_a_text_is_recorded_as_its_json() -> None:
    assert messages.text(cast("Any", ["x"])) == {"type": "text", "content": '["x"]'}
    assert messages.text(cast("Any", None))["content"] == ""
    call = messages.tool_call(cast("Any", 7), cast("Any", ["f"]), {})
    assert (call["id"], call["name"]) == ("7", '["f"]')
    assert messages.message(cast("Any", {"a": 1}), [])["role"] == '{"a":1}'
    assert messages.media(cast("Any", 7)) == "document"


def test_a_texts_own_methods_are_no_fields() -> None:
    assert field("a text", "index") is None
    assert field(["a", "list"], "count") is None


def _delta(index: Any, **delta: Any) -> Json:
    return {"choices": [{"index": index, "delta": delta}]}


def test_a_chats_chunks_with_odd_indexes_and_texts_are_put_together() -> None:
    chunks = [_delta(0, content="a"), _delta([1], content=["x"]), _delta(None, content="b")]
    assert texts(stream(CHAT, [*chunks, {"choices": 7}, _delta(0, tool_calls=7)])) == ["ab"]


def test_events_of_the_responses_api_with_odd_kinds_are_passed_over() -> None:
    events: List[Json] = [
        {"type": ["x"]},
        {"type": "response.output_text.delta", "output_index": {}, "delta": "a"},
        {"type": "response.output_text.delta", "output_index": 0, "delta": "b"},
    ]
    assert texts(stream(RESPONSES, events)) == ["ab"]


def test_a_message_of_the_responses_api_may_have_anything_for_items() -> None:
    assert RESPONSES.response({"status": "completed", "output": 7}).output == []
    made = RESPONSES.response({"output": [{"type": ["x"]}, {"type": "text", "text": "said"}]})
    assert texts(made) == ["said"]


@pytest.mark.parametrize("vector", ["no base64!", "abc"])
def test_vectors_that_are_no_base64_are_counted(vector: str) -> None:
    made = EMBEDDINGS.response({"data": [{"embedding": vector}]}).attributes
    assert made == {"peekr.embeddings.count": 1}


def test_anthropics_events_with_odd_indexes_are_put_together() -> None:
    events: List[Any] = [
        {"type": "content_block_start", "index": {}, "content_block": {"type": "text"}},
        {"type": "content_block_delta", "index": [0], "delta": {"type": "text_delta", "text": "a"}},
        {"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": ["x"]}},
        {"type": "content_block_delta", "index": 0, "delta": {"type": {}, "text": "x"}},
        {"type": "content_block_start", "index": "1", "content_block": None},
    ]
    assert stream(MESSAGES, events[:4]).output == [
        messages.message("assistant", [messages.text("a")], finish_reason="")
    ]
    stream(MESSAGES, events)


def test_reading_an_odd_block_of_the_anthropic_sdk_warns_nobody() -> None:
    anthropic = pytest.importorskip("anthropic")
    block = anthropic.types.TextBlock.model_construct(type="text", text={"odd": 1})
    event = anthropic.types.RawContentBlockStartEvent.model_construct(
        type="content_block_start", index=0, content_block=block
    )
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert texts(stream(MESSAGES, [event])) == ['{"odd":1}']


def test_converses_events_that_are_no_objects_are_passed_over() -> None:
    events: List[Any] = [
        {"messageStart": "x"},
        {"contentBlockStart": 7},
        {"contentBlockDelta": ["x"]},
        {"contentBlockDelta": {"contentBlockIndex": {}, "delta": {"text": "a"}}},
        {"contentBlockDelta": {"contentBlockIndex": 0, "delta": ["x"]}},
        {"contentBlockDelta": {"contentBlockIndex": 1, "delta": {"toolUse": ["x"]}}},
        {"messageStop": []},
    ]
    assert texts(stream(CONVERSE_STREAM, events)) == ["a"]


def test_invoked_claudes_events_with_odd_indexes_are_put_together() -> None:
    said: List[Tuple[Any, str]] = [(0, "a"), ("x", "b"), ([], "c")]
    events: List[Json] = [
        {"type": "content_block_delta", "index": index, "delta": {"text": text}}
        for index, text in said
    ]
    chunks = [{"chunk": {"bytes": json.dumps(event).encode()}} for event in events]
    assert texts(stream(INVOKE_STREAM, chunks)) == ["abc"]


@pytest.mark.parametrize("payload", [b"[1]", b'"x"', b'{"bytes": 7}', b'{"bytes": "\xc3\xa9"}'])
def test_messages_of_an_event_stream_without_bytes_hold_nothing(payload: bytes) -> None:
    found = list(AwsMessages().feed(aws_message("chunk", payload)))
    assert [event.data for event in found] == [None]


def test_gemini_may_name_no_reason() -> None:
    made = GENERATE.response({"candidates": [{"finishReason": ["STOP"], "index": "x"}]})
    assert made.finish_reasons == []


def test_an_error_in_an_odd_form_is_one_all_the_same() -> None:
    made = RESPONSES.response({"status": "failed", "error": ["x"]})
    assert made.fault == Fault("failed", "failed")


# -- files -----------------------------------------------------------------------------------------

WHOLE: Json = {"trace_id": "t" * 32, "span_id": "s" * 16, "name": "n", "attributes": {}}


def test_a_record_without_a_start_has_no_duration() -> None:
    record = SpanRecord.from_dict({**WHOLE, "start_time": None, "end_time": 1_700_000_000.0})
    assert (record.end_time, record.duration_ms) == (1_700_000_000.0, None)


def test_columns_of_a_file_with_ids_that_are_no_texts(tmp_path: Path) -> None:
    path = tmp_path / "traces.jsonl"
    lines = [json.dumps({**WHOLE, "trace_id": ["x"]}), json.dumps(WHOLE)]
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    with closing(cast("Any", open_reader(str(path)))) as reader:
        assert [list(block[0]) for block in reader.columns()] == [["t" * 32]]
        assert reader.problems.count == 1


@pytest.mark.parametrize("limit", [None, 5])
def test_rows_without_a_trace_are_counted_however_many_are_asked_for(
    limit: Any, tmp_path: Path
) -> None:
    path = tmp_path / "traces.db"
    rows: List[Tuple[Any, ...]] = [("t", "s"), (None, "a"), (None, "b"), (7.5, "c"), (b"x", "d")]
    with closing(sqlite3.connect(str(path))) as database:
        database.execute("CREATE TABLE spans (trace_id, span_id)")
        database.executemany("INSERT INTO spans VALUES (?, ?)", rows)
        database.commit()
    with closing(open_reader(str(path))) as reader:
        found = [trace.trace_id for trace in reader.select(Query(limit=limit)).traces]
        assert found == ["t"]
        assert reader.problems.count == 4


def test_a_span_of_an_export_that_has_not_ended_has_no_end(tmp_path: Path) -> None:
    span = {"traceId": "1" * 32, "spanId": "2" * 16, "startTimeUnixNano": "1700000000000000000"}
    path = tmp_path / "export.jsonl"
    path.write_text(
        json.dumps({"resourceSpans": [{"scopeSpans": [{"spans": [span]}]}]}), encoding="utf-8"
    )
    with closing(open_reader(str(path))) as reader:
        (record,) = reader.records()
    assert (record.start_time, record.end_time, record.duration_ms) == (1.7e9, None, None)
    assert SpanRecord.from_dict(record.to_dict()) == record


def test_a_finish_reason_that_is_null_costs_no_messages() -> None:
    attributes: Json = {
        "gen_ai.operation.name": "chat",
        "gen_ai.response.finish_reasons": [None],
        "gen_ai.output.messages": json.dumps([{"role": "assistant", "content": "said"}]),
    }
    conventions.translate(Draft(attributes))
    assert attributes["gen_ai.output.messages"] == [
        messages.message("assistant", [messages.text("said")])
    ]


@pytest.mark.parametrize("odd", [{"a": 1}, ["chat"], 7, True])
def test_an_operation_that_is_no_text_costs_no_record(odd: Any, tmp_path: Path) -> None:
    record = {**WHOLE, "trace_id": "1" * 32, "span_id": "2" * 16, "start_time": 1.7e9}
    record["attributes"] = {"gen_ai.operation.name": odd, "gen_ai.request.model": "m"}
    path = tmp_path / "export.jsonl"
    path.write_bytes(dumps(request_of([SpanRecord.from_dict(record)])))
    with closing(open_reader(str(path))) as reader:
        assert [one.attributes["gen_ai.operation.name"] for one in reader.records()] == [odd]
