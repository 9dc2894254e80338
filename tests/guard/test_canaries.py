"""`verify_redaction()`: it sees every way out of the process, and sends nothing on it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, List

import pytest
from click.testing import CliRunner
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

import peekr
from peekr import canaries
from peekr.cli.doctor import doctor
from peekr.errors import ConfigurationError
from peekr.guard import BaseGuardrail, Blocklist, PIIRedact, verify_redaction
from peekr.pipeline.redact import SpanRedactor
from tests.conftest import Telemetry


class Records:
    def __init__(self) -> None:
        self.spans: List[Any] = []

    def export(self, span: Any) -> None:
        self.spans.append(span)


def install(telemetry: Telemetry, folder: Path, **arguments: Any) -> None:
    telemetry.instrument(
        **{
            "console": True,
            "storage": "both",
            "db_path": folder / "traces.db",
            "exporter": InMemorySpanExporter(),
            "guardrails": [
                PIIRedact(),
                Blocklist(terms=["hush"], patterns=Blocklist.COMMON_SECRETS, action="redact"),
            ],
            **arguments,
        }
    )


@pytest.mark.parametrize("sample_rate", [1.0, 0.5])
@pytest.mark.parametrize("capture_content", [True, False])
def test_every_way_out_is_looked_at(
    bare_telemetry: Telemetry, tmp_path: Path, sample_rate: float, capture_content: bool
) -> None:
    install(bare_telemetry, tmp_path, sample_rate=sample_rate, capture_content=capture_content)
    bare_telemetry.provider.add_span_processor(SimpleSpanProcessor(InMemorySpanExporter()))
    added = Records()
    peekr.add_exporter(added)
    try:
        report = verify_redaction()
    finally:
        peekr.clear_exporters()
    assert report.ok
    # Two of them are in memory: what is given as exporter=, and the application's own.
    expected = ("ConsoleSink", "InMemorySpanExporter", "JsonlSink", "Records", "SqliteSink")
    assert report.places == expected
    assert {"email", "phone", "ssn", "credit_card", "ip_address"} <= set(report.canaries)
    assert {"openai_key", "github_token", "url_password", "terms[0]"} <= set(report.canaries)
    assert "redaction holds" in str(report)


def test_nothing_of_it_is_stored_or_sent_and_other_spans_are(
    bare_telemetry: Telemetry, tmp_path: Path
) -> None:
    install(bare_telemetry, tmp_path, exporter=None, console=False)
    verify_redaction()
    assert bare_telemetry.spans == []
    assert bare_telemetry.records == []
    with peekr.span("work"):
        pass
    assert bare_telemetry.record["name"] == "work"
    assert bare_telemetry.span.name == "work"


def test_a_canary_that_arrives_is_an_error_that_says_where(
    bare_telemetry: Telemetry, tmp_path: Path
) -> None:
    install(bare_telemetry, tmp_path, guardrails=[PIIRedact(categories="email")])
    with pytest.raises(peekr.RedactionError, match="mine arrived in JsonlSink") as raised:
        verify_redaction({"mine": "my own secret"})
    report = raised.value.report
    assert {leak.canary for leak in report.leaks} == {"mine"}
    assert {leak.place for leak in report.leaks} == {
        "ConsoleSink",
        "InMemorySpanExporter",
        "JsonlSink",
        "SqliteSink",
    }
    assert "my own secret" not in str(report)


@pytest.mark.parametrize("part", ["_events", "_links", "_status", "_context", "attributes", "text"])
def test_a_hole_in_any_part_is_seen(
    part: str, bare_telemetry: Telemetry, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    install(bare_telemetry, tmp_path)

    def let_through(self: Any, value: Any) -> Any:
        return None if part in ("_events", "_links") else value

    # Live spans redact what is set on them, too: without that only the end's redaction is left.
    monkeypatch.setattr("peekr.pipeline.gate._Starter.__call__", let_through)
    monkeypatch.setattr(SpanRedactor, part, let_through)
    with pytest.raises(peekr.RedactionError, match="arrived in InMemorySpanExporter"):
        verify_redaction()


def test_own_canaries_are_for_own_guards(bare_telemetry: Telemetry, tmp_path: Path) -> None:
    class Codes(BaseGuardrail):
        action = "redact"

        def redact(self, text: str) -> str:
            return text.replace("code 7", "code *")

    install(bare_telemetry, tmp_path, guardrails=[Codes()], console=False)
    assert verify_redaction(["code 7"]).canaries == ("canaries[0]",)


@pytest.mark.parametrize("field", ["input", "output"])
def test_a_guard_of_one_field_is_tested_for_that_field(
    field: str, bare_telemetry: Telemetry, tmp_path: Path
) -> None:
    install(bare_telemetry, tmp_path, guardrails=[PIIRedact(fields=(field,))], console=False)
    assert verify_redaction().ok


def test_it_needs_an_installation_that_redacts(bare_telemetry: Telemetry) -> None:
    with pytest.raises(ConfigurationError, match="call peekr"):
        verify_redaction()
    bare_telemetry.instrument(guardrails=[Blocklist(terms=["x"])])
    with pytest.raises(ConfigurationError, match="no guardrail redacts"):
        verify_redaction()


def test_where_nothing_takes_spans_nothing_was_tested() -> None:
    from opentelemetry.sdk.trace import TracerProvider

    provider = TracerProvider(shutdown_on_exit=False)
    arguments: Any = {"console": False, "storage": None, "tracer_provider": provider}
    peekr.instrument(guardrails=[PIIRedact()], **arguments)
    with pytest.raises(peekr.RedactionError, match="no span arrived anywhere"):
        verify_redaction()
    provider.shutdown()


def test_the_environment_is_checked_and_left_as_it_was(capsys: pytest.CaptureFixture[str]) -> None:
    report = canaries.check_environment()
    assert report.ok
    assert {"ConsoleSink", "JsonlSink", "SqliteSink"} < set(report.places)
    assert capsys.readouterr().out == ""
    with pytest.raises(ConfigurationError):
        verify_redaction()


def test_doctor_checks_what_is_installed_here() -> None:
    made = CliRunner().invoke(doctor, ["--redaction"])
    assert made.exit_code == 0
    assert made.output.startswith("redaction holds: 13 canaries")
    assert json.loads(CliRunner().invoke(doctor, ["--redaction", "--json"]).output)["ok"] is True


def test_doctor_fails_where_a_canary_arrives(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(PIIRedact, "_found", lambda *_: [])  # pyright: ignore
    made = CliRunner().invoke(doctor, ["--redaction"])
    assert made.exit_code == 1
    assert "email arrived in JsonlSink" in made.output


def test_doctor_cannot_check_another_programs_guardrails() -> None:
    made = CliRunner().invoke(doctor, ["--redaction", "python", "app.py"])
    assert made.exit_code == 2
    assert "peekr.guard.verify_redaction()" in made.output
