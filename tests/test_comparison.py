"""Variants compared: what counts as a call, the numbers, and what chance explains."""

from __future__ import annotations

import json
import math
import random
from pathlib import Path
from typing import Any, Optional

import pytest
from click.testing import CliRunner, Result

import peekr
from peekr.cli.group import group
from peekr.files.comparison import (
    MIN_CALLS,
    Difference,
    Experiment,
    compare,
    fisher_exact_p,
    mann_whitney_p,
    percentile,
)
from peekr.record import SpanRecord
from tests.conftest import Telemetry
from tests.support.trace_files import span, write_jsonl, write_sqlite

# -- statistics, against published and independently computed values ------------------------------


@pytest.mark.parametrize(
    ("table", "expected"),
    [
        ((3, 4, 1, 4), 0.4857142857142857),  # Fisher's tea
        ((8, 10, 1, 6), 0.034965034965034975),
        ((0, 20, 0, 20), 1.0),
        ((20, 20, 20, 20), 1.0),
        ((0, 0, 3, 5), 1.0),
        ((5, 100, 5, 100), 1.0),
    ],
)
def test_fishers_exact_test(table: tuple[int, int, int, int], expected: float) -> None:
    assert fisher_exact_p(*table) == pytest.approx(expected, rel=1e-6)


def test_fishers_exact_test_by_enumeration() -> None:
    def exact(a: int, n: int, b: int, m: int) -> float:
        def weight(x: int) -> int:
            return math.comb(n, x) * math.comb(m, a + b - x)

        tables = range(max(0, a + b - m), min(a + b, n) + 1)
        extreme = sum(weight(x) for x in tables if weight(x) <= weight(a))
        return extreme / math.comb(n + m, a + b)

    chance = random.Random(7)
    for _ in range(200):
        n, m = chance.randint(1, 60), chance.randint(1, 60)
        a, b = chance.randint(0, n), chance.randint(0, m)
        assert fisher_exact_p(a, n, b, m) == pytest.approx(exact(a, n, b, m), rel=1e-6), (
            a,
            n,
            b,
            m,
        )


def test_mann_whitney_against_known_values() -> None:
    # By hand: U = 12.5 (10 pairs the wrong way round, 5 ties), its mean 50, its variance with five
    # ties of two 174.342, so z = (37.5 - 0.5) / 13.2039 = 2.80221.
    assert mann_whitney_p(range(1, 11), range(6, 16)) == pytest.approx(0.005076, rel=1e-3)
    assert mann_whitney_p([1.0] * 20, [1.0] * 20) == 1.0
    assert mann_whitney_p([], [1.0]) == 1.0
    assert mann_whitney_p(range(50), range(100, 150)) < 1e-15


def test_mann_whitney_keeps_its_promise_where_there_is_no_difference() -> None:
    chance = random.Random(11)
    runs = 1000
    positive = sum(
        mann_whitney_p(
            [chance.lognormvariate(0, 1) for _ in range(25)],
            [chance.lognormvariate(0, 1) for _ in range(30)],
        )
        < 0.05
        for _ in range(runs)
    )
    assert 20 <= positive <= 80  # 50 expected


def test_percentiles() -> None:
    assert percentile([], 0.5) is None
    assert percentile([7.0], 0.95) == 7.0
    assert percentile([4.0, 1.0, 3.0, 2.0], 0.5) == 2.5
    assert percentile(list(range(101)), 0.95) == 95.0


# -- calls ----------------------------------------------------------------------------------------


def call(
    trace: int,
    variant: str,
    *,
    name: str = "answer",
    duration_ms: float = 100.0,
    error: bool = False,
    tokens: Optional[int] = 300,
    cost: Optional[float] = 0.002,
    score: Optional[float] = None,
) -> list[dict[str, Any]]:
    inside: dict[str, Any] = {"experiment_variant": variant, "model": "gpt-4o"}
    if tokens is not None:
        inside["tokens_total"] = tokens
    if cost is not None:
        inside["cost_usd"] = cost
    if score is not None:
        inside["eval_scores"] = {"Rubric": score}
    status = "error" if error else "ok"
    root = span(trace, 1, None, f"experiment.{name}", duration_ms=duration_ms, status=status)
    root["attributes"]["experiment_variant"] = variant
    return [
        span(trace, 3, 2, "openai.chat", **inside),
        span(trace, 2, 1, "app.step", experiment_variant=variant),
        root,
    ]


def compared(records: list[dict[str, Any]], **options: Any) -> list[Experiment]:
    return compare((SpanRecord.from_dict(record) for record in records), **options)


def of(experiment: Experiment, metric: str, variant: str = "b") -> Difference:
    (found,) = [
        one for one in experiment.differences if (one.metric, one.variant) == (metric, variant)
    ]
    return found


def test_what_ran_inside_counts_towards_its_call() -> None:
    records = [
        *call(1, "a", tokens=100, cost=0.01, score=0.5),
        *call(2, "a", tokens=300, cost=0.03, score=1.0, duration_ms=300),
        *call(3, "a", error=True, tokens=None, cost=None, duration_ms=9),
        *call(4, "b", name="other"),
        span(5, 1, None, "elsewhere", model="gpt-4o", tokens_total=9999),
    ]
    first, second = compared(records)
    assert (first.name, second.name) == ("answer", "other")
    (variant,) = first.variants
    assert (variant.calls, variant.errors) == (3, 1)
    assert variant.latencies_ms == [100.0, 300.0]
    assert variant.tokens == [100.0, 300.0]
    assert variant.costs_usd == [0.01, 0.03]
    assert variant.scores == {"Rubric": [0.5, 1.0]}
    assert [one.name for one in compared(records, name="other")] == ["other"]
    assert [one.name for one in compared(records, name="experiment.answer")] == ["answer"]
    assert compared(records, name="nothing") == []


def test_several_model_calls_add_up_judges_do_not_count_and_scores_are_averaged() -> None:
    records = [
        *call(1, "a", tokens=100, cost=0.01, score=0.5),
        span(1, 4, 2, "openai.chat", experiment_variant="a", tokens_input=40, tokens_output=2,
             cost_usd=0.005, eval_scores={"Rubric": 1.0, "NotEmpty": 1, "Odd": "x"}),
        span(1, 5, 2, "openai.chat", experiment_variant="a", tokens_total=5000,
             internal=True),
    ]  # fmt: skip
    records[-1]["attributes"]["peekr.internal"] = records[-1]["attributes"].pop("internal")
    (variant,) = compared(records)[0].variants
    assert variant.tokens == [142.0]
    assert variant.costs_usd == [pytest.approx(0.015)]
    assert variant.scores == {"Rubric": [0.75], "NotEmpty": [1.0]}


def test_an_experiment_inside_another_counts_for_both() -> None:
    inner = call(1, "x", name="inner", tokens=100)
    inner[-1]["parent_id"] = f"{1:08x}{9:08x}"
    records = [*inner, span(1, 9, None, "experiment.outer", experiment_variant="a")]
    found = {one.name: one.variants[0] for one in compared(records)}
    assert found["inner"].tokens == found["outer"].tokens == [100.0]
    assert (found["inner"].name, found["outer"].name) == ("x", "a")


def test_spans_with_a_variant_but_no_experiment_around_are_calls_of_their_own() -> None:
    records = [
        span(1, 2, 1, "openai.chat", experiment_variant="a", tokens_total=5),
        span(1, 1, 7, "app.handler", experiment_variant="a"),
        span(2, 1, 1, "loop", experiment_variant="a"),
    ]
    found = {one.name: one.variants[0] for one in compared(records)}
    assert found["app.handler"].tokens == [5.0]
    assert set(found) == {"app.handler", "loop"}


def test_a_record_that_is_there_twice_is_one_call() -> None:
    (variant,) = compared([*call(1, "a"), *call(1, "a")])[0].variants
    assert (variant.calls, variant.tokens) == (1, [300.0])


# -- differences ----------------------------------------------------------------------------------


def many(variant: str, count: int, start: int, **ranges: Any) -> list[dict[str, Any]]:
    chance = random.Random(variant)
    low, high = ranges.get("latency", (80, 120))
    records: list[dict[str, Any]] = []
    for number in range(count):
        records += call(
            start + number,
            variant,
            duration_ms=chance.uniform(low, high),
            error=number < ranges.get("errors", 0),
            tokens=chance.randint(250, 350),
            cost=chance.uniform(*ranges.get("cost", (0.001, 0.003))),
            score=chance.uniform(0.4, 0.9),
        )
    return records


def test_real_differences_are_found_and_chance_is_not_mistaken_for_one() -> None:
    records = many("a", 80, 0) + many("b", 80, 1000, latency=(110, 160), errors=16)
    (experiment,) = compared(records)
    assert of(experiment, "latency").is_significant
    assert of(experiment, "errors").is_significant
    for metric in ("tokens", "cost", "Rubric"):
        found = of(experiment, metric)
        assert found.p is not None
        assert not found.is_significant, metric


def test_with_few_calls_there_is_not_enough_data() -> None:
    records = many("a", 80, 0) + many("b", MIN_CALLS - 1, 1000, latency=(500, 600), errors=10)
    (experiment,) = compared(records)
    assert [one.p for one in experiment.differences] == [None] * 5
    assert not any(one.is_significant for one in experiment.differences)


def test_p_values_are_corrected_for_their_number() -> None:
    records = many("a", 60, 0)
    for number, name in enumerate("bcdefgh"):
        records += many(name, 60, 1000 * (number + 1))
    (experiment,) = compared(records)
    assert len(experiment.differences) == 35
    assert not any(one.is_significant for one in experiment.differences)
    assert all(one.p is not None and one.p <= 1.0 for one in experiment.differences)


@pytest.mark.parametrize(
    ("names", "wished", "first"),
    [
        (["b", "a"], None, "a"),
        (["b", "a"], "b", "b"),
        (["a", "Control"], None, "Control"),
        (["a", "b"], "z", "a"),
    ],
)
def test_the_baseline(names: list[str], wished: Optional[str], first: str) -> None:
    records = [record for number, name in enumerate(names) for record in call(number, name)]
    (experiment,) = compared(records, baseline=wished)
    assert experiment.variants[0].name == first
    assert {one.baseline for one in experiment.differences} == {first}


# -- the command ----------------------------------------------------------------------------------


def run(*arguments: str) -> Result:
    return CliRunner().invoke(group, ["experiment", *arguments])


@pytest.mark.parametrize("name", ["t.jsonl", "t.db"])
def test_the_command_shows_variants_and_differences(tmp_path: Path, name: str) -> None:
    records = many("a", 80, 0) + many("b", 80, 1000, latency=(110, 160)) + many("c", 3, 2000)
    write = write_jsonl if name.endswith("l") else write_sqlite
    done = run(str(write(tmp_path / name, records)))
    assert done.exit_code == 0, done.output
    lines = done.output.splitlines()
    assert lines[0] == "answer"
    assert lines[1].split() == [
        "variant",
        "calls",
        "errors",
        "p50",
        "p95",
        "tokens",
        "cost",
        "Rubric",
    ]
    assert [line.split()[:3] for line in lines[2:5]] == [
        ["a", "80", "0.0%"],
        ["b", "80", "0.0%"],
        ["c", "3", "0.0%"],
    ]
    text = done.output
    assert "b against a" in text
    assert "slower: " in text
    assert "p < 0.001" in text
    assert "no significant difference" in text
    assert text.partition("c against a")[2].count("not enough data") == 5


def test_the_command_prints_json(tmp_path: Path) -> None:
    path = write_jsonl(tmp_path / "t.jsonl", many("a", 30, 0) + many("b", 30, 1000))
    done = run(str(path), "answer", "--baseline", "b", "--json")
    assert done.exit_code == 0
    document = json.loads(done.output)
    assert document["experiment"] == "answer"
    assert document["baseline"] == "b"
    assert [one["variant"] for one in document["variants"]] == ["b", "a"]
    assert document["variants"][0]["calls"] == 30
    assert {one["metric"] for one in document["differences"]} == {
        "errors",
        "latency",
        "tokens",
        "cost",
        "Rubric",
    }


def test_one_variant_and_hostile_names_are_shown(tmp_path: Path) -> None:
    path = write_jsonl(tmp_path / "t.jsonl", call(1, "a\x1b[2J", name="x\x1b]0;"))
    done = run(str(path))
    assert done.exit_code == 0
    assert "\x1b" not in done.output
    assert "Only one variant" in done.output


def test_without_an_experiment_it_says_so(tmp_path: Path) -> None:
    path = write_jsonl(tmp_path / "t.jsonl", [span(1)])
    assert run(str(path)).output == f"{path}: no experiment in this file\n"
    assert run(str(path)).exit_code == 1
    write_jsonl(path, call(1, "a"))
    assert run(str(path), "other").exit_code == 1
    assert run(str(path), "--baseline", "z").exit_code == 2
    assert run().exit_code == 2
    assert run(str(tmp_path / "missing")).exit_code == 1


def test_a_real_experiment_is_compared(telemetry: Telemetry) -> None:
    @peekr.experiment(["a", "b"], sticky_by="user")
    def answer(user: int, variant: str) -> str:
        with telemetry.tracer.start_as_current_span("openai.chat") as inner:
            inner.set_attribute("gen_ai.operation.name", "chat")
            inner.set_attribute("gen_ai.usage.input_tokens", 10 if variant == "a" else 20)
            inner.set_attribute("gen_ai.usage.output_tokens", 1)
        return variant

    given = [answer(user) for user in range(120)]
    assert telemetry.records
    done = run(str(telemetry.path), "--json")
    document = json.loads(done.output)
    assert {one["variant"]: one["calls"] for one in document["variants"]} == {
        name: given.count(name) for name in ("a", "b")
    }
    (tokens,) = [one for one in document["differences"] if one["metric"] == "tokens"]
    assert (tokens["baseline_value"], tokens["value"]) == (11.0, 21.0)
    assert tokens["significant"] is True
