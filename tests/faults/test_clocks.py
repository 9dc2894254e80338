"""The wall clock jumps: what is measured is not, and no duration is negative."""

from __future__ import annotations

from typing import Any, Dict, List

from .running import App

# A clock that is set by `jump()`, wherever anybody has taken `time_ns` from.
CLOCK = """
real_time, real_time_ns = time.time, time.time_ns
set_by = 0
def jump(seconds):
    global set_by
    set_by += seconds
fakes = {real_time: lambda: real_time() + set_by,
         real_time_ns: lambda: real_time_ns() + int(set_by * 1e9)}
for module in list(sys.modules.values()):
    for name in ("time", "time_ns"):
        found = getattr(module, name, None)
        if type(found).__name__ == "builtin_function_or_method" and found in fakes:
            setattr(module, name, fakes[found])
import peekr.middleware.request, peekr.middleware.asgi
from opentelemetry.sdk import trace as sdk_trace
assert sdk_trace.time_ns is fakes[real_time_ns]
"""

PROGRAM = """
JUMPS = [-3600.0, 7200.0, -86400.0 * 400, 86400.0 * 800]
instrument(); ask("before")

@peekr.trace
def traced(jumped):
    jump(jumped); return jumped

@peekr.trace
def generated(jumped):
    yield 1
    jump(jumped)
    yield 2

async def served(scope, receive, send):
    jump(scope["jump"])
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": b""})

async def serve(jumped):
    async def receive(): return {"type": "http.request", "body": b""}
    async def send(message): pass
    scope = {"type": "http", "method": "GET", "path": "/", "headers": [], "query_string": b"",
             "jump": jumped}
    await peekr.PeekrASGIMiddleware(served)(scope, receive, send)

from opentelemetry import trace as otel_trace
for jumped in JUMPS:
    stream = client.chat.completions.create(**request("stream", stream=True))
    jump(jumped)
    checked("stream", "".join(c.choices[0].delta.content or "" for c in stream if c.choices))
    with peekr.span("block"):
        jump(jumped)
    made, token = peekr.start_span("by hand"); jump(jumped); peekr.end_span(made, token)
    assert 0 <= made.duration_ms < 10_000, made.duration_ms
    traced(jumped); list(generated(jumped)); asyncio.run(serve(jumped))
    other = otel_trace.get_tracer("theirs").start_span("theirs"); jump(jumped); other.end()
ask("after")
"""


def check(records: List[Dict[str, Any]]) -> None:
    assert len(records) == 2 + 4 * 7
    for record in records:
        assert record["duration_ms"] >= 0.0, record
        assert record["end_time"] >= record["start_time"], record
        if record["name"] != "theirs":
            assert record["duration_ms"] < 10_000.0, record
            first = record["attributes"].get("time_to_first_token_ms", 0.0)
            assert 0.0 <= first <= record["duration_ms"], record


def test_no_duration_is_negative_and_ours_are_those_of_a_steady_clock(app: App) -> None:
    ended = app.run(CLOCK + PROGRAM).check()
    check(ended.whole_lines)
    check(ended.rows)


def test_timeouts_and_outages_go_by_a_steady_clock(app: App) -> None:
    # Nothing that waits is cut short or drawn out: flush, the pause of a batch, the price table.
    source = """
instrument()
for n in range(10):
    ask(n); jump((-1) ** n * 10_000.0)
    assert peekr.flush(20)
"""
    ended = app.run(CLOCK + source).check()
    assert ended.asked == ended.asked_in_rows == [str(n) for n in range(10)]
