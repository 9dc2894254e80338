"""Spans of one's own, and the view of the real OpenTelemetry span."""

from __future__ import annotations

import asyncio
import threading
from typing import Any, Dict, Iterator, List, Set, cast

import pytest
from opentelemetry import context as otel_context
from opentelemetry import trace as otel_trace
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.sampling import ALWAYS_OFF
from opentelemetry.trace import StatusCode

import peekr
from peekr import Span, end_span, get_current_span, start_span
from peekr.manual import span_attributes
from tests.conftest import Telemetry, attributes_of


@pytest.fixture
def root_context() -> Iterator[None]:
    """For tests that leave spans open on purpose: what is current afterwards is put back."""
    before = otel_context.get_current()
    yield
    otel_context.attach(before)


@pytest.fixture(params=["nested values", "JSON text"])
def nesting(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """What OpenTelemetry takes: newer releases take nested values, older ones do not."""
    takes: bool = request.param == "nested values"
    if takes and not span_attributes._sdk_nests():  # pyright: ignore[reportPrivateUsage]
        pytest.skip("this OpenTelemetry takes no nested values")
    monkeypatch.setattr(span_attributes, "_nests", takes)
    return request.param


def tree(records: List[Dict[str, Any]]) -> Dict[str, Any]:
    """Each span's name with its parent's."""
    names = {record["span_id"]: record["name"] for record in records}
    return {record["name"]: names.get(record["parent_id"]) for record in records}


def test_span_is_started_and_ended_by_hand(telemetry: Telemetry) -> None:
    span, token = start_span("my.op")
    span.attributes["k"] = "v"
    span.status = "ok"
    assert get_current_span() is span
    end_span(span, token)
    assert get_current_span() is None
    record = telemetry.record
    assert record["name"] == "my.op"
    assert record["status"] == "ok"
    assert record["attributes"] == {"k": "v"}
    assert telemetry.span.status.status_code is StatusCode.OK


def test_attributes_can_be_given_at_the_start(telemetry: Telemetry) -> None:
    end_span(*start_span("my.op", {"feature": "search", "nested": {"a": [1]}}))
    with peekr.span("block", {"n": 1}):
        pass
    first, second = telemetry.records
    assert first["attributes"] == {"feature": "search", "nested": {"a": [1]}}
    assert second["attributes"] == {"n": 1}


def test_block_is_a_span(telemetry: Telemetry) -> None:
    with peekr.span("outer") as outer:
        assert get_current_span() is outer
        with peekr.span("inner") as inner:
            assert inner.parent_id == outer.span_id
            assert inner.trace_id == outer.trace_id
    assert tree(telemetry.records) == {"inner": "outer", "outer": None}


async def test_async_block_is_a_span(telemetry: Telemetry) -> None:
    async with peekr.span("outer") as outer:
        await asyncio.sleep(0)
        assert get_current_span() is outer
    assert telemetry.record["name"] == "outer"


def test_exception_makes_a_block_an_error_and_passes(telemetry: Telemetry) -> None:
    error = KeyError("missing")

    def fail() -> None:
        with peekr.span("block") as span:
            span.status = "ok"
            raise error

    with pytest.raises(KeyError) as raised:
        fail()
    assert raised.value is error
    assert telemetry.record["status"] == "error"
    assert telemetry.record["attributes"]["error"] == "'missing'"
    assert telemetry.record["attributes"]["error.type"] == "KeyError"


def test_block_in_a_generator_that_is_left_is_no_error(telemetry: Telemetry) -> None:
    def numbers() -> Iterator[int]:
        with peekr.span("around"):
            yield 1

    made: Any = numbers()
    next(made)
    made.close()
    assert telemetry.record["status"] == "ok"
    assert telemetry.record["attributes"] == {"peekr.stream.abandoned": True}


# -- the view --------------------------------------------------------------------------------------


def test_view_shows_what_the_record_will_say(telemetry: Telemetry) -> None:
    with peekr.span("outer"), peekr.span("op") as span:
        span.attributes["feature"] = "search"
        assert span.end_time is None
        assert span.duration_ms is None
        live = span.to_dict()
    record = telemetry.records[0]
    assert span.to_dict() == record
    assert live == {**record, "end_time": None, "duration_ms": None}
    for field in ("name", "trace_id", "span_id", "parent_id", "start_time", "end_time"):
        assert getattr(span, field) == record[field]
    assert span.duration_ms == record["duration_ms"]
    assert dict(span.attributes) == record["attributes"]
    assert "op" in repr(span)


def test_record_keys_are_set_under_their_opentelemetry_names(telemetry: Telemetry) -> None:
    values: Dict[str, Any] = {
        "model": "gpt-4o",
        "provider": "openai",
        "tokens_input": 3,
        "tokens_output": 4,
        "tokens_total": 7,
        "tokens_cache_read": 1,
        "tokens_cache_write": 2,
        "tokens_reasoning": 0,
        "finish_reasons": ["stop"],
        "session_id": "s1",
        "user_id": "u1",
        "input": {"q": "why?"},
        "output": "because",
        "cost_usd": 0.01,
        "experiment_variant": "B",
        "feature": "search",
        "endpoint": "/ask",
        "eval_scores": {"NotEmpty": 1.0},
    }
    with peekr.span("op") as span:
        span.attributes.update(values)
        span.attributes["tenant_id"] = "acme"
        span.attributes["retention_class"] = "short"
        assert dict(span.attributes) == {
            **values, "tenant_id": "acme", "retention_class": "short",
            "gen_ai.conversation.id": "s1",
        }  # fmt: skip
    record = telemetry.record
    assert record["tenant_id"] == "acme"
    assert record["retention_class"] == "short"
    assert {key: record["attributes"][key] for key in values} == values
    held = attributes_of(telemetry.span)
    assert held["gen_ai.request.model"] == "gpt-4o"
    assert held["session.id"] == held["gen_ai.conversation.id"] == "s1"
    assert held["peekr.feature"] == "search"
    assert held["peekr.input"] == '{"q":"why?"}'
    assert held["peekr.tenant_id"] == "acme"


@pytest.mark.parametrize(
    "value",
    [
        {"a": [1, {"b": None}], "c": {}},
        [{"a": 1}, {"b": 2}],
        [1, "mixed", None],
        ["same", "kind"],
        [1.5, 2.5],
        [],
        {},
        None,
        True,
        "text that looks like JSON: {}",
        "{}",
    ],
    ids=repr,
)
def test_nested_values_are_read_back_as_given(
    telemetry: Telemetry, nesting: str, value: Any
) -> None:
    with peekr.span("op") as span:
        span.attributes["key"] = value
        assert span.attributes["key"] == value
        assert type(span.attributes["key"]) is type(value)
        assert dict(span.attributes) == {"key": value}
        span.attributes["key"] = "plain"
        assert span.attributes["key"] == "plain"
        span.attributes["key"] = value
    assert span.attributes["key"] == value
    assert telemetry.record["attributes"] == {"key": value}
    assert span.to_dict()["attributes"] == {"key": value}


def test_opentelemetry_sees_nested_values(telemetry: Telemetry, nesting: str) -> None:
    with peekr.span("op") as span:
        span.attributes["key"] = {"a": [1]}
    held = attributes_of(telemetry.span)
    if nesting == "JSON text":
        assert held == {"key": '{"a":[1]}', "peekr.json_attributes": ("key",)}
    else:
        assert held == {"key": {"a": (1,)}}


def test_odd_values_and_keys_do_not_raise(telemetry: Telemetry, nesting: str) -> None:
    circle: List[Any] = []
    circle.append(circle)
    attributes: Any
    with peekr.span("op") as span:
        attributes = span.attributes
        attributes["circle"] = circle
        attributes["object"] = object()
        attributes["large"] = 10**30
        attributes["nan"] = [float("nan"), 1]
        attributes[5] = "five"
    assert telemetry.record["attributes"] == {
        "circle": ["[circular]"],
        "object": "<builtins.object>",
        "large": "1" + "0" * 30,
        "nan": ["NaN", 1],
        "5": "five",
    }


def test_entries_can_be_deleted(telemetry: Telemetry, nesting: str) -> None:
    with peekr.span("op") as span:
        span.attributes.update({"a": 1, "b": {"c": 2}, "input": "secret", "kept": 1})
        assert span.attributes.pop("b") == {"c": 2}
        del span.attributes["a"]
        del span.attributes["input"]
        assert dict(span.attributes) == {"kept": 1}
        assert "a" not in span.attributes
        with pytest.raises(KeyError):
            span.attributes["a"]
        with pytest.raises(KeyError):
            del span.attributes["never"]
        span.attributes["a"] = "back"
        assert len(span.attributes) == 2
    assert telemetry.record["attributes"] == {"kept": 1, "a": "back"}
    assert "secret" not in str(attributes_of(telemetry.span))


def test_status_can_be_set_either_way_until_the_end(telemetry: Telemetry) -> None:
    with peekr.span("op") as span:
        assert span.status == "ok"
        span.status = "error"
        assert span.status == "error"
        span.status = "ok"
        assert span.status == "ok"
        span.status = "error"
        with pytest.raises(ValueError, match="neither 'ok' nor 'error'"):
            span.status = cast("Any", "fine")
    assert span.status == "error"
    with peekr.span("second") as span:
        span.status = "error"
        span.status = "ok"
    assert [record["status"] for record in telemetry.records] == ["error", "ok"]
    assert [one.status.status_code for one in telemetry.spans] == [StatusCode.ERROR, StatusCode.OK]


def test_name_can_be_changed(telemetry: Telemetry) -> None:
    with peekr.span("before") as span:
        span.name = "after"
        assert span.name == "after"
    assert telemetry.record["name"] == "after"


# -- beside OpenTelemetry --------------------------------------------------------------------------


def test_opentelemetry_and_peekr_see_the_same_span(telemetry: Telemetry) -> None:
    with telemetry.tracer.start_as_current_span("theirs") as theirs:
        current = get_current_span()
        assert current is not None
        assert current.otel_span is theirs
        assert current == Span(theirs)
        assert hash(current) == hash(Span(theirs))
        theirs.set_attribute("peekr.feature", "from there")
        assert current.attributes["feature"] == "from there"
        current.attributes["k"] = "from here"
        assert theirs.attributes["k"] == "from here"
        current.status = "error"
        with peekr.span("ours") as ours:
            assert otel_trace.get_current_span() is ours.otel_span
            otel_trace.get_current_span().set_attribute("input", "a plain input")
            assert ours.attributes["input"] == "a plain input"
            with telemetry.tracer.start_as_current_span("theirs inside"):
                inside = get_current_span()
                assert inside is not None
                assert inside.parent_id == ours.span_id
            assert get_current_span() is ours
    assert tree(telemetry.records) == {
        "theirs inside": "ours", "ours": "theirs", "theirs": None,
    }  # fmt: skip
    assert telemetry.records[2]["status"] == "error"


def test_there_is_no_current_span_where_there_is_none(telemetry: Telemetry) -> None:
    assert get_current_span() is None
    with otel_trace.use_span(otel_trace.INVALID_SPAN):
        assert get_current_span() is None


def test_span_of_opentelemetry_can_be_ended_here(telemetry: Telemetry) -> None:
    theirs = telemetry.tracer.start_span("theirs")
    view = Span(theirs)
    view.status = "ok"
    end_span(view, None)
    end_span(view, None)
    assert telemetry.record["name"] == "theirs"


# -- ended in other ways ---------------------------------------------------------------------------


def test_ended_out_of_order(telemetry: Telemetry, caplog: pytest.LogCaptureFixture) -> None:
    with peekr.span("root") as root:
        first, first_token = start_span("first")
        second, second_token = start_span("second")
        end_span(first, first_token)
        assert get_current_span() is root
        third, third_token = start_span("third")
        end_span(second, second_token)
        assert get_current_span() is third
        end_span(third, third_token)
        assert get_current_span() is root
    assert get_current_span() is None
    assert tree(telemetry.records) == {
        "first": "root", "second": "first", "third": "root", "root": None,
    }  # fmt: skip
    assert caplog.records == []


def test_ended_twice(telemetry: Telemetry, caplog: pytest.LogCaptureFixture) -> None:
    with peekr.span("root") as root:
        span, token = start_span("op")
        end_span(span, token)
        end_span(span, token)
        assert get_current_span() is root
    end_span(root, token)
    span.attributes["late"] = 1
    assert len(telemetry.records) == 2
    assert caplog.records == []


def test_ended_twice_at_once_is_recorded_once(telemetry: Telemetry) -> None:
    for _ in range(50):
        span, token = start_span("op")
        ready = threading.Barrier(2)

        def end(span: Span = span, token: Any = token, ready: threading.Barrier = ready) -> None:
            ready.wait()
            end_span(span, token)

        threads = [threading.Thread(target=end) for _ in range(2)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        end_span(span, token)
    assert len(telemetry.records) == 50


def test_changed_after_its_end(telemetry: Telemetry, caplog: pytest.LogCaptureFixture) -> None:
    span, token = start_span("op")
    span.attributes["k"] = 1
    end_span(span, token)
    span.attributes["k"] = 2
    span.attributes["late"] = {"a": 1}
    span.status = "error"
    span.name = "other"
    span.record_exception(ValueError())
    assert dict(span.attributes) == {"k": 1}
    assert span.status == "ok"
    assert span.name == "op"
    assert caplog.records == []


def test_never_ended(telemetry: Telemetry, caplog: pytest.LogCaptureFixture) -> None:
    with peekr.span("root"):
        start_span("forgotten")
        with peekr.span("inside"):
            pass
    assert get_current_span() is None
    assert [record["name"] for record in telemetry.records] == ["inside", "root"]
    assert caplog.records == []


@pytest.mark.usefixtures("root_context")
def test_ended_in_another_thread(telemetry: Telemetry, caplog: pytest.LogCaptureFixture) -> None:
    with peekr.span("root") as root:
        span, token = start_span("op")
        thread = threading.Thread(target=end_span, args=(span, token))
        thread.start()
        thread.join()
        assert get_current_span() is root
        with peekr.session(session_id="kept"), peekr.span("next") as following:
            assert following.parent_id == root.span_id
    assert tree(telemetry.records) == {"op": "root", "next": "root", "root": None}
    assert telemetry.records[1]["attributes"]["session_id"] == "kept"
    assert caplog.records == []


@pytest.mark.usefixtures("root_context")
def test_root_ended_in_another_thread_is_not_the_parent_of_what_follows(
    telemetry: Telemetry,
) -> None:
    span, token = start_span("op")
    thread = threading.Thread(target=end_span, args=(span, token))
    thread.start()
    thread.join()
    assert get_current_span() is None
    with peekr.span("next") as following:
        assert following.parent_id is None
        assert following.trace_id != span.trace_id


async def test_ended_in_another_task(
    telemetry: Telemetry, caplog: pytest.LogCaptureFixture
) -> None:
    async def end(span: Span, token: Any) -> None:
        end_span(span, token)
        assert get_current_span() is None

    span, token = start_span("op")
    await asyncio.ensure_future(end(span, token))
    assert get_current_span() is None
    with peekr.span("next"):
        pass
    assert tree(telemetry.records) == {"op": None, "next": None}
    assert caplog.records == []


async def test_task_that_outlives_its_span_does_not_keep_all_before_it(
    telemetry: Telemetry,
) -> None:
    """Tasks that start their successors inside their own span."""
    views: List[Span] = []
    done = asyncio.Event()

    async def tick(left: int) -> None:
        with peekr.span("tick") as span:
            views.append(span)
            if left:
                following = asyncio.ensure_future(tick(left - 1))
                running.add(following)
        if not left:
            done.set()

    running: Set[Any] = set()
    await tick(20)
    await done.wait()
    length = 0
    view = views[-1]._previous  # pyright: ignore[reportPrivateUsage]
    while view is not None and length < 20:
        own: Any = view.get("peekr-none") or [
            value for value in view.values() if isinstance(value, Span)
        ]
        view = own[0]._previous if own else None
        length += 1
    assert length <= 2


def test_wrong_things_to_end_are_refused() -> None:
    with pytest.raises(TypeError, match="no span of start_span"):
        end_span(cast("Any", "span"), cast("Any", None))


# -- without a provider, or not sampled ------------------------------------------------------------


def check_works_without_recording() -> None:
    span, token = start_span("op")
    assert get_current_span() is not None
    span.attributes["n"] = {"a": 1}
    span.attributes["input"] = {"q": 1}
    span.attributes.setdefault("count", 0)
    span.attributes["count"] += 1
    assert dict(span.attributes) == {"n": {"a": 1}, "input": {"q": 1}, "count": 1}
    del span.attributes["n"]
    span.status = "error"
    span.name = "other"
    assert span.to_dict()["attributes"]["count"] == 1
    end_span(span, token)
    assert span.duration_ms is not None
    assert span.duration_ms >= 0
    assert span.end_time is not None
    with pytest.raises(KeyError), peekr.span("block"):
        raise KeyError
    assert get_current_span() is None


def test_everything_works_without_a_provider() -> None:
    check_works_without_recording()


def test_everything_works_for_spans_that_are_not_sampled(tmp_path: Any) -> None:
    telemetry = Telemetry(tmp_path, sampler=ALWAYS_OFF)
    telemetry.instrument()
    check_works_without_recording()
    with peekr.span("outer") as outer, peekr.span("inner") as inner:
        assert outer.trace_id == inner.trace_id != "0" * 32
    assert telemetry.records == []
    telemetry.provider.shutdown()


def test_spans_go_to_the_provider_of_the_latest_instrument(tmp_path: Any) -> None:
    first, second = Telemetry(tmp_path / "1"), Telemetry(tmp_path / "2")
    first.instrument()
    with peekr.span("one"):
        pass
    second.instrument()
    with peekr.span("two"):
        pass
    assert [span.name for span in first.spans] == ["one"]
    assert [span.name for span in second.spans] == ["two"]
    for telemetry in (first, second):
        telemetry.provider.shutdown()


def test_many_threads_change_one_span(telemetry: Telemetry, nesting: str) -> None:
    with peekr.span("op") as span:

        def change(number: int) -> None:
            for n in range(10):
                span.attributes[f"{number}-{n}"] = {"n": n}
                dict(span.attributes)

        threads = [threading.Thread(target=change, args=(number,)) for number in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    record = telemetry.record
    assert len(record["attributes"]) == 80
    assert record["attributes"]["7-9"] == {"n": 9}
    assert isinstance(telemetry.span, ReadableSpan)
