"""Alerts on what really ends in a process: which trace they see, when, and how often."""

from __future__ import annotations

import threading
from typing import Any, Callable, Dict, Iterator, List, Optional, Sequence, Tuple

import pytest
from opentelemetry import context as otel_context
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.trace import Status, StatusCode, set_span_in_context
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

import peekr
from peekr.alert import ErrorRate, ScoreFloor, TokenGrowth, WebhookSink
from peekr.pipeline import alerting
from peekr.pipeline.alerting import AlertStage, ArrivalStage
from peekr.pipeline.chain import Chain
from peekr.pipeline.waiting import chars_of
from simulated_providers import SimulatedProviders

from ..conftest import Telemetry
from ..instrumentation.openai.calls import make_client
from ..support.ended import ended
from .traces import Kept
from .webhook import Webhook, wait_until


class Seen:
    """A rule that keeps the names of each trace's spans."""

    def __init__(self) -> None:
        self.traces: List[List[str]] = []

    def __call__(self, trace: Sequence[Any]) -> None:
        self.traces.append([record.name for record in trace])


@pytest.fixture
def client(simulated: SimulatedProviders) -> Iterator[Any]:
    made = make_client("sync", f"{simulated.url}/openai/v1")
    yield made
    made.close()


def _ask(client: Any, text: str = "hi", model: str = "gpt-4o") -> Any:
    return client.chat.completions.create(model=model, messages=[{"role": "user", "content": text}])


# -- through instrument() --------------------------------------------------------------------------


def test_a_rule_fires_on_the_trace_where_arithmetic_says_so_and_once(
    bare_telemetry: Telemetry, client: Any
) -> None:
    kept = Kept()
    growth = Kept()
    bare_telemetry.instrument(
        alerts=[ErrorRate(0.3, window=4, sinks=[kept]), TokenGrowth(2, sinks=[growth])]
    )
    seen: List[int] = []
    for number, text in enumerate(("hi", "hi", "hi " * 20, "hi " * 60, "hi " * 200)):
        _ask(client, text)
        if number in (2, 3):
            with (
                pytest.raises(ValueError, match="no"),
                bare_telemetry.tracer.start_as_current_span("job"),
            ):
                raise ValueError("no")
        assert peekr.flush()
        seen.append(len(kept.told))
    # The failures are the traces 4 and 6: 1 of 4, then 2 of 4.
    assert seen == [0, 0, 0, 1, 1]
    assert kept.messages[0].startswith("2 of the last 4 traces failed (50.0%, threshold 30.0%)")
    assert len(growth.told) == 1


def test_a_trace_is_seen_once_and_whole_when_its_root_ends(
    bare_telemetry: Telemetry, client: Any
) -> None:
    seen = Seen()
    bare_telemetry.instrument(alerts=[seen])
    with bare_telemetry.tracer.start_as_current_span("agent"):
        _ask(client)
        with bare_telemetry.tracer.start_as_current_span("step"):
            _ask(client)
        assert peekr.flush()
        assert seen.traces == []
    assert peekr.flush()
    assert seen.traces == [["openai.chat", "openai.chat", "step", "agent"]]


def test_a_root_is_also_a_span_whose_parent_is_in_another_process(
    bare_telemetry: Telemetry,
) -> None:
    seen = Seen()
    bare_telemetry.instrument(alerts=[seen])
    header = {"traceparent": f"00-{7:032x}-{7:016x}-01"}
    remote = TraceContextTextMapPropagator().extract(header)
    tracer = bare_telemetry.tracer
    one = tracer.start_span("GET /one", context=remote)
    two = tracer.start_span("GET /two", context=remote)
    below_two = tracer.start_span("below two", context=set_span_in_context(two))
    below_one = tracer.start_span("below one", context=set_span_in_context(one))
    for span in (below_two, below_one, one, two):
        span.end()
    assert peekr.flush()
    assert seen.traces == [["below one", "GET /one"], ["below two", "GET /two"]]


def test_traces_that_sampling_leaves_out_of_storage_are_seen(
    bare_telemetry: Telemetry, client: Any
) -> None:
    seen = Seen()
    bare_telemetry.instrument(alerts=[seen], sample_rate=0.0)
    for _ in range(3):
        _ask(client)
    assert peekr.flush()
    assert seen.traces == [["openai.chat"]] * 3
    assert bare_telemetry.records == []


def test_calls_of_peekrs_own_and_late_spans_are_not_seen(bare_telemetry: Telemetry) -> None:
    seen = Seen()
    bare_telemetry.instrument(alerts=[seen])
    tracer = bare_telemetry.tracer
    root = tracer.start_span("root")
    inside = set_span_in_context(root)
    tracer.start_span("judge", context=inside, attributes={"peekr.internal": True}).end()
    late = tracer.start_span("late", context=inside)
    root.end()
    late.end()
    assert peekr.flush()
    assert seen.traces == [["root"]]


def test_what_a_rule_and_a_sink_do_is_not_traced(bare_telemetry: Telemetry, client: Any) -> None:
    seen = Seen()

    def rule(trace: Sequence[Any]) -> str:
        _ask(client)
        with bare_telemetry.tracer.start_as_current_span("work of a rule"):
            pass
        return "done"

    def sink(name: str, message: str) -> None:
        _ask(client)

    bare_telemetry.instrument(alerts=[rule, seen, ErrorRate(0.0, sinks=[sink])])
    with pytest.raises(ValueError, match="no"), bare_telemetry.tracer.start_as_current_span("job"):
        raise ValueError("no")
    assert peekr.flush()
    assert seen.traces == [["job"]]
    assert [span.name for span in bare_telemetry.spans] == ["job", "work of a rule"]


def test_sends_are_not_instrumented_by_others(bare_telemetry: Telemetry) -> None:
    suppressed: List[Dict[str, Any]] = []

    def build(name: str, message: str) -> Any:
        suppressed.append(dict(otel_context.get_current()))
        return {}

    with Webhook() as hook:
        sink = WebhookSink(hook.url, payload_builder=build)
        bare_telemetry.instrument(alerts=[ErrorRate(0.0, sinks=[sink])])
        span = bare_telemetry.tracer.start_span("job")
        span.set_status(Status(StatusCode.ERROR))
        span.end()
        assert peekr.flush()
        assert len(hook.received) == 1
        assert "Traceparent" not in hook.received[0].headers
    (context,) = suppressed
    assert context["suppress_instrumentation"] is True
    assert any(key.startswith("suppress_http_instrumentation") for key in context)


def test_a_rule_that_raises_stops_neither_the_others_nor_the_application(
    bare_telemetry: Telemetry, client: Any, caplog: pytest.LogCaptureFixture
) -> None:
    seen = Seen()

    def broken(trace: Sequence[Any]) -> str:
        raise RuntimeError("a bug")

    bare_telemetry.instrument(alerts=[broken, seen])
    for _ in range(3):
        _ask(client)
    assert peekr.flush()
    assert len(seen.traces) == len(bare_telemetry.records) == 3
    assert [m for m in caplog.messages if "broken" in m] == [
        "The alert broken raised; the application and other alerts are not affected. "
        "Further errors of this alert are not logged."
    ]


def test_the_caller_waits_neither_for_rules_nor_for_sinks(
    bare_telemetry: Telemetry, client: Any
) -> None:
    free = threading.Event()
    threads: List[Any] = []

    def slow(trace: Sequence[Any]) -> str:
        threads.append(threading.get_ident())
        assert free.wait(20)
        return "slow"

    bare_telemetry.instrument(alerts=[slow])
    for _ in range(3):
        _ask(client)
    assert not peekr.flush(0.01)
    free.set()
    assert peekr.flush()
    assert len(threads) == 3
    assert threading.get_ident() not in threads


def test_an_alert_that_is_given_twice_counts_each_trace_once(
    bare_telemetry: Telemetry, client: Any
) -> None:
    seen, kept = Seen(), Kept()
    growth = TokenGrowth(2, sinks=[kept])
    bare_telemetry.instrument(alerts=[growth, seen, growth, seen])
    for text in ("hi", "hi " * 20):
        _ask(client, text)
    assert peekr.flush()
    assert kept.told == []
    _ask(client, "hi " * 60)
    assert peekr.flush()
    assert (len(kept.told), len(seen.traces)) == (1, 3)


def test_an_alert_goes_on_counting_when_instrument_is_called_again(
    bare_telemetry: Telemetry, client: Any
) -> None:
    growth = Kept()
    alert = TokenGrowth(2, sinks=[growth])
    for text in ("hi", "hi " * 20, "hi " * 60):
        bare_telemetry.instrument(alerts=[alert])
        _ask(client, text)
    assert peekr.flush()
    assert len(growth.told) == 1


@pytest.mark.parametrize("is_async", [True, False])
def test_a_floor_for_scores_waits_for_the_scores(
    is_async: bool, bare_telemetry: Telemetry, client: Any
) -> None:
    kept, seen = Kept(), Seen()
    scores = iter((0.9, 0.2, 0.9))

    def quality(record: Any) -> float:
        return next(scores)

    floor = ScoreFloor("quality", 0.5, sinks=[kept])
    bare_telemetry.instrument(alerts=[floor, seen], evaluators=[quality], async_eval=is_async)
    for _ in range(3):
        with bare_telemetry.tracer.start_as_current_span("agent"):
            _ask(client)
        assert peekr.flush()
    assert seen.traces == [["openai.chat", "agent"]] * 3
    assert len(kept.told) == 1
    assert kept.messages[0].startswith("quality scored 0.20 (threshold 0.5) [agent, trace ")


def test_a_webhook_that_does_not_answer_holds_up_no_reconfiguration(
    bare_telemetry: Telemetry,
) -> None:
    with Webhook() as hook:
        hook.open.clear()
        alert = ErrorRate(0.0, sinks=[WebhookSink(hook.url)])
        bare_telemetry.instrument(alerts=[alert])
        span = bare_telemetry.tracer.start_span("job")
        span.set_status(Status(StatusCode.ERROR))
        span.end()
        wait_until(lambda: hook.received)
        bare_telemetry.instrument(alerts=[ErrorRate(0.5)])
        assert not hook.open.is_set()
        hook.open.set()
        # A later installation waits for what an earlier one has said.
        assert peekr.flush()
        assert len(hook.received) == 1


# -- the stage by itself ---------------------------------------------------------------------------


def _pass(span: ReadableSpan) -> None:
    del span


class _Holding:
    """A stage that keeps every span but roots, as one does that asks a judge about them."""

    def __init__(self) -> None:
        self.kept: List[Tuple[ReadableSpan, Callable[[ReadableSpan], None]]] = []

    def take(
        self, span: ReadableSpan, resume: Callable[[ReadableSpan], None]
    ) -> Optional[ReadableSpan]:
        if span.parent is None or span.parent.is_remote:
            return span
        self.kept.append((span, resume))
        return None

    def flush(self, timeout_s: float) -> bool:
        for span, resume in self.kept:
            resume(span)
        self.kept = []
        return True

    def close(self, timeout_s: float) -> bool:
        return self.flush(timeout_s)


@pytest.mark.parametrize("remote", [False, True])
def test_a_root_waits_for_spans_that_are_held_on_their_way(remote: bool) -> None:
    seen, holding = Seen(), _Holding()
    stage = AlertStage([seen])
    chain = Chain([ArrivalStage(stage), holding, stage], _pass)
    for span in (3, 2):
        chain(ended(1, span, parent=span - 1))
    chain(ended(1, 1, parent=99 if remote else None, is_remote=remote))
    assert stage.settle(20)
    assert seen.traces == []
    assert chain.flush(20)
    assert chain.settle(20)
    assert seen.traces == [["span 3", "span 2", "span 1"]]
    assert vars(stage)["_traces"] == {}


@pytest.mark.parametrize("remote", [False, True])
def test_a_span_that_never_comes_holds_its_trace_up_until_the_next_flush(remote: bool) -> None:
    seen, holding = Seen(), _Holding()
    stage = AlertStage([seen])
    chain = Chain([ArrivalStage(stage), holding, stage], _pass)
    chain(ended(1, 2, parent=1))
    chain(ended(1, 1, parent=99 if remote else None, is_remote=remote))
    assert stage.flush(20)
    assert stage.settle(20)
    assert seen.traces == [["span 1"]]
    assert chain.flush(20)
    chain(ended(1, 3, parent=2))
    assert chain.flush(20)
    assert stage.settle(20)
    assert seen.traces == [["span 1"]]
    assert remote or vars(stage)["_traces"] == {}


def test_what_waits_is_bounded_in_traces_spans_and_text(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(alerting, "MAX_TRACES", 10)
    monkeypatch.setattr(alerting, "MAX_SPANS", 50)
    monkeypatch.setattr(alerting, "MAX_CHARS", 100_000)
    seen = Seen()
    stage = AlertStage([seen])
    held = vars(stage)
    for trace in range(1, 100):
        stage.take(ended(trace, 2, parent=1), _pass)
    assert len(held["_traces"]) == 10
    for span in range(2, 100):
        stage.take(ended(500, span, parent=1), _pass)
    assert held["_spans"] <= 50
    for span in range(2, 100):
        stage.take(ended(600, span, parent=1, text="x" * 10_000), _pass)
    assert held["_chars"] <= 100_000
    assert len(caplog.messages) == 1
    stage.take(ended(600, 1), _pass)
    assert stage.settle(20)
    assert len(seen.traces) == 1
    while held["_traces"]:
        trace = next(iter(held["_traces"]))
        stage.take(ended(trace, 1), _pass)
    assert held["_spans"] == held["_chars"] == 0


def test_a_rule_that_is_too_slow_for_the_traces_loses_some_and_says_so(
    caplog: pytest.LogCaptureFixture,
) -> None:
    free = threading.Event()
    seen = Seen()

    def slow(trace: Sequence[Any]) -> None:
        assert free.wait(20)

    stage = AlertStage([slow, seen])
    for trace in range(1, 3000):
        stage.take(ended(trace, 1), _pass)
    free.set()
    assert stage.settle(20)
    assert alerting.MAX_QUEUED <= len(seen.traces) <= alerting.MAX_QUEUED + 2
    assert caplog.messages == [
        "The rules are slower than traces end: traces are left out of alerts."
    ]
    assert len(vars(stage)["_ended"]) <= 4096


def test_roots_on_many_threads_are_each_seen_once() -> None:
    seen = Seen()
    stage = AlertStage([seen])
    chain = Chain([ArrivalStage(stage), stage], _pass)

    def work(number: int) -> None:
        for trace in range(number * 100 + 1, number * 100 + 51):
            chain(ended(trace, 2, parent=1))
            chain(ended(trace, 1))

    threads = [threading.Thread(target=work, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert stage.settle(20)
    assert seen.traces == [["span 2", "span 1"]] * 400


def test_a_span_that_ends_inside_the_stage_itself_is_gathered_too(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    # As when a collection of garbage ends the span of a stream that was dropped.
    seen = Seen()
    stage = AlertStage([seen])
    inside: List[ReadableSpan] = [ended(1, 4, parent=3)]
    count = chars_of

    def collecting(span: ReadableSpan) -> int:
        while inside:
            stage.take(inside.pop(), _pass)
        return count(span)

    other = ended(1, 3, parent=99, is_remote=True)
    stage.take(ended(1, 5, parent=3), _pass)
    stage.take(ended(1, 2, parent=1), _pass)
    monkeypatch.setattr(alerting, "chars_of", collecting)
    stage.take(ended(1, 1, parent=98, is_remote=True), _pass)
    stage.take(other, _pass)
    assert stage.settle(20)
    assert [sorted(trace) for trace in seen.traces] == [
        ["span 1", "span 2"],
        ["span 3", "span 4", "span 5"],
    ]
    held = vars(stage)
    assert (held["_traces"], held["_spans"], held["_chars"]) == ({}, 0, 0)
