"""One HTTP request on its way through an ASGI application, and the life of its span."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, MutableMapping
from time import perf_counter_ns, time_ns
from typing import Any, Callable, Optional, cast

from opentelemetry import trace as otel_trace
from opentelemetry.context import Context
from opentelemetry.trace import StatusCode

from peekr import faults
from peekr.manual.span_view import Span
from peekr.middleware.routes import told
from peekr.semconv import otel, own

__all__ = [
    "METHODS",
    "ForeignRequest",
    "HttpRequest",
    "Receive",
    "Scope",
    "Send",
    "TracedRequest",
    "headers_of",
    "identifier",
    "server_attributes",
]

Message = MutableMapping[str, Any]
Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]

METHODS = frozenset(
    ("CONNECT", "DELETE", "GET", "HEAD", "OPTIONS", "PATCH", "POST", "PUT", "QUERY", "TRACE")
)
"""The methods that a span is named by; others are `HTTP`, lest names be made up by clients."""

_MAX_ID_CHARS = 256
"""The longest tenant or user that is taken from a header: whoever sends it is not trusted."""

_DEFAULT_PORTS = {"http": 80, "https": 443}


class HttpRequest:
    """One request on its way through the application; as it is here, without a span to see to."""

    def __init__(self, scope: Scope, context: Context, is_routed: bool) -> None:
        """Begin.

        Args:
            scope: The connection's scope, which the application's router writes into.
            context: The OpenTelemetry context that the application runs in.
            is_routed: The endpoint was known before the application ran.
        """
        self.context = context
        self._scope = scope
        self._is_routed = is_routed
        self._status: Optional[int] = None
        self._has_trailers = False
        self._is_complete = False
        self._is_disconnected = False
        self._offset_ns = time_ns() - perf_counter_ns()

    def receiving(self, receive: Receive) -> Receive:
        """`receive`, watched for the client's departure."""

        async def received() -> Message:
            message = await receive()
            if message["type"] == "http.disconnect":
                self._is_disconnected = True
            return message

        return received

    def sending(self, send: Send) -> Send:
        """`send`, watched for the beginning and the end of the response."""

        async def sent(message: Message) -> None:
            kind = message["type"]
            if kind == "http.response.start":
                self._status = message.get("status")
                self._has_trailers = bool(message.get("trailers"))
                try:
                    self.started()
                except Exception:
                    faults.report("reading the start of a response")
            try:
                await send(message)
            except OSError:
                self._is_disconnected = True
                raise
            if not self._is_complete and self._is_last(kind, message):
                self._is_complete = True
                self.completed(self._now_ns())

        return sent

    def _now_ns(self) -> int:
        """Now in Unix nanoseconds, by a clock that nobody has set since the request came."""
        return self._offset_ns + perf_counter_ns()

    def _is_last(self, kind: str, message: Message) -> bool:
        if kind == "http.response.body":
            return not message.get("more_body") and not self._has_trailers
        if kind == "http.response.trailers":
            return not message.get("more_trailers")
        return kind == "http.response.pathsend"

    def _is_departure(self, error: BaseException) -> bool:
        """Whether an exception says only that the client is gone or the server stops."""
        if isinstance(error, (asyncio.CancelledError, GeneratorExit)):
            return True
        # The second is Starlette's, which is not imported here.
        is_said = isinstance(error, OSError) or type(error).__name__ == "ClientDisconnect"
        return self._is_disconnected and is_said

    def _late_template(self) -> Optional[str]:
        return None if self._is_routed else told(self._scope)

    def started(self) -> None:
        """The response starts."""

    def completed(self, now_ns: int) -> None:
        """The last byte of the body has been sent."""

    def fail(self, error: BaseException) -> None:
        """The application raised."""

    def finish(self) -> None:
        """The application has returned, its background tasks included."""


class ForeignRequest(HttpRequest):
    """A request whose span is another instrumentation's, which sees to its status and its end."""

    def __init__(self, scope: Scope, context: Context, is_routed: bool, span: Any) -> None:
        super().__init__(scope, context, is_routed)
        self._span = span

    def started(self) -> None:
        """Tell the endpoint if only the application knew it."""
        template = self._late_template()
        if template is not None:
            self._span.set_attribute(own.PEEKR_ENDPOINT, template)

    def fail(self, error: BaseException) -> None:
        """Record the exception where the other instrumentation does not."""
        maker = getattr(getattr(self._span, "instrumentation_scope", None), "name", "")
        if not self._is_departure(error) and not maker.startswith("opentelemetry.instrumentation"):
            Span(self._span).record_exception(error)


class TracedRequest(HttpRequest):
    """A request with a span of Peekr's."""

    def __init__(
        self, scope: Scope, context: Context, is_routed: bool, span: otel_trace.Span, name: str
    ) -> None:
        super().__init__(scope, context, is_routed)
        self._span = span
        self._name = name
        self._end_ns: Optional[int] = None
        self._is_ended = False
        self._has_failed = False

    def started(self) -> None:
        """Record the status."""
        span = self._span
        template = self._late_template()
        if template is not None:
            span.update_name(f"{self._name} {template}")
            span.set_attributes({otel.HTTP_ROUTE: template, own.PEEKR_ENDPOINT: template})
        if self._status is not None:
            span.set_attribute(otel.HTTP_RESPONSE_STATUS_CODE, self._status)
            if self._status >= 500:
                span.set_attribute(otel.ERROR_TYPE, str(self._status))
                span.set_status(StatusCode.ERROR, f"HTTP {self._status}")

    def completed(self, now_ns: int) -> None:
        """End the span; after a failure leave that to `finish`: the exception comes behind."""
        self._end_ns = now_ns
        if self._status is None or self._status < 500:
            self._end()

    def fail(self, error: BaseException) -> None:
        """Record an exception, as far as the span has not ended."""
        if self._is_ended:
            return
        self._has_failed = True
        if self._is_departure(error):
            self._span.set_attribute(own.PEEKR_STREAM_ABANDONED, True)
            return
        Span(self._span).record_exception(error)
        if self._status is None and not _handles_errors(self._scope):
            # The application's server, or Starlette's outermost layer, answers for it.
            self._span.set_attribute(otel.HTTP_RESPONSE_STATUS_CODE, 500)

    def finish(self) -> None:
        """End the span if it has not ended with the response."""
        if self._is_ended:
            return
        if not self._is_complete and not self._has_failed:
            if self._is_disconnected:
                self._span.set_attribute(own.PEEKR_STREAM_ABANDONED, True)
            else:
                self._span.set_attribute(otel.ERROR_TYPE, "incomplete_response")
                self._span.set_status(StatusCode.ERROR, "the application sent no whole response")
        self._end()

    def _end(self) -> None:
        self._is_ended = True
        try:
            self._span.end(self._end_ns or self._now_ns())
        except Exception:
            faults.report("ending the span of a request")


# -- what is read from a request -------------------------------------------------------------------


def headers_of(scope: Scope) -> dict[str, str]:
    """The headers by lower-case name; values of one that came several times are joined."""
    found: dict[str, str] = {}
    for raw_name, raw_value in scope.get("headers") or ():
        name, value = raw_name.decode("latin-1").lower(), raw_value.decode("latin-1")
        found[name] = f"{found[name]},{value}" if name in found else value
    return found


def identifier(headers: dict[str, str], name: Optional[str]) -> Optional[str]:
    """The tenant or user in a header, None where it is missing, empty or too long for one."""
    value = headers.get(name, "").strip() if name is not None else ""
    if not value or len(value) > _MAX_ID_CHARS:
        return None
    try:
        return value.encode("latin-1").decode("utf-8")
    except UnicodeError:
        return value


def server_attributes(
    scope: Scope, headers: dict[str, str], method: str, template: Optional[str]
) -> dict[str, Any]:
    """What the conventions ask of a server span. The query is left out: it holds what it likes.

    Args:
        scope: The connection's scope.
        headers: By name, in lower case.
        method: As the client sent it.
        template: The route's, where it is known.

    Source: semantic conventions, HTTP server spans.
    """
    scheme = scope.get("scheme") or "http"
    made: dict[str, Any] = {
        otel.HTTP_REQUEST_METHOD: method,
        otel.URL_PATH: scope["path"],
        otel.URL_SCHEME: scheme,
    }
    if method not in METHODS:
        made[otel.HTTP_REQUEST_METHOD] = "_OTHER"
        made[otel.HTTP_REQUEST_METHOD_ORIGINAL] = method[:_MAX_ID_CHARS]
    if template is not None:
        made[otel.HTTP_ROUTE] = template
    address, port = _authority(headers.get("host", ""))
    if not address:
        address, port = cast("tuple[str, Optional[int]]", scope.get("server") or ("", None))
    elif port is None:
        port = _DEFAULT_PORTS.get(scheme)
    if address:
        made[otel.SERVER_ADDRESS] = address
        if port:
            made[otel.SERVER_PORT] = port
    return made


def _authority(host: str) -> tuple[str, Optional[int]]:
    """Address and port of a Host header; nothing where it is malformed."""
    host = host.strip()
    if host.startswith("["):
        address, closing, rest = host[1:].partition("]")
        if not closing:
            return "", None
    else:
        address, colon, port = host.partition(":")
        rest = colon + port
    if not rest:
        return address, None
    digits = rest[1:]
    if rest[0] != ":" or not (digits.isascii() and digits.isdigit() and len(digits) <= 5):
        return "", None
    return address, int(digits)


def _handles_errors(scope: Scope) -> bool:
    """Whether the application answers an exception itself, with a status that is not known here."""
    handlers = getattr(scope.get("app"), "exception_handlers", None) or ()
    return 500 in handlers or Exception in handlers
