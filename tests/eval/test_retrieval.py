"""Evidence: which model calls carry what was retrieved."""

from __future__ import annotations

import asyncio
import json
import threading
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Generator, Iterator, List, Optional

import pytest

import peekr
from peekr import starting
from peekr.eval import Hallucination, retrieval
from tests.conftest import Telemetry

CHAT = {"gen_ai.operation.name": "chat"}


@pytest.fixture(autouse=True)
def forgotten(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Let no test find another's evidence."""
    monkeypatch.setattr(starting, "starters", starting.starters)
    yield
    peekr.clear_evidence()
    retrieval.clear_evidence()
    starting.starters.clear()


def call(telemetry: Telemetry) -> Optional[List[str]]:
    """The texts that a model call carries which is made now."""
    span = telemetry.tracer.start_span("chat", attributes=CHAT)
    span.end()
    held: Any = span.attributes.get("peekr.evidence")
    return None if held is None else [chunk["text"] for chunk in json.loads(held)]


def test_calls_of_the_trace_carry_what_was_recorded_in_it(telemetry: Telemetry) -> None:
    @peekr.trace
    def search() -> None:
        peekr.record_evidence(["a"])

    with peekr.span("answer"):
        assert call(telemetry) is None
        search()
        assert call(telemetry) == ["a"]
        peekr.record_evidence("b")
        assert call(telemetry) == ["a", "b"]
    with peekr.span("another"):
        assert call(telemetry) is None


def test_the_record_has_it_with_ids_and_sources(telemetry: Telemetry) -> None:
    with peekr.span("answer"):
        peekr.record_evidence(["a", {"id": "x", "text": "b", "source": "s"}])
        call(telemetry)
    assert telemetry.records[0]["attributes"]["evidence"] == [
        {"id": "1", "text": "a"},
        {"id": "x", "text": "b", "source": "s"},
    ]


def test_outside_of_a_span_it_holds_until_the_next_retrieval(telemetry: Telemetry) -> None:
    peekr.record_evidence(["a"])
    peekr.record_evidence(["b"])
    assert call(telemetry) == ["a", "b"]
    assert call(telemetry) == ["a", "b"]
    peekr.record_evidence(["c"])
    assert call(telemetry) == ["c"]
    with peekr.span("answer"):
        assert call(telemetry) is None
    peekr.clear_evidence()
    assert call(telemetry) is None


def test_clearing_forgets_the_traces(telemetry: Telemetry) -> None:
    with peekr.span("answer"):
        peekr.record_evidence(["a"])
        peekr.clear_evidence()
        assert call(telemetry) is None
        peekr.record_evidence(["b"])
        assert call(telemetry) == ["b"]


def test_a_block_has_evidence_of_its_own(telemetry: Telemetry) -> None:
    with peekr.span("answer"):
        peekr.record_evidence(["outside"])
        with peekr.evidence(["a"]):
            assert call(telemetry) == ["a"]
            peekr.record_evidence(["b"])
            assert call(telemetry) == ["a", "b"]
            with peekr.evidence():
                assert call(telemetry) is None
            peekr.clear_evidence()
            assert call(telemetry) is None
        assert call(telemetry) == ["outside"]


async def test_a_block_gathers_what_its_tasks_record(telemetry: Telemetry) -> None:
    async def search(text: str) -> None:
        peekr.record_evidence([text])

    async with peekr.evidence():
        await asyncio.gather(search("a"), search("b"))
        assert call(telemetry) == ["a", "b"]
    assert call(telemetry) is None


async def test_tasks_side_by_side_keep_theirs_apart(telemetry: Telemetry) -> None:
    recorded: List[str] = []
    both = asyncio.Event()

    async def branch(text: str) -> Optional[List[str]]:
        peekr.record_evidence([text])
        recorded.append(text)
        if len(recorded) == 2:
            both.set()
        await both.wait()
        return call(telemetry)

    with peekr.span("answer"):
        assert await asyncio.gather(branch("a"), branch("b")) == [["a"], ["b"]]
        # A call that comes after them sees both.
        assert call(telemetry) == ["a", "b"]


def test_what_a_thread_records_is_seen_by_calls_of_its_trace(telemetry: Telemetry) -> None:
    with ThreadPoolExecutor(1) as pool, peekr.span("answer"):
        pool.submit(peekr.record_evidence, ["a"]).result()
        assert call(telemetry) == ["a"]

    seen: List[Any] = []
    with peekr.span("answer"):
        peekr.record_evidence(["b"])
        thread = threading.Thread(target=lambda: seen.append(call(telemetry)))
        thread.start()
        thread.join()
    assert seen == [["b"]]


def test_the_same_passage_is_kept_once_and_numbers_stay_apart(telemetry: Telemetry) -> None:
    with peekr.span("answer"):
        peekr.record_evidence(["a", "b"])
        peekr.record_evidence(["b", "c", {"id": "x", "text": "d"}])
        peekr.record_evidence([{"id": "x", "text": "d"}])
        span = telemetry.tracer.start_span("chat", attributes=CHAT)
    assert [tuple(chunk.values()) for chunk in json.loads(span.attributes["peekr.evidence"])] == [
        ("1", "a"),
        ("2", "b"),
        ("3", "c"),
        ("x", "d"),
    ]


@pytest.mark.parametrize("operation", ["embeddings", "execute_tool", None])
def test_only_calls_that_answer_carry_it(telemetry: Telemetry, operation: Optional[str]) -> None:
    attributes = {} if operation is None else {"gen_ai.operation.name": operation}
    with peekr.span("answer"):
        peekr.record_evidence(["a"])
        span = telemetry.tracer.start_span("other", attributes=attributes)
    assert "peekr.evidence" not in span.attributes


def test_without_content_nothing_is_kept(bare_telemetry: Telemetry) -> None:
    bare_telemetry.instrument(capture_content=False)
    with peekr.span("answer"):
        peekr.record_evidence(["a"])
        assert call(bare_telemetry) is None


def test_nothing_recorded_costs_nothing(telemetry: Telemetry) -> None:
    peekr.record_evidence([])
    peekr.record_evidence(None)
    assert starting.starters == []


def test_a_generator_that_is_closed_elsewhere_leaves_nothing(telemetry: Telemetry) -> None:
    def answering() -> Generator[None, None, None]:
        with peekr.evidence(["a"]):
            yield

    generator = answering()
    next(generator)
    thread = threading.Thread(target=generator.close)
    thread.start()
    thread.join()
    peekr.clear_evidence()


def test_hallucination_judges_by_it(telemetry: Telemetry, simulated: Any) -> None:
    openai = pytest.importorskip("openai")
    prompts: List[str] = []

    def judge(prompt: str) -> Any:
        prompts.append(prompt)
        claim = {"claim": "Cats sleep.", "verdict": "supported", "chunks": ["1"]}
        return {"claims": [claim]}

    telemetry.instrument(evaluators=[Hallucination(detailed=True, judge_provider=judge)])
    with openai.OpenAI(base_url=simulated.openai_url, api_key="k") as client, peekr.span("answer"):
        peekr.record_evidence(["Cats sleep 12 hours a day."])
        client.chat.completions.create(
            model="gpt-4o-mini", messages=[{"role": "user", "content": "Say cats sleep."}]
        )
    attributes = telemetry.records[0]["attributes"]
    assert attributes["eval_scores"] == {"Hallucination": 1.0}
    assert attributes["hallucination_details"] == [
        {"claim": "Cats sleep.", "verdict": "supported", "chunks": ["1"]}
    ]
    assert "Cats sleep 12 hours a day." in prompts[0]
