"""Sessions and features: what is started inside carries them, in threads, tasks and services."""

from __future__ import annotations

import asyncio
import functools
import threading
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from typing import Any, Callable, Dict, List, Optional, cast

import pytest
from opentelemetry import context as otel_context
from opentelemetry.propagate import extract, inject

import peekr
from peekr.baggage import accept_baggage
from peekr.context import NO_SCOPE, Scope, current_scope
from peekr.manual import threads
from tests.conftest import Telemetry, attributes_of
from tests.support.loops import run


def work() -> None:
    with peekr.span("work"):
        pass


def test_spans_inside_carry_the_session(telemetry: Telemetry) -> None:
    with peekr.session("u1", "s1", "acme", "pii") as scope:
        assert scope == Scope("s1", "u1", "acme", "pii")
        work()
    work()
    inside, outside = telemetry.records
    assert inside["tenant_id"] == "acme"
    assert inside["retention_class"] == "pii"
    assert inside["attributes"]["session_id"] == "s1"
    assert inside["attributes"]["user_id"] == "u1"
    assert outside["tenant_id"] is None
    assert outside["attributes"] == {}
    assert attributes_of(telemetry.spans[0]) == {
        "session.id": "s1",
        "gen_ai.conversation.id": "s1",
        "user.id": "u1",
        "peekr.tenant_id": "acme",
        "peekr.retention_class": "pii",
    }


def test_session_covers_spans_that_other_code_starts(telemetry: Telemetry) -> None:
    with peekr.session(user_id="u1"), telemetry.tracer.start_as_current_span("theirs"):
        pass
    assert telemetry.record["attributes"]["user_id"] == "u1"


def test_id_is_made_when_left_out() -> None:
    with peekr.session() as first:
        assert first.session_id
    with peekr.session() as second:
        assert second.session_id != first.session_id


def test_inner_session_inherits_what_it_does_not_set(telemetry: Telemetry) -> None:
    with peekr.session(user_id="u1", tenant_id="acme") as outer:
        with peekr.session(tenant_id="beta", retention_class="short") as inner:
            assert inner == outer._replace(tenant_id="beta", retention_class="short")
            work()
        with peekr.session(session_id="own") as inner:
            assert inner == outer._replace(session_id="own")
        assert current_scope() == outer
    assert current_scope() is NO_SCOPE
    assert telemetry.record["tenant_id"] == "beta"


def test_session_goes_over_instrument_and_instrument_over_the_environment(
    bare_telemetry: Telemetry, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PEEKR_TENANT_ID", "from the environment")
    monkeypatch.setenv("PEEKR_RETENTION_CLASS", "long")
    bare_telemetry.instrument(tenant_id="from instrument")
    with peekr.session(tenant_id="from session"):
        work()
    work()
    records = bare_telemetry.records
    assert [record["tenant_id"] for record in records] == ["from session", "from instrument"]
    assert [record["retention_class"] for record in records] == ["long", "long"]


def test_unknown_retention_class_is_refused() -> None:
    with pytest.raises(ValueError, match="none of default, short, long, pii"):
        peekr.session(retention_class="forever")


def test_values_that_are_no_text_become_text_and_empty_ones_count_as_absent() -> None:
    with peekr.session(user_id=cast("Any", 7), tenant_id="") as scope:
        assert scope.user_id == "7"
        assert scope.tenant_id is None


def test_decorated_function_has_a_session_a_call(telemetry: Telemetry) -> None:
    @peekr.session(user_id="u1")
    def handle(question: str) -> Optional[str]:
        """Handle."""
        work()
        return current_scope().session_id

    assert handle.__name__ == "handle"
    first, second = handle("a"), handle("b")
    assert first != second
    assert current_scope() is NO_SCOPE
    assert [record["attributes"]["session_id"] for record in telemetry.records] == [first, second]


def test_decorator_works_without_parentheses_and_on_methods() -> None:
    class Service:
        @peekr.session
        def method(self) -> Scope:
            return current_scope()

        @peekr.session(user_id="u")
        @staticmethod
        def static() -> Scope:
            return current_scope()

        @classmethod
        @peekr.feature("f")
        def made(cls) -> Scope:
            return current_scope()

    assert Service().method().session_id
    assert Service.static().user_id == "u"
    assert Service.made() == Scope(feature="f")
    with pytest.raises(TypeError):
        peekr.feature("f")(cast("Any", Service))


async def test_decorated_coroutine_function_keeps_to_itself() -> None:
    @peekr.session
    async def handle() -> Optional[str]:
        before = current_scope()
        await asyncio.sleep(0)
        assert current_scope() == before
        return before.session_id

    found = await asyncio.gather(*(handle() for _ in range(10)))
    assert len(set(found)) == 10


async def test_async_block() -> None:
    async with peekr.session(user_id="u1"), peekr.feature("f"):
        await asyncio.sleep(0)
        assert current_scope().user_id == "u1"
        assert current_scope().feature == "f"
    assert current_scope() is NO_SCOPE


async def test_one_block_used_by_many_tasks_and_nested() -> None:
    block = peekr.session(user_id="u1")

    async def use() -> Optional[str]:
        with block as outer:
            await asyncio.sleep(0)
            with block as inner:
                await asyncio.sleep(0)
                assert inner == outer
            assert current_scope() == outer
        assert current_scope() is NO_SCOPE
        return outer.session_id

    assert len(set(await asyncio.gather(*(use() for _ in range(10))))) == 10


def test_block_left_after_spans_that_were_not_ended_restores_what_was_before() -> None:
    with peekr.session(user_id="u1"):
        peekr.start_span("forgotten")
    assert current_scope() is NO_SCOPE
    assert peekr.get_current_span() is None


def test_exception_leaves_a_session() -> None:
    with pytest.raises(KeyError), peekr.session():
        raise KeyError
    assert current_scope() is NO_SCOPE


def test_session_without_instrument_does_nothing_visible() -> None:
    with peekr.session(user_id="u"), peekr.feature("f"):
        work()


# -- features --------------------------------------------------------------------------------------


def test_feature_tags_what_is_started_inside(telemetry: Telemetry) -> None:
    @peekr.trace
    def inner() -> None: ...

    @peekr.feature("search")
    @peekr.trace
    def search() -> None:
        inner()
        with peekr.feature("ranking"):
            inner()

    search()
    inner()
    features = [record["attributes"].get("feature") for record in telemetry.records]
    assert features == ["search", "ranking", "search", None]
    assert attributes_of(telemetry.spans[0])["peekr.feature"] == "search"


def test_feature_by_attribute_is_the_same_field(telemetry: Telemetry) -> None:
    with peekr.span("op") as span:
        span.attributes["feature"] = "search"
    assert telemetry.record["attributes"] == {"feature": "search"}


def test_feature_is_to_be_a_text() -> None:
    with pytest.raises(TypeError, match="is to be a text"):
        peekr.feature(cast("Any", 5))


# -- threads and tasks -----------------------------------------------------------------------------


class Reporting(threading.Thread):
    """A thread with a run() of its own."""

    def __init__(self, seen: List[Any]) -> None:
        super().__init__()
        self.seen = seen

    def run(self) -> None:
        self.seen.append(current_scope())


def scope_of(number: int) -> Scope:
    return current_scope()


def work_on(number: int) -> None:
    work()


def by_thread(seen: List[Any]) -> None:
    thread = threading.Thread(target=lambda: seen.append(current_scope()))
    thread.start()
    thread.join()
    assert "run" not in vars(thread)


def by_subclass(seen: List[Any]) -> None:
    thread = Reporting(seen)
    thread.start()
    thread.join()


def by_timer(seen: List[Any]) -> None:
    timer = threading.Timer(0, lambda: seen.append(current_scope()))
    timer.start()
    timer.join()


def by_submit(seen: List[Any]) -> None:
    with ThreadPoolExecutor(1) as pool:
        seen.append(pool.submit(current_scope).result())


def by_map(seen: List[Any]) -> None:
    with ThreadPoolExecutor(1) as pool:
        seen.extend(pool.map(scope_of, [1]))


def by_run_in_executor(seen: List[Any]) -> None:
    async def main() -> None:
        seen.append(await asyncio.get_running_loop().run_in_executor(None, current_scope))

    run(main())


def by_to_thread(seen: List[Any]) -> None:
    async def main() -> None:
        seen.append(await asyncio.to_thread(current_scope))

    run(main())


def by_task(seen: List[Any]) -> None:
    async def report() -> None:
        seen.append(current_scope())

    async def main() -> None:
        await asyncio.ensure_future(report())

    run(main())


def by_thread_in_a_thread(seen: List[Any]) -> None:
    thread = threading.Thread(target=by_thread, args=(seen,))
    thread.start()
    thread.join()


WAYS = [
    by_thread, by_subclass, by_timer, by_submit, by_map, by_run_in_executor, by_to_thread, by_task,
    by_thread_in_a_thread,
]  # fmt: skip


@pytest.mark.parametrize("way", WAYS)
def test_what_is_started_inside_carries_the_session(
    telemetry: Telemetry, way: Callable[[List[Any]], None]
) -> None:
    seen: List[Any] = []
    with peekr.session(user_id="u1") as scope:
        way(seen)
    way(seen)
    assert seen == [scope, NO_SCOPE]


def test_spans_in_threads_are_children_of_the_span_that_started_them(telemetry: Telemetry) -> None:
    with peekr.span("root") as root, ThreadPoolExecutor(2) as pool:
        list(pool.map(work_on, range(4)))
        thread = threading.Thread(target=work)
        thread.start()
        thread.join()
    records = telemetry.records
    assert [record["parent_id"] for record in records[:-1]] == [root.span_id] * 5
    assert {record["trace_id"] for record in records} == {root.trace_id}


def test_threads_of_a_pool_do_not_stay_in_the_session_that_made_them_start(
    telemetry: Telemetry,
) -> None:
    with ThreadPoolExecutor(1) as pool:
        with peekr.session(user_id="first"), peekr.span("root"):
            first = pool.submit(current_scope).result()
        assert first.user_id == "first"
        assert pool.submit(current_scope).result() is NO_SCOPE
        assert pool.submit(peekr.get_current_span).result() is None
        with peekr.session(user_id="second"):
            assert pool.submit(current_scope).result().user_id == "second"


def test_error_in_a_pool_passes(telemetry: Telemetry) -> None:
    def fail() -> None:
        raise KeyError("k")

    with peekr.session(), ThreadPoolExecutor(1) as pool:
        with pytest.raises(KeyError):
            pool.submit(fail).result()
        with pytest.raises(TypeError):
            pool.submit()  # pyright: ignore[reportCallIssue]


def test_standard_library_gets_its_methods_back(telemetry: Telemetry) -> None:
    start, submit = threading.Thread.start, ThreadPoolExecutor.submit
    assert start.__module__ == "threading"
    assert hasattr(start, "__wrapped__")
    peekr.uninstrument()
    assert not hasattr(threading.Thread.start, "__wrapped__")
    assert not hasattr(ThreadPoolExecutor.submit, "__wrapped__")
    telemetry.instrument()
    telemetry.instrument()
    assert threading.Thread.start is start
    assert ThreadPoolExecutor.submit is submit


def test_wrapper_that_somebody_put_around_ours_stays(telemetry: Telemetry) -> None:
    ours = threading.Thread.start
    calls: List[Any] = []

    @functools.wraps(ours)
    def theirs(self: threading.Thread) -> None:
        calls.append(self)
        ours(self)

    threading.Thread.start = theirs
    try:
        peekr.uninstrument()
        assert threading.Thread.start is theirs
        seen: List[Any] = []
        with peekr.session():
            by_thread(seen)
        assert seen == [NO_SCOPE]
        telemetry.instrument()
        with peekr.session() as scope:
            by_thread(seen)
        assert seen[1] == scope
        assert len(calls) == 2
    finally:
        threading.Thread.start = ours
        threads.leave_threads_alone()
    assert not hasattr(threading.Thread.start, "__wrapped__")


def test_wrapper_that_somebody_put_meanwhile_is_wrapped(telemetry: Telemetry) -> None:
    peekr.uninstrument()
    original = threading.Thread.start

    def theirs(self: threading.Thread) -> None:
        original(self)

    threading.Thread.start = theirs
    try:
        telemetry.instrument()
        seen: List[Any] = []
        with peekr.session() as scope:
            by_thread(seen)
        assert seen == [scope]
        peekr.uninstrument()
        assert threading.Thread.start is theirs
    finally:
        threading.Thread.start = original


def test_beside_opentelemetrys_own_threading_instrumentation(telemetry: Telemetry) -> None:
    module: Any = pytest.importorskip("opentelemetry.instrumentation.threading")
    instrumentor = module.ThreadingInstrumentor()
    for before in (True, False):
        peekr.uninstrument()
        if before:
            instrumentor.instrument()
        telemetry.instrument()
        if not before:
            instrumentor.instrument()
        try:
            for way in WAYS:
                seen: List[Any] = []
                with peekr.session() as scope:
                    way(seen)
                assert seen == [scope]
        finally:
            if before:
                peekr.uninstrument()
                instrumentor.uninstrument()
            else:
                instrumentor.uninstrument()
                peekr.uninstrument()
        assert not hasattr(ThreadPoolExecutor.submit, "__wrapped__")


def test_processes_are_left_alone(telemetry: Telemetry) -> None:
    import multiprocessing

    spawn = multiprocessing.get_context("spawn")
    with peekr.session(), ProcessPoolExecutor(1, mp_context=spawn) as pool:
        assert pool.submit(len, "abc").result() == 3


# -- across services -------------------------------------------------------------------------------


def headers() -> Dict[str, str]:
    carrier: Dict[str, str] = {}
    inject(carrier)
    carrier.pop("traceparent", None)
    return carrier


def test_nothing_is_sent_along_unasked() -> None:
    with peekr.session(user_id="u", session_id="s", tenant_id="t"):
        assert headers() == {}


def test_session_is_sent_along_where_the_user_opted_in() -> None:
    with peekr.session(user_id="ü 1", session_id="s", propagate=True):
        assert set(headers()["baggage"].split(",")) == {"session.id=s", "user.id=%C3%BC+1"}
        with peekr.session(tenant_id="t"), peekr.feature("f"):
            assert set(headers()["baggage"].split(",")) == {
                "session.id=s", "user.id=%C3%BC+1", "peekr.tenant_id=t", "peekr.feature=f",
            }  # fmt: skip
    assert headers() == {}


def test_only_what_was_named_is_sent_along() -> None:
    with peekr.session(user_id="u", session_id="s", propagate=["session_id"]):
        assert headers() == {"baggage": "session.id=s"}
        with peekr.session(session_id="s2"):
            assert headers() == {"baggage": "session.id=s2"}
    with pytest.raises(ValueError, match="'password' is none of"):
        peekr.session(propagate=["password"])


@pytest.fixture
def received() -> Callable[[str], Scope]:
    """What a server takes from the baggage of a request."""

    def take(baggage: str) -> Scope:
        return current_scope(accept_baggage(extract({"baggage": baggage})))

    return take


def test_what_arrives_becomes_the_scope(received: Callable[[str], Scope]) -> None:
    with peekr.session(user_id="ü", session_id="s", retention_class="pii", propagate=True) as sent:
        sent_headers = headers()
    assert received(sent_headers["baggage"]) == sent


def test_what_arrives_is_limited_to_the_list_and_checked(
    received: Callable[[str], Scope],
) -> None:
    assert received("other=1,peekr.endpoint=/x") is NO_SCOPE
    assert received("peekr.retention_class=forever") is NO_SCOPE
    assert received(f"user.id={'u' * 300}") is NO_SCOPE
    assert received("user.id=") is NO_SCOPE
    context = extract({"baggage": "user.id=u,session.id=s"})
    assert current_scope(accept_baggage(context, ["session_id"])) == Scope("s")


def test_what_arrives_does_not_replace_what_is_set() -> None:
    with peekr.session(user_id="trusted") as scope:
        context = extract({"baggage": "user.id=other"}, otel_context.get_current())
        assert current_scope(accept_baggage(context)) == scope
