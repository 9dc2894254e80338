"""A FastAPI service: each request a root span with its route, tenant and user.

Serve it with `uvicorn fastapi_app:app`, or have it serve itself for three requests:

    python fastapi_app.py traces.jsonl
    peekr view traces.jsonl
"""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Iterator

import httpx
import openai
import uvicorn
from fastapi import FastAPI
from fastapi.responses import StreamingResponse

import peekr
from simulated_providers import SimulatedProviders

app = FastAPI()
app.add_middleware(peekr.FastAPIMiddleware)
# Any other ASGI application: app = peekr.PeekrASGIMiddleware(app)

providers = SimulatedProviders()


def client() -> openai.OpenAI:
    return openai.OpenAI(base_url=providers.openai_url, api_key="simulated")


@app.get("/users/{user_id}/answer")
def answer(user_id: str, question: str) -> dict[str, str]:
    """The model's span is inside the request's, and has its route as `endpoint`."""
    reply = client().chat.completions.create(
        model="gpt-4o", messages=[{"role": "user", "content": question}]
    )
    return {"user": user_id, "answer": reply.choices[0].message.content or ""}


@app.get("/stream")
def stream() -> StreamingResponse:
    """The request's span ends with the last byte."""

    def words() -> Iterator[str]:
        chunks = client().chat.completions.create(
            model="gpt-4o", messages=[{"role": "user", "content": "Count"}], stream=True
        )
        for chunk in chunks:
            yield chunk.choices[0].delta.content or "" if chunk.choices else ""

    return StreamingResponse(words(), media_type="text/plain")


@app.get("/healthz")
def health() -> str:
    """Makes no span."""
    return "ok"


def main(path: str) -> None:
    peekr.instrument(console=False, jsonl_path=path)
    server = uvicorn.Server(uvicorn.Config(app, port=0, log_level="warning"))
    thread = threading.Thread(target=server.run)
    with providers:
        thread.start()
        while not server.started:
            time.sleep(0.01)
        port = server.servers[0].sockets[0].getsockname()[1]
        with httpx.Client(base_url=f"http://127.0.0.1:{port}") as http:
            who = {"X-Tenant-Id": "acme", "X-User-Id": "ada"}
            print(http.get("/users/7/answer?question=Why", headers=who).json()["answer"])
            print(http.get("/stream", headers=who).text)
            print(http.get("/healthz").json())
        server.should_exit = True
        thread.join()


if __name__ == "__main__":
    main(sys.argv[1] if len(sys.argv) > 1 else "traces.jsonl")
