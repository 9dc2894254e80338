"""Fixtures for all tests: a watched application of its own for each test, undone afterwards."""

from __future__ import annotations

import asyncio
import json
import sys
from pathlib import Path
from typing import Any, Dict, Iterator, List, Optional

import pytest
from opentelemetry import context as otel_context
from opentelemetry import trace as otel_trace
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.util._once import Once

import peekr
from peekr import faults
from peekr.pricing import library
from simulated_providers import SimulatedProviders


def pytest_sessionstart() -> None:
    # Said once that the thread has no event loop, Python makes none behind the tests' back, which
    # nobody would close.
    asyncio.set_event_loop(None)
    # So that the first call's span does not have to wait for it, and each is the same.
    library.load()


class Telemetry:
    """A provider of the test's own with an exporter in memory, and Peekr's file beside it.

    Attributes:
        provider: the tracer provider; make spans of the test's own with it.
        exporter: what an application's own exporter gets.
        path: the JSONL file that Peekr writes.
    """

    def __init__(self, folder: Path, **provider_options: Any) -> None:
        self.provider = TracerProvider(shutdown_on_exit=False, **provider_options)
        self.exporter = InMemorySpanExporter()
        self.provider.add_span_processor(SimpleSpanProcessor(self.exporter))
        self.path = folder / "traces.jsonl"

    def instrument(self, **arguments: Any) -> None:
        """Call `peekr.instrument()` for this provider, without a console, into `path`."""
        defaults: Dict[str, Any] = {
            "console": False,
            "jsonl_path": str(self.path),
            "tracer_provider": self.provider,
        }
        peekr.instrument(**{**defaults, **arguments})

    @property
    def tracer(self) -> Any:
        return self.provider.get_tracer("test")

    @property
    def spans(self) -> List[ReadableSpan]:
        """The spans that have ended, in the order of their ends."""
        return list(self.exporter.get_finished_spans())

    @property
    def span(self) -> ReadableSpan:
        """The one span that has ended."""
        spans = self.spans
        assert len(spans) == 1, [span.name for span in spans]
        return spans[0]

    @property
    def records(self) -> List[Dict[str, Any]]:
        """The records in the JSONL file, in the order of their lines."""
        assert peekr.flush()
        if not self.path.exists():
            return []
        return [json.loads(line) for line in self.path.read_text("utf-8").splitlines()]

    @property
    def record(self) -> Dict[str, Any]:
        """The one record."""
        records = self.records
        assert len(records) == 1, [record["name"] for record in records]
        return records[0]

    def clear(self) -> None:
        """Forget what has been recorded so far."""
        self.exporter.clear()
        self.path.unlink()


def attributes_of(span: Optional[ReadableSpan]) -> Dict[str, Any]:
    """A span's attributes as a plain dict."""
    assert span is not None
    return dict(span.attributes or {})


@pytest.fixture(autouse=True)
def own_imports(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Forget the modules that a test wrote itself, and where it had them looked for.

    The first of all fixtures, so that it comes last: `monkeypatch` puts modules back.
    """
    path = list(sys.path)
    known = set(sys.modules)
    yield
    sys.path[:] = path
    written = str(tmp_path_factory.getbasetemp())
    for name in set(sys.modules) - known:
        if (getattr(sys.modules[name], "__file__", None) or "").startswith(written):
            del sys.modules[name]


@pytest.fixture(autouse=True)
def raised_faults(own_imports: None, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Raise faults of Peekr's own instead of containing them; see `contained_faults`."""
    monkeypatch.setenv("PEEKR_RAISE_FAULTS", "1")
    faults.reset()
    yield
    faults.reset()


@pytest.fixture
def contained_faults(raised_faults: None, monkeypatch: pytest.MonkeyPatch) -> None:
    """Contain faults as in an application, for the tests that are about them."""
    monkeypatch.delenv("PEEKR_RAISE_FAULTS")


@pytest.fixture(autouse=True)
def undone(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Take Peekr away after each test, and see that no context and no provider is left behind."""
    before = otel_context.get_current()
    # A global provider can be set once a process, and libraries behave otherwise from then on.
    monkeypatch.setattr(otel_trace, "_TRACER_PROVIDER", None)
    monkeypatch.setattr(otel_trace, "_TRACER_PROVIDER_SET_ONCE", Once())
    yield
    peekr.uninstrument()
    assert otel_context.get_current() == before


@pytest.fixture
def bare_telemetry(tmp_path: Path) -> Iterator[Telemetry]:
    """A provider with an exporter in memory; the test calls `instrument()` itself."""
    made = Telemetry(tmp_path)
    yield made
    peekr.uninstrument()
    made.provider.shutdown()


@pytest.fixture
def telemetry(bare_telemetry: Telemetry) -> Telemetry:
    """An instrumented application: spans in memory, records in a JSONL file, no console."""
    bare_telemetry.instrument()
    return bare_telemetry


@pytest.fixture(scope="session")
def server_of_all() -> Iterator[SimulatedProviders]:
    """The simulated providers, one server for all tests."""
    with SimulatedProviders() as started:
        yield started


@pytest.fixture
def simulated(server_of_all: SimulatedProviders) -> SimulatedProviders:
    """The simulated providers; what they have received in this test is in `.requests`."""
    server_of_all.forget()
    return server_of_all
