"""Exporters of one's own, and those that write records to a file, a database and the terminal."""

from __future__ import annotations

import inspect
import os
from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any, Optional, Protocol, Union, runtime_checkable

from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export import SpanExporter, SpanExportResult

from peekr.cloud import CloudClient, seconds
from peekr.delivery import outlets
from peekr.delivery.processor import DeliveryProcessor, suppress_on_this_thread
from peekr.errors import ConfigurationError
from peekr.manual.span_view import Span
from peekr.openinference import OpenInferenceExporter
from peekr.pipeline.project import project
from peekr.record import SpanRecord
from peekr.store import RecordSink

__all__ = [
    "ConsoleExporter",
    "Exporter",
    "HTTPExporter",
    "JSONLExporter",
    "OpenInferenceExporter",
    "SQLiteExporter",
    "add_exporter",
    "clear_exporters",
    "registered",
    "remove_exporter",
]


@runtime_checkable
class Exporter(Protocol):
    """What `add_exporter` takes."""

    def export(self, span: Any, /) -> Any:
        """Take one finished span; `span.to_dict()` is the record.

        Runs on a thread of the exporter's own, one span after the other. It may be slow and it
        may raise.
        """
        ...


class _Registry(DeliveryProcessor):
    def shutdown(self) -> None:
        """Keep the exporters: they are the application's, also when Peekr is taken away."""


registered = _Registry()
"""Hands finished spans to the exporters that were added."""
registered.changed = outlets.changed


def add_exporter(exporter: Union[Exporter, SpanExporter]) -> None:
    """Hand every span that finishes from now on to an exporter as well.

    Exporters are called in the order in which they were added, each on a thread of its own with a
    bounded queue (10,000 spans, 32 million characters). One that raises is reported once, with its
    traceback, and goes on getting spans. One that blocks holds up neither the application nor, for
    longer than a quarter of a second, the exporters after it; what it has no room for is dropped,
    counted and reported. `flush()`, `shutdown()` and the end of the process wait for what is
    queued, within their bound. Spans that an exporter's own code makes on its thread do not go to
    exporters.

    `JSONLExporter`, `SQLiteExporter` and `ConsoleExporter` take a span on the thread that ends it,
    before the others. An OpenTelemetry `SpanExporter` gets OpenTelemetry's spans, in batches.

    Spans come once `instrument()` was called, before or after this; exporters outlive
    `uninstrument()`. Adding an exporter again does nothing.

    Args:
        exporter: Any object with `export(span)`; the span is a `SpanRecord` with `.to_dict()`,
            `.attributes`, `.name`, …, a copy of its own for each exporter.

    Raises:
        TypeError: it has no such method, is a class, or its `export` is a coroutine function.
    """
    check(exporter)
    outlets.add(registered)
    registered.add(exporter)


def remove_exporter(exporter: object) -> None:
    """Hand no further span to an exporter; what it has been handed before it still gets.

    One that was not added is passed over.
    """
    registered.remove(exporter)


def clear_exporters() -> None:
    """Remove every exporter that was added; the storage of `instrument()` stays."""
    registered.clear()


def check(exporter: Any) -> None:
    """Refuse what cannot be an exporter.

    Raises:
        TypeError: the message says why.
    """
    if isinstance(exporter, type) or not callable(getattr(exporter, "export", None)):
        raise TypeError(f"{exporter!r} is no exporter: give an object with a method export(span)")
    if inspect.iscoroutinefunction(exporter.export):
        raise TypeError(
            f"{exporter!r}: its export is a coroutine function, but exporters run on threads "
            "without an event loop; make it a plain method"
        )


class _SinkExporter(SpanExporter):
    """A store of Peekr's as an exporter, for `add_exporter` and for OpenTelemetry's processors."""

    is_immediate = True

    def __init__(self, sink: RecordSink) -> None:
        self._sink = sink

    def export(
        self, spans: Union[Sequence[ReadableSpan], ReadableSpan, SpanRecord, Span]
    ) -> SpanExportResult:
        """Store spans; never raises for the store.

        Args:
            spans: One finished span, of Peekr's or OpenTelemetry's, or a sequence of the latter.
        """
        if isinstance(spans, (SpanRecord, Span, ReadableSpan)):
            self._sink.write(_record(spans))
        else:
            for span in spans:
                self._sink.write(_record(span))
        return SpanExportResult.SUCCESS

    def force_flush(self, timeout_millis: int = 30_000) -> bool:
        """Wait until all that was exported is stored; False when time ran out."""
        return self._sink.flush(timeout_millis / 1000.0)

    def shutdown(self) -> None:
        """Flush and release the store."""
        self._sink.close(5.0)


class JSONLExporter(_SinkExporter):
    """Appends each span's record to a JSONL file, before the span's end returns."""

    def __init__(self, path: Union[str, os.PathLike[str]] = "traces.jsonl") -> None:
        """Open the file or say in one line why that is impossible; never raises for the file.

        Args:
            path: The file; made where it is missing, together with its directories.
        """
        from peekr.store.jsonl import JsonlSink

        super().__init__(JsonlSink(path))


class SQLiteExporter(_SinkExporter):
    """Stores each span's record in the table `spans` of a SQLite database, within 10 ms."""

    def __init__(self, path: Union[str, os.PathLike[str]] = "traces.db") -> None:
        """Open the database or say in one line why that is impossible.

        Args:
            path: The file; made where it is missing, together with its directories.
        """
        from peekr.store.sqlite import SqliteSink

        self.path = os.path.abspath(os.fsdecode(path))
        super().__init__(SqliteSink(path))

    def query(
        self, sql: str, params: Union[Sequence[Any], Mapping[str, Any]] = ()
    ) -> list[dict[str, Any]]:
        """The rows that a query of the database gives; all spans exported before are in it.

        Args:
            sql: One SQL statement that reads; the connection cannot write.
            params: Values for its `?` or `:name` placeholders.

        Raises:
            sqlite3.Error: the statement is wrong, writes, or the database cannot be read.
        """
        from contextlib import closing

        from peekr.store.sqlite.readonly import connect

        self._sink.flush(30.0)
        connection, copied = connect(self.path)
        try:
            with closing(connection):
                cursor = connection.execute(sql, params)
                names = [column[0] for column in cursor.description or ()]
                return [dict(zip(names, row)) for row in cursor.fetchall()]
        finally:
            if copied is not None:
                copied.cleanup()


class ConsoleExporter(_SinkExporter):
    """Prints a line a span to stdout: `openai.chat [gpt-4o]  843ms  312tok  $0.0021`."""

    def __init__(self) -> None:
        """Print to whatever `sys.stdout` is at the time."""
        from peekr.store.console import ConsoleSink

        super().__init__(ConsoleSink())


class HTTPExporter(_SinkExporter):
    """Sends each span's record to Peekr Cloud, or to whatever else takes `POST /v1/spans`.

    Spans are sent in batches on a thread of its own. Network errors, 408, 425, 429 and 5xx are
    tried again with growing, jittered pauses, or as `Retry-After` says; 413 halves the batch; after
    401 or 403 nothing more is sent. What waits is bounded; what finds no room, what the endpoint
    will never take, and what is left at the end is counted and said through the logger
    `peekr.store`. With a spool directory it is kept on disk instead and sent by the next process
    that uses the directory.

    TLS certificates are verified, and proxies taken from the environment. The API key is in no
    log line, no representation and no file.

    Attributes:
        endpoint: The address, without a slash at its end.
        client: Asks the same endpoint other things in the name of the same key.
        spool_directory: The spool directory, None where there is none.
    """

    # It is handed spans on a thread of Peekr's, and makes its own batches of them.
    is_immediate = False

    def __init__(
        self,
        endpoint: Optional[str] = None,
        api_key: Optional[str] = None,
        *,
        batch_size: int = 100,
        flush_interval_seconds: float = 5.0,
        timeout_seconds: float = 10.0,
        max_queued_spans: int = 10_000,
        max_queued_bytes: int = 32 * 1024 * 1024,
        spool_directory: Optional[Union[str, os.PathLike[str]]] = None,
        max_spool_bytes: int = 256 * 1024 * 1024,
        compression: Optional[str] = "gzip",
        certificate_file: Optional[Union[str, os.PathLike[str]]] = None,
    ) -> None:
        """Check the arguments; connects to nothing, unless the spool has something to send.

        Args:
            endpoint: `https://host`, else `PEEKR_ENDPOINT`; `/v1/spans` is added.
            api_key: The key, else `PEEKR_API_KEY`.
            batch_size: The most spans of one request.
            flush_interval_seconds: How long a span waits for others at most.
            timeout_seconds: How long to wait for a connection, and again for the answer.
            max_queued_spans: The most spans that wait in memory.
            max_queued_bytes: The most bytes of JSON in them.
            spool_directory: Where spans are kept that cannot be sent. Processes may share it; each
                endpoint needs its own.
            max_spool_bytes: The most bytes in it.
            compression: `"gzip"`, or None.
            certificate_file: The authorities to trust, PEM, instead of the usual ones.

        Raises:
            ConfigurationError: (a ValueError) endpoint or key are missing, or a value is unusable.
            TypeError: a value is of the wrong kind.
        """
        from peekr.store.http import HttpSink
        from peekr.store.spool import Spool

        for argument, number in (
            ("batch_size", batch_size),
            ("max_queued_spans", max_queued_spans),
            ("max_queued_bytes", max_queued_bytes),
            ("max_spool_bytes", max_spool_bytes),
        ):
            _check_count(argument, number)
        if compression not in (None, "gzip"):
            raise ConfigurationError(f"compression={compression!r} is neither 'gzip' nor None")
        interval_s = seconds("flush_interval_seconds", flush_interval_seconds)
        self.client = CloudClient(
            endpoint, api_key, timeout_s=timeout_seconds, certificate_file=certificate_file
        )
        self.endpoint = self.client.endpoint
        spool = None if spool_directory is None else Spool(spool_directory, max_spool_bytes)
        self.spool_directory = None if spool is None else spool.folder
        self._http = HttpSink(
            partial(self.client.post, "/v1/spans"),
            self.endpoint,
            batch_size=batch_size,
            flush_interval_s=interval_s,
            max_queued=max_queued_spans,
            max_queued_bytes=max_queued_bytes,
            spool=spool,
            compress=compression is not None,
            on_thread=suppress_on_this_thread,
        )
        super().__init__(self._http)

    @property
    def sent(self) -> int:
        """How many spans the endpoint has taken from this process."""
        return self._http.sent

    @property
    def waiting(self) -> int:
        """How many spans wait in memory to be sent."""
        return self._http.waiting

    @property
    def lost(self) -> int:
        """How many spans could neither be delivered nor kept, in this process."""
        return self._http.lost

    @property
    def is_stopped(self) -> bool:
        """Whether the endpoint has refused the key."""
        return self._http.is_stopped

    def __repr__(self) -> str:
        spool = (
            "" if self.spool_directory is None else f", spool_directory={self.spool_directory!r}"
        )
        return f"HTTPExporter({self.endpoint!r}{spool})"


def _check_count(argument: str, value: Any) -> None:
    if isinstance(value, bool) or not isinstance(value, int):
        raise TypeError(f"{argument}={value!r} is not a whole number")
    if value < 1:
        raise ConfigurationError(f"{argument}={value!r} is not above 0")


def _record(span: Union[ReadableSpan, SpanRecord, Span]) -> SpanRecord:
    if isinstance(span, SpanRecord):
        return span
    if isinstance(span, Span):
        return SpanRecord.from_dict(span.to_dict())
    return project(span)
