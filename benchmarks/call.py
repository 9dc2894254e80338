"""What watching one OpenAI call costs on the caller's thread, against the same work by hand.

Four programs take turns in one process, many rounds: the bare SDK; the SDK with a hand-written
OpenTelemetry span (twelve attributes and the messages as JSON, batch processor, an exporter that
drops); Peekr with content captured and a JSONL line per span; and the same two for a stream of 200
chunks. The SDK talks to a transport in memory, so that its own cost is what it is and the network's
is none. Medians of rounds; run `python benchmarks/call.py`.
"""

from __future__ import annotations

import json
import statistics
import sys
import tempfile
import time
from pathlib import Path
from typing import Any, Callable

import openai
from opentelemetry import trace
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExporter, SpanExportResult

import peekr

try:
    import httpx2 as httpx
except ImportError:
    import httpx  # openai before 3

MESSAGES: list[Any] = [
    {"role": "system", "content": "You answer in one sentence."},
    {"role": "user", "content": "What did the model see? " * 20},
]
ANSWER = "It saw what was sent. " * 20
COMPLETION = {
    "id": "chatcmpl-1",
    "object": "chat.completion",
    "created": 1,
    "model": "gpt-4o-2024-08-06",
    "service_tier": "default",
    "system_fingerprint": "fp_1",
    "choices": [
        {"index": 0, "message": {"role": "assistant", "content": ANSWER}, "finish_reason": "stop"}
    ],
    "usage": {
        "prompt_tokens": 100,
        "completion_tokens": 100,
        "total_tokens": 200,
        "prompt_tokens_details": {"cached_tokens": 0},
        "completion_tokens_details": {"reasoning_tokens": 0},
    },
}
CHUNKS = 200


def chunk(delta: dict[str, Any], reason: str | None = None) -> bytes:
    body = {
        "id": "chatcmpl-1",
        "object": "chat.completion.chunk",
        "created": 1,
        "model": "gpt-4o-2024-08-06",
        "choices": [{"index": 0, "delta": delta, "finish_reason": reason}],
    }
    return b"data: " + json.dumps(body).encode() + b"\n\n"


STREAM = b"".join(
    [chunk({"role": "assistant", "content": ""})]
    + [chunk({"content": "word "}) for _ in range(CHUNKS - 2)]
    + [chunk({}, "stop"), b"data: [DONE]\n\n"]
)


def answer(request: Any) -> Any:
    if b'"stream":true' in request.content or b'"stream": true' in request.content:
        return httpx.Response(200, headers={"content-type": "text/event-stream"}, content=STREAM)
    return httpx.Response(200, json=COMPLETION)


class Drop(SpanExporter):
    def export(self, spans: Any) -> SpanExportResult:
        return SpanExportResult.SUCCESS


def main() -> int:
    rounds = int(sys.argv[1]) if len(sys.argv) > 1 else 40
    transport = httpx.MockTransport(answer)
    client = openai.OpenAI(
        api_key="none", base_url="http://loopback/v1", http_client=httpx.Client(transport=transport)
    )
    by_hand = TracerProvider()
    by_hand.add_span_processor(BatchSpanProcessor(Drop()))
    tracer = by_hand.get_tracer("by hand")

    def plain() -> Any:
        return client.chat.completions.create(model="gpt-4o", messages=MESSAGES, temperature=0.5)

    def streamed() -> None:
        stream = client.chat.completions.create(model="gpt-4o", messages=MESSAGES, stream=True)
        for _ in stream:
            pass

    def handwritten() -> None:
        with tracer.start_as_current_span("chat gpt-4o", kind=trace.SpanKind.CLIENT) as span:
            span.set_attribute("gen_ai.operation.name", "chat")
            span.set_attribute("gen_ai.provider.name", "openai")
            span.set_attribute("gen_ai.request.model", "gpt-4o")
            span.set_attribute("gen_ai.request.temperature", 0.5)
            span.set_attribute("server.address", "loopback")
            sent = [
                {"role": m["role"], "parts": [{"type": "text", "content": m["content"]}]}
                for m in MESSAGES
            ]
            span.set_attribute("gen_ai.input.messages", json.dumps(sent))
            result = plain()
            usage, choice = result.usage, result.choices[0]
            span.set_attribute("gen_ai.response.id", result.id)
            span.set_attribute("gen_ai.response.model", result.model)
            span.set_attribute("gen_ai.response.finish_reasons", [choice.finish_reason])
            span.set_attribute("gen_ai.usage.input_tokens", usage.prompt_tokens)
            span.set_attribute("gen_ai.usage.output_tokens", usage.completion_tokens)
            got = [
                {
                    "role": "assistant",
                    "parts": [{"type": "text", "content": choice.message.content}],
                    "finish_reason": choice.finish_reason,
                }
            ]
            span.set_attribute("gen_ai.output.messages", json.dumps(got))

    folder = tempfile.TemporaryDirectory()
    path = str(Path(folder.name) / "traces.jsonl")

    def watched(call: Callable[[], Any]) -> Callable[[int], float]:
        def timed(n: int) -> float:
            peekr.instrument(console=False, jsonl_path=path, tracer_provider=own)
            try:
                return repeat(call, n)
            finally:
                peekr.uninstrument()

        return timed

    def repeat(call: Callable[[], Any], n: int) -> float:
        for _ in range(5):
            call()
        times = []
        for _ in range(n):
            begin = time.perf_counter_ns()
            call()
            times.append(time.perf_counter_ns() - begin)
        return statistics.median(times) / 1e3

    own = TracerProvider()
    contestants: dict[str, tuple[Callable[[int], float], int]] = {
        "bare SDK": (lambda n: repeat(plain, n), 60),
        "hand-written span": (lambda n: repeat(handwritten, n), 60),
        "Peekr, JSONL": (watched(plain), 60),
        "bare stream": (lambda n: repeat(streamed, n), 6),
        "Peekr, stream": (watched(streamed), 6),
    }
    results: dict[str, list[float]] = {name: [] for name in contestants}
    for _ in range(rounds):
        for name, (run, n) in contestants.items():
            results[name].append(run(n))
    bare = results["bare SDK"]
    hand = statistics.median(h - b for h, b in zip(results["hand-written span"], bare))
    ours = statistics.median(p - b for p, b in zip(results["Peekr, JSONL"], bare))
    ratio = statistics.median(
        p / b for p, b in zip(results["Peekr, stream"], results["bare stream"])
    )
    for name, times in results.items():
        print(f"{name:20} {statistics.median(times):9.1f} us a call")
    print(
        f"added by a hand-written span {hand:6.1f} us, by Peekr {ours:6.1f} us: {ours / hand:.2f}x"
    )
    print(f"a stream of {CHUNKS} chunks takes {ratio:.3f}x the bare SDK's time")
    return 0


if __name__ == "__main__":
    sys.exit(main())
