"""Embeddings: how many and how long, never the vectors themselves."""

from __future__ import annotations

import contextlib
from typing import Any, Dict, Generator

import pytest

from simulated_providers import SimulatedProviders

from ...conftest import Telemetry, attributes_of
from .calling import Json, genai, quiet, run_async

pytestmark = quiet


@pytest.fixture(autouse=True)
def sdk() -> Any:
    return genai()


@contextlib.contextmanager
def client_of(simulated: SimulatedProviders, service: str) -> Generator[Any, None, None]:
    options: Dict[str, Any] = {"http_options": {"base_url": simulated.gemini_url}}
    if service == "vertex":
        credentials = pytest.importorskip("google.oauth2.credentials")
        options.update(
            vertexai=True,
            project="simulated",
            location="us-central1",
            credentials=credentials.Credentials(token="simulated"),
        )
    else:
        options["api_key"] = "simulated"
    client = genai().Client(**options)
    yield client
    if hasattr(client, "close"):
        client.close()


def embed(client: Any, mode: str, **arguments: Any) -> Any:
    if mode == "sync":
        return client.models.embed_content(**arguments)
    return run_async(client, lambda: client.aio.models.embed_content(**arguments))


@pytest.mark.parametrize("mode", ["sync", "async"])
@pytest.mark.parametrize("service", ["studio", "vertex"])
def test_embeddings_are_counted_and_measured(
    telemetry: Telemetry, simulated: SimulatedProviders, mode: str, service: str
):
    asked: Json = {"model": "text-embedding-004", "contents": ["red apple", "blue car"]}
    config = {"output_dimensionality": 64, "task_type": "RETRIEVAL_QUERY"}
    with client_of(simulated, service) as client:
        reply = embed(client, mode, **asked, config=config)
    assert [len(entry.values) for entry in reply.embeddings] == [64, 64]
    span = telemetry.span
    attributes = attributes_of(span)
    assert span.name == "embeddings text-embedding-004"
    assert attributes["gen_ai.operation.name"] == "embeddings"
    assert attributes["gen_ai.embeddings.dimension.count"] == 64
    assert attributes["peekr.embeddings.count"] == 2
    record = telemetry.record
    assert record["name"] == "gemini.embed_content"
    assert [m["content"] for m in record["attributes"]["input"]] == ["red apple", "blue car"]
    assert record["attributes"]["peekr.request.parameters"] == {"task_type": "RETRIEVAL_QUERY"}
    assert "output" not in record["attributes"]
    if service == "vertex":
        assert record["attributes"]["provider"] == "gcp.vertex_ai"
        counted = sum(int(entry.statistics.token_count) for entry in reply.embeddings)
        assert record["attributes"]["tokens_input"] == counted
        assert record["attributes"]["tokens_total"] == counted
    else:
        assert record["attributes"]["provider"] == "gcp.gemini"
        assert "tokens_input" not in record["attributes"]
    assert len(str(record)) < 2000


@pytest.mark.parametrize("mode", ["sync", "async"])
def test_one_text_is_a_bare_input(telemetry: Telemetry, simulated: SimulatedProviders, mode: str):
    with client_of(simulated, "studio") as client:
        embed(client, mode, model="text-embedding-004", contents="red apple")
    attributes = telemetry.record["attributes"]
    assert attributes["input"] == "red apple"
    assert attributes["gen_ai.embeddings.dimension.count"] == 768


@pytest.mark.parametrize("mode", ["sync", "async"])
def test_refused_embedding_is_an_error(
    telemetry: Telemetry, simulated: SimulatedProviders, mode: str
):
    with client_of(simulated, "studio") as client, pytest.raises(Exception, match="not found"):
        embed(client, mode, model="no-such", contents="red apple")
    record = telemetry.record
    assert record["status"] == "error"
    assert record["attributes"]["http.response.status_code"] == 404
