"""Thousands of tasks, cancelled ones, streams left in another thread: one call is one record."""

from __future__ import annotations

from collections import Counter

import pytest

from .running import App

CLIENT = """
async_client = openai.AsyncOpenAI(base_url=URL, api_key="test", max_retries=0, timeout=60)
async def ask_async(text):
    answer = await async_client.chat.completions.create(**request(text))
    return checked(text, answer.choices[0].message.content)
"""


def thousands(app: App, count: int) -> None:
    # All at once as tasks; the SDK's pool of connections takes them in turn.
    ended = app.run(
        CLIENT
        + f"""
instrument()
async def one(number, places):
    with peekr.session(session_id=f"s{{number}}"):
        await asyncio.sleep(0)
        async with places:
            return await ask_async(number)
async def main():
    places = asyncio.Semaphore(4)
    said = await asyncio.gather(*(one(n, places) for n in range({count})))
    assert len(said) == {count}
asyncio.run(main())
"""
    ).check()
    wanted = sorted(map(str, range(count)))
    assert sorted(ended.asked) == sorted(ended.asked_in_rows) == wanted
    for record in ended.whole_lines:
        attributes = record["attributes"]
        # Nothing of one task is on another's span.
        assert attributes["session_id"] == f"s{attributes['input'][0]['content']}"
        assert record["parent_id"] is None
    assert len({record["trace_id"] for record in ended.whole_lines}) == count


def test_hundreds_of_tasks_keep_their_calls_and_sessions_apart(app: App) -> None:
    thousands(app, 400)


@pytest.mark.slow
def test_thousands_of_concurrent_tasks_keep_their_calls_and_sessions_apart(app: App) -> None:
    thousands(app, 5_000)


def test_thousands_of_spans_of_concurrent_tasks_are_all_stored_below_their_own_roots(
    app: App,
) -> None:
    ended = app.run(
        """
instrument(storage="both")
@peekr.trace
async def inner(number):
    await asyncio.sleep(0); return number
@peekr.trace
async def outer(number):
    await asyncio.sleep(0)
    return await asyncio.gather(inner(number), inner(number + 0.5))
async def main(): await asyncio.gather(*(outer(n) for n in range(2000)))
asyncio.run(main())
"""
    ).check()
    for records in (ended.whole_lines, ended.rows):
        outer = {r["span_id"]: r for r in records if r["name"].endswith("outer")}
        assert len(outer) == 2000
        for record in records:
            if record["name"].endswith("inner"):
                above = outer[record["parent_id"]]
                assert (
                    int(record["attributes"]["input"]["number"])
                    == (above["attributes"]["input"]["number"])
                )
        assert len(records) == 6000


def test_cancelled_tasks_raise_what_they_raise_without_peekr_and_end_their_spans(app: App) -> None:
    source = (
        CLIENT
        + """
instrument()
async def stream(text):
    got = []
    async for chunk in await async_client.chat.completions.create(**request(text, stream=True)):
        got.append(chunk)
        await asyncio.sleep(0.005)
    return len(got)
async def main():
    await ask_async("first")
    ends = []
    for number in range(12):
        task = asyncio.ensure_future((stream if number % 2 else ask_async)(f"cancelled {number}"))
        for _ in range(number * 2): await asyncio.sleep(0)
        task.cancel()
        try: await task
        except BaseException as error: ends.append(type(error).__name__)
        else: ends.append("done")
    try: await asyncio.wait_for(stream("late"), 0.02)
    except BaseException as error: ends.append(type(error).__name__)
    return ends
say(*asyncio.run(main()))
"""
    )
    ended, bare = app.run(source), app.run(source, FAULTS_BARE="1")
    # What asyncio says of the SDK's own generators that are left is as without Peekr.
    assert not ended.is_peekr_named, ended.err
    assert ended.code == bare.code == 0
    # A call may be quicker than its cancellation, here and there.
    assert {*ended.out.split(), "done"} == {*bare.out.split(), "done"}
    assert ended.said[0].endswith("TimeoutError")
    assert Counter(ended.out.split())["CancelledError"] >= 6
    for records in (ended.whole_lines, ended.rows):
        assert len({record["span_id"] for record in records}) == len(records)
        for record in records:
            attributes = record["attributes"]
            text = attributes["input"][0]["content"]
            if record["status"] == "ok" and "peekr.stream.abandoned" not in attributes:
                assert attributes["output"] == f"This is a simulated answer to: {text}"


LEFT = """
instrument()
# Collected inside the SDK's pool of connections, one of its dropped streams waits for the pool's
# lock for ever, with Peekr and without: httpcore closes it there.
import gc; gc.disable()
def left_in_a_thread(number, how):
    stream = client.chat.completions.create(**request(f"{how} {number}", stream=True))
    for _ in range(3): next(stream)
    held = [stream]
    del stream
    def leave():
        stream = held.pop()
        if how == "closed": stream.close()
        elif how == "read": list(stream)
        elif how == "iterated":
            for chunk in stream: break
    thread = threading.Thread(target=leave); thread.start(); thread.join()
for number in range(4):
    for how in ("closed", "read", "iterated", "dropped"):
        left_in_a_thread(number, how)

@peekr.trace
def numbers():
    for n in range(10): yield n
def generated():
    made = numbers(); next(made); next(made)
    held = [made]
    del made
    thread = threading.Thread(target=lambda: held.pop().close() if n % 2 else held.clear())
    thread.start(); thread.join()
for n in range(4): generated()

# In a cycle: whichever thread collects it.
for number in range(3):
    stream = client.chat.completions.create(**request(f"cycle {number}", stream=True))
    next(stream)
    cycle = [stream]; cycle.append(cycle)
    del stream, cycle
thread = threading.Thread(target=gc.collect); thread.start(); thread.join()
assert peekr.get_current_span() is None
ask("last")
"""


def test_streams_and_generators_left_in_another_thread_end_there_once(app: App) -> None:
    ended = app.run(LEFT).check()
    for records in (ended.whole_lines, ended.rows):
        calls = {r["attributes"]["input"][0]["content"]: r for r in records if r["name"][0] == "o"}
        assert len(calls) == 4 * 4 + 3 + 1
        for text, record in calls.items():
            is_whole = text.startswith(("read", "last"))
            assert record["status"] == "ok"
            assert record["parent_id"] is None
            assert ("peekr.stream.abandoned" in record["attributes"]) is not is_whole
        made = [record for record in records if record["name"].endswith("numbers")]
        assert [record["attributes"]["output"] for record in made] == [[0, 1]] * 4
        assert len(records) == len(calls) + 4


def test_async_streams_whose_loop_is_gone_are_stored(app: App) -> None:
    ended = app.run(
        CLIENT
        + """
instrument()
kept = []
async def main(number):
    global async_client
    async_client = openai.AsyncOpenAI(base_url=URL, api_key="test", max_retries=0, timeout=60)
    stream = await async_client.chat.completions.create(**request(number, stream=True))
    await stream.__anext__()
    kept.append(stream)
for n in range(3): asyncio.run(main(n))
kept.pop(); kept.pop(0)
ask("last")
"""
    )
    # What asyncio and the SDK say of connections whose loop is gone is theirs.
    assert ended.code == 0
    assert not ended.is_peekr_named, ended.err
    assert sorted(ended.asked) == sorted(ended.asked_in_rows) == ["0", "1", "2", "last"]
