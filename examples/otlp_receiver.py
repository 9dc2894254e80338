"""A collector for want of one: takes spans by OTLP over HTTP, and prints a line for each.

    python otlp_receiver.py 4318

Real ones take the same: the OpenTelemetry Collector, rotel, Phoenix, any backend with OTLP. Ends
with Ctrl-C.
"""

from __future__ import annotations

import gzip
import sys
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import Any

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import (
    ExportTraceServiceRequest,
    ExportTraceServiceResponse,
)


def text_of(attributes: Any, key: str) -> str:
    """The value of an attribute, as text."""
    for attribute in attributes:
        if attribute.key == key:
            kind: str = attribute.value.WhichOneof("value")
            return str(getattr(attribute.value, kind))
    return "-"


def show(request: Any) -> None:
    """A line a span: its service, its name, what it cost in tokens."""
    for group in request.resource_spans:
        service = text_of(group.resource.attributes, "service.name")
        for scope in group.scope_spans:
            for span in scope.spans:
                tokens = text_of(span.attributes, "gen_ai.usage.output_tokens")
                print(f"{service}: {span.name}, {tokens} tokens out", flush=True)


class Receiver(BaseHTTPRequestHandler):
    """Answers `POST /v1/traces`."""

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        if self.headers.get("Content-Encoding") == "gzip":
            body = gzip.decompress(body)
        show(ExportTraceServiceRequest.FromString(body))
        answer = ExportTraceServiceResponse().SerializeToString()
        self.send_response(200)
        self.send_header("Content-Type", "application/x-protobuf")
        self.send_header("Content-Length", str(len(answer)))
        self.end_headers()
        self.wfile.write(answer)

    def log_message(self, format: str, *args: Any) -> None:
        """Print spans alone."""


def main(port: str = "4318") -> None:
    server = HTTPServer(("127.0.0.1", int(port)), Receiver)
    print(f"waiting on http://127.0.0.1:{server.server_address[1]}", flush=True)
    try:
        server.serve_forever()
    except KeyboardInterrupt:
        pass
    server.server_close()


if __name__ == "__main__":
    main(*sys.argv[1:])
