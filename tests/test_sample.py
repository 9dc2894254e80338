"""Sampling: a trace is kept or left out as one, and kept when anything in it failed."""

from __future__ import annotations

import json
import os
import random
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any, Dict, List, Set

import pytest
from opentelemetry import trace as otel_trace
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import (
    NonRecordingSpan,
    Status,
    StatusCode,
    set_span_in_context,
)

import peekr
from peekr.pipeline import sample
from peekr.pipeline.sample import TraceSampler

from .conftest import Telemetry
from .support.ended import context_of, ended
from .support.forking import needs_fork, said_in_child

CHOSEN = 0x1234
"""A trace id that any rate above 0 chooses."""
LEFT_OUT = (1 << 128) - 1
"""A trace id that no rate below 1 chooses."""


class Kept:
    """A sampler with what it passed on, by span id."""

    def __init__(self, rate: float = 0.5, keep_errors: bool = True) -> None:
        self.ids: List[int] = []
        self.sampler = TraceSampler(rate, keep_errors, self._take)

    def _take(self, span: ReadableSpan) -> None:
        assert span.context is not None
        self.ids.append(span.context.span_id)

    def __call__(self, *spans: ReadableSpan) -> List[int]:
        for span in spans:
            self.sampler(span)
        return self.ids


def trace_ids(count: int, seed: int = 7) -> List[int]:
    made = random.Random(seed)
    return [made.getrandbits(128) for _ in range(count)]


# -- the choice ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("rate", "least", "most"), [(0.0, 0, 0), (1.0, 2000, 2000), (0.3, 520, 680), (0.001, 0, 12)]
)
def test_the_rate_is_the_share_of_traces_that_is_kept(rate: float, least: int, most: int) -> None:
    kept = Kept(rate)
    for trace_id in trace_ids(2000):
        kept(ended(trace_id, 1))
    assert least <= len(kept.ids) <= most


def test_the_choice_is_a_function_of_the_trace_id() -> None:
    first, second = Kept(0.3), Kept(0.3)
    for number, trace_id in enumerate(trace_ids(500), 1):
        first(ended(trace_id, number))
    for number, trace_id in reversed(list(enumerate(trace_ids(500), 1))):
        second(ended(trace_id, number))
    assert first.ids == second.ids[::-1]


def test_a_higher_rate_keeps_what_a_lower_one_kept() -> None:
    before: Set[int] = set()
    for rate in (0.0, 0.1, 0.3, 0.7, 1.0):
        kept = Kept(rate)
        for number, trace_id in enumerate(trace_ids(500), 1):
            kept(ended(trace_id, number))
        assert before <= set(kept.ids)
        before = set(kept.ids)


PROGRAM = """
import sys
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.id_generator import IdGenerator
import random
import peekr

class Ids(IdGenerator):
    def __init__(self): self.random = random.Random(7)
    def generate_trace_id(self): return self.random.getrandbits(128)
    def generate_span_id(self): return random.getrandbits(63) + 1

provider = TracerProvider(id_generator=Ids())
peekr.instrument(console=False, jsonl_path=sys.argv[1], sample_rate=0.3, tracer_provider=provider)
for _ in range(200):
    with provider.get_tracer("t").start_as_current_span("root"):
        with provider.get_tracer("t").start_as_current_span("child"):
            pass
"""


def test_every_process_makes_the_same_choice_of_whole_traces(tmp_path: Path) -> None:
    kept: List[Dict[str, Set[str]]] = []
    for seed in ("1", "2"):
        path = tmp_path / f"{seed}.jsonl"
        environment = {**os.environ, "PYTHONHASHSEED": seed}
        subprocess.run([sys.executable, "-c", PROGRAM, str(path)], check=True, env=environment)
        traces: Dict[str, Set[str]] = {}
        for line in path.read_text("utf-8").splitlines():
            record = json.loads(line)
            traces.setdefault(record["trace_id"], set()).add(record["name"])
        kept.append(traces)
    assert kept[0] == kept[1]
    assert 35 <= len(kept[0]) <= 85
    assert all(names == {"root", "child"} for names in kept[0].values())


# -- errors ----------------------------------------------------------------------------------------


def test_a_trace_with_an_error_is_kept_whole() -> None:
    kept = Kept()
    assert kept(ended(LEFT_OUT, 3, 2), ended(LEFT_OUT, 4, 2)) == []
    assert kept(ended(LEFT_OUT, 5, 2, failed=True)) == [3, 4, 5]
    assert kept(ended(LEFT_OUT, 6, 2), ended(LEFT_OUT, 2, 1), ended(LEFT_OUT, 1)) == [
        3, 4, 5, 6, 2, 1,
    ]  # fmt: skip


def test_an_error_of_the_root_comes_last_and_is_not_too_late() -> None:
    assert Kept()(ended(LEFT_OUT, 2, 1), ended(LEFT_OUT, 1, failed=True)) == [2, 1]


def test_a_trace_without_an_error_is_left_out_whole() -> None:
    assert Kept()(ended(LEFT_OUT, 2, 1), ended(LEFT_OUT, 1)) == []


def test_an_error_after_the_root_keeps_what_ended_since() -> None:
    kept = Kept()
    # A stream that outlives the function that opened it.
    kept(ended(LEFT_OUT, 2, 1), ended(LEFT_OUT, 1))
    kept(ended(LEFT_OUT, 3, 1), ended(LEFT_OUT, 4, 1, failed=True), ended(LEFT_OUT, 5, 1))
    assert kept.ids == [3, 4, 5]


def test_without_keep_errors_an_error_changes_nothing() -> None:
    kept = Kept(keep_errors=False)
    assert kept(ended(LEFT_OUT, 2, 1, failed=True), ended(LEFT_OUT, 1, failed=True)) == []
    assert kept(ended(CHOSEN, 1)) == [1]


def test_one_traces_error_keeps_no_other() -> None:
    kept = Kept()
    other = LEFT_OUT - 1
    kept(ended(LEFT_OUT, 2, 1), ended(other, 12, 11), ended(LEFT_OUT, 1, failed=True))
    assert kept(ended(other, 11)) == [2, 1]


def test_a_parent_in_another_process_is_the_end_of_the_trace_here() -> None:
    kept = Kept()
    assert kept(ended(LEFT_OUT, 2, 1), ended(LEFT_OUT, 1, 99, is_remote=True)) == []
    assert_nothing_waits(kept.sampler)


def test_requests_of_one_trace_do_not_decide_for_each_other() -> None:
    kept = Kept()
    # Two requests of one caller: the first ends well while the second is under way.
    kept(
        ended(LEFT_OUT, 4, 3), ended(LEFT_OUT, 22, 21), ended(LEFT_OUT, 3, 2), ended(LEFT_OUT, 2, 1)
    )
    assert kept(ended(LEFT_OUT, 1, 99, is_remote=True)) == []
    assert kept(ended(LEFT_OUT, 23, 21, failed=True)) == [22, 23]
    assert kept(ended(LEFT_OUT, 21, 99, is_remote=True)) == [22, 23, 21]


# -- bounds ----------------------------------------------------------------------------------------


def assert_nothing_waits(sampler: TraceSampler) -> None:
    assert _waiting(sampler) == []
    assert _counted(sampler) == (0, 0)


def _waiting(sampler: TraceSampler) -> List[ReadableSpan]:
    waiting: Any = sampler._waiting  # pyright: ignore[reportPrivateUsage]
    return [span for spans in waiting.values() for span in spans]


def _counted(sampler: TraceSampler) -> Any:
    return (sampler._spans, sampler._chars)  # pyright: ignore[reportPrivateUsage]


def test_roots_that_never_end_hold_a_bounded_number_of_traces() -> None:
    kept = Kept()
    count = sample.MAX_TRACES + 50
    for number in range(count):
        kept(ended(LEFT_OUT - number, number + 1, 9_999))
    assert len(_waiting(kept.sampler)) == sample.MAX_TRACES
    # The oldest were let go, the newest wait for their error still.
    assert kept(ended(LEFT_OUT, 8_001, 9_999, failed=True)) == [8_001]
    assert kept(ended(LEFT_OUT - count + 1, 8_002, 9_999, failed=True))[-2:] == [count, 8_002]


def test_a_trace_that_never_ends_holds_a_bounded_number_of_spans(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(sample, "MAX_SPANS", 100)
    kept = Kept()
    for number in range(1_050):
        kept(ended(LEFT_OUT, number + 1, 9_999))
        assert len(_waiting(kept.sampler)) <= 100
    assert _counted(kept.sampler)[0] == len(_waiting(kept.sampler))


def test_long_texts_count(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sample, "MAX_CHARS", 1_000_000)
    kept = Kept()
    for number in range(100):
        kept(ended(LEFT_OUT - number, number + 1, 9_999, text="x" * 50_000))
    assert len(_waiting(kept.sampler)) == 19
    for number in range(100):
        kept(ended(LEFT_OUT - number, number + 1))
    assert_nothing_waits(kept.sampler)


def test_what_failed_is_forgotten_in_the_end() -> None:
    kept = Kept()
    for number in range(6_000):
        kept(ended(LEFT_OUT - number, number + 1, failed=True))
    assert len(kept.ids) == 6_000
    remembered: Any = kept.sampler._kept  # pyright: ignore[reportPrivateUsage]
    assert len(remembered) <= 4_096


# -- threads and forks -----------------------------------------------------------------------------


def test_threads_lose_and_double_nothing() -> None:
    kept = Kept()
    everyone = threading.Barrier(8)

    def work(worker: int) -> None:
        everyone.wait()
        for number in range(200):
            first = (worker * 200 + number) * 3 + 1
            trace_id = LEFT_OUT - worker * 200 - number
            kept(
                ended(trace_id, first, first + 2),
                ended(trace_id, first + 1, first + 2),
                ended(trace_id, first + 2, failed=number % 2 == 0),
            )

    threads = [threading.Thread(target=work, args=(worker,)) for worker in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    expected = [n for n in range(1, 8 * 200 * 3 + 1) if ((n - 1) // 3) % 2 == 0]
    assert sorted(kept.ids) == expected
    assert_nothing_waits(kept.sampler)


def test_one_trace_in_many_threads_is_kept_whole() -> None:
    for _ in range(30):
        kept = Kept()
        everyone = threading.Barrier(4)

        def work(first: int, kept: Kept = kept, everyone: threading.Barrier = everyone) -> None:
            everyone.wait()
            for number in range(first, first + 20):
                kept(ended(LEFT_OUT, number, 1, failed=number == 50))

        threads = [threading.Thread(target=work, args=(first,)) for first in (10, 30, 50, 70)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        kept(ended(LEFT_OUT, 1))
        assert sorted(kept.ids) == [1, *range(10, 90)]


@needs_fork
def test_a_forks_child_keeps_its_own_spans_alone() -> None:
    kept = Kept()
    kept(ended(LEFT_OUT, 2, 1))

    def say() -> str:
        kept(ended(LEFT_OUT, 3, 1, failed=True))
        return str(kept.ids)

    assert said_in_child(kept.sampler._lock, say) == "[3]"  # pyright: ignore[reportPrivateUsage]
    # And the parent has what waited here.
    assert kept(ended(LEFT_OUT, 1, failed=True)) == [2, 1]


# -- through instrument() --------------------------------------------------------------------------


def start(provider: Any, trace_id: int, name: str) -> Any:
    """A root span of this trace id's."""
    parent = NonRecordingSpan(context_of(trace_id, 0x99, is_remote=True))
    return provider.get_tracer("test").start_span(name, set_span_in_context(parent))


def test_peekrs_outputs_are_sampled_and_the_applications_own_are_not(
    bare_telemetry: Telemetry, capsys: pytest.CaptureFixture[str]
) -> None:
    shipped = InMemorySpanExporter()
    bare_telemetry.instrument(sample_rate=0.5, exporter=shipped, console=True)
    later = InMemorySpanExporter()
    bare_telemetry.provider.add_span_processor(SimpleSpanProcessor(later))
    start(bare_telemetry.provider, CHOSEN, "chosen").end()
    start(bare_telemetry.provider, LEFT_OUT, "left out").end()
    failed = start(bare_telemetry.provider, LEFT_OUT - 1, "failed")
    failed.set_status(Status(StatusCode.ERROR, "no"))
    failed.end()
    assert [record["name"] for record in bare_telemetry.records] == ["chosen", "failed"]
    assert [span.name for span in shipped.get_finished_spans()] == ["chosen", "failed"]
    assert [line.split("  ")[0] for line in capsys.readouterr().out.splitlines()] == [
        "chosen",
        "failed",
    ]
    everything = ["chosen", "left out", "failed"]
    assert [span.name for span in bare_telemetry.spans] == everything
    assert [span.name for span in later.get_finished_spans()] == everything


def test_a_rate_of_zero_without_errors_keeps_nothing(bare_telemetry: Telemetry) -> None:
    bare_telemetry.instrument(sample_rate=0.0, keep_errors=False)
    failed = start(bare_telemetry.provider, CHOSEN, "failed")
    failed.set_status(Status(StatusCode.ERROR))
    failed.end()
    assert bare_telemetry.records == []


def test_a_rate_of_one_keeps_everything_at_once(bare_telemetry: Telemetry) -> None:
    bare_telemetry.instrument(sample_rate=1.0)
    root = start(bare_telemetry.provider, LEFT_OUT, "root")
    with otel_trace.use_span(root):
        bare_telemetry.tracer.start_span("child").end()
    assert bare_telemetry.record["name"] == "child"
    root.end()


def test_the_rate_can_be_changed(bare_telemetry: Telemetry) -> None:
    bare_telemetry.instrument(sample_rate=0.0, keep_errors=False)
    start(bare_telemetry.provider, LEFT_OUT, "before").end()
    bare_telemetry.instrument(sample_rate=1.0)
    start(bare_telemetry.provider, LEFT_OUT, "after").end()
    assert bare_telemetry.record["name"] == "after"


OWNED = """
import sys
import peekr
from opentelemetry import trace
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

peekr.instrument(console=False, jsonl_path=sys.argv[1], sample_rate=0.0)
later = InMemorySpanExporter()
trace.get_tracer_provider().add_span_processor(SimpleSpanProcessor(later))
with trace.get_tracer("t").start_as_current_span("fine"):
    pass
try:
    with trace.get_tracer("t").start_as_current_span("failed"):
        raise ValueError("no")
except ValueError:
    pass
print(*(span.name for span in later.get_finished_spans()))
"""


def test_an_exporter_added_to_peekrs_own_provider_gets_everything(tmp_path: Path) -> None:
    path = tmp_path / "traces.jsonl"
    made = subprocess.run(
        [sys.executable, "-c", OWNED, str(path)], capture_output=True, text=True, check=True
    )
    assert made.stdout.split() == ["fine", "failed"]
    assert [json.loads(line)["name"] for line in path.read_text("utf-8").splitlines()] == ["failed"]


def test_whole_traces_of_real_spans_are_kept_or_left_out(bare_telemetry: Telemetry) -> None:
    bare_telemetry.instrument(sample_rate=0.5)
    for number in range(100):
        with bare_telemetry.tracer.start_as_current_span("root") as root:
            with bare_telemetry.tracer.start_as_current_span("child") as child:
                if number % 10 == 0:
                    child.set_status(Status(StatusCode.ERROR))
            root.set_attribute("number", number)
    traces: Dict[str, List[str]] = {}
    numbers: Set[int] = set()
    for record in bare_telemetry.records:
        traces.setdefault(record["trace_id"], []).append(record["name"])
        numbers.add(record["attributes"].get("number", -1))
    assert all(names == ["child", "root"] for names in traces.values())
    assert set(range(0, 100, 10)) <= numbers
    assert 25 <= len(traces) <= 85


def test_a_provider_of_ones_own_without_a_sampler_is_not_changed(tmp_path: Path) -> None:
    provider = TracerProvider(shutdown_on_exit=False)
    before = provider.sampler
    peekr.instrument(console=False, storage=None, sample_rate=0.1, tracer_provider=provider)
    assert provider.sampler is before
    provider.shutdown()
