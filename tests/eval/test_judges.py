"""Judges behind the real SDKs, over loopback: what they are asked, and what becomes of failures."""

from __future__ import annotations

import threading
from typing import Any, Dict, List, Tuple, Type

import pytest

from peekr.errors import ConfigurationError, EvaluationError
from peekr.eval import Hallucination, Judge, Rubric, Score
from peekr.eval.backends import choose_provider

from .judges import Answer, JudgeServer, error
from .records import chat

GOOD: Dict[str, Any] = {"explanation": "Polite.", "score": 0.8}
CALL = chat("Hello?", "Hello, how may I help?")


def judge_of(provider: str, server: JudgeServer, **options: Any) -> Judge:
    pytest.importorskip(provider)
    url = server.openai_url if provider == "openai" else server.anthropic_url
    return Judge(provider, "judge-1", base_url=url, api_key="k", **options)


@pytest.fixture(params=["openai", "anthropic"])
def provider(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def test_a_rubric_gives_the_judges_score_and_reason(provider: str) -> None:
    with JudgeServer(lambda body: GOOD) as server:
        score = Rubric("Is polite.", judge_of(provider, server)).evaluate(CALL)
    assert score == 0.8
    assert isinstance(score, Score)
    assert score.explanation == "Polite."
    (asked,) = server.requests
    assert asked["model"] == "judge-1"
    assert asked["temperature"] == 0
    text = str(asked)
    assert "Is polite." in text
    assert "Hello?" in text
    assert "how may I help?" in text


def test_openai_is_asked_for_the_schema() -> None:
    with JudgeServer(lambda body: GOOD) as server:
        Rubric("Is polite.", judge_of("openai", server)).evaluate(CALL)
    wanted = server.requests[0]["response_format"]
    assert wanted["type"] == "json_schema"
    assert wanted["json_schema"]["strict"] is True
    assert wanted["json_schema"]["schema"]["required"] == ["explanation", "score"]


def test_anthropic_is_asked_to_call_a_tool() -> None:
    with JudgeServer(lambda body: GOOD) as server:
        Rubric("Is polite.", judge_of("anthropic", server)).evaluate(CALL)
    (asked,) = server.requests
    assert asked["tool_choice"] == {"type": "tool", "name": "verdict"}
    assert asked["tools"][0]["input_schema"]["required"] == ["explanation", "score"]


def test_text_from_either_is_understood(provider: str) -> None:
    with JudgeServer(lambda body: 'Well: {"score": 0.3, "explanation": "x"}') as server:
        assert Rubric("Is polite.", judge_of(provider, server)).evaluate(CALL) == 0.3


def test_a_server_that_knows_no_schema_is_asked_with_less() -> None:
    def answer(body: Dict[str, Any]) -> Answer:
        kind = body.get("response_format", {}).get("type")
        if kind is not None:
            return 400, error(f"response_format {kind} is not supported")
        if "temperature" in body:
            return 400, error("Unsupported value: 'temperature' does not support 0")
        return '{"score": 0.5}'

    with JudgeServer(answer) as server:
        rubric = Rubric("Is polite.", judge_of("openai", server))
        assert rubric.evaluate(CALL) == 0.5
        assert len(server.requests) == 4
        # What was found out once is not tried again.
        assert rubric.evaluate(chat("Another?", "Yes.")) == 0.5
        assert len(server.requests) == 5


def test_anthropic_models_that_take_no_forced_tool_or_temperature_answer_in_text() -> None:
    def answer(body: Dict[str, Any]) -> Answer:
        if "tool_choice" in body:
            return 400, error("tool_choice: forced tools are not supported by this model")
        if "temperature" in body:
            return 400, error("`temperature` is deprecated for this model.")
        return '{"score": 0.5}'

    with JudgeServer(answer) as server:
        assert Rubric("Is polite.", judge_of("anthropic", server)).evaluate(CALL) == 0.5


@pytest.mark.parametrize("status", [429, 500, 503])
def test_what_fails_for_the_moment_is_tried_again(provider: str, status: int) -> None:
    answers: List[Answer] = [GOOD, (status, error("later")), (status, error("later"))]
    with JudgeServer(lambda body: answers.pop()) as server:
        assert Rubric("Is polite.", judge_of(provider, server)).evaluate(CALL) == 0.8
    assert len(server.requests) == 3


def test_an_answer_that_cannot_be_used_is_asked_for_again(provider: str) -> None:
    answers: List[Answer] = [GOOD, "I would rather not say."]
    with JudgeServer(lambda body: answers.pop()) as server:
        assert Rubric("Is polite.", judge_of(provider, server)).evaluate(CALL) == 0.8


FAILURES: Dict[str, Tuple[Answer, str]] = {
    "refused key": ((401, error("invalid key")), "AuthenticationError.*invalid key"),
    "failing": ((500, error("broken")), "InternalServerError.*broken"),
    "bad request": ((400, error("no such model")), "BadRequestError.*no such model"),
    "no verdict": ("Hmm.", "no usable answer: Hmm."),
    "empty": ("", "no usable answer: it is empty"),
    "out of range": ({"score": 11, "explanation": ""}, "outside 0 to 1"),
}


@pytest.mark.parametrize(("answer", "message"), FAILURES.values(), ids=list(FAILURES))
def test_a_judge_that_fails_is_an_error_and_never_a_score(
    provider: str, answer: Answer, message: str
) -> None:
    with JudgeServer(lambda body: answer) as server:
        rubric = Rubric("Is polite.", judge_of(provider, server, max_retries=1))
        with pytest.raises(EvaluationError, match=message) as raised:
            rubric.evaluate(CALL)
    assert "\n" not in str(raised.value)


def test_a_judge_that_does_not_answer_in_time_is_an_error(provider: str) -> None:
    gone = threading.Event()

    def answer(body: Dict[str, Any]) -> Answer:
        gone.wait(30)
        return GOOD

    with JudgeServer(answer) as server:
        rubric = Rubric("Is polite.", judge_of(provider, server, timeout_s=0.2, max_retries=0))
        with pytest.raises(EvaluationError, match="Timeout"):
            rubric.evaluate(CALL)
        gone.set()


def test_a_server_that_is_not_there_is_an_error(provider: str) -> None:
    with JudgeServer(lambda body: GOOD) as server:
        judge = judge_of(provider, server, max_retries=0)
    with pytest.raises(EvaluationError, match="ConnectionError"):
        Rubric("Is polite.", judge).evaluate(CALL)


def test_no_more_questions_are_under_way_than_allowed() -> None:
    both = threading.Barrier(2, timeout=20)

    def answer(body: Dict[str, Any]) -> Answer:
        both.wait()
        return GOOD

    with JudgeServer(answer) as server:
        rubric = Rubric("Is polite.", judge_of("openai", server, max_concurrency=2))
        threads = [
            threading.Thread(target=rubric.evaluate, args=(chat(f"Question {n}", "Yes."),))
            for n in range(6)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(20)
    assert len(server.requests) == 6
    assert server.most_at_once == 2


def test_the_budget_ends_the_questions(provider: str) -> None:
    pytest.importorskip(provider)
    model = "gpt-4o-mini" if provider == "openai" else "claude-haiku-4-5"
    with JudgeServer(lambda body: GOOD) as server:
        url = server.openai_url if provider == "openai" else server.anthropic_url
        judge = Judge(provider, model, base_url=url, api_key="k", max_cost_usd=0.0003)
        rubric = Rubric("Is polite.", judge)
        while judge.spent_usd < 0.0003:
            assert rubric.evaluate(chat(f"Question {len(server.requests)}", "Yes.")) == 0.8
        with pytest.raises(EvaluationError, match=r"budget of \$0.0003 is spent"):
            rubric.evaluate(chat("One more", "Yes."))
    # 1,000 tokens in and 100 out a question.
    price = 0.00021 if provider == "openai" else 0.0015
    assert judge.spent_usd == pytest.approx(len(server.requests) * price)
    assert len(server.requests) == (2 if provider == "openai" else 1)


def test_the_same_question_is_asked_once() -> None:
    with JudgeServer(lambda body: GOOD) as server:
        first = Rubric("Is polite.", judge_of("openai", server))
        second = Rubric("Is polite.", judge_of("openai", server))
        assert first.evaluate(CALL) == second.evaluate(CALL) == 0.8
        assert len(server.requests) == 1
        Rubric("Is short.", judge_of("openai", server)).evaluate(CALL)
        first.evaluate(chat("Hello?", "Go away."))
        assert len(server.requests) == 3


def test_those_who_ask_the_same_at_once_share_the_answer() -> None:
    reached, release = threading.Event(), threading.Event()

    def answer(body: Dict[str, Any]) -> Answer:
        reached.set()
        release.wait(20)
        return GOOD

    with JudgeServer(answer) as server:
        rubric = Rubric("Is polite.", judge_of("openai", server))
        threads = [threading.Thread(target=rubric.evaluate, args=(CALL,)) for _ in range(3)]
        for thread in threads:
            thread.start()
        assert reached.wait(20)
        release.set()
        for thread in threads:
            thread.join(20)
    assert len(server.requests) == 1


def test_a_failure_is_not_kept() -> None:
    answers: List[Answer] = [GOOD, (401, error("no"))]
    with JudgeServer(lambda body: answers.pop()) as server:
        rubric = Rubric("Is polite.", judge_of("openai", server))
        with pytest.raises(EvaluationError):
            rubric.evaluate(CALL)
        assert rubric.evaluate(CALL) == 0.8


# -- functions -------------------------------------------------------------------------------------


def test_a_function_may_judge() -> None:
    prompts: List[str] = []

    def judge(prompt: str) -> Dict[str, Any]:
        prompts.append(prompt)
        return GOOD

    assert Rubric("Is polite.", judge_provider=judge).evaluate(CALL) == 0.8
    assert "Is polite." in prompts[0]
    assert "how may I help?" in prompts[0]


def test_a_coroutine_function_may_judge() -> None:
    async def judge(prompt: str) -> float:
        return 0.25

    assert Rubric("Is polite.", judge_provider=judge).evaluate(CALL) == 0.25


def test_a_function_that_fails_is_tried_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("peekr.eval.judge._PAUSE_S", 0.0)
    calls: List[str] = []

    def judge(prompt: str) -> float:
        calls.append(prompt)
        if len(calls) < 3:
            raise ConnectionError("not now")
        return 0.5

    assert Rubric("Is polite.", judge_provider=judge).evaluate(CALL) == 0.5
    calls.clear()
    with pytest.raises(EvaluationError, match="the judge failed: ConnectionError: not now"):
        Rubric("Is short.", Judge(judge, max_retries=1)).evaluate(CALL)


# -- who judges ------------------------------------------------------------------------------------


def test_the_one_whose_key_is_there_judges(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("openai")
    pytest.importorskip("anthropic")
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    monkeypatch.delenv("ANTHROPIC_API_KEY", raising=False)
    with pytest.raises(EvaluationError, match="OPENAI_API_KEY or ANTHROPIC_API_KEY"):
        Rubric("Is polite.").evaluate(CALL)
    monkeypatch.setenv("ANTHROPIC_API_KEY", "k")
    assert choose_provider() == "anthropic"
    monkeypatch.setenv("OPENAI_API_KEY", "k")
    assert choose_provider() == "openai"


def test_a_server_of_ones_own_needs_no_key(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("openai")
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    with JudgeServer(lambda body: GOOD) as server:
        rubric = Rubric("Is polite.", model="llama3", base_url=server.openai_url)
        assert rubric.evaluate(CALL) == 0.8
    assert server.requests[0]["model"] == "llama3"


WRONG: Dict[str, Tuple[Dict[str, Any], Type[Exception]]] = {
    "provider": ({"provider": "opnai"}, ConfigurationError),
    "kind": ({"provider": 3}, TypeError),
    "timeout": ({"timeout_s": 0}, ConfigurationError),
    "retries": ({"max_retries": -1}, ConfigurationError),
    "concurrency": ({"max_concurrency": 0}, ConfigurationError),
    "cost": ({"max_cost_usd": -1}, ConfigurationError),
}


@pytest.mark.parametrize(("arguments", "kind"), WRONG.values(), ids=list(WRONG))
def test_what_cannot_be_a_judge_is_refused(
    arguments: Dict[str, Any], kind: Type[Exception]
) -> None:
    with pytest.raises(kind):
        Judge(**arguments)


def test_a_judge_and_a_model_beside_it_are_refused() -> None:
    with pytest.raises(ConfigurationError):
        Hallucination(judge_provider=Judge("openai"), model="gpt-4o")
    with pytest.raises(ConfigurationError, match="criteria"):
        Rubric(" ")


def test_the_key_is_not_shown() -> None:
    judge = Judge("openai", "gpt-4o-mini", api_key="sk-secret")
    assert "secret" not in repr(judge)
    assert "gpt-4o-mini" in repr(judge)
