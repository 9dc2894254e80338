"""An OTLP collector on loopback, over HTTP and over gRPC, that answers as it is told to."""

from __future__ import annotations

import contextlib
import threading
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Callable, Dict, Generator, List, Optional, Tuple

import grpc

from tests.otlp.spans import decoded
from tests.support.endpoint import Endpoint, Received, Reply, free_port

METHOD = "opentelemetry.proto.collector.trace.v1.TraceService"


class HttpCollector(Endpoint):
    """Takes `/v1/traces`.

    Attributes:
        spans: The spans that were taken, in their order.
    """

    def __init__(self, context: Any = None) -> None:
        super().__init__(context)
        self.spans: List[Dict[str, Any]] = []

    def take(self, request: Received) -> Reply:
        reply = super().take(request)
        if reply.status == 200 and not reply.cut:
            assert request.path == "/v1/traces"
            self.spans += decoded(request.plain)
        return reply

    @property
    def ids(self) -> List[str]:
        return [span["span_id"] for span in self.spans]


class GrpcCollector:
    """The same over gRPC: `answers` are the status codes to give first."""

    def __init__(self, credentials: Any = None) -> None:
        self.port = free_port()
        self.url = f"{'https' if credentials else 'http'}://127.0.0.1:{self.port}"
        self._credentials = credentials
        self.spans: List[Dict[str, Any]] = []
        self.metadata: List[Dict[str, str]] = []
        self.answers: List[Tuple[grpc.StatusCode, str]] = []
        self.otherwise: Callable[[bytes], Optional[Tuple[grpc.StatusCode, str]]] = lambda body: None
        self.pause: Optional[threading.Event] = None
        self._server: Any = None

    def start(self) -> None:
        def export(body: bytes, context: Any) -> bytes:
            self.metadata.append(dict(context.invocation_metadata()))
            if self.pause is not None:
                self.pause.wait(30)
            answer = self.answers.pop(0) if self.answers else self.otherwise(body)
            if answer is not None:
                context.abort(*answer)
            self.spans.extend(decoded(body))
            return b""

        rpc: Any = grpc
        handlers = {"Export": rpc.unary_unary_rpc_method_handler(export)}
        self._server = rpc.server(ThreadPoolExecutor(2), options=[("grpc.so_reuseport", 0)])
        self._server.add_generic_rpc_handlers(
            (rpc.method_handlers_generic_handler(METHOD, handlers),)
        )
        address = f"127.0.0.1:{self.port}"
        if self._credentials is None:
            assert self._server.add_insecure_port(address)
        else:
            assert self._server.add_secure_port(address, self._credentials)
        self._server.start()

    def stop(self) -> None:
        if self._server is not None:
            self._server.stop(0).wait()
            self._server = None

    @property
    def ids(self) -> List[str]:
        return [span["span_id"] for span in self.spans]


@contextlib.contextmanager
def up(collector: Any) -> Generator[Any, None, None]:
    """A collector that is up."""
    collector.start()
    try:
        yield collector
    finally:
        collector.stop()
