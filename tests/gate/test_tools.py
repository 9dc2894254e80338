"""Arguments of tool calls are held back with every provider's chunks."""

from __future__ import annotations

import json
from typing import Any, Callable, Dict, List, Tuple

import pytest

from peekr.instrumentation.anthropic.messages import MESSAGES
from peekr.instrumentation.bedrock.converse import CONVERSE_STREAM
from peekr.instrumentation.bedrock.invoke import INVOKE_STREAM
from peekr.instrumentation.gate import Gate, Judgement
from peekr.instrumentation.google_genai.generate import GENERATE_STREAM
from peekr.instrumentation.openai.chat import CHAT
from peekr.instrumentation.openai.responses import RESPONSES

from .guards import SECRET, Finds

Chunk = Dict[str, Any]
FILL = "word " * 200


def openai(pieces: List[str]) -> List[Chunk]:
    def delta(**held: Any) -> Chunk:
        return {"choices": [{"index": 0, "delta": held}]}

    def call(**held: Any) -> Chunk:
        return delta(tool_calls=[{"index": 0, **held}])

    return [
        delta(role="assistant", content="Wait."),
        call(id="c", function={"name": "send", "arguments": ""}),
        *(call(function={"arguments": piece}) for piece in pieces),
    ]


def responses(pieces: List[str]) -> List[Chunk]:
    item = {"type": "function_call", "id": "i", "call_id": "c", "name": "send", "arguments": ""}
    added = {"type": "response.output_item.added", "output_index": 0, "item": item}
    kind = "response.function_call_arguments.delta"
    return [added, *({"type": kind, "output_index": 0, "delta": piece} for piece in pieces)]


def anthropic(pieces: List[str]) -> List[Chunk]:
    block: Chunk = {"type": "tool_use", "id": "c", "name": "send", "input": {}}
    deltas = ({"type": "input_json_delta", "partial_json": piece} for piece in pieces)
    return [
        {"type": "message_start", "message": {"role": "assistant", "content": []}},
        {"type": "content_block_start", "index": 0, "content_block": block},
        *({"type": "content_block_delta", "index": 0, "delta": delta} for delta in deltas),
    ]


def converse(pieces: List[str]) -> List[Chunk]:
    start = {"toolUse": {"toolUseId": "c", "name": "send"}}
    deltas = ({"toolUse": {"input": piece}} for piece in pieces)
    return [
        {"messageStart": {"role": "assistant"}},
        {"contentBlockStart": {"contentBlockIndex": 0, "start": start}},
        *({"contentBlockDelta": {"contentBlockIndex": 0, "delta": delta}} for delta in deltas),
    ]


def invoke(pieces: List[str]) -> List[Chunk]:
    return [{"chunk": {"bytes": json.dumps(event).encode()}} for event in anthropic(pieces)]


def gemini(pieces: List[str]) -> List[Chunk]:
    """Vertex's streamed arguments: pieces of one text, by its path."""
    text = "".join(pieces)
    body: str = json.loads(text)["body"]
    parts = [body[at : at + 9] for at in range(0, len(body), 9)]

    def chunk(**call: Any) -> Chunk:
        return {"candidates": [{"index": 0, "content": {"parts": [{"function_call": call}]}}]}

    return [
        chunk(name="send", will_continue=True),
        *(
            chunk(partial_args=[{"json_path": "$.body", "string_value": part}], will_continue=True)
            for part in parts
        ),
        chunk(will_continue=False),
    ]


PROVIDERS: Dict[str, Tuple[Any, Callable[[List[str]], List[Chunk]]]] = {
    "OpenAI": (CHAT, openai),
    "OpenAI's Responses": (RESPONSES, responses),
    "Anthropic": (MESSAGES, anthropic),
    "Bedrock's Converse": (CONVERSE_STREAM, converse),
    "Bedrock's invoke": (INVOKE_STREAM, invoke),
    "Gemini": (GENERATE_STREAM, gemini),
}


@pytest.mark.parametrize("size", [1, 3, 8, 50, 5000])
@pytest.mark.parametrize("escaped", [False, True], ids=["plain", "escaped"])
@pytest.mark.parametrize("provider", PROVIDERS)
def test_nothing_of_a_secret_in_arguments_is_handed_on(provider: str, size: int, escaped: bool):
    extractor, make = PROVIDERS[provider]
    arguments = json.dumps({"body": f"{FILL}{SECRET} {FILL}"})
    if escaped:
        arguments = arguments.replace("zebra", "\\u007aebra")
    pieces = [arguments[at : at + size] for at in range(0, len(arguments), size)]
    gate = Gate([Finds(stream="window", window_chars=32)])
    accumulator, judgement = extractor.accumulator(), Judgement()
    hold = gate.hold(accumulator, judgement)
    handed_on: List[Chunk] = []
    for chunk in make(pieces):
        accumulator.add(chunk)
        hold.add(chunk)
        handed_on += hold.ready
        hold.ready.clear()
        if hold.found:
            gate.object_to(hold.found, judgement)
            break
    else:
        gate.look_at_answer(accumulator.response().output, judgement)
    assert judgement.blocked is not None
    shown = extractor.accumulator()
    for chunk in handed_on:
        shown.add(chunk)
    said = json.dumps(shown.response().output)
    assert SECRET[:5] not in said
    assert "\\u007a" not in said
