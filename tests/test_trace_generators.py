"""`@trace`, `session` and `feature` on generators and async generators."""

from __future__ import annotations

import asyncio
import concurrent.futures
import gc
from typing import Any, AsyncGenerator, AsyncIterator, Dict, Generator, Iterator, List

import pytest
from opentelemetry import context as otel_context

import peekr
from peekr import trace
from peekr.context import current_scope
from tests.conftest import Telemetry
from tests.support.loops import run


@trace
def words(text: str) -> Iterator[str]:
    yield from text.split()


@trace
async def awords(text: str) -> AsyncIterator[str]:
    for word in text.split():
        await asyncio.sleep(0)
        yield word


@trace
def talk() -> Generator[Any, Any, str]:
    """Answers with what it was sent, doubled, and with what was thrown at it."""
    answer: Any = "ready"
    while True:
        try:
            said = yield answer
        except KeyError as error:
            answer = f"caught {error.args[0]}"
            continue
        if said is None:
            return "bye"
        answer = said * 2


async def collect(items: AsyncIterator[Any]) -> List[Any]:
    return [item async for item in items]


def acollect(items: AsyncIterator[Any]) -> List[Any]:
    return run(collect(items))


KINDS: Dict[str, Any] = {"sync": (words, list), "async": (awords, acollect)}


@pytest.fixture(params=sorted(KINDS))
def kind(request: pytest.FixtureRequest) -> Any:
    return KINDS[request.param]


def test_exhausted_generator_is_one_span_with_its_texts_joined(
    telemetry: Telemetry, kind: Any
) -> None:
    function, consume = kind
    assert consume(function("a bc d")) == ["a", "bc", "d"]
    record = telemetry.record
    assert record["name"] == f"tests.test_trace_generators.{function.__name__}"
    assert record["status"] == "ok"
    assert record["attributes"] == {
        "input": {"text": "a bc d"},
        "output": "abcd",
        "peekr.generator.items": 3,
    }


def test_generator_that_is_never_asked_makes_no_span(telemetry: Telemetry) -> None:
    made = words("a")
    del made
    assert telemetry.records == []


def test_items_that_are_no_text_are_listed_up_to_a_bound(telemetry: Telemetry) -> None:
    @trace
    def count(n: int) -> Iterator[Any]:
        for item in range(n):
            yield {"n": item}

    assert len(list(count(250))) == 250
    attributes = telemetry.record["attributes"]
    assert attributes["peekr.generator.items"] == 250
    assert attributes["output"][:2] == [{"n": 0}, {"n": 1}]
    assert attributes["output"][100:] == ["…[150 items cut]"]


def test_long_text_is_cut_and_says_so(telemetry: Telemetry) -> None:
    @trace
    def stream() -> Iterator[str]:
        for _ in range(400):
            yield "x" * 1_000

    assert len(list(stream())) == 400
    output = telemetry.record["attributes"]["output"]
    assert output == "x" * 262_144 + "…[137856 characters cut]"


def test_items_are_recorded_as_they_were_given(telemetry: Telemetry) -> None:
    @trace
    def give() -> Iterator[List[int]]:
        yield [1]

    for item in give():
        item.clear()
    assert telemetry.record["attributes"]["output"] == [[1]]


def test_send_throw_and_the_return_value_work(telemetry: Telemetry) -> None:
    made = talk()
    assert next(made) == "ready"
    assert made.send(3) == 6
    assert made.throw(KeyError("k")) == "caught k"
    with pytest.raises(StopIteration) as stopped:
        next(made)
    assert stopped.value.value == "bye"
    assert telemetry.record["attributes"]["output"] == {
        "items": ["ready", 6, "caught k"],
        "returned": "bye",
    }


async def test_asend_and_athrow_work(telemetry: Telemetry) -> None:
    @trace
    async def atalk() -> AsyncGenerator[Any, Any]:
        answer: Any = "ready"
        while True:
            try:
                said = yield answer
            except KeyError:
                answer = "caught"
                continue
            if said is None:
                return
            answer = said * 2

    made = atalk()
    assert await made.__anext__() == "ready"
    assert await made.asend(3) == 6
    assert await made.athrow(KeyError("k")) == "caught"
    with pytest.raises(StopAsyncIteration):
        await made.__anext__()
    assert telemetry.record["attributes"]["output"] == ["ready", 6, "caught"]


def test_generator_left_early_ends_without_error(telemetry: Telemetry) -> None:
    closed: List[bool] = []

    @trace
    def endless() -> Iterator[str]:
        try:
            while True:
                yield "x"
        finally:
            closed.append(True)

    for _ in endless():
        break
    gc.collect()
    assert closed == [True]
    record = telemetry.record
    assert record["status"] == "ok"
    assert record["attributes"]["peekr.stream.abandoned"] is True
    assert record["attributes"]["output"] == "x"


async def test_async_generator_closed_early_ends_without_error(telemetry: Telemetry) -> None:
    closed: List[bool] = []

    @trace
    async def endless() -> AsyncIterator[str]:
        try:
            while True:
                yield "x"
        finally:
            await asyncio.sleep(0)
            closed.append(True)

    made: Any = endless()
    assert await made.__anext__() == "x"
    await made.aclose()
    assert closed == [True]
    record = telemetry.record
    assert record["status"] == "ok"
    assert record["attributes"]["peekr.stream.abandoned"] is True


def test_async_generator_dropped_in_its_loop_ends_quietly(
    telemetry: Telemetry, caplog: pytest.LogCaptureFixture
) -> None:
    async def main() -> None:
        async for _ in awords("a b c"):
            break

    run(main())
    assert telemetry.record["attributes"]["peekr.stream.abandoned"] is True
    assert caplog.records == []


def test_exception_in_a_generator_is_recorded_and_passes(telemetry: Telemetry, kind: Any) -> None:
    error = ValueError("broken")

    @trace
    def fail() -> Iterator[int]:
        yield 1
        raise error

    @trace
    async def afail() -> AsyncIterator[int]:
        yield 1
        raise error

    function, consume = kind
    with pytest.raises(ValueError, match="broken") as raised:
        consume(fail() if function is words else afail())
    assert raised.value is error
    record = telemetry.record
    assert record["status"] == "error"
    assert record["attributes"]["error"] == "broken"
    assert record["attributes"]["output"] == [1]


async def test_cancellation_within_an_async_generator_is_recorded(telemetry: Telemetry) -> None:
    waiting = asyncio.Event()

    @trace
    async def wait() -> AsyncIterator[int]:
        yield 1
        waiting.set()
        await asyncio.Event().wait()

    task = asyncio.ensure_future(collect(wait()))
    await waiting.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert telemetry.record["attributes"]["error.type"] == "CancelledError"


def test_body_is_the_parent_and_the_consumer_is_not(telemetry: Telemetry) -> None:
    @trace
    def work() -> Iterator[int]:
        for number in range(2):
            with peekr.span("inside"):
                pass
            yield number

    with peekr.span("consumer"):
        before = otel_context.get_current()
        for _ in work():
            assert otel_context.get_current() is before
            with peekr.span("outside"):
                pass
        assert otel_context.get_current() is before
    records = {record["span_id"]: record for record in telemetry.records}
    parents = [
        (record["name"], records[record["parent_id"]]["name"] if record["parent_id"] else None)
        for record in records.values()
    ]
    assert parents == [
        ("inside", "tests.test_trace_generators.work"),
        ("outside", "consumer"),
        ("inside", "tests.test_trace_generators.work"),
        ("outside", "consumer"),
        ("tests.test_trace_generators.work", "consumer"),
        ("consumer", None),
    ]


async def test_body_of_an_async_generator_is_the_parent(telemetry: Telemetry) -> None:
    @trace
    async def work() -> AsyncIterator[int]:
        for number in range(2):
            with peekr.span("inside"):
                await asyncio.sleep(0)
            yield number

    before = otel_context.get_current()
    async for _ in work():
        assert otel_context.get_current() is before
    first, second, root = telemetry.records
    assert first["parent_id"] == second["parent_id"] == root["span_id"]


def test_span_around_a_yield_stays_current_in_the_body_alone(
    telemetry: Telemetry, caplog: pytest.LogCaptureFixture
) -> None:
    @trace
    def work() -> Iterator[int]:
        with telemetry.tracer.start_as_current_span("around"):
            yield 1
            with peekr.span("inside"):
                pass
            yield 2

    before = otel_context.get_current()
    for _ in work():
        assert otel_context.get_current() is before
    inside, around, root = telemetry.records
    assert inside["parent_id"] == around["span_id"]
    assert around["parent_id"] == root["span_id"]
    assert caplog.records == []


def test_generators_used_by_turns_do_not_mix(telemetry: Telemetry) -> None:
    @trace
    def work(name: str) -> Iterator[str]:
        for _ in range(3):
            with peekr.span(f"inside {name}"):
                yield name

    assert [*zip(work("a"), work("b"))] == [("a", "b")] * 3
    gc.collect()
    records = telemetry.records
    roots = {
        r["attributes"]["input"]["name"]: r["span_id"]
        for r in records
        if "input" in r["attributes"]
    }
    assert set(roots) == {"a", "b"}
    for record in records:
        if record["name"].startswith("inside"):
            assert record["parent_id"] == roots[record["name"][-1]]


def test_generator_moved_between_threads_ends_quietly(
    telemetry: Telemetry, caplog: pytest.LogCaptureFixture
) -> None:
    made = words("a b c")
    seen: List[str] = []
    for _ in range(3):
        with concurrent.futures.ThreadPoolExecutor(1) as pool:
            seen.append(pool.submit(next, made).result())
    with concurrent.futures.ThreadPoolExecutor(1) as pool:
        pool.submit(made.close).result()  # type: ignore[attr-defined]  # pyright: ignore
    assert seen == ["a", "b", "c"]
    assert telemetry.record["attributes"]["output"] == "abc"
    assert caplog.records == []


def test_async_generator_closed_by_another_task_ends_quietly(
    telemetry: Telemetry, caplog: pytest.LogCaptureFixture
) -> None:
    async def main() -> None:
        made: Any = awords("a b")
        with peekr.span("first task"):
            await made.__anext__()
        await asyncio.ensure_future(made.aclose())
        assert peekr.get_current_span() is None

    run(main())
    assert {record["name"].rpartition(".")[2] for record in telemetry.records} == {
        "first task",
        "awords",
    }
    assert caplog.records == []


def test_generator_works_without_instrument(kind: Any) -> None:
    function, consume = kind
    assert consume(function("a b")) == ["a", "b"]


def test_session_on_a_generator_holds_in_its_body_alone(telemetry: Telemetry, kind: Any) -> None:
    @peekr.session
    @peekr.feature("stream")
    def work() -> Iterator[Any]:
        yield current_scope()
        yield current_scope()

    @peekr.session()
    @peekr.feature("stream")
    async def awork() -> AsyncIterator[Any]:
        yield current_scope()
        yield current_scope()

    function, consume = kind
    first, second = consume(work() if function is words else awork())
    assert first.feature == "stream"
    assert first.session_id
    assert second == first
    (again, _) = consume(work() if function is words else awork())
    assert again.session_id != first.session_id
