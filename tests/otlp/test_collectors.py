"""OTLP collectors that are up, down, slow, refusing or back later; nothing of it reaches a call."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any, Dict, Iterator, List

import pytest
from opentelemetry.exporter.otlp.proto.grpc.trace_exporter import OTLPSpanExporter as GrpcExporter
from opentelemetry.exporter.otlp.proto.http import Compression
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter as HttpExporter
from opentelemetry.sdk.trace.export import SpanExporter, SpanExportResult

import peekr
from peekr.delivery import batches
from peekr.delivery import processor as delivery
from peekr.delivery.batches import BoundedBatchProcessor
from tests.conftest import Telemetry
from tests.otlp.collector import GrpcCollector, HttpCollector, up
from tests.support.endpoint import Reply, free_port, until


@pytest.fixture(autouse=True)
def no_variables(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in list(os.environ):
        if name.startswith("OTEL_"):
            monkeypatch.delenv(name)


@pytest.fixture
def collector() -> Iterator[HttpCollector]:
    with up(HttpCollector()) as started:
        yield started


def work(count: int, first: int = 0) -> List[str]:
    names = [f"span {number:04}" for number in range(first, first + count)]
    for name in names:
        with peekr.span(name):
            pass
    return names


def names_of(collector: Any) -> List[str]:
    return [span["name"] for span in collector.spans]


# -- up --------------------------------------------------------------------------------------------


def test_http_with_headers_and_compression(
    bare_telemetry: Telemetry, collector: HttpCollector
) -> None:
    exporter = HttpExporter(
        endpoint=f"{collector.url}/v1/traces",
        headers={"x-team": "blue"},
        compression=Compression.Gzip,
        timeout=5,
    )
    bare_telemetry.instrument(exporter=exporter)
    names = work(20)
    assert peekr.flush()
    assert names_of(collector) == names
    assert collector.received[0].headers["x-team"] == "blue"
    assert collector.received[0].headers["content-encoding"] == "gzip"


def test_grpc_with_headers(bare_telemetry: Telemetry) -> None:
    with up(GrpcCollector()) as collector:
        exporter = GrpcExporter(
            endpoint=collector.url, insecure=True, headers=(("x-team", "blue"),), timeout=5
        )
        bare_telemetry.instrument(exporter=exporter)
        names = work(20)
        assert peekr.flush()
        assert names_of(collector) == names
        assert collector.metadata[0]["x-team"] == "blue"


# -- in trouble ------------------------------------------------------------------------------------


@pytest.mark.parametrize("trouble", ["down", "refusing", "slow"])
def test_a_collector_in_trouble_holds_up_nothing_and_drops_are_said(
    bare_telemetry: Telemetry,
    collector: HttpCollector,
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
    trouble: str,
) -> None:
    monkeypatch.setenv("OTEL_BSP_MAX_QUEUE_SIZE", "50")
    monkeypatch.setenv("OTEL_BSP_MAX_EXPORT_BATCH_SIZE", "10")
    monkeypatch.setattr(batches, "_SHUTDOWN_S", 0.5)
    release = threading.Event()
    if trouble == "down":
        collector.stop()
    elif trouble == "refusing":
        collector.otherwise = lambda request: Reply(403)
    else:
        collector.otherwise = lambda request: Reply(after=release)
    exporter = HttpExporter(endpoint=f"{collector.url}/v1/traces", timeout=0.3)
    bare_telemetry.instrument(exporter=exporter)
    names = work(300)  # would take minutes if anything of it waited for the collector
    peekr.flush(timeout=0.2)
    assert [record["name"] for record in read(bare_telemetry.path)] == names
    peekr.uninstrument()
    release.set()
    said = [entry.getMessage() for entry in caplog.records if entry.name == "peekr.store"]
    assert said[0].startswith("cannot write traces to exporter OTLPSpanExporter: ")
    assert sum(lost_of(line) for line in said) >= 200


def read(path: Path) -> List[Dict[str, Any]]:
    return [json.loads(line) for line in path.read_text("utf-8").splitlines()]


def lost_of(message: str) -> int:
    word = message.partition(" record")[0].rpartition(" ")[2]
    return int(word) if "lost" in message and word.isdigit() else 0


def test_a_collector_that_is_back_gets_spans_again_and_ship_the_rest(
    bare_telemetry: Telemetry,
    collector: HttpCollector,
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    from click.testing import CliRunner

    from peekr.cli.group import group

    monkeypatch.setenv("OTEL_BSP_SCHEDULE_DELAY", "20")
    exporter = HttpExporter(endpoint=f"{collector.url}/v1/traces", timeout=0.2)
    bare_telemetry.instrument(exporter=exporter)
    names = work(10)
    assert peekr.flush()
    collector.stop()
    names += work(10, first=10)
    until(lambda: "its exporter gave up" in caplog.text)
    collector.start()
    names += work(10, first=20)
    assert peekr.flush()
    until(lambda: "10 records were lost" in caplog.text)
    assert names_of(collector) == names[:10] + names[20:]
    done = CliRunner().invoke(
        group, ["ship", str(bare_telemetry.path), "--endpoint", collector.url]
    )
    assert done.exit_code == 0, done.output
    assert sorted(set(names_of(collector))) == names


class Held(SpanExporter):
    """Holds each batch until it may go."""

    def __init__(self) -> None:
        self.go = threading.Event()
        self.spans: List[Any] = []

    def export(self, spans: Any) -> SpanExportResult:
        assert self.go.wait(30)
        self.spans += spans
        return SpanExportResult.SUCCESS


def test_what_waits_is_bounded_in_spans_and_in_characters(
    telemetry: Telemetry, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(batches, "MAX_QUEUED_CHARS", 100_000)
    assert delivery.MAX_QUEUED_CHARS > 100_000
    exporter = Held()
    processor = BoundedBatchProcessor(exporter)
    for _ in range(100):
        with telemetry.tracer.start_as_current_span("large") as span:
            span.set_attribute("text", "x" * 10_000)
    for ended in telemetry.spans:
        processor.on_end(ended)
    assert processor.lost == 90
    assert "spans are waiting already" in caplog.text
    exporter.go.set()
    assert processor.force_flush()
    assert len(exporter.spans) == 10
    processor.shutdown()
    assert "90 records were lost" in caplog.text


def test_a_flush_keeps_its_time_and_says_so(telemetry: Telemetry) -> None:
    exporter = Held()
    processor = BoundedBatchProcessor(exporter)
    with telemetry.tracer.start_as_current_span("one"):
        pass
    processor.on_end(telemetry.span)
    assert not processor.force_flush(50)
    exporter.go.set()
    assert processor.force_flush()
    assert len(exporter.spans) == 1
    processor.shutdown()


def test_what_was_given_up_is_said_at_the_end(tmp_path: Path) -> None:
    said = run(
        tmp_path,
        OTEL_EXPORTER_OTLP_ENDPOINT=f"http://127.0.0.1:{free_port()}",
        OTEL_EXPORTER_OTLP_TIMEOUT="1",
    )
    assert "traces in exporter OTLPSpanExporter: 10 records were lost" in said


# -- OpenTelemetry's variables ---------------------------------------------------------------------

PROGRAM = """
import peekr
from opentelemetry import trace
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor

{before}
peekr.instrument(console=False{arguments})
{after}
for number in range(10):
    with peekr.span(f"span {{number}}"):
        pass
"""
ADDED = "trace.get_tracer_provider().add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))"


def run(
    folder: Path, before: str = "", arguments: str = "", after: str = "", **environment: str
) -> str:
    program = PROGRAM.format(before=before, arguments=arguments, after=after)
    done = subprocess.run(
        [sys.executable, "-c", program],
        cwd=folder,
        env={**os.environ, "PEEKR_RAISE_FAULTS": "1", **environment},
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr
    assert len((folder / "traces.jsonl").read_text().splitlines()) == 10
    return done.stderr


@pytest.mark.parametrize(
    "variables",
    [
        {"OTEL_EXPORTER_OTLP_ENDPOINT": "{url}"},
        {"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": "{url}/v1/traces"},
        {"OTEL_EXPORTER_OTLP_ENDPOINT": "{url}", "OTEL_TRACES_EXPORTER": "otlp"},
        {
            "OTEL_EXPORTER_OTLP_ENDPOINT": "{url}",
            "OTEL_EXPORTER_OTLP_PROTOCOL": "http/protobuf",
            "OTEL_EXPORTER_OTLP_HEADERS": "x-team=blue",
            "OTEL_EXPORTER_OTLP_COMPRESSION": "gzip",
        },
    ],
)
def test_an_endpoint_in_the_environment_is_exported_to(
    collector: HttpCollector, tmp_path: Path, variables: Dict[str, str]
) -> None:
    given = {key: value.format(url=collector.url) for key, value in variables.items()}
    assert run(tmp_path, **given) == ""
    assert sorted(names_of(collector)) == [f"span {number}" for number in range(10)]
    if "OTEL_EXPORTER_OTLP_HEADERS" in variables:
        assert collector.received[0].headers["x-team"] == "blue"
        assert collector.received[0].headers["content-encoding"] == "gzip"


def test_the_protocol_of_the_environment_is_spoken(tmp_path: Path) -> None:
    with up(GrpcCollector()) as collector:
        run(
            tmp_path,
            OTEL_EXPORTER_OTLP_ENDPOINT=collector.url,
            OTEL_EXPORTER_OTLP_PROTOCOL="grpc",
        )
        assert len(collector.spans) == 10


@pytest.mark.parametrize(
    ("program", "count"),
    [
        ({"arguments": ", exporter=OTLPSpanExporter()"}, 10),
        ({"before": "peekr.add_exporter(OTLPSpanExporter())"}, 10),
        ({"after": ADDED}, 10),
        ({"before": f"trace.set_tracer_provider(TracerProvider()); {ADDED}"}, 10),
        ({"before": "trace.set_tracer_provider(TracerProvider())"}, 0),
        ({"before": "import os; os.environ['OTEL_TRACES_EXPORTER'] = 'none'"}, 0),
    ],
    ids=["exporter=", "add_exporter", "added later", "application's", "provider", "none"],
)
def test_no_span_is_sent_twice_and_none_unasked(
    collector: HttpCollector, tmp_path: Path, program: Dict[str, str], count: int
) -> None:
    run(tmp_path, OTEL_EXPORTER_OTLP_ENDPOINT=collector.url, **program)
    assert len(collector.spans) == count


def test_variables_that_cannot_be_used_are_one_line(tmp_path: Path) -> None:
    said = run(
        tmp_path,
        OTEL_EXPORTER_OTLP_ENDPOINT="http://127.0.0.1:1",
        OTEL_EXPORTER_OTLP_PROTOCOL="carrier-pigeon",
    )
    assert said.splitlines() == [
        "OTLP export is off: 'carrier-pigeon' is neither 'grpc' nor 'http/protobuf'"
    ]
