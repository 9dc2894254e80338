"""`@experiment`: which variant a call gets, what it is told, what its spans carry."""

from __future__ import annotations

import asyncio
import inspect
import math
import subprocess
import sys
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any, Callable

import pytest

import peekr
from peekr.errors import ConfigurationError
from tests.conftest import Telemetry

ROOT = Path(__file__).parent.parent


def drawn(function: Callable[[], Any], count: int = 2000) -> Counter[Any]:
    return Counter(function() for _ in range(count))


# -- choosing -------------------------------------------------------------------------------------


def test_variants_are_chosen_evenly_without_a_split() -> None:
    @peekr.experiment(variants=["a", "b", "c"])
    def which(variant: str) -> str:
        return variant

    counts = drawn(which, 3000)
    assert set(counts) == {"a", "b", "c"}
    # 1000 expected each, the standard deviation is 26: one run in a billion is outside.
    assert all(840 < count < 1160 for count in counts.values()), counts


@pytest.mark.parametrize("split", [[1, 3], [0.25, 0.75], {"b": 30, "a": 10}, (5e307, 1.5e308)])
def test_variants_are_weighed_by_the_split(split: Any) -> None:
    @peekr.experiment(["a", "b"], split)
    def which(variant: str) -> str:
        return variant

    assert 380 < drawn(which)["a"] < 620


def test_a_variant_without_weight_is_never_chosen() -> None:
    @peekr.experiment(["a", "b", "c"], split=[0, 1, 0])
    def which(variant: str) -> str:
        return variant

    assert drawn(which) == {"b": 2000}


def test_seeding_the_applications_random_does_not_fix_the_choice() -> None:
    import random

    @peekr.experiment(["a", "b"])
    def which(variant: str) -> str:
        random.seed(0)
        return variant

    assert len(drawn(which, 100)) == 2


@pytest.mark.parametrize(
    ("variants", "split", "words"),
    [
        ([], None, "none to choose"),
        ({}, None, "none to choose"),
        (["a", "a"], None, "more than once"),
        ([1, "1"], None, "more than once"),
        (["a", ""], None, "empty"),
        (["a", "b"], [1], "1 weights for 2 variants"),
        (["a", "b"], [1, 2, 3], "3 weights for 2 variants"),
        (["a", "b"], [0, 0], "sums to 0"),
        (["a", "b"], [2, -1], "-1"),
        (["a", "b"], [math.nan, 1], "nan"),
        (["a", "b"], [math.inf, 1], "inf"),
        (["a", "b"], {"a": 1}, "does not name"),
        (["a", "b"], {"a": 1, "c": 1}, "does not name"),
    ],
)
def test_an_unusable_split_or_set_of_variants_is_a_value_error(
    variants: Any, split: Any, words: str
) -> None:
    with pytest.raises(ValueError, match=words) as caught:
        peekr.experiment(variants, split)
    assert isinstance(caught.value, ConfigurationError)


@pytest.mark.parametrize(("variants", "split"), [("ab", None), (["a", "b"], ["1", "2"])])
def test_the_wrong_kind_is_a_type_error(variants: Any, split: Any) -> None:
    with pytest.raises(TypeError):
        peekr.experiment(variants, split)
    with pytest.raises(TypeError):
        peekr.experiment(["a"])(type("Some", (), {}))
    with pytest.raises(TypeError):
        peekr.experiment(["a"])(7)  # pyright: ignore[reportArgumentType]


# -- what the function is told --------------------------------------------------------------------


def test_a_config_is_injected_beside_the_name() -> None:
    configs = {"short": {"max_tokens": 10}, "long": {"max_tokens": 500}}

    @peekr.experiment(configs)
    def answer(question: str, *, variant: str, variant_config: dict[str, int]) -> Any:
        return question, variant, variant_config

    for _ in range(20):
        question, variant, config = answer("why?")
        assert question == "why?"
        assert config is configs[variant]


def test_a_function_gets_only_what_it_takes() -> None:
    @peekr.experiment({"a": 1})
    def config_alone(variant_config: int) -> int:
        return variant_config

    @peekr.experiment({"a": 1})
    def neither() -> str:
        return "neither"

    @peekr.experiment({"a": 1})
    def anything(**more: Any) -> Any:
        return more

    @peekr.experiment(["a"])
    def of_a_list(**more: Any) -> Any:
        return more

    assert config_alone() == 1
    assert neither() == "neither"
    assert anything(x=1) == {"x": 1, "variant": "a", "variant_config": 1}
    assert of_a_list() == {"variant": "a"}


def test_values_that_are_no_text_are_handed_on_as_they_are(telemetry: Telemetry) -> None:
    @peekr.experiment([0.2, 0.9], split=[0, 1])
    def warm(variant: float) -> float:
        return variant

    assert warm() == 0.9
    assert telemetry.record["attributes"]["experiment_variant"] == "0.9"


def test_a_caller_may_choose_and_may_not_invent(telemetry: Telemetry) -> None:
    @peekr.experiment({"a": 1, "b": 2}, split=[1, 0])
    def which(question: str, variant: str, variant_config: int) -> Any:
        return variant, variant_config

    assert which("?", variant="b") == ("b", 2)
    assert which("?", "b") == ("b", 2)
    assert which("?", "b", 7) == ("b", 7)
    assert which("?", variant_config=7) == ("a", 7)
    found = [record["attributes"]["experiment_variant"] for record in telemetry.records]
    assert found == ["b", "b", "b", "a"]
    with pytest.raises(ValueError, match="none of a, b"):
        which("?", variant="z")


def test_callers_do_not_see_the_injected_parameters() -> None:
    @peekr.experiment({"a": 1})
    def answer(question: str, variant: str, variant_config: int, *, loud: bool = False) -> str:
        """Answers."""
        return question

    assert str(inspect.signature(answer)) == "(question: 'str', *, loud: 'bool' = False) -> 'str'"
    assert answer.__name__ == "answer"
    assert answer.__doc__ == "Answers."


# -- kinds of functions ---------------------------------------------------------------------------


class Agent:
    @peekr.experiment(["a"])
    def method(self, variant: str) -> Any:
        return self, variant

    @peekr.experiment(["a"])
    @classmethod
    def of_class(cls, variant: str) -> Any:
        return cls, variant

    @classmethod
    @peekr.experiment(["a"])
    def of_class_inside(cls, variant: str) -> Any:
        return cls, variant

    @peekr.experiment(["a"])
    @staticmethod
    def static(variant: str) -> Any:
        return variant


def test_methods_of_every_kind(telemetry: Telemetry) -> None:
    agent = Agent()
    assert agent.method() == (agent, "a")
    assert Agent.of_class() == (Agent, "a")
    assert Agent.of_class_inside() == (Agent, "a")
    assert Agent.static() == "a"
    assert [record["name"].partition(".")[2] for record in telemetry.records] == [
        "method",
        "of_class",
        "of_class_inside",
        "static",
    ]


def inner(telemetry: Telemetry, name: str = "inner") -> None:
    with telemetry.tracer.start_as_current_span(name):
        pass


def of_records(telemetry: Telemetry) -> dict[str, Any]:
    return {
        record["name"]: record["attributes"].get("experiment_variant")
        for record in telemetry.records
    }


def test_a_call_is_a_span_whose_variant_all_spans_inside_carry(telemetry: Telemetry) -> None:
    @peekr.experiment(["a", "b"], split=[0, 1])
    def answer(question: str, variant: str) -> str:
        inner(telemetry)
        return question.upper()

    assert answer("why?") == "WHY?"
    inner(telemetry, "outside")
    child, root, _ = telemetry.records
    assert of_records(telemetry) == {"inner": "b", "experiment.answer": "b", "outside": None}
    assert child["parent_id"] == root["span_id"]
    assert root["attributes"]["input"] == {"question": "why?", "variant": "b"}
    assert root["attributes"]["output"] == "WHY?"


def test_arguments_and_results_can_be_left_out(telemetry: Telemetry) -> None:
    @peekr.experiment(["a"], capture_io=False)
    def answer(question: str, variant: str) -> str:
        return question

    answer("secret")
    assert "secret" not in telemetry.path.read_text("utf-8")


async def test_coroutines_run_at_once_each_under_its_own_variant(telemetry: Telemetry) -> None:
    @peekr.experiment(["a", "b"])
    async def answer(number: int, variant: str) -> str:
        await asyncio.sleep(0)
        inner(telemetry, f"inner {number}")
        return variant

    assert inspect.iscoroutinefunction(answer)
    given = await asyncio.gather(*(answer(number) for number in range(30)))
    found = of_records(telemetry)
    assert [found[f"inner {number}"] for number in range(30)] == given
    assert set(given) == {"a", "b"}


def test_generators_carry_the_variant_inside_and_not_outside(telemetry: Telemetry) -> None:
    @peekr.experiment(["a"])
    def words(count: int, variant: str) -> Iterator[str]:
        for number in range(count):
            inner(telemetry, f"inside {number}")
            yield f"{variant}{number}"

    assert inspect.isgeneratorfunction(words)
    given = words(2)
    assert next(given) == "a0"
    inner(telemetry, "between")
    assert list(given) == ["a1"]
    assert of_records(telemetry) == {
        "inside 0": "a",
        "between": None,
        "inside 1": "a",
        "experiment.words": "a",
    }
    assert telemetry.records[-1]["attributes"]["output"] == "a0a1"


async def test_async_generators_too(telemetry: Telemetry) -> None:
    @peekr.experiment(["a"])
    async def words(variant: str) -> AsyncIterator[str]:
        inner(telemetry)
        yield variant
        inner(telemetry, "later")

    assert inspect.isasyncgenfunction(words)
    assert [word async for word in words()] == ["a"]
    assert of_records(telemetry) == {"inner": "a", "later": "a", "experiment.words": "a"}


async def test_exceptions_pass_and_are_recorded(telemetry: Telemetry) -> None:
    error = ValueError("mine")

    @peekr.experiment(["a"])
    async def broken(variant: str) -> None:
        raise error

    with pytest.raises(ValueError, match="mine") as caught:
        await broken()
    assert caught.value is error
    assert telemetry.record["status"] == "error"
    assert telemetry.record["attributes"]["experiment_variant"] == "a"


def test_an_experiment_inside_another_is_the_one_that_counts(telemetry: Telemetry) -> None:
    @peekr.experiment(["x"])
    def lower(variant: str) -> None:
        inner(telemetry)

    @peekr.experiment(["a"])
    def upper(variant: str) -> None:
        lower()
        inner(telemetry, "after")

    upper()
    assert of_records(telemetry) == {
        "inner": "x",
        "experiment.lower": "x",
        "after": "a",
        "experiment.upper": "a",
    }


def test_without_instrument_the_function_runs_under_a_variant_all_the_same() -> None:
    @peekr.experiment(["a"])
    def which(variant: str) -> str:
        return variant

    assert which() == "a"


# -- sticky ---------------------------------------------------------------------------------------

STICKY = """
import json, peekr
@peekr.experiment(["a", "b", "c"], split=[1, 2, 1], sticky_by="user_id")
def which(user_id, variant): return variant
print(json.dumps([which(user_id) for user_id in range(200)]))
"""


def test_one_user_has_one_variant_in_every_process() -> None:
    def run(seed: str) -> str:
        return subprocess.run(
            [sys.executable, "-c", STICKY],
            env={"PYTHONHASHSEED": seed, "PYTHONPATH": str(ROOT / "src")},
            capture_output=True,
            check=True,
            text=True,
        ).stdout

    assert run("1") == run("2")

    @peekr.experiment(["a", "b", "c"], split=[1, 2, 1], sticky_by="user_id")
    def which(user_id: Any, variant: str) -> str:
        return variant

    import json

    here = [which(user_id) for user_id in range(200)]
    assert json.loads(run("3")) == here
    assert [which(user_id=str(user_id)) for user_id in range(200)] == here
    # 100 expected, the standard deviation is 7.
    assert 55 < Counter(here)["b"] < 145


def test_the_sessions_user_counts_where_the_function_has_no_such_argument() -> None:
    @peekr.experiment(["a", "b"], sticky_by="user_id")
    def which(variant: str) -> str:
        return variant

    @peekr.experiment(["a", "b"], sticky_by="user_id")
    def of_argument(user_id: Any = None, variant: str = "") -> str:
        return variant

    for user in range(30):
        with peekr.session(user_id=str(user)):
            assert len(drawn(which, 20)) == 1
            assert len(drawn(of_argument, 20)) == 1
    with peekr.session(user_id="someone"):
        other = {user: of_argument(user) for user in range(30)}
    assert other == {user: of_argument(user_id=user) for user in range(30)}
    assert len(set(other.values())) == 2


def test_calls_without_the_sticky_value_get_a_variant_by_chance() -> None:
    @peekr.experiment(["a", "b"], sticky_by="user_id")
    def which(user_id: Any = None, variant: str = "") -> str:
        return variant

    assert len(drawn(which, 100)) == 2
    assert len(drawn(lambda: which(""), 100)) == 2


def test_a_change_of_weights_moves_users_one_way_only() -> None:
    def assignment(split: list[float]) -> list[str]:
        @peekr.experiment(["a", "b", "c"], split, sticky_by="user_id")
        def which(user_id: int, variant: str) -> str:
            return variant

        return [which(user) for user in range(1000)]

    before, after = assignment([1, 1, 1]), assignment([1, 1, 2])
    moved = {(old, new) for old, new in zip(before, after) if old != new}
    assert moved == {("a", "c"), ("b", "c")}


def test_sticking_to_nothing_that_exists_is_said_at_once() -> None:
    with pytest.raises(ConfigurationError, match="customer"):

        @peekr.experiment(["a"], sticky_by="customer")
        def which(variant: str) -> None:  # pyright: ignore[reportUnusedFunction]
            del variant
