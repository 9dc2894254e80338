"""What each guard costs on the caller's thread, on texts of 1 KB and of 100 KB.

The texts are prose with a date, a URL, a version and some JSON now and then, as prompts are; a
second kind has something to find every 500 characters; the third is an embedding, all digits. Then
come a request and the chunks of a streamed answer of 4 characters each, looked at for secrets. The
last rows are a whole span of a model call with 1 KB and 100 KB of messages, ended with redaction
and without. Processor time of the thread, medians of rounds; run `python benchmarks/guard.py`.
"""

from __future__ import annotations

import json
import random
import statistics
import time
from functools import partial
from typing import Any, Callable, List, Optional, Tuple

from opentelemetry.sdk.trace import TracerProvider

import peekr
from peekr.guard import Blocklist, PIIRedact
from peekr.instrumentation.contract import Request
from peekr.instrumentation.gate import Gate, Judgement
from peekr.instrumentation.openai.chat_stream import ChatStream
from peekr.messages import message
from peekr.messages import text as text_part

ROUNDS = 15
PROSE = (
    "the quick brown fox jumps over a lazy dog while reading about models and tokens in 42 ways on"
    ' 2024-11-23 (see https://example.org/a/b?c=1) version 1.4.2 {"k": 0.5, "n": "x"}; so it goes'
)
WORDS = PROSE.split()
FINDS = ("jane@example.com", "415-555-2671", "4111 1111 1111 1111", "sk-proj-" + "a1B2" * 12)


def text(chars: int, finds: bool = False) -> str:
    """Prose of so many characters."""
    chance = random.Random(0)
    words: List[str] = []
    length = since = 0
    while length < chars:
        word = chance.choice(WORDS)
        if finds and since > 500:
            word, since = chance.choice(FINDS), 0
        words.append(word)
        length += len(word) + 1
        since += len(word) + 1
    return " ".join(words)[:chars]


def embedding(chars: int) -> str:
    chance = random.Random(0)
    return ("[" + ", ".join(repr(chance.random()) for _ in range(chars // 20)) + "]")[:chars]


def micros(call: Callable[[], Any]) -> float:
    """The median of rounds, in microseconds a call."""
    rounds: List[float] = []
    call()
    once = time.thread_time()
    call()
    repeat = max(1, int(0.01 / max(1e-6, time.thread_time() - once)))
    for _ in range(ROUNDS):
        start = time.thread_time()
        for _ in range(repeat):
            call()
        rounds.append((time.thread_time() - start) / repeat * 1e6)
    return statistics.median(rounds)


def guards() -> List[Tuple[str, Any]]:
    return [
        ("PIIRedact()", PIIRedact()),
        ("Blocklist(COMMON_SECRETS)", Blocklist(patterns=Blocklist.COMMON_SECRETS)),
        ("Blocklist, 3 terms", Blocklist(terms=["acme", "contoso", "project x"])),
        ("Blocklist, 1 own pattern", Blocklist(patterns=[r"\bEMP-\d{6}\b"])),
    ]


def span(size: int, guardrails: Optional[List[Any]]) -> float:
    provider = TracerProvider(shutdown_on_exit=False)
    settings: Any = {"console": False, "storage": None, "tracer_provider": provider}
    peekr.instrument(guardrails=guardrails or [], **settings)
    tracer = provider.get_tracer("benchmark")
    numbers = iter(range(10**9))

    def call() -> None:
        made = tracer.start_span("chat", attributes={"gen_ai.request.model": "gpt-4o"})
        # Another text each time: what was looked at is known.
        message = {"role": "user", "content": f"{next(numbers)} {body}"}
        made.set_attribute("gen_ai.input.messages", json.dumps([message]))
        made.end()

    body = text(size)
    try:
        return micros(call)
    finally:
        peekr.uninstrument()
        provider.shutdown()


def gate(size: int, guards: List[Any]) -> Tuple[float, float]:
    """Looking at a request, and at an answer that is streamed in pieces of 4 characters."""
    at_gate = Gate(guards)
    body = text(size)
    request = Request(input=[message("user", [text_part(body)])])
    chunks = [
        {"choices": [{"index": 0, "delta": {"content": body[at : at + 4]}}]}
        for at in range(0, len(body), 4)
    ]

    def stream() -> None:
        accumulator, judgement = ChatStream(), Judgement()
        hold = at_gate.hold(accumulator, judgement)
        for chunk in chunks:
            accumulator.add(chunk)
            hold.add(chunk)
        at_gate.look_at_answer(accumulator.response().output, judgement)

    asked = micros(lambda: at_gate.look_at_request(request, Judgement()))
    return asked, micros(stream) / len(chunks)


def main() -> None:
    samples: List[Tuple[str, Callable[[int], str]]] = [
        ("prose", text),
        ("with finds", partial(text, finds=True)),
        ("embedding", embedding),
    ]
    print(f"{'check(), µs':38}{'1 KB':>12}{'100 KB':>12}")
    for name, guard in guards():
        for kind, make in samples:
            small, large = make(1_000), make(100_000)
            row = [micros(partial(guard.check, sample, "input")) for sample in (small, large)]
            print(f"{name + ', ' + kind:40}{row[0]:>10.1f}{row[1]:>12.0f}")
    blocking = [Blocklist(patterns=Blocklist.COMMON_SECRETS)]
    small, large = gate(1_000, blocking), gate(100_000, blocking)
    print(f"{'request, secrets blocked':40}{small[0]:>10.1f}{large[0]:>12.0f}")
    print(f"{'chunk of a stream, in a window':40}{small[1]:>10.2f}{large[1]:>12.2f}")
    redacting = [PIIRedact(), Blocklist(patterns=Blocklist.COMMON_SECRETS, action="redact")]
    for name, given in (("span, no guard", None), ("span, PIIRedact and secrets", redacting)):
        print(f"{name:40}{span(1_000, given):>10.1f}{span(100_000, given):>12.0f}")


if __name__ == "__main__":
    main()
