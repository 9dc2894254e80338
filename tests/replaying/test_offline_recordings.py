"""Every recording, played once with Peekr on, and once more from what Peekr stored, offline."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Dict, List, cast

import pytest

from peekr.errors import ReplayError
from peekr.record import SpanRecord
from peekr.replaying import Offline

from ..conftest import Telemetry
from ..instrumentation.checking import check_record, check_span
from ..support.drive import Outcome, drive, drive_async
from ..support.facts import facts_of
from ..support.player import Player
from ..support.recordings import load, recording_params

NOWHERE = "http://127.0.0.1:9"
FACTS = (
    "model",
    "finish_reasons",
    "output",
    "tool_calls",
    "tokens_input",
    "tokens_output",
    "tokens_total",
    "tokens_cache_read",
    "tokens_cache_write",
    "tokens_reasoning",
    "gen_ai.response.id",
    "gen_ai.response.model",
    "openai.response.service_tier",
    "error.type",
    "http.response.status_code",
    "peekr.error.code",
    "error",
)


def types_of(outcome: Outcome) -> List[str]:
    if outcome.error is not None:
        return [type(outcome.error).__name__]
    value = outcome.value
    items = cast("List[Any]", value if isinstance(value, list) else [value])
    return sorted({type(item).__name__ for item in items})


def told(record: Dict[str, Any]) -> Dict[str, Any]:
    return {name: record["attributes"].get(name) for name in FACTS} | {"status": record["status"]}


def tells_thoughts() -> bool:
    types = pytest.importorskip("google.genai.types")
    return "thoughts_token_count" in types.GenerateContentResponseUsageMetadata.model_fields


def is_embedding(file: Path) -> bool:
    return "/embeddings" in file.read_text("utf-8")


@pytest.mark.parametrize("mode", ["sync", "async"])
@pytest.mark.parametrize("file", recording_params("openai", "anthropic", "bedrock", "gemini"))
async def test_a_recording_replayed_offline_gives_the_same_results(
    file: Path, mode: str, bare_telemetry: Telemetry
):
    if file.parent.name == "gemini" and not tells_thoughts():
        pytest.skip("this SDK drops the count of the thoughts")
    played = load(file)
    bare_telemetry.instrument()
    with Player(played) as player:
        if mode == "sync":
            first = drive(played, player.url)
        else:
            first = await drive_async(played, player.url)
    before = bare_telemetry.records
    if not player.requests:
        pytest.skip("this SDK does not send the recorded request")
    bare_telemetry.clear()

    with Offline([SpanRecord.from_dict(record) for record in before]) as replay:
        if mode == "sync":
            second = drive(played, NOWHERE)
        else:
            second = await drive_async(played, NOWHERE)
    if is_embedding(file):
        assert all(isinstance(outcome.error, ReplayError) for outcome in second)
        assert all("never stored" in line for line in replay.unmatched)
        return
    replay.assert_all_served()
    assert not replay.loose
    spans, after = bare_telemetry.spans, bare_telemetry.records
    if len(spans) == len(played.interactions):
        for interaction, span, record in zip(played.interactions, spans, after):
            facts = facts_of(interaction)
            check_span(span, facts)
            check_record(record, span, facts)
    assert [told(record) for record in after] == [told(record) for record in before]
    assert [types_of(outcome)[:1] for outcome in second] == [
        types_of(outcome)[:1] for outcome in first
    ]


@pytest.mark.parametrize("via", ["raw", "streaming", "helper"])
@pytest.mark.parametrize("file", recording_params("openai", "anthropic"))
def test_other_ways_to_ask_give_the_same_results(file: Path, via: str, bare_telemetry: Telemetry):
    text = file.read_text("utf-8")
    streams = '"stream":true' in text.replace(" ", "") and '"n":' not in text
    if is_embedding(file) or (via == "helper" and not streams):
        pytest.skip("not sent this way")
    played = load(file)
    bare_telemetry.instrument()
    with Player(played) as player:
        first = drive(played, player.url, via=via)
    before = bare_telemetry.records
    if not player.requests:
        pytest.skip("this SDK does not send the recorded request")
    bare_telemetry.clear()
    with Offline([SpanRecord.from_dict(record) for record in before]) as replay:
        second = drive(played, NOWHERE, via=via)
    replay.assert_all_served()
    assert [told(record) for record in bare_telemetry.records] == [told(r) for r in before]
    assert [types_of(one)[:1] for one in second] == [types_of(one)[:1] for one in first]
