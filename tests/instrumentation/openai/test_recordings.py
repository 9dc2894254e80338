"""Recorded answers of OpenAI, through the real SDK: every fact on the span and in the record."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Dict, List, Tuple, cast

import pytest

from ...conftest import Telemetry
from ...support.drive import Outcome, drive, drive_async
from ...support.facts import facts_of
from ...support.player import Player, Received
from ...support.recordings import Recording, load, recording_params
from ..checking import check_record, check_span


def has_helper(file: Any) -> bool:
    """Whether the `stream()` helper can send the recorded requests."""
    text = file.read_text("utf-8") if file else ""
    return '"stream":true' in text.replace(" ", "") and '"n":' not in text


def ways(*names: str) -> Any:
    """Every recording by each of these ways, the helper only where it can send the request."""
    return [
        pytest.param(*param.values, name, marks=param.marks, id=f"{param.id}-{name}")
        for param in recording_params("openai")
        for name in names
        if name != "helper" or has_helper(param.values[0])
    ]


in_both_modes = pytest.mark.parametrize("mode", ["sync", "async"])


async def play(played: Recording, mode: str, via: str) -> Tuple[List[Outcome], List[Received]]:
    with Player(played) as player:
        if mode == "sync":
            outcomes = drive(played, player.url, via=via)
        else:
            outcomes = await drive_async(played, player.url, via=via)
        assert not player.unexpected
        return outcomes, [without_port(received) for received in player.requests]


def without_port(received: Received) -> Received:
    varying = ("host", "user-agent", "x-stainless-read-timeout")
    headers = {name: value for name, value in received.headers.items() if name not in varying}
    return Received(received.method, received.path, received.query, headers, received.body)


def dumped(outcome: Outcome) -> Dict[str, Any]:
    error, value = outcome.error, outcome.value
    if error is not None:
        return {"type": type(error), "text": str(error)}
    items = cast("List[Any]", value if isinstance(value, list) else [value])
    return {
        "types": [type(item) for item in items],
        "values": [_content_of(i) for i in items],
    }


@in_both_modes
@pytest.mark.parametrize(("file", "via"), ways("create", "raw", "streaming", "helper"))
async def test_recorded_answer_is_told_whole_and_reaches_the_caller_unchanged(
    file: Path, mode: str, via: str, bare_telemetry: Telemetry
):
    played = load(file)
    bare, bare_requests = await play(played, mode, via)
    bare_telemetry.instrument()
    outcomes, requests = await play(played, mode, via)

    assert requests == bare_requests
    assert [dumped(outcome) for outcome in outcomes] == [dumped(outcome) for outcome in bare]
    spans, records = bare_telemetry.spans, bare_telemetry.records
    # Some versions' helpers refuse a request themselves: what was not sent is no call.
    assert len(spans) == len(records) == len(requests)
    assert len(requests) == len(played.interactions) or isinstance(bare[0].error, ValueError)
    for interaction, span, record in zip(played.interactions, spans, records):
        facts = facts_of(interaction)
        check_span(span, facts)
        check_record(record, span, facts)
        assert record["name"] == RECORD_NAMES[interaction.path.rpartition("/v1/")[2]]


RECORD_NAMES = {
    "chat/completions": "openai.chat",
    "responses": "openai.responses",
    "embeddings": "openai.embeddings",
    "completions": "openai.completions",
}


def _content_of(item: Any) -> Any:
    """What an object of the SDK holds, told apart by its fields where pydantic cannot write it."""
    try:
        return item.model_dump(warnings=False)
    except TypeError:
        return repr(item)  # openai 1.66 leaves some of its models half-built on Python 3.9
