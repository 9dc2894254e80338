"""Damaged answers on the wire: the SDK's caller gets what it gets without Peekr, and one span."""

from __future__ import annotations

import re
import traceback
import warnings
from dataclasses import replace
from typing import Any, List, Tuple

import pytest
from hypothesis import given
from hypothesis import strategies as st
from opentelemetry.instrumentation.utils import suppress_instrumentation
from opentelemetry.trace import StatusCode

from peekr import faults
from tests.conftest import Telemetry, attributes_of

from ..support.drive import Outcome, drive
from ..support.player import Player
from .corpus import Exchange, exchanges
from .mutating import Mutation, mutate, mutations
from .oracle import Said
from .profiles import fuzzed
from .wire import encoded

pytestmark = pytest.mark.filterwarnings("ignore:Boto3 will no longer support")

SDKS = {"openai": "openai", "anthropic": "anthropic", "bedrock": "boto3", "gemini": "google.genai"}
_VARYING = re.compile(r"'[Dd]ate': '[^']*'|0x[0-9a-f]+")


def shown(outcome: Outcome) -> Tuple[str, str]:
    """What the caller got, as text."""
    if outcome.error is not None:
        return type(outcome.error).__qualname__, _VARYING.sub("", str(outcome.error))
    return "", _VARYING.sub("", repr(outcome.value))


def send(exchange: Exchange, url: str, via: str) -> Outcome:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the SDKs' own, of what does not fit their models
        (outcome,) = drive(exchange.recording, url, via=via)
    return outcome


@pytest.mark.parametrize("provider", sorted(SDKS))
def test_the_caller_gets_what_it_gets_without_us(
    provider: str, telemetry: Telemetry, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip(SDKS[provider])
    contained: List[str] = []

    def report(where: str) -> None:
        contained.append(f"{where}: {traceback.format_exc()}")

    # Collected rather than raised: an SDK may raise the same for the same damage.
    monkeypatch.setattr(faults, "report", report)
    found = [
        one
        for one in exchanges()
        if one.interaction.provider == provider and one.interaction.request_body
    ]
    cuts = st.none() | st.integers(1, 400)
    raw = ("raw", "streaming") if provider in ("openai", "anthropic") else ()

    @fuzzed(20)
    @given(
        st.sampled_from(found),
        mutations(most=3),
        st.integers(0, 9),
        st.integers(0, 1 << 16),
        cuts,
        st.sampled_from(("create", *raw)),
    )
    def compare(
        exchange: Exchange, how: List[Mutation], breaks: int, end: int, split: Any, via: str
    ) -> None:
        contained.clear()
        telemetry.exporter.clear()
        documents = mutate(exchange.documents, how)
        body = encoded(exchange.interaction, documents)
        if breaks == 0:
            body = body[: end % (len(body) + 1)]
        headers = {k: v for k, v in exchange.interaction.headers.items() if k != "content-encoding"}
        damaged = replace(
            exchange, interaction=replace(exchange.interaction, raw_body=body, headers=headers)
        )
        with Player(damaged.recording, repeat=True, split=split) as player:
            with suppress_instrumentation():
                without = send(damaged, player.url, via)
            assert telemetry.spans == []
            with_us = send(damaged, player.url, via)
        assert contained == []
        assert shown(with_us) == shown(without)
        span = telemetry.span
        if with_us.error is not None and via == "create":
            # What is made of a raw response is the caller's own.
            assert span.status.status_code is StatusCode.ERROR
        check(attributes_of(span), Said([documents, exchange.interaction.headers], coerced=True))

    compare()


_COUNTED = re.compile(r"gen_ai\.usage\..*_tokens|peekr\.usage\..*")


def check(got: Any, said: Said) -> None:
    """Counts are counts, and were said; the cost is none where nothing was counted."""
    counts = {name: value for name, value in got.items() if _COUNTED.fullmatch(name)}
    said.numbers |= {int(text) for text in said.texts if text.isdigit() and len(text) < 20}
    for name, count in counts.items():
        assert type(count) is int, (name, count)
        assert count >= 0, (name, count)
        assert said.counts(count), (name, count)
    cost = got.get("peekr.cost.usd", 0)
    assert cost >= 0
    assert counts or not cost
