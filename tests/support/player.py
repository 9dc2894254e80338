"""A loopback HTTP server that plays recorded responses to a real SDK."""

from __future__ import annotations

import json
import re
import socket
import sys
import threading
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Dict, List, Optional, Set, cast
from urllib.parse import unquote, urlsplit

from .recordings import Interaction, Recording

# Headers of one connection, and those that the server writes itself.
_NOT_REPLAYED = {
    "connection",
    "content-encoding",
    "content-length",
    "date",
    "keep-alive",
    "server",
    "set-cookie",
    "transfer-encoding",
}
_SERVER_SENT_EVENT = re.compile(rb".*?(?:\r\n\r\n|\n\n|\r\r|$)", re.DOTALL)


@dataclass(frozen=True)
class Received:
    """A request that the player got; header names are in lower case."""

    method: str
    path: str
    query: str
    headers: Dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body) if self.body else None


@dataclass
class Pause:
    """Holds a stream before a chunk, until `release` is set; `reached` tells that it is held."""

    before_chunk: int
    reached: threading.Event = field(default_factory=threading.Event)
    release: threading.Event = field(default_factory=threading.Event)


class Player:
    """Plays a recording from `__enter__` to `__exit__` on a free port of 127.0.0.1.

    Each request is answered with the first interaction not played yet that has its method and
    path. A request without one gets a 599 and is kept in `unexpected`.

    Args:
        recording: what to play.
        split: cut streamed bodies into chunks of so many bytes; by default a chunk is an event.
        cut_after: drop the connection after so many chunks of a streamed body, or, for a whole
            body, in its middle.
        pause: hold streamed bodies before a chunk.
        repeat: begin again with the first interaction when all are played.
    """

    def __init__(
        self,
        recording: Recording,
        *,
        split: Optional[int] = None,
        cut_after: Optional[int] = None,
        pause: Optional[Pause] = None,
        repeat: bool = False,
    ) -> None:
        self.requests: List[Received] = []
        self.unexpected: List[Received] = []
        self._recording = recording
        self._split = split
        self._cut_after = cut_after
        self._pause = pause
        self._repeat = repeat
        self._unplayed = list(recording.interactions)
        self._lock = threading.Lock()
        self._server = _Server(self)
        self._thread = threading.Thread(
            target=self._server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True
        )

    def __enter__(self) -> Player:
        self._thread.start()
        return self

    def __exit__(self, *exc_info: object) -> None:
        if self._pause is not None:
            self._pause.release.set()
        self._server.shutdown()
        self._server.drop_connections()
        self._server.server_close()
        self._thread.join()

    @property
    def url(self) -> str:
        """The server's address, without a path."""
        return f"http://127.0.0.1:{self.port}"

    @property
    def port(self) -> int:
        return self._server.server_address[1]

    @property
    def all_played(self) -> bool:
        with self._lock:
            return not self._unplayed

    def take(self, received: Received) -> Optional[Interaction]:
        with self._lock:
            self.requests.append(received)
            if self._repeat and not self._unplayed:
                self._unplayed = list(self._recording.interactions)
            wanted = (received.method, unquote(received.path))
            for interaction in self._unplayed:
                if (interaction.method, interaction.path) == wanted:
                    self._unplayed.remove(interaction)
                    return interaction
            self.unexpected.append(received)
            return None

    def chunks(self, interaction: Interaction) -> List[bytes]:
        """The pieces in which a streamed body is sent."""
        body = interaction.raw_body
        if self._split is not None:
            return [body[at : at + self._split] for at in range(0, len(body), self._split)]
        if interaction.compressed:
            return [body]
        if "amazon.eventstream" in interaction.content_type:
            return _aws_messages(body)
        return [event for event in _SERVER_SENT_EVENT.findall(body) if event]

    def hold(self, chunk_number: int) -> None:
        pause = self._pause
        if pause is not None and chunk_number == pause.before_chunk:
            pause.reached.set()
            pause.release.wait()

    def cuts(self, chunk_number: int) -> bool:
        return self._cut_after is not None and chunk_number >= self._cut_after


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self, player: Player) -> None:
        self.player = player
        self._open: Set[socket.socket] = set()
        self._open_lock = threading.Lock()
        super().__init__(("127.0.0.1", 0), _Handler)

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
                pass  # closed already

    def handle_error(self, request: Any, client_address: Any) -> None:
        # Clients that leave early are what many tests are about.
        if not isinstance(sys.exc_info()[1], ConnectionError):
            super().handle_error(request, client_address)


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    wbufsize = -1

    def do_POST(self) -> None:
        player = cast("_Server", self.server).player
        target = urlsplit(self.path)
        received = Received(
            method=self.command,
            path=target.path,
            query=target.query,
            headers={name.lower(): value for name, value in self.headers.items()},
            body=self.rfile.read(int(self.headers.get("Content-Length") or 0)),
        )
        interaction = player.take(received)
        if interaction is None:
            self._send(599, {"content-type": "text/plain"}, b"no recorded interaction left")
            return
        kept = {k: v for k, v in interaction.headers.items() if k not in _NOT_REPLAYED}
        if interaction.compressed:
            kept["content-encoding"] = "gzip"
        if interaction.streamed:
            self._send_chunks(player, interaction, kept)
        else:
            self._send(interaction.status, kept, interaction.raw_body, cut=player.cuts(0))

    do_GET = do_POST

    def _send_head(self, status: int, headers: Dict[str, str]) -> None:
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.end_headers()

    def _send(self, status: int, headers: Dict[str, str], body: bytes, *, cut: bool = False):
        self._send_head(status, {**headers, "content-length": str(len(body))})
        self.wfile.write(body[: len(body) // 2] if cut else body)
        self.close_connection = self.close_connection or cut

    def _send_chunks(
        self, player: Player, interaction: Interaction, headers: Dict[str, str]
    ) -> None:
        self._send_head(interaction.status, {**headers, "transfer-encoding": "chunked"})
        self.wfile.flush()
        for number, chunk in enumerate(player.chunks(interaction)):
            if player.cuts(number):
                self.close_connection = True
                return
            player.hold(number)
            self.wfile.write(b"%x\r\n%b\r\n" % (len(chunk), chunk))
            self.wfile.flush()
        self.wfile.write(b"0\r\n\r\n")

    def log_message(self, format: str, *args: Any) -> None:
        pass


def _aws_messages(body: bytes) -> List[bytes]:
    """Cut an AWS event stream into its messages: each begins with its whole length."""
    messages: List[bytes] = []
    at = 0
    while at < len(body):
        length = int.from_bytes(body[at : at + 4], "big") or len(body)
        messages.append(body[at : at + length])
        at += length
    return messages
