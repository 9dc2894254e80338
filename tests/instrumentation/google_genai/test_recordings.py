"""Recorded answers of Gemini, through the real SDK: every fact on the span and in the record."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any, Dict, List, Tuple, cast

import pytest

from ...conftest import Telemetry
from ...support.drive import Outcome, drive, drive_async
from ...support.facts import facts_of
from ...support.player import Player, Received
from ...support.recordings import Recording, load, recording_params
from ..checking import check_record, check_span
from .calling import quiet, types

pytestmark = quiet


def play(played: Recording, mode: str) -> Tuple[List[Outcome], List[Received]]:
    with Player(played) as player:
        if mode == "sync":
            outcomes = drive(played, player.url)
        else:
            outcomes = asyncio.run(drive_async(played, player.url))
        assert not player.unexpected
        return outcomes, [without_port(received) for received in player.requests]


def without_port(received: Received) -> Received:
    headers = {name: value for name, value in received.headers.items() if name != "host"}
    return Received(received.method, received.path, received.query, headers, received.body)


def dumped(outcome: Outcome) -> Dict[str, Any]:
    assert outcome.error is None
    value = outcome.value
    items = cast("List[Any]", value if isinstance(value, list) else [value])
    hidden = {"sdk_http_response"}  # holds the time of the answer
    return {
        "types": [type(item) for item in items],
        "values": [item.model_dump(exclude=hidden) for item in items],
    }


@pytest.mark.parametrize("file", recording_params("gemini"))
@pytest.mark.parametrize("mode", ["sync", "async"])
def test_recorded_answer_is_told_whole_and_reaches_the_caller_unchanged(
    file: Path, mode: str, bare_telemetry: Telemetry
):
    if "thoughts_token_count" not in types().GenerateContentResponseUsageMetadata.model_fields:
        pytest.skip("this version drops the count of the thoughts")
    played = load(file)
    bare, bare_requests = play(played, mode)
    bare_telemetry.instrument()
    outcomes, requests = play(played, mode)

    assert requests == bare_requests
    assert [dumped(outcome) for outcome in outcomes] == [dumped(outcome) for outcome in bare]
    spans, records = bare_telemetry.spans, bare_telemetry.records
    assert len(spans) == len(records) == len(played.interactions)
    for interaction, span, record in zip(played.interactions, spans, records):
        facts = facts_of(interaction)
        check_span(span, facts)
        check_record(record, span, facts)
        streamed = "_stream" if interaction.streamed else ""
        assert record["name"] == f"gemini.generate_content{streamed}"
        assert record["attributes"]["provider"] == "gcp.vertex_ai"
