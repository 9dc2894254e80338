"""Recorded calls sent once more: the body is the recorded one but for what is changed."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Callable, Dict, List, cast

import pytest
from click.testing import CliRunner, Result
from opentelemetry.sdk.trace import SpanLimits, TracerProvider

import peekr
from peekr.cli.group import group
from peekr.errors import ReplayError
from peekr.eval import NotEmpty
from peekr.guard import PIIRedact
from peekr.record import SpanRecord
from peekr.replaying import live
from simulated_providers import SimulatedProviders

from ..conftest import Telemetry

SCHEMA = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}
ARGUMENTS = {"city": "Paris"}
CHAT: Dict[str, Any] = {
    "model": "gpt-4o-mini",
    "messages": [
        {"role": "system", "content": "Be short."},
        {
            "role": "user",
            "content": [
                {"type": "text", "text": "How is the weather in Paris?"},
                {"type": "image_url", "image_url": {"url": "https://x.org/a.png", "detail": "low"}},
            ],
        },
        {
            "role": "assistant",
            "content": None,
            "tool_calls": [
                {
                    "id": "call_1",
                    "type": "function",
                    "function": {"name": "get_weather", "arguments": '{"city":"Paris"}'},
                }
            ],
        },
        {"role": "tool", "tool_call_id": "call_1", "content": '{"sky": "clear"}'},
        {"role": "user", "content": "And now?"},
    ],
    "tools": [
        {
            "type": "function",
            "function": {
                "name": "get_weather",
                "description": "Weather",
                "parameters": SCHEMA,
                "strict": True,
            },
        }
    ],
    "temperature": 0.25,
    "max_completion_tokens": 200,
    "stop": ["END"],
    "seed": 7,
    "tool_choice": "auto",
    "response_format": {"type": "json_object"},
}
MESSAGES: Dict[str, Any] = {
    "model": "claude-test-1",
    "max_tokens": 300,
    "system": [
        {"type": "text", "text": "Be short.", "cache_control": {"type": "ephemeral"}},
    ],
    "messages": [
        {"role": "user", "content": "How is the weather in Paris?"},
        {
            "role": "assistant",
            "content": [
                {"type": "thinking", "thinking": "Look it up.", "signature": "c2ln"},
                {"type": "text", "text": "I look."},
                {"type": "tool_use", "id": "t1", "name": "get_weather", "input": ARGUMENTS},
            ],
        },
        {
            "role": "user",
            "content": [{"type": "tool_result", "tool_use_id": "t1", "content": "clear"}],
        },
    ],
    "tools": [{"name": "get_weather", "description": "Weather", "input_schema": SCHEMA}],
    "stop_sequences": ["END"],
    "tool_choice": {"type": "auto"},
}
CONVERSE: Dict[str, Any] = {
    "modelId": "amazon.nova-micro-v1:0",
    "system": [{"text": "Be short."}],
    "messages": [
        {"role": "user", "content": [{"text": "How is the weather in Paris?"}]},
        {
            "role": "assistant",
            "content": [
                {"toolUse": {"toolUseId": "t1", "name": "get_weather", "input": ARGUMENTS}}
            ],
        },
        {
            "role": "user",
            "content": [
                {"toolResult": {"toolUseId": "t1", "content": [{"json": {"sky": "clear"}}]}}
            ],
        },
    ],
    "inferenceConfig": {"temperature": 0.5, "topP": 0.9, "maxTokens": 100},
    "toolConfig": {
        "tools": [
            {
                "toolSpec": {
                    "name": "get_weather",
                    "description": "Weather",
                    "inputSchema": {"json": SCHEMA},
                }
            }
        ]
    },
}
GEMINI: Dict[str, Any] = {
    "model": "gemini-2.5-flash",
    "contents": [
        {"role": "user", "parts": [{"text": "How is the weather in Paris?"}]},
        {"role": "model", "parts": [{"function_call": {"name": "get_weather", "args": ARGUMENTS}}]},
        {
            "role": "user",
            "parts": [{"function_response": {"name": "get_weather", "response": {"sky": "clear"}}}],
        },
    ],
    "config": {
        "system_instruction": "Be short.",
        "temperature": 0.5,
        "max_output_tokens": 100,
        "response_mime_type": "text/plain",
        "tools": [
            {
                "function_declarations": [
                    {
                        "name": "get_weather",
                        "description": "Weather",
                        "parameters_json_schema": SCHEMA,
                    }
                ]
            }
        ],
        "automatic_function_calling": {"disable": True},
    },
}
RESPONSES: Dict[str, Any] = {
    "model": "gpt-4o-mini",
    "instructions": "Be short.",
    "input": [
        {"role": "user", "content": "How is the weather in Paris?"},
        {
            "type": "function_call",
            "call_id": "c1",
            "name": "get_weather",
            "arguments": '{"city":"Paris"}',
        },
        {"type": "function_call_output", "call_id": "c1", "output": "clear"},
    ],
    "tools": [
        {
            "type": "function",
            "name": "get_weather",
            "description": "Weather",
            "parameters": SCHEMA,
            "strict": True,
        }
    ],
    "temperature": 0.5,
    "max_output_tokens": 100,
    "text": {"format": {"type": "text"}},
}


@pytest.fixture
def providers(monkeypatch: pytest.MonkeyPatch, simulated: SimulatedProviders) -> SimulatedProviders:
    for name, value in (
        ("OPENAI_BASE_URL", simulated.openai_url),
        ("OPENAI_API_KEY", "simulated"),
        ("ANTHROPIC_BASE_URL", simulated.anthropic_url),
        ("ANTHROPIC_API_KEY", "simulated"),
        ("AWS_ENDPOINT_URL_BEDROCK_RUNTIME", simulated.bedrock_url),
        ("AWS_ACCESS_KEY_ID", "simulated"),
        ("AWS_SECRET_ACCESS_KEY", "simulated"),
        ("AWS_DEFAULT_REGION", "us-east-1"),
        ("GEMINI_API_KEY", "simulated"),
        ("GOOGLE_GEMINI_BASE_URL", simulated.gemini_url),
    ):
        monkeypatch.setenv(name, value)
    return simulated


def consumed(result: Any, stream: bool) -> None:
    if stream:
        list(cast("Any", result["stream"] if isinstance(result, dict) else result))


def chat(stream: bool) -> None:
    with pytest.importorskip("openai").OpenAI() as client:
        options = {"stream": True, "stream_options": {"include_usage": True}} if stream else {}
        consumed(client.chat.completions.create(**CHAT, **options), stream)


def responses(stream: bool) -> None:
    with pytest.importorskip("openai").OpenAI() as client:
        options = {"stream": True} if stream else {}
        consumed(client.responses.create(**RESPONSES, **options), stream)


def messages(stream: bool) -> None:
    with pytest.importorskip("anthropic").Anthropic() as client:
        options = {"stream": True} if stream else {}
        # Newer SDKs have no argument for it.
        extra = {"temperature": 0.5}
        consumed(client.messages.create(**MESSAGES, **options, extra_body=extra), stream)


def gemini_client() -> Any:
    """A client of Gemini's that is told by the environment where to send."""
    pytest.importorskip("google.genai._base_url", reason="older SDKs are told by arguments alone")
    return pytest.importorskip("google.genai").Client()


def gemini(stream: bool) -> None:
    client = gemini_client()
    models = client.models
    method = models.generate_content_stream if stream else models.generate_content
    consumed(method(**GEMINI), stream)


def converse(stream: bool) -> None:
    client = pytest.importorskip("boto3").client("bedrock-runtime")
    consumed((client.converse_stream if stream else client.converse)(**CONVERSE), stream)


def body_of(providers: SimulatedProviders) -> Any:
    last = providers.requests[-1]
    return last.path, json.loads(last.body) if isinstance(last.body, (bytes, str)) else last.body


def spans_of(telemetry: Telemetry) -> List[SpanRecord]:
    return [SpanRecord.from_dict(record) for record in telemetry.records]


@pytest.mark.parametrize("stream", [False, True], ids=["plain", "streamed"])
@pytest.mark.parametrize("ask", [chat, responses, messages, gemini, converse])
def test_the_request_is_the_recorded_one(
    ask: Callable[[bool], None],
    stream: bool,
    telemetry: Telemetry,
    providers: SimulatedProviders,
    tmp_path: Path,
):
    ask(stream)
    sent = body_of(providers)
    (span,) = spans_of(telemetry)
    run = live.send(live.requests_of([span]), jsonl_path=str(tmp_path / "new.jsonl"))
    assert not run.errors
    assert body_of(providers) == sent
    (new,) = run.after
    assert new.trace_id == run.trace_id != span.trace_id
    assert new.attributes["peekr.replay.of"] == f"{span.trace_id}/{span.span_id}"
    assert new.attributes["output"] == span.attributes["output"]
    stored = [json.loads(line) for line in (tmp_path / "new.jsonl").read_text().splitlines()]
    root = next(record for record in stored if record["name"] == live.NAME)
    assert root["attributes"]["peekr.replay.of"] == span.trace_id
    assert root["span_id"] == new.parent_id


@pytest.mark.parametrize("ask", [chat, messages, gemini, converse])
def test_what_is_set_is_all_that_changes(
    ask: Callable[[bool], None], telemetry: Telemetry, providers: SimulatedProviders
):
    ask(False)
    _, sent = body_of(providers)
    changed = live.requests_of(spans_of(telemetry), changes={"temperature": 0.75})
    assert not live.send(changed, storage=None).errors
    _, again = body_of(providers)
    holder, before = again, sent
    for name in ("inferenceConfig", "generationConfig"):
        holder, before = holder.get(name, holder), before.get(name, before)
    assert holder["temperature"] == 0.75
    holder["temperature"] = before["temperature"]
    assert again == sent


def test_another_provider_is_asked_the_same(telemetry: Telemetry, providers: SimulatedProviders):
    chat(False)
    asked = live.requests_of(
        spans_of(telemetry), provider="anthropic", model="claude-test-1", changes={"max_tokens": 50}
    )
    assert asked[0].dropped == ["max_completion_tokens", "response_format", "tool_choice"]
    run = live.send(asked, storage=None)
    assert not run.errors
    path, body = body_of(providers)
    assert path.endswith("/v1/messages")
    assert (body["model"], body["system"], body["max_tokens"]) == ("claude-test-1", "Be short.", 50)
    assert body["messages"][2]["content"] == [
        {"type": "tool_result", "tool_use_id": "call_1", "content": '{"sky": "clear"}'}
    ]
    assert body["tools"] == [
        {"name": "get_weather", "description": "Weather", "input_schema": SCHEMA}
    ]
    assert run.after[0].name == "anthropic.messages"


@pytest.mark.parametrize("reason", ["redacted", "not captured", "media", "cut", "tokens"])
def test_a_request_without_its_content_is_refused_in_one_line(
    reason: str, bare_telemetry: Telemetry, providers: SimulatedProviders
):
    options: Dict[str, Any] = {"guardrails": [PIIRedact()]} if reason == "redacted" else {}
    if reason == "cut":
        limits = SpanLimits(max_span_attribute_length=200)
        options["tracer_provider"] = TracerProvider(shutdown_on_exit=False, span_limits=limits)
    bare_telemetry.instrument(capture_content=reason != "not captured", **options)
    content: Any = "Write to ada@example.org" + (" and more" * 100 if reason == "cut" else "")
    if reason == "media":
        image = {"url": "data:image/png;base64,aGVsbG8="}
        content = [{"type": "image_url", "image_url": image}]
    with pytest.importorskip("openai").OpenAI() as client:
        asked: Any = [{"role": "user", "content": content}]
        if reason == "tokens":
            client.completions.create(model="gpt-3.5-turbo-instruct", prompt=[1, 2, 3])
        else:
            client.chat.completions.create(model="gpt-4o-mini", messages=asked)
    before = len(providers.requests)
    spans = spans_of(bare_telemetry)
    with pytest.raises(ReplayError) as caught:
        live.requests_of(spans)
    assert reason in str(caught.value)
    assert "\n" not in str(caught.value)
    assert len(providers.requests) == before


def test_a_conversation_that_another_instrumentation_cut_off_is_refused(
    telemetry: Telemetry, providers: SimulatedProviders
):
    chat(False)
    (span,) = spans_of(telemetry)
    span.attributes["input"] = json.dumps(span.attributes["input"])[:100]
    with pytest.raises(ReplayError, match="its content was cut"):
        live.requests_of([span])


def test_nothing_goes_to_another_service_than_the_recorded_one(
    telemetry: Telemetry, providers: SimulatedProviders, monkeypatch: pytest.MonkeyPatch
):
    chat(False)
    monkeypatch.delenv("OPENAI_BASE_URL")
    with pytest.raises(ReplayError, match=r"was sent to 127.0.0.1: set OPENAI_BASE_URL"):
        live.requests_of(spans_of(telemetry))


def test_azure_is_asked_again_by_its_own_client(
    telemetry: Telemetry, providers: SimulatedProviders, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setenv("AZURE_OPENAI_ENDPOINT", providers.openai_url.rpartition("/v1")[0])
    monkeypatch.setenv("AZURE_OPENAI_API_KEY", "simulated")
    monkeypatch.setenv("OPENAI_API_VERSION", "2024-10-21")
    monkeypatch.delenv("OPENAI_BASE_URL")
    with pytest.importorskip("openai").AzureOpenAI() as client:
        client.chat.completions.create(**CHAT)
    sent = body_of(providers)
    assert "/deployments/gpt-4o-mini/" in sent[0]
    spans = spans_of(telemetry)
    assert not live.send(live.requests_of(spans), storage=None).errors
    assert body_of(providers) == sent
    monkeypatch.delenv("AZURE_OPENAI_ENDPOINT")
    with pytest.raises(ReplayError, match="set AZURE_OPENAI_ENDPOINT"):
        live.requests_of(spans)


@pytest.mark.parametrize(
    ("ask", "variable"),
    [
        (messages, "ANTHROPIC_BASE_URL"),
        (gemini, "GOOGLE_GEMINI_BASE_URL"),
        (converse, "AWS_ENDPOINT_URL_BEDROCK_RUNTIME"),
    ],
)
def test_each_provider_has_a_variable_for_where_to_send(
    ask: Callable[[bool], None],
    variable: str,
    telemetry: Telemetry,
    providers: SimulatedProviders,
    monkeypatch: pytest.MonkeyPatch,
):
    ask(False)
    monkeypatch.delenv(variable)
    with pytest.raises(ReplayError, match=f"set {variable} to where"):
        live.requests_of(spans_of(telemetry))


# -- the command -----------------------------------------------------------------------------------


def run(*arguments: Any) -> Result:
    return CliRunner().invoke(group, [str(argument) for argument in arguments])


@pytest.fixture(params=["--jsonl", "--db"])
def recorded(
    request: pytest.FixtureRequest, providers: SimulatedProviders, tmp_path: Path
) -> List[str]:
    """A chat in a file, as the command's arguments."""
    path = tmp_path / "traces"
    storage: Dict[str, Any] = {"storage": "sqlite", "db_path": str(path)}
    if request.param == "--jsonl":
        storage = {"jsonl_path": str(path)}
    peekr.instrument(console=False, **storage)
    chat(True)
    peekr.shutdown()
    sql = "SELECT trace_id FROM spans"
    ids = (
        [row["trace_id"] for row in peekr.SQLiteExporter(str(path)).query(sql)]
        if request.param == "--db"
        else [json.loads(line)["trace_id"] for line in path.read_text("utf-8").splitlines()]
    )
    return ["replay", ids[0], request.param, str(path)]


def test_the_command_sends_compares_and_stores(recorded: List[str], providers: SimulatedProviders):
    before = len(providers.requests)
    done = run(*recorded, "--live", "--model", "gpt-4o", "--set", "temperature=1.0")
    assert done.exit_code == 0, done.output
    assert len(providers.requests) == before + 1
    assert providers.requests[-1].body is not None
    assert providers.requests[-1].body["model"] == "gpt-4o"
    assert providers.requests[-1].body["temperature"] == 1.0
    assert f"trace {recorded[1]} compared with" in done.output
    assert "model gpt-4o-mini -> gpt-4o" in done.output
    assert "tokens" in done.output
    assert "cost" in done.output
    new = done.output.split("compared with ")[1].split()[0]
    assert run("replay", new, *recorded[2:]).output.startswith("step 1 of 2")


def test_a_dry_run_shows_the_request_and_its_cost(
    recorded: List[str], providers: SimulatedProviders
):
    before = len(providers.requests)
    done = run(*recorded, "--live", "--dry-run", "--set", "seed=null")
    assert done.exit_code == 0, done.output
    assert len(providers.requests) == before
    assert "openai chat [gpt-4o-mini]  about $" in done.output
    sent = json.loads(done.output.splitlines()[1])
    assert sent["messages"] == CHAT["messages"]
    assert "seed" not in sent
    assert "nothing was sent" in done.output


def test_a_call_that_fails_is_told(recorded: List[str]):
    done = run(*recorded, "--live", "--model", "no-such-model")
    assert done.exit_code == 1
    assert "NotFoundError" in done.output
    assert "compared with" in done.output


def test_what_is_changed_is_for_calls_that_generate(providers: SimulatedProviders, tmp_path: Path):
    path = tmp_path / "traces.jsonl"
    peekr.instrument(console=False, jsonl_path=str(path))
    with pytest.importorskip("openai").OpenAI() as client:
        span, token = peekr.start_span("agent")
        client.embeddings.create(model="text-embedding-3-small", input="Hi")
        client.chat.completions.create(**{**CHAT, "tools": []})
        peekr.end_span(span, token)
    peekr.shutdown()
    count = len(providers.requests)
    command = ["replay", span.trace_id, "--jsonl", path, "--live"]
    done = run(*command, "--provider", "anthropic", "--model", "claude-test-1")
    assert done.exit_code == 0, done.output
    embedding, message = providers.requests[count:]
    assert embedding.body == {
        "model": "text-embedding-3-small",
        "input": "Hi",
        "encoding_format": "base64",
    }
    assert message.path.endswith("/v1/messages")
    assert "openai -> anthropic" in done.output
    cost = next(line for line in done.output.splitlines() if line.startswith("  cost"))
    assert cost.endswith("none")  # no price is known for this model


def test_ids_of_tool_calls_are_no_difference(providers: SimulatedProviders, tmp_path: Path):
    path = tmp_path / "traces.jsonl"
    peekr.instrument(console=False, jsonl_path=str(path))
    asked = {"role": "user", "content": "How is the weather in Paris?"}
    ask: Dict[str, Any] = {"model": "gpt-4o-mini", "messages": [asked], "tools": CHAT["tools"]}
    with pytest.importorskip("openai").OpenAI() as client:
        answer = client.chat.completions.create(**ask)
    assert answer.choices[0].message.tool_calls
    peekr.shutdown()
    trace_id = json.loads(path.read_text("utf-8").splitlines()[0])["trace_id"]
    done = run("replay", trace_id, "--jsonl", path, "--live")
    assert done.exit_code == 0, done.output
    assert "First difference" not in done.output
    assert "answered" not in done.output


def test_a_missing_key_is_told_in_the_words_of_the_sdk(
    recorded: List[str], monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.delenv("OPENAI_API_KEY")
    done = run(*recorded, "--live")
    assert done.exit_code == 1
    assert "OPENAI_API_KEY" in done.output
    assert "only in the first" in done.output
    assert "Traceback" not in done.output


def test_wrong_usage_is_told(recorded: List[str]):
    assert run(*recorded, "--model", "gpt-4o").exit_code == 2
    assert run(*recorded, "--live", "--provider", "anthropic").exit_code == 2
    assert run(*recorded, "--live", "--set", "temperature").exit_code == 2


def test_the_scores_of_both_runs_are_compared(
    providers: SimulatedProviders, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    path = tmp_path / "traces.jsonl"
    peekr.instrument(console=False, jsonl_path=str(path), evaluators=[NotEmpty()], async_eval=False)
    chat(False)
    peekr.shutdown()
    trace_id = json.loads(path.read_text("utf-8").splitlines()[0])["trace_id"]
    command = ["replay", trace_id, "--jsonl", path, "--live"]
    done = run(*command)
    assert done.exit_code == 0, done.output
    assert "score NotEmpty        1.00        1.00\n" in done.output
    (tmp_path / "own_checks.py").write_text(
        "import peekr.eval\n"
        "class Short(peekr.eval.BaseEvaluator):\n"
        "    name = 'Short'\n"
        "    def evaluate(self, span):\n"
        "        return 0.25 if 'peekr.replay.of' in span.attributes else 0.75\n"
    )
    monkeypatch.chdir(tmp_path)
    done = run(*command, "--evaluator", "own_checks:Short")
    assert done.exit_code == 0, done.output
    assert "score Short" in done.output
    assert "0.75        0.25  -0.50 (-67%)" in done.output
    assert "score Short 0.75 -> 0.25" in done.output
    scores = [
        json.loads(line)["attributes"].get("eval_scores")
        for line in path.read_text("utf-8").splitlines()
    ]
    assert scores[0] == {"NotEmpty": 1.0}  # what is recorded stays as it is
    assert {"Short": 0.25, "NotEmpty": 1.0} in scores
    assert run("replay", trace_id, "--jsonl", path, "--rubric", "Polite.").exit_code == 2
