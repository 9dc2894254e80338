"""The same model call through each SDK, sync and async, in every form that it can be made in."""

from __future__ import annotations

import contextlib
import inspect
import json
import warnings
from typing import (
    Any,
    AsyncGenerator,
    AsyncIterator,
    Callable,
    Dict,
    List,
    NamedTuple,
    Optional,
    Tuple,
)

import pytest

from simulated_providers import SimulatedProviders

FORMS: Dict[str, Tuple[str, ...]] = {
    "openai": (
        "plain", "stream", "parse", "helper", "raw", "raw_stream", "streaming",
        "streaming_stream", "responses", "responses_stream", "completions",
    ),
    "anthropic": (
        "plain", "stream", "helper", "raw", "raw_stream", "streaming", "streaming_stream", "beta",
    ),
    "bedrock": ("converse", "converse_stream", "invoke", "invoke_stream"),
    "gemini": ("plain", "stream", "chat"),
}  # fmt: skip
STREAMED = frozenset(
    (
        "stream", "helper", "raw_stream", "streaming_stream", "responses_stream",
        "converse_stream", "invoke_stream",
    )
)  # fmt: skip


class Case(NamedTuple):
    """One way to make a call."""

    provider: str
    form: str
    mode: str

    @property
    def streamed(self) -> bool:
        return self.form in STREAMED

    @property
    def helper(self) -> str:
        """The method of OpenAI's that is no `create`."""
        return "parse" if self.form == "parse" else "stream"

    def __str__(self) -> str:
        return "-".join(self)


CASES = [
    Case(provider, form, mode)
    for provider, forms in FORMS.items()
    for form in forms
    for mode in ("sync", "async")
]


class Outcome(NamedTuple):
    """What the caller got: the text until the end or the error, and the error."""

    text: str
    error: Optional[BaseException]


async def call(case: Case, server: SimulatedProviders, prompt: str) -> Outcome:
    """Make a call and take in the answer, as text."""
    taken: List[str] = []
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        warnings.filterwarnings("ignore", message="Boto3 will no longer support")
        try:
            await _CALLS[case.provider](case, server, prompt, taken)
        except Exception as error:
            return Outcome("".join(taken), error)
    return Outcome("".join(taken), None)


async def settled(value: Any) -> Any:
    return await value if inspect.isawaitable(value) else value


async def each(stream: Any) -> AsyncIterator[Any]:
    if hasattr(stream, "__aiter__"):
        async for item in stream:
            yield item
    else:
        for item in stream:
            yield item


@contextlib.asynccontextmanager
async def entered(manager: Any) -> AsyncGenerator[Any, None]:
    if hasattr(manager, "__aenter__"):
        async with manager as inner:
            yield inner
    else:
        with manager as inner:
            yield inner


# -- OpenAI and Anthropic --------------------------------------------------------------------------


async def _openai(case: Case, server: SimulatedProviders, prompt: str, taken: List[str]) -> None:
    openai = pytest.importorskip("openai")
    sync = case.mode == "sync"
    http = openai.DefaultHttpxClient if sync else openai.DefaultAsyncHttpxClient
    cls = openai.OpenAI if sync else openai.AsyncOpenAI
    client = cls(
        api_key="x", base_url=server.openai_url, max_retries=0, http_client=http(verify=False)
    )
    chat: Dict[str, Any] = {"model": "gpt-4o", "messages": [{"role": "user", "content": prompt}]}

    def text(chunk: Any) -> str:
        return (chunk.choices[0].delta.content or "") if chunk.choices else ""

    async with entered(client):
        completions = client.chat.completions
        if case.form in ("parse", "helper") and not hasattr(completions, case.helper):
            completions = client.beta.chat.completions  # where they were before 1.92
        if case.form == "parse":
            done = await settled(completions.parse(**chat))
            taken.append(done.choices[0].message.content)
        elif case.form == "helper":
            async with entered(completions.stream(**chat)) as stream:
                async for event in each(stream):
                    if event.type == "content.delta":
                        taken.append(event.delta)
        elif case.form == "responses":
            done = await settled(client.responses.create(model="gpt-4o", input=prompt))
            taken.append(done.output_text)
        elif case.form == "responses_stream":
            stream = await settled(
                client.responses.create(model="gpt-4o", input=prompt, stream=True)
            )
            async for event in each(stream):
                if event.type == "response.output_text.delta":
                    taken.append(event.delta)
        elif case.form == "completions":
            done = await settled(
                client.completions.create(
                    model="gpt-3.5-turbo-instruct", prompt=prompt, max_tokens=4096
                )
            )
            taken.append(done.choices[0].text)
        else:
            await _stainless(
                case, completions, chat, text, lambda done: done.choices[0].message.content, taken
            )


async def _anthropic(case: Case, server: SimulatedProviders, prompt: str, taken: List[str]) -> None:
    anthropic = pytest.importorskip("anthropic")
    cls = anthropic.Anthropic if case.mode == "sync" else anthropic.AsyncAnthropic
    client = cls(api_key="x", base_url=server.anthropic_url, max_retries=0)
    message = {
        "model": "claude-sonnet-4-5",
        "max_tokens": 4096,
        "messages": [{"role": "user", "content": prompt}],
    }

    def text(event: Any) -> str:
        delta = event.delta if event.type == "content_block_delta" else None
        return getattr(delta, "text", "")

    async with entered(client):
        if case.form == "beta":
            done = await settled(client.beta.messages.create(**message))
            taken.append(done.content[0].text)
        elif case.form == "helper":
            async with entered(client.messages.stream(**message)) as stream:
                async for piece in each(stream.text_stream):
                    taken.append(piece)
        else:
            await _stainless(
                case, client.messages, message, text, lambda done: done.content[0].text, taken
            )


async def _stainless(
    case: Case,
    resource: Any,
    arguments: Dict[str, Any],
    of_chunk: Callable[[Any], str],
    of_whole: Callable[[Any], str],
    taken: List[str],
) -> None:
    if case.streamed:
        arguments = {**arguments, "stream": True}

    async def take(result: Any) -> None:
        if case.streamed:
            async for chunk in each(result):
                taken.append(of_chunk(chunk))
        else:
            taken.append(of_whole(result))

    if case.form.startswith("raw"):
        raw = await settled(resource.with_raw_response.create(**arguments))
        await take(await settled(raw.parse()))
    elif case.form.startswith("streaming"):
        async with entered(resource.with_streaming_response.create(**arguments)) as response:
            await take(await settled(response.parse()))
    else:
        await take(await settled(resource.create(**arguments)))


# -- Bedrock ---------------------------------------------------------------------------------------


async def _bedrock(case: Case, server: SimulatedProviders, prompt: str, taken: List[str]) -> None:
    options: Dict[str, Any] = {
        "endpoint_url": server.bedrock_url,
        "region_name": "us-east-1",
        "aws_access_key_id": "x",
        "aws_secret_access_key": "x",
    }
    if case.mode == "sync":
        client = pytest.importorskip("boto3").client("bedrock-runtime", **options)
        try:
            await _ask_bedrock(case, client, prompt, taken)
        finally:
            client.close()
    else:
        session = pytest.importorskip("aiobotocore.session").get_session()
        async with session.create_client("bedrock-runtime", **options) as client:
            await _ask_bedrock(case, client, prompt, taken)


async def _ask_bedrock(case: Case, client: Any, prompt: str, taken: List[str]) -> None:
    model = "anthropic.claude-3-5-sonnet-20240620-v1:0"
    body = json.dumps(
        {
            "anthropic_version": "bedrock-2023-05-31",
            "max_tokens": 4096,
            "messages": [{"role": "user", "content": prompt}],
        }
    )
    messages = [{"role": "user", "content": [{"text": prompt}]}]
    if case.form == "converse":
        answer = await settled(client.converse(modelId=model, messages=messages))
        taken.append(answer["output"]["message"]["content"][0]["text"])
    elif case.form == "converse_stream":
        answer = await settled(client.converse_stream(modelId=model, messages=messages))
        async for event in each(answer["stream"]):
            taken.append(event.get("contentBlockDelta", {}).get("delta", {}).get("text", ""))
    elif case.form == "invoke":
        answer = await settled(client.invoke_model(modelId=model, body=body))
        taken.append(json.loads(await settled(answer["body"].read()))["content"][0]["text"])
    else:
        answer = await settled(client.invoke_model_with_response_stream(modelId=model, body=body))
        async for event in each(answer["body"]):
            chunk = json.loads(event["chunk"]["bytes"])
            taken.append(chunk.get("delta", {}).get("text") or "")


# -- Gemini ----------------------------------------------------------------------------------------


async def _gemini(case: Case, server: SimulatedProviders, prompt: str, taken: List[str]) -> None:
    genai = pytest.importorskip("google.genai")
    whole = genai.Client(api_key="x", http_options={"base_url": server.gemini_url})
    client = whole if case.mode == "sync" else whole.aio
    model = "gemini-2.5-flash"
    try:
        if case.form == "plain":
            done = await settled(client.models.generate_content(model=model, contents=prompt))
            taken.append(done.text)
        elif case.form == "chat":
            chat = client.chats.create(model=model)
            done = await settled(chat.send_message(prompt))
            taken.append(done.text)
        else:
            stream = await settled(
                client.models.generate_content_stream(model=model, contents=prompt)
            )
            async for chunk in each(stream):
                taken.append(chunk.text or "")
    finally:
        if case.mode == "async" and hasattr(client, "aclose"):
            await client.aclose()
        if hasattr(whole, "close"):
            whole.close()


_CALLS: Dict[str, Callable[..., Any]] = {
    "openai": _openai,
    "anthropic": _anthropic,
    "bedrock": _bedrock,
    "gemini": _gemini,
}
