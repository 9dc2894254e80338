from __future__ import annotations

import json
import threading
from pathlib import Path
from typing import Any, Dict, List, cast

import pytest

from .support.drive import Outcome, drive, drive_async
from .support.facts import CalledTool, Facts, facts_of
from .support.player import Pause, Player
from .support.recordings import Recording, load, recording, recording_params

all_recordings = pytest.mark.parametrize("file", recording_params())


def check(played: Recording, player: Player, outcomes: List[Outcome]) -> None:
    assert not player.unexpected
    assert player.all_played
    for interaction, outcome, received in zip(played.interactions, outcomes, player.requests):
        if interaction.status >= 400:
            assert status_of(outcome.error) == interaction.status
        else:
            assert outcome.error is None
            assert outcome.value
        sent: Dict[str, Any] = received.json or {}
        assert {key: sent.get(key) for key in interaction.request_body} == interaction.request_body


def status_of(error: Any) -> int:
    """The HTTP status that an exception of OpenAI, Anthropic, botocore or google-genai carries."""
    response: Any = getattr(error, "response", None)
    if isinstance(response, dict):
        return cast("Dict[str, Any]", response)["ResponseMetadata"]["HTTPStatusCode"]
    return getattr(error, "status_code", None) or error.code


@all_recordings
def test_recording_plays_through_the_sync_sdk(file: Path):
    played = load(file)
    with Player(played) as player:
        check(played, player, drive(played, player.url))


@all_recordings
async def test_recording_plays_through_the_async_sdk(file: Path):
    played = load(file)
    with Player(played) as player:
        check(played, player, await drive_async(played, player.url))


@pytest.mark.parametrize("file", recording_params("openai", "anthropic"))
def test_recording_plays_through_raw_responses_and_helpers(file: Path):
    played = load(file)
    with Player(played) as player:
        check(played, player, drive(played, player.url, via="raw"))
    interaction = played.interactions[0]
    if interaction.streamed and "choices" not in file.stem:
        with Player(played) as player:
            assert drive(played, player.url, via="helper")[0].error is None


STREAM = ("openai", "chat_completion_streaming")


@pytest.mark.parametrize("split", [1, 7, 1000])
def test_split_streams_give_the_same_events(split: int):
    played = recording(*STREAM)
    with Player(played) as whole, Player(played, split=split) as pieces:
        expected, got = drive(played, whole.url), drive(played, pieces.url)
    assert [chunk.model_dump() for chunk in got[0].value] == [
        chunk.model_dump() for chunk in expected[0].value
    ]


@pytest.mark.parametrize(
    "name",
    [
        STREAM,
        ("anthropic", "anthropic_message_streaming_legacy"),
        ("bedrock", "invoke_model_with_response_stream_with_content-amazon.nova"),
    ],
    ids=lambda name: name[0],
)
def test_cut_stream_is_an_error_of_the_sdk(name: Any):
    played = recording(*name)
    with Player(played, cut_after=2) as player:
        assert drive(played, player.url)[0].error is not None


def test_paused_stream_waits_for_its_release():
    pytest.importorskip("openai")  # here, because a skip inside the thread would go unseen
    played = recording(*STREAM)
    pause = Pause(before_chunk=2)
    outcomes: List[Outcome] = []
    with Player(played, pause=pause) as player:
        caller = threading.Thread(target=lambda: outcomes.extend(drive(played, player.url)))
        caller.start()
        assert pause.reached.wait(30)
        assert not outcomes
        pause.release.set()
        caller.join(30)
    assert len(outcomes[0].value) == 8


def test_second_request_for_one_interaction_is_unexpected_unless_repeated():
    played = recording("openai", "chat_completion_with_content")
    with Player(played) as player, Player(played, repeat=True) as repeating:
        assert drive(played, player.url)[0].error is None
        assert getattr(drive(played, player.url)[0].error, "status_code", None) == 599
        assert len(player.unexpected) == 1
        assert [drive(played, repeating.url)[0].error for _ in range(2)] == [None, None]


def test_interactions_are_decompressed_where_they_were_compressed():
    interaction = recording("anthropic", "anthropic_tools_legacy").interactions[0]
    assert interaction.compressed
    assert json.loads(interaction.body)["type"] == "message"


def test_facts_of_a_streamed_chat_completion():
    interaction = recording(
        "openai", "chat_completion_multiple_tools_streaming_with_content"
    ).interactions[0]
    facts = facts_of(interaction)
    assert facts == Facts(
        streamed=True,
        request_model="gpt-4o-mini",
        response_model="gpt-4o-mini-2024-07-18",
        response_id="chatcmpl-ASYMbACebDoWcuraMEWQhU48q4dAp",
        input_tokens=75,
        output_tokens=51,
        cached_tokens=0,
        reasoning_tokens=0,
        finish_reasons=("tool_calls",),
        tool_calls=(
            CalledTool(
                "get_current_weather", {"location": "Seattle, WA"}, "call_fHCjJqt9Pysde6vcJcvbXGBx"
            ),
            CalledTool(
                "get_current_weather",
                {"location": "San Francisco, CA"},
                "call_3J9foSw3CUb48lrqIXoTky6U",
            ),
        ),
        last_user_text="What's the weather in Seattle and San Francisco today?",
    )


def test_facts_of_a_refusal():
    assert facts_of(recording("bedrock", "converse_with_invalid_model").interactions[0]) == Facts(
        request_model="does-not-exist",
        error_status=400,
        error_type="ValidationException",
        error_message="The provided model identifier is invalid.",
        last_user_text="Say this is a test",
    )


def test_facts_count_gemini_thoughts_as_output():
    name = "streaming-excludecontent-gemini-2.5-flash-vertexaiapi-sync-default"
    facts = facts_of(recording("gemini", name).interactions[0])
    assert (facts.input_tokens, facts.output_tokens, facts.reasoning_tokens) == (8, 2056, 1702)


def test_facts_find_the_counts_that_bedrock_sends_as_headers():
    name = "invoke_model_with_content-cohere.command-r"
    facts = facts_of(recording("bedrock", name).interactions[0])
    assert (facts.input_tokens, facts.output_tokens) == (5, 10)


@all_recordings
def test_every_answer_has_facts(file: Path):
    for interaction in load(file).interactions:
        facts = facts_of(interaction)
        assert facts.request_model
        if interaction.status >= 400:
            assert facts.error_type
        elif facts.embedding_count is None:
            assert facts.output_text or facts.tool_calls
            assert facts.finish_reasons or interaction.path.endswith("/responses")
