"""Refusals and failures: the caller gets the SDK's exception, the span says which it was."""

from __future__ import annotations

from typing import Any

import pytest

from ...conftest import Telemetry, attributes_of
from .calling import (
    chunk,
    client_of,
    genai,
    in_all_modes,
    playing,
    quiet,
    run,
    version,
)

pytestmark = quiet


@pytest.fixture(autouse=True)
def sdk() -> Any:
    return genai()


@in_all_modes
@pytest.mark.parametrize(
    ("status", "word", "kind"),
    [
        (400, "INVALID_ARGUMENT", "ClientError"),
        (404, "NOT_FOUND", "ClientError"),
        (429, "RESOURCE_EXHAUSTED", "ClientError"),
        (500, "INTERNAL", "ServerError"),
        (503, "UNAVAILABLE", "ServerError"),
    ],
)
def test_refusal_is_an_error_with_the_services_words(
    telemetry: Telemetry, mode: str, status: int, word: str, kind: str
):
    body = {"error": {"code": status, "message": "It's refused.", "status": word}}
    errors = pytest.importorskip("google.genai.errors")
    raising = pytest.raises(getattr(errors, kind))
    with (
        playing(mode, (status, body)) as player,
        client_of(player.url) as client,
        raising as raised,
    ):
        run(client, mode)
    assert raised.value.code == status
    attributes = attributes_of(telemetry.span)
    assert attributes["error.type"] == kind
    assert attributes["peekr.error.code"] == word
    assert attributes["http.response.status_code"] == status
    record = telemetry.record
    assert record["status"] == "error"
    assert record["attributes"]["error"] == f"{status} {word}. It's refused."
    assert record["attributes"]["exception.type"] == f"google.genai.errors.{kind}"
    assert record["attributes"]["input"] == [{"role": "user", "content": "hi"}]


@in_all_modes
def test_refusal_without_content_keeps_the_services_words_out(bare_telemetry: Telemetry, mode: str):
    bare_telemetry.instrument(capture_content=False)
    body = {"error": {"code": 400, "message": "secret", "status": "INVALID_ARGUMENT"}}
    raising = pytest.raises(Exception, match="secret")
    with playing(mode, (400, body)) as player, client_of(player.url) as client, raising:
        run(client, mode)
    assert "secret" not in str(bare_telemetry.record)
    assert bare_telemetry.record["attributes"]["peekr.error.code"] == "INVALID_ARGUMENT"


@in_all_modes
def test_service_that_does_not_listen_is_an_error(telemetry: Telemetry, mode: str):
    with client_of("http://127.0.0.1:9") as client, pytest.raises(Exception, match=r"."):
        run(client, mode)
    attributes = attributes_of(telemetry.span)
    assert "Connect" in attributes["error.type"]
    assert "http.response.status_code" not in attributes


@pytest.mark.parametrize("mode", ["sync-stream", "async-stream"])
def test_error_in_the_middle_of_a_stream_is_an_error_with_what_had_arrived(
    telemetry: Telemetry, mode: str
):
    if version() < (1, 50):
        pytest.skip("this version does not see such errors")
    failure = {"error": {"code": 503, "message": "overloaded", "status": "UNAVAILABLE"}}
    answer = [chunk({"text": "one "}), failure]
    raising = pytest.raises(Exception, match="overloaded")
    with playing(mode, answer) as player, client_of(player.url) as client, raising:
        run(client, mode)
    record = telemetry.record
    assert record["status"] == "error"
    assert record["attributes"]["output"] == "one "
    assert record["attributes"]["http.response.status_code"] == 503
