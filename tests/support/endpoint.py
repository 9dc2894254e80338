"""An HTTP endpoint on loopback that answers as it is told to, and remembers what came."""

from __future__ import annotations

import contextlib
import gzip
import json
import shutil
import socket
import ssl
import subprocess
import threading
import time
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, Callable, Dict, Generator, List, Optional, Tuple

import pytest


@dataclass
class Reply:
    """One answer: its status, its headers, its body, and what to wait for before it is given."""

    status: int = 200
    headers: Dict[str, str] = field(default_factory=dict[str, str])
    body: bytes = b"{}"
    after: Optional[threading.Event] = None
    cut: bool = False


@dataclass
class Received:
    """One request."""

    method: str
    path: str
    headers: Dict[str, str]
    body: bytes
    at: float

    @property
    def plain(self) -> bytes:
        packed = self.headers.get("content-encoding") == "gzip"
        return gzip.decompress(self.body) if packed else self.body

    @property
    def spans(self) -> List[Dict[str, Any]]:
        return json.loads(self.plain)["spans"]

    @property
    def names(self) -> List[str]:
        return [span["name"] for span in self.spans]


class Endpoint:
    """Answers each request with the next of `replies`, then with `otherwise`.

    Attributes:
        received: The requests, in their order.
        accepted: The spans by their ids that were taken, as an endpoint that upserts has them.
    """

    def __init__(self, context: Optional[ssl.SSLContext] = None) -> None:
        self.replies: List[Reply] = []
        self.otherwise: Callable[[Received], Reply] = lambda request: Reply()
        self.received: List[Received] = []
        self.accepted: Dict[str, Dict[str, Any]] = {}
        self.doubled = 0
        self.open: List[socket.socket] = []
        self.threads: List[threading.Thread] = []
        self._lock = threading.Lock()
        self._context = context
        self._server: Optional[ThreadingHTTPServer] = None
        self.port = free_port()

    @property
    def url(self) -> str:
        return f"{'https' if self._context else 'http'}://127.0.0.1:{self.port}"

    def start(self) -> None:
        endpoint = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def log_message(self, format: str, *args: Any) -> None:
                pass

            def setup(self) -> None:
                super().setup()
                endpoint.open.append(self.connection)

            def do_GET(self) -> None:
                self.do_POST()

            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
                headers = {key.lower(): value for key, value in self.headers.items()}
                made = Received(self.command, self.path, headers, body, time.monotonic())
                reply = endpoint.take(made)
                if reply.after is not None:
                    reply.after.wait(30)
                with contextlib.suppress(OSError):
                    if reply.cut:
                        self.close_connection = True
                        self.connection.shutdown(socket.SHUT_RDWR)
                        return
                    self.send_response(reply.status)
                    for key, value in reply.headers.items():
                        self.send_header(key, value)
                    self.send_header("Content-Length", str(len(reply.body)))
                    self.end_headers()
                    self.wfile.write(reply.body)

        class Server(ThreadingHTTPServer):
            daemon_threads = True
            block_on_close = False

            def process_request_thread(self, request: Any, client_address: Any) -> None:
                endpoint.threads.append(threading.current_thread())
                super().process_request_thread(request, client_address)

            def handle_error(self, request: Any, client_address: Any) -> None:
                pass  # a client that does not trust the certificate

        self._server = Server(("127.0.0.1", self.port), Handler)
        if self._context is not None:
            self._server.socket = self._context.wrap_socket(
                self._server.socket, server_side=True, do_handshake_on_connect=True
            )
        threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True).start()

    def stop(self) -> None:
        server, self._server = self._server, None
        if server is not None:
            server.shutdown()
            server.server_close()
            for connection in self.open:
                with contextlib.suppress(OSError):
                    connection.shutdown(socket.SHUT_RDWR)
            for thread in self.threads:
                thread.join(1)  # not longer: one may be held by a test that has failed
            self.threads.clear()
            for connection in self.open:
                connection.close()
            self.open.clear()

    def take(self, request: Received) -> Reply:
        with self._lock:
            self.received.append(request)
            reply = self.replies.pop(0) if self.replies else self.otherwise(request)
            if reply.status == 200 and not reply.cut and request.path == "/v1/spans":
                for span in request.spans:
                    self.doubled += span["span_id"] in self.accepted
                    self.accepted[span["span_id"]] = span
            return reply

    @property
    def names(self) -> List[str]:
        """The names of the spans that were taken, sorted."""
        return sorted(span["name"] for span in self.accepted.values())


def certificate(folder: Path) -> Tuple[Path, Path]:
    """A certificate for 127.0.0.1 that nobody trusts by himself, and its key."""
    openssl = shutil.which("openssl")
    if openssl is None:
        pytest.skip("there is no openssl to make a certificate with")
    made, key = folder / "certificate.pem", folder / "key.pem"
    subprocess.run(
        [openssl, "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1",
         "-nodes", "-keyout", str(key), "-out", str(made), "-days", "2",
         "-subj", "/CN=127.0.0.1", "-addext", "subjectAltName=IP:127.0.0.1"],
        check=True,
        capture_output=True,
    )  # fmt: skip
    return made, key


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        address: Tuple[str, int] = probe.getsockname()
        return address[1]


@contextlib.contextmanager
def running(context: Optional[ssl.SSLContext] = None) -> Generator[Endpoint, None, None]:
    """An endpoint that is up."""
    endpoint = Endpoint(context)
    endpoint.start()
    try:
        yield endpoint
    finally:
        endpoint.stop()


def until(condition: Callable[[], Any], timeout_s: float = 20.0) -> None:
    """Wait until something holds."""
    deadline = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < deadline, "it did not come about"
        time.sleep(0.01)
