"""The order is fixed: redaction, evaluation, alerts, storage, then blocking."""

from __future__ import annotations

import asyncio
import json
import threading
from typing import Any, Dict, List, Optional

import pytest

import peekr
from peekr.alert import BaseAlert
from peekr.errors import ConfigurationError
from peekr.eval import BaseEvaluator, Score
from peekr.guard import Blocklist, HallucinationBlock, PIIRedact
from simulated_providers import SimulatedProviders

from ..conftest import Telemetry
from ..instrumentation.openai.calls import make_client
from .calling import CASES, Case, call
from .conftest import WORDS
from .guards import SECRET, Finds

# google-genai and aiobotocore leave connections of streams that were broken off to the collector.
pytestmark = [
    pytest.mark.filterwarnings("ignore::ResourceWarning"),
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
]


class Fixed(BaseEvaluator):
    """Gives one score, and says what it was shown."""

    name = "Hallucination"

    def __init__(self, score: Optional[float], told: Optional[List[str]] = None) -> None:
        self.score = score
        self.details: Optional[List[Any]] = None
        self.told = [] if told is None else told
        self.shown: List[Any] = []

    def evaluate(self, span: Any) -> Any:
        self.told.append("evaluation")
        self.shown.append(json.dumps(span.to_dict()))
        if self.score is None:
            raise RuntimeError("the judge is out")
        return Score(self.score, details=self.details)


class Watches(BaseAlert):
    """Says what it was shown."""

    def __init__(self, told: List[str]) -> None:
        super().__init__()
        self.told = told
        self.shown: List[Any] = []
        self.seen = threading.Event()

    def check(self, trace: Any) -> None:
        self.told.append("alert")
        self.shown.append([record.to_dict() for record in trace])
        self.seen.set()


class Stores:
    """An exporter that says what it was given."""

    def __init__(self, told: List[str]) -> None:
        self.told = told

    def export(self, span: Any) -> None:
        self.told.append("storage")


MAIL = "ada@example.com"


def ask(server: Any, prompt: str, **more: Any) -> Any:
    with make_client("sync", server.openai_url) as client:
        return client.chat.completions.create(
            model="gpt-4o", messages=[{"role": "user", "content": prompt}], **more
        )


@pytest.mark.parametrize("reverse", [False, True])
def test_each_sees_what_those_before_it_have_done(
    bare_telemetry: Telemetry, server: SimulatedProviders, reverse: bool
):
    told: List[str] = []
    evaluator, alert = Fixed(0.9, told), Watches(told)
    guardrails: List[Any] = [PIIRedact(), Finds()]
    bare_telemetry.instrument(
        guardrails=guardrails[::-1] if reverse else guardrails,
        evaluators=[evaluator],
        alerts=[alert],
        exporter=Stores(told),
        async_eval=False,
    )
    with pytest.raises(peekr.GuardrailError):
        ask(server, f"leak to {MAIL}")
    # When the error is here, the span has been stored.
    line = json.loads(bare_telemetry.path.read_text("utf-8"))
    assert line["status"] == "error"
    assert line["attributes"]["guardrail_violations"]
    assert line["attributes"]["eval_scores"] == {"Hallucination": 0.9}
    assert MAIL not in json.dumps(line)
    assert MAIL not in evaluator.shown[0]
    assert SECRET not in evaluator.shown[0]
    assert alert.seen.wait(20)
    assert peekr.flush()
    assert MAIL not in json.dumps(alert.shown)
    assert alert.shown[0][0]["attributes"]["eval_scores"] == {"Hallucination": 0.9}
    assert alert.shown[0][0]["status"] == "error"
    assert told.index("evaluation") < told.index("alert")
    assert sorted(told) == ["alert", "evaluation", "storage"]


def test_guards_that_block_see_the_original(bare_telemetry: Telemetry, server: SimulatedProviders):
    bare_telemetry.instrument(guardrails=[PIIRedact(), Blocklist(terms=[MAIL])])
    sent = len(server.requests)
    with pytest.raises(peekr.GuardrailError, match=r"terms\[0\]"):
        ask(server, f"write to {MAIL}")
    assert len(server.requests) == sent
    assert MAIL not in json.dumps(bare_telemetry.record)


def test_default_blocklist_checks_both_sides(bare_telemetry: Telemetry, server: SimulatedProviders):
    bare_telemetry.instrument(guardrails=[Blocklist(terms=[SECRET])])
    sent = len(server.requests)
    with pytest.raises(peekr.GuardrailError, match="stopped the request"):
        ask(server, SECRET.upper())
    assert len(server.requests) == sent
    with pytest.raises(peekr.GuardrailError, match="withheld the answer"):
        ask(server, "leak")
    assert len(server.requests) == sent + 1
    first, second = bare_telemetry.records
    assert SECRET.upper() not in json.dumps(first)
    assert "[BLOCKED]" in json.dumps(first["attributes"]["input"])
    assert SECRET not in json.dumps(second)
    assert "[BLOCKED]" in second["attributes"]["output"]


# -- scores ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("case", CASES, ids=str)
@pytest.mark.parametrize("async_eval", [False, True])
async def test_unsupported_answer_is_withheld_and_the_score_is_stored(
    case: Case, bare_telemetry: Telemetry, server: SimulatedProviders, async_eval: bool
):
    bare_telemetry.instrument(
        guardrails=[HallucinationBlock(threshold=0.5)],
        evaluators=[Fixed(0.2)],
        async_eval=async_eval,
    )
    outcome = await call(case, server, "hello")
    assert isinstance(outcome.error, peekr.GuardrailError), outcome
    assert outcome.text == ""
    record = bare_telemetry.record
    assert record["status"] == "error"
    assert record["attributes"]["eval_scores"] == {"Hallucination": 0.2}
    assert record["attributes"]["guardrail_violations"] == [
        {"guard": "HallucinationBlock", "field": "output", "rule": "Hallucination 0.20 < 0.5"}
    ]
    assert record["attributes"]["error"] == str(outcome.error)
    # What the error carries is the span as it was stored.
    assert outcome.error.span.to_dict()["attributes"]["guardrail_violations"]
    assert outcome.error.span.status == "error"


@pytest.mark.parametrize("case", CASES, ids=str)
async def test_supported_answer_passes(
    case: Case, bare_telemetry: Telemetry, server: SimulatedProviders
):
    bare_telemetry.instrument(
        guardrails=[HallucinationBlock(threshold=0.5)], evaluators=[Fixed(0.5)], async_eval=False
    )
    assert await call(case, server, "hello") == (WORDS * 40, None)
    assert bare_telemetry.record["status"] == "ok"
    assert bare_telemetry.record["attributes"]["eval_scores"] == {"Hallucination": 0.5}


@pytest.mark.parametrize("async_eval", [False, True])
def test_warning_is_stored_and_the_answer_passes(
    bare_telemetry: Telemetry, server: SimulatedProviders, async_eval: bool
):
    bare_telemetry.instrument(
        guardrails=[HallucinationBlock(action="warn")],
        evaluators=[Fixed(0.1)],
        async_eval=async_eval,
    )
    assert ask(server, "hello").choices
    record = bare_telemetry.record
    assert record["status"] == "ok"
    assert record["attributes"]["guardrail_warnings"] == [
        {"guard": "HallucinationBlock", "field": "output", "rule": "Hallucination 0.10 < 0.5"}
    ]


def test_one_contradicted_claim_is_enough_in_detail(
    bare_telemetry: Telemetry, server: SimulatedProviders
):
    evaluator = Fixed(0.8)
    evaluator.details = [
        {"claim": "a", "verdict": "supported"},
        {"claim": "b", "verdict": "contradicted"},
    ]
    bare_telemetry.instrument(
        guardrails=[HallucinationBlock(detailed=True)], evaluators=[evaluator], async_eval=False
    )
    with pytest.raises(peekr.GuardrailError, match="1 of 2 claims contradicted"):
        ask(server, "hello")


@pytest.mark.parametrize("fail_closed", [False, True])
def test_answer_without_a_score_is_said_to_be_unchecked(
    bare_telemetry: Telemetry, server: SimulatedProviders, fail_closed: bool
):
    bare_telemetry.instrument(
        guardrails=[HallucinationBlock(fail_closed=fail_closed)],
        evaluators=[Fixed(None)],
        async_eval=False,
    )
    if fail_closed:
        with pytest.raises(peekr.GuardrailError, match="no score"):
            ask(server, "hello")
    else:
        ask(server, "hello")
    attributes = bare_telemetry.record["attributes"]
    assert attributes["guardrail_unchecked"] == [
        {"field": "output", "what": "no score", "guard": "HallucinationBlock"}
    ]
    assert "eval_scores" not in attributes
    assert ("guardrail_violations" in attributes) is fail_closed


def _nothing(span: Any) -> bool:
    return False


@pytest.mark.parametrize("fail_closed", [False, True])
def test_answer_that_is_not_evaluated_is_said_to_be_unchecked(
    bare_telemetry: Telemetry, server: SimulatedProviders, fail_closed: bool
):
    bare_telemetry.instrument(
        guardrails=[HallucinationBlock(fail_closed=fail_closed)],
        evaluators=[Fixed(0.1)],
        evaluate_filter=_nothing,
    )
    if fail_closed:
        with pytest.raises(peekr.GuardrailError, match="no score"):
            ask(server, "hello")
    else:
        ask(server, "hello")
    assert bare_telemetry.record["attributes"]["guardrail_unchecked"] == [
        {"field": "output", "what": "no score", "guard": "HallucinationBlock"}
    ]


def test_vectors_need_no_score(bare_telemetry: Telemetry, server: SimulatedProviders):
    bare_telemetry.instrument(
        guardrails=[HallucinationBlock(fail_closed=True)], evaluators=[Fixed(0.1)]
    )
    with make_client("sync", server.openai_url) as client:
        client.embeddings.create(model="text-embedding-3-small", input=["one"])
    assert "guardrail_unchecked" not in bare_telemetry.record["attributes"]


def test_judge_is_added_where_no_evaluator_gives_the_score(
    bare_telemetry: Telemetry, monkeypatch: pytest.MonkeyPatch
):
    def answer(question: str) -> Optional[str]:
        if "<answer>" in question:
            return '{"explanation": "Made up.", "score": 0.0}'
        return "The moon is made of cheese."

    with SimulatedProviders(answers=answer) as server:
        monkeypatch.setenv("OPENAI_BASE_URL", server.openai_url)
        monkeypatch.setenv("OPENAI_API_KEY", "x")
        bare_telemetry.instrument(guardrails=[HallucinationBlock()])
        with pytest.raises(peekr.GuardrailError, match="Hallucination"):
            ask(server, "What is the moon made of?")
        peekr.uninstrument()


@pytest.mark.parametrize("case", [c for c in CASES if c.mode == "async"], ids=str)
async def test_event_loop_goes_on_while_an_answer_is_judged(
    case: Case, bare_telemetry: Telemetry, server: SimulatedProviders
):
    judging, may_end = threading.Event(), threading.Event()

    class Waits(BaseEvaluator):
        name = "Hallucination"

        def evaluate(self, span: Any) -> float:
            judging.set()
            # Only the loop can let it end.
            return 1.0 if may_end.wait(30) else 0.0

    bare_telemetry.instrument(guardrails=[HallucinationBlock()], evaluators=[Waits()])
    asking = asyncio.ensure_future(call(case, server, "hello"))
    while not judging.is_set() and not asking.done():
        await asyncio.sleep(0.005)
    may_end.set()
    assert await asking == (WORDS * 40, None)


def test_scores_of_calls_at_once_are_not_mixed_up(
    bare_telemetry: Telemetry, server: SimulatedProviders
):
    def score(span: Any) -> float:
        return 0.0 if "bad" in json.dumps(span.attributes["input"]) else 1.0

    class ByQuestion(BaseEvaluator):
        name = "Hallucination"

        def evaluate(self, span: Any) -> float:
            return score(span)

    bare_telemetry.instrument(guardrails=[HallucinationBlock()], evaluators=[ByQuestion()])
    outcomes: Dict[int, bool] = {}

    def run(number: int) -> None:
        try:
            ask(server, f"{'bad' if number % 2 else 'good'} {number}")
            outcomes[number] = True
        except peekr.GuardrailError:
            outcomes[number] = False

    threads = [threading.Thread(target=run, args=(number,)) for number in range(12)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert outcomes == {number: number % 2 == 0 for number in range(12)}


@pytest.mark.parametrize("threshold", [-0.1, 1.1])
def test_threshold_outside_its_range_is_refused(threshold: float):
    with pytest.raises(ConfigurationError, match=r"outside 0\.0 to 1\.0"):
        HallucinationBlock(threshold=threshold)


def test_action_that_there_is_not_is_refused():
    with pytest.raises(ConfigurationError, match="none of 'raise', 'warn'"):
        HallucinationBlock(action="redact")
