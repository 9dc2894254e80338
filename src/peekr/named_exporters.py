"""Peekr's exporters by the names that `OTEL_TRACES_EXPORTER` knows them by: `peekr_sqlite,otlp`.

OpenTelemetry's configuration makes them and hands them spans in batches. Where Peekr runs in the
same process they get what Peekr's own outputs get instead, span by span, and a file that
`instrument()` writes already gets no second line.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Mapping, Sequence
from typing import Any, Optional

from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export import SpanExporter, SpanExportResult

from peekr import bootstrap, exporters
from peekr.config import Settings
from peekr.errors import PeekrError

__all__ = [
    "NamedConsoleExporter",
    "NamedHTTPExporter",
    "NamedJSONLExporter",
    "NamedSQLiteExporter",
    "asked_for",
    "http_exporter",
    "join",
]

_NAMES = frozenset(("peekr_console", "peekr_http", "peekr_jsonl", "peekr_sqlite"))

_logger = logging.getLogger("peekr.exporters")
_made: list[_NamedExporter] = []


def asked_for(environ: Mapping[str, str]) -> frozenset[str]:
    """Those of Peekr's names that `OTEL_TRACES_EXPORTER` has."""
    listed = environ.get("OTEL_TRACES_EXPORTER", "").split(",")
    return _NAMES & {name.strip() for name in listed}


def http_exporter() -> Any:
    """The exporter to the endpoint and with the key that the environment names.

    Raises:
        ConfigurationError: one of the two is missing or cannot be used.
    """
    return exporters.HTTPExporter()


def join() -> None:
    """Have those that were made get what Peekr's own outputs get, from here on."""
    for named in _made:
        named.join()


class _NamedExporter(SpanExporter):
    """One of Peekr's exporters, made without arguments.

    Attributes:
        inner: It; None where it could not be made.
        is_joined: Whether Peekr's outputs feed it, so that batches are passed over.
    """

    def __init__(self) -> None:
        self.inner: Any = None
        self.is_joined = False
        try:
            self.inner = self._make()
        except PeekrError as error:
            _logger.warning("%s is off: %s", self._name, error)
        _made.append(self)

    _name = ""

    def _make(self) -> Any:
        raise NotImplementedError

    def _is_written(self, settings: Settings) -> bool:
        """Whether `instrument()` was asked for the same output."""
        raise NotImplementedError

    def join(self) -> None:
        """Get spans from Peekr's outputs instead of in batches."""
        if self.inner is not None and not self.is_joined:
            self.is_joined = True
            exporters.add_exporter(_Joined(self))

    @property
    def is_doubled(self) -> bool:
        """Whether what is exported here is written by `instrument()` as well."""
        settings = bootstrap.active_settings()
        return settings is not None and self._is_written(settings)

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        """Export a batch, unless the spans come on another way."""
        if self.inner is None or self.is_joined or self.is_doubled:
            return SpanExportResult.SUCCESS
        result: SpanExportResult = self.inner.export(spans)
        return result

    def force_flush(self, timeout_millis: int = 30_000) -> bool:
        """Wait until all that was exported is kept; False when time ran out."""
        return self.inner is None or self.inner.force_flush(timeout_millis) is not False

    def shutdown(self) -> None:
        """Flush and release what is held, unless Peekr's outputs feed it still."""
        if self.inner is not None and not self.is_joined:
            self.inner.shutdown()


class _Joined(SpanExporter):
    """What Peekr's outputs call: one that was named, as long as nobody else writes the same."""

    def __init__(self, named: _NamedExporter) -> None:
        self._named = named
        self.is_immediate = bool(getattr(named.inner, "is_immediate", False))

    def export(self, spans: Any) -> SpanExportResult:
        if self._named.is_doubled:
            return SpanExportResult.SUCCESS
        result: SpanExportResult = self._named.inner.export(spans)
        return result

    def force_flush(self, timeout_millis: int = 30_000) -> bool:
        return self._named.force_flush(timeout_millis)

    def shutdown(self) -> None:
        self._named.inner.shutdown()


class NamedJSONLExporter(_NamedExporter):
    """`peekr_jsonl`: the file that `PEEKR_JSONL_PATH` names, else `traces.jsonl`."""

    _name = "peekr_jsonl"

    def _make(self) -> Any:
        self._path = os.environ.get("PEEKR_JSONL_PATH", "").strip() or "traces.jsonl"
        return exporters.JSONLExporter(self._path)

    def _is_written(self, settings: Settings) -> bool:
        return _is_same(settings.writes_jsonl, self._path)


class NamedSQLiteExporter(_NamedExporter):
    """`peekr_sqlite`: the file that `PEEKR_DB_PATH` names, else `traces.db`."""

    _name = "peekr_sqlite"

    def _make(self) -> Any:
        self._path = os.environ.get("PEEKR_DB_PATH", "").strip() or "traces.db"
        return exporters.SQLiteExporter(self._path)

    def _is_written(self, settings: Settings) -> bool:
        return _is_same(settings.writes_sqlite, self._path)


class NamedConsoleExporter(_NamedExporter):
    """`peekr_console`: a line a span on stdout."""

    _name = "peekr_console"

    def _make(self) -> Any:
        return exporters.ConsoleExporter()

    def _is_written(self, settings: Settings) -> bool:
        return settings.console


class NamedHTTPExporter(_NamedExporter):
    """`peekr_http`: records to `PEEKR_ENDPOINT`, with `PEEKR_API_KEY`."""

    _name = "peekr_http"

    def _make(self) -> Any:
        return http_exporter()

    def _is_written(self, settings: Settings) -> bool:
        endpoint: Optional[str] = getattr(settings.exporter, "endpoint", None)
        return endpoint is not None and endpoint == getattr(self.inner, "endpoint", None)


def _is_same(path: Any, other: str) -> bool:
    return path is not None and os.path.abspath(os.fsdecode(path)) == os.path.abspath(other)
