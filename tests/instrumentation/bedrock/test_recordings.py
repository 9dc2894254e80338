"""Recorded answers of Bedrock, through both SDKs: every fact on the span and in the record."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any, Dict, List, Tuple

import pytest

from ...conftest import Telemetry
from ...support.drive import Outcome, drive, drive_async
from ...support.facts import facts_of
from ...support.player import Player, Received
from ...support.recordings import Recording, load, recording_params
from ..checking import check_record, check_span

RECORD_NAMES = {
    "converse": "bedrock.converse",
    "converse-stream": "bedrock.converse_stream",
    "invoke": "bedrock.invoke_model",
    "invoke-with-response-stream": "bedrock.invoke_model_stream",
}


def play(played: Recording, mode: str) -> Tuple[List[Outcome], List[Received]]:
    with Player(played) as player:
        if mode == "sync":
            outcomes = drive(played, player.url)
        else:
            outcomes = asyncio.run(drive_async(played, player.url))
        assert not player.unexpected
        return outcomes, player.requests


def told(outcome: Outcome) -> Dict[str, Any]:
    """What the caller got, without what differs from call to call."""
    error, value = outcome.error, outcome.value
    if error is not None:
        return {"type": type(error).__qualname__, "text": str(error)}  # a class of each client
    metadata: Dict[str, Any] = value["ResponseMetadata"]
    headers = {k: v for k, v in metadata["HTTPHeaders"].items() if k != "date"}
    return {**value, "ResponseMetadata": {**metadata, "HTTPHeaders": headers}}


def sent(received: Received) -> Dict[str, Any]:
    """A request, without what differs from call to call."""
    varying = ("host", "user-agent", "amz-sdk-invocation-id", "x-amz-date", "authorization")
    headers = {name: value for name, value in received.headers.items() if name not in varying}
    return {"path": received.path, "headers": headers, "body": received.body}


@pytest.mark.parametrize("file", recording_params("bedrock"))
@pytest.mark.parametrize("mode", ["sync", "async"])
def test_recorded_answer_is_told_whole_and_reaches_the_caller_unchanged(
    file: Path, mode: str, bare_telemetry: Telemetry
):
    played = load(file)
    bare, bare_requests = play(played, mode)
    if not bare_requests:
        pytest.skip("this SDK does not send the recorded request")
    bare_telemetry.instrument()
    outcomes, requests = play(played, mode)

    assert [sent(request) for request in requests] == [sent(request) for request in bare_requests]
    assert [told(outcome) for outcome in outcomes] == [told(outcome) for outcome in bare]
    spans, records = bare_telemetry.spans, bare_telemetry.records
    assert len(spans) == len(records) == len(played.interactions)
    for interaction, span, record in zip(played.interactions, spans, records):
        facts = facts_of(interaction)
        check_span(span, facts)
        check_record(record, span, facts)
        assert record["name"] == RECORD_NAMES[interaction.path.rpartition("/")[2]]
        assert record["attributes"]["provider"] == "aws.bedrock"
        assert record["attributes"]["server.address"] == "127.0.0.1"
