"""What model calls cost: the arithmetic, the table, prices of one's own, and what spans get."""

from __future__ import annotations

import datetime
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any, Dict, List, Optional

import openai
import pytest

import peekr
from peekr.errors import ConfigurationError
from peekr.pricing import library
from peekr.pricing.book import PENDING, PriceBook, tier_of
from peekr.pricing.own import OwnPrices
from peekr.pricing.rates import Daily, From, Plan, PricedModel, Rates, Tiered, Variant
from simulated_providers import SimulatedProviders

from .conftest import Telemetry

DAY_NS = 86_400 * 10**9


def rates(**prices: Any) -> Rates:
    return Rates(prices)


# -- arithmetic ------------------------------------------------------------------------------------


def test_input_and_output_are_priced_per_million() -> None:
    assert rates(input=2.5, output=10.0).cost(120, 30) == 0.0006


def test_cached_tokens_are_part_of_the_input() -> None:
    assert rates(input=2.5, output=10.0, cache_read=1.25).cost(120, 30, 20) == 0.000575


def test_tokens_without_a_price_of_their_own_cost_what_the_others_do() -> None:
    given = rates(input=2.5, output=10.0)
    assert given.cost(100, 50, 60, 20, 30, 10, 10, 5) == given.cost(100, 50)


def test_each_kind_has_its_price() -> None:
    given = rates(
        input=1.0, output=2.0, cache_read=0.1, cache_write=1.5, reasoning=3.0, audio_input=10.0,
        audio_output=20.0, image_input=5.0, cache_write_1h=4.0, request=1000.0,
    )  # fmt: skip
    total = 1000 + 10 * 0.1 + 20 * 1.5 + 5 * (4.0 - 1.5) + 30 * 10 + 4 * 5 + (100 - 64) * 1
    total += 7 * 3 + 3 * 20 + (50 - 10) * 2
    assert given.cost(100, 50, 10, 20, 7, 30, 3, 4, 5) == pytest.approx(total / 1e6)


def test_an_input_that_was_counted_without_its_cached_part_is_taken_so() -> None:
    assert rates(input=3.0, cache_read=0.3).cost(10, None, 1000) == 0.00033


def test_a_large_input_puts_every_token_into_the_higher_tier() -> None:
    given = rates(
        input=Tiered(3.0, ((200_000, 6.0),)),
        output=Tiered(15.0, ((200_000, 22.5),)),
        cache_read=1.0,
    )
    assert given.cost(200_000, 1000) == pytest.approx(0.6 + 0.015)
    assert given.cost(200_001, 1000) == pytest.approx(200_001 * 6e-6 + 0.0225)
    assert given.saved(300_000, 1000, None) == pytest.approx(0.005)


def test_what_a_cache_saves_is_what_reading_saves_less_what_writing_costs() -> None:
    given = rates(input=3.0, cache_read=0.3, cache_write=3.75, cache_write_1h=6.0)
    assert given.saved(10_000, 1000, None) == pytest.approx(0.0027)
    assert given.saved(10_000, 0, 1000) == pytest.approx(-0.00075)
    assert given.saved(10_000, 1000, 1000, 1000) == pytest.approx(0.0027 - 0.003)


def test_a_later_price_holds_from_its_day_on() -> None:
    model = PricedModel("m", [Plan({"input": 1.0}), Plan({"input": 2.0}, From(10 * DAY_NS))])
    assert model.rates(10 * DAY_NS - 1).cost(1_000_000, None) == 1.0
    assert model.rates(10 * DAY_NS).cost(1_000_000, None) == 2.0


def test_a_nightly_price_holds_across_midnight() -> None:
    hour = 3_600 * 10**9
    model = PricedModel(
        "m", [Plan({"input": 2.0}), Plan({"input": 1.0}, Daily(22 * hour, 2 * hour))]
    )
    at = [1, 3, 21, 23]
    assert [model.rates(7 * DAY_NS + h * hour).cost(10**6, None) for h in at] == [1, 2, 2, 1]


def test_a_variant_replaces_only_its_own_prices() -> None:
    model = PricedModel(
        "m",
        [Plan({"input": 2.0, "output": 8.0, "cache_read": 0.2})],
        [Variant(frozenset(("batch",)), {"input": 1.0, "output": 4.0})],
    )
    assert model.rates(0, "batch").cost(10**6, 10**6, 0) == 5.0
    assert model.rates(0, "batch").cost(10**6, None, 10**6) == 0.2
    assert model.rates(0, "scale").cost(10**6, 10**6) == 10.0


@pytest.mark.parametrize(
    ("given", "parameters", "tier"),
    [
        ("default", None, None),
        ("standard", None, None),
        ("flex", None, "flex"),
        ("Priority", None, "priority"),
        (None, {"speed": "fast", "service_tier": "auto"}, "fast"),
        (None, {"service_tier": "flex"}, "flex"),
        ("default", {"service_tier": "flex"}, None),
        (7, None, None),
    ],
)
def test_the_answer_says_the_tier_before_the_request(
    given: Any, parameters: Optional[Dict[str, Any]], tier: Optional[str]
) -> None:
    assert tier_of(given, parameters) == tier


# -- the table -------------------------------------------------------------------------------------


def price(provider: Optional[str], model: str, *counts: Optional[int]) -> Optional[float]:
    book = PriceBook()
    book.load()
    found = book.rates(provider, model, at_ns=1_760_000_000 * 10**9)
    assert found is not PENDING
    return found.cost(*counts) if isinstance(found, Rates) else None


@pytest.mark.parametrize(
    ("provider", "model", "usd"),
    [
        ("openai", "gpt-4o", 12.5),
        ("openai", "gpt-4o-2024-08-06", 12.5),
        ("azure.ai.openai", "gpt-4o-mini-2024-07-18", 0.75),
        ("anthropic", "claude-opus-4-1-20250805", 90.0),
        ("aws.bedrock", "us.amazon.nova-lite-v1:0", 0.3),
        ("aws.bedrock", "arn:aws:bedrock:us-east-1::foundation-model/amazon.nova-lite-v1:0", 0.3),
        (
            "aws.bedrock",
            "arn:aws:bedrock:eu-west-1:123456789012:inference-profile/eu.amazon.nova-lite-v1:0",
            0.3,
        ),
        ("gcp.gemini", "gemini-2.5-flash", 2.8),
        ("gcp.vertex_ai", "publishers/google/models/gemini-2.5-flash", 2.8),
        ("gcp.gemini", "models/gemini-2.5-flash", 2.8),
        ("gcp.vertex_ai", "claude-sonnet-4@20250514", 18.0),
        (None, "gpt-4o", 12.5),
        ("langchain", "gpt-4o", 12.5),
    ],
)
def test_names_of_providers_find_their_prices(
    provider: Optional[str], model: str, usd: float
) -> None:
    if model.startswith("claude-sonnet-4@"):
        counts = (100_000, 100_000)  # below its tier
        assert price(provider, model, *counts) == pytest.approx(usd / 10)
    else:
        assert price(provider, model, 10**6, 10**6) == pytest.approx(usd)


@pytest.mark.parametrize(
    ("provider", "model"),
    [
        ("openai", "my-model"),
        ("openai", ""),
        ("openai", "x" * 5_000),
        ("vllm", "gpt-4o"),
        ("azure.ai.openai", "my-deployment"),
        ("aws.bedrock", "arn:aws:bedrock:us-east-1:123456789012:imported-model/abc"),
        (
            "aws.bedrock",
            "arn:aws:bedrock:us-east-1:1:custom-model/amazon.nova-lite-v1:0/abcdefghijkl",
        ),
        ("aws.bedrock", "arn:aws:bedrock:us-east-1:1:application-inference-profile/abc"),
    ],
)
def test_what_nobody_knows_has_no_price(provider: str, model: str) -> None:
    assert price(provider, model, 100, 100) is None


def test_a_deployment_costs_what_the_model_behind_it_costs() -> None:
    book = PriceBook()
    book.load()
    found = book.rates("azure.ai.openai", "my-deployment", "gpt-4o-2024-08-06")
    assert isinstance(found, Rates)
    assert found.cost(10**6, 0) == 2.5


def test_the_table_gives_what_its_library_gives() -> None:
    """For every model that it knows, with cached tokens and either side of each tier."""
    from genai_prices import Usage, calc_price, data_snapshot

    when = datetime.datetime(2026, 10, 1, 12, tzinfo=datetime.timezone.utc)
    usages = [(1000, 100, 0), (150_000, 2_000, 100_000), (1_200_000, 5_000, 250_000)]
    snapshot: Any = data_snapshot.get_snapshot()
    compared = 0
    table = library.load()
    assert table is not None
    for provider in snapshot.providers:
        for model in provider.models:
            try:
                found = table.find(provider.id, model.id)
            except Exception as error:
                raise AssertionError((provider.id, model.id)) from error
            if found is None:
                continue
            for tokens, output, cached in usages:
                usage = Usage(
                    input_tokens=tokens, output_tokens=output, cache_read_tokens=cached or None
                )
                try:
                    expected = calc_price(
                        usage,
                        model.id,
                        provider_id=provider.id,
                        genai_request_timestamp=when,
                    )
                except (LookupError, ValueError):
                    continue
                ours = found.rates(int(when.timestamp()) * 10**9).cost(tokens, output, cached)
                at = (provider.id, model.id, tokens, cached)
                assert ours == pytest.approx(float(expected.total_price), abs=1e-9), at
                compared += 1
    assert compared > 1_000


# -- prices of one's own ---------------------------------------------------------------------------


def cost_by(own: OwnPrices, provider: Optional[str], model: str) -> Optional[float]:
    book = PriceBook(own)
    found = book.rates(provider, model)
    return found.cost(10**6, 10**6) if isinstance(found, Rates) else None


def test_own_prices_come_first_and_the_exact_before_the_pattern() -> None:
    own = OwnPrices(
        {
            "gpt-4*": {"input": 1, "output": 1},
            "gpt-4o": {"input": 2, "output": 2},
            "azure.ai.openai/gpt-4o": {"input": 3, "output": 3},
        }
    )
    assert cost_by(own, "openai", "gpt-4o") == 4.0
    assert cost_by(own, "openai", "GPT-4o") == 4.0
    assert cost_by(own, "azure.ai.openai", "gpt-4o") == 6.0
    assert cost_by(own, "openai", "gpt-4.1-mini") == 2.0


def test_own_prices_may_have_tiers_and_a_price_for_each_call() -> None:
    own = OwnPrices(
        {"m": {"input": 1, "request": 0.5, "above": {"1000": {"input": 2, "output": 8}}}}
    )
    found = PriceBook(own).rates("mine", "m")
    assert isinstance(found, Rates)
    assert found.cost(1000, 1000) == 0.501
    assert found.cost(1001, 1000) == pytest.approx(0.5 + 0.002002 + 0.008)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("{", "not a JSON file"),
        ("[]", "not a JSON object"),
        ('{"m": 3}', "has no prices by kind"),
        ('{"m": {}}', "no price"),
        ('{"m": {"inptu": 1}}', "'inptu' is none of"),
        ('{"m": {"input": -1}}', "is no price"),
        ('{"m": {"input": "2"}}', "is no price"),
        ('{"m": {"input": 1, "above": {"x": {}}}}', "token count"),
        (None, "no such file"),
    ],
)
def test_a_file_of_prices_that_cannot_be_used_is_said_in_one_line(
    tmp_path: Path, text: Optional[str], said: str
) -> None:
    path = tmp_path / "prices.json"
    if text is not None:
        path.write_text(text, "utf-8")
    with pytest.raises(ConfigurationError, match="prices") as caught:
        peekr.instrument(console=False, storage=None, prices=str(path))
    assert said in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("wrong", [7, ["gpt-4o"], {"m": 3}, {3: {"input": 1}}])
def test_prices_of_the_wrong_kind_are_a_type_error(wrong: Any) -> None:
    with pytest.raises(TypeError, match="prices"):
        peekr.instrument(console=False, storage=None, prices=wrong)


# -- on spans --------------------------------------------------------------------------------------


def ask(providers: SimulatedProviders, model: str = "gpt-4o", **arguments: Any) -> None:
    with openai.OpenAI(api_key="none", base_url=f"{providers.url}/v1") as client:
        client.chat.completions.create(
            model=model, messages=[{"role": "user", "content": "hi"}], **arguments
        )


def test_a_model_calls_span_and_record_have_their_price(
    telemetry: Telemetry, simulated: SimulatedProviders
) -> None:
    telemetry.instrument()
    ask(simulated)
    record = telemetry.record["attributes"]
    expected = (record["tokens_input"] * 2.5 + record["tokens_output"] * 10) / 1e6
    assert record["cost_usd"] == pytest.approx(expected)
    assert "peekr.cost_usd" not in record
    attributes: Any = telemetry.span.attributes
    assert attributes["peekr.cost_usd"] == record["cost_usd"]


def test_own_prices_are_given_by_argument_or_by_file(
    telemetry: Telemetry,
    simulated: SimulatedProviders,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    path = tmp_path / "prices.json"
    path.write_text(json.dumps({"gpt-4o": {"request": 3}}), "utf-8")
    monkeypatch.setenv("PEEKR_PRICES", str(path))
    telemetry.instrument()
    ask(simulated)
    telemetry.instrument(prices={"openai/gpt-4o": {"request": 2}})
    ask(simulated)
    assert [record["attributes"]["cost_usd"] for record in telemetry.records] == [3.0, 2.0]


CALL = {
    "gen_ai.operation.name": "chat",
    "gen_ai.provider.name": "openai",
    "gen_ai.request.model": "gpt-4o",
    "gen_ai.usage.input_tokens": 120,
    "gen_ai.usage.output_tokens": 30,
}


@pytest.mark.parametrize(
    ("attributes", "usd"),
    [
        (CALL, 0.0006),
        ({**CALL, "gen_ai.usage.cache_read.input_tokens": 20}, 0.000575),
        (
            {
                "gen_ai.system": "openai",
                "gen_ai.request.model": "gpt-4o",
                "gen_ai.usage.prompt_tokens": 120,
                "gen_ai.usage.completion_tokens": 30,
            },
            0.0006,
        ),
        (
            {
                "openinference.span.kind": "LLM",
                "llm.model_name": "gpt-4o",
                "llm.provider": "openai",
                "llm.token_count.prompt": 120,
                "llm.token_count.completion": 30,
                "llm.token_count.prompt_details.cache_read": 20,
            },
            0.000575,
        ),
        ({**CALL, "peekr.cost_usd": 7.0}, 7.0),
        ({**CALL, "gen_ai.usage.cost": 7.0}, 7.0),
        ({**CALL, "gen_ai.operation.name": "invoke_agent"}, None),
        ({**CALL, "gen_ai.request.model": "my-model"}, None),
        ({**CALL, "gen_ai.usage.input_tokens": "many"}, 0.0003),
    ],
)
def test_spans_of_other_instrumentations_are_priced(
    telemetry: Telemetry, attributes: Dict[str, Any], usd: Optional[float]
) -> None:
    telemetry.instrument()
    telemetry.tracer.start_span("theirs", attributes=attributes).end()
    assert telemetry.record["attributes"].get("cost_usd") == usd


# -- while the table is on its way -----------------------------------------------------------------

PROGRAM = """
import sys, json
import peekr
from opentelemetry import trace
peekr.instrument(console=False)
assert "genai_prices" not in sys.modules and "pydantic" not in sys.modules
CALL = json.loads(sys.argv[1])
tracer = trace.get_tracer("t")
with tracer.start_as_current_span("root"):
    with tracer.start_as_current_span("chat", attributes=CALL):
        pass
"""


def program(folder: Path, text: str) -> List[Dict[str, Any]]:
    made = subprocess.run(
        [sys.executable, "-c", text, json.dumps(CALL)],
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=120,
        env={**os.environ, "PEEKR_RAISE_FAULTS": "1"},
    )
    assert made.returncode == 0, made.stderr
    assert made.stderr == ""
    lines = (folder / "traces.jsonl").read_text("utf-8").splitlines()
    return [json.loads(line) for line in lines]


def test_what_ends_before_the_table_is_there_is_priced_and_stays_in_order(tmp_path: Path) -> None:
    records = program(tmp_path, PROGRAM)
    assert [record["name"] for record in records] == ["chat", "root"]
    assert records[0]["attributes"]["cost_usd"] == 0.0006


def test_a_fork_while_the_table_is_on_its_way_leaves_the_child_with_prices(tmp_path: Path) -> None:
    records = program(
        tmp_path,
        PROGRAM
        + """
import os, warnings
warnings.simplefilter("ignore", DeprecationWarning)  # Python 3.12 says it of every thread
pid = os.fork()
tracer.start_span("chat" if pid else "child", attributes=CALL).end()
if not pid:
    peekr.flush()
    os._exit(0)
assert os.waitpid(pid, 0)[1] == 0
""",
    )
    assert sorted(record["name"] for record in records) == ["chat", "chat", "child", "root"]
    costs = [r["attributes"].get("cost_usd") for r in records if r["name"] != "root"]
    assert costs == [0.0006] * 3


def test_without_the_library_calls_have_no_price_and_nothing_else_is_missing(
    tmp_path: Path,
) -> None:
    text = PROGRAM.replace("import peekr\n", "import peekr\nsys.modules['genai_prices'] = None\n")
    text = text.replace('assert "genai_prices" not in sys.modules and', "assert")
    made = subprocess.run(
        [sys.executable, "-c", text, json.dumps(CALL)],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=120,
        env={name: value for name, value in os.environ.items() if name != "PEEKR_RAISE_FAULTS"},
    )
    assert made.returncode == 0, made.stderr
    assert made.stderr.count("loading the price table") == 1
    lines = (tmp_path / "traces.jsonl").read_text("utf-8").splitlines()
    records = [json.loads(line) for line in lines]
    assert [record["name"] for record in records] == ["chat", "root"]
    assert "cost_usd" not in records[0]["attributes"]
