"""A real uvicorn on loopback, in a thread of its own."""

from __future__ import annotations

import threading
import time
from collections.abc import Generator
from contextlib import contextmanager
from typing import Any

import uvicorn

DEADLINE_S = 20.0


@contextmanager
def serving(app: Any, **options: Any) -> Generator[str, None, None]:
    """Serve an ASGI application; gives its address, `http://127.0.0.1:PORT`."""
    settings: dict[str, Any] = {"log_level": "critical", "ws": "none", **options}
    config = uvicorn.Config(app, host="127.0.0.1", port=0, **settings)
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    deadline = time.monotonic() + DEADLINE_S
    while not server.started:
        assert thread.is_alive(), "the server did not start"
        assert time.monotonic() < deadline, "the server did not start in time"
        time.sleep(0.005)
    port = server.servers[0].sockets[0].getsockname()[1]
    try:
        yield f"http://127.0.0.1:{port}"
    finally:
        server.should_exit = True
        thread.join(DEADLINE_S)
        assert not thread.is_alive()
