"""`peekr doctor` and `peekr.doctor()`: what is watched, by whom, and what is wrong."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any, Dict, List

import pytest
from click.testing import CliRunner
from opentelemetry import trace as otel_trace
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.sdk.trace.sampling import ALWAYS_OFF, TraceIdRatioBased

import peekr
from peekr.cli.doctor import doctor

from .conftest import Telemetry
from .launcher.running import LAUNCHER, other_instrumentors


@pytest.fixture(autouse=True)
def clean_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in list(os.environ):
        if name.startswith(("OTEL_", "PEEKR_")) and name != "PEEKR_RAISE_FAULTS":
            monkeypatch.delenv(name)


def sdk(name: str) -> Dict[str, Any]:
    found: List[Dict[str, Any]] = peekr.doctor().facts["sdks"]
    return next(one for one in found if one["name"] == name)


def told(*problems: str) -> bool:
    """Whether each text is in one of the problems or notes."""
    found = peekr.doctor()
    lines = [*found.problems, *found.notes]
    return all(any(problem in line for line in lines) for problem in problems)


# -- in a process ----------------------------------------------------------------------------------


def test_before_instrument_it_says_so() -> None:
    found = peekr.doctor()
    assert not found.facts["is_active"]
    assert told("Peekr is not running in this process: call peekr.instrument()")
    assert "not running in this process" in str(found)


def test_what_is_watched_and_where_spans_go(telemetry: Telemetry, simulated: Any) -> None:
    openai = pytest.importorskip("openai")
    openai.OpenAI(base_url=simulated.openai_url, api_key="k").embeddings.create(
        model="text-embedding-3-small", input="hi"
    )
    found = peekr.doctor()
    watched = sdk("openai")
    assert watched["state"] == "watched"
    assert watched["version"] == openai.__version__
    assert "Embeddings.create" in watched["hooks"]["on"]
    assert watched["makers"] == []
    provider = found.facts["provider"]
    assert provider["used"] == "opentelemetry.sdk.trace.TracerProvider"
    assert provider["role"] == "the application's, joined"
    classes = [processor["class"] for processor in provider["processors"]]
    assert classes[0].endswith("SimpleSpanProcessor")
    assert classes[1] == "peekr.pipeline.processor.PeekrSpanProcessor"
    assert provider["processors"][0]["exporter"]["class"].endswith("InMemorySpanExporter")
    (store,) = found.facts["storage"]
    assert store["path"] == str(telemetry.path)
    text = str(found)
    assert f"openai               {openai.__version__}, watched" in text
    assert str(telemetry.path) in text
    assert json.loads(json.dumps(found.to_dict()))["is_active"]


def test_peekrs_own_provider_is_named(tmp_path: Path) -> None:
    peekr.instrument(console=False, jsonl_path=tmp_path / "a.jsonl")
    assert peekr.doctor().facts["provider"]["role"] == "Peekr's own"


def test_who_else_has_wrapped_a_method_is_named(
    telemetry: Telemetry, simulated: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("openai")
    completions = pytest.importorskip("openai.resources.chat.completions")
    wrapt = pytest.importorskip("wrapt")
    present = completions.Completions.create

    def wrapper(wrapped: Any, instance: Any, args: Any, kwargs: Any) -> Any:
        return wrapped(*args, **kwargs)

    wrapped = wrapt.FunctionWrapper(present, wrapper)
    monkeypatch.setattr(completions.Completions, "create", wrapped)
    assert sdk("openai")["makers"] == [__name__]
    assert told(f"openai is also wrapped by {__name__}", "peekr_openai is Peekr's")


def test_a_sampler_that_drops_is_named(tmp_path: Path) -> None:
    provider = TracerProvider(sampler=TraceIdRatioBased(0.1), shutdown_on_exit=False)
    otel_trace.set_tracer_provider(provider)
    peekr.instrument(console=False, jsonl_path=tmp_path / "a.jsonl", sample_rate=0.5)
    assert told("sampler (TraceIdRatioBased{0.1}) drops spans", "sample_rate=0.5")
    provider.shutdown()


def test_what_the_applications_sampler_drops_is_dropped_and_doctor_says_so(tmp_path: Path) -> None:
    provider = TracerProvider(sampler=ALWAYS_OFF, shutdown_on_exit=False)
    peekr.instrument(
        console=False, jsonl_path=tmp_path / "a.jsonl", tracer_provider=provider, keep_errors=True
    )
    with peekr.span("a"):
        pass
    assert (tmp_path / "a.jsonl").read_text() == ""
    otel_trace.set_tracer_provider(provider)
    assert told("sampler (AlwaysOffSampler) drops spans")
    provider.shutdown()


def test_a_provider_that_is_not_the_global_one_is_named(telemetry: Telemetry) -> None:
    other = TracerProvider(shutdown_on_exit=False)
    otel_trace.set_tracer_provider(other)
    assert told("is not the one that Peekr records with")
    other.shutdown()


def test_batches_and_their_exporters_are_named(tmp_path: Path) -> None:
    provider = TracerProvider(shutdown_on_exit=False)
    provider.add_span_processor(BatchSpanProcessor(InMemorySpanExporter()))
    provider.add_span_processor(SimpleSpanProcessor(InMemorySpanExporter()))
    peekr.instrument(console=False, storage=None, tracer_provider=provider)
    processors = peekr.doctor().facts["provider"]["processors"]
    exporters = [one["exporter"]["class"].rpartition(".")[2] for one in processors[:2]]
    assert exporters == ["InMemorySpanExporter", "InMemorySpanExporter"]
    provider.shutdown()


def test_what_was_lost_is_a_problem(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    (tmp_path / "file").write_text("")
    peekr.instrument(console=False, jsonl_path=tmp_path / "file" / "a.jsonl")
    with peekr.span("a"):
        pass
    found = peekr.doctor()
    assert any("1 records were lost" in problem for problem in found.problems), found.problems


@pytest.mark.parametrize(
    ("variable", "value", "said"),
    [
        ("PEEKR_SAMPLE_RATE", "lots", "PEEKR_SAMPLE_RATE='lots' is not a number"),
        ("PEEKR_STORGE", "both", "did you mean PEEKR_STORAGE?"),
        ("PEEKR_RETENTION_CLASS", "ever", "PEEKR_RETENTION_CLASS='ever' is none of"),
        ("OTEL_TRACES_EXPORTER", "otlp,nobody", "OTEL_TRACES_EXPORTER names nobody"),
        ("OTEL_PYTHON_DISTRO", "nobody", "OTEL_PYTHON_DISTRO=nobody is none of the installed"),
        ("OTEL_SPAN_ATTRIBUTE_VALUE_LENGTH_LIMIT", "100", "longer prompts and answers are cut"),
    ],
)
def test_variables_that_are_wrong_or_surprising_are_named(
    monkeypatch: pytest.MonkeyPatch, variable: str, value: str, said: str
) -> None:
    monkeypatch.setenv(variable, value)
    assert told(said)


def test_a_disabled_instrumentor_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("openai")
    monkeypatch.setenv("OTEL_PYTHON_DISABLED_INSTRUMENTATIONS", "peekr_openai")
    assert told("openai: OTEL_PYTHON_DISABLED_INSTRUMENTATIONS turns Peekr off.")


def test_keys_are_not_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PEEKR_API_KEY", "very-secret")
    found = peekr.doctor()
    assert found.facts["environment"]["PEEKR_API_KEY"] == "(set)"
    assert "very-secret" not in str(found) + json.dumps(found.to_dict())


# -- on the command line ---------------------------------------------------------------------------


def test_without_a_command_it_looks_at_what_is_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    result = CliRunner().invoke(doctor, [])
    assert result.output.startswith("peekr ")
    assert "google-generativeai" in result.output
    monkeypatch.setenv("PEEKR_STORGE", "x")
    result = CliRunner().invoke(doctor, ["--json"])
    assert result.exit_code == 1
    assert "did you mean PEEKR_STORAGE" in json.loads(result.output)["problems"][0]


def run(folder: Path, *command: str, **environment: str) -> subprocess.CompletedProcess[str]:
    kept = {**os.environ, "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"}
    return subprocess.run(
        [sys.executable, "-m", "peekr.cli", "doctor", *command],
        cwd=folder,
        env={
            **kept,
            "OTEL_PYTHON_DISABLED_INSTRUMENTATIONS": other_instrumentors(),
            "OTEL_PYTHON_DISTRO": "peekr",
            "OTEL_PYTHON_CONFIGURATOR": "peekr",
            **environment,
        },
        capture_output=True,
        encoding="utf-8",
        timeout=120,
    )


PROGRAM = """
import sys
{begin}
import openai
client = openai.OpenAI(base_url={url!r}, api_key="k", max_retries=0)
client.embeddings.create(model="text-embedding-3-small", input="hi")
print("ran", sys.argv[1:])
sys.exit({code})
"""


@pytest.mark.parametrize("launched", [False, True])
def test_a_program_is_run_and_reported(tmp_path: Path, simulated: Any, launched: bool) -> None:
    pytest.importorskip("openai")
    begin = "" if launched else "import peekr; peekr.instrument(console=False)"
    program = PROGRAM.format(begin=begin, url=simulated.openai_url, code=0)
    (tmp_path / "app.py").write_text(program, "utf-8")
    start = f"import sys; from {LAUNCHER} import run; sys.exit(run())"
    launcher = [sys.executable, "-c", start] if launched else []
    done = run(tmp_path, "--json", *launcher, sys.executable, "app.py", "-x", PEEKR_CONSOLE="0")
    assert done.returncode == 0, done.stderr + done.stdout
    ran, report = done.stdout.splitlines()
    assert ran == "ran ['-x']"
    found = json.loads(report)
    assert found["is_active"]
    assert found["problems"] == []
    states = {one["name"]: one["state"] for one in found["sdks"]}
    assert states["openai"] == "watched"
    role = "made with Peekr in front" if launched else "Peekr's own"
    assert found["provider"]["role"] == role
    assert (tmp_path / "traces.jsonl").exists()


def test_a_program_without_peekr_is_told_so_and_its_exit_code_kept(tmp_path: Path) -> None:
    (tmp_path / "app.py").write_text("raise SystemExit(7)", "utf-8")
    done = run(tmp_path, sys.executable, "app.py")
    assert done.returncode == 7
    assert "Peekr is not running in this process" in done.stdout


def test_a_sitecustomize_of_the_users_runs_too(tmp_path: Path) -> None:
    (tmp_path / "site").mkdir()
    (tmp_path / "site" / "sitecustomize.py").write_text("print('theirs')", "utf-8")
    done = run(tmp_path, sys.executable, "-c", "pass", PYTHONPATH=str(tmp_path / "site"))
    assert "theirs" in done.stdout.splitlines()


def test_a_command_that_is_not_there_is_wrong_usage(tmp_path: Path) -> None:
    done = run(tmp_path, "no-such-command-anywhere")
    assert done.returncode == 2
    assert "cannot run no-such-command-anywhere" in done.stderr
