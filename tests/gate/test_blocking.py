"""A guardrail that blocks: nothing is sent, nothing is handed over, and the record says why."""

from __future__ import annotations

import json
from typing import Any, List

import pytest
from opentelemetry.sdk.trace.sampling import ALWAYS_OFF

import peekr
from simulated_providers import SimulatedProviders

from ..conftest import Telemetry
from .calling import CASES, Case, call
from .conftest import WORDS
from .guards import SECRET, Breaks, Finds

# google-genai and aiobotocore leave connections of streams that were broken off to the collector.
pytestmark = [
    pytest.mark.filterwarnings("ignore::ResourceWarning"),
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
]

OUTPUT = {"guard": "Finds", "field": "output", "rule": "secret"}
INPUT = {"guard": "Finds", "field": "input", "rule": "secret"}

every_case = pytest.mark.parametrize("case", CASES, ids=str)
streamed_cases = pytest.mark.parametrize("case", [c for c in CASES if c.streamed], ids=str)


@every_case
async def test_forbidden_request_is_never_sent(
    case: Case, bare_telemetry: Telemetry, server: SimulatedProviders
):
    bare_telemetry.instrument(guardrails=[Finds()])
    sent = len(server.requests)
    outcome = await call(case, server, f"hello {SECRET}")
    assert isinstance(outcome.error, peekr.GuardrailError), outcome
    assert len(server.requests) == sent
    record = bare_telemetry.record
    assert record["status"] == "error"
    assert record["attributes"]["guardrail_violations"] == [INPUT]
    assert record["attributes"]["error"] == "Finds stopped the request: secret in the input"
    assert SECRET not in json.dumps(record)
    assert outcome.error.guardrail_name == "Finds"
    assert outcome.error.span.span_id == record["span_id"]
    assert outcome.error.span.status == "error"


@every_case
async def test_forbidden_answer_is_withheld(
    case: Case, bare_telemetry: Telemetry, server: SimulatedProviders
):
    bare_telemetry.instrument(guardrails=[Finds(stream="buffer")])
    outcome = await call(case, server, "leak it")
    assert isinstance(outcome.error, peekr.GuardrailError), outcome
    assert outcome.text == ""
    record = bare_telemetry.record
    assert record["status"] == "error"
    assert record["attributes"]["guardrail_violations"] == [OUTPUT]
    assert SECRET not in json.dumps(record)
    assert "[REDACTED]" in json.dumps(record["attributes"]["output"])
    assert "peekr.stream.abandoned" not in record["attributes"]


@every_case
async def test_clean_answer_comes_whole(
    case: Case, bare_telemetry: Telemetry, server: SimulatedProviders
):
    bare_telemetry.instrument(guardrails=[Finds(stream="window", window_chars=32)])
    outcome = await call(case, server, "hello")
    assert outcome == (WORDS * 40, None)
    record = bare_telemetry.record
    assert record["status"] == "ok"
    assert not [name for name in record["attributes"] if name.startswith("guardrail")]
    assert "peekr.stream.abandoned" not in record["attributes"]


@streamed_cases
async def test_stream_is_handed_on_up_to_the_window(
    case: Case, bare_telemetry: Telemetry, server: SimulatedProviders
):
    bare_telemetry.instrument(guardrails=[Finds(stream="window", window_chars=32)])
    outcome = await call(case, server, "leak it")
    assert isinstance(outcome.error, peekr.GuardrailError), outcome
    assert (WORDS * 20).startswith(outcome.text)
    assert len(outcome.text) > len(WORDS) * 10
    record = bare_telemetry.record
    assert record["attributes"]["guardrail_violations"] == [OUTPUT]
    assert SECRET not in json.dumps(record)


@streamed_cases
async def test_observed_stream_is_not_withheld_and_says_so(
    case: Case, bare_telemetry: Telemetry, server: SimulatedProviders
):
    bare_telemetry.instrument(guardrails=[Finds(stream="observe")])
    outcome = await call(case, server, "leak it")
    assert outcome.error is None
    assert SECRET in outcome.text
    record = bare_telemetry.record
    assert record["status"] == "error"
    assert record["attributes"]["guardrail_violations"] == [{**OUTPUT, "released": True}]


@every_case
async def test_warning_lets_the_call_pass(
    case: Case, bare_telemetry: Telemetry, server: SimulatedProviders
):
    bare_telemetry.instrument(guardrails=[Finds(action="warn")])
    outcome = await call(case, server, f"leak {SECRET}")
    assert outcome.error is None
    assert SECRET in outcome.text
    record = bare_telemetry.record
    assert record["status"] == "ok"
    assert record["attributes"]["guardrail_warnings"] == [INPUT, OUTPUT]


@every_case
async def test_unsampled_call_is_checked(case: Case, tmp_path: Any, server: SimulatedProviders):
    unsampled = Telemetry(tmp_path, sampler=ALWAYS_OFF)
    unsampled.instrument(guardrails=[Finds()])
    sent = len(server.requests)
    assert isinstance((await call(case, server, SECRET)).error, peekr.GuardrailError)
    assert len(server.requests) == sent
    outcome = await call(case, server, "leak it")
    assert isinstance(outcome.error, peekr.GuardrailError)
    assert outcome.text == ""
    assert outcome.error.span is None
    assert unsampled.records == []


@every_case
async def test_call_without_content_is_checked(
    case: Case, bare_telemetry: Telemetry, server: SimulatedProviders
):
    bare_telemetry.instrument(guardrails=[Finds(fields=("output",))], capture_content=False)
    outcome = await call(case, server, "leak it")
    assert isinstance(outcome.error, peekr.GuardrailError)
    record = bare_telemetry.record
    assert record["attributes"]["guardrail_violations"] == [OUTPUT]
    assert "output" not in record["attributes"]
    assert "input" not in record["attributes"]


@every_case
async def test_fault_in_a_guardrail_is_recorded_and_does_not_block(
    case: Case, bare_telemetry: Telemetry, server: SimulatedProviders, caplog: Any
):
    bare_telemetry.instrument(guardrails=[Breaks()])
    outcome = await call(case, server, "hello")
    assert outcome == (WORDS * 40, None)
    assert bare_telemetry.record["attributes"]["guardrail_errors"] == [
        {"guard": "Breaks", "field": "input", "error": "KeyError"},
        {"guard": "Breaks", "field": "output", "error": "KeyError"},
    ]
    said: List[str] = [r.getMessage() for r in caplog.records if "Breaks" in r.getMessage()]
    assert len(said) == 1
    assert "hello" not in said[0]


class Closed(Breaks):
    name = "Closed"
    fail_closed = True


@every_case
async def test_fault_blocks_where_the_guardrail_says_so(
    case: Case, bare_telemetry: Telemetry, server: SimulatedProviders
):
    bare_telemetry.instrument(guardrails=[Closed()])
    sent = len(server.requests)
    outcome = await call(case, server, "hello")
    assert isinstance(outcome.error, peekr.GuardrailError)
    assert len(server.requests) == sent
    assert bare_telemetry.record["attributes"]["guardrail_violations"] == [
        {"guard": "Closed", "field": "input", "rule": "failed (KeyError)"}
    ]
