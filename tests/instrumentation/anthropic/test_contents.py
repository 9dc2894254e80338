"""What a request and its answer say, plain and streamed: every content block, and the counts."""

from __future__ import annotations

import base64
import hashlib
import inspect
import json
from typing import Any, Dict, List, Tuple

import pytest
from opentelemetry.trace import StatusCode

from ...conftest import Telemetry, attributes_of
from ...support.player import Player
from .calls import ASK, Calls, answer, body_of, event_bodies, events, settled, user

PIXEL = base64.b64decode(
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAQAAAC1HAwCAAAAC0lEQVR42mNk+A8AAQUBAScY42YAAAAASUVORK5CYII="
)
DATA = base64.b64encode(PIXEL).decode()
DIGEST = {"content": "", "size": len(PIXEL), "sha256": hashlib.sha256(PIXEL).hexdigest()}


async def asked(mode: str, telemetry: Telemetry, **arguments: Any) -> Dict[str, Any]:
    """Make a call with these arguments; the attributes of its span."""
    with Player(answer(body_of([{"type": "text", "text": "ok"}]))) as player:
        async with Calls(mode, player.url) as call:
            # Versions differ in what they have parameters for; the rest goes into the body.
            known = inspect.signature(call.client.messages.create).parameters
            given = {name: value for name, value in arguments.items() if name in known}
            extra = {name: value for name, value in arguments.items() if name not in known}
            body = {**extra, **given.pop("extra_body", {})}
            more = {"extra_body": body} if body else {}
            await call("messages.create", **{**ASK, **given, **more})
    return attributes_of(telemetry.span)


async def answered(
    mode: str, telemetry: Telemetry, block: Any, deltas: List[Any], streamed: bool, whole: Any
) -> Dict[str, Any]:
    """Make a call that is answered with one block, streamed as its deltas; the span's message."""
    played = events(*event_bodies([(block, deltas)])) if streamed else answer(body_of([whole]))
    with Player(played) as player:
        async with Calls(mode, player.url) as call:
            if streamed:
                await call.drain(await call("messages.create", **ASK, stream=True))
            else:
                await call("messages.create", **ASK)
    (message,) = json.loads(attributes_of(telemetry.span)["gen_ai.output.messages"])
    assert message["role"] == "assistant"
    assert message["finish_reason"] == "end_turn"
    return message


# -- input -------------------------------------------------------------------------------------

CACHED = {"type": "ephemeral"}
INPUT_BLOCKS: List[Tuple[str, Any, Any]] = [
    ("text", {"type": "text", "text": "hi"}, {"type": "text", "content": "hi"}),
    (
        "cached text",
        {"type": "text", "text": "hi", "cache_control": CACHED},
        {"type": "text", "content": "hi", "cache_control": CACHED},
    ),
    (
        "inline image",
        {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": DATA}},
        {"type": "blob", "modality": "image", "mime_type": "image/png", **DIGEST},
    ),
    (
        "image by address",
        {"type": "image", "source": {"type": "url", "url": "https://example.com/a.png"}},
        {"type": "uri", "modality": "image", "uri": "https://example.com/a.png"},
    ),
    (
        "image by file id",
        {"type": "image", "source": {"type": "file", "file_id": "file_1"}},
        {"type": "file", "modality": "image", "file_id": "file_1"},
    ),
    (
        "inline document",
        {
            "type": "document",
            "title": "Report",
            "source": {"type": "base64", "media_type": "application/pdf", "data": DATA},
        },
        {
            "type": "blob",
            "modality": "document",
            "mime_type": "application/pdf",
            "title": "Report",
            **DIGEST,
        },
    ),
    (
        "document by address",
        {"type": "document", "source": {"type": "url", "url": "https://example.com/a.pdf"}},
        {"type": "uri", "modality": "document", "uri": "https://example.com/a.pdf"},
    ),
    (
        "document of text",
        {
            "type": "document",
            "title": "Notes",
            "context": "from 2026",
            "source": {"type": "text", "media_type": "text/plain", "data": "the notes"},
        },
        {
            "type": "document",
            "mime_type": "text/plain",
            "content": "the notes",
            "title": "Notes",
            "context": "from 2026",
        },
    ),
    (
        "document of blocks",
        {
            "type": "document",
            "source": {"type": "content", "content": [{"type": "text", "text": "a"}]},
        },
        {"type": "document", "content": [{"type": "text", "content": "a"}]},
    ),
    (
        "search result",
        {
            "type": "search_result",
            "source": "https://example.com",
            "title": "Example",
            "content": [{"type": "text", "text": "found"}],
        },
        {
            "type": "search_result",
            "source": "https://example.com",
            "title": "Example",
            "content": [{"type": "text", "content": "found"}],
        },
    ),
    (
        "a kind to come",
        {"type": "hologram", "angle": 3, "data": DATA, "encrypted_index": "x"},
        {"type": "hologram", "angle": 3},
    ),
]


@pytest.mark.parametrize(
    ("block", "part"), [row[1:] for row in INPUT_BLOCKS], ids=[row[0] for row in INPUT_BLOCKS]
)
async def test_block_of_a_users_message_is_a_part(
    block: Any, part: Any, mode: str, telemetry: Telemetry
):
    got = await asked(mode, telemetry, messages=user([block]))
    assert json.loads(got["gen_ai.input.messages"]) == [{"role": "user", "parts": [part]}]
    assert DATA not in json.dumps(telemetry.record)


async def test_tool_use_and_its_results_are_told_of_in_the_history(mode: str, telemetry: Telemetry):
    calls: List[Any] = [
        {"type": "text", "text": "Let me look."},
        {"type": "tool_use", "id": "toolu_1", "name": "weather", "input": {"place": "Paris"}},
        {"type": "tool_use", "id": "toolu_2", "name": "time", "input": {}},
    ]
    image = {"type": "base64", "media_type": "image/png", "data": DATA}
    results: List[Any] = [
        {"type": "tool_result", "tool_use_id": "toolu_1", "content": "sunny"},
        {
            "type": "tool_result",
            "tool_use_id": "toolu_2",
            "is_error": True,
            "content": [
                {"type": "text", "text": "no clock"},
                {"type": "image", "source": image},
            ],
        },
    ]
    history: List[Any] = [
        *user("What is the weather?"),
        {"role": "assistant", "content": calls},
        {"role": "user", "content": results},
        {"role": "user", "content": [results[0], {"type": "text", "text": "and now?"}]},
    ]
    got = await asked(mode, telemetry, messages=history)
    messages = json.loads(got["gen_ai.input.messages"])
    assert [message["role"] for message in messages] == ["user", "assistant", "tool", "user"]
    assert messages[1]["parts"] == [
        {"type": "text", "content": "Let me look."},
        {
            "type": "tool_call",
            "id": "toolu_1",
            "name": "weather",
            "arguments": {"place": "Paris"},
        },
        {"type": "tool_call", "id": "toolu_2", "name": "time", "arguments": {}},
    ]
    assert messages[2]["parts"] == [
        {"type": "tool_call_response", "id": "toolu_1", "response": "sunny"},
        {
            "type": "tool_call_response",
            "id": "toolu_2",
            "is_error": True,
            "response": [
                {"type": "text", "content": "no clock"},
                {"type": "blob", "modality": "image", "mime_type": "image/png", **DIGEST},
            ],
        },
    ]
    recorded = telemetry.record["attributes"]["input"]
    assert [call["name"] for call in recorded[1]["tool_calls"]] == ["weather", "time"]


async def test_answer_of_the_sdk_may_be_part_of_the_next_request(call: Calls, telemetry: Telemetry):
    first = await call("messages.create", **ASK)
    history = [*ASK["messages"], {"role": "assistant", "content": first.content}, *user("go on")]
    await call("messages.create", **{**ASK, "messages": history})
    messages = json.loads(attributes_of(telemetry.spans[1])["gen_ai.input.messages"])
    assert messages[1]["parts"] == [{"type": "text", "content": first.content[0].text}]


SYSTEMS: List[Tuple[Any, Any]] = [
    ("be brief", [{"type": "text", "content": "be brief"}]),
    (
        [
            {"type": "text", "text": "be brief"},
            {"type": "text", "text": "facts", "cache_control": CACHED},
        ],
        [
            {"type": "text", "content": "be brief"},
            {"type": "text", "content": "facts", "cache_control": CACHED},
        ],
    ),
]


@pytest.mark.parametrize(("system", "parts"), SYSTEMS, ids=["text", "blocks"])
async def test_system_prompt_is_system_instructions(
    system: Any, parts: Any, mode: str, telemetry: Telemetry
):
    got = await asked(mode, telemetry, system=system)
    assert json.loads(got["gen_ai.system_instructions"]) == parts
    assert telemetry.record["attributes"]["input"][0]["role"] == "system"


async def test_parameters_are_recorded_under_their_names(mode: str, telemetry: Telemetry):
    got = await asked(
        mode,
        telemetry,
        temperature=1,
        top_p=0.5,
        top_k=3,
        stop_sequences=["END"],
        metadata={"user_id": "u1"},
        tool_choice={"type": "auto"},
        service_tier="auto",
        extra_body={
            "thinking": {"type": "enabled", "budget_tokens": 1024},
            "output_config": {"format": {"type": "json_schema", "schema": {"type": "object"}}},
            "mcp_servers": [
                {"type": "url", "url": "https://m.example", "authorization_token": "secret"}
            ],
        },
        extra_headers={"anthropic-beta": "one, two"},
        tools=[{"name": "weather", "input_schema": {"type": "object"}}],
    )
    assert got["gen_ai.request.temperature"] == 1.0
    assert type(got["gen_ai.request.temperature"]) is float
    assert got["gen_ai.request.top_p"] == 0.5
    assert got["gen_ai.request.top_k"] == 3
    assert got["gen_ai.request.max_tokens"] == 64
    assert got["gen_ai.request.stop_sequences"] == ("END",)
    assert got["gen_ai.output.type"] == "json"
    parameters = json.loads(got["peekr.request.parameters"])
    assert parameters == {
        "metadata": {"user_id": "u1"},
        "tool_choice": {"type": "auto"},
        "service_tier": "auto",
        "thinking": {"type": "enabled", "budget_tokens": 1024},
        "output_config": {"format": {"type": "json_schema", "schema": {"type": "object"}}},
        "mcp_servers": [{"type": "url", "url": "https://m.example"}],
        "betas": ["one", "two"],
    }


async def test_tool_definitions_have_the_conventions_form(mode: str, telemetry: Telemetry):
    schema = {"type": "object", "properties": {"place": {"type": "string"}}}
    tools: List[Any] = [
        {"name": "weather", "description": "Tells it.", "input_schema": schema},
        {"type": "custom", "name": "time", "input_schema": schema, "cache_control": CACHED},
        {"type": "web_search_20250305", "name": "web_search", "max_uses": 3},
    ]
    got = await asked(mode, telemetry, tools=tools)
    assert json.loads(got["gen_ai.tool.definitions"]) == [
        {
            "type": "function",
            "name": "weather",
            "description": "Tells it.",
            "parameters": schema,
        },
        {"type": "function", "name": "time", "parameters": schema, "cache_control": CACHED},
        {"type": "web_search_20250305", "name": "web_search", "max_uses": 3},
    ]


async def test_one_shot_iterators_reach_the_sdk_and_are_recorded(mode: str, telemetry: Telemetry):
    with Player(answer(body_of([{"type": "text", "text": "ok"}]))) as player:
        async with Calls(mode, player.url) as call:
            await call(
                "messages.create",
                **{**ASK, "messages": (entry for entry in ASK["messages"])},
                system=iter([{"type": "text", "text": "be brief"}]),
            )
    sent = player.requests[0].json
    assert sent["messages"] == ASK["messages"]
    got = attributes_of(telemetry.span)
    assert json.loads(got["gen_ai.input.messages"]) == [
        {"role": "user", "parts": [{"type": "text", "content": "hi there"}]}
    ]
    assert json.loads(got["gen_ai.system_instructions"]) == [
        {"type": "text", "content": "be brief"}
    ]


# -- output ------------------------------------------------------------------------------------

USE = {"id": "srvtoolu_1", "name": "web_search"}
FOUND = {"type": "web_search_result", "title": "Example", "url": "https://example.com"}
CITED = {"type": "char_location", "cited_text": "the sky", "document_index": 0}
OUTPUT_BLOCKS: List[Tuple[str, Any, List[Any], Any, Any]] = [
    (
        "text",
        {"type": "text", "text": ""},
        [{"type": "text_delta", "text": "Hel"}, {"type": "text_delta", "text": "lo"}],
        {"type": "text", "text": "Hello"},
        {"type": "text", "content": "Hello"},
    ),
    (
        "cited text",
        {"type": "text", "text": "", "citations": []},
        [
            {"type": "text_delta", "text": "Blue"},
            {"type": "citations_delta", "citation": {**CITED, "encrypted_index": "x"}},
        ],
        {"type": "text", "text": "Blue", "citations": [{**CITED, "encrypted_index": "x"}]},
        {"type": "text", "content": "Blue", "citations": [CITED]},
    ),
    (
        "thinking",
        {"type": "thinking", "thinking": "", "signature": ""},
        [
            {"type": "thinking_delta", "thinking": "I wonder"},
            {"type": "thinking_delta", "thinking": " why"},
            {"type": "signature_delta", "signature": "signed"},
        ],
        {"type": "thinking", "thinking": "I wonder why", "signature": "signed"},
        {"type": "reasoning", "content": "I wonder why", "signature": "signed"},
    ),
    (
        "redacted thinking",
        {"type": "redacted_thinking", "data": "opaque"},
        [],
        {"type": "redacted_thinking", "data": "opaque"},
        {"type": "reasoning", "content": "", "redacted": True},
    ),
    (
        "tool use",
        {"type": "tool_use", "id": "toolu_1", "name": "weather", "input": {}},
        [
            {"type": "input_json_delta", "partial_json": ""},
            {"type": "input_json_delta", "partial_json": '{"place": "Pa'},
            {"type": "input_json_delta", "partial_json": 'ris"}'},
        ],
        {"type": "tool_use", "id": "toolu_1", "name": "weather", "input": {"place": "Paris"}},
        {
            "type": "tool_call",
            "id": "toolu_1",
            "name": "weather",
            "arguments": {"place": "Paris"},
        },
    ),
    (
        "tool use without arguments",
        {"type": "tool_use", "id": "toolu_1", "name": "time", "input": {}},
        [],
        {"type": "tool_use", "id": "toolu_1", "name": "time", "input": {}},
        {"type": "tool_call", "id": "toolu_1", "name": "time", "arguments": {}},
    ),
    (
        "server tool use",
        {"type": "server_tool_use", **USE, "input": {}},
        [{"type": "input_json_delta", "partial_json": '{"query": "sky"}'}],
        {"type": "server_tool_use", **USE, "input": {"query": "sky"}},
        {
            "type": "server_tool_call",
            **USE,
            "server_tool_call": {"type": "web_search", "arguments": {"query": "sky"}},
        },
    ),
    (
        "result of a server tool",
        {
            "type": "web_search_tool_result",
            "tool_use_id": "srvtoolu_1",
            "content": [{**FOUND, "encrypted_content": "opaque"}],
        },
        [],
        {
            "type": "web_search_tool_result",
            "tool_use_id": "srvtoolu_1",
            "content": [{**FOUND, "encrypted_content": "opaque"}],
        },
        {
            "type": "server_tool_call_response",
            "id": "srvtoolu_1",
            "server_tool_call_response": {"type": "web_search_tool_result", "result": [FOUND]},
        },
    ),
]


@pytest.mark.parametrize("streamed", [False, True], ids=["plain", "streamed"])
@pytest.mark.parametrize(
    ("block", "deltas", "whole", "part"),
    [row[1:] for row in OUTPUT_BLOCKS],
    ids=[row[0] for row in OUTPUT_BLOCKS],
)
async def test_block_of_an_answer_is_a_part(
    block: Any,
    deltas: List[Any],
    whole: Any,
    part: Any,
    streamed: bool,
    mode: str,
    telemetry: Telemetry,
):
    message = await answered(mode, telemetry, block, deltas, streamed, whole)
    assert message["parts"] == [part]
    assert "opaque" not in json.dumps(telemetry.record)


@pytest.mark.parametrize("streamed", [False, True], ids=["plain", "streamed"])
async def test_tool_of_an_mcp_server_is_a_server_tool(
    streamed: bool, mode: str, telemetry: Telemetry
):
    blocks = [
        {
            "type": "mcp_tool_use",
            "id": "mcptoolu_1",
            "name": "lookup",
            "server_name": "wiki",
            "input": {"q": "sky"},
        },
        {
            "type": "mcp_tool_result",
            "tool_use_id": "mcptoolu_1",
            "is_error": False,
            "content": [{"type": "text", "text": "blue"}],
        },
    ]
    path = "beta.messages.create"
    played = (
        events(*event_bodies([(b, []) for b in blocks])) if streamed else answer(body_of(blocks))
    )
    with Player(played) as player:
        async with Calls(mode, player.url) as call:
            if streamed:
                await call.drain(await call(path, **ASK, stream=True))
            else:
                await call(path, **ASK)
    (message,) = json.loads(attributes_of(telemetry.span)["gen_ai.output.messages"])
    use, result = message["parts"]
    assert use["type"] == "server_tool_call"
    assert use["server_tool_call"] == {
        "type": "mcp",
        "server_name": "wiki",
        "arguments": {"q": "sky"},
    }
    assert result["server_tool_call_response"]["is_error"] is False
    assert result["server_tool_call_response"]["result"][0]["text"] == "blue"


async def test_several_blocks_stay_in_their_order(mode: str, telemetry: Telemetry):
    blocks: List[Any] = [
        (
            {"type": "thinking", "thinking": "", "signature": ""},
            [{"type": "thinking_delta", "thinking": "hm"}],
        ),
        ({"type": "text", "text": ""}, [{"type": "text_delta", "text": "one"}]),
        (
            {"type": "tool_use", "id": "t1", "name": "a", "input": {}},
            [{"type": "input_json_delta", "partial_json": '{"x": 1}'}],
        ),
        ({"type": "tool_use", "id": "t2", "name": "b", "input": {}}, []),
    ]
    with Player(events(*event_bodies(blocks))) as player:
        async with Calls(mode, player.url) as call:
            await call.drain(await call("messages.create", **ASK, stream=True))
    (message,) = json.loads(attributes_of(telemetry.span)["gen_ai.output.messages"])
    kinds = [part["type"] for part in message["parts"]]
    assert kinds == ["reasoning", "text", "tool_call", "tool_call"]
    calls = telemetry.record["attributes"]["tool_calls"]
    assert [(c["id"], c["name"], c["arguments"]) for c in calls] == [
        ("t1", "a", {"x": 1}),
        ("t2", "b", {}),
    ]


# -- counts ------------------------------------------------------------------------------------


@pytest.mark.parametrize("streamed", [False, True], ids=["plain", "streamed"])
async def test_input_is_the_whole_input_with_the_cache_beside(
    streamed: bool, mode: str, telemetry: Telemetry
):
    counts = {
        "input_tokens": 10,
        "cache_creation_input_tokens": 300,
        "cache_read_input_tokens": 2000,
        "output_tokens": 7,
        "output_tokens_details": {"thinking_tokens": 4},
    }
    if streamed:
        bodies = event_bodies([({"type": "text", "text": "x"}, [])])
        begun = {k: v for k, v in counts.items() if k != "output_tokens_details"}
        bodies[0]["message"]["usage"] = {**begun, "output_tokens": 1}
        bodies[-2]["usage"] = {
            "output_tokens": 7,
            "input_tokens": None,
            "output_tokens_details": counts["output_tokens_details"],
        }
        played = events(*bodies)
    else:
        played = answer(body_of([{"type": "text", "text": "x"}], usage=counts))
    with Player(played) as player:
        async with Calls(mode, player.url) as call:
            if streamed:
                await call.drain(await call("messages.create", **ASK, stream=True))
            else:
                await call("messages.create", **ASK)
    attributes = telemetry.record["attributes"]
    assert attributes["tokens_input"] == 2310
    assert attributes["tokens_cache_read"] == 2000
    assert attributes["tokens_cache_write"] == 300
    assert attributes["tokens_output"] == 7
    assert attributes["tokens_total"] == 2317
    assert attributes["tokens_reasoning"] == 4


async def test_counts_that_the_provider_leaves_out_are_absent(mode: str, telemetry: Telemetry):
    got = await asked(mode, telemetry)
    assert got["gen_ai.usage.input_tokens"] == 10
    for name in (
        "cache_read.input_tokens",
        "cache_creation.input_tokens",
        "reasoning.output_tokens",
    ):
        assert f"gen_ai.usage.{name}" not in got


async def test_prompt_cache_of_the_simulated_provider_is_counted(call: Calls, telemetry: Telemetry):
    facts = {"type": "text", "text": "a fact " * 2000 + str(call.is_async), "cache_control": CACHED}
    for _ in range(2):
        await call("messages.create", **ASK, system=[facts])
    written, read = (record["attributes"] for record in telemetry.records)
    assert written["tokens_cache_write"] == read["tokens_cache_read"] > 0
    assert written["tokens_cache_read"] == read["tokens_cache_write"] == 0
    assert written["tokens_input"] == read["tokens_input"] > written["tokens_cache_write"]


# -- the rest ----------------------------------------------------------------------------------


@pytest.mark.parametrize("streamed", [False, True], ids=["plain", "streamed"])
async def test_without_content_nothing_of_it_is_recorded(
    streamed: bool, mode: str, bare_telemetry: Telemetry
):
    bare_telemetry.instrument(capture_content=False)
    secret = "the secret"
    bodies = event_bodies(
        [({"type": "text", "text": ""}, [{"type": "text_delta", "text": secret}])]
    )
    played = events(*bodies) if streamed else answer(body_of([{"type": "text", "text": secret}]))
    with Player(played) as player:
        async with Calls(mode, player.url) as call:
            result = await call(
                "messages.create",
                **{**ASK, "messages": user(secret), "system": secret},
                tools=[{"name": "t", "description": secret, "input_schema": {"type": "object"}}],
                stream=streamed,
                extra_body={"output_config": {"format": {"description": secret}}},
            )
            if streamed:
                await call.drain(result)
    assert secret not in json.dumps(bare_telemetry.record)
    attributes = bare_telemetry.record["attributes"]
    assert attributes["tokens_input"] == 10
    assert attributes["finish_reasons"] == ["end_turn"]


async def test_refusal_of_the_provider_is_an_error_with_its_words(
    call: Calls, telemetry: Telemetry
):
    with pytest.raises(Exception, match="max_tokens"):
        await call("messages.create", **{**ASK, "max_tokens": 0})
    got = attributes_of(telemetry.span)
    assert telemetry.span.status.status_code is StatusCode.ERROR
    assert got["error.type"] == "BadRequestError"
    assert got["peekr.error.code"] == "invalid_request_error"
    assert got["http.response.status_code"] == 400
    assert got["peekr.request.id"].startswith("req_")
    record = telemetry.record
    assert record["status"] == "error"
    assert "max_tokens" in record["attributes"]["error"]
    assert record["attributes"]["input"] == ASK["messages"]


async def test_unreachable_provider_is_an_error(mode: str, telemetry: Telemetry):
    with Player(answer({})) as player:
        url = player.url
    async with Calls(mode, url) as call:
        with pytest.raises(Exception, match="Connection error"):
            await call("messages.create", **ASK)
    assert attributes_of(telemetry.span)["error.type"] == "APIConnectionError"


async def test_answer_reaches_the_caller_as_the_sdk_made_it(call: Calls, telemetry: Telemetry):
    from anthropic.types import Message

    message = await call("messages.create", **ASK)
    assert type(message) is Message
    assert attributes_of(telemetry.span)["gen_ai.response.id"] == message.id
    assert attributes_of(telemetry.span)["peekr.request.id"] == getattr(message, "_request_id")  # noqa: B009
    raw = await call("messages.with_raw_response.create", **ASK)
    parsed = await settled(raw.parse())
    assert type(parsed) is Message
    assert attributes_of(telemetry.spans[1])["peekr.request.id"] == raw.headers["request-id"]


async def test_empty_text_is_a_text(mode: str, telemetry: Telemetry):
    await asked(mode, telemetry, messages=user(""), system="")
    assert telemetry.record["attributes"]["input"] == [{"role": "user", "content": ""}]
