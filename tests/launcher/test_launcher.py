"""`opentelemetry-instrument python app.py`: Peekr in a program that knows nothing of it."""

from __future__ import annotations

import inspect
import json
import re
from pathlib import Path
from typing import Any, Callable, Dict, Iterator, List, Sequence

import pytest

import peekr
from peekr import distro, environment
from peekr.instrumentation import rivals

from ..support.endpoint import Endpoint
from .running import Done, other_instrumentors, run

CALL = """
import openai
client = openai.OpenAI(base_url={url!r}, api_key="k", max_retries=0)
def ask(text="hi", model="gpt-4o", **more):
    messages = [{{"role": "user", "content": text}}]
    return client.chat.completions.create(model=model, messages=messages, **more)
"""

EVERYTHING = """
import anthropic, boto3, openai
from google import genai

client = openai.OpenAI(base_url=OPENAI, api_key="k", max_retries=0)
tools = [{"type": "function", "function": {"name": "get_weather", "parameters": {
    "type": "object", "properties": {"city": {"type": "string"}}}}}]
say = [{"role": "user", "content": "What is the weather in Paris?"}]
client.chat.completions.create(model="gpt-4o", messages=say, tools=tools)
for chunk in client.chat.completions.create(
    model="gpt-4o", messages=say, stream=True, stream_options={"include_usage": True}
):
    pass
client.responses.create(model="gpt-4o", input="hi")
client.embeddings.create(model="text-embedding-3-small", input=["one", "two"])
try:
    client.chat.completions.create(model="no-such-model", messages=say)
except openai.NotFoundError:
    pass
claude = anthropic.Anthropic(base_url=ANTHROPIC, api_key="k")
claude.messages.create(model="claude-sonnet-5", max_tokens=9, messages=say)
bedrock = boto3.client(
    "bedrock-runtime", region_name="us-east-1", endpoint_url=BEDROCK,
    aws_access_key_id="k", aws_secret_access_key="s",
)
bedrock.converse(
    modelId="us.amazon.nova-lite-v1:0",
    messages=[{"role": "user", "content": [{"text": "hi"}]}],
)
gemini = genai.Client(api_key="k", http_options={"base_url": GEMINI})
gemini.models.generate_content(model="gemini-2.5-flash", contents="hi")
"""


@pytest.fixture
def ask(tmp_path: Path, simulated: Any) -> Callable[..., Done]:
    pytest.importorskip("openai")

    def start(program: str = "ask()", **options: Any) -> Done:
        return run(tmp_path, CALL.format(url=simulated.openai_url) + program, **options)

    return start


# -- one door and the other ------------------------------------------------------------------------

_DIFFERENT = ("trace_id", "span_id", "start_time", "end_time", "duration_ms")
_TIMED = ("time_to_first_token_ms", "gen_ai.response.time_to_first_chunk", "peekr.request.id")


def comparable(records: List[Dict[str, Any]]) -> List[Dict[str, Any]]:
    """Records without what differs from run to run: ids and times."""
    made: List[Dict[str, Any]] = []
    for record in records:
        text = json.dumps({k: v for k, v in record.items() if k not in _DIFFERENT})
        kept = json.loads(re.sub(r"simulated[0-9a-f]+", "simulated", text))
        for key in _TIMED:
            kept["attributes"].pop(key, None)
        kept["attributes"].pop("gen_ai.response.id", None)
        kept["attributes"].pop("exception.stacktrace", None)
        made.append(kept)
    return made


def test_both_doors_write_the_same_records(tmp_path: Path, simulated: Any) -> None:
    for sdk in ("openai", "anthropic", "boto3", "google.genai"):
        pytest.importorskip(sdk)
    urls = {
        "OPENAI": simulated.openai_url,
        "ANTHROPIC": simulated.anthropic_url,
        "BEDROCK": simulated.bedrock_url,
        "GEMINI": simulated.gemini_url,
    }
    program = "".join(f"{name} = {url!r}\n" for name, url in urls.items()) + EVERYTHING
    (tmp_path / "launched").mkdir()
    (tmp_path / "called").mkdir()
    launched = run(tmp_path / "launched", program)
    called = run(
        tmp_path / "called",
        f"import peekr; peekr.instrument(console=False)\n{program}",
        launched=False,
    )
    assert launched.names == [
        "openai.chat",
        "openai.chat",
        "openai.responses",
        "openai.embeddings",
        "openai.chat",
        "anthropic.messages",
        "bedrock.converse",
        "gemini.generate_content",
    ]
    assert comparable(launched.records) == comparable(called.records)
    assert [set(r) for r in launched.records] == [set(r) for r in called.records]
    assert launched.err == ""


def test_an_application_that_calls_instrument_too_doubles_nothing(
    ask: Callable[..., Done], tmp_path: Path
) -> None:
    done = ask("import peekr; peekr.instrument(console=False); ask()")
    assert (done.names, done.err) == (["openai.chat"], "")


def test_the_arguments_in_the_code_count(ask: Callable[..., Done]) -> None:
    done = ask(
        "import peekr; peekr.instrument(console=False, storage='sqlite', tenant_id='acme'); ask()",
        PEEKR_STORAGE="jsonl",
        PEEKR_TENANT_ID="other",
    )
    assert done.records == []
    assert [record["tenant_id"] for record in done.records_in("traces.db")] == ["acme"]


def test_uninstrument_ends_what_the_launcher_began(ask: Callable[..., Done]) -> None:
    assert ask("ask(); import peekr; peekr.uninstrument(); ask()").names == ["openai.chat"]


def test_own_functions_are_recorded_beneath(ask: Callable[..., Done]) -> None:
    done = ask("import peekr\n@peekr.trace\ndef answer(): ask()\nanswer()")
    call, function = done.records
    assert (call["name"], function["name"]) == ("openai.chat", "__main__.answer")
    assert call["parent_id"] == function["span_id"]


# -- variables -------------------------------------------------------------------------------------


def test_every_plain_argument_has_its_variable() -> None:
    objects = {
        "alerts",
        "budget_alert",
        "evaluate_filter",
        "evaluators",
        "exporter",
        "guardrails",
        "tracer_provider",
    }
    for argument in set(inspect.signature(peekr.instrument).parameters) - objects:
        variable = environment.ENVIRONMENT[f"PEEKR_{argument.upper()}"]
        # Those without an argument always hold.
        assert variable.argument in (None, argument)


def test_storage_and_paths(ask: Callable[..., Done]) -> None:
    done = ask(PEEKR_STORAGE="both", PEEKR_JSONL_PATH="out/a.jsonl", PEEKR_DB_PATH="out/a.db")
    assert done.files == ["out"]
    assert len(done.records_in("out/a.jsonl")) == len(done.records_in("out/a.db")) == 1


def test_no_storage(ask: Callable[..., Done]) -> None:
    assert ask(PEEKR_STORAGE="none").files == []


def test_the_console(ask: Callable[..., Done]) -> None:
    assert ask(PEEKR_CONSOLE="true").out[0].startswith("openai.chat [gpt-4o]")
    assert ask(PEEKR_CONSOLE="").out[0].startswith("openai.chat [gpt-4o]")
    assert ask(PEEKR_CONSOLE="0").out == []


def test_contents_tenant_and_retention(ask: Callable[..., Done]) -> None:
    (record,) = ask(
        PEEKR_CAPTURE_CONTENT="false", PEEKR_TENANT_ID="acme", PEEKR_RETENTION_CLASS="short"
    ).records
    assert (record["tenant_id"], record["retention_class"]) == ("acme", "short")
    assert not {"input", "output"} & set(record["attributes"])


def test_sampling(ask: Callable[..., Done]) -> None:
    program = "ask()\ntry: ask(model='no-such-model')\nexcept openai.NotFoundError: pass"
    (record,) = ask(program, PEEKR_SAMPLE_RATE="0").records
    assert record["status"] == "error"
    (tmp := Path(ask("pass").folder) / "traces.jsonl").unlink()
    assert not tmp.exists()
    assert ask(program, PEEKR_SAMPLE_RATE="0", PEEKR_KEEP_ERRORS="false").records == []


@pytest.mark.parametrize(
    ("variable", "value", "said"),
    [
        ("PEEKR_SAMPLE_RATE", "a lot", "PEEKR_SAMPLE_RATE='a lot' is not a number"),
        ("PEEKR_SAMPLE_RATE", "7", "PEEKR_SAMPLE_RATE='7' is outside 0.0 to 1.0"),
        ("PEEKR_CAPTURE_CONTENT", "flase", "PEEKR_CAPTURE_CONTENT='flase' is neither true nor"),
        ("PEEKR_STORAGE", "csv", "PEEKR_STORAGE='csv' is none of jsonl, sqlite, both, none"),
        ("PEEKR_RETENTION_CLASS", "forever", "PEEKR_RETENTION_CLASS='forever' is none of"),
        ("PEEKR_COMPLIANCE", "HIPAA", r"compliance=['HIPAA'] needs exporter=peekr.HTTPExporter"),
        ("PEEKR_COMPLIANCE", "HIPAA", "or PEEKR_ENDPOINT and PEEKR_API_KEY under the launcher"),
        ("PEEKR_PRICES", "gone.json", "PEEKR_PRICES=gone.json: no such file or directory"),
    ],
)
def test_a_variable_that_cannot_be_used_turns_peekr_off_with_one_line(
    ask: Callable[..., Done], variable: str, value: str, said: str
) -> None:
    done = ask("ask(); print('ran')", **{variable: value})
    assert done.out == ["ran"]
    assert done.files == []
    (line,) = done.err.splitlines()
    assert line.startswith("Peekr is off: ")
    assert said in line


def test_an_endpoint_without_a_key_is_said(ask: Callable[..., Done]) -> None:
    done = ask(PEEKR_ENDPOINT="https://peekr.example.com")
    assert done.names == ["openai.chat"]
    assert "PEEKR_ENDPOINT is set without PEEKR_API_KEY: no records are sent to it" in done.err


# -- exporters by name -----------------------------------------------------------------------------


def test_exporters_are_chosen_by_name_as_opentelemetry_does(ask: Callable[..., Done]) -> None:
    done = ask(OTEL_TRACES_EXPORTER="peekr_sqlite,console", PEEKR_DB_PATH="mine.db")
    assert done.files == ["mine.db"]
    (record,) = done.records_in("mine.db")
    assert record["name"] == "openai.chat"
    assert json.loads("\n".join(done.out))["name"] == "chat gpt-4o"


def test_local_exporters_by_name(ask: Callable[..., Done]) -> None:
    done = ask(OTEL_TRACES_EXPORTER="peekr_jsonl,peekr_console", PEEKR_CONSOLE="")
    assert done.names == ["openai.chat"]
    (line,) = done.out
    assert line.startswith("openai.chat [gpt-4o]")


@pytest.mark.parametrize("program", ["ask()", "import peekr; peekr.instrument(); ask()"])
def test_what_is_named_and_asked_for_is_written_once(
    ask: Callable[..., Done], program: str
) -> None:
    done = ask(
        program,
        OTEL_TRACES_EXPORTER="peekr_jsonl,peekr_console",
        PEEKR_STORAGE="jsonl",
        PEEKR_CONSOLE="true",
    )
    assert (done.names, len(done.out)) == (["openai.chat"], 1)


def test_an_exporter_that_nobody_knows_leaves_the_records(ask: Callable[..., Done]) -> None:
    done = ask(OTEL_TRACES_EXPORTER="nobody_knows")
    assert done.names == ["openai.chat"]
    (line,) = done.err.splitlines()
    assert "nobody_knows" in line


def test_a_cloud_exporter_without_its_variables_is_one_line(ask: Callable[..., Done]) -> None:
    done = ask(OTEL_TRACES_EXPORTER="peekr_http")
    assert done.names == ["openai.chat"]
    (line,) = done.err.splitlines()
    assert line.startswith("peekr_http is off: ")


@pytest.fixture
def endpoint() -> Iterator[Endpoint]:
    made = Endpoint()
    made.start()
    yield made
    made.stop()


@pytest.mark.parametrize("names", ["", "peekr_http"])
@pytest.mark.parametrize("program", ["ask()", "import peekr; peekr.instrument(); ask()"])
def test_the_cloud_gets_each_record_once(
    ask: Callable[..., Done], endpoint: Endpoint, names: str, program: str
) -> None:
    if not names and "instrument" in program:
        pytest.skip("what the code says counts")
    done = ask(
        program,
        PEEKR_ENDPOINT=endpoint.url,
        PEEKR_API_KEY="very-secret",
        OTEL_TRACES_EXPORTER=names,
    )
    assert done.names == ["openai.chat"]
    sent = [name for request in endpoint.received for name in request.names]
    assert sent == ["openai.chat"]
    assert endpoint.received[0].headers["authorization"] == "Bearer very-secret"
    assert "very-secret" not in done.err + "".join(done.out)


def test_an_otlp_endpoint_gets_spans_and_the_file_records(
    ask: Callable[..., Done], endpoint: Endpoint
) -> None:
    pytest.importorskip("opentelemetry.exporter.otlp.proto.http")
    done = ask(OTEL_EXPORTER_OTLP_ENDPOINT=endpoint.url)
    assert done.names == ["openai.chat"]
    assert [request.path for request in endpoint.received] == ["/v1/traces"]


def test_named_exporters_stand_alone_too(tmp_path: Path) -> None:
    done = run(
        tmp_path,
        "from opentelemetry.sdk.trace import TracerProvider\n"
        "from opentelemetry.sdk.trace.export import BatchSpanProcessor\n"
        "from peekr.named_exporters import NamedJSONLExporter\n"
        "provider = TracerProvider()\n"
        "provider.add_span_processor(BatchSpanProcessor(NamedJSONLExporter()))\n"
        "provider.get_tracer('t').start_span('a').end()\n"
        "provider.shutdown()\n",
        launched=False,
    )
    assert done.names == ["a"]


# -- OpenTelemetry's own variables -----------------------------------------------------------------


def test_a_sampler_of_the_launcher_is_respected(ask: Callable[..., Done]) -> None:
    assert ask(OTEL_TRACES_SAMPLER="always_off").records == []


def test_a_disabled_sdk_leaves_no_file(ask: Callable[..., Done]) -> None:
    assert ask(OTEL_SDK_DISABLED="true").files == []


def test_the_provider_is_opentelemetrys_with_peekr_in_front(ask: Callable[..., Done]) -> None:
    done = ask(
        "from opentelemetry import trace\n"
        "provider = trace.get_tracer_provider()\n"
        "print(type(provider).__module__, type(provider).__name__)\n"
        "print(provider.resource.attributes['telemetry.distro.name'])\n"
        "print(provider.resource.attributes['service.name'])\n"
        "import peekr.provider\n"
        "print(peekr.provider.joined(provider) is provider._active_span_processor)\n",
        OTEL_SERVICE_NAME="shop",
    )
    assert done.out == ["opentelemetry.sdk.trace TracerProvider", "peekr", "shop", "True"]


@pytest.mark.parametrize("names", ["peekr_openai", "x , peekr_openai", "*", "peekr"])
def test_an_instrumentor_that_is_disabled_by_name_is_off(
    ask: Callable[..., Done], names: str
) -> None:
    names = f"{names},{other_instrumentors()}"
    assert ask(OTEL_PYTHON_DISABLED_INSTRUMENTATIONS=names).records == []
    program = "import peekr; peekr.instrument(console=False); ask()"
    done = ask(program, launched=False, OTEL_PYTHON_DISABLED_INSTRUMENTATIONS=names)
    assert done.records == []


# -- SDKs that are missing, broken or too old ------------------------------------------------------


def packaged(folder: Path, name: str, version: str, source: str) -> None:
    """A distribution of one package, as pip would leave it."""
    (folder / name).mkdir(parents=True)
    (folder / name / "__init__.py").write_text(source, "utf-8")
    info = folder / f"{name}-{version}.dist-info"
    info.mkdir()
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n")


@pytest.mark.parametrize("launched", [True, False])
def test_an_sdk_out_of_range_is_off_with_one_line_and_the_others_work(
    ask: Callable[..., Done], tmp_path: Path, launched: bool
) -> None:
    packaged(tmp_path / "old", "anthropic", "0.3.1", "class Anthropic: pass")
    done = ask(
        ("" if launched else "import peekr; peekr.instrument(console=False)\n")
        + "import anthropic; anthropic.Anthropic(); ask()",
        path=tmp_path / "old",
        launched=launched,
    )
    assert done.names == ["openai.chat"]
    (line,) = done.err.splitlines()
    assert line == (
        "anthropic 0.3.1 is not supported (anthropic >= 0.45): its calls are not recorded"
    )


@pytest.mark.parametrize("source", ["raise RuntimeError('broken')", "import no_such_module_xyz"])
def test_an_sdk_that_cannot_be_imported_disturbs_nobody(
    ask: Callable[..., Done], tmp_path: Path, source: str
) -> None:
    packaged(tmp_path / "broken", "anthropic", "2.0.0", source)
    done = ask(
        "try: import anthropic\nexcept Exception as error: print(type(error).__name__)\nask()",
        path=tmp_path / "broken",
    )
    assert done.names == ["openai.chat"]
    assert len(done.out) == 1


def test_an_sdk_whose_modules_are_gone_is_off_with_one_line(
    ask: Callable[..., Done], tmp_path: Path
) -> None:
    packaged(tmp_path / "gone", "google_generativeai", "0.8.5", "")
    done = ask(path=tmp_path / "gone")
    assert done.names == ["openai.chat"]
    (line,) = done.err.splitlines()
    assert line.startswith("peekr_google_generativeai is off: google-generativeai 0.8.5 is broken")


def test_an_sdk_that_is_missing_is_said_to_who_asks(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(distro, "installed", lambda name: None)  # pyright: ignore[reportUnknownLambdaType, reportUnknownArgumentType]
    monkeypatch.setattr(distro, "broken", lambda *_: None)  # pyright: ignore[reportUnknownLambdaType, reportUnknownArgumentType]
    point = _Point("peekr_openai", None)
    point.value = "peekr.instrumentation.openai.instrumentor:OpenAIInstrumentor"
    distro.PeekrDistro().load_instrumentor(point)
    assert caplog.messages == []
    caplog.set_level("INFO", "peekr.distro")
    distro.PeekrDistro().load_instrumentor(point)
    assert caplog.messages == ["peekr_openai is off: openai is not installed"]


def test_an_sdk_without_what_is_watched_is_one_line(
    ask: Callable[..., Done], tmp_path: Path
) -> None:
    packaged(tmp_path / "empty", "anthropic", "99.0.0", "")
    (tmp_path / "empty" / "anthropic" / "_base_client.py").write_text("", "utf-8")
    done = ask("import anthropic, anthropic._base_client; ask()", path=tmp_path / "empty")
    assert done.names == ["openai.chat"]
    (line,) = done.err.splitlines()
    assert "anthropic 99.0.0" in line
    assert "not recorded" in line


# -- other distributions ---------------------------------------------------------------------------


class _Point:
    """An entry point of somebody's."""

    def __init__(self, name: str, loaded: Any) -> None:
        self.name = name
        self.value = "somewhere.else:Instrumentor"
        self._loaded = loaded

    def load(self) -> Any:
        if isinstance(self._loaded, Exception):
            raise self._loaded
        return self._loaded


class _Broken:
    def instrumentation_dependencies(self) -> List[str]:
        return ["nothing-that-peekr-watches"]

    def instrument(self, **arguments: Any) -> None:
        raise RuntimeError("cannot")


def instrumentor(*dependencies: str) -> Any:
    """An instrumentor's class that says what it is for."""

    class Instrumentor:
        def instrumentation_dependencies(self) -> Sequence[str]:
            return dependencies

    return Instrumentor


@pytest.mark.parametrize(
    ("name", "dependency", "own"),
    [
        ("openai", "openai >= 1.26.0", "peekr_openai"),
        ("anthropic", "anthropic >= 0.3.11", "peekr_anthropic"),
        ("google-genai", "google-genai >= 1.0.0", "peekr_google_genai"),
        ("google_generativeai", "google-generativeai >= 0.8", "peekr_google_generativeai"),
        ("bedrock", "boto3 >= 1.28.57", "peekr_bedrock"),
        ("botocore", "botocore ~= 1.0", None),
        ("boto3", "boto3 ~= 1.0", None),
        ("httpx", "httpx >= 0.18.0", None),
        ("openai_agents", "openai-agents >= 0.1", None),
    ],
)
def test_which_instrumentors_are_for_the_same_sdk(name: str, dependency: str, own: Any) -> None:
    rival = rivals.rival_of(_Point(name, instrumentor(dependency)))
    assert (rival and rival.own) == own
    if rival is not None:
        assert f"OTEL_PYTHON_DISABLED_INSTRUMENTATIONS={name} keeps Peekr's" in rival.left_out


def test_none_is_a_rival_where_peekrs_is_off(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OTEL_PYTHON_DISABLED_INSTRUMENTATIONS", "peekr_openai")
    assert rivals.rival_of(_Point("openai", instrumentor("openai >= 1.0"))) is None


@pytest.mark.parametrize("loaded", [_Broken, RuntimeError("cannot")])
def test_another_librarys_broken_instrumentor_is_one_line(
    loaded: Any, caplog: pytest.LogCaptureFixture
) -> None:
    distro.PeekrDistro().load_instrumentor(_Point("theirs", loaded))
    assert caplog.messages == ["the instrumentor theirs is off: RuntimeError: cannot"]


def test_with_another_distribution_chosen_by_name_peekr_leaves_it_the_field(
    ask: Callable[..., Done],
) -> None:
    theirs = {"OTEL_PYTHON_DISTRO": "theirs", "OTEL_PYTHON_CONFIGURATOR": "theirs"}
    assert ask(PEEKR_CONSOLE="", **theirs).files == []
    assert ask(PEEKR_STORAGE="jsonl", **theirs).names == ["openai.chat"]
