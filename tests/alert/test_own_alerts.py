"""Alerts of one's own, and what all alerts do: throttling, faults."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any, List, Optional

import pytest

from peekr.alert import BaseAlert, ErrorRate, FunctionAlert, base
from peekr.alert.base import as_alert, run
from peekr.alert.courier import flush_all

from .traces import Kept, span


class PerTenant(BaseAlert):
    def check(self, trace: Any) -> Optional[str]:
        return "refused" if trace[-1].status == "error" else None

    def fingerprint(self, trace: Any, message: str) -> str:
        return str(trace[-1].attributes["tenant"])


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> SimpleNamespace:
    made = SimpleNamespace(now=1000.0)
    monkeypatch.setattr(base, "time", SimpleNamespace(monotonic=lambda: made.now))
    return made


def test_messages_of_one_fingerprint_are_held_back_for_a_while(clock: SimpleNamespace) -> None:
    kept = Kept()
    alert = PerTenant(sinks=[kept], throttle_seconds=60)
    for tenant in ("acme", "acme", "other", "acme"):
        run(alert, [span("GET /", status="error", tenant=tenant)])
    clock.now += 59.9
    run(alert, [span("GET /", status="error", tenant="acme")])
    clock.now += 0.2
    run(alert, [span("GET /", status="error", tenant="acme")])
    assert flush_all(20)
    place = f"[GET /, trace {1:032x}]"
    assert kept.messages == [
        f"refused {place}",
        f"refused {place}",
        f"refused {place} (3 more since the last alert)",
    ]


def test_a_throttle_of_zero_holds_nothing_back() -> None:
    kept = Kept()
    alert = ErrorRate(0.1, sinks=[kept], throttle_seconds=0)
    for _ in range(3):
        run(alert, [span(status="error")])
    assert flush_all(20)
    assert len(kept.told) == 3


def test_fingerprints_are_forgotten_before_they_add_up() -> None:
    alert = PerTenant(sinks=[Kept()])
    for number in range(5000):
        run(alert, [span(status="error", tenant=number)])
    assert flush_all(20)
    assert alert.memory is not None
    assert len(alert.memory) == 1000


def test_on_trigger_can_be_overridden() -> None:
    said: List[str] = []

    class Quiet(ErrorRate):
        def on_trigger(self, message: str) -> None:
            said.append(message)

    alert = Quiet(0.1)
    run(alert, [span(status="error")])
    run(alert, [span(status="error")])
    assert alert.name == "Quiet"
    assert said == [
        f"1 of the last 1 traces failed (100.0%, threshold 10.0%) [openai.chat, trace {1:032x}]"
    ]


def test_a_subclass_need_not_call_the_base() -> None:
    class Bare(BaseAlert):
        def __init__(self) -> None:
            self.seen = 0

        def check(self, trace: Any) -> str:
            self.seen += 1
            return "seen"

    kept = Kept()
    alert = Bare().with_sinks(kept)
    run(alert, [span()])
    run(alert, [span()])
    assert flush_all(20)
    assert alert.seen == 2
    assert [name for name, _ in kept.told] == ["Bare"]


def test_a_function_is_an_alert() -> None:
    def too_many_tools(trace: Any) -> Any:
        return len(trace) > 1

    kept = Kept()
    alert = FunctionAlert(too_many_tools, sinks=[kept])
    run(alert, [span()])
    run(alert, [span(), span()])
    assert flush_all(20)
    assert kept.told == [
        ("too_many_tools", f"too_many_tools fired [openai.chat, trace {1:032x}]"),
    ]


def test_another_object_with_check_is_an_alert() -> None:
    said: List[str] = []

    class Theirs:
        def check(self, trace: Any) -> str:
            return "theirs"

        def on_trigger(self, message: str) -> None:
            said.append(message)

    alert = as_alert(Theirs())
    assert alert.name == "Theirs"
    run(alert, [span()])
    assert len(said) == 1


def test_a_rule_that_raises_is_reported_once(caplog: pytest.LogCaptureFixture) -> None:
    class Broken(BaseAlert):
        def check(self, trace: Any) -> str:
            raise SystemExit("even this")

    alert = Broken()
    run(alert, [span()])
    run(alert, [span()])
    (record,) = caplog.records
    assert "The alert Broken raised" in record.getMessage()


@pytest.mark.parametrize("given", [3, "ErrorRate", ErrorRate, None])
def test_what_is_no_alert_is_refused(given: Any) -> None:
    with pytest.raises(TypeError):
        as_alert(given)


def test_a_rule_that_would_have_to_be_awaited_is_refused() -> None:
    async def rule(trace: Any) -> str:
        return "never"

    class Awaited(BaseAlert):
        async def check(self, trace: Any) -> str:  # type: ignore[override] # pyright: ignore
            return "never"

    for given in (rule, Awaited()):
        with pytest.raises(TypeError, match="coroutine function"):
            as_alert(given)
