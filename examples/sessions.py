"""On whose behalf work is done: sessions, users, tenants, features; in threads and across services.

python sessions.py traces.jsonl                 # asks no model
"""

from __future__ import annotations

import sys
from concurrent.futures import ThreadPoolExecutor

from opentelemetry.propagate import extract, inject

import peekr
from peekr.baggage import accept_baggage
from peekr.context import current_scope


@peekr.trace
def summarise(text: str) -> str:
    return text[:5]


@peekr.feature("digest")
def digest(texts: list[str]) -> list[str]:
    """Whatever starts inside is tagged, in the threads of the pool as well."""
    with ThreadPoolExecutor(2) as pool:
        return list(pool.map(summarise, texts))


@peekr.session
def handle(question: str) -> str:
    """As a decorator: a session a call."""
    return summarise(question)


def call_another_service() -> dict[str, str]:
    """What an instrumented HTTP client sends along: nothing of a session, unless asked to."""
    headers: dict[str, str] = {}
    inject(headers)
    return headers


def main(path: str = "traces.jsonl") -> None:
    peekr.instrument(console=False, jsonl_path=path, tenant_id="acme")

    with peekr.session(user_id="ada", retention_class="short") as session:
        print("session", session.session_id)
        digest(["first text", "second text"])
        with peekr.session(tenant_id="beta"):  # the same session and user, another tenant
            summarise("third text")

    handle("A question")
    handle("Another one, in a session of its own")

    with peekr.session(user_id="ada", session_id="s-1", propagate=["session_id"]):
        headers = call_another_service()
    print("sent along:", headers["baggage"])
    print("received:", current_scope(accept_baggage(extract(headers))).session_id)

    peekr.shutdown()


if __name__ == "__main__":
    main(*sys.argv[1:])
