"""Recorded answers of Anthropic, through the real SDK: every fact on the span and in the record."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any, Dict, List, Tuple, cast

import pytest

from ...conftest import Telemetry
from ...support.drive import Outcome, drive, drive_async
from ...support.facts import facts_of
from ...support.player import Player, Received
from ...support.recordings import Recording, load, recording_files, recording_params
from ..checking import check_record, check_span

WAYS = ("create", "raw", "streaming", "helper")


def ways() -> List[Any]:
    """Each recording with each way to send its requests; the helper only streams."""
    files = recording_files("anthropic")
    if not files:
        return [
            pytest.param(*param.values, "create", marks=param.marks)
            for param in recording_params("anthropic")
        ]
    return [
        pytest.param(file, via, id=f"{file.stem}-{via}")
        for file in files
        for via in WAYS
        if via != "helper" or all(i.streamed for i in load(file).interactions)
    ]


def play(played: Recording, mode: str, via: str) -> Tuple[List[Outcome], List[Received]]:
    with Player(played) as player:
        if mode == "sync":
            outcomes = drive(played, player.url, via=via)
        else:
            outcomes = asyncio.run(drive_async(played, player.url, via=via))
        assert not player.unexpected
        return outcomes, [comparable(received) for received in player.requests]


def comparable(received: Received) -> Received:
    """A request without what differs between two clients."""
    varying = ("host", "user-agent", "x-stainless-read-timeout", "idempotency-key")
    headers = {name: value for name, value in received.headers.items() if name not in varying}
    return Received(received.method, received.path, received.query, headers, received.body)


def dumped(outcome: Outcome) -> Dict[str, Any]:
    if outcome.error is not None:
        return {"type": type(outcome.error), "text": str(outcome.error)}
    value = outcome.value
    items = cast("List[Any]", value if isinstance(value, list) else [value])
    return {
        "types": [type(item) for item in items],
        "values": [item.model_dump(warnings=False) for item in items],
    }


@pytest.mark.parametrize("mode", ["sync", "async"])
@pytest.mark.parametrize(("file", "via"), ways())
def test_recorded_answer_is_told_whole_and_reaches_the_caller_unchanged(
    file: Path, via: str, mode: str, bare_telemetry: Telemetry
):
    played = load(file)
    bare, bare_requests = play(played, mode, via)
    bare_telemetry.instrument()
    outcomes, requests = play(played, mode, via)

    assert requests == bare_requests
    assert [dumped(outcome) for outcome in outcomes] == [dumped(outcome) for outcome in bare]
    spans, records = bare_telemetry.spans, bare_telemetry.records
    assert len(spans) == len(records) == len(played.interactions)
    for interaction, span, record in zip(played.interactions, spans, records):
        facts = facts_of(interaction)
        check_span(span, facts)
        check_record(record, span, facts)
        assert record["name"] == "anthropic.messages"
        assert record["attributes"]["provider"] == "anthropic"
        assert record["attributes"]["peekr.request.id"] == interaction.headers["request-id"]
