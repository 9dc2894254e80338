"""ASGI middleware: each HTTP request a root span, with the route, the tenant and the user.

Nothing of FastAPI or Starlette is imported; any ASGI application will do.
"""

from __future__ import annotations

import logging
import weakref
from collections.abc import Iterable
from typing import Any, Optional, Union, cast

from opentelemetry import context as otel_context
from opentelemetry import propagate
from opentelemetry import trace as otel_trace
from opentelemetry.context import Context
from opentelemetry.trace import SpanKind

from peekr import faults, tracing
from peekr.baggage import accept_baggage, allowed
from peekr.context import current_scope, with_scope
from peekr.middleware.request import (
    METHODS,
    ForeignRequest,
    HttpRequest,
    Receive,
    Scope,
    Send,
    TracedRequest,
    headers_of,
    identifier,
    server_attributes,
)
from peekr.middleware.routes import layers, resolve
from peekr.pipeline.skip import skip
from peekr.semconv import otel

__all__ = ["SKIPPED_PATHS", "FastAPIMiddleware", "PeekrASGIMiddleware"]

SKIPPED_PATHS = ("/healthz", "/health", "/metrics", "/ping")
"""Requests that no span is made for unless `skip_paths` says otherwise."""

_logger = logging.getLogger("peekr")

_MARK = "peekr.request"
"""The key in the ASGI scope of a request that has its span already."""

# Server spans of other instrumentation that have been given to a request. A server may start a
# request in the context of the one before it on the same connection.
_taken: weakref.WeakSet[Any] = weakref.WeakSet()


class PeekrASGIMiddleware:
    """Makes a root span `<METHOD> <route>` a request, which ends with the last byte of the body.

    `app.add_middleware(peekr.FastAPIMiddleware)`, or `app = PeekrASGIMiddleware(app)` around any
    ASGI application. WebSockets and lifespan events pass untouched.

    * The route is the template (`/users/{id}`, mounts included), never the path: what no route
      matches is named by its method alone. The span and all spans inside have it as `endpoint`.
      It is looked up in the routes of a Starlette or FastAPI application before the application
      runs; where there are none to ask, it is taken from what the application leaves in the scope
      (Litestar's template, say) when the response starts, for the request's span alone.
    * An incoming `traceparent` is continued, as `OTEL_PROPAGATORS` says. Without one the request
      starts a trace of its own, whatever span the server itself was started in.
    * Status `"error"` for 500 and above and for exceptions, which pass unmodified. A client that
      goes away is no error: `peekr.stream.abandoned`.
    * Background tasks run after the span has ended; spans inside them belong to its trace.
    * Beside other instrumentation that makes a server span for the request (FastAPI's own,
      opentelemetry-instrumentation-fastapi or -asgi) no second one is made: that span gets the
      endpoint, tenant and user. Of a path that is skipped Peekr does not record it.

    Tenant and user are read from headers, so let only trusted proxies and clients set those.
    """

    def __init__(
        self,
        app: Any,
        tenant_header: Optional[str] = "X-Tenant-Id",
        user_header: Optional[str] = "X-User-Id",
        skip_paths: Optional[Iterable[str]] = None,
        *,
        accept_baggage: Union[bool, Iterable[str]] = False,
    ) -> None:
        """Wrap an application.

        Args:
            app: The ASGI application.
            tenant_header: The header with the customer organisation; None for none.
            user_header: The header with the user; None for none.
            skip_paths: Paths that no span is made for, instead of `SKIPPED_PATHS`; one that ends
                in `*` stands for all that begin so. A slash at the end makes no difference.
            accept_baggage: Take session, user, tenant and the like from incoming W3C baggage, as
                `session(propagate=...)` sends it: True for all, or the names of some. Headers
                above come first.

        Raises:
            TypeError: `skip_paths` is a single text.
            ConfigurationError: `accept_baggage` has a name that may not travel.
        """
        if isinstance(skip_paths, (str, bytes)):
            raise TypeError(f"skip_paths={skip_paths!r} is a text: give a list of paths")
        self.app = app
        self._tenant_header = None if tenant_header is None else tenant_header.lower()
        self._user_header = None if user_header is None else user_header.lower()
        paths = SKIPPED_PATHS if skip_paths is None else tuple(skip_paths)
        self._skipped = frozenset(_bare(path) for path in paths if not path.endswith("*"))
        self._skipped_beginnings = tuple(path[:-1] for path in paths if path.endswith("*"))
        self._accepted = allowed(accept_baggage)
        self._options: dict[str, Any] = {
            "tenant_header": tenant_header,
            "user_header": user_header,
            "skip_paths": paths,
            "accept_baggage": self._accepted,
        }
        self._is_moved = False

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one connection."""
        request = None
        if not self._is_moved and _MARK not in scope:
            try:
                self._is_moved = self._move_inside(scope)
            except Exception:
                faults.report("looking for other instrumentation")
        if scope["type"] == "http" and _MARK not in scope and not self._is_moved:
            try:
                request = self._begin(scope)
            except Exception:
                faults.report("beginning the span of a request")
        if request is None:
            await self.app(scope, receive, send)
            return
        scope[_MARK] = True
        before = otel_context.get_current()
        otel_context.attach(request.context)
        # Not detach(token): a token is good in one contextvars.Context only, and a coroutine that
        # is dropped ends wherever the collector runs.
        is_here = True
        try:
            await self.app(scope, request.receiving(receive), request.sending(send))
        except BaseException as error:
            is_here = not isinstance(error, GeneratorExit)
            request.fail(error)
            raise
        finally:
            request.finish()
            if is_here or otel_context.get_current() is request.context:
                otel_context.attach(before)

    def _begin(self, scope: Scope) -> Optional[HttpRequest]:
        context = otel_context.get_current()
        current = otel_trace.get_current_span(context)
        if self._is_skipped(scope):
            if _is_of(current, scope):
                skip(current)
            return None
        headers = headers_of(scope)
        route = resolve(self.app, scope)
        if _is_of(current, scope):
            _taken.add(current)
            context = self._with_scope(context, headers, route.template)
            _enrich(current, context, route.template)
            return ForeignRequest(scope, context, route.is_known, current)
        # The server may have been started inside of a span, which is nobody's request.
        context = otel_trace.set_span_in_context(otel_trace.INVALID_SPAN, context)
        context = otel_context.set_value(tracing.OWN_SPAN, None, context)
        context = propagate.extract(headers, context)
        context = self._with_scope(context, headers, route.template)
        method = scope["method"]
        name = method if method in METHODS else "HTTP"
        span = tracing.current().tracer.start_span(
            f"{name} {route.template}" if route.template else name,
            context,
            SpanKind.SERVER,
            server_attributes(scope, headers, method, route.template),
        )
        context = otel_trace.set_span_in_context(span, context)
        return TracedRequest(scope, context, route.is_known, span, name)

    def _move_inside(self, scope: Scope) -> bool:
        """Take a place inside of other instrumentation that this one is around.

        Server spans begin a context of their own, so what is said outside of them is not heard
        inside.
        """
        layer = _tracing_layer(self.app, scope)
        if layer is None:
            return False
        if hasattr(layer, "add_middleware") and getattr(layer, "middleware_stack", None) is None:
            layer.add_middleware(type(self), **self._options)
        elif type(layer).__name__ == "OpenTelemetryMiddleware":
            layer.app = type(self)(layer.app, **self._options)
        else:
            # It has served before. Let its spans be, rather than double them.
            _logger.warning(
                "%s makes server spans itself and has been in use before it was wrapped, so they "
                "lack endpoint, tenant and user; use app.add_middleware(peekr.FastAPIMiddleware)",
                type(layer).__name__,
            )
        return True

    def _is_skipped(self, scope: Scope) -> bool:
        path: str = scope["path"]
        mount: str = scope.get("root_path") or ""
        candidates = [path]
        if mount and path.startswith(mount):
            candidates.append(path[len(mount) :])
        for candidate in candidates:
            if _bare(candidate) in self._skipped:
                return True
            if self._skipped_beginnings and candidate.startswith(self._skipped_beginnings):
                return True
        return False

    def _with_scope(
        self, context: Context, headers: dict[str, str], template: Optional[str]
    ) -> Context:
        found: dict[str, str] = {}
        tenant = identifier(headers, self._tenant_header)
        if tenant is not None:
            found["tenant_id"] = tenant
        user = identifier(headers, self._user_header)
        if user is not None:
            found["user_id"] = user
        if template is not None:
            found["endpoint"] = template
        if found:
            context = with_scope(current_scope(context)._replace(**found), context)
        return accept_baggage(context, self._accepted) if self._accepted else context


FastAPIMiddleware = PeekrASGIMiddleware
"""`PeekrASGIMiddleware`, which knows FastAPI's routes."""


def _bare(path: str) -> str:
    return path.rstrip("/") or "/"


# -- other instrumentation -------------------------------------------------------------------------


def _is_of(span: Any, scope: Scope) -> bool:
    """Whether a span is another instrumentation's server span for this very request."""
    if getattr(span, "kind", None) is not SpanKind.SERVER or not span.is_recording():
        return False
    if span in _taken:
        return False
    held: Any = getattr(span, "attributes", None) or {}
    method = held.get(otel.HTTP_REQUEST_METHOD) or held.get("http.method")
    if method is not None and method not in (scope["method"], "_OTHER"):
        return False
    path = held.get(otel.URL_PATH) or held.get("http.target")
    return path is None or str(path).partition("?")[0].endswith(scope["path"])


def _enrich(span: Any, context: Context, template: Optional[str]) -> None:
    """Put the request's scope on a span that started without it."""
    span.set_attributes(current_scope(context).attributes())
    held: Any = getattr(span, "attributes", None) or {}
    if template is not None and otel.HTTP_ROUTE not in held:
        span.set_attribute(otel.HTTP_ROUTE, template)


def _tracing_layer(app: Any, scope: Scope) -> Any:
    """Other instrumentation further inside that makes server spans, None where there is none."""
    for layer in layers(app):
        if type(layer).__name__ == "OpenTelemetryMiddleware":
            return layer
        if getattr(layer, "_is_instrumented_by_opentelemetry", False):
            return layer
        if _traces_itself(getattr(layer, "_native_telemetry", None), scope):
            return layer
    return None


def _traces_itself(telemetry: Any, scope: Scope) -> bool:
    """Whether FastAPI's own telemetry, which newer versions have, makes server spans."""
    config = getattr(telemetry, "config", None)
    if not isinstance(config, dict) or "fastapi.telemetry" in scope:
        return False
    settings = cast("dict[str, Any]", config)
    provider = settings.get("tracer_provider") or otel_trace.get_tracer_provider()
    nothing = (otel_trace.ProxyTracerProvider, otel_trace.NoOpTracerProvider)
    return bool(settings.get("tracing")) and not isinstance(provider, nothing)
