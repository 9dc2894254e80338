"""A FastAPI service: each request a root span with its route, tenant and user.

python fastapi_app.py traces.jsonl              # serves itself three requests, simulated
python fastapi_app.py traces.jsonl --real       # the same with OpenAI: OPENAI_API_KEY
uvicorn fastapi_app:app                         # serves you, with OpenAI, into traces.jsonl
peekr view traces.jsonl
"""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import AsyncGenerator, Iterator
from contextlib import asynccontextmanager

import httpx
import openai
import uvicorn
from fastapi import FastAPI, Request
from fastapi.responses import StreamingResponse

import peekr
from simulated_providers import stand_in


@asynccontextmanager
async def lifespan(app: FastAPI) -> AsyncGenerator[None, None]:
    """What each worker process does when it starts and when it ends."""
    peekr.instrument(console=False, jsonl_path=getattr(app.state, "path", "traces.jsonl"))
    with openai.OpenAI() as app.state.openai:
        yield
    peekr.shutdown()


app = FastAPI(lifespan=lifespan)
app.add_middleware(peekr.FastAPIMiddleware)
# Any other ASGI application: app = peekr.PeekrASGIMiddleware(app)


@app.get("/users/{user_id}/answer")
def answer(request: Request, user_id: str, question: str) -> dict[str, str]:
    """The model's span is inside the request's, and has its route as `endpoint`."""
    client: openai.OpenAI = request.app.state.openai
    reply = client.chat.completions.create(
        model="gpt-4o", messages=[{"role": "user", "content": question}]
    )
    return {"user": user_id, "answer": reply.choices[0].message.content or ""}


@app.get("/stream")
def stream(request: Request) -> StreamingResponse:
    """The request's span ends with the last byte."""
    client: openai.OpenAI = request.app.state.openai

    def words() -> Iterator[str]:
        chunks = client.chat.completions.create(
            model="gpt-4o", messages=[{"role": "user", "content": "Count"}], stream=True
        )
        for chunk in chunks:
            yield chunk.choices[0].delta.content or "" if chunk.choices else ""

    return StreamingResponse(words(), media_type="text/plain")


@app.get("/healthz")
def health() -> str:
    """Makes no span."""
    return "ok"


def main(path: str = "traces.jsonl") -> None:
    app.state.path = path
    server = uvicorn.Server(uvicorn.Config(app, port=0, log_level="warning"))
    thread = threading.Thread(target=server.run)
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
    with stand_in():
        main(*sys.argv[1:])
