"""What the page says first: only what stands out, and never from too few calls."""

from __future__ import annotations

import random
from typing import Any

import pytest

from peekr.dashboard.attention import Notice, notices
from peekr.dashboard.collect import collect
from peekr.store.columns import columns_of
from tests.support.trace_files import NOW, Record, span


def call(n: int, minute: float, ms: float = 500.0, status: str = "ok", **more: Any) -> Record:
    given = {"model": "gpt-4o", "tokens_input": 10, "cost_usd": 0.001, **more}
    return span(n, 1, None, "openai.chat", NOW + minute * 60, ms, status, **given)


def said(records: list[Record]) -> list[Notice]:
    return notices(collect([columns_of(records)]))


def test_nothing_stands_out_of_ordinary_calls() -> None:
    assert said([call(n, n) for n in range(80)]) == []


@pytest.mark.parametrize(("late", "is_told"), [(19, False), (20, True)])
def test_slower_calls_are_told_from_twenty_on_each_side(late: int, is_told: bool) -> None:
    early = [call(n, n / 2) for n in range(120)]
    slow = [call(1000 + n, 70 + n / 2, 2000.0) for n in range(late)]
    texts = [one.text for one in said([*early, *slow])]
    assert any("p95 latency of calls rose from" in text for text in texts) is is_told


def test_dearer_calls_are_told_by_what_a_priced_call_costs() -> None:
    early = [call(n, n / 2) for n in range(120)]
    dear = [call(1000 + n, 70 + n / 2, cost_usd=0.01) for n in range(30)]
    (one,) = said([*early, *dear])
    assert one == Notice(
        "warn",
        "a priced call costs $0.0100 in the last quarter of the time, $0.0010 before",
        "#/cost",
    )


def test_failures_come_first_and_lead_to_their_trace() -> None:
    failed = call(7, 30, status="error", error="RateLimitError: slow down 429")
    loop = [span(9, n, 1, "openai.chat", NOW + n, 5.0, model="m") for n in range(2, 23)]
    found = said([failed, *loop, span(9, 1, None, "agent.loop", NOW, 9e3)])
    assert [one.level for one in found] == ["error", "warn"]
    assert "RateLimitError: slow down #" in found[0].text
    assert found[0].link == f"#/trace/{7:032x}"
    assert "up to 21 in agent.loop" in found[1].text


def test_missing_prices_cut_answers_scores_and_guards_are_told() -> None:
    given: list[dict[str, Any]] = [
        {"cost_usd": None, "model": "acme-ft-7b"},
        {"finish_reasons": ["length"]},
        {"eval_scores": {"Rubric": 0.1}},
        {"guardrail_warnings": [{"guard": "Blocklist", "rule": "terms"}]},
    ]
    texts = " | ".join(one.text for one in said([call(n, n, **g) for n, g in enumerate(given)]))
    for part in (
        "1 call has usage and no price (acme-ft-7b)",
        "1 answer was cut short",
        "1 of 1 score of Rubric below 0.5, lowest score 0.10",
        "guards found something 1 time",
    ):
        assert part in texts


def tool(n: int, minute: float, ms: float, name: str = "tool.search") -> Record:
    return span(n, 2, 1, name, NOW + minute * 60, ms, "ok")


def test_tool_that_got_slower_is_told_with_the_time_since() -> None:
    early = [tool(n, n, 200.0 + n % 7) for n in range(120)]
    slow = [tool(200 + n, 120 + n, 2600.0 + n % 7) for n in range(60)]
    calls = [call(400 + n, n) for n in range(180)]
    (one,) = said([*early, *slow, *calls])
    assert one.text == "p50 of tool.search rose from 203 ms to 2.6 s"
    assert one.since is not None
    # The beginning of a bucket, of that in which it began or of the next one.
    assert abs(NOW + 120 * 60 - one.since) <= 300
    assert one.link.startswith(f"#/traces?sort=-dur&from={one.since:.0f}&to=")


@pytest.mark.parametrize(
    "slow",
    [
        pytest.param([], id="it did not"),
        pytest.param([tool(200 + n, 120 + n, 2600.0) for n in range(10)], id="too few"),
        pytest.param(
            [tool(200 + n, 120 + n / 2, 200.0 if n > 60 else 2600.0) for n in range(120)],
            id="it is over",
        ),
    ],
)
def test_work_that_is_as_fast_as_it_was_is_not_told(slow: list[Record]) -> None:
    early = [tool(n, n, 200.0 + n % 7) for n in range(120)]
    assert said([*early, *slow, *(call(400 + n, n) for n in range(180))]) == []


def test_chance_alone_makes_nothing_slower() -> None:
    for seed in range(20):
        chance = random.Random(seed)
        spread = [tool(n, n / 4, chance.lognormvariate(5, 0.8)) for n in range(400)]
        assert [one.text for one in said([*spread, call(900, 1)]) if "rose" in one.text] == []


def test_what_waits_for_a_slower_tool_is_not_blamed() -> None:
    made: list[Record] = []
    for n in range(160):
        ms = 200.0 if n < 100 else 2600.0
        made += [tool(n, n, ms), span(n, 1, None, "agent.run", NOW + n * 60, ms + 5, "ok")]
    made += [call(400 + n, n) for n in range(160)]
    texts = [one.text for one in said(made)]
    assert len(texts) == 1
    assert "tool.search" in texts[0]


@pytest.mark.parametrize(("worse", "is_told"), [(0.6, True), (0.85, False)])
def test_variant_with_lower_scores_is_told(worse: float, is_told: bool) -> None:
    made = [
        call(
            n,
            n,
            experiment_variant="ab"[n % 2],
            eval_scores={"Rubric": worse if n % 2 else 0.9},
        )
        for n in range(80)
    ]
    links = [one.link for one in said(made) if "Rubric" in one.text]
    assert links == (["#/quality?variant=b"] if is_told else [])


def test_errors_are_told_without_the_json_around_them() -> None:
    error = "RateLimitError: Error code: 429 - {'error': {'message': 'Slow down, gpt-4o', 'a': 1}}"
    (one,) = said([call(7, 30, status="error", error=error)])
    assert one.text == "RateLimitError: Error code: 429 - Slow down, gpt-4o, gpt-4o, 1 span"
