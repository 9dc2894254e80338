"""Ends of a process, from `kill -9` to an open stream: what had been answered is in the files."""

from __future__ import annotations

import random
import signal
from typing import List

import pytest

from .running import App, Ended

# Four threads: each says what it has got, after it has got it.
CALLS_WITHOUT_END = """
def work(own):
    number = 0
    while True:
        ask(f"{own}.{number}")
        say(f"{own}.{number}", time.monotonic_ns())
        number += 1

{settled}
for own in range(4):
    threading.Thread(target=work, args=(own,), daemon=True).start()
time.sleep(60)
"""
SETTLED = CALLS_WITHOUT_END.replace("{settled}", "instrument(); ask('first'); peekr.flush()")

# A commit takes milliseconds where the machine has time; here others may have it.
SQLITE_MAY_LAG_NS = 150_000_000


def answered(ended: Ended) -> List[List[str]]:
    """What the threads have said: question and time, without a line that the end cut off."""
    whole = ended.out[: ended.out.rindex("\n") + 1] if "\n" in ended.out else ""
    return [line.split() for line in whole.splitlines()]


def kill_while_it_calls(app: App, wait_for: int) -> None:
    program = app.start(SETTLED)
    program.until(lambda out: out.count("\n") >= wait_for)
    ended = program.end(signal.SIGKILL).check(-signal.SIGKILL)
    said = answered(ended)
    assert {text for text, _ in said} <= set(ended.asked)
    last = int(said[-1][1])
    due = {text for text, at in said if int(at) < last - SQLITE_MAY_LAG_NS}
    assert due <= set(ended.asked_in_rows)


@pytest.mark.parametrize("seed", range(4))
def test_kill_9_keeps_every_call_that_had_returned(seed: int, app: App) -> None:
    kill_while_it_calls(app, random.Random(seed).randrange(1, 200))


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(100, 300))
def test_kill_9_at_many_moments(seed: int, app: App) -> None:
    kill_while_it_calls(app, random.Random(seed).randrange(1, 400))


def test_kill_9_while_the_price_table_loads_costs_what_waited_and_leaves_whole_files(
    app: App,
) -> None:
    program = app.start_fresh("instrument()\nfor n in range(10_000): ask(n); say(n)")
    program.until(lambda out: "1\n" in out)
    ended = program.end(signal.SIGKILL).check(-signal.SIGKILL)
    # In their order: whatever is kept is the beginning.
    assert ended.asked == [str(n) for n in range(len(ended.asked))]
    assert ended.asked_in_rows == [str(n) for n in range(len(ended.asked_in_rows))]


WAYS_TO_END = {
    "at the end of the program": ("", 0),
    "sys.exit": ("sys.exit(3)", 3),
    "SIGTERM": ("die(signal.SIGTERM)", -signal.SIGTERM),
    "SIGTERM with a handler": (
        "signal.signal(signal.SIGTERM, lambda *_: sys.exit(4)); die(signal.SIGTERM)",
        4,
    ),
    "SIGTERM while a call is under way": (
        "from concurrent.futures import ThreadPoolExecutor\n"
        "pool = ThreadPoolExecutor(4)\n"
        "for n in range(100): pool.submit(ask, 'more')\n"
        "die(signal.SIGTERM)",
        -signal.SIGTERM,
    ),
    "flush and os._exit": ("assert peekr.flush(10); os._exit(5)", 5),
    "flush and kill -9": ("assert peekr.flush(10); die()", -signal.SIGKILL),
    "shutdown and os._exit": ("assert peekr.shutdown(10); os._exit(0)", 0),
}


@pytest.mark.parametrize("way", WAYS_TO_END)
def test_all_is_stored_whatever_ends_the_process(way: str, app: App) -> None:
    code, expected = WAYS_TO_END[way]
    ended = app.run(f"instrument()\nfor n in range(20): ask(n)\n{code}").check(expected)
    wanted = [str(n) for n in range(20)]
    assert [text for text in ended.asked if text != "more"] == wanted
    assert [text for text in ended.asked_in_rows if text != "more"] == wanted


def test_os_exit_without_a_flush_costs_sqlite_its_last_moment_and_jsonl_nothing(app: App) -> None:
    ended = app.run(
        """
instrument(); ask("first"); peekr.flush()
for n in range(100): ask(n)
os._exit(0)
"""
    ).check()
    wanted = ["first", *map(str, range(100))]
    assert ended.asked == wanted
    stored = ended.asked_in_rows
    assert stored == wanted[: len(stored)]
    assert len(stored) >= 50


def test_an_exception_that_ends_the_program_is_the_applications_alone(app: App) -> None:
    failing = "client.chat.completions.create(model='simulated-error-500', messages=[])"
    source = f"instrument()\nask(1)\n{failing}"
    ended, bare = app.run(source), app.run(source, FAULTS_BARE="1")
    assert ended.code == bare.code == 1
    assert ended.warned[-1] == bare.warned[-1]
    assert "openai.InternalServerError" in ended.warned[-1]
    assert "peekr.store" not in ended.err
    assert [record["status"] for record in ended.whole_lines] == ["ok", "error"]
    assert [row["status"] for row in ended.rows] == ["ok", "error"]


def test_exceptions_in_threads_reach_the_threads_own_hook(app: App) -> None:
    ended = app.run(
        """
instrument()
def fail(number):
    ask(number)
    if number % 3 == 0:
        client.chat.completions.create(model="simulated-error-400", messages=[])
    if number % 3 == 1:
        raise KeyError(number)
seen = []
threading.excepthook = lambda args: seen.append(repr(args.exc_value)[:15])
for begin in range(0, 30, 6):
    threads = [threading.Thread(target=fail, args=(begin + n,)) for n in range(6)]
    for thread in threads: thread.start()
    for thread in threads: thread.join()
say(*sorted(seen))
"""
    ).check()
    wanted = [*["BadRequestError"] * 10, *(f"KeyError({n})" for n in range(1, 30, 3))]
    assert sorted(ended.out.split()) == sorted(wanted)
    for records in (ended.whole_lines, ended.rows):
        assert [record["status"] for record in records].count("ok") == 30
        assert [record["status"] for record in records].count("error") == 10


def test_threads_that_still_call_when_the_interpreter_ends_are_no_trouble(app: App) -> None:
    ended = app.run(
        """
instrument(); ask("first"); peekr.flush()
def work():
    while True:
        ask("more")
        say("answered")
for _ in range(4):
    threading.Thread(target=work, daemon=True).start()
time.sleep(0.2)
"""
    )
    # What the SDK and the interpreter say of daemon threads at the end is theirs.
    ended.check(warned=0)
    assert ended.asked.count("more") >= ended.said.count("answered")
    assert set(ended.asked_in_rows) <= {"first", "more"}


OPEN_STREAMS = """
instrument()
streams = []
for n in range(5):
    stream = client.chat.completions.create(**request(n, stream=True))
    for _ in range(n + 2): next(stream)
    streams.append(stream)
"""


ENDS = {"": 0, "sys.exit(3)": 3, "peekr.shutdown(); os._exit(0)": 0, "die(signal.SIGTERM)": -15}


@pytest.mark.parametrize("end", ENDS)
def test_streams_open_when_the_process_ends_are_stored_with_what_had_arrived(
    end: str, app: App
) -> None:
    ended = app.run(OPEN_STREAMS + end).check(ENDS[end])
    whole = "This is a simulated answer to: "
    for records in (ended.whole_lines, ended.rows):
        found = {r["attributes"]["input"][0]["content"]: r["attributes"] for r in records}
        assert sorted(found) == list("01234")
        for attributes in found.values():
            assert attributes["peekr.stream.abandoned"] is True
            assert whole.startswith(attributes["output"])


OTHERS_STREAMS = """
import anthropic, boto3
from botocore.config import Config
from google import genai
instrument()
base = URL[:-len("/v1")]
claude = anthropic.Anthropic(base_url=base, api_key="test", max_retries=0)
bedrock = boto3.client("bedrock-runtime", region_name="us-east-1", endpoint_url=base,
    aws_access_key_id="a", aws_secret_access_key="b", config=Config(retries={"max_attempts": 0}))
gemini = genai.Client(api_key="test", http_options={"base_url": base})
messages = request("a")["messages"]
streams = [
    claude.messages.create(
        model="claude-sonnet-4-5", max_tokens=50, messages=messages, stream=True),
    iter(bedrock.converse_stream(modelId="amazon.nova-lite-v1:0",
        messages=[{"role": "user", "content": [{"text": "a"}]}])["stream"]),
    gemini.models.generate_content_stream(model="gemini-2.5-flash", contents="a"),
    client.responses.create(model="gpt-4o", input="a", stream=True),
]
for stream in streams: next(stream); next(stream)
"""


@pytest.mark.slow
@pytest.mark.parametrize("end", ENDS)
def test_open_streams_of_every_provider_are_stored_when_the_process_ends(
    end: str, app: App
) -> None:
    for sdk in ("anthropic", "boto3", "google.genai"):
        pytest.importorskip(sdk)
    ended = app.run_fresh(OTHERS_STREAMS + end)
    assert ended.code == ENDS[end], ended.err
    assert not ended.is_peekr_named, ended.err
    for records in (ended.whole_lines, ended.rows):
        assert sorted(record["name"] for record in records) == [
            "anthropic.messages",
            "bedrock.converse_stream",
            "gemini.generate_content_stream",
            "openai.responses",
        ]
        assert all(record["attributes"]["peekr.stream.abandoned"] for record in records)


def test_ctrl_c_in_a_call_or_a_stream_is_the_applications_and_costs_nothing(app: App) -> None:
    source = """
instrument()
number = 0
say("ready")
while True:
    ask(number)
    for chunk in client.chat.completions.create(**request(number, stream=True)): pass
    number += 1; say(number)
"""
    for attempt in range(4):
        program = app.start(source)
        program.until(lambda out, least=attempt * 3: out.count("\n") > least)
        ended = program.end(signal.SIGINT)
        assert ended.warned[-1] == "KeyboardInterrupt"
        assert "fault in Peekr" not in ended.err
        assert len(ended.whole_lines) == len(ended.rows) >= 2 * (len(ended.said) - 1)
        ids = [record["span_id"] for record in ended.rows]
        assert len(set(ids)) == len(ids)


def test_a_stream_open_at_kill_9_costs_that_stream(app: App) -> None:
    ended = app.run(OPEN_STREAMS + "ask('done'); peekr.flush(); die()").check(-signal.SIGKILL)
    assert ended.asked == ended.asked_in_rows == ["done"]


def test_sigterm_in_the_middle_of_streams_and_spans_ends_the_process(app: App) -> None:
    # Whatever the signal interrupts, a span's own lock included.
    source = """
instrument()
number = 0
say("ready")
while True:
    with peekr.span("block") as span: span.attributes["n"] = number
    stream = client.chat.completions.create(**request(number, stream=True))
    for chunk in stream: pass
    number += 1; say(number)
"""
    for attempt in range(4):
        program = app.start(source)
        program.until(lambda out, least=attempt * 3: out.count("\n") > least)
        program.end(signal.SIGTERM).check(-signal.SIGTERM)
