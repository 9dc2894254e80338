"""Canaries in every field of every kind of span, and none in anything that leaves the process."""

from __future__ import annotations

import json
import logging
import re
import sqlite3
from pathlib import Path
from typing import Any, Callable, Dict, Iterator, List, Optional

import pytest
from opentelemetry import trace as otel_trace
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import (
    ConcurrentMultiSpanProcessor,
    ReadableSpan,
    Span,
    SpanLimits,
    SpanProcessor,
    TracerProvider,
)
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import Link, SpanContext, Status, StatusCode, TraceFlags, TraceState
from opentelemetry.util._once import Once

import peekr
from peekr.guard import BaseGuardrail, Blocklist, Finding, PIIRedact
from peekr.guard.content import FAILED
from simulated_providers import SimulatedProviders
from tests.conftest import Telemetry
from tests.support.endpoint import Endpoint, running

CANARIES = {
    "email": "canary.jane@example.com",
    "phone": "415-555-2671",
    "ssn": "536-22-1234",
    "credit_card": "4111 1111 1111 1111",
    "ip_address": "203.0.113.77",
    "openai_key": "sk-proj-Canary0123456789Canary0123456789",
    "private_key": "-----BEGIN PRIVATE KEY-----\nMIICanary0123456789\n-----END PRIVATE KEY-----",
    "url_password": "postgres://user:canarypassword1@db/app",
    "term": "operation canary",
}
# What must be nowhere: in a JSON text a line end is written otherwise.
TRACES = (
    "canary.jane",
    "555-2671",
    "5552671",
    "536-22-1",
    "4111 1111",
    "41111111",
    "203.0.113.77",
    "sk-proj-Canary",
    "MIICanary",
    "canarypassword1",
    "operation canary",
)
ALL = " | ".join(CANARIES.values())
CARD = 4111111111111111
URL = "https://api.test/find?email=canary.jane%40example.com&phone=415-555-2671"


def guards() -> List[Any]:
    return [
        PIIRedact(),
        Blocklist(terms=["operation canary"], patterns=Blocklist.COMMON_SECRETS, action="redact"),
    ]


def leaked(text: Any) -> List[str]:
    """Which canaries are in what left the process."""
    if isinstance(text, bytes):
        text = text.decode("utf-8", "replace")
    return [trace for trace in TRACES if trace in text]


def rendered(span: ReadableSpan) -> str:
    """All of a span as text, with what its own rendering leaves out."""
    scope = span.instrumentation_scope
    states = [span.context, span.parent, *(link.context for link in span.links)]
    shown = [
        span.to_json(),
        repr(scope),
        repr(getattr(scope, "attributes", None)),
        *(repr(state.trace_state) for state in states if state is not None),
    ]
    return "\n".join(shown)


class AppError(Exception):
    pass


def fail(detail: str) -> None:
    raise AppError(f"no access for {detail}")


def make_foreign_span(tracer: otel_trace.Tracer) -> None:
    """A span of another instrumentation with canaries wherever the API takes a text."""
    state = TraceState([("vendor", "canary.jane@example.com"), ("other", "kept")])
    remote = SpanContext(1, 2, True, TraceFlags(1), state)
    parent = otel_trace.set_span_in_context(otel_trace.NonRecordingSpan(remote))
    span = tracer.start_span(
        f"GET {URL} {ALL}",
        context=parent,
        attributes={"http.url": URL, "start": ALL, "card": CARD, "list": [ALL, "clean"]},
        links=[Link(remote, {"why": ALL})],
    )
    span.set_attribute("late", ALL)
    span.set_attributes(
        {
            "json": json.dumps({"a": {"phone": "4155552671", "b": [ALL, CARD]}, ALL: 1}),
            "escaped": json.dumps({"a": "é \u2028 " + ALL}),
            "json.in.json": json.dumps({"arguments": json.dumps({"to": ALL})}),
            "broken.json": '{"a": "' + CANARIES["email"],
            f"key of {CANARIES['email']}": "value",
            "many": [CANARIES["email"], CANARIES["ssn"]],
            "gen_ai.prompt.0.content": ALL,
            "gen_ai.completion.0.content": ALL,
            "input.value": ALL,
            "output.value": ALL,
            "user.phone": "4155552671",
            "fine": "clean",
            "fine.number": 12,
        }
    )
    span.add_event(f"event {ALL}", {"detail": ALL, "body": json.dumps([ALL])})
    try:
        fail(ALL)
    except AppError as error:
        span.record_exception(error, {"more": ALL})
        span.set_status(Status(StatusCode.ERROR, f"failed: {ALL}"))
    add_link: Any = getattr(span, "add_link", None)
    if add_link is not None:
        add_link(remote, {"late": ALL})
    span.update_name(f"renamed {ALL}")
    span.end()


@peekr.trace(name=f"traced {CANARIES['email']}")
def traced(question: str, **more: Any) -> Dict[str, Any]:
    span = peekr.get_current_span()
    assert span is not None
    span.attributes["nested"] = {"list": [question, CARD], CANARIES["email"]: question}
    span.attributes["feature"] = question
    return {"answer": question, "card": CARD, "more": more}


@peekr.trace
def traced_failure(question: str) -> None:
    fail(question)


@peekr.trace
def traced_items(question: str) -> Iterator[str]:
    yield question
    yield "clean"


def make_own_spans() -> None:
    with peekr.session(user_id=CANARIES["email"], session_id=f"s {CANARIES['ssn']}"):
        traced(ALL, phone="4155552671")
        with pytest.raises(AppError):
            traced_failure(ALL)
        assert list(traced_items(ALL)) == [ALL, "clean"]
        span, token = peekr.start_span(f"own {ALL}", {"at start": ALL})
        span.attributes["input"] = {"q": ALL}
        span.attributes["output"] = ALL
        peekr.end_span(span, token)
        with pytest.raises(AppError), peekr.span(f"block {ALL}"):
            fail(ALL)


def make_model_calls(simulated: SimulatedProviders) -> None:
    openai = pytest.importorskip("openai")
    client = openai.OpenAI(base_url=simulated.openai_url, api_key="simulated", max_retries=0)
    messages: List[Any] = [
        {"role": "system", "content": f"serve {ALL}"},
        {"role": "user", "content": f"repeat {ALL}\n{CANARIES['phone']}"},
        {
            "role": "assistant",
            "tool_calls": [
                {
                    "id": "call_1",
                    "type": "function",
                    "function": {"name": "find", "arguments": json.dumps({"who": ALL})},
                }
            ],
        },
        {"role": "tool", "tool_call_id": "call_1", "content": json.dumps({"found": ALL})},
    ]
    client.chat.completions.create(model="gpt-4o", messages=messages, user=CANARIES["email"])
    list(client.chat.completions.create(model="gpt-4o", messages=messages, stream=True))
    with pytest.raises(openai.OpenAIError):
        client.chat.completions.create(model=f"no such model {ALL}", messages=messages)
    client.close()


def make_all_spans(provider: TracerProvider, simulated: SimulatedProviders) -> None:
    make_own_spans()
    make_foreign_span(provider.get_tracer(f"lib {CANARIES['email']}", "1.0"))
    make_model_calls(simulated)


def resource() -> Resource:
    return Resource.create({"service.name": "app", "owner": ALL, "argv": [ALL]})


class Outlets:
    """Everything that a span can leave the process by, on one provider.

    Attributes:
        seen: What left, by the way it took.
    """

    def __init__(self, folder: Path, endpoint: Endpoint) -> None:
        self.folder = folder
        self.endpoint = endpoint
        self.before = InMemorySpanExporter()
        self.after = InMemorySpanExporter()
        self.given = InMemorySpanExporter()
        self.added = Records()
        self.processor = Watcher()

    def settings(self) -> Dict[str, Any]:
        return {
            "console": True,
            "storage": "both",
            "jsonl_path": self.folder / "traces.jsonl",
            "db_path": self.folder / "traces.db",
            "exporter": self.given,
            "guardrails": guards(),
        }

    def seen(self) -> Dict[str, Any]:
        assert peekr.flush()
        connection = sqlite3.connect(self.folder / "traces.db")
        try:
            rows = connection.execute("SELECT * FROM spans").fetchall()
        finally:
            connection.close()
        exporters = {"before": self.before, "after": self.after, "exporter=": self.given}
        return {
            "JSONL": (self.folder / "traces.jsonl").read_text("utf-8"),
            "SQLite": json.dumps(rows),
            "SQLite file": b"".join(path.read_bytes() for path in self.folder.glob("traces.db*")),
            "added": json.dumps(self.added.records),
            "HTTP": b"".join(request.plain for request in self.endpoint.received),
            "processor": "\n".join(self.processor.seen),
            **{
                name: "\n".join(map(rendered, exporter.get_finished_spans()))
                for name, exporter in exporters.items()
            },
        }


class Records:
    """An exporter of an application's own."""

    def __init__(self) -> None:
        self.records: List[Dict[str, Any]] = []

    def export(self, span: Any) -> None:
        self.records.append(span.to_dict())


class Watcher(SpanProcessor):
    """A processor that looks at spans whenever it can, live ones too."""

    def __init__(self) -> None:
        self.seen: List[str] = []
        self.live: List[Span] = []

    def on_start(self, span: Span, parent_context: Any = None) -> None:
        self.seen.append(f"{span.name} {dict(span.attributes or {})}")
        self.live.append(span)

    def _on_ending(self, span: Span) -> None:
        self.look(span)

    def on_end(self, span: ReadableSpan) -> None:
        self.seen.append(rendered(span))
        # What it kept from the start, all that was set on it since included.
        for live in self.live:
            self.look(live)

    def force_flush(self, timeout_millis: int = 30_000) -> bool:
        return True

    def look(self, span: Span) -> None:
        self.seen.append(f"{span.name} {dict(span.attributes or {})} {span.status.description}")
        self.seen += [f"{event.name} {dict(event.attributes or {})}" for event in span.events]


@pytest.fixture
def endpoint() -> Iterator[Endpoint]:
    with running() as started:
        yield started


@pytest.fixture
def outlets(tmp_path: Path, endpoint: Endpoint) -> Outlets:
    return Outlets(tmp_path, endpoint)


def own_provider(outlets: Outlets, monkeypatch: pytest.MonkeyPatch) -> TracerProvider:
    """Peekr makes the provider; the application adds its processors afterwards."""
    monkeypatch.setenv("OTEL_RESOURCE_ATTRIBUTES", "owner=canary.jane%40example.com")
    monkeypatch.setattr("peekr.provider._own", None)
    peekr.instrument(**outlets.settings())
    provider: Any = otel_trace.get_tracer_provider()
    provider.add_span_processor(SimpleSpanProcessor(outlets.before))
    return provider


def joined_provider(
    outlets: Outlets, monkeypatch: pytest.MonkeyPatch, **options: Any
) -> TracerProvider:
    """The application has a provider with processors; Peekr joins it."""
    provider = TracerProvider(resource=resource(), shutdown_on_exit=False, **options)
    provider.get_tracer("made before")
    provider.add_span_processor(SimpleSpanProcessor(outlets.before))
    peekr.instrument(tracer_provider=provider, **outlets.settings())
    return provider


def concurrent_provider(outlets: Outlets, monkeypatch: pytest.MonkeyPatch) -> TracerProvider:
    return joined_provider(
        outlets, monkeypatch, active_span_processor=ConcurrentMultiSpanProcessor()
    )


def global_provider(outlets: Outlets, monkeypatch: pytest.MonkeyPatch) -> TracerProvider:
    """The application's provider is the global one."""
    provider = TracerProvider(resource=resource(), shutdown_on_exit=False)
    provider.add_span_processor(SimpleSpanProcessor(outlets.before))
    otel_trace.set_tracer_provider(provider)
    peekr.instrument(**outlets.settings())
    return provider


PROVIDERS: List[Callable[..., TracerProvider]] = [
    own_provider,
    joined_provider,
    concurrent_provider,
    global_provider,
]


@pytest.mark.parametrize("make", PROVIDERS, ids=lambda make: make.__name__)
def test_no_canary_leaves_the_process(
    make: Callable[..., TracerProvider],
    outlets: Outlets,
    simulated: SimulatedProviders,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    http = peekr.HTTPExporter(outlets.endpoint.url, "pk_live_0123456789abcdef")
    peekr.add_exporter(outlets.added)
    peekr.add_exporter(http)
    provider = make(outlets, monkeypatch)
    try:
        provider.add_span_processor(SimpleSpanProcessor(outlets.after))
        provider.add_span_processor(outlets.processor)
        make_all_spans(provider, simulated)
        seen = outlets.seen()
        seen["console"] = capfd.readouterr().out
        for way, text in seen.items():
            assert len(text) > 1_000 or way == "console", way
            assert leaked(text) == [], way
        # Redacted, not left out.
        for way in ("JSONL", "SQLite", "added", "before", "after", "exporter=", "processor"):
            for mark in ("[EMAIL]", "[PHONE]", "[SSN]", "[CREDIT_CARD]", "[BLOCKED]"):
                assert mark in seen[way], (way, mark)
        assert len(outlets.before.get_finished_spans()) == len(outlets.added.records)
    finally:
        peekr.clear_exporters()
        peekr.uninstrument()
        http.shutdown()
        provider.shutdown()


def test_the_model_sees_the_original(telemetry: Telemetry, simulated: SimulatedProviders) -> None:
    telemetry.instrument(guardrails=guards())
    before = len(simulated.requests)
    make_model_calls(simulated)
    sent: List[Any] = [request.body for request in simulated.requests[before:]]
    assert [ALL in body["messages"][0]["content"] for body in sent] == [True, True, True]


def test_json_texts_stay_json(bare_telemetry: Telemetry) -> None:
    bare_telemetry.instrument(guardrails=guards())
    make_foreign_span(bare_telemetry.tracer)
    attributes = dict(bare_telemetry.span.attributes or {})
    redacted = (
        "[EMAIL] | [PHONE] | [SSN] | [CREDIT_CARD] | [IP_ADDRESS] | [BLOCKED] | [BLOCKED] | "
        "postgres://user:[BLOCKED]@db/app | [BLOCKED]"
    )
    assert json.loads(str(attributes["json"])) == {
        "a": {"phone": "[PHONE]", "b": [redacted, "[CREDIT_CARD]"]},
        redacted: 1,
    }
    assert json.loads(str(attributes["escaped"])) == {"a": f"é \u2028 {redacted}"}
    inner = json.loads(str(attributes["json.in.json"]))["arguments"]
    assert json.loads(inner) == {"to": redacted}
    assert attributes["key of [EMAIL]"] == "value"
    assert attributes["user.phone"] == "[PHONE]"
    assert attributes["card"] == "[CREDIT_CARD]"
    assert (attributes["fine"], attributes["fine.number"]) == ("clean", 12)


@pytest.mark.parametrize("limit", [16, 40, 60, 128])
def test_a_length_limit_cuts_what_is_redacted_already(
    limit: int, tmp_path: Path, simulated: SimulatedProviders
) -> None:
    telemetry = Telemetry(tmp_path, span_limits=SpanLimits(max_attribute_length=limit))
    telemetry.instrument(guardrails=guards())
    try:
        make_own_spans()
        make_model_calls(simulated)
        for offset in range(limit):
            with telemetry.tracer.start_as_current_span("cut") as late:
                late.set_attribute("late", "x" * offset + " sk-proj-Canary0123456789Canary01234")
                late.add_event("e", {"late": "x" * offset + f" {CANARIES['email']}"})
        for span in telemetry.spans:
            assert leaked(rendered(span)) == [], span.name
        shown = "\n".join(map(rendered, telemetry.spans))
        assert not re.search(r"Canary|canary\.?j?a?n?e?|sk-p", shown)
    finally:
        peekr.uninstrument()
        telemetry.provider.shutdown()


def test_what_is_too_long_for_a_value_is_redacted_before_the_cut(bare_telemetry: Telemetry) -> None:
    from peekr.values import MAX_CHARS

    bare_telemetry.instrument(guardrails=guards())
    key = CANARIES["openai_key"]
    for kept in (5, 12, 20, len(key) - 1):
        with peekr.span("long") as span:
            span.attributes["input"] = "x" * (MAX_CHARS - kept - 1) + " " + key + " " + "y" * 100
    for span in bare_telemetry.spans:
        assert "sk-p" not in rendered(span)


def test_what_is_clean_is_the_same_span(bare_telemetry: Telemetry) -> None:
    from peekr.pipeline.redact import SpanRedactor

    with bare_telemetry.tracer.start_as_current_span("clean", attributes={"a": "b", "n": [1, 2]}):
        pass
    span = bare_telemetry.span
    assert SpanRedactor(guards())(span) is span


def test_counts_of_what_limits_dropped_are_kept(tmp_path: Path) -> None:
    limits = SpanLimits(max_span_attributes=2, max_events=1, max_links=1)
    telemetry = Telemetry(tmp_path, span_limits=limits)
    telemetry.instrument(guardrails=guards())
    try:
        context = SpanContext(1, 2, False)
        links = [Link(context, {"a": ALL}), Link(context, {"a": ALL})]
        with telemetry.tracer.start_as_current_span("full", links=links) as span:
            for index in range(5):
                span.set_attribute(f"a{index}", ALL)
                span.add_event(ALL)
        made = telemetry.span
        assert leaked(rendered(made)) == []
        assert (made.dropped_attributes, made.dropped_events, made.dropped_links) == (3, 4, 1)
    finally:
        peekr.uninstrument()
        telemetry.provider.shutdown()


# -- fields ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(("field", "kept"), [("input", "output"), ("output", "input")])
def test_a_guard_of_one_field_leaves_what_is_known_to_be_the_other(
    field: str, kept: str, bare_telemetry: Telemetry
) -> None:
    bare_telemetry.instrument(guardrails=[PIIRedact(fields=(field,))])
    with peekr.span(f"mail {CANARIES['email']}") as span:
        span.attributes["input"] = CANARIES["email"]
        span.attributes["output"] = CANARIES["email"]
        span.attributes["other"] = CANARIES["email"]
    record = bare_telemetry.record
    attributes = record["attributes"]
    assert record["name"] == "mail [EMAIL]"
    assert attributes["other"] == "[EMAIL]"
    assert attributes[field] == "[EMAIL]"
    assert attributes[kept] == CANARIES["email"]


# -- coming and going ------------------------------------------------------------------------------


def end_span(telemetry: Telemetry) -> str:
    telemetry.exporter.clear()
    with telemetry.tracer.start_as_current_span(CANARIES["email"]) as span:
        span.set_attribute("a", CANARIES["ssn"])
    return f"{telemetry.span.name} {attributes(telemetry.span)['a']}"


def attributes(span: ReadableSpan) -> Dict[str, Any]:
    return dict(span.attributes or {})


def test_redaction_comes_and_goes_with_the_settings(bare_telemetry: Telemetry) -> None:
    plain = f"{CANARIES['email']} {CANARIES['ssn']}"
    bare_telemetry.instrument()
    assert end_span(bare_telemetry) == plain
    bare_telemetry.instrument(guardrails=[PIIRedact()])
    assert end_span(bare_telemetry) == "[EMAIL] [SSN]"
    bare_telemetry.instrument(guardrails=[PIIRedact(categories="ssn")])
    assert end_span(bare_telemetry) == f"{CANARIES['email']} [SSN]"
    bare_telemetry.instrument(guardrails=[PIIRedact()])
    assert end_span(bare_telemetry) == "[EMAIL] [SSN]"
    peekr.uninstrument()
    assert end_span(bare_telemetry) == plain
    active: Any = getattr(bare_telemetry.provider, "_active_span_processor")  # noqa: B009
    assert "on_end" not in vars(active)
    assert "on_start" not in vars(active)


def test_a_span_that_was_open_before_is_redacted_at_its_end(bare_telemetry: Telemetry) -> None:
    span = bare_telemetry.tracer.start_span(f"old {ALL}", attributes={"a": ALL})
    bare_telemetry.instrument(guardrails=guards())
    span.end()
    assert leaked(rendered(bare_telemetry.span)) == []


def test_without_guards_nothing_is_in_the_way(bare_telemetry: Telemetry) -> None:
    bare_telemetry.instrument(guardrails=[Blocklist(terms=["x"])])
    span = bare_telemetry.tracer.start_span("a")
    assert type(span).__module__ == "opentelemetry.sdk.trace"
    span.end()
    active: Any = getattr(bare_telemetry.provider, "_active_span_processor")  # noqa: B009
    assert "on_end" not in vars(active)


class Sealed(SpanProcessor):
    """A processor that cannot be stood before."""

    __slots__ = ("held",)

    def __init__(self) -> None:
        self.held: List[SpanProcessor] = []

    def add_span_processor(self, processor: SpanProcessor) -> None:
        self.held.append(processor)

    def on_start(self, span: Span, parent_context: Optional[Any] = None) -> None:
        for processor in self.held:
            processor.on_start(span, parent_context)

    def on_end(self, span: ReadableSpan) -> None:
        for processor in self.held:
            processor.on_end(span)


class Closed:
    """A provider of which only the methods of the API and `add_span_processor` are to be had."""

    __slots__ = ("__weakref__", "_hidden")

    def __init__(self, provider: TracerProvider) -> None:
        self._hidden = [provider]

    def get_tracer(self, *args: Any, **options: Any) -> Any:
        return self._hidden[0].get_tracer(*args, **options)

    def add_span_processor(self, processor: SpanProcessor) -> None:
        self._hidden[0].add_span_processor(processor)


def test_a_provider_that_is_closed_is_warned_of_and_redacted_as_far_as_possible(
    bare_telemetry: Telemetry, simulated: SimulatedProviders, caplog: pytest.LogCaptureFixture
) -> None:
    closed = Closed(bare_telemetry.provider)
    with caplog.at_level(logging.WARNING, "peekr"):
        bare_telemetry.instrument(tracer_provider=closed, guardrails=guards())
        make_own_spans()
        make_model_calls(simulated)
    (warning,) = [record.getMessage() for record in caplog.records]
    assert "cannot stand before the span processors of Closed" in warning
    # Our own spans are redacted before anything is set on them: the other processors get that.
    for span in bare_telemetry.spans:
        assert leaked(json.dumps(attributes(span))) == [], span.name
        assert leaked(" ".join(str(event.attributes) for event in span.events)) == []
        assert leaked(str(span.status.description)) == []
    assert leaked(bare_telemetry.path.read_text("utf-8")) == []


# -- faults ----------------------------------------------------------------------------------------


class Broken(BaseGuardrail):
    action = "redact"

    def redact(self, text: str) -> str:
        if "canary" in text:
            raise RuntimeError(f"cannot look at {text}")
        return text


def test_a_guard_that_fails_has_the_text_left_out_and_that_said_once(
    bare_telemetry: Telemetry, caplog: pytest.LogCaptureFixture
) -> None:
    bare_telemetry.instrument(guardrails=[Broken()])
    with caplog.at_level(logging.WARNING, "peekr"):
        for _ in range(3):
            with peekr.span("work") as span:
                span.attributes["input"] = {"a": CANARIES["email"], "b": "clean"}
    (warning,) = [record.getMessage() for record in caplog.records]
    assert "Broken failed while redacting (RuntimeError)" in warning
    assert leaked(caplog.text) == []
    for record in bare_telemetry.records:
        assert record["attributes"]["input"] == {"a": FAILED, "b": "clean"}


def test_a_pattern_that_takes_too_long_has_the_text_left_out(
    bare_telemetry: Telemetry, caplog: pytest.LogCaptureFixture
) -> None:
    guard = Blocklist(patterns=[r"(x+x+)+y"], action="redact")
    bare_telemetry.instrument(guardrails=[guard])
    with caplog.at_level(logging.WARNING, "peekr"), peekr.span("work") as span:
        span.attributes["input"] = "x" * 10_000
    assert "Blocklist failed while redacting (the pattern" in caplog.text
    assert bare_telemetry.record["attributes"]["input"] == FAILED


@pytest.mark.usefixtures("contained_faults")
def test_a_fault_of_redaction_itself_keeps_the_span_without_its_content(
    bare_telemetry: Telemetry,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    from peekr.pipeline.redact import SpanRedactor

    def fault(self: Any, *args: Any) -> Any:
        raise RuntimeError(f"cannot read {ALL}")

    bare_telemetry.instrument(guardrails=guards())
    monkeypatch.setattr(SpanRedactor, "attributes", fault)
    with (  # noqa: PT012
        caplog.at_level(logging.WARNING, "peekr"),
        pytest.raises(AppError),
        bare_telemetry.tracer.start_as_current_span("work", attributes={"a": ALL}) as span,
    ):
        span.set_attribute("b", ALL)
        span.add_event("c", {"d": ALL})
        fail(ALL)
    (span,) = bare_telemetry.spans
    assert leaked(rendered(span)) == []
    assert leaked(caplog.text) == []
    assert attributes(span) == {"peekr.redaction.failed": True}
    assert span.status.status_code is StatusCode.ERROR
    record = bare_telemetry.record
    assert (record["name"], record["status"]) == (FAILED, "error")


class Names(BaseGuardrail):
    action = "redact"

    def check(self, text: str, field: str) -> List[Finding]:
        return [Finding("name", m.start(), m.end()) for m in re.finditer("^Jane$", text)]


def test_a_guard_of_ones_own_gets_the_texts_inside_json(bare_telemetry: Telemetry) -> None:
    bare_telemetry.instrument(guardrails=[Names()])
    with peekr.span("work") as span:
        span.attributes["input"] = {"who": ["Jane", "Jane Doe"]}
    assert bare_telemetry.record["attributes"]["input"] == {"who": ["[REDACTED]", "Jane Doe"]}


# -- what is recorded besides spans ----------------------------------------------------------------


def test_notes_of_feedback_are_redacted(bare_telemetry: Telemetry, tmp_path: Path) -> None:
    path = tmp_path / "feedback.db"

    def note() -> str:
        connection = sqlite3.connect(path)
        try:
            return str(connection.execute("SELECT note FROM feedback").fetchall()[-1][0])
        finally:
            connection.close()

    bare_telemetry.instrument(guardrails=guards())
    peekr.feedback("0" * 31 + "1", 1, f"call {CANARIES['phone']}", db_path=str(path))
    assert note() == "call [PHONE]"
    peekr.uninstrument()
    peekr.feedback("0" * 31 + "1", 1, f"call {CANARIES['phone']}", db_path=str(path))
    assert note() == f"call {CANARIES['phone']}"


def test_metrics_are_redacted(
    bare_telemetry: Telemetry, simulated: SimulatedProviders, monkeypatch: pytest.MonkeyPatch
) -> None:
    from opentelemetry import metrics
    from opentelemetry.metrics import _internal as internal
    from opentelemetry.sdk.metrics import MeterProvider
    from opentelemetry.sdk.metrics.export import InMemoryMetricReader

    reader = InMemoryMetricReader()
    provider = MeterProvider([reader], shutdown_on_exit=False)
    monkeypatch.setattr(internal, "_METER_PROVIDER", None)
    monkeypatch.setattr(internal, "_METER_PROVIDER_SET_ONCE", Once())
    bare_telemetry.instrument(guardrails=guards())
    try:
        metrics.set_meter_provider(provider)
        make_model_calls(simulated)
        data: Any = reader.get_metrics_data()
        shown = data.to_json()
    finally:
        provider.shutdown()
    assert "gen_ai.client.operation.duration" in shown
    assert "no such model [EMAIL]" in shown
    assert leaked(shown) == []


def test_threads_may_redact_at_once(bare_telemetry: Telemetry) -> None:
    import threading

    bare_telemetry.instrument(guardrails=guards())

    def work(number: int) -> None:
        for index in range(50):
            with bare_telemetry.tracer.start_as_current_span(f"{number} {CANARIES['email']}") as s:
                s.set_attribute("a", f"{number} {index} {CANARIES['ssn']}")
                s.set_attribute("b", "x" * (index * 1_000))

    threads = [threading.Thread(target=work, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(bare_telemetry.spans) == 200
    assert all(leaked(f"{span.name} {span.attributes}") == [] for span in bare_telemetry.spans)
