"""Answers and requests that have a bit of everything that the APIs know, to be mutated."""

from __future__ import annotations

from typing import Any, Dict, List, Tuple

Json = Dict[str, Any]

__all__ = ["ANSWERS", "REQUESTS"]

_PNG = "iVBORw0KGgo="
_OPENAI_CHAT: Json = {
    "id": "chatcmpl-1",
    "object": "chat.completion",
    "created": 1,
    "model": "gpt-4o-2024-08-06",
    "service_tier": "default",
    "system_fingerprint": "fp_1",
    "choices": [
        {
            "index": 0,
            "finish_reason": "tool_calls",
            "message": {
                "role": "assistant",
                "content": "Let me look.",
                "reasoning_content": "They want the weather.",
                "refusal": "not that",
                "audio": {"id": "audio_1", "data": "AAAA", "transcript": "spoken"},
                "tool_calls": [
                    {
                        "id": "call_1",
                        "type": "function",
                        "function": {"name": "get_weather", "arguments": '{"city": "Paris"}'},
                    },
                    {
                        "id": "call_2",
                        "type": "custom",
                        "custom": {"name": "run", "input": "print(1)"},
                    },
                ],
                "function_call": {"name": "old", "arguments": "{}"},
            },
        },
        {
            "index": 1,
            "finish_reason": "stop",
            "message": {
                "role": "assistant",
                "content": [
                    {"type": "text", "text": "one"},
                    {"type": "image_url", "image_url": {"url": "https://a.example/b.png"}},
                    {"type": "refusal", "refusal": "two"},
                ],
            },
        },
    ],
    "usage": {
        "prompt_tokens": 20,
        "completion_tokens": 30,
        "total_tokens": 50,
        "prompt_tokens_details": {"cached_tokens": 4, "audio_tokens": 2, "image_tokens": 3},
        "completion_tokens_details": {"reasoning_tokens": 6, "audio_tokens": 5},
    },
}


def _chunk(delta: Json, reason: Any = None, index: int = 0) -> Json:
    return {
        "id": "chatcmpl-1",
        "object": "chat.completion.chunk",
        "model": "gpt-4o-2024-08-06",
        "choices": [{"index": index, "delta": delta, "finish_reason": reason}],
        "usage": None,
    }


def _piece(number: int, arguments: str, **more: Any) -> Json:
    function = {"arguments": arguments, **({"name": more.pop("name")} if "name" in more else {})}
    return _chunk({"tool_calls": [{"index": number, "function": function, **more}]})


_OPENAI_CHUNKS: List[Json] = [
    _chunk({"role": "assistant", "content": ""}),
    _chunk({"reasoning_content": "They want "}),
    _chunk({"reasoning_content": "the weather."}),
    _chunk({"content": "Let me "}),
    _chunk({"content": "look."}),
    _chunk({"refusal": "not "}),
    _chunk({"refusal": "that"}),
    _chunk({"audio": {"id": "audio_1", "transcript": "spo"}}),
    _chunk({"audio": {"data": "AAAA", "transcript": "ken"}}),
    _piece(0, "", id="call_1", type="function", name="get_weather"),
    _piece(0, '{"city"'),
    _piece(1, "", id="call_2", type="function", name="get_time"),
    _piece(0, ': "Paris"}'),
    _piece(1, '{"at": 7}'),
    _chunk({"content": "Second"}, index=1),
    _chunk({}, "stop", index=1),
    _chunk({}, "tool_calls"),
    {**_chunk({}), "choices": [], "usage": _OPENAI_CHAT["usage"]},
]

_ITEMS: List[Json] = [
    {
        "id": "rs_1",
        "type": "reasoning",
        "summary": [{"type": "summary_text", "text": "Thinking"}],
        "content": [{"type": "reasoning_text", "text": "raw"}],
    },
    {
        "id": "msg_1",
        "type": "message",
        "role": "assistant",
        "status": "completed",
        "content": [
            {"type": "output_text", "text": "Hello", "annotations": [], "logprobs": []},
            {"type": "refusal", "refusal": "No"},
        ],
    },
    {
        "id": "fc_1",
        "type": "function_call",
        "call_id": "call_1",
        "name": "get_weather",
        "arguments": '{"city": "Paris"}',
    },
    {
        "id": "ct_1",
        "type": "custom_tool_call",
        "call_id": "call_2",
        "name": "run",
        "input": "print(1)",
    },
    {
        "id": "ws_1",
        "type": "web_search_call",
        "status": "completed",
        "action": {"type": "search", "query": "q"},
    },
    {
        "id": "fs_1",
        "type": "file_search_call",
        "status": "completed",
        "queries": ["q"],
        "results": [{"file_id": "file_1", "text": "found", "score": 0.5}],
    },
    {
        "id": "mcp_1",
        "type": "mcp_call",
        "server_label": "s",
        "name": "tool",
        "arguments": "{}",
        "output": "out",
    },
    {"id": "ig_1", "type": "image_generation_call", "status": "completed", "result": _PNG},
]
_OPENAI_RESPONSE: Json = {
    "id": "resp_1",
    "object": "response",
    "created_at": 1,
    "status": "completed",
    "model": "gpt-4o-2024-08-06",
    "service_tier": "default",
    "output": _ITEMS,
    "error": None,
    "incomplete_details": None,
    "usage": {
        "input_tokens": 20,
        "output_tokens": 30,
        "total_tokens": 50,
        "input_tokens_details": {"cached_tokens": 4},
        "output_tokens_details": {"reasoning_tokens": 6},
    },
}
_OPENAI_EVENTS: List[Json] = [
    {"type": "response.created", "response": {**_OPENAI_RESPONSE, "output": [], "usage": None}},
    {
        "type": "response.output_item.added",
        "output_index": 0,
        "item": {"id": "rs_1", "type": "reasoning", "summary": []},
    },
    {
        "type": "response.reasoning_summary_text.delta",
        "output_index": 0,
        "summary_index": 0,
        "delta": "Thin",
    },
    {
        "type": "response.reasoning_summary_text.delta",
        "output_index": 0,
        "summary_index": 0,
        "delta": "king",
    },
    {
        "type": "response.output_item.added",
        "output_index": 1,
        "item": {"id": "msg_1", "type": "message", "role": "assistant", "content": []},
    },
    {
        "type": "response.output_text.delta",
        "output_index": 1,
        "content_index": 0,
        "delta": "Hel",
    },
    {"type": "response.output_text.delta", "output_index": 1, "content_index": 0, "delta": "lo"},
    {"type": "response.refusal.delta", "output_index": 1, "content_index": 1, "delta": "No"},
    {"type": "response.output_item.added", "output_index": 2, "item": _ITEMS[2]},
    {
        "type": "response.function_call_arguments.delta",
        "output_index": 2,
        "delta": '{"city": "Paris"}',
    },
    {"type": "response.output_item.done", "output_index": 3, "item": _ITEMS[3]},
    {"type": "error", "code": "server_error", "message": "It broke", "param": None},
]

_CLAUDE: Json = {
    "id": "msg_1",
    "type": "message",
    "role": "assistant",
    "model": "claude-sonnet-4-5",
    "stop_reason": "tool_use",
    "stop_sequence": None,
    "content": [
        {"type": "thinking", "thinking": "They ask.", "signature": "c2ln"},
        {"type": "redacted_thinking", "data": "b3BhcXVl"},
        {
            "type": "text",
            "text": "Look:",
            "citations": [
                {
                    "type": "char_location",
                    "cited_text": "x",
                    "document_index": 0,
                    "document_title": "t",
                    "start_char_index": 0,
                    "end_char_index": 1,
                }
            ],
        },
        {"type": "tool_use", "id": "toolu_1", "name": "get_weather", "input": {"city": "Paris"}},
        {"type": "server_tool_use", "id": "srv_1", "name": "web_search", "input": {"query": "q"}},
        {
            "type": "web_search_tool_result",
            "tool_use_id": "srv_1",
            "content": [
                {
                    "type": "web_search_result",
                    "title": "T",
                    "url": "https://a.example",
                    "encrypted_content": "e",
                    "page_age": None,
                }
            ],
        },
    ],
    "usage": {
        "input_tokens": 20,
        "output_tokens": 30,
        "cache_read_input_tokens": 4,
        "cache_creation_input_tokens": 8,
        "cache_creation": {"ephemeral_1h_input_tokens": 3, "ephemeral_5m_input_tokens": 5},
    },
}
_CLAUDE_EVENTS: List[Json] = [
    {
        "type": "message_start",
        "message": {**_CLAUDE, "content": [], "stop_reason": None},
    },
    {
        "type": "content_block_start",
        "index": 0,
        "content_block": {"type": "thinking", "thinking": "", "signature": ""},
    },
    {
        "type": "content_block_delta",
        "index": 0,
        "delta": {"type": "thinking_delta", "thinking": "They ask."},
    },
    {
        "type": "content_block_delta",
        "index": 0,
        "delta": {"type": "signature_delta", "signature": "c2ln"},
    },
    {"type": "content_block_stop", "index": 0},
    {"type": "content_block_start", "index": 1, "content_block": {"type": "text", "text": ""}},
    {"type": "content_block_delta", "index": 1, "delta": {"type": "text_delta", "text": "Lo"}},
    {"type": "content_block_delta", "index": 1, "delta": {"type": "text_delta", "text": "ok:"}},
    {
        "type": "content_block_delta",
        "index": 1,
        "delta": {
            "type": "citations_delta",
            "citation": {"type": "char_location", "cited_text": "x", "document_index": 0},
        },
    },
    {
        "type": "content_block_start",
        "index": 2,
        "content_block": {"type": "tool_use", "id": "toolu_1", "name": "get_weather", "input": {}},
    },
    {
        "type": "content_block_delta",
        "index": 2,
        "delta": {"type": "input_json_delta", "partial_json": '{"city": '},
    },
    {
        "type": "content_block_delta",
        "index": 2,
        "delta": {"type": "input_json_delta", "partial_json": '"Paris"}'},
    },
    {
        "type": "message_delta",
        "delta": {"stop_reason": "tool_use", "stop_sequence": None},
        "usage": {"output_tokens": 30},
    },
    {"type": "message_stop"},
]

_CONVERSE: Json = {
    "output": {
        "message": {
            "role": "assistant",
            "content": [
                {"reasoningContent": {"reasoningText": {"text": "They ask.", "signature": "s"}}},
                {"text": "Look:"},
                {"toolUse": {"toolUseId": "t1", "name": "get_weather", "input": {"city": "Paris"}}},
                {
                    "citationsContent": {
                        "content": [{"text": "cited"}],
                        "citations": [{"title": "T", "sourceContent": [{"text": "x"}]}],
                    }
                },
                {"image": {"format": "png", "source": {"bytes": _PNG}}},
            ],
        }
    },
    "stopReason": "tool_use",
    "usage": {
        "inputTokens": 20,
        "outputTokens": 30,
        "totalTokens": 62,
        "cacheReadInputTokens": 4,
        "cacheWriteInputTokens": 8,
        "cacheDetails": [{"ttl": "1h", "inputTokens": 3}, {"ttl": "5m", "inputTokens": 5}],
    },
    "metrics": {"latencyMs": 12},
    "trace": {
        "promptRouter": {"invokedModelId": "arn:aws:bedrock:us-east-1::foundation-model/a.b"},
        "guardrail": {"inputAssessment": {"g": {"topicPolicy": {"topics": [{"match": "m"}]}}}},
    },
}
_CONVERSE_EVENTS: List[Json] = [
    {"messageStart": {"role": "assistant"}},
    {
        "contentBlockDelta": {
            "contentBlockIndex": 0,
            "delta": {"reasoningContent": {"text": "They ask."}},
        }
    },
    {"contentBlockDelta": {"contentBlockIndex": 1, "delta": {"text": "Lo"}}},
    {"contentBlockDelta": {"contentBlockIndex": 1, "delta": {"text": "ok:"}}},
    {"contentBlockDelta": {"contentBlockIndex": 1, "delta": {"citation": {"title": "T"}}}},
    {
        "contentBlockStart": {
            "contentBlockIndex": 2,
            "start": {"toolUse": {"toolUseId": "t1", "name": "get_weather"}},
        }
    },
    {"contentBlockDelta": {"contentBlockIndex": 2, "delta": {"toolUse": {"input": '{"city"'}}}},
    {"contentBlockDelta": {"contentBlockIndex": 2, "delta": {"toolUse": {"input": ': "P"}'}}}},
    {"messageStop": {"stopReason": "tool_use"}},
    {"metadata": {key: _CONVERSE[key] for key in ("usage", "metrics", "trace")}},
]

_GEMINI: Json = {
    "responseId": "r1",
    "modelVersion": "gemini-2.5-flash",
    "candidates": [
        {
            "index": 0,
            "finishReason": "STOP",
            "finishMessage": "done",
            "content": {
                "role": "model",
                "parts": [
                    {"text": "They ask.", "thought": True},
                    {"text": "Look:"},
                    {"functionCall": {"id": "f1", "name": "get_weather", "args": {"city": "P"}}},
                    {"executableCode": {"language": "PYTHON", "code": "print(1)"}},
                    {"codeExecutionResult": {"outcome": "OUTCOME_OK", "output": "1"}},
                    {"inlineData": {"mimeType": "image/png", "data": _PNG}},
                    {"fileData": {"mimeType": "video/mp4", "fileUri": "gs://b/v.mp4"}},
                    {
                        "functionResponse": {
                            "id": "f1",
                            "name": "get_weather",
                            "response": {"result": "sunny"},
                        }
                    },
                ],
            },
        }
    ],
    "usageMetadata": {
        "promptTokenCount": 20,
        "candidatesTokenCount": 30,
        "thoughtsTokenCount": 6,
        "toolUsePromptTokenCount": 2,
        "cachedContentTokenCount": 4,
        "promptTokensDetails": [
            {"modality": "AUDIO", "tokenCount": 5},
            {"modality": "IMAGE", "tokenCount": 7},
        ],
        "candidatesTokensDetails": [{"modality": "AUDIO", "tokenCount": 8}],
    },
}
_GEMINI_EVENTS: List[Json] = [
    _GEMINI,
    {
        "candidates": [
            {
                "content": {
                    "parts": [
                        {
                            "functionCall": {
                                "name": "set",
                                "willContinue": True,
                                "partialArgs": [{"jsonPath": "$.city[0].name", "stringValue": "P"}],
                            }
                        }
                    ]
                }
            }
        ]
    },
    {
        "candidates": [
            {
                "finishReason": "STOP",
                "content": {
                    "parts": [
                        {
                            "functionCall": {
                                "partialArgs": [
                                    {"jsonPath": "$.city[0].name", "stringValue": "aris"},
                                    {"jsonPath": "$.days[2]", "numberValue": 3.0},
                                ]
                            }
                        }
                    ]
                },
            }
        ],
        "usageMetadata": {"promptTokenCount": 20, "candidatesTokenCount": 31},
    },
    {"promptFeedback": {"blockReason": "SAFETY", "blockReasonMessage": "blocked"}},
]

_MODEL = "/model/us.anthropic.claude-3-5-haiku-20241022-v1:0"
_GEMINI_PATH = "/v1beta/models/gemini-2.5-flash"

# Provider, path, whether it streams, the answer's documents.
ANSWERS: List[Tuple[str, str, bool, List[Json]]] = [
    ("openai", "/v1/chat/completions", False, [_OPENAI_CHAT]),
    ("openai", "/v1/chat/completions", True, _OPENAI_CHUNKS),
    ("openai", "/v1/responses", False, [_OPENAI_RESPONSE]),
    ("openai", "/v1/responses", True, _OPENAI_EVENTS),
    ("anthropic", "/v1/messages", False, [_CLAUDE]),
    ("anthropic", "/v1/messages", True, _CLAUDE_EVENTS),
    ("bedrock", f"{_MODEL}/converse", False, [_CONVERSE]),
    ("bedrock", f"{_MODEL}/converse-stream", True, _CONVERSE_EVENTS),
    ("bedrock", f"{_MODEL}/invoke", False, [_CLAUDE]),
    ("bedrock", f"{_MODEL}/invoke-with-response-stream", True, _CLAUDE_EVENTS),
    ("gemini", f"{_GEMINI_PATH}:generateContent", False, [_GEMINI]),
    ("gemini", f"{_GEMINI_PATH}:streamGenerateContent", True, _GEMINI_EVENTS),
]

_DATA_URL = f"data:image/png;base64,{_PNG}"
_TOOL: Json = {"name": "f", "description": "d", "parameters": {"type": "object"}}
_CLAUDE_REQUEST: Json = {
    "model": "claude-sonnet-4-5",
    "max_tokens": 100,
    "system": [{"type": "text", "text": "Be brief.", "cache_control": {"type": "ephemeral"}}],
    "temperature": 0.5,
    "stop_sequences": ["END"],
    "metadata": {"user_id": "u"},
    "thinking": {"type": "enabled", "budget_tokens": 10},
    "tools": [
        {"name": "f", "input_schema": {"type": "object"}},
        {"type": "web_search_20250305", "name": "web_search", "max_uses": 3},
    ],
    "messages": [
        {
            "role": "user",
            "content": [
                {"type": "text", "text": "Look", "cache_control": {"type": "ephemeral"}},
                {
                    "type": "image",
                    "source": {"type": "base64", "media_type": "image/png", "data": _PNG},
                },
                {
                    "type": "document",
                    "title": "t",
                    "source": {"type": "text", "media_type": "text/plain", "data": "words"},
                },
                {"type": "document", "source": {"type": "url", "url": "https://a.example/d.pdf"}},
            ],
        },
        {
            "role": "assistant",
            "content": [{"type": "tool_use", "id": "t1", "name": "f", "input": {"a": 1}}],
        },
        {
            "role": "user",
            "content": [
                {
                    "type": "tool_result",
                    "tool_use_id": "t1",
                    "is_error": True,
                    "content": [{"type": "text", "text": "out"}],
                }
            ],
        },
    ],
}

# Provider, path, the SDK's keyword arguments (for Bedrock the operation's parameters).
REQUESTS: List[Tuple[str, str, Json]] = [
    (
        "openai",
        "/v1/chat/completions",
        {
            "model": "gpt-4o",
            "temperature": 1,
            "stop": ["a", "b"],
            "n": 2,
            "seed": 7,
            "response_format": {"type": "json_schema", "json_schema": {"name": "s"}},
            "modalities": ["text", "audio"],
            "extra_body": {"top_k": 4},
            "tools": [
                {"type": "function", "function": _TOOL},
                {"type": "custom", "custom": {"name": "c"}},
            ],
            "functions": [_TOOL],
            "messages": [
                {"role": "system", "content": "Be brief.", "name": "n"},
                {
                    "role": "user",
                    "content": [
                        {"type": "text", "text": "Look"},
                        {"type": "image_url", "image_url": {"url": _DATA_URL, "detail": "low"}},
                        {"type": "input_audio", "input_audio": {"data": "AAAA", "format": "wav"}},
                        {"type": "file", "file": {"file_data": _DATA_URL, "filename": "a.png"}},
                        {"type": "file", "file": {"file_id": "file_1"}},
                    ],
                },
                {
                    "role": "assistant",
                    "content": None,
                    "tool_calls": _OPENAI_CHAT["choices"][0]["message"]["tool_calls"],
                },
                {"role": "tool", "tool_call_id": "call_1", "content": "sunny"},
                {"role": "function", "name": "old", "content": "x"},
            ],
        },
    ),
    (
        "openai",
        "/v1/responses",
        {
            "model": "gpt-4o",
            "instructions": "Be brief.",
            "conversation": {"id": "conv_1"},
            "prompt": {"id": "pmpt_1", "variables": {"a": "b"}},
            "text": {"format": {"type": "json_object"}},
            "tools": [{"type": "function", **_TOOL}, {"type": "web_search"}],
            "input": [
                "bare",
                {"role": "user", "content": "plain"},
                {
                    "role": "user",
                    "content": [
                        {"type": "input_text", "text": "Look"},
                        {"type": "input_image", "image_url": _DATA_URL},
                        {"type": "input_file", "file_data": "AAAA", "filename": "a.bin"},
                        {"type": "input_audio", "input_audio": {"data": "AAAA", "format": "mp3"}},
                    ],
                },
                *_ITEMS,
                {"type": "function_call_output", "call_id": "call_1", "output": "sunny"},
                {
                    "type": "computer_call_output",
                    "call_id": "call_3",
                    "output": {"type": "computer_screenshot", "image_url": _DATA_URL},
                },
                {"type": "item_reference", "id": "msg_1"},
            ],
        },
    ),
    (
        "openai",
        "/v1/embeddings",
        {"model": "m", "input": ["a", [1, 2]], "dimensions": 8, "encoding_format": "float"},
    ),
    ("anthropic", "/v1/messages", _CLAUDE_REQUEST),
    ("bedrock", f"{_MODEL}/invoke", {"anthropic_version": "b", **_CLAUDE_REQUEST}),
    (
        "bedrock",
        f"{_MODEL}/converse",
        {
            "modelId": "arn:aws:bedrock:us-east-1:1:inference-profile/us.amazon.nova-lite-v1:0",
            "system": [{"text": "Be brief."}, {"cachePoint": {"type": "default"}}],
            "inferenceConfig": {"temperature": 0.5, "maxTokens": 9, "stopSequences": ["E"]},
            "additionalModelRequestFields": {"top_k": 3, "thinking": {"type": "enabled"}},
            "guardrailConfig": {"guardrailIdentifier": "g", "guardrailVersion": "1"},
            "toolConfig": {
                "tools": [{"toolSpec": {"name": "f", "inputSchema": {"json": {}}}}],
                "toolChoice": {"auto": {}},
            },
            "outputConfig": {"textFormat": {"type": "json_schema"}},
            "messages": [
                {
                    "role": "user",
                    "content": [
                        {"text": "Look"},
                        {"image": {"format": "png", "source": {"bytes": b"\x89PNG"}}},
                        {"video": {"format": "mp4", "source": {"s3Location": {"uri": "s3://v"}}}},
                        {
                            "document": {
                                "format": "pdf",
                                "name": "d",
                                "source": {"content": [{"text": "words"}]},
                            }
                        },
                        {"guardContent": {"text": {"text": "watch", "qualifiers": ["query"]}}},
                        {"searchResult": {"source": "s", "title": "t", "content": []}},
                    ],
                },
                _CONVERSE["output"]["message"],
                {
                    "role": "user",
                    "content": [
                        {
                            "toolResult": {
                                "toolUseId": "t1",
                                "status": "error",
                                "content": [{"json": {"a": 1}}],
                            }
                        }
                    ],
                },
            ],
        },
    ),
    (
        "bedrock",
        "/model/cohere.command-r-v1:0/invoke",
        {
            "message": "Look",
            "preamble": "Be brief.",
            "chat_history": [
                {"role": "USER", "message": "a"},
                {"role": "CHATBOT", "tool_calls": [{"name": "f", "parameters": {}}]},
            ],
            "documents": [{"title": "t", "snippet": "s"}],
            "tool_results": [{"call": {"name": "f"}, "outputs": [{"a": 1}]}],
            "tools": [{"name": "f", "parameter_definitions": {}}],
        },
    ),
    (
        "bedrock",
        "/model/amazon.titan-embed-image-v1/invoke",
        {
            "inputText": "a",
            "inputImage": _PNG,
            "texts": ["b"],
            "images": [_DATA_URL],
            "embeddingConfig": {"outputEmbeddingLength": 256},
            "singleEmbeddingParams": {
                "text": {"value": "v"},
                "image": {"format": "png", "source": {"bytes": _PNG}},
            },
        },
    ),
    (
        "gemini",
        f"{_GEMINI_PATH}:generateContent",
        {
            "model": "models/gemini-2.5-flash",
            "contents": [
                "bare",
                {"role": "user", "parts": [{"text": "a"}, {"fileData": {"fileUri": "gs://a"}}]},
                _GEMINI["candidates"][0]["content"],
                {"inlineData": {"mimeType": "audio/wav", "data": b"RIFF"}},
                {"uri": "https://a.example/f", "mimeType": "application/pdf"},
            ],
            "config": {
                "temperature": 1,
                "topP": 0.5,
                "maxOutputTokens": 9,
                "stopSequences": ["E"],
                "candidateCount": 2,
                "systemInstruction": {"parts": [{"text": "Be brief."}]},
                "responseMimeType": "application/json",
                "responseModalities": ["TEXT"],
                "responseSchema": {"type": "object"},
                "thinkingConfig": {"thinkingBudget": 5},
                "tools": [
                    {"functionDeclarations": [_TOOL]},
                    {"googleSearch": {}},
                ],
                "httpOptions": {"baseUrl": "https://a.example"},
            },
        },
    ),
]
