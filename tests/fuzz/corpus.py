"""What is mutated: exchanges with the simulated providers, and recordings where there are any."""

from __future__ import annotations

import functools
import json
import urllib.error
import urllib.request
from dataclasses import dataclass, replace
from typing import Any, Dict, Iterator, List, Tuple

from simulated_providers import SimulatedProviders

from ..support.drive import request_arguments
from ..support.facts.wire import aws_events, sse_events
from ..support.recordings import PROVIDERS, Interaction, Recording, load, recording_files
from .rich import ANSWERS, REQUESTS

Json = Dict[str, Any]

_QUESTION = "What is the weather in Seattle and San Francisco?"
_CLAUDE = "us.anthropic.claude-3-5-haiku-20241022-v1:0"
_NOVA = "amazon.nova-micro-v1:0"
_SCHEMA: Json = {"type": "object", "properties": {"location": {"type": "string"}}}
_TOOL: Json = {"name": "get_weather", "parameters": _SCHEMA}
_CLAUDE_TOOL: Json = {"name": "get_weather", "input_schema": _SCHEMA}
_NOVA_TOOL: Json = {"toolSpec": {"name": "get_weather", "inputSchema": {"json": _SCHEMA}}}
_SAID: List[Json] = [{"role": "user", "content": _QUESTION}]
_BLOCKS: List[Json] = [{"role": "user", "content": [{"text": _QUESTION}]}]
_CHAT: Json = {
    "model": "gpt-4o",
    "messages": [{"role": "system", "content": "Be brief."}, *_SAID],
    "tools": [{"type": "function", "function": _TOOL}],
}
_RESPONSES: Json = {"model": "gpt-4o", "input": _QUESTION, "tools": [{"type": "function", **_TOOL}]}
_MESSAGES: Json = {
    "model": "claude-sonnet-4-5",
    "max_tokens": 200,
    "messages": _SAID,
    "tools": [_CLAUDE_TOOL],
}
_INVOKED: Json = {
    "anthropic_version": "bedrock-2023-05-31",
    **{key: value for key, value in _MESSAGES.items() if key != "model"},
}
_CONVERSE: Json = {"messages": _BLOCKS, "toolConfig": {"tools": [_NOVA_TOOL]}}
_CONTENTS: Json = {
    "contents": [{"role": "user", "parts": [{"text": _QUESTION}]}],
    "tools": [{"functionDeclarations": [_TOOL]}],
}
_PROMPTED: Dict[str, Json] = {
    "amazon.titan-text-lite-v1": {"inputText": _QUESTION},
    "meta.llama3-1-70b-instruct-v1:0": {"prompt": _QUESTION},
    "mistral.mistral-7b-instruct-v0:2": {"prompt": f"<s>[INST] {_QUESTION} [/INST]"},
    "cohere.command-light-text-v14": {"prompt": _QUESTION},
    "cohere.command-r-v1:0": {"message": _QUESTION},
    "ai21.jamba-1-5-mini-v1:0": {"messages": _SAID},
}


def _asked() -> Iterator[Tuple[str, str, Json]]:
    """Provider, path and body of each request to the simulated providers."""
    for more in ({}, {"stream": True, "stream_options": {"include_usage": True}}):
        yield "openai", "/v1/chat/completions", {**_CHAT, **more}
    for more in ({}, {"stream": True}):
        yield "openai", "/v1/responses", {**_RESPONSES, **more}
        yield "anthropic", "/v1/messages", {**_MESSAGES, **more}
    yield "openai", "/v1/chat/completions", {"model": "gpt-4o", "messages": _SAID, "n": 2}
    yield "openai", "/v1/embeddings", {"model": "text-embedding-3-small", "input": ["a", "b"]}
    for method in ("converse", "converse-stream"):
        yield "bedrock", f"/model/{_NOVA}/{method}", _CONVERSE
    for method in ("invoke", "invoke-with-response-stream"):
        yield "bedrock", f"/model/{_CLAUDE}/{method}", _INVOKED
        yield "bedrock", f"/model/{_NOVA}/{method}", {"messages": _BLOCKS}
        for model, body in _PROMPTED.items():
            yield "bedrock", f"/model/{model}/{method}", body
    yield "bedrock", "/model/amazon.titan-embed-text-v2:0/invoke", {"inputText": _QUESTION}
    model = "/v1beta/models/gemini-2.5-flash"
    yield "gemini", f"{model}:generateContent", _CONTENTS
    yield "gemini", f"{model}:streamGenerateContent?alt=sse", _CONTENTS


def _send(url: str, provider: str, path: str, body: Json) -> Interaction:
    data = json.dumps(body).encode()
    headers = {
        "content-type": "application/json",
        "authorization": "Bearer simulated",
        "x-api-key": "simulated",
        "x-goog-api-key": "simulated",
        "anthropic-version": "2023-06-01",
    }
    request = urllib.request.Request(url + path.replace(":0/", "%3A0/"), data, headers)
    try:
        with urllib.request.urlopen(request) as answer:
            status, found, raw = answer.status, answer.headers, answer.read()
    except urllib.error.HTTPError as error:  # pragma: no cover - a mistake in this file
        raise AssertionError(f"{path}: {error.read()!r}") from None
    return Interaction(
        provider=provider,
        method="POST",
        path=path.partition("?")[0],
        query=path.partition("?")[2],
        request_headers={},
        request_body=body,
        status=status,
        headers={name.lower(): value for name, value in found.items()},
        raw_body=raw,
    )


@dataclass(frozen=True, repr=False)
class Exchange:
    """One exchange whose answer can be mutated.

    Attributes:
        name: For messages.
        documents: The answer's JSON: one, or one an event.
    """

    name: str
    interaction: Interaction
    documents: List[Json]

    def __repr__(self) -> str:
        return f"<{self.name}{' streamed' if self.streamed else ''}>"

    @property
    def streamed(self) -> bool:
        return self.interaction.streamed

    @property
    def recording(self) -> Recording:
        """This exchange alone, to be played."""
        return Recording(self.interaction.provider, self.name, (self.interaction,))

    def answering(self, raw_body: bytes) -> Exchange:
        """The same request with another body for an answer."""
        return replace(self, interaction=replace(self.interaction, raw_body=raw_body))


@functools.cache
def exchanges() -> Tuple[Exchange, ...]:
    """Every exchange that succeeded; those with the simulated providers come first."""
    made: List[Exchange] = []
    with SimulatedProviders() as providers:
        for provider, path, body in _asked():
            url = providers.url
            interaction = _send(url, provider, path, body)
            made.append(_exchange(f"simulated{path}", interaction))
    for provider, path, streamed, documents in ANSWERS:
        made.append(Exchange(f"rich{path}", _interaction(provider, path, {}, streamed), documents))
    for file in recording_files(*PROVIDERS):
        recording = load(file)
        made += [
            _exchange(f"{recording.provider}/{recording.name}", interaction)
            for interaction in recording.interactions
            if interaction.status < 400
        ]
    return tuple(made)


@functools.cache
def requests(provider: str) -> Tuple[Tuple[Exchange, Json], ...]:
    """What the caller of the SDK asks for, of `invoke_model` the body, and its exchange."""
    made: List[Tuple[Exchange, Json]] = []
    for asked, path, arguments in REQUESTS:
        if asked == provider:
            made.append((Exchange(path, _interaction(asked, path, {}, False), []), arguments))
    for exchange in exchanges():
        interaction = exchange.interaction
        if interaction.provider != provider or not interaction.request_body:
            continue
        if "/invoke" in interaction.path:
            made.append((exchange, interaction.request_body))
        elif "mbed" not in interaction.path or provider != "gemini":
            made.append((exchange, request_arguments(interaction)))
    return tuple(made)


def _interaction(provider: str, path: str, body: Json, streamed: bool) -> Interaction:
    """A request whose answer is given as documents alone."""
    headers = {"content-type": "text/event-stream" if streamed else "application/json"}
    return Interaction(provider, "POST", path, "", {}, body, 200, headers, b"")


def _exchange(name: str, interaction: Interaction) -> Exchange:
    if not interaction.streamed:
        return Exchange(name, interaction, [json.loads(interaction.body)])
    if "amazon.eventstream" in interaction.content_type:
        return Exchange(name, interaction, aws_events(interaction))
    return Exchange(name, interaction, sse_events(interaction))
