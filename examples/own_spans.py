"""Your own functions and steps as spans: `@trace`, blocks, spans by hand, attributes, status.

python own_spans.py traces.jsonl                # asks no model
peekr view traces.jsonl --io
"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass

import peekr
from peekr import trace


@dataclass
class Document:
    title: str
    text: str


DOCUMENTS = [Document("Cats", "Cats sleep a lot."), Document("Dogs", "Dogs bark at night.")]


@trace
def search(query: str, limit: int = 3) -> list[Document]:
    """Arguments are recorded by name, the result as well, dataclasses as objects."""
    return [document for document in DOCUMENTS if query in document.text][:limit]


@trace(name="words.split")
def words(text: str) -> Iterator[str]:
    """A generator's span lasts until its last value; texts are joined."""
    for word in text.split():
        yield word + " "


@trace
async def stream(text: str) -> AsyncIterator[str]:
    for word in words(text):
        await asyncio.sleep(0)
        yield word


@trace(capture_io=False)
def check_password(password: str) -> bool:
    """Neither the password nor the answer is recorded."""
    return password == "open sesame"


@trace
async def answer(question: str) -> str:
    check_password("open sesame")
    found = search(question)
    # The span of this function: reachable anywhere inside.
    current = peekr.get_current_span()
    if current is not None:
        current.attributes["feature"] = "answers"
        current.attributes["ranking"] = {"best": found[0].title, "scores": [0.9, 0.4]}
    # A step that is not a function.
    with peekr.span("compose") as span:
        span.attributes["documents"] = len(found)
        text = "".join([word async for word in stream(found[0].text)])
    return text.strip()


def by_hand() -> None:
    """For code in which neither a decorator nor a block fits, such as callbacks."""
    span, token = peekr.start_span("import")
    try:
        span.attributes["rows"] = 3
        span.attributes["input"] = {"file": "cats.csv"}
        raise ValueError("row 2 has no title")
    except ValueError as error:
        span.record_exception(error)  # sets span.status to "error"
    finally:
        peekr.end_span(span, token)


def main(path: str = "traces.jsonl") -> None:
    peekr.instrument(console=True, jsonl_path=path)
    asyncio.run(answer("sleep"))
    by_hand()
    peekr.shutdown()


if __name__ == "__main__":
    main(*sys.argv[1:])
