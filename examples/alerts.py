"""Alerts on traces: rules that come with Peekr, one of one's own, and where they say it.

    python alerts.py                                # on simulated providers
    python alerts.py --real                         # asks OpenAI: OPENAI_API_KEY, some cents

The webhook is a server in this process.
"""

from __future__ import annotations

import json
import sys
import threading
from collections.abc import Generator, Sequence
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import Any, Optional

import openai

import peekr
from peekr.alert import BaseAlert, CostSpike, ErrorRate, WebhookSink
from simulated_providers import stand_in


class ManyCalls(BaseAlert):
    """Fires when one trace makes many model calls: an agent that goes round in circles."""

    def __init__(self, limit: int, **options: Any) -> None:
        super().__init__(**options)
        self.limit = limit

    def check(self, trace: Sequence[Any]) -> Optional[str]:
        calls = [record for record in trace if "model" in record.attributes]
        return f"{len(calls)} model calls" if len(calls) > self.limit else None

    def fingerprint(self, trace: Sequence[Any], message: str) -> str:
        return trace[-1].name  # once for each kind of trace


def too_long(trace: Sequence[Any]) -> Optional[str]:
    cut = [record for record in trace if record.attributes.get("finish_reasons") == ["length"]]
    return f"{len(cut)} answers were cut off" if cut else None


def pager_duty(alert_name: str, message: str) -> Any:
    summary = f"{alert_name}: {message.partition(' [')[0]}"
    return {
        "routing_key": "your-key",
        "event_action": "trigger",
        "payload": {"summary": summary, "source": "example", "severity": "warning"},
    }


@contextmanager
def webhook() -> Generator[str, None, None]:
    """A server that prints what it is sent."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            print("received:", body["payload"]["summary"], flush=True)
            self.send_response(202)
            self.end_headers()

        def log_message(self, format: str, *args: Any) -> None:
            """Say nothing."""

    server = HTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}/enqueue"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


@peekr.trace
def agent(client: openai.OpenAI, question: str, steps: int = 1, **options: Any) -> None:
    for _ in range(steps):
        client.chat.completions.create(
            model="gpt-4o", messages=[{"role": "user", "content": question}], **options
        )


def main() -> None:
    with webhook() as url:
        pager = WebhookSink(url, payload_builder=pager_duty)
        peekr.instrument(
            console=False,
            storage=None,
            alerts=[
                ErrorRate(threshold=0.2, window=10, sinks=[pager]),
                CostSpike(multiplier=3.0).with_sinks(pager),
                ManyCalls(limit=2, sinks=[pager]),
                too_long,  # says it on stderr
            ],
        )
        client = openai.OpenAI(max_retries=0)
        for _ in range(3):
            agent(client, "How tall is the Eiffel tower?")
        agent(client, "How tall is the Eiffel tower?", steps=5)
        agent(client, "Tell me everything about the Eiffel tower.", max_tokens=2)
        for _ in range(3):
            try:
                agent(client, "How tall?", model_that_is="misspelt")
            except TypeError:
                pass
        client.close()
        peekr.flush()


if __name__ == "__main__":
    with stand_in():
        main(*sys.argv[1:])
