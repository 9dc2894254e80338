"""A loopback server that judges by a function, through OpenAI's interface and Anthropic's."""

from __future__ import annotations

import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any, Callable, Dict, List, Optional, Tuple, Type, Union, cast

Verdict = Union[Dict[str, Any], str]
Answer = Union[Verdict, Tuple[int, Dict[str, Any]]]
"""A verdict, or a status with the body of an error."""


class JudgeServer:
    """Answers every question with what `answer` gives for the request.

    Attributes:
        requests: The bodies of what was asked, in the order in which it came.
        most_at_once: How many requests were under way at the same time.
    """

    def __init__(self, answer: Callable[[Dict[str, Any]], Answer]) -> None:
        self.answer = answer
        self.requests: List[Dict[str, Any]] = []
        self.most_at_once = 0
        self._at_once = 0
        self._lock = threading.Lock()
        self._server = _Server(("127.0.0.1", 0), _Handler)
        self._server.judge = self
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.02,))

    def __enter__(self) -> JudgeServer:
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: Optional[Type[BaseException]],
        error: Optional[BaseException],
        trace: Optional[TracebackType],
    ) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()

    @property
    def openai_url(self) -> str:
        return f"http://127.0.0.1:{self._server.server_address[1]}/v1"

    @property
    def anthropic_url(self) -> str:
        return f"http://127.0.0.1:{self._server.server_address[1]}"

    def take(self, body: Dict[str, Any]) -> Answer:
        with self._lock:
            self.requests.append(body)
            self._at_once += 1
            self.most_at_once = max(self.most_at_once, self._at_once)
        try:
            return self.answer(body)
        finally:
            with self._lock:
                self._at_once -= 1


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    judge: JudgeServer

    def handle_error(self, request: Any, client_address: Any) -> None:
        pass  # clients that leave early are what some tests are about


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        answer = cast("_Server", self.server).judge.take(body)
        if isinstance(answer, tuple):
            self._send(*answer)
        elif self.path.endswith("/messages"):
            self._send(200, _message(body, answer))
        else:
            self._send(200, _completion(body, answer))

    def _send(self, status: int, body: Dict[str, Any]) -> None:
        data = json.dumps(body).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(data)))
        if status in (429, 500, 503):
            self.send_header("Retry-After-Ms", "1")
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, format: str, *args: Any) -> None:
        pass


def _completion(body: Dict[str, Any], answer: Verdict) -> Dict[str, Any]:
    content = answer if isinstance(answer, str) else json.dumps(answer)
    return {
        "id": "chatcmpl-1",
        "object": "chat.completion",
        "created": 1,
        "model": body["model"],
        "choices": [
            {
                "index": 0,
                "finish_reason": "stop",
                "message": {"role": "assistant", "content": content},
            }
        ],
        "usage": {"prompt_tokens": 1000, "completion_tokens": 100, "total_tokens": 1100},
    }


def _message(body: Dict[str, Any], answer: Verdict) -> Dict[str, Any]:
    block: Dict[str, Any] = {"type": "text", "text": answer}
    if isinstance(answer, dict):
        block = {"type": "tool_use", "id": "toolu_1", "name": "verdict", "input": answer}
    return {
        "id": "msg_1",
        "type": "message",
        "role": "assistant",
        "model": body["model"],
        "content": [block],
        "stop_reason": "tool_use",
        "stop_sequence": None,
        "usage": {"input_tokens": 1000, "output_tokens": 100},
    }


def error(message: str) -> Dict[str, Any]:
    """The body of an error, in a form that both SDKs read."""
    return {"type": "error", "error": {"type": "invalid_request_error", "message": message}}
