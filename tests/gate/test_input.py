"""What of a request is looked at, wherever in it a text stands, and what cannot be."""

from __future__ import annotations

import base64
import json
from typing import Any, Callable, Dict, Iterator, List

import openai
import pytest

import peekr
from peekr.guard import Blocklist
from simulated_providers import SimulatedProviders

from ..conftest import Telemetry
from ..instrumentation.openai.calls import answer, completion, make_client
from ..support.player import Player
from .guards import SECRET, Finds


def user(content: Any) -> Dict[str, Any]:
    return {"role": "user", "content": content}


def tool(description: str) -> Dict[str, Any]:
    return {
        "type": "function",
        "function": {"name": "send", "description": description, "parameters": {"type": "object"}},
    }


def called(arguments: str) -> Dict[str, Any]:
    function = {"name": "send", "arguments": arguments}
    return {
        "role": "assistant",
        "content": None,
        "tool_calls": [{"id": "c", "type": "function", "function": function}],
    }


def chat(url: str, messages: Any, **more: Any) -> None:
    """Send a chat."""
    with make_client("sync", url) as client:
        client.chat.completions.create(model="gpt-4o", messages=messages, **more)


PLACES: Dict[str, Dict[str, Any]] = {
    "system": {"messages": [{"role": "system", "content": SECRET}, user("hi")]},
    "a part of a message": {"messages": [user([{"type": "text", "text": f"a {SECRET}"}])]},
    "an earlier message": {"messages": [user(SECRET), user("hi")]},
    "tool arguments": {"messages": [user("hi"), called(json.dumps({"to": [SECRET]}))]},
    "escaped tool arguments": {
        "messages": [user("hi"), called(json.dumps({"to": SECRET}).replace("z", "\\u007a"))]
    },
    "a key of tool arguments": {"messages": [user("hi"), called(json.dumps({SECRET: 1}))]},
    "a tool's result": {
        "messages": [
            user("hi"),
            called("{}"),
            {"role": "tool", "tool_call_id": "c", "content": SECRET},
        ]
    },
    "a tool's description": {"messages": [user("hi")], "tools": [tool(SECRET)]},
    "a predicted answer": {
        "messages": [user("hi")],
        "prediction": {"type": "content", "content": SECRET},
    },
    "an iterator": {"messages": (user(text) for text in ["hi", SECRET])},
    "an address of an image": {
        "messages": [
            user([{"type": "image_url", "image_url": {"url": f"https://example.com/{SECRET}"}}])
        ]
    },
}


@pytest.mark.parametrize("place", PLACES)
def test_every_place_of_a_request_is_looked_at(
    bare_telemetry: Telemetry, server: SimulatedProviders, place: str
):
    bare_telemetry.instrument(guardrails=[Finds()])
    sent = len(server.requests)
    with pytest.raises(peekr.GuardrailError):
        chat(server.openai_url, **PLACES[place])
    assert len(server.requests) == sent
    record = bare_telemetry.record
    assert record["attributes"]["guardrail_violations"] == [
        {"guard": "Finds", "field": "input", "rule": "secret"}
    ]
    assert SECRET not in json.dumps(record)


def test_iterator_that_is_clean_reaches_the_model(
    bare_telemetry: Telemetry, server: SimulatedProviders
):
    def messages() -> Iterator[Any]:
        yield user("hello")

    bare_telemetry.instrument(guardrails=[Finds()])
    with make_client("sync", server.openai_url) as client:
        client.chat.completions.create(model="gpt-4o", messages=messages())
    assert server.requests[-1].body is not None
    assert server.requests[-1].body["messages"] == [user("hello")]
    assert bare_telemetry.record["attributes"]["input"] == [user("hello")]


def test_secret_that_its_name_tells_is_found_in_tool_arguments(
    bare_telemetry: Telemetry, server: SimulatedProviders
):
    key = "wJalrXUtnFEMI/K7MDENG/bPxRfiCYzzzzzzzKEY"
    bare_telemetry.instrument(guardrails=[Blocklist(patterns=Blocklist.COMMON_SECRETS)])
    arguments = json.dumps({"aws_secret_access_key": key})
    sent = len(server.requests)
    with pytest.raises(peekr.GuardrailError):
        chat(server.openai_url, [user("hi"), called(arguments)])
    assert len(server.requests) == sent
    assert key not in json.dumps(bare_telemetry.record)


def test_image_is_said_to_be_unchecked(bare_telemetry: Telemetry, server: SimulatedProviders):
    image = "data:image/png;base64," + base64.b64encode(b"not looked at").decode()
    bare_telemetry.instrument(guardrails=[Finds()])
    with make_client("sync", server.openai_url) as client:
        client.chat.completions.create(
            model="gpt-4o",
            messages=[user([{"type": "image_url", "image_url": {"url": image}}])],
        )
    assert bare_telemetry.record["attributes"]["guardrail_unchecked"] == [
        {"field": "input", "what": "media"}
    ]


def test_embedded_text_is_looked_at(bare_telemetry: Telemetry, server: SimulatedProviders):
    bare_telemetry.instrument(guardrails=[Finds()])
    with make_client("sync", server.openai_url) as client:
        client.embeddings.create(model="text-embedding-3-small", input=["one", "two"])
        assert "guardrail_unchecked" not in bare_telemetry.record["attributes"]
        with pytest.raises(peekr.GuardrailError):
            client.embeddings.create(model="text-embedding-3-small", input=["one", SECRET])


def parse(url: str, wanted: Any) -> None:
    """Ask for an answer of a type."""
    with make_client("sync", url) as client:
        completions = client.chat.completions
        if not hasattr(completions, "parse"):
            completions = client.beta.chat.completions  # where it was before 1.92
        completions.parse(model="gpt-4o", messages=[user("hi")], response_format=wanted)


ANSWERS: Dict[str, Callable[[], Dict[str, Any]]] = {
    "text": lambda: {"role": "assistant", "content": f"it is {SECRET}"},
    "thoughts": lambda: {"role": "assistant", "content": "no", "reasoning_content": SECRET},
    "refusal": lambda: {"role": "assistant", "content": None, "refusal": f"not {SECRET}"},
    "tool arguments": lambda: called(json.dumps({"to": {"deep": [SECRET]}})),
    "escaped tool arguments": lambda: called(
        json.dumps({"to": SECRET}).replace("zebra", "\\u007aebra")
    ),
    "broken tool arguments": lambda: called('{"to": "' + SECRET),
}


@pytest.mark.parametrize("place", ANSWERS)
def test_every_place_of_an_answer_is_looked_at(bare_telemetry: Telemetry, place: str):
    bare_telemetry.instrument(guardrails=[Finds()])
    recording = answer(completion(ANSWERS[place]()))
    with Player(recording) as player, pytest.raises(peekr.GuardrailError):
        chat(f"{player.url}/v1", [user("hi")])
    assert SECRET not in json.dumps(bare_telemetry.record)


def test_answer_that_the_sdk_cannot_parse_is_withheld_with_its_error(bare_telemetry: Telemetry):
    import pydantic

    class Wanted(pydantic.BaseModel):
        number: int

    bare_telemetry.instrument(guardrails=[Finds()])
    message = {"role": "assistant", "content": json.dumps({"number": SECRET})}
    cut: List[Any] = [("stop", message), ("length", message)]
    for reason, said in cut:
        recording = answer(completion(said, reason))
        with Player(recording) as player, pytest.raises(peekr.GuardrailError) as caught:
            parse(f"{player.url}/v1", Wanted)
        assert caught.value.__suppress_context__
    assert SECRET not in bare_telemetry.path.read_text("utf-8")


def test_provider_s_error_passes_unmodified(bare_telemetry: Telemetry):
    bare_telemetry.instrument(guardrails=[Finds()])
    recording = answer({"error": {"message": "no such model"}}, status=404)
    with Player(recording) as player, pytest.raises(openai.NotFoundError):
        chat(f"{player.url}/v1", [user("hi")])
    assert bare_telemetry.record["attributes"]["error.type"] == "NotFoundError"


def test_function_serves_as_a_guardrail(bare_telemetry: Telemetry, server: SimulatedProviders):
    def no_shouting(text: str, field: str) -> Any:
        return field == "input" and text.isupper()

    bare_telemetry.instrument(guardrails=[no_shouting])
    with make_client("sync", server.openai_url) as client:
        client.chat.completions.create(model="gpt-4o", messages=[user("hello")])
        with pytest.raises(peekr.GuardrailError) as caught:
            client.chat.completions.create(model="gpt-4o", messages=[user("HELLO")])
    assert caught.value.guardrail_name == "no_shouting"


def test_what_is_no_guardrail_is_named(bare_telemetry: Telemetry):
    class Odd:
        def check(self, text: str) -> None: ...

        def __repr__(self) -> str:
            return "<odd>"

    with pytest.raises(TypeError, match="<odd>"):
        bare_telemetry.instrument(guardrails=[Odd()])


def test_guardrails_go_with_the_next_instrument(
    bare_telemetry: Telemetry, server: SimulatedProviders
):
    with make_client("sync", server.openai_url) as client:
        bare_telemetry.instrument(guardrails=[Finds()])
        bare_telemetry.instrument()
        client.chat.completions.create(model="gpt-4o", messages=[user(SECRET)])
        bare_telemetry.instrument(guardrails=[Finds()])
        with pytest.raises(peekr.GuardrailError):
            client.chat.completions.create(model="gpt-4o", messages=[user(SECRET)])
        peekr.uninstrument()
        client.chat.completions.create(model="gpt-4o", messages=[user(SECRET)])


def test_nothing_of_guardrails_is_loaded_without_any() -> None:
    import subprocess
    import sys

    program = (
        "import sys, peekr; peekr.instrument(console=False, storage=None)\n"
        "print([n for n in sys.modules if n.startswith(('peekr.guard', 'peekr.gate'))])\n"
        "print([n for n in sys.modules if n in ('peekr.instrumentation.gate', 'peekr.compliance')])"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    assert done.stdout.split() == ["[]", "[]"]
