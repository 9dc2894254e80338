"""What `instrument()` takes, what it refuses, and what the environment adds."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any, Dict, Sequence

import pytest
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export import SpanExporter, SpanExportResult
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

import peekr
from peekr import config, environment
from peekr.config import Settings

from .conftest import Telemetry


class _Alert:
    def check(self, spans: Any) -> None: ...


class _Evaluator:
    def evaluate(self, span: Any) -> float:
        return 1.0


class _Guardrail:
    def check(self, span: Any) -> None: ...


class _Budget:
    def admit(self) -> None: ...


class _Exporter:
    def export(self, span: Any) -> None: ...


class _Cloud(_Exporter):
    endpoint = "https://host"


class _AsyncExporter:
    async def export(self, span: Any) -> None: ...


class _Otlp(SpanExporter):
    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        return SpanExportResult.SUCCESS


@pytest.fixture(autouse=True)
def empty_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in environment.ENVIRONMENT:
        if name != "PEEKR_RAISE_FAULTS":
            monkeypatch.delenv(name, raising=False)


# -- what is refused -------------------------------------------------------------------------------

VALUES: Dict[str, Any] = {
    "storage of no kind": (
        {"storage": "csv"},
        "storage='csv' is none of 'jsonl', 'sqlite', 'both'",
    ),
    "storage empty": ({"storage": ""}, "storage='' is none of"),
    "storage list": ({"storage": ["jsonl"]}, r"storage=\['jsonl'\] is none of"),
    "rate above": ({"sample_rate": 1.01}, "sample_rate=1.01 is outside 0.0 to 1.0"),
    "rate below": ({"sample_rate": -0.1}, "sample_rate=-0.1 is outside"),
    "rate nan": ({"sample_rate": float("nan")}, "sample_rate=nan is outside"),
    "retention": (
        {"retention_class": "forever"},
        "retention_class='forever' is none of default, short, long, pii",
    ),
    "jsonl empty": ({"jsonl_path": ""}, "jsonl_path is empty"),
    "db empty": ({"db_path": ""}, "db_path is empty"),
    "packs without the cloud": (
        {"compliance": ["HIPAA"]},
        r"compliance=\['HIPAA'\] needs exporter=peekr.HTTPExporter",
    ),
    "packs with another exporter": (
        {"compliance": ["HIPAA"], "exporter": _Otlp()},
        "needs exporter=peekr.HTTPExporter",
    ),
    "packs of the project without the cloud": (
        {"compliance": None},
        r"compliance=None \(whatever the project has on\) needs exporter",
    ),
}


@pytest.mark.parametrize("case", VALUES)
def test_a_value_that_cannot_be_used_is_named(case: str) -> None:
    arguments, message = VALUES[case]
    with pytest.raises(peekr.ConfigurationError, match=message) as caught:
        peekr.instrument(**arguments)
    assert isinstance(caught.value, ValueError)
    assert isinstance(caught.value, peekr.PeekrError)


KINDS: Dict[str, Any] = {
    "alert text": ({"alerts": ["ErrorRate"]}, "alerts: 'ErrorRate' is not an instance of a peekr."),
    "alert class": ({"alerts": [_Alert]}, "alerts: .*_Alert.* is a class; give an instance of it"),
    "alert object": (
        {"alerts": [object()]},
        "alerts: <object.*is not an instance of a peekr.alert",
    ),
    "alert alone": ({"alerts": _Alert()}, r"alerts=.*_Alert.* is no list; give alerts=\["),
    "alert word": ({"alerts": "ErrorRate"}, "alerts='ErrorRate' is no list"),
    "evaluator": ({"evaluators": [3]}, "evaluators: 3 is not an instance of a peekr.eval class"),
    "evaluator class": ({"evaluators": [_Evaluator]}, "evaluators: .*_Evaluator"),
    "evaluator alone": ({"evaluators": _Evaluator()}, "evaluators=.* is no list"),
    "guardrail": ({"guardrails": [None]}, "guardrails: None is not an instance of a peekr.guard"),
    "guardrail class": ({"guardrails": [_Guardrail]}, "guardrails: .*_Guardrail"),
    "guardrail alone": ({"guardrails": _Guardrail()}, "guardrails=.* is no list"),
    "exporter": ({"exporter": "otlp"}, r"exporter='otlp' has no export\(span\) method"),
    "exporters": ({"exporter": [_Exporter()]}, r"exporter=\[.*\] has no export\(span\) method"),
    "exporter class": ({"exporter": _Exporter}, "exporter=.*_Exporter.* is a class"),
    "exporter async": ({"exporter": _AsyncExporter()}, "exporter=.*export is a coroutine function"),
    "filter": ({"evaluate_filter": "all"}, "evaluate_filter='all' is not callable"),
    "rate text": ({"sample_rate": "0.5"}, "sample_rate='0.5' is not a number"),
    "rate bool": ({"sample_rate": True}, "sample_rate=True is not a number"),
    "rate none": ({"sample_rate": None}, "sample_rate=None is not a number"),
    "budget": ({"budget_alert": 5.0}, "budget_alert: 5.0 is not an instance of peekr.alert.Budget"),
    "budget class": ({"budget_alert": _Budget}, "budget_alert: .*_Budget"),
    "pack alone": ({"compliance": "HIPAA", "exporter": _Cloud()}, "compliance='HIPAA' is no list"),
    "pack number": (
        {"compliance": [7], "exporter": _Cloud()},
        "compliance: 7 is not the name of a",
    ),
    "provider": ({"tracer_provider": object()}, "tracer_provider=<object.* is no TracerProvider"),
    "tenant": ({"tenant_id": 42}, "tenant_id=42 is not a text"),
    "content": ({"capture_content": "false"}, "capture_content='false' is neither True nor False"),
    "console": ({"console": None}, "console=None is neither True nor False"),
    "errors": ({"keep_errors": 0.5}, "keep_errors=0.5 is neither True nor False"),
    "async": ({"async_eval": "yes"}, "async_eval='yes' is neither True nor False"),
    "jsonl path": ({"jsonl_path": 7}, "jsonl_path=7 is no path"),
    "db path": ({"db_path": True}, "db_path=True is no path"),
}


def _quiet(arguments: Dict[str, Any]) -> Dict[str, Any]:
    return {"storage": None, "console": False, **arguments}


@pytest.mark.parametrize("case", KINDS)
def test_an_object_of_the_wrong_kind_is_named(case: str) -> None:
    arguments, message = KINDS[case]
    with pytest.raises(TypeError, match=message):
        peekr.instrument(**_quiet(arguments))


def test_what_is_refused_leaves_everything_as_it_was(
    telemetry: Telemetry, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    for arguments, _ in (*VALUES.values(), *KINDS.values()):
        with pytest.raises((ValueError, TypeError)):
            peekr.instrument(**arguments)
    with telemetry.tracer.start_as_current_span("work"):
        pass
    assert telemetry.record["name"] == "work"
    assert [path.name for path in tmp_path.iterdir()] == ["traces.jsonl"]


# -- what is taken ---------------------------------------------------------------------------------


def test_instances_of_the_right_kind_are_kept() -> None:
    alert, evaluator, guardrail, budget = _Alert(), _Evaluator(), _Guardrail(), _Budget()
    settings = Settings(
        alerts=(alert,), evaluators=(evaluator,), guardrails=(guardrail,), budget_alert=budget
    )
    assert settings.alerts == (alert,)
    assert settings.evaluators == (evaluator,)
    assert settings.guardrails == (guardrail,)
    assert settings.budget_alert is budget


@pytest.mark.parametrize("exporter", [_Exporter(), _Otlp(), InMemorySpanExporter(), _Cloud()])
def test_anything_that_exports_is_an_exporter(exporter: Any) -> None:
    assert Settings(exporter=exporter).exporter is exporter


@pytest.mark.parametrize("packs", [(), ("HIPAA", "GDPR"), None])
def test_rule_packs_need_an_exporter_to_the_cloud(packs: Any) -> None:
    assert Settings(compliance=packs, exporter=_Cloud()).compliance == packs


def test_no_packs_need_no_exporter() -> None:
    assert Settings(compliance=()).compliance == ()


@pytest.mark.parametrize("items", [None, [], (), iter(())])
def test_none_and_nothing_are_no_items(items: Any) -> None:
    assert config.listed("alerts", items) == ()


def test_any_iterable_gives_the_items() -> None:
    assert config.listed("alerts", {"a": 1}.keys()) == ("a",)  # pyright: ignore[reportArgumentType]


@pytest.mark.parametrize(
    ("storage", "jsonl_path", "db_path", "files"),
    [
        ("jsonl", "a.jsonl", "a.db", {"a.jsonl"}),
        ("sqlite", "a.jsonl", "a.db", {"a.db"}),
        ("both", "a.jsonl", "a.db", {"a.jsonl", "a.db"}),
        ("both", None, "a.db", {"a.db"}),
        ("both", "a.jsonl", None, {"a.jsonl"}),
        ("both", None, None, {}),
        ("jsonl", None, "a.db", {}),
        ("sqlite", "a.jsonl", None, {}),
        (None, "a.jsonl", "a.db", {}),
    ],
)
@pytest.mark.parametrize("kind", [str, Path])
def test_storage_and_paths_say_which_files_are_written(
    bare_telemetry: Telemetry,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    kind: Any,
    storage: Any,
    jsonl_path: Any,
    db_path: Any,
    files: Any,
) -> None:
    monkeypatch.chdir(tmp_path)
    bare_telemetry.instrument(
        storage=storage,
        jsonl_path=None if jsonl_path is None else kind(jsonl_path),
        db_path=None if db_path is None else kind(db_path),
    )
    with bare_telemetry.tracer.start_as_current_span("work"):
        pass
    peekr.uninstrument()
    # SQLite's own files beside the database go when it is closed.
    assert {path.name for path in tmp_path.iterdir()} == set(files)
    if "a.jsonl" in files:
        assert json.loads((tmp_path / "a.jsonl").read_text("utf-8"))["name"] == "work"


def test_the_defaults_are_those_of_instrument() -> None:
    import inspect

    settings = Settings()
    for name, parameter in inspect.signature(peekr.instrument).parameters.items():
        if name != "tracer_provider":
            assert getattr(settings, name) == parameter.default, name


def test_settings_are_frozen() -> None:
    with pytest.raises(AttributeError):
        Settings().storage = None  # pyright: ignore[reportAttributeAccessIssue]


@pytest.mark.parametrize("value", [True, False, 0, 1])
def test_switches_are_true_or_false(value: Any) -> None:
    assert Settings(console=value, keep_errors=value).console == value


# -- the environment -------------------------------------------------------------------------------


def test_the_environment_fills_in_what_is_not_given(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PEEKR_TENANT_ID", "acme")
    monkeypatch.setenv("PEEKR_RETENTION_CLASS", "pii")
    assert config.from_environment() == ("acme", "pii")


@pytest.mark.parametrize("environ", [{}, {"PEEKR_TENANT_ID": "", "PEEKR_RETENTION_CLASS": ""}])
def test_an_empty_variable_counts_as_absent(environ: Dict[str, str]) -> None:
    assert config.from_environment(environ) == (None, None)


def test_a_variable_that_cannot_be_used_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PEEKR_RETENTION_CLASS", "forever")
    expected = "PEEKR_RETENTION_CLASS='forever' is none of default, short, long, pii"
    with pytest.raises(peekr.ConfigurationError, match=expected):
        peekr.instrument(storage=None, console=False)
    monkeypatch.delenv("PEEKR_RETENTION_CLASS")
    monkeypatch.setenv("PEEKR_PRICES", "gone.json")
    with pytest.raises(peekr.ConfigurationError, match=r"PEEKR_PRICES=gone\.json: no such file"):
        peekr.instrument(storage=None, console=False)


@pytest.mark.parametrize(
    ("value", "is_on"),
    [
        ("true", True),
        ("TRUE", True),
        (" 1 ", True),
        ("false", False),
        ("0", False),
        ("", False),
        ("yes", True),
        ("on", True),
        ("off", False),
        (None, False),
    ],
)
def test_switches_of_the_environment(value: Any, is_on: bool) -> None:
    environ = {} if value is None else {"PEEKR_OPENAI_STREAM_USAGE": value}
    assert config.is_on("PEEKR_OPENAI_STREAM_USAGE", environ) is is_on


def test_a_switch_that_is_none_is_said_once(caplog: pytest.LogCaptureFixture) -> None:
    for _ in range(2):
        assert not config.is_on("PEEKR_OPENAI_STREAM_USAGE", {"PEEKR_OPENAI_STREAM_USAGE": "maye"})
    assert [record.getMessage() for record in caplog.records] == [
        "PEEKR_OPENAI_STREAM_USAGE='maye' is neither true nor false: it counts as false"
    ]


def test_every_variable_that_is_read_is_in_the_table() -> None:
    folder = Path(peekr.__file__).parent
    read = {
        word for file in folder.rglob("*.py") for word in _quoted_variables(file.read_text("utf-8"))
    }
    assert read == set(environment.ENVIRONMENT)


def _quoted_variables(source: str) -> Sequence[str]:
    import ast

    return [
        node.value
        for node in ast.walk(ast.parse(source))
        if isinstance(node, ast.Constant)
        and isinstance(node.value, str)
        and node.value.startswith("PEEKR_")
        and node.value.replace("_", "").isalpha()
        and node.value.isupper()
        and not node.value.endswith("_")  # the beginning of all of them
    ]


# -- tenant and retention --------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("of_session", "of_instrument", "of_environment", "expected"),
    [
        (("s", "short"), ("i", "long"), ("e", "pii"), ("s", "short")),
        ((None, None), ("i", "long"), ("e", "pii"), ("i", "long")),
        ((None, None), (None, None), ("e", "pii"), ("e", "pii")),
        ((None, None), ("", ""), ("e", "pii"), ("e", "pii")),
        (("s", None), (None, "long"), ("e", "pii"), ("s", "long")),
        ((None, "short"), ("i", None), ("e", "pii"), ("i", "short")),
        ((None, None), (None, None), ("", ""), (None, None)),
    ],
)
def test_session_over_instrument_over_environment(
    bare_telemetry: Telemetry,
    monkeypatch: pytest.MonkeyPatch,
    of_session: Any,
    of_instrument: Any,
    of_environment: Any,
    expected: Any,
) -> None:
    monkeypatch.setenv("PEEKR_TENANT_ID", of_environment[0])
    monkeypatch.setenv("PEEKR_RETENTION_CLASS", of_environment[1])
    bare_telemetry.instrument(tenant_id=of_instrument[0], retention_class=of_instrument[1])
    with peekr.session(tenant_id=of_session[0], retention_class=of_session[1]):
        bare_telemetry.tracer.start_span("work").end()
    record = bare_telemetry.record
    assert (record["tenant_id"], record["retention_class"]) == expected
    names = {name for name in record["attributes"] if "tenant" in name or "retention" in name}
    assert names == set()


def test_a_span_from_before_has_the_tenant_too(bare_telemetry: Telemetry) -> None:
    span = bare_telemetry.tracer.start_span("early")
    bare_telemetry.instrument(tenant_id="acme", retention_class="short")
    span.end()
    record = bare_telemetry.record
    assert (record["tenant_id"], record["retention_class"]) == ("acme", "short")


def test_the_settings_in_force_can_be_asked_for(telemetry: Telemetry) -> None:
    from peekr.bootstrap import active_settings

    settings = active_settings()
    assert settings is not None
    assert os.fspath(settings.writes_jsonl or "") == str(telemetry.path)
    peekr.uninstrument()
    assert active_settings() is None
