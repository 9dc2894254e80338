"""Raw bodies are held back as well, wherever their bytes are cut."""

from __future__ import annotations

import base64
import json
from typing import Any, Callable, Dict, List, Optional, Tuple

import pytest

import peekr
from peekr.instrumentation.events import AwsMessages, ServerSentEvents

from ..conftest import Telemetry
from ..instrumentation.openai.calls import answer as answered
from ..instrumentation.openai.calls import chunk, completion, events, make_client
from ..support.player import Player
from .guards import SECRET, Finds

FILL = "Grüße, 世界 and so on. " * 3
TEXT = FILL + SECRET + " " + FILL
PIECES = [TEXT[at : at + 11] for at in range(0, len(TEXT), 11)]
CHAT: Dict[str, Any] = {"model": "gpt-4o", "messages": [{"role": "user", "content": "hi"}]}


def sse(pieces: List[str], ending: str = "\n\n") -> bytes:
    lines = [
        "data: " + json.dumps(chunk({"content": piece}), ensure_ascii=False) for piece in pieces
    ]
    return "".join(line + ending for line in [*lines, "data: [DONE]"]).encode()


def aws(pieces: List[str]) -> bytes:
    made = b""
    for piece in pieces:
        inner = base64.b64encode(json.dumps({"said": piece}).encode()).decode()
        payload = json.dumps({"bytes": inner}).encode()
        headers = b"\x0bheader-name\x07\x00\x05value"
        length = 12 + len(headers) + len(payload) + 4
        made += length.to_bytes(4, "big") + len(headers).to_bytes(4, "big") + b"\0\0\0\0"
        made += headers + payload + b"\0\0\0\0"
    return made


@pytest.mark.parametrize(
    ("make", "body"),
    [
        (ServerSentEvents, sse([*PIECES[:3], "no line end: \u2028 \x85"])),
        (ServerSentEvents, sse(PIECES[:4], "\r\n\r\n")),
        (ServerSentEvents, sse(PIECES[:4], "\r\r")),
        (ServerSentEvents, sse(PIECES[:4])[:-1]),
        (AwsMessages, aws(PIECES[:4])),
        (AwsMessages, aws(PIECES[:4])[:-3]),
    ],
    ids=["lf", "crlf", "cr", "sse cut off", "aws", "aws cut off"],
)
def test_events_are_the_same_wherever_the_bytes_are_cut(make: Callable[[], Any], body: bytes):
    def split(*parts: bytes) -> Tuple[List[Any], bytes]:
        splitter = make()
        found = [event for part in parts for event in splitter.feed(part)]
        found += splitter.rest()
        return [e.data for e in found if e.data is not None], b"".join(e.raw for e in found)

    whole = split(body)
    assert whole[1] == body
    assert len(whole[0]) >= 3
    for cut in range(len(body) + 1):
        assert split(body[:cut], body[cut:]) == whole, cut
    assert split(*(body[at : at + 1] for at in range(len(body)))) == whole


class Outcome(Exception):
    """What came of reading a body."""


def read(response: Any, how: str) -> bytes:
    """All of a raw response's bytes as far as they are given; the rest is in the exception."""
    taken = b""
    try:
        if how == "iter_bytes":
            for piece in response.iter_bytes():
                taken += piece
        elif how == "iter_raw":
            for piece in response.http_response.iter_raw():
                taken += piece
        elif how == "iter_lines":
            for line in response.iter_lines():
                taken += line.encode() + b"\n"
        elif how == "read":
            taken = response.read()
        else:
            taken = response.text().encode()
    except peekr.GuardrailError as error:
        raise Outcome(taken, error) from error
    return taken


def taken_of(stream: Any) -> Tuple[str, Optional[Exception]]:
    """What a stream says until it ends, and how it ends."""
    said = ""
    try:
        for part in stream:
            said += part.choices[0].delta.content or ""
    except Exception as error:
        return said, error
    return said, None


READERS = ("iter_bytes", "iter_raw", "iter_lines", "read", "text")


@pytest.mark.parametrize("how", READERS)
@pytest.mark.parametrize("stream", ["buffer", "window"])
def test_raw_stream_gives_nothing_of_what_is_withheld(
    bare_telemetry: Telemetry, how: str, stream: str
):
    bare_telemetry.instrument(guardrails=[Finds(stream=stream, window_chars=32)])
    recording = events(*(chunk({"content": piece}) for piece in PIECES))
    with Player(recording, split=7) as player, make_client("sync", f"{player.url}/v1") as client:
        create = client.chat.completions.with_streaming_response.create
        with create(**CHAT, stream=True) as response, pytest.raises(Outcome) as caught:
            read(response, how)
    taken, error = caught.value.args
    assert SECRET[:6].encode() not in taken
    assert error.guardrail_name == "Finds"
    record = bare_telemetry.record
    assert record["attributes"]["guardrail_violations"] == [
        {"guard": "Finds", "field": "output", "rule": "secret"}
    ]
    assert SECRET not in json.dumps(record)


@pytest.mark.parametrize("how", READERS)
def test_clean_raw_stream_gives_every_byte(bare_telemetry: Telemetry, how: str):
    bare_telemetry.instrument(guardrails=[Finds(stream="window", window_chars=32)])
    recording = events(*(chunk({"content": piece}) for piece in [FILL] * 30))
    (interaction,) = recording.interactions
    with Player(recording, split=50) as player, make_client("sync", f"{player.url}/v1") as client:
        create = client.chat.completions.with_streaming_response.create
        with create(**CHAT, stream=True) as response:
            taken = read(response, how)
    if how == "iter_lines":
        assert json.loads(taken.split(b"\n")[0][6:])["object"] == "chat.completion.chunk"
    else:
        assert taken == interaction.raw_body
    assert bare_telemetry.record["attributes"]["output"] == FILL * 30


@pytest.mark.parametrize("how", READERS)
@pytest.mark.parametrize("secret", [True, False])
def test_raw_body_is_given_when_all_of_it_is_clean(
    bare_telemetry: Telemetry, how: str, secret: bool
):
    bare_telemetry.instrument(guardrails=[Finds()])
    message = {"role": "assistant", "content": TEXT if secret else FILL}
    recording = answered(completion(message))
    with Player(recording) as player, make_client("sync", f"{player.url}/v1") as client:
        create = client.chat.completions.with_streaming_response.create
        with create(**CHAT) as response:
            if secret:
                with pytest.raises(Outcome) as caught:
                    read(response, how)
                assert caught.value.args[0] == b""
            else:
                assert json.loads(read(response, how))["choices"][0]["message"] == message


@pytest.mark.parametrize("how", ["raw", "plain"])
@pytest.mark.parametrize("size", range(1, 40))
def test_verdict_is_the_same_for_every_size_of_packet(
    bare_telemetry: Telemetry, how: str, size: int
):
    bare_telemetry.instrument(guardrails=[Finds(stream="window", window_chars=32)])
    recording = events(*(chunk({"content": piece}) for piece in PIECES))
    with Player(recording, split=size) as player, make_client("sync", f"{player.url}/v1") as client:
        completions = client.chat.completions
        if how == "raw":
            result = completions.with_raw_response.create(**CHAT, stream=True).parse()
        else:
            result = completions.create(**CHAT, stream=True)
        said, error = taken_of(result)
    assert isinstance(error, peekr.GuardrailError)
    # Nothing had been handed on in one case and held in the other.
    assert said == TEXT[: len(said)]
    assert len(said) <= len(FILL)
    assert bare_telemetry.record["attributes"]["guardrail_violations"]


async def test_async_raw_stream_is_held_back(bare_telemetry: Telemetry):
    bare_telemetry.instrument(guardrails=[Finds(stream="window", window_chars=32)])
    recording = events(*(chunk({"content": piece}) for piece in PIECES))
    with Player(recording, split=5) as player:
        async with make_client("async", f"{player.url}/v1") as client:
            create = client.chat.completions.with_streaming_response.create
            taken = b""
            async with create(**CHAT, stream=True) as response:
                try:
                    async for piece in response.iter_bytes():
                        taken += piece
                    error = None
                except peekr.GuardrailError as raised:
                    error = raised
    assert error is not None
    assert SECRET[:6].encode() not in taken


@pytest.mark.parametrize("secret", [True, False])
def test_body_in_a_form_that_nobody_knows_is_looked_at_as_text(
    bare_telemetry: Telemetry, secret: bool
):
    bare_telemetry.instrument(guardrails=[Finds()])
    recording = answered(f"so it goes {SECRET if secret else ''}")
    with Player(recording) as player, make_client("sync", f"{player.url}/v1") as client:
        create = client.chat.completions.with_streaming_response.create
        with create(**CHAT) as response:
            if secret:
                with pytest.raises(Outcome):
                    read(response, "read")
            else:
                assert read(response, "read").startswith(b"so it goes")


@pytest.mark.parametrize("secret", [True, False])
def test_stream_that_breaks_off_gives_what_is_clean_and_then_its_error(
    bare_telemetry: Telemetry, secret: bool
):
    bare_telemetry.instrument(guardrails=[Finds(stream="window", window_chars=32)])
    pieces = PIECES if secret else [FILL] * 5
    recording = events(*(chunk({"content": piece}) for piece in pieces))
    player = Player(recording, cut_after=len(pieces))
    with player, make_client("sync", f"{player.url}/v1") as client:
        said, error = taken_of(client.chat.completions.create(**CHAT, stream=True))
    assert error is not None
    assert isinstance(error, peekr.GuardrailError) is secret
    assert said == (TEXT[: len(said)] if secret else FILL * 5)
    assert SECRET[:4] not in said
    assert bare_telemetry.record["status"] == "error"


def test_stream_that_is_left_early_is_checked_and_nothing_is_raised(bare_telemetry: Telemetry):
    bare_telemetry.instrument(guardrails=[Finds(stream="window", window_chars=4)])
    recording = events(
        *(chunk({"content": piece}) for piece in [FILL] * 5), chunk({"content": SECRET + FILL})
    )
    with Player(recording) as player, make_client("sync", f"{player.url}/v1") as client:
        stream = client.chat.completions.create(**CHAT, stream=True)
        assert next(stream).choices[0].delta.content == FILL
        stream.close()
    record = bare_telemetry.record
    assert record["status"] == "ok"
    assert record["attributes"]["peekr.stream.abandoned"] is True
    assert "guardrail_violations" not in record["attributes"]


def test_error_is_raised_once_and_then_the_stream_is_over(bare_telemetry: Telemetry):
    bare_telemetry.instrument(guardrails=[Finds(stream="buffer")])
    recording = events(*(chunk({"content": piece}) for piece in PIECES))
    with Player(recording) as player, make_client("sync", f"{player.url}/v1") as client:
        stream = client.chat.completions.create(**CHAT, stream=True)
        with pytest.raises(peekr.GuardrailError):
            next(stream)
        assert list(stream) == []
    assert len(bare_telemetry.records) == 1


def test_body_that_is_read_past_the_stream_is_said_to_be_unchecked(bare_telemetry: Telemetry):
    bare_telemetry.instrument(guardrails=[Finds(stream="window")])
    recording = events(*(chunk({"content": piece}) for piece in PIECES))
    with Player(recording) as player, make_client("sync", f"{player.url}/v1") as client:
        stream = client.chat.completions.create(**CHAT, stream=True)
        assert stream.response.status_code == 200
        assert b"data:" in b"".join(stream.response.iter_bytes())
        stream.close()
    assert bare_telemetry.record["attributes"]["guardrail_unchecked"] == [
        {"field": "output", "what": "the HTTP response"}
    ]
