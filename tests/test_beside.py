"""Beside other telemetry, in real programs: one record a call, and nobody else loses anything.

Each set-up runs where its packages are installed and is skipped elsewhere: some of them exclude
each other. `pip install logfire` and the like, one after the other, runs them all.
"""

from __future__ import annotations

import importlib
import importlib.util
import json
from pathlib import Path
from typing import Any, Dict, List, NamedTuple

import pytest

from .launcher.running import Done, other_instrumentors, run

PROGRAM = """
import json, warnings
from opentelemetry import trace
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

exporter = InMemorySpanExporter()

def provider():
    made = TracerProvider()
    made.add_span_processor(SimpleSpanProcessor(exporter))
    return made

def set_up():
    {set_up}

def peekr_s():
    import peekr
    peekr.instrument(console=False)

{first}
import openai
{second}
client = openai.OpenAI(base_url={url!r}, api_key="k", max_retries=0)
with trace.get_tracer("app").start_as_current_span("work"):
    say = [{{"role": "user", "content": "hi"}}]
    client.chat.completions.create(model="gpt-4o", messages=say)
    for chunk in client.chat.completions.create(model="gpt-4o", messages=say, stream=True):
        pass
for span in exporter.get_finished_spans():
    print(json.dumps([span.instrumentation_scope.name, span.name]))
"""


class SetUp(NamedTuple):
    """Somebody else's telemetry.

    Attributes:
        needs: Modules without which it cannot be run.
        code: What the application does for it.
        scope: Of the spans that it makes of a model call; empty where it makes none.
        orders: Whether Peekr may come before it, after it, or both.
    """

    needs: str
    code: str
    scope: str = ""
    orders: str = "before after"


GLOBAL = "trace.set_tracer_provider(provider())"
INSTRUMENTOR = (
    GLOBAL + "\n    from {} import OpenAIInstrumentor\n    OpenAIInstrumentor().instrument()"
)
SET_UPS: Dict[str, SetUp] = {
    "the SDK": SetUp("openai", GLOBAL, orders="after"),
    "OpenInference": SetUp(
        "openinference.instrumentation.openai",
        INSTRUMENTOR.format("openinference.instrumentation.openai"),
        "openinference.instrumentation.openai",
        "after",
    ),
    "OpenLLMetry": SetUp(
        "opentelemetry.instrumentation.openai",
        INSTRUMENTOR.format("opentelemetry.instrumentation.openai"),
        "opentelemetry.instrumentation.openai",
        "after",
    ),
    "genai-openai": SetUp(
        "opentelemetry.instrumentation.genai.openai",
        INSTRUMENTOR.format("opentelemetry.instrumentation.genai.openai"),
        "opentelemetry.instrumentation.genai.openai",
        "after",
    ),
    "openai-v2": SetUp(
        "opentelemetry.instrumentation.openai_v2",
        INSTRUMENTOR.format("opentelemetry.instrumentation.openai_v2"),
        "opentelemetry.instrumentation.openai_v2",
        "after",
    ),
    "Logfire": SetUp(
        "logfire",
        "import logfire\n"
        "    logfire.configure(send_to_logfire=False, console=False,\n"
        "        additional_span_processors=[SimpleSpanProcessor(exporter)])",
        orders="after",
    ),
    "Logfire's own instrumentation": SetUp(
        "logfire",
        "import logfire\n"
        "    logfire.configure(send_to_logfire=False, console=False,\n"
        "        additional_span_processors=[SimpleSpanProcessor(exporter)])\n"
        "    logfire.instrument_openai()",
        "logfire.openai",
        "after",
    ),
    "Sentry": SetUp(
        "sentry_sdk.integrations.opentelemetry",
        "import sentry_sdk\n"
        "    from sentry_sdk.integrations.opentelemetry import SentryPropagator\n"
        "    from sentry_sdk.integrations.opentelemetry import SentrySpanProcessor\n"
        "    from opentelemetry.propagate import set_global_textmap\n"
        "    sentry_sdk.init(dsn='http://k@127.0.0.1:9/1', traces_sample_rate=1.0,\n"
        "        instrumenter='otel', transport=lambda event: None)\n"
        "    made = provider()\n"
        "    made.add_span_processor(SentrySpanProcessor())\n"
        "    trace.set_tracer_provider(made)\n"
        "    set_global_textmap(SentryPropagator())",
        orders="after",
    ),
}


def present(module: str) -> bool:
    """Whether a module can be imported: some of these are installed with what they cannot use."""
    if importlib.util.find_spec(module.partition(".")[0]) is None:
        return False
    try:
        importlib.import_module(module)
    except ImportError:
        return False
    return True


def start(folder: Path, simulated: Any, name: str, *, peekr_first: bool = False) -> Done:
    set_up = SET_UPS[name]
    for module in ("openai", set_up.needs):
        if not present(module):
            pytest.skip(f"{module} is not installed")
    steps = ("peekr_s()", "set_up()") if peekr_first else ("set_up()", "peekr_s()")
    program = PROGRAM.format(
        set_up=set_up.code, first=steps[0], second=steps[1], url=simulated.openai_url
    )
    # Others warn of deprecations of their own.
    return run(folder, program, launched=False, PYTHONWARNINGS="ignore", PEEKR_RAISE_FAULTS="")


def spans_of(done: Done) -> List[Any]:
    return [json.loads(line) for line in done.out if line.startswith("[")]


def told(simulated: Any, before: int) -> List[str]:
    """Which of the headers that tell of a trace the provider got."""
    return [
        name
        for request in simulated.requests[before:]
        for name in map(str.lower, request.headers)
        if name in ("traceparent", "tracestate")
    ]


@pytest.mark.parametrize("name", SET_UPS)
def test_one_record_a_call_and_one_warning_where_there_are_two_spans(
    name: str, tmp_path: Path, simulated: Any
) -> None:
    before = len(simulated.requests)
    done = start(tmp_path, simulated, name)
    assert sorted(done.names) == ["openai.chat", "openai.chat", "work"]
    (work,) = [record for record in done.records if record["name"] == "work"]
    calls = [record for record in done.records if record["name"] == "openai.chat"]
    for call in calls:
        assert call["parent_id"] == work["span_id"]
        assert call["attributes"]["output"] == "This is a simulated answer to: hi"
    spans = spans_of(done)
    own = [span for span in spans if span[0] == "peekr.instrumentation.openai"]
    assert len(own) == 2
    assert ["app", "work"] in spans
    others = [span for span in spans if span not in own and span != ["app", "work"]]
    scope = SET_UPS[name].scope
    warnings = [line for line in done.err.splitlines() if "Peekr" in line]
    if scope:
        assert {span[0] for span in others} == {scope} or all(
            span[0].startswith(scope) for span in others
        )
        (line,) = warnings
        assert scope in line
        assert "Peekr (peekr_openai)" in line
        assert "To choose: " in line
    else:
        assert (others, warnings) == ([], [])
    if name != "OpenLLMetry":  # which sends its own span's context itself
        assert told(simulated, before) == []


@pytest.mark.parametrize(
    "name", [name for name in SET_UPS if "Instrumentor()" in SET_UPS[name].code]
)
def test_the_order_does_not_matter(name: str, tmp_path: Path, simulated: Any) -> None:
    set_up = SET_UPS[name]
    for module in ("openai", set_up.needs):
        if not present(module):
            pytest.skip(f"{module} is not installed")
    instrument = set_up.code.partition("\n")[2].strip().replace("\n    ", "\n")
    program = PROGRAM.format(
        set_up=GLOBAL, first="set_up(); peekr_s()", second=instrument, url=simulated.openai_url
    )
    done = run(tmp_path, program, launched=False, PYTHONWARNINGS="ignore", PEEKR_RAISE_FAULTS="")
    assert sorted(done.names) == ["openai.chat", "openai.chat", "work"]
    *calls, work = done.records
    assert {record["parent_id"] for record in calls} == {work["span_id"]}
    assert len([line for line in done.err.splitlines() if "To choose: " in line]) == 1


def test_ddtraces_provider_is_left_alone_without_a_warning(tmp_path: Path, simulated: Any) -> None:
    for module in ("openai", "ddtrace.opentelemetry"):
        if not present(module):
            pytest.skip(f"{module} is not installed")
    done = run(
        tmp_path,
        PROGRAM.format(
            set_up="from ddtrace.opentelemetry import TracerProvider as Theirs\n"
            "    trace.set_tracer_provider(Theirs())",
            first="set_up()",
            second="peekr_s()",
            url=simulated.openai_url,
        )
        + "print(type(trace.get_tracer_provider()).__module__)",
        launched=False,
        DD_TRACE_AGENT_URL="http://127.0.0.1:9",
        DD_TRACE_ENABLED="false",
        DD_INSTRUMENTATION_TELEMETRY_ENABLED="false",
        PYTHONWARNINGS="ignore",
        PEEKR_RAISE_FAULTS="",
    )
    assert done.names == ["openai.chat", "openai.chat"]
    assert "Peekr" not in done.err
    assert done.out[-1].startswith("ddtrace")


RIVALS = [
    "openinference.instrumentation.openai",
    "opentelemetry.instrumentation.openai",
    "opentelemetry.instrumentation.genai.openai",
    "opentelemetry.instrumentation.openai_v2",
]


@pytest.mark.parametrize("chosen", ["peekr_openai", "openai", ""])
def test_the_launcher_loads_one_of_two_instrumentors(
    chosen: str, tmp_path: Path, simulated: Any
) -> None:
    rivals = [module for module in RIVALS if present(module)]
    if not present("openai") or not rivals:
        pytest.skip("no other instrumentor of openai is installed")
    disabled = [name for name in other_instrumentors().split(",") if name != "openai"]
    disabled += [chosen] if chosen else []
    done = run(
        tmp_path,
        f"import openai\nopenai.OpenAI(base_url={simulated.openai_url!r}, api_key='k')"
        ".chat.completions.create(model='gpt-4o', messages=[{'role': 'user', 'content': 'hi'}])",
        OTEL_TRACES_EXPORTER="console",
        OTEL_PYTHON_DISTRO="peekr",
        OTEL_PYTHON_CONFIGURATOR="peekr",
        OTEL_PYTHON_DISABLED_INSTRUMENTATIONS=",".join(disabled),
        PYTHONWARNINGS="ignore",
        PEEKR_RAISE_FAULTS="",
    )
    said = [line for line in done.err.splitlines() if "To choose: " in line]
    scopes = [line for line in done.out if '"kind": "SpanKind.CLIENT"' in line]
    if chosen == "peekr_openai":
        # Peekr's is off: the others' spans are stored.
        assert len(done.records) == 1
        assert not said
    else:
        assert done.names == ["openai.chat"]
        assert len(scopes) == 1
        assert bool(said) is not bool(chosen)
        for line in said:
            assert "Peekr (peekr_openai)" in line


@pytest.mark.parametrize("choice", ["", "peekr", "distro"])
def test_beside_opentelemetry_distro_there_is_one_record_a_call(
    choice: str, tmp_path: Path, simulated: Any
) -> None:
    if not present("openai") or not present("opentelemetry.distro"):
        pytest.skip("opentelemetry-distro is not installed")
    names = {"peekr": ("peekr", "peekr"), "distro": ("distro", "configurator")}.get(choice)
    first, second = names or (None, None)
    chosen: Dict[str, Any] = {"OTEL_PYTHON_DISTRO": first, "OTEL_PYTHON_CONFIGURATOR": second}
    done = run(
        tmp_path,
        f"import openai\nopenai.OpenAI(base_url={simulated.openai_url!r}, api_key='k')"
        ".chat.completions.create(model='gpt-4o', messages=[{'role': 'user', 'content': 'hi'}])",
        OTEL_TRACES_EXPORTER="console",
        OTEL_METRICS_EXPORTER="none",
        OTEL_LOGS_EXPORTER="none",
        PEEKR_STORAGE="jsonl",
        **chosen,
    )
    assert done.names == ["openai.chat"]
    assert len([line for line in done.out if '"kind": "SpanKind.CLIENT"' in line]) == 1


def test_prices_are_loaded_without_leaving_a_module_half_imported(tmp_path: Path) -> None:
    # openai 2 looks for httpx2 in sys.modules at each request, and takes what it finds for whole.
    for module in ("httpx2", "genai_prices"):
        if not present(module):
            pytest.skip(f"{module} is not installed")
    done = run(
        tmp_path,
        "import sys, types\n"
        "sys.modules['openai'] = types.ModuleType('openai')\n"
        "from peekr.pricing import library\n"
        "library.load_behind()\n"
        "print(hasattr(sys.modules['httpx2'], 'Timeout'))\n"
        "assert library.wait(60)",
        launched=False,
    )
    assert done.out == ["True"]
