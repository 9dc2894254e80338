"""From an OpenTelemetry span, whoever made it, to its record."""

from __future__ import annotations

import json
import math
from typing import Any, Callable, Dict, List, Optional

import pytest
from opentelemetry import trace as otel_trace
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.sdk.trace.id_generator import IdGenerator
from opentelemetry.sdk.trace.sampling import Decision, Sampler, SamplingResult
from opentelemetry.trace import (
    NonRecordingSpan,
    Span,
    SpanContext,
    Status,
    StatusCode,
    TraceFlags,
    set_span_in_context,
)

import peekr
from peekr.encoding import dumps
from peekr.pipeline.project import project

from .conftest import Telemetry

START_NS = 1_700_000_000_500_000_000
END_NS = START_NS + 1_000_000_000


class _FixedIds(IdGenerator):
    def __init__(self) -> None:
        self._span_id = 0x00F067AA0BA902B6

    def generate_trace_id(self) -> int:
        return 0x0AF7651916CD43DD8448EB211C80319C

    def generate_span_id(self) -> int:
        self._span_id += 1
        return self._span_id


class Spans:
    """Makes real spans with fixed ids and times."""

    def __init__(self) -> None:
        self._exporter = InMemorySpanExporter()
        self.provider = TracerProvider(id_generator=_FixedIds(), shutdown_on_exit=False)
        self.provider.add_span_processor(SimpleSpanProcessor(self._exporter))
        self.tracer = self.provider.get_tracer("test")

    def span(
        self,
        name: str = "work",
        attributes: Optional[Dict[str, Any]] = None,
        during: Optional[Callable[[Span], Any]] = None,
        context: Any = None,
    ) -> ReadableSpan:
        span = self.tracer.start_span(name, context, attributes=attributes, start_time=START_NS)
        if during is not None:
            during(span)
        span.end(END_NS)
        return self._exporter.get_finished_spans()[-1]

    def record(self, *arguments: Any, **named: Any) -> Dict[str, Any]:
        """The record as a reader of the file gets it."""
        return json.loads(dumps(project(self.span(*arguments, **named)).to_dict()))

    def attributes(self, *arguments: Any, **named: Any) -> Dict[str, Any]:
        return self.record(*arguments, **named)["attributes"]


@pytest.fixture
def spans() -> Spans:
    return Spans()


def messages(*entries: Any) -> str:
    return json.dumps(entries)


def one(role: str, *parts: Any, **extra: Any) -> Dict[str, Any]:
    return {"role": role, "parts": list(parts), **extra}


def text(content: str) -> Dict[str, Any]:
    return {"type": "text", "content": content}


# -- whole records ---------------------------------------------------------------------------------

BASE: Dict[str, Any] = {
    "trace_id": "0af7651916cd43dd8448eb211c80319c",
    "span_id": "00f067aa0ba902b7",
    "parent_id": None,
    "name": "work",
    "start_time": 1_700_000_000.5,
    "end_time": 1_700_000_001.5,
    "duration_ms": 1000.0,
    "status": "ok",
    "tenant_id": None,
    "retention_class": None,
    "attributes": {},
}


def test_a_span_without_attributes(spans: Spans) -> None:
    assert spans.record() == BASE


def test_a_span_of_another_library_keeps_its_names(spans: Spans) -> None:
    attributes = {"http.request.method": "GET", "model": "T", "input": "[1]", "error": True}
    assert spans.record("GET /", attributes) == {**BASE, "name": "GET /", "attributes": attributes}


def test_a_chat(spans: Spans) -> None:
    call = {"type": "tool_call", "id": "c1", "name": "weather", "arguments": {"city": "Rome"}}
    record = spans.record(
        "chat gpt-4o",
        {
            "peekr.record.name": "openai.chat",
            "gen_ai.operation.name": "chat",
            "gen_ai.provider.name": "openai",
            "gen_ai.request.model": "gpt-4o",
            "gen_ai.response.model": "gpt-4o-2024-08-06",
            "gen_ai.response.finish_reasons": ("tool_call",),
            "gen_ai.response.time_to_first_chunk": 0.25,
            "gen_ai.usage.input_tokens": 12,
            "gen_ai.usage.output_tokens": 5,
            "gen_ai.usage.cache_read.input_tokens": 8,
            "gen_ai.usage.cache_creation.input_tokens": 2,
            "gen_ai.usage.reasoning.output_tokens": 3,
            "gen_ai.system_instructions": json.dumps([text("Be brief.")]),
            "gen_ai.input.messages": messages(one("user", text("Rome?"))),
            "gen_ai.output.messages": messages(
                one("assistant", text("Let me see."), call, finish_reason="tool_call")
            ),
            "gen_ai.tool.definitions": '[{"type": "function", "name": "weather"}]',
            "session.id": "s1",
            "user.id": "u1",
            "peekr.cost_usd": 0.0021,
            "peekr.experiment.variant": "b",
            "peekr.feature": "search",
            "peekr.endpoint": "/ask",
            "peekr.tenant_id": "acme",
            "peekr.retention_class": "short",
        },
    )
    assert record == {
        **BASE,
        "name": "openai.chat",
        "tenant_id": "acme",
        "retention_class": "short",
        "attributes": {
            "model": "gpt-4o",
            "provider": "openai",
            "tokens_input": 12,
            "tokens_output": 5,
            "tokens_total": 17,
            "tokens_cache_read": 8,
            "tokens_cache_write": 2,
            "tokens_reasoning": 3,
            "finish_reasons": ["tool_call"],
            "time_to_first_token_ms": 250.0,
            "session_id": "s1",
            "user_id": "u1",
            "cost_usd": 0.0021,
            "experiment_variant": "b",
            "feature": "search",
            "endpoint": "/ask",
            "system_instructions": 1,
            "input": [
                {"role": "system", "content": "Be brief."},
                {"role": "user", "content": "Rome?"},
            ],
            "tool_calls": [{"id": "c1", "name": "weather", "arguments": {"city": "Rome"}}],
            "output": [
                {
                    "role": "assistant",
                    "content": "Let me see.",
                    "tool_calls": [{"id": "c1", "name": "weather", "arguments": {"city": "Rome"}}],
                }
            ],
            "gen_ai.operation.name": "chat",
            "gen_ai.provider.name": "openai",
            "gen_ai.request.model": "gpt-4o",
            "gen_ai.response.model": "gpt-4o-2024-08-06",
            "gen_ai.response.finish_reasons": ["tool_call"],
            "gen_ai.response.time_to_first_chunk": 0.25,
            "gen_ai.usage.input_tokens": 12,
            "gen_ai.usage.output_tokens": 5,
            "gen_ai.usage.cache_read.input_tokens": 8,
            "gen_ai.usage.cache_creation.input_tokens": 2,
            "gen_ai.usage.reasoning.output_tokens": 3,
            "gen_ai.tool.definitions": [{"type": "function", "name": "weather"}],
            "session.id": "s1",
            "user.id": "u1",
        },
    }


def test_a_function(spans: Spans) -> None:
    record = spans.record(
        "app.plan",
        {"peekr.input": '{"city": "Rome", "n": [1, null]}', "peekr.output": '"a plan"'},
    )
    assert record["attributes"] == {"input": {"city": "Rome", "n": [1, None]}, "output": "a plan"}


def test_a_tool(spans: Spans) -> None:
    got = spans.attributes(
        "execute_tool weather",
        {
            "gen_ai.operation.name": "execute_tool",
            "gen_ai.tool.call.arguments": '{"city": "Rome"}',
            "gen_ai.tool.call.result": "clear",
        },
    )
    assert (got["input"], got["output"]) == ({"city": "Rome"}, "clear")
    assert not [name for name in got if name.startswith("gen_ai.tool.call.")]


# -- models and counts -----------------------------------------------------------------------------


def test_the_response_model_stands_in_where_none_was_asked_for(spans: Spans) -> None:
    call = {"gen_ai.operation.name": "chat", "gen_ai.response.model": "m"}
    assert spans.attributes("chat", call)["model"] == "m"
    assert "model" not in spans.attributes("chat", {"gen_ai.operation.name": "chat"})


@pytest.mark.parametrize(
    ("operation", "counts", "total"),
    [
        ("chat", (3, 4), 7),
        ("chat", (0, 0), 0),
        ("chat", (3, None), None),
        ("chat", (None, 4), None),
        ("chat", (None, None), None),
        ("embeddings", (3, None), 3),
        ("text_completion", (3, 4), 7),
        ("chat", ("3", "4"), 7),
        ("chat", (3, "4"), 7),
        ("chat", (3, "few"), None),
    ],
)
def test_a_total_is_never_invented(spans: Spans, operation: str, counts: Any, total: Any) -> None:
    names = ("gen_ai.usage.input_tokens", "gen_ai.usage.output_tokens")
    told = {name: count for name, count in zip(names, counts) if count is not None}
    got = spans.attributes("x", {"gen_ai.operation.name": operation, **told})
    assert got.get("tokens_total") == total
    read = {"3": 3, "4": 4}
    assert got.get("tokens_input") == read.get(counts[0], counts[0])
    assert got.get("tokens_output") == read.get(counts[1], counts[1])


def test_a_time_that_is_no_number_costs_no_record(spans: Spans) -> None:
    call = {"gen_ai.operation.name": "chat", "gen_ai.response.time_to_first_chunk": "soon"}
    got = spans.attributes("chat", call)
    assert "time_to_first_token_ms" not in got
    assert got["gen_ai.response.time_to_first_chunk"] == "soon"


# -- input and output ------------------------------------------------------------------------------


def chat(**content: Any) -> Dict[str, Any]:
    names = {
        "input": "gen_ai.input.messages",
        "output": "gen_ai.output.messages",
        "system": "gen_ai.system_instructions",
        "reasons": "gen_ai.response.finish_reasons",
        "operation": "gen_ai.operation.name",
    }
    made = {"gen_ai.operation.name": "chat"}
    made.update({names[key]: value for key, value in content.items()})
    return made


def test_an_answer_of_text_alone_is_the_text(spans: Spans) -> None:
    answer = messages(one("assistant", text("Hello"), finish_reason="stop"))
    assert spans.attributes("c", chat(output=answer, reasons=("stop",)))["output"] == "Hello"


def test_several_answers_are_a_list(spans: Spans) -> None:
    answers = messages(
        one("assistant", text("a"), finish_reason="stop"),
        one("assistant", text("b"), finish_reason="length"),
    )
    got = spans.attributes("c", chat(output=answers, reasons=("stop", "length")))
    assert got["output"] == [
        {"role": "assistant", "content": "a"},
        {"role": "assistant", "content": "b"},
    ]


def test_a_reason_that_stands_nowhere_else_stays_with_its_answer(spans: Spans) -> None:
    answer = messages(one("assistant", text("a"), finish_reason="other"))
    got = spans.attributes("c", chat(output=answer, reasons=("stop",)))
    assert got["output"] == [{"role": "assistant", "content": "a", "finish_reason": "other"}]


def test_tool_calls_are_gathered_from_all_places_in_their_order(spans: Spans) -> None:
    calls = [{"type": "tool_call", "id": f"c{n}", "name": "f", "arguments": n} for n in range(4)]
    answers = messages(
        one("assistant", calls[0], text("and"), calls[1]), one("assistant", calls[2], calls[3])
    )
    got = spans.attributes("c", chat(output=answers))
    assert [call["id"] for call in got["tool_calls"]] == ["c0", "c1", "c2", "c3"]


def test_a_tool_result_in_the_answer_is_no_tool_call(spans: Spans) -> None:
    result = {
        "type": "tool_call_response",
        "id": "c1",
        "response": ["text", 1, {"type": "tool_call"}],
    }
    got = spans.attributes("c", chat(output=messages(one("assistant", result))))
    assert got["output"] == [
        {"role": "assistant", "tool_call_id": "c1", "content": result["response"]}
    ]
    assert "tool_calls" not in got


@pytest.mark.parametrize("operation", ["embeddings", "text_completion"])
def test_a_single_bare_text_is_a_text(spans: Spans, operation: str) -> None:
    call = chat(input=messages(one("user", text("embed me"))), operation=operation)
    assert spans.attributes("e", call)["input"] == "embed me"


def test_a_chat_with_one_text_is_a_conversation_still(spans: Spans) -> None:
    got = spans.attributes("c", chat(input=messages(one("user", text("hi")))))
    assert got["input"] == [{"role": "user", "content": "hi"}]
    assert "system_instructions" not in got


def test_several_bare_texts_are_messages(spans: Spans) -> None:
    call = chat(
        input=messages(one("user", text("a")), one("user", text("b"))), operation="embeddings"
    )
    assert [entry["content"] for entry in spans.attributes("e", call)["input"]] == ["a", "b"]


def test_system_instructions_come_first_and_are_counted(spans: Spans) -> None:
    instructions = json.dumps([text("Be brief."), text("Be kind.")])
    conversation = messages(one("system", text("inline")), one("user", text("hi")))
    got = spans.attributes("c", chat(input=conversation, system=instructions))
    assert got["system_instructions"] == 1
    assert got["input"] == [
        {"role": "system", "content": [text("Be brief."), text("Be kind.")]},
        {"role": "system", "content": "inline"},
        {"role": "user", "content": "hi"},
    ]


@pytest.mark.parametrize("system", ["Be brief.", '{"type": "text"', "7"])
def test_instructions_in_another_form_are_kept_as_they_are(spans: Spans, system: str) -> None:
    got = spans.attributes("c", chat(system=system))
    assert got["input"] == [{"role": "system", "content": system}]


@pytest.mark.parametrize(
    "raw",
    [
        '[{"role": "user", "parts": [{"type": "te',
        "plain text",
        "7",
        "null",
        '"text"',
        "[" * 100_000,
    ],
    ids=range(6),
)
def test_messages_that_cannot_be_read_stay_the_text_that_they_are(spans: Spans, raw: str) -> None:
    got = spans.attributes("c", chat(input=raw, output=raw, system=json.dumps([text("s")])))
    assert got["input"] == raw
    assert got["output"] == raw
    assert got["gen_ai.system_instructions"] == [text("s")]
    assert "gen_ai.input.messages" not in got


@pytest.mark.parametrize(
    "raw",
    [
        '["text"]',
        '[{"role": 7, "content": "hi"}]',
        '[{"role": "user", "parts": ["text"]}]',
        '[{"role": "user", "parts": 7}]',
        '[{"parts": [{"type": "text", "content": "x"}], "name": "n"}]',
        '{"question": "x"}',
    ],
    ids=range(6),
)
def test_values_that_are_no_messages_stay_the_values_that_they_are(spans: Spans, raw: str) -> None:
    got = spans.attributes("c", chat(input=raw, output=raw))
    assert got["input"] == json.loads(raw)
    assert got["output"] == json.loads(raw)
    assert "gen_ai.input.messages" not in got


def test_parts_that_are_no_objects_cost_no_record(spans: Spans) -> None:
    answer = messages(one("assistant", "loose", text("a"), finish_reason="stop"))
    got = spans.attributes("c", chat(output=answer))
    assert got["output"][0]["content"] == ["loose", text("a")]


def test_content_is_not_stored_twice(spans: Spans) -> None:
    secret = "only once"
    call = chat(
        input=messages(one("user", text(secret))),
        output=messages(one("assistant", text("out"))),
        system=json.dumps([text("sys")]),
    )
    stored = json.dumps(spans.record("c", call))
    assert [stored.count(content) for content in (secret, '"out"', '"sys"')] == [1, 1, 1]


# -- values ----------------------------------------------------------------------------------------


def test_numbers_that_json_lacks_are_null(spans: Spans) -> None:
    got = spans.attributes("w", {"nan": math.nan, "inf": math.inf, "list": [1.0, math.nan]})
    assert got == {"nan": None, "inf": None, "list": [1.0, None]}


def test_sequences_are_lists(spans: Spans) -> None:
    given = {"texts": ("a", "b"), "numbers": [1, 2], "flags": [True], "none": []}
    assert spans.attributes("w", given) == {
        "texts": ["a", "b"],
        "numbers": [1, 2],
        "flags": [True],
        "none": [],
    }


def test_nested_values_come_back_and_deleted_ones_do_not(spans: Spans) -> None:
    got = spans.attributes(
        "w",
        {
            "peekr.json_attributes": ("plan", "gone", "absent", "broken"),
            "plan": '{"steps": [1, {"a": null}]}',
            "gone": "",
            "broken": '{"cut o',
            "other": '{"text": 1}',
        },
    )
    assert got == {
        "plan": {"steps": [1, {"a": None}]},
        "broken": '{"cut o',
        "other": '{"text": 1}',
    }


def test_surrogates_reach_the_file_as_text(spans: Spans) -> None:
    assert spans.attributes("w", {"text": "a\ud800"})["text"] == "a\\ud800"


def test_the_span_is_not_changed(spans: Spans) -> None:
    span = spans.span("c", chat(input=messages(one("user", text("hi")))))
    before = dict(span.attributes or {})
    first, second = project(span), project(span)
    assert first == second
    assert dict(span.attributes or {}) == before
    assert "input" not in before


@pytest.mark.parametrize("attributes", [None, {}, {"a": 1}])
def test_a_span_that_no_tracer_made(attributes: Any) -> None:
    context = SpanContext(1, 2, False)
    span = ReadableSpan("made", context, attributes=attributes, start_time=1, end_time=2)
    record = project(span)
    assert (record.name, record.attributes) == ("made", attributes or {})


# -- errors and events -----------------------------------------------------------------------------


def fail_with(*errors: BaseException, description: Optional[str] = None) -> Callable[[Span], None]:
    def during(span: Span) -> None:
        for error in errors:
            try:
                raise error
            except BaseException as raised:
                span.record_exception(raised)
        span.set_status(Status(StatusCode.ERROR, description))

    return during


def test_an_exception_is_the_error(spans: Spans) -> None:
    record = spans.record(during=fail_with(ValueError("no"), description="ValueError: no"))
    assert record["status"] == "error"
    got = record["attributes"]
    assert got["error"] == "ValueError: no"
    assert got["exception.type"] == "ValueError"
    assert got["exception.stacktrace"].splitlines()[-1] == "ValueError: no"
    assert "events" not in got
    assert "exception.message" not in got  # it is in the error


def test_a_description_of_ones_own_does_not_hide_the_exception(spans: Spans) -> None:
    got = spans.attributes(during=fail_with(ValueError("no card"), description="payment failed"))
    assert got["error"] == "payment failed"
    assert got["exception.message"] == "no card"


def test_the_last_exception_is_it_and_earlier_ones_are_kept(spans: Spans) -> None:
    got = spans.attributes(during=fail_with(ValueError("first"), KeyError("second")))
    assert got["error"] == "'second'"
    assert got["exception.type"] == "KeyError"
    (event,) = got["events"]
    assert event["name"] == "exception"
    assert event["attributes"]["exception.message"] == "first"


@pytest.mark.parametrize(
    ("attributes", "error"), [({"error.type": "timeout"}, "timeout"), ({}, "error")]
)
def test_an_error_without_words_is_an_error_still(
    spans: Spans, attributes: Dict[str, Any], error: str
) -> None:
    record = spans.record("w", attributes, fail_with())
    assert (record["status"], record["attributes"]["error"]) == ("error", error)


def test_an_exception_that_was_handled_is_no_error(spans: Spans) -> None:
    def during(span: Span) -> None:
        span.record_exception(ValueError("handled"))
        span.set_status(Status(StatusCode.OK))

    record = spans.record(during=during)
    assert record["status"] == "ok"
    got = record["attributes"]
    assert "error" not in got
    assert got["exception.type"] == "ValueError"
    assert got["events"][0]["attributes"]["exception.message"] == "handled"


def test_other_events_are_kept_with_their_times(spans: Spans) -> None:
    def during(span: Span) -> None:
        span.add_event("cache.miss", {"key": "k", "tries": [1, 2]}, START_NS + 500_000_000)
        span.add_event("bare", timestamp=START_NS)

    assert spans.attributes(during=during)["events"] == [
        {
            "name": "cache.miss",
            "time": 1_700_000_001.0,
            "attributes": {"key": "k", "tries": [1, 2]},
        },
        {"name": "bare", "time": 1_700_000_000.5, "attributes": {}},
    ]


# -- parents, tenants ------------------------------------------------------------------------------


def test_a_parent_here_and_one_elsewhere(spans: Spans) -> None:
    elsewhere = SpanContext(0xABC, 0xDEF, True, TraceFlags(TraceFlags.SAMPLED))
    remote = spans.record(context=set_span_in_context(NonRecordingSpan(elsewhere)))
    assert remote["trace_id"] == f"{0xABC:032x}"
    assert remote["parent_id"] == f"{0xDEF:016x}"
    parent = spans.tracer.start_span("parent")
    child = spans.record(context=set_span_in_context(parent))
    assert child["parent_id"] == format(parent.get_span_context().span_id, "016x")
    parent.end()


def test_the_spans_own_tenant_goes_before_the_one_that_is_set(spans: Spans) -> None:
    named = spans.span("w", {"peekr.tenant_id": "own", "peekr.retention_class": "pii"})
    record = project(named, "set", "short")
    assert (record.tenant_id, record.retention_class) == ("own", "pii")
    assert record.attributes == {}
    record = project(spans.span(), "set", "short")
    assert (record.tenant_id, record.retention_class) == ("set", "short")


# -- what is stored --------------------------------------------------------------------------------


class _Decides(Sampler):
    def __init__(self, decision: Decision) -> None:
        self._decision = decision

    def should_sample(self, *arguments: Any, **named: Any) -> SamplingResult:
        return SamplingResult(self._decision)

    def get_description(self) -> str:
        return "decides"


@pytest.mark.parametrize(
    ("decision", "stored"),
    [(Decision.DROP, 0), (Decision.RECORD_ONLY, 0), (Decision.RECORD_AND_SAMPLE, 1)],
)
def test_spans_that_are_not_sampled_are_not_stored(
    tmp_path: Any, decision: Decision, stored: int
) -> None:
    made = Telemetry(tmp_path, sampler=_Decides(decision))
    made.instrument()
    with made.tracer.start_as_current_span("work"):
        pass
    assert len(made.records) == stored
    peekr.uninstrument()
    made.provider.shutdown()


def test_a_span_in_the_file_is_the_record_of_the_span(telemetry: Telemetry) -> None:
    with telemetry.tracer.start_as_current_span("outer") as outer:
        with telemetry.tracer.start_as_current_span("inner", attributes={"a": 1}):
            pass
        assert outer is otel_trace.get_current_span()
    expected: List[Dict[str, Any]] = [
        json.loads(dumps(project(span).to_dict())) for span in telemetry.spans
    ]
    assert telemetry.records == expected
