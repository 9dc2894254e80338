"""Web servers that fork, reload and stop their workers: each answered request is stored, once."""

from __future__ import annotations

import os
import signal
import sys
import time
import urllib.error
import urllib.request
from concurrent.futures import ThreadPoolExecutor
from typing import List

import pytest

from tests.support.endpoint import free_port

from .running import App, Running

WSGI = """
instrument()

def application(environ, start_response):
    text = environ["PATH_INFO"][1:]
    said = ask(text)
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [f"{os.getpid()} {said}".encode()]
"""

ASGI = """
instrument()
async_client = openai.AsyncOpenAI(base_url=URL, api_key="test", max_retries=0, timeout=60)

async def served(scope, receive, send):
    assert scope["type"] == "http"
    text = scope["path"][1:]
    answer = await async_client.chat.completions.create(**request(text))
    said = checked(text, answer.choices[0].message.content)
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": f"{os.getpid()} {said}".encode()})

application = peekr.PeekrASGIMiddleware(served)
"""


class Server:
    """A server that runs; its port, and which of its workers have answered."""

    def __init__(self, program: Running, port: int) -> None:
        self.program = program
        self.workers: List[str] = []
        self._port = port

    def get(self, text: str) -> str:
        url = f"http://127.0.0.1:{self._port}/{text}"
        with urllib.request.urlopen(url, timeout=30) as response:
            worker, _, said = response.read().decode().partition(" ")
        assert said == f"This is a simulated answer to: {text}"
        self.workers.append(worker)
        return worker

    def get_when_up(self, text: str) -> str:
        """The first answer of a server that is about to start; says `text` once it is given."""
        deadline = time.monotonic() + 50.0
        while True:
            try:
                return self.get(text)
            except (urllib.error.URLError, ConnectionError):
                if time.monotonic() > deadline:
                    self.program.end(signal.SIGKILL)
                    raise
                time.sleep(0.05)

    def get_many(self, texts: List[str]) -> None:
        with ThreadPoolExecutor(4) as pool:
            list(pool.map(self.get, texts))


def gunicorn(app: App, source: str, *options: str) -> Server:
    port = free_port()
    command = [sys.executable, "-m", "gunicorn", "app:application", "--bind", f"127.0.0.1:{port}"]
    command += ["--workers", "2", "--log-level", "error", "--no-control-socket", *options]
    if not has_control_socket():
        command.remove("--no-control-socket")
    return Server(app.start_fresh(source, *command), port)


def has_control_socket() -> bool:
    """Whether gunicorn makes a socket in the user's folder unless told not to: newer ones do."""
    settings = pytest.importorskip("gunicorn.config").KNOWN_SETTINGS
    return any(setting.name == "control_socket_disable" for setting in settings)


TEXTS = [f"r{n}" for n in range(60)]


@pytest.mark.parametrize(
    ("options", "end"),
    [
        (("--preload",), signal.SIGTERM),
        (("--preload", "--worker-class", "gthread", "--threads", "4"), signal.SIGINT),
        pytest.param((), signal.SIGTERM, marks=pytest.mark.slow),
    ],
    ids=["preload", "preload, threads, SIGINT", "loaded in each worker"],
)
def test_workers_of_gunicorn_store_every_request(
    options: List[str], end: signal.Signals, app: App
) -> None:
    pytest.importorskip("gunicorn")
    server = gunicorn(app, WSGI, *options)
    server.get_when_up("first")
    server.get_many(TEXTS)
    ended = server.program.end(end)
    assert "Traceback" not in ended.err, ended.err
    assert ended.code == 0
    wanted = sorted(["first", *TEXTS])
    assert sorted(ended.asked) == sorted(ended.asked_in_rows) == wanted


def test_workers_of_gunicorn_that_are_killed_or_recycled_cost_no_request_that_was_answered(
    app: App,
) -> None:
    pytest.importorskip("gunicorn")
    server = gunicorn(app, WSGI, "--preload", "--max-requests", "15")
    server.get_when_up("first")
    answered = ["first"]
    for round_ in range(2):
        worker = server.get(f"before {round_}".replace(" ", "-"))
        time.sleep(0.2)  # what a kill costs SQLite is its last moment
        os.kill(int(worker), signal.SIGKILL)
        answered.append(f"before-{round_}")
        for text in TEXTS[round_ * 20 : round_ * 20 + 20]:
            try:
                server.get(text)
            except (urllib.error.URLError, ConnectionError):
                continue  # it was sent to the one that was just killed
            answered.append(text)
    ended = server.program.end(signal.SIGTERM)
    assert ended.code == 0
    assert len(answered) > 30
    assert set(answered) <= set(ended.asked)
    assert set(answered) <= set(ended.asked_in_rows)
    assert len({record["span_id"] for record in ended.whole_lines}) == len(ended.whole_lines)


def uvicorn(app: App, *options: str) -> Server:
    port = free_port()
    command = [sys.executable, "-m", "uvicorn", "app:application", "--port", str(port)]
    return Server(app.start_fresh(ASGI, *command, "--log-level", "error", *options), port)


def test_a_reload_of_uvicorn_stores_what_was_answered_before_and_after(app: App) -> None:
    pytest.importorskip("uvicorn")
    server = uvicorn(app, "--reload", "--reload-delay", "0.05")
    server.get_when_up("first")
    server.get_many(TEXTS[:20])
    source = app.folder / "app.py"
    text = source.read_text("utf-8")
    source.write_text(text + "\n# changed\n", "utf-8")
    os.utime(source, (time.time() + 5, time.time() + 5))
    # Requests that come in between are served by the old one, or wait for the new one.
    worker = server.workers[0]
    deadline = time.monotonic() + 50.0
    asked = 0
    while server.get_when_up(f"again-{asked}") == worker:
        assert time.monotonic() < deadline, "it was not reloaded"
        asked += 1
    server.get_many(TEXTS[20:40])
    ended = server.program.end(signal.SIGINT)
    assert not ended.is_peekr_named, ended.err
    wanted = {"first", *TEXTS[:40], *(f"again-{n}" for n in range(asked + 1))}
    assert wanted == set(ended.asked) == set(ended.asked_in_rows)
    roots = [record for record in ended.rows if record["name"] == "GET"]
    assert {call["parent_id"] for call in ended.rows if call["name"] == "openai.chat"} == {
        root["span_id"] for root in roots
    }


@pytest.mark.slow
def test_workers_of_uvicorn_store_every_request(app: App) -> None:
    pytest.importorskip("uvicorn")
    server = uvicorn(app, "--workers", "2")
    server.get_when_up("first")
    server.get_many(TEXTS)
    ended = server.program.end(signal.SIGTERM)
    assert not ended.is_peekr_named, ended.err
    assert sorted(ended.asked) == sorted(ended.asked_in_rows) == sorted(["first", *TEXTS])
    assert len(ended.rows) == 2 * (len(TEXTS) + 1)
