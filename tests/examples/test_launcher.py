"""The example under OpenTelemetry's launcher: records here, and the same spans at a collector."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Dict, Generator, List

import pytest

from peekr.instrumentation import rivals
from tests.launcher.running import other_instrumentors
from tests.otlp.test_rotel import Rotel
from tests.support import backends
from tests.support.endpoint import until
from tests.support.examples import EXAMPLES

pytest.importorskip("openai")


def launch(folder: Path, endpoint: str) -> List[Dict[str, Any]]:
    """Run the example as its docstring says; its records."""
    kept = {k: v for k, v in os.environ.items() if not k.startswith(("OTEL_", "PEEKR_"))}
    for kind in ("distro", "configurator"):
        # Where the tests have other distributions beside, the launcher has to be told.
        if len(rivals.entry_points_of(f"opentelemetry_{kind}")) > 1:
            kept[f"OTEL_PYTHON_{kind.upper()}"] = "peekr"
    scripts = Path(sys.executable).parent
    made = subprocess.run(
        [str(scripts / "opentelemetry-instrument"), "python", str(EXAMPLES / "launched_app.py")],
        cwd=folder,
        env={
            **kept,
            "PATH": os.pathsep.join((str(scripts), kept.get("PATH", ""))),
            "OTEL_EXPORTER_OTLP_ENDPOINT": endpoint,
            "OTEL_SERVICE_NAME": "walks",
            "OTEL_PYTHON_DISABLED_INSTRUMENTATIONS": other_instrumentors(),
            "PEEKR_RAISE_FAULTS": "1",
            # Its lines come from another thread, at times between a text and its line end.
            "PEEKR_CONSOLE": "false",
        },
        capture_output=True,
        encoding="utf-8",
        timeout=120,
    )
    assert made.returncode == 0, made.stderr
    assert made.stdout.splitlines() == ["Hello.", "Goodbye."]
    lines = (folder / "traces.jsonl").read_text("utf-8").splitlines()
    records: List[Dict[str, Any]] = [json.loads(line) for line in lines]
    assert [record["name"] for record in records] == ["openai.chat", "openai.chat"]
    return records


@contextmanager
def receiver(folder: Path) -> Generator[Path, None, None]:
    """The examples' stand-in for a collector, and what it prints."""
    log = folder / "received.txt"
    program = backends.Program(
        [sys.executable, str(EXAMPLES / "otlp_receiver.py"), "0"], log, folder
    )
    with backends.running(program):
        program.wait_until(lambda: "waiting on" in log.read_text("utf-8"), 30)
        yield log


def test_the_stand_in_for_a_collector_prints_every_span(tmp_path: Path) -> None:
    with receiver(tmp_path) as log:
        launch(tmp_path, log.read_text("utf-8").split()[-1])
        until(lambda: len(log.read_text("utf-8").splitlines()) > 2)
        assert log.read_text("utf-8").splitlines()[1:] == [
            "walks: chat gpt-4o-mini, 2 tokens out",
            "walks: chat gpt-4o-mini, 2 tokens out",
        ]


def test_a_real_collector_gets_every_span(tmp_path: Path) -> None:
    with backends.running(Rotel(tmp_path)) as rotel:
        assert isinstance(rotel, Rotel)
        records = launch(tmp_path, f"http://127.0.0.1:{rotel.http_port}")
        until(lambda: len(rotel.spans) >= 2)
        assert rotel.ids == sorted(record["span_id"] for record in records)
        for span in rotel.spans:
            assert span["resource"]["service.name"] == "walks"
            assert span["attributes"]["gen_ai.usage.output_tokens"] in (2, "2")
