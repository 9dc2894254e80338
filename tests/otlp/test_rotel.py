"""A real collector, rotel, gets every span of four providers, and loses none when it is killed."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any, Dict, Iterator, List, Set

import pytest
from click.testing import CliRunner
from opentelemetry.exporter.otlp.proto.grpc.trace_exporter import OTLPSpanExporter as GrpcExporter

import peekr
from peekr.cli.group import group
from peekr.messages import from_record
from tests.conftest import Telemetry
from tests.support import backends
from tests.support.endpoint import free_port, until

EXAMPLES = Path(__file__).parent.parent.parent / "examples"
# Runs in the collector: each span as a line of JSON.
PROCESSOR = """
import json

def value(found):
    found = found.value if hasattr(found, "value") else found
    if hasattr(found, "values"):
        return [value(entry) for entry in found.values]
    plain = isinstance(found, (str, int, float, bool, type(None)))
    return found if plain else str(found)

def process_spans(received):
    resource = {a.key: value(a.value) for a in received.resource.attributes}
    with open("spans.jsonl", "a") as file:
        for scope in received.scope_spans:
            for span in scope.spans:
                file.write(json.dumps({
                    "resource": resource,
                    "name": span.name,
                    "kind": span.kind,
                    "trace_id": bytes(span.trace_id).hex(),
                    "span_id": bytes(span.span_id).hex(),
                    "attributes": {a.key: value(a.value) for a in span.attributes},
                }) + "\\n")
"""


class Rotel(backends.Program):
    """The collector, with what it received in a file."""

    def __init__(self, folder: Path) -> None:
        self.grpc_port, self.http_port = free_port(), free_port()
        (folder / "processor.py").write_text(PROCESSOR)
        self._received = folder / "spans.jsonl"
        super().__init__(
            [
                backends.rotel_agent(), "start",
                "--otlp-grpc-endpoint", f"127.0.0.1:{self.grpc_port}",
                "--otlp-http-endpoint", f"127.0.0.1:{self.http_port}",
                "--exporter", "blackhole",
                "--batch-timeout", "50ms",
                "--otlp-with-trace-processor", "processor.py",
                "--pid-file", str(folder / "rotel.pid"),
            ],
            folder / "rotel.log",
            folder,
        )  # fmt: skip

    def start(self) -> None:
        super().start()
        self.wait_until(
            lambda: backends.listens(self.grpc_port) and backends.listens(self.http_port), 30
        )

    @property
    def spans(self) -> List[Dict[str, Any]]:
        if not self._received.exists():
            return []
        return [json.loads(line) for line in self._received.read_text("utf-8").splitlines()]

    @property
    def ids(self) -> List[str]:
        return sorted(span["span_id"] for span in self.spans)


@pytest.fixture
def rotel(tmp_path: Path) -> Iterator[Rotel]:
    with backends.running(Rotel(tmp_path)) as started:
        assert isinstance(started, Rotel)
        yield started


def run_quickstart(folder: Path, **environment: str) -> List[Dict[str, Any]]:
    """Run the agent on four providers; its records."""
    for sdk in ("openai", "anthropic", "boto3", "google.genai"):
        pytest.importorskip(sdk)
    subprocess.run(
        [sys.executable, "quickstart.py", str(folder / "traces.jsonl")],
        cwd=EXAMPLES,
        env={**os.environ, **environment},
        check=True,
        capture_output=True,
        timeout=120,
    )
    return read(folder / "traces.jsonl")


def read(path: Path) -> List[Dict[str, Any]]:
    return [json.loads(line) for line in path.read_text("utf-8").splitlines()]


def check(records: List[Dict[str, Any]], spans: List[Dict[str, Any]]) -> None:
    """Each record's span is there, and says the same."""
    by_id = {span["span_id"]: span for span in spans}
    assert sorted(by_id) == sorted(record["span_id"] for record in records)
    providers: Set[str] = set()
    for record in records:
        span, recorded = by_id[record["span_id"]], record["attributes"]
        got = span["attributes"]
        assert span["trace_id"] == record["trace_id"]
        if "model" not in recorded:
            continue
        providers.add(recorded["provider"])
        assert span["name"] == f"{got['gen_ai.operation.name']} {recorded['model']}"
        assert got["gen_ai.request.model"] == recorded["model"]
        assert got["peekr.record.name"] == record["name"]
        for kind in ("input", "output"):
            assert got.get(f"gen_ai.usage.{kind}_tokens") == recorded.get(f"tokens_{kind}")
        assert got.get("peekr.cost_usd") == recorded.get("cost_usd")
        asked = json.loads(got["gen_ai.input.messages"])
        assert asked[-1] == from_record(recorded["input"])[-1]
        if isinstance(recorded.get("output"), str):
            (answer,) = json.loads(got["gen_ai.output.messages"])
            assert answer["parts"] == [{"type": "text", "content": recorded["output"]}]
    assert providers == {"openai", "anthropic", "aws.bedrock", "gcp.gemini"}


@pytest.mark.parametrize("protocol", ["grpc", "http/protobuf"])
def test_every_span_of_four_providers_arrives(rotel: Rotel, tmp_path: Path, protocol: str) -> None:
    port = rotel.grpc_port if protocol == "grpc" else rotel.http_port
    records = run_quickstart(
        tmp_path,
        OTEL_EXPORTER_OTLP_ENDPOINT=f"http://127.0.0.1:{port}",
        OTEL_EXPORTER_OTLP_PROTOCOL=protocol,
        OTEL_EXPORTER_OTLP_COMPRESSION="gzip",
        OTEL_SERVICE_NAME="walks",
    )
    until(lambda: len(rotel.spans) >= len(records))
    check(records, rotel.spans)
    assert {span["resource"]["service.name"] for span in rotel.spans} == {"walks"}
    assert {span["resource"]["telemetry.distro.name"] for span in rotel.spans} == {"peekr"}


@pytest.mark.parametrize("protocol", ["grpc", "http"])
def test_what_is_stored_arrives_when_it_is_shipped(
    rotel: Rotel, tmp_path: Path, protocol: str
) -> None:
    records = run_quickstart(tmp_path)
    port = rotel.grpc_port if protocol == "grpc" else rotel.http_port
    done = CliRunner().invoke(
        group,
        ["ship", str(tmp_path / "traces.jsonl"), "--endpoint", f"http://127.0.0.1:{port}",
         "--protocol", protocol, "--resource", "service.name=walks"],
    )  # fmt: skip
    assert done.exit_code == 0, done.output
    until(lambda: len(rotel.spans) >= len(records))
    check(records, rotel.spans)
    assert {span["resource"]["service.name"] for span in rotel.spans} == {"walks"}


def test_a_collector_that_is_killed_in_the_middle_loses_nothing_that_ship_cannot_deliver(
    rotel: Rotel, bare_telemetry: Telemetry, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OTEL_BSP_SCHEDULE_DELAY", "20")
    url = f"http://127.0.0.1:{rotel.grpc_port}"
    bare_telemetry.instrument(exporter=GrpcExporter(endpoint=url, insecure=True, timeout=1))
    for number in range(300):
        if number == 100:
            until(lambda: rotel.spans)
            rotel.kill()
        if number == 200:
            rotel.start()
        with peekr.span(f"span {number}"):
            pass
    peekr.flush(timeout=5)
    peekr.uninstrument()
    records = read(bare_telemetry.path)
    assert len(records) == 300
    done = CliRunner().invoke(
        group, ["ship", str(bare_telemetry.path), "--endpoint", url, "--protocol", "grpc"]
    )
    assert done.exit_code == 0, done.output
    wanted = {record["span_id"] for record in records}
    until(lambda: set(rotel.ids) == wanted)
