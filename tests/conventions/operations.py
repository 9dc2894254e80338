"""Every operation of the four providers, called through the real SDKs on simulated services."""

from __future__ import annotations

import contextlib
import json
from typing import Any, Callable, Dict, FrozenSet, Generator, NamedTuple

import pytest

from simulated_providers import SimulatedProviders

QUESTION = "What is the weather in Seattle and San Francisco?"
_SCHEMA = {
    "type": "object",
    "properties": {"location": {"type": "string"}, "unit": {"enum": ["celsius", "fahrenheit"]}},
    "required": ["location"],
}
_USER: Any = [{"role": "user", "content": QUESTION}]
_CHAT_TOOLS: Any = [
    {"type": "function", "function": {"name": "get_weather", "parameters": _SCHEMA}}
]
_CLAUDE_TOOLS: Any = [{"name": "get_weather", "description": "Weather", "input_schema": _SCHEMA}]
_BEDROCK_TOOLS: Any = {
    "tools": [{"toolSpec": {"name": "get_weather", "inputSchema": {"json": _SCHEMA}}}]
}
_GEMINI_TOOLS: Any = [
    {
        "function_declarations": [
            {
                "name": "get_weather",
                "parameters": {
                    "type": "OBJECT",
                    "properties": {"location": {"type": "STRING"}},
                    "required": ["location"],
                },
            }
        ]
    }
]
_BODIES: Dict[str, Any] = {
    "us.anthropic.claude-3-5-haiku-20241022-v1:0": {
        "anthropic_version": "bedrock-2023-05-31",
        "max_tokens": 100,
        "temperature": 0.5,
        "system": "Be short.",
        "messages": [{"role": "user", "content": "hi there"}],
    },
    "amazon.nova-micro-v1:0": {"messages": [{"role": "user", "content": [{"text": "hi there"}]}]},
    "amazon.titan-text-lite-v1": {"inputText": "hi there"},
    "meta.llama3-1-70b-instruct-v1:0": {"prompt": "hi there", "max_gen_len": 50},
    "mistral.mistral-7b-instruct-v0:2": {"prompt": "<s>[INST] hi there [/INST]"},
    "cohere.command-r-v1:0": {"message": "hi there"},
    "ai21.jamba-1-5-mini-v1:0": {"messages": [{"role": "user", "content": "hi there"}]},
}


class Operation(NamedTuple):
    """One kind of call.

    Attributes:
        record: the name of its record.
        operation: `gen_ai.operation.name`.
        provider: `gen_ai.provider.name`.
        call: makes it; takes the simulated providers.
        streamed: the answer comes in chunks.
        fails: the service refuses.
        asks: attributes whose values the request gives.
    """

    record: str
    operation: str
    provider: str
    call: Callable[[SimulatedProviders], None]
    streamed: bool = False
    fails: bool = False
    asks: FrozenSet[str] = frozenset()


def _openai(method: str, **arguments: Any) -> Callable[[SimulatedProviders], None]:
    def call(providers: SimulatedProviders) -> None:
        openai = pytest.importorskip("openai")
        http = openai.DefaultHttpxClient(verify=False)
        options: Any = {"api_key": "simulated", "max_retries": 0, "http_client": http}
        with openai.OpenAI(base_url=providers.openai_url, **options) as client:
            target: Any = client
            for name in method.split("."):
                target = getattr(target, name)
            _consume(target, arguments)

    return call


def _anthropic(**arguments: Any) -> Callable[[SimulatedProviders], None]:
    def call(providers: SimulatedProviders) -> None:
        anthropic = pytest.importorskip("anthropic")
        http = anthropic.DefaultHttpxClient(verify=False)
        options: Any = {"api_key": "simulated", "max_retries": 0, "http_client": http}
        with anthropic.Anthropic(base_url=providers.anthropic_url, **options) as client:
            asked = {"model": "claude-sonnet-4-5", "max_tokens": 1024, "messages": _USER}
            _consume(client.messages.create, {**asked, **arguments})

    return call


def _bedrock(method: str, **arguments: Any) -> Callable[[SimulatedProviders], None]:
    def call(providers: SimulatedProviders) -> None:
        boto3 = pytest.importorskip("boto3")
        from botocore.config import Config

        client = boto3.client(
            "bedrock-runtime",
            endpoint_url=providers.bedrock_url,
            region_name="us-east-1",
            aws_access_key_id="simulated",
            aws_secret_access_key="simulated",
            config=Config(retries={"total_max_attempts": 1}),
        )
        with contextlib.closing(client), contextlib.suppress(client.exceptions.ClientError):
            response = getattr(client, method)(**arguments)
            body = response.get("stream") or response.get("body")
            if body is not None:
                with contextlib.closing(body):
                    _ = list(body) if method.endswith("stream") else body.read()

    return call


def _gemini(
    method: str, *, vertex: bool = False, **arguments: Any
) -> Callable[[SimulatedProviders], None]:
    def call(providers: SimulatedProviders) -> None:
        genai = pytest.importorskip("google.genai")
        options: Any = {"http_options": {"base_url": providers.gemini_url}}
        if vertex:
            credentials = pytest.importorskip("google.oauth2.credentials")
            options.update(
                vertexai=True,
                project="simulated",
                location="us-central1",
                credentials=credentials.Credentials(token="simulated"),
            )
        else:
            options["api_key"] = "simulated"
        client = genai.Client(**options)
        try:
            _consume(getattr(client.models, method), arguments, method.endswith("stream"))
        finally:
            if hasattr(client, "close"):
                client.close()

    return call


def _consume(method: Any, arguments: Dict[str, Any], streamed: bool = False) -> None:
    with _refusals():
        result = method(**arguments)
        if streamed or arguments.get("stream"):
            for _ in result:
                pass


@contextlib.contextmanager
def _refusals() -> Generator[None, None, None]:
    try:
        yield
    except Exception as error:
        # What the service refuses is an operation too; what fails in the test is not.
        if not (hasattr(error, "status_code") or hasattr(error, "code")):
            raise


def _invoke(model: str, method: str) -> Callable[[SimulatedProviders], None]:
    return _bedrock(method, modelId=model, body=json.dumps(_BODIES[model]))


_NOVA = "amazon.nova-micro-v1:0"
_NOVA_USER: Any = [{"role": "user", "content": [{"text": QUESTION}]}]
_INVOKE, _INVOKE_STREAM = "invoke_model", "invoke_model_with_response_stream"
_BEDROCK_RECORDS = {_INVOKE: "bedrock.invoke_model", _INVOKE_STREAM: "bedrock.invoke_model_stream"}

OPERATIONS: Dict[str, Operation] = {
    "openai chat": Operation(
        "openai.chat",
        "chat",
        "openai",
        _openai(
            "chat.completions.create",
            model="gpt-4o",
            messages=[{"role": "system", "content": "Be short."}, *_USER],
            tools=_CHAT_TOOLS,
            temperature=1,
            top_p=0.9,
            max_tokens=500,
            frequency_penalty=0.1,
            presence_penalty=1,
            seed=7,
            stop=["END"],
            n=1,
            response_format={"type": "text"},
            service_tier="default",
        ),
        asks=frozenset(
            {
                "gen_ai.request.temperature",
                "gen_ai.request.top_p",
                "gen_ai.request.max_tokens",
                "gen_ai.request.frequency_penalty",
                "gen_ai.request.presence_penalty",
                "gen_ai.request.seed",
                "gen_ai.request.stop_sequences",
                "gen_ai.output.type",
                "gen_ai.tool.definitions",
                "openai.request.service_tier",
            }
        ),
    ),
    "openai chat of two choices": Operation(
        "openai.chat",
        "chat",
        "openai",
        _openai("chat.completions.create", model="gpt-4o", messages=_USER, n=2),
        asks=frozenset({"gen_ai.request.choice.count"}),
    ),
    "openai chat streamed": Operation(
        "openai.chat",
        "chat",
        "openai",
        _openai(
            "chat.completions.create",
            model="gpt-4o",
            messages=_USER,
            stream=True,
            stream_options={"include_usage": True},
        ),
        streamed=True,
    ),
    "openai chat refused": Operation(
        "openai.chat",
        "chat",
        "openai",
        _openai("chat.completions.create", model="no-such-model", messages=_USER),
        fails=True,
    ),
    "openai responses": Operation(
        "openai.responses",
        "chat",
        "openai",
        _openai(
            "responses.create",
            model="o3-mini",
            input=QUESTION,
            instructions="Be short.",
            tools=[{"type": "function", "name": "get_weather", "parameters": _SCHEMA}],
            max_output_tokens=500,
        ),
        asks=frozenset(
            {
                "gen_ai.request.max_tokens",
                "gen_ai.system_instructions",
                "gen_ai.tool.definitions",
            }
        ),
    ),
    "openai responses streamed": Operation(
        "openai.responses",
        "chat",
        "openai",
        _openai("responses.create", model="gpt-4o", input=QUESTION, stream=True),
        streamed=True,
    ),
    "openai embeddings": Operation(
        "openai.embeddings",
        "embeddings",
        "openai",
        _openai(
            "embeddings.create",
            model="text-embedding-3-small",
            input=["a", "b"],
            encoding_format="float",
        ),
        asks=frozenset({"gen_ai.request.encoding_formats"}),
    ),
    "openai completions": Operation(
        "openai.completions",
        "text_completion",
        "openai",
        _openai("completions.create", model="gpt-3.5-turbo-instruct", prompt="Say hi"),
    ),
    "anthropic messages": Operation(
        "anthropic.messages",
        "chat",
        "anthropic",
        _anthropic(system="Be short.", tools=_CLAUDE_TOOLS, stop_sequences=["END"]),
        asks=frozenset(
            {
                "gen_ai.request.max_tokens",
                "gen_ai.request.stop_sequences",
                "gen_ai.system_instructions",
                "gen_ai.tool.definitions",
            }
        ),
    ),
    "anthropic messages streamed": Operation(
        "anthropic.messages", "chat", "anthropic", _anthropic(stream=True), streamed=True
    ),
    "anthropic messages refused": Operation(
        "anthropic.messages", "chat", "anthropic", _anthropic(model="no-such-model"), fails=True
    ),
    "bedrock converse": Operation(
        "bedrock.converse",
        "chat",
        "aws.bedrock",
        _bedrock(
            "converse",
            modelId=_NOVA,
            messages=_NOVA_USER,
            system=[{"text": "Be short."}],
            toolConfig=_BEDROCK_TOOLS,
            inferenceConfig={"maxTokens": 100, "temperature": 1},
        ),
        asks=frozenset(
            {
                "gen_ai.request.max_tokens",
                "gen_ai.request.temperature",
                "gen_ai.system_instructions",
                "gen_ai.tool.definitions",
            }
        ),
    ),
    "bedrock converse guarded": Operation(
        "bedrock.converse",
        "chat",
        "aws.bedrock",
        _bedrock(
            "converse",
            modelId=_NOVA,
            messages=_NOVA_USER,
            guardrailConfig={"guardrailIdentifier": "g1", "guardrailVersion": "1"},
        ),
    ),
    "bedrock converse streamed": Operation(
        "bedrock.converse_stream",
        "chat",
        "aws.bedrock",
        _bedrock("converse_stream", modelId=_NOVA, messages=_NOVA_USER),
        streamed=True,
    ),
    "bedrock converse refused": Operation(
        "bedrock.converse",
        "chat",
        "aws.bedrock",
        _bedrock("converse", modelId="no.such-model-v1:0", messages=_NOVA_USER),
        fails=True,
    ),
    **{
        f"bedrock {method} {model}": Operation(
            _BEDROCK_RECORDS[method],
            "chat" if "messages" in body or "message" in body else "text_completion",
            "aws.bedrock",
            _invoke(model, method),
            streamed=method == _INVOKE_STREAM,
        )
        for model, body in _BODIES.items()
        for method in (_INVOKE, _INVOKE_STREAM)
    },
    "bedrock embeddings": Operation(
        "bedrock.invoke_model",
        "embeddings",
        "aws.bedrock",
        _bedrock(
            _INVOKE,
            modelId="amazon.titan-embed-text-v2:0",
            body=json.dumps({"inputText": "a", "dimensions": 256}),
        ),
    ),
    "gemini content": Operation(
        "gemini.generate_content",
        "generate_content",
        "gcp.gemini",
        _gemini(
            "generate_content",
            model="gemini-2.5-flash",
            contents=QUESTION,
            config={
                "system_instruction": "Be short.",
                "temperature": 0.5,
                "top_k": 5,
                "max_output_tokens": 100,
                "seed": 7,
                "tools": _GEMINI_TOOLS,
            },
        ),
        asks=frozenset(
            {
                "gen_ai.request.max_tokens",
                "gen_ai.request.temperature",
                "gen_ai.request.top_k",
                "gen_ai.request.seed",
                "gen_ai.system_instructions",
                "gen_ai.tool.definitions",
            }
        ),
    ),
    "gemini content streamed": Operation(
        "gemini.generate_content_stream",
        "generate_content",
        "gcp.gemini",
        _gemini("generate_content_stream", model="gemini-2.0-flash", contents=QUESTION),
        streamed=True,
    ),
    "gemini content refused": Operation(
        "gemini.generate_content",
        "generate_content",
        "gcp.gemini",
        _gemini("generate_content", model="no-such-model", contents=QUESTION),
        fails=True,
    ),
    "gemini embeddings": Operation(
        "gemini.embed_content",
        "embeddings",
        "gcp.gemini",
        _gemini("embed_content", model="gemini-embedding-001", contents=["a", "b"]),
    ),
    "vertex content": Operation(
        "gemini.generate_content",
        "generate_content",
        "gcp.vertex_ai",
        _gemini("generate_content", vertex=True, model="gemini-2.0-flash", contents=QUESTION),
    ),
}
