"""A span around each call as an application writes it: a dozen attributes, the messages too."""

from __future__ import annotations

import json
from typing import Any, Callable, NamedTuple

from contest.providers import PROMPT, SYSTEM, Calls


class Said(NamedTuple):
    """What a response says of itself, as each provider's reader below finds it."""

    id: str
    model: str
    reason: str
    text: str
    input_tokens: int
    output_tokens: int


def by_hand(provider: str, calls: Calls, tracer: Any) -> Calls:
    from opentelemetry.trace import SpanKind

    model = _MODELS[provider]
    read, read_stream = _READERS[provider]

    def watched(call: Callable[[], Any], reader: Callable[[Any], Said]) -> Callable[[], Any]:
        def made() -> Any:
            with tracer.start_as_current_span(f"chat {model}", kind=SpanKind.CLIENT) as span:
                span.set_attribute("gen_ai.operation.name", "chat")
                span.set_attribute("gen_ai.provider.name", provider)
                span.set_attribute("gen_ai.request.model", model)
                span.set_attribute("gen_ai.request.temperature", 0.5)
                span.set_attribute("server.address", "loopback")
                span.set_attribute("gen_ai.input.messages", json.dumps(_sent()))
                result = call()
                said = reader(result)
                span.set_attribute("gen_ai.response.id", said.id)
                span.set_attribute("gen_ai.response.model", said.model)
                span.set_attribute("gen_ai.response.finish_reasons", [said.reason])
                span.set_attribute("gen_ai.usage.input_tokens", said.input_tokens)
                span.set_attribute("gen_ai.usage.output_tokens", said.output_tokens)
                span.set_attribute("gen_ai.output.messages", json.dumps(_got(said)))
                return result

        return made

    return Calls(watched(calls.plain, read), watched(calls.streamed, read_stream))


def _sent() -> list[Any]:
    return [
        {"role": role, "parts": [{"type": "text", "content": text}]}
        for role, text in (("system", SYSTEM), ("user", PROMPT))
    ]


def _got(said: Said) -> list[Any]:
    parts = [{"type": "text", "content": said.text}]
    return [{"role": "assistant", "parts": parts, "finish_reason": said.reason}]


def _openai(result: Any) -> Said:
    choice, usage = result.choices[0], result.usage
    return Said(
        result.id,
        result.model,
        choice.finish_reason,
        choice.message.content,
        usage.prompt_tokens,
        usage.completion_tokens,
    )


def _openai_stream(chunks: list[Any]) -> Said:
    text: list[str] = []
    reason, usage = "", None
    for chunk in chunks:
        if chunk.usage:
            usage = chunk.usage
        for choice in chunk.choices:
            if choice.delta.content:
                text.append(choice.delta.content)
            if choice.finish_reason:
                reason = choice.finish_reason
    assert usage is not None
    last = chunks[-1]
    joined = "".join(text)
    return Said(last.id, last.model, reason, joined, usage.prompt_tokens, usage.completion_tokens)


def _anthropic(result: Any) -> Said:
    usage = result.usage
    return Said(
        result.id,
        result.model,
        result.stop_reason,
        result.content[0].text,
        usage.input_tokens,
        usage.output_tokens,
    )


def _anthropic_stream(events: list[Any]) -> Said:
    text: list[str] = []
    message, reason, output_tokens = None, "", 0
    for event in events:
        if event.type == "content_block_delta":
            text.append(event.delta.text)
        elif event.type == "message_start":
            message = event.message
        elif event.type == "message_delta":
            reason, output_tokens = event.delta.stop_reason, event.usage.output_tokens
    assert message is not None
    joined, input_tokens = "".join(text), message.usage.input_tokens
    return Said(message.id, message.model, reason, joined, input_tokens, output_tokens)


def _bedrock(result: Any) -> Said:
    return _bedrock_said(
        result["stopReason"], result["output"]["message"]["content"][0]["text"], result["usage"]
    )


def _bedrock_stream(events: list[Any]) -> Said:
    text: list[str] = []
    reason, usage = "", {}
    for event in events:
        if "contentBlockDelta" in event:
            text.append(event["contentBlockDelta"]["delta"]["text"])
        elif "messageStop" in event:
            reason = event["messageStop"]["stopReason"]
        elif "metadata" in event:
            usage = event["metadata"]["usage"]
    return _bedrock_said(reason, "".join(text), usage)


def _bedrock_said(reason: str, text: str, usage: dict[str, int]) -> Said:
    model = _MODELS["bedrock"]
    return Said("1", model, reason, text, usage["inputTokens"], usage["outputTokens"])


def _gemini(result: Any) -> Said:
    return _gemini_stream([result])


def _gemini_stream(chunks: list[Any]) -> Said:
    text: list[str] = []
    for chunk in chunks:
        text.extend(part.text for part in chunk.candidates[0].content.parts)
    last = chunks[-1]
    usage = last.usage_metadata
    return Said(
        last.response_id,
        last.model_version,
        last.candidates[0].finish_reason.value,
        "".join(text),
        usage.prompt_token_count,
        usage.candidates_token_count,
    )


_MODELS = {
    "openai": "gpt-4o",
    "anthropic": "claude-sonnet-4-5",
    "bedrock": "us.amazon.nova-lite-v1:0",
    "gemini": "gemini-2.5-flash",
}
_READERS: dict[str, tuple[Callable[[Any], Said], Callable[[Any], Said]]] = {
    "openai": (_openai, _openai_stream),
    "anthropic": (_anthropic, _anthropic_stream),
    "bedrock": (_bedrock, _bedrock_stream),
    "gemini": (_gemini, _gemini_stream),
}
