"""Phoenix and MLflow get every span of a run on four providers, and understand it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any, Dict, Iterator, List, Tuple

import pytest
from click.testing import CliRunner

from peekr.cli.group import group
from tests.support import backends
from tests.support.endpoint import free_port, until

pytestmark = pytest.mark.slow

EXAMPLES = Path(__file__).parent.parent.parent / "examples"
SESSION = "walk-1"
PROGRAM = f"""
import sys

import peekr
import quickstart
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from simulated_providers import stand_in

exporter = peekr.OpenInferenceExporter(OTLPSpanExporter()) if sys.argv[2] else None
peekr.instrument(console=False, jsonl_path=sys.argv[1], exporter=exporter)
with peekr.session(session_id="{SESSION}", user_id="ada"), stand_in():
    quickstart.plan_walk("What is the weather in Lisbon, and where shall I walk?")
assert peekr.flush(timeout=60)
"""

Record = Dict[str, Any]


def run(folder: Path, *, export: bool = True, **variables: str) -> List[Record]:
    """Run the agent, with or without an exporter; its records."""
    for sdk in ("openai", "anthropic", "boto3", "google.genai"):
        pytest.importorskip(sdk)
    path = folder / "traces.jsonl"
    subprocess.run(
        [sys.executable, "-c", PROGRAM, str(path), "yes" if export else ""],
        cwd=EXAMPLES,
        env={**os.environ, "OTEL_EXPORTER_OTLP_TIMEOUT": "60", **variables},
        check=True,
        timeout=180,
    )
    return [json.loads(line) for line in path.read_text("utf-8").splitlines()]


def is_call(record: Record) -> bool:
    return "model" in record["attributes"]


def last_text(content: Any) -> str:
    """The text of the last message of a record's input, or of its output."""
    if isinstance(content, str):
        return content
    last = content[-1]["content"]
    return last if isinstance(last, str) else json.dumps(last)


# -- Phoenix ---------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def phoenix(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Tuple[str, int]]:
    """Its address, and the port on which it speaks gRPC."""
    folder = tmp_path_factory.mktemp("phoenix")
    port, grpc_port = free_port(), free_port()
    program = backends.Program(
        [str(backends.environment("arize-phoenix") / "bin" / "phoenix"), "serve"],
        folder / "log",
        folder,
        HOME=str(folder),
        PHOENIX_WORKING_DIR=str(folder),
        PHOENIX_HOST="127.0.0.1",
        PHOENIX_PORT=str(port),
        PHOENIX_GRPC_PORT=str(grpc_port),
        PHOENIX_TELEMETRY_ENABLED="false",
    )
    url = f"http://127.0.0.1:{port}"
    with backends.running(program):
        program.wait_until(lambda: backends.answers(f"{url}/healthz"), 180)
        yield url, grpc_port


def phoenix_spans(url: str, project: str, count: int) -> Dict[str, Dict[str, Any]]:
    def found() -> List[Dict[str, Any]]:
        try:
            return backends.fetch(f"{url}/v1/projects/{project}/spans?limit=100")["data"]
        except OSError:
            return []  # the project comes with its first span

    until(lambda: len(found()) >= count, 60)
    return {span["context"]["span_id"]: span for span in found()}


def check_phoenix(records: List[Record], spans: Dict[str, Dict[str, Any]]) -> None:
    assert sorted(spans) == sorted(record["span_id"] for record in records)
    for record in records:
        recorded, span = record["attributes"], spans[record["span_id"]]
        got = span["attributes"]
        assert got["session.id"] == SESSION
        assert got["user.id"] == "ada"
        assert span["status_code"] == ("ERROR" if record["status"] == "error" else "UNSET")
        if not is_call(record):
            continue
        assert span["span_kind"] == "LLM"
        assert got["llm.model_name"] == recorded["model"]
        assert got.get("llm.token_count.prompt") == recorded.get("tokens_input")
        assert got.get("llm.token_count.completion") == recorded.get("tokens_output")
        sent = recorded["input"] if isinstance(recorded["input"], list) else [recorded["input"]]
        prefix = f"llm.input_messages.{len(sent) - 1}.message"
        assert got[f"{prefix}.content"] == last_text(recorded["input"])
        output = recorded.get("output")
        prefix = "llm.output_messages.0.message"
        if isinstance(output, str):
            assert got[f"{prefix}.content"] == output
        for number, call in enumerate(recorded.get("tool_calls", ())):
            told = f"{prefix}.tool_calls.{number}.tool_call"
            assert got[f"{told}.id"] == call["id"]
            assert got[f"{told}.function.name"] == call["name"]
            assert json.loads(got[f"{told}.function.arguments"]) == call["arguments"]


def test_phoenix_understands_every_span(phoenix: Tuple[str, int], tmp_path: Path) -> None:
    url, _ = phoenix
    records = run(
        tmp_path,
        OTEL_EXPORTER_OTLP_ENDPOINT=url,
        OTEL_RESOURCE_ATTRIBUTES="openinference.project.name=live",
    )
    spans = phoenix_spans(url, "live", len(records))
    check_phoenix(records, spans)
    for record in records:
        if not is_call(record):
            assert spans[record["span_id"]]["span_kind"] == "CHAIN"
            got = spans[record["span_id"]]["attributes"]
            assert json.loads(got["output.value"]) == record["attributes"]["output"]
    query = "{ projects { edges { node { name costSummary { total { cost tokens } } } } } }"
    answer = backends.fetch(f"{url}/graphql", json.dumps({"query": query}).encode())
    nodes = [edge["node"] for edge in answer["data"]["projects"]["edges"]]
    (total,) = [n["costSummary"]["total"] for n in nodes if n["name"] == "live"]
    assert total["cost"] > 0


@pytest.mark.parametrize("protocol", ["http", "grpc"])
def test_phoenix_understands_what_is_shipped(
    phoenix: Tuple[str, int], tmp_path: Path, protocol: str
) -> None:
    url, grpc_port = phoenix
    records = run(tmp_path, export=False)
    endpoint = url if protocol == "http" else f"http://127.0.0.1:{grpc_port}"
    project = f"shipped-{protocol}"
    done = CliRunner().invoke(
        group,
        ["ship", str(tmp_path / "traces.jsonl"), "--endpoint", endpoint, "--protocol", protocol,
         "--resource", f"openinference.project.name={project}"],
    )  # fmt: skip
    assert done.exit_code == 0, done.output
    check_phoenix(records, phoenix_spans(url, project, len(records)))


# -- MLflow ----------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def mlflow(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    folder = tmp_path_factory.mktemp("mlflow")
    port = free_port()
    bin = backends.environment("mlflow") / "bin"
    program = backends.Program(
        [
            str(bin / "mlflow"), "server", "--host", "127.0.0.1", "--port", str(port),
            "--backend-store-uri", f"sqlite:///{folder}/mlflow.db", "--workers", "1",
        ],
        folder / "log",
        folder,
        HOME=str(folder),
        PATH=f"{bin}{os.pathsep}{os.environ['PATH']}",
        MLFLOW_DISABLE_TELEMETRY="true",
    )  # fmt: skip
    url = f"http://127.0.0.1:{port}"
    with backends.running(program):
        program.wait_until(lambda: backends.answers(f"{url}/health"), 180)
        yield url


def experiment(url: str, name: str) -> str:
    body = json.dumps({"name": name}).encode()
    return backends.fetch(f"{url}/api/2.0/mlflow/experiments/create", body)["experiment_id"]


def check_mlflow(url: str, number: str, records: List[Record]) -> None:
    place = {"type": "MLFLOW_EXPERIMENT", "mlflow_experiment": {"experiment_id": number}}
    search = json.dumps({"locations": [place]}).encode()

    def traces() -> List[Dict[str, Any]]:
        return backends.fetch(f"{url}/api/3.0/mlflow/traces/search", search).get("traces", [])

    until(traces, 60)
    (trace,) = traces()
    assert trace["trace_id"] == f"tr-{records[0]['trace_id']}"
    told = trace["trace_metadata"]
    assert told["mlflow.trace.session"] == SESSION
    assert told["mlflow.trace.user"] == "ada"
    used = json.loads(told["mlflow.trace.tokenUsage"])
    calls = [record["attributes"] for record in records if is_call(record)]
    assert used["input_tokens"] == sum(call.get("tokens_input", 0) for call in calls)
    assert used["output_tokens"] == sum(call.get("tokens_output", 0) for call in calls)
    cost = json.loads(told["mlflow.trace.cost"])["total_cost"]
    assert cost == pytest.approx(sum(call.get("cost_usd", 0) for call in calls), rel=0.01)
    whole = backends.fetch(f"{url}/api/3.0/mlflow/traces/get?trace_id={trace['trace_id']}")
    spans = whole["trace"]["spans"]
    assert len(spans) == len(records)
    by_name: Dict[str, List[Dict[str, Any]]] = {}
    for span in spans:
        by_name.setdefault(span["name"], []).append(
            {pair["key"]: pair["value"] for pair in span["attributes"]}
        )
    for record in records:
        recorded = record["attributes"]
        if not is_call(record):
            continue
        operation = recorded["gen_ai.operation.name"]
        found = by_name[f"{operation} {recorded['model']}"]
        assert {one["mlflow.spanType"]["string_value"] for one in found} <= {"CHAT_MODEL", "LLM"}
        asked = json.dumps([one["mlflow.spanInputs"] for one in found], ensure_ascii=False)
        assert json.dumps(last_text(recorded["input"]), ensure_ascii=False) in asked
        if isinstance(recorded.get("output"), str):
            got = json.dumps([one["mlflow.spanOutputs"] for one in found], ensure_ascii=False)
            assert json.dumps(recorded["output"], ensure_ascii=False) in got


def test_mlflow_understands_every_span(mlflow: str, tmp_path: Path) -> None:
    number = experiment(mlflow, "live")
    records = run(
        tmp_path,
        OTEL_EXPORTER_OTLP_ENDPOINT=mlflow,
        OTEL_EXPORTER_OTLP_HEADERS=f"x-mlflow-experiment-id={number}",
    )
    check_mlflow(mlflow, number, records)


def test_mlflow_understands_what_is_shipped(mlflow: str, tmp_path: Path) -> None:
    number = experiment(mlflow, "shipped")
    nowhere = f"http://127.0.0.1:{free_port()}"
    records = run(tmp_path, export=False)
    path = tmp_path / "traces.jsonl"
    lost = CliRunner().invoke(group, ["ship", str(path), "--endpoint", nowhere, "--retry-for", "0"])
    assert lost.exit_code == 1
    without = CliRunner().invoke(group, ["ship", str(path), "--endpoint", mlflow])
    assert without.exit_code == 1
    assert "does not take spans: 422" in without.output
    done = CliRunner().invoke(
        group,
        ["ship", str(path), "--endpoint", mlflow, "--header", f"x-mlflow-experiment-id={number}",
         "--timeout", "60"],
    )  # fmt: skip
    assert done.exit_code == 0, done.output
    check_mlflow(mlflow, number, records)
