"""Every recording, played once with Peekr on, and sent once more from what Peekr stored."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any, Dict, List, cast

import pytest

from peekr.errors import ReplayError
from peekr.record import SpanRecord
from peekr.replaying import live

from ..conftest import Telemetry
from ..support.drive import drive
from ..support.player import Player
from ..support.recordings import Recording, load, recording_params


def pointed_at(url: str, recording: Recording, monkeypatch: pytest.MonkeyPatch) -> None:
    """Send what is replayed to the player."""
    prefix = recording.interactions[0].path.partition("/v1/")[0]
    for name, value in (
        ("OPENAI_BASE_URL", f"{url}{prefix}/v1"),
        ("OPENAI_API_KEY", "recorded"),
        ("ANTHROPIC_BASE_URL", url),
        ("ANTHROPIC_API_KEY", "recorded"),
        ("AWS_ENDPOINT_URL_BEDROCK_RUNTIME", url),
        ("AWS_ACCESS_KEY_ID", "recorded"),
        ("AWS_SECRET_ACCESS_KEY", "recorded"),
        ("AWS_DEFAULT_REGION", "us-east-1"),
        ("AWS_MAX_ATTEMPTS", "1"),
        ("GOOGLE_API_KEY", "recorded"),
        ("GOOGLE_VERTEX_BASE_URL", url),
    ):
        monkeypatch.setenv(name, value)


REFUSED: Dict[str, str] = {}
"""The recordings that cannot be sent again, with the reason: none, their content is all text."""


@pytest.mark.parametrize("file", recording_params("openai", "anthropic", "bedrock", "gemini"))
def test_a_recording_is_sent_again_as_it_was(
    file: Path, bare_telemetry: Telemetry, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    played = load(file)
    if played.provider == "gemini":
        reason = "older SDKs are told by arguments alone where to send"
        pytest.importorskip("google.genai._base_url", reason=reason)
    bare_telemetry.instrument()
    with Player(played) as player:
        drive(played, player.url)
        first = [received.json for received in player.requests]
    spans = [SpanRecord.from_dict(record) for record in bare_telemetry.records]
    if not first:
        pytest.skip("this SDK does not send the recorded request")
    assert len(spans) == len(first)
    spans.sort(key=lambda span: span.start_time)
    if file.stem in REFUSED:
        with pytest.raises(ReplayError, match=REFUSED[file.stem]):
            live.requests_of(spans)
        return
    with Player(played, repeat=True) as player:
        pointed_at(player.url, played, monkeypatch)
        for span in spans:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", DeprecationWarning)  # the SDK's, of old models
                live.send(live.requests_of([span]), storage=None)
        second = [received.json for received in player.requests]
        assert second == first
        # Nothing but what is set is another, also where it was not given.
        for span, sent in zip(spans, first):
            usual, changed = (
                live.requests_of([span], changes=changes)[0].arguments
                for changes in ({}, {"temperature": 0.125})
            )
            assert changed != usual
            assert without_temperature(changed) == without_temperature(usual), sent


def without_temperature(request: Any) -> Any:
    """The arguments without the one, and without what was made to hold it."""
    if isinstance(request, list):
        return [without_temperature(entry) for entry in cast("List[Any]", request)]
    if not isinstance(request, dict):
        return request
    held = cast("Dict[str, Any]", request)
    kept = {key: without_temperature(held[key]) for key in held if key != "temperature"}
    holders = ("config", "inferenceConfig", "textGenerationConfig", "body")
    return {key: value for key, value in kept.items() if value != {} or key not in holders}
