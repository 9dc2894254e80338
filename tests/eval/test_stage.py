"""Evaluation in the pipeline: every output sees the scores, and nothing waits for ever."""

from __future__ import annotations

import json
import logging
import threading
from pathlib import Path
from typing import Any, Callable, Dict, Iterator, List

import pytest
from opentelemetry import _logs
from opentelemetry import trace as otel_trace
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import StatusCode

import peekr
from peekr import eval as peekr_eval
from peekr.eval import BaseEvaluator, Judge, NoError, NotEmpty, Rubric
from peekr.pipeline import evaluate as stage_module
from peekr.pipeline import evaluation_job
from peekr.pipeline.evaluate import EvaluationStage
from tests.conftest import Telemetry, attributes_of

from .judges import JudgeServer

CHAT = {"gen_ai.operation.name": "chat", "gen_ai.provider.name": "openai"}
IO = {
    "gen_ai.input.messages": json.dumps(
        [{"role": "user", "parts": [{"type": "text", "content": "Hm?"}]}]
    ),
    "gen_ai.output.messages": json.dumps(
        [{"role": "assistant", "parts": [{"type": "text", "content": "Yes."}]}]
    ),
}


def end_chat(telemetry: Telemetry, **attributes: Any) -> None:
    telemetry.tracer.start_span("chat", attributes={**CHAT, **IO, **attributes}).end()


def half(span: Any) -> float:
    return 0.5


class Held(BaseEvaluator):
    """An evaluator that waits until the test lets it go on."""

    def __init__(self) -> None:
        self.reached = threading.Event()
        self.release = threading.Event()

    def evaluate(self, span: Any) -> float:
        self.reached.set()
        assert self.release.wait(60)
        return 1.0


@pytest.fixture
def held() -> Iterator[Held]:
    made = Held()
    yield made
    made.release.set()


# -- where scores are seen -------------------------------------------------------------------------


@pytest.mark.parametrize("async_eval", [True, False])
def test_every_output_sees_the_scores(tmp_path: Path, async_eval: bool) -> None:
    seen: List[Any] = []

    class Exporter:
        def export(self, span: Any) -> None:
            seen.append(span)

    def explained(span: Any) -> peekr_eval.Score:
        return peekr_eval.Score(0.25, "A quarter.", label="poor", details=[{"claim": "a"}])

    def broken(span: Any) -> float:
        raise ValueError("no\nway")

    peekr.instrument(
        console=False,
        evaluators=[half, explained, broken],
        async_eval=async_eval,
        storage="both",
        jsonl_path=tmp_path / "t.jsonl",
        db_path=tmp_path / "t.db",
        exporter=Exporter(),
    )
    # The application's own exporter, on the provider that Peekr made.
    provider: Any = otel_trace.get_tracer_provider()
    memory = InMemorySpanExporter()
    provider.add_span_processor(SimpleSpanProcessor(memory))
    attributes = {**CHAT, **IO, "gen_ai.response.id": "r1"}
    provider.get_tracer("test").start_span("chat", attributes=attributes).end()
    assert peekr.flush()
    expected = {
        "eval_scores": {"half": 0.5, "explained": 0.25},
        "eval_explanations": {"explained": "A quarter."},
        "eval_errors": {"broken": "ValueError: no way"},
        "hallucination_details": [{"claim": "a"}],
    }
    (line,) = (tmp_path / "t.jsonl").read_text().splitlines()
    stored = json.loads(line)["attributes"]
    assert {name: stored[name] for name in expected} == expected
    assert "events" not in stored
    assert seen[0].attributes["eval_scores"] == expected["eval_scores"]
    assert len(seen) == 1
    rows = peekr.SQLiteExporter(tmp_path / "t.db").query("SELECT attributes FROM spans")
    assert json.loads(rows[0]["attributes"]) == stored
    (span,) = memory.get_finished_spans()
    assert json.loads(attributes_of(span)["peekr.eval.scores"]) == expected["eval_scores"]
    assert peekr_eval.scores_of(span) == peekr_eval.scores_of(seen[0]) == expected["eval_scores"]
    assert [(e.name, dict(e.attributes or {})) for e in span.events] == [
        (
            "gen_ai.evaluation.result",
            {
                "gen_ai.evaluation.name": "half",
                "gen_ai.evaluation.score.value": 0.5,
                "gen_ai.response.id": "r1",
            },
        ),
        (
            "gen_ai.evaluation.result",
            {
                "gen_ai.evaluation.name": "explained",
                "gen_ai.evaluation.score.value": 0.25,
                "gen_ai.evaluation.score.label": "poor",
                "gen_ai.evaluation.explanation": "A quarter.",
                "gen_ai.response.id": "r1",
            },
        ),
        (
            "gen_ai.evaluation.result",
            {
                "gen_ai.evaluation.name": "broken",
                "error.type": "ValueError",
                "gen_ai.evaluation.explanation": "ValueError: no way",
                "gen_ai.response.id": "r1",
            },
        ),
    ]
    provider.shutdown()


def test_scores_are_log_records_where_logs_are_set_up(
    telemetry: Telemetry, monkeypatch: pytest.MonkeyPatch
) -> None:
    sdk = pytest.importorskip("opentelemetry.sdk._logs")
    export = pytest.importorskip("opentelemetry.sdk._logs.export")
    if not hasattr(sdk, "ReadWriteLogRecord"):
        pytest.skip("an OpenTelemetry whose log records are no events yet")
    memory = export.InMemoryLogRecordExporter()
    provider = sdk.LoggerProvider(shutdown_on_exit=False)
    provider.add_log_record_processor(export.SimpleLogRecordProcessor(memory))
    monkeypatch.setattr(_logs, "get_logger_provider", lambda: provider)
    telemetry.instrument(evaluators=[half])
    end_chat(telemetry)
    assert peekr.flush()
    (logged,) = memory.get_finished_logs()
    record = logged.log_record
    context = telemetry.span.get_span_context()
    assert context is not None
    assert record.event_name == "gen_ai.evaluation.result"
    assert (record.trace_id, record.span_id) == (context.trace_id, context.span_id)
    assert dict(record.attributes) == {
        "gen_ai.evaluation.name": "half",
        "gen_ai.evaluation.score.value": 0.5,
    }
    provider.shutdown()


def test_a_score_is_found_by_its_span(telemetry: Telemetry) -> None:
    telemetry.instrument(evaluators=[half], async_eval=False)
    end_chat(telemetry)
    context = telemetry.span.get_span_context()
    assert context is not None
    ids = (format(context.trace_id, "032x"), format(context.span_id, "016x"))
    assert peekr_eval.given(*ids) == {"half": 0.5}
    assert peekr_eval.given("0" * 32, "0" * 16) == {}


# -- when ------------------------------------------------------------------------------------------


def test_in_the_background_the_record_waits_and_the_application_does_not(
    telemetry: Telemetry, held: Held
) -> None:
    telemetry.instrument(evaluators=[held])
    end_chat(telemetry)
    assert held.reached.wait(20)
    assert telemetry.path.read_text() == ""
    assert not peekr.flush(0.05)
    held.release.set()
    assert telemetry.record["attributes"]["eval_scores"] == {"Held": 1.0}


def test_without_the_background_the_record_is_there_when_the_span_has_ended(
    telemetry: Telemetry,
) -> None:
    telemetry.instrument(evaluators=[half], async_eval=False)
    end_chat(telemetry)
    (line,) = telemetry.path.read_text().splitlines()
    assert json.loads(line)["attributes"]["eval_scores"] == {"half": 0.5}


def test_a_root_waits_for_the_spans_of_its_trace(telemetry: Telemetry, held: Held) -> None:
    telemetry.instrument(evaluators=[held])
    with telemetry.tracer.start_as_current_span("root"):
        end_chat(telemetry)
        with telemetry.tracer.start_as_current_span("between"):
            pass
    with telemetry.tracer.start_as_current_span("other root"):
        pass
    assert held.reached.wait(20)
    names = [json.loads(line)["name"] for line in telemetry.path.read_text().splitlines()]
    assert names == ["between", "other root"]
    held.release.set()
    assert [r["name"] for r in telemetry.records] == ["between", "other root", "chat", "root"]


def test_a_trace_that_failed_is_kept_with_its_scores(telemetry: Telemetry) -> None:
    telemetry.instrument(evaluators=[half], sample_rate=0.0)
    for failing in (True, False):
        with telemetry.tracer.start_as_current_span("root") as root:
            end_chat(telemetry)
            if failing:
                root.set_status(StatusCode.ERROR, "no")
    assert [r["name"] for r in telemetry.records] == ["chat", "root"]
    assert telemetry.records[0]["attributes"]["eval_scores"] == {"half": 0.5}


def test_many_spans_are_each_scored_and_stored_once(telemetry: Telemetry) -> None:
    async def numbered(span: Any) -> float:
        return span.attributes["number"] / 1000

    telemetry.instrument(evaluators=[numbered, half, NotEmpty()])

    def work(begin: int) -> None:
        for number in range(begin, begin + 50):
            with telemetry.tracer.start_as_current_span("root"):
                end_chat(telemetry, number=number)

    threads = [threading.Thread(target=work, args=(begin,)) for begin in (0, 50, 100, 150)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    records = telemetry.records
    chats = [record["attributes"] for record in records if record["name"] == "chat"]
    assert sorted(chat["number"] for chat in chats) == list(range(200))
    for chat in chats:
        wanted = {"numbered": chat["number"] / 1000, "half": 0.5, "NotEmpty": 1.0}
        assert chat["eval_scores"] == wanted
    assert len(records) == 400
    places = {r["span_id"]: place for place, r in enumerate(records)}
    for place, record in enumerate(records):
        assert record["parent_id"] is None or places[record["parent_id"]] > place


# -- which -----------------------------------------------------------------------------------------


def test_model_calls_that_generate_are_evaluated(telemetry: Telemetry) -> None:
    telemetry.instrument(evaluators=[half])
    for operation in ("chat", "text_completion", "generate_content", "embeddings", "execute_tool"):
        attributes = {**CHAT, "gen_ai.operation.name": operation}
        telemetry.tracer.start_span(operation, attributes=attributes).end()
    telemetry.tracer.start_span("plain").end()
    end_chat(telemetry, **{"peekr.internal": True})
    scored = [r["name"] for r in telemetry.records if "eval_scores" in r["attributes"]]
    assert sorted(scored) == ["chat", "generate_content", "text_completion"]


def test_the_filter_chooses(telemetry: Telemetry) -> None:
    seen: List[str] = []

    def chosen(span: Any) -> bool:
        seen.append(span.name)
        return span.name == "plain"

    telemetry.instrument(evaluators=[half], evaluate_filter=chosen)
    telemetry.tracer.start_span("plain").end()
    end_chat(telemetry)
    end_chat(telemetry, **{"peekr.internal": True})
    scored = [r["name"] for r in telemetry.records if "eval_scores" in r["attributes"]]
    assert scored == ["plain"]
    assert seen == ["plain", "chat"]


def test_a_filter_that_raises_is_said_and_evaluates_nothing(
    telemetry: Telemetry, caplog: pytest.LogCaptureFixture
) -> None:
    def chosen(span: Any) -> bool:
        raise ValueError("no")

    telemetry.instrument(evaluators=[half], evaluate_filter=chosen)
    with caplog.at_level(logging.WARNING, logger="peekr.eval"):
        end_chat(telemetry)
        end_chat(telemetry)
    assert len(telemetry.records) == 2
    assert [r for r in telemetry.records if "eval_scores" in r["attributes"]] == []
    assert len([r for r in caplog.records if "evaluate_filter" in r.message]) == 1


def test_without_content_there_is_an_error_and_no_score(telemetry: Telemetry) -> None:
    pytest.importorskip("openai")
    telemetry.instrument(evaluators=[NotEmpty(), NoError()], capture_content=False)
    telemetry.tracer.start_span("chat", attributes=CHAT).end()
    attributes = telemetry.record["attributes"]
    assert attributes["eval_scores"] == {"NoError": 1.0}
    assert attributes["eval_errors"] == {"NotEmpty": "the record holds neither input nor output"}


def test_a_failed_call_is_evaluated(telemetry: Telemetry) -> None:
    telemetry.instrument(evaluators=[NoError(), NotEmpty(), Rubric("x", lambda prompt: 1.0)])
    span = telemetry.tracer.start_span("chat", attributes=CHAT)
    span.set_attribute("gen_ai.input.messages", IO["gen_ai.input.messages"])
    span.set_status(StatusCode.ERROR, "429")
    span.end()
    attributes = telemetry.record["attributes"]
    assert attributes["eval_scores"] == {"NoError": 0.0, "NotEmpty": 0.0}
    assert "eval_errors" not in attributes


def test_what_an_evaluator_changes_is_not_stored(telemetry: Telemetry) -> None:
    def changing(span: Any) -> float:
        span.attributes["input"] = "changed"
        span.attributes["mine"] = 1
        return 1.0

    telemetry.instrument(evaluators=[changing, half])
    end_chat(telemetry)
    attributes = telemetry.record["attributes"]
    assert attributes["input"] == [{"role": "user", "content": "Hm?"}]
    assert "mine" not in attributes


def test_evaluators_see_what_redaction_left(telemetry: Telemetry) -> None:
    from peekr.guard import PIIRedact

    seen: List[str] = []

    def judge(prompt: str) -> float:
        seen.append(prompt)
        return 1.0

    telemetry.instrument(guardrails=[PIIRedact()], evaluators=[Rubric("x", judge)])
    text = [{"role": "user", "parts": [{"type": "text", "content": "I am a@example.com"}]}]
    end_chat(telemetry, **{"gen_ai.input.messages": json.dumps(text)})
    assert "eval_scores" in telemetry.record["attributes"]
    assert "[EMAIL]" in seen[0]
    assert "a@example.com" not in seen[0]


def test_what_evaluators_say_is_redacted_too(telemetry: Telemetry) -> None:
    from peekr.guard import PIIRedact

    def quoting(span: Any) -> peekr_eval.Score:
        claim = {"claim": "It is b@example.com.", "verdict": "supported"}
        return peekr_eval.Score(0.5, "As c@example.com wrote.", details=[claim])

    def failing(span: Any) -> float:
        raise ValueError("d@example.com is gone")

    telemetry.instrument(guardrails=[PIIRedact()], evaluators=[quoting, failing])
    end_chat(telemetry)
    attributes = telemetry.record["attributes"]
    assert attributes["eval_scores"] == {"quoting": 0.5}
    assert attributes["eval_explanations"] == {"quoting": "As [EMAIL] wrote."}
    assert attributes["eval_errors"] == {"failing": "ValueError: [EMAIL] is gone"}
    assert attributes["hallucination_details"][0]["claim"] == "It is [EMAIL]."
    assert "@" not in telemetry.path.read_text()


@pytest.mark.parametrize("async_eval", [True, False])
def test_redaction_then_evaluation_then_alerts_then_storage(
    telemetry: Telemetry, async_eval: bool
) -> None:
    from peekr.guard import PIIRedact

    seen: List[str] = []

    def evaluating(span: Any) -> float:
        seen.append(f"evaluated {span.attributes['input'][0]['content']}")
        assert telemetry.path.read_text() == ""
        return 0.5

    def alerting(trace: Any) -> None:
        seen.append(f"alerts {[record.attributes.get('eval_scores') for record in trace]}")

    # Whatever their order in the call.
    telemetry.instrument(
        alerts=[alerting], evaluators=[evaluating], guardrails=[PIIRedact()], async_eval=async_eval
    )
    text = [{"role": "user", "parts": [{"type": "text", "content": "I am a@example.com"}]}]
    with telemetry.tracer.start_as_current_span("root"):
        end_chat(telemetry, **{"gen_ai.input.messages": json.dumps(text)})
    names = [record["name"] for record in telemetry.records]
    assert names == ["chat", "root"]
    assert seen == ["evaluated I am [EMAIL]", "alerts [{'evaluating': 0.5}, None]"]


# -- judges' own calls -----------------------------------------------------------------------------


@pytest.mark.parametrize("async_eval", [True, False])
def test_a_judges_calls_are_internal_traces_and_not_evaluated(
    telemetry: Telemetry, simulated: Any, async_eval: bool
) -> None:
    openai = pytest.importorskip("openai")
    with JudgeServer(lambda body: {"explanation": "", "score": 0.5}) as server:
        judge = Judge("openai", "judge-1", base_url=server.openai_url)
        telemetry.instrument(
            evaluators=[Rubric("Is polite.", judge)],
            async_eval=async_eval,
            tenant_id="acme",
            retention_class="pii",
        )
        client = openai.OpenAI(base_url=simulated.openai_url, api_key="k", max_retries=0)
        with peekr.session(user_id="ada", tenant_id="beta"):
            client.chat.completions.create(
                model="gpt-4o-mini", messages=[{"role": "user", "content": "Hello"}]
            )
        client.close()
        records = telemetry.records
    assert len(server.requests) == 1
    by_model = {record["attributes"]["model"]: record for record in records}
    assert len(records) == 2
    call, asked = by_model["gpt-4o-mini"], by_model["judge-1"]
    assert call["attributes"]["eval_scores"] == {"Rubric": 0.5}
    assert "peekr.internal" not in call["attributes"]
    assert asked["attributes"]["peekr.internal"] is True
    assert asked["trace_id"] != call["trace_id"]
    assert asked["parent_id"] is None
    assert "user_id" not in asked["attributes"]
    # The same content: on the same behalf, and to be kept as long.
    assert (asked["tenant_id"], asked["retention_class"]) == ("beta", "pii")
    assert "eval_scores" not in asked["attributes"]


@pytest.mark.parametrize("async_eval", [True, False])
def test_a_judges_calls_are_neither_guarded_nor_counted(
    telemetry: Telemetry, simulated: Any, async_eval: bool
) -> None:
    openai = pytest.importorskip("openai")
    from peekr.alert import BudgetAlert
    from peekr.guard import Blocklist

    budget = BudgetAlert(limit_usd=1.0)
    with JudgeServer(lambda body: {"explanation": "forbidden", "score": 0.5}) as server:
        judge = Judge("openai", "gpt-4o", base_url=server.openai_url)
        telemetry.instrument(
            evaluators=[Rubric("Says nothing that is forbidden.", judge)],
            guardrails=[Blocklist(terms=["forbidden"])],
            budget_alert=budget,
            async_eval=async_eval,
        )
        with openai.OpenAI(base_url=simulated.openai_url, api_key="k", max_retries=0) as client:
            client.chat.completions.create(
                model="gpt-4o-mini", messages=[{"role": "user", "content": "Hello"}]
            )
        records = telemetry.records
    scored = [r["attributes"] for r in records if "peekr.internal" not in r["attributes"]]
    assert scored[0]["eval_scores"] == {"Rubric": 0.5}
    assert budget.spent == pytest.approx(scored[0]["cost_usd"])
    assert judge.spent_usd > 10 * budget.spent


def test_a_call_of_ones_own_evaluator_is_internal_too(telemetry: Telemetry, simulated: Any) -> None:
    openai = pytest.importorskip("openai")

    async def asking(span: Any) -> float:
        async with openai.AsyncOpenAI(base_url=simulated.openai_url, api_key="k") as client:
            await client.chat.completions.create(
                model="gpt-4o-mini", messages=[{"role": "user", "content": "Is it?"}]
            )
        return 1.0

    telemetry.instrument(evaluators=[asking])
    end_chat(telemetry)
    records = telemetry.records
    assert len(records) == 2
    assert [r["attributes"].get("peekr.internal", False) for r in records] == [True, False]


# -- bounds ----------------------------------------------------------------------------------------


def test_what_is_beyond_the_bound_is_stored_at_once_and_says_so(
    telemetry: Telemetry, held: Held, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stage_module, "MAX_SPANS", 1)
    telemetry.instrument(evaluators=[held])
    end_chat(telemetry)
    assert held.reached.wait(20)
    end_chat(telemetry)
    (line,) = telemetry.path.read_text().splitlines()
    assert json.loads(line)["attributes"]["eval_errors"] == {
        "Held": "not evaluated: 1 spans were waiting for their scores already"
    }
    held.release.set()
    assert len(telemetry.records) == 2


@pytest.mark.parametrize("async_eval", [True, False])
def test_a_span_whose_evaluator_hangs_goes_on_without_it(
    telemetry: Telemetry, held: Held, monkeypatch: pytest.MonkeyPatch, async_eval: bool
) -> None:
    for module in (stage_module, evaluation_job):
        monkeypatch.setattr(module, "MAX_DELAY_S", 0.1)
    monkeypatch.setattr(stage_module, "_TICK_S", 0.01)
    telemetry.instrument(evaluators=[half, held], async_eval=async_eval)
    end_chat(telemetry)
    attributes = telemetry.record["attributes"]
    assert attributes["eval_scores"] == {"half": 0.5}
    assert attributes["eval_errors"] == {"Held": "not evaluated: it was not done within 0.1 s"}
    held.release.set()
    end_chat(telemetry)
    assert telemetry.records[1]["attributes"]["eval_scores"] == {"half": 0.5, "Held": 1.0}
    assert len(telemetry.records) == 2


def test_evaluators_that_hang_take_no_places_from_others(
    telemetry: Telemetry, held: Held, monkeypatch: pytest.MonkeyPatch
) -> None:
    for module in (stage_module, evaluation_job):
        monkeypatch.setattr(module, "MAX_DELAY_S", 0.2)
    monkeypatch.setattr(stage_module, "_TICK_S", 0.01)
    monkeypatch.setattr(stage_module, "MAX_WORKERS", 1)
    monkeypatch.setattr(stage_module, "_MAX_STUCK", 2)
    telemetry.instrument(evaluators=[held])
    for _ in range(3):
        end_chat(telemetry)
        assert peekr.flush()
    errors = [record["attributes"]["eval_errors"]["Held"] for record in telemetry.records]
    late = "not evaluated: it was not done within 0.2 s"
    assert errors == [late, late, "not evaluated: evaluators hang"]


def test_taking_peekr_away_stores_what_waits_and_says_so(
    telemetry: Telemetry,
    held: Held,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    monkeypatch.setattr("peekr.bootstrap._EXIT_TIMEOUT_S", 0.1)
    telemetry.instrument(evaluators=[half, held])
    end_chat(telemetry)
    with caplog.at_level(logging.WARNING, logger="peekr.eval"):
        peekr.uninstrument()
    (line,) = telemetry.path.read_text().splitlines()
    attributes = json.loads(line)["attributes"]
    assert attributes["eval_scores"] == {"half": 0.5}
    reason = "evaluation was switched off before there was a score"
    assert attributes["eval_errors"] == {"Held": f"not evaluated: {reason}"}
    assert [r.message for r in caplog.records] == [
        f"peekr: 1 span was stored without its scores: {reason}"
    ]
    held.release.set()


def test_an_evaluator_may_flush(telemetry: Telemetry) -> None:
    def flushing(span: Any) -> float:
        return float(peekr.flush(20))

    telemetry.instrument(evaluators=[flushing])
    end_chat(telemetry)
    assert telemetry.record["attributes"]["eval_scores"] == {"flushing": 1.0}


def test_without_threads_a_span_goes_on_unscored(
    telemetry: Telemetry, monkeypatch: pytest.MonkeyPatch
) -> None:
    def none(run: Callable[[Any], None], argument: Any) -> bool:
        return False

    monkeypatch.setattr(stage_module, "_started", none)
    telemetry.instrument(evaluators=[half])
    end_chat(telemetry)
    attributes = telemetry.record["attributes"]
    assert attributes["eval_errors"] == {"half": "not evaluated: no thread could be started"}


def test_changing_the_settings_loses_nothing(telemetry: Telemetry) -> None:
    telemetry.instrument(evaluators=[half])
    for _ in range(20):
        end_chat(telemetry)
    telemetry.instrument(evaluators=[NoError()])
    end_chat(telemetry)
    names = [name for r in telemetry.records for name in r["attributes"]["eval_scores"]]
    assert sorted(names) == ["NoError", *["half"] * 20]


def test_wrong_evaluators_are_refused_by_name(telemetry: Telemetry) -> None:
    with pytest.raises(TypeError, match="NotEmpty"):
        telemetry.instrument(evaluators=[NotEmpty])
    with pytest.raises(TypeError, match="evaluators"):
        EvaluationStage([3])


def test_a_stream_is_evaluated_when_it_has_ended(telemetry: Telemetry, simulated: Any) -> None:
    openai = pytest.importorskip("openai")
    seen: Dict[str, Any] = {}

    def reading(span: Any) -> float:
        seen.update(span.attributes)
        return 1.0

    telemetry.instrument(evaluators=[reading])
    with openai.OpenAI(base_url=simulated.openai_url, api_key="k") as client:
        stream = client.chat.completions.create(
            model="gpt-4o-mini", messages=[{"role": "user", "content": "Say yes."}], stream=True
        )
        for _ in stream:
            pass
    assert telemetry.record["attributes"]["eval_scores"] == {"reading": 1.0}
    assert seen["output"] == "Yes."
