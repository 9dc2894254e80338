"""The example of a service as it is deployed: served by uvicorn's own command."""

from __future__ import annotations

import json
import os
import signal
import sys
import urllib.request
from pathlib import Path

import pytest

from simulated_providers import SimulatedProviders
from simulated_providers.environment import variables
from tests.support import backends
from tests.support.endpoint import free_port
from tests.support.examples import EXAMPLES


def test_served_by_uvicorn_it_records_requests_and_calls(tmp_path: Path) -> None:
    for module in ("fastapi", "uvicorn", "openai"):
        pytest.importorskip(module)
    port = free_port()
    url = f"http://127.0.0.1:{port}"
    with SimulatedProviders() as providers:
        environment = {k: v for k, v in variables(providers).items() if v is not None}
        service = backends.Program(
            [sys.executable, "-m", "uvicorn", "--app-dir", str(EXAMPLES), "fastapi_app:app",
             "--port", str(port)],
            tmp_path / "uvicorn.log",
            tmp_path,
            PEEKR_RAISE_FAULTS="1",
            **environment,
        )  # fmt: skip
        with backends.running(service):
            service.wait_until(lambda: backends.answers(f"{url}/healthz"), 30)
            with urllib.request.urlopen(f"{url}/users/7/answer?question=Why", timeout=30) as reply:
                assert json.load(reply)["answer"] == "This is a simulated answer to: Why"
            assert service.process is not None
            os.kill(service.process.pid, signal.SIGINT)
            service.process.wait(30)
    lines = (tmp_path / "traces.jsonl").read_text("utf-8").splitlines()
    records = {record["name"]: record for record in map(json.loads, lines)}
    request = records["GET /users/{user_id}/answer"]
    assert request["parent_id"] is None
    # Newer versions of FastAPI have spans of their own in between.
    assert records["openai.chat"]["trace_id"] == request["trace_id"]
    assert records["openai.chat"]["attributes"]["endpoint"] == "/users/{user_id}/answer"
