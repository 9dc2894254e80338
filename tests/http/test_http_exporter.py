"""`HTTPExporter` against an endpoint on loopback that does everything an endpoint may do."""

from __future__ import annotations

import json
import logging
import os
import random
import ssl
import subprocess
import sys
import threading
import tracemalloc
from email.utils import formatdate
from pathlib import Path
from time import time
from typing import Any, Dict, Iterator, List, Optional

import pytest
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExporter

import peekr
from peekr.record import SpanRecord
from peekr.store import backoff
from tests.support.endpoint import Endpoint, Received, Reply, certificate, running, until

KEY = "pk_live_0123456789abcdef"


@pytest.fixture
def endpoint() -> Iterator[Endpoint]:
    with running() as started:
        yield started


@pytest.fixture(autouse=True)
def short_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(backoff, "FIRST_S", 0.02)
    monkeypatch.setattr(backoff, "MAX_S", 0.05)


@pytest.fixture
def made() -> Iterator[List[peekr.HTTPExporter]]:
    exporters: List[peekr.HTTPExporter] = []
    yield exporters
    for exporter in exporters:
        exporter.shutdown()


@pytest.fixture
def make(endpoint: Endpoint, made: List[peekr.HTTPExporter]) -> Any:
    def make(url: Optional[str] = None, key: str = KEY, **options: Any) -> peekr.HTTPExporter:
        options = {"flush_interval_seconds": 0.05, **options}
        exporter = peekr.HTTPExporter(url or endpoint.url, key, **options)
        made.append(exporter)
        return exporter

    return make


def record(number: int, size: int = 0) -> SpanRecord:
    attributes: Dict[str, Any] = {"model": "gpt-4o"}
    if size:
        attributes["input"] = "x" * size
    return SpanRecord(
        "a" * 32, f"{number:016x}", None, f"span {number}", 1.0, 2.0, 1000.0, "ok", None, None,
        attributes,
    )  # fmt: skip


def export(exporter: peekr.HTTPExporter, count: int, *, first: int = 0, size: int = 0) -> List[str]:
    names: List[str] = []
    for number in range(first, first + count):
        exporter.export(record(number, size))
        names.append(f"span {number}")
    return sorted(names)


def lines(folder: Path) -> List[Dict[str, Any]]:
    found = sorted(folder.glob("*.jsonl"))
    return [json.loads(line) for path in found for line in path.read_text().splitlines()]


# -- the request -----------------------------------------------------------------------------------


def test_spans_come_as_records_under_the_key(
    endpoint: Endpoint, make: Any, bare_telemetry: Any
) -> None:
    bare_telemetry.instrument(exporter=make(), tenant_id="acme")
    with peekr.session(session_id="s1"), peekr.span("work", {"n": 1}):
        pass
    assert peekr.flush()
    (request,) = endpoint.received
    assert (request.method, request.path) == ("POST", "/v1/spans")
    assert request.headers["authorization"] == f"Bearer {KEY}"
    assert request.headers["content-type"] == "application/json"
    assert request.spans == bare_telemetry.records
    assert request.spans[0]["tenant_id"] == "acme"


def test_large_bodies_are_sent_in_gzip_and_small_ones_as_they_are(
    endpoint: Endpoint, make: Any
) -> None:
    exporter = make()
    export(exporter, 1)
    assert exporter.force_flush()
    export(exporter, 1, first=1, size=5000)
    assert exporter.force_flush()
    small, large = endpoint.received
    assert "content-encoding" not in small.headers
    assert large.headers["content-encoding"] == "gzip"
    assert len(large.body) < 500
    assert endpoint.names == ["span 0", "span 1"]


def test_an_endpoint_without_gzip_gets_plain_bodies(endpoint: Endpoint, make: Any) -> None:
    endpoint.otherwise = lambda request: Reply(
        415 if "content-encoding" in request.headers else 200
    )
    exporter = make()
    export(exporter, 2, size=5000)
    assert exporter.force_flush()
    export(exporter, 1, first=2, size=5000)
    assert exporter.force_flush()
    assert len(endpoint.accepted) == 3
    assert [r.headers.get("content-encoding") for r in endpoint.received] == ["gzip", None, None]


def test_a_batch_is_sent_when_it_is_full_and_the_rest_after_the_interval(
    endpoint: Endpoint, make: Any
) -> None:
    exporter = make(batch_size=10, flush_interval_seconds=30)
    export(exporter, 25)
    until(lambda: len(endpoint.accepted) == 20)
    assert [len(request.spans) for request in endpoint.received] == [10, 10]
    until(lambda: exporter.waiting == 5)
    assert exporter.force_flush()
    assert len(endpoint.accepted) == 25
    export(make(flush_interval_seconds=0.05), 1, first=100)
    until(lambda: "span 100" in endpoint.names)


def test_it_works_with_opentelemetrys_own_processor(endpoint: Endpoint, make: Any) -> None:
    provider = TracerProvider(shutdown_on_exit=False)
    exporter = make()
    assert isinstance(exporter, SpanExporter)
    provider.add_span_processor(BatchSpanProcessor(exporter))
    with provider.get_tracer("test").start_as_current_span("one"):
        pass
    provider.shutdown()
    assert endpoint.names == ["one"]


def test_added_exporters_get_spans_too_and_each_one_once(
    endpoint: Endpoint, make: Any, telemetry: Any
) -> None:
    exporter = make()
    peekr.add_exporter(exporter)
    try:
        for number in range(30):
            with peekr.span(f"s{number:02}"):
                pass
        assert peekr.flush()
    finally:
        peekr.remove_exporter(exporter)
    assert endpoint.names == [f"s{number:02}" for number in range(30)]
    assert endpoint.doubled == 0


def test_its_own_requests_are_not_traced(
    endpoint: Endpoint, make: Any, bare_telemetry: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    from opentelemetry.context import get_value

    seen: List[object] = []
    exporter = make()
    post = exporter.client._client.send

    def sent(*args: Any) -> Any:
        seen.append(get_value("suppress_instrumentation"))
        return post(*args)

    monkeypatch.setattr(exporter.client._client, "send", sent)
    bare_telemetry.instrument(exporter=exporter)
    with peekr.span("work"):
        pass
    assert peekr.flush()
    assert seen == [True]


# -- trying again ----------------------------------------------------------------------------------


@pytest.mark.parametrize("status", [408, 425, 429, 500, 502, 503, 504])
def test_what_may_pass_is_tried_again_until_it_has(
    endpoint: Endpoint, make: Any, status: int
) -> None:
    endpoint.replies = [Reply(status), Reply(status), Reply(status)]
    exporter = make()
    names = export(exporter, 3)
    assert exporter.force_flush()
    assert endpoint.names == names
    assert len(endpoint.received) == 4
    assert (exporter.sent, exporter.lost, exporter.waiting) == (3, 0, 0)


def test_a_connection_that_breaks_is_tried_again(endpoint: Endpoint, make: Any) -> None:
    endpoint.replies = [Reply(cut=True), Reply(cut=True)]
    exporter = make()
    export(exporter, 1)
    assert exporter.force_flush()
    assert endpoint.names == ["span 0"]


def test_an_endpoint_that_is_too_slow_is_tried_again(endpoint: Endpoint, make: Any) -> None:
    go = threading.Event()
    endpoint.replies = [Reply(after=go)]
    exporter = make(timeout_seconds=0.2)
    export(exporter, 1)
    assert exporter.force_flush()
    go.set()
    assert len(endpoint.received) == 2


def test_an_endpoint_that_comes_up_later_gets_everything(
    make: Any, caplog: pytest.LogCaptureFixture
) -> None:
    late = Endpoint()
    exporter = make(late.url)
    names = export(exporter, 250)
    until(lambda: "connection refused" in caplog.text)
    late.start()
    try:
        assert exporter.force_flush()
        assert late.names == names
    finally:
        late.stop()
    said = [entry.getMessage() for entry in caplog.records]
    assert said == [
        f"cannot write traces to {late.url}: connection refused; the application goes on",
        f"writing traces to {late.url} again; no records were lost",
    ]


@pytest.mark.parametrize("form", ["seconds", "date"])
def test_retry_after_is_honoured_also_by_a_flush(endpoint: Endpoint, make: Any, form: str) -> None:
    value = "1" if form == "seconds" else formatdate(time() + 2.0, usegmt=True)
    endpoint.replies = [Reply(429, {"Retry-After": value})]
    exporter = make()
    export(exporter, 1)
    assert exporter.force_flush(20_000)
    first, second = endpoint.received
    assert second.at - first.at >= 0.9
    assert endpoint.names == ["span 0"]


def test_a_flush_does_not_wait_for_a_long_pause_of_our_own(
    endpoint: Endpoint, make: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(backoff, "FIRST_S", 1000.0)
    monkeypatch.setattr(backoff, "MAX_S", 1000.0)
    endpoint.replies = [Reply(503)]
    exporter = make()
    export(exporter, 1)
    until(lambda: endpoint.received)
    until(lambda: exporter._http.is_failing)
    assert exporter.force_flush(20_000)
    assert endpoint.names == ["span 0"]


def test_a_flush_does_not_wait_for_what_comes_after_its_time(endpoint: Endpoint, make: Any) -> None:
    endpoint.replies = [Reply(429, {"Retry-After": "3000"})]
    exporter = make()
    export(exporter, 1)
    assert not exporter.force_flush(1_000_000)
    assert len(endpoint.received) == 1
    assert exporter.waiting == 1


def test_pauses_grow_and_differ() -> None:
    waiting = backoff.Backoff()
    pauses: List[float] = []
    for _ in range(20):
        waiting.succeeded()
        for _ in range(4):
            waiting.failed()
        pauses.append(waiting.until)
    assert len(set(pauses)) == 20
    waiting.succeeded()
    assert (waiting.until, waiting.failures) == (0.0, 0)


def test_a_failure_that_passes_is_not_worth_a_line(
    endpoint: Endpoint, make: Any, caplog: pytest.LogCaptureFixture
) -> None:
    endpoint.replies = [Reply(503), Reply(cut=True)]
    exporter = make()
    export(exporter, 1)
    assert exporter.force_flush()
    assert caplog.records == []


# -- refusals --------------------------------------------------------------------------------------


def test_what_waits_takes_the_memory_that_is_counted(make: Any) -> None:
    exporter = make(batch_size=10_000, flush_interval_seconds=3600.0)
    export(exporter, 1)
    tracemalloc.start()
    export(exporter, 500, first=1, size=1_200)
    used = tracemalloc.get_traced_memory()[0]
    tracemalloc.stop()
    assert used < 500 * 2_000


def test_413_splits_the_batch_until_it_fits(endpoint: Endpoint, make: Any) -> None:
    endpoint.otherwise = lambda request: Reply(413 if len(request.spans) > 3 else 200)
    exporter = make(batch_size=16, flush_interval_seconds=30)
    names = export(exporter, 16)
    assert exporter.force_flush()
    assert endpoint.names == names
    assert endpoint.doubled == 0
    assert exporter.lost == 0


def test_a_span_that_is_too_large_by_itself_is_lost_alone_and_said(
    endpoint: Endpoint, make: Any, caplog: pytest.LogCaptureFixture
) -> None:
    endpoint.otherwise = lambda request: Reply(413 if len(request.plain) > 2000 else 200)
    exporter = make(batch_size=5, flush_interval_seconds=30)
    export(exporter, 2)
    export(exporter, 1, first=2, size=5000)
    export(exporter, 2, first=3)
    assert not exporter.force_flush()
    assert endpoint.names == ["span 0", "span 1", "span 3", "span 4"]
    assert exporter.lost == 1
    assert "does not take 1 span: 413" in caplog.text


@pytest.mark.parametrize("status", [401, 403])
def test_a_refused_key_stops_it_with_one_line(
    endpoint: Endpoint, make: Any, caplog: pytest.LogCaptureFixture, status: int
) -> None:
    endpoint.otherwise = lambda request: Reply(status, body=f"no such key {KEY}".encode())
    exporter = make(batch_size=2)
    export(exporter, 10)
    assert not exporter.force_flush()
    export(exporter, 10, first=10)
    exporter.force_flush()
    assert exporter.is_stopped
    assert len(endpoint.received) == 1
    (said,) = [entry.getMessage() for entry in caplog.records]
    assert said.startswith(f"{endpoint.url} refuses the API key ({status} ")
    assert "nothing more is sent from this process; spans are lost" in said
    assert KEY not in caplog.text
    exporter.shutdown()
    assert exporter.lost == 20
    assert "20 records were lost" in caplog.records[-1].getMessage()


@pytest.mark.parametrize("status", [400, 404, 422])
def test_what_an_endpoint_never_takes_is_lost_and_the_rest_goes_on(
    endpoint: Endpoint, make: Any, caplog: pytest.LogCaptureFixture, status: int
) -> None:
    endpoint.replies = [Reply(status, body=b'{"detail": "what is this?"}')]
    exporter = make()
    export(exporter, 2)
    assert not exporter.force_flush()
    export(exporter, 2, first=2)
    assert exporter.force_flush()
    assert endpoint.names == ["span 2", "span 3"]
    assert exporter.lost == 2
    assert "does not take 2 spans: " in caplog.text
    assert "what is this?" in caplog.text


def test_redirects_are_not_followed(
    endpoint: Endpoint, make: Any, caplog: pytest.LogCaptureFixture
) -> None:
    with running() as elsewhere:
        endpoint.otherwise = lambda request: Reply(
            307, {"Location": f"{elsewhere.url}/v1/spans?key=1"}
        )
        exporter = make()
        export(exporter, 1)
        assert not exporter.force_flush()
        assert elsewhere.received == []
    assert f"to {elsewhere.url}/v1/spans: is the address right?" in caplog.text


# -- bounds ----------------------------------------------------------------------------------------


def test_what_finds_no_room_is_counted_and_said(
    make: Any, caplog: pytest.LogCaptureFixture
) -> None:
    down = Endpoint()
    exporter = make(down.url, max_queued_spans=50, batch_size=10)
    export(exporter, 80)
    assert (exporter.waiting, exporter.lost) == (50, 30)
    down.start()
    try:
        exporter.force_flush()
        until(lambda: len(down.accepted) == 50)
        until(lambda: "again; 30 records were lost" in caplog.text)
    finally:
        down.stop()


def test_bytes_are_bounded_too(endpoint: Endpoint, make: Any) -> None:
    go = threading.Event()
    endpoint.replies = [Reply(after=go)]
    exporter = make(max_queued_bytes=50_000, batch_size=1)
    export(exporter, 100, size=10_000)
    assert exporter.waiting <= 4
    assert exporter.lost >= 96
    go.set()
    exporter.force_flush()
    assert exporter.waiting == 0


def test_one_request_is_no_larger_than_some_megabytes(endpoint: Endpoint, make: Any) -> None:
    exporter = make(flush_interval_seconds=30)
    export(exporter, 20, size=600_000)
    assert exporter.force_flush()
    assert len(endpoint.accepted) == 20
    assert max(len(request.plain) for request in endpoint.received) < 5_000_000


# -- the spool -------------------------------------------------------------------------------------


def test_a_spool_keeps_what_could_not_be_sent_for_the_next_start(make: Any, tmp_path: Path) -> None:
    down = Endpoint()
    spool = tmp_path / "spool"
    exporter = make(down.url, spool_directory=spool, batch_size=10)
    names = export(exporter, 35)
    assert exporter.force_flush(5_000)
    exporter.shutdown()
    assert exporter.lost == 0
    assert sorted(span["name"] for span in lines(spool)) == names
    assert oct(spool.stat().st_mode)[-3:] == "700"
    assert {oct(path.stat().st_mode)[-3:] for path in spool.iterdir()} == {"600"}
    down.start()
    try:
        make(down.url, spool_directory=spool)  # nothing is exported: it goes on by itself
        until(lambda: len(down.accepted) == 35)
        until(lambda: not list(spool.iterdir()))
    finally:
        down.stop()
    assert down.names == names


def test_a_spool_empties_when_the_endpoint_is_back(make: Any, tmp_path: Path) -> None:
    down = Endpoint()
    exporter = make(down.url, spool_directory=tmp_path, batch_size=10)
    export(exporter, 30)
    until(lambda: len(lines(tmp_path)) == 30)
    assert exporter.waiting == 0
    down.start()
    try:
        export(exporter, 5, first=30)
        until(lambda: len(down.accepted) == 35)
        until(lambda: not list(tmp_path.iterdir()))
    finally:
        down.stop()


def test_a_spool_outlives_a_refused_key(
    endpoint: Endpoint, make: Any, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    endpoint.otherwise = lambda request: Reply(401)
    refused = make(spool_directory=tmp_path, batch_size=10)
    names = export(refused, 20)
    refused.force_flush()
    names += export(refused, 5, first=20)
    refused.force_flush()
    refused.shutdown()
    assert refused.lost == 0
    assert f"spans are kept in {tmp_path}" in caplog.text
    assert sorted(span["name"] for span in lines(tmp_path)) == sorted(names)
    endpoint.otherwise = lambda request: Reply()
    accepted = make(spool_directory=tmp_path)
    until(lambda: len(endpoint.accepted) == 25)
    assert accepted.lost == 0


def test_a_batch_from_the_spool_is_split_too(endpoint: Endpoint, make: Any, tmp_path: Path) -> None:
    (tmp_path / "1.jsonl").write_bytes(
        b"".join(json.dumps(record(number).to_dict()).encode() + b"\n" for number in range(16))
    )
    endpoint.otherwise = lambda request: Reply(413 if len(request.spans) > 4 else 200)
    make(spool_directory=tmp_path)
    until(lambda: len(endpoint.accepted) == 16)
    until(lambda: not list(tmp_path.iterdir()))


def test_what_an_endpoint_never_takes_is_put_aside(
    endpoint: Endpoint, make: Any, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    endpoint.replies = [Reply(422)]
    exporter = make(spool_directory=tmp_path)
    export(exporter, 2)
    exporter.force_flush()
    assert exporter.lost == 0
    assert len(lines(tmp_path / "rejected")) == 2
    assert lines(tmp_path) == []
    assert f"they are kept in {tmp_path / 'rejected'}" in caplog.text
    make(spool_directory=tmp_path)
    export(exporter, 1, first=2)
    exporter.force_flush()
    assert endpoint.names == ["span 2"]


def test_a_full_spool_counts_what_it_cannot_take(
    make: Any, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    down = Endpoint()
    exporter = make(down.url, spool_directory=tmp_path, batch_size=10, max_spool_bytes=5_000)
    export(exporter, 100)
    assert not exporter.force_flush(5_000)
    exporter.shutdown()
    kept = len(lines(tmp_path))
    assert 0 < kept < 100
    assert exporter.lost == 100 - kept
    assert f"{100 - kept} records were lost" in caplog.text


def test_a_spool_that_cannot_be_written_is_said_and_breaks_nothing(
    endpoint: Endpoint, make: Any, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "file").write_text("")
    exporter = make(spool_directory=tmp_path / "file" / "spool")
    assert "cannot keep traces in" in caplog.text
    export(exporter, 1)
    assert exporter.force_flush()
    assert endpoint.names == ["span 0"]


def test_no_batch_is_sent_by_two_processes(endpoint: Endpoint, make: Any, tmp_path: Path) -> None:
    pytest.importorskip("fcntl")
    for number in range(20):
        line = json.dumps(record(number).to_dict())
        (tmp_path / f"{number:03}.jsonl").write_text(f"{line}\n")
    go = threading.Event()
    endpoint.replies = [Reply(after=go)]
    program = (
        "import sys, peekr\n"
        "exporter = peekr.HTTPExporter(sys.argv[1], 'key', spool_directory=sys.argv[2])\n"
        "sys.stdin.read()\n"
    )
    others = [
        subprocess.Popen(
            [sys.executable, "-c", program, endpoint.url, str(tmp_path)], stdin=subprocess.PIPE
        )
        for _ in range(2)
    ]
    try:
        until(lambda: len(endpoint.accepted) == 20, 60)
        go.set()
        until(lambda: not list(tmp_path.iterdir()), 60)
    finally:
        for other in others:
            other.communicate(b"", timeout=60)
    assert endpoint.doubled == 0


@pytest.mark.parametrize("spooled", [False, True], ids=["memory", "spool"])
def test_nothing_is_lost_between_many_threads_and_a_flaky_endpoint(
    endpoint: Endpoint, make: Any, tmp_path: Path, spooled: bool
) -> None:
    chance = random.Random(7)

    def reply(request: Received) -> Reply:
        kind = chance.randrange(6)
        if kind == 0:
            return Reply(503)
        if kind == 1:
            return Reply(429, {"Retry-After": "0.01"})
        if kind == 2:
            return Reply(cut=True)
        return Reply(413 if len(request.plain) > 10_000 else 200)

    endpoint.otherwise = reply
    exporter = make(batch_size=16, spool_directory=tmp_path if spooled else None)

    def work(thread: int) -> None:
        for number in range(40):
            exporter.export(record(thread * 1000 + number, size=thread * 300))
            if number % 10 == 0:
                exporter.force_flush(1)

    threads = [threading.Thread(target=work, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    until(lambda: exporter.force_flush(5_000))
    until(lambda: len(endpoint.accepted) == 320, 60)
    until(lambda: not list(tmp_path.iterdir()))
    assert (exporter.lost, exporter.waiting) == (0, 0)
    assert exporter.force_flush(1_000)


# -- the end of the process ------------------------------------------------------------------------

PROGRAM = """
import os, signal, sys, peekr
exporter = peekr.HTTPExporter(sys.argv[1], "pk_secret_key", spool_directory=sys.argv[2] or None,
                              flush_interval_seconds=60)
peekr.instrument(console=False, jsonl_path="traces.jsonl", exporter=exporter)
for number in range(20):
    with peekr.span(f"span {number}"):
        pass
if sys.argv[3] == "fork":
    child = os.fork()
    if not child:
        with peekr.span("child"):
            pass
        peekr.flush()
        os._exit(0)
    os.waitpid(child, 0)
elif sys.argv[3]:
    os.kill(os.getpid(), getattr(signal, sys.argv[3]))
"""


def run(url: str, spool: str, end: str, folder: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", PROGRAM, url, spool, end],
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=60,
    )


@pytest.mark.parametrize("end", ["", "SIGTERM"])
def test_what_waits_is_sent_at_the_end_of_the_process(
    endpoint: Endpoint, tmp_path: Path, end: str
) -> None:
    done = run(endpoint.url, "", end, tmp_path)
    assert done.stderr == ""
    assert len(endpoint.accepted) == 20


@pytest.mark.parametrize("end", ["", "SIGTERM"])
def test_what_cannot_be_sent_at_the_end_is_in_the_spool(tmp_path: Path, end: str) -> None:
    down = Endpoint()
    run(down.url, "spool", end, tmp_path)
    assert len(lines(tmp_path / "spool")) == 20
    assert len((tmp_path / "traces.jsonl").read_text().splitlines()) == 20
    assert not any(b"pk_secret" in path.read_bytes() for path in (tmp_path / "spool").iterdir())


def test_what_cannot_be_sent_at_the_end_is_counted_without_a_spool(tmp_path: Path) -> None:
    down = Endpoint()
    done = run(down.url, "", "", tmp_path)
    assert done.returncode == 0
    assert "connection refused" in done.stderr
    assert "20 records were lost" in done.stderr
    assert "pk_secret" not in done.stderr


@pytest.mark.skipif(not hasattr(os, "fork"), reason="the platform has no fork")
def test_a_forks_child_sends_its_own_spans(endpoint: Endpoint, tmp_path: Path) -> None:
    run(endpoint.url, "", "fork", tmp_path)
    assert len(endpoint.accepted) == 21
    assert endpoint.doubled == 0


# -- the key and TLS -------------------------------------------------------------------------------


def test_the_key_is_nowhere_to_be_seen(
    endpoint: Endpoint, make: Any, caplog: pytest.LogCaptureFixture, bare_telemetry: Any
) -> None:
    import copy
    import pickle

    from peekr import bootstrap

    endpoint.otherwise = lambda request: Reply(500, body=f"you sent {KEY}".encode())
    with caplog.at_level(logging.DEBUG):
        exporter = make()
        bare_telemetry.instrument(exporter=exporter)
        export(exporter, 1)
        exporter.force_flush(300)
    assert KEY not in caplog.text
    assert "you sent [hidden]" in caplog.text
    for thing in (exporter, exporter.client):
        assert KEY not in f"{thing!r} {thing.__dict__}"
    assert KEY not in str(exporter.client._client.__dict__)
    assert KEY not in repr(bootstrap.active_settings())
    stores: List[Any] = [pickle.dumps, copy.deepcopy]
    for store in stores:
        with pytest.raises(TypeError, match="not stored"):
            store(exporter.client._client._headers)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((None, KEY), "endpoint is missing"),
        (("https://host", None), "api_key is missing"),
        (("https://host", "  "), "api_key is missing"),
        (("host", KEY), "is no URL of a server"),
        (("ftp://host", KEY), "is no URL of a server"),
        (("https://user:pw@host", KEY), "has credentials in it"),
        (("https://host?key=1", KEY), "more than a path"),
        (("https://host:port", KEY), "is no URL"),
        (("https://host", "pk_live\nX-Other: 1"), "characters in it that no key has"),
    ],
)
def test_what_cannot_be_used_is_refused_without_showing_the_key(
    arguments: Any, message: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("PEEKR_ENDPOINT", raising=False)
    monkeypatch.delenv("PEEKR_API_KEY", raising=False)
    with pytest.raises(ValueError, match=message) as caught:
        peekr.HTTPExporter(*arguments)
    assert "pk_live" not in str(caught.value)
    assert "pw" not in str(caught.value)


@pytest.mark.parametrize(
    ("option", "value", "error"),
    [
        ("batch_size", 0, ValueError),
        ("batch_size", "many", TypeError),
        ("flush_interval_seconds", -1, ValueError),
        ("timeout_seconds", float("inf"), ValueError),
        ("timeout_seconds", "long", TypeError),
        ("compression", "zip", ValueError),
        ("max_queued_spans", 1.5, TypeError),
    ],
)
def test_options_out_of_range_are_named(option: str, value: Any, error: Any) -> None:
    with pytest.raises(error, match=option):
        peekr.HTTPExporter("https://host", KEY, **{option: value})


def test_endpoint_and_key_come_from_the_environment(
    endpoint: Endpoint, made: List[peekr.HTTPExporter], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PEEKR_ENDPOINT", f"{endpoint.url}/")
    monkeypatch.setenv("PEEKR_API_KEY", KEY)
    exporter = peekr.HTTPExporter()
    made.append(exporter)
    export(exporter, 1)
    assert exporter.force_flush()
    assert endpoint.received[0].headers["authorization"] == f"Bearer {KEY}"


def test_a_netrc_file_does_not_replace_the_key(
    endpoint: Endpoint, make: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "netrc").write_text("machine 127.0.0.1 login me password other\n")
    monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))
    exporter = make()
    export(exporter, 1)
    assert exporter.force_flush()
    assert endpoint.received[0].headers["authorization"] == f"Bearer {KEY}"


def test_certificates_are_verified(
    make: Any, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    made, key = certificate(tmp_path)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(made, key)
    with running(context) as secure:
        distrustful = make(secure.url)
        export(distrustful, 1)
        assert not distrustful.force_flush(1_000)
        assert "no trusted connection: " in caplog.text
        assert secure.received == []
        trustful = make(secure.url, certificate_file=made)
        export(trustful, 1)
        assert trustful.force_flush()
        assert secure.names == ["span 0"]
