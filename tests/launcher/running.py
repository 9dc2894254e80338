"""Programs run as users run them, plain or under `opentelemetry-instrument`."""

from __future__ import annotations

import json
import os
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path
from typing import Any, Dict, List, Optional

from peekr.instrumentation import rivals

LAUNCHER = "opentelemetry.instrumentation.auto_instrumentation"


def other_instrumentors() -> str:
    """The names of those that are installed besides Peekr's, with commas: they are left out."""
    points = rivals.entry_points_of("opentelemetry_instrumentor")
    return ",".join(sorted({p.name for p in points if not p.value.startswith("peekr.")}))


class Done:
    """How a program ended.

    Attributes:
        folder: Where it ran.
        out: What it printed, line by line.
        err: What it wrote to stderr, without the launcher's own lines on other distributions.
    """

    def __init__(self, folder: Path, made: subprocess.CompletedProcess[str]) -> None:
        self.folder = folder
        self.out = made.stdout.splitlines()
        # What the launcher says where other distributions are installed, whichever is chosen.
        lines = made.stderr.splitlines(keepends=True)
        self.err = "".join(line for line in lines if not line.startswith("Configuration of "))

    @property
    def records(self) -> List[Dict[str, Any]]:
        """The records in `traces.jsonl`."""
        return self.records_in("traces.jsonl")

    def records_in(self, name: str) -> List[Dict[str, Any]]:
        """The records in a file, JSONL or SQLite."""
        path = self.folder / name
        if not path.exists():
            return []
        if not name.endswith(".db"):
            return [json.loads(line) for line in path.read_text("utf-8").splitlines()]
        with closing(sqlite3.connect(str(path))) as connection:
            connection.row_factory = sqlite3.Row
            rows = [dict(row) for row in connection.execute("SELECT * FROM spans")]
        return [{**row, "attributes": json.loads(row["attributes"])} for row in rows]

    @property
    def names(self) -> List[str]:
        """The names of the records."""
        return [record["name"] for record in self.records]

    @property
    def files(self) -> List[str]:
        """What the program has left in its folder, without what is SQLite's own."""
        names = (path.name for path in self.folder.iterdir())
        return sorted(n for n in names if not n.endswith((".py", "-wal", "-shm", "__pycache__")))


def run(
    folder: Path,
    program: str,
    *,
    launched: bool = True,
    path: Optional[Path] = None,
    **environment: Optional[str],
) -> Done:
    """Run a program in a folder and wait for its end.

    Args:
        folder: Becomes the working directory.
        program: Its source.
        launched: Run it under OpenTelemetry's launcher.
        path: A folder whose modules come before all installed ones.
        **environment: Variables besides those of this process, without its own `OTEL_…`; None for
            one that is not to be set.
    """
    script = folder / "app.py"
    script.write_text(program, "utf-8")
    drop = ("OTEL_", "PEEKR_")
    kept = {name: value for name, value in os.environ.items() if not name.startswith(drop)}
    # The launcher starts the `python` of the path.
    kept["PATH"] = os.pathsep.join((str(Path(sys.executable).parent), kept.get("PATH", "")))
    if launched:
        # What they make of HTTP requests, threads and the like is not what is tested here.
        environment.setdefault("OTEL_PYTHON_DISABLED_INSTRUMENTATIONS", other_instrumentors())
        for kind in ("distro", "configurator"):
            if len(rivals.entry_points_of(f"opentelemetry_{kind}")) > 1:
                environment.setdefault(f"OTEL_PYTHON_{kind.upper()}", "peekr")
    if path is not None:
        kept["PYTHONPATH"] = os.pathsep.join(
            entry for entry in (str(path), kept.get("PYTHONPATH", "")) if entry
        )
    command = [sys.executable, str(script)]
    if launched:
        start = f"import sys; from {LAUNCHER} import run; sys.exit(run())"
        command = [sys.executable, "-c", start, *command]
    made = subprocess.run(
        command,
        cwd=folder,
        env={
            **kept,
            "PEEKR_RAISE_FAULTS": "1",
            "PEEKR_CONSOLE": "false",
            **{name: value for name, value in environment.items() if value is not None},
        },
        capture_output=True,
        encoding="utf-8",
        timeout=120,
    )
    assert made.returncode == 0, made.stderr
    return Done(folder, made)
