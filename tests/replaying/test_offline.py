"""Recorded answers served to an application: by content, in any order, and never by the network."""

from __future__ import annotations

import asyncio
import json
import threading
from pathlib import Path
from typing import Any, Dict, List, cast

import pytest

import peekr
from peekr.errors import ReplayError, ReplayMismatchError, UnreadableFileError
from peekr.guard import PIIRedact
from peekr.record import SpanRecord
from peekr.replaying import Offline, offline
from simulated_providers import SimulatedProviders

from ..conftest import Telemetry

openai: Any = pytest.importorskip("openai")
NOWHERE = "http://127.0.0.1:9/v1"
CITIES = ("Paris", "Rome", "Oslo", "Bern")


def client(url: str) -> Any:
    return openai.OpenAI(api_key="none", base_url=url, max_retries=0)


def ask(used: Any, words: str, **options: Any) -> str:
    messages: List[Any] = [{"role": "user", "content": words}]
    options = {"model": "gpt-4o-mini", **options}
    create: Any = used.chat.completions.create
    done: Any = create(messages=messages, **options)
    if not options.get("stream"):
        return done.choices[0].message.content
    with done:
        return "".join(chunk.choices[0].delta.content or "" for chunk in done if chunk.choices)


def record(telemetry: Telemetry, simulated: SimulatedProviders, *words: str) -> List[str]:
    with client(f"{simulated.url}/v1") as used:
        return [ask(used, one) for one in words]


def spans_of(telemetry: Telemetry) -> List[SpanRecord]:
    return [SpanRecord.from_dict(entry) for entry in telemetry.records]


def test_calls_in_another_order_get_their_own_answers(
    telemetry: Telemetry, simulated: SimulatedProviders
):
    answers = dict(zip(CITIES, record(telemetry, simulated, *CITIES)))
    got: Dict[str, str] = {}
    with offline(telemetry.path) as replay, client(NOWHERE) as used:

        def one(city: str) -> None:
            got[city] = ask(used, city)

        threads = [threading.Thread(target=one, args=(city,)) for city in reversed(CITIES)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert got == answers
    replay.assert_all_served()
    assert replay.served == len(CITIES)


async def test_tasks_at_once_get_their_own_answers(
    telemetry: Telemetry, simulated: SimulatedProviders
):
    answers = record(telemetry, simulated, *CITIES)
    with offline(telemetry.path) as replay:
        async with openai.AsyncOpenAI(api_key="none", base_url=NOWHERE, max_retries=0) as used:

            async def one(city: str) -> Any:
                messages: List[Any] = [{"role": "user", "content": city}]
                done = await used.chat.completions.create(model="gpt-4o-mini", messages=messages)
                return done.choices[0].message.content

            got = await asyncio.gather(*(one(city) for city in reversed(CITIES)))
    assert got == answers[::-1]
    replay.assert_all_served()


def test_a_plain_answer_is_served_as_a_stream_where_one_is_asked_for(
    telemetry: Telemetry, simulated: SimulatedProviders
):
    (answer,) = record(telemetry, simulated, "Tell me about cats")
    with offline(telemetry.path), client(NOWHERE) as used:
        assert ask(used, "Tell me about cats", stream=True) == answer


def test_a_call_that_was_not_recorded_tells_what_is_nearest(
    telemetry: Telemetry, simulated: SimulatedProviders
):
    record(telemetry, simulated, "How is Paris?")
    with offline(telemetry.path) as replay, client(NOWHERE) as used:
        with pytest.raises(ReplayMismatchError) as caught:
            ask(used, "How is Rome?")
        assert "message 1 (user): 'How is Paris?' was recorded, 'How is Rome?'" in str(caught.value)
        with pytest.raises(ReplayMismatchError, match="gpt-4o-mini was recorded, gpt-5 is asked"):
            ask(used, "How is Paris?", model="gpt-5")
        assert ask(used, "How is Paris?")
        with pytest.raises(ReplayMismatchError, match="was served already"):
            ask(used, "How is Paris?")
    assert len(replay.unmatched) == 3
    with pytest.raises(AssertionError, match="not recorded: no recorded call"):
        replay.assert_all_served()


def test_what_is_not_asked_for_is_told(telemetry: Telemetry, simulated: SimulatedProviders):
    record(telemetry, simulated, "One", "Two")
    with offline(telemetry.path) as replay, client(NOWHERE) as used:
        ask(used, "Two")
    assert [span.attributes["input"][0]["content"] for span in replay.unused] == ["One"]
    with pytest.raises(AssertionError, match=r"not asked for: openai\.chat"):
        replay.assert_all_served()


def test_other_parameters_are_served_and_told(telemetry: Telemetry, simulated: SimulatedProviders):
    (answer,) = record(telemetry, simulated, "One")
    with offline(telemetry.path) as replay, client(NOWHERE) as used:
        assert ask(used, "One", temperature=0.5) == answer
    assert replay.loose == ["openai.chat [gpt-4o-mini]: gen_ai.request.temperature"]


def test_messages_are_normalized_before_they_are_compared(
    telemetry: Telemetry, simulated: SimulatedProviders
):
    (answer,) = record(telemetry, simulated, "It is Monday. How is Paris?")

    def undated(messages: List[Dict[str, Any]]) -> Any:
        return [{**m, "content": str(m["content"]).partition(". ")[2]} for m in messages]

    with offline(telemetry.path, normalize=undated), client(NOWHERE) as used:
        assert ask(used, "It is Friday. How is Paris?") == answer


def test_an_application_that_instruments_itself_gets_the_answers_too(
    telemetry: Telemetry, simulated: SimulatedProviders, tmp_path: Path
):
    (answer,) = record(telemetry, simulated, "One")
    spans = spans_of(telemetry)
    with Offline(spans), client(NOWHERE) as used:
        peekr.instrument(console=False, jsonl_path=tmp_path / "again.jsonl")
        assert ask(used, "One") == answer
    peekr.flush()
    (again,) = (tmp_path / "again.jsonl").read_text("utf-8").splitlines()
    assert (
        json.loads(again)["attributes"]["peekr.replay.of"]
        == f"{spans[0].trace_id}/{spans[0].span_id}"
    )


def test_nothing_is_left_behind(telemetry: Telemetry, simulated: SimulatedProviders):
    import openai._base_client as base

    httpx: Any = getattr(base, "httpx2", None) or vars(base)["httpx"]
    before: Any = cast("Dict[str, Any]", vars(httpx.Client))["_transport_for_url"]
    record(telemetry, simulated, "One")
    with offline(telemetry.path), client(NOWHERE) as used:
        ask(used, "One")
        assert vars(httpx.Client)["_transport_for_url"] is not before
    assert vars(httpx.Client)["_transport_for_url"] is before
    assert record(telemetry, simulated, "Two")


@pytest.mark.parametrize("reason", ["cut", "redacted", "not captured"])
def test_a_trace_without_its_content_is_refused_in_one_line(
    reason: str, bare_telemetry: Telemetry, simulated: SimulatedProviders
):
    options: Dict[str, Any] = {"redacted": {"guardrails": [PIIRedact()]}}.get(reason, {})
    bare_telemetry.instrument(capture_content=reason != "not captured", **options)
    record(bare_telemetry, simulated, "Write to ada@example.org " + "please " * 40)
    spans = spans_of(bare_telemetry)
    if reason == "cut":
        from peekr.encoding import loads
        from peekr.messages import dump

        spans[0].attributes["input"] = loads(dump(spans[0].attributes["input"], 120))
    with pytest.raises(ReplayError) as caught:
        Offline(spans)
    assert reason in str(caught.value)
    assert spans[0].span_id in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_file_without_the_trace_or_without_calls_is_refused(telemetry: Telemetry):
    with telemetry.tracer.start_as_current_span("only"):
        pass
    assert telemetry.records
    with pytest.raises(UnreadableFileError, match="no trace with the id feed"):
        offline(telemetry.path, "feed")
    with pytest.raises(ReplayError, match="no model call"):
        offline(telemetry.path)


def attempt(used: Any, provider: str, model: str, stream: bool) -> List[Any]:
    """What a caller gets, piece by piece, and the error in the end."""
    seen: List[Any] = []
    messages: List[Any] = [{"role": "user", "content": "Tell me about cats"}]
    options: Dict[str, Any] = {"max_tokens": 100} if provider == "anthropic" else {}
    create = used.messages.create if provider == "anthropic" else used.chat.completions.create
    try:
        done = create(model=model, messages=messages, stream=stream, **options)
        text = ""
        for chunk in done if stream else ():
            delta = (
                chunk.choices[0].delta if provider == "openai" else getattr(chunk, "delta", None)
            )
            text += getattr(delta, "content" if provider == "openai" else "text", None) or ""
        seen.append(text)
    except Exception as error:
        seen += [type(error).__name__, getattr(error, "status_code", None), str(error)]
    return seen


@pytest.mark.parametrize("provider", ["openai", "anthropic"])
@pytest.mark.parametrize(
    ("model", "stream"),
    [
        ("simulated-error-500", False),
        ("simulated-error-429-replayed", True),
        ("simulated-stream-error", True),
        ("simulated-stream-cut", True),
        ("nobody-listens", False),
    ],
)
def test_errors_are_replayed_as_errors(
    provider: str, model: str, stream: bool, telemetry: Telemetry, simulated: SimulatedProviders
):
    sdk: Any = pytest.importorskip(provider)
    make = sdk.OpenAI if provider == "openai" else sdk.Anthropic
    url = {"openai": simulated.openai_url, "anthropic": simulated.anthropic_url}[provider]
    if model == "nobody-listens":
        url = NOWHERE
    with make(api_key="none", base_url=url, max_retries=0) as used:
        first = attempt(used, provider, f"{model}-{provider}", stream)
    assert telemetry.record["status"] == "error"
    with offline(telemetry.path) as replay:
        with make(api_key="none", base_url=NOWHERE, max_retries=2) as used:
            second = attempt(used, provider, f"{model}-{provider}", stream)
        replay.assert_all_served()
    assert second[:2] == first[:2]
