"""What the page says first: only what stands out, and never from too few calls."""

from __future__ import annotations

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
        "lowest score: Rubric 0.10",
        "guards found something 1 time",
    ):
        assert part in texts
