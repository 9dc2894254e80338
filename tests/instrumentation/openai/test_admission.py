"""What may refuse a call before it is sent, and who is told of its end."""

from __future__ import annotations

from typing import Any, List, Tuple

import pytest
from opentelemetry.sdk.trace.sampling import ALWAYS_OFF
from opentelemetry.trace import StatusCode

from peekr.instrumentation.openai.hooks import OPENAI
from simulated_providers import SimulatedProviders

from ...conftest import Telemetry
from .calls import CHAT, Calls


class Refused(Exception):
    """Raised instead of sending a request."""


def _noting(seen: List[Any]) -> Any:
    def observe(call: Any, response: Any, fault: Any) -> None:
        seen.append((call, response, fault))

    return observe


def _refuse(call: Any) -> None:
    raise Refused(f"no money for {call.request.model}")


@pytest.mark.parametrize("stream", [False, True])
async def test_refused_call_is_never_sent_and_its_span_says_why(
    call: Calls, telemetry: Telemetry, simulated: SimulatedProviders, stream: bool
):
    OPENAI.watch(admissions=(_refuse,))
    sent = len(simulated.requests)
    with pytest.raises(Refused, match="no money for"):
        await call("chat.completions.create", **CHAT, stream=stream)
    assert len(simulated.requests) == sent
    assert telemetry.span.status.status_code is StatusCode.ERROR
    record = telemetry.record
    assert record["attributes"]["error"] == f"no money for {CHAT['model']}"
    assert record["attributes"]["input"]


@pytest.mark.parametrize("stream", [False, True])
async def test_observer_is_told_once_what_came_back(
    call: Calls, telemetry: Telemetry, stream: bool
):
    seen: List[Tuple[Any, Any, Any]] = []
    OPENAI.watch(observers=(_noting(seen),))
    result = await call("chat.completions.create", **CHAT, stream=stream)
    if stream:
        await call.drain(result)
    ((watched, response, fault),) = seen
    assert watched.request.model == CHAT["model"]
    assert response.output[0]["parts"][0]["content"].startswith("This is a simulated")
    assert fault is None


async def test_observer_is_told_of_calls_that_are_not_sampled(call: Calls, tmp_path: Any):
    unsampled = Telemetry(tmp_path, sampler=ALWAYS_OFF)
    unsampled.instrument()
    seen: List[Any] = []
    OPENAI.watch(observers=(_noting(seen),))
    await call("chat.completions.create", **CHAT)
    assert len(seen) == 1
    assert unsampled.records == []


@pytest.mark.usefixtures("contained_faults")
async def test_fault_of_an_observer_never_reaches_the_call(call: Calls, telemetry: Telemetry):
    def broken(*told: Any) -> None:
        raise RuntimeError("a fault of an observer")

    OPENAI.watch(observers=(broken,))
    await call("chat.completions.create", **CHAT)
    assert telemetry.record["attributes"]["output"]
