"""OpenTelemetry's variables for content: on spans, in events, in both, nowhere."""

from __future__ import annotations

import json
from typing import Any, Dict, Iterator, List, NamedTuple, Set

import pytest
from opentelemetry import _logs
from opentelemetry._logs import _internal
from opentelemetry.util._once import Once

import peekr
from peekr import config
from peekr.config import content_capture
from simulated_providers import SimulatedProviders

from ..conftest import Telemetry, attributes_of
from . import registry
from .operations import OPERATIONS

sdk_logs = pytest.importorskip("opentelemetry.sdk._logs")
if not hasattr(sdk_logs, "ReadWriteLogRecord"):
    pytest.skip("an SDK that makes events in another way", allow_module_level=True)

VARIABLE = "OTEL_INSTRUMENTATION_GENAI_CAPTURE_MESSAGE_CONTENT"
EMIT = "OTEL_INSTRUMENTATION_GENAI_EMIT_EVENT"
EVENT = "gen_ai.client.inference.operation.details"
MESSAGES = {
    "gen_ai.input.messages",
    "gen_ai.output.messages",
    "gen_ai.system_instructions",
    "gen_ai.tool.definitions",
}

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")


class Logged(NamedTuple):
    name: str
    span_id: int
    attributes: Dict[str, Any]


@pytest.fixture
def logged(monkeypatch: pytest.MonkeyPatch) -> Iterator[List[Logged]]:
    """What goes to OpenTelemetry's logs, which this sets up."""
    kept: List[Logged] = []

    class Keep(sdk_logs.LogRecordProcessor):  # type: ignore[misc]
        def on_emit(self, log_record: Any) -> None:
            record = log_record.log_record
            kept.append(Logged(record.event_name, record.span_id, dict(record.attributes)))

        def shutdown(self) -> None:
            """Nothing is held."""

        def force_flush(self, timeout_millis: int = 30_000) -> bool:
            return True

    monkeypatch.setattr(_internal, "_LOGGER_PROVIDER", None)
    monkeypatch.setattr(_internal, "_LOGGER_PROVIDER_SET_ONCE", Once())
    provider = sdk_logs.LoggerProvider(shutdown_on_exit=False)
    provider.add_log_record_processor(Keep())
    _logs.set_logger_provider(provider)
    yield kept
    provider.shutdown()


def _run(telemetry: Telemetry, simulated: SimulatedProviders, name: str = "gemini content") -> None:
    OPERATIONS[name].call(simulated)
    peekr.flush()


@pytest.mark.parametrize(
    ("value", "on_span", "in_event"),
    [
        ("", True, False),
        ("SPAN_ONLY", True, False),
        ("span_only", True, False),
        ("true", True, False),
        ("NO_CONTENT", False, False),
        ("false", False, False),
        ("EVENT_ONLY", False, True),
        ("SPAN_AND_EVENT", True, True),
    ],
)
def test_messages_go_where_the_variable_says(
    value: str,
    on_span: bool,
    in_event: bool,
    bare_telemetry: Telemetry,
    simulated: SimulatedProviders,
    logged: List[Logged],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv(VARIABLE, value)
    bare_telemetry.instrument()
    _run(bare_telemetry, simulated)
    span = attributes_of(bare_telemetry.span)
    assert MESSAGES.isdisjoint(span) != on_span
    assert ("input" in bare_telemetry.record["attributes"]) == on_span
    assert len(logged) == (1 if in_event else 0)
    for event in logged:
        assert set(event.attributes) >= MESSAGES


@pytest.mark.parametrize("name", ["openai chat", "openai responses streamed", "gemini content"])
def test_the_event_is_that_of_the_conventions(
    name: str,
    bare_telemetry: Telemetry,
    simulated: SimulatedProviders,
    logged: List[Logged],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv(VARIABLE, "SPAN_AND_EVENT")
    bare_telemetry.instrument()
    _run(bare_telemetry, simulated, name)
    (event,) = logged
    span = bare_telemetry.span
    attributes = attributes_of(span)
    context = span.get_span_context()
    assert context is not None
    assert (event.name, event.span_id) == (EVENT, context.span_id)
    for attribute, value in event.attributes.items():
        if attribute in MESSAGES:
            # The SDK keeps lists as tuples.
            assert json.loads(json.dumps(value)) == json.loads(attributes[attribute])
        else:
            assert value == attributes[attribute]
            assert registry.wrong_type(attribute, value) is None
    ours = {attribute for attribute in attributes if not attribute.startswith("peekr.")}
    assert ours == set(event.attributes)


def test_a_failure_is_an_event_with_its_type(
    bare_telemetry: Telemetry,
    simulated: SimulatedProviders,
    logged: List[Logged],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv(VARIABLE, "EVENT_ONLY")
    bare_telemetry.instrument()
    _run(bare_telemetry, simulated, "openai chat refused")
    assert logged[0].attributes["error.type"] == "NotFoundError"
    assert "gen_ai.input.messages" in logged[0].attributes
    assert not bare_telemetry.span.events


def test_calls_that_are_not_sampled_are_events_too(
    tmp_path: Any,
    simulated: SimulatedProviders,
    logged: List[Logged],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    from opentelemetry.sdk.trace.sampling import ALWAYS_OFF

    monkeypatch.setenv(VARIABLE, "EVENT_ONLY")
    telemetry = Telemetry(tmp_path, sampler=ALWAYS_OFF)
    telemetry.instrument()
    _run(telemetry, simulated)
    assert set(logged[0].attributes) >= MESSAGES


@pytest.mark.parametrize(
    ("value", "emit", "events", "content"),
    [
        ("SPAN_ONLY", "true", 1, False),
        ("", "true", 1, False),
        ("EVENT_ONLY", "false", 0, False),
        ("SPAN_AND_EVENT", "True", 1, True),
    ],
)
def test_events_can_be_asked_for_or_refused_by_themselves(
    value: str,
    emit: str,
    events: int,
    content: bool,
    bare_telemetry: Telemetry,
    simulated: SimulatedProviders,
    logged: List[Logged],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv(VARIABLE, value)
    monkeypatch.setenv(EMIT, emit)
    bare_telemetry.instrument()
    _run(bare_telemetry, simulated)
    assert len(logged) == events
    assert [not MESSAGES.isdisjoint(event.attributes) for event in logged] == [content] * events


def test_capture_content_false_wins_over_the_variable(
    bare_telemetry: Telemetry,
    simulated: SimulatedProviders,
    logged: List[Logged],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv(VARIABLE, "SPAN_AND_EVENT")
    bare_telemetry.instrument(capture_content=False)
    _run(bare_telemetry, simulated)
    assert MESSAGES.isdisjoint(attributes_of(bare_telemetry.span))
    assert MESSAGES.isdisjoint(logged[0].attributes)


def test_no_content_keeps_the_arguments_of_functions_out_too(
    bare_telemetry: Telemetry, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(VARIABLE, "NO_CONTENT")
    bare_telemetry.instrument()

    @peekr.trace
    def work(question: str) -> str:
        return question

    work("secret")
    assert "secret" not in json.dumps(bare_telemetry.record)


def test_redaction_reaches_events(
    bare_telemetry: Telemetry,
    simulated: SimulatedProviders,
    logged: List[Logged],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    from peekr.guard import PIIRedact

    from ..instrumentation.openai.calls import make_client

    monkeypatch.setenv(VARIABLE, "EVENT_ONLY")
    bare_telemetry.instrument(guardrails=[PIIRedact()])
    with make_client("sync", simulated.openai_url) as client:
        client.chat.completions.create(
            model="gpt-4o", messages=[{"role": "user", "content": "Write to ada@example.com"}]
        )
    text = json.dumps(logged[0].attributes)
    assert "[EMAIL]" in text
    assert "ada@example.com" not in text


def test_a_word_that_means_nothing_keeps_content_out_and_is_said_once(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    refused: Set[str] = set()
    monkeypatch.setattr(config, "_refused", refused)
    for _ in range(3):
        assert content_capture({VARIABLE: "nothing"}) == (False, False, False)
    assert len(caplog.messages) == 1
    assert "is none of NO_CONTENT, SPAN_ONLY, EVENT_ONLY, SPAN_AND_EVENT" in caplog.messages[0]


def test_an_instrumentor_by_itself_honours_the_variable(
    bare_telemetry: Telemetry, simulated: SimulatedProviders, monkeypatch: pytest.MonkeyPatch
) -> None:
    from peekr.instrumentation.openai.instrumentor import OpenAIInstrumentor

    monkeypatch.setenv(VARIABLE, "NO_CONTENT")
    instrumentor = OpenAIInstrumentor()
    instrumentor.instrument(tracer_provider=bare_telemetry.provider)
    try:
        OPERATIONS["openai chat"].call(simulated)
    finally:
        instrumentor.uninstrument()
    assert MESSAGES.isdisjoint(attributes_of(bare_telemetry.span))
