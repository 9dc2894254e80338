"""The package before: `google-generativeai`, against a gRPC server on loopback."""

from __future__ import annotations

import asyncio
import gc
import json
from concurrent import futures
from typing import Any, Dict, Iterator, List

import pytest

from peekr.errors import GuardrailError
from peekr.guard import Blocklist

from ...conftest import Telemetry, attributes_of

# The package says at its import that its support has ended.
pytestmark = [
    pytest.mark.filterwarnings(f"ignore::{kind}")
    for kind in ("DeprecationWarning", "FutureWarning", "UserWarning")
]

MODES = ("sync", "async", "sync-stream", "async-stream")
WORDS = ["one ", "two ", "three"]


class Service:
    """A server that answers as Gemini's does, and models that talk to it."""

    def __init__(self) -> None:
        self.genai: Any = pytest.importorskip("google.generativeai")
        self.grpc: Any = pytest.importorskip("grpc")
        self.services: Any = pytest.importorskip(
            "google.ai.generativelanguage_v1beta.services.generative_service"
        )
        self.transports: Any = pytest.importorskip(
            "google.ai.generativelanguage_v1beta.services.generative_service.transports"
        )
        protos, grpc = self.genai.protos, self.grpc
        reading, writing = (
            protos.GenerateContentRequest.deserialize,
            protos.GenerateContentResponse.serialize,
        )
        handler = grpc.method_handlers_generic_handler(
            "google.ai.generativelanguage.v1beta.GenerativeService",
            {
                "GenerateContent": grpc.unary_unary_rpc_method_handler(
                    self._whole, reading, writing
                ),
                "StreamGenerateContent": grpc.unary_stream_rpc_method_handler(
                    self._stream, reading, writing
                ),
            },
        )
        self._server: Any = grpc.server(futures.ThreadPoolExecutor(2))
        self._server.add_generic_rpc_handlers((handler,))
        self.port = self._server.add_insecure_port("127.0.0.1:0")
        self._server.start()

    def stop(self) -> None:
        self._server.stop(None).wait()

    def model(self, name: str = "gemini-1.5-flash", **options: Any) -> Any:
        model = self.genai.GenerativeModel(name, **options)
        address = f"127.0.0.1:{self.port}"
        model._client = self.services.GenerativeServiceClient(
            transport=self.transports.GenerativeServiceGrpcTransport(
                host=address, channel=self.grpc.insecure_channel(address)
            )
        )
        return model

    def async_model(self, **options: Any) -> Any:
        """A model for the running loop."""
        model = self.model(**options)
        address = f"127.0.0.1:{self.port}"
        model._async_client = self.services.GenerativeServiceAsyncClient(
            transport=self.transports.GenerativeServiceGrpcAsyncIOTransport(
                host=address, channel=self.grpc.aio.insecure_channel(address)
            )
        )
        return model

    def _answer(self, *parts: Dict[str, Any], last: bool = True) -> Any:
        candidate: Dict[str, Any] = {"content": {"role": "model", "parts": list(parts)}}
        if last:
            candidate["finish_reason"] = "STOP"
        return self.genai.protos.GenerateContentResponse(
            {
                "candidates": [candidate],
                "usage_metadata": {"prompt_token_count": 5, "candidates_token_count": 3},
                "model_version": "gemini-1.5-flash-002",
            }
        )

    def _check(self, request: Any, context: Any) -> None:
        if "no-such" in request.model:
            context.abort(self.grpc.StatusCode.NOT_FOUND, "no such model")

    def _whole(self, request: Any, context: Any) -> Any:
        self._check(request, context)
        if request.tools and len(request.contents) == 1:
            call = {"function_call": {"name": "get_weather", "args": {"place": "Oslo"}}}
            return self._answer(call)
        return self._answer({"text": "".join(WORDS)})

    def _stream(self, request: Any, context: Any) -> Iterator[Any]:
        self._check(request, context)
        for word in WORDS:
            yield self._answer({"text": word}, last=word is WORDS[-1])


@pytest.fixture
def service() -> Iterator[Service]:
    made = Service()
    yield made
    made.stop()


def run(service: Service, mode: str, **options: Any) -> str:
    """Ask in a mode; returns the answer's text."""
    arguments = {"contents": "hi", **options.pop("arguments", {})}
    if mode == "sync":
        return service.model(**options).generate_content(**arguments).text
    if mode == "sync-stream":
        reply = service.model(**options).generate_content(**arguments, stream=True)
        return "".join(part.text for part in reply)

    async def asking() -> str:
        model = service.async_model(**options)
        if mode == "async":
            return (await model.generate_content_async(**arguments)).text
        reply = await model.generate_content_async(**arguments, stream=True)
        return "".join([part.text async for part in reply])

    return asyncio.run(asking())


@pytest.mark.parametrize("mode", MODES)
def test_call_is_recorded(telemetry: Telemetry, service: Service, mode: str):
    options: Dict[str, Any] = {
        "system_instruction": "Count.",
        "generation_config": {"temperature": 0.5, "max_output_tokens": 100},
        "safety_settings": "BLOCK_NONE",
        "arguments": {
            "contents": ["hi", {"mime_type": "image/png", "data": b"123"}],
            "generation_config": {"temperature": 0.7, "stop_sequences": ["END"]},
        },
    }
    assert run(service, mode, **options) == "one two three"
    record = telemetry.record
    attributes = record["attributes"]
    stream = "stream" in mode
    assert record["name"] == f"gemini.generate_content{'_stream' if stream else ''}"
    assert record["status"] == "ok"
    assert attributes["model"] == "gemini-1.5-flash"
    assert attributes["provider"] == "gcp.gemini"
    assert attributes["output"] == "one two three"
    assert (attributes["tokens_input"], attributes["tokens_output"]) == (5, 3)
    assert attributes["finish_reasons"] == ["STOP"]
    assert attributes["gen_ai.response.model"] == "gemini-1.5-flash-002"
    assert attributes["gen_ai.request.temperature"] == 0.7
    assert attributes["gen_ai.request.max_tokens"] == 100
    assert attributes["gen_ai.request.stop_sequences"] == ["END"]
    assert "BLOCK_NONE" in str(attributes["peekr.request.parameters"]["safety_settings"])
    system, user = attributes["input"]
    assert system == {"role": "system", "content": "Count."}
    assert user["content"][0] == {"type": "text", "content": "hi"}
    assert user["content"][1]["size"] == 3
    assert ("time_to_first_token_ms" in attributes) == stream
    assert attributes["server.port"] == service.port


@pytest.mark.parametrize("mode", MODES)
def test_refusal_is_an_error(telemetry: Telemetry, service: Service, mode: str):
    with pytest.raises(Exception, match="no such model") as raised:
        run(service, mode, name="no-such")
    attributes = attributes_of(telemetry.span)
    assert attributes["error.type"] == type(raised.value).__name__ == "NotFound"
    assert attributes["peekr.error.code"] == "NOT_FOUND"
    assert attributes["http.response.status_code"] == 404


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("term", ["two three", "four"])
def test_forbidden_answer_is_withheld(
    bare_telemetry: Telemetry, service: Service, mode: str, term: str
):
    bare_telemetry.instrument(guardrails=[Blocklist(terms=[term], fields="output")])
    if term == "four":
        assert run(service, mode) == "one two three"
    else:
        with pytest.raises(GuardrailError):
            run(service, mode)
    record = bare_telemetry.record
    assert ("guardrail_violations" in record["attributes"]) is (term != "four")
    assert "two three" in record["attributes"]["output"] or term != "four"


def test_stream_that_is_dropped_ends_its_span(telemetry: Telemetry, service: Service):
    reply = service.model().generate_content("hi", stream=True)
    assert type(reply) is service.genai.types.GenerateContentResponse
    next(iter(reply))
    del reply
    gc.collect()
    record = telemetry.record
    assert record["status"] == "ok"
    assert record["attributes"]["peekr.stream.abandoned"] is True
    assert record["attributes"]["output"] == "one two "


def test_resolved_stream_gives_the_whole_text(telemetry: Telemetry, service: Service):
    reply = service.model().generate_content("hi", stream=True)
    reply.resolve()
    assert reply.text == telemetry.record["attributes"]["output"] == "one two three"


def test_chat_that_calls_functions_records_each_request(telemetry: Telemetry, service: Service):
    asked: List[str] = []

    def get_weather(place: str) -> str:
        """Say how the weather is."""
        asked.append(place)
        return "rain"

    chat = service.model(tools=[get_weather]).start_chat(enable_automatic_function_calling=True)
    assert chat.send_message("Weather?").text == "one two three"
    assert asked == ["Oslo"]
    first, second = telemetry.spans
    assert json.loads(attributes_of(first)["gen_ai.tool.definitions"]) == [
        {
            "type": "function",
            "name": "get_weather",
            "description": "Say how the weather is.",
            "parameters": {
                "type": "OBJECT",
                "properties": {"place": {"type": "STRING"}},
                "required": ["place"],
            },
        }
    ]
    roles = [m["role"] for m in json.loads(attributes_of(second)["gen_ai.input.messages"])]
    assert roles == ["user", "assistant", "tool"]
