"""A loopback webhook that answers as a test says: late, with an error, or not at all."""

from __future__ import annotations

import json
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Callable, Dict, List, NamedTuple


class Received(NamedTuple):
    path: str
    headers: Dict[str, str]
    body: Any


class Webhook:
    """Answers each request with the next of `statuses`, the last one for all that follow.

    Attributes:
        received: What came, in that order.
        statuses: HTTP statuses; 0 closes the connection without an answer.
        headers: Headers of each answer.
        open: Set: answers at once. Cleared: requests are received, and answered when it is set.
    """

    def __init__(self, *statuses: int) -> None:
        self.received: List[Received] = []
        self.statuses = list(statuses) or [200]
        self.headers: Dict[str, str] = {}
        self.open = threading.Event()
        self.open.set()
        owner = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                owner.answer(self)

            def log_message(self, format: str, *args: Any) -> None:
                """Say nothing."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}/hook/s3cret"
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.01,))

    def answer(self, handler: BaseHTTPRequestHandler) -> None:
        body = handler.rfile.read(int(handler.headers["Content-Length"]))
        self.received.append(
            Received(handler.path, dict(handler.headers.items()), json.loads(body))
        )
        self.open.wait(30)
        status = self.statuses.pop(0) if len(self.statuses) > 1 else self.statuses[0]
        handler.close_connection = True
        if status == 0:
            return
        try:
            handler.send_response(status)
            for name, value in self.headers.items():
                handler.send_header(name, value)
            handler.send_header("Content-Length", "0")
            handler.end_headers()
        except OSError:
            pass  # the sink's patience had ended

    def __enter__(self) -> Webhook:
        self._thread.start()
        return self

    def __exit__(self, *exc_info: Any) -> None:
        self.open.set()
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()


def wait_until(condition: Callable[[], Any], seconds: float = 20.0) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it did not happen"
        time.sleep(0.005)
