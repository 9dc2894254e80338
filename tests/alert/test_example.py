"""The example of alerts does what it says."""

from __future__ import annotations

from pathlib import Path

import pytest

from ..support.examples import run_example


def test_alerts(tmp_path: Path) -> None:
    pytest.importorskip("openai")
    stdout, stderr = run_example("alerts.py", cwd=tmp_path)
    received = sorted(line.partition(": ")[2] for line in stdout.splitlines())
    assert len(received) == 3
    assert received[0].startswith("CostSpike: this trace took $0.00")
    assert "5.0 times the average" in received[0]
    assert received[1] == "ErrorRate: 2 of the last 7 traces failed (28.6%, threshold 20.0%)"
    assert received[2] == "ManyCalls: 5 model calls"
    assert stderr.startswith("[peekr alert] too_long: 1 answers were cut off [__main__.agent, ")
    assert len(stderr.splitlines()) == 1
