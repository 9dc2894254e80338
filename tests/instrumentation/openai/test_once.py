"""One call is one span, whenever and however the method was come by."""

from __future__ import annotations

import inspect
import io
from contextlib import redirect_stdout
from typing import Any, Callable, Dict, List

import openai
import pytest
from openai.types.chat import ChatCompletion
from opentelemetry import trace as otel_trace
from opentelemetry.instrumentation.utils import suppress_instrumentation
from opentelemetry.sdk.trace.sampling import ALWAYS_OFF

import peekr
from peekr.instrumentation.openai import OpenAIInstrumentor
from simulated_providers import SimulatedProviders

from ...conftest import Telemetry, attributes_of
from .calls import CHAT, RESPONSES, Calls, settled

EMBEDDINGS: Dict[str, Any] = {"model": "text-embedding-3-small", "input": "hi there"}
TEXT: Dict[str, Any] = {"model": "gpt-3.5-turbo-instruct", "prompt": "hi there"}
METHODS = {
    "chat.completions.create": CHAT,
    "responses.create": RESPONSES,
    "embeddings.create": EMBEDDINGS,
    "completions.create": TEXT,
}
every_method = pytest.mark.parametrize("path", METHODS)


def names(telemetry: Telemetry) -> List[str]:
    assert len(telemetry.spans) == len(telemetry.records)
    return [record["name"] for record in telemetry.records]


def record_name(path: str) -> str:
    return "openai." + path.split(".")[0]


# -- before and after instrument() -------------------------------------------------------------


@every_method
async def test_client_made_before_is_watched(path: str, call: Calls, bare_telemetry: Telemetry):
    await call(path, **METHODS[path])
    bare_telemetry.instrument()
    await call(path, **METHODS[path])
    assert names(bare_telemetry) == [record_name(path)]


@every_method
async def test_method_taken_before_is_watched(path: str, call: Calls, bare_telemetry: Telemetry):
    taken = call.method(path)
    bare_telemetry.instrument()
    await settled(taken(**METHODS[path]))
    assert names(bare_telemetry) == [record_name(path)]
    got = bare_telemetry.record["attributes"]
    assert got["model"] == METHODS[path]["model"]
    assert got["tokens_input"]
    assert got["server.address"] == "127.0.0.1"
    assert "hi there" in str(got["input"])
    if path != "embeddings.create":
        assert "hi there" in str(got["output"])
        assert got["finish_reasons"]


@pytest.mark.parametrize("path", ["chat.completions.create", "responses.create"])
async def test_streaming_method_taken_before_is_watched(
    path: str, call: Calls, bare_telemetry: Telemetry
):
    taken = call.method(path)
    bare_telemetry.instrument()
    stream = await settled(taken(**METHODS[path], stream=True))
    assert isinstance(stream, openai.AsyncStream if call.is_async else openai.Stream)
    await call.drain(stream)
    assert names(bare_telemetry) == [record_name(path)]
    assert bare_telemetry.record["attributes"]["output"].endswith("hi there")
    assert bare_telemetry.record["attributes"]["gen_ai.request.stream"] is True


@pytest.mark.parametrize("raw", ["with_raw_response", "with_streaming_response"])
@pytest.mark.parametrize("when", ["before", "after"])
@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("path", ["chat.completions", "responses"])
async def test_raw_method_is_watched_once(
    path: str, stream: bool, when: str, raw: str, call: Calls, bare_telemetry: Telemetry
):
    if when == "after":
        bare_telemetry.instrument()
    taken = call.method(f"{path}.{raw}")
    if when == "before":
        bare_telemetry.instrument()
    arguments = METHODS[f"{path}.create"]
    if raw == "with_raw_response":
        response = await settled(taken.create(**arguments, stream=stream))
        parsed = await settled(response.parse())
        if stream:
            await call.drain(parsed)
    else:
        async with call.entered(taken.create(**arguments, stream=stream)) as response:
            parsed = await settled(response.parse())
            if stream:
                await call.drain(parsed)
    assert names(bare_telemetry) == [record_name(path)]
    got = bare_telemetry.record["attributes"]
    assert got["output"].endswith("hi there")
    assert got["gen_ai.response.id"]
    assert "peekr.stream.abandoned" not in got


async def test_client_of_the_library_itself_is_watched(call: Calls, telemetry: Telemetry):
    await settled(call.client.post("/chat/completions", body=CHAT, cast_to=ChatCompletion))
    assert names(telemetry) == ["openai.chat"]
    await settled(call.client.models.list())
    assert len(telemetry.spans) == 1


async def test_module_level_client_is_watched(telemetry: Telemetry, simulated: SimulatedProviders):
    module: Any = openai
    module.api_key, module.base_url = "test", simulated.openai_url + "/"
    try:
        openai.chat.completions.create(**CHAT)
        openai.embeddings.create(**EMBEDDINGS)
    finally:
        module.api_key = module.base_url = None
        module._reset_client()
    assert names(telemetry) == ["openai.chat", "openai.embeddings"]


# -- every helper ------------------------------------------------------------------------------


async def test_parse_is_one_call(call: Calls, telemetry: Telemetry):
    completions = call.client.chat.completions
    if not hasattr(completions, "parse"):
        completions = call.client.beta.chat.completions
    result = await settled(completions.parse(**CHAT))
    assert result.choices[0].message.content
    assert names(telemetry) == ["openai.chat"]


async def test_beta_alias_is_one_call(call: Calls, telemetry: Telemetry):
    completions = call.client.beta.chat.completions
    await settled(completions.parse(**CHAT))
    async with call.entered(completions.stream(**CHAT)) as stream:
        await call.drain(stream)
    assert names(telemetry) == ["openai.chat", "openai.chat"]


async def test_parse_of_responses_is_one_call(call: Calls, telemetry: Telemetry):
    result = await settled(call.client.responses.parse(**RESPONSES))
    assert result.output_text.endswith("hi there")
    assert names(telemetry) == ["openai.responses"]


async def test_raw_parse_is_one_call(call: Calls, telemetry: Telemetry):
    raw = call.client.chat.completions.with_raw_response
    if not hasattr(raw, "parse"):
        pytest.skip(f"openai {openai.__version__} has no raw parse")
    response = await settled(raw.parse(**CHAT))
    assert (await settled(response.parse())).choices
    assert names(telemetry) == ["openai.chat"]


@pytest.mark.parametrize("path", ["chat.completions.stream", "responses.stream"])
async def test_stream_helper_is_one_call(path: str, call: Calls, telemetry: Telemetry):
    try:
        stream = call.method(path)
    except AttributeError:
        pytest.skip(f"openai {openai.__version__} has no {path}")
    arguments = CHAT if path.startswith("chat") else RESPONSES
    async with call.entered(stream(**arguments)) as opened:
        await call.drain(opened)
    assert names(telemetry) == [record_name(path)]


async def test_retries_of_the_sdk_are_one_call(
    mode: str, telemetry: Telemetry, simulated: SimulatedProviders
):
    model = f"simulated-error-429-retried-{mode}"
    before = len(simulated.requests)
    async with Calls(mode, simulated.openai_url, max_retries=2) as call:
        await call("chat.completions.create", **{**CHAT, "model": model})
    assert len(simulated.requests) == before + 2
    assert names(telemetry) == ["openai.chat"]
    assert telemetry.record["status"] == "ok"


# -- instrument() and uninstrument() again -----------------------------------------------------


async def test_instrumenting_twice_doubles_nothing(
    call: Calls, bare_telemetry: Telemetry, capsys: pytest.CaptureFixture[str]
):
    bare_telemetry.instrument(console=True)
    bare_telemetry.instrument(console=True)
    await call("chat.completions.create", **CHAT)
    assert names(bare_telemetry) == ["openai.chat"]
    assert capsys.readouterr().out.count("openai.chat") == 1


async def test_instrumenting_again_takes_the_new_settings(
    call: Calls, telemetry: Telemetry, tmp_path: Any
):
    other = tmp_path / "other.jsonl"
    telemetry.instrument(jsonl_path=str(other), capture_content=False)
    await call("chat.completions.create", **CHAT)
    peekr.flush()
    assert not telemetry.path.read_text("utf-8")
    assert len(other.read_text("utf-8").splitlines()) == 1
    assert "gen_ai.input.messages" not in attributes_of(telemetry.span)


def watched_functions() -> Dict[str, Any]:
    found: Dict[str, Any] = {}
    for hook in OpenAIInstrumentor.instrumentation.hooks:
        module = __import__(hook.module, fromlist=["_"]) if _has(hook.module) else None
        cls, _, method = hook.target.rpartition(".")
        if module is not None and method in vars(getattr(module, cls, object)):
            found[f"{hook.module}.{hook.target}"] = vars(getattr(module, cls))[method]
    return found


def _has(module: str) -> bool:
    try:
        __import__(module)
    except ImportError:
        return False
    return True


def test_uninstrumenting_restores_the_very_same_functions(bare_telemetry: Telemetry):
    before = watched_functions()
    assert len(before) >= 14
    bare_telemetry.instrument()
    during = watched_functions()
    assert all(during[name] is not before[name] for name in before)
    peekr.uninstrument()
    after = watched_functions()
    assert all(after[name] is before[name] for name in before)
    bare_telemetry.instrument()
    assert all(value is not before[name] for name, value in watched_functions().items())


async def test_uninstrumented_calls_are_not_watched(call: Calls, telemetry: Telemetry):
    peekr.uninstrument()
    peekr.uninstrument()
    await call("chat.completions.create", **CHAT)
    assert not telemetry.spans
    telemetry.instrument()
    await call("chat.completions.create", **CHAT)
    assert names(telemetry) == ["openai.chat"]


async def test_stream_open_at_uninstrument_still_works(call: Calls, telemetry: Telemetry):
    stream = await call("chat.completions.create", **CHAT, stream=True)
    await call.take(stream)
    peekr.uninstrument()
    assert await call.drain(stream)
    assert len(telemetry.spans) == 1


async def test_somebody_elses_wrapper_over_ours_stays(
    call: Calls, telemetry: Telemetry, monkeypatch: pytest.MonkeyPatch
):
    resource: Any = call.client.chat.completions.__class__
    ours = resource.create
    seen: List[str] = []

    def theirs(self: Any, *args: Any, **kwargs: Any) -> Any:
        seen.append("theirs")
        return ours(self, *args, **kwargs)

    monkeypatch.setattr(resource, "create", theirs)
    await call("chat.completions.create", **CHAT)
    assert len(telemetry.spans) == 1
    peekr.uninstrument()
    assert resource.create is theirs
    await call("chat.completions.create", **CHAT)
    assert len(telemetry.spans) == 1
    telemetry.instrument()
    assert resource.create is theirs
    await call("chat.completions.create", **CHAT)
    assert len(telemetry.spans) == 2
    assert seen == ["theirs"] * 3


async def test_instrumentor_alone_makes_spans(call: Calls, bare_telemetry: Telemetry):
    """As any BaseInstrumentor: without `peekr.instrument()`, into the provider given."""
    instrumentor = OpenAIInstrumentor()
    instrumentor.instrument(tracer_provider=bare_telemetry.provider)
    try:
        await call("chat.completions.create", **CHAT)
    finally:
        instrumentor.uninstrument()
    await call("chat.completions.create", **CHAT)
    assert bare_telemetry.span.name == "chat gpt-4o"


# -- switched off ------------------------------------------------------------------------------


async def test_suppressed_calls_are_not_watched(call: Calls, telemetry: Telemetry):
    with suppress_instrumentation():
        await call("chat.completions.create", **CHAT)
        stream = await call("chat.completions.create", **CHAT, stream=True)
        await call.drain(stream)
    assert not telemetry.spans
    await call("chat.completions.create", **CHAT)
    assert len(telemetry.spans) == 1


@every_method
async def test_unsampled_calls_are_right_and_make_nothing(path: str, call: Calls, tmp_path: Any):
    telemetry = Telemetry(tmp_path, sampler=ALWAYS_OFF)
    telemetry.instrument()
    result = await call(path, **METHODS[path])
    assert result.model
    if path == "chat.completions.create":
        stream = await call(path, **METHODS[path], stream=True)
        assert await call.drain(stream)
        assert type(stream) in (openai.Stream, openai.AsyncStream)
    assert not telemetry.spans
    assert not telemetry.records


async def test_call_inside_a_span_is_its_child_and_the_span_stays_current(
    call: Calls, telemetry: Telemetry
):
    with telemetry.tracer.start_as_current_span("caller") as caller:
        await call("chat.completions.create", **CHAT)
        assert otel_trace.get_current_span() is caller
        with pytest.raises(openai.NotFoundError):
            await call("chat.completions.create", **{**CHAT, "model": "unknown"})
        assert otel_trace.get_current_span() is caller
    ours, failed, caller_span = telemetry.spans
    for span in (ours, failed):
        assert span.parent is not None
        assert span.parent == caller_span.context


# -- the methods themselves --------------------------------------------------------------------


def test_generator_that_calls_while_it_is_consumed_has_its_calls_watched(
    telemetry: Telemetry, simulated: SimulatedProviders
):
    """Messages made by a model, on the way into another call: two calls, both the caller's."""
    client = Calls("sync", simulated.openai_url).client

    def messages() -> Any:
        inner = client.chat.completions.create(model="gpt-4o", messages=[USER])
        yield {"role": "user", "content": inner.choices[0].message.content}

    USER = {"role": "user", "content": "hi there"}
    with telemetry.tracer.start_as_current_span("caller"), client:
        client.chat.completions.create(model="gpt-4o", messages=messages())
    inner, outer, caller = telemetry.spans
    assert inner.parent == caller.context
    assert outer.parent == caller.context
    assert "simulated answer to: hi there" in str(attributes_of(outer)["gen_ai.input.messages"])


def _output_of(function: Callable[[], Any]) -> str:
    captured = io.StringIO()
    with redirect_stdout(captured):
        function()
    return captured.getvalue()


def test_signatures_are_those_of_the_sdk(bare_telemetry: Telemetry):
    before = {
        name: (inspect.signature(f), f.__doc__, f.__name__, f.__qualname__, f.__module__)
        for name, f in watched_functions().items()
    }
    helps = {name: _output_of(lambda f=f: help(f)) for name, f in watched_functions().items()}
    bare_telemetry.instrument()
    for name, function in watched_functions().items():
        assert inspect.isfunction(function)
        assert before[name] == (
            inspect.signature(function),
            function.__doc__,
            function.__name__,
            function.__qualname__,
            function.__module__,
        )
        assert _output_of(lambda f=function: help(f)) == helps[name]
