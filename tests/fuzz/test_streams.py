"""An answer in pieces is the answer, however it is cut; what is cut off is what is missing."""

from __future__ import annotations

import json
from typing import Any, Callable, Dict, List, Sequence, Tuple

import pytest
from hypothesis import given
from hypothesis import strategies as st

from peekr.instrumentation.anthropic.messages import MESSAGES
from peekr.instrumentation.bedrock.converse import CONVERSE, CONVERSE_STREAM
from peekr.instrumentation.bedrock.invoke import INVOKE, INVOKE_STREAM
from peekr.instrumentation.contract import Accumulator, Response
from peekr.instrumentation.events import AwsMessages, ServerSentEvents
from peekr.instrumentation.google_genai.generate import GENERATE, GENERATE_STREAM
from peekr.instrumentation.openai.chat import CHAT
from peekr.instrumentation.openai.responses import RESPONSES

from .corpus import Exchange, exchanges
from .profiles import fuzzed
from .wire import aws_message, encoded

Json = Dict[str, Any]

# -- bytes ---------------------------------------------------------------------------------------


def _events(splitter: Any, pieces: Sequence[bytes]) -> Tuple[bytes, List[Any]]:
    raw = b""
    data: List[Any] = []
    for piece in pieces:
        for event in splitter.feed(piece):
            raw += event.raw
            data.append(event.data)
    for event in splitter.rest():
        raw += event.raw
        data.append(event.data)
    return raw, data


def _cut(body: bytes, places: List[int]) -> List[bytes]:
    at = [0, *sorted(place % (len(body) + 1) for place in places), len(body)]
    return [body[start:end] for start, end in zip(at, at[1:])]


def _streams() -> List[Exchange]:
    return [one for one in exchanges() if one.streamed and one.interaction.raw_body]


def _splitter(exchange: Exchange) -> Any:
    is_aws = exchange.interaction.provider == "bedrock"
    return AwsMessages() if is_aws else ServerSentEvents()


places = st.lists(st.integers(0, 1 << 20), max_size=12)


@fuzzed(150)
@given(st.data(), places, st.sampled_from([b"\n", b"\r\n", b"\r"]))
def test_events_are_the_same_however_the_bytes_are_cut(
    data: st.DataObject, cuts: List[int], line_end: bytes
) -> None:
    exchange = data.draw(st.sampled_from(_streams()))
    body = exchange.interaction.body
    if exchange.interaction.provider != "bedrock":
        body = body.replace(b"\r\n", b"\n").replace(b"\n", line_end)
    raw, found = _events(_splitter(exchange), _cut(body, cuts))
    assert raw == body
    assert (raw, found) == _events(_splitter(exchange), [body])
    if exchange.interaction.provider != "bedrock":
        assert [event for event in found if event is not None] == exchange.documents
    elif "/invoke" in exchange.interaction.path:
        assert found == exchange.documents


@fuzzed(150)
@given(st.data(), places, st.integers(0, 1 << 20), st.binary(max_size=24))
def test_what_is_left_of_a_body_that_was_cut_off_or_damaged_is_split_without_a_fault(
    data: st.DataObject, cuts: List[int], end: int, damage: bytes
) -> None:
    exchange = data.draw(st.sampled_from(_streams()))
    body = exchange.interaction.body
    whole = _events(_splitter(exchange), [body])[1]
    end %= len(body) + 1
    raw, found = _events(_splitter(exchange), _cut(body[:end], cuts))
    assert raw == body[:end]
    assert found[:-1] == whole[: max(0, len(found) - 1)]
    damaged = body[:end] + damage + body[end + len(damage) :]
    assert _events(_splitter(exchange), _cut(damaged, cuts))[0] == damaged


@fuzzed(100)
@given(
    st.one_of(
        st.recursive(
            st.none() | st.booleans() | st.integers() | st.text(max_size=9),
            lambda inner: (
                st.lists(inner, max_size=3)
                | st.dictionaries(st.sampled_from(["bytes", "p", "x"]), inner, max_size=3)
            ),
            max_leaves=6,
        ).map(lambda value: json.dumps(value).encode()),
        st.binary(max_size=40),
    )
)
def test_messages_of_an_event_stream_may_hold_anything(payload: bytes) -> None:
    message = aws_message("chunk", payload)
    raw, found = _events(AwsMessages(), [message])
    assert raw == message
    assert len(found) == 1


# -- the same answer, whole and in chunks ----------------------------------------------------------

_NAMES = st.text("abcdefgh_", min_size=1, max_size=8)
_TEXTS = st.text(
    st.characters(blacklist_categories=["Cs"]), min_size=1, max_size=40
)  # surrogates are another test's
_ARGUMENTS = st.dictionaries(
    _NAMES, st.none() | st.booleans() | st.integers(-(2**53), 2**53) | _TEXTS, max_size=3
)
_COUNTS = st.integers(0, 1_000_000)
_CUTS = st.lists(st.integers(0, 60), max_size=6)


def _pieces(text: str, cuts: List[int]) -> List[str]:
    at = [0, *sorted(cut % (len(text) + 1) for cut in cuts), len(text)]
    return [text[start:end] for start, end in zip(at, at[1:])]


class Answer:
    """What a model said: thoughts, a text, tool calls, and what it took."""

    def __init__(
        self, thought: str, text: str, calls: List[Tuple[str, Json]], sent: int, made: int
    ) -> None:
        self.thought = thought
        self.text = text
        self.calls = calls
        self.sent = sent
        self.made = made


_ANSWERS = st.builds(
    Answer,
    st.just("") | _TEXTS,
    _TEXTS,
    st.lists(st.tuples(_NAMES, _ARGUMENTS), max_size=2),
    _COUNTS,
    _COUNTS,
)


def _gathered(accumulator: Accumulator, events: List[Any]) -> Response:
    for event in events:
        accumulator.add(event)
    return accumulator.response()


def _chat(said: Answer, cuts: List[int]) -> Tuple[Response, Response]:
    usage = {"prompt_tokens": said.sent, "completion_tokens": said.made}
    head = {"id": "c1", "model": "gpt-4o"}
    calls = [
        {"id": f"t{n}", "function": {"name": name, "arguments": json.dumps(given)}}
        for n, (name, given) in enumerate(said.calls)
    ]
    message: Json = {"role": "assistant", "content": said.text, "tool_calls": calls}
    if said.thought:
        message["reasoning_content"] = said.thought
    choice = {"index": 0, "message": message, "finish_reason": "stop"}
    plain = CHAT.response({**head, "choices": [choice], "usage": usage})

    def chunk(delta: Json, reason: Any = None) -> Json:
        return {**head, "choices": [{"index": 0, "delta": delta, "finish_reason": reason}]}

    events = [chunk({"role": "assistant", "content": ""})]
    events += [chunk({"reasoning_content": piece}) for piece in _pieces(said.thought, cuts)]
    events += [chunk({"content": piece}) for piece in _pieces(said.text, cuts)]
    for n, call in enumerate(calls):
        function: Any = call["function"]
        first = {"index": n, "id": call["id"], "function": {"name": function["name"]}}
        events.append(chunk({"tool_calls": [first]}))
        events += [
            chunk({"tool_calls": [{"index": n, "function": {"arguments": piece}}]})
            for piece in _pieces(function["arguments"], cuts)
        ]
    events += [chunk({}, "stop"), {**head, "choices": [], "usage": usage}]
    return plain, _gathered(CHAT.accumulator(), events)


def _responses(said: Answer, cuts: List[int]) -> Tuple[Response, Response]:
    items: List[Json] = []
    if said.thought:
        items.append({"type": "reasoning", "summary": [{"type": "x", "text": said.thought}]})
    content = [{"type": "output_text", "text": said.text}]
    items.append({"type": "message", "role": "assistant", "content": content})
    for n, (name, given_) in enumerate(said.calls):
        arguments = json.dumps(given_)
        items.append(
            {"type": "function_call", "call_id": f"t{n}", "name": name, "arguments": arguments}
        )
    usage = {"input_tokens": said.sent, "output_tokens": said.made}
    whole: Json = {"id": "r1", "model": "gpt-4o", "status": "completed", "output": items}
    whole["usage"] = usage
    events: List[Json] = [{"type": "response.created", "response": {**whole, "output": []}}]
    for index, item in enumerate(items):
        if item["type"] == "message":
            events += [
                {"type": "response.output_text.delta", "output_index": index, "delta": piece}
                for piece in _pieces(said.text, cuts)
            ]
        events.append({"type": "response.output_item.done", "output_index": index, "item": item})
    events.append({"type": "response.completed", "response": whole})
    return RESPONSES.response(whole), _gathered(RESPONSES.accumulator(), events)


def _claude_message(said: Answer) -> Json:
    content: List[Json] = []
    if said.thought:
        content.append({"type": "thinking", "thinking": said.thought})
    content.append({"type": "text", "text": said.text})
    for n, (name, given_) in enumerate(said.calls):
        content.append({"type": "tool_use", "id": f"t{n}", "name": name, "input": given_})
    return {
        "id": "m1",
        "type": "message",
        "role": "assistant",
        "model": "claude",
        "content": content,
        "stop_reason": "end_turn",
        "usage": {
            "input_tokens": said.sent,
            "output_tokens": said.made,
            "cache_read_input_tokens": 5,
        },
    }


def _claude_events(said: Answer, cuts: List[int]) -> List[Json]:
    whole = _claude_message(said)
    start: Json = {**whole, "content": [], "stop_reason": None}
    start["usage"] = {**whole["usage"], "output_tokens": 1}
    events: List[Json] = [{"type": "message_start", "message": start}]
    for index, block in enumerate(whole["content"]):
        kind = block["type"]
        name, target = {
            "thinking": ("thinking_delta", "thinking"),
            "text": ("text_delta", "text"),
            "tool_use": ("input_json_delta", "partial_json"),
        }[kind]
        empty: Json = {"input": {}} if kind == "tool_use" else {target: ""}
        opened: Json = {**block, **empty}
        events.append({"type": "content_block_start", "index": index, "content_block": opened})
        text = json.dumps(block["input"]) if kind == "tool_use" else block[target]
        for piece in _pieces(text, cuts):
            delta = {"type": name, target: piece}
            events.append({"type": "content_block_delta", "index": index, "delta": delta})
        events.append({"type": "content_block_stop", "index": index})
    ended = {"stop_reason": "end_turn"}
    usage = {"output_tokens": said.made}
    events.append({"type": "message_delta", "delta": ended, "usage": usage})
    return [*events, {"type": "message_stop"}]


def _claude(said: Answer, cuts: List[int]) -> Tuple[Response, Response]:
    return MESSAGES.response(_claude_message(said)), _gathered(
        MESSAGES.accumulator(), _claude_events(said, cuts)
    )


def _invoked_claude(said: Answer, cuts: List[int]) -> Tuple[Response, Response]:
    body = json.dumps(_claude_message(said)).encode()
    events = [
        {"chunk": {"bytes": json.dumps(event).encode()}} for event in _claude_events(said, cuts)
    ]
    return INVOKE.response({"body": body}), _gathered(INVOKE_STREAM.accumulator(), events)


def _converse(said: Answer, cuts: List[int]) -> Tuple[Response, Response]:
    content: List[Json] = []
    events: List[Json] = [{"messageStart": {"role": "assistant"}}]

    def delta(piece: Json) -> None:
        where = {"contentBlockIndex": len(content)}
        events.append({"contentBlockDelta": {**where, "delta": piece}})

    if said.thought:
        for piece in _pieces(said.thought, cuts):
            delta({"reasoningContent": {"text": piece}})
        content.append({"reasoningContent": {"reasoningText": {"text": said.thought}}})
    for piece in _pieces(said.text, cuts):
        delta({"text": piece})
    content.append({"text": said.text})
    for n, (name, given_) in enumerate(said.calls):
        use = {"toolUseId": f"t{n}", "name": name}
        where = {"contentBlockIndex": len(content)}
        events.append({"contentBlockStart": {**where, "start": {"toolUse": use}}})
        for piece in _pieces(json.dumps(given_), cuts):
            delta({"toolUse": {"input": piece}})
        content.append({"toolUse": {**use, "input": given_}})
    usage = {"inputTokens": said.sent, "outputTokens": said.made}
    events += [{"messageStop": {"stopReason": "end_turn"}}, {"metadata": {"usage": usage}}]
    whole: Json = {"output": {"message": {"role": "assistant", "content": content}}}
    whole.update({"stopReason": "end_turn", "usage": usage})
    return CONVERSE.response(whole), _gathered(CONVERSE_STREAM.accumulator(), events)


def _gemini(said: Answer, cuts: List[int]) -> Tuple[Response, Response]:
    head = {"responseId": "g1", "modelVersion": "gemini-2.5-flash"}
    usage = {"promptTokenCount": said.sent, "candidatesTokenCount": said.made}
    calls: List[Json] = [
        {"functionCall": {"id": f"t{n}", "name": name, "args": given_}}
        for n, (name, given_) in enumerate(said.calls)
    ]

    def chunk(parts: List[Json], **more: Any) -> Json:
        return {**head, "candidates": [{"content": {"role": "model", "parts": parts}, **more}]}

    thought: List[Json] = [{"text": said.thought, "thought": True}] if said.thought else []
    whole = {
        **chunk([*thought, {"text": said.text}, *calls], finishReason="STOP"),
        "usageMetadata": usage,
    }
    events = [chunk([{"text": p, "thought": True}]) for p in _pieces(said.thought, cuts)]
    events += [chunk([{"text": piece}]) for piece in _pieces(said.text, cuts)]
    events += [chunk([call]) for call in calls]
    events.append({**chunk([{"text": ""}], finishReason="STOP"), "usageMetadata": usage})
    return GENERATE.response(whole), _gathered(GENERATE_STREAM.accumulator(), events)


_BOTH: Dict[str, Callable[[Answer, List[int]], Tuple[Response, Response]]] = {
    "chat": _chat,
    "responses": _responses,
    "messages": _claude,
    "invoked messages": _invoked_claude,
    "converse": _converse,
    "gemini": _gemini,
}


@pytest.mark.parametrize("kind", sorted(_BOTH))
def test_a_streamed_answer_is_read_as_the_whole_one_however_it_is_cut(kind: str) -> None:
    @fuzzed(80)
    @given(_ANSWERS, _CUTS)
    def compare(said: Answer, cuts: List[int]) -> None:
        plain, streamed = _BOTH[kind](said, cuts)
        for name in ("id", "model", "finish_reasons", "usage", "output", "fault", "complete"):
            assert getattr(streamed, name) == getattr(plain, name), name
        assert plain.usage is not None
        assert plain.usage.output == said.made

    compare()


@fuzzed(60)
@given(st.data(), st.integers(0, 99))
def test_a_stream_that_breaks_off_has_the_beginning_of_its_texts(
    data: st.DataObject, end: int
) -> None:
    said: Answer = data.draw(_ANSWERS)
    events = _claude_events(said, [3, 9, 20])
    events = events[: end % len(events)]
    broken = _gathered(MESSAGES.accumulator(), events)
    assert not broken.complete or any(event["type"] == "message_delta" for event in events)
    for entry in broken.output or ():
        for part in entry["parts"]:
            if part["type"] == "text":
                assert said.text.startswith(part["content"])
            if part["type"] == "reasoning":
                assert said.thought.startswith(part["content"])


@fuzzed(40)
@given(st.data(), places)
def test_documents_come_back_from_the_bytes_that_are_made_of_them(
    data: st.DataObject, cuts: List[int]
) -> None:
    exchange = data.draw(st.sampled_from(_streams()))
    if exchange.interaction.provider == "bedrock" and "/invoke" not in exchange.interaction.path:
        return  # those of Converse have their kind in a header
    body = encoded(exchange.interaction, exchange.documents)
    assert _events(_splitter(exchange), _cut(body, cuts))[1] == exchange.documents
