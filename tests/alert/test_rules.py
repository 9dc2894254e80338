"""The five rules: on which trace they fire is arithmetic."""

from __future__ import annotations

from typing import Any, List

import pytest

from peekr.alert import CostSpike, ErrorRate, LatencyP95, ScoreFloor, TokenGrowth
from peekr.errors import ConfigurationError
from peekr.record import SpanRecord

from .traces import fired, span


def _failing(*marks: str) -> List[List[SpanRecord]]:
    return [[span(status="error" if mark == "x" else "ok")] for mark in "".join(marks)]


def _taking(*tokens: int) -> List[List[SpanRecord]]:
    return [[span(tokens_total=count)] for count in tokens]


def _costing(*costs: float) -> List[List[SpanRecord]]:
    return [[span(tokens_total=100, cost_usd=cost)] for cost in costs]


def test_error_rate_fires_above_its_threshold_not_at_it() -> None:
    assert fired(ErrorRate(0.5, window=4), _failing("..xx")) == []
    assert fired(ErrorRate(0.5, window=4), _failing("..xxx")) == [5]
    assert fired(ErrorRate(0.05), _failing("." * 19, "x", "." * 80)) == []
    assert fired(ErrorRate(0.05), _failing("." * 19, "xx", "." * 20)) == list(range(21, 40))


def test_error_rate_looks_back_on_its_window_alone() -> None:
    assert fired(ErrorRate(0.5, window=2), _failing("xx...x.")) == [1, 2]
    assert fired(ErrorRate(0.0, window=3), _failing("...x....")) == [4, 5, 6]


def test_error_rate_counts_a_trace_once_however_many_of_its_spans_failed() -> None:
    trace = [span(status="error"), span(status="error"), span()]
    assert ErrorRate(0.4).check(trace) == "1 of the last 1 traces failed (100.0%, threshold 40.0%)"
    alert = ErrorRate(0.4)
    alert.check([span()])
    assert alert.check(trace) == "1 of the last 2 traces failed (50.0%, threshold 40.0%)"


def test_cost_spike_compares_a_trace_with_those_before_it() -> None:
    assert fired(CostSpike(2.0), _costing(0.01, 0.01, 0.02, 0.03)) == [4]
    assert fired(CostSpike(2.0), _costing(5.0)) == []
    # The spike itself belongs to the average of those that follow.
    assert fired(CostSpike(2.0, window=2), _costing(1, 1, 3, 4, 8)) == [3, 5]


def test_cost_spike_goes_by_price_where_all_prices_are_known() -> None:
    cheap = [span(tokens_total=1000, cost_usd=0.001)]
    dear = [span(tokens_total=1000, cost_usd=0.01)]
    many_but_cheap = [span(tokens_total=9000, cost_usd=0.0015)]
    assert fired(CostSpike(2.0), [cheap, cheap, many_but_cheap]) == []
    assert fired(CostSpike(2.0), [cheap, cheap, dear]) == [3]


def test_cost_spike_goes_by_tokens_where_a_price_is_missing() -> None:
    assert fired(CostSpike(2.0), _taking(100, 100, 200, 300)) == [4]
    partly = [span(span=2, tokens_total=10, cost_usd=9.0), span(span=3, tokens_total=110)]
    assert fired(CostSpike(2.0), [*_costing(1.0, 1.0), partly]) == []


def test_traces_without_model_calls_leave_the_rules_of_spending_alone() -> None:
    idle = [span("GET /health")]
    spending = _taking(1, 2, 3)
    assert fired(TokenGrowth(2), [spending[0], idle, spending[1], idle, spending[2]]) == [5]
    assert fired(CostSpike(2.0), [idle, idle, *_taking(100), idle, *_taking(150)]) == []


def test_a_call_counts_once_where_a_framework_adds_it_up_again() -> None:
    def agent(tokens: int) -> List[SpanRecord]:
        return [
            span(span=3, parent=2, tokens_total=tokens),
            span("agent", span=2, parent=1, tokens_total=tokens),
            span("crew", span=1, tokens_total=tokens),
        ]

    plain = _taking(100)[0]
    assert fired(CostSpike(1.5), [plain, agent(100), agent(150), agent(300)]) == [4]
    alert = TokenGrowth(1)
    alert.check(agent(10))
    assert alert.check(agent(11)) == "tokens grew once, from 10 to 11 a trace"


@pytest.mark.parametrize("slow", range(1, 45))
def test_latency_is_the_95th_percentile_by_nearest_rank(slow: int) -> None:
    # Of n spans the slowest 5 % may be slow: n // 20 of them.
    count = 40
    trace = [span(ms=900.0 if place < slow else 100.0) for place in range(count)]
    assert bool(LatencyP95(500).check(trace)) == (slow > count // 20)


def test_latency_of_a_few_spans_is_that_of_the_slowest() -> None:
    trace = [span(ms=10), span(ms=5001)]
    assert (
        LatencyP95().check(trace) == "the 95th percentile of 2 spans took 5.00s (threshold 5.00s)"
    )
    assert LatencyP95(5001).check(trace) is None


def test_tokens_must_grow_as_often_as_was_said() -> None:
    assert fired(TokenGrowth(), _taking(1, 2, 3, 4, 5, 6, 7)) == [6, 7]
    assert fired(TokenGrowth(2), _taking(1, 2, 2, 3, 4, 3, 4, 5)) == [5, 8]


def test_score_floor_fires_below_its_threshold() -> None:
    def scored(*scores: Any) -> List[SpanRecord]:
        return [span(eval_scores={"Rubric": score, "Other": 0.0}) for score in scores]

    alert = ScoreFloor("Rubric", 0.5)
    assert fired(alert, [scored(0.5), scored(0.49), scored(0.9, 0.2), [span()]]) == [2, 3]
    assert alert.check(scored(0.9, 0.2)) == "Rubric scored 0.20 (threshold 0.5, 1 of 2 below)"
    assert alert.check(scored(None, "?")) is None


def test_score_floor_takes_the_evaluator_itself() -> None:
    class Rubric:
        name = "my rubric"

    assert ScoreFloor(Rubric(), 0.5).check([span(eval_scores={"my rubric": 0.1})])
    with pytest.raises(TypeError, match="neither an evaluator nor its name"):
        ScoreFloor(object(), 0.5)


@pytest.mark.parametrize(
    "make",
    [
        lambda: ErrorRate(1.5),
        lambda: ErrorRate(window=0),
        lambda: CostSpike(-1),
        lambda: CostSpike(window=True),
        lambda: LatencyP95(float("nan")),
        lambda: LatencyP95("5s"),  # type: ignore[arg-type]
        lambda: TokenGrowth(0),
        lambda: ScoreFloor("Rubric", 50),
        lambda: ErrorRate(throttle_seconds=-1),
    ],
)
def test_a_value_out_of_range_is_refused(make: Any) -> None:
    with pytest.raises(ConfigurationError):
        make()


def test_rules_keep_no_more_than_their_window() -> None:
    error_rate, spike, growth = ErrorRate(window=10), CostSpike(window=10), TokenGrowth(4)
    for count in range(1000):
        trace = [span(tokens_total=count, cost_usd=count / 1000)]
        for alert in (error_rate, spike, growth):
            alert.check(trace)
    for alert in (error_rate, spike, growth):
        for held in vars(alert).values():
            assert not hasattr(held, "__len__") or len(held) <= 10
