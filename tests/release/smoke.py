"""Use an installed Peekr a little, all of it: every module, both stores, every command.

    python tests/release/smoke.py       in a folder of its own, with the Python that has Peekr

Needs nothing but what a plain `pip install peekr` brings, and tries extras where they are
installed; exits with 1 where something is wrong.
"""

from __future__ import annotations

import contextlib
import importlib
import importlib.metadata
import json
import os
import pkgutil
import subprocess
import sys
import threading
import warnings
from collections.abc import Callable, Generator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

# What a plain installation lacks on purpose: pytest loads it, doctor starts processes with it.
NOT_ALONE = {"peekr.replaying.pytest_plugin", "peekr.diagnosis.startup.sitecustomize"}
GROUPS = ("console_scripts", "opentelemetry_")


def load_every_module() -> int:
    """Import all of it; a warning of ours is an error."""
    import peekr

    found = [module.name for module in pkgutil.walk_packages(peekr.__path__, "peekr.")]
    for name in found:
        if name not in NOT_ALONE and not name.endswith("__main__"):
            importlib.import_module(name)
    for name in peekr.__all__:
        getattr(peekr, name)
    return len(found)


def load_entry_points() -> int:
    """Everything that the distribution names to others is there."""
    named = [
        point
        for point in importlib.metadata.distribution("peekr").entry_points
        if point.group.startswith(GROUPS)
    ]
    for point in named:
        point.load()
    return len(named)


def record(folder: Path) -> str:
    """Make records in both stores; returns the id of a trace."""
    from opentelemetry import trace as otel_trace

    import peekr

    jsonl, db = str(folder / "traces.jsonl"), str(folder / "traces.db")
    peekr.instrument(console=False, storage="both", jsonl_path=jsonl, db_path=db)
    tracer = otel_trace.get_tracer("smoke")

    def ask(text: str) -> None:
        # As any instrumentation writes it: this Python has no SDK.
        with tracer.start_as_current_span(f"chat {text}") as span:
            span.set_attributes(
                {
                    "gen_ai.operation.name": "chat",
                    "gen_ai.provider.name": "openai",
                    "gen_ai.request.model": "gpt-4o",
                    "gen_ai.usage.input_tokens": 1_000,
                    "gen_ai.usage.output_tokens": 100,
                    "gen_ai.input.messages": messages("user", text),
                    "gen_ai.output.messages": messages("assistant", f"{text}!"),
                }
            )

    @peekr.trace
    def agent(question: str) -> str:
        ask(question)
        span = peekr.get_current_span()
        assert span is not None
        return span.trace_id

    @peekr.experiment(["control", "brief"])
    def tried(variant: str) -> None:
        ask(variant)

    with peekr.session(user_id="ada", tenant_id="acme", retention_class="short"):
        trace_id = agent("Hello")
        other = agent("Goodbye")
        for _ in range(8):
            tried()
    assert peekr.flush()
    peekr.feedback(trace_id, 1, "good", db_path=db)
    peekr.shutdown()
    records = [json.loads(line) for line in Path(jsonl).read_text("utf-8").splitlines()]
    assert len(records) == 2 * 2 + 8 * 2, len(records)
    costs = [r["attributes"]["cost_usd"] for r in records if "model" in r["attributes"]]
    assert len(costs) == 10, records
    assert all(0 < cost < 0.1 for cost in costs), costs
    (folder / "other.txt").write_text(other, "utf-8")
    return trace_id


def messages(role: str, text: str) -> str:
    return json.dumps([{"role": role, "parts": [{"type": "text", "content": text}]}])


@contextlib.contextmanager
def collector() -> Generator[str, None, None]:
    """Something that takes OTLP."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            self.rfile.read(int(self.headers["Content-Length"]))
            self.send_response(200)
            self.send_header("Content-Type", "application/x-protobuf")
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, format: str, *args: Any) -> None:
            """Say nothing."""

    server = HTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def command_lines(trace_id: str, other: str, url: str) -> dict[str, list[list[str]]]:
    """What is run of each command."""
    both = ("traces.jsonl", "traces.db")
    return {
        "view": [["view", file, *more] for file in both for more in ([], ["--io"], ["--json"])],
        "dashboard": [["dashboard", file, "-o", f"{file}.html"] for file in both],
        "replay": [
            ["replay", trace_id, "--db", "traces.db", "--no-input"],
            ["replay", trace_id, "--jsonl", "traces.jsonl", "--no-input"],
        ],
        "cost": [["cost", "traces.db", "--by", "tenant,model", "--reprice"]],
        "experiment": [["experiment", file] for file in both],
        "eval": [["eval", file, "--evaluator", "NotEmpty"] for file in both],
        "diff": [["diff", trace_id, other, "--file", file] for file in both],
        "export": [
            ["export", "traces.db", "--format", form] for form in ("otlp-json", "jsonl", "csv")
        ],
        "merge": [["merge", *both, "-o", "all.db"]],
        "stats": [["stats", "all.db"]],
        "ship": [["ship", "traces.db", "--endpoint", url]],
        "prune": [["prune", file, "--short", "1d", "--yes"] for file in both],
        "doctor": [["doctor"], ["doctor", "--redaction"]],
        "completion": [["completion", shell] for shell in ("bash", "zsh", "fish")],
    }


def run_every_command(folder: Path, trace_id: str) -> int:
    """Run them as a user does."""
    from peekr.cli import COMMANDS

    program = Path(sys.executable).with_name("peekr.exe" if os.name == "nt" else "peekr")
    count = 0
    with collector() as url:
        lines = command_lines(trace_id, (folder / "other.txt").read_text("utf-8"), url)
        assert set(lines) == set(COMMANDS), set(lines) ^ set(COMMANDS)
        for line in (arguments for group in lines.values() for arguments in group):
            done = subprocess.run(
                [str(program), *line], cwd=folder, capture_output=True, text=True, timeout=120
            )
            said = f"peekr {' '.join(line)}: exit {done.returncode}\n{done.stdout}{done.stderr}"
            assert done.returncode == 0, said
            assert "Traceback" not in done.stderr, said
            assert "Warning" not in done.stderr, said
            assert done.stdout or done.stderr, said
            count += 1
    with contextlib.suppress(ImportError):
        importlib.import_module("pyarrow")
        done = subprocess.run(
            [str(program), "export", "traces.db", "-o", "traces.parquet"],
            cwd=folder, capture_output=True, text=True, timeout=120,
        )  # fmt: skip
        assert done.returncode == 0, done.stdout + done.stderr
        parquet: Any = importlib.import_module("pyarrow.parquet")
        assert parquet.read_table(folder / "traces.parquet").num_rows == 20
        print("  Parquet", flush=True)
    page = (folder / "traces.db.html").read_text("utf-8")
    assert "<script" in page
    assert "Content-Security-Policy" in page
    return count


def redact() -> None:
    """Redaction, with the plans of telephone numbers where they are installed."""
    from peekr.guard import PIIRedact

    assert PIIRedact().redact("Write to ada@example.com") == "Write to [EMAIL]"
    with contextlib.suppress(ImportError):
        importlib.import_module("phonenumbers")
        assert PIIRedact(regions=("GB",)).redact("call 020 7946 0958") == "call [PHONE]"
        print("  telephone numbers", flush=True)


def launch(folder: Path) -> None:
    """OpenTelemetry's launcher finds Peekr."""
    (folder / "app.py").write_text(
        "from opentelemetry import trace\n"
        "with trace.get_tracer('app').start_as_current_span('work'): pass\n",
        "utf-8",
    )
    launcher = Path(sys.executable).with_name("opentelemetry-instrument")
    environment = {
        **os.environ,
        "PEEKR_JSONL_PATH": "launched.jsonl",
        "PATH": os.pathsep.join((str(launcher.parent), os.environ.get("PATH", ""))),
    }
    subprocess.run(
        [str(launcher), "python", "app.py"], cwd=folder, env=environment, check=True, timeout=120
    )
    (line,) = (folder / "launched.jsonl").read_text("utf-8").splitlines()
    assert json.loads(line)["name"] == "work"


def main() -> None:
    folder = Path.cwd()
    os.environ["PEEKR_RAISE_FAULTS"] = "1"
    # Others' deprecations are theirs to mend.
    warnings.filterwarnings("error", module=r"peekr\b")
    steps: list[tuple[str, Callable[[], Any]]] = [
        ("modules", load_every_module),
        ("entry points", load_entry_points),
    ]
    for what, step in steps:
        print(f"  {step()} {what}", flush=True)
    redact()
    trace_id = record(folder)
    print(f"  {run_every_command(folder, trace_id)} command lines", flush=True)
    launch(folder)
    print("  the launcher", flush=True)


if __name__ == "__main__":
    main()
