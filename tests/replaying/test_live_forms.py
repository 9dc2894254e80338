"""Requests that are written in one way of several: sent again, they are written the same way."""

from __future__ import annotations

import json
import warnings
from typing import Any, Callable, Dict, List, Optional

import pytest
from pydantic import BaseModel

from peekr.record import SpanRecord
from peekr.replaying import live
from simulated_providers import SimulatedProviders

from ..conftest import Telemetry
from .test_live import SCHEMA, gemini_client, providers

__all__ = ["providers"]

MODEL = "gpt-4o-mini"
ASK: Dict[str, Any] = {"role": "user", "content": "How is the weather?"}
TOOL: Dict[str, Any] = {"name": "get_weather", "description": "Weather", "parameters": SCHEMA}


def call(arguments: str, **further: Any) -> Dict[str, Any]:
    function = {"name": "get_weather", "arguments": arguments}
    return {"id": "call_1", "type": "function", "function": function, **further}


def result(content: Any, **further: Any) -> Dict[str, Any]:
    return {"role": "tool", "tool_call_id": "call_1", "content": content, **further}


def calling(*calls: Dict[str, Any], **further: Any) -> Dict[str, Any]:
    return {"role": "assistant", "content": None, "tool_calls": list(calls), **further}


class Place(BaseModel):
    name: str
    note: Optional[str] = None


class City(BaseModel):
    """A city."""

    place: Place
    districts: List[Place]


CHATS: Dict[str, Dict[str, Any]] = {
    "one choice asked for": {"messages": [ASK], "n": 1},
    "no stream asked for": {"messages": [ASK], "stream": False},
    "a stop text": {"messages": [ASK], "stop": "END"},
    "null parameters": {"messages": [ASK], "temperature": None, "tools": None},
    "a list of one text": {
        "messages": [{"role": "user", "content": [{"type": "text", "text": "Hi"}]}]
    },
    "a list of two texts": {
        "messages": [{"role": "user", "content": [{"type": "text", "text": t} for t in "ab"]}]
    },
    "a text to be cached": {
        "messages": [
            {
                "role": "system",
                "content": [{"type": "text", "text": "Hi", "cache_control": {"type": "ephemeral"}}],
            },
            ASK,
        ]
    },
    "empty texts": {
        "messages": [{"role": "system", "content": ""}, {"role": "user", "content": []}]
    },
    "arguments with spaces": {
        "messages": [ASK, calling(call('{"city": "Paris", "n": [1, 2]}')), result("clear")]
    },
    "arguments with escapes": {
        "messages": [ASK, calling(call('{"city": "Orl\\u00e9ans"}')), result("clear")]
    },
    "arguments in lines": {
        "messages": [ASK, calling(call('{\n  "city": "Paris"\n}')), result("clear")]
    },
    "arguments that are none": {"messages": [ASK, calling(call("")), result("")]},
    "arguments cut off": {"messages": [ASK, calling(call('{"city": "Pa')), result("?")]},
    "an answer as the API gives it": {
        "messages": [
            ASK,
            calling(call("{}"), refusal=None, annotations=[], audio=None),
            result("clear"),
        ]
    },
    "calls without content": {
        "messages": [
            ASK,
            {"role": "assistant", "tool_calls": [call("{}")]},
            result([{"type": "text", "text": "clear"}], name="get_weather"),
        ]
    },
    "calls with empty content": {
        "messages": [ASK, calling(call("{}"), content=""), result("clear")],
    },
    "a refusal": {
        "messages": [ASK, {"role": "assistant", "content": None, "refusal": "No."}, ASK],
    },
    "a function of old": {
        "messages": [
            ASK,
            {
                "role": "assistant",
                "content": None,
                "function_call": {"name": "get_weather", "arguments": '{"city": "Paris"}'},
            },
            {"role": "function", "name": "get_weather", "content": "clear"},
        ],
        "functions": [TOOL],
        "function_call": "auto",
    },
    "a tool of free text": {
        "messages": [
            ASK,
            {
                "role": "assistant",
                "content": None,
                "tool_calls": [
                    {"id": "call_1", "type": "custom", "custom": {"name": "run", "input": "1+1"}}
                ],
            },
            result("2"),
        ],
        "tools": [{"type": "custom", "custom": {"name": "run", "description": "Runs"}}],
    },
    "a spoken answer": {
        "messages": [ASK, {"role": "assistant", "audio": {"id": "audio_1"}}, ASK],
    },
    "thoughts": {
        "messages": [ASK, {"role": "assistant", "content": "Hi", "reasoning_content": "Hm"}, ASK],
    },
    "names": {"messages": [{"role": "user", "name": "ada", "content": "Hi"}]},
    "further parameters": {
        "messages": [ASK],
        "logprobs": True,
        "top_logprobs": 2,
        "metadata": {"a": "b"},
        "parallel_tool_calls": False,
        "prediction": {"type": "content", "content": "Hi"},
        "extra_body": {"thinking": {"type": "enabled"}, "n": 1},
        "tools": [{"type": "function", "function": {**TOOL, "strict": False}}],
        "tool_choice": {"type": "function", "function": {"name": "get_weather"}},
    },
}

TEXT = {"type": "input_text", "text": "Hi"}
SAID: Dict[str, Any] = {
    "type": "message",
    "id": "msg_1",
    "role": "assistant",
    "status": "completed",
    "content": [{"type": "output_text", "text": "Hm.", "annotations": [], "logprobs": []}],
}
RESPONSES: Dict[str, Dict[str, Any]] = {
    "a text": {"input": "Hi", "stream": False},
    "a list of one message": {"input": [ASK]},
    "a list of one block": {"input": [{"role": "user", "content": [TEXT]}]},
    "an answer as the API gives it": {"input": [ASK, SAID, ASK]},
    "thoughts": {
        "input": [
            ASK,
            {"type": "reasoning", "id": "rs_1", "summary": []},
            {
                "type": "reasoning",
                "id": "rs_2",
                "summary": [{"type": "summary_text", "text": t} for t in ("Look.", "Think.")],
                "encrypted_content": "Z" * 2_000,
                "status": None,
            },
            {
                "type": "function_call",
                "id": "fc_1",
                "call_id": "c1",
                "name": "get_weather",
                "arguments": '{"city": "Paris"}',
                "status": "completed",
            },
            {"type": "function_call_output", "call_id": "c1", "output": "clear"},
        ],
        "include": ["reasoning.encrypted_content"],
        "store": False,
    },
    "tools of the provider's": {
        "input": [
            ASK,
            {
                "type": "web_search_call",
                "id": "ws_1",
                "status": "completed",
                "action": {"type": "search", "query": "weather"},
            },
            SAID,
            {"type": "mcp_list_tools", "id": "mcpl_1", "server_label": "a", "tools": []},
            ASK,
        ],
        "tools": [
            {"type": "web_search_preview", "search_context_size": "low"},
            {"type": "mcp", "server_label": "a", "server_url": "https://mcp.example.org"},
        ],
    },
    "an output in blocks": {
        "input": [
            ASK,
            {"type": "function_call", "call_id": "c1", "name": "f", "arguments": "{}"},
            {"type": "function_call_output", "call_id": "c1", "output": [TEXT, TEXT]},
            {"type": "custom_tool_call", "call_id": "c2", "name": "run", "input": "1+1"},
            {"type": "custom_tool_call_output", "call_id": "c2", "output": "2"},
        ]
    },
    "references": {"input": [{"type": "item_reference", "id": "msg_1"}, ASK]},
    "empty messages": {"input": [{"role": "user", "content": ""}, ASK]},
    "a prompt": {"prompt": {"id": "pmpt_1", "variables": {"city": "Paris"}}, "input": "Hi"},
    "instructions": {"input": "Hi", "instructions": None, "previous_response_id": "resp_1"},
}


def sent(providers: SimulatedProviders) -> Any:
    last = providers.requests[-1]
    return json.loads(last.body) if isinstance(last.body, (bytes, str)) else last.body


def asked(ask: Callable[[], Any], providers: SimulatedProviders) -> Any:
    """The body that a call sends, whatever comes back."""
    count = len(providers.requests)
    try:
        ask()
    except Exception as error:
        if len(providers.requests) == count:
            pytest.skip(f"this SDK does not send such a request: {type(error).__name__}")
    return sent(providers)


def again(telemetry: Telemetry, providers: SimulatedProviders) -> Any:
    """The body that goes out when the newest call is sent once more."""
    span = SpanRecord.from_dict(telemetry.records[-1])
    count = len(providers.requests)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        run = live.send(live.requests_of([span]), storage=None)
    assert len(providers.requests) == count + 1, run.errors
    return sent(providers)


def check_all(telemetry: Telemetry, providers: SimulatedProviders, before: List[Any]) -> None:
    """Check that each call so far is sent again with the body that it had."""
    spans = [SpanRecord.from_dict(record) for record in telemetry.records]
    count = len(providers.requests)
    run = live.send(live.requests_of(spans), storage=None)
    assert [request.body for request in providers.requests[count:]] == before, run.errors


@pytest.mark.parametrize("name", CHATS)
def test_a_chat(name: str, telemetry: Telemetry, providers: SimulatedProviders):
    with pytest.importorskip("openai").OpenAI() as client:
        create: Any = client.chat.completions.create
        before = asked(lambda: create(model=MODEL, **CHATS[name]), providers)
    assert again(telemetry, providers) == before


@pytest.mark.parametrize("name", RESPONSES)
def test_a_response(name: str, telemetry: Telemetry, providers: SimulatedProviders):
    with pytest.importorskip("openai").OpenAI(max_retries=0) as client:
        create: Any = client.responses.create
        before = asked(lambda: create(model=MODEL, **RESPONSES[name]), providers)
    assert again(telemetry, providers) == before


def test_a_class_as_the_form_of_an_answer(telemetry: Telemetry, providers: SimulatedProviders):
    with pytest.importorskip("openai").OpenAI() as client:
        if not hasattr(client.chat.completions, "parse"):
            pytest.skip("this SDK has it elsewhere")
        before: List[Any] = []
        for ask in (
            lambda: client.chat.completions.parse(
                model=MODEL, messages=[ASK], response_format=City
            ),
            lambda: client.responses.parse(model=MODEL, input="Hi", text_format=City),
        ):
            try:
                ask()
            except ValueError:
                pass  # the simulated model says something else
            before.append(sent(providers))
    check_all(telemetry, providers, before)


def test_answers_of_the_sdk_go_back_as_they_came(
    telemetry: Telemetry, providers: SimulatedProviders
):
    with pytest.importorskip("openai").OpenAI() as client:
        tools: Any = [{"type": "function", "function": TOOL}]
        answer = client.chat.completions.create(model=MODEL, messages=[ASK], tools=tools)
        before = [sent(providers)]
        said = answer.choices[0].message
        messages: List[Any] = [ASK, said]
        messages += [result("clear", tool_call_id=one.id) for one in said.tool_calls or ()]
        client.chat.completions.create(model=MODEL, messages=messages, tools=tools)
        before.append(sent(providers))
        items: List[Any] = [*client.responses.create(model=MODEL, input="Hi").output, ASK]
        before.append(sent(providers))
        client.responses.create(model=MODEL, input=items)
        before.append(sent(providers))
    check_all(telemetry, providers, before)


CACHED = {"type": "ephemeral"}
FOUND: Dict[str, Any] = {
    "type": "web_search_tool_result",
    "tool_use_id": "srv_1",
    "content": [
        {
            "type": "web_search_result",
            "url": "https://example.org",
            "title": "Weather",
            "encrypted_content": "Z" * 2_000,
            "page_age": None,
        }
    ],
}
MESSAGES: Dict[str, Dict[str, Any]] = {
    "a text": {"messages": [ASK], "system": "Be short."},
    "a list of one block": {
        "messages": [{"role": "user", "content": [{"type": "text", "text": "Hi"}]}],
        "system": [{"type": "text", "text": "Be short."}],
    },
    "what is to be cached": {
        "messages": [
            {"role": "user", "content": [{"type": "text", "text": "Hi", "cache_control": CACHED}]}
        ],
        "tools": [{"name": "f", "input_schema": SCHEMA, "cache_control": CACHED, "strict": True}],
    },
    "thoughts": {
        "messages": [
            ASK,
            {
                "role": "assistant",
                "content": [
                    {"type": "thinking", "thinking": "Hm.", "signature": "c2ln"},
                    {"type": "redacted_thinking", "data": "Z" * 2_000},
                    {"type": "text", "text": "Hi", "citations": None},
                ],
            },
            ASK,
        ],
        "thinking": {"type": "enabled", "budget_tokens": 1024},
    },
    "tools of the provider's": {
        "messages": [
            ASK,
            {
                "role": "assistant",
                "content": [
                    {
                        "type": "server_tool_use",
                        "id": "srv_1",
                        "name": "web_search",
                        "input": {"query": "weather"},
                    },
                    FOUND,
                    {
                        "type": "text",
                        "text": "Clear.",
                        "citations": [
                            {
                                "type": "web_search_result_location",
                                "url": "https://example.org",
                                "title": "Weather",
                                "cited_text": "Clear.",
                                "encrypted_index": "Zg==",
                            }
                        ],
                    },
                ],
            },
            ASK,
        ],
        "tools": [{"type": "web_search_20250305", "name": "web_search", "max_uses": 2}],
    },
    "results of tools": {
        "messages": [
            ASK,
            {
                "role": "assistant",
                "content": [
                    {"type": "tool_use", "id": f"t{n}", "name": "f", "input": {}} for n in "123"
                ],
            },
            {
                "role": "user",
                "content": [
                    {"type": "tool_result", "tool_use_id": "t1"},
                    {
                        "type": "tool_result",
                        "tool_use_id": "t2",
                        "is_error": False,
                        "content": [{"type": "text", "text": "a"}],
                    },
                    {
                        "type": "tool_result",
                        "tool_use_id": "t3",
                        "is_error": True,
                        "content": "broken",
                        "cache_control": CACHED,
                    },
                    {"type": "text", "text": "So?"},
                ],
            },
        ],
        "tools": [{"type": "custom", "name": "f", "input_schema": SCHEMA}],
        "tool_choice": {"type": "any", "disable_parallel_tool_use": True},
    },
    "documents": {
        "messages": [
            {
                "role": "user",
                "content": [
                    {
                        "type": "document",
                        "source": {"type": "text", "media_type": "text/plain", "data": "Long."},
                        "title": "A",
                        "citations": {"enabled": True},
                    },
                    {
                        "type": "document",
                        "source": {"type": "url", "url": "https://example.org/a.pdf"},
                        "context": "B",
                    },
                    {"type": "text", "text": "Sum up."},
                ],
            }
        ],
        "metadata": {"user_id": "u"},
        "service_tier": "auto",
    },
}

PARIS = {"city": "Paris"}
CONVERSES: Dict[str, Dict[str, Any]] = {
    "fields of the model's": {
        "messages": [{"role": "user", "content": [{"text": "Hi"}]}],
        "additionalModelRequestFields": {
            "inferenceConfig": {"topK": 20},
            "reasoning_config": {"type": "enabled", "budget_tokens": 1024},
        },
        "inferenceConfig": {"maxTokens": 10, "stopSequences": ["END"]},
    },
    "thoughts and results": {
        "system": [{"text": "Be short."}, {"cachePoint": {"type": "default"}}],
        "messages": [
            {
                "role": "user",
                "content": [
                    {"guardContent": {"text": {"text": "Hi", "qualifiers": ["query"]}}},
                    {"cachePoint": {"type": "default"}},
                ],
            },
            {
                "role": "assistant",
                "content": [
                    {"reasoningContent": {"reasoningText": {"text": "Hm.", "signature": "c2ln"}}},
                    {"toolUse": {"toolUseId": "t1", "name": "f", "input": PARIS}},
                    {"toolUse": {"toolUseId": "t2", "name": "f", "input": {}}},
                ],
            },
            {
                "role": "user",
                "content": [
                    {
                        "toolResult": {
                            "toolUseId": "t1",
                            "status": "success",
                            "content": [{"text": "a"}, {"json": {"b": 1}}],
                        }
                    },
                    {
                        "toolResult": {
                            "toolUseId": "t2",
                            "status": "error",
                            "content": [{"text": "x"}],
                        }
                    },
                ],
            },
        ],
        "toolConfig": {
            "tools": [
                {"toolSpec": {"name": "f", "inputSchema": {"json": SCHEMA}}},
                {"cachePoint": {"type": "default"}},
            ],
            "toolChoice": {"any": {}},
        },
        "performanceConfig": {"latency": "optimized"},
        "requestMetadata": {"team": "a"},
    },
}
CLAUDE = {"anthropic_version": "bedrock-2023-05-31", "max_tokens": 10}
BODIES: Dict[str, Any] = {
    "anthropic.claude-3-haiku-20240307-v1:0": {
        **CLAUDE,
        "system": [{"type": "text", "text": "Be short.", "cache_control": CACHED}],
        "messages": [
            {"role": "user", "content": "Hi"},
            {
                "role": "assistant",
                "content": [
                    {"type": "thinking", "thinking": "Hm.", "signature": "c2ln"},
                    {"type": "tool_use", "id": "t1", "name": "f", "input": PARIS},
                ],
            },
            {
                "role": "user",
                "content": [
                    {
                        "type": "tool_result",
                        "tool_use_id": "t1",
                        "content": [{"type": "text", "text": "clear"}],
                    }
                ],
            },
        ],
        "tools": [{"name": "f", "description": "F", "input_schema": SCHEMA}],
        "temperature": 0.5,
        "top_k": 5,
        "stop_sequences": ["END"],
    },
    "us.amazon.nova-lite-v1:0": {
        "schemaVersion": "messages-v1",
        "system": [{"text": "Be short."}],
        "messages": [{"role": "user", "content": [{"text": "Hi"}]}],
        "inferenceConfig": {"max_new_tokens": 10, "topP": 0.5, "topK": 5, "temperature": 0},
        "toolConfig": {
            "tools": [{"toolSpec": {"name": "f", "inputSchema": {"json": SCHEMA}}}],
            "toolChoice": {"auto": {}},
        },
    },
    "amazon.titan-text-express-v1": {
        "inputText": "Hi",
        "textGenerationConfig": {"maxTokenCount": 10, "temperature": 0.5, "stopSequences": []},
    },
    "meta.llama3-8b-instruct-v1:0": {"prompt": "Hi", "max_gen_len": 10, "temperature": 0.5},
    "mistral.mistral-7b-instruct-v0:2": {"prompt": "Hi", "max_tokens": 10, "stop": ["END"]},
    "mistral.mistral-large-2402-v1:0": {
        "messages": [
            {"role": "system", "content": "Be short."},
            ASK,
            {"role": "assistant", "content": "", "tool_calls": [call('{"city": "Paris"}')]},
            result("clear"),
        ],
        "tools": [{"type": "function", "function": TOOL}],
        "tool_choice": "auto",
        "max_tokens": 10,
    },
    "cohere.command-r-v1:0": {
        "message": "And now?",
        "preamble": "Be short.",
        "chat_history": [
            {"role": "USER", "message": "Hi"},
            {"role": "CHATBOT", "message": "Hello"},
        ],
        "documents": [{"title": "A", "snippet": "B"}],
        "search_queries_only": False,
        "max_tokens": 10,
        "p": 0.5,
        "k": 5,
    },
    "cohere.command-text-v14": {
        "prompt": "Hi",
        "num_generations": 1,
        "return_likelihoods": "NONE",
        "max_tokens": 10,
    },
    "ai21.j2-mid-v1": {"prompt": "Hi", "maxTokens": 10, "countPenalty": {"scale": 0}},
    "amazon.titan-embed-text-v2:0": {"inputText": "Hi", "dimensions": 256, "normalize": True},
    "cohere.embed-english-v3": {
        "texts": ["a", "b"],
        "input_type": "search_document",
        "truncate": "NONE",
    },
}


def get_weather(city: str, days: int = 1) -> str:
    """Tell the weather.

    Args:
        city: Where.
        days: How many.
    """
    return f"{city} {days}"


SIGNED: List[Dict[str, Any]] = [
    {"role": "user", "parts": [{"text": "How is the weather?"}]},
    {
        "role": "model",
        "parts": [
            {"text": "Hm.", "thought": True},
            {
                "function_call": {"name": "get_weather", "args": PARIS},
                "thought_signature": b"\xff\x00signed",
            },
        ],
    },
    {
        "role": "function",
        "parts": [{"function_response": {"name": "get_weather", "response": {"sky": "clear"}}}],
    },
]
DECLARED = {"name": "get_weather", "description": "Weather"}
UPPER = {"type": "OBJECT", "properties": {"city": {"type": "STRING"}}, "required": ["city"]}
GEMINIS: Dict[str, Dict[str, Any]] = {
    "a text": {"contents": "Hi"},
    "texts": {"contents": ["Hi", "there"]},
    "an empty configuration": {"contents": "Hi", "config": {}},
    "one candidate asked for": {"contents": "Hi", "config": {"candidate_count": 1, "seed": 3}},
    "signed thoughts": {"contents": SIGNED},
    "contents without a role": {"contents": [{"parts": [{"text": "Hi"}]}]},
    "a schema of the provider's": {
        "contents": "Hi",
        "config": {"tools": [{"function_declarations": [{**DECLARED, "parameters": UPPER}]}]},
    },
    "a schema of the answer": {
        "contents": "Hi",
        "config": {"response_mime_type": "application/json", "response_schema": UPPER},
    },
    "tools of the provider's": {
        "contents": [
            {"role": "user", "parts": [{"text": "Hi"}]},
            {
                "role": "model",
                "parts": [
                    {"executable_code": {"language": "PYTHON", "code": "1+1"}},
                    {"code_execution_result": {"outcome": "OUTCOME_OK", "output": "2"}},
                ],
            },
            {"role": "user", "parts": [{"text": "And?"}]},
        ],
        "config": {
            "tools": [{"google_search": {}}, {"code_execution": {}}],
            "thinking_config": {"thinking_budget": 0},
            "safety_settings": [
                {"category": "HARM_CATEGORY_HARASSMENT", "threshold": "BLOCK_NONE"}
            ],
        },
    },
    "several tools": {
        "contents": "Hi",
        "config": {
            "tools": [
                {"function_declarations": [{**DECLARED, "parameters": UPPER}]},
                {"function_declarations": [{"name": "g", "parameters": UPPER}]},
            ],
            "tool_config": {"function_calling_config": {"mode": "ANY"}},
        },
    },
    "instructions": {
        "contents": "Hi",
        "config": {"system_instruction": ["Be short.", "Be kind."], "temperature": 0},
    },
}


@pytest.mark.parametrize("name", MESSAGES)
def test_a_message(name: str, telemetry: Telemetry, providers: SimulatedProviders):
    with pytest.importorskip("anthropic").Anthropic(max_retries=0) as client:
        create: Any = client.messages.create
        more: Dict[str, Any] = {"model": "claude-test-1", "max_tokens": 2_000}
        before = asked(lambda: create(**more, **MESSAGES[name]), providers)
    assert again(telemetry, providers) == before


@pytest.mark.parametrize("name", CONVERSES)
def test_a_converse(name: str, telemetry: Telemetry, providers: SimulatedProviders):
    client = pytest.importorskip("boto3").client("bedrock-runtime")
    model = "amazon.nova-micro-v1:0"
    before = asked(lambda: client.converse(modelId=model, **CONVERSES[name]), providers)
    assert again(telemetry, providers) == before


@pytest.mark.parametrize("model", BODIES)
def test_a_body_of_invoke_model(model: str, telemetry: Telemetry, providers: SimulatedProviders):
    client = pytest.importorskip("boto3").client("bedrock-runtime")
    body = json.dumps(BODIES[model])
    # Some of the families are not simulated, and refused.
    before = asked(lambda: client.invoke_model(modelId=model, body=body)["body"].read(), providers)
    assert before == BODIES[model]
    assert again(telemetry, providers) == before


@pytest.mark.parametrize("name", GEMINIS)
def test_a_content(name: str, telemetry: Telemetry, providers: SimulatedProviders):
    client = gemini_client()
    generate: Any = client.models.generate_content
    before = asked(lambda: generate(model="gemini-2.5-flash", **GEMINIS[name]), providers)
    assert again(telemetry, providers) == before


def test_classes_given_to_gemini(telemetry: Telemetry, providers: SimulatedProviders):
    client = gemini_client()
    before: List[Any] = []
    for schema in (City, list[City]):
        config: Any = {"response_mime_type": "application/json", "response_schema": schema}
        client.models.generate_content(model="gemini-2.5-flash", contents="Hi", config=config)
        before.append(sent(providers))
    check_all(telemetry, providers, before)


def test_embeddings(telemetry: Telemetry, providers: SimulatedProviders):
    client = gemini_client()
    before: List[Any] = []
    asked: Any
    for asked in (
        {"contents": "Hi"},
        {"contents": ["Hi"], "config": {"output_dimensionality": 8}},
        {"contents": ["a", "b"], "config": {"task_type": "RETRIEVAL_DOCUMENT"}},
    ):
        client.models.embed_content(model="gemini-embedding-001", **asked)
        before.append(sent(providers))
    with pytest.importorskip("openai").OpenAI() as openai:
        for asked in (
            {"input": "Hi"},
            {"input": ["Hi"], "dimensions": 8},
            {"input": ["a", "b"], "encoding_format": "float", "user": "u"},
        ):
            openai.embeddings.create(model="text-embedding-3-small", **asked)
            before.append(sent(providers))
    check_all(telemetry, providers, before)


def test_a_request_nested_without_an_end_is_recorded(
    telemetry: Telemetry, providers: SimulatedProviders
):
    circle: Dict[str, Any] = {"type": "text", "text": "Hi"}
    circle["more"] = [circle]
    with pytest.importorskip("openai").OpenAI() as client:
        create: Any = client.chat.completions.create
        with pytest.raises(Exception):  # noqa: B017, PT011 - as the SDK says it
            create(model=MODEL, messages=[{"role": "user", "content": [circle]}])
    assert telemetry.record["attributes"]["input"] == [{"role": "user", "content": "Hi"}]
