"""The loopback HTTP server that stands in for the providers."""

from __future__ import annotations

import collections
import json
import socket
import sys
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Callable, Deque, Dict, Iterable, List, Optional, Set, cast
from urllib.parse import parse_qsl, urlsplit

from .anthropic_api import AnthropicApi
from .bedrock_api import BedrockApi
from .exchange import (
    Api,
    ConnectionCut,
    Ids,
    Json,
    Rejected,
    Reply,
    Request,
    StreamEnded,
    json_reply,
)
from .gemini_api import GeminiApi
from .model import SimulatedModel
from .openai_api import OpenAIApi

__all__ = ["SimulatedProviders"]

_KEPT_REQUESTS = 1000


class SimulatedProviders:
    """Simulated LLM providers on a free port of 127.0.0.1, from `start()` to `stop()`.

    A context manager, and safe to use from several threads. Model names choose failures:
    `simulated-error-429` answers 429 once and then works, `simulated-error-500` (or any other
    4xx or 5xx) always fails so, `simulated-stream-error` sends an error in the middle of a
    stream, `simulated-stream-cut` drops the connection there.

    Args:
        latency_s: seconds to wait before each answer.
        chunk_latency_s: seconds to wait before each chunk of a stream after the first.
        answers: gives the text for a question where it does not return None; the built-in rules
            hold for the rest.
        port: the port to listen on; 0 takes any free one.
    """

    def __init__(
        self,
        *,
        latency_s: float = 0.0,
        chunk_latency_s: float = 0.0,
        answers: Optional[Callable[[str], Optional[str]]] = None,
        port: int = 0,
    ) -> None:
        self._latency_s = latency_s
        self._chunk_latency_s = chunk_latency_s
        self._port = port
        self._requests: Deque[Request] = collections.deque(maxlen=_KEPT_REQUESTS)
        model, ids = SimulatedModel(answers), Ids()
        self._apis: List[Api] = [
            AnthropicApi(model, ids),
            OpenAIApi(model, ids),
            BedrockApi(model, ids),
            GeminiApi(model, ids),
        ]
        self._server: Optional[_Server] = None
        self._thread: Optional[threading.Thread] = None

    def __enter__(self) -> SimulatedProviders:
        self.start()
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.stop()

    def start(self) -> None:
        """Start to serve; returns when requests are accepted.

        Raises:
            OSError: the port is taken.
        """
        if self._server is not None:
            return
        self._server = _Server(("127.0.0.1", self._port), self._respond, self._chunk_latency_s)
        self._thread = threading.Thread(
            target=self._server.serve_forever,
            kwargs={"poll_interval": 0.05},
            name="simulated-providers",
            daemon=True,
        )
        self._thread.start()

    def stop(self) -> None:
        """Stop to serve and drop the open connections; safe to call twice."""
        server, self._server = self._server, None
        if server is None:
            return
        server.shutdown()
        server.drop_connections()
        server.server_close()
        if self._thread is not None:
            self._thread.join()

    def forget(self) -> None:
        """Forget what has been received so far; `requests` begins anew."""
        self._requests.clear()

    @property
    def url(self) -> str:
        """The server's address, without a path."""
        if self._server is None:
            raise RuntimeError("the simulated providers are not started")
        return f"http://127.0.0.1:{self._server.server_address[1]}"

    @property
    def openai_url(self) -> str:
        """`base_url` for `OpenAI`; `AzureOpenAI` takes `url` as its `azure_endpoint`."""
        return f"{self.url}/v1"

    @property
    def anthropic_url(self) -> str:
        """`base_url` for `Anthropic`."""
        return self.url

    @property
    def bedrock_url(self) -> str:
        """`endpoint_url` for boto3's `bedrock-runtime` client."""
        return self.url

    @property
    def gemini_url(self) -> str:
        """`http_options.base_url` for `google.genai.Client`, AI Studio and Vertex alike."""
        return self.url

    @property
    def urls(self) -> Dict[str, str]:
        """The addresses by the provider's name."""
        return {
            "openai": self.openai_url,
            "anthropic": self.anthropic_url,
            "bedrock": self.bedrock_url,
            "gemini": self.gemini_url,
        }

    @property
    def requests(self) -> List[Request]:
        """The latest requests received, at most 1000, oldest first."""
        return list(self._requests)

    def _respond(self, request: Request) -> Reply:
        self._requests.append(request)
        if self._latency_s:
            time.sleep(self._latency_s)
        for api in self._apis:
            try:
                reply = api.handle(request)
            except Rejected as rejection:
                return rejection.reply
            if reply is not None:
                return reply
        return json_reply({"error": {"message": f"no such path: {request.path}"}}, status=404)


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def __init__(
        self,
        address: Any,
        respond: Callable[[Request], Reply],
        chunk_latency_s: float,
    ) -> None:
        self.respond = respond
        self.chunk_latency_s = chunk_latency_s
        self._open: Set[socket.socket] = set()
        self._open_lock = threading.Lock()
        super().__init__(address, _Handler)

    def process_request(self, request: Any, client_address: Any) -> None:
        with self._open_lock:
            self._open.add(request)
        super().process_request(request, client_address)

    def shutdown_request(self, request: Any) -> None:
        with self._open_lock:
            self._open.discard(request)
        super().shutdown_request(request)

    def drop_connections(self) -> None:
        with self._open_lock:
            connections = list(self._open)
        for connection in connections:
            try:
                connection.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass  # the client was faster

    def handle_error(self, request: Any, client_address: Any) -> None:
        # A client that goes away in the middle is no fault of the server's.
        if not isinstance(sys.exc_info()[1], ConnectionError):
            super().handle_error(request, client_address)


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server_version = "simulated-providers"
    disable_nagle_algorithm = True
    wbufsize = -1  # one packet for the head and the body; chunks are flushed one by one

    def do_POST(self) -> None:
        server = cast("_Server", self.server)
        length = int(self.headers.get("Content-Length") or 0)
        target = urlsplit(self.path)
        request = Request(
            method=self.command,
            path=target.path,
            query=dict(parse_qsl(target.query)),
            headers={name.lower(): value for name, value in self.headers.items()},
            body=_json_object(self.rfile.read(length)),
        )
        reply = server.respond(request)
        self.send_response(reply.status)
        self.send_header("Content-Type", reply.content_type)
        for name, value in reply.headers.items():
            self.send_header(name, value)
        if reply.streamed:
            self._send_chunks(reply.chunks, server.chunk_latency_s)
        else:
            body = b"".join(reply.chunks)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

    do_GET = do_POST

    def _send_chunks(self, chunks: Iterable[bytes], latency_s: float) -> None:
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        try:
            for number, chunk in enumerate(chunks):
                if number and latency_s:
                    time.sleep(latency_s)
                self.wfile.write(b"%x\r\n%b\r\n" % (len(chunk), chunk))
                self.wfile.flush()
        except ConnectionCut:
            self.close_connection = True
            return
        except StreamEnded:
            pass
        self.wfile.write(b"0\r\n\r\n")

    def log_message(self, format: str, *args: Any) -> None:
        """Keep standard error for what matters."""


def _json_object(raw: bytes) -> Optional[Json]:
    if not raw:
        return {}
    try:
        value = json.loads(raw)
    except ValueError:
        return None
    return cast("Json", value) if isinstance(value, dict) else None
