"""Sinks against a webhook that is slow, refuses, fails, and comes back."""

from __future__ import annotations

import logging
import socket
import sys
import threading
import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any, List

import pytest

from peekr.alert import BaseAlert, ErrorRate, SlackSink, StderrSink, WebhookSink, courier
from peekr.alert.base import run
from peekr.alert.courier import flush_all
from peekr.errors import ConfigurationError

from .traces import Kept, span
from .webhook import Webhook, wait_until


@pytest.fixture(autouse=True)
def short_back_off(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(courier, "_FIRST_DELAY_S", 0.01)


class Always(BaseAlert):
    def check(self, trace: Any) -> str:
        return "it <happened>"


def _fire(alert: BaseAlert, times: int = 1) -> None:
    for _ in range(times):
        alert.on_trigger("it <happened>")


def test_a_webhook_gets_name_and_message_as_json() -> None:
    with Webhook() as hook:
        alert = Always(sinks=[WebhookSink(hook.url, headers={"Authorization": "Bearer k"})])
        _fire(alert)
        assert flush_all(20)
        (got,) = hook.received
        assert got.body == {"alert": "Always", "message": "it <happened>"}
        assert got.headers["Content-Type"] == "application/json"
        assert got.headers["Authorization"] == "Bearer k"
        assert got.path == "/hook/s3cret"


def test_a_payload_builder_makes_the_body() -> None:
    def build(name: str, message: str) -> Any:
        return {"event_action": "trigger", "payload": {"summary": message, "source": name}}

    with Webhook() as hook:
        alert = Always(sinks=[WebhookSink(hook.url, payload_builder=build)])
        _fire(alert)
        assert flush_all(20)
        assert hook.received[0].body == build("Always", "it <happened>")


def test_slack_gets_a_text_in_which_nothing_is_markup() -> None:
    with Webhook() as hook:
        alert = Always().with_sinks(SlackSink(hook.url))
        _fire(alert)
        assert flush_all(20)
        text = ":rotating_light: *Always*: it &lt;happened&gt;"
        assert hook.received[0].body == {"text": text}


@pytest.mark.parametrize("status", [500, 503, 429, 408, 0])
def test_a_failure_that_may_pass_is_tried_again(
    status: int, caplog: pytest.LogCaptureFixture
) -> None:
    with Webhook(status, status, 200) as hook:
        alert = Always(sinks=[WebhookSink(hook.url)])
        _fire(alert)
        assert flush_all(20)
        assert len(hook.received) == 3
    assert not caplog.records


@pytest.mark.parametrize("status", [400, 401, 404, 410, 301])
def test_a_refusal_is_said_once_and_not_tried_again(
    status: int, caplog: pytest.LogCaptureFixture
) -> None:
    with Webhook(status) as hook:
        alert = Always(sinks=[SlackSink(hook.url)])
        _fire(alert, 3)
        assert flush_all(20)
        assert len(hook.received) == 3
    (said,) = caplog.messages
    assert said == (
        f"SlackSink(127.0.0.1) cannot deliver an alert: HTTP {status} (1 attempt); "
        "the application is not affected"
    )


def test_a_webhook_that_is_down_is_given_up_after_four_attempts_and_said_once(
    caplog: pytest.LogCaptureFixture,
) -> None:
    with Webhook(500) as hook:
        alert = Always(sinks=[WebhookSink(hook.url)])
        _fire(alert, 2)
        assert flush_all(20)
        assert len(hook.received) == 8
        assert len(caplog.messages) == 1
        hook.statuses = [200]
        _fire(alert)
        assert flush_all(20)
    assert caplog.messages[1:] == [
        "WebhookSink(127.0.0.1) delivers again; alerts that did not arrive: 2"
    ]


def test_nobody_listening_neither_raises_nor_shows_the_address(
    caplog: pytest.LogCaptureFixture,
) -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        port = unused.getsockname()[1]
    alert = Always(sinks=[SlackSink(f"http://127.0.0.1:{port}/services/T0/s3cret")])
    _fire(alert)
    assert flush_all(20)
    assert "(4 attempts)" in caplog.text
    assert "s3cret" not in caplog.text


def test_a_slow_webhook_holds_up_neither_the_alert_nor_other_sinks() -> None:
    kept = Kept()
    with Webhook() as hook:
        hook.open.clear()
        alert = Always(sinks=[WebhookSink(hook.url), kept])
        _fire(alert, 3)
        wait_until(lambda: len(kept.told) == 3)
        wait_until(lambda: hook.received)
        assert not flush_all(0.01)
        hook.open.set()
        assert flush_all(20)
        assert len(hook.received) == 3


def test_a_webhook_slower_than_the_timeout_is_tried_again() -> None:
    with Webhook() as hook:
        hook.open.clear()
        alert = Always(sinks=[WebhookSink(hook.url, timeout_seconds=0.05)])
        _fire(alert)
        wait_until(lambda: len(hook.received) >= 2)
        hook.open.set()
        assert flush_all(20)


def test_retry_after_is_honoured(monkeypatch: pytest.MonkeyPatch) -> None:
    slept: List[float] = []
    monkeypatch.setattr(
        courier, "time", SimpleNamespace(sleep=slept.append, monotonic=time.monotonic)
    )
    with Webhook(429, 200) as hook:
        hook.headers["Retry-After"] = "7"
        alert = Always(sinks=[WebhookSink(hook.url)])
        _fire(alert)
        assert flush_all(20)
        assert len(hook.received) == 2
    assert 7.0 in slept


def test_what_waits_for_a_sink_is_bounded(caplog: pytest.LogCaptureFixture) -> None:
    free = threading.Event()
    told: List[str] = []

    def sink(name: str, message: str) -> None:
        assert free.wait(20)
        told.append(message)

    alert = Always(sinks=[sink])
    _fire(alert, 500)
    free.set()
    assert flush_all(20)
    assert 100 <= len(told) <= 102
    assert caplog.messages[0] == (
        "sink cannot deliver an alert: 100 alerts wait for it; the application is not affected"
    )


def test_a_sink_that_raises_is_reported_once_and_the_others_run(
    caplog: pytest.LogCaptureFixture,
) -> None:
    def broken(name: str, message: str) -> None:
        raise LookupError("no such channel")

    kept = Kept()
    alert = Always(sinks=[broken, kept])
    _fire(alert, 3)
    assert flush_all(20)
    assert len(kept.told) == 3
    (record,) = caplog.records
    assert record.exc_info is not None
    assert "The sink broken of an alert raised" in record.getMessage()


def test_a_payload_builder_that_raises_is_reported_once(caplog: pytest.LogCaptureFixture) -> None:
    def build(name: str, message: str) -> Any:
        raise KeyError("routing_key")

    with Webhook() as hook:
        alert = Always(sinks=[WebhookSink(hook.url, payload_builder=build)])
        _fire(alert, 2)
        assert flush_all(20)
        assert not hook.received
    assert len(caplog.records) == 1
    assert "s3cret" not in caplog.text


def test_sinks_that_two_alerts_share_are_called_one_at_a_time() -> None:
    inside: List[int] = []
    crowds: List[int] = []

    def sink(name: str, message: str) -> None:
        inside.append(1)
        crowds.append(len(inside))
        inside.pop()

    one, two = Always(sinks=[sink]), ErrorRate(sinks=[sink])
    for _ in range(50):
        _fire(one)
        _fire(two)
    assert flush_all(20)
    assert crowds == [1] * 100


def test_stderr_is_the_default_and_gets_one_safe_line(
    capsys: pytest.CaptureFixture[str],
) -> None:
    alert = Always()
    alert.on_trigger("two\nlines \x1b[31m")
    assert flush_all(20)
    assert capsys.readouterr().err == "[peekr alert] Always: two\\nlines \\x1b[31m\n"


def test_without_a_stderr_nothing_is_written(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stderr", None)
    StderrSink().notify("Always", "hello")


@pytest.mark.parametrize("url", ["", "hooks.slack.com/x", "ftp://a/s3cret", "http://", "http://[x"])
@pytest.mark.parametrize("make", [SlackSink, WebhookSink])
def test_what_is_no_url_is_refused_without_showing_it(make: Any, url: str) -> None:
    with pytest.raises(ConfigurationError, match=r"is not http\(s\)://host/") as raised:
        make(url)
    assert "s3cret" not in str(raised.value)


def test_other_wrong_arguments_of_sinks_are_refused() -> None:
    with pytest.raises(TypeError, match="not a text"):
        WebhookSink(Path("x"))  # type: ignore[arg-type]
    with pytest.raises(ConfigurationError, match="timeout_seconds=0"):
        SlackSink("http://a/b", timeout_seconds=0)
    with pytest.raises(TypeError, match="payload_builder"):
        WebhookSink("http://a/b", payload_builder="{}")  # type: ignore[arg-type]
    with pytest.raises(TypeError, match=r"ErrorRate: .* is no sink"):
        ErrorRate(sinks=["stderr"])  # type: ignore[list-item]
    with pytest.raises(TypeError, match="is no sink"):
        ErrorRate().with_sinks(Kept)  # type: ignore[arg-type]


def test_a_sink_shows_its_host_alone() -> None:
    sink = SlackSink("https://hooks.slack.com/services/T0/B0/s3cret")
    assert repr(sink) == "SlackSink(hooks.slack.com)"


def test_reports_survive_a_broken_log_handler() -> None:
    class Broken(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            raise RuntimeError("no disk")

    handler = Broken()
    logger = logging.getLogger("peekr.alert")
    logger.addHandler(handler)
    try:
        kept = Kept()
        alert = Always(sinks=[lambda name, message: 1 / 0, kept])
        _fire(alert)
        assert flush_all(20)
        assert len(kept.told) == 1
        alert.check = lambda trace: 1 / 0  # type: ignore[assignment, return-value]
        run(alert, [span()])
    finally:
        logger.removeHandler(handler)
