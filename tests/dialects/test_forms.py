"""What the samples do not hold: other providers' parts, other operations, other generations."""

from __future__ import annotations

import json
from typing import Any, Dict, List, Sequence, Tuple

import pytest

from peekr.dialects import Draft, former, translate
from peekr.dialects.flat import take_nested
from peekr.dialects.providers import provider_name
from peekr.dialects.wire import conversation
from peekr.messages import to_record
from peekr.projection import project
from peekr.store.otlp.decode import StoredEvent, StoredSpan, contents

Attributes = Dict[str, Any]


def record(
    attributes: Attributes,
    events: Sequence[Tuple[str, Attributes]] = (),
    scope: str = "",
    name: str = "span",
) -> Attributes:
    """The record's attributes of a span that has these."""
    raw = {"traceId": "1" * 32, "spanId": "2" * 16, "name": name}
    document = {"resourceSpans": [{"scopeSpans": [{"scope": {"name": scope}, "spans": [raw]}]}]}
    item: Any = next(contents(document))
    span: StoredSpan = item.decoded()
    span.attributes = dict(attributes)
    span.events = [StoredEvent(event, dict(found), 5) for event, found in events]
    return project(span).attributes


def chat(**more: Any) -> Attributes:
    return {"gen_ai.operation.name": "chat", **more}


# -- the conventions' generations ------------------------------------------------------------------


def test_content_in_the_events_of_1_27_is_read() -> None:
    made = record(
        {"gen_ai.system": "openai", "gen_ai.request.model": "m"},
        [
            ("gen_ai.content.prompt", {"gen_ai.prompt": '[{"role":"user","content":"hi"}]'}),
            (
                "gen_ai.content.completion",
                {"gen_ai.completion": '[{"role":"assistant","content":"ho"}]'},
            ),
        ],
    )
    assert made["input"] == [{"role": "user", "content": "hi"}]
    assert made["output"] == "ho"
    assert "events" not in made


def test_content_in_the_span_events_of_1_28_is_read() -> None:
    call = {"id": "c", "type": "function", "function": {"name": "f", "arguments": '{"a":1}'}}
    made = record(
        chat(**{"gen_ai.system": "az.ai.inference"}),
        [
            ("gen_ai.system.message", {"gen_ai.event.content": '{"content":"be brief"}'}),
            ("gen_ai.user.message", {"gen_ai.event.content": '{"content":"hi"}'}),
            (
                "gen_ai.choice",
                {
                    "gen_ai.event.content": json.dumps(
                        {"message": {"tool_calls": [call]}, "index": 0}
                    )
                },
            ),
            ("own.event", {"a": 1}),
        ],
    )
    assert made["provider"] == "azure.ai.inference"
    assert made["input"][0] == {"role": "system", "content": "be brief"}
    assert made["tool_calls"] == [{"id": "c", "name": "f", "arguments": {"a": 1}}]
    assert [event["name"] for event in made["events"]] == ["own.event"]


def test_choices_are_put_in_their_order() -> None:
    choice = [
        ("gen_ai.choice", {"index": 1, "finish_reason": "length", "message": {"content": "b"}}),
        ("gen_ai.choice", {"index": 0, "finish_reason": "stop", "message": {"content": "a"}}),
    ]
    made = record(chat(), choice)
    assert [message["content"] for message in made["output"]] == ["a", "b"]
    assert made["finish_reasons"] == ["stop", "length"]


def test_token_names_of_every_generation_are_read() -> None:
    made = record(
        chat(
            **{
                "gen_ai.usage.prompt_tokens": "30",
                "gen_ai.usage.completion_tokens": 4,
                "gen_ai.usage.cache_read_input_tokens": 10,
                "gen_ai.usage.cache_write.input_tokens": 5,
                "gen_ai.usage.details.reasoning_tokens": 2,
                "gen_ai.usage.total_tokens": 34,
            }
        )
    )
    assert (made["tokens_input"], made["tokens_output"], made["tokens_total"]) == (30, 4, 34)
    assert (made["tokens_cache_read"], made["tokens_cache_write"]) == (10, 5)
    assert made["tokens_reasoning"] == 2
    assert "gen_ai.usage.total_tokens" not in made


def test_an_agents_usage_is_that_of_its_calls() -> None:
    made = record({"gen_ai.operation.name": "invoke_agent", "gen_ai.usage.input_tokens": 9})
    assert "tokens_input" not in made
    assert made["gen_ai.aggregated_usage.input_tokens"] == 9


def test_instructions_that_are_also_the_first_message_are_kept_once() -> None:
    system = [{"type": "text", "content": "be brief"}]
    asked = [{"role": "user", "parts": [{"type": "text", "content": "hi"}]}]
    twice = [{"role": "system", "parts": system}, *asked]
    for messages in (asked, twice):
        made = record(
            chat(
                **{
                    "gen_ai.system_instructions": json.dumps(system),
                    "gen_ai.input.messages": json.dumps(messages),
                }
            )
        )
        assert [message["role"] for message in made["input"]] == ["system", "user"]


# -- OpenInference ---------------------------------------------------------------------------------


def test_openinference_contents_with_images_are_read() -> None:
    prefix = "llm.input_messages.0.message."
    made = record(
        {
            "openinference.span.kind": "LLM",
            "llm.model_name": "claude-sonnet-5",
            "llm.provider": "anthropic",
            f"{prefix}role": "user",
            f"{prefix}contents.0.message_content.type": "text",
            f"{prefix}contents.0.message_content.text": "what is this?",
            f"{prefix}contents.1.message_content.type": "image",
            f"{prefix}contents.1.message_content.image.image.url": "https://x.test/a.png",
            "llm.token_count.prompt": 12,
            "llm.token_count.prompt_details.cache_read": 4,
            "llm.cost.total": 0.5,
        }
    )
    assert made["input"] == [
        {
            "role": "user",
            "content": [
                {"type": "text", "content": "what is this?"},
                {"type": "uri", "modality": "image", "uri": "https://x.test/a.png"},
            ],
        }
    ]
    assert (made["model"], made["provider"]) == ("claude-sonnet-5", "anthropic")
    assert (made["tokens_input"], made["tokens_cache_read"]) == (12, 4)
    assert made["cost_usd"] == 0.5


def test_openinference_chains_tools_and_retrievers_are_read() -> None:
    chain = record(
        {
            "openinference.span.kind": "CHAIN",
            "input.value": '{"q": 1}',
            "input.mime_type": "application/json",
            "output.value": '{"not": "parsed"}',
            "output.mime_type": "text/plain",
        }
    )
    assert (chain["input"], chain["output"]) == ({"q": 1}, '{"not": "parsed"}')
    tool = record(
        {
            "openinference.span.kind": "TOOL",
            "tool.name": "f",
            "input.value": '{"a": 1}',
            "output.value": "2",
        }
    )
    assert tool["gen_ai.operation.name"] == "execute_tool"
    assert (tool["gen_ai.tool.name"], tool["input"], tool["output"]) == ("f", {"a": 1}, "2")
    found = record(
        {
            "openinference.span.kind": "RETRIEVER",
            "input.value": "cats",
            "retrieval.documents.0.document.content": "Cats meow.",
            "retrieval.documents.0.document.score": 0.9,
        }
    )
    assert found["input"] == "cats"
    assert found["gen_ai.retrieval.documents"] == [{"content": "Cats meow.", "score": 0.9}]


def test_openinference_embeddings_keep_the_text_and_count_the_vectors() -> None:
    made = record(
        {
            "openinference.span.kind": "EMBEDDING",
            "embedding.model_name": "text-embedding-3-small",
            "embedding.embeddings.0.embedding.text": "hello",
            "embedding.embeddings.0.embedding.vector": [0.1, 0.2],
            "llm.token_count.prompt": 3,
            "output.value": "[[0.1,0.2]]",
        }
    )
    assert made["gen_ai.operation.name"] == "embeddings"
    assert (made["model"], made["input"]) == ("text-embedding-3-small", "hello")
    assert (made["tokens_input"], made["tokens_total"]) == (3, 3)
    assert made["peekr.embeddings.count"] == 1
    assert "0.1" not in json.dumps(made)


# -- OpenLLMetry, Langfuse, Vercel, Logfire --------------------------------------------------------


def test_openllmetrys_first_names_are_read() -> None:
    made = record(
        {
            "llm.vendor": "OpenAI",
            "llm.request.type": "chat",
            "llm.request.model": "gpt-4",
            "llm.prompts.0.role": "user",
            "llm.prompts.0.content": '[{"type": "text", "text": "hi"}]',
            "llm.completions.0.role": "assistant",
            "llm.completions.0.content": "ho",
            "llm.usage.prompt_tokens": 1,
            "llm.usage.completion_tokens": 2,
            "llm.usage.total_tokens": 3,
        }
    )
    assert (made["provider"], made["model"]) == ("openai", "gpt-4")
    assert (made["input"], made["output"]) == ([{"role": "user", "content": "hi"}], "ho")
    assert made["tokens_total"] == 3
    assert not [key for key in made if key.startswith("llm.")]


def test_langfuses_counts_are_added_up() -> None:
    usage = {"input": 10, "input_cached_tokens": 5, "output": 3, "output_reasoning_tokens": 2}
    made = record(
        {
            "langfuse.observation.type": "generation",
            "langfuse.observation.model.name": "m",
            "langfuse.observation.usage_details": json.dumps(usage),
            "langfuse.observation.cost_details": '{"input": 0.25, "output": 0.5}',
            "langfuse.observation.input": "hi",
            "langfuse.observation.output": '{"role": "assistant", "content": "ho"}',
        }
    )
    assert (made["tokens_input"], made["tokens_output"]) == (15, 5)
    assert (made["tokens_cache_read"], made["tokens_reasoning"]) == (5, 2)
    assert made["cost_usd"] == 0.75
    assert (made["input"], made["output"]) == ([{"role": "user", "content": "hi"}], "ho")


def test_vercels_embeddings_and_objects_are_read() -> None:
    made = record(
        {
            "ai.operationId": "ai.embedMany.doEmbed",
            "ai.model.id": "text-embedding-3-small",
            "ai.model.provider": "openai.embedding",
            "ai.values": ['"sun"', '"rain"'],
            "ai.embeddings": ["[0.1]", "[0.2]"],
            "ai.usage.tokens": 2,
        }
    )
    assert made["provider"] == "openai"
    assert [message["content"] for message in made["input"]] == ["sun", "rain"]
    assert (made["tokens_input"], made["peekr.embeddings.count"]) == (2, 2)
    made = record(
        {
            "ai.operationId": "ai.generateObject.doGenerate",
            "ai.prompt.messages": '[{"role":"user","content":[{"type":"text","text":"hi"}]}]',
            "ai.response.object": '{"a": 1}',
            "ai.usage.promptTokens": 4,
            "ai.usage.completionTokens": 1,
        }
    )
    assert made["output"] == '{"a": 1}'
    assert made["tokens_total"] == 5


@pytest.mark.parametrize(("newer", "whole"), [({}, 117), ({"noCacheTokens": 10}, 10)])
def test_vercels_input_is_the_whole_input(newer: Attributes, whole: int) -> None:
    metadata = {"anthropic": {"cacheCreationInputTokens": 7}}
    made = record(
        {
            "ai.operationId": "ai.generateText.doGenerate",
            "gen_ai.system": "anthropic.messages",
            "gen_ai.usage.input_tokens": 10,
            "ai.usage.inputTokens": 10,
            "ai.usage.cachedInputTokens": 100,
            "ai.response.providerMetadata": json.dumps(metadata),
            **{f"ai.usage.inputTokenDetails.{key}": value for key, value in newer.items()},
        }
    )
    assert (made["tokens_input"], made["tokens_cache_read"]) == (whole, 100)


def test_anthropics_usage_in_logfire_is_the_whole_input() -> None:
    request = {"model": "claude-sonnet-5", "messages": [{"role": "user", "content": "hi"}]}
    response = {
        "message": {"role": "assistant", "content": "ho"},
        "usage": {"input_tokens": 10, "output_tokens": 2, "cache_read_input_tokens": 7},
    }
    made = record(
        {
            "logfire.msg": "Message with 'claude-sonnet-5'",
            "logfire.msg_template": "Message with {request_data[model]!r}",
            "request_data": json.dumps(request),
            "response_data": json.dumps(response),
        },
        scope="logfire.anthropic",
        name="Message with {request_data[model]!r}",
    )
    assert (made["tokens_input"], made["tokens_cache_read"]) == (17, 7)
    assert (made["provider"], made["output"]) == ("anthropic", "ho")


# -- messages --------------------------------------------------------------------------------------

WIRE: List[Any] = [
    (
        {"role": "user", "content": [{"type": "tool_result", "tool_use_id": "t", "content": "ok"}]},
        {"role": "tool", "tool_call_id": "t", "content": "ok"},
    ),
    (
        {
            "role": "assistant",
            "content": [
                {"type": "thinking", "thinking": "hm"},
                {"type": "tool_use", "id": "t", "name": "f", "input": {"a": 1}},
            ],
        },
        {
            "role": "assistant",
            "content": [{"type": "reasoning", "content": "hm"}],
            "tool_calls": [{"id": "t", "name": "f", "arguments": {"a": 1}}],
        },
    ),
    (
        {"role": "model", "parts": [{"text": "a"}, {"functionCall": {"name": "f", "args": {}}}]},
        {"role": "assistant", "content": "a", "tool_calls": [{"name": "f", "arguments": {}}]},
    ),
    (
        {"role": "assistant", "content": None, "refusal": "no"},
        {"role": "assistant", "content": [{"type": "refusal", "content": "no"}]},
    ),
    (
        {"role": "assistant", "function_call": {"name": "f", "arguments": "{"}},
        {"role": "assistant", "content": None, "tool_calls": [{"name": "f", "arguments": "{"}]},
    ),
    ({"role": "user", "content": {"type": "text", "text": "x"}}, {"role": "user", "content": "x"}),
    ({"role": "user", "content": 5}, {"role": "user", "content": "5"}),
    (
        {"role": "user", "content": [{"type": "odd", "x": 1}]},
        {"role": "user", "content": [{"type": "odd", "x": 1}]},
    ),
]


@pytest.mark.parametrize(("given", "expected"), WIRE)
def test_messages_of_other_apis_are_read(given: Attributes, expected: Attributes) -> None:
    made = conversation([given])
    assert made is not None
    assert to_record(made) == [expected]


@pytest.mark.parametrize(
    "image",
    [
        {"type": "image_url", "image_url": {"url": "data:image/png;base64,AAEC"}},
        {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": "AAEC"}},
        {"type": "image", "image": "AAEC", "mediaType": "image/png"},
        {"type": "file", "data": "data:image/png;base64,AAEC", "mediaType": "image/png"},
        {"type": "blob", "modality": "image", "mime_type": "image/png", "content": "AAEC"},
    ],
)
def test_what_was_sent_inline_is_not_kept(image: Attributes) -> None:
    made = conversation([{"role": "user", "content": [image]}])
    assert made is not None
    part = made[0]["parts"][0]
    assert (part["type"], part["modality"], part["size"]) == ("blob", "image", 3)
    assert "AAEC" not in json.dumps(part)


def test_flat_lists_are_closed_and_conflicts_stay() -> None:
    attributes = {"p.10.a": "z", "p.2.a": "y", "p.2.a.b": "in the way", "p.x": 1, "q": 2}
    assert take_nested(dict(attributes), "nothing.") is None
    left = dict(attributes)
    assert take_nested(left, "p.") == {"10": {"a": "z"}, "2": {"a": "y"}, "x": 1}
    assert left == {"p.2.a.b": "in the way", "q": 2}
    assert take_nested({"p.10.a": "z", "p.2.a": "y"}, "p.") == [{"a": "y"}, {"a": "z"}]


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ("OpenAI", "openai"),
        ("openai.responses", "openai"),
        ("amazon-bedrock", "aws.bedrock"),
        ("google.generative-ai", "gcp.gemini"),
        ("google.vertex.chat", "gcp.vertex_ai"),
        ("az.ai.openai", "azure.ai.openai"),
        ("my-own", "my-own"),
        ("", None),
        (7, None),
    ],
)
def test_providers_have_their_names_of_today(given: Any, expected: Any) -> None:
    assert provider_name(given) == expected


# -- what stays ------------------------------------------------------------------------------------


def test_a_span_of_no_dialect_stays_as_it_is() -> None:
    given = {"http.request.method": "GET", "input": "x", "llm": 1, "ai.x": {"a": 1}}
    assert record(given, [("e", {"a": 1})]) == {
        **given,
        "events": [{"name": "e", "time": 5e-9, "attributes": {"a": 1}}],
    }


def test_reading_twice_changes_nothing() -> None:
    draft = Draft(
        {
            "openinference.span.kind": "LLM",
            "llm.model_name": "m",
            "llm.input_messages.0.message.role": "user",
            "llm.input_messages.0.message.content": "hi",
        }
    )
    translate(draft)
    once = json.dumps(draft.attributes)
    translate(draft)
    assert json.dumps(draft.attributes) == once


def test_a_fault_in_a_dialect_leaves_the_attributes(monkeypatch: pytest.MonkeyPatch) -> None:
    from peekr.dialects import openinference

    def fails(draft: Draft) -> None:
        draft.attributes.clear()
        raise KeyError("x")

    monkeypatch.setattr(openinference, "translate", fails)
    assert record({"openinference.span.kind": "LLM", "a": 1}) == {
        "openinference.span.kind": "LLM",
        "a": 1,
    }


def test_earlier_files_keep_texts_that_were_cut_off() -> None:
    attributes = {"input": '{"args": [1, 2', "output": "plain"}
    former.modernise(attributes)
    assert attributes == {"input": '{"args": [1, 2', "output": "plain"}
    attributes = {"input": '{"args": [], "kwargs": {"a": 1}}', "output": '"done"'}
    former.modernise(attributes)
    assert attributes == {"input": {"a": 1}, "output": "done"}


def test_an_answer_that_is_json_stays_a_text_in_earlier_files() -> None:
    attributes: Attributes = {
        "model": "m",
        "input": '[{"role": "user", "content": "hi"}]',
        "output": '{"a": 1}',
        "system": "be brief",
    }
    former.modernise(attributes)
    assert attributes["output"] == '{"a": 1}'
    assert [message["role"] for message in attributes["input"]] == ["system", "user"]
