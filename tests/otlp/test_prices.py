"""Phoenix and MLflow price the same calls as Peekr does, where they know the model."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any, Dict, List, Tuple

import pytest
from opentelemetry import trace as otel_trace
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider

import peekr
from tests.otlp.test_backends import experiment, mlflow, phoenix
from tests.support import backends
from tests.support.endpoint import until

__all__ = ["mlflow", "phoenix"]

pytestmark = pytest.mark.slow

MODELS = {
    "openai": (
        "gpt-3.5-turbo", "gpt-4-turbo", "gpt-4o", "gpt-4o-2024-08-06", "gpt-4o-mini", "gpt-4.1",
        "gpt-4.1-mini", "gpt-4.1-nano", "gpt-5", "gpt-5-mini", "gpt-5-nano", "o1", "o3", "o3-mini",
        "o4-mini", "gpt-5.4", "gpt-5.5", "gpt-6-sol", "gpt-6-luna",
        "text-embedding-3-small", "text-embedding-3-large",
        "ft:gpt-4o-mini-2024-07-18:a::b",
    ),
    "azure.ai.openai": ("gpt-4o-2024-08-06", "gpt-4o-mini", "gpt-4.1", "gpt-5"),
    "anthropic": (
        "claude-3-haiku-20240307", "claude-3-5-haiku-20241022", "claude-3-5-sonnet-20241022",
        "claude-3-7-sonnet-20250219", "claude-sonnet-4-20250514", "claude-sonnet-4-5-20250929",
        "claude-haiku-4-5-20251001", "claude-opus-4-20250514", "claude-opus-4-1-20250805",
        "claude-opus-4-5-20251101", "claude-opus-5", "claude-opus-5-5", "claude-sonnet-5",
        "claude-sonnet-5-5", "claude-haiku-5-5", "claude-fable-5",
    ),
    "aws.bedrock": (
        "amazon.nova-lite-v1:0", "us.amazon.nova-lite-v1:0", "amazon.nova-pro-v1:0",
        "amazon.nova-micro-v1:0", "anthropic.claude-3-haiku-20240307-v1:0",
        "anthropic.claude-3-5-sonnet-20241022-v2:0", "us.anthropic.claude-sonnet-4-5-20250929-v1:0",
        "global.anthropic.claude-sonnet-4-5-20250929-v1:0", "meta.llama3-1-70b-instruct-v1:0",
        "amazon.titan-embed-text-v2:0",
    ),
    "gcp.gemini": (
        "gemini-2.0-flash", "gemini-2.0-flash-lite", "gemini-2.5-flash", "gemini-2.5-flash-lite",
        "gemini-2.5-pro", "gemini-embedding-001",
    ),
    "gcp.vertex_ai": ("gemini-2.5-flash", "gemini-2.5-pro"),
    "mistral_ai": ("mistral-large-latest", "mistral-small-latest", "codestral-latest"),
    "x_ai": ("grok-4", "grok-3", "grok-3-mini"),
    "deepseek": ("deepseek-chat", "deepseek-reasoner"),
    "cohere": ("command-r-plus", "command-r", "command-a-03-2025"),
    "groq": ("llama-3.3-70b-versatile", "llama-3.1-8b-instant"),
}  # fmt: skip
# Tokens in, out, read from the cache, written to it.
USES = ((1_234, 567, 0, 0), (12_345, 678, 10_000, 0), (23_456, 789, 4_000, 8_000))

# Where the tables themselves say different things. On most of these the two do not agree with each
# other either.
OTHERWISE_IN_PHOENIX = (
    "ft:gpt-4o-mini-2024-07-18:a::b",  # it takes the price of the model that was fine-tuned
    "us.anthropic.claude-sonnet-4-5-20250929-v1:0",  # it leaves out the region's tenth
    "llama-3.3-70b-versatile",  # it takes another host's price
    "mistral-large-latest",  # another day's model of that name
    "codestral-latest",  # it has a price for cached tokens, the table here has none
)
OTHERWISE_IN_MLFLOW = (
    "anthropic.claude-3-haiku-20240307-v1:0",  # as codestral-latest
    "gemini-2.0-flash-lite",  # as codestral-latest
    "codestral-latest",
    "mistral-large-latest",
    "command-r-plus",  # the price of another day
    "deepseek-chat",  # likewise
    "deepseek-reasoner",  # likewise
    "claude-sonnet-5-5",  # likewise, for cached tokens; Phoenix has the one that is here
    "grok-3",  # it has no price for cached tokens, the table here has one
    "grok-4",  # likewise
    "grok-3-mini",  # another price, and none for cached tokens
)

Key = Tuple[str, str, int]


def call(provider: str, model: str, use: Tuple[int, int, int, int]) -> Dict[str, Any]:
    tokens, output, read, written = use
    return {
        "gen_ai.operation.name": "embeddings" if "embed" in model else "chat",
        "gen_ai.provider.name": provider,
        "gen_ai.request.model": model,
        "gen_ai.response.model": model,
        "gen_ai.usage.input_tokens": tokens,
        **({} if "embed" in model else {"gen_ai.usage.output_tokens": output}),
        **({"gen_ai.usage.cache_read.input_tokens": read} if read else {}),
        **({"gen_ai.usage.cache_creation.input_tokens": written} if written else {}),
    }


def send(folder: Path, exporter: Any, **resource: str) -> Dict[str, Tuple[Key, float]]:
    """Send a trace for each use of each model; by trace id, what it was and Peekr's price."""
    provider = TracerProvider(resource=Resource.create(resource), shutdown_on_exit=False)
    path = folder / "traces.jsonl"
    peekr.instrument(console=False, jsonl_path=path, tracer_provider=provider, exporter=exporter)
    tracer = provider.get_tracer("prices")
    keys: Dict[str, Key] = {}
    for name, models in MODELS.items():
        for model in models:
            for number, use in enumerate(USES):
                if use[2] and "embed" in model:
                    continue
                span = tracer.start_span(
                    f"chat {model}", kind=otel_trace.SpanKind.CLIENT,
                    attributes=call(name, model, use),
                )  # fmt: skip
                span.end()
                trace_id = format(span.get_span_context().trace_id, "032x")
                keys[trace_id] = (name, model, number)
    assert peekr.flush(timeout=300)
    records = [json.loads(line) for line in path.read_text("utf-8").splitlines()]
    return {
        record["trace_id"]: (keys[record["trace_id"]], record["attributes"]["cost_usd"])
        for record in records
        if "cost_usd" in record["attributes"]
    }


def compare(
    ours: Dict[str, Tuple[Key, float]], theirs: Dict[str, float], otherwise: Tuple[str, ...]
) -> None:
    common = {trace_id for trace_id in ours if trace_id in theirs}
    different: Dict[Key, Tuple[float, float]] = {}
    for trace_id in common:
        key, price = ours[trace_id]
        if abs(price - theirs[trace_id]) > 1e-5:
            different[key] = (price, theirs[trace_id])
    assert {model for _, model, _ in different} <= set(otherwise), different
    same = {ours[trace_id][0][:2] for trace_id in common} - {key[:2] for key in different}
    assert len(same) >= 25, same


def otlp(endpoint: str, **headers: str) -> Any:
    from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter

    return OTLPSpanExporter(f"{endpoint}/v1/traces", headers=headers, timeout=300)


def test_phoenix(phoenix: Tuple[str, int], tmp_path: Path) -> None:
    url, _ = phoenix
    ours = send(tmp_path, otlp(url), **{"openinference.project.name": "prices"})
    query = """{ projects { edges { node { name spans(first: 1000) { edges { node {
        context { traceId } costSummary { total { cost } } } } } } } } }"""

    def spans() -> List[Dict[str, Any]]:
        answer = backends.fetch(f"{url}/graphql", json.dumps({"query": query}).encode())
        projects = [edge["node"] for edge in answer["data"]["projects"]["edges"]]
        found = [one["spans"]["edges"] for one in projects if one["name"] == "prices"]
        return [edge["node"] for edges in found for edge in edges]

    def prices() -> Dict[str, float]:
        found: Dict[str, float] = {}
        for one in spans():
            summary: Any = one["costSummary"]
            if summary and summary["total"] and summary["total"]["cost"]:
                found[one["context"]["traceId"]] = summary["total"]["cost"]
        return found

    counts = [(0, time.monotonic())]

    def settled() -> bool:
        # They are priced one after the other, some seconds after they came.
        count, now = len(prices()), time.monotonic()
        if count != counts[-1][0]:
            counts.append((count, now))
        return count > 0 and now - counts[-1][1] > 10.0

    until(settled, 180)
    compare(ours, prices(), OTHERWISE_IN_PHOENIX)


def test_mlflow(mlflow: str, tmp_path: Path) -> None:
    number = experiment(mlflow, "prices")
    ours = send(tmp_path, otlp(mlflow, **{"x-mlflow-experiment-id": number}))
    place = {"type": "MLFLOW_EXPERIMENT", "mlflow_experiment": {"experiment_id": number}}

    def traces() -> List[Dict[str, Any]]:
        search = json.dumps({"locations": [place], "max_results": 500}).encode()
        return backends.fetch(f"{mlflow}/api/3.0/mlflow/traces/search", search).get("traces", [])

    until(lambda: len(traces()) >= len(ours), 120)
    theirs: Dict[str, float] = {}
    for one in traces():
        cost = one["trace_metadata"].get("mlflow.trace.cost")
        if cost:
            theirs[one["trace_id"][3:]] = json.loads(cost)["total_cost"]
    compare(ours, theirs, OTHERWISE_IN_MLFLOW)
