"""`@trace` on everything that is called."""

from __future__ import annotations

import asyncio
import dataclasses
import functools
import inspect
import logging
import subprocess
import sys
import threading
from typing import Any, Callable, Dict, List, Optional

import pytest
from opentelemetry import trace as otel_trace
from opentelemetry.trace import StatusCode

import peekr
from peekr import trace
from tests.conftest import Telemetry, attributes_of
from tests.support.loops import run


@trace
def fetch_user(user_id: int, *, full: bool = False) -> Dict[str, Any]:
    """Fetch a user."""
    return {"id": user_id, "full": full}


@trace(name="user.lookup")
def lookup(user_id: int) -> int:
    return user_id


@trace
async def run_pipeline(query: str) -> str:
    await asyncio.sleep(0)
    return query.upper()


class Service:
    @trace
    def method(self, a: int, *rest: int, key: str = "k", **options: int) -> Any:
        return [a, *rest]

    @trace
    async def amethod(self, a: int) -> int:
        return a

    @classmethod
    @trace
    def inner_class_method(cls, a: int) -> str:
        return f"{cls.__name__}{a}"

    @trace
    @classmethod
    def outer_class_method(cls, a: int) -> str:
        return f"{cls.__name__}{a}"

    @staticmethod
    @trace
    def inner_static_method(a: int) -> int:
        return a

    @trace
    @staticmethod
    def outer_static_method(a: int) -> int:
        return a

    @property
    @trace
    def value(self) -> int:
        return 7


def test_function_is_a_span_with_arguments_by_name_and_result(telemetry: Telemetry) -> None:
    assert fetch_user(7) == {"id": 7, "full": False}
    record = telemetry.record
    assert record["name"] == "tests.test_trace.fetch_user"
    assert record["status"] == "ok"
    assert record["parent_id"] is None
    assert record["attributes"] == {
        "input": {"user_id": 7, "full": False},
        "output": {"id": 7, "full": False},
    }
    span = telemetry.span
    assert span.name == "tests.test_trace.fetch_user"
    assert span.instrumentation_scope is not None
    assert span.instrumentation_scope.name == "peekr"
    assert attributes_of(span) == {
        "peekr.input": '{"user_id":7,"full":false}',
        "peekr.output": '{"id":7,"full":false}',
    }


def test_name_can_be_given(telemetry: Telemetry) -> None:
    lookup(1)
    assert telemetry.record["name"] == "user.lookup"


async def test_coroutine_is_a_span_until_it_returns(telemetry: Telemetry) -> None:
    assert await run_pipeline("hello") == "HELLO"
    record = telemetry.record
    assert record["name"] == "tests.test_trace.run_pipeline"
    assert record["attributes"] == {"input": {"query": "hello"}, "output": "HELLO"}


def test_function_within_a_function_is_named_by_module_and_name(telemetry: Telemetry) -> None:
    @trace
    def inner() -> None: ...

    inner()
    assert telemetry.record["name"] == "tests.test_trace.inner"


@pytest.mark.parametrize(
    ("call", "name", "given", "result"),
    [
        (lambda: Service().method(1, 2, 3, key="x", z=4), "method",
         {"a": 1, "rest": [2, 3], "options": {"z": 4}, "key": "x"}, [1, 2, 3]),
        (lambda: Service.method(Service(), 1), "method", {"a": 1, "key": "k"}, [1]),
        (lambda: Service.inner_class_method(1), "inner_class_method", {"a": 1}, "Service1"),
        (lambda: Service().outer_class_method(1), "outer_class_method", {"a": 1}, "Service1"),
        (lambda: Service.inner_static_method(1), "inner_static_method", {"a": 1}, 1),
        (lambda: Service().outer_static_method(1), "outer_static_method", {"a": 1}, 1),
        (lambda: run(Service().amethod(1)), "amethod", {"a": 1}, 1),
        (lambda: Service().value, "value", {}, 7),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)  # fmt: skip
def test_methods_are_spans_without_their_receiver(
    telemetry: Telemetry, call: Callable[[], Any], name: str, given: Any, result: Any
) -> None:
    assert call() == result
    record = telemetry.record
    assert record["name"] == f"tests.test_trace.Service.{name}"
    assert record["attributes"] == {"input": given, "output": result}


def test_everything_that_tells_what_a_function_is_stays() -> None:
    async def coroutine() -> None: ...

    async def agenerator() -> Any:
        yield

    def generator() -> Any:
        yield

    for function in (coroutine, agenerator, generator, inspect.unwrap(fetch_user)):
        traced = trace(function)
        for question in (
            inspect.iscoroutinefunction,
            inspect.isgeneratorfunction,
            inspect.isasyncgenfunction,
            asyncio.iscoroutinefunction if sys.version_info < (3, 14) else inspect.isfunction,
            inspect.signature,
            inspect.getdoc,
        ):
            assert question(traced) == question(function)
        assert traced.__name__ == function.__name__
        assert traced.__qualname__ == function.__qualname__
        assert traced.__module__ == function.__module__
        assert traced.__annotations__ == function.__annotations__


def test_type_checker_sees_the_same_function(tmp_path: Any) -> None:
    pyright = pytest.importorskip("pyright")
    del pyright
    program = tmp_path / "program.py"
    program.write_text(
        """
from typing import AsyncIterator, Iterator
from peekr import feature, session, trace

@trace
def plain(a: int, *, b: str = "") -> float: return a
@trace(name="x", capture_io=False)
async def coroutine(a: int) -> str: return ""
@trace
def generator(a: int) -> Iterator[int]: yield a
@trace
async def agenerator(a: int) -> AsyncIterator[int]: yield a
@session
@feature("f")
def scoped(a: int) -> bytes: return b""
class Service:
    @trace
    def method(self, a: int) -> float: return a
    @classmethod
    @trace
    def made(cls, a: int) -> "Service": return cls()
    @trace
    @staticmethod
    def static(a: int) -> int: return a

reveal_type(plain)
reveal_type(coroutine)
reveal_type(generator)
reveal_type(agenerator)
reveal_type(scoped)
reveal_type(Service().method)
reveal_type(Service.made)
reveal_type(Service.static)
plain("wrong")
""",
        encoding="utf-8",
    )
    checker = [sys.executable, "-m", "pyright", "--pythonpath", sys.executable, str(program)]
    done = subprocess.run(checker, capture_output=True, text=True, timeout=120, cwd=tmp_path)
    if "error" not in done.stdout:
        pytest.skip(f"the type checker does not run here: {done.stderr[-200:]}")
    for expected in (
        '"(a: int, *, b: str = "") -> float"',
        '"(a: int) -> CoroutineType[Any, Any, str]"',
        '"(a: int) -> Iterator[int]"',
        '"(a: int) -> AsyncIterator[int]"',
        '"(a: int) -> bytes"',
        '"(a: int) -> float"',
        '"(a: int) -> Service"',
        '"(a: int) -> int"',
    ):
        assert expected in done.stdout
    assert "1 error," in done.stdout, done.stdout


def test_calls_in_each_other_are_one_trace(telemetry: Telemetry) -> None:
    @trace
    def inner() -> None: ...

    @trace
    def outer() -> None:
        inner()
        inner()

    outer()
    first, second, root = telemetry.records
    assert root["parent_id"] is None
    assert first["parent_id"] == second["parent_id"] == root["span_id"]
    assert len({record["trace_id"] for record in (first, second, root)}) == 1


def test_each_root_starts_a_trace_of_its_own(telemetry: Telemetry) -> None:
    def requests() -> None:
        for _ in range(20):
            lookup(1)

    threads = [threading.Thread(target=requests) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    traces = [record["trace_id"] for record in telemetry.records]
    assert len(traces) == 80
    assert len(set(traces)) == 80


async def test_concurrent_tasks_do_not_share_a_trace(telemetry: Telemetry) -> None:
    @trace
    async def request() -> None:
        await run_pipeline("x")

    await asyncio.gather(*(request() for _ in range(20)))
    records = telemetry.records
    roots = [record for record in records if record["parent_id"] is None]
    assert len(roots) == 20
    assert len({record["trace_id"] for record in roots}) == 20
    by_id = {record["span_id"]: record for record in roots}
    for record in records:
        if record["parent_id"] is not None:
            assert by_id[record["parent_id"]]["trace_id"] == record["trace_id"]


class Refused(Exception):
    pass


@pytest.mark.parametrize("error", [Refused("not today"), KeyboardInterrupt(), SystemExit(3)])
def test_exception_is_recorded_and_passes_unmodified(
    telemetry: Telemetry, error: BaseException
) -> None:
    @trace
    def fail(a: int) -> None:
        raise error

    with pytest.raises(type(error)) as raised:
        fail(1)
    assert raised.value is error
    record = telemetry.record
    assert record["status"] == "error"
    assert record["attributes"]["error"] == (str(error) or type(error).__name__)
    assert record["attributes"]["error.type"] == type(error).__qualname__
    assert "in fail" in record["attributes"]["exception.stacktrace"]
    assert record["attributes"]["input"] == {"a": 1}
    assert "output" not in record["attributes"]
    assert telemetry.span.status.status_code is StatusCode.ERROR


async def test_cancelled_coroutine_ends_its_span(telemetry: Telemetry) -> None:
    started = asyncio.Event()

    @trace
    async def wait() -> None:
        started.set()
        await asyncio.Event().wait()

    task = asyncio.ensure_future(wait())
    await started.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert telemetry.record["attributes"]["error.type"] == "CancelledError"


def test_dropped_coroutine_ends_its_span_quietly(
    telemetry: Telemetry, caplog: pytest.LogCaptureFixture
) -> None:
    @trace
    async def wait() -> None:
        await asyncio.sleep(10)

    async def main() -> None:
        made = wait()
        made.send(None)
        del made

    run(main())
    assert telemetry.record["attributes"]["error.type"] == "GeneratorExit"
    assert not caplog.records


def test_exception_whose_text_cannot_be_made_is_recorded(telemetry: Telemetry) -> None:
    class Unspeakable(Exception):
        def __str__(self) -> str:
            raise ValueError("no")

    @trace
    def fail() -> None:
        raise Unspeakable

    with pytest.raises(Unspeakable):
        fail()
    assert telemetry.record["status"] == "error"
    assert telemetry.record["attributes"]["error.type"].endswith("Unspeakable")


def test_capture_io_off_leaves_arguments_and_results_out(telemetry: Telemetry) -> None:
    @trace(capture_io=False)
    def secret(password: str) -> str:
        if password == "wrong":
            raise Refused("no entry")
        return password

    secret("hunter2")
    with pytest.raises(Refused):
        secret("wrong")
    first, second = telemetry.records
    assert first["attributes"] == {}
    assert second["attributes"]["error"] == "no entry"
    assert "input" not in second["attributes"]


def test_capture_content_off_leaves_everything_out(bare_telemetry: Telemetry) -> None:
    bare_telemetry.instrument(capture_content=False)

    @trace
    def secret(password: str) -> str:
        current = peekr.get_current_span()
        assert current is not None
        current.attributes["input"] = password
        if password == "hunter2":
            raise Refused(f"no entry for {password}")
        return password

    secret("swordfish")
    with pytest.raises(Refused):
        secret("hunter2")
    text = bare_telemetry.path.read_text("utf-8")
    assert "swordfish" not in text
    assert "hunter2" not in text
    assert bare_telemetry.records[1]["attributes"] == {"error": "Refused", "error.type": "Refused"}


def test_values_that_are_no_json_do_not_break_the_call(telemetry: Telemetry) -> None:
    @dataclasses.dataclass
    class Query:
        text: str
        tags: Any

    class Mute:
        def __repr__(self) -> str:
            raise ValueError

    @trace
    def run(query: Query, raw: bytes, mute: Mute, circle: List[Any]) -> object:
        return mute

    circle: List[Any] = []
    circle.append(circle)
    run(Query("q", {2, 1}), b"\xff\x00", Mute(), circle)
    attributes = telemetry.record["attributes"]
    assert attributes["input"]["query"] == {"text": "q", "tags": [1, 2]}
    assert attributes["input"]["raw"] == "<2 bytes: ff00>"
    assert attributes["input"]["circle"] == ["[circular]"]
    assert attributes["output"].endswith("its repr raised ValueError>")


def test_arguments_are_recorded_as_they_were_when_the_call_began(telemetry: Telemetry) -> None:
    @trace
    def drain(items: List[int]) -> int:
        total = sum(items)
        items.clear()
        return total

    drain([1, 2])
    assert telemetry.record["attributes"] == {"input": {"items": [1, 2]}, "output": 3}


def test_call_that_does_not_fit_raises_the_functions_own_error(telemetry: Telemetry) -> None:
    with pytest.raises(TypeError, match=r"fetch_user\(\) takes 1 positional"):
        fetch_user(1, 2, 3)  # pyright: ignore[reportCallIssue]
    record = telemetry.record
    assert record["status"] == "error"
    assert record["attributes"]["input"]["user_id"] == 1


def test_long_values_stay_json_under_the_providers_limit(
    bare_telemetry: Telemetry, monkeypatch: pytest.MonkeyPatch, tmp_path: Any
) -> None:
    monkeypatch.setenv("OTEL_SPAN_ATTRIBUTE_VALUE_LENGTH_LIMIT", "200")
    telemetry = Telemetry(tmp_path)
    telemetry.instrument()

    @trace
    def echo(text: str) -> str:
        return text

    echo("x" * 10_000)
    attributes = telemetry.record["attributes"]
    assert attributes["input"]["text"].startswith("xxx")
    assert "characters cut" in attributes["input"]["text"]
    telemetry.provider.shutdown()


class Callable_:
    def __call__(self, a: int) -> int:
        return a


class AsyncCallable:
    async def __call__(self, a: int) -> int:
        return a


@pytest.mark.parametrize(
    ("made", "name"),
    [
        (functools.partial(inspect.unwrap(lookup), 5), "lookup"),
        (Callable_(), "Callable_"),
        (len, None),
    ],
    ids=["partial", "object", "built in"],
)
def test_other_callables_are_traced(telemetry: Telemetry, made: Any, name: Optional[str]) -> None:
    argument: Any = [1] if made is len else 5
    result = trace(made)(argument) if name != "lookup" else trace(made)()
    assert result == (1 if made is len else 5)
    expected = "builtins.len" if name is None else f"tests.test_trace.{name}"
    assert telemetry.record["name"] == expected


async def test_object_with_async_call_is_awaited(telemetry: Telemetry) -> None:
    assert await trace(AsyncCallable())(3) == 3
    assert telemetry.record["attributes"] == {"input": {"a": 3}, "output": 3}


@pytest.mark.parametrize("wrong", [Service, 5, property(lambda self: 1)])
def test_what_is_not_called_is_refused(wrong: Any) -> None:
    with pytest.raises(TypeError, match="@trace cannot be put on"):
        trace(wrong)


def test_without_instrument_the_function_works_and_a_current_span_is_there() -> None:
    @trace
    def work(a: int) -> int:
        span = peekr.get_current_span()
        assert span is not None
        span.attributes["n"] = a
        span.attributes["n"] += 1
        span.status = "error"
        return span.attributes["n"]

    assert isinstance(otel_trace.get_tracer_provider(), otel_trace.ProxyTracerProvider)
    assert work(1) == 2
    assert run(run_pipeline("a")) == "A"
    with pytest.raises(Refused):
        _refuse()
    assert peekr.get_current_span() is None


@trace
def _refuse() -> None:
    raise Refused


def test_after_uninstrument_nothing_is_recorded(telemetry: Telemetry) -> None:
    peekr.uninstrument()
    assert lookup(1) == 1
    assert not telemetry.path.exists() or telemetry.records == []
    assert telemetry.spans == []


def test_fault_of_peekrs_own_does_not_reach_the_call(
    telemetry: Telemetry,
    contained_faults: None,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    def broken(name: str) -> Any:
        raise RuntimeError("a defect")

    monkeypatch.setattr("peekr.manual.decorator.open_span", broken)
    assert lookup(1) == 1
    assert lookup(2) == 2

    @trace
    def count() -> Any:
        yield 1

    assert list(count()) == [1]
    assert len([record for record in caplog.records if record.levelno >= logging.WARNING]) == 1
