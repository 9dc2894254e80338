"""The view of an OpenTelemetry span under the names of the record."""

from __future__ import annotations

from collections.abc import Mapping
from time import perf_counter_ns, time_ns
from typing import Any, Literal, Optional

from opentelemetry import trace as otel_trace
from opentelemetry.context import Context
from opentelemetry.trace import StatusCode

from peekr import tracing
from peekr.manual.span_attributes import SpanAttributes, thawed
from peekr.semconv import otel, own

__all__ = ["Span"]

_NO_ATTRIBUTES: Mapping[str, Any] = {}


class Span:
    """One span as Peekr shows it; a view, so that OpenTelemetry and Peekr see the same.

    Two views of one span are equal. Safe from any thread. Nothing here raises for a span that has
    ended or is not recorded: what is set then is forgotten.
    """

    __slots__ = ("__weakref__", "_attributes", "_end_ns", "_offset_ns", "_once", "_otel",
                 "_previous", "_start_ns", "_wish")  # fmt: skip

    def __init__(self, span: otel_trace.Span) -> None:
        """View a span.

        Args:
            span: The span, whoever started it.
        """
        self._otel = span
        self._attributes: Optional[SpanAttributes] = None
        self._wish: Optional[Literal["ok"]] = None
        # Of spans that were started through Peekr: the context to return to. Empty `_once` means
        # ended; pop() is atomic, so of two threads that end a span one does.
        self._previous: Optional[Context] = None
        self._once = [True]
        # Of spans that were started through Peekr: what makes Unix time of a clock nobody sets.
        self._offset_ns = 0
        self._start_ns = 0 if hasattr(span, "start_time") else time_ns()
        self._end_ns: Optional[int] = None

    @property
    def otel_span(self) -> otel_trace.Span:
        """The OpenTelemetry span that this is a view of."""
        return self._otel

    @property
    def attributes(self) -> SpanAttributes:
        """The span's attributes, to read and to change."""
        made = self._attributes
        if made is None:
            made = self._attributes = SpanAttributes(self._otel)
        return made

    @property
    def name(self) -> str:
        """The record's name."""
        held: Any = getattr(self._otel, "attributes", None) or _NO_ATTRIBUTES
        return held.get(own.PEEKR_RECORD_NAME) or getattr(self._otel, "name", "")

    @name.setter
    def name(self, name: str) -> None:
        if self._otel.is_recording():
            self._otel.update_name(name)

    @property
    def status(self) -> Literal["ok", "error"]:
        """`"ok"` or `"error"`; may be set either way until the span ends.

        OpenTelemetry takes an OK for final, so the `"ok"` of a span that was started through Peekr
        is handed on when the span ends. An exception that ends a block or a function after
        `"ok"` makes it an error.

        Raises:
            ValueError: it is set to something else.
        """
        if self._wish is not None:
            return self._wish
        status = getattr(self._otel, "status", None)
        is_error = status is not None and status.status_code is StatusCode.ERROR
        return "error" if is_error else "ok"

    @status.setter
    def status(self, status: Literal["ok", "error"]) -> None:
        if status not in ("ok", "error"):
            raise ValueError(f"status={status!r} is neither 'ok' nor 'error'")
        if not self._otel.is_recording():
            return
        if status == "error":
            self._wish = None
            if self.status != "error":
                self._otel.set_status(StatusCode.ERROR)
        elif self._previous is not None:
            self._wish = "ok"
        else:
            self._otel.set_status(StatusCode.OK)

    @property
    def trace_id(self) -> str:
        """32 hexadecimal digits, all 0 where nothing is recorded."""
        return format(self._otel.get_span_context().trace_id, "032x")

    @property
    def span_id(self) -> str:
        """16 hexadecimal digits, all 0 where nothing is recorded."""
        return format(self._otel.get_span_context().span_id, "016x")

    @property
    def parent_id(self) -> Optional[str]:
        """The parent's `span_id`, None for a root."""
        parent = getattr(self._otel, "parent", None)
        return None if parent is None else format(parent.span_id, "016x")

    @property
    def start_time(self) -> float:
        """Unix time in seconds."""
        return self._bounds()[0] / 1e9

    @property
    def end_time(self) -> Optional[float]:
        """Unix time in seconds, None until the span ends."""
        end_ns = self._bounds()[1]
        return None if end_ns is None else end_ns / 1e9

    @property
    def duration_ms(self) -> Optional[float]:
        """Milliseconds between start and end, None until the span ends."""
        start_ns, end_ns = self._bounds()
        return None if end_ns is None else (end_ns - start_ns) / 1e6

    def to_dict(self) -> dict[str, Any]:
        """The record, as it is stored when the span ends; until then as far as it is known."""
        span: Any = self._otel
        if hasattr(span, "events"):
            # Imported here: it needs the SDK, which a program that only starts spans may not have
            # loaded.
            from peekr.pipeline.project import project

            made = project(span).to_dict()
            made["attributes"] = thawed(made["attributes"])
        else:
            held = dict(self.attributes)
            made: dict[str, Any] = {
                "trace_id": self.trace_id,
                "span_id": self.span_id,
                "parent_id": self.parent_id,
                "name": self.name,
                "start_time": self.start_time,
                "end_time": None,
                "duration_ms": None,
                "status": self.status,
                "tenant_id": held.pop("tenant_id", None),
                "retention_class": held.pop("retention_class", None),
                "attributes": held,
            }
        made["status"] = self.status
        made["end_time"], made["duration_ms"] = self.end_time, self.duration_ms
        return made

    def record_exception(self, error: BaseException) -> None:
        """Put an exception on the span and set its status to `"error"`.

        Under `capture_content=False` only its type is kept: a message may quote a prompt.
        """
        span = self._otel
        if not span.is_recording():
            return
        self._wish = None
        kind = type(error).__qualname__
        span.set_attribute(otel.ERROR_TYPE, kind)
        message = kind
        if tracing.current().capture_content:
            try:
                message = str(error) or kind
                span.record_exception(error)
            except Exception:
                pass  # its __str__ raises: the type is all there is to say
        span.set_status(StatusCode.ERROR, message)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Span) and other._otel is self._otel

    def __hash__(self) -> int:
        return hash(self._otel)

    def __repr__(self) -> str:
        return f"<peekr.Span {self.name!r} {self.trace_id}/{self.span_id} {self.status}>"

    def _now_ns(self) -> int:
        """Now in Unix nanoseconds; where the span began here, whatever happens to the clock."""
        return self._offset_ns + perf_counter_ns() if self._offset_ns else time_ns()

    def _bounds(self) -> tuple[int, Optional[int]]:
        span: Any = self._otel
        if self._start_ns:
            return self._start_ns, self._end_ns
        return span.start_time or 0, span.end_time
