"""What SECURITY.md says is so: each statement there that has a tick."""

from __future__ import annotations

import base64
import json
import os
import re
import sqlite3
import stat
import subprocess
import sys
import threading
from contextlib import closing
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any, Dict, Iterator, List

import pytest
from click.testing import CliRunner

import peekr
from peekr.cli.group import group
from peekr.guard import PIIRedact
from peekr.http_client import HttpClient
from peekr.record import SpanRecord
from peekr.shipping.ledger import Ledger
from peekr.store.spool import Spool
from simulated_providers import SimulatedProviders
from tests.conftest import Telemetry
from tests.support.endpoint import certificate, running
from tests.support.examples import EXAMPLES

SECURITY = (EXAMPLES.parent / "SECURITY.md").read_text("utf-8")
POSIX = pytest.mark.skipif(os.name != "posix", reason="permissions are POSIX's")

# Escape sequences, a bell, a change of direction, a line separator, an 8-bit escape, a script.
EVIL = "\x1b[2J\x1b]0;owned\x07\u202e\u2028\x9b1m</script><script>alert(1)</script><img src=x>"
HIDDEN = ("\x1b", "\x07", "\x9b", "\u202e", "\u2028")
TRACES = ("a" * 32, "b" * 32)


def run(*arguments: str, code: int = 0) -> str:
    """Run a command; what it said on both streams."""
    done = CliRunner().invoke(group, list(arguments))
    assert done.exit_code == code, done.output
    return done.output


# -- what happens by default -----------------------------------------------------------------------

DEFAULT = """
import sys

asked = []

def audit(event, arguments):
    if event == "socket.connect":
        asked.append(str(arguments[1]))
    elif event in ("socket.getaddrinfo", "socket.gethostbyname"):
        asked.append(str(arguments[0]))

sys.addaudithook(audit)

import openai
import peekr

peekr.instrument()

@peekr.trace
def work(question):
    client = openai.OpenAI()
    return client.chat.completions.create(
        model="gpt-4o", messages=[{"role": "user", "content": question}]
    ).choices[0].message.content

work("what the user asks")
peekr.shutdown()

for command in ("view", "cost", "stats", "dashboard"):
    from peekr.cli.group import group
    group.main([command, "traces.jsonl"], standalone_mode=False)
print("asked", sorted(set(asked)), file=sys.stderr)
"""


def test_by_default_there_is_one_file_and_nobody_is_asked_but_the_provider(tmp_path: Path) -> None:
    pytest.importorskip("openai")
    with SimulatedProviders() as providers:
        kept = {k: v for k, v in os.environ.items() if not k.startswith(("PEEKR_", "OTEL_"))}
        made = subprocess.run(
            [sys.executable, "-c", DEFAULT],
            cwd=tmp_path,
            env={
                **kept,
                "OPENAI_BASE_URL": providers.openai_url,
                "OPENAI_API_KEY": "simulated",
                "NO_PROXY": "127.0.0.1",
            },
            capture_output=True,
            encoding="utf-8",
            timeout=120,
        )
        assert made.returncode == 0, made.stderr
        port = providers.url.rpartition(":")[2]
        (request,) = providers.requests
    (said,) = [line for line in made.stderr.splitlines() if line.startswith("asked")]
    assert set(re.findall(r"'([\d.]+)'", said)) == {"127.0.0.1"}
    assert set(re.findall(r", (\d+)\)", said)) == {port}
    assert not {"traceparent", "tracestate", "baggage"} & set(request.headers)
    # report.html is what `peekr dashboard` was asked for.
    assert {path.name for path in tmp_path.iterdir()} == {"traces.jsonl", "report.html"}
    stored = (tmp_path / "traces.jsonl").read_text("utf-8")
    assert "what the user asks" in stored
    # The lines of the console come first: the program prints nothing else.
    console = made.stdout.split("\ntrace ")[0]
    assert console.startswith("openai.chat [gpt-4o]")
    assert "what the user asks" not in console


def test_without_content_none_is_recorded(bare_telemetry: Telemetry, simulated: Any) -> None:
    openai = pytest.importorskip("openai")
    bare_telemetry.instrument(capture_content=False)

    @peekr.trace
    def work(question: str) -> str:
        with openai.OpenAI(base_url=simulated.openai_url, api_key="simulated") as client:
            client.chat.completions.create(
                model="gpt-4o",
                messages=[{"role": "user", "content": f"What is the weather in {question}?"}],
                tools=[{"type": "function", "function": {"name": "weather"}}],
            )
        return f"{question}!"

    work("Timbuktu")
    text = json.dumps(bare_telemetry.records)
    assert len(bare_telemetry.records) == 2
    assert "Timbuktu" not in text
    assert "tokens_input" in text


# -- files -----------------------------------------------------------------------------------------


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


@POSIX
@pytest.mark.parametrize(("umask", "expected"), [(0o022, 0o644), (0o077, 0o600)])
def test_trace_files_have_what_the_umask_leaves(tmp_path: Path, umask: int, expected: int) -> None:
    program = (
        f"import os; os.umask({umask}); import peekr\n"
        "peekr.instrument(console=False, storage='both')\n"
        "with peekr.span('work'): pass\n"
        "peekr.shutdown()\n"
    )
    subprocess.run([sys.executable, "-c", program], cwd=tmp_path, check=True, timeout=60)
    for name in ("traces.jsonl", "traces.db"):
        assert mode(tmp_path / name) == expected, name


@POSIX
def test_spools_and_notes_are_their_owners_alone(tmp_path: Path) -> None:
    before = os.umask(0)
    try:
        kept = Spool(tmp_path / "spool", 1_000).keep([b"{}"])
        notes = Ledger(tmp_path / "notes")
        notes.add([SpanRecord("a" * 32, "b" * 16, None, "openai.chat", 1.0, 2.0, 1000.0, "ok")])
        notes.close()
    finally:
        os.umask(before)
    assert kept is not None
    assert mode(tmp_path / "spool") == 0o700
    assert mode(Path(kept)) == 0o600
    assert mode(tmp_path / "notes") == 0o600


# -- hostile files ---------------------------------------------------------------------------------


def record(number: int, trace: str, **attributes: Any) -> Dict[str, Any]:
    """A record with something evil wherever a text may stand."""
    return {
        "trace_id": trace,
        "span_id": f"{number:016x}",
        "parent_id": None,
        "name": f"openai.chat{EVIL}",
        "start_time": 1_000.0 + number,
        "end_time": 1_001.0 + number,
        "duration_ms": 1_000,
        "status": "error",
        "tenant_id": EVIL,
        "retention_class": EVIL,
        "attributes": {
            "model": EVIL,
            "provider": EVIL,
            "input": [{"role": EVIL, "content": EVIL}],
            "output": f"={EVIL}",
            "error": EVIL,
            "session_id": EVIL,
            "user_id": EVIL,
            "feature": EVIL,
            "endpoint": EVIL,
            "eval_scores": {EVIL: 0.5},
            "finish_reasons": [EVIL],
            "tool_calls": [{"id": EVIL, "name": EVIL, "arguments": {EVIL: EVIL}}],
            "tokens_input": 5,
            EVIL: EVIL,
            **attributes,
        },
    }


@pytest.fixture
def hostile(tmp_path: Path) -> str:
    """A file of such records, among lines that are worse."""
    variant = record(3, TRACES[0], experiment_variant=EVIL)
    records = [
        record(1, TRACES[0]),
        record(2, TRACES[1]),
        {**variant, "name": f"experiment.{EVIL}"},
    ]
    deep = f'{{"trace_id": "{"c" * 32}", "attributes": {"[" * 200_000}{"]" * 200_000}}}'
    lines = [*map(json.dumps, records), deep, "\x1b[31mno json", "null", '{"trace_id": 1}']
    (tmp_path / "hostile.jsonl").write_text("\n".join(lines) + "\n", "utf-8")
    return str(tmp_path / "hostile.jsonl")


@pytest.mark.parametrize(
    "arguments",
    [
        ["view", "FILE"],
        ["view", "FILE", "--io"],
        ["view", "FILE", "--json"],
        ["cost", "FILE", "--by", "tenant,user,session,feature,endpoint,variant"],
        ["cost", "FILE", "--json"],
        ["cost", "FILE", "--csv"],
        ["stats", "FILE"],
        ["stats", "FILE", "--json"],
        ["diff", *TRACES, "--file", "FILE"],
        ["diff", *TRACES, "--file", "FILE", "--json"],
        ["replay", TRACES[0], "--jsonl", "FILE", "--no-input"],
        ["experiment", "FILE"],
        ["experiment", "FILE", "--json"],
        ["eval", "FILE", "--evaluator", "NotEmpty", "--dry-run"],
    ],
    ids=" ".join,
)
def test_nothing_in_a_file_steers_the_terminal(hostile: str, arguments: List[str]) -> None:
    said = run(*(hostile if argument == "FILE" else argument for argument in arguments))
    assert said
    for character in HIDDEN:
        assert character not in said, ascii(said)


def test_what_cannot_be_read_is_counted_and_passed_over(hostile: str) -> None:
    assert "4 lines could not be read" in run("view", hostile)


def test_a_cell_is_no_formula(hostile: str) -> None:
    assert ",'=" in run("export", hostile, "--format", "csv")


def test_a_page_runs_its_own_script_alone(hostile: str, tmp_path: Path) -> None:
    run("dashboard", hostile, "-o", str(tmp_path / "report.html"))
    page = (tmp_path / "report.html").read_text("utf-8")
    scripts = re.findall(r"<script[^>]*>", page)
    assert scripts.count("<script>") == 1
    assert all(tag == "<script>" or 'type="application/' in tag for tag in scripts)
    assert page.count("</script>") == len(scripts)
    assert "<img" not in page
    (policy,) = re.findall(r'http-equiv="Content-Security-Policy" content="([^"]*)"', page)
    rules = dict(rule.strip().split(" ", 1) for rule in policy.split(";"))
    assert rules["default-src"] == "'none'"
    for kind in ("script-src", "style-src"):
        assert re.fullmatch(r"'sha256-[\w+/]{43}='", rules[kind])
    assert rules["img-src"] == "data:"
    assert rules["base-uri"] == rules["form-action"] == "'none'"
    assert rules["require-trusted-types-for"] == "'script'"
    assert page.index("Content-Security-Policy") < page.index("<script")


def test_no_markup_is_made_of_texts() -> None:
    for path in (EXAMPLES.parent / "src" / "peekr" / "dashboard" / "page").glob("*.js"):
        source = path.read_text("utf-8")
        for way in ("innerHTML", "outerHTML", "insertAdjacentHTML", "document.write", "eval("):
            assert way not in source, f"{path.name}: {way}"


def test_a_view_in_the_place_of_the_table_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "endless.db"
    with closing(sqlite3.connect(path)) as connection:
        connection.execute(
            "CREATE VIEW spans AS WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n)"
            " SELECT i AS trace_id, i AS span_id, NULL AS parent_id, 'x' AS name, 1 AS start_time,"
            " 2 AS end_time, 1 AS duration_ms, 'ok' AS status, NULL AS tenant_id,"
            " NULL AS retention_class, '{}' AS attributes FROM n"
        )
        connection.commit()
    assert "it has no table spans" in run("view", str(path), code=1)


def test_reading_a_database_writes_nothing(tmp_path: Path) -> None:
    path = tmp_path / "traces.db"
    peekr.instrument(console=False, storage="sqlite", db_path=path)
    with peekr.span("work"):
        pass
    peekr.shutdown()
    before = {entry.name: entry.read_bytes() for entry in tmp_path.iterdir()}
    for arguments in (["view"], ["cost"], ["stats"], ["experiment"]):
        CliRunner().invoke(group, [*arguments, str(path)])
    assert {entry.name: entry.read_bytes() for entry in tmp_path.iterdir()} == before


# -- endpoints and keys ----------------------------------------------------------------------------


def test_a_certificate_that_nobody_vouches_for_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import ssl

    made, key = certificate(tmp_path)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(made, key)
    # With older versions of `requests` this switched verification off.
    monkeypatch.setenv("CURL_CA_BUNDLE", "")
    with running(context) as endpoint:
        client = HttpClient({"Authorization": "Bearer pk_0123456789"}, timeout_s=10)
        answer = client.send("POST", f"{endpoint.url}/v1/spans", b"{}")
        client.close()
        assert not endpoint.received
    assert answer.status == 0
    assert "trusted" in answer.reason


@pytest.fixture
def redirecting() -> Iterator[Any]:
    """A server that sends everybody to another path, and remembers who came."""
    came: List[str] = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            came.append(self.path)
            self.rfile.read(int(self.headers.get("Content-Length") or 0))
            self.send_response(307)
            self.send_header("Location", "/elsewhere")
            self.send_header("Content-Length", "0")
            self.end_headers()

        do_GET = do_POST

        def log_message(self, format: str, *args: Any) -> None:
            pass

    server = HTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, args=(0.02,))
    thread.start()
    yield f"http://127.0.0.1:{server.server_address[1]}", came
    server.shutdown()
    thread.join()
    server.server_close()


def test_a_redirect_is_not_followed(redirecting: Any) -> None:
    url, came = redirecting
    client = HttpClient({"Authorization": "Bearer pk_0123456789"})
    answer = client.send("POST", f"{url}/v1/spans", b"{}")
    client.close()
    assert (answer.status, came) == (307, ["/v1/spans"])


def test_no_key_is_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PEEKR_API_KEY", "pk_0123456789")
    monkeypatch.setenv("PEEKR_ENDPOINT", "https://ada:wonderland@peekr.example.com")
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", "http://ada:wonderland@127.0.0.1:4318/x")
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_HEADERS", "authorization=wonderland")
    exporter = peekr.HTTPExporter("http://127.0.0.1:9")
    try:
        assert "pk_0123456789" not in repr(exporter)
    finally:
        exporter.shutdown()
    for said in (str(peekr.doctor()), json.dumps(peekr.doctor().facts, default=str)):
        assert "PEEKR_API_KEY" in said
        assert "peekr.example.com" in said
        assert "127.0.0.1:4318/x" in said
        assert "pk_0123456789" not in said
        assert "wonderland" not in said


# -- redaction and guardrails ----------------------------------------------------------------------


def test_the_model_still_gets_the_original(bare_telemetry: Telemetry) -> None:
    openai = pytest.importorskip("openai")
    bare_telemetry.instrument(guardrails=[PIIRedact()])
    text = "Write to ada@example.com"
    with SimulatedProviders() as providers:
        with openai.OpenAI(base_url=providers.openai_url, api_key="simulated") as client:
            client.chat.completions.create(
                model="gpt-4o", messages=[{"role": "user", "content": text}]
            )
        (request,) = providers.requests
    assert request.body is not None
    assert request.body["messages"][0]["content"] == text
    assert bare_telemetry.record["attributes"]["input"][0]["content"] == "Write to [EMAIL]"


def test_evaluators_and_judges_get_what_is_redacted(bare_telemetry: Telemetry) -> None:
    openai = pytest.importorskip("openai")
    seen: List[str] = []

    def judge(span: Any) -> float:
        seen.append(json.dumps(span.to_dict()))
        return 1.0

    bare_telemetry.instrument(guardrails=[PIIRedact()], evaluators=[judge])
    with SimulatedProviders() as providers:
        with openai.OpenAI(base_url=providers.openai_url, api_key="simulated") as client:
            client.chat.completions.create(
                model="gpt-4o", messages=[{"role": "user", "content": "Say ada@example.com"}]
            )
        assert peekr.flush()
    (found,) = seen
    assert "[EMAIL]" in found
    assert "ada@example.com" not in found


@pytest.mark.parametrize(
    "texts",
    [
        ["Ada Lovelace, 12 St James's Square, London"],
        [base64.b64encode(b"ada.lovelace@example.com is my address").decode()],
        ["call me at five five five, one two three, four five six seven"],
        ["my card begins with 4111 1111", "and goes on with 1111 1111"],
    ],
    ids=["names", "base64", "words", "two messages"],
)
def test_what_redaction_does_not_find(bare_telemetry: Telemetry, texts: List[str]) -> None:
    # Not as it should be, but as it is: whoever mends one of these mends SECURITY.md.
    bare_telemetry.instrument(guardrails=[PIIRedact()])
    with peekr.span("work") as span:
        span.attributes["input"] = texts
    assert bare_telemetry.record["attributes"]["input"] == texts


def test_a_request_that_is_sent_by_hand_is_not_seen(bare_telemetry: Telemetry) -> None:
    import requests

    def never(text: str, field: str) -> bool:
        raise AssertionError("a guardrail saw it")

    bare_telemetry.instrument(guardrails=[never])
    with SimulatedProviders() as providers, requests.Session() as session:
        body = {"model": "gpt-4o", "messages": [{"role": "user", "content": "Hello?"}]}
        answer = session.post(f"{providers.openai_url}/chat/completions", json=body, timeout=30)
    assert answer.ok
    assert bare_telemetry.records == []


# -- the page itself -------------------------------------------------------------------------------


def test_what_the_page_names_exists() -> None:
    from peekr.environment import ENVIRONMENT

    for variable in re.findall(r"PEEKR_[A-Z_]+[A-Z]", SECURITY):
        assert variable in ENVIRONMENT, variable
    for name in re.findall(r"`@?peekr\.(\w+)", SECURITY):
        assert name in peekr.__all__ or name == "guard", name
