"""Exporters of one's own: in order, contained, bounded, drained."""

from __future__ import annotations

import json
import logging
import os
import sqlite3
import subprocess
import sys
import textwrap
import threading
import time
from pathlib import Path
from typing import Any, Callable, Dict, Iterator, List, Sequence, Tuple, cast

import pytest
from opentelemetry import trace as otel_trace
from opentelemetry.context import get_value
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export import (
    BatchSpanProcessor,
    SimpleSpanProcessor,
    SpanExporter,
    SpanExportResult,
)
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

import peekr
from peekr.delivery import processor as delivery
from peekr.exporters import (
    ConsoleExporter,
    JSONLExporter,
    SQLiteExporter,
    add_exporter,
    clear_exporters,
    remove_exporter,
)
from peekr.record import SpanRecord
from tests.conftest import Telemetry


@pytest.fixture(autouse=True)
def cleared() -> Iterator[None]:
    yield
    clear_exporters()


class Keeping:
    """Keeps the records that it gets; tells their order to a list that it shares with others."""

    def __init__(self, name: str = "", order: Any = None) -> None:
        self.name = name
        self.order: List[Tuple[str, str]] = [] if order is None else order
        self.spans: List[SpanRecord] = []

    def export(self, span: SpanRecord) -> None:
        self.spans.append(span)
        self.order.append((span.name, self.name))

    @property
    def names(self) -> List[str]:
        return [span.name for span in self.spans]


class Raising(Keeping):
    def export(self, span: SpanRecord) -> None:
        super().export(span)
        raise ValueError("no disk")


class Blocking(Keeping):
    """Blocks at the first span until it is let go."""

    def __init__(self) -> None:
        super().__init__()
        self.reached = threading.Event()
        self.let_go = threading.Event()

    def export(self, span: SpanRecord) -> None:
        self.reached.set()
        assert self.let_go.wait(60)
        super().export(span)


def make_spans(*names: str) -> None:
    for name in names:
        with peekr.span(name):
            pass


def until(condition: Callable[[], bool], timeout_s: float = 20.0) -> None:
    deadline = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.002)


def test_exporter_gets_the_record_of_each_span(telemetry: Telemetry) -> None:
    exporter = Keeping()
    add_exporter(exporter)
    attributes = {"nested": {"a": [1]}, "tags": ["a"]}
    with peekr.session(user_id="u", tenant_id="acme"), peekr.span("op", attributes) as made:
        made.status = "error"
    record = telemetry.record
    (span,) = exporter.spans
    assert span.to_dict() == record
    assert span.name == "op"
    assert span.status == "error"
    assert span.tenant_id == "acme"
    assert span.attributes["nested"] == {"a": [1]}
    assert span.attributes["tags"] == ["a"]
    assert span.duration_ms == record["duration_ms"]


def test_exporters_are_called_in_the_order_in_which_they_were_added(telemetry: Telemetry) -> None:
    order: List[Tuple[str, str]] = []
    exporters = [Keeping(name, order) for name in "abc"]
    for exporter in exporters:
        add_exporter(exporter)
    names = [f"span {n}" for n in range(50)]
    make_spans(*names)
    assert peekr.flush()
    for name in names:
        assert [who for what, who in order if what == name] == ["a", "b", "c"]
    for exporter in exporters:
        assert exporter.names == names


def test_exporters_do_not_share_the_span(telemetry: Telemetry) -> None:
    class Changing(Keeping):
        def export(self, span: SpanRecord) -> None:
            super().export(span)
            span.attributes["nested"]["a"].append(2)
            span.attributes["added"] = True
            span.name = "other"

    first, second = Changing(), Keeping()
    add_exporter(first)
    add_exporter(second)
    with peekr.span("op", {"nested": {"a": [1]}}):
        pass
    record = telemetry.record
    assert second.spans[0].to_dict() == record
    assert record["attributes"] == {"nested": {"a": [1]}}


def test_exporter_that_raises_is_reported_once_and_the_others_still_run(
    telemetry: Telemetry, caplog: pytest.LogCaptureFixture
) -> None:
    raising, keeping = Raising(), Keeping()
    add_exporter(raising)
    add_exporter(keeping)
    make_spans("a", "b", "c")
    assert peekr.flush()
    assert raising.names == keeping.names == ["a", "b", "c"]
    (said,) = caplog.records
    assert said.levelno == logging.WARNING
    assert "Raising" in said.getMessage()
    assert said.exc_info is not None


@pytest.mark.parametrize("error", [SystemExit(), KeyboardInterrupt()])
def test_exporter_that_ends_its_thread_goes_on(
    telemetry: Telemetry, error: BaseException, caplog: pytest.LogCaptureFixture
) -> None:
    class Exiting(Keeping):
        def export(self, span: SpanRecord) -> None:
            super().export(span)
            raise error

    exporter = Exiting()
    add_exporter(exporter)
    make_spans("a", "b")
    assert peekr.flush()
    assert exporter.names == ["a", "b"]


def test_exporter_that_blocks_does_not_hold_up_the_caller_or_the_others(
    telemetry: Telemetry,
) -> None:
    blocking, keeping = Blocking(), Keeping()
    add_exporter(blocking)
    add_exporter(keeping)
    make_spans("a", "b", "c")
    assert blocking.reached.wait(20)
    until(lambda: keeping.names == ["a", "b", "c"])
    assert blocking.names == []
    assert not peekr.flush(0.01)
    blocking.let_go.set()
    assert peekr.flush()
    assert blocking.names == ["a", "b", "c"]


@pytest.mark.parametrize("bound", ["MAX_QUEUED", "MAX_QUEUED_CHARS"])
def test_what_has_no_room_is_dropped_and_counted(
    telemetry: Telemetry,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    bound: str,
) -> None:
    monkeypatch.setattr(delivery, bound, 10 if bound == "MAX_QUEUED" else 10 * 500)
    blocking = Blocking()
    add_exporter(blocking)
    make_spans("first")
    assert blocking.reached.wait(20)
    make_spans(*(str(n) for n in range(40)))
    assert "cannot write traces to exporter Blocking" in caplog.text
    blocking.let_go.set()
    assert peekr.flush()
    kept = len(blocking.names)
    assert blocking.names[0] == "first"
    assert 10 <= kept <= 12
    assert f"{41 - kept} records were lost" in caplog.text
    make_spans("after")
    assert peekr.flush()
    assert blocking.names[-1] == "after"


def test_removed_exporter_gets_what_it_was_handed_before_and_no_more(
    telemetry: Telemetry,
) -> None:
    blocking, keeping = Blocking(), Keeping()
    add_exporter(blocking)
    add_exporter(keeping)
    make_spans("before")
    remove_exporter(blocking)
    remove_exporter(blocking)
    remove_exporter(object())
    make_spans("after")
    blocking.let_go.set()
    assert peekr.flush()
    until(lambda: blocking.names == ["before"])
    assert keeping.names == ["before", "after"]
    clear_exporters()
    make_spans("more")
    assert peekr.flush()
    assert keeping.names == ["before", "after"]
    assert [record["name"] for record in telemetry.records] == ["before", "after", "more"]


def test_exporter_added_twice_gets_a_span_once(telemetry: Telemetry) -> None:
    exporter = Keeping()
    add_exporter(exporter)
    add_exporter(exporter)
    make_spans("a")
    assert peekr.flush()
    assert exporter.names == ["a"]


def test_exporters_outlive_a_new_configuration(bare_telemetry: Telemetry) -> None:
    exporter = Keeping()
    add_exporter(exporter)
    make_spans("without instrument")
    bare_telemetry.instrument()
    make_spans("first")
    bare_telemetry.instrument()
    make_spans("second")
    peekr.uninstrument()
    make_spans("away")
    bare_telemetry.instrument()
    make_spans("third")
    assert peekr.flush()
    assert exporter.names == ["first", "second", "third"]


def test_spans_of_an_exporter_are_not_exported(telemetry: Telemetry) -> None:
    class Tracing(Keeping):
        def export(self, span: SpanRecord) -> None:
            super().export(span)
            assert get_value("suppress_instrumentation")
            with peekr.span("made by the exporter"):
                assert peekr.flush()

    exporter = Tracing()
    add_exporter(exporter)
    make_spans("a", "b")
    assert peekr.flush()
    assert exporter.names == ["a", "b"]


@pytest.mark.parametrize(
    "wrong",
    [object(), Keeping, "path"],
    ids=["no method", "class", "text"],
)
def test_what_is_no_exporter_is_refused(wrong: Any) -> None:
    with pytest.raises(TypeError, match="is no exporter"):
        add_exporter(wrong)


def test_exporter_with_a_coroutine_function_is_refused() -> None:
    class Async:
        async def export(self, span: Any) -> None: ...

    with pytest.raises(TypeError, match="coroutine function"):
        add_exporter(Async())


def test_names_are_at_top_level_too() -> None:
    assert peekr.add_exporter is add_exporter
    assert peekr.exporters.JSONLExporter is peekr.JSONLExporter is JSONLExporter


# -- instrument(exporter=) -------------------------------------------------------------------------


def test_plain_object_given_to_instrument_is_an_exporter(bare_telemetry: Telemetry) -> None:
    first, second = Keeping(), Keeping()
    bare_telemetry.instrument(exporter=first)
    make_spans("a")
    bare_telemetry.instrument(exporter=second)
    make_spans("b")
    peekr.uninstrument()
    assert first.names == ["a"]
    assert second.names == ["b"]


def test_exporter_given_to_instrument_may_block(bare_telemetry: Telemetry) -> None:
    blocking, keeping = Blocking(), Keeping()
    bare_telemetry.instrument(exporter=blocking)
    add_exporter(keeping)
    make_spans("a")
    assert blocking.reached.wait(20)
    until(lambda: keeping.names == ["a"])
    blocking.let_go.set()


def test_peekrs_own_exporter_can_be_given_to_instrument(
    bare_telemetry: Telemetry, tmp_path: Path
) -> None:
    bare_telemetry.instrument(exporter=JSONLExporter(tmp_path / "more.jsonl"))
    make_spans("a")
    record = bare_telemetry.record
    assert json.loads((tmp_path / "more.jsonl").read_text("utf-8")) == record


# -- OpenTelemetry's exporters ---------------------------------------------------------------------


def test_opentelemetry_exporter_gets_opentelemetrys_spans(telemetry: Telemetry) -> None:
    exporter = InMemorySpanExporter()
    add_exporter(exporter)
    make_spans("a", "b")
    assert peekr.flush()
    spans = exporter.get_finished_spans()
    assert [span.name for span in spans] == ["a", "b"]
    assert spans[0].resource == telemetry.provider.resource


def test_opentelemetry_exporter_gets_what_waits_in_batches(telemetry: Telemetry) -> None:
    class Batches(SpanExporter):
        def __init__(self) -> None:
            self.sizes: List[int] = []
            self.reached = threading.Event()
            self.let_go = threading.Event()

        def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
            self.sizes.append(len(spans))
            self.reached.set()
            self.let_go.wait(60)
            return SpanExportResult.SUCCESS

    exporter = Batches()
    add_exporter(exporter)
    make_spans("first")
    assert exporter.reached.wait(20)
    make_spans(*(str(n) for n in range(600)))
    exporter.let_go.set()
    assert peekr.flush()
    assert exporter.sizes == [1, 512, 88]


def test_failure_that_an_opentelemetry_exporter_tells_is_reported(
    telemetry: Telemetry, caplog: pytest.LogCaptureFixture
) -> None:
    class Failing(SpanExporter):
        def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
            return SpanExportResult.FAILURE

    add_exporter(Failing())
    make_spans("a")
    assert peekr.flush()
    assert "exporter Failing: it says that exporting failed" in caplog.text


# -- Peekr's exporters -----------------------------------------------------------------------------


def test_jsonl_exporter_writes_before_the_spans_end_returns(
    telemetry: Telemetry, tmp_path: Path
) -> None:
    path = tmp_path / "folder" / "own.jsonl"
    add_exporter(JSONLExporter(path))
    make_spans("a")
    assert json.loads(path.read_text("utf-8")) == telemetry.record


def test_sqlite_exporter_answers_queries(telemetry: Telemetry, tmp_path: Path) -> None:
    exporter = SQLiteExporter(tmp_path / "own.db")
    add_exporter(exporter)
    make_spans("a")
    with peekr.span("b", {"model": "gpt-4o"}):
        pass
    rows = exporter.query(
        "SELECT name, json_extract(attributes, '$.model') AS model FROM spans"
        " WHERE name >= ? ORDER BY name",
        ["a"],
    )
    assert rows == [{"name": "a", "model": None}, {"name": "b", "model": "gpt-4o"}]
    assert exporter.query("SELECT count(*) AS n FROM spans WHERE name = :it", {"it": "a"}) == [
        {"n": 1}
    ]
    with pytest.raises(sqlite3.Error):
        exporter.query("DELETE FROM spans")
    with pytest.raises(sqlite3.Error):
        exporter.query("SELECT nothing FROM nowhere")
    exporter.shutdown()
    assert len(exporter.query("SELECT * FROM spans")) == 2


def test_console_exporter_prints_a_line(
    telemetry: Telemetry, capsys: pytest.CaptureFixture[str]
) -> None:
    add_exporter(ConsoleExporter())
    make_spans("printed")
    assert capsys.readouterr().out.startswith("printed  ")


@pytest.mark.parametrize("processor", [SimpleSpanProcessor, BatchSpanProcessor])
def test_peekrs_exporters_work_in_opentelemetrys_processors(
    bare_telemetry: Telemetry, tmp_path: Path, processor: Callable[[SpanExporter], Any]
) -> None:
    exporter = JSONLExporter(tmp_path / "own.jsonl")
    bare_telemetry.provider.add_span_processor(processor(exporter))
    with bare_telemetry.tracer.start_as_current_span("theirs"):
        pass
    assert bare_telemetry.provider.force_flush()
    assert json.loads((tmp_path / "own.jsonl").read_text("utf-8"))["name"] == "theirs"


def test_export_takes_one_span_in_each_of_its_forms(telemetry: Telemetry, tmp_path: Path) -> None:
    exporter = JSONLExporter(tmp_path / "own.jsonl")
    with peekr.span("op") as span:
        pass
    record = SpanRecord.from_dict(telemetry.record)
    for form in (span, record, telemetry.span, [telemetry.span]):
        assert exporter.export(cast("Any", form)) is SpanExportResult.SUCCESS
    lines = (tmp_path / "own.jsonl").read_text("utf-8").splitlines()
    assert [json.loads(line) for line in lines] == [record.to_dict()] * 4
    assert exporter.force_flush()
    exporter.shutdown()
    exporter.shutdown()


# -- processes -------------------------------------------------------------------------------------

PROGRAM = """
import os, signal, sys, threading, time
import peekr
from peekr.exporters import add_exporter

class Slow:
    def export(self, span):
        time.sleep(0.002)
        with open(sys.argv[1], "a") as file:
            file.write(f"{os.getpid()} {span.name}\\n")

peekr.instrument(console=False, storage=None)
add_exporter(Slow())
"""


def run(code: str, path: Path) -> Dict[str, List[str]]:
    """Run a program with a slow exporter; what it wrote, by process."""
    program = PROGRAM + textwrap.dedent(code)
    environment = {**os.environ, "PEEKR_RAISE_FAULTS": "1"}
    done = subprocess.run(
        [sys.executable, "-c", program, str(path)],
        capture_output=True,
        text=True,
        timeout=60,
        env=environment,
    )
    assert "Traceback" not in done.stderr, done.stderr
    written: Dict[str, List[str]] = {}
    for line in path.read_text("utf-8").splitlines():
        process, name = line.split(" ", 1)
        written.setdefault(process, []).append(name)
    return written


@pytest.mark.parametrize(
    "ending",
    ["", "sys.exit(3)", "raise SystemExit", "peekr.shutdown()",
     "os.kill(os.getpid(), signal.SIGTERM); time.sleep(30)"],
)  # fmt: skip
def test_what_is_queued_is_exported_before_the_process_ends(ending: str, tmp_path: Path) -> None:
    code = f"""
    for n in range(100):
        with peekr.span(str(n)): pass
    {ending}
    """
    (names,) = run(code, tmp_path / "out").values()
    assert names == [str(n) for n in range(100)]


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork here")
def test_child_of_a_fork_exports_its_own_spans_alone(tmp_path: Path) -> None:
    code = """
    import warnings
    warnings.simplefilter("ignore")
    for n in range(20):
        with peekr.span(f"parent {n}"): pass
    child = os.fork()
    if not child:
        with peekr.span("child"): pass
        assert peekr.flush()
        os._exit(0)
    assert os.waitpid(child, 0)[1] == 0
    with peekr.span("after"): pass
    """
    written = run(code, tmp_path / "out")
    assert sorted(written.values(), key=len) == [
        ["child"],
        [*(f"parent {n}" for n in range(20)), "after"],
    ]


def test_exporter_that_blocks_does_not_keep_the_process_for_long(tmp_path: Path) -> None:
    code = """
    from peekr import bootstrap
    bootstrap._EXIT_TIMEOUT_S = 0.2
    class Blocking:
        def export(self, span):
            threading.Event().wait()
    add_exporter(Blocking())
    with peekr.span("a"): pass
    """
    assert list(run(code, tmp_path / "out").values()) == [["a"]]


def test_no_thread_is_started_for_nothing(tmp_path: Path) -> None:
    assert otel_trace.get_tracer_provider() is not None
    before = threading.active_count()
    add_exporter(Keeping())
    assert threading.active_count() == before
