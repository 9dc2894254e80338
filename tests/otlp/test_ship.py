"""`peekr ship`: every stored span arrives, once, whatever happens in between."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import sqlite3
import ssl
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any, Dict, Iterator, List

import pytest
from click.testing import CliRunner, Result

from peekr.cli.group import group
from peekr.errors import PeekrError
from peekr.record import SpanRecord
from peekr.shipping.ledger import Ledger, ledger_path
from peekr.store import backoff
from tests.otlp.collector import GrpcCollector, HttpCollector, up
from tests.support.endpoint import Reply, certificate, running, until
from tests.support.trace_files import agent_trace, insert_sqlite, span, write_jsonl, write_sqlite

grpc = pytest.importorskip("grpc")


@pytest.fixture(autouse=True)
def short_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(backoff, "FIRST_S", 0.02)
    monkeypatch.setattr(backoff, "MAX_S", 0.05)
    for name in list(os.environ):
        if name.startswith(("OTEL_", "PEEKR_ENDPOINT", "PEEKR_API_KEY")):
            monkeypatch.delenv(name)


@pytest.fixture
def collector() -> Iterator[HttpCollector]:
    with up(HttpCollector()) as started:
        yield started


def spans(count: int, first: int = 0) -> List[Dict[str, Any]]:
    return [span(trace=1 + n // 10, number=n + 1) for n in range(first, first + count)]


def ids(records: List[Dict[str, Any]]) -> List[str]:
    return [record["span_id"] for record in records]


def run(*arguments: Any, **environment: str) -> Result:
    return CliRunner().invoke(group, ["ship", *map(str, arguments)], env=environment)


def write(path: Path, records: List[Dict[str, Any]]) -> Path:
    (write_sqlite if path.suffix == ".db" else write_jsonl)(path, records)
    return path


def append(path: Path, records: List[Dict[str, Any]]) -> None:
    if path.suffix == ".db":
        with contextlib.closing(sqlite3.connect(path)) as connection:
            insert_sqlite(connection, records)
    else:
        with path.open("a") as file:
            file.writelines(f"{json.dumps(record)}\n" for record in records)


@pytest.fixture(params=["traces.jsonl", "traces.db"])
def path(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    return tmp_path / request.param


# -- what arrives ----------------------------------------------------------------------------------


def test_every_span_arrives_once_and_later_ones_with_the_next_run(
    path: Path, collector: HttpCollector
) -> None:
    write(path, spans(25))
    first = run(path, "--endpoint", collector.url, "--batch-size", 10)
    assert first.output == f"Sent 25 spans to {collector.url}/v1/traces.\n"
    assert collector.ids == ids(spans(25))
    assert [request.headers["content-encoding"] for request in collector.received] == ["gzip"] * 3
    append(path, spans(5, first=25))
    second = run(path, "--endpoint", collector.url)
    assert second.output == (
        f"Sent 5 spans to {collector.url}/v1/traces; 25 spans had been sent before.\n"
    )
    assert collector.ids == ids(spans(30))
    assert run(path, "--endpoint", collector.url, "--again").exit_code == 0
    assert collector.ids == ids(spans(30)) * 2


def test_a_pruned_file_is_not_sent_again(path: Path, collector: HttpCollector) -> None:
    write(path, spans(20))
    run(path, "--endpoint", collector.url)
    path.unlink()
    write(path, spans(12, first=15))
    run(path, "--endpoint", collector.url)
    assert collector.ids == ids(spans(27))


def test_each_destination_gets_everything(path: Path, collector: HttpCollector) -> None:
    write(path, spans(5))
    with up(HttpCollector()) as other:
        run(path, "--endpoint", collector.url)
        run(path, "--endpoint", other.url)
        assert collector.ids == other.ids == ids(spans(5))


def test_it_speaks_grpc_with_headers(path: Path) -> None:
    write(path, spans(25))
    with up(GrpcCollector()) as collector:
        done = run(
            path, "--endpoint", collector.url, "--protocol", "grpc", "--batch-size", 10,
            "--header", "X-Team=blue",
        )  # fmt: skip
        assert done.output == f"Sent 25 spans to {collector.url}.\n"
        assert collector.ids == ids(spans(25))
        assert [said["x-team"] for said in collector.metadata] == ["blue"] * 3


def test_opentelemetrys_variables_are_used(path: Path, collector: HttpCollector) -> None:
    write(path, agent_trace(1))
    done = run(
        path,
        OTEL_EXPORTER_OTLP_ENDPOINT=collector.url,
        OTEL_EXPORTER_OTLP_HEADERS="x-team=blue,authorization=Bearer%20k",
        OTEL_SERVICE_NAME="shop",
    )
    assert done.exit_code == 0, done.output
    (request,) = collector.received
    assert request.headers["x-team"] == "blue"
    assert request.headers["authorization"] == "Bearer k"
    assert b"service.name" in request.plain
    assert b"shop" in request.plain


def test_resources_and_headers_are_added(path: Path, collector: HttpCollector) -> None:
    write(path, spans(1))
    run(
        path, "--endpoint", f"{collector.url}/", "--resource", "openinference.project.name=p1",
        "--header", "x-one=1", "--header", "x-two=a=b", "--compression", "none",
    )  # fmt: skip
    (request,) = collector.received
    assert b"openinference.project.name" in request.body
    assert (request.headers["x-one"], request.headers["x-two"]) == ("1", "a=b")


def test_records_go_to_peekrs_endpoint_under_the_key(path: Path) -> None:
    write(path, spans(15))
    with running() as endpoint:
        done = run(
            path, "--peekr", "--endpoint", endpoint.url, "--batch-size", 10,
            PEEKR_API_KEY="pk_live_secret",
        )  # fmt: skip
        assert done.output == f"Sent 15 spans to {endpoint.url}/v1/spans.\n"
        assert [s for request in endpoint.received for s in request.spans] == spans(15)
        assert endpoint.received[0].headers["authorization"] == "Bearer pk_live_secret"
    assert b"secret" not in Path(ledger_path(str(path), f"{endpoint.url}/v1/spans")).read_bytes()


def test_two_lines_of_one_span_are_one_span(tmp_path: Path, collector: HttpCollector) -> None:
    path = write(tmp_path / "traces.jsonl", spans(3) + spans(3))
    run(path, "--endpoint", collector.url)
    assert collector.ids == ids(spans(3))


def test_lines_that_cannot_be_read_are_said(tmp_path: Path, collector: HttpCollector) -> None:
    path = write(tmp_path / "traces.jsonl", spans(3))
    with path.open("a") as file:
        file.write('{"half')
    done = run(path, "--endpoint", collector.url)
    assert done.exit_code == 0
    assert "1 line could not be read" in done.output
    assert collector.ids == ids(spans(3))


@pytest.mark.parametrize("protocol", ["http", "grpc"])
def test_certificates_are_verified(tmp_path: Path, protocol: str) -> None:
    path = write(tmp_path / "traces.jsonl", spans(5))
    made, key = certificate(tmp_path)
    collector: Any
    if protocol == "http":
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(made, key)
        collector = HttpCollector(context)
    else:
        pair = (key.read_bytes(), made.read_bytes())
        collector = GrpcCollector(grpc.ssl_server_credentials([pair]))
    with up(collector):
        where = (path, "--endpoint", collector.url, "--protocol", protocol)
        assert run(*where, "--retry-for", 0).exit_code == 1
        assert collector.spans == []
        done = run(*where, "--certificate", made)
        assert done.exit_code == 0, done.output
        assert collector.ids == ids(spans(5))


# -- a destination in trouble ----------------------------------------------------------------------


def test_what_may_pass_is_tried_again(path: Path, collector: HttpCollector) -> None:
    write(path, spans(15))
    collector.replies = [Reply(503), Reply(), Reply(429, {"Retry-After": "0.1"}), Reply(cut=True)]
    assert run(path, "--endpoint", collector.url, "--batch-size", 10).exit_code == 0
    assert collector.ids == ids(spans(15))


def test_a_wait_is_said_once(path: Path, collector: HttpCollector) -> None:
    write(path, spans(3))
    collector.otherwise = lambda request: Reply(503 if len(collector.received) < 4 else 200)
    done = run(path, "--endpoint", collector.url)
    place = f"{collector.url}/v1/traces"
    assert done.output == (
        f"{place}: 503 Service Unavailable: {{}}; trying again for 60 s\nSent 3 spans to {place}.\n"
    )


def test_grpc_is_tried_again_and_split_too(path: Path) -> None:
    write(path, spans(16))
    too_large = (
        grpc.StatusCode.RESOURCE_EXHAUSTED, "Received message larger than max (9 vs. 4)",
    )  # fmt: skip
    with up(GrpcCollector()) as collector:
        collector.answers = [(grpc.StatusCode.UNAVAILABLE, "later"), too_large, too_large]
        done = run(path, "--endpoint", collector.url, "--protocol", "grpc")
        assert done.exit_code == 0, done.output
        assert sorted(collector.ids) == ids(spans(16))


def test_a_destination_that_stays_away_is_one_line_and_nothing_is_lost(path: Path) -> None:
    write(path, spans(30))
    collector = HttpCollector()
    with up(collector):
        collector.otherwise = lambda request: Reply(200 if not collector.spans else 503)
        done = run(
            path, "--endpoint", collector.url, "--batch-size", 10, "--retry-for", 0.1,
        )  # fmt: skip
        assert done.exit_code == 1
        assert done.output == (
            f"{collector.url}/v1/traces: 503 Service Unavailable: {{}}; run it again to go on\n"
        )
    down = run(path, "--endpoint", collector.url, "--retry-for", 0.1)
    assert down.exit_code == 1
    assert "connection refused" in down.output
    elsewhere = run(path, "--endpoint", "http://127.0.0.1:9", "--retry-for", 0)
    assert elsewhere.exit_code == 1
    assert not os.path.exists(ledger_path(str(path), "http://127.0.0.1:9/v1/traces"))
    with up(collector):
        collector.otherwise = lambda request: Reply()
        assert run(path, "--endpoint", collector.url).exit_code == 0
    assert collector.ids == ids(spans(30))


def test_a_request_that_is_refused_from_the_beginning_ends_it(
    path: Path, collector: HttpCollector
) -> None:
    write(path, spans(5))
    collector.otherwise = lambda request: Reply(422, body=b"x-mlflow-experiment-id is missing")
    done = run(path, "--endpoint", collector.url)
    assert done.exit_code == 1
    assert "does not take spans: 422" in done.output
    assert "x-mlflow-experiment-id is missing" in done.output
    assert len(collector.received) == 1


def test_a_span_that_is_never_taken_holds_up_no_other(path: Path, collector: HttpCollector) -> None:
    records = spans(20)
    records[13]["name"] = "poison"
    write(path, records)
    collector.otherwise = lambda request: Reply(400 if b"poison" in request.plain else 200)
    done = run(path, "--endpoint", collector.url, "--batch-size", 10)
    assert done.exit_code == 1
    assert "1 span not taken there: 400 Bad Request" in done.output
    assert sorted(collector.ids) == sorted(ids(records[:13] + records[14:]))


def test_what_a_collector_leaves_out_is_said(path: Path, collector: HttpCollector) -> None:
    write(path, spans(5))
    # partial_success { rejected_spans: 2, error_message: "too old" }
    collector.otherwise = lambda request: Reply(body=b"\x0a\x0b\x08\x02\x12\x07too old")
    done = run(path, "--endpoint", collector.url)
    assert done.exit_code == 1
    assert done.output == (
        f"Sent 3 spans to {collector.url}/v1/traces.\n2 spans not taken there: too old\n"
    )


# -- ends in the middle ----------------------------------------------------------------------------


def start(path: Path, url: str) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        [sys.executable, "-m", "peekr.cli", "ship", str(path), "--endpoint", url,
         "--batch-size", "10"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )  # fmt: skip


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM, signal.SIGINT])
def test_a_killed_ship_goes_on_without_doubling(
    path: Path, collector: HttpCollector, number: int
) -> None:
    write(path, spans(100))
    hold = threading.Event()
    collector.otherwise = lambda request: (
        # The connection is cut once the process is gone: a batch that was not taken.
        Reply(after=hold, cut=True) if len(collector.spans) >= 50 else Reply()
    )
    process = start(path, collector.url)
    until(lambda: len(collector.received) == 6, 60)
    process.send_signal(number)
    if number != signal.SIGKILL:
        hold.set()
    out, err = process.communicate(timeout=60)
    hold.set()
    assert len(collector.spans) == 50
    if number != signal.SIGKILL:
        assert process.returncode == 130
        assert b"run it again to go on" in err
        assert b"Sent 50 spans" in out
    collector.otherwise = lambda request: Reply()
    assert run(path, "--endpoint", collector.url).exit_code == 0
    assert collector.ids == ids(spans(100))


def test_two_at_once_are_refused(path: Path, collector: HttpCollector) -> None:
    pytest.importorskip("fcntl")
    write(path, spans(10))
    hold = threading.Event()
    collector.otherwise = lambda request: Reply(after=hold)
    process = start(path, collector.url)
    try:
        until(lambda: collector.received, 60)
        second = run(path, "--endpoint", collector.url)
        assert second.exit_code == 1
        assert "another peekr ship is at work on it" in second.output
    finally:
        hold.set()
        process.communicate(timeout=60)
    assert collector.ids == ids(spans(10))


def test_progress_that_was_cut_off_is_used_as_far_as_it_goes(tmp_path: Path) -> None:
    records = [SpanRecord.from_dict(record) for record in spans(3)]
    ledger = Ledger(tmp_path / "progress")
    ledger.add(records[:2])
    ledger.close()
    with (tmp_path / "progress").open("ab") as file:
        file.write(b"abc")
    ledger = Ledger(tmp_path / "progress")
    assert [record in ledger for record in records] == [True, True, False]
    ledger.add(records[2:])
    ledger.close()
    ledger = Ledger(tmp_path / "progress")
    assert [record in ledger for record in records] == [True, True, True]
    assert len(ledger) == 3
    ledger.close()
    ledger.close()


def test_a_file_that_is_no_progress_is_refused(tmp_path: Path) -> None:
    (tmp_path / "notes").write_text("important")
    with pytest.raises(PeekrError, match="is not the progress"):
        Ledger(tmp_path / "notes")
    assert (tmp_path / "notes").read_text() == "important"
    with pytest.raises(PeekrError, match="--state names another place"):
        Ledger(tmp_path / "missing" / "progress")


# -- the command line ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (("traces.jsonl",), 2, "give --endpoint"),
        (("traces.jsonl", "--endpoint", "nowhere"), 2, "is no URL of a server"),
        (("traces.jsonl", "--endpoint", "http://h", "--header", "secret"), 2, "NAME=VALUE"),
        (("missing.jsonl", "--endpoint", "http://h"), 1, "missing.jsonl: no such file"),
        (("traces.jsonl", "--peekr", "--endpoint", "http://h"), 2, "api_key is missing"),
        (("traces.jsonl", "--peekr", "--api-key", "k"), 2, "endpoint is missing"),
    ],
)
def test_what_cannot_be_done_is_one_line(
    arguments: Any, code: int, message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    write(tmp_path / "traces.jsonl", spans(1))
    done = run(*arguments)
    assert done.exit_code == code
    assert message in done.output
    assert "secret" not in done.output
    assert os.listdir(tmp_path) == ["traces.jsonl"]


@pytest.mark.skipif(os.name == "nt", reason="pseudo terminals are of POSIX")
def test_a_terminal_shows_a_bar_and_a_pipe_none(path: Path, collector: HttpCollector) -> None:
    import pty

    write(path, spans(50))
    master, slave = pty.openpty()
    try:
        process = subprocess.run(
            [sys.executable, "-m", "peekr.cli", "ship", str(path), "--endpoint", collector.url,
             "--batch-size", "10"],
            stdout=subprocess.PIPE,
            stderr=slave,
            timeout=60,
            env={**os.environ, "TERM": "xterm", "COLUMNS": "80"},
        )  # fmt: skip
        shown = os.read(master, 100_000).decode()
    finally:
        os.close(slave)
        os.close(master)
    assert process.returncode == 0
    assert "Sending" in shown
    assert "%" in shown
    piped = start(path, collector.url)
    _, err = piped.communicate(timeout=60)
    assert err == b""
