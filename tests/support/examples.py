"""Runs the examples as a user does."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Tuple

EXAMPLES = Path(__file__).resolve().parents[2] / "examples"


def run_example(name: str, *arguments: str, cwd: Path) -> Tuple[str, str]:
    """What an example prints to stdout and stderr; it is to end well."""
    done = subprocess.run(
        [sys.executable, str(EXAMPLES / name), *arguments],
        capture_output=True,
        text=True,
        encoding="utf-8",
        timeout=60,
        cwd=cwd,
        env={**os.environ, "PEEKR_RAISE_FAULTS": "1", "PYTHONIOENCODING": "utf-8"},
    )
    assert done.returncode == 0, done.stderr
    return done.stdout, done.stderr
