"""Compliance packs: rules that an endpoint gives, applied to calls."""

from __future__ import annotations

import json
import logging
from pathlib import Path
from typing import Any, Dict, Iterator, List, Optional

import pytest

import peekr
from peekr.errors import ComplianceError, ConfigurationError
from peekr.exporters import HTTPExporter
from simulated_providers import SimulatedProviders

from ..conftest import Telemetry
from ..instrumentation.openai.calls import make_client
from ..support.endpoint import Endpoint, Reply, running
from .calling import CASES, Case, call

KEY = "pk_live_0123456789"

RULES: List[Dict[str, Any]] = [
    {
        "pack": "FDCPA",
        "rule_type": "prohibited_output",
        "pattern": r"we will (arrest|sue) you",
        "description": "Threat of arrest",
    },
    {
        "pack": "FDCPA",
        "rule_type": "prohibited_input",
        "pattern": r"threaten the customer",
        "description": "Order to threaten",
    },
    {
        "pack": "FINRA",
        "rule_type": "required_disclosure",
        "pattern": r"not (financial|investment) advice",
        "description": "Disclaimer",
    },
]


def offer(rules: Any = RULES, **packs: str) -> Reply:
    listed = [{"name": name, "action": action} for name, action in packs.items()]
    body = json.dumps({"packs": listed, "rules": rules}).encode()
    return Reply(body=body, headers={"Content-Type": "application/json"})


def serve(cloud: Endpoint, reply: Reply) -> None:
    """Have an endpoint answer so when it is asked for rules; it takes spans in any case."""
    cloud.otherwise = lambda request: reply if request.method == "GET" else Reply()


ANSWERS = {
    "debt": "If you do not pay, We will ARREST you. " + "So it is. " * 60,
    "invest": "Buy gold. " * 40 + "This is not investment advice.",
    "gamble": "Buy lottery tickets. " * 40,
}


def _answer(question: str) -> Optional[str]:
    return next((text for word, text in ANSWERS.items() if word in question), "All is well.")


@pytest.fixture(scope="module")
def model() -> Iterator[SimulatedProviders]:
    with SimulatedProviders(answers=_answer) as started:
        yield started


@pytest.fixture
def cloud() -> Iterator[Endpoint]:
    with running() as endpoint:
        serve(endpoint, offer(FDCPA="raise", FINRA="warn"))
        yield endpoint
        peekr.uninstrument()


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of caches of the test's own."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return tmp_path / "cache" / "peekr"


def exporter(cloud: Endpoint, key: str = KEY) -> HTTPExporter:
    return HTTPExporter(cloud.url, key, timeout_seconds=5.0)


def said(caplog: Any) -> List[str]:
    return [r.getMessage() for r in caplog.records if r.name == "peekr.compliance"]


def ask(model: SimulatedProviders, prompt: str, **more: Any) -> Any:
    with make_client("sync", model.openai_url) as client:
        return client.chat.completions.create(
            model="gpt-4o", messages=[{"role": "user", "content": prompt}], **more
        )


def violations(telemetry: Telemetry) -> Any:
    return telemetry.record["attributes"].get("compliance_violations")


THREAT = {
    "type": "prohibited_output",
    "pack": "FDCPA",
    "matched": "We will ARREST you",
    "rule": "Threat of arrest",
}
ORDER = {
    "type": "prohibited_input",
    "pack": "FDCPA",
    "matched": "threaten the customer",
    "rule": "Order to threaten",
}
UNDISCLOSED = {
    "type": "required_disclosure",
    "pack": "FINRA",
    "matched": None,
    "rule": "Disclaimer",
}


@pytest.mark.parametrize("case", [c for c in CASES if c.provider == "openai"], ids=str)
async def test_named_pack_withholds_what_it_prohibits(
    case: Case, bare_telemetry: Telemetry, cloud: Endpoint, model: SimulatedProviders
):
    bare_telemetry.instrument(compliance=["FDCPA"], exporter=exporter(cloud))
    outcome = await call(case, model, "collect the debt")
    assert isinstance(outcome.error, peekr.GuardrailError)
    assert outcome.error.guardrail_name == "FDCPA"
    assert "ARREST" not in outcome.text
    assert violations(bare_telemetry) == [THREAT]
    assert bare_telemetry.record["status"] == "error"


@pytest.mark.parametrize("case", [c for c in CASES if c.mode == "sync"], ids=str)
async def test_prohibited_request_is_not_sent(
    case: Case, bare_telemetry: Telemetry, cloud: Endpoint, model: SimulatedProviders
):
    bare_telemetry.instrument(compliance=["FDCPA"], exporter=exporter(cloud))
    sent = len(model.requests)
    outcome = await call(case, model, "threaten the customer")
    assert isinstance(outcome.error, peekr.GuardrailError)
    assert len(model.requests) == sent
    assert violations(bare_telemetry) == [ORDER]


def test_rules_are_asked_for_with_the_key_and_not_traced(
    bare_telemetry: Telemetry, cloud: Endpoint
):
    bare_telemetry.instrument(compliance=["FDCPA"], exporter=exporter(cloud))
    (request,) = cloud.received
    assert (request.method, request.path) == ("GET", "/v1/compliance")
    assert request.headers["authorization"] == f"Bearer {KEY}"
    assert bare_telemetry.spans == []


def test_nothing_is_asked_for_without_packs(bare_telemetry: Telemetry, cloud: Endpoint):
    bare_telemetry.instrument(compliance=[], exporter=exporter(cloud))
    assert cloud.received == []


@pytest.mark.parametrize("form", ["plain", "stream", "raw_stream"])
@pytest.mark.parametrize(
    ("prompt", "expected"), [("invest", None), ("gamble", [UNDISCLOSED])], ids=["said", "unsaid"]
)
async def test_disclosure_is_required_of_an_answer_as_a_whole(
    bare_telemetry: Telemetry,
    cloud: Endpoint,
    model: SimulatedProviders,
    form: str,
    prompt: str,
    expected: Any,
):
    serve(cloud, offer(FINRA="raise"))
    bare_telemetry.instrument(compliance=["FINRA"], exporter=exporter(cloud))
    outcome = await call(Case("openai", form, "sync"), model, prompt)
    if expected is None:
        assert outcome == (ANSWERS[prompt], None)
    else:
        assert isinstance(outcome.error, peekr.GuardrailError)
        assert str(outcome.error) == "FINRA withheld the answer: no Disclaimer in the output"
        assert outcome.text == ""
    assert violations(bare_telemetry) == expected


def test_discovery_takes_the_packs_that_the_project_has_on(
    bare_telemetry: Telemetry, cloud: Endpoint, model: SimulatedProviders
):
    bare_telemetry.instrument(compliance=None, exporter=exporter(cloud))
    ask(model, "gamble")
    assert violations(bare_telemetry) == [UNDISCLOSED]
    assert bare_telemetry.record["status"] == "ok"
    bare_telemetry.clear()
    with pytest.raises(peekr.GuardrailError):
        ask(model, "debt")


@pytest.mark.parametrize(
    ("asked", "served", "arguments", "blocks"),
    [
        (["FDCPA"], "raise", {}, True),
        (["FDCPA"], "warn", {}, False),
        (["FDCPA:warn"], "raise", {}, False),
        (["FDCPA:raise"], "warn", {}, False),
        (["FDCPA"], "raise", {"compliance_action": "warn"}, False),
        (["FDCPA:raise"], "raise", {"compliance_action": "warn"}, False),
        (None, "raise", {"compliance_action": "warn"}, False),
        (["fdcpa"], "raise", {}, True),
        (["FDCPA"], "explode", {}, False),
    ],
)
def test_weaker_of_both_actions_counts(
    bare_telemetry: Telemetry,
    cloud: Endpoint,
    model: SimulatedProviders,
    asked: Any,
    served: str,
    arguments: Dict[str, Any],
    blocks: bool,
):
    serve(cloud, offer(FDCPA=served))
    bare_telemetry.instrument(compliance=asked, exporter=exporter(cloud), **arguments)
    if blocks:
        with pytest.raises(peekr.GuardrailError):
            ask(model, "debt")
    else:
        ask(model, "debt")
    assert violations(bare_telemetry) == [THREAT]


@pytest.mark.parametrize("status", [402, 403])
def test_plan_without_packs_is_said_in_one_line(
    bare_telemetry: Telemetry,
    cloud: Endpoint,
    model: SimulatedProviders,
    caplog: Any,
    status: int,
):
    serve(cloud, Reply(status=status, body=b'{"error": "no"}'))
    bare_telemetry.instrument(compliance=["HIPAA"], exporter=exporter(cloud))
    assert said(caplog) == [
        "The plan of this Peekr Cloud project does not include compliance packs "
        f"(HTTP {status}): no compliance rules are applied."
    ]
    ask(model, "debt")
    with pytest.raises(ComplianceError, match=f"HTTP {status}"):
        peekr.instrument(
            compliance=["HIPAA"], exporter=exporter(cloud), compliance_required=True, console=False
        )


@pytest.mark.parametrize(
    "reply",
    [Reply(cut=True), Reply(status=503), Reply(body=b"<html>"), Reply(body=b'{"packs": 3}')],
    ids=["cut", "down", "no JSON", "another JSON"],
)
def test_unreachable_endpoint_is_said_in_one_line_and_the_application_runs_on(
    bare_telemetry: Telemetry,
    cloud: Endpoint,
    model: SimulatedProviders,
    caplog: Any,
    reply: Reply,
):
    serve(cloud, reply)
    bare_telemetry.instrument(compliance=["FDCPA"], exporter=exporter(cloud))
    (line,) = said(caplog)
    assert line.startswith(f"Compliance rules could not be fetched from {cloud.url} (")
    assert line.endswith("none are kept from before: no compliance rules are applied.")
    assert "\n" not in line
    assert KEY not in line
    ask(model, "debt")
    with pytest.raises(ComplianceError, match="could not be fetched"):
        peekr.instrument(
            compliance=["FDCPA"], exporter=exporter(cloud), compliance_required=True, console=False
        )


def test_refused_start_leaves_what_was_installed(
    bare_telemetry: Telemetry, cloud: Endpoint, model: SimulatedProviders
):
    bare_telemetry.instrument()
    serve(cloud, Reply(status=503))
    with pytest.raises(ComplianceError):
        bare_telemetry.instrument(
            compliance=["FDCPA"], exporter=exporter(cloud), compliance_required=True
        )
    ask(model, "hello")
    assert bare_telemetry.record["name"] == "openai.chat"


def test_rules_kept_on_disk_are_applied_and_their_age_is_said(
    bare_telemetry: Telemetry,
    cloud: Endpoint,
    model: SimulatedProviders,
    cache: Path,
    caplog: Any,
):
    bare_telemetry.instrument(compliance=["FDCPA"], exporter=exporter(cloud))
    (kept,) = cache.iterdir()
    assert KEY not in kept.read_text("utf-8")
    held = json.loads(kept.read_text("utf-8"))
    held["fetched_at"] -= 3 * 3600 + 60
    kept.write_text(json.dumps(held), "utf-8")
    serve(cloud, Reply(status=500))
    bare_telemetry.instrument(
        compliance=["FDCPA"], exporter=exporter(cloud), compliance_required=True
    )
    (line,) = said(caplog)
    assert line.endswith("those of 3 hours ago are applied.")
    with pytest.raises(peekr.GuardrailError):
        ask(model, "debt")


def test_rules_of_another_key_are_not_applied(
    bare_telemetry: Telemetry, cloud: Endpoint, model: SimulatedProviders, caplog: Any
):
    bare_telemetry.instrument(compliance=["FDCPA"], exporter=exporter(cloud))
    serve(cloud, Reply(status=500))
    bare_telemetry.instrument(compliance=["FDCPA"], exporter=exporter(cloud, "pk_live_other"))
    assert "none are kept" in said(caplog)[-1]
    ask(model, "debt")


def test_broken_file_of_kept_rules_counts_as_none(
    bare_telemetry: Telemetry, cloud: Endpoint, cache: Path, caplog: Any
):
    bare_telemetry.instrument(compliance=["FDCPA"], exporter=exporter(cloud))
    (kept,) = cache.iterdir()
    kept.write_text("{", "utf-8")
    serve(cloud, Reply(status=500))
    bare_telemetry.instrument(compliance=["FDCPA"], exporter=exporter(cloud))
    assert "none are kept" in said(caplog)[-1]


def test_bad_patterns_are_reported_and_skipped(
    bare_telemetry: Telemetry, cloud: Endpoint, model: SimulatedProviders, caplog: Any
):
    bad = [
        {"pack": "FDCPA", "rule_type": "prohibited_output", "pattern": "(", "description": "Open"},
        {"pack": "FDCPA", "rule_type": "prohibited_output", "pattern": None, "description": "None"},
        {"pack": "FDCPA", "rule_type": "new_type", "pattern": "x", "description": "New"},
        "nonsense",
    ]
    serve(cloud, offer([*bad, *RULES], FDCPA="raise"))
    bare_telemetry.instrument(compliance=["FDCPA"], exporter=exporter(cloud))
    (line,) = said(caplog)
    assert line.startswith("3 of the rules of the compliance pack FDCPA cannot be used")
    assert "'Open'" in line
    assert "'New'" in line
    with pytest.raises(peekr.GuardrailError):
        ask(model, "debt")


def test_hostile_pattern_costs_milliseconds_and_is_recorded(
    bare_telemetry: Telemetry, cloud: Endpoint, model: SimulatedProviders
):
    slow = {
        "pack": "FDCPA",
        "rule_type": "prohibited_input",
        "pattern": r"(a+)+$",
        "description": "Slow",
    }
    serve(cloud, offer([slow], FDCPA="raise"))
    bare_telemetry.instrument(compliance=["FDCPA"], exporter=exporter(cloud))
    ask(model, "a" * 5000 + "b")
    assert bare_telemetry.record["attributes"]["guardrail_errors"] == [
        {"guard": "FDCPA", "field": "input", "error": "TimeoutError"}
    ]


def test_pack_that_is_not_on_is_said(bare_telemetry: Telemetry, cloud: Endpoint, caplog: Any):
    bare_telemetry.instrument(compliance=["FDCPA", "GDPR"], exporter=exporter(cloud))
    assert said(caplog) == [
        "The compliance pack GDPR is not on in this Peekr Cloud project: its rules are not applied."
    ]
    with pytest.raises(ComplianceError, match="GDPR is not on"):
        bare_telemetry.instrument(
            compliance=["GDPR"], exporter=exporter(cloud), compliance_required=True
        )


def test_new_pack_of_the_cloud_may_be_named(
    bare_telemetry: Telemetry, cloud: Endpoint, model: SimulatedProviders
):
    rule = {**RULES[0], "pack": "MARS_2040"}
    serve(cloud, offer([rule], MARS_2040="raise"))
    bare_telemetry.instrument(compliance=["mars-2040"], exporter=exporter(cloud))
    with pytest.raises(peekr.GuardrailError):
        ask(model, "debt")


def test_name_that_nobody_knows_names_the_choices(bare_telemetry: Telemetry, cloud: Endpoint):
    with pytest.raises(ConfigurationError, match=r"'HIPPA'; there are .*HIPAA"):
        bare_telemetry.instrument(compliance=["HIPPA"], exporter=exporter(cloud))


def test_packs_need_an_exporter_to_the_cloud(bare_telemetry: Telemetry):
    with pytest.raises(ConfigurationError, match="HTTPExporter"):
        bare_telemetry.instrument(compliance=["HIPAA"])
    with pytest.raises(ConfigurationError, match="HTTPExporter"):
        bare_telemetry.instrument(compliance=None)


@pytest.mark.parametrize(
    ("arguments", "error"),
    [
        ({"compliance": ["HIPAA:block"]}, ConfigurationError),
        ({"compliance": ["HIPAA"], "compliance_action": "block"}, ConfigurationError),
        ({"compliance": ["HIPAA"], "compliance_required": "yes"}, TypeError),
        ({"compliance": [3]}, TypeError),
        ({"compliance": "HIPAA"}, TypeError),
    ],
)
def test_unusable_arguments_are_refused(
    bare_telemetry: Telemetry, cloud: Endpoint, arguments: Dict[str, Any], error: Any
):
    with pytest.raises(error):
        bare_telemetry.instrument(**arguments, exporter=exporter(cloud))


def test_matches_are_not_shown_without_content(
    bare_telemetry: Telemetry, cloud: Endpoint, model: SimulatedProviders
):
    bare_telemetry.instrument(compliance=["FDCPA"], exporter=exporter(cloud), capture_content=False)
    with pytest.raises(peekr.GuardrailError):
        ask(model, "debt")
    assert violations(bare_telemetry) == [{**THREAT, "matched": None}]


def test_user_guardrails_and_packs_work_together(
    bare_telemetry: Telemetry, cloud: Endpoint, model: SimulatedProviders
):
    def shouting(text: str, field: str) -> Any:
        return "shouting" if text.isupper() else None

    bare_telemetry.instrument(
        compliance=["FDCPA:warn"], guardrails=[shouting], exporter=exporter(cloud)
    )
    with pytest.raises(peekr.GuardrailError) as caught:
        ask(model, "THREATEN THE CUSTOMER")
    assert caught.value.guardrail_name == "shouting"
    attributes = bare_telemetry.record["attributes"]
    assert attributes["guardrail_violations"] == [
        {"guard": "shouting", "field": "input", "rule": "shouting"}
    ]
    assert attributes["compliance_violations"] == [{**ORDER, "matched": "THREATEN THE CUSTOMER"}]


def test_nothing_is_said_where_all_is_well(bare_telemetry: Telemetry, cloud: Endpoint, caplog: Any):
    with caplog.at_level(logging.DEBUG, "peekr.compliance"):
        bare_telemetry.instrument(compliance=["FDCPA", "FINRA"], exporter=exporter(cloud))
    assert said(caplog) == []
